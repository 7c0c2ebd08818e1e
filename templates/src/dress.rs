//! What the configuration adds to a pod template: where it runs, and how other programs of the cluster treat it.
//!
//! It is added after the template is rendered, so that it holds for templates of others too. What a template says itself
//! stays: a Job that checks a disk has to run on the node that has it.

use std::collections::BTreeMap;

use model::config::PodSettings;
use serde::Serialize;
use serde_json::{Value, json};

use crate::pods::PodRules;

/// A1: meshes and agents that add a container are asked not to. One that never ends keeps a Job from ending, and a proxy
/// that is not ready yet keeps a copy from its destination.
const LEFT_ALONE: [(&str, &str, &str); 6] = [
    ("labels", "sidecar.istio.io/inject", "false"),
    ("labels", "kuma.io/sidecar-injection", "disabled"),
    ("annotations", "sidecar.istio.io/inject", "false"),
    ("annotations", "linkerd.io/inject", "disabled"),
    ("annotations", "consul.hashicorp.com/connect-inject", "false"),
    ("annotations", "vault.hashicorp.com/agent-inject", "false"),
];

/// Every pod of ours is a Linux one.
const OS: (&str, &str) = ("kubernetes.io/os", "linux");

/// Adds what the settings say to the pod template of an object.
pub(crate) fn pod(object: &mut Value, rules: &PodRules) {
    let Some(template) = object.pointer_mut(rules.pointer) else { return };
    let PodSettings {
        node_selector,
        tolerations,
        affinity,
        priority_class_name,
        runtime_class_name,
        image_pull_secrets,
        labels,
        annotations,
    } = &rules.settings;
    for (field, settings) in [("labels", labels), ("annotations", annotations)] {
        let defaults = LEFT_ALONE.iter().filter(|(of, ..)| *of == field).map(|(_, key, value)| (*key, *value));
        add(&mut template["metadata"][field], settings, defaults);
    }
    let spec = &mut template["spec"];
    add(&mut spec["nodeSelector"], node_selector, [OS]);
    append(spec, "tolerations", tolerations);
    append(spec, "imagePullSecrets", image_pull_secrets);
    set(spec, "affinity", affinity.as_ref());
    set(spec, "priorityClassName", priority_class_name.as_ref());
    set(spec, "runtimeClassName", runtime_class_name.as_ref());
}

/// Keys that are not there yet: those of the settings, and then the defaults.
fn add<'a>(
    map: &mut Value,
    settings: &'a BTreeMap<String, String>,
    defaults: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    if map.is_null() {
        *map = json!({});
    }
    let Some(map) = map.as_object_mut() else { return };
    let settings = settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    for (key, value) in settings.chain(defaults) {
        map.entry(key).or_insert_with(|| json!(value));
    }
}

/// Behind what the template has.
fn append<T: Serialize>(spec: &mut Value, field: &str, items: &[T]) {
    if !items.is_empty() {
        let own = spec[field].as_array().cloned().unwrap_or_default();
        spec[field] = json!([own, items.iter().map(|item| json!(item)).collect()].concat());
    }
}

/// Unless the template says it.
fn set<T: Serialize>(spec: &mut Value, field: &str, value: Option<&T>) {
    if let Some(value) = value.filter(|_| spec[field].is_null()) {
        spec[field] = json!(value);
    }
}
