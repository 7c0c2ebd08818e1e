//! How a restore ends well.

use model::record::RestoreResult;

/// How a restore ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// The command in the pod ended so, and has told its result.
    Told(i32),
    /// The same of a command whose result was heard and not told yet.
    Ran(i32, Option<Box<RestoreResult>>),
    /// All was done without a pod; the line for a person, and whether something is still awaited.
    Here(String, bool),
    /// The controller did it: the restore point, and what became of it.
    There(String, Box<RestoreResult>),
    /// The same, and the application stays stopped.
    Half(String, Box<RestoreResult>),
}
