//! What restores are seen by: the Deployments that ask for one, and the pods that hold volumes.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod as ApiPod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use super::ours::{Identity, created, namespace};
use crate::names::{self, Component, Instance};
use crate::record::{Holders, RestoreRecord};

fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a String> {
    meta.annotations.as_ref()?.get(key)
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

/// A Deployment that asks for a restore pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restorer {
    /// Its namespace.
    pub namespace: String,
    /// Name, UID, version.
    pub id: Identity,
    /// What it asks for: a [`crate::restore::Request`].
    pub request: Option<String>,
    /// What was answered.
    pub status: Option<RestoreRecord>,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl From<&Deployment> for Restorer {
    fn from(deployment: &Deployment) -> Self {
        let meta = &deployment.metadata;
        Self {
            namespace: namespace(meta),
            id: Identity::of(meta),
            request: annotation(meta, names::RESTORE_FROM).cloned(),
            status: annotation(meta, names::RESTORE_STATUS).and_then(|t| serde_json::from_str(t).ok()),
            terminating: meta.deletion_timestamp.is_some(),
        }
    }
}

/// A pod of a tenant, as far as it matters to who writes his volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its namespace.
    pub namespace: String,
    /// Name, UID, version.
    pub id: Identity,
    /// The PVCs that it mounts.
    pub claims: Vec<String>,
    /// The node it runs on.
    pub node: Option<String>,
    /// Whether it has ended: then it holds nothing.
    pub ended: bool,
    /// Whether it is being deleted.
    pub ending: bool,
    /// What it restores, if it is a restore pod.
    pub restore: Option<RestorePod>,
}

/// A restore pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePod {
    /// The installation that it says it is of.
    pub instance: Instance,
    /// The PVC that it writes.
    pub target: String,
    /// That PVC's namespace, if its volume is lent to the pod's.
    pub namespace: Option<String>,
    /// What it was told of others that hold it.
    pub told: Option<Holders>,
    /// When it was created.
    pub created: Timestamp,
}

impl From<&ApiPod> for Holder {
    fn from(pod: &ApiPod) -> Self {
        let meta = &pod.metadata;
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        let volumes = pod.spec.as_ref().and_then(|s| s.volumes.as_deref()).unwrap_or_default();
        let pod_name = meta.name.as_deref().unwrap_or_default();
        // A volume of the pod's own making is called after both.
        let claim = |v: &k8s_openapi::api::core::v1::Volume| {
            let own = || v.ephemeral.as_ref().map(|_| format!("{pod_name}-{}", v.name));
            v.persistent_volume_claim.as_ref().map(|c| c.claim_name.clone()).or_else(own)
        };
        let record =
            annotation(meta, names::RESTORE_STATUS).and_then(|t| serde_json::from_str::<RestoreRecord>(t).ok());
        let restores = label(meta, names::COMPONENT) == Some(Component::Restore.as_str());
        let restore = record.and_then(|r| r.target).filter(|_| restores).map(|target| RestorePod {
            instance: label(meta, names::INSTANCE).unwrap_or_default().into(),
            target,
            namespace: annotation(meta, names::TARGET_NAMESPACE).cloned(),
            told: annotation(meta, names::HOLDERS).and_then(|t| serde_json::from_str(t).ok()),
            created: created(meta),
        });
        Self {
            namespace: namespace(meta),
            id: Identity::of(meta),
            claims: volumes.iter().filter_map(claim).collect(),
            node: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
            ended: matches!(phase, Some("Succeeded" | "Failed")),
            ending: meta.deletion_timestamp.is_some(),
            restore,
        }
    }
}
