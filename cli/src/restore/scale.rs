//! `--scale`: what mounts the volume goes to 0 replicas, and gets its number back at the end.
//!
//! The number stands as an annotation on it before it is scaled, so that one that was left at 0 by a command
//! that was killed is found and gets its number back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
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
use super::workload::{Kind, Workload, controller, restores};
use crate::terminal::say;

/// The replicas that each one has, or had before it was scaled.
pub(crate) type Replicas = BTreeMap<Workload, i32>;

/// What is to be scaled so that nothing mounts the PVC, and what a command that was killed left at 0.
pub(crate) async fn find(session: &Session, claim: &str) -> Result<Replicas, Stop> {
    let Some(pods) = holders(session, claim).await? else {
        let message = session.deed("list", "pods").missing("");
        return Err(Stop::refused(
            Reason::Forbidden,
            format!("--scale must list the pods that mount the volume: {message}"),
        ));
    };
    let mut found = left(session, claim).await?;
    // One that is about to end is waited for, whoever owns it.
    for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let workload = owner(session, claim, pod).await?;
        // One of several pods of it.
        if let Entry::Vacant(entry) = found.entry(workload) {
            let replicas = replicas(session, entry.key()).await?;
            entry.insert(replicas);
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

/// The replicas that it had before, if that stands on it, else those that it has.
fn remembered(meta: &ObjectMeta) -> Option<i32> {
    meta.annotations.as_ref()?.get(names::REPLICAS_BEFORE)?.parse().ok()
}

async fn replicas(session: &Session, workload: &Workload) -> Result<i32, Stop> {
    let name = &workload.name;
    let resource = workload.kind.resource("");
    let what = || format!("get {resource} {name}");
    let got = match workload.kind {
        Kind::Deployment => {
            let api: Api<Deployment> = session.api();
            let got = api::bounded(what, api.get(name)).await;
            got.map(|d| remembered(&d.metadata).or(d.spec.and_then(|s| s.replicas)))
        }
        Kind::StatefulSet => {
            let api: Api<StatefulSet> = session.api();
            let got = api::bounded(what, api.get(name)).await;
            got.map(|s| remembered(&s.metadata).or(s.spec.and_then(|s| s.replicas)))
        }
    };
    got.map(|replicas| replicas.unwrap_or(1)).map_err(|error| Stop::asked(session.deed("get", resource), &error))
}

/// Those that an earlier command scaled for this PVC and did not scale back.
pub(crate) async fn left(session: &Session, claim: &str) -> Result<Replicas, Stop> {
    let mut left = Replicas::new();
    let (deployments, sets): (Api<Deployment>, Api<StatefulSet>) = (session.api(), session.api());
    let params = ListParams::default();
    let asked = |kind: Kind, error: &api::Error| Stop::asked(session.deed("list", kind.resource("")), error);
    let list = api::bounded(|| "list deployments.apps".to_owned(), deployments.list(&params)).await;
    for item in list.map_err(|error| asked(Kind::Deployment, &error))? {
        let mounts = item.spec.as_ref().is_some_and(|s| mounts(&s.template, claim));
        if let Some(replicas) = remembered(&item.metadata).filter(|_| mounts) {
            left.insert(Workload { kind: Kind::Deployment, name: item.name_any() }, replicas);
        }
    }
    let list = api::bounded(|| "list statefulsets.apps".to_owned(), sets.list(&params)).await;
    for item in list.map_err(|error| asked(Kind::StatefulSet, &error))? {
        let name = item.name_any();
        let mounts = item.spec.as_ref().is_some_and(|s| {
            let own = s.volume_claim_templates.iter().flatten().any(|t| is_own(claim, &t.name_any(), &name));
            own || mounts(&s.template, claim)
        });
        if let Some(replicas) = remembered(&item.metadata).filter(|_| mounts) {
            left.insert(Workload { kind: Kind::StatefulSet, name }, replicas);
        }
    }
    Ok(left)
}

fn mounts(template: &PodTemplateSpec, claim: &str) -> bool {
    let volumes = template.spec.as_ref().and_then(|s| s.volumes.as_deref()).unwrap_or_default();
    volumes.iter().any(|v| v.persistent_volume_claim.as_ref().is_some_and(|c| c.claim_name == claim))
}

/// Whether the PVC is one that a set makes: `<template>-<set>-<number>`.
fn is_own(claim: &str, template: &str, set: &str) -> bool {
    let number = claim.strip_prefix(&format!("{template}-{set}-"));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The autoscalers of these, for a sentence.
pub(crate) async fn autoscalers(session: &Session, found: &Replicas) -> Vec<String> {
    let api: Api<HorizontalPodAutoscaler> = session.api();
    // Who may not see them is not told of them: they rest while there are 0 replicas.
    let what = || "list horizontalpodautoscalers.autoscaling".to_owned();
    let Ok(list) = api::bounded(what, api.list(&ListParams::default())).await else { return Vec::new() };
    let of_one = |hpa: &HorizontalPodAutoscaler| {
        let target = hpa.spec.as_ref().map(|s| &s.scale_target_ref);
        target.is_some_and(|t| {
            found.keys().any(|w| w.name == t.name && t.kind.eq_ignore_ascii_case(&format!("{:?}", w.kind)))
        })
    };
    list.items.iter().filter(|hpa| of_one(hpa)).map(ResourceExt::name_any).collect()
}

/// Scales all of them to 0, and waits until nothing mounts the PVC.
pub(crate) async fn down(session: &Session, found: Replicas, claim: &str, deadline: Instant) -> Result<(), Stop> {
    for (workload, replicas) in found {
        session.left.add(Undo::Scale { workload: workload.clone(), replicas });
        remember(session, &workload, Some(replicas)).await?;
        set(session, &workload, 0).await?;
        say(&format!("scaled {workload} from {replicas} to 0"));
    }
    ended(session, claim, deadline).await
}

/// Waits until no pod mounts the PVC.
pub(crate) async fn ended(session: &Session, claim: &str, deadline: Instant) -> Result<(), Stop> {
    let mut seen = Vec::new();
    let wait = session.interrupt.during(tokio::time::timeout_at(deadline, free(session, claim, &mut seen)));
    match wait.await? {
        Ok(end) => end,
        Err(_) => Err(in_use(claim, &seen, ", which did not end in time (--timeout)")),
    }
}

async fn free(session: &Session, claim: &str, seen: &mut Vec<Pod>) -> Result<(), Stop> {
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
            *seen = pods.values().filter(|pod| holds(pod, claim)).cloned().collect();
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
