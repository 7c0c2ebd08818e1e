//! What the controller told about a PVC lately: its Events.

use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use model::{Timestamp, names};
use serde::Serialize;

use crate::rights::Deed;
use crate::status::Volume;

/// Events that are shown.
const SHOWN: usize = 5;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    pub(super) at: Option<Timestamp>,
    pub(super) warning: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

/// The newest Events of ours about the PVC, newest first, or why they cannot be read.
pub(super) async fn of(client: &Client, volume: &Volume) -> Result<Vec<Told>, String> {
    let api: Api<Event> = Api::namespaced(client.clone(), &volume.namespace);
    let fields = format!("involvedObject.uid={}", volume.uid);
    let listed = api::bounded(|| "list events".to_owned(), api.list(&ListParams::default().fields(&fields))).await;
    let deed = Deed::new("list", "events", Some(&volume.namespace));
    let events = listed.map_err(|error| deed.failed(&error).to_string())?;
    let ours = events.items.iter().filter(|e| e.reporting_component.as_deref() == Some(names::MANAGER));
    let mut told: Vec<Told> = ours.map(told).collect();
    told.sort_by_key(|told| std::cmp::Reverse(told.at));
    told.truncate(SHOWN);
    Ok(told)
}

fn told(event: &Event) -> Told {
    let series = event.series.as_ref().and_then(|s| s.last_observed_time.as_ref()).map(|t| t.0);
    let at = series.or(event.last_timestamp.as_ref().map(|t| t.0)).or(event.event_time.as_ref().map(|t| t.0));
    Told {
        at,
        warning: event.type_.as_deref() == Some("Warning"),
        reason: event.reason.clone().unwrap_or_default(),
        message: event.message.clone().unwrap_or_default(),
    }
}
