//! Events, which tell people on an object what became of it.

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use model::Timestamp;
use model::facts::Identity;
use model::names::{self, Instance};
use model::plan::Note;
use model::text::clip;
use serde_json::json;

/// What time it is. The process gives the clock of the API server.
pub(crate) type Clock = fn() -> Timestamp;

/// Where Events are written.
pub(super) struct Events<'a> {
    pub(super) client: &'a Client,
    pub(super) instance: &'a Instance,
    pub(super) clock: Clock,
}

impl Events<'_> {
    /// Each transition is an Event of its own: joined ones keep the words of the first. One that cannot be
    /// written harms nothing: it is told in the log.
    pub(super) async fn publish(
        &self,
        (api_version, kind): (&str, &str),
        namespace: &str,
        about: &Identity,
        note: &Note,
    ) {
        let name = &about.name;
        if note.warning {
            tracing::warn!(namespace, kind, name, reason = note.reason, "{}", note.text);
        } else {
            tracing::info!(namespace, kind, name, reason = note.reason, "{}", note.text);
        }
        // Read anew for each: the time is a part of the name.
        let now = (self.clock)();
        let event = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"namespace": namespace, "name": names::event(name, now)},
            "eventTime": MicroTime(now),
            "type": if note.warning { "Warning" } else { "Normal" },
            "reason": note.reason,
            "action": note.action,
            "note": clip(&note.text, 1000),
            "reportingController": names::MANAGER,
            "reportingInstance": clip(self.instance.as_str(), 120),
            "regarding": {
                "apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "uid": about.uid,
            },
        });
        if let Err(error) = api::create::<Event>(self.client, &event).await {
            tracing::warn!(namespace, kind, name, error = api::chain(&error), "an Event could not be written");
        }
    }
}
