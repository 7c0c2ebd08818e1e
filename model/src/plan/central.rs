//! Central copies and drills: the snapshot is reached once more from the controller's namespace, and read there.
//!
//! A second content over the same snapshot, a VolumeSnapshot that names it, a PVC from that, the Job; and taken away
//! in the reverse order. Each step follows from what is there, so whoever comes after a crash goes on.
//!
//! A copy and a drill of one run share none of it: each one's objects go when its own end is recorded, so neither has
//! to know who else might need them. To share would save nothing: a repository admits one of them at a time.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::action::{Action, Central, CentralPart, Todo};
use super::central_parts::Parts;
use super::subject::{RunView, Subject, is_for};
use super::task_record::{drilled, drills_on};
use crate::config::{Deadlines, Destination};
use crate::facts::{Claim, ClaimPhase, Identity, Job, VolumeMode};
use crate::maintain::Task;
use crate::names::{self, DrillOf, Run, SourceId};
use crate::next_copy::{newest_wanted, retried};
use crate::promoter::PromoterShape;
use crate::reason::{Problem, Reason};
use crate::world::World;

/// What comes next on the way to a Job.
#[derive(Debug, PartialEq)]
pub(super) enum Step<P> {
    /// A part is made.
    Make(P),
    /// Look again at the time.
    Wait(Problem, Timestamp),
    /// All is there, and a pod gets this of it.
    Job(VolumeMode),
}

/// The next step; an error ends the copy or drill.
fn next(
    parts: &Parts<'_>,
    waits_for_consumer: bool,
    deadlines: &Deadlines,
    now: Timestamp,
) -> Result<Step<CentralPart>, Problem> {
    let lost = |what: &str| Err(Problem::new(Reason::PromoterLost, what.to_owned()));
    if parts.terminating() {
        return lost("the volume or snapshot made for it in the controller's namespace is being deleted");
    }
    if parts.content.is_none() {
        return Ok(Step::Make(CentralPart::Content));
    }
    let Some(snapshot) = parts.snapshot else { return Ok(Step::Make(CentralPart::Snapshot)) };
    if !snapshot.ready && parts.promoter.is_none() {
        let until = deadlines.snapshot_ready.after(snapshot.created);
        let name = &snapshot.id.name;
        if now < until {
            let message = format!("VolumeSnapshot {name} in the controller's namespace is not ready yet");
            return Ok(Step::Wait(Problem::new(Reason::WaitingForPromoter, message), until));
        }
        let why = snapshot.error.as_ref().map(|e| format!(": {e}")).unwrap_or_default();
        let within = deadlines.snapshot_ready;
        let message = format!(
            "VolumeSnapshot {name} in the controller's namespace was not ready within {within} \
             (deadlines.snapshotReady){why}"
        );
        return Err(Problem::new(Reason::SnapshotNotReady, message));
    }
    let Some(promoter) = parts.promoter else { return Ok(Step::Make(CentralPart::Promoter)) };
    match promoter.phase {
        ClaimPhase::Lost => lost("the promoter in the controller's namespace lost its volume before it was read"),
        ClaimPhase::Bound => Ok(Step::Job(promoter.mode)),
        ClaimPhase::Pending if waits_for_consumer => Ok(Step::Job(promoter.mode)),
        ClaimPhase::Pending => {
            let until = deadlines.promoter_bound.after(promoter.created);
            let name = &promoter.id.name;
            if now < until {
                let message = format!("PVC {name} in the controller's namespace is not bound yet");
                return Ok(Step::Wait(Problem::new(Reason::WaitingForPromoter, message), until));
            }
            let within = deadlines.promoter_bound;
            let message = format!(
                "PVC {name} in the controller's namespace was not bound within {within} (deadlines.promoterBound)"
            );
            Err(Problem::new(Reason::PromoterNotBound, message))
        }
    }
}

/// Volumes of this class are deleted with their PVCs, so central copies leave none behind.
pub(super) fn not_retained(world: &World, class: &str) -> Result<(), Problem> {
    if world.classes.storage.get(class).is_some_and(|c| c.retained) {
        let message =
            format!("StorageClass {class} has reclaimPolicy Retain, so the volume of each central copy would stay");
        return Err(Problem::new(Reason::VolumeRetained, message));
    }
    Ok(())
}

/// How the promoter has to be: as the source's own ones are.
fn shape(wanted: &Wanted<'_>) -> Result<PromoterShape, Problem> {
    if let Some(protection) = wanted.subject.protection {
        return Ok(protection.promoter.shape.clone());
    }
    // The source is gone, or not protected any more: its last promoter tells.
    let told = wanted.view.promoter.and_then(|p| {
        Some(PromoterShape {
            storage_class: p.class.clone()?,
            read_only: p.read_only,
            mode: p.mode,
            journal: p.journal(),
            annotations: BTreeMap::new(),
        })
    });
    told.ok_or_else(|| {
        let message = "the PVC and its promoter are gone, so the StorageClass for a new promoter is unknown";
        Problem::new(Reason::WrongStorageClass, message)
    })
}

/// A run that is read from the controller's namespace.
pub(super) struct Wanted<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) source: &'a SourceId,
    pub(super) view: &'a RunView<'a>,
    pub(super) destination: &'a Destination,
    /// The minute for which it is due, if it is for a drill.
    pub(super) drill: Option<&'a Run>,
}

impl Wanted<'_> {
    /// The name of all that is made for it.
    pub(super) fn name(&self) -> String {
        let (instance, run, to) = (&self.subject.world.instance, self.view.run, &self.destination.name);
        match self.drill {
            None => names::central(instance, self.source, run, to),
            Some(due) => names::central_drill(instance, self.source, DrillOf { due, run }, to),
        }
    }

    /// The next step. An error ends the copy or drill.
    pub(super) fn next(&self) -> Result<Step<Box<Central>>, Problem> {
        let (world, now, view) = (self.subject.world, self.subject.now, self.view);
        let shape = shape(self)?;
        let class = world.classes.storage.get(&shape.storage_class);
        not_retained(world, &shape.storage_class)?;
        let Some(content) = view.snapshot.content.clone() else {
            let message = "the snapshot is not bound to a VolumeSnapshotContent";
            return Err(Problem::new(Reason::SourceSnapshotLost, message));
        };
        let name = self.name();
        let parts = Parts::of(world, &name);
        let part = match next(&parts, class.is_some_and(|c| c.waits_for_consumer), &world.config.deadlines, now)? {
            Step::Make(part) => part,
            Step::Wait(problem, until) => return Ok(Step::Wait(problem, until)),
            Step::Job(mode) => return Ok(Step::Job(mode)),
        };
        let live = world.claim_of(&self.source.uid);
        let capacity = |claim: Option<&Claim>| claim.map_or(0, |c| c.capacity);
        let bytes = view.snapshot.restore_size.max(capacity(live)).max(capacity(view.promoter));
        Ok(Step::Make(Box::new(Central {
            part,
            name,
            source: self.source.clone(),
            run: self.drill.unwrap_or(view.run).clone(),
            destination: self.destination.name.clone(),
            task: self.drill.map(|_| Task::Drill),
            snapshot: view.snapshot.id.clone(),
            content,
            volume: live.and_then(|c| c.volume.clone()),
            promoter: PromoterShape { mode: parts.mode(view.snapshot), ..shape }.sized(bytes),
        })))
    }
}

/// Takes away what central copies and drills of a source left that ended, or that nobody wants any more. What it waits
/// for too long comes first, with the time since which that is so.
pub(super) fn take_away(subject: &Subject<'_>, copies: &[&Job]) -> (Option<(Timestamp, Problem)>, Todo) {
    let &Subject { world, uid, status, ref runs, now, .. } = subject;
    let (mut waiting, mut todo) = (None, Todo::none());
    for name in world.belongings(uid).into_iter().flat_map(|b| &b.central) {
        let parts = Parts::of(world, name);
        let Some((ours, run, destination)) =
            parts.ours().and_then(|o| Some((o, o.run.as_ref()?, o.destination.as_ref()?)))
        else {
            continue;
        };
        // Since when it is of no use.
        let ended = if ours.task.is_some() {
            if drills_on(subject, destination, run) || is_mounted(subject, name) {
                continue;
            }
            drilled(status, destination, run)
        } else {
            let snapshot = runs.iter().find(|r| r.run == run);
            let result = snapshot.and_then(|r| r.record.results.get(destination));
            let central = world.config.destination(destination).is_some_and(Destination::is_central);
            if central && snapshot.is_some() && (result.is_none() || is_retried(subject, run, destination)) {
                continue;
            }
            if snapshot.is_none() {
                let message = format!("run {run} to {destination}: its snapshot was deleted before the copy ended");
                waiting = parts.since().map(|since| (since, Problem::new(Reason::SourceSnapshotLost, message)));
            }
            // The Job goes first: it reads the promoter.
            if copies.iter().any(|j| j.namespace == world.namespace && is_for(j, run, destination)) {
                continue;
            }
            result.map(|r| r.finished)
        };
        todo.actions.extend(last(&parts).map(|(part, id)| Action::TakeAway { part, id, uid: uid.to_owned() }));
        if let Some(ended) = ended {
            let until = world.config.deadlines.promoter_bound.after(ended);
            if now < until {
                todo = todo.and(Todo::again(until));
            } else {
                let what = if ours.task.is_some() { "the drill of run" } else { "the copy of run" };
                let message = format!(
                    "{name} in the controller's namespace was made for {what} {run} and is not deleted yet: check its \
                     events (kubectl describe)"
                );
                waiting = Some((ended, Problem::new(Reason::InUse, message)));
            }
        }
    }
    (waiting, todo)
}

/// U1: whether a copy that failed is tried again: what it is made from is needed.
fn is_retried(subject: &Subject<'_>, run: &Run, destination: &String) -> bool {
    let newest = newest_wanted(subject.runs.iter().map(|r| &*r.record), destination).filter(|r| r.run == *run);
    newest.is_some_and(|r| retried(r, destination).is_some())
        && subject.protection.is_some_and(|p| p.destinations.contains(destination))
}

/// Whether a Job of the source in our own namespace mounts a PVC.
fn is_mounted(subject: &Subject<'_>, claim: &String) -> bool {
    subject.jobs().any(|job| job.namespace == subject.world.namespace && job.mounts.contains(claim))
}

/// The part that is deleted next. Each waits until the one before is gone: a volume may need its snapshot.
fn last(parts: &Parts<'_>) -> Option<(CentralPart, Identity)> {
    let (part, id, going) = match parts {
        Parts { promoter: Some(claim), .. } => (CentralPart::Promoter, &claim.id, claim.terminating),
        Parts { volume: Some(_), .. } => return None,
        Parts { snapshot: Some(snapshot), .. } => (CentralPart::Snapshot, &snapshot.id, snapshot.terminating),
        Parts { content, .. } => content.map(|c| (CentralPart::Content, &c.id, c.terminating))?,
    };
    (!going).then(|| (part, id.clone()))
}
