//! All restores that are asked for.

use k8s_openapi::jiff::Timestamp;

use super::asked::asking;
use super::claim::annotated;
use super::deployment::deployment;
use super::holders::tell;
use super::{alias, withdrawn};
use crate::plan::action::{Action, Restores};
use crate::world::World;

/// What to do about all restores that are asked for, at the time `now`.
#[must_use]
pub fn restores(world: &World, now: Timestamp) -> Restores {
    let mut plan = Restores::default();
    for restorer in world.restorers.iter().filter(|r| !r.terminating) {
        deployment(world, restorer, now, &mut plan);
    }
    for claim in asking(world) {
        annotated(world, claim, now, &mut plan);
    }
    for namespace in plan.namespaces.clone() {
        tell(world, &namespace, now, &mut plan);
    }
    alias::take_back(world, &mut plan.actions);
    for end in withdrawn::jobs(world).filter_map(Action::delete) {
        // What was lent for it may have ended it already.
        if !plan.actions.contains(&end) {
            plan.actions.push(end);
        }
    }
    plan
}

/// Whether a restore is asked for anywhere: if not, nothing needs to be looked at.
#[must_use]
pub fn any(world: &World) -> bool {
    !world.asking.is_empty()
        || !world.grants.is_empty()
        || world.restorers.iter().next().is_some()
        || alias::orphans(world).next().is_some()
        || withdrawn::jobs(world).next().is_some()
}
