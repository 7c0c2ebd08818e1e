//! Where the backups of a source stand.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::copy::CopyState;
use super::run::RunRecord;
use super::volume::Volume;
use crate::losses::Losses;
use crate::maintain::{Part, Task, TaskState};
use crate::names::{Instance, Run};
use crate::reason::Problem;
use crate::retention::Retention;
use crate::volume::Journal;

/// Where a source's backups stand: a part of its ledger, and what people are shown of that, in the annotation `status`.
///
/// Written on transitions only. Next runs are not in it: they follow from the schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The installation that wrote it: two never write over each other's (F94).
    #[serde(default, skip_serializing_if = "Instance::is_empty")]
    pub instance: Instance,
    /// Where it is shown: the UID of the PVC that it is of. One that was made again brings its annotations along.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Since when the source has been protected without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected_since: Option<Timestamp>,
    /// Why it is not protected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unprotected: Option<Problem>,
    /// The newest run with a ready snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Run>,
    /// By destination: the newest recorded copy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub copies: BTreeMap<String, CopyStatus>,
    /// U1: by destination that is wanted: whether it has a good copy in time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wanted: BTreeMap<String, Wanted>,
    /// By destination: what was done for the copies there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub maintenance: BTreeMap<String, Maintenance>,
    /// The newest good run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Run>,
    /// What the newest copy waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Problem>,
    /// The newest failure, until a later run succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Settings that cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Problem>,
    /// A13: why this cannot be shown on the PVC. It is in the ledger alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_shown: Option<Problem>,
    /// What is kept beside the retention in force, because a tenant shortened it lately (L4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortened: Option<Shortened>,
    /// The last value of `run-now` that started a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_now: Option<String>,
    /// When that run started: its Job goes with the CronJob, which a tenant can have deleted and made again (S8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_now_at: Option<Timestamp>,
    /// Where it is shown: the destinations of runs of which it does not tell yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,
    /// Where it is shown: the runs, with what became of their copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunRecord>,
    /// Where it is shown of a source that is gone: what that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Box<Volume>>,
}

/// A retention that a tenant shortened, in a [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortened {
    /// The longer one.
    pub kept: Retention,
    /// When it was first seen that it is not wanted any more.
    pub since: Timestamp,
}

/// One destination's newest copy, in a [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyStatus {
    /// Its run.
    pub run: Run,
    /// How it ended.
    pub state: CopyState,
    /// When it ended.
    pub finished: Timestamp,
    /// Entries in it.
    pub files: u64,
    /// The sum of the files' sizes in bytes.
    pub bytes: u64,
    /// Whether the promoter was mounted without its journal.
    #[serde(default, skip_serializing_if = "Journal::is_replayed")]
    pub journal: Journal,
    /// A12: what the disk does not keep.
    #[serde(default, skip_serializing_if = "Losses::is_empty")]
    pub lost: Losses,
}

/// How a source stands at one of the destinations that it is to be copied to, in a [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Since when copies to it have been wanted.
    pub since: Timestamp,
    /// The newest run with a complete copy there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Run>,
    /// Why that is not good enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Wanted {
    /// Whether it has a good copy in time. One that has no copy yet has not.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.good.is_some() && self.failure.is_none()
    }
}

/// What was done for a source's copies at one destination, in a [`Status`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// When the first copy there was recorded: no task is due before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The newest prune.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<TaskStatus>,
    /// The newest verify.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<TaskStatus>,
    /// The newest drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<TaskStatus>,
    /// The newest drill that found every byte as it was: the copy is proven to be restorable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<TaskStatus>,
    /// The newest verify that found damage, until the same part is clean: then all parts were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<TaskStatus>,
    /// The newest drill that found a difference, until one finds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs: Option<TaskStatus>,
    /// The first complete copy since the newest finding that was made by comparing contents: trees from it on share
    /// nothing with what was found wrong. The finding stays until a verify or a drill finds nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healed: Option<Run>,
    /// Runs whose copy failed, until a prune has marked what they left in the repository: their snapshots, and with
    /// them the copies' results, may be rotated before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Run>,
    /// The newest runs in the repository after the newest prune, if that is newer than every copy's result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Run>,
}

impl Maintenance {
    /// What the newest prune left, and when it ended.
    #[must_use]
    pub fn pruned_to(&self) -> Option<(Timestamp, &[Run])> {
        let prune = self.prune.as_ref().filter(|_| !self.kept.is_empty())?;
        Some((prune.finished, &self.kept))
    }

    /// The newest end of a task.
    #[must_use]
    pub fn newest(&self, task: Task) -> Option<&TaskStatus> {
        match task {
            Task::Prune => self.prune.as_ref(),
            Task::Verify => self.verify.as_ref(),
            Task::Drill => self.drill.as_ref(),
            // It ends what is kept here, and has its own place in the ledger.
            Task::Remove => None,
        }
    }

    /// What is known to be wrong in the repository, whatever was done since: damage, and differences.
    pub fn findings(&self) -> impl Iterator<Item = (Task, &TaskStatus)> {
        let damage = self.damage.iter().map(|found| (Task::Verify, found));
        damage.chain(self.differs.iter().map(|found| (Task::Drill, found)))
    }

    /// U13: the newest drill that found every byte, unless something wrong was found and not refuted.
    #[must_use]
    pub fn proof(&self) -> Option<&TaskStatus> {
        self.proven.as_ref().filter(|_| self.findings().next().is_none())
    }

    /// L13: the task that found something wrong which no copy has mended yet. Damage of the repository comes before a
    /// difference, because more is done about it.
    #[must_use]
    pub fn unhealed(&self) -> Option<Task> {
        self.findings().map(|(task, _)| task).next().filter(|_| self.healed.is_none())
    }

    /// Writes down the newest end of a task.
    pub fn ended(&mut self, task: Task, end: TaskStatus) {
        match task {
            Task::Prune => self.prune = Some(end),
            Task::Verify => self.verify = Some(end),
            Task::Drill => self.drill = Some(end),
            Task::Remove => {}
        }
    }
}

/// How a task ended, in a [`Maintenance`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// The minute for which it was due.
    pub due: Run,
    /// How it ended.
    pub state: TaskState,
    /// When it ended.
    pub finished: Timestamp,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// Of a verify: the part that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Of a drill: the run that was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Of a drill: the entries that were compared.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub files: u64,
    /// Of a drill: the bytes that were compared.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes: u64,
    /// Of a drill: whether the whole volume was compared and not a sample.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

impl TaskStatus {
    /// Whether somebody accepts what it found: he names its time, to the second, or that of a later finding.
    #[must_use]
    pub fn is_accepted(&self, accepted: Option<Timestamp>) -> bool {
        accepted.is_some_and(|at| self.finished.as_second() <= at.as_second())
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// The newest failure of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its run, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Why.
    #[serde(flatten)]
    pub problem: Problem,
    /// When it was recorded.
    pub at: Timestamp,
}

impl Status {
    /// U1: the destinations without a good copy in time, and why.
    pub fn unwell(&self) -> impl Iterator<Item = (&String, &Failure)> {
        self.wanted.iter().filter_map(|(destination, wanted)| Some((destination, wanted.failure.as_ref()?)))
    }

    /// Reads the annotation; a text that is not ours counts as none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The annotation's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;
    use crate::record::CopyResult;

    #[test]
    fn a_status_survives_the_trip_and_newer_fields_are_ignored() {
        let status = Status {
            protected_since: Some("2018-12-02T00:00:00Z".parse().unwrap()),
            failure: Some(Failure {
                run: None,
                problem: Problem::new(Reason::DiskFull, "no space"),
                at: "2018-12-02T00:00:00Z".parse().unwrap(),
            }),
            ..Status::default()
        };
        assert_eq!(Status::parse(&status.to_text()), Some(status));
        assert_eq!(Status::parse(r#"{"newer":1}"#), Some(Status::default()));
        assert_eq!(Status::parse("yes"), None);
    }

    /// A finding that another version recorded stays one: prunes go on waiting for it.
    #[test]
    fn a_reason_of_another_version_loses_neither_the_record_nor_the_finding() {
        let found = r#"{"due":"20181202T0000Z","state":"Failed","finished":"2018-12-02T00:00:00Z",
            "problem":{"reason":"DrillDiffers","message":"etc/app.conf differs"}}"#;
        let text = format!(r#"{{"maintenance":{{"disk":{{"drill":{found},"differs":{found}}}}}}}"#);
        let status = Status::parse(&text).unwrap();
        let maintenance = &status.maintenance["disk"];
        let (task, finding) = maintenance.findings().next().unwrap();
        let problem = Problem::new(Reason::UnknownReason, "etc/app.conf differs");
        assert_eq!((task, finding.problem.as_ref()), (Task::Drill, Some(&problem)));
        assert!(maintenance.proven.is_none());
        assert_eq!(Status::parse(&status.to_text()), Some(status));

        let text = r#"{"state":"Failed","reason":"NeedsNoload","message":"x","finished":"2018-12-02T00:00:00Z"}"#;
        let copy: CopyResult = serde_json::from_str(text).unwrap();
        assert_eq!((copy.state, copy.reason), (CopyState::Failed, Some(Reason::UnknownReason)));
    }
}
