//! The same settings make the same objects, whichever way is taken.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use backup_controller_tests::binaries::project;
use backup_controller_tests::chart::{self, output};
use serde_json::{Value, json};

use crate::install::ways::{Settings, Way, helm, template};

/// Everything that can be set is set in it.
const SETTINGS: Settings = Settings { folder: "tests/install/compare", namespace: "keep" };
/// Only what must be set, the images.
const DEFAULTS: Settings = Settings { folder: "tests/install/guard", namespace: "backup" };

/// Kinds that are of the whole cluster. kustomize gives some of them a namespace, which means nothing.
const CLUSTER_WIDE: [&str; 6] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "Namespace",
    "SecurityContextConstraints",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// Objects by kind, namespace and name, without what is written in more than one way.
fn normal(objects: Vec<Value>) -> Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    for mut object in objects {
        let kind = object["kind"].as_str().context("an object without a kind")?.to_owned();
        let metadata = object["metadata"].as_object_mut().context("an object without metadata")?;
        if CLUSTER_WIDE.contains(&kind.as_str()) {
            metadata.remove("namespace");
        }
        let text = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = format!("{kind} {}/{}", text("namespace"), text("name"));
        // The configuration's text is laid out by hand or by a program: what it says counts.
        if let Some(config) = object.pointer_mut("/data/config.yaml") {
            *config = serde_json::to_value(serde_yaml::from_str::<serde_yaml::Value>(config.as_str().unwrap_or(""))?)?;
        }
        // A merge puts the variable that it changes first; none of them uses another.
        if let Some(env) = object.pointer_mut("/spec/template/spec/containers/0/env").and_then(Value::as_array_mut) {
            env.sort_by_key(|variable| variable["name"].to_string());
        }
        ensure!(all.insert(key.clone(), object).is_none(), "{key} is there twice");
    }
    Ok(all)
}

/// Where two values differ, one place a line.
fn differences(place: &str, one: &Value, other: &Value, told: &mut String) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                differences(&format!("{place}.{key}"), &one[key], &other[key], told);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (number, (one, other)) in a.iter().zip(b).enumerate() {
                differences(&format!("{place}[{number}]"), one, other, told);
            }
        }
        _ if one == other => {}
        _ => {
            let _ = writeln!(told, "{place}: {one} <> {other}");
        }
    }
}

/// Kustomize is the measure: the manifests are its.
fn installs_the_same(way: Way, settings: Settings) -> Result<()> {
    let wanted = json!(normal(Way::Kustomize.objects(settings)?)?);
    let there = json!(normal(way.objects(settings)?)?);
    ensure!(wanted.as_object().is_some_and(|objects| objects.len() > 20), "that is not an installation: {wanted}");
    let mut told = String::new();
    differences("", &wanted, &there, &mut told);
    ensure!(told.is_empty(), "Kustomize <> {way:?} with {}:\n{told}", settings.folder);
    Ok(())
}

#[test]
fn helm_installs_what_kustomize_installs_with_everything_set() -> Result<()> {
    installs_the_same(Way::Helm, SETTINGS)
}

#[test]
fn helm_installs_what_kustomize_installs_with_nothing_but_images() -> Result<()> {
    installs_the_same(Way::Helm, DEFAULTS)
}

#[test]
fn ansible_installs_what_kustomize_installs_with_everything_set() -> Result<()> {
    installs_the_same(Way::Ansible, SETTINGS)
}

#[test]
fn ansible_installs_what_kustomize_installs_with_nothing_but_images() -> Result<()> {
    installs_the_same(Way::Ansible, DEFAULTS)
}

/// Each text of a value with the key that it belongs to.
fn texts<'a>(key: &'a str, value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| texts(key, value, found)),
        Value::Array(list) => list.iter().for_each(|value| texts(key, value, found)),
        Value::String(text) => found.push((key, text)),
        _ => {}
    }
}

/// The guard guards this installation's accounts and images, and a restore asks this installation.
#[test]
fn namespace_instance_and_images_are_followed_wherever_they_are_said() -> Result<()> {
    let objects = json!(Way::Kustomize.objects(SETTINGS)?);
    let mut found = Vec::new();
    texts("", &objects, &mut found);
    for name in ["keep", "second", "registry.example/backup-mover:1.2.4"] {
        assert!(found.iter().filter(|(_, text)| text.contains(&format!("'{name}'"))).count() > 0, "{name}");
    }
    for (key, text) in found {
        let stays = ["backup", "backup-mover"].contains(&text) && key != "name";
        ensure!(!stays && !text.contains("'backup'") && !text.contains("'backup-mover'"), "{key}: {text}");
    }
    Ok(())
}

#[test]
fn two_ways_that_differ_are_told_apart() {
    let mut told = String::new();
    let one = json!({"Role a/x": {"rules": [1]}, "Role a/y": {}});
    differences("", &one, &json!({"Role a/x": {"rules": [2]}, "Role a/z": {}}), &mut told);
    assert_eq!(told, ".Role a/x.rules[0]: 1 <> 2\n.Role a/y: {} <> null\n.Role a/z: null <> {}\n");
}

#[test]
fn the_committed_chart_is_made_from_the_manifests() -> Result<()> {
    for (path, wanted) in chart::files()? {
        let there = std::fs::read_to_string(chart::folder().join(path)).unwrap_or_default();
        ensure!(there == wanted, "{path} of the chart is not what templates/install gives: run `make chart`");
    }
    let versions: Value = serde_yaml::from_str(&std::fs::read_to_string(chart::folder().join("Chart.yaml"))?)?;
    assert_eq!(
        (&versions["version"], &versions["appVersion"]),
        (&json!(env!("CARGO_PKG_VERSION")), &versions["version"])
    );
    Ok(())
}

#[test]
fn helm_finds_no_fault_with_the_chart() -> Result<()> {
    let values = project().join(SETTINGS.folder).join("values.yaml");
    let refused = output(helm()?.args(["template", "backup"]).arg(chart::folder()));
    let refused = format!("{:#}", refused.err().context("a chart without images was taken")?);
    ensure!(refused.contains("images.controller.repository and images.mover.repository must be set"), "{refused}");
    output(helm()?.args(["lint", "--strict", "--values"]).arg(values).arg(chart::folder()))?;
    Ok(())
}

/// The installation that every key of the example configuration makes.
#[test]
fn every_key_of_the_configuration_is_a_value_of_the_chart() -> Result<()> {
    let config: Value = serde_yaml::from_str(model::config::EXAMPLE)?;
    let values = std::env::temp_dir().join(format!("values-{}.json", std::process::id()));
    std::fs::write(
        &values,
        json!({
            "config": config, "hostDisks": {"enabled": true},
            "images": {"controller": {"repository": "c"}, "mover": {"repository": "m"}}
        })
        .to_string(),
    )?;
    let objects = template("keep", &values).and_then(|text| normal(chart::documents(&text)?));
    std::fs::remove_file(&values)?;
    assert_eq!(objects?["ConfigMap keep/backup-controller"]["data"]["config.yaml"], config);
    Ok(())
}

#[test]
fn a_value_that_is_wrong_is_refused_with_its_place() -> Result<()> {
    for (set, why) in [
        ("config.default.retention=2d", "at '/config': additional properties 'default' not allowed"),
        ("config.defaults.retentoin=2d", "at '/config/defaults': additional properties 'retentoin' not allowed"),
        ("config.limits.cluster=many", "at '/config/limits/cluster': got string, want integer"),
        ("config.classes.slow.readOnly=7", "at '/config/classes/slow/readOnly': got number, want boolean"),
        ("config.destinations[0].hostPath.path=/x", "is on a host's disk; set hostDisks.enabled to true"),
        ("config=null", "missing property 'config'"),
        ("image=x", "additional properties 'image' not allowed"),
        ("images.controller.repository=registry.example/x:1", "at '/images/controller/repository'"),
        ("images.pullPolicy=Sometimes", "at '/images/pullPolicy'"),
        ("instance=Second", "at '/instance'"),
        ("nodeSelector=node-1", "at '/nodeSelector': got string, want object"),
        ("openshift.enabled=yes", "at '/openshift/enabled': got string, want boolean"),
    ] {
        let mut helm: Command = helm()?;
        helm.args(["template", "backup"]).arg(chart::folder()).args(["--set", "images.mover.repository=m"]);
        let refused = output(helm.args(["--set", "images.controller.repository=c", "--set", set]));
        let refused = format!("{:#}", refused.err().with_context(|| format!("{set} was taken"))?);
        ensure!(refused.contains(why), "{set}: {refused}");
    }
    Ok(())
}

/// A value that looks like a number, a truth or an expression stays what it is.
#[test]
fn values_do_not_become_structure() -> Result<()> {
    let mut helm = helm()?;
    helm.args(["template", "backup", "--namespace=123", "--set-string=images.mover.tag=007,nodeSelector.a=true"]);
    helm.args(["--set=images.controller.repository=backup-controller,images.mover.repository=backup-mover"]);
    helm.args(["--set-json", r#"config.defaults.schedule="{{ .Values }}""#]).arg(chart::folder());
    let objects = normal(chart::documents(&output(&mut helm)?)?)?;
    let deployment = &objects["Deployment 123/backup-controller"];
    assert_eq!(
        deployment["spec"]["template"]["spec"]["nodeSelector"],
        json!({"a": "true", "kubernetes.io/os": "linux"})
    );
    let env = deployment["spec"]["template"]["spec"]["containers"][0]["env"].to_string();
    assert!(env.contains(r#""value":"backup-mover:007""#), "{env}");
    let config = &objects["ConfigMap 123/backup-controller"]["data"]["config.yaml"];
    assert_eq!(config["defaults"]["schedule"], "{{ .Values }}");
    Ok(())
}
