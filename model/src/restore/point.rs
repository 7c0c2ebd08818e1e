//! A restore point, and where it is.

use std::fmt;

use crate::names::Run;

/// What a source can be restored from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePoint {
    /// The UID of its source.
    pub uid: String,
    /// Its run.
    pub run: Run,
    /// Where it is.
    pub place: Place,
}

/// Where a restore point is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A VolumeSnapshot in the source's namespace, that is ready.
    Snapshot {
        /// Its name.
        name: String,
        /// The PVC that was made from it, if it is there.
        promoter: Option<String>,
    },
    /// A dated tree of a destination.
    Tree {
        /// The destination.
        destination: String,
    },
    /// A snapshot in a source's restic repository.
    Repository {
        /// The destination.
        destination: String,
        /// The snapshot's id, or the beginning of it. `None`: it is the one that has the run as its tag.
        snapshot: Option<String>,
    },
}

impl fmt::Display for RestorePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Snapshot { name, .. } => write!(f, "{} (snapshot {name})", self.run),
            Place::Tree { destination } => write!(f, "{} (disk {destination})", self.run),
            Place::Repository { destination, snapshot: None } => write!(f, "{} (restic {destination})", self.run),
            Place::Repository { destination, snapshot: Some(id) } => {
                write!(f, "{} (restic {destination}, {})", self.run, short(id))
            }
        }
    }
}

/// A restic snapshot's id as people see it.
#[must_use]
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

impl RestorePoint {
    /// Of one run, what is the fastest comes first.
    pub(super) fn kind(&self) -> u8 {
        match self.place {
            Place::Snapshot { .. } => 0,
            Place::Tree { .. } => 1,
            Place::Repository { .. } => 2,
        }
    }

    /// The id of its restic snapshot, if it has one and a record tells it.
    pub(super) fn snapshot_id(&self) -> Option<&str> {
        match &self.place {
            Place::Repository { snapshot, .. } => snapshot.as_deref(),
            Place::Snapshot { .. } | Place::Tree { .. } => None,
        }
    }

    /// The destination where it lies, unless it is a snapshot.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        match &self.place {
            Place::Tree { destination } | Place::Repository { destination, .. } => Some(destination),
            Place::Snapshot { .. } => None,
        }
    }
}
