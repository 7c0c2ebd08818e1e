//! `--scale`: what mounts the volume goes to 0 replicas, and gets its number back at the end.
//!
//! The number stands as an annotation on it before it is scaled. So one that was left at 0 is found by the next
//! command: by one that was killed, or by one whose restore broke off (L10).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, ResourceExt};
use model::names;
use model::reason::Reason;
use serde_json::json;
use tokio::time::Instant;

use super::session::Session;
use super::stop::Stop;
use super::target::{holders, holds, in_use};
use super::undo::Undo;
use super::workload::{Found, Kind, Seen, Workload, controller, restores};
use crate::rights::Deed;
use crate::terminal::say;

/// How often pods that start are looked at.
const AGAIN: Duration = Duration::from_secs(1);

/// What is to be stopped so that nothing mounts the PVC, and what an earlier command left at 0.
pub(crate) async fn find(session: &Session, claim: &str) -> Result<Found, Stop> {
    let Some(pods) = holders(session, claim).await? else {
        let message = session.deed("list", "pods").missing("");
        return Err(Stop::refused(
            Reason::Forbidden,
            format!("--scale must list the pods that mount the volume: {message}"),
        ));
    };
    let all = workloads(session, claim).await?;
    // U8: also one whose pods are not there yet: they would come while the volume is written.
    let mut found: Found =
        all.iter().filter(|(_, (mounts, _))| *mounts).map(|(w, (_, s))| (w.clone(), s.clone())).collect();
    // One that is about to end is waited for, whoever owns it.
    for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let workload = owner(session, claim, pod).await?;
        // One of several pods of it.
        if let Entry::Vacant(entry) = found.entry(workload) {
            let seen = all.get(entry.key()).map(|(_, seen)| seen.clone());
            let gone = || Stop::Failed(anyhow::anyhow!("{} was deleted meanwhile: run the command again", entry.key()));
            let seen = seen.ok_or_else(gone)?;
            entry.insert(seen);
        }
    }
    Ok(found)
}

/// What keeps a pod alive, if that can be scaled.
async fn owner(session: &Session, claim: &str, pod: &Pod) -> Result<Workload, Stop> {
    let refuse = |why: &str| in_use(claim, std::slice::from_ref(pod), why);
    if restores(pod) {
        return Err(refuse(", which --scale does not stop"));
    }
    let cannot = || refuse(": --scale stops only Deployments and StatefulSets; stop this pod yourself");
    let owner = controller(&pod.metadata).ok_or_else(cannot)?;
    match owner.kind.as_str() {
        "StatefulSet" => Ok(Workload { kind: Kind::StatefulSet, name: owner.name.clone() }),
        "ReplicaSet" => {
            let api: Api<ReplicaSet> = session.api();
            let what = || format!("get replicasets.apps {}", owner.name);
            let set = api::bounded(what, api.get(&owner.name)).await;
            let set = set.map_err(|error| Stop::asked(session.deed("get", "replicasets.apps"), &error))?;
            let above = controller(&set.metadata).filter(|o| o.kind == "Deployment").ok_or_else(cannot)?;
            Ok(Workload { kind: Kind::Deployment, name: above.name.clone() })
        }
        _ => Err(cannot()),
    }
}

/// Those that an earlier command scaled for this PVC and did not scale back.
pub(crate) async fn left(session: &Session, claim: &str) -> Result<Found, Stop> {
    let all = workloads(session, claim).await?.into_iter();
    Ok(all.filter(|(_, (mounts, seen))| *mounts && seen.is_left()).map(|(w, (_, seen))| (w, seen)).collect())
}

/// All of the namespace, and whether they have replicas that mount the PVC, or had some before an earlier restore.
async fn workloads(session: &Session, claim: &str) -> Result<BTreeMap<Workload, (bool, Seen)>, Stop> {
    let mut all = BTreeMap::new();
    let (deployments, sets): (Api<Deployment>, Api<StatefulSet>) = (session.api(), session.api());
    let params = ListParams::default();
    let asked = |kind: Kind, error: &api::Error| Stop::asked(session.deed("list", kind.resource("")), error);
    let list = api::bounded(|| "list deployments.apps".to_owned(), deployments.list(&params)).await;
    for item in list.map_err(|error| asked(Kind::Deployment, &error))? {
        let workload = Workload { kind: Kind::Deployment, name: item.name_any() };
        let now = item.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
        let mounts = item.spec.as_ref().is_some_and(|s| mounts(&s.template, claim));
        // A restore pod is no application: whoever asked for it takes it away.
        let restore = item.annotations().contains_key(names::RESTORE_FROM);
        let seen = Seen { meta: item.metadata, now, deletes_claims: false };
        all.insert(workload, (mounts && !restore && seen.replicas() > 0, seen));
    }
    let list = api::bounded(|| "list statefulsets.apps".to_owned(), sets.list(&params)).await;
    for item in list.map_err(|error| asked(Kind::StatefulSet, &error))? {
        let name = item.name_any();
        let spec = item.spec.unwrap_or_default();
        let now = spec.replicas.unwrap_or(1);
        let policy = spec.persistent_volume_claim_retention_policy.as_ref().and_then(|p| p.when_scaled.as_deref());
        let makes = spec.volume_claim_templates.iter().flatten();
        let deletes_claims = policy == Some("Delete") && makes.clone().next().is_some();
        let seen = Seen { meta: item.metadata, now, deletes_claims };
        let start = spec.ordinals.as_ref().and_then(|o| o.start).unwrap_or(0);
        let numbers = start..start.saturating_add(seen.replicas());
        let own = makes.clone().any(|t| is_own(claim, &t.name_any(), &name, &numbers));
        let mounts = (own || mounts(&spec.template, claim)) && seen.replicas() > 0;
        all.insert(Workload { kind: Kind::StatefulSet, name }, (mounts, seen));
    }
    Ok(all)
}

fn mounts(template: &PodTemplateSpec, claim: &str) -> bool {
    let volumes = template.spec.as_ref().and_then(|s| s.volumes.as_deref()).unwrap_or_default();
    volumes.iter().any(|v| v.persistent_volume_claim.as_ref().is_some_and(|c| c.claim_name == claim))
}

/// Whether the PVC is one that a set makes for its replicas: `<template>-<set>-<number>`.
fn is_own(claim: &str, template: &str, set: &str, numbers: &Range<i32>) -> bool {
    let number = claim.strip_prefix(&format!("{template}-{set}-"));
    let digits = number.filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|n| n.parse().ok()).is_some_and(|n| numbers.contains(&n))
}

/// What it takes to stop them, and to start them again.
pub(crate) fn rights<'a>(session: &'a Session, found: &Found) -> Vec<Deed<'a>> {
    let kinds: BTreeSet<Kind> = found.keys().map(|workload| workload.kind).collect();
    let of = |kind: Kind| [session.deed("patch", kind.resource("")), session.deed("patch", kind.resource("scale"))];
    kinds.into_iter().flat_map(of).collect()
}

/// Scales all of them to 0, and waits until nothing mounts the PVC but our own restore pod.
pub(crate) async fn down(
    session: &Session,
    found: &Found,
    claim: &str,
    own: Option<&str>,
    deadline: Instant,
) -> Result<(), Stop> {
    for (workload, seen) in found {
        let replicas = seen.replicas();
        let undo = Undo::Scale { workload: workload.clone(), replicas };
        session.left.add(undo.clone());
        if seen.now == 0 {
            say(&format!("{workload} is stopped since an earlier restore"));
            continue;
        }
        if let Err(stop) = remember(session, workload, Some(replicas)).await {
            // U11: what was refused is not to be taken back.
            if matches!(stop, Stop::Refused(_)) {
                session.left.done(&undo);
            }
            return Err(stop);
        }
        if let Err(stop) = set(session, workload, 0).await {
            if matches!(stop, Stop::Refused(_)) && remember(session, workload, None).await.is_ok() {
                session.left.done(&undo);
            }
            return Err(stop);
        }
        say(&format!("scaled {workload} from {replicas} to 0"));
    }
    ended(session, claim, own, deadline).await
}

/// Waits until no pod mounts the PVC, but those of our own restore Deployment.
pub(crate) async fn ended(session: &Session, claim: &str, own: Option<&str>, deadline: Instant) -> Result<(), Stop> {
    let mut seen = Vec::new();
    let wait = session.interrupt.during(tokio::time::timeout_at(deadline, free(session, claim, own, &mut seen)));
    match wait.await? {
        Ok(end) => end,
        Err(_) => Err(in_use(claim, &seen, ", which did not end in time (--timeout)")),
    }
}

/// Whether the pod is one of the restore Deployment of that name.
fn is_restorer(pod: &Pod, name: &str) -> bool {
    restores(pod) && pod.labels().get("restore").is_some_and(|of| of == name)
}

async fn free(session: &Session, claim: &str, own: Option<&str>, seen: &mut Vec<Pod>) -> Result<(), Stop> {
    let mut pods: BTreeMap<String, Pod> = BTreeMap::new();
    let mut events = watcher(session.api::<Pod>(), watcher::Config::default()).default_backoff().boxed();
    let mut text = String::new();
    while let Some(event) = events.next().await {
        let whole = match event {
            Ok(watcher::Event::Init) => {
                pods.clear();
                false
            }
            Ok(watcher::Event::InitApply(pod)) => {
                pods.insert(pod.name_any(), pod);
                false
            }
            Ok(watcher::Event::Apply(pod)) => {
                pods.insert(pod.name_any(), pod);
                true
            }
            Ok(watcher::Event::Delete(pod)) => {
                pods.remove(&pod.name_any());
                true
            }
            Ok(watcher::Event::InitDone) => true,
            Err(error) => {
                session.lost(&error, "pods", &mut text)?;
                false
            }
        };
        if whole {
            let others = pods.values().filter(|pod| !own.is_some_and(|own| is_restorer(pod, own)) && holds(pod, claim));
            *seen = others.cloned().collect();
            if seen.is_empty() {
                return Ok(());
            }
        }
    }
    Err(Stop::Failed(anyhow::anyhow!("the watch of pods ended: run the command again")))
}

/// Gives it its replicas back.
pub(crate) async fn back(session: &Session, workload: &Workload, replicas: i32) -> Result<(), Stop> {
    set(session, workload, replicas).await?;
    remember(session, workload, None).await?;
    say(&format!("scaled {workload} back to {replicas}"));
    Ok(())
}

/// U8: waits until its pods are there and ready. That they are not is told, and is no failure of the restore.
pub(crate) async fn awaited(session: &Session, workload: &Workload, replicas: i32) {
    let wait = async {
        while ready(session, workload).await.is_some_and(|ready| ready < replicas) {
            tokio::time::sleep(AGAIN).await;
        }
    };
    if let Ok(Err(_)) = session.interrupt.during(tokio::time::timeout(session.patience, wait)).await {
        say(&format!(
            "the pods of {workload} are not ready yet: kubectl rollout status {workload} -n {}",
            session.namespace
        ));
    }
}

/// How many of its pods are ready; `None`: nobody tells.
async fn ready(session: &Session, workload: &Workload) -> Option<i32> {
    let name = &workload.name;
    let what = || format!("get {} {name}", workload.kind.resource(""));
    // What it had before it was scaled is no answer: the status follows the number of its generation.
    let current = |meta: &ObjectMeta, observed: Option<i64>| observed >= meta.generation;
    Some(match workload.kind {
        Kind::Deployment => {
            let api: Api<Deployment> = session.api();
            let got = api::bounded(what, api.get(name)).await.ok()?;
            let status = got.status.unwrap_or_default();
            if current(&got.metadata, status.observed_generation) { status.ready_replicas.unwrap_or(0) } else { 0 }
        }
        Kind::StatefulSet => {
            let api: Api<StatefulSet> = session.api();
            let got = api::bounded(what, api.get(name)).await.ok()?;
            let status = got.status.unwrap_or_default();
            if current(&got.metadata, status.observed_generation) { status.ready_replicas.unwrap_or(0) } else { 0 }
        }
    })
}

/// Writes down how many it had; `None`: that is over.
async fn remember(session: &Session, workload: &Workload, replicas: Option<i32>) -> Result<(), Stop> {
    let value = replicas.map(|n| n.to_string());
    let patch = Patch::Merge(json!({"metadata": {"annotations": {names::REPLICAS_BEFORE: value}}}));
    let (name, params, resource) = (&workload.name, PatchParams::default(), workload.kind.resource(""));
    let what = || format!("patch {resource} {name}");
    let done = match workload.kind {
        Kind::Deployment => {
            let api: Api<Deployment> = session.api();
            api::bounded(what, api.patch_metadata(name, &params, &patch)).await.map(|_| ())
        }
        Kind::StatefulSet => {
            let api: Api<StatefulSet> = session.api();
            api::bounded(what, api.patch_metadata(name, &params, &patch)).await.map(|_| ())
        }
    };
    done.map_err(|error| Stop::asked(session.deed("patch", resource), &error))
}

async fn set(session: &Session, workload: &Workload, replicas: i32) -> Result<(), Stop> {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let (name, params, resource) = (&workload.name, PatchParams::default(), workload.kind.resource("scale"));
    let what = || format!("patch {resource} {name}");
    let done = match workload.kind {
        Kind::Deployment => {
            let api: Api<Deployment> = session.api();
            api::bounded(what, api.patch_scale(name, &params, &patch)).await
        }
        Kind::StatefulSet => {
            let api: Api<StatefulSet> = session.api();
            api::bounded(what, api.patch_scale(name, &params, &patch)).await
        }
    };
    done.map(|_| ()).map_err(|error| Stop::asked(session.deed("patch", resource), &error))
}
