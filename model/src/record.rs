//! What is written down: results of pods, results on snapshots, and the compact status on a source.
//!
//! All of it is JSON in termination messages (4 KiB at most, the kubelet's limit) or annotations.
//! Unknown fields are ignored when read, so that an older program reads a newer one's records.

mod copy;
mod removal;
mod restore;
mod run;
mod status;
mod volume;

use serde::{Deserialize, Serialize};

use crate::names::Run;
use crate::reason::Problem;

pub use copy::{CopyResult, CopyState, KEPT};
pub use removal::{Abandoned, Announced, EndWord, Left, Removal, Word};
pub use restore::{HOLDERS_STALE, Holders, Holds, RestoreRecord, RestoreResult, RestoreState};
pub use run::{Choice, Retry, RunRecord, Settings, Taken};
pub use status::{CopyStatus, Failure, Maintenance, Shortened, Status, TaskStatus, Wanted};
pub use volume::Volume;

/// The most bytes that the kubelet keeps of a termination message.
pub const TERMINATION_LIMIT: usize = 4096;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;

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
}
