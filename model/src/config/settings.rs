//! The configuration as a whole, and the sections that are a few numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::defaults::Defaults;
use super::destination::Destination;
use super::globs::glob;
use super::groups::Group;
use super::pods::Pods;
use super::resources::Resources;
use super::selection::Selection;
use crate::duration::Span;
use crate::retention::Retention;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Config {
    /// Which PVCs are backed up.
    pub selection: Selection,
    /// What holds for a source where neither its PVC nor its Namespace nor a group says otherwise.
    pub defaults: Defaults,
    /// Settings that some namespaces or PVCs share, between their annotations and the defaults. Default: none.
    pub groups: Vec<Group>,
    /// How far PVCs and Namespaces may go from the defaults, and the floors and brakes of deletion.
    pub bounds: Bounds,
    /// How volumes of a class are snapshotted and promoted, by the name of the **source's**
    /// `StorageClass`. Default: none; a promoter then has the source's class.
    pub classes: BTreeMap<String, ClassRule>,
    /// Where copies can go. Default: none.
    pub destinations: Vec<Destination>,
    /// How many copies run at once.
    pub limits: Limits,
    /// What restores may do that tenants cannot do themselves.
    pub restores: Restores,
    /// How long each step may take.
    pub deadlines: Deadlines,
    /// How often a failed step is tried again.
    pub retries: Retries,
    /// What the pods ask for and may use.
    pub resources: Resources,
    /// Where and how the pods run. Default: on Linux, and otherwise as their templates say.
    pub pods: Pods,
    /// What is measured.
    pub metrics: Metrics,
}

impl Config {
    /// The destination of that name.
    #[must_use]
    pub fn destination(&self, name: &str) -> Option<&Destination> {
        self.destinations.iter().find(|d| d.name == name)
    }

    /// The destinations with a Secret, their own or a group's, that the guard allows no pod to mount. `allowed` are
    /// the names in `BACKUP_SECRETS`; if it is empty, the guard's list is unknown and nothing is returned.
    pub fn unguarded<'a>(&'a self, allowed: &'a [String]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let fits = |secret: &str| {
            allowed.iter().any(|name| name.strip_suffix('*').map_or(name == secret, |start| secret.starts_with(start)))
        };
        let own = self.destinations.iter().filter_map(|d| Some((d.name.as_str(), d.secret()?)));
        let of_groups = self.groups.iter().flat_map(|g| &g.secrets).map(|(d, secret)| (d.as_str(), secret.as_str()));
        own.chain(of_groups).filter(move |(_, secret)| !allowed.is_empty() && !fits(secret))
    }
}

impl Config {
    /// The destinations on hosts' disks of which the guard allows no volume, with their folders. `allowed` are the folders
    /// in `BACKUP_HOST_DISKS`.
    pub fn unguarded_disks<'a>(&'a self, allowed: &'a [String]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let folders = self.destinations.iter().filter_map(|d| Some((d.name.as_str(), d.host_path()?.path.as_str())));
        folders.filter(|(_, folder)| !allowed.iter().any(|one| one == folder))
    }
}

/// How far PVCs and Namespaces may go from the defaults, and the floors and brakes of deletion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Bounds {
    /// The shortest time between two runs of a source, whether by schedule or by `run-now`; a
    /// length of time, at least a minute. Default: `1h`.
    pub min_interval: Span,
    /// The longest that a retention may reach back; a length of time. For keep rules it is
    /// reckoned: `monthly=6` reaches 186 days. Default: `400days`.
    pub max_retention: Span,
    /// What stays at central destinations whatever a tenant's annotation says. Default: what the configuration says for
    /// the source, by its group or in `defaults`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_retention: Option<Retention>,
    /// How many snapshots of a source may be held against rotation at once; 0 for none. Default: 5.
    pub max_holds: u32,
    /// How many runs by `run-now` go on at once in a namespace; the others wait. At least 1. Default: 5.
    pub max_run_now: u32,
    /// The destinations that a tenant may choose, as patterns of their names. Default: `["*"]`.
    pub destinations: Vec<String>,
    /// How many good restore points of a source stay, however old; at least 1. Default: 1.
    pub min_keep: u32,
    /// How many newer snapshots without a copy are kept beside the last good one while copies
    /// fail; at least 1. Default: 3.
    pub max_unconfirmed: u32,
    /// How many snapshots one run may delete at most; at least 1. Default: 3.
    pub max_deletes_per_run: u32,
    /// How long the last restore points of a source stay after the source is gone; a length of
    /// time. Default: `30days`.
    pub orphan_retention: Span,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            min_interval: Span::hours(1),
            max_retention: Span::days(400),
            min_retention: None,
            max_holds: 5,
            max_run_now: 5,
            destinations: vec!["*".to_owned()],
            min_keep: 1,
            max_unconfirmed: 3,
            max_deletes_per_run: 3,
            orphan_retention: Span::days(30),
        }
    }
}

impl Bounds {
    /// The pause after a run by `run-now` that made no snapshot: who asks again has perhaps removed the cause.
    #[must_use]
    pub fn run_now_pause(&self) -> Span {
        Span::minutes(10).min(self.min_interval)
    }

    /// Whether a tenant may choose the destination of that name.
    #[must_use]
    pub fn allows_destination(&self, name: &str) -> bool {
        self.destinations.iter().any(|pattern| glob(pattern, name))
    }
}

/// How the volumes of one `StorageClass` are snapshotted and promoted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct ClassRule {
    /// The `VolumeSnapshotClass`. Default: the driver's default or only one.
    pub snapshot_class: Option<String>,
    /// The `StorageClass` of the promoter, of the same driver. Default: the source's.
    pub storage_class: Option<String>,
    /// Whether the promoter is mounted by many and written by none (`ReadOnlyMany`), as shallow
    /// clones of `CephFS` are. Default: `false`, a full clone.
    pub read_only: bool,
    /// Whether pods that mount the promoter run with the `SELinux` type `spc_t`, because a
    /// read-only volume cannot be relabelled; only with `readOnly`. Default: `false`.
    pub spc_no_relabeling: bool,
    /// Annotations for the promoter, which some drivers read. Default: none. Not those that begin
    /// with `backup-controller.io/`.
    pub annotations: BTreeMap<String, String>,
}

/// How many copies run at once; each at least 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Limits {
    /// In the whole cluster. Default: 10.
    pub cluster: u32,
    /// In a namespace. Default: 2.
    pub namespace: u32,
    /// On a node. Default: 2.
    pub node: u32,
    /// To a destination. Default: 4.
    pub destination: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { cluster: 10, namespace: 2, node: 2, destination: 4 }
    }
}

/// What restores may do that tenants cannot do themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Restores {
    /// Which restore points a namespace gets by the annotation `restore-from`, beyond those of its own PVCs.
    /// Default: none.
    pub grants: Vec<Grant>,
    /// How long a restore pod may stay; then it is stopped, because copies wait for the disk that it reads. A
    /// length of time. Default: `24h`.
    pub max_age: Span,
    /// How many restores that PVCs ask for run at once in a namespace; the others wait. At least 1. Default: 5.
    pub max_per_namespace: u32,
}

impl Default for Restores {
    fn default() -> Restores {
        Restores { grants: Vec::new(), max_age: Span::hours(24), max_per_namespace: 5 }
    }
}

impl Restores {
    /// Whether a namespace gets the restore points of a PVC that is another namespace's, or is gone.
    #[must_use]
    pub fn grants(&self, asked: &Transfer<'_>) -> bool {
        let whole = format!("{}/{}", asked.from, asked.pvc);
        self.grants.iter().any(|g| glob(&g.from, &whole) && glob(&g.to, asked.to))
    }
}

/// What a grant is asked for. Its parts have names: a grant that is read the wrong way round lets somebody in.
#[derive(Debug, Clone, Copy)]
pub struct Transfer<'a> {
    /// The namespace whose restore points are read.
    pub from: &'a str,
    /// The PVC there; `*` for all of them.
    pub pvc: &'a str,
    /// The namespace that gets them.
    pub to: &'a str,
}

/// One permission of the administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Grant {
    /// Whose restore points: a pattern of `namespace/pvc`, such as `shop/*`.
    pub from: String,
    /// Into which namespaces: a pattern.
    pub to: String,
}

/// How long each step may take, as lengths of time. What is late fails with its own reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Deadlines {
    /// Until a snapshot is ready to use. Default: `10m`.
    pub snapshot_ready: Span,
    /// Until a promoter is bound. Default: `10m`.
    pub promoter_bound: Span,
    /// Until the pod of a copy runs. Default: `10m`.
    pub copy_start: Span,
    /// A copy with all its tries. Default: `4h`.
    pub copy: Span,
    /// The Job that makes a snapshot and rotates, with all its tries; longer than
    /// `snapshotReady`. Default: `30m`.
    pub snapshot_job: Span,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            snapshot_ready: Span::minutes(10),
            promoter_bound: Span::minutes(10),
            copy_start: Span::minutes(10),
            copy: Span::hours(4),
            snapshot_job: Span::minutes(30),
        }
    }
}

/// How often a failed step is tried again in the same run; 0 to 100.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Retries {
    /// The snapshot. Default: 2.
    pub snapshot: u32,
    /// The copy. Default: 6.
    pub copy: u32,
}

impl Default for Retries {
    fn default() -> Retries {
        Retries { snapshot: 2, copy: 6 }
    }
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Metrics {
    /// Whether each volume has metrics of its own, which is much with thousands of them. Default:
    /// `false`.
    pub per_volume: bool,
}
