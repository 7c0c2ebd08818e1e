//! A release on a real API server: installed, changed, taken away.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use backup_controller_tests::binaries::project;
use backup_controller_tests::chart::{self, documents, output};
use dev_cluster::ControlPlane;
use serde_json::{Value, json};

use crate::install::ways::helm;

const NAMESPACE: &str = "backup";

/// What must be set.
const IMAGES: &str = "--set=images.controller.repository=registry.example/c,images.mover.repository=registry.example/m";

/// A control plane with a helm.
struct Server(ControlPlane);

impl Server {
    fn helm(&self, args: &[&str]) -> Result<String> {
        let mut helm: Command = helm()?;
        let kubeconfig = self.0.kubeconfig_path();
        // What it learns of this server goes with the server: the next one has its port.
        helm.env("KUBECONFIG", kubeconfig).env("HOME", kubeconfig.parent().context("a kubeconfig in no folder")?);
        output(helm.args(["--namespace", NAMESPACE]).args(args))
    }

    /// `install` or `upgrade` of the chart with more arguments.
    fn release(&self, verb: &str, more: &[&str]) -> Result<String> {
        let chart = chart::folder().display().to_string();
        // What is set on the command line would win over a file.
        let images = if more.contains(&"--values") { &[][..] } else { &[IMAGES] };
        self.helm(&[&[verb, "backup", &chart], images, more].concat())
    }

    /// What the release consists of, as it stands on the server. An object that is gone is not in it.
    fn there(&self, manifest: &str) -> Result<Vec<Value>> {
        let list = self.0.kubectl_tool().run_with_input(
            &["get", "--namespace", NAMESPACE, "--ignore-not-found", "-f", "-", "-o", "json"],
            manifest,
        )?;
        let list: Value = if list.trim().is_empty() { Value::Null } else { serde_json::from_str(&list)? };
        Ok(list["items"].as_array().cloned().unwrap_or_else(|| if list.is_null() { vec![] } else { vec![list] }))
    }

    fn deployment(&self) -> Result<Value> {
        self.0.kubectl_tool().json(&["get", "-n", NAMESPACE, "deployment", "backup-controller"])
    }
}

/// Kind, name and version: what changes when anything of an object does. Not of what the cluster writes on.
fn versions(objects: &[Value]) -> Vec<String> {
    let version = |o: &Value| {
        let metadata = &o["metadata"];
        let counts = metadata.get("generation").unwrap_or(&metadata["resourceVersion"]);
        format!("{} {} {counts}", o["kind"], metadata["name"])
    };
    objects.iter().map(version).collect()
}

#[test]
fn a_release_is_installed_changed_and_taken_away() -> Result<()> {
    let server = Server(ControlPlane::start()?);
    let notes = server.release("install", &["--create-namespace"])?;
    ensure!(notes.contains("kubectl label --overwrite namespace backup"), "the notes tell of the labels:\n{notes}");
    let manifest = server.helm(&["get", "manifest", "backup"])?;
    let first = server.there(&manifest)?;
    assert_eq!(first.len(), documents(&manifest)?.len(), "{:?}", versions(&first));

    // The same once more changes nothing.
    server.release("upgrade", &[])?;
    assert_eq!(versions(&server.there(&manifest)?), versions(&first));

    // What is wrong changes nothing, either.
    let refused = server.release("upgrade", &["--set=config.limit.cluster=1,nodeSelector.a=b"]);
    ensure!(format!("{:#}", refused.err().context("was taken")?).contains("'limit' not allowed"));
    assert_eq!(versions(&server.there(&manifest)?), versions(&first));

    // The namespace has its label, so the notes are silent.
    server.0.kubectl(&["label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=baseline"])?;
    let notes = server.release("upgrade", &["--set=nodeSelector.a=b", "--set=config.limits.cluster=3"])?;
    ensure!(!notes.contains("Pod Security"), "{notes}");
    assert_eq!(
        server.deployment()?["spec"]["template"]["spec"]["nodeSelector"],
        json!({"a": "b", "kubernetes.io/os": "linux"})
    );
    let config = server.0.kubectl_tool().json(&["get", "-n", NAMESPACE, "configmap", "backup-controller"])?;
    assert_eq!(config["data"]["config.yaml"], "limits:\n  cluster: 3\n");

    server.helm(&["uninstall", "backup", "--wait"])?;
    assert_eq!(versions(&server.there(&manifest)?), Vec::<String>::new());
    server.0.kubectl(&["get", "namespace", NAMESPACE])?;
    Ok(())
}

/// Whoever installs a second one under the same name is told, before anything of the first is changed.
#[test]
fn a_second_release_needs_an_instance_of_its_own() -> Result<()> {
    let server = Server(ControlPlane::start()?);
    server.release("install", &["--create-namespace"])?;
    let chart = chart::folder().display().to_string();
    let second = ["install", "backup", &chart, IMAGES, "--namespace", "other", "--create-namespace"];
    let refused = server.helm(&second).err().context("the second one took the first one's objects")?;
    ensure!(format!("{refused:#}").contains("invalid ownership metadata"), "{refused:#}");
    server.helm(&[&second[..], &["--set=instance=second"]].concat())?;
    let guards = server.0.kubectl(&["get", "validatingadmissionpolicies", "-o", "name"])?;
    assert_eq!(guards.lines().filter(|name| name.contains("/backup-")).count(), 4, "{guards}");
    Ok(())
}

#[test]
fn helm_takes_over_what_kubectl_installed_when_it_is_told_to() -> Result<()> {
    let server = Server(ControlPlane::start()?);
    let overlay = project().join("tests/install/guard").display().to_string();
    server.0.kubectl(&["apply", "-k", &overlay])?;
    let before = server.deployment()?;
    let values = project().join("tests/install/guard/values.yaml").display().to_string();
    let refused = server.release("install", &["--values", &values]).err().context("it took what is another's")?;
    ensure!(format!("{refused:#}").contains("invalid ownership metadata"), "{refused:#}");
    server.release("install", &["--values", &values, "--take-ownership"])?;
    let after = server.deployment()?;
    assert_eq!((&after["spec"], &after["metadata"]["uid"]), (&before["spec"], &before["metadata"]["uid"]));
    Ok(())
}
