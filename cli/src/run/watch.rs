//! Watching what belongs to runs: the PVCs, snapshots and copy Jobs of one namespace.

use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use model::duration::Span;
use model::names::Instance;
use model::snapshot::VolumeSnapshot;
use model::world::{Change, Seen, World};
use model::{facts, names};
use serde::de::DeserializeOwned;

use super::follow::{End, Follow};
use crate::asked::kind;
use crate::exit::{ATTENTION, INTERRUPTED};
use crate::observe::Observed;
use crate::rights::{Deed, refused};
use crate::table::printable;

/// A change, or the API server's words about what may not be watched.
type Told = Result<Change, (String, String)>;

/// Where is watched.
pub(super) struct Watching<'a> {
    pub(super) client: &'a Client,
    pub(super) namespace: &'a str,
    pub(super) observed: &'a Observed,
}

impl Watching<'_> {
    /// Tells how the runs go on, until each has ended, the time is over, or the person has seen enough.
    pub(super) async fn until_done(&self, mut follows: Vec<Follow>, timeout: Span) -> anyhow::Result<ExitCode> {
        let before = &self.observed.world;
        let mut world = World::new(before.instance.clone(), &before.namespace, Arc::new((*before.config).clone()));
        let deadline = tokio::time::sleep(Duration::from_secs(timeout.as_secs()));
        let (mut changes, interrupt) = (self.changes(&before.instance), tokio::signal::ctrl_c());
        tokio::pin!(deadline, interrupt);
        loop {
            let told = tokio::select! {
                told = changes.next() => told,
                () = &mut deadline => return Ok(over(&follows, timeout)),
                _ = &mut interrupt => {
                    eprintln!("\nThe run continues. To see it, run: kubectl backup status {}", open(&follows));
                    return Ok(ExitCode::from(INTERRUPTED));
                }
            };
            match told {
                Some(Ok(change)) => {
                    world.apply(change);
                    world.believe_shown();
                }
                Some(Err((resource, said))) => {
                    let deed = Deed::new("watch", &resource, Some(self.namespace));
                    eprintln!("kubectl-backup: {}", deed.missing(&said));
                }
                None => {
                    anyhow::bail!(
                        "cannot follow the run without these permissions. It continues; to see it, run: kubectl backup \
                         status {}",
                        open(&follows)
                    )
                }
            }
            let now = api::now();
            for line in follows.iter_mut().flat_map(|follow| follow.step(&world, now)) {
                println!("{}", printable(&line));
            }
            if follows.iter().all(|f| f.end.is_some()) {
                let good = follows.iter().all(|f| f.end == Some(End::Good));
                return Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(ATTENTION) });
            }
        }
    }

    fn changes(&self, instance: &Instance) -> SelectAll<BoxStream<'static, Told>> {
        let ours = format!("{}={},{}={instance}", names::MANAGED_BY, names::MANAGER, names::INSTANCE);
        stream::select_all([
            self.watch::<PersistentVolumeClaim, _>("", |o| facts::Claim::from(o), Change::Claim),
            self.watch::<VolumeSnapshot, _>(&ours, |o| facts::Snapshot::from(o), Change::Snapshot),
            self.watch::<Job, _>(&ours, |o| facts::Job::from(o), Change::Job),
        ])
    }

    /// One kind. The watch is taken up again when it breaks off, but not if it is refused.
    fn watch<K, T>(&self, labels: &str, trim: fn(&K) -> T, change: fn(Seen<T>) -> Change) -> BoxStream<'static, Told>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + DeserializeOwned
            + Clone
            + Debug
            + Send
            + Sync
            + 'static,
        T: Send + 'static,
    {
        let api: Api<DeserializeGuard<K>> = Api::namespaced(self.client.clone(), self.namespace);
        watcher(api, Config::default().labels(labels))
            .default_backoff()
            .filter_map(move |event| async move {
                match event {
                    Ok(event) => seen(event, trim).map(|seen| Ok(change(seen))),
                    Err(error) => refused(&error).map(|said| Err((kind::<K>(), said))),
                }
            })
            // A refusal is the last that is told.
            .flat_map(|told| {
                let last = told.is_err().then_some(None);
                stream::iter(std::iter::once(Some(told)).chain(last))
            })
            .take_while(|told| std::future::ready(told.is_some()))
            .filter_map(std::future::ready)
            .boxed()
    }
}

fn seen<K: Resource<DynamicType = ()>, T>(event: Event<DeserializeGuard<K>>, trim: fn(&K) -> T) -> Option<Seen<T>> {
    match event {
        Event::Init => Some(Seen::Begin),
        Event::InitDone => Some(Seen::End),
        Event::Apply(DeserializeGuard(Ok(object))) | Event::InitApply(DeserializeGuard(Ok(object))) => {
            Some(Seen::Put(trim(&object)))
        }
        Event::Delete(object) => {
            let key = (object.namespace().unwrap_or_default(), object.name_any());
            Some(Seen::Gone(key, object.uid().unwrap_or_default()))
        }
        Event::Apply(_) | Event::InitApply(_) => None,
    }
}

/// The PVCs whose runs have not ended.
fn open(follows: &[Follow]) -> String {
    let names: Vec<&str> = follows.iter().filter(|f| f.end.is_none()).map(|f| f.name.as_str()).collect();
    names.join(" ")
}

fn over(follows: &[Follow], timeout: Span) -> ExitCode {
    for follow in follows.iter().filter(|f| f.end.is_none()) {
        let last = follow.last.as_deref().unwrap_or("none; check that the controller runs");
        eprintln!(
            "kubectl-backup: the run of PVC {} did not finish within {timeout} (--timeout). Last step: {last}",
            follow.name
        );
    }
    eprintln!("The run continues. To see it, run: kubectl backup status {}", open(follows));
    ExitCode::from(ATTENTION)
}
