//! From the text that asks to a restore that can be made, or to what is written down instead.

use k8s_openapi::jiff::Timestamp;

use super::alias;
use super::holders::holding;
use super::obstacle::Obstacle;
use super::resolve::{Ask, Found};
use super::withdrawn;
use crate::duration::Span;
use crate::facts::{Holder, Identity};
use crate::names;
use crate::plan::action::{Asker, Restore, RestoreAction, Restores, point_name};
use crate::plan::hold::hold;
use crate::reason::{Problem, Reason};
use crate::record::{Holders, RestoreRecord, RestoreState};
use crate::restore::Request;
use crate::world::World;

/// Why no restore is made of what is asked for.
pub(super) enum NotYet {
    /// This is written down: it is refused, or waits.
    Told(Box<RestoreRecord>),
    /// It is not known yet who holds the target.
    HoldersUnknown,
}

/// How long the list of a namespace's pods may take before it is told. Usually it is there within a second.
const LISTING: Span = Span::from_secs(30);

/// Law 5: what to tell if the pods of a namespace are not listed in time, because the API server refuses it or does not
/// answer. The restore waits for them, and its wait has a deadline.
fn unlisted(world: &World, namespace: &str, now: Timestamp, plan: &mut Restores) -> Option<Problem> {
    let since = world.memory.unlisted.get(namespace).copied().filter(|since| *since <= now).unwrap_or(now);
    let until = LISTING.after(since);
    if now < until {
        plan.wake_at(until);
        return None;
    }
    let message = format!(
        "the controller cannot list the pods of namespace {namespace} since {since}, so nobody knows whether one of them \
         mounts the volume; the log of the controller names the cause"
    );
    Some(Problem::new(Reason::MountStateUnknown, message))
}

/// The restore that a text asks for.
pub(super) fn answer(
    world: &World,
    asker: Asker,
    namespace: &str,
    text: &str,
    now: Timestamp,
    plan: &mut Restores,
) -> Result<Restore, NotYet> {
    let told = |state, problem| NotYet::Told(Box::new(record(text, state, Some(problem))));
    let request: Request = text.parse().map_err(|e: crate::restore::RequestError| {
        told(RestoreState::Refused, Problem::new(Reason::InvalidRequest, e.to_string()))
    })?;
    // What the API server refused is tried again, and meanwhile told.
    let fault = world.memory.restore_faults.get(asker.uid());
    let ask = Ask { world, asker: &asker, namespace, request: &request, now };
    let found = ask.resolve().and_then(|found| match found.origin.target_volume() {
        Some(_) => alias::free(world, &found.target, &names::restore_job(&found.target, text)).map(|()| found),
        None => Ok(found),
    });
    match found {
        Ok(Found { target, mode, point, origin, spc_no_relabeling }) => {
            plan.namespaces.insert(namespace.to_owned());
            plan.add(hold(world, namespace, Some(&point_name(&point)), now));
            // Until all pods of the namespace are known, nobody knows who holds the target.
            let Some(known) = world.holders.get(namespace).filter(|s| s.synced()) else {
                let problem = unlisted(world, namespace, now, plan);
                return Err(problem.map_or(NotYet::HoldersUnknown, |problem| told(RestoreState::Waiting, problem)));
            };
            let own = names::restore_job(&target, text);
            if matches!(asker, Asker::Claim(_)) && withdrawn::is_before(world, &target, known, &own) {
                let message = format!("an earlier restore into PVC {} is being ended", target.name);
                return Err(told(RestoreState::Waiting, Problem::new(Reason::TargetInUse, message)));
            }
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
        Err(Obstacle::Refused(problem)) => Err(told(RestoreState::Refused, problem)),
        Err(Obstacle::Waiting(problem)) => Err(told(RestoreState::Waiting, problem)),
        Err(Obstacle::Promote(promote)) => {
            plan.add(hold(world, namespace, Some(&promote.snapshot), now));
            let message = format!("the promoter of {} is being created again", promote.snapshot);
            plan.step(RestoreAction::Promote(promote));
            let problem = fault.cloned().unwrap_or_else(|| Problem::new(Reason::WaitingForPromoter, message));
            Err(told(RestoreState::Waiting, problem))
        }
    }
}

pub(super) fn record(text: &str, state: RestoreState, problem: Option<Problem>) -> RestoreRecord {
    RestoreRecord::new(names::run_now_mark(text), state, problem)
}
