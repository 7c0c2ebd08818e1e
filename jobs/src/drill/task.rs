//! What drills say of themselves.

use model::reason::Reason;

use crate::rsync::Task;

/// What drills are called in the words about rsync, and which reasons their failures have.
pub(super) const TASK: Task = Task {
    left_out: "not restored",
    stopped: "the drill was stopped",
    full: "no space left on the scratch volume",
    failed: Reason::RestoreFailed,
    no_room: Reason::TargetTooSmall,
};
