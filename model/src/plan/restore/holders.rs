//! Who holds the volumes that restores write.

use k8s_openapi::jiff::Timestamp;

use super::Restores;
use crate::duration::Span;
use crate::facts::Holder;
use crate::plan::Action;
use crate::record::{HOLDERS_STALE, Holders};
use crate::world::World;

/// The pods that mount a PVC and have not ended, but one.
pub(super) fn holding<'a>(pods: impl Iterator<Item = &'a Holder>, claim: &str, but: &str) -> Vec<String> {
    pods.filter(|p| !p.ended && p.id.uid != but && p.claims.iter().any(|c| c == claim))
        .map(|p| p.id.name.clone())
        .collect()
}

/// Tells the restore pods of a namespace who else holds their targets: when that changes, and again before they
/// would doubt it.
pub(super) fn tell(world: &World, namespace: &str, now: Timestamp, plan: &mut Restores) {
    let Some(pods) = world.holders.get(namespace).filter(|s| s.synced()) else { return };
    for pod in pods.iter().filter(|p| !p.ended) {
        let Some(restore) = pod.restore.as_ref().filter(|r| r.instance == world.instance) else { continue };
        let holders = holding(pods.iter(), &restore.target, &pod.id.uid);
        let again = restore.told.as_ref().map(|told| Span::from_secs(HOLDERS_STALE / 4).after(told.at));
        match (again, &restore.told) {
            (Some(again), Some(told)) if told.pods == holders && now < again => plan.wake_at(again),
            _ => plan.actions.push(Action::TellHolders {
                namespace: namespace.to_owned(),
                pod: pod.id.clone(),
                holders: Holders { at: now, pods: holders },
            }),
        }
    }
}
