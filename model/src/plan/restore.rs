//! Restores that are asked for: by a Deployment that wants to be a restore pod, or by an annotation on the PVC that
//! is to be written.
//!
//! They are few and urgent. So each is looked at whenever one may have changed, none waits for a limit, and copies
//! wait for the disk that a restore reads.

mod claim;
mod holders;
mod reading;

use k8s_openapi::jiff::Timestamp;

use self::holders::{holding, tell};
pub(super) use self::reading::{is_for_us, reads};
use super::action::{Action, Asker, Origin, Plan, Restore, RestoreAction, Restores, point_name};
use super::lend;
use super::resolve::{Ask, Found, Obstacle};
use crate::duration::Span;
use crate::facts::{Claim, Holder, Identity, Restorer};
use crate::names::{self};
use crate::reason::{Problem, Reason};
use crate::record::{Holders, RestoreRecord, RestoreState};
use crate::restore::Request;
use crate::world::{Store, World};

/// How long a restore holds its snapshot; it is renewed when half of that is left.
const HOLD: u64 = 3600;

impl Restores {
    fn hold(&mut self, hold: Hold) {
        self.actions.extend(hold.step);
        hold.again.into_iter().for_each(|at| self.wake_at(at));
    }
}

/// What to do about all restores that are asked for, at the time `now`.
#[must_use]
pub fn restores(world: &World, now: Timestamp) -> Restores {
    let mut plan = Restores::default();
    for restorer in world.restorers.iter().filter(|r| !r.terminating) {
        deployment(world, restorer, now, &mut plan);
    }
    for claim in asking(world) {
        claim::annotated(world, claim, now, &mut plan);
    }
    for namespace in plan.namespaces.clone() {
        tell(world, &namespace, now, &mut plan);
    }
    lend::take_back(world, &mut plan.actions);
    plan
}

/// The PVCs that ask for a restore.
pub(super) fn asking(world: &World) -> impl Iterator<Item = &Claim> {
    world.asking.iter().filter_map(|(namespace, name)| world.claims.get(namespace, name))
}

/// Whether a restore is asked for anywhere: if not, nothing needs to be looked at.
#[must_use]
pub fn any(world: &World) -> bool {
    !world.asking.is_empty()
        || !world.grants.is_empty()
        || world.restorers.iter().next().is_some()
        || lend::orphans(world).next().is_some()
}

fn record(text: &str, state: RestoreState, problem: Option<Problem>) -> RestoreRecord {
    let request = names::run_now_mark(text);
    RestoreRecord { request, state, problem, point: None, target: None, since: None, result: None }
}

/// What the API server refused, as something that is awaited: it is tried again.
fn waits(text: &str, fault: &Problem) -> RestoreRecord {
    record(text, RestoreState::Waiting, Some(fault.clone()))
}

/// A Deployment that asks.
fn deployment(world: &World, restorer: &Restorer, now: Timestamp, plan: &mut Restores) {
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
            let told = world.restore_faults.get(restorer.id.uid.as_str()).map(|fault| waits(&text, fault));
            if let Some(told) = told.filter(|told| status != Some(told)) {
                let (asker, namespace) = (restore.asker.clone(), restore.namespace.clone());
                plan.step(RestoreAction::Record { asker, namespace, record: Box::new(told), stop: false });
            }
            plan.step(RestoreAction::Prepare(Box::new(restore)));
        }
        Err(Some(answer)) if status != Some(&*answer) => {
            let namespace = restorer.namespace.clone();
            plan.step(RestoreAction::Record { asker, namespace, record: answer, stop: false });
        }
        Err(_) => {}
    }
}

/// A restore pod that is there: its restore point stays, and it does not stay for ever.
fn keep(world: &World, restorer: &Restorer, status: &RestoreRecord, now: Timestamp, plan: &mut Restores) {
    plan.hold(hold(world, &restorer.namespace, status.point.as_deref(), now));
    let max_age = &world.config.restores.max_age;
    let pods = world.holders.get(&restorer.namespace).into_iter().flat_map(Store::iter);
    let of_this = pods.filter(|p| !p.ended && is_of(&p.id.name, &restorer.id.name));
    let Some(since) = of_this.filter_map(|p| p.restore.as_ref()).map(|r| r.created).min() else { return };
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

/// The restore that a text asks for; or what to write down instead, if there is something.
fn answer(
    world: &World,
    asker: Asker,
    namespace: &str,
    text: &str,
    now: Timestamp,
    plan: &mut Restores,
) -> Result<Restore, Option<Box<RestoreRecord>>> {
    let refused = |problem| Some(Box::new(record(text, RestoreState::Refused, Some(problem))));
    let request: Request = text
        .parse()
        .map_err(|e: crate::restore::RequestError| refused(Problem::new(Reason::InvalidRequest, e.to_string())))?;
    // What the API server refused is tried again, and meanwhile told.
    let fault = world.restore_faults.get(asker.uid());
    let ask = Ask { world, asker: &asker, namespace, request: &request, now };
    let found = ask.resolve().and_then(|found| match found.origin {
        Origin::Central { .. } => {
            lend::free(world, &found.target, &names::restore_job(&found.target, text)).map(|()| found)
        }
        _ => Ok(found),
    });
    match found {
        Ok(Found { target, mode, point, origin, spc_no_relabeling }) => {
            plan.namespaces.insert(namespace.to_owned());
            plan.hold(hold(world, namespace, Some(&point_name(&point)), now));
            // Until all pods of the namespace are known, nobody knows who holds the target.
            let known = world.holders.get(namespace).filter(|s| s.synced()).ok_or(None)?;
            let of_target = |p: &&Holder| !p.ended && p.claims.contains(&target.name);
            let node = known.iter().filter(of_target).find_map(|p| p.node.clone());
            let held = holding(world, namespace, known, &target.name, &Identity::default());
            let holders = Holders { at: now, pods: held };
            let text = text.to_owned();
            let namespace = namespace.to_owned();
            Ok(Restore {
                asker,
                namespace,
                request,
                text,
                target,
                mode,
                point,
                origin,
                holders,
                node,
                spc_no_relabeling,
            })
        }
        Err(Obstacle::Refused(problem)) => Err(refused(problem)),
        Err(Obstacle::Waiting(problem)) => Err(Some(Box::new(record(text, RestoreState::Waiting, Some(problem))))),
        Err(Obstacle::Promote(promote)) => {
            plan.hold(hold(world, namespace, Some(&promote.snapshot), now));
            let message = format!("the promoter of {} is being created again", promote.snapshot);
            plan.step(RestoreAction::Promote(promote));
            let problem = fault.cloned().unwrap_or_else(|| Problem::new(Reason::WaitingForPromoter, message));
            Err(Some(Box::new(record(text, RestoreState::Waiting, Some(problem)))))
        }
    }
}

/// What keeps a snapshot from being rotated: the step that holds it, and when to look again.
#[derive(Default)]
pub(super) struct Hold {
    pub(super) step: Option<Action>,
    again: Option<Timestamp>,
}

impl Hold {
    pub(super) fn add_to(self, plan: &mut Plan) {
        plan.actions.extend(self.step);
        plan.wake_at(self.again);
    }
}

/// Sees that a snapshot is not rotated under who reads it. Trees need no hold: copies, which prune, wait.
pub(super) fn hold(world: &World, namespace: &str, point: Option<&str>, now: Timestamp) -> Hold {
    let Some(snapshot) = point.and_then(|name| world.snapshots.get(namespace, name)) else { return Hold::default() };
    let half = Span::from_secs(HOLD / 2).after(now);
    if let Some(hold) = snapshot.hold.filter(|h| h.holds(half)) {
        let half = i64::try_from(HOLD / 2).unwrap_or(0);
        let again = |until: Timestamp| Timestamp::from_second(until.as_second() - half).unwrap_or(until);
        return Hold { step: None, again: hold.until.map(again) };
    }
    let until = Span::from_secs(HOLD).after(now);
    let step = RestoreAction::Hold { namespace: namespace.to_owned(), snapshot: snapshot.id.clone(), until };
    Hold { step: Some(Action::Restore(step)), again: None }
}
