//! What is said about a PVC: the words of `kubectl backup status`, and what its `json` and `yaml` show.

use std::collections::BTreeMap;
use std::fmt;

use model::Timestamp;
use model::duration::Span;
use model::facts::Journal;
use model::losses::Losses;
use model::maintain::{Task, TaskState};
use model::names::Run;
use model::reason::{Problem, Reason};
use model::record::{CopyState, Maintenance, TaskStatus};
use model::rotate::PointState;
use model::world::World;
use serde::{Serialize, Serializer};

/// How a PVC stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum State {
    /// The newest good run is recent.
    Protected,
    /// No run is good yet.
    Pending,
    /// The newest run or step failed.
    Failing,
    /// A destination has no good copy in time, or what was found wrong with the copies there is not mended yet.
    Degraded,
    /// Runs were missed.
    Overdue,
    /// There is no CronJob.
    Unscheduled,
    /// It cannot be backed up as things are.
    Unprotected,
    /// Somebody chose not to.
    Excluded,
    /// The PVC is gone, restore points are left.
    Vanished,
    /// It cannot be told.
    Unknown,
}

/// What is worth a word about a PVC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    pub(crate) reason: Word,
    /// One sentence.
    pub(crate) message: String,
    pub(crate) help: &'static str,
    /// The run that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<Run>,
    /// Since when, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<Timestamp>,
    /// Whether it is about copies, and a later copy shares nothing with what was found wrong.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) healed: bool,
}

impl Finding {
    pub(crate) fn of(problem: &Problem) -> Self {
        Self { help: problem.help(), ..Self::new(Word::Reason(problem.reason), problem.message.clone()) }
    }

    pub(super) fn new(reason: Word, message: String) -> Self {
        Self { reason, message, help: reason.help(), run: None, at: None, healed: false }
    }
}

/// What a finding is about, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// A reason of the controller's.
    Reason(Reason),
    /// Runs that were due did not become good.
    Overdue,
    /// The controller has made no CronJob.
    NoCronJob,
    /// The CronJob is suspended.
    Suspended,
    /// Nothing is left to restore from.
    NothingLeft,
    /// The controller recorded nothing.
    NotRecorded,
}

impl Word {
    /// Those that only this program uses.
    #[cfg(test)]
    pub(crate) const OWN: [Self; 5] =
        [Self::Overdue, Self::NoCronJob, Self::Suspended, Self::NothingLeft, Self::NotRecorded];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.as_str(),
            Self::Overdue => "Overdue",
            Self::NoCronJob => "NoCronJob",
            Self::Suspended => "Suspended",
            Self::NothingLeft => "NothingLeft",
            Self::NotRecorded => "NotRecorded",
        }
    }

    /// What to do.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.help(),
            Self::Overdue => {
                "check that the controller runs, and look at the Jobs in its namespace; --missed sets the number of \
                 missed runs"
            }
            Self::NoCronJob => {
                "check that the controller runs, and read its log; set --backup-namespace and --instance if they \
                 are not backup"
            }
            Self::Suspended => "check that the controller runs: it resumes the CronJob",
            Self::NothingLeft => "kubectl backup run makes a new restore point; find out who deleted the earlier ones",
            Self::NotRecorded => "ask the administrator for the permissions that are named below the table",
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A run, and when its snapshot was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RunAt {
    pub(crate) run: Run,
    pub(crate) time: Timestamp,
}

impl RunAt {
    pub(super) fn new(world: &World, uid: &str, run: &Run) -> Self {
        Self { run: run.clone(), time: world.taken(uid, run) }
    }
}

/// The newest copy to one destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CopyView {
    /// How it ended; nothing if none has yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<CopyState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<Run>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    /// Whether its promoter was mounted without its journal.
    #[serde(skip_serializing_if = "Journal::is_replayed")]
    pub(crate) journal: Journal,
    /// A12: what the disk does not keep.
    #[serde(skip_serializing_if = "Losses::is_empty")]
    pub(crate) lost: Losses,
    /// Whether another is being made now.
    pub(crate) under_way: bool,
    /// What was done for the copies there: the newest prune, verify and drill, and the newest proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) maintenance: Option<Maintenance>,
    /// The time up to which somebody accepts findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accepted: Option<Timestamp>,
}

impl CopyView {
    /// The newest end of each task that failed, and what was found and is not repaired; but not what was found and
    /// somebody accepts.
    pub(crate) fn failures(&self) -> Vec<(Task, &TaskStatus)> {
        let Some(maintenance) = &self.maintenance else { return Vec::new() };
        let newest = Task::ALL.into_iter().filter_map(|task| Some((task, maintenance.newest(task)?)));
        let failed = newest.filter(|(_, end)| {
            end.state == TaskState::Failed && maintenance.findings().all(|(_, found)| found != *end)
        });
        let open = maintenance.findings().filter(|(_, found)| !found.is_accepted(self.accepted));
        open.chain(failed).collect()
    }
}

/// A restore point in the PVC's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PointView {
    /// The name of the VolumeSnapshot and of the PVC made from it.
    pub(crate) name: String,
    pub(crate) run: Run,
    pub(crate) time: Timestamp,
    /// Whether the snapshot can be restored from.
    pub(crate) ready: bool,
    /// How far the run got.
    #[serde(serialize_with = "in_a_word")]
    pub(crate) state: PointState,
    /// Whether it is held against rotation.
    pub(crate) held: bool,
    /// Whether its PVC is there, to be mounted.
    pub(crate) mountable: bool,
    /// By destination, how its copy ended.
    pub(crate) copies: BTreeMap<String, CopyState>,
}

impl PointView {
    pub(super) fn run_at(&self) -> RunAt {
        RunAt { run: self.run.clone(), time: self.time }
    }
}

/// The state of a restore point in one word.
pub(crate) fn word(state: PointState) -> &'static str {
    match state {
        PointState::Good => "Good",
        PointState::Incomplete => "Incomplete",
        PointState::Lost => "Lost",
        PointState::Unconfirmed => "Unconfirmed",
        PointState::Unsure => "Unsure",
        PointState::Unrecorded => "Unrecorded",
        PointState::Waiting => "Waiting",
        PointState::Dead => "Dead",
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn in_a_word<S: Serializer>(state: &PointState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(word(*state))
}

/// One PVC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Volume {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) state: State,
    /// Whether this makes the exit code 3.
    pub(crate) alarm: bool,
    /// Whether the state was computed from the cluster; otherwise it is what the controller recorded.
    pub(crate) computed: bool,
    /// Since when it has been protected without a break.
    pub(crate) protected_since: Option<Timestamp>,
    /// Five fields, `H` resolved; or `@after` and a length of time.
    pub(crate) schedule: Option<String>,
    /// That length of time, if the next run counts from the end of the last one.
    #[serde(skip)]
    pub(crate) after: Option<Span>,
    pub(crate) time_zone: Option<String>,
    pub(crate) retention: Option<String>,
    pub(crate) snapshot_class: Option<String>,
    /// Nothing if there is none, or if it counts from the end of a run that is under way.
    pub(crate) next_run: Option<Timestamp>,
    /// Whether there will be no next run until somebody changes that.
    pub(crate) suspended: bool,
    /// Runs that were due since the newest good one and did not become good.
    pub(crate) missed_runs: Option<u32>,
    /// The newest good run.
    pub(crate) good: Option<RunAt>,
    /// The newest run with a ready snapshot.
    pub(crate) snapshot: Option<RunAt>,
    pub(crate) copies: BTreeMap<String, CopyView>,
    /// Whether each copy that is to outlive the namespace is good and in time; nothing if that is not known, or there is nothing to outlive it.
    pub(crate) outside: Option<bool>,
    /// Oldest first; nothing if they may not be read.
    pub(crate) restore_points: Option<Vec<PointView>>,
    pub(crate) findings: Vec<Finding>,
}
