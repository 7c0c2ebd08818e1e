//! What a source's record says of its tasks: which are due by which schedule, how the last ones ended, what they found.

use k8s_openapi::jiff::Timestamp;

use super::action::TaskEnd;
use super::subject::{RunView, Subject};
use crate::config::Destination;
use crate::maintain::{PARTS, Part, Task, TaskState};
use crate::names::Run;
use crate::reason::Reason;
use crate::record::{CopyResult, CopyState, Maintenance, Status, TaskStatus};
use crate::world::World;

/// How many runs whose copy failed are remembered for the next prune: of an outage of days, the newest.
const FAILED: usize = 64;

/// Whether a task that was due at a minute has its end. One that is later than now was due by a clock that was ahead:
/// it says nothing of those before it.
pub(super) fn has_ended(newest: &TaskStatus, due: &Run, now: Timestamp) -> bool {
    newest.due == *due || (newest.due > *due && newest.due.time() <= now)
}

/// Whether a central drill for which something is made already goes on.
pub(super) fn drills_on(subject: &Subject<'_>, destination: &str, due: &Run) -> bool {
    let &Subject { world, status, protection, now, .. } = subject;
    let open = status
        .and_then(|s| s.maintenance.get(destination))
        .is_some_and(|m| m.since.is_some() && !m.drill.as_ref().is_some_and(|newest| has_ended(newest, due, now)));
    let drilled = |d: &Destination| d.is_central() && d.is_drilled();
    open && world.config.destination(destination).is_some_and(drilled)
        && protection.is_some_and(|p| p.destinations.iter().any(|d| d == destination))
}

/// When a drill that was due at a minute, or a later one, ended.
pub(super) fn drilled(status: Option<&Status>, destination: &str, due: &Run) -> Option<Timestamp> {
    let newest = status?.maintenance.get(destination)?.drill.as_ref()?;
    (newest.due >= *due).then_some(newest.finished)
}

/// The part that is verified next: after one that was read the one after it, whatever was found in it; one that could
/// not be read comes again.
#[must_use]
pub fn next_part(before: Option<&TaskStatus>) -> Part {
    let first = Part { number: 1, of: PARTS };
    let Some((status, part)) = before.and_then(|b| Some((b, b.part?))) else { return first };
    if part.of != PARTS {
        return first;
    }
    if status.state == TaskState::Done || found_damage(status) { part.next() } else { part }
}

/// Whether a task read what it was to read, and found it damaged.
fn found_damage(status: &TaskStatus) -> bool {
    status.problem.as_ref().is_some_and(|p| p.reason == Reason::RepositoryDamaged)
}

/// Whether a drill found that a copy is not what its snapshot is. U13: it has no second way to read what is damaged, such
/// as a device, so damage that ends it is a finding too.
fn found_difference(drill: &TaskStatus) -> bool {
    drill.problem.as_ref().is_some_and(|p| matches!(p.reason, Reason::RestoreMismatch | Reason::RepositoryDamaged))
}

/// L13: the first complete copy since the newest finding that has compared contents, and not only sizes and times.
fn heal(maintenance: &mut Maintenance, destination: &str, runs: &[RunView<'_>]) {
    let Some(since) = maintenance.findings().map(|(_, found)| found.finished).max() else { return };
    let heals = |c: &CopyResult| c.state == CopyState::Complete && c.checksummed && c.finished > since;
    if maintenance.healed.is_none() {
        let healed = runs.iter().filter(|r| r.record.results.get(destination).is_some_and(heals));
        maintenance.healed = healed.map(|r| r.run).min().cloned();
    }
}

/// Whether a drill shows that the difference which was found before is gone. One of the same damaged copy, or of a copy
/// that links its files, may only have drawn another sample.
fn refutes(drill: &TaskStatus, maintenance: &Maintenance) -> bool {
    if drill.state != TaskState::Done {
        return false;
    }
    let before = maintenance.differs.as_ref().and_then(|differs| differs.run.as_ref());
    let (Some(run), Some(before)) = (&drill.run, before) else { return true };
    (drill.whole && run >= before) || maintenance.healed.as_ref().is_some_and(|healed| run >= healed)
}

/// Puts the ends of tasks into a record; and what follows from its copies.
pub(super) fn record(world: &World, runs: &[RunView<'_>], status: &mut Status, ends: &[TaskEnd]) {
    let cared_for = |name: &String| world.config.destination(name).is_some_and(|d| d.maintenance().next().is_some());
    let copied = status.copies.iter().filter(|(name, c)| c.state == CopyState::Complete && cared_for(name));
    for (destination, copy) in copied {
        let maintenance = status.maintenance.entry(destination.clone()).or_default();
        maintenance.since.get_or_insert(copy.finished);
    }
    for TaskEnd { destination, task, status: end, kept } in ends {
        let maintenance = status.maintenance.entry(destination.clone()).or_default();
        if *task == Task::Prune && end.state == TaskState::Done {
            maintenance.kept.clone_from(kept);
            // It was told of them, and no copy ran beside it.
            maintenance.failed.clear();
        }
        if *task == Task::Drill && end.state == TaskState::Done {
            maintenance.proven = Some(end.clone());
        }
        if *task == Task::Verify {
            let clean = maintenance.damage.as_ref().is_some_and(|d| d.part == end.part && end.state == TaskState::Done);
            if found_damage(end) {
                maintenance.damage = Some(end.clone());
            } else if clean {
                // Each part since was clean, or it would stand here: the whole repository is.
                maintenance.damage = None;
            }
        }
        maintenance.ended(*task, end.clone());
    }
    for (destination, maintenance) in &mut status.maintenance {
        let pruned = |d: &Destination| d.maintenance().any(|(task, _)| task == Task::Prune);
        if world.config.destination(destination).is_some_and(pruned) {
            let failed = |c: &CopyResult| c.state == CopyState::Failed;
            let failed = runs.iter().filter(|r| r.record.results.get(destination).is_some_and(failed));
            maintenance.failed.extend(failed.map(|r| r.run.clone()));
            maintenance.failed.sort();
            maintenance.failed.dedup();
            // What a later try made is good: a prune must not mark it (U1).
            let good = |c: &CopyResult| c.state == CopyState::Complete;
            let made = |run: &Run| runs.iter().any(|r| r.run == run && r.result(destination).is_some_and(good));
            maintenance.failed.retain(|run| !made(run));
            let over = maintenance.failed.len().saturating_sub(FAILED);
            maintenance.failed.drain(..over);
        }
        // One that could not be made says nothing of what was found before.
        if let Some(drill) = maintenance.drill.as_ref().filter(|drill| found_difference(drill)) {
            maintenance.differs = Some(drill.clone());
        }
        let found = |end: &&TaskEnd| found_difference(&end.status) || found_damage(&end.status);
        if ends.iter().filter(|end| end.destination == *destination).any(|end| found(&end)) {
            maintenance.healed = None;
        }
        heal(maintenance, destination, runs);
        if maintenance.drill.as_ref().is_some_and(|drill| refutes(drill, maintenance)) {
            maintenance.differs = None;
        }
        if maintenance.findings().next().is_none() {
            maintenance.healed = None;
        }
        let pruned = maintenance.prune.as_ref().map(|p| p.finished);
        if status.copies.get(destination).is_some_and(|c| Some(c.finished) > pruned) {
            maintenance.kept.clear();
        }
    }
}
