//! What several steps need.

use model::config::Destination;
use serde::Serialize;
use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::settings::Settings;

/// The destination of that name, if the configuration still has it.
pub(super) fn configured<'a>(settings: &'a Settings, destination: &str) -> Result<&'a Destination, Refusal> {
    settings.config.destination(destination).ok_or_else(|| Refusal::NoDestination(destination.to_owned()))
}

/// One annotation of ours for server-side apply. The UID makes sure that it never creates an object, and
/// never reaches a namesake.
pub(super) fn annotation<K: kube::Resource<DynamicType = ()>>(
    namespace: &str,
    name: &str,
    uid: &str,
    key: &str,
    text: &str,
) -> Value {
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"namespace": namespace, "name": name, "uid": uid, "annotations": {key: text}},
    })
}

/// What an annotation has of a value.
pub(super) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
