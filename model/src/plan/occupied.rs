//! What copies and tasks occupy: those that run, and those that something is made for already.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::ended;
use super::placement::slot;
use super::prepared::is_prepared;
use super::subject::{RunView, is_derived, recorded, runs};
use super::task_record::drilled;
use crate::admit::Slot;
use crate::duration::Span;
use crate::facts::JobState;
use crate::names::{self, Component, SourceId};
use crate::world::World;

/// How long a copy that ended holds its try at a destination that may be down, while its result cannot be recorded.
const UNRECORDED: Span = Span::minutes(5);

/// What the copies and tasks that run now occupy.
pub fn running(world: &World, now: Timestamp) -> impl Iterator<Item = Slot> {
    let jobs = world.jobs.iter().filter(|job| is_derived(world, job)).filter_map(move |job| {
        let ours = job.ours.as_ref()?;
        let destination = world.config.destination(ours.destination.as_deref()?)?;
        let ended = job.ended.is_some_and(|ended| UNRECORDED.after(ended) <= now);
        let open = match ours.component {
            // Until the result of a copy is known, it says nothing about a destination that may be down.
            Component::Copy => destination.breaker(&job.namespace).is_some() && !recorded(world, ours, job) && !ended,
            Component::Maintain => false,
            _ => return None,
        };
        if job.state != JobState::Active && !open {
            return None;
        }
        // S11: its namespace can keep a deleted Job for ever, by a finalizer. Beyond its time it takes nobody's place.
        if job.terminating && ended::runs_until(world, job) <= now {
            return None;
        }
        let node = world.pods_of(job).find_map(|p| p.node.clone());
        let source = world.source_of(&ours.source_uid)?;
        let slot = slot(destination, &source, node);
        // A task says nothing about the destination: it takes no copy's try.
        let breaker = slot.breaker.clone().filter(|_| ours.component == Component::Copy);
        Some(Slot { breaker, begun: Some(job.created), ..slot })
    });
    jobs.chain(central(world)).chain(drills(world))
}

/// When the first of these gives its place free at the latest, whatever its Job says, if that is still to come.
#[must_use]
pub fn frees(world: &World, running: &[Slot], now: Timestamp) -> Option<Timestamp> {
    running.iter().filter_map(|slot| Some(ended::latest_end(world, slot.begun?))).filter(|end| *end > now).min()
}

/// What central copies and drills occupy that have begun and have no Job yet.
fn central(world: &World) -> impl Iterator<Item = Slot> {
    world.contents.iter().filter_map(|content| {
        let ours = content.ours.as_ref();
        let ours = ours.filter(|o| o.instance == world.instance && o.component == Component::Central)?;
        let (run, name) = (ours.run.as_ref()?, ours.destination.as_deref()?);
        let destination = world.config.destination(name).filter(|d| d.is_central())?;
        let source = SourceId {
            namespace: content.source_namespace.clone()?,
            name: content.source_name.clone()?,
            uid: ours.source_uid.clone(),
        };
        let job = match ours.task {
            None => names::copy_job(&source, run, name),
            Some(task) => names::maintain_job(&source, task, run, name),
        };
        if content.terminating || world.jobs.get(&world.namespace, &job).is_some() {
            return None;
        }
        let slot = slot(destination, &source, None);
        if ours.task.is_some() {
            // A drill says nothing about the destination: it takes no copy's try.
            return drilled(world.status(&source.uid), name, run).is_none().then_some(Slot { breaker: None, ..slot });
        }
        let open = |r: &RunView<'_>| r.run == run && !r.record.results.contains_key(name);
        runs(world, &source.uid).iter().any(open).then_some(slot)
    })
}

/// What drills occupy whose promoter was made again and that have no Job yet: one slot for each.
fn drills(world: &World) -> impl Iterator<Item = Slot> {
    let promoters = world.drill_promoters.iter().filter_map(|(namespace, name)| world.claims.get(namespace, name));
    let drills: BTreeSet<(SourceId, &str)> = promoters
        .filter_map(|p| {
            let source = world.claim_of(&p.ours.as_ref()?.source_uid)?.source();
            Some((source, is_prepared(world, p)?.0.name.as_str()))
        })
        .collect();
    drills.into_iter().filter_map(|(source, destination)| {
        // A drill says nothing about the destination: it takes no copy's try.
        let slot = slot(world.config.destination(destination)?, &source, None);
        Some(Slot { breaker: None, ..slot })
    })
}
