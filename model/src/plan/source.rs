//! The plan of one source: its CronJob, its copies, its record.

use k8s_openapi::jiff::Timestamp;

use super::action::{Plan, Proof, Standing};
use super::{copy, cronjob, ledger, maintain, status};
use crate::facts::{Claim, Namespace};
use crate::maintain::TaskState;
use crate::reason::{Problem, Reason};
use crate::record::Status;
use crate::select::{self, Input, Origins, Protection, Verdict};
use crate::world::World;

/// Judges a PVC by the state of the cluster.
#[must_use]
pub fn verdict(world: &World, claim: &Claim) -> Verdict {
    explain(world, claim).0
}

/// Judges a PVC by the state of the cluster, and names the places that decided.
#[must_use]
pub fn explain(world: &World, claim: &Claim) -> (Verdict, Origins) {
    let Some(namespace) = world.namespaces.get("", &claim.namespace) else {
        let problem = Problem::new(Reason::NamespaceTerminating, "the namespace is gone");
        return (Verdict::Unprotected(problem, Vec::new()), Origins { selected: None, settings: None });
    };
    judge(world, claim, namespace)
}

fn judge(world: &World, claim: &Claim, namespace: &Namespace) -> (Verdict, Origins) {
    select::explain(&Input {
        claim,
        namespace,
        volume: claim.volume.as_ref().and_then(|v| world.volumes.get("", v)),
        from_our_snapshot: from_our_snapshot(world, claim),
        classes: &world.classes,
        config: &world.config,
    })
}

/// Whether the PVC was made from a snapshot of ours: its lineage, whatever its labels say.
#[must_use]
pub fn from_our_snapshot(world: &World, claim: &Claim) -> bool {
    claim
        .from_snapshot
        .as_ref()
        .and_then(|name| world.snapshots.get(&claim.namespace, name))
        .is_some_and(|s| s.ours.as_ref().is_some_and(|o| o.instance == world.instance))
}

/// What to do about the source with a UID, at the time `now`. `install` is the fingerprint of the
/// installation: images, templates and the like, which CronJobs follow too.
#[must_use]
pub fn plan(world: &World, uid: &str, now: Timestamp, install: &str) -> Plan {
    let mut plan = Plan::new();
    let claim = world.claim_of(uid);
    let verdict = claim.map(|c| verdict(world, c));
    let protection = match &verdict {
        Some(Verdict::Protected(protection, _)) => Some(&**protection),
        _ => None,
    };
    cronjob::plan(world, uid, claim, verdict.as_ref(), now, install, &mut plan);
    let waiting = copy::plan(world, uid, protection, now, &mut plan);
    let Some((claim, verdict)) = claim.zip(verdict.as_ref()) else {
        maintain::clear(world, uid, &mut plan);
        ledger::of_vanished(world, uid, now, &mut plan);
        return plan;
    };
    let tasks = maintain::plan(world, claim, protection, now, &mut plan);
    let news = status::News { waiting, tasks };
    let record = ledger::of_source(world, claim, verdict, news, now, &mut plan);
    plan.standing = match verdict {
        Verdict::Protected(protection, _) => {
            let failure = record.failure.as_ref().map(|f| f.problem.reason);
            Standing::Protected(record.good.clone(), failure, proofs(world, protection, &record))
        }
        Verdict::Unprotected(problem, _) => Standing::Unprotected(problem.reason),
    };
    plan
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
