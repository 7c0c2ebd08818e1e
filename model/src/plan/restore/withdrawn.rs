//! Restore Jobs that nobody asks for any more: they end at once, whoever made them and however long ago.

use std::collections::BTreeSet;

use super::asked::{asking, is_for_us};
use crate::facts::{Holder, Job};
use crate::names::{self, SourceId};
use crate::world::{Store, World};

/// A5, A5b: the restore Jobs whose request is gone: its annotation, or the PVC that had it, or another one stands there.
///
/// Found among the Jobs that are there, so also by a controller that has just begun. What was lent for them goes with them.
pub(super) fn jobs(world: &World) -> impl Iterator<Item = &Job> {
    let there = world.restores.iter().filter_map(|(namespace, name)| world.jobs.get(namespace, name));
    let wanted = if world.restores.is_empty() { BTreeSet::new() } else { wanted(world) };
    there.filter(move |job| !job.terminating && !wanted.contains(&job.id.name))
}

/// The names of the Jobs of all requests. One whose request ended is deleted with its record.
fn wanted(world: &World) -> BTreeSet<String> {
    let ours = asking(world).filter(|claim| is_for_us(world, claim));
    ours.filter_map(|claim| Some(names::restore_job(&claim.source(), claim.settings.get(names::RESTORE_FROM)?)))
        .collect()
}

/// Whether a Job of an earlier request, or a pod of one, still has a target: the pod of a new Job would be told of it as of
/// a stranger, and give up. `own` is the Job of the request.
pub(super) fn is_before(world: &World, target: &SourceId, pods: &Store<Holder>, own: &str) -> bool {
    let namespace = target.namespace.as_str();
    let of_namespace = world.restores.iter().filter(|(its, name)| its == namespace && name != own);
    let mut jobs = of_namespace.filter_map(|(namespace, name)| world.jobs.get(namespace, name));
    let has_pod = |holder: &Holder| {
        let its = world.pods.within(namespace).find(|pod| pod.uid == holder.id.uid);
        its.is_some_and(|pod| !pod.job.is_empty() && pod.job != own)
    };
    let mut holders =
        pods.iter().filter(|pod| !pod.ended && pod.restore.is_some() && pod.claims.contains(&target.name));
    jobs.any(|job| job.mounts.contains(&target.name)) || holders.any(has_pod)
}
