//! What is in the way of a restore.

use crate::plan::action::Promote;
use crate::reason::{Problem, Reason};

/// Why there is no restore yet.
pub(super) enum Obstacle {
    /// There will be none: the request must change.
    Refused(Problem),
    /// Something is awaited.
    Waiting(Problem),
    /// The promoter has to be made again.
    Promote(Box<Promote>),
}

pub(super) fn refused<T>(reason: Reason, message: impl Into<String>) -> Result<T, Obstacle> {
    Err(Obstacle::Refused(Problem::new(reason, message)))
}

pub(super) fn waiting<T>(reason: Reason, message: impl Into<String>) -> Result<T, Obstacle> {
    Err(Obstacle::Waiting(Problem::new(reason, message)))
}
