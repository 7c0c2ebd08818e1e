//! What is lent for restores: a disk of another namespace that is read, or a target that a restore from a central
//! destination writes from the controller's namespace.
//!
//! What a target needs goes by what is there: a PersistentVolume, a PVC of the Job's name, the Job; and away again in
//! the reverse order, once no PVC asks for it any more. Whoever comes after a crash goes on.

use std::collections::BTreeSet;

use super::asked::{self, asking, has_pod, is, is_for_us};
use super::obstacle::{Obstacle, refused, waiting};
use crate::facts::{Claim, ClaimPhase, Holder, Identity, Volume};
use crate::names::{self, Component, GrantClaim, SourceId};
use crate::plan::action::{Action, AliasPart, RestoreAction};
use crate::reason::Reason;
use crate::world::{Store, World};

/// The alias volumes of a PVC.
fn aliases<'a>(world: &'a World, uid: &'a str) -> impl Iterator<Item = &'a Volume> {
    let volumes = world.grants.iter().filter_map(|name| world.volumes.get("", name));
    volumes.filter(move |v| v.lends.as_deref() == Some(uid))
}

/// The PVC in our own namespace that a restore Job of that name mounts.
fn claim<'a>(world: &'a World, job: &str) -> Option<&'a Claim> {
    world.claims.get(&world.namespace, job).filter(|c| is(c.ours.as_ref(), world, Component::Target))
}

/// The PVCs of ours whose volume is gone: what was lent and taken back beside each other leaves one, which would never
/// be bound.
pub(super) fn orphans(world: &World) -> impl Iterator<Item = &Claim> {
    let of_ours = world.claims.within(&world.namespace).filter(|c| is(c.ours.as_ref(), world, Component::Target));
    let has_volume = |c: &Claim| world.volumes.get("", &names::alias_volume(&world.instance, &c.id.name)).is_some();
    of_ours.filter(move |c| !c.terminating && !has_volume(c))
}

/// Whether a target can be lent to a Job of that name: nobody has it, and what was lent before is back.
///
/// A pod beside the target is told who else has it, and so is one of ours elsewhere. But two mounts from two namespaces
/// are refused by nobody where the driver attaches nothing, so it is not lent at all while a pod has it.
pub(super) fn free(world: &World, target: &SourceId, job: &str) -> Result<(), Obstacle> {
    let pods = world.holders.get(&target.namespace).into_iter().flat_map(Store::iter);
    let holders: Vec<&Holder> = pods.filter(|p| !p.ended && p.claims.contains(&target.name)).collect();
    let names: Vec<&str> = holders.iter().map(|p| p.id.name.as_str()).collect();
    let message = format!("PVC {} is mounted by {}", target.name, names.join(", "));
    if holders.iter().any(|p| !p.ending) {
        return refused(Reason::TargetInUse, message);
    }
    if !holders.is_empty() {
        return waiting(Reason::TargetInUse, format!("{message}, which is terminating"));
    }
    let own = names::alias_volume(&world.instance, job);
    let before = asked::job(world, &world.namespace, job).is_none_or(|j| j.terminating) && has_pod(world, job);
    let used_up = |v: &Volume| v.name != own || v.terminating || v.released;
    let claim = claim(world, job).filter(|c| c.terminating || c.phase == ClaimPhase::Lost);
    if aliases(world, &target.uid).any(used_up) || claim.is_some() || before {
        let message = format!("the alias volume of an earlier restore into PVC {} is removed first", target.name);
        return waiting(Reason::TargetInUse, message);
    }
    Ok(())
}

/// The pods in our own namespace, but one, that have a PVC's volume.
pub(super) fn writers(world: &World, namespace: &str, target: &str, but: &str) -> Vec<String> {
    let Some(uid) = world.claims.get(namespace, target).map(|c| c.id.uid.as_str()) else { return Vec::new() };
    let jobs: BTreeSet<&str> = aliases(world, uid).filter_map(|v| names::alias_job(&world.instance, &v.name)).collect();
    if jobs.is_empty() {
        return Vec::new();
    }
    let pods = world.pods.within(&world.namespace).filter(|p| p.ended.is_none() && p.name != but);
    pods.filter(|p| jobs.contains(p.job.as_str())).map(|p| format!("{}/{}", p.namespace, p.name)).collect()
}

/// The names of the volumes that restores which are ready still need.
fn needed(world: &World) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    // Who is not ours any more is like one who does not ask any more: nobody would look at his Job.
    for claim in asking(world).filter(|c| is_for_us(world, c)) {
        let Some(text) = claim.settings.get(names::RESTORE_FROM) else { continue };
        let mark = names::run_now_mark(text);
        let record = claim.restored.as_ref().filter(|r| r.request == mark);
        // Somebody may have removed the record of one that runs: it is written anew.
        if record.is_none_or(|r| r.is_begun()) {
            let job = names::restore_job(&claim.source(), text);
            let there = GrantClaim { namespace: &claim.namespace, name: &job };
            needed.insert(names::grant_volume(&world.instance, there));
            let home = GrantClaim { namespace: &world.namespace, name: &names::granted_disk(&job) };
            needed.insert(names::grant_volume(&world.instance, home));
            needed.insert(names::alias_volume(&world.instance, &job));
        }
    }
    needed
}

/// Takes back what nobody needs any more.
pub(super) fn take_back(world: &World, actions: &mut Vec<Action>) {
    let needed = needed(world);
    for volume in world.grants.difference(&needed).filter_map(|name| world.volumes.get("", name)) {
        let id = Identity { name: volume.name.clone(), uid: volume.uid.clone(), ..Identity::default() };
        let step = match volume.ours.as_ref().map(|o| o.component) {
            Some(Component::Target) => last(world, volume, id),
            _ => Some(take(AliasPart::Volume(id))),
        };
        actions.extend(step);
    }
    for claim in orphans(world).filter(|c| !needed.contains(&names::alias_volume(&world.instance, &c.id.name))) {
        let job = &claim.id.name;
        if asked::job(world, &world.namespace, job).is_none() && !has_pod(world, job) {
            actions.push(take(AliasPart::Claim(claim.id.clone())));
        }
    }
}

fn take(alias: AliasPart) -> Action {
    Action::Restore(RestoreAction::TakeBack(alias))
}

/// What goes next: each waits until the one before is gone.
fn last(world: &World, volume: &Volume, id: Identity) -> Option<Action> {
    let home = &world.namespace;
    if let Some(name) = names::alias_job(&world.instance, &volume.name) {
        if let Some(job) = asked::job(world, home, name) {
            return Action::delete(job);
        }
        if has_pod(world, name) {
            return None;
        }
        if let Some(claim) = claim(world, name) {
            return (!claim.terminating).then(|| take(AliasPart::Claim(claim.id.clone())));
        }
    }
    (!volume.terminating).then_some(take(AliasPart::Volume(id)))
}
