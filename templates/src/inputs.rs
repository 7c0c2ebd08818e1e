//! What an installation is, and the inputs from which its objects are made.

use std::collections::BTreeMap;

use model::facts::VolumeMode;
use model::names::{Run, SourceId};
use model::promoter::PromoterSpec;
use serde::{Deserialize, Serialize};

use crate::restic::Repository;

/// What an installation is: the same for all objects that it creates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Install {
    /// Its name, on every object as a label: two installations never touch each other's objects (F94).
    pub instance: String,
    /// The controller's namespace: `CronJobs` and keeper Jobs live there.
    pub namespace: String,
    /// The service account of the pods that take and rotate snapshots.
    pub job_service_account: String,
    /// The image with our binaries and nothing else.
    pub controller_image: String,
    /// The image that has the copying tools too.
    pub mover_image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// A `ConfigMap` in the controller's namespace with templates that replace the embedded ones; pods
    /// that create objects mount it at [`crate::TEMPLATES_DIR`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates_config_map: Option<String>,
}

/// A pod that restores.
#[derive(Debug, Clone, Copy)]
pub struct RestorePod<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// The name of its Deployment or Job.
    pub name: &'a str,
    /// What was asked for: a [`model::restore::Request`].
    pub request: &'a str,
    /// What was answered: a [`model::record::RestoreRecord`] as JSON.
    pub status: &'a str,
    /// Who holds the target when the pod is made: a [`model::record::Holders`] as JSON.
    pub holders: &'a str,
    /// The PVC that was backed up.
    pub source: &'a SourceId,
    /// The run.
    pub run: &'a Run,
    /// The destination, unless it is a snapshot that is restored.
    pub destination: Option<&'a str>,
    /// The PVC that is written, in the pod's namespace.
    pub target: &'a str,
    /// The PVC whose volume that one is lent, if it is.
    pub lent: Option<&'a SourceId>,
    /// What the pod gets of that, and of a promoter.
    pub mode: VolumeMode,
    /// What it is written from.
    pub from: RestoreFrom<'a>,
    /// The node that is preferred.
    pub node: Option<&'a str>,
    /// Whether what the restore point does not have is deleted. For Jobs: in a restore pod a person says so.
    pub delete: bool,
    /// One file or folder; `None`: all. For Jobs.
    pub path: Option<&'a str>,
    /// Whether the pod needs the `SELinux` type `spc_t` to read the restore point.
    pub spc_no_relabeling: bool,
}

/// What a pod restores from.
#[derive(Debug, Clone, Copy)]
pub enum RestoreFrom<'a> {
    /// A PVC.
    Claim {
        /// Its name.
        name: &'a str,
        /// The folder in it; `None`: all of it.
        folder: Option<&'a str>,
    },
    /// A snapshot in a restic repository.
    Repository {
        /// The repository.
        repository: &'a Repository<'a>,
        /// The snapshot's id, or the beginning of it; `None`: the one of the run.
        snapshot: Option<&'a str>,
    },
}

/// What a namespace may restore from a disk that is not its own.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The installation.
    pub instance: &'a str,
    /// The namespace that restores.
    pub namespace: &'a str,
    /// The claim's name there: that of the restore Job.
    pub claim: &'a str,
    /// The PVC that was backed up.
    pub source: &'a SourceId,
    /// The size that both say.
    pub size: &'a str,
    /// Where the trees are.
    pub medium: Medium<'a>,
}

/// What a disk is on.
#[derive(Debug, Clone)]
pub enum Medium<'a> {
    /// A host's disk: of it only the trees of the one PVC.
    Host {
        /// The disk's folder on the host.
        path: &'a str,
        /// The labels of the node that has it.
        node_selector: &'a BTreeMap<String, String>,
    },
    /// The volume of another namespace's BackupDisk, as its `PersistentVolume` has it: all of it.
    Csi {
        /// `spec.csi`.
        source: &'a serde_json::Value,
        /// `spec.nodeAffinity`, or null.
        node_affinity: &'a serde_json::Value,
    },
}

/// The snapshot of a run.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a> {
    /// The installation.
    pub instance: &'a str,
    /// The source.
    pub source: &'a SourceId,
    /// The run.
    pub run: &'a Run,
    /// The object's name, one of [`model::names::restore_points`].
    pub name: &'a str,
    /// The `VolumeSnapshotClass`.
    pub class: &'a str,
    /// What the source is.
    pub mode: VolumeMode,
}

/// The PVC made from the snapshot of a run.
#[derive(Debug, Clone, Copy)]
pub struct Promoter<'a> {
    /// The installation.
    pub instance: &'a str,
    /// The source.
    pub source: &'a SourceId,
    /// The run.
    pub run: &'a Run,
    /// The VolumeSnapshot, which gives it its name.
    pub snapshot: &'a str,
    /// What it looks like.
    pub spec: &'a PromoterSpec,
}
