//! Runs that are asked for by the annotation `run-now`.
//!
//! A tenant writes any number of values, so his values bound nothing (S8). Each value starts at most one run; a source
//! has one run at a time, with a pause after each; and a namespace has a few at a time. A run counts whether it made a
//! snapshot or not: otherwise a VolumeSnapshot with the name of the next run would turn each value into a Job.

use k8s_openapi::jiff::Timestamp;

use super::action::Action;
use super::after::Start;
use super::subject::{Subject, runs, verdict};
use crate::duration::Span;
use crate::facts::{Claim, CronJob, Job, JobState};
use crate::names::{self, Component};
use crate::select::{Protection, Verdict};
use crate::world::World;

/// When a source asks again whether the others of its namespace have ended.
const AGAIN: Span = Span::from_secs(15);

/// A new value starts one run, as soon as the source and its namespace may have one.
pub(super) fn start(
    subject: &Subject<'_>,
    claim: &Claim,
    protection: &Protection,
    existing: Option<&CronJob>,
) -> Start {
    let &Subject { world, now, .. } = subject;
    let (Some(value), Some(cronjob)) = (asked(world, claim), existing) else { return Start::Later(None) };
    match earliest(world, claim, now) {
        // The end of a Job is an event of its own.
        None => return Start::Later(None),
        Some(at) if now < at => return Start::Later(Some(at)),
        Some(_) => {}
    }
    if full(world, claim, now) {
        return Start::Later(Some(AGAIN.after(now)));
    }
    let source = claim.source();
    Start::Now(Action::StartRun {
        job: names::run_now_job(&source, value),
        source,
        protection: Box::new(protection.clone()),
        cronjob: cronjob.id.clone(),
    })
}

/// The value that a source has and that no run was started for.
fn asked<'a>(world: &World, claim: &'a Claim) -> Option<&'a str> {
    let value = claim.settings.get(names::RUN_NOW)?;
    let done = world.status(&claim.id.uid).and_then(|s| s.run_now.as_ref()) == Some(&names::run_now_mark(value));
    // Started, and not recorded yet.
    let job = names::run_now_job(&claim.source(), value);
    (!done && world.jobs.get(&world.namespace, &job).is_none()).then_some(value)
}

/// The Jobs in our namespace that make the runs of a source.
fn jobs<'a>(world: &'a World, claim: &Claim) -> impl Iterator<Item = &'a Job> {
    let keys = world.belongings(&claim.id.uid).into_iter().flat_map(|b| &b.jobs);
    keys.filter_map(|(namespace, name)| world.jobs.get(namespace, name))
        .filter(|j| j.namespace == world.namespace)
        .filter(|j| j.ours.as_ref().is_some_and(|o| o.component == Component::Snapshot))
}

/// When a source may have its next run for the asking; `None` while one is under way.
fn earliest(world: &World, claim: &Claim, now: Timestamp) -> Option<Timestamp> {
    let uid = claim.id.uid.as_str();
    let (bounds, status) = (&world.config.bounds, world.status(uid));
    let (interval, pause) = (bounds.min_interval, bounds.run_now_pause());
    // A time to come is of a clock that was wrong once (F61).
    let past = |at: &Timestamp| *at <= now;
    // A snapshot that somebody deleted was taken all the same, and so was a run whose Job is gone.
    let recorded = status.and_then(|s| s.snapshot.as_ref()).map(names::Run::time).filter(past);
    let started = status.and_then(|s| s.run_now_at).filter(past).map(|at| pause.after(at));
    let newest = runs(world, uid).last().map(|view| view.run.time());
    let mut from = newest.max(recorded).map(|at| interval.after(at)).max(started);
    for job in jobs(world, claim) {
        match job.state {
            JobState::Active => return None,
            JobState::Complete | JobState::Failed => {
                from = from.max(Some(job.created).filter(past).map(|at| pause.after(at)));
            }
        }
    }
    Some(from.unwrap_or(Timestamp::MIN))
}

/// Whether a namespace has as many runs for the asking as it may.
///
/// Many sources are planned at once, from the same state. So each counts those whose turn is before its own: then no
/// more start than may (F86).
fn full(world: &World, claim: &Claim, now: Timestamp) -> bool {
    let limit = world.config.bounds.max_run_now as usize;
    let others = world.claims.within(&claim.namespace).filter(|c| c.id.uid != claim.id.uid);
    let ahead = others.filter(|other| {
        let under_way = |job: &Job| job.state == JobState::Active && job.id.name.starts_with(names::RUN_NOW_PREFIX);
        jobs(world, other).any(under_way) || (other.id.uid < claim.id.uid && is_next(world, other, now))
    });
    ahead.take(limit).count() >= limit
}

/// Whether a source starts a run as soon as it is planned.
fn is_next(world: &World, claim: &Claim, now: Timestamp) -> bool {
    asked(world, claim).is_some()
        && world.cronjobs.get("", &names::cronjob(&claim.source())).is_some_and(|c| !c.terminating)
        && earliest(world, claim, now).is_some_and(|at| at <= now)
        && matches!(verdict(world, claim), Verdict::Protected(..))
}
