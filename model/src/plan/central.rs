//! Central copies and drills: the snapshot is reached once more from the controller's namespace, and read there.
//!
//! A second content over the same snapshot, a VolumeSnapshot that names it, a PVC from that, the Job; and taken away
//! in the reverse order. Each step follows from what is there, so whoever comes after a crash goes on.
//!
//! A copy and a drill of one run share none of it: each one's objects go when its own end is recorded, so neither has
//! to know who else might need them. To share would save nothing: a repository admits one of them at a time.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::access::online;
use super::action::{Action, Central, Part, Plan};
use super::copy::Request;
use super::maintain;
use super::placement::slot;
use super::subject::{RunView, is_for, runs};
use crate::admit::{Rank, Slot, Waiting};
use crate::config::{Deadlines, Destination};
use crate::facts::{Claim, ClaimPhase, Content, Identity, Job, Journal, Ours, Snapshot, VolumeMode};
use crate::maintain::Task;
use crate::names::{self, Component, Run, SourceId};
use crate::reason::{Problem, Reason};
use crate::select::Protection;
use crate::world::World;

/// What of a central copy or drill is there.
#[derive(Debug, Clone, Copy, Default)]
struct Parts<'a> {
    content: Option<&'a Content>,
    snapshot: Option<&'a Snapshot>,
    promoter: Option<&'a Claim>,
    volume: Option<&'a String>,
}

impl<'a> Parts<'a> {
    fn of(world: &'a World, name: &str) -> Self {
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
    fn ours(&self) -> Option<&'a Ours> {
        let content = self.content.and_then(|c| c.ours.as_ref());
        let snapshot = || self.snapshot.and_then(|s| s.ours.as_ref());
        content.or_else(snapshot).or_else(|| self.promoter.and_then(|p| p.ours.as_ref()))
    }

    /// Since when the oldest of them has been there.
    fn since(&self) -> Option<Timestamp> {
        let content = self.content.map(|c| c.created);
        content.or_else(|| self.snapshot.map(|s| s.created)).or_else(|| self.promoter.map(|p| p.created))
    }

    /// What pods get of the promoter, once there is one. The driver's side knows it best, and no tenant writes that: a
    /// device that is mounted as a filesystem hands its bytes to the node's kernel.
    fn mode(&self, source: &Snapshot) -> VolumeMode {
        let content = self.content.and_then(|c| c.mode);
        self.promoter.map(|p| p.mode).or(content).unwrap_or(source.mode)
    }

    fn terminating(&self) -> bool {
        self.content.is_some_and(|c| c.terminating)
            || self.snapshot.is_some_and(|s| s.terminating)
            || self.promoter.is_some_and(|p| p.terminating)
    }
}

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
) -> Result<Step<Part>, Problem> {
    let lost = |what: &str| Err(Problem::new(Reason::PromoterLost, what.to_owned()));
    if parts.terminating() {
        return lost("the volume or snapshot made for it in the controller's namespace is being deleted");
    }
    if parts.content.is_none() {
        return Ok(Step::Make(Part::Content));
    }
    let Some(snapshot) = parts.snapshot else { return Ok(Step::Make(Part::Snapshot)) };
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
    let Some(promoter) = parts.promoter else { return Ok(Step::Make(Part::Promoter)) };
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
struct Shape {
    class: String,
    read_only: bool,
    journal: Journal,
    annotations: BTreeMap<String, String>,
}

impl Shape {
    fn of(wanted: &Wanted<'_>) -> Result<Self, Problem> {
        if let Some(protection) = wanted.protection {
            let promoter = &protection.promoter;
            let (class, annotations) = (promoter.storage_class.clone(), promoter.annotations.clone());
            return Ok(Self { class, read_only: promoter.read_only, journal: promoter.journal, annotations });
        }
        // The source is gone, or not protected any more: its last promoter tells.
        let told = wanted.view.promoter.and_then(|p| Some((p.class.clone()?, p.read_only, p.journal())));
        let Some((class, read_only, journal)) = told else {
            let message = "the PVC and its promoter are gone, so the StorageClass for a new promoter is unknown";
            return Err(Problem::new(Reason::WrongStorageClass, message));
        };
        Ok(Self { class, read_only, journal, annotations: BTreeMap::new() })
    }
}

/// A run that is read from the controller's namespace.
pub(super) struct Wanted<'a> {
    pub(super) world: &'a World,
    pub(super) source: &'a SourceId,
    pub(super) view: &'a RunView<'a>,
    pub(super) protection: Option<&'a Protection>,
    pub(super) destination: &'a Destination,
    /// The minute for which it is due, if it is for a drill.
    pub(super) drill: Option<&'a Run>,
}

impl Wanted<'_> {
    /// The name of all that is made for it.
    pub(super) fn name(&self) -> String {
        let (instance, run, to) = (&self.world.instance, self.view.run, &self.destination.name);
        match self.drill {
            None => names::central(instance, self.source, run, to),
            Some(due) => names::central_drill(instance, self.source, due, run, to),
        }
    }

    /// The next step. An error ends the copy or drill.
    pub(super) fn next(&self, now: Timestamp) -> Result<Step<Box<Central>>, Problem> {
        let (world, view) = (self.world, self.view);
        let shape = Shape::of(self)?;
        let class = world.classes.storage.get(&shape.class);
        not_retained(world, &shape.class)?;
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
            bytes: view.snapshot.restore_size.max(capacity(live)).max(capacity(view.promoter)),
            storage_class: shape.class,
            read_only: shape.read_only,
            mode: parts.mode(view.snapshot),
            journal: shape.journal,
            annotations: shape.annotations,
        })))
    }
}

/// Whether anything is there from which a run's central copy is made.
pub(super) fn begun(world: &World, uid: &str, view: &RunView<'_>, destination: &str) -> bool {
    let Some(claim) = view.snapshot.claim.clone() else { return false };
    let source = SourceId { namespace: view.snapshot.namespace.clone(), name: claim, uid: uid.to_owned() };
    let name = names::central(&world.instance, &source, view.run, destination);
    world.belongings(uid).is_some_and(|b| b.central.contains(&name))
}

/// The drills of a source at a destination for which something is there: the name of that, and for when they were due.
pub(super) fn drills<'a>(
    world: &'a World,
    uid: &str,
    destination: &'a str,
) -> impl Iterator<Item = (&'a String, &'a Run)> {
    let names = world.belongings(uid).into_iter().flat_map(|b| &b.central);
    names.filter_map(move |name| {
        let ours = Parts::of(world, name).ours().filter(|o| o.task == Some(Task::Drill))?;
        (ours.destination.as_deref() == Some(destination)).then_some((name, ours.run.as_ref()?))
    })
}

/// Takes the next step of a central copy.
///
/// # Errors
/// The outer one is what is waited for; the inner one is why there will be no copy.
pub(super) fn start(
    request: &Request<'_>,
    destination: &Destination,
    now: Timestamp,
    plan: &mut Plan,
) -> Result<Result<(), Problem>, Problem> {
    let (world, source, view) = (request.world, &request.source, request.view);
    let wanted = Wanted { world, source, view, protection: request.protection, destination, drill: None };
    let step = match wanted.next(now) {
        Ok(step) => step,
        Err(problem) => return Ok(Err(problem)),
    };
    online(world, &world.namespace)?;
    match step {
        Step::Wait(problem, until) => {
            plan.wake_at(Some(until));
            return Err(problem);
        }
        // The first part takes the slot; the others follow in it.
        Step::Make(made) if made.part == Part::Content => {
            let slot = slot(destination, &source.namespace, &source.uid, None);
            let (source, run) = (source.clone(), view.run.clone());
            let waiting = Waiting { rank: Rank::Copy, source, run, since: view.snapshot.created, slot };
            plan.ready.push((waiting, Action::MakeCentral(made)));
        }
        Step::Make(made) => plan.actions.push(Action::MakeCentral(made)),
        Step::Job(mode) => {
            plan.actions.push(Action::StartCopy(Box::new(request.copy(destination, wanted.name(), mode, now))));
        }
    }
    Ok(Ok(()))
}

/// Takes away what central copies and drills of a source left that ended, or that nobody wants any more. What it waits
/// for too long comes back, with the time since which that is so.
pub(super) fn take_away(
    world: &World,
    uid: &str,
    runs: &[RunView<'_>],
    copies: &[&Job],
    protection: Option<&Protection>,
    now: Timestamp,
    plan: &mut Plan,
) -> Option<(Timestamp, Problem)> {
    let mut waiting = None;
    for name in world.belongings(uid).into_iter().flat_map(|b| &b.central) {
        let parts = Parts::of(world, name);
        let Some((ours, run, destination)) =
            parts.ours().and_then(|o| Some((o, o.run.as_ref()?, o.destination.as_ref()?)))
        else {
            continue;
        };
        // Since when it is of no use.
        let ended = if ours.task.is_some() {
            if maintain::drills_on(world, uid, protection, destination, run, now) || is_mounted(world, uid, name) {
                continue;
            }
            maintain::drilled(world, uid, destination, run)
        } else {
            let snapshot = runs.iter().find(|r| r.run == run);
            let result = snapshot.and_then(|r| r.record.results.get(destination));
            let central = world.config.destination(destination).is_some_and(Destination::is_central);
            if central && snapshot.is_some() && result.is_none() {
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
        plan.actions.extend(last(&parts).map(|(part, id)| Action::TakeAway { part, id, uid: uid.to_owned() }));
        if let Some(ended) = ended {
            let until = world.config.deadlines.promoter_bound.after(ended);
            if now < until {
                plan.wake_at(Some(until));
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
    waiting
}

/// Whether a Job of the source in our own namespace mounts a PVC.
fn is_mounted(world: &World, uid: &str, claim: &String) -> bool {
    let jobs = world.belongings(uid).into_iter().flat_map(|b| &b.jobs).filter(|(n, _)| *n == world.namespace);
    jobs.filter_map(|(namespace, name)| world.jobs.get(namespace, name)).any(|job| job.mounts.contains(claim))
}

/// The part that is deleted next. Each waits until the one before is gone: a volume may need its snapshot.
fn last(parts: &Parts<'_>) -> Option<(Part, Identity)> {
    let (part, id, going) = match parts {
        Parts { promoter: Some(claim), .. } => (Part::Promoter, &claim.id, claim.terminating),
        Parts { volume: Some(_), .. } => return None,
        Parts { snapshot: Some(snapshot), .. } => (Part::Snapshot, &snapshot.id, snapshot.terminating),
        Parts { content, .. } => content.map(|c| (Part::Content, &c.id, c.terminating))?,
    };
    (!going).then(|| (part, id.clone()))
}

/// What central copies and drills occupy that have begun and have no Job yet.
pub(super) fn preparing(world: &World) -> impl Iterator<Item = Slot> {
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
        let slot = slot(destination, &source.namespace, &source.uid, None);
        if ours.task.is_some() {
            // A drill says nothing about the destination: it takes no copy's try.
            return maintain::drilled(world, &source.uid, name, run)
                .is_none()
                .then_some(Slot { breaker: None, ..slot });
        }
        let open = |r: &RunView<'_>| r.run == run && !r.record.results.contains_key(name);
        runs(world, &source.uid).iter().any(open).then_some(slot)
    })
}
