//! Restores that a PVC asks for by an annotation: a Job does them.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::answer::{NotYet, answer};
use super::asked::{self, has_pod, is_for_us};
use super::patience::bounded;
use crate::facts::{Claim, Job, Pod};
use crate::names;
use crate::plan::action::{Action, Asker, Restore, RestoreAction, Restores};
use crate::plan::ended::{self, Ended};
use crate::plan::hold::hold;
use crate::reason::{Problem, Reason};
use crate::record::{RestoreRecord, RestoreResult, RestoreState};
use crate::world::World;

/// A PVC that asks.
pub(super) fn annotated(world: &World, claim: &Claim, now: Timestamp, plan: &mut Restores) {
    let Some(text) = claim.settings.get(names::RESTORE_FROM).filter(|_| is_for_us(world, claim)) else { return };
    let asker = Asker::Claim(claim.id.clone());
    let target = claim.source();
    let name = names::restore_job(&target, text);
    let job = asked::job(world, &claim.namespace, &name);
    let told = asked::record(claim, text);
    if told.is_some_and(|told| asked::is_anothers(world, told)) {
        return;
    }
    // Of one that knows no such restore point we take nothing over.
    let is_ours = |told: &&RestoreRecord| told.instance.as_ref().is_none_or(|instance| *instance == world.instance);
    let status = told.filter(is_ours);
    let write = |mut record: RestoreRecord, plan: &mut Restores| {
        record.instance = Some(world.instance.clone());
        // A4: that there is no such restore point, one of two installations says, and not the one that has no part in it.
        let no_part = status.is_none() && (told.is_some() || asked::is_of_another(world, &claim.namespace, text));
        if status != Some(&record) && !(no_part && asked::knows_none(&record)) {
            let (asker, namespace) = (asker.clone(), claim.namespace.clone());
            plan.step(RestoreAction::Record { asker, namespace, record: Box::new(record), stop: false });
        }
    };
    if status.is_some_and(|s| !matches!(s.state, RestoreState::Waiting | RestoreState::Ready)) {
        return plan.actions.extend(job.and_then(Action::delete));
    }
    plan.namespaces.insert(claim.namespace.clone());
    if let (Some(job), Some(status)) = (job, status.filter(|s| s.is_begun())) {
        plan.namespaces.insert(job.namespace.clone());
        plan.add(hold(world, &claim.namespace, status.point.as_deref(), now));
        // The Job that was refused is there now.
        let runs = RestoreRecord { state: RestoreState::Ready, problem: None, since: None, ..status.clone() };
        let ended = outcome(world, job, now, plan);
        return match ended.map(|end| if claim.mode.is_block() { of_device(world, job, end) } else { end }) {
            Some((state, problem, result)) => write(RestoreRecord { state, problem, result, ..runs }, plan),
            None => write(runs, plan),
        };
    }
    // A pod may be seen before its Job is: nothing of it is taken for an earlier restore's, and taken back.
    if job.is_none() && status.is_some_and(RestoreRecord::is_begun) && has_pod(world, &name) {
        return;
    }
    match answer(world, asker.clone(), &claim.namespace, text, now, plan) {
        Ok(restore) => {
            if let Some(record) = start(world, restore, status, now, plan) {
                write(bounded(world, record, (status, RestoreState::Refused), now, plan), plan);
            }
        }
        Err(NotYet::Told(answer)) => {
            write(bounded(world, *answer, (status, RestoreState::Refused), now, plan), plan);
        }
        Err(NotYet::HoldersUnknown) => {}
    }
}

/// Starts what it is decided to start, and gives what is to be written down: first that it is decided, so that copies
/// wait, and then why the API server refuses it, until there was time enough.
fn start(
    world: &World,
    restore: Restore,
    status: Option<&RestoreRecord>,
    now: Timestamp,
    plan: &mut Restores,
) -> Option<RestoreRecord> {
    let (decided, before) = (restore.record(), status.filter(|s| s.is_begun()));
    if let Some(problem) = full(world, &restore, before.is_some(), plan) {
        let (state, problem) = (RestoreState::Waiting, Some(problem));
        return Some(RestoreRecord { state, problem, point: None, target: None, ..decided });
    }
    plan.started.insert((restore.namespace.clone(), restore.job()));
    let since = before.and_then(|s| s.since).filter(|since| *since <= now);
    let told = before.filter(|s| s.point == decided.point && s.target == decided.target);
    let Some(told) = told else { return Some(RestoreRecord { since, ..decided }) };
    let refused = world.memory.refused_restores.get(restore.asker.uid());
    if let Some((_, problem)) = refused.filter(|(request, _)| *request == restore.text) {
        return Some(RestoreRecord { state: RestoreState::Refused, problem: Some(problem.clone()), ..decided });
    }
    // Who has just begun knows of none, and goes by what was told.
    let fault = world.memory.restore_faults.get(restore.asker.uid()).or(told.problem.as_ref()).cloned();
    let Some(fault) = fault else {
        plan.step(RestoreAction::Start(Box::new(restore)));
        return None;
    };
    let since = since.unwrap_or(now);
    let limit = &world.config.deadlines.copy_start;
    let until = limit.after(since);
    if now >= until {
        let message = format!("the restore did not start within {limit} (deadlines.copyStart): {}", fault.message);
        let problem = Some(Problem::new(fault.reason, message));
        return Some(RestoreRecord { state: RestoreState::Failed, problem, ..decided });
    }
    plan.wake_at(until);
    plan.step(RestoreAction::Start(Box::new(restore)));
    Some(RestoreRecord { state: RestoreState::Waiting, problem: Some(fault), since: Some(since), ..decided })
}

/// Why a restore waits for others in its namespace: each is a pod of ours, and an annotation is quickly written (S8).
///
/// One that is not decided yet waits for those that are too. Of those that are, each waits for Jobs alone: so they never
/// wait for each other.
fn full(world: &World, restore: &Restore, is_decided: bool, plan: &Restores) -> Option<Problem> {
    let (namespace, own) = (restore.namespace.as_str(), restore.job());
    let mut others: BTreeSet<String> = asked::running(world, namespace).map(str::to_owned).collect();
    others.extend(plan.started.iter().filter(|(of, _)| of == namespace).map(|(_, job)| job.clone()));
    if !is_decided {
        let begun = asked::asking(world).filter(|c| c.namespace == namespace).filter_map(|claim| {
            let text = claim.settings.get(names::RESTORE_FROM)?;
            let status = asked::record(claim, text).filter(|s| s.is_begun() && !asked::is_anothers(world, s));
            status.map(|_| names::restore_job(&claim.source(), text))
        });
        others.extend(begun);
    }
    others.remove(&own);
    let limit = world.config.restores.max_per_namespace;
    let message =
        || format!("{} restores run in namespace {namespace} (restores.maxPerNamespace: {limit})", others.len());
    (others.len() >= limit as usize).then(|| Problem::new(Reason::WaitingForSlot, message()))
}

/// How a restore ended.
type End = (RestoreState, Option<Problem>, Option<RestoreResult>);

/// How a restore Job ended; nothing while it has not.
fn outcome(world: &World, job: &Job, now: Timestamp, plan: &mut Restores) -> Option<End> {
    let failed = |problem| Some((RestoreState::Failed, Some(problem), None));
    match ended::ended::<RestoreResult>(world, job, now) {
        Ended::NotYet(again) => {
            if let Some(again) = again {
                plan.wake_at(again);
            }
            None
        }
        Ended::Ask(action) => {
            plan.actions.push(action);
            None
        }
        Ended::Told(told) => Some((told.state, told.problem.clone(), Some(told))),
        Ended::Silent => failed(Problem::new(Reason::JobFailed, "the Job ended without a result")),
        Ended::Failed(problem) => failed(no_folder(world, job, problem)),
    }
}

/// What the kubelet says of a subPath: a restore mounts its volumes read-only, so that nothing is made where nothing is.
fn no_folder(world: &World, job: &Job, problem: Problem) -> Problem {
    let lacks = |pod: &Pod| pod.stuck.as_ref().is_some_and(|stuck| stuck.no_folder);
    if problem.reason != Reason::PodNotStarted || !world.pods_of(job).any(lacks) {
        return problem;
    }
    let words = "the disk has no folder of this restore point, or a link is in its place";
    Problem::new(Reason::NoRestorePoint, format!("{words}: {}", problem.message))
}

/// The last pod alone was heard, and may have written nothing where one before it did: then the device is not what it
/// was, whatever the last one says.
fn of_device(world: &World, job: &Job, (state, problem, result): End) -> End {
    if state == RestoreState::Complete || !may_have_written(world, job) {
        return (state, problem, result);
    }
    let state = RestoreState::Failed;
    let mut problem = problem.unwrap_or_else(|| Problem::new(Reason::RestoreFailed, "the restore did not finish"));
    // Who wrote himself says so.
    if !result.as_ref().is_some_and(RestoreResult::has_written) {
        let words = "the device may contain a mixture of old and new data; run the restore again";
        problem.message = format!("{}; {words}", problem.message.trim_end_matches('.'));
    }
    let result = result.map(|result| RestoreResult { state, problem: Some(problem.clone()), ..result });
    (state, Some(problem), result)
}

/// Whether any pod of a restore Job wrote, as far as it is known: one that ran and did not say, or is gone, may have.
fn may_have_written(world: &World, job: &Job) -> bool {
    let pods: Vec<&Pod> = world.pods_of(job).collect();
    let wrote = |pod: &&Pod| match &pod.ended {
        Some((_, told)) => serde_json::from_str::<RestoreResult>(told).map_or(true, |told| told.has_written()),
        None => pod.started,
    };
    pods.len() < job.failed || pods.iter().any(wrote)
}
