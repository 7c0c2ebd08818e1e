//! Namespaces, and the network policies in them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::labels::Labels;
use super::ours::{labels, namespace, settings};
use crate::names;

/// A Namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its UID: names are used again.
    pub uid: String,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Our annotations: settings for all of its PVCs.
    pub settings: BTreeMap<String, String>,
    /// Its labels.
    pub labels: Labels,
    /// Pod Security's level that it enforces, if it names one.
    pub enforces: Option<String>,
}

impl From<&ObjectMeta> for Namespace {
    fn from(meta: &ObjectMeta) -> Self {
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            terminating: meta.deletion_timestamp.is_some(),
            settings: settings(meta),
            labels: labels(meta),
            enforces: meta.labels.as_ref().and_then(|l| l.get("pod-security.kubernetes.io/enforce")).cloned(),
        }
    }
}

/// A `NetworkPolicy` of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it leaves the pods out that need the network.
    pub leaves_restic_out: bool,
}

impl From<&ObjectMeta> for Policy {
    fn from(meta: &ObjectMeta) -> Self {
        let of = meta.labels.as_ref().and_then(|l| l.get(names::DESTINATION_TYPE));
        Self {
            namespace: namespace(meta),
            name: meta.name.clone().unwrap_or_default(),
            leaves_restic_out: of.is_some_and(|of| of == names::DISK),
        }
    }
}
