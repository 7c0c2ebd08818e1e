//! What restores say of themselves.

use model::reason::Reason;

use crate::rsync::Task;

/// What restores are called in the words about rsync, and which reasons their failures have.
pub(crate) const TASK: Task = Task {
    left_out: "not restored",
    stopped: "the restore was stopped",
    full: "no space left on the volume",
    failed: Reason::RestoreFailed,
    no_room: Reason::TargetTooSmall,
};
