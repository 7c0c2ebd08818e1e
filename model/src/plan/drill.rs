//! What a drill needs: a copy, the snapshot that it was made from, and that snapshot's promoter.

use super::action::{Action, CentralPart, Drill, Promote, RestoreAction, Todo};
use super::central_parts::drills;
use super::placement::common_nodes;
use super::prepared::prepared;
use super::subject::{RunView, Subject};
use super::{central, disk, hold};
use crate::config::{self, Destination};
use crate::facts::{Claim, ClaimPhase, Job, VolumeMode};
use crate::names::{self, Component, DrillOf, Run, SourceId};
use crate::reason::{Problem, Reason};
use crate::record::CopyState;
use crate::select::Protection;

/// What is asked for.
pub(super) struct Ask<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) claim: &'a Claim,
    pub(super) destination: &'a Destination,
    pub(super) protection: &'a Protection,
    pub(super) due: &'a Run,
}

/// What comes next on the way to a drill.
pub(super) enum Step {
    /// Something is awaited.
    Wait,
    /// This is done before: it is admitted as the drill itself is, for a clone may cost as much as what it is made from.
    First(Action),
    /// This follows, in the slot of what was done first.
    Then(Action),
    /// The drill, and the node that it has to run on if there is only one.
    Start(Drill, Option<String>),
}

/// The next step, and what is to be done besides. An error is final for this time.
type Next = Result<(Step, Todo), Problem>;

fn waits(todo: Todo) -> (Step, Todo) {
    (Step::Wait, todo)
}

/// The promoter that a copy is compared with.
enum Promoter<'a> {
    /// It is there.
    Ready(&'a Claim),
    /// This comes before it.
    After(Box<(Step, Todo)>),
}

impl Promoter<'_> {
    fn after(next: (Step, Todo)) -> Self {
        Self::After(Box::new(next))
    }
}

impl Ask<'_> {
    /// The next step.
    pub(super) fn resolve(&self) -> Next {
        let Some(rules) = &self.destination.drill else { return Ok(waits(Todo::none())) };
        let &Subject { world, uid, ref runs, now, .. } = self.subject;
        if self.destination.is_central() {
            return self.central(rules);
        }
        // The one that a promoter was made for, or else the newest. Without one the drill is done when there is one.
        let made = prepared(world, uid, self.destination).map(|(promoter, _)| promoter);
        let is_made = |v: &&RunView<'_>| v.promoter.map(|p| &p.id) == made.map(|p| &p.id);
        let mut fit = runs.iter().rev().filter(|v| self.fits(v));
        let view = if made.is_some() { fit.find(is_made) } else { fit.next() };
        let Some(view) = view else { return if made.is_some() { Err(lost()) } else { Ok(waits(Todo::none())) } };
        // Before a promoter is made that would wait for it.
        let disk = match disk::ready(world, self.destination, &self.claim.namespace, now) {
            Ok(disk) => disk,
            Err(not) => return Ok(waits(not.todo)),
        };
        let promoter = match self.promoter(view)? {
            Promoter::Ready(promoter) => promoter,
            Promoter::After(next) => return Ok(*next),
        };
        let node = disk.map_or(Ok(None), |disk| common_nodes(world, promoter, disk))?;
        let drill = self.drill(rules, view, promoter.id.name.clone(), promoter.mode);
        Ok((Step::Start(drill, node), Todo::none()))
    }

    /// The drill of a run, compared with a promoter.
    fn drill(&self, rules: &config::Drill, view: &RunView<'_>, promoter: String, mode: VolumeMode) -> Drill {
        let result = view.record.results.get(&self.destination.name);
        Drill {
            run: view.run.clone(),
            snapshot: result.and_then(|r| r.snapshot.clone()),
            promoter,
            mode,
            sample: rules.sample,
            scratch: rules.scratch.clone(),
            accept_empty: self.protection.accept_empty,
            spc_no_relabeling: self.protection.promoter.spc_no_relabeling,
        }
    }

    /// The next step of a drill in the controller's namespace, with a promoter that is made there for it alone.
    fn central(&self, rules: &config::Drill) -> Next {
        let &Subject { world, uid, ref runs, .. } = self.subject;
        let refused = world.memory.refused_drills.get(uid).and_then(|of| of.get(&self.destination.name));
        if let Some((_, problem)) = refused.filter(|(due, _)| due == self.due) {
            return Err(problem.clone());
        }
        let source = self.claim.source();
        let wanted = |view| central::Wanted {
            subject: self.subject,
            source: &source,
            view,
            destination: self.destination,
            drill: Some(self.due),
        };
        let mut begun = drills(world, uid, self.destination);
        let view = match begun.next() {
            // A newer copy may have come meanwhile: it is left to the next drill.
            Some((name, due)) if due == self.due => {
                let view = runs.iter().find(|v| self.fits(v) && wanted(v).name() == *name);
                view.ok_or_else(lost)?
            }
            // What was made for an earlier drill goes first.
            Some(_) => return Ok(waits(Todo::none())),
            None => match runs.iter().rev().find(|v| self.fits(v)) {
                Some(view) => view,
                None => return Ok(waits(Todo::none())),
            },
        };
        let wanted = wanted(view);
        let step = wanted.next()?;
        let hold = || {
            let snapshot = &view.snapshot;
            hold::hold(world, &snapshot.namespace, Some(&snapshot.id.name), self.subject.now)
        };
        Ok(match step {
            central::Step::Make(made) if made.part == CentralPart::Content => {
                (Step::First(Action::MakeCentral(made)), Todo::none())
            }
            central::Step::Make(made) => (Step::Then(Action::MakeCentral(made)), hold()),
            central::Step::Wait(_, until) => (Step::Wait, hold().and(Todo::again(until))),
            central::Step::Job(mode) => (Step::Start(self.drill(rules, view, wanted.name(), mode), None), hold()),
        })
    }

    /// Whether a run has a copy there, and can still be compared with its snapshot.
    fn fits(&self, view: &RunView<'_>) -> bool {
        let copied = view.record.results.get(&self.destination.name).is_some_and(|c| c.state == CopyState::Complete);
        copied && view.snapshot.ready && !view.snapshot.terminating
    }

    /// The run's promoter; made again if it is gone.
    fn promoter<'a>(&self, view: &RunView<'a>) -> Result<Promoter<'a>, Problem> {
        let (snapshot, promoters) = (view.snapshot, &self.protection.promoter);
        let Some(promoter) = view.promoter.filter(|p| !p.terminating) else {
            // One that is going has the name still.
            if self.subject.world.claims.get(&snapshot.namespace, &snapshot.id.name).is_some() {
                return Ok(Promoter::after(waits(Todo::none())));
            }
            let hold = hold::hold(self.subject.world, &snapshot.namespace, Some(&snapshot.id.name), self.subject.now);
            if let Some(step) = hold.actions.into_iter().next() {
                return Ok(Promoter::after((Step::First(step), Todo::none())));
            }
            let promote = RestoreAction::Promote(Box::new(Promote {
                asker: None,
                drill: Some((self.destination.name.clone(), self.due.clone())),
                source: self.claim.source(),
                run: view.run.clone(),
                snapshot: snapshot.id.name.clone(),
                spec: promoters.shape.clone().sized(snapshot.restore_size.max(self.claim.capacity)),
            }));
            return Ok(Promoter::after((Step::First(Action::Restore(promote)), Todo::none())));
        };
        match promoter.phase {
            ClaimPhase::Bound => Ok(Promoter::Ready(promoter)),
            ClaimPhase::Pending if promoters.waits_for_consumer => Ok(Promoter::Ready(promoter)),
            ClaimPhase::Pending => {
                let wait = self.subject.world.config.deadlines.promoter_bound;
                let until = wait.after(promoter.created.max(self.due.time()));
                if self.subject.now < until {
                    return Ok(Promoter::after(waits(Todo::again(until))));
                }
                let message = format!("PVC {} was not bound within {wait} (deadlines.promoterBound)", promoter.id.name);
                Err(Problem::new(Reason::PromoterNotBound, message))
            }
            ClaimPhase::Lost => {
                let message = format!("the promoter {} lost its volume", promoter.id.name);
                Err(Problem::new(Reason::PromoterLost, message))
            }
        }
    }
}

/// The end of a drill that has begun with a run that is none any more.
fn lost() -> Problem {
    Problem::new(Reason::SourceSnapshotLost, "the snapshot of the copy was deleted before the drill ended")
}

/// A drill that has its slot and cannot start yet: it waits, but not for ever, for others wait for it (law 5).
pub(super) fn wait(subject: &Subject<'_>, destination: &Destination) -> Result<Todo, Problem> {
    let &Subject { world, uid, now, .. } = subject;
    let Some((promoter, due)) = prepared(world, uid, destination) else { return Ok(Todo::none()) };
    let bound = world.config.deadlines.copy;
    let until = bound.after(promoter.created.max(due.time()));
    if now < until {
        return Ok(Todo::again(until));
    }
    let message = format!(
        "the drill could not start within {bound} (deadlines.copy): a restore had priority, or its network, disk or \
         promoter was not ready"
    );
    Err(Problem::new(Reason::DeadlineExceeded, message))
}

/// Sees that what a drill compares with is not rotated away between two tries of its Job.
pub(super) fn hold(subject: &Subject<'_>, source: &SourceId, job: &Job) -> Todo {
    let &Subject { world, ref runs, now, .. } = subject;
    let mounted = |name: &String| world.claims.get(&job.namespace, name).filter(|c| c.from_snapshot.is_some());
    let Some(promoter) = job.mounts.iter().find_map(mounted) else { return Todo::none() };
    // A central promoter is made from a snapshot of its own, which nobody rotates: the source's is behind it.
    let central = promoter.ours.as_ref().filter(|o| o.component == Component::Central);
    let snapshot = match central.and_then(|o| Some((o.run.as_ref()?, o.destination.as_ref()?))) {
        None => promoter.from_snapshot.clone(),
        Some((due, to)) => {
            let name =
                |v: &&RunView<'_>| names::central_drill(&world.instance, source, DrillOf { due, run: v.run }, to);
            runs.iter().find(|v| name(v) == promoter.id.name).map(|v| v.snapshot.id.name.clone())
        }
    };
    hold::hold(world, &source.namespace, snapshot.as_deref(), now)
}
