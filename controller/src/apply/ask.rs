//! Asking why the pod of a Job does not start: whoever keeps it from that says so in Events, and nowhere else.
//!
//! Events are not watched: there are many, and hardly one concerns us. Those of one object are listed once, when the time
//! to start is over.

use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use model::facts::{MountFailure, PodRefusal};
use model::plan::Question;
use model::world::Change;

/// More Events than anybody writes about one object: those that are alike are counted.
const ENOUGH: u32 = 100;

/// What is said about an object. That nothing is known is an answer too: its time is over in any case.
pub(crate) async fn ask(client: &Client, question: Question, namespace: &str, name: &str, uid: &str) -> Change {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let about = ListParams::default().fields(&format!("regarding.uid={uid}")).limit(ENOUGH);
    let listed = api::bounded(|| format!("list the Events of {namespace}/{name}"), api.list(&about)).await;
    let events = match listed {
        Ok(list) => list.items,
        Err(error) => {
            let error = api::chain(&error);
            tracing::warn!(namespace, name, error, "cannot list the Events that say why a pod does not start");
            Vec::new()
        }
    };
    let (key, uid) = ((namespace.to_owned(), name.to_owned()), uid.to_owned());
    match question {
        Question::Mounts => Change::MountFailure(key, uid, MountFailure::of(&events)),
        Question::Pod => Change::PodRefusal(key, uid, PodRefusal::of(&events)),
    }
}
