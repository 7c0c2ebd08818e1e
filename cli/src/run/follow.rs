//! How far a run got that was asked for. Pure: the world in, new lines out.

use std::collections::BTreeSet;

use model::Timestamp;
use model::duration::took;
use model::facts::{Claim, JobState, Snapshot};
use model::names::{self, Component, Run};
use model::next_copy::shown_state;
use model::record::{CopyState, Failure, RunRecord, Status};
use model::rotate::PointState;
use model::world::World;

use crate::observe::Observed;
use crate::status::Volume;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Until {
    /// The copies at all destinations
    All,
    /// One complete copy
    Any,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Good,
    Failed,
}

/// One PVC's run, as far as it was told.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) name: String,
    namespace: String,
    uid: String,
    /// Runs that were there before.
    known: BTreeSet<Run>,
    /// The failure that was there before.
    failure: Option<Failure>,
    /// The minute in which it was asked for.
    since: Run,
    until: Until,
    /// What the record says once it has started.
    mark: String,
    told: BTreeSet<String>,
    /// The last of it.
    pub(super) last: Option<String>,
    /// Whether the PVC was seen.
    seen: bool,
    pub(super) end: Option<End>,
}

impl Follow {
    pub(super) fn new(observed: &Observed, volume: &Volume, value: &str, until: Until, now: Timestamp) -> Self {
        let world = &observed.world;
        let (name, namespace) = (volume.name.clone(), volume.namespace.clone());
        let claim = world.claims.get(&namespace, &name);
        let mut follow = Self {
            failure: claim.and_then(|c| world.status(&c.id.uid)).and_then(|s| s.failure.clone()),
            uid: volume.uid.clone(),
            known: BTreeSet::new(),
            since: Run::at(now),
            until,
            mark: names::run_now_mark(value),
            told: BTreeSet::new(),
            last: None,
            seen: false,
            end: None,
            name,
            namespace,
        };
        follow.known = follow.runs(world).into_iter().map(|(_, run)| run.clone()).collect();
        follow
    }

    fn runs<'a>(&self, world: &'a World) -> Vec<(&'a Snapshot, &'a Run)> {
        let snapshots = world.snapshots.iter().filter(|s| s.namespace == self.namespace);
        let ours = snapshots.filter_map(|s| Some((s, s.ours.as_ref()?)));
        let ours = ours.filter(|(_, o)| o.instance == world.instance && o.source_uid == self.uid);
        ours.filter_map(|(s, o)| Some((s, o.run.as_ref()?))).collect()
    }

    /// What is new, in lines.
    pub(super) fn step(&mut self, world: &World, now: Timestamp) -> Vec<String> {
        if self.end.is_some() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        let claim = world.claims.get(&self.namespace, &self.name).filter(|c| c.id.uid == self.uid);
        self.seen |= claim.is_some();
        let Some(claim) = claim else {
            if self.seen {
                lines.push("the PVC is gone".to_owned());
                self.end = Some(End::Failed);
            }
            return self.fresh(lines);
        };
        let status = world.status(&claim.id.uid).cloned().unwrap_or_default();
        let new = self.runs(world).into_iter().filter(|(_, run)| !self.known.contains(run) && **run >= self.since);
        match new.min_by_key(|(_, run)| *run) {
            Some((snapshot, run)) => {
                let (snapshot, run) = (snapshot.clone(), run.clone());
                self.taken(world, &snapshot, &run, claim, &status, now, &mut lines);
            }
            None => self.before(&status, &mut lines),
        }
        self.fresh(lines)
    }

    /// Lines that were not told yet.
    fn fresh(&mut self, lines: Vec<String>) -> Vec<String> {
        let fresh: Vec<String> = lines.into_iter().filter(|line| self.told.insert(line.clone())).collect();
        self.last = fresh.last().cloned().or(self.last.take());
        fresh.into_iter().map(|line| format!("{}: {line}", self.name)).collect()
    }

    /// There is no snapshot yet.
    fn before(&mut self, status: &Status, lines: &mut Vec<String>) {
        if status.run_now.as_ref() == Some(&self.mark) {
            lines.push("the run has started".to_owned());
        }
        let Some(failure) = status.failure.as_ref().filter(|f| self.failure.as_ref() != Some(*f)) else { return };
        lines.push(format!("{}. What to do: {}", failure.problem, failure.problem.reason.help()));
        if failure.run.as_ref().is_some_and(|run| *run >= self.since) {
            self.end = Some(End::Failed);
        }
    }

    /// There is one.
    #[allow(clippy::too_many_arguments, reason = "all that is known about one run")]
    fn taken(
        &mut self,
        world: &World,
        snapshot: &Snapshot,
        run: &Run,
        claim: &Claim,
        status: &Status,
        now: Timestamp,
        lines: &mut Vec<String>,
    ) {
        let name = &snapshot.id.name;
        lines.push(format!("run {run}: snapshot {name} is being taken"));
        if snapshot.ready {
            lines.push(format!("snapshot {name} is ready"));
        } else {
            lines.extend(snapshot.error.iter().map(|error| format!("the CSI driver reports an error: {error}")));
        }
        let promoter = world.claims.get(&self.namespace, name);
        if promoter.is_some_and(|p| p.from_snapshot.as_ref() == Some(name)) {
            lines.push(format!("PVC {name} is made from the snapshot: mount it to look into the restore point"));
        }
        self.copies(world, snapshot, run, lines);
        if let Some(waiting) = &status.waiting
            && world.record(snapshot).is_some_and(RunRecord::awaited)
        {
            let remedy = waiting.cause.map(|cause| format!(". What to do: {}", cause.help())).unwrap_or_default();
            lines.push(format!("the copy waits: {waiting}{remedy}"));
        }
        match shown_state(snapshot, world.record(snapshot), &world.config.deadlines, now) {
            PointState::Good => {
                let record = world.record(snapshot).filter(|_| self.until == Until::All);
                match record.map_or(Copied::All, copied) {
                    Copied::All => {
                        lines.push(format!("run {run} is good"));
                        self.end = Some(End::Good);
                    }
                    Copied::NotYet => {}
                    Copied::Not(lacking) => {
                        lines.push(format!(
                            "run {run} is good, but not copied completely to each destination: {lacking}. For the \
                             remedies, run: kubectl backup why {}",
                            claim.id.name
                        ));
                        self.end = Some(End::Failed);
                    }
                }
            }
            PointState::Incomplete | PointState::Unconfirmed | PointState::Unsure => {
                lines.push(format!(
                    "run {run} is not good: no copy of it is complete. For the reasons, run: kubectl backup why {}",
                    claim.id.name
                ));
                self.end = Some(End::Failed);
            }
            PointState::Lost => {
                lines.push(format!(
                    "run {run} failed: snapshot {name} was ready and is not any more. For its events, run: kubectl \
                     describe volumesnapshot {name}"
                ));
                self.end = Some(End::Failed);
            }
            PointState::Dead => {
                lines.push(format!(
                    "run {run} failed: snapshot {name} did not become ready in time. For its events, run: kubectl \
                     describe volumesnapshot {name}"
                ));
                self.end = Some(End::Failed);
            }
            PointState::Unrecorded | PointState::Waiting => {
                let failure = status.failure.as_ref().filter(|f| f.run.as_ref() == Some(run));
                if let Some(failure) = failure.filter(|_| !snapshot.ready) {
                    let help = failure.problem.reason.help();
                    lines.push(format!("run {run} failed: {}. What to do: {help}", failure.problem));
                    self.end = Some(End::Failed);
                }
            }
        }
    }

    fn copies(&self, world: &World, snapshot: &Snapshot, run: &Run, lines: &mut Vec<String>) {
        let copying = world.jobs.iter().filter_map(|job| {
            let ours = job.ours.as_ref().filter(|o| o.component == Component::Copy && o.source_uid == self.uid)?;
            let active = job.state == JobState::Active && ours.run.as_ref() == Some(run);
            ours.destination.as_ref().filter(|_| active)
        });
        lines.extend(copying.map(|destination| format!("the copy to {destination} has started")));
        for (destination, copy) in world.record(snapshot).into_iter().flat_map(|record| &record.results) {
            let size = snapshot.mode.amount(copy.files, "entries", copy.bytes);
            lines.push(match copy.state {
                CopyState::Complete => {
                    let (took, aside) = (took(copy.seconds), copy.lost.aside());
                    format!("the copy to {destination} is complete: {size} in {took}{aside}")
                }
                CopyState::Incomplete => format!("the copy to {destination} is incomplete ({size}): {}", copy.message),
                state => {
                    let help = copy.reason.map(|r| format!(". What to do: {}", r.help())).unwrap_or_default();
                    let end = if state == CopyState::Superseded { "was superseded" } else { "failed" };
                    format!("the copy to {destination} {end}: {}{help}", copy.message)
                }
            });
        }
    }
}

/// How far the copies of a run got, of which one is complete.
enum Copied {
    All,
    NotYet,
    /// These destinations have no complete copy.
    Not(String),
}

/// U1: one complete copy says nothing about the others.
fn copied(record: &RunRecord) -> Copied {
    if record.awaited() {
        return Copied::NotYet;
    }
    let results = record.results.iter().filter(|(name, _)| record.destinations.contains(name));
    let lacking = results.filter(|(_, copy)| copy.state != CopyState::Complete).map(|(name, copy)| match copy.reason {
        Some(reason) => format!("{name} ({reason})"),
        None => format!("{name} ({:?})", copy.state),
    });
    let lacking: Vec<String> = lacking.collect();
    if lacking.is_empty() { Copied::All } else { Copied::Not(lacking.join(", ")) }
}
