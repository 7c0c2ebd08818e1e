//! What a run of the suite leaves when it is killed: the next one would wait for it.

use anyhow::Result;
use dev_cluster::Kubectl;
use serde_json::Value;

/// Deletes the namespaces whose names begin with a prefix, then the volumes and snapshots of theirs that outlive them:
/// a retained volume would be taken for the new claim's of the same name, which it is not.
pub fn remove(kubectl: &Kubectl, prefix: &str) -> Result<()> {
    let of = |name: &Value| name.as_str().is_some_and(|name| name.starts_with(prefix));
    delete(kubectl, "namespaces", |object| of(&object["metadata"]["name"]))?;
    delete(kubectl, "persistentvolumes", |volume| of(&volume["spec"]["claimRef"]["namespace"]))?;
    delete(kubectl, "volumesnapshotcontents", |content| of(&content["spec"]["volumeSnapshotRef"]["namespace"]))
}

fn delete(kubectl: &Kubectl, kind: &str, which: impl Fn(&Value) -> bool) -> Result<()> {
    let all = kubectl.json(&["get", kind])?;
    let objects = all["items"].as_array().into_iter().flatten().filter(|object| which(object));
    let names: Vec<&str> = objects.filter_map(|object| object["metadata"]["name"].as_str()).collect();
    if !names.is_empty() {
        let delete = ["delete", kind, "--ignore-not-found", "--timeout=120s"];
        kubectl.run(&[delete.as_slice(), &names].concat())?;
    }
    Ok(())
}
