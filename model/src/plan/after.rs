//! Runs that start so long after the last one ended (`@after 24h`).
//!
//! No clock fires them: their CronJob is suspended and lends its Job, and the controller starts that when it is due,
//! as it starts a run that is asked for. When it is due is read from objects alone, so a restart neither forgets a
//! run nor starts two. A run has ended when its Job has and each of its copies has a result, good or bad. A copy that
//! waits for ever holds up no snapshot: after the time that a run may take at most, it counts as ended.

use k8s_openapi::jiff::Timestamp;

use super::action::{Action, Todo};
use super::subject::{RunView, Subject, runs};
use crate::config::Deadlines;
use crate::duration::Span;
use crate::facts::{Claim, CronJob, JobState};
use crate::names::{self, Component};
use crate::next_copy::point_state;
use crate::rotate::PointState;
use crate::schedule;
use crate::select::Protection;
use crate::world::World;

/// When the next run of a source starts whose schedule counts from the end of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextRun {
    /// The last one has not ended. At this time it counts as ended at the latest; with none, its Job's end is told.
    UnderWay(Option<Timestamp>),
    /// At this time.
    At(Timestamp),
}

/// When the next run of a source starts, so long (`after`) after the end of the last one; at a moment of its own
/// within that time if it never had one. Nothing if it is not known yet since when the source is protected.
#[must_use]
pub fn next_run(world: &World, claim: &Claim, after: Span, now: Timestamp) -> Option<NextRun> {
    next(world, claim, &last(world, claim, &runs(world, &claim.id.uid), now), after, now)
}

fn next(world: &World, claim: &Claim, last: &Last, after: Span, now: Timestamp) -> Option<NextRun> {
    if last.under_way {
        return Some(NextRun::UnderWay(last.until));
    }
    let seed = claim.source().seed();
    // The period is at least bounds.minInterval: that is asked where it is read.
    let due = match last.ended {
        Some(ended) => after.after(ended),
        None => schedule::first(world.status(&claim.id.uid)?.protected_since?, after, &seed),
    };
    Some(NextRun::At(schedule::start(due, now, &seed)))
}

/// Whether a run is started.
pub(super) enum Start {
    /// Now.
    Now(Action),
    /// Not yet, or never: look again at the time, if nothing happens before.
    Later(Option<Timestamp>),
}

impl Start {
    pub(super) fn todo(self) -> Todo {
        match self {
            Self::Now(action) => Todo::step(action),
            Self::Later(again) => Todo::again(again),
        }
    }
}

/// Starts the run that is due.
pub(super) fn start(
    subject: &Subject<'_>,
    claim: &Claim,
    protection: &Protection,
    existing: Option<&CronJob>,
) -> Start {
    let &Subject { world, status, ref runs, now, .. } = subject;
    let Some(cronjob) = existing else { return Start::Later(None) };
    // While settings cannot be read, the CronJob that is in force says when.
    let after = if protection.unreadable { cronjob.after } else { protection.due.after() };
    let Some(after) = after else { return Start::Later(None) };
    let last = last(world, claim, runs, now);
    match next(world, claim, &last, after, now) {
        None => Start::Later(None),
        Some(NextRun::UnderWay(until)) => Start::Later(until),
        Some(NextRun::At(at)) if now < at => Start::Later(Some(at)),
        Some(NextRun::At(_)) => {
            let source = claim.source();
            let since = status.and_then(|s| s.protected_since);
            let from = last.ended.or(since).unwrap_or(Timestamp::UNIX_EPOCH);
            Start::Now(Action::StartRun {
                job: names::after_job(&source, from),
                source,
                protection: Box::new(protection.clone()),
                cronjob: cronjob.id.clone(),
            })
        }
    }
}

/// How the last runs of a source stand.
#[derive(Default)]
struct Last {
    /// When the last of them ended.
    ended: Option<Timestamp>,
    /// Whether one has not.
    under_way: bool,
    /// When that one has to be looked at again, if nothing happens before.
    until: Option<Timestamp>,
}

fn last(world: &World, claim: &Claim, runs: &[RunView<'_>], now: Timestamp) -> Last {
    let deadlines = &world.config.deadlines;
    let patience =
        Span::from_secs(deadlines.snapshot_job.as_secs() + deadlines.copy_start.as_secs() + deadlines.copy.as_secs());
    let (mut ends, mut last) = (Vec::new(), Last::default());
    // A run of a time to come is of a clock that was wrong once, and no reason to wait for that time (F61).
    for view in runs.iter().filter(|view| view.run.time() <= now) {
        let latest = patience.after(view.run.time());
        match ended(view, deadlines, now) {
            Ok(end) => ends.push(end),
            Err(_) if latest <= now => ends.push(latest),
            Err(until) => {
                last.under_way = true;
                last.until = last.until.max(Some(until.unwrap_or(latest).min(latest)));
            }
        }
    }
    let keys = world.belongings(&claim.id.uid).into_iter().flat_map(|b| &b.jobs);
    let jobs = keys
        .filter_map(|(namespace, name)| world.jobs.get(namespace, name))
        .filter(|j| j.namespace == world.namespace)
        .filter(|j| j.ours.as_ref().is_some_and(|o| o.component == Component::Snapshot));
    for job in jobs {
        match job.state {
            // Its end is an event of its own.
            JobState::Active => last.under_way = true,
            JobState::Complete | JobState::Failed => ends.extend(job.ended),
        }
    }
    // Objects come and go: what is on record has happened all the same, unless a clock was ahead.
    if let Some(status) = world.status(&claim.id.uid) {
        ends.extend(status.failure.as_ref().filter(|f| f.run.is_some()).map(|f| f.at));
        ends.extend(status.copies.values().map(|c| c.finished));
        ends.extend(status.snapshot.as_ref().map(names::Run::time));
    }
    Last { ended: ends.into_iter().filter(|end| *end <= now).max(), ..last }
}

/// When a run ended, as far as its snapshot tells; if it has not, when to look again, if that is known.
fn ended(view: &RunView<'_>, deadlines: &Deadlines, now: Timestamp) -> Result<Timestamp, Option<Timestamp>> {
    let snapshot = view.snapshot;
    let late = deadlines.snapshot_ready.after(snapshot.created);
    match point_state(snapshot, &view.record, deadlines, now) {
        PointState::Waiting => Err(Some(late)),
        PointState::Dead => Ok(late),
        _ => {
            let mut results = view.record.destinations.iter().map(|d| view.record.results.get(d).map(|c| c.finished));
            // A node's clock says when a copy ended, and may be ahead.
            let told = |at: Timestamp| if at <= now { at } else { Timestamp::MIN };
            let begun = view.run.time();
            results.try_fold(begun, |last, finished| Some(last.max(told(finished?)))).ok_or(None)
        }
    }
}
