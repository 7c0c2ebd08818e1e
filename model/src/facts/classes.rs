//! The cluster's classes: how volumes and snapshots are made.

use std::collections::BTreeMap;

use k8s_openapi::api::storage::v1::StorageClass as ApiStorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::VELERO_SNAPSHOT_CLASS;
use crate::snapshot::VolumeSnapshotClass as ApiSnapshotClass;
use crate::volume::Journal;

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
