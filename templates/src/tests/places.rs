//! Where the installation's names stand in the objects. No two names of the samples are alike, so one in another's place
//! is seen here, and where an administrator's templates are tried.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Templates, samples};

/// Each text that has one of the names in it, with its place in the object.
fn places(at: &str, value: &Value, names: &[String; 2], found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| places(&format!("{at}/{key}"), value, names, found));
        }
        Value::Array(items) => items.iter().for_each(|item| places(at, item, names, found)),
        Value::String(text) if names.iter().any(|name| text.contains(name)) => {
            found.insert(format!("{at}: {text}"));
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn no_name_of_the_installation_stands_in_the_place_of_the_other() {
    let install = samples::install();
    let names = [install.instance.to_string(), install.namespace];
    let mut found = BTreeSet::new();
    for (_, object) in samples::render_all(&Templates::embedded()).unwrap() {
        places("", &object, &names, &mut found);
    }
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(
        found,
        [
            "/metadata/labels/backup-controller.io/instance: night",
            "/metadata/name: night-attic-shop-e07681360f63",
            "/metadata/name: night-pods",
            "/metadata/name: night-restore-mypvc-0123456789abcdef",
            "/metadata/name: night-shop-test-restore-mypvc-0123456789abcdef-7aed230c6dc5",
            "/metadata/name: night-sweep",
            "/metadata/namespace: keepers",
            "/spec/claimRef/namespace: keepers",
            "/spec/jobTemplate/metadata/labels/backup-controller.io/instance: night",
            "/spec/jobTemplate/spec/template/metadata/labels/backup-controller.io/instance: night",
            "/spec/jobTemplate/spec/template/spec/containers/args: --instance=night",
            "/spec/podSelector/matchLabels/backup-controller.io/instance: night",
            "/spec/template/metadata/labels/backup-controller.io/instance: night",
            "/spec/template/spec/containers/args: --secret-name=keepers/backup-s3",
            "/spec/volumeName: night-attic-shop-e07681360f63",
            "/spec/volumeName: night-restore-mypvc-0123456789abcdef",
            "/spec/volumeName: night-shop-test-restore-mypvc-0123456789abcdef-7aed230c6dc5",
            "/spec/volumeSnapshotRef/namespace: keepers",
        ]
    );
}
