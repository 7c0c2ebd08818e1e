//! Who asks for a restore, and what does it.

use crate::facts::{Claim, Job, JobState, Ours};
use crate::names::{self, Component};
use crate::plan::status;
use crate::reason::Reason;
use crate::record::{RestoreRecord, RestoreState};
use crate::restore::Request;
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

/// What became of the restore that a PVC asks for.
pub(super) fn record<'a>(claim: &'a Claim, text: &str) -> Option<&'a RestoreRecord> {
    claim.restored.as_deref().filter(|s| s.request == names::run_now_mark(text))
}

/// A4: whether another installation answered what a PVC asks. One that knows no such restore point may be the wrong one.
pub(super) fn is_anothers(world: &World, record: &RestoreRecord) -> bool {
    record.instance.as_ref().is_some_and(|instance| *instance != world.instance) && !knows_none(record)
}

/// Whether it was refused because there is no such restore point.
pub(super) fn knows_none(record: &RestoreRecord) -> bool {
    let reason = record.problem.as_ref().map(|problem| problem.reason);
    record.state == RestoreState::Refused && reason == Some(Reason::NoRestorePoint)
}

/// A4: whether another installation shows on the PVC that a request names that it backs it up.
pub(super) fn is_of_another(world: &World, namespace: &str, text: &str) -> bool {
    let Ok(request) = text.parse::<Request>() else { return false };
    let source = world.claims.get(request.namespace.as_deref().unwrap_or(namespace), &request.pvc);
    source.is_some_and(|claim| status::is_anothers(world, claim))
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
