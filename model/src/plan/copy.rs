//! A source's copies: which can start, which ended and how, which are lost.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::access::{allowed, online, secret};
use super::action::{Action, CentralPart, Copy, Todo};
use super::central_parts::begun;
use super::ended::{self, Ended};
use super::expected::{Expected, Records, expected};
use super::placement::{binds_on_use, common_nodes, only_node, slot};
use super::subject::{RunView, Subject, is_derived, is_for, snapshots};
use super::{central, disk, restore};
use crate::admit::{Rank, Waiting};
use crate::config::Destination;
use crate::duration::Span;
use crate::facts::{Claim, Job, VolumeMode};
use crate::ledger::{Entry, Finding};
use crate::names::{self, Component, Run, SourceId};
use crate::next_copy::{self, Next, RunFacts};
use crate::reason::{Problem, Reason};
use crate::record::{CopyResult, CopyState, Maintenance};

/// What a plan finds out about the copies of a source.
#[derive(Default)]
pub(super) struct Copies {
    /// What the newest one waits for.
    pub(super) waiting: Option<Problem>,
    /// Results, for the ledger.
    pub(super) findings: Vec<Finding>,
    /// What is to be done about the others.
    pub(super) todo: Todo,
}

impl Copies {
    fn add(&mut self, todo: Todo) {
        self.todo = std::mem::take(&mut self.todo).and(todo);
    }
}

/// How a copy gets on.
enum Progress {
    /// This is to be done about it.
    Goes(Todo),
    /// It waits for this, and that is to be done about it.
    Waits(Problem, Todo),
    /// This is known of it, for the ledger.
    Known(Finding),
}

/// All copies of a source.
pub(super) fn plan(subject: &Subject<'_>) -> Copies {
    let &Subject { world, uid, status, ref runs, whole, now, .. } = subject;
    let mut copies = Copies::default();
    let jobs = jobs(subject);
    for job in &jobs {
        match end(subject, job) {
            Progress::Goes(todo) | Progress::Waits(_, todo) => copies.add(todo),
            Progress::Known(finding) => copies.findings.push(finding),
        }
    }
    let destinations: BTreeSet<&String> = runs.iter().flat_map(|r| &r.record.destinations).collect();
    let (mut waiting, todo) = central::take_away(subject, &jobs);
    copies.add(todo);
    for destination in destinations {
        let facts: Vec<RunFacts<'_>> = runs
            .iter()
            .map(|r| RunFacts {
                run: r.run,
                record: &r.record,
                snapshot: r.snapshot,
                promoter: r.promoter,
                copying: jobs.iter().any(|j| is_for(j, r.run, destination)),
                begun: begun(world, &r.source(uid), r, destination),
            })
            .collect();
        let next = if world.config.destination(destination).is_some_and(Destination::is_central) {
            next_copy::next_central(&facts, destination, &world.config.deadlines, now)
        } else {
            let waits_for_consumer = runs.iter().rev().find_map(|r| r.promoter).is_some_and(|p| binds_on_use(world, p));
            next_copy::next(&facts, destination, waits_for_consumer, &world.config.deadlines, now)
        };
        let tells = !whole || subject.protection.is_some_and(|p| p.destinations.contains(destination));
        for ((view, facts), next) in runs.iter().zip(&facts).zip(next) {
            // A run whose copies are not known is neither copied again nor given up, before the destination tells with its
            // next copy what it has. What has begun goes on: it has its slot, and that copy may need it.
            let is_unknown = view.record.rebuilt && tells && !facts.begun;
            let could_start = matches!(next, Next::Copy) && !is_unknown;
            let is_wanted = subject.protection.is_some_and(|p| p.destinations.contains(destination));
            let request = Request { subject, source: view.source(uid), view, destination };
            let progress = match next {
                Next::Done | Next::Copying => Progress::Goes(Todo::none()),
                Next::Wait(problem, until) => Progress::Waits(problem, Todo::again(until)),
                Next::Record(..) | Next::Copy if is_unknown => Progress::Goes(Todo::none()),
                Next::Retry(_) if !is_wanted => Progress::Goes(Todo::none()),
                Next::Retry(at) if now < at => Progress::Goes(Todo::again(at)),
                // Why it failed is told; what its next try waits for is not told beside that.
                Next::Retry(_) => match request.start() {
                    Progress::Waits(_, todo) => Progress::Goes(todo),
                    other @ (Progress::Goes(_) | Progress::Known(_)) => other,
                },
                Next::Record(state, problem) => {
                    Progress::Known(without_data(view.run, destination, state, &problem, now))
                }
                Next::Copy => request.start(),
            };
            let obstacle = match progress {
                Progress::Goes(todo) => {
                    copies.add(todo);
                    None
                }
                Progress::Waits(problem, todo) => {
                    copies.add(todo);
                    Some(problem)
                }
                Progress::Known(finding) => {
                    copies.findings.push(finding);
                    None
                }
            };
            // What admission lets a copy that could start wait for.
            let obstacle = obstacle.or_else(|| world.memory.waits.get(uid).filter(|_| could_start).cloned());
            waiting = obstacle.map(|o| (view.snapshot.created, o)).or(waiting);
        }
    }
    let Some((since, problem)) = waiting else { return copies };
    // A wait that passes by itself at once is not worth a word; one that every run meets is told once.
    let grace = Span::from_secs(20).after(since);
    if now < grace && problem.reason != Reason::SourceSnapshotLost {
        copies.add(Todo::again(grace));
        let told = status.and_then(|s| s.waiting.clone());
        return Copies { waiting: told.filter(|t| t.reason == problem.reason), ..copies };
    }
    Copies { waiting: Some(problem), ..copies }
}

/// The copy Jobs of a source that bear the name that only they can have, where only they can be.
fn jobs<'a>(subject: &Subject<'a>) -> Vec<&'a Job> {
    let is_copy = |job: &&Job| job.ours.as_ref().is_some_and(|o| o.component == Component::Copy);
    subject.jobs().filter(|job| is_copy(job) && is_derived(subject.world, job)).collect()
}

fn without_data(run: &Run, destination: &str, state: CopyState, problem: &Problem, now: Timestamp) -> Finding {
    let result = CopyResult::without_data(state, problem, now);
    Finding { run: run.clone(), destination: destination.to_owned(), entry: Entry::Result(Box::new(result)) }
}

/// What a copy that can start needs to be looked at.
struct Request<'a> {
    subject: &'a Subject<'a>,
    source: SourceId,
    view: &'a RunView<'a>,
    destination: &'a str,
}

/// What is done next for a copy.
enum Planned {
    /// This, once it is admitted: it takes the copy's slot.
    Admit(Box<Waiting>, Action),
    /// This: the copy has its slot.
    Take(Action),
    /// Nothing, until the run has its promoter.
    Nothing,
}

/// Why nothing can be done for a copy.
enum Refusal {
    /// There will be no copy: that is its result.
    Final(Problem),
    /// Something is awaited, perhaps what this makes.
    Waiting(Problem, Todo),
}

impl Refusal {
    fn waiting(problem: Problem) -> Self {
        Self::Waiting(problem, Todo::none())
    }
}

impl Request<'_> {
    /// What is done next.
    fn start(&self) -> Progress {
        match self.next() {
            Ok(Planned::Admit(waiting, action)) => Progress::Goes(Todo::ready(*waiting, action)),
            Ok(Planned::Take(action)) => Progress::Goes(Todo::step(action)),
            Ok(Planned::Nothing) => Progress::Goes(Todo::none()),
            Err(Refusal::Final(problem)) => {
                let (run, now) = (self.view.run, self.subject.now);
                Progress::Known(without_data(run, self.destination, CopyState::Failed, &problem, now))
            }
            Err(Refusal::Waiting(problem, todo)) => Progress::Waits(problem, todo),
        }
    }

    fn next(&self) -> Result<Planned, Refusal> {
        let (world, view) = (self.subject.world, self.view);
        let Some(destination) = world.config.destination(self.destination) else {
            let message = format!("destination {} is no longer configured", self.destination);
            return Err(self.misconfigured(Problem::new(Reason::UnknownDestination, message)));
        };
        let namespace = world.namespaces.get("", &self.source.namespace);
        if namespace.is_none_or(|n| n.terminating) {
            let problem = Problem::new(Reason::NamespaceTerminating, "the namespace is being deleted");
            return Err(Refusal::waiting(problem));
        }
        let secret = secret(world, self.subject.protection, self.subject.uid, destination);
        let secret = secret.map_err(|problem| self.misconfigured(problem))?;
        if destination.is_central() {
            let refused = world.memory.refused_copies.get(self.subject.uid);
            return match refused.and_then(|of| of.get(&(view.run.clone(), destination.name.clone()))) {
                Some(problem) => Err(Refusal::Final(problem.clone())),
                None => self.central(destination, secret),
            };
        }
        let Some(promoter) = view.promoter else { return Ok(Planned::Nothing) };
        allowed(world, &self.source.namespace, destination).map_err(Refusal::Final)?;
        let node = self.place(promoter, destination)?;
        let copy = self.copy(destination, secret, promoter.id.name.clone(), promoter.mode);
        Ok(Planned::Admit(self.waiting(destination, promoter.created, node), Action::StartCopy(Box::new(copy))))
    }

    /// L12: a configuration that was saved half-way, for five seconds, ends no copy: it waits out a deadline.
    fn misconfigured(&self, problem: Problem) -> Refusal {
        let Subject { world, now, .. } = *self.subject;
        let limit = world.config.deadlines.copy_start;
        let until = world.memory.configured.map(|since| limit.after(since));
        if until.is_none_or(|until| until <= now) {
            return Refusal::Final(problem);
        }
        let message =
            format!("{}; the copy waits for another configuration for {limit} (deadlines.copyStart)", problem.message);
        Refusal::Waiting(Problem::new(problem.reason, message), Todo::again(until))
    }

    /// The next step of a copy that is read in the controller's namespace.
    fn central(&self, destination: &Destination, secret: Option<String>) -> Result<Planned, Refusal> {
        let &Self { subject, ref source, view, .. } = self;
        let wanted = central::Wanted { subject, source, view, destination, drill: None };
        let step = wanted.next().map_err(Refusal::Final)?;
        online(subject.world, &subject.world.namespace).map_err(Refusal::waiting)?;
        match step {
            central::Step::Wait(problem, until) => Err(Refusal::Waiting(problem, Todo::again(until))),
            // The first part takes the slot; the others follow in it.
            central::Step::Make(made) if made.part == CentralPart::Content => {
                let waiting = self.waiting(destination, view.snapshot.created, None);
                Ok(Planned::Admit(waiting, Action::MakeCentral(made)))
            }
            central::Step::Make(made) => Ok(Planned::Take(Action::MakeCentral(made))),
            central::Step::Job(mode) => {
                let copy = self.copy(destination, secret, wanted.name(), mode);
                let start = Action::StartCopy(Box::new(copy));
                // What a copy that failed was made from is kept for its next try, which has no slot yet.
                match self.failed() {
                    Some(_) => Ok(Planned::Admit(self.waiting(destination, view.snapshot.created, None), start)),
                    None => Ok(Planned::Take(start)),
                }
            }
        }
    }

    /// Since when it waits for its slot, and for which one.
    fn waiting(&self, destination: &Destination, since: Timestamp, node: Option<String>) -> Box<Waiting> {
        let (source, run) = (self.source.clone(), self.view.run.clone());
        let slot = slot(destination, &source, node);
        let (rank, since) = self.failed().map_or((Rank::Copy, since), |last| (Rank::Retry, last));
        Box::new(Waiting { rank, source, run, since, slot })
    }

    /// When the copy failed last, if this is another try.
    fn failed(&self) -> Option<Timestamp> {
        self.view.record.retries.get(self.destination).map(|retry| retry.last)
    }

    /// The copy itself, of a promoter.
    fn copy(&self, destination: &Destination, secret: Option<String>, promoter: String, mode: VolumeMode) -> Copy {
        let (world, protection) = (self.subject.world, self.subject.protection);
        let taken = self.view.record.retention.as_ref().and_then(|t| t.parse().ok());
        let policy = names::network_policy(&world.instance);
        let home = if destination.is_central() { &world.namespace } else { &self.source.namespace };
        Copy {
            // What is reached over the network needs it.
            isolate: !destination.pods().needs_network()
                && world.policies.get(&self.source.namespace, &policy).is_none(),
            source: self.source.clone(),
            run: self.view.run.clone(),
            destination: destination.name.clone(),
            journal: world.claims.get(home, &promoter).map(Claim::journal).unwrap_or_default(),
            promoter,
            mode,
            // A ledger that is not whole stops every deletion.
            retention: destination.retention.clone().or(taken).filter(|_| self.subject.whole),
            zone: protection.map_or_else(|| world.config.defaults.time_zone.clone(), |p| p.zone.clone()),
            accept_empty: protection.is_some_and(|p| p.accept_empty),
            expected: self.expected(destination),
            after_finding: self
                .subject
                .status
                .and_then(|s| s.maintenance.get(&destination.name))
                .and_then(Maintenance::unhealed),
            spc_no_relabeling: protection.is_some_and(|p| p.promoter.spc_no_relabeling),
            secret,
            options: protection.map(|p| p.options.clone()).unwrap_or_default(),
        }
    }

    /// What was there before, by the ledger of the source.
    fn expected(&self, destination: &Destination) -> Expected {
        let Subject { world, uid, status, now, .. } = *self.subject;
        let (claim, known) = (world.claim_of(uid), world.ledger(uid));
        let runs = known.into_iter().flat_map(|ledger| &ledger.runs);
        let results = runs.flat_map(|r| r.results.iter().map(move |(name, result)| (&r.run, name.as_str(), result)));
        let records =
            Records { results: results.collect(), status, accepted: claim.and_then(|c| c.accepted_missing(now)) };
        expected(self.view.run, destination, &records)
    }

    /// The only node where the copy can run, if there is only one, once what is written to can be reached.
    fn place(&self, promoter: &Claim, destination: &Destination) -> Result<Option<String>, Refusal> {
        let (world, namespace) = (self.subject.world, &self.source.namespace);
        let disk = disk::ready(world, destination, namespace, self.subject.now);
        let Some(disk) = disk.map_err(|not| Refusal::Waiting(not.problem, not.todo))? else {
            online(world, namespace).map_err(Refusal::waiting)?;
            return Ok(only_node(world, promoter));
        };
        if let Some(reader) = restore::reads(world, namespace, &destination.name, None) {
            let message = format!("{reader} is reading the disk; restores have priority");
            return Err(Refusal::waiting(Problem::new(Reason::DiskBusy, message)));
        }
        common_nodes(world, promoter, disk).map_err(Refusal::Final)
    }
}

/// A copy Job that ended, or that never gets started: its result, and then its end.
fn end(subject: &Subject<'_>, job: &Job) -> Progress {
    let nothing = || Progress::Goes(Todo::none());
    let &Subject { world, uid, ref runs, now, .. } = subject;
    let Some((run, destination)) = job.ours.as_ref().and_then(|o| Some((o.run.as_ref()?, o.destination.as_ref()?)))
    else {
        return nothing();
    };
    if world.unreadable(uid).is_some() {
        return nothing();
    }
    let known = runs.iter().find(|r| r.run == run).map(|r| &*r.record);
    // A run that is not in the ledger yet comes into it first.
    if known.is_none() && snapshots(world, uid).any(|(its, _)| its == run) {
        return nothing();
    }
    let given_up = world.ledger(uid).is_some_and(|ledger| ledger.is_given_up(destination));
    let Some(known) = known.filter(|r| !given_up && !r.has_result_of(destination, &job.id.uid)) else {
        return Progress::Goes(Todo::step(Action::delete(job)));
    };
    let found = |entry| Finding { run: run.clone(), destination: destination.clone(), entry };
    let failed = |problem: &Problem| CopyResult::without_data(CopyState::Failed, problem, now);
    let result = match ended::ended::<CopyResult>(world, job, now) {
        Ended::NotYet(again) => return Progress::Goes(Todo::again(again)),
        Ended::Ask(action) => return Progress::Goes(Todo::step(action)),
        Ended::Told(told) => told,
        Ended::Failed(problem) => failed(&problem),
        // The tree is there and the message is lost: another Job finds it, and tells again. But only one.
        Ended::Silent => match known.lost.get(destination) {
            None => return Progress::Known(found(Entry::Lost(job.id.uid.clone()))),
            Some(lost) if *lost == job.id.uid => return Progress::Goes(Todo::step(Action::delete(job))),
            Some(_) => {
                let message =
                    "two Jobs succeeded but left no result; check that the template keeps terminationMessagePath";
                failed(&Problem::new(Reason::JobFailed, message))
            }
        },
    };
    let mended = result.reason.is_some_and(Reason::is_mended_at_destination);
    let result = Box::new(result);
    Progress::Known(found(if result.state == CopyState::Failed && mended {
        Entry::Failed(result, job.id.uid.clone(), now)
    } else {
        Entry::Result(result)
    }))
}
