//! L1: what happens to an application at 0 replicas, looked at before anything is stopped.
//!
//! What would lose data, or would start the application while its volume is written, is refused. What may do so is told
//! before the question, and so is what the person may not look at. A `PodDisruptionBudget` does not stop scaling.

use std::collections::BTreeSet;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use model::reason::Reason;

use super::session::Session;
use super::stop::Stop;
use super::workload::{Found, Kind, Seen, Workload, controller, is_of};

/// Sets its name on what it scales; its autoscalers have it too.
const KEDA: &str = "scaledobject.keda.sh/name";
/// The prefix of the names of KEDA's autoscalers.
const KEDA_NAME: &str = "keda-hpa-";
const ARGO_ID: &str = "argocd.argoproj.io/tracking-id";
const ARGO_INSTANCE: &str = "argocd.argoproj.io/instance";
const INSTANCE: &str = "app.kubernetes.io/instance";
const FLUX: &str = "kustomize.toolkit.fluxcd.io/name";
const FLUX_OFF: &str = "kustomize.toolkit.fluxcd.io/reconcile";
const FLUX_HELM: &str = "helm.toolkit.fluxcd.io/name";

/// How a restore goes on when `--scale` is refused because something else scales.
const BY_HAND: &str = "scale it to 0 yourself, and restore without --scale";

/// Why something is not scaled, or what a person has to know first.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Note {
    Refused(String),
    Told(String),
}

/// Looks at all that is to be stopped. Gives what is to be told before the question.
pub(crate) async fn look(session: &Session, found: &Found, claim: &str) -> Result<Vec<String>, Stop> {
    let running: Found = found.iter().filter(|(_, seen)| seen.now > 0).map(|(w, s)| (w.clone(), s.clone())).collect();
    let mut notes: Vec<Note> = running.iter().flat_map(|(workload, seen)| of_workload(workload, seen)).collect();
    if !running.is_empty() {
        notes.extend(claims(session, &running, claim).await?);
        notes.extend(autoscalers(session, &running).await);
    }
    let mut told = Vec::new();
    let mut refused = Vec::new();
    for note in notes {
        match note {
            Note::Refused(text) => refused.push(text),
            Note::Told(text) => told.push(text),
        }
    }
    if refused.is_empty() {
        return Ok(told);
    }
    Err(Stop::refused(Reason::ScaleUnsafe, format!("nothing was stopped. {}", refused.join(". "))))
}

/// What the object itself tells.
fn of_workload(workload: &Workload, seen: &Seen) -> Vec<Note> {
    let meta = &seen.meta;
    let mut notes = Vec::new();
    if seen.deletes_claims {
        notes.push(Note::Refused(format!(
            "{workload} has spec.persistentVolumeClaimRetentionPolicy.whenScaled: Delete, so Kubernetes deletes its PVCs \
             at 0 replicas. Set it to Retain before: kubectl patch {workload} --type=merge -p \
             '{{\"spec\":{{\"persistentVolumeClaimRetentionPolicy\":{{\"whenScaled\":\"Retain\"}}}}}}'"
        )));
    }
    if let Some(owner) = controller(meta) {
        let (kind, name) = (&owner.kind, &owner.name);
        notes.push(Note::Refused(format!(
            "{workload} belongs to {kind} {name}, whose operator may start it again while the volume is written. Stop it \
             there, as the operator's manual says, and restore without --scale"
        )));
    }
    if let Some(name) = named(meta, KEDA) {
        notes.push(keda(workload, name));
    }
    let replicas_by = |managers: &[&str]| writes_replicas(meta, managers);
    let argo = named(meta, ARGO_ID).is_some()
        || named(meta, ARGO_INSTANCE).is_some()
        || named(meta, INSTANCE).is_some() && by_managers(meta, &["argocd"]).next().is_some();
    if argo && replicas_by(&["argocd"]) {
        notes.push(Note::Told(format!(
            "Argo CD manages {workload}: if its Application has selfHeal, it starts the application during the restore, \
             which then breaks off. Disable automated sync until the restore is done"
        )));
    }
    let off = meta.annotations.as_ref().and_then(|a| a.get(FLUX_OFF)).is_some_and(|v| v == "disabled");
    if let Some(name) = named(meta, FLUX).filter(|_| !off && replicas_by(&["kustomize-controller"])) {
        notes.push(Note::Refused(format!(
            "Flux Kustomization {name} sets the replicas of {workload}, and would start it again while the volume is \
             written. Annotate {workload} with {FLUX_OFF}=disabled until the restore is done; or suspend the \
             Kustomization, {BY_HAND}"
        )));
    }
    if let Some(name) = named(meta, FLUX_HELM).filter(|_| replicas_by(&["helm-controller"])) {
        notes.push(Note::Told(format!(
            "Flux HelmRelease {name} manages {workload}: an upgrade, or drift detection, starts the application during \
             the restore, which then breaks off. Suspend the HelmRelease until the restore is done"
        )));
    }
    notes
}

fn keda(workload: &Workload, name: &str) -> Note {
    Note::Refused(format!(
        "KEDA scales {workload}, and would start it again while the volume is written. Pause it before: kubectl annotate \
         scaledobject {name} autoscaling.keda.sh/paused=true; then {BY_HAND}, or repeat the restore once KEDA has removed \
         its HorizontalPodAutoscaler and its label on {workload}"
    ))
}

/// The value of an annotation or a label.
fn named<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    let of = |map: &'a Option<std::collections::BTreeMap<String, String>>| map.as_ref()?.get(key).map(String::as_str);
    of(&meta.annotations).or_else(|| of(&meta.labels))
}

/// What some managers wrote of an object, by the API server's own record.
fn by_managers<'a>(
    meta: &'a ObjectMeta,
    managers: &'a [&str],
) -> impl Iterator<Item = &'a k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry> {
    let all = meta.managed_fields.iter().flatten();
    all.filter(|entry| entry.manager.as_deref().is_some_and(|m| managers.iter().any(|name| m.starts_with(name))))
}

/// Whether one of them sets the replicas. Without a record it is believed to.
fn writes_replicas(meta: &ObjectMeta, managers: &[&str]) -> bool {
    let replicas = |fields: &serde_json::Value| !fields["f:spec"]["f:replicas"].is_null();
    meta.managed_fields.is_none()
        || by_managers(meta, managers).any(|entry| entry.fields_v1.as_ref().is_some_and(|f| replicas(&f.0)))
}

/// The PVCs of all pods that end: one that is being deleted, or that belongs to a pod, goes with the last pod.
async fn claims(session: &Session, found: &Found, target: &str) -> Result<Vec<Note>, Stop> {
    let (pods, all): (Api<Pod>, Api<PersistentVolumeClaim>) = (session.api(), session.api());
    let params = ListParams::default();
    let list = api::bounded(|| "list pods".to_owned(), pods.list(&params)).await;
    let pods = list.map_err(|error| Stop::asked(session.deed("list", "pods"), &error))?.items;
    let list = api::bounded(|| "list persistentvolumeclaims".to_owned(), all.list(&params)).await;
    let all = list.map_err(|error| Stop::asked(session.deed("list", "persistentvolumeclaims"), &error))?.items;
    let ending = pods.iter().filter(|pod| found.keys().any(|workload| is_of(pod, workload)));
    let volumes = ending.flat_map(|pod| pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()));
    let named = volumes.filter_map(|v| v.persistent_volume_claim.as_ref()).map(|c| c.claim_name.as_str());
    let mounted: BTreeSet<&str> = named.chain([target]).collect();
    Ok(all.iter().filter(|claim| mounted.contains(claim.name_any().as_str())).filter_map(of_claim).collect())
}

fn of_claim(claim: &PersistentVolumeClaim) -> Option<Note> {
    let name = claim.name_any();
    if claim.metadata.deletion_timestamp.is_some() {
        return Some(Note::Refused(format!(
            "PVC {name} is being deleted, and only the running pods keep it: with their end its data is gone. Copy its \
             data first, while the application runs"
        )));
    }
    let pod = claim.owner_references().iter().find(|owner| owner.kind == "Pod")?;
    Some(Note::Refused(format!(
        "PVC {name} belongs to pod {}, and Kubernetes deletes it with the pod. Remove its ownerReferences before, or \
         restore into another PVC with --to",
        pod.name
    )))
}

/// What scales by itself.
async fn autoscalers(session: &Session, found: &Found) -> Vec<Note> {
    let api: Api<HorizontalPodAutoscaler> = session.api();
    let what = || "list horizontalpodautoscalers.autoscaling".to_owned();
    let list = match api::bounded(what, api.list(&ListParams::default())).await {
        Ok(list) => list.items,
        Err(error) => {
            let why = session.deed("list", "horizontalpodautoscalers.autoscaling").failed(&error);
            let text = format!("it is not known whether an autoscaler starts the application again: {why}");
            return vec![Note::Told(text)];
        }
    };
    found.keys().flat_map(|workload| list.iter().filter_map(|hpa| of_autoscaler(workload, hpa))).collect()
}

fn of_autoscaler(workload: &Workload, hpa: &HorizontalPodAutoscaler) -> Option<Note> {
    let spec = hpa.spec.as_ref()?;
    let kind = match workload.kind {
        Kind::Deployment => "Deployment",
        Kind::StatefulSet => "StatefulSet",
    };
    if spec.scale_target_ref.name != workload.name || !spec.scale_target_ref.kind.eq_ignore_ascii_case(kind) {
        return None;
    }
    let name = hpa.name_any();
    if let Some(object) = named(&hpa.metadata, KEDA).or_else(|| name.strip_prefix(KEDA_NAME)) {
        return Some(keda(workload, object));
    }
    if spec.min_replicas == Some(0) {
        return Some(Note::Refused(format!(
            "HorizontalPodAutoscaler {name} has minReplicas: 0, so it scales {workload} also while that has 0 replicas, \
             and may start it again while the volume is written. Set minReplicas to 1 before: kubectl patch hpa {name} \
             --type=merge -p '{{\"spec\":{{\"minReplicas\":1}}}}'"
        )));
    }
    Some(Note::Told(format!("HorizontalPodAutoscaler {name} is inactive while {workload} has 0 replicas")))
}
