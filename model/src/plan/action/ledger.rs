//! What is written down of a source, and told about it.

use crate::facts::Identity;
use crate::ledger::Ledger;
use crate::record::CopyResult;

use super::task::TaskEnd;

/// A ledger that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerWrite {
    /// What it says.
    pub ledger: Ledger,
    /// The ConfigMap that it takes the place of, in the version that the plan was made from; `None`: there is none.
    pub replaces: Option<Identity>,
    /// What changed.
    pub notes: Vec<Note>,
    /// The copies whose results are new in it, by destination.
    pub results: Vec<(String, CopyResult)>,
    /// The tasks whose end is new in it.
    pub tasks: Vec<TaskEnd>,
}

/// On what people are shown where the backups of a source stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Board {
    /// The source itself.
    Source,
    /// The newest snapshot of one that is gone.
    Snapshot(Identity),
}

/// Something to tell about a source, as an Event on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether something is wrong.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// What was being done: Events are told apart by it, not by their text.
    pub action: &'static str,
    /// One sentence.
    pub text: String,
}
