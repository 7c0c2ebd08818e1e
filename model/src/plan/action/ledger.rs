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

/// What an Event is about, and in whose namespace it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The PVC.
    Source,
    /// Its ledger: an administrator wrote there, and the namespace of the PVC may be gone.
    Ledger,
}

/// Something to tell about a source, as an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether something is wrong.
    pub warning: bool,
    /// What it is about.
    pub about: About,
    /// One word.
    pub reason: &'static str,
    /// What was being done: Events are told apart by it, not by their text.
    pub action: &'static str,
    /// One sentence.
    pub text: String,
}
