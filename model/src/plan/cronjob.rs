//! A source's CronJob, and the runs that are asked for by annotation.

use k8s_openapi::jiff::Timestamp;

use super::action::{Action, Plan};
use super::after;
use super::subject::runs;
use crate::facts::{Claim, CronJob};
use crate::names;
use crate::select::{Protection, Verdict};
use crate::world::World;

pub(super) fn plan(
    world: &World,
    uid: &str,
    claim: Option<&Claim>,
    verdict: Option<&Verdict>,
    now: Timestamp,
    install: &str,
    plan: &mut Plan,
) {
    let wanted_name = claim.map(|c| names::cronjob(&c.source()));
    let mut existing = None;
    for (_, name) in world.belongings(uid).into_iter().flat_map(|b| &b.cronjobs) {
        let Some(cronjob) = world.cronjobs.get("", name) else { continue };
        if cronjob.terminating {
            continue;
        }
        // A copy of ours under another name would run everything twice.
        if wanted_name.as_ref() == Some(name) {
            existing = Some(cronjob);
        } else {
            plan.actions.push(Action::DeleteCronJob(cronjob.id.clone()));
        }
    }
    match (claim, verdict) {
        (Some(claim), Some(Verdict::Protected(protection, _))) => {
            apply(world, claim, protection, existing, install, plan);
            run_now(world, claim, protection, existing, now, plan);
            after::plan(world, claim, protection, existing, now, plan);
        }
        // What somebody chose ends the schedule. What is merely broken leaves it: the reason may pass,
        // and a run that cannot be made says so itself.
        (Some(_), Some(Verdict::Unprotected(problem, _))) if problem.reason.is_choice() => {
            plan.actions.extend(existing.map(|c| Action::DeleteCronJob(c.id.clone())));
        }
        _ => {}
    }
}

fn apply(
    world: &World,
    claim: &Claim,
    protection: &Protection,
    existing: Option<&CronJob>,
    install: &str,
    plan: &mut Plan,
) {
    if protection.unreadable && existing.is_some() {
        return;
    }
    // What a run is recorded in is there first.
    if world.ledger(&claim.id.uid).is_none() {
        return;
    }
    let config = &world.config;
    let whole = format!(
        "{protection:?} {:?} {:?} {:?} {:?} {install}",
        config.bounds, config.deadlines, config.retries, config.resources.snapshot_job
    );
    let fingerprint = names::hash(&whole, 16);
    let (schedule, suspended) = protection.cron();
    let in_force = existing.is_some_and(|c| {
        c.applied.as_ref() == Some(&fingerprint)
            && c.spec == (schedule.to_owned(), Some(protection.zone.name().to_owned()), suspended)
            && c.after == protection.after
    });
    if !in_force {
        plan.actions.push(Action::ApplyCronJob {
            source: claim.source(),
            protection: Box::new(protection.clone()),
            fingerprint,
        });
    }
}

/// A new value of `run-now` starts one run, once the minimum interval has passed since the newest one.
fn run_now(
    world: &World,
    claim: &Claim,
    protection: &Protection,
    existing: Option<&CronJob>,
    now: Timestamp,
    plan: &mut Plan,
) {
    let Some(value) = claim.settings.get(names::RUN_NOW) else { return };
    let done = world.status(&claim.id.uid).and_then(|s| s.run_now.as_ref());
    let (Some(cronjob), true) = (existing, done != Some(&names::run_now_mark(value))) else { return };
    // Started, and not recorded yet.
    let job = names::run_now_job(&claim.source(), value);
    if world.jobs.get(&world.namespace, &job).is_some() {
        return;
    }
    let newest = runs(world, &claim.id.uid).last().map(|r| r.run.time());
    let from = newest.map(|t| world.config.bounds.min_interval.after(t));
    if from.is_some_and(|from| now < from) {
        plan.wake_at(from);
        return;
    }
    plan.actions.push(Action::StartRun {
        source: claim.source(),
        protection: Box::new(protection.clone()),
        job,
        cronjob: cronjob.id.clone(),
    });
}
