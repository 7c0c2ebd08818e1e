//! The two objects that a restore pod is asked for with: those of the Template `restore`, with a name of their own.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use model::names::{self, Instance};
use model::restore::Request;
use serde_json::{Value, json};

use crate::template::process;

/// The ConfigMap and the Deployment. The controller sees the Deployment, fills in what it needs, and starts it.
pub(crate) fn objects(
    instance: &Instance,
    namespace: &str,
    name: &str,
    request: &Request,
) -> anyhow::Result<[Value; 2]> {
    let given = [("NAME", request.pvc.clone()), ("DATE", request.when.to_string())];
    let given: BTreeMap<String, String> = given.map(|(key, value)| (key.to_owned(), value)).into();
    let list = process::restore(instance)?.process(&given)?.list;
    let mut objects = list["items"].as_array().cloned().unwrap_or_default();
    for object in &mut objects {
        // Not the Template's own name, which the restores of one PVC share.
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!(namespace);
    }
    let mut take = |kind: &str| {
        let place = objects.iter().position(|o| o["kind"] == kind);
        place.map(|i| objects.remove(i)).with_context(|| format!("the built-in Template has no {kind}"))
    };
    let (script, mut deployment) = (take("ConfigMap")?, take("Deployment")?);
    if !objects.is_empty() {
        return Err(anyhow!("the built-in Template has more objects than a ConfigMap and a Deployment"));
    }
    deployment["metadata"]["annotations"][names::RESTORE_FROM] = json!(request.to_string());
    deployment["spec"]["selector"]["matchLabels"]["restore"] = json!(name);
    deployment["spec"]["template"]["metadata"]["labels"]["restore"] = json!(name);
    Ok([script, deployment])
}

/// The pods of such a Deployment.
pub(crate) fn selector(name: &str) -> String {
    format!("template=restore,restore={name}")
}
