//! A source's tasks at its destinations: prune, verify, drill; and how they ended.

use crate::config::{Sample, Scratch};
use crate::copy_options::Options;
use crate::facts::VolumeMode;
use crate::maintain::{Part, Task};
use crate::names::{Run, SourceId};
use crate::record::TaskStatus;
use crate::retention::Retention;
use crate::schedule::Zone;

/// A task that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintain {
    /// The source.
    pub source: SourceId,
    /// The destination's name.
    pub destination: String,
    /// The minute for which it is due.
    pub due: Run,
    /// What is done.
    pub work: Work,
    /// What the source says of its copies in restic repositories.
    pub options: Options,
    /// The Secret of a repository, if a group has one of its own.
    pub secret: Option<String>,
    /// Whether its pod needs no network, and its namespace has no `NetworkPolicy` yet that says so.
    pub isolate: bool,
}

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Forgets what the retention lets go, and removes its data.
    Prune(Prune),
    /// Reads a part of the repository.
    Verify(Part),
    /// Restores a run and compares it with its snapshot.
    Drill(Drill),
    /// Removes all copies of a source that is gone.
    Remove(Remove),
}

/// What a removal expects to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    /// The runs that have copies there, by the ledger.
    pub runs: Vec<Run>,
    /// Whether an earlier try may have removed them already.
    pub tried: bool,
}

impl Maintain {
    /// Which task it is.
    #[must_use]
    pub fn task(&self) -> Task {
        match self.work {
            Work::Prune(_) => Task::Prune,
            Work::Verify(_) => Task::Verify,
            Work::Drill(_) => Task::Drill,
            Work::Remove(_) => Task::Remove,
        }
    }
}

/// What a prune goes by. How many snapshots it forgets at most is the configuration's `bounds.maxDeletesPerRun` for each
/// snapshot that was made since the last prune: that is counted in the repository, and not by a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    /// What is kept.
    pub retention: Retention,
    /// The zone whose days that counts.
    pub zone: Zone,
    /// The minute for which the last prune was due.
    pub since: Option<Run>,
    /// Runs that stay, because somebody holds them.
    pub holds: Vec<Run>,
    /// The ids of snapshots that stay, because a held run changed nothing and has its data in an earlier one.
    pub hold_snapshots: Vec<String>,
    /// Runs whose copy is recorded as incomplete or failed: what they left does not count as good.
    pub incomplete: Vec<Run>,
    /// The ids of the snapshots that a complete copy names, whichever run made them: they are whole, for that copy read
    /// everything. Only told beside `incomplete`.
    pub complete_snapshots: Vec<String>,
}

/// A copy and what it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drill {
    /// The run that is restored.
    pub run: Run,
    /// In a restic repository: the snapshot that has the run's data, if the copy told.
    pub snapshot: Option<String>,
    /// The PVC that has what was copied.
    pub promoter: String,
    /// What the pod gets of it.
    pub mode: VolumeMode,
    /// How much is restored.
    pub sample: Sample,
    /// Where to.
    pub scratch: Scratch,
    /// Whether an empty volume is as it should be.
    pub accept_empty: bool,
    /// Whether the pod needs the `SELinux` type `spc_t` to read the promoter.
    pub spc_no_relabeling: bool,
}

/// The end of a task, for the source's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEnd {
    /// Where.
    pub destination: String,
    /// Which.
    pub task: Task,
    /// How it ended.
    pub status: TaskStatus,
    /// Of a prune: the newest runs that are left.
    pub kept: Vec<Run>,
}
