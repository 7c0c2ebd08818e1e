//! The Helm chart, made from the install manifests.
//!
//! `templates/install` stays the one source. An overlay (`tests/install/chart`) puts a mark, `<name>`, wherever a
//! value goes, and kustomize carries the marks to all places that follow it; [`files`] turns each mark into a
//! template expression. What is written by hand in the chart is what has no manifest: `Chart.yaml`,
//! `values.yaml`, the helpers and the notes.

mod schema;
mod text;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use dev_cluster::{Part, ensure_built};
use serde::Deserialize as _;
use serde_json::Value;

use crate::binaries::project;

const NOTE: &str = "{{- /* Made from templates/install by `make chart`: change that, not this. */ -}}\n";

/// The chart's folder.
#[must_use]
pub fn folder() -> PathBuf {
    project().join("helm/backup-controller")
}

/// Every file of the chart that is made and not written, by its path in the chart.
pub fn files() -> Result<BTreeMap<&'static str, String>> {
    let plain = kustomize("tests/install/chart/plain")?;
    let openshift = kustomize("tests/install/chart/openshift")?;
    if let Some(changed) = plain.iter().find(|object| !openshift.contains(object)) {
        bail!("the openshift component changes {}; the chart can only add objects", changed["metadata"]["name"]);
    }
    let (added, _): (Vec<_>, Vec<_>) = openshift.into_iter().partition(|object| !plain.contains(object));
    let of = |file: &str| plain.iter().filter(|o| home(o) == file).cloned().collect::<Vec<_>>();
    let mut files = BTreeMap::new();
    for (path, objects, condition) in [
        ("templates/namespace.yaml", of("namespace"), Some(".Values.namespace.create")),
        ("templates/accounts.yaml", of("accounts"), None),
        ("templates/controller.yaml", of("controller"), None),
        ("templates/guard.yaml", of("guard"), None),
        ("templates/openshift.yaml", added, Some(".Values.openshift.enabled")),
    ] {
        ensure!(!objects.is_empty(), "{path} would be empty");
        let text = text::template(&objects).with_context(|| path.to_owned())?;
        let text = condition.map_or(text.clone(), |is| format!("{{{{- if {is} }}}}\n{text}{{{{- end }}}}\n"));
        files.insert(path, format!("{NOTE}{text}"));
    }
    text::every_mark_is_used(files.values())?;
    files.insert("config.yaml", default_config()?);
    files.insert("values.schema.json", format!("{:#}\n", schema::values()?));
    Ok(files)
}

/// The file that an object is put in.
fn home(object: &Value) -> &'static str {
    let (version, kind) = (object["apiVersion"].as_str(), object["kind"].as_str());
    match (version.and_then(|v| v.split('/').next()), kind) {
        (_, Some("Namespace")) => "namespace",
        (_, Some("ServiceAccount")) | (Some("rbac.authorization.k8s.io"), _) => "accounts",
        (Some("admissionregistration.k8s.io"), _) => "guard",
        _ => "controller",
    }
}

/// What the configuration is without a value: every key, switched off.
fn default_config() -> Result<String> {
    let path = project().join("templates/install/config.yaml");
    let map = documents(&std::fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
    let text = map[0]["data"]["config.yaml"].as_str();
    text.map(str::to_owned).with_context(|| format!("{} has no config.yaml", path.display()))
}

/// What `kubectl kustomize` makes of a folder of this project.
pub fn kustomize(folder: &str) -> Result<Vec<Value>> {
    let kubectl = ensure_built(Part::Kubernetes)?.join("kubectl");
    documents(&output(Command::new(kubectl).arg("kustomize").arg(project().join(folder)))?)
}

/// What a program prints. Its errors are an error.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&said).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The objects of a text with many documents.
pub fn documents(text: &str) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        // By way of YAML's own value, which refuses keys that stand twice.
        let object = serde_json::to_value(serde_yaml::Value::deserialize(document)?)?;
        if !object.is_null() {
            objects.push(object);
        }
    }
    Ok(objects)
}
