//! What became of a copy.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::losses::Losses;
use crate::names::Run;
use crate::reason::{Problem, Reason};
use crate::text::sentence;
use crate::volume::Journal;

/// How a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopyState {
    /// Every entry of the snapshot is at the destination, and can be restored from there: the restore point is good. A
    /// copy that leaves nothing there must not end so.
    Complete,
    /// Entries could not be read, or the disk does not keep all that belongs to them: kept and restorable, never good.
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
    /// A12: what the disk does not keep, also what is accepted.
    #[serde(default, skip_serializing_if = "Losses::is_empty")]
    pub lost: Losses,
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
        Self { reason: Some(problem.reason), message: sentence(&problem.message), ..Self::new(state, finished) }
    }

    /// A result that says nothing but how the copy ended: the beginning of every other one.
    #[must_use]
    pub fn new(state: CopyState, finished: Timestamp) -> Self {
        Self {
            state,
            reason: None,
            message: String::new(),
            finished,
            files: 0,
            bytes: 0,
            written: 0,
            seconds: 0,
            checksummed: false,
            owners_kept: true,
            lost: Losses::default(),
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
