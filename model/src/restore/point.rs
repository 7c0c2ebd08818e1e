//! A restore point, and where it is.

use std::fmt;

use crate::names::Run;
use crate::reason::{Problem, Reason};

/// What a source can be restored from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePoint {
    /// The UID of its source.
    pub uid: String,
    /// Its run.
    pub run: Run,
    /// Where it is.
    pub place: Place,
    /// Whether entries are missing in it, as its copy recorded.
    pub incomplete: bool,
    /// What a verify or a drill found wrong with the copies there, one sentence; a newer copy has not mended it.
    pub finding: Option<String>,
    /// Of one that was chosen as the latest: the later ones that are incomplete, a sentence.
    pub passed_over: Option<String>,
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

/// What is missing in an incomplete restore point, as the end of a sentence about it.
pub const LACKS: &str =
    "entries could not be read when it was made, or its disk does not keep all that belongs to them";

/// The refusal to delete what an incomplete restore point lacks. `point`: what people call it.
#[must_use]
pub fn not_deleting(point: &str) -> Problem {
    let message = format!(
        "{point} is incomplete: {LACKS}. Deleting could remove these entries from the volume: restore without delete, or \
         from a complete restore point"
    );
    Problem::new(Reason::RestorePointIncomplete, message)
}

impl RestorePoint {
    /// L2: what is absent from an incomplete restore point may be intact in the volume, so nothing is deleted for it.
    ///
    /// # Errors
    /// The refusal of a restore that deletes.
    pub fn may_delete(&self) -> Result<(), Problem> {
        if self.incomplete { Err(not_deleting(&format!("restore point {self}"))) } else { Ok(()) }
    }

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
