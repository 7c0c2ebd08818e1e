//! Asking what no watch tells of a Job: each question is asked once.
//!
//! Why its pod does not start is said in Events, and nowhere else. They are not watched: there are many, and hardly one
//! concerns us. Those of one object are listed when the time to start is over. What its pods told is asked where it ended,
//! and the watch of pods, which may stand still, has not shown their end.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use model::facts::{self, MountFailure, PodRefusal};
use model::plan::Question;
use model::world::Change;
use serde::de::DeserializeOwned;

/// More Events than anybody writes about one object, as those that are alike are counted; and more pods than a Job has tries.
const ENOUGH: u32 = 100;

/// What is said about an object. That nothing is known is an answer too: its time is over in any case.
pub(crate) async fn ask(client: &Client, question: Question, namespace: &str, name: &str, uid: &str) -> Change {
    let key = (namespace.to_owned(), name.to_owned());
    let events = || list::<Event>(client, namespace, ListParams::default().fields(&format!("regarding.uid={uid}")));
    match question {
        Question::Mounts => Change::MountFailure(key, uid.to_owned(), MountFailure::of(&events().await)),
        Question::Pod => Change::PodRefusal(key, uid.to_owned(), PodRefusal::of(&events().await)),
        Question::Told => {
            let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/controller-uid={uid}"));
            let pods = list::<Pod>(client, namespace, of_job).await;
            Change::PodsListed(key, uid.to_owned(), pods.iter().map(facts::Pod::from).collect())
        }
    }
}

async fn list<K>(client: &Client, namespace: &str, which: ListParams) -> Vec<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let which = which.limit(ENOUGH);
    let kind = K::plural(&());
    let listed = api::bounded(|| format!("list {kind} in {namespace}"), api.list(&which)).await;
    match listed {
        Ok(list) => list.items,
        Err(error) => {
            tracing::warn!(namespace, "what became of a Job is not known: {}", api::chain(&error));
            Vec::new()
        }
    }
}
