//! The plan of one source: its CronJob, its copies, its record.

use k8s_openapi::jiff::Timestamp;

use super::action::{Plan, Proof, Protected, Standing};
use super::copy::Copies;
use super::cronjob::IsRendered;
use super::subject::{Subject, verdict};
use super::{copy, cronjob, ledger, maintain, removal, status};
use crate::maintain::TaskState;
use crate::reason::Reason;
use crate::record::Status;
use crate::select::{Protection, Verdict};
use crate::world::World;

/// What to do about the source with a UID, at the time `now`. Whether its CronJob is in force is asked of who renders it.
#[must_use]
pub fn plan(world: &World, uid: &str, now: Timestamp, is_rendered: &mut IsRendered<'_>) -> Plan {
    let claim = world.claim_of(uid);
    let verdict = claim.map(|c| verdict(world, c));
    let subject = Subject::of(world, uid, verdict.as_ref(), now);
    let todo = cronjob::plan(&subject, claim.zip(verdict.as_ref()), is_rendered);
    let Copies { waiting, findings, todo: copies } = copy::plan(&subject);
    let todo = todo.and(copies);
    let Some((claim, verdict)) = claim.zip(verdict.as_ref()) else {
        let tasks = maintain::clear(&subject);
        let ledger = ledger::of_vanished(&subject, findings);
        return Plan::new(Standing::Vanished, todo.and(tasks).and(ledger));
    };
    let todo = todo.and(removal::stop(&subject));
    let (tasks, maintained) = maintain::plan(&subject, claim);
    let news = status::News { waiting, tasks };
    let (record, ledger) = ledger::of_source(world, claim, verdict, (news, findings), now);
    let standing = match verdict {
        Verdict::Protected(protection, _) => {
            let failure = record.failure.as_ref().map(|f| f.problem.reason);
            Standing::Protected(Protected {
                good: record.good.clone(),
                failure,
                degraded: degraded(protection, &record),
                proofs: proofs(world, protection, &record),
            })
        }
        Verdict::Unprotected(problem, _) => Standing::Unprotected(problem.reason),
    };
    Plan::new(standing, todo.and(maintained).and(ledger))
}

/// U1: the wanted destinations without a good copy in time, and those with a copy that is not what it must be.
fn degraded(protection: &Protection, record: &Status) -> Vec<(String, Reason)> {
    let reason = |name: &String| {
        let unwell = record.wanted.get(name).and_then(|wanted| wanted.failure.as_ref()).map(|f| f.problem.reason);
        let spoilt = || {
            let maintenance = record.maintenance.get(name).filter(|m| m.healed.is_none())?;
            maintenance.findings().find_map(|(_, found)| found.problem.as_ref()).map(|problem| problem.reason)
        };
        unwell.or_else(spoilt)
    };
    protection.destinations.iter().filter_map(|name| Some((name.clone(), reason(name)?))).collect()
}

/// What the drills of a protected source say, at each destination that has them.
fn proofs(world: &World, protection: &Protection, record: &Status) -> Vec<Proof> {
    let configured = protection.destinations.iter().filter_map(|name| world.config.destination(name));
    let drilled = configured.filter(|d| d.drill.is_some());
    drilled
        .map(|destination| {
            let maintenance = record.maintenance.get(&destination.name);
            let newest = maintenance.and_then(|m| m.drill.as_ref());
            Proof {
                destination: destination.name.clone(),
                proven: maintenance.and_then(|m| m.proven.as_ref()).map(|p| p.finished),
                failed: newest.is_some_and(|n| n.state == TaskState::Failed),
            }
        })
        .collect()
}
