//! Who holds the volumes that restores write.

use k8s_openapi::jiff::Timestamp;

use super::alias;
use crate::duration::Span;
use crate::facts::{Holder, Identity, RestorePod};
use crate::plan::action::{RestoreAction, Restores};
use crate::record::{HOLDERS_STALE, Holders};
use crate::world::{Store, World};

/// The most restore pods of a tenant's namespace that are told, and the most names that each is told. A tenant's Deployment
/// may have any number of pods, and each is one request every half minute, with the names of all others (S11).
const TOLD: usize = 20;

/// The pods that have a PVC's volume and have not ended, but one: those of its namespace, and ours to which it is lent.
pub(super) fn holding(
    world: &World,
    namespace: &str,
    pods: &Store<Holder>,
    claim: &str,
    but: &Identity,
) -> Vec<String> {
    let here = pods.iter().filter(|p| !p.ended && p.id.uid != but.uid && p.claims.iter().any(|c| c == claim));
    let lent = alias::writers(world, namespace, claim, &but.name);
    here.map(|p| p.id.name.clone()).chain(lent).take(TOLD).collect()
}

/// Tells the restore pods of a namespace who else holds their targets: when that changes, and again before they
/// would doubt it.
pub(super) fn tell(world: &World, namespace: &str, now: Timestamp, plan: &mut Restores) {
    let Some(pods) = world.holders.get(namespace).filter(|s| s.synced()) else { return };
    let is_ours = |r: &&RestorePod| r.instance == world.instance;
    let restores = pods.iter().filter(|p| !p.ended);
    let mut restores: Vec<_> = restores.filter_map(|p| Some((p, p.restore.as_ref().filter(is_ours)?))).collect();
    if namespace != world.namespace {
        restores.sort_by_key(|(pod, restore)| (restore.created, &pod.id.name));
        restores.truncate(TOLD);
    }
    for (pod, restore) in restores {
        // Only in our own namespace a pod writes another one's volume.
        let lent = restore.namespace.as_deref().filter(|_| namespace == world.namespace);
        let of = lent.unwrap_or(namespace);
        let Some(beside) = world.holders.get(of).filter(|s| s.synced()) else { continue };
        let holders = holding(world, of, beside, &restore.target, &pod.id);
        let again = restore.told.as_ref().map(|told| Span::from_secs(HOLDERS_STALE / 4).after(told.at));
        match (again, &restore.told) {
            (Some(again), Some(told)) if told.pods == holders && now < again => plan.wake_at(again),
            _ => plan.step(RestoreAction::TellHolders {
                namespace: namespace.to_owned(),
                pod: pod.id.clone(),
                holders: Holders { at: now, pods: holders },
            }),
        }
    }
}
