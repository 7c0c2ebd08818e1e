//! Where copies can go: disks and restic repositories.

mod raw;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::input;
use crate::names::{self, SourceId};
use crate::retention::Retention;
use raw::Raw;

/// Where copies can go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Destination {
    /// Its name: a DNS label of at most 40 characters, of no other destination, and not `none`.
    pub name: String,
    /// Where the data lies: with `type: disk`, exactly one of `claim` and `hostPath`; with `type: restic` a
    /// repository, which may lie on such a disk.
    pub store: Store,
    /// How long copies are kept here. Default: as the source's snapshots.
    pub retention: Option<Retention>,
    /// Each so-manieth run compares checksums instead of size and time; at least 1, which means
    /// every run. Default: 30. Of disks only: restic reads what changed by its own rules.
    pub checksum_every: u32,
    /// When copies are restored and compared with their snapshots, and how much of them. Default: never.
    pub drill: Option<Drill>,
}

impl Destination {
    /// The restic repository, if it is one.
    #[must_use]
    pub fn restic(&self) -> Option<&Restic> {
        match &self.store {
            Store::Restic(restic) => Some(restic),
            Store::Disk(_) => None,
        }
    }

    /// The disk that its pods mount, whatever lies on it; without one they need the network.
    #[must_use]
    pub fn disk(&self) -> Option<&Disk> {
        match &self.store {
            Store::Disk(disk) => Some(disk),
            Store::Restic(restic) => restic.disk.as_ref(),
        }
    }

    /// The PVC through which a tenant's namespace reaches its disk; without one it is reached over the network.
    #[must_use]
    pub fn disk_claim(&self) -> Option<String> {
        Some(match self.disk()? {
            Disk::Claim(claim) => claim.name.clone(),
            Disk::HostPath(_) => names::host_disk_claim(&self.name),
        })
    }

    /// Whether it is reached over the network.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.disk().is_none()
    }

    /// Whether copies run in the controller's namespace, out of the tenant's reach.
    #[must_use]
    pub fn is_central(&self) -> bool {
        self.restic().is_some_and(|r| r.run_in == RunIn::Controller)
    }
}

/// What a destination is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Store {
    /// `type: disk`: dated trees on a disk.
    Disk(Disk),
    /// `type: restic`: a repository for each source, on a disk or on anything else that restic reaches.
    Restic(Box<Restic>),
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
        matches!(self, Disk::HostPath(_))
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

/// restic repositories, one for each source.
///
/// The keys stand in the destination itself. What they mean is restic's own meaning, where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restic {
    /// `claim` or `hostPath`: the disk that the repositories lie on. Default: none, they are reached over the network.
    pub disk: Option<Disk>,
    /// The address, as restic's `-r` takes it, with `{namespace}`, `{pvc}` and `{uid}` in it. `{uid}` must be
    /// there: no two sources share a repository. A name in capital letters, such as `{RESTIC_REPOSITORY}`, is a
    /// key of the Secret. Default: `{RESTIC_REPOSITORY}/{namespace}/{pvc}/{uid}`.
    /// On a disk it is [`Restic::ON_DISK`] and is not written.
    pub repository: String,
    /// The name of the Secret with `RESTIC_PASSWORD` and what the backend wants, such as `AWS_ACCESS_KEY_ID`: each
    /// key is an environment variable of restic. With `runIn: tenant` one of the source's own namespace, with
    /// `runIn: controller` one of the controller's. Must be set.
    pub secret: String,
    /// Where copies run. Default: `tenant`.
    pub run_in: RunIn,
    /// The name of a `ConfigMap` beside the Secret whose key `ca.crt` signs the endpoint's certificate. Default:
    /// the certificates of the mover's image.
    pub ca: Option<String>,
    /// How much restic compresses. Default: `auto`.
    pub compression: Compression,
    /// The size of the repository's files, in MiB; 4 to 128. Default: restic's, 16.
    pub pack_size: Option<u32>,
    /// The most that is sent, in KiB a second. Default: no limit.
    pub limit_upload: Option<u32>,
    /// The most that is fetched, in KiB a second. Default: no limit.
    pub limit_download: Option<u32>,
    /// What is left out: patterns of restic's `--exclude`. Default: nothing.
    pub exclude: Vec<String>,
    /// More environment variables for restic, such as `HTTPS_PROXY`. Default: none.
    pub environment: BTreeMap<String, String>,
    /// The size of restic's cache on the node, a quantity; it is gone with the pod. Default: no cache.
    pub cache: Option<String>,
    /// Whether a run that changed nothing makes no snapshot in the repository. Default: `true`.
    pub skip_unchanged: bool,
    /// When expired snapshots are forgotten, and their data removed. Default: `H H(0-5) * * *`.
    pub prune: Times,
    /// When a part of the repository is read and checked; 30 times are the whole of it. Default: `H H * * *`.
    pub verify: Times,
}

impl Restic {
    /// Where a repository is, unless the configuration says otherwise.
    pub const REPOSITORY: &'static str = "{RESTIC_REPOSITORY}/{namespace}/{pvc}/{uid}";

    /// Where a pod has the repository of its source on a disk: of the disk it mounts that folder alone.
    pub const ON_DISK: &'static str = "/repository";

    /// A repository of which nothing is said but its Secret.
    #[must_use]
    pub fn named(secret: &str) -> Restic {
        Restic {
            disk: None,
            repository: Restic::REPOSITORY.to_owned(),
            secret: secret.to_owned(),
            run_in: RunIn::default(),
            ca: None,
            compression: Compression::default(),
            pack_size: None,
            limit_upload: None,
            limit_download: None,
            exclude: Vec::new(),
            environment: BTreeMap::new(),
            cache: None,
            skip_unchanged: true,
            prune: Times::prune(),
            verify: Times::verify(),
        }
    }

    /// The value of [`names::DESTINATION_TYPE`] on the pods of its repositories.
    #[must_use]
    pub fn pod_type(&self) -> &'static str {
        if self.disk.is_some() { names::RESTIC_ON_DISK } else { names::RESTIC }
    }

    /// The first key that is not as it must be, and why.
    pub(crate) fn fault(&self) -> Option<(String, String)> {
        super::check::restic_fault(self)
    }

    /// The repository's address for a source; what stands in it in capital letters is filled in from the Secret,
    /// where the Secret is.
    #[must_use]
    pub fn address(&self, source: &SourceId) -> String {
        [("{namespace}", &source.namespace), ("{pvc}", &source.name), ("{uid}", &source.uid)]
            .into_iter()
            .fold(self.repository.clone(), |address, (variable, value)| address.replace(variable, value))
    }
}

/// Where the pods of a destination run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunIn {
    /// `tenant`: in the source's namespace, with a Secret of the tenant's own.
    #[default]
    Tenant,
    /// `controller`: in the controller's namespace, with a Secret of the administrator's. The tenant sees
    /// neither pods nor credentials.
    Controller,
}

/// How much restic compresses, in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// `auto`: what can be made smaller.
    #[default]
    Auto,
    /// `off`: nothing, for data that is compressed or encrypted already.
    Off,
    /// `fastest`: less, for less CPU.
    Fastest,
    /// `better`: more, for more CPU.
    Better,
    /// `max`: a little more, for several times the CPU.
    Max,
}

impl Compression {
    /// All, from the usual one to the most.
    pub const ALL: [Compression; 5] =
        [Compression::Auto, Compression::Off, Compression::Fastest, Compression::Better, Compression::Max];

    /// As restic's `--compression` takes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Compression::Auto => "auto",
            Compression::Off => "off",
            Compression::Fastest => "fastest",
            Compression::Better => "better",
            Compression::Max => "max",
        }
    }
}

/// When a task is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Times {
    /// As a source's schedule ([`crate::schedule::Schedule`]), in the source's zone; or `never`.
    pub schedule: String,
}

impl Times {
    /// What turns a task off.
    pub const NEVER: &'static str = "never";

    fn prune() -> Times {
        Times { schedule: "H H(0-5) * * *".to_owned() }
    }

    fn verify() -> Times {
        Times { schedule: "H H * * *".to_owned() }
    }
}

/// When copies are restored and compared with their snapshots, and how much of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Drill {
    /// When, in the source's zone. Default: `H H * * H`, once a week.
    pub schedule: String,
    /// How much is restored: `all`, or a number of files that are drawn by lot. Default: 100.
    pub sample: Sample,
    /// Where it is restored to.
    pub scratch: Scratch,
}

impl Default for Drill {
    fn default() -> Drill {
        Drill { schedule: "H H * * H".to_owned(), sample: Sample::Files(100), scratch: Scratch::default() }
    }
}

/// How much a drill restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sample {
    /// A number of files, drawn by lot; at least 1.
    Files(u32),
    /// `all`.
    All(All),
}

/// The word for a whole volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum All {
    /// `all`.
    All,
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Sample::Files(number) => write!(f, "{number}"),
            Sample::All(_) => f.write_str("all"),
        }
    }
}

/// Where a drill restores to; gone with its pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Scratch {
    /// Its size, a quantity. Default: `1Gi`.
    #[serde(deserialize_with = "input::quantity")]
    pub size: String,
    /// The class of a volume that is made for it. Default: none; it lies on the node's own disk.
    pub storage_class: Option<String>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { size: "1Gi".to_owned(), storage_class: None }
    }
}
