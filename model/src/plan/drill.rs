//! What a drill needs: a copy, the snapshot that it was made from, and that snapshot's promoter.

use k8s_openapi::jiff::Timestamp;

use super::copy::{self, RunView};
use super::{Action, Plan, Promote, disk, restore};
use crate::config::{Destination, Sample, Scratch};
use crate::facts::{Claim, ClaimPhase, Job, VolumeMode};
use crate::names::Run;
use crate::reason::{Problem, Reason};
use crate::record::CopyState;
use crate::select::Protection;
use crate::world::World;

/// A copy and what it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drill {
    /// The run that is restored.
    pub run: Run,
    /// In a restic repository: the snapshot that has the run's data, if the copy told.
    pub snapshot: Option<String>,
    /// The PVC that has what was copied.
    pub promoter: String,
    /// What the pod gets of it.
    pub mode: VolumeMode,
    /// How much is restored.
    pub sample: Sample,
    /// Where to.
    pub scratch: Scratch,
    /// Whether an empty volume is as it should be.
    pub accept_empty: bool,
    /// Whether the pod needs the `SELinux` type `spc_t` to read the promoter.
    pub spc_no_relabeling: bool,
}

/// What is asked for.
pub(super) struct Ask<'a> {
    pub(super) world: &'a World,
    pub(super) claim: &'a Claim,
    pub(super) destination: &'a Destination,
    pub(super) protection: &'a Protection,
    pub(super) due: &'a Run,
    pub(super) now: Timestamp,
}

/// What comes next on the way to a drill.
pub(super) enum Step {
    /// Something is awaited.
    Wait,
    /// This is done before: it is admitted as the drill itself is, for a clone may cost as much as what it is made from.
    First(Action),
    /// The drill, and the node that it has to run on if there is only one.
    Start(Drill, Option<String>),
}

/// A promoter, or what is done before there is one.
type Promoter<'a> = Result<&'a Claim, Step>;

impl Ask<'_> {
    /// The next step. An error is final for this time.
    pub(super) fn resolve(&self, plan: &mut Plan) -> Result<Step, Problem> {
        let Some(rules) = &self.destination.drill else { return Ok(Step::Wait) };
        let runs = copy::runs(self.world, &self.claim.id.uid);
        // Without one the drill is done when there is one.
        let Some(view) = runs.iter().rev().find(|v| self.fits(v)) else { return Ok(Step::Wait) };
        let promoter = match self.promoter(view, plan)? {
            Ok(promoter) => promoter,
            Err(before) => return Ok(before),
        };
        let node = if self.destination.is_remote() {
            None
        } else {
            let Ok(disk) = disk::ready(self.world, self.destination, &self.claim.namespace, self.now, plan) else {
                return Ok(Step::Wait);
            };
            copy::common_nodes(self.world, promoter, disk).map_err(|m| Problem::new(Reason::NodeConflict, m))?
        };
        let result = view.snapshot.copies.get(&self.destination.name);
        let drill = Drill {
            run: view.run.clone(),
            snapshot: result.and_then(|r| r.snapshot.clone()),
            promoter: promoter.id.name.clone(),
            mode: promoter.mode,
            sample: rules.sample,
            scratch: rules.scratch.clone(),
            accept_empty: self.protection.accept_empty,
            spc_no_relabeling: self.protection.promoter.spc_no_relabeling,
        };
        Ok(Step::Start(drill, node))
    }

    /// Whether a run has a copy there, and can still be compared with its snapshot.
    fn fits(&self, view: &RunView<'_>) -> bool {
        let copied = view.snapshot.copies.get(&self.destination.name).is_some_and(|c| c.state == CopyState::Complete);
        copied && view.snapshot.ready && !view.snapshot.terminating
    }

    /// The run's promoter; made again if it is gone.
    fn promoter<'a>(&self, view: &RunView<'a>, plan: &mut Plan) -> Result<Promoter<'a>, Problem> {
        let (snapshot, shape) = (view.snapshot, &self.protection.promoter);
        let Some(promoter) = view.promoter.filter(|p| !p.terminating) else {
            // One that is going has the name still.
            if self.world.claims.get(&snapshot.namespace, &snapshot.id.name).is_some() {
                return Ok(Err(Step::Wait));
            }
            let hold = restore::hold(self.world, &snapshot.namespace, Some(&snapshot.id.name), self.now);
            if let Some(step) = hold.step {
                return Ok(Err(Step::First(step)));
            }
            return Ok(Err(Step::First(Action::Promote(Box::new(Promote {
                asker: None,
                source: self.claim.source(),
                run: view.run.clone(),
                snapshot: snapshot.id.name.clone(),
                bytes: snapshot.restore_size.max(self.claim.capacity),
                storage_class: shape.storage_class.clone(),
                read_only: shape.read_only,
                mode: shape.mode,
                journal: shape.journal,
                annotations: shape.annotations.clone(),
            })))));
        };
        match promoter.phase {
            ClaimPhase::Bound => Ok(Ok(promoter)),
            ClaimPhase::Pending if shape.waits_for_consumer => Ok(Ok(promoter)),
            ClaimPhase::Pending => {
                let wait = self.world.config.deadlines.promoter_bound;
                let until = wait.after(promoter.created.max(self.due.time()));
                if self.now < until {
                    plan.wake_at(Some(until));
                    return Ok(Err(Step::Wait));
                }
                let message = format!("PVC {} did not bind in {wait}", promoter.id.name);
                Err(Problem::new(Reason::PromoterNotBound, message))
            }
            ClaimPhase::Lost => {
                let message = format!("the promoter {} lost its volume", promoter.id.name);
                Err(Problem::new(Reason::PromoterLost, message))
            }
        }
    }
}

/// Sees that what a drill compares with is not rotated away between two tries of its Job.
pub(super) fn hold(world: &World, job: &Job, now: Timestamp, plan: &mut Plan) {
    let mounted = |name: &String| world.claims.get(&job.namespace, name)?.from_snapshot.clone();
    if let Some(snapshot) = job.mounts.iter().find_map(mounted) {
        restore::hold(world, &job.namespace, Some(&snapshot), now).add_to(plan);
    }
}
