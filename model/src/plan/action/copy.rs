//! A copy, and the way to a disk.

use crate::copy_options::Options;
use crate::facts::{Journal, VolumeMode};
use crate::maintain::Task;
use crate::names::{Run, SourceId};
use crate::plan::expected::Expected;
use crate::retention::Retention;
use crate::schedule::Zone;

/// A part of the way to a disk: made for a destination (first text) and a namespace (second).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskStep {
    /// The PVC from a StorageClass.
    Claim,
    /// The keeper Job that checks a host's disk and makes the namespace's folder.
    Keeper,
    /// The static PV over that folder.
    Volume,
    /// The PVC that binds to it.
    HostClaim,
}

/// A copy that can be started.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// Whether its namespace has no `NetworkPolicy` yet that keeps the pods of copies off the network.
    pub isolate: bool,
    /// The source.
    pub source: SourceId,
    /// The run.
    pub run: Run,
    /// The destination's name.
    pub destination: String,
    /// The promoter's name.
    pub promoter: String,
    /// What the pod gets of it.
    pub mode: VolumeMode,
    /// What prunes the destination; `None` prunes nothing.
    pub retention: Option<Retention>,
    /// The zone whose days the retention counts.
    pub zone: Zone,
    /// Whether the promoter is mounted without its journal.
    pub journal: Journal,
    /// Whether an empty source is as it should be.
    pub accept_empty: bool,
    /// What the records say was there before.
    pub expected: Expected,
    /// The task that found something wrong at the destination, as long as no copy since has compared all contents.
    pub after_finding: Option<Task>,
    /// Whether the pod needs the `SELinux` type `spc_t`.
    pub spc_no_relabeling: bool,
    /// What the source says of its copies in restic repositories.
    pub options: Options,
    /// The Secret of a repository, if a group has one of its own.
    pub secret: Option<String>,
}
