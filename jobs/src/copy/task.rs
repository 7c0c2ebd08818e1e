//! What copies say of themselves.

use model::reason::Reason;

use crate::rsync::Task;

/// What copies are called in the words about rsync, and which reasons their failures have.
pub(super) const TASK: Task = Task {
    left_out: "not in the copy",
    stopped: "the copy was stopped",
    full: "no space left on the destination",
    failed: Reason::CopyFailed,
    no_room: Reason::DiskFull,
};
