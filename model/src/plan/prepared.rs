//! Promoters that were made again for drills.

use super::subject::verdict;
use crate::config::Destination;
use crate::facts::{Claim, Job, Ours};
use crate::maintain::Task;
use crate::names::{Component, Run};
use crate::select::Verdict;
use crate::world::World;

/// The destination of the drill that a promoter was made again for, and for when that was due, as long as it has neither
/// its Job nor its end, and the source is still copied there: a clone may cost as much as the drill itself, so it takes
/// the drill's slot. Whose source looks after it no more has none: nobody would ever end it.
pub(super) fn is_prepared<'a>(world: &'a World, promoter: &'a Claim) -> Option<(&'a Destination, &'a Run)> {
    let ours = promoter.ours.as_ref().filter(|o| o.instance == world.instance && o.component == Component::Promoter)?;
    let (due, name) = (ours.due.as_ref()?, ours.destination.as_ref()?);
    let destination = world.config.destination(name).filter(|d| !d.is_central() && d.is_drilled())?;
    let source = world.claim_of(&ours.source_uid).filter(|c| c.namespace == promoter.namespace)?;
    let Verdict::Protected(protection, _) = verdict(world, source) else { return None };
    let status = world.status(&ours.source_uid).filter(|s| s.protected_since.is_some())?;
    let maintenance = status.maintenance.get(name).filter(|m| m.since.is_some())?;
    let ended = maintenance.drill.as_ref().is_some_and(|newest| newest.due >= *due);
    let jobs = world.belongings(&ours.source_uid).into_iter().flat_map(|b| &b.jobs);
    let is_drill = |o: &Ours| o.task == Some(Task::Drill) && o.destination.as_ref() == Some(name);
    let started = |j: &Job| j.namespace == promoter.namespace && j.ours.as_ref().is_some_and(is_drill);
    let started = jobs.filter_map(|(n, j)| world.jobs.get(n, j)).any(started);
    (!promoter.terminating && !ended && !started && protection.destinations.contains(name))
        .then_some((destination, due))
}

/// The promoter that was made again for a drill of a source which has neither its Job nor its end, and for when that was
/// due.
pub(super) fn prepared<'a>(world: &'a World, uid: &str, destination: &Destination) -> Option<(&'a Claim, &'a Run)> {
    let promoters = world.belongings(uid).into_iter().flat_map(|b| &b.promoters);
    let mut promoters = promoters.filter(|key| world.drill_promoters.contains(*key));
    promoters.find_map(|(namespace, name)| {
        let promoter = world.claims.get(namespace, name)?;
        let (its, due) = is_prepared(world, promoter)?;
        (its.name == destination.name).then_some((promoter, due))
    })
}
