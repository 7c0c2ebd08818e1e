//! Who asks for a restore, and what does it.

use crate::facts::{Claim, Job, JobState, Ours};
use crate::names::{self, Component};
use crate::world::World;

/// The PVCs that ask for a restore.
pub(super) fn asking(world: &World) -> impl Iterator<Item = &Claim> {
    world.asking.iter().filter_map(|(namespace, name)| world.claims.get(namespace, name))
}

/// Whether a PVC asks this installation: its namespace is selected, and no other installation has the record on it
/// (F94). A Deployment says whom it asks by its label.
pub(super) fn is_for_us(world: &World, claim: &Claim) -> bool {
    let recorded = claim.shown.as_ref().map(|s| &s.instance).filter(|recorded| !recorded.is_empty());
    world.config.selection.namespaces.matches(&claim.namespace)
        && recorded.is_none_or(|recorded| *recorded == world.instance)
}

pub(super) fn is(ours: Option<&Ours>, world: &World, component: Component) -> bool {
    ours.is_some_and(|o| o.instance == world.instance && o.component == component)
}

/// The restore Job of that name: beside the PVC that asks, or in our own namespace.
pub(super) fn job<'a>(world: &'a World, namespace: &str, name: &str) -> Option<&'a Job> {
    let restores = |j: &&Job| is(j.ours.as_ref(), world, Component::Restore);
    let here = world.jobs.get(namespace, name).filter(restores);
    here.or_else(|| world.jobs.get(&world.namespace, name).filter(restores))
}

/// The Jobs that restore into a namespace and have not ended: beside their target, or in our own namespace.
pub(super) fn running<'a>(world: &'a World, namespace: &'a str) -> impl Iterator<Item = &'a str> {
    let here = world.jobs.within(namespace).filter(|j| is(j.ours.as_ref(), world, Component::Restore));
    let lent = asking(world).filter(move |claim| claim.namespace == namespace).filter_map(|claim| {
        let name = names::restore_job(&claim.source(), claim.settings.get(names::RESTORE_FROM)?);
        job(world, &world.namespace, &name)
    });
    here.chain(lent).filter(|j| j.state == JobState::Active).map(|j| j.id.name.as_str())
}

/// Whether a Job of that name has a pod in our own namespace.
pub(super) fn has_pod(world: &World, job: &str) -> bool {
    world.pods.within(&world.namespace).any(|p| p.job == job)
}
