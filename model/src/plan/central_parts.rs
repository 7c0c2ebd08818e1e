//! What is there of the objects that central copies and drills are made from.

use k8s_openapi::jiff::Timestamp;

use super::subject::RunView;
use crate::config::Destination;
use crate::facts::{Claim, Content, Ours, Snapshot, VolumeMode};
use crate::maintain::Task;
use crate::names::{self, Component, Run, SourceId};
use crate::world::World;

/// What of a central copy or drill is there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Parts<'a> {
    pub(super) content: Option<&'a Content>,
    pub(super) snapshot: Option<&'a Snapshot>,
    pub(super) promoter: Option<&'a Claim>,
    pub(super) volume: Option<&'a String>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(world: &'a World, name: &str) -> Self {
        let ours = |ours: &Option<Ours>| {
            ours.as_ref().is_some_and(|o| o.instance == world.instance && o.component == Component::Central)
        };
        Self {
            content: world.contents.get("", name).filter(|c| ours(&c.ours)),
            snapshot: world.snapshots.get(&world.namespace, name).filter(|s| ours(&s.ours)),
            promoter: world.claims.get(&world.namespace, name).filter(|c| ours(&c.ours)),
            volume: world.central_volumes.get(name),
        }
    }

    /// The labels of any of them: all have the same.
    pub(super) fn ours(&self) -> Option<&'a Ours> {
        let content = self.content.and_then(|c| c.ours.as_ref());
        let snapshot = || self.snapshot.and_then(|s| s.ours.as_ref());
        content.or_else(snapshot).or_else(|| self.promoter.and_then(|p| p.ours.as_ref()))
    }

    /// Since when the oldest of them has been there.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let content = self.content.map(|c| c.created);
        content.or_else(|| self.snapshot.map(|s| s.created)).or_else(|| self.promoter.map(|p| p.created))
    }

    /// What pods get of the promoter, once there is one. The driver's side knows it best, and no tenant writes that: a
    /// device that is mounted as a filesystem hands its bytes to the node's kernel.
    pub(super) fn mode(&self, source: &Snapshot) -> VolumeMode {
        let content = self.content.and_then(|c| c.mode);
        self.promoter.map(|p| p.mode).or(content).unwrap_or(source.mode)
    }

    pub(super) fn terminating(&self) -> bool {
        self.content.is_some_and(|c| c.terminating)
            || self.snapshot.is_some_and(|s| s.terminating)
            || self.promoter.is_some_and(|p| p.terminating)
    }
}

/// Whether anything is there from which a run's central copy is made.
pub(super) fn begun(world: &World, source: &SourceId, view: &RunView<'_>, destination: &str) -> bool {
    if view.snapshot.claim.is_none() {
        return false;
    }
    let name = names::central(&world.instance, source, view.run, destination);
    world.belongings(&source.uid).is_some_and(|b| b.central.contains(&name))
}

/// The drills of a source at a destination for which something is there: the name of that, and for when they were due.
pub(super) fn drills<'a>(
    world: &'a World,
    uid: &str,
    destination: &'a Destination,
) -> impl Iterator<Item = (&'a String, &'a Run)> {
    let names = world.belongings(uid).into_iter().flat_map(|b| &b.central);
    names.filter_map(move |name| {
        let ours = Parts::of(world, name).ours().filter(|o| o.task == Some(Task::Drill))?;
        (ours.destination.as_ref() == Some(&destination.name)).then_some((name, ours.run.as_ref()?))
    })
}
