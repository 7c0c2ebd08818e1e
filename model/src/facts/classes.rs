//! The cluster's classes: how volumes and snapshots are made.

use std::collections::BTreeMap;
use std::str::FromStr;

use k8s_openapi::api::storage::v1::StorageClass as ApiStorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::VELERO_SNAPSHOT_CLASS;
use crate::snapshot::VolumeSnapshotClass as ApiSnapshotClass;

/// What becomes of a filesystem's journal when it is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Journal {
    /// It is replayed where that is needed: what was written is there.
    #[default]
    Replayed,
    /// It is passed over: what only it has is missing, and what was deleted last may be there again.
    Skipped,
}

impl Journal {
    /// What mount options say: `noload` of ext4, `norecovery` of ext4 and xfs; `nologreplay` of btrfs, which newer
    /// kernels have as one of the words of `rescue`.
    #[must_use]
    pub fn of(mount_options: &[String]) -> Self {
        let skips = |word: &str| match word.strip_prefix("rescue=") {
            Some(how) => how.split(':').any(|word| matches!(word, "nologreplay" | "all")),
            None => matches!(word, "noload" | "norecovery" | "nologreplay"),
        };
        let mut words = mount_options.iter().flat_map(|option| option.split(',')).map(str::trim);
        if words.any(skips) { Self::Skipped } else { Self::Replayed }
    }

    /// Whether it is passed over.
    #[must_use]
    pub fn is_skipped(self) -> bool {
        self == Self::Skipped
    }

    /// Whether it is not, which needs no word in records.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
    pub fn is_replayed(&self) -> bool {
        *self == Self::Replayed
    }

    /// The word in annotations and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Skipped => "skipped",
        }
    }
}

impl FromStr for Journal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Replayed, Self::Skipped].into_iter().find(|j| j.as_str() == text);
        known.ok_or_else(|| "must be replayed or skipped".to_owned())
    }
}

/// A StorageClass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageClass {
    /// Its name.
    pub name: String,
    /// The CSI driver (or another provisioner).
    pub driver: String,
    /// Whether volumes bind only when a pod needs them.
    pub waits_for_consumer: bool,
    /// Whether its volumes survive their claims.
    pub retained: bool,
    /// Whether it is the cluster's default.
    pub default: bool,
    /// What its mount options say of journals.
    pub journal: Journal,
}

impl From<&ApiStorageClass> for StorageClass {
    fn from(class: &ApiStorageClass) -> Self {
        Self {
            name: class.metadata.name.clone().unwrap_or_default(),
            driver: class.provisioner.clone(),
            waits_for_consumer: class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
            retained: class.reclaim_policy.as_deref() == Some("Retain"),
            default: is_true(&class.metadata, "storageclass.kubernetes.io/is-default-class"),
            journal: Journal::of(class.mount_options.as_deref().unwrap_or_default()),
        }
    }
}

fn is_true(meta: &ObjectMeta, annotation: &str) -> bool {
    meta.annotations.as_ref().and_then(|a| a.get(annotation)).is_some_and(|v| v == "true")
}

/// A VolumeSnapshotClass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotClass {
    /// Its name.
    pub name: String,
    /// The CSI driver.
    pub driver: String,
    /// Whether it is marked as its driver's default.
    pub default: bool,
    /// Whether it carries Velero's key, as a label or an annotation.
    pub velero: bool,
}

impl From<&ApiSnapshotClass> for SnapshotClass {
    fn from(class: &ApiSnapshotClass) -> Self {
        let has = |map: &Option<BTreeMap<String, String>>| {
            map.as_ref().is_some_and(|m| m.contains_key(VELERO_SNAPSHOT_CLASS))
        };
        Self {
            name: class.metadata.name.clone().unwrap_or_default(),
            driver: class.driver.clone(),
            default: is_true(&class.metadata, "snapshot.storage.kubernetes.io/is-default-class"),
            velero: has(&class.metadata.labels) || has(&class.metadata.annotations),
        }
    }
}
