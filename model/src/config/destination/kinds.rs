//! The kinds of destinations.

use serde::{Deserialize, Serialize};

use super::disk::Trees;
use super::raw::Raw;
use super::restic::Restic;
use super::tasks::{Drill, Orphans};
use crate::retention::Retention;

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
    /// When copies are restored and compared with their snapshots, and how much of them. Default: never.
    pub drill: Option<Drill>,
    /// What becomes of the copies of sources that are gone. Default: `keep`.
    pub orphans: Orphans,
}

/// What a destination is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Store {
    /// `type: disk`: dated trees on a disk.
    Disk(Trees),
    /// `type: restic`: a repository for each source, on a disk or on anything else that restic reaches.
    Restic(Box<Restic>),
}
