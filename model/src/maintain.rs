//! What is done for the copies of a source at a destination, beside copying: prune, verify, drill.
//!
//! Each is a Job of its own with its own record: one that fails never makes a copy fail, and none is made twice for
//! the same time.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::Run;
pub use crate::names::Task;
use crate::reason::Problem;

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    /// It did what it is for, and found nothing wrong.
    Done,
    /// It did not, or found something wrong.
    Failed,
}

/// The steps in which a repository is verified: one in each run, all in turn.
pub const PARTS: u32 = 30;

/// A part of a repository: the `number`th of `of`, from 1. Written as restic's `--read-data-subset` takes it, `3/30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Part {
    /// Which one, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl Part {
    /// The one after it; after the last the first.
    #[must_use]
    pub fn next(self) -> Self {
        Self { number: if self.number >= self.of { 1 } else { self.number + 1 }, of: self.of }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl std::str::FromStr for Part {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let part = text.split_once('/').and_then(|(number, of)| {
            let part = Self { number: number.parse().ok()?, of: of.parse().ok()? };
            (1..=part.of).contains(&part.number).then_some(part)
        });
        part.ok_or_else(|| format!("'{text}' is not a part; write k/n, for example 3/30, with k from 1 to n"))
    }
}

impl TryFrom<String> for Part {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Part> for String {
    fn from(part: Part) -> Self {
        part.to_string()
    }
}

/// The result of a task: the termination message of its pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MaintainResult {
    /// What was done.
    pub task: Task,
    /// How it ended.
    pub state: TaskState,
    /// Why, unless it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// When it ended.
    pub finished: Timestamp,
    /// Seconds that it took.
    #[serde(default)]
    pub seconds: u64,
    /// Of a verify: the part that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Of a drill: the run that was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Of a drill: the entries that were compared.
    #[serde(default)]
    pub files: u64,
    /// Of a drill: the bytes that were compared. Of a prune: the bytes that were freed.
    #[serde(default)]
    pub bytes: u64,
    /// Of a drill: whether the whole volume was compared and not a sample.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Of a prune: the runs that were forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pruned: Vec<Run>,
    /// Of a prune: the newest runs that are in the repository now, at most [`crate::record::KEPT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Run>,
}

impl MaintainResult {
    /// A result with nothing in it yet but how it ended.
    #[must_use]
    pub fn new(task: Task, finished: Timestamp, problem: Option<Problem>) -> Self {
        Self {
            task,
            state: if problem.is_some() { TaskState::Failed } else { TaskState::Done },
            problem,
            finished,
            seconds: 0,
            part: None,
            run: None,
            files: 0,
            bytes: 0,
            whole: false,
            pruned: Vec::new(),
            kept: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_walked_in_turn_and_begin_again() {
        let part: Part = "29/30".parse().unwrap();
        assert_eq!(part.next().to_string(), "30/30");
        assert_eq!(part.next().next().to_string(), "1/30");
        for bad in ["", "0/30", "31/30", "1", "a/b", "1/0"] {
            assert!(bad.parse::<Part>().is_err(), "{bad}");
        }
    }
}
