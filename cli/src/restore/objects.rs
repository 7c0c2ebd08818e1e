//! The two objects that a restore pod is asked for with: what the OpenShift Template `restore` makes, with a name
//! of their own.

use model::names::{self, Component};
use model::restore::Request;
use serde_json::{Value, json};

/// All that it does is in the program.
const SCRIPT: &str = "#!/bin/sh\n\
    # Copies the restore point to the PVC. It shows first what it will do: restore.sh --help\n\
    exec /usr/bin/backup-job restore \"$@\"\n";

/// The ConfigMap and the Deployment. The controller sees the Deployment, fills in what it needs, and starts it.
pub(crate) fn objects(instance: &str, namespace: &str, name: &str, request: &Request) -> [Value; 2] {
    let script = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"template": "restore"}},
        "data": {"restore.sh": SCRIPT}
    });
    let selector = json!({"template": "restore", "restore": name});
    let labels = json!({
        "template": "restore",
        names::INSTANCE: instance,
        names::COMPONENT: Component::Restore.as_str()
    });
    let mut pod_labels = labels.clone();
    pod_labels["restore"] = json!(name);
    pod_labels[names::MANAGED_BY] = json!(names::MANAGER);
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "annotations": {names::RESTORE_FROM: request.to_string()}
        },
        "spec": {
            "replicas": 0,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": pod_labels},
                "spec": {
                    "automountServiceAccountToken": false,
                    "containers": [{"name": names::CONTAINER, "image": "backup-mover"}]
                }
            }
        }
    });
    [script, deployment]
}

/// The pods of such a Deployment.
pub(crate) fn selector(name: &str) -> String {
    format!("template=restore,restore={name}")
}
