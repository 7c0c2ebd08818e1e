//! Where copies can go: disks and restic repositories.

mod convert;
mod disk;
mod raw;
mod restic;
mod tasks;

use serde::{Deserialize, Serialize};

use crate::names;
use crate::retention::Retention;
pub use disk::{AccessMode, Claim, Disk, HostPath};
use raw::Raw;
pub use restic::{Compression, Restic, RunIn};
pub use tasks::{All, Drill, Sample, Scratch, Times};

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
