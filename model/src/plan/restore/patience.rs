//! How long a restore waits (law 5).

use k8s_openapi::jiff::Timestamp;

use crate::duration::Span;
use crate::plan::action::Restores;
use crate::reason::{Problem, Reason};
use crate::record::{RestoreRecord, RestoreState};
use crate::world::World;

/// Bounds an answer that waits: perhaps what it waits for never comes, and meanwhile a snapshot is held for it. `before`
/// is what was told last, and with which state a wait ends that was too long.
///
/// One that is decided and waits for the API server has a deadline of its own.
pub(super) fn bounded(
    world: &World,
    answer: RestoreRecord,
    (before, end): (Option<&RestoreRecord>, RestoreState),
    now: Timestamp,
    plan: &mut Restores,
) -> RestoreRecord {
    let waits = |record: &RestoreRecord| {
        let undecided = record.state == RestoreState::Waiting && !record.is_begun();
        record.problem.as_ref().filter(|_| undecided).map(|problem| patience(world, problem.reason))
    };
    let (Some((limit, setting)), Some(problem)) = (waits(&answer), answer.problem.clone()) else { return answer };
    // What it waits for may change; the time begins anew only with another deadline.
    let same = before.filter(|told| waits(told).is_some_and(|(_, its)| its == setting));
    let since = same.and_then(|told| told.since).filter(|since| *since <= now).unwrap_or(now);
    let until = limit.after(since);
    if now < until {
        plan.wake_at(until);
        return RestoreRecord { since: Some(since), ..answer };
    }
    let message = format!("{}; the restore waited {limit} ({setting})", problem.message);
    RestoreRecord { state: end, problem: Some(Problem::new(problem.reason, message)), ..answer }
}

/// How long a restore waits for something, and the setting that says so.
fn patience(world: &World, reason: Reason) -> (Span, &'static str) {
    let deadlines = &world.config.deadlines;
    match reason {
        // For the work of others, each with a deadline of its own: for what runs, and for one that was ahead.
        Reason::DiskBusy | Reason::RepositoryLocked | Reason::WaitingForSlot => {
            (deadlines.copy.times(2), "twice deadlines.copy")
        }
        _ => (deadlines.promoter_bound, "deadlines.promoterBound"),
    }
}
