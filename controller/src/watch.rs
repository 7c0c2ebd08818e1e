//! All watches of the controller. Objects are trimmed to facts as they arrive.
//!
//! Outside of it there are only requests for single objects, and `mounts`, which lists the Events of one pod.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Api, Client, Resource, ResourceExt};
use kube_runtime::WatchStreamExt;
use kube_runtime::watcher::{self, Config, Event, watcher};
use model::facts;
use model::ledger::Book;
use model::names::{self, Instance};
use model::snapshot::{VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotContent};
use model::world::{Change, Key, Seen};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, oneshot};

use crate::backoff::Backoff;

/// All changes in the cluster that matter, as one stream that never ends.
pub(crate) fn all(client: &Client, instance: &Instance, namespace: &str) -> SelectAll<BoxStream<'static, Change>> {
    let ours = format!("{}={},{}={instance}", names::MANAGED_BY, names::MANAGER, names::INSTANCE);
    let ours = Config::default().labels(&ours);
    // Tenants make them, so they are not managed by us.
    let restorers =
        format!("{}={instance},{}={}", names::INSTANCE, names::COMPONENT, names::Component::Restore.as_str());
    let everything = Config::default();
    let api = || client.clone();
    stream::select_all([
        watch::<PersistentVolumeClaim, _>(Api::all(api()), &everything, |o| facts::Claim::from(o), Change::Claim),
        watch::<PersistentVolume, _>(Api::all(api()), &everything, |o| facts::Volume::from(o), Change::Volume),
        watch::<StorageClass, _>(Api::all(api()), &everything, |o| facts::StorageClass::from(o), Change::StorageClass),
        watch::<Job, _>(Api::all(api()), &ours, |o| facts::Job::from(o), Change::Job),
        watch::<Pod, _>(Api::all(api()), &ours, |o| facts::Pod::from(o), Change::Pod),
        watch::<Deployment, _>(
            Api::all(api()),
            &Config::default().labels(&restorers),
            |o| facts::Restorer::from(o),
            Change::Restorer,
        ),
        watch::<CronJob, _>(Api::namespaced(api(), namespace), &ours, |o| facts::CronJob::from(o), Change::CronJob),
        metadata::<NetworkPolicy, _>(Api::all(api()), &ours, |m| facts::Policy::from(m), Change::Policy),
        metadata::<Namespace, _>(Api::all(api()), &everything, |m| facts::Namespace::from(m), Change::Namespace),
        metadata::<Node, _>(Api::all(api()), &everything, |m| facts::Node::from(m), Change::Node),
        snapshots(api(), &ours),
        ledgers(api(), namespace, instance, &ours),
        watch::<VolumeSnapshotContent, _>(Api::all(api()), &ours, |o| facts::Content::from(o), Change::Content),
        watch::<VolumeSnapshotClass, _>(
            Api::all(api()),
            &everything,
            |o| facts::SnapshotClass::from(o),
            Change::SnapshotClass,
        ),
    ])
}

/// All pods of a namespace, as long as somebody wants to know.
pub(crate) fn holders(client: &Client, namespace: &str) -> (BoxStream<'static, Change>, oneshot::Sender<()>) {
    let (wanted, ended) = oneshot::channel();
    let api: Api<DeserializeGuard<Pod>> = Api::namespaced(client.clone(), namespace);
    let namespace = namespace.to_owned();
    let changes = events(api, &Config::default())
        .filter_map(move |event| {
            let seen = event.ok().and_then(|event| seen(event, |o: &Pod| facts::Holder::from(o)));
            let change = seen.map(|seen| Change::Holder(namespace.clone(), seen));
            async move { change }
        })
        .take_until(ended)
        .boxed();
    (changes, wanted)
}

/// One kind. An object that cannot be read is told and passed over: it must not stop the others.
fn watch<K, T>(
    api: Api<DeserializeGuard<K>>,
    config: &Config,
    trim: fn(&K) -> T,
    change: fn(Seen<T>) -> Change,
) -> BoxStream<'static, Change>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
    T: Send + 'static,
{
    events(api, config).filter_map(move |event| async move { seen(event.ok()?, trim).map(change) }).boxed()
}

/// One kind, of which the metadata is enough.
fn metadata<K, T>(
    api: Api<PartialObjectMeta<K>>,
    config: &Config,
    trim: fn(&kube::core::ObjectMeta) -> T,
    change: fn(Seen<T>) -> Change,
) -> BoxStream<'static, Change>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    T: Send + 'static,
{
    watcher(api, config.clone())
        .backoff(Patience::new(&K::plural(&())))
        .filter_map(move |event| async move {
            let event = told(K::plural(&()).as_ref(), event).ok()?;
            Some(change(match event {
                Event::Init => Seen::Begin,
                Event::InitDone => Seen::End,
                Event::Apply(object) | Event::InitApply(object) => Seen::Put(trim(&object.metadata)),
                Event::Delete(object) => gone(&object),
            }))
        })
        .boxed()
}

/// The ledgers. Labels say whose they are; who may write them, the guard.
fn ledgers(client: Client, namespace: &str, instance: &Instance, ours: &Config) -> BoxStream<'static, Change> {
    let instance = instance.to_owned();
    events::<ConfigMap>(Api::namespaced(client, namespace), ours)
        .filter_map(move |event| {
            let change = event.ok().and_then(|event| match event {
                Event::Init => Some(Seen::Begin),
                Event::InitDone => Some(Seen::End),
                Event::Apply(DeserializeGuard(Ok(map))) | Event::InitApply(DeserializeGuard(Ok(map))) => {
                    Book::read(&map, &instance).map(Seen::Put)
                }
                Event::Delete(map) => Some(gone(&map)),
                Event::Apply(DeserializeGuard(Err(_))) | Event::InitApply(DeserializeGuard(Err(_))) => None,
            });
            async move { change.map(Change::Ledger) }
        })
        .boxed()
}

/// Our snapshots. The API is an add-on of the cluster: whether it is there is itself an observation (F04).
fn snapshots(client: Client, ours: &Config) -> BoxStream<'static, Change> {
    events::<VolumeSnapshot>(Api::all(client), ours)
        .flat_map(|event| {
            let changes = match event {
                Err(absent) => absent.then_some(vec![Change::SnapshotApi(false)]).unwrap_or_default(),
                Ok(event) => {
                    let done = matches!(event, Event::InitDone).then_some(Change::SnapshotApi(true));
                    let seen = seen(event, |o: &VolumeSnapshot| facts::Snapshot::from(o)).map(Change::Snapshot);
                    seen.into_iter().chain(done).collect()
                }
            };
            stream::iter(changes)
        })
        .boxed()
}

/// The events of one kind; an error says whether the kind does not exist.
fn events<K>(
    api: Api<DeserializeGuard<K>>,
    config: &Config,
) -> impl Stream<Item = Result<Event<DeserializeGuard<K>>, bool>> + use<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
{
    watcher(api, config.clone())
        .backoff(Patience::new(&K::plural(&())))
        .map(|event| told(K::plural(&()).as_ref(), event))
}

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(800), Duration::from_secs(30));

/// The pauses between tries of a watch that is refused or broken off.
///
/// kube's own pauses begin anew with each event, and each try begins with one: they would never grow.
#[derive(Debug)]
struct Patience {
    kind: String,
    tries: u32,
    last: Option<Instant>,
}

impl Patience {
    fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), tries: 0, last: None }
    }
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_some_and(|last| last.elapsed() > Duration::from_mins(2)) {
            self.tries = 0;
        }
        self.last = Some(Instant::now());
        let pause = BACKOFF.spread(self.tries, &self.kind);
        self.tries = self.tries.saturating_add(1);
        Some(pause)
    }
}

impl kube_runtime::utils::Backoff for Patience {
    fn reset(&mut self) {}
}

/// A watch was interrupted, or refused.
static INTERRUPTED: Notify = Notify::const_new();

/// Waits until a watch was interrupted since the last time.
pub(crate) async fn interrupted() {
    INTERRUPTED.notified().await;
}

fn told<K>(kind: &str, event: watcher::Result<Event<K>>) -> Result<Event<K>, bool> {
    event.map_err(|error| {
        INTERRUPTED.notify_one();
        let absent = match &error {
            watcher::Error::InitialListFailed(kube::Error::Api(s))
            // A group that does not exist is answered in plain text: there is only the code to go by.
            | watcher::Error::WatchStartFailed(kube::Error::Api(s)) => s.code == 404,
            _ => false,
        };
        if absent {
            tracing::warn!(kind, "the cluster does not have this API; trying again later");
        } else {
            tracing::warn!(kind, "a watch was interrupted; it starts again: {}", words(&error));
        }
        absent
    })
}

/// The API server's own words, where it has some.
fn words(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.message.clone(),
        other => api::chain(other),
    }
}

fn seen<K: Resource, T>(event: Event<DeserializeGuard<K>>, trim: fn(&K) -> T) -> Option<Seen<T>> {
    match event {
        Event::Init => Some(Seen::Begin),
        Event::InitDone => Some(Seen::End),
        Event::Apply(DeserializeGuard(Ok(object))) | Event::InitApply(DeserializeGuard(Ok(object))) => {
            Some(Seen::Put(trim(&object)))
        }
        Event::Delete(object) => Some(gone(&object)),
        Event::Apply(DeserializeGuard(Err(invalid))) | Event::InitApply(DeserializeGuard(Err(invalid))) => {
            let name = invalid.metadata.name.as_deref().unwrap_or_default();
            let namespace = invalid.metadata.namespace.as_deref().unwrap_or_default();
            tracing::warn!(namespace, name, error = invalid.error, "cannot read an object; it is ignored");
            None
        }
    }
}

/// An object that cannot be read has its metadata all the same.
fn gone<K: Resource, T>(object: &K) -> Seen<T> {
    let key: Key = (object.namespace().unwrap_or_default(), object.name_any());
    Seen::Gone(key, object.uid().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_is_refused_is_tried_less_and_less_often() {
        let mut patience = Patience::new("pods");
        let pauses: Vec<u128> = patience.by_ref().take(8).map(|p| p.as_millis()).collect();
        for (pause, whole) in pauses.iter().zip([800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]) {
            assert!((whole * 3 / 4..=whole).contains(pause), "{pauses:?}");
        }
        kube_runtime::utils::Backoff::reset(&mut patience);
        assert!(patience.next() > Some(Duration::from_secs(22)), "kube's word that all is well is not believed");
    }
}
