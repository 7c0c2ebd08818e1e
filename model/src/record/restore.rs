//! What is written down of restores.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::Instance;
use crate::reason::Problem;

/// How a restore stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestoreState {
    /// Something is awaited, such as a promoter that is made again.
    Waiting,
    /// The restore pod has its volumes: it can be started, or runs.
    Ready,
    /// All that was asked for is in the target.
    Complete,
    /// Entries could not be restored; the others are.
    Incomplete,
    /// Nothing was written, and nothing will be: the request or the target must change.
    Refused,
    /// It broke off; what was written stays. Asking again goes on with it.
    Failed,
}

/// The result of a restore: the termination message of its pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreResult {
    /// How it ended.
    pub state: RestoreState,
    /// Why, unless it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// When it ended.
    pub finished: Timestamp,
    /// Entries that were made or changed in the target.
    #[serde(default)]
    pub changed: u64,
    /// Entries that were deleted from the target, because that was asked for.
    #[serde(default)]
    pub deleted: u64,
    /// Bytes of the files that were written.
    #[serde(default)]
    pub bytes: u64,
    /// Seconds that it took.
    #[serde(default)]
    pub seconds: u64,
    /// Whether it began to write; `None`: nobody says, as before this field was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrote: Option<bool>,
}

/// What a restore leaves in the volume that it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// What it held before: nothing was written.
    AsBefore,
    /// All that was asked for.
    Whole,
    /// Perhaps a mixture of both.
    Mixture,
}

impl RestoreResult {
    /// Whether it has changed its target. It may have begun to write, and found that nothing differs.
    #[must_use]
    pub fn has_written(&self) -> bool {
        self.changed > 0
    }

    /// L10: what the volume holds now. Without a clear word it counts as a mixture.
    #[must_use]
    pub fn holds(&self) -> Holds {
        match (self.state, self.wrote) {
            (RestoreState::Complete, _) => Holds::Whole,
            (RestoreState::Refused | RestoreState::Ready | RestoreState::Waiting, None | Some(false))
            | (RestoreState::Failed, Some(false)) => Holds::AsBefore,
            _ => Holds::Mixture,
        }
    }
}

/// What became of a `restore-from`: the annotation `restore-status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreRecord {
    /// The installation that answered; `None`: nobody says, as before this field was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// The value that this is about; of a long one, its mark ([`crate::names::run_now_mark`]).
    pub request: String,
    /// How it stands.
    pub state: RestoreState,
    /// Why, or what is awaited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What is restored: the snapshot's name, or `<destination>/<run>` of a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
    /// Whether entries are missing in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// What a verify or a drill found wrong where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// Which later ones were passed over, because entries are missing in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<String>,
    /// The PVC that is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Since when it waits for what has to come soon, or never will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RestoreResult>,
}

impl RestoreRecord {
    /// What is said about a request, of which nothing else is known. `request` is the value or its mark.
    #[must_use]
    pub fn new(request: String, state: RestoreState, problem: Option<Problem>) -> Self {
        Self {
            instance: None,
            request,
            state,
            problem,
            point: None,
            incomplete: false,
            finding: None,
            passed_over: None,
            target: None,
            since: None,
            result: None,
        }
    }

    /// The destination of its restore point, unless that is a snapshot.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        self.point.as_deref()?.split_once('/').map(|(destination, _)| destination)
    }

    /// Whether it is decided what is restored, and it has not ended: its pod is there, or is made as soon as the API
    /// server takes it.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        match self.state {
            RestoreState::Ready => true,
            RestoreState::Waiting => self.point.is_some(),
            _ => false,
        }
    }
}

/// Who else holds the volume that a restore writes: the annotation `holders` of its pod, which the pod reads
/// through the downward API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holders {
    /// When the controller looked. Older than [`HOLDERS_STALE`]: nobody knows.
    pub at: Timestamp,
    /// The names of the other pods that mount the volume and have not ended.
    pub pods: Vec<String>,
}

/// The age in seconds at which what the controller said of holders is not believed any more. It says it anew in a
/// quarter of that time.
pub const HOLDERS_STALE: u64 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(state: RestoreState, wrote: Option<bool>) -> RestoreResult {
        let finished = Timestamp::UNIX_EPOCH;
        RestoreResult { state, problem: None, finished, changed: 0, deleted: 0, bytes: 0, seconds: 0, wrote }
    }

    /// L10: a restore that failed half-way leaves a mixture, also if it counted nothing, or said nothing about it.
    #[test]
    fn only_a_clear_word_makes_a_volume_whole_or_untouched() {
        for (state, wrote, holds) in [
            (RestoreState::Complete, None, Holds::Whole),
            (RestoreState::Complete, Some(false), Holds::Whole),
            (RestoreState::Refused, None, Holds::AsBefore),
            (RestoreState::Failed, Some(false), Holds::AsBefore),
            (RestoreState::Failed, None, Holds::Mixture),
            (RestoreState::Failed, Some(true), Holds::Mixture),
            (RestoreState::Refused, Some(true), Holds::Mixture),
            (RestoreState::Incomplete, Some(true), Holds::Mixture),
            (RestoreState::Incomplete, None, Holds::Mixture),
        ] {
            assert_eq!(ended(state, wrote).holds(), holds, "{state:?} {wrote:?}");
        }
    }

    #[test]
    fn a_result_of_an_older_pod_can_be_read() {
        let old = r#"{"state":"Failed","finished":"1970-01-01T00:00:00Z"}"#;
        let read: RestoreResult = serde_json::from_str(old).unwrap();
        assert_eq!(read, ended(RestoreState::Failed, None));
    }
}
