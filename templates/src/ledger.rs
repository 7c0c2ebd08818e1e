//! The ConfigMap that is a source's ledger. It has no template: nobody but us reads it.

use model::ledger::Ledger;
use model::names::{self, Component, Instance};
use serde_json::{Value, json};

use crate::order::Marks;

/// The ConfigMap, as it is created or replaced.
pub(crate) fn config_map(instance: &Instance, namespace: &str, ledger: &Ledger) -> Value {
    let Marks { labels, annotations } = Marks::new(instance, Component::Ledger).source(&ledger.id());
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names::ledger(&ledger.source.uid),
            "namespace": namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "data": ledger.to_data(),
    })
}
