//! Asking why the volumes of a pod do not come: its kubelet says so in Events, and nowhere else.
//!
//! Events are not watched: there are many, and hardly one concerns us. Those of one pod are listed once, when its time
//! to start is over.

use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use model::facts::MountFailure;
use model::world::Change;

/// More Events than a kubelet writes about one pod: it counts those that are alike.
const ENOUGH: u32 = 100;

/// What is said about a pod. That nothing is known is an answer too: the pod's time is over in any case.
pub(crate) async fn ask(client: &Client, namespace: &str, pod: &str, uid: &str) -> Change {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let of_pod = ListParams::default().fields(&format!("regarding.uid={uid}")).limit(ENOUGH);
    let failure = match api::bounded(|| format!("list the Events of pod {namespace}/{pod}"), api.list(&of_pod)).await {
        Ok(events) => MountFailure::of(&events.items),
        Err(error) => {
            tracing::warn!(
                namespace,
                pod,
                error = api::chain(&error),
                "cannot list the pod's Events, so the cause of its mount failure is unknown"
            );
            None
        }
    };
    Change::MountFailure((namespace.to_owned(), pod.to_owned()), uid.to_owned(), failure)
}
