//! Where and how the pods run that back up, maintain and restore.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, LocalObjectReference, Toleration};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::listed::listed;

listed! {
    /// What a pod is for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum PodKind {
        /// It takes a snapshot and rotates, sweeps, or checks a host's disk.
        SnapshotJob,
        /// It copies.
        Copy,
        /// It drills, verifies, prunes or removes copies.
        Maintenance,
        /// It restores.
        Restore,
    }
}

impl PodKind {
    /// Its key in the configuration.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::SnapshotJob => "snapshotJob",
            Self::Copy => "copy",
            Self::Maintenance => "maintenance",
            Self::Restore => "restore",
        }
    }
}

/// Where and how pods run: what holds for all, and what one kind has beside that.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Pods {
    /// What all of them have. Default: nothing.
    pub all: PodSettings,
    /// Those that take snapshots and rotate, sweep, and check a host's disk.
    #[serde(skip_serializing_if = "PodSettings::is_default")]
    pub snapshot_job: PodSettings,
    /// Those that copy.
    #[serde(skip_serializing_if = "PodSettings::is_default")]
    pub copy: PodSettings,
    /// Those that drill, verify, prune and remove copies.
    #[serde(skip_serializing_if = "PodSettings::is_default")]
    pub maintenance: PodSettings,
    /// Those of Jobs that restore.
    #[serde(skip_serializing_if = "PodSettings::is_default")]
    pub restore: PodSettings,
}

impl Pods {
    /// What one kind has beside the settings of all.
    #[must_use]
    pub fn own(&self, kind: PodKind) -> &PodSettings {
        match kind {
            PodKind::SnapshotJob => &self.snapshot_job,
            PodKind::Copy => &self.copy,
            PodKind::Maintenance => &self.maintenance,
            PodKind::Restore => &self.restore,
        }
    }

    /// The settings of a kind: lists are those of all and its own, and of one key its own counts.
    #[must_use]
    pub fn of(&self, kind: PodKind) -> PodSettings {
        let (all, own) = (&self.all, self.own(kind));
        let both = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
            a.iter().chain(b).map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        PodSettings {
            node_selector: both(&all.node_selector, &own.node_selector),
            tolerations: [all.tolerations.as_slice(), &own.tolerations].concat(),
            affinity: own.affinity.clone().or_else(|| all.affinity.clone()),
            priority_class_name: own.priority_class_name.clone().or_else(|| all.priority_class_name.clone()),
            runtime_class_name: own.runtime_class_name.clone().or_else(|| all.runtime_class_name.clone()),
            image_pull_secrets: [all.image_pull_secrets.as_slice(), &own.image_pull_secrets].concat(),
            labels: both(&all.labels, &own.labels),
            annotations: both(&all.annotations, &own.annotations),
        }
    }
}

/// Fields of a pod, as the Kubernetes API calls them. They are added to what the template says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct PodSettings {
    /// Labels of the nodes that may run it. `kubernetes.io/os: linux` holds unless it is set here.
    pub node_selector: BTreeMap<String, String>,
    /// The taints that it tolerates.
    #[serde(deserialize_with = "whole")]
    pub tolerations: Vec<Toleration>,
    /// Which nodes and which neighbours it wants. One in the template counts more.
    #[serde(deserialize_with = "affinity")]
    pub affinity: Option<Affinity>,
    /// Its `PriorityClass`; an empty name is none.
    #[serde(deserialize_with = "name")]
    pub priority_class_name: Option<String>,
    /// Its `RuntimeClass`; an empty name is none.
    #[serde(deserialize_with = "name")]
    pub runtime_class_name: Option<String>,
    /// The Secrets with which its image is pulled, in the namespace where it runs.
    #[serde(deserialize_with = "whole")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl PodSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A value of a type of the Kubernetes API. Those types pass over keys that they do not know, and a mistyped one would be
/// ignored.
fn whole<'de, D: Deserializer<'de>, T: DeserializeOwned + Serialize>(deserializer: D) -> Result<T, D::Error> {
    let given = Value::deserialize(deserializer)?;
    let read: T = serde_json::from_value(given.clone()).map_err(D::Error::custom)?;
    let kept = serde_json::to_value(&read).map_err(D::Error::custom)?;
    match ignored(&given, &kept) {
        Some(key) => Err(D::Error::custom(format!("{key} is not a field that the Kubernetes API knows here"))),
        None => Ok(read),
    }
}

/// One that says nothing is none.
fn affinity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Affinity>, D::Error> {
    let read: Option<Affinity> = whole(deserializer)?;
    Ok(read.filter(|affinity| *affinity != Affinity::default()))
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|name| !name.is_empty()))
}

/// The first key of a value that was lost when it was read.
fn ignored(given: &Value, kept: &Value) -> Option<String> {
    match (given, kept) {
        (Value::Object(given), _) => given.iter().filter(|(_, value)| !is_empty(value)).find_map(|(key, value)| {
            let inside = |kept| ignored(value, kept).map(|inner| format!("{key}.{inner}"));
            kept.get(key).map_or_else(|| Some(key.clone()), inside)
        }),
        (Value::Array(given), Value::Array(kept)) => given.iter().zip(kept).find_map(|(a, b)| ignored(a, b)),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
