//! Restores that a Deployment asks for: it becomes a restore pod.

use k8s_openapi::jiff::Timestamp;

use super::answer::{NotYet, answer, record};
use super::patience::bounded;
use crate::facts::Restorer;
use crate::names;
use crate::plan::action::{Asker, RestoreAction, Restores};
use crate::plan::hold::hold;
use crate::reason::{Problem, Reason};
use crate::record::{RestoreRecord, RestoreState};
use crate::world::{Store, World};

/// A Deployment that asks.
pub(super) fn deployment(world: &World, restorer: &Restorer, now: Timestamp, plan: &mut Restores) {
    let asker = Asker::Deployment(restorer.id.clone());
    let text = restorer.request.clone().unwrap_or_default();
    let status = restorer.status.as_ref().filter(|s| s.request == names::run_now_mark(&text));
    let settled = status.filter(|s| matches!(s.state, RestoreState::Ready | RestoreState::Failed));
    if let Some(settled) = settled {
        if settled.state == RestoreState::Ready {
            plan.namespaces.insert(restorer.namespace.clone());
            keep(world, restorer, settled, now, plan);
        }
        return;
    }
    let answer = answer(world, asker.clone(), &restorer.namespace, &text, now, plan);
    match answer {
        Ok(restore) => {
            let fault = world.memory.restore_faults.get(restorer.id.uid.as_str());
            let told = fault.map(|f| bounded(world, waits(&text, f), (status, RestoreState::Failed), now, plan));
            let is_over = told.as_ref().is_some_and(|told| told.state == RestoreState::Failed);
            if let Some(told) = told.filter(|told| status != Some(told)) {
                let (asker, namespace) = (restore.asker.clone(), restore.namespace.clone());
                plan.step(RestoreAction::Record { asker, namespace, record: Box::new(told), stop: false });
            }
            if !is_over {
                plan.step(RestoreAction::Prepare(Box::new(restore)));
            }
        }
        Err(NotYet::Told(answer)) => {
            // What is refused is answered anew when something changes; only a failure ends the asking.
            let answer = bounded(world, *answer, (status, RestoreState::Failed), now, plan);
            if status != Some(&answer) {
                let namespace = restorer.namespace.clone();
                plan.step(RestoreAction::Record { asker, namespace, record: Box::new(answer), stop: false });
            }
        }
        Err(NotYet::HoldersUnknown) => {}
    }
}

/// A restore pod that is there, or may come: its restore point stays, and it does not stay for ever. One that is never
/// made, because a quota is used up or nobody starts it, has its time too: copies wait for it (A5).
fn keep(world: &World, restorer: &Restorer, status: &RestoreRecord, now: Timestamp, plan: &mut Restores) {
    plan.add(hold(world, &restorer.namespace, status.point.as_deref(), now));
    let max_age = &world.config.restores.max_age;
    let pods = world.holders.get(&restorer.namespace).into_iter().flat_map(Store::iter);
    let of_this = pods.filter(|p| !p.ended && is_of(&p.id.name, &restorer.id.name));
    let made = of_this.filter_map(|p| p.restore.as_ref()).map(|r| r.created).min();
    let Some(since) = made.or(status.since) else { return };
    let until = max_age.after(since);
    if now < until {
        return plan.wake_at(until);
    }
    let message = format!("the restore pod was stopped after {max_age} (restores.maxAge), because copies wait for it");
    let mut ended = status.clone();
    ended.state = RestoreState::Failed;
    ended.problem = Some(Problem::new(Reason::DeadlineExceeded, message));
    plan.step(RestoreAction::Record {
        asker: Asker::Deployment(restorer.id.clone()),
        namespace: restorer.namespace.clone(),
        record: Box::new(ended),
        stop: true,
    });
}

/// Whether a pod has the name that a Deployment's pods have: its own, a hash and five characters.
fn is_of(pod: &str, deployment: &str) -> bool {
    let rest = pod.strip_prefix(deployment).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| rest.split('-').count() == 2)
}

/// What the API server refused, as something that is awaited: it is tried again.
fn waits(text: &str, fault: &Problem) -> RestoreRecord {
    record(text, RestoreState::Waiting, Some(fault.clone()))
}
