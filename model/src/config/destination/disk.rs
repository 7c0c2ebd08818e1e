//! Disks that pods mount.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::input;
use crate::losses::Losses;

/// A disk with dated trees on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trees {
    /// The disk.
    pub disk: Disk,
    /// Each so-manieth run compares checksums instead of size and time; at least 1, which means
    /// every run. Default: 30. Of disks only: restic reads what changed by its own rules.
    pub checksum_every: u32,
    /// What the disk need not keep: copies that lack it are complete (A12). Default: nothing.
    pub accept: Losses,
}

/// A disk that pods mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disk {
    /// `claim`: one PVC in each tenant's namespace.
    Claim(Claim),
    /// `hostPath`: a folder of a node.
    HostPath(HostPath),
}

impl Disk {
    /// Whether it is a host's: the PVC of a namespace is then that namespace's folder of it.
    #[must_use]
    pub fn is_host(&self) -> bool {
        match self {
            Disk::Claim(_) => false,
            Disk::HostPath(_) => true,
        }
    }
}

/// A BackupDisk that is a PVC in the tenant's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Claim {
    /// Its `StorageClass`, best one with `reclaimPolicy: Retain`. Default: the cluster's default
    /// class.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// Its size; a quantity such as `100Gi`. Must be set.
    #[serde(deserialize_with = "input::quantity")]
    pub size: String,
    /// Its access mode. Default: `ReadWriteOnce`, one node and so one writer at a time.
    #[serde(default)]
    pub access_mode: AccessMode,
    /// The PVC's name, a DNS label. Default: `backup-disk`. No two destinations have the same.
    #[serde(default = "claim_name")]
    pub name: String,
    /// Whether a class with `reclaimPolicy: Delete` is accepted: then the copies go when the
    /// namespace goes. Default: `false`.
    #[serde(default)]
    pub allow_delete: bool,
}

fn claim_name() -> String {
    "backup-disk".to_owned()
}

/// The access mode of a BackupDisk's PVC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AccessMode {
    /// On one node at a time.
    #[default]
    ReadWriteOnce,
    /// On many nodes at a time.
    ReadWriteMany,
    /// In one pod at a time.
    ReadWriteOncePod,
}

impl AccessMode {
    /// Whether pods on several nodes may mount it at a time.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        match self {
            AccessMode::ReadWriteOnce | AccessMode::ReadWriteOncePod => false,
            AccessMode::ReadWriteMany => true,
        }
    }

    /// As in a PVC's `accessModes`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            AccessMode::ReadWriteOnce => "ReadWriteOnce",
            AccessMode::ReadWriteMany => "ReadWriteMany",
            AccessMode::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }
}

/// A BackupDisk that is a folder of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct HostPath {
    /// The folder, where the disk is mounted: an absolute path without `.` and `..`. Must be set.
    pub path: String,
    /// The labels of the node that has it. Must be set.
    pub node_selector: BTreeMap<String, String>,
    /// What the volumes on it say as their size; a quantity such as `1Ti`. Must be set.
    #[serde(deserialize_with = "input::quantity")]
    pub size: String,
}

impl HostPath {
    /// A namespace's folder on the host: all that is ever the path of a volume there (S1).
    #[must_use]
    pub fn folder_of(&self, namespace: &str) -> String {
        format!("{}/{namespace}", self.path.trim_end_matches('/'))
    }
}
