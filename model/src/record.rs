//! What is written down: results of pods, results on snapshots, and the compact status on a source.
//!
//! All of it is JSON in termination messages (4 KiB at most, the kubelet's limit) or annotations.
//! Unknown fields are ignored when read, so that an older program reads a newer one's records.

mod restore;

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::facts::Journal;
use crate::ledger::{RunRecord, Settings};
use crate::maintain::{Part, Task, TaskState};
use crate::names::Run;
use crate::reason::{Problem, Reason};

pub use restore::{HOLDERS_STALE, Holders, RestoreRecord, RestoreResult, RestoreState};

/// The most bytes that the kubelet keeps of a termination message.
pub const TERMINATION_LIMIT: usize = 4096;

/// How a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopyState {
    /// Every entry of the snapshot is at the destination.
    Complete,
    /// Entries could not be read: kept and restorable, never good.
    Incomplete,
    /// Nothing usable was made.
    Failed,
    /// A newer run of the source was copied instead.
    Superseded,
}

impl CopyState {
    /// Whether something of the copy is at its destination.
    #[must_use]
    pub fn has_data(self) -> bool {
        matches!(self, Self::Complete | Self::Incomplete)
    }
}

/// The result of one copy: the termination message of its pod, the manifest beside its data, and the
/// annotation on its snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyResult {
    /// How it ended.
    pub state: CopyState,
    /// Why, unless it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// One sentence for a person, unless it is complete.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it ended.
    pub finished: Timestamp,
    /// Entries in the copy: files, directories, links, devices.
    #[serde(default)]
    pub files: u64,
    /// The sum of the files' sizes in bytes.
    #[serde(default)]
    pub bytes: u64,
    /// Bytes that were written because they differ from the tree before; the rest is hard links.
    #[serde(default)]
    pub written: u64,
    /// Seconds that the copy took.
    #[serde(default)]
    pub seconds: u64,
    /// Whether every file's content was compared by checksum, not by size and time alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checksummed: bool,
    /// Whether owners were kept; a mover that is not root cannot.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub owners_kept: bool,
    /// Trees that this copy's pruning removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pruned: Vec<Run>,
    /// The newest trees or snapshots that are at the destination now, at most [`KEPT`]: what can be restored from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Run>,
    /// Those of [`CopyResult::kept`] in which entries are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<Run>,
    /// In a restic repository: the id of the snapshot that has the run's data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// In a restic repository: the beginning of the repository's own id, so that another one behind the same address is
    /// seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// In a restic repository: nothing had changed, and the snapshot is that of an earlier run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
    /// Whether the promoter was mounted without its journal: then the last writes before the snapshot may be missing.
    #[serde(default, skip_serializing_if = "Journal::is_replayed")]
    pub journal: Journal,
}

/// The most trees that a copy's result names: with all else in it, they fit a termination message.
pub const KEPT: usize = 80;

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

impl CopyResult {
    /// A result without data: failed or superseded.
    #[must_use]
    pub fn without_data(state: CopyState, problem: &Problem, finished: Timestamp) -> Self {
        Self {
            state,
            reason: Some(problem.reason),
            message: clip(&problem.message, 512),
            finished,
            files: 0,
            bytes: 0,
            written: 0,
            seconds: 0,
            checksummed: false,
            owners_kept: true,
            pruned: Vec::new(),
            kept: Vec::new(),
            incomplete: Vec::new(),
            snapshot: None,
            repository: None,
            unchanged: false,
            journal: Journal::Replayed,
        }
    }
}

/// The result of the pod that takes a snapshot: its termination message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotResult {
    /// The run, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// The names of the snapshot and promoter, once they exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_point: Option<String>,
    /// What went wrong, if something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// Snapshots and promoters that were rotated away, with the reason of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotated: Vec<Rotated>,
    /// What rotation could not do; the backup itself is not harmed by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Problem>,
}

/// The result of a keeper: its termination message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepResult {
    /// The folder that is there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// One object that rotation deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// Its name; a snapshot and its promoter share one.
    pub name: String,
    /// Why it went.
    pub why: String,
}

/// A termination message: JSON that fits, whatever the lists in it hold.
pub fn termination_message<T: Serialize>(result: &T) -> String {
    let text = serde_json::to_string(result).unwrap_or_default();
    if text.len() <= TERMINATION_LIMIT {
        return text;
    }
    // Lists are for people; what the controller needs is small. Drop lists before words.
    let Ok(serde_json::Value::Object(mut map)) = serde_json::from_str(&text) else { return String::new() };
    map.retain(|_, v| !v.is_array());
    serde_json::to_string(&map).unwrap_or_default()
}

/// `text` cut to at most `max` bytes at a character's border.
#[must_use]
pub fn clip(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// Where a source's backups stand: a part of its ledger, and what people are shown of that, in the annotation `status`.
///
/// Written on transitions only. Next runs are not in it: they follow from the schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The installation that wrote it: two never write over each other's (F94).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
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
    /// The last value of `run-now` that started a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_now: Option<String>,
    /// Where it is shown: what newer runs go by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Where it is shown: the runs, with what became of their copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunRecord>,
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
    /// The newest end of a task.
    #[must_use]
    pub fn newest(&self, task: Task) -> Option<&TaskStatus> {
        match task {
            Task::Prune => self.prune.as_ref(),
            Task::Verify => self.verify.as_ref(),
            Task::Drill => self.drill.as_ref(),
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

    /// The same, to be written.
    pub fn newest_mut(&mut self, task: Task) -> &mut Option<TaskStatus> {
        match task {
            Task::Prune => &mut self.prune,
            Task::Verify => &mut self.verify,
            Task::Drill => &mut self.drill,
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

    #[test]
    fn a_termination_message_always_fits_and_keeps_the_verdict() {
        let mut result = SnapshotResult {
            run: Some("20181202T0000Z".parse().unwrap()),
            restore_point: Some("data-20181202".into()),
            problem: Some(Problem::new(Reason::SnapshotNotReady, "x")),
            rotated: vec![],
            warnings: vec![],
        };
        result.rotated = (0..400).map(|i| Rotated { name: format!("n{i}"), why: "expired".into() }).collect();
        let text = termination_message(&result);
        assert!(text.len() <= TERMINATION_LIMIT);
        let back: SnapshotResult = serde_json::from_str(&text).unwrap();
        assert_eq!(back.problem, result.problem);
    }

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

    #[test]
    fn clipping_respects_characters() {
        assert_eq!(clip("ééé", 6), "ééé");
        assert_eq!(clip("éééé", 6), "é…");
    }
}
