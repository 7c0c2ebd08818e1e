//! A source's copies: which can start, which ended and how, which are lost.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::action::{Action, Copy, Plan};
use super::ended::{self, Ended};
use super::expected::{Expected, Records, expected};
use super::{central, disk, drill, ledger, restore};
use crate::admit::{Rank, Slot, Waiting};
use crate::breaker;
use crate::config::{Destination, Disk};
use crate::copies::{self, Next, RunFacts};
use crate::duration::Span;
use crate::facts::{Claim, Job, JobState, Ours, Snapshot, VolumeMode};
use crate::ledger::{Entry, Finding, Ledger, RunRecord};
use crate::names::{self, Component, Run, SourceId};
use crate::reason::{Problem, Reason};
use crate::record::{CopyResult, CopyState};
use crate::select::Protection;
use crate::world::World;

/// A run of a source, by lineage and not by labels alone: the snapshot is of the source's own PVC in its
/// own namespace, and the promoter was made from that snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunView<'a> {
    pub(super) run: &'a Run,
    pub(super) record: &'a RunRecord,
    pub(super) snapshot: &'a Snapshot,
    pub(super) promoter: Option<&'a Claim>,
}

/// The snapshots of a source, with their runs: of the source's own PVC, in its own namespace.
pub(super) fn snapshots<'a>(world: &'a World, uid: &str) -> impl Iterator<Item = (&'a Run, &'a Snapshot)> {
    let source = world.claim_of(uid).map(Claim::source).or_else(|| world.ledger(uid).map(Ledger::id));
    let keys = world.belongings(uid).into_iter().flat_map(|b| &b.snapshots);
    keys.filter_map(|(namespace, name)| world.snapshots.get(namespace, name))
        .filter(move |s| {
            source.as_ref().is_none_or(|of| of.namespace == s.namespace && s.claim.as_ref() == Some(&of.name))
        })
        .filter_map(|snapshot| Some((snapshot.ours.as_ref()?.run.as_ref()?, snapshot)))
}

/// The runs of a source that its ledger knows and whose snapshots are there, oldest first.
pub(super) fn runs<'a>(world: &'a World, uid: &str) -> Vec<RunView<'a>> {
    world.ledger(uid).map(|ledger| views(world, uid, ledger)).unwrap_or_default()
}

/// The same of a ledger that is still to be written.
pub(super) fn views<'a>(world: &'a World, uid: &str, ledger: &'a Ledger) -> Vec<RunView<'a>> {
    let Some(belongings) = world.belongings(uid) else { return Vec::new() };
    let mut runs: Vec<RunView<'a>> = snapshots(world, uid)
        .filter_map(|(run, snapshot)| {
            let record = ledger.run(run, &snapshot.id)?;
            let promoter = belongings
                .promoters
                .iter()
                .filter(|(namespace, _)| *namespace == snapshot.namespace)
                .filter_map(|(namespace, name)| world.claims.get(namespace, name))
                // A promoter whose labels were stripped still has its name and its lineage.
                .chain(world.claims.get(&snapshot.namespace, &snapshot.id.name))
                .find(|p| p.from_snapshot.as_ref() == Some(&snapshot.id.name));
            Some(RunView { run, record, snapshot, promoter })
        })
        .collect();
    runs.sort_by(|a, b| a.run.cmp(b.run).then_with(|| a.snapshot.id.name.cmp(&b.snapshot.id.name)));
    runs
}

/// Plans all copies of a source. What the newest one waits for comes back, for the record.
pub(super) fn plan(
    world: &World,
    uid: &str,
    protection: Option<&Protection>,
    now: Timestamp,
    plan: &mut Plan,
) -> Option<Problem> {
    let runs = runs(world, uid);
    let jobs = jobs(world, uid);
    for job in &jobs {
        end(world, uid, job, &runs, now, plan);
    }
    let destinations: BTreeSet<&String> = runs.iter().flat_map(|r| &r.record.destinations).collect();
    let whole = ledger::is_whole(world, uid);
    let mut waiting = central::take_away(world, uid, &runs, &jobs, protection, now, plan);
    for destination in destinations {
        let facts: Vec<RunFacts<'_>> = runs
            .iter()
            .map(|r| RunFacts {
                run: r.run,
                record: r.record,
                snapshot: r.snapshot,
                promoter: r.promoter,
                copying: jobs.iter().any(|j| is_for(j, r.run, destination)),
                begun: central::begun(world, uid, r, destination),
            })
            .collect();
        let next = if world.config.destination(destination).is_some_and(Destination::is_central) {
            copies::next_central(&facts, destination, &world.config.deadlines, now)
        } else {
            let waits_for_consumer = runs.iter().rev().find_map(|r| r.promoter).is_some_and(|p| waits(world, p));
            copies::next(&facts, destination, waits_for_consumer, &world.config.deadlines, now)
        };
        for (view, next) in runs.iter().zip(next) {
            let source = SourceId {
                namespace: view.snapshot.namespace.clone(),
                name: view.snapshot.claim.clone().unwrap_or_default(),
                uid: uid.to_owned(),
            };
            let obstacle = match next {
                Next::Done | Next::Copying => None,
                Next::Wait(problem, until) => {
                    plan.wake_at(until);
                    Some(problem)
                }
                // A run whose copies are not known is neither copied again nor given up.
                Next::Record(..) | Next::Copy if view.record.rebuilt && !whole => None,
                Next::Record(state, problem) => {
                    plan.findings.push(without_data(view.run, destination, state, &problem, now));
                    None
                }
                Next::Copy => {
                    let request = Request { world, source, view, destination, protection };
                    request.start(now, plan).err().or_else(|| world.waits.get(uid).cloned())
                }
            };
            waiting = obstacle.map(|o| (view.snapshot.created, o)).or(waiting);
        }
    }
    let (since, problem) = waiting?;
    // A wait that passes by itself at once is not worth a word; one that every run meets is told once.
    let grace = Span::from_secs(20).after(since);
    if now < grace && problem.reason != Reason::SourceSnapshotLost {
        plan.wake_at(Some(grace));
        let told = world.status(uid).and_then(|s| s.waiting.clone());
        return told.filter(|t| t.reason == problem.reason);
    }
    Some(problem)
}

fn waits(world: &World, promoter: &Claim) -> bool {
    promoter.class.as_ref().and_then(|c| world.classes.storage.get(c)).is_some_and(|c| c.waits_for_consumer)
}

/// The copy Jobs of a source that bear the name that only they can have, where only they can be.
fn jobs<'a>(world: &'a World, uid: &str) -> Vec<&'a Job> {
    let keys = world.belongings(uid).into_iter().flat_map(|b| &b.jobs);
    keys.filter_map(|(namespace, name)| world.jobs.get(namespace, name))
        .filter(|job| job.ours.as_ref().is_some_and(|o| o.component == Component::Copy) && is_derived(world, job))
        .collect()
}

pub(super) fn is_for(job: &Job, run: &Run, destination: &str) -> bool {
    job.ours.as_ref().is_some_and(|o| o.run.as_ref() == Some(run) && o.destination.as_deref() == Some(destination))
}

fn without_data(run: &Run, destination: &str, state: CopyState, problem: &Problem, now: Timestamp) -> Finding {
    let result = CopyResult::without_data(state, problem, now);
    Finding { run: run.clone(), destination: destination.to_owned(), entry: Entry::Result(Box::new(result)) }
}

/// What a copy that can start needs to be looked at.
pub(super) struct Request<'a> {
    pub(super) world: &'a World,
    pub(super) source: SourceId,
    pub(super) view: &'a RunView<'a>,
    destination: &'a str,
    pub(super) protection: Option<&'a Protection>,
}

impl Request<'_> {
    /// Puts the copy among the ready ones, or says what is in its way.
    fn start(self, now: Timestamp, plan: &mut Plan) -> Result<(), Problem> {
        let (world, view) = (self.world, self.view);
        let fail = |reason, message: String, plan: &mut Plan| {
            let problem = Problem::new(reason, message);
            plan.findings.push(without_data(view.run, self.destination, CopyState::Failed, &problem, now));
        };
        let Some(destination) = world.config.destination(self.destination) else {
            let message = format!("destination {} is no longer configured", self.destination);
            fail(Reason::UnknownDestination, message, plan);
            return Ok(());
        };
        let namespace = world.namespaces.get("", &self.source.namespace);
        if namespace.is_none_or(|n| n.terminating) {
            return Err(Problem::new(Reason::NamespaceTerminating, "the namespace is being deleted"));
        }
        if let Err(problem) = self.secret(destination) {
            fail(problem.reason, problem.message, plan);
            return Ok(());
        }
        if destination.is_central() {
            let refused = world.refused_copies.get(&self.source.uid);
            if let Some(problem) = refused.and_then(|of| of.get(&(view.run.clone(), destination.name.clone()))) {
                fail(problem.reason, problem.message.clone(), plan);
                return Ok(());
            }
            let ended = central::start(&self, destination, now, plan)?;
            if let Err(problem) = ended {
                fail(problem.reason, problem.message, plan);
            }
            return Ok(());
        }
        let Some(promoter) = view.promoter else { return Ok(()) };
        if let Err(problem) = allowed(world, &self.source.namespace, destination) {
            fail(problem.reason, problem.message, plan);
            return Ok(());
        }
        let node = match self.place(promoter, destination, now, plan)? {
            Ok(node) => node,
            Err(message) => {
                fail(Reason::NodeConflict, message, plan);
                return Ok(());
            }
        };
        let waiting = Waiting {
            rank: Rank::Copy,
            source: self.source.clone(),
            run: view.run.clone(),
            since: promoter.created,
            slot: slot(destination, &self.source.namespace, &self.source.uid, node),
        };
        let copy = self.copy(destination, promoter.id.name.clone(), promoter.mode, now);
        plan.ready.push((waiting, Action::StartCopy(Box::new(copy))));
        Ok(())
    }

    /// The copy itself, of a promoter.
    pub(super) fn copy(&self, destination: &Destination, promoter: String, mode: VolumeMode, now: Timestamp) -> Copy {
        let (world, protection) = (self.world, self.protection);
        // A ledger that is not whole stops every deletion.
        let whole = ledger::is_whole(world, &self.source.uid);
        let taken = self.view.record.retention.as_ref().and_then(|t| t.parse().ok());
        let policy = names::network_policy(&world.instance);
        let home = if destination.is_central() { &world.namespace } else { &self.source.namespace };
        Copy {
            // What is reached over the network needs it.
            isolate: !destination.is_remote() && world.policies.get(&self.source.namespace, &policy).is_none(),
            source: self.source.clone(),
            run: self.view.run.clone(),
            destination: destination.name.clone(),
            journal: world.claims.get(home, &promoter).map(Claim::journal).unwrap_or_default(),
            promoter,
            mode,
            retention: destination.retention.clone().or(taken).filter(|_| whole),
            zone: protection.map_or_else(|| world.config.defaults.time_zone.clone(), |p| p.zone.clone()),
            accept_empty: protection.is_some_and(|p| p.accept_empty),
            expected: self.expected(destination, now),
            spc_no_relabeling: protection.is_some_and(|p| p.promoter.spc_no_relabeling),
            // Without an answer nothing is started.
            secret: self.secret(destination).unwrap_or_default(),
            options: protection.map(|p| p.options.clone()).unwrap_or_default(),
        }
    }

    /// What was there before, by the ledger of the source.
    fn expected(&self, destination: &Destination, now: Timestamp) -> Expected {
        let claim = self.world.claim_of(&self.source.uid);
        let known = self.world.ledger(&self.source.uid);
        let runs = known.into_iter().flat_map(|ledger| &ledger.runs);
        let results = runs.flat_map(|r| r.results.iter().map(move |(name, result)| (&r.run, name.as_str(), result)));
        let records = Records {
            results: results.collect(),
            status: known.map(|ledger| &ledger.status),
            accepted: claim.and_then(|c| c.accepted_missing(now)),
        };
        expected(self.view.run, destination, &records)
    }

    /// The Secret of the source's group at a destination.
    fn secret(&self, destination: &Destination) -> Result<Option<String>, Problem> {
        secret(self.world, self.protection, &self.source.uid, &destination.name)
    }

    /// Whether what is written to can be reached, and the only node where the copy can run, if there is only one;
    /// the inner error: there is none.
    fn place(
        &self,
        promoter: &Claim,
        destination: &Destination,
        now: Timestamp,
        plan: &mut Plan,
    ) -> Result<Result<Option<String>, String>, Problem> {
        let (world, namespace) = (self.world, &self.source.namespace);
        if destination.is_remote() {
            online(world, namespace)?;
            return Ok(Ok(only_node(world, promoter)));
        }
        let disk = disk::ready(world, destination, namespace, now, plan)?;
        if let Some(reader) = restore::reads(world, namespace, &destination.name, None) {
            let message = format!("{reader} is reading the disk; restores have priority");
            return Err(Problem::new(Reason::DiskBusy, message));
        }
        Ok(common_nodes(world, promoter, disk))
    }
}

/// Whether a pod that copies may run in a source's namespace.
pub(super) fn allowed(world: &World, namespace: &str, destination: &Destination) -> Result<(), Problem> {
    if destination.restic().is_some() && namespace == world.namespace {
        let message = format!("a copy to {} would need a Secret of the controller's namespace", destination.name);
        return Err(Problem::new(Reason::SecretNotAllowed, message));
    }
    let enforces = world.namespaces.get("", namespace).and_then(|n| n.enforces.as_deref());
    if enforces == Some("restricted") {
        return Err(Problem::new(Reason::PodSecurity, restricted(destination)));
    }
    Ok(())
}

fn restricted(destination: &Destination) -> String {
    let refused = "the namespace enforces Pod Security restricted, but a copy pod must run as root to";
    match destination.restic() {
        None => format!("{refused} keep the owners of files"),
        Some(_) => format!("{refused} read every file; a destination with runIn: controller needs no pod here"),
    }
}

/// A `NetworkPolicy` that an earlier version made cuts pods off that need the network, and is not ours to change.
pub(super) fn online(world: &World, namespace: &str) -> Result<(), Problem> {
    let name = names::network_policy(&world.instance);
    match world.policies.get(namespace, &name) {
        Some(policy) if !policy.leaves_restic_out => {
            let message =
                format!("NetworkPolicy {namespace}/{name} of an earlier version blocks restic pods; delete it");
            Err(Problem::new(Reason::NetworkPolicyBlocks, message))
        }
        _ => Ok(()),
    }
}

pub(super) fn slot(destination: &Destination, namespace: &str, uid: &str, node: Option<String>) -> Slot {
    // A host's disk is one, whatever the namespace; a PVC is one in each; a repository is one for each source.
    let disk = match destination.disk() {
        Some(Disk::HostPath(_)) => destination.name.clone(),
        Some(Disk::Claim(_)) => format!("{}/{namespace}", destination.name),
        None => format!("{}/{namespace}/{uid}", destination.name),
    };
    Slot {
        namespace: namespace.to_owned(),
        destination: destination.name.clone(),
        disk,
        node,
        breaker: breaker::key(destination, namespace),
        begun: None,
    }
}

/// The node that can have a PVC's volume, if it is the only one.
pub(super) fn only_node(world: &World, claim: &Claim) -> Option<String> {
    let terms = world.volumes.get("", claim.volume.as_ref()?)?.nodes.as_ref()?;
    let mut fit = world.nodes.iter().filter(|n| terms.iter().any(|term| term.matches(&n.labels)));
    fit.next().filter(|_| fit.next().is_none()).map(|n| n.name.clone())
}

/// The node that can have both volumes, if it is the only one; an error if none can (F40).
pub(super) fn common_nodes(world: &World, promoter: &Claim, disk: &Claim) -> Result<Option<String>, String> {
    let terms =
        |claim: &Claim| claim.volume.as_ref().and_then(|v| world.volumes.get("", v)).and_then(|v| v.nodes.clone());
    let (a, b) = (terms(promoter), terms(disk));
    if a.is_none() && b.is_none() {
        return Ok(None);
    }
    let fits = |terms: &Option<Vec<_>>, labels: &_| {
        terms.as_ref().is_none_or(|t: &Vec<crate::facts::NodeTerm>| t.iter().any(|term| term.matches(labels)))
    };
    let mut common = world.nodes.iter().filter(|n| fits(&a, &n.labels) && fits(&b, &n.labels));
    match (common.next(), common.next()) {
        (None, _) => Err(format!("no node can mount both PVC {} and PVC {}", promoter.id.name, disk.id.name)),
        (Some(only), None) => Ok(Some(only.name.clone())),
        _ => Ok(None),
    }
}

/// How long a copy that ended holds its try at a destination that may be down, while its result cannot be recorded.
const UNRECORDED: Span = Span::minutes(5);

/// Whether a Job is the one of its source, run (or minute) and destination: it has the name and the namespace that only
/// that one has, whatever its labels say.
pub(super) fn is_derived(world: &World, job: &Job) -> bool {
    let Some(ours) = job.ours.as_ref().filter(|o| o.instance == world.instance) else { return false };
    let (Some(run), Some(to), Some(source)) = (&ours.run, &ours.destination, world.source_of(&ours.source_uid)) else {
        return false;
    };
    // Of a destination that is not configured any more nobody knows where its copies ran.
    let at_home = world.config.destination(to).is_none_or(Destination::is_central) && job.namespace == world.namespace;
    let in_place = world.config.destination(to).is_none_or(|d| !d.is_central()) && job.namespace == source.namespace;
    let name = match ours.component {
        Component::Copy => names::copy_job(&source, run, to),
        Component::Maintain => match ours.task {
            Some(task) => names::maintain_job(&source, task, run, to),
            None => return false,
        },
        _ => return false,
    };
    (at_home || in_place) && job.id.name == name
}

/// What the copies and tasks that run now occupy.
pub fn running(world: &World, now: Timestamp) -> impl Iterator<Item = Slot> {
    let jobs = world.jobs.iter().filter(|job| is_derived(world, job)).filter_map(move |job| {
        let ours = job.ours.as_ref()?;
        let destination = world.config.destination(ours.destination.as_deref()?)?;
        let ended = job.ended.is_some_and(|ended| UNRECORDED.after(ended) <= now);
        let open = match ours.component {
            // Until the result of a copy is known, it says nothing about a destination that may be down.
            Component::Copy => destination.is_remote() && !recorded(world, ours) && !ended,
            Component::Maintain => false,
            _ => return None,
        };
        if job.state != JobState::Active && !open {
            return None;
        }
        let node = world.pods_of(job).find_map(|p| p.node.clone());
        let source = world.source_of(&ours.source_uid)?;
        let slot = slot(destination, &source.namespace, &ours.source_uid, node);
        // A task says nothing about the destination: it takes no copy's try.
        let breaker = slot.breaker.clone().filter(|_| ours.component == Component::Copy);
        Some(Slot { breaker, begun: Some(job.created), ..slot })
    });
    jobs.chain(central::preparing(world)).chain(drill::preparing(world))
}

/// Whether a copy has its result, or its run's snapshot is gone.
pub(super) fn recorded(world: &World, copy: &Ours) -> bool {
    let (Some(destination), Some(run)) = (&copy.destination, &copy.run) else { return true };
    let mut of_run = snapshots(world, &copy.source_uid).filter(|(its, _)| *its == run);
    !of_run.any(|(_, s)| world.record(s).is_none_or(|record| !record.results.contains_key(destination)))
}

/// A copy Job that ended, or that never gets started: its result, and then its end.
fn end(world: &World, uid: &str, job: &Job, runs: &[RunView<'_>], now: Timestamp, plan: &mut Plan) {
    let Some((run, destination)) = job.ours.as_ref().and_then(|o| Some((o.run.as_ref()?, o.destination.as_ref()?)))
    else {
        return;
    };
    let delete = |plan: &mut Plan| {
        if !job.terminating {
            plan.actions.push(Action::DeleteJob { namespace: job.namespace.clone(), id: job.id.clone() });
        }
    };
    if world.unreadable(uid).is_some() {
        return;
    }
    let known = runs.iter().find(|r| r.run == run).map(|r| r.record);
    // A run that is not in the ledger yet comes into it first.
    if known.is_none() && snapshots(world, uid).any(|(its, _)| its == run) {
        return;
    }
    let Some(known) = known.filter(|r| !r.results.contains_key(destination)) else {
        return delete(plan);
    };
    let found = |entry| Finding { run: run.clone(), destination: destination.clone(), entry };
    let failed = |problem: &Problem| CopyResult::without_data(CopyState::Failed, problem, now);
    let result = match ended::ended::<CopyResult>(world, job, now) {
        Ended::NotYet(again) => return plan.wake_at(again),
        Ended::Ask(action) => return plan.actions.push(action),
        Ended::Told(told) => told,
        Ended::Failed(problem) => failed(&problem),
        // The tree is there and the message is lost: another Job finds it, and tells again. But only one.
        Ended::Silent => match known.lost.get(destination) {
            None => return plan.findings.push(found(Entry::Lost(job.id.uid.clone()))),
            Some(lost) if *lost == job.id.uid => return delete(plan),
            Some(_) => {
                let message =
                    "two Jobs succeeded but left no result; check that the template keeps terminationMessagePath";
                failed(&Problem::new(Reason::JobFailed, message))
            }
        },
    };
    plan.findings.push(found(Entry::Result(Box::new(result))));
}

/// The Secret of a source's group at a destination. Of a source that is gone nobody knows the group, and the
/// destination's own Secret may open somebody else's bucket.
pub(super) fn secret(
    world: &World,
    protection: Option<&Protection>,
    uid: &str,
    destination: &str,
) -> Result<Option<String>, Problem> {
    if let Some(protection) = protection {
        return Ok(protection.secrets.get(destination).cloned());
    }
    if let Some(claim) = world.claim_of(uid)
        && let Some(namespace) = world.namespaces.get("", &claim.namespace)
    {
        let group = world.config.group_of(claim, namespace);
        return Ok(group.and_then(|g| g.secrets.get(destination).cloned()));
    }
    if world.config.groups.iter().any(|g| g.secrets.contains_key(destination)) {
        let message =
            format!("the PVC is gone, so it is unknown which group's Secret its copies to {destination} need");
        return Err(Problem::new(Reason::SecretNotAllowed, message));
    }
    Ok(None)
}
