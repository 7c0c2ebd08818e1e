//! Drills that are asked for by the annotation `drill-now`.
//!
//! Its value is a time. It is answered by the first drill that is due then or later, so nothing has to be remembered
//! for it. A tenant writes any number of values: between two drills of a destination there is the same pause as between
//! two runs, and each waits for its slot as those by schedule do (S8).

use k8s_openapi::jiff::Timestamp;

use super::task_record::has_ended;
use crate::duration::Span;
use crate::names::Run;
use crate::record::TaskStatus;

/// When a drill starts that is asked for at a time; `None` once there was one.
pub(super) fn starts(
    asked: Timestamp,
    first_copy: Timestamp,
    newest: Option<&TaskStatus>,
    pause: Span,
    now: Timestamp,
) -> Option<Timestamp> {
    if newest.is_some_and(|newest| has_ended(newest, &Run::at(asked), now)) {
        return None;
    }
    // By a clock that was ahead nothing was done.
    let ended = newest.map(|newest| newest.finished).filter(|at| *at <= now);
    // Before the first copy there is nothing to drill.
    Some(asked.max(first_copy).max(ended.map_or(Timestamp::MIN, |at| pause.after(at))))
}
