//! What a pod belongs to, and what of it can be scaled.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt as _;
use model::names::{self, Component};

/// What can be scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Deployment,
    StatefulSet,
}

/// Something that can be scaled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Workload {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Deployment => "deployment",
            Kind::StatefulSet => "statefulset",
        };
        write!(f, "{kind}/{}", self.name)
    }
}

/// What was seen of something that can be scaled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) meta: ObjectMeta,
    /// The replicas that it has now.
    pub(crate) now: i32,
    /// Whether a set deletes the PVCs that it made when it is scaled down.
    pub(crate) deletes_claims: bool,
}

impl Seen {
    /// The replicas that it had before an earlier restore, which did not give them back.
    pub(crate) fn remembered(&self) -> Option<i32> {
        self.meta.annotations.as_ref()?.get(names::REPLICAS_BEFORE)?.parse().ok()
    }

    /// Whether an earlier restore left it stopped.
    pub(crate) fn is_left(&self) -> bool {
        self.now == 0 && self.remembered().is_some()
    }

    /// The replicas that it is to get back. Whoever started it by hand has said how many.
    pub(crate) fn replicas(&self) -> i32 {
        if self.now > 0 { self.now } else { self.remembered().unwrap_or(0) }
    }
}

/// All that is to be stopped.
pub(crate) type Found = BTreeMap<Workload, Seen>;

impl Kind {
    pub(super) fn resource(self, subresource: &'static str) -> &'static str {
        match (self, subresource) {
            (Self::Deployment, "scale") => "deployments.apps/scale",
            (Self::StatefulSet, "scale") => "statefulsets.apps/scale",
            (Self::Deployment, _) => "deployments.apps",
            (Self::StatefulSet, _) => "statefulsets.apps",
        }
    }
}

pub(super) fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Whether a pod is one of it, by the names that Kubernetes gives. A `ReplicaSet` is called after its Deployment.
pub(crate) fn is_of(pod: &Pod, workload: &Workload) -> bool {
    controller(&pod.metadata).is_some_and(|owner| match workload.kind {
        Kind::StatefulSet => owner.kind == "StatefulSet" && owner.name == workload.name,
        Kind::Deployment => {
            owner.kind == "ReplicaSet" && owner.name.rsplit_once('-').is_some_and(|(name, _)| name == workload.name)
        }
    })
}

/// Whether it is a restore pod: of somebody else, or of a command that was killed.
pub(super) fn restores(pod: &Pod) -> bool {
    pod.labels().get(names::COMPONENT).map(String::as_str) == Some(Component::Restore.as_str())
}

/// A pod and what owns it, for a sentence.
pub(crate) fn owner_text(pod: &Pod) -> String {
    let owner = controller(&pod.metadata);
    match owner {
        // A ReplicaSet is called after its Deployment.
        Some(owner) if restores(pod) => {
            let deployment = owner.name.rsplit_once('-').map_or(owner.name.as_str(), |(name, _)| name);
            format!("pod {} (another restore: wait, or kubectl delete deployment {deployment})", pod.name_any())
        }
        Some(owner) => format!("pod {} ({} {})", pod.name_any(), owner.kind, owner.name),
        None => format!("pod {}", pod.name_any()),
    }
}
