//! What is observed of one source: whether it is protected, its runs, and which Jobs are its own.
//!
//! By lineage, UIDs and names that follow from it: labels alone decide nothing.

use std::borrow::Cow;

use k8s_openapi::jiff::Timestamp;

use super::shortened;
use crate::config::Destination;
use crate::facts::{Claim, Job, Namespace, Ours, Snapshot};
use crate::ledger::Ledger;
use crate::names::{self, Component, Run, SourceId};
use crate::reason::{Problem, Reason};
use crate::record::{CopyResult, RunRecord, Status};
use crate::select::{self, Input, Origins, Protection, Verdict};
use crate::world::World;

/// Judges a PVC by the state of the cluster.
#[must_use]
pub fn verdict(world: &World, claim: &Claim) -> Verdict {
    explain(world, claim).0
}

/// Judges a PVC by the state of the cluster, and names the places that decided.
#[must_use]
pub fn explain(world: &World, claim: &Claim) -> (Verdict, Origins) {
    let Some(namespace) = world.namespaces.get("", &claim.namespace) else {
        let problem = Problem::new(Reason::NamespaceTerminating, "the namespace is gone");
        return (Verdict::Unprotected(problem, Vec::new()), Origins { selected: None, settings: None });
    };
    judge(world, claim, namespace)
}

fn judge(world: &World, claim: &Claim, namespace: &Namespace) -> (Verdict, Origins) {
    let (mut verdict, origins) = select::explain(&Input {
        claim,
        namespace,
        volume: claim.volume.as_ref().and_then(|v| world.volumes.get("", v)),
        from_our_snapshot: from_our_snapshot(world, claim),
        classes: &world.classes,
        config: &world.config,
    });
    if let (Verdict::Protected(protection, warnings), Some(ledger)) = (&mut verdict, world.ledger(&claim.id.uid)) {
        warnings.extend(shortened::widen(&world.config, ledger, protection));
    }
    (verdict, origins)
}

/// Whether the PVC was made from a snapshot of ours: its lineage, whatever its labels say.
#[must_use]
pub fn from_our_snapshot(world: &World, claim: &Claim) -> bool {
    claim
        .from_snapshot
        .as_ref()
        .and_then(|name| world.snapshots.get(&claim.namespace, name))
        .is_some_and(|s| s.ours.as_ref().is_some_and(|o| o.instance == world.instance))
}

/// What is observed of a source in one turn: found out once, and handed to all who plan something of it.
pub(super) struct Subject<'a> {
    pub(super) world: &'a World,
    pub(super) uid: &'a str,
    /// `None`: it is not ours to protect, nothing new is started.
    pub(super) protection: Option<&'a Protection>,
    /// Where its backups stand, by its ledger.
    pub(super) status: Option<&'a Status>,
    pub(super) runs: Vec<RunView<'a>>,
    /// Whether all of its runs are known: else nothing is deleted.
    pub(super) whole: bool,
    pub(super) now: Timestamp,
}

impl<'a> Subject<'a> {
    /// The source with a UID, by what it is judged to be.
    pub(super) fn of(world: &'a World, uid: &'a str, verdict: Option<&'a Verdict>, now: Timestamp) -> Self {
        let protection = match verdict {
            Some(Verdict::Protected(protection, _)) => Some(&**protection),
            Some(Verdict::Unprotected(..)) | None => None,
        };
        let whole = world.ledger(uid).is_some_and(Ledger::is_whole);
        Self { world, uid, protection, status: world.status(uid), runs: runs(world, uid), whole, now }
    }

    /// The Jobs that bear labels of it, whoever gave them to them.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &'a Job> {
        let (world, keys) = (self.world, self.world.belongings(self.uid).into_iter().flat_map(|b| &b.jobs));
        keys.filter_map(|(namespace, name)| world.jobs.get(namespace, name))
    }
}

/// A run of a source, by lineage and not by labels alone: the snapshot is of the source's own PVC in its
/// own namespace, and the promoter was made from that snapshot.
#[derive(Debug, Clone)]
pub(super) struct RunView<'a> {
    pub(super) run: &'a Run,
    /// What the ledger has of it, or will have.
    pub(super) record: Cow<'a, RunRecord>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) promoter: Option<&'a Claim>,
}

impl RunView<'_> {
    /// What became of its copy at a destination.
    pub(super) fn result(&self, destination: &str) -> Option<&CopyResult> {
        self.record.results.get(destination)
    }

    /// The PVC that was backed up, of that UID.
    pub(super) fn source(&self, uid: &str) -> SourceId {
        let name = self.snapshot.claim.clone().unwrap_or_default();
        SourceId { namespace: self.snapshot.namespace.clone(), name, uid: uid.to_owned() }
    }
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

/// The runs of a source whose snapshots are there, oldest first, by its ledger. One that does not stand in it yet is
/// written down with the first word of it, which saves a write.
pub(super) fn runs<'a>(world: &'a World, uid: &str) -> Vec<RunView<'a>> {
    let Some(ledger) = world.ledger(uid) else { return Vec::new() };
    let believed = world.claim_of(uid).is_none_or(|claim| unreadable(world, claim).is_none());
    if believed { views(world, uid, ledger) } else { Vec::new() }
}

/// Why the ledger of a source that is there cannot be believed.
pub(super) fn unreadable(world: &World, claim: &Claim) -> Option<Problem> {
    let uid = &claim.id.uid;
    if let Some(problem) = world.unreadable(uid) {
        return Some(problem.clone());
    }
    let of = &world.ledger(uid)?.source;
    let here = world.namespaces.get("", &claim.namespace)?;
    let name = names::ledger(uid);
    let what = if (of.namespace.as_str(), of.name.as_str()) != (claim.namespace.as_str(), claim.id.name.as_str()) {
        format!("source: is {}/{}, and the PVC with that UID is {}", of.namespace, of.name, claim.source())
    } else if !of.namespace_uid.is_empty() && !here.uid.is_empty() && of.namespace_uid != here.uid {
        format!("source.namespaceUid: is {}, and namespace {} has the UID {}", of.namespace_uid, here.name, here.uid)
    } else {
        return None;
    };
    Some(Problem::new(Reason::LedgerUnreadable, format!("ConfigMap {name}: {what}")))
}

/// Up to which run the words of a ledger are in doubt (L20).
pub(super) fn doubtful<'a>(world: &'a World, uid: &str, ledger: &Ledger) -> Option<&'a Run> {
    ledger.doubtful(snapshots(world, uid).map(|(run, snapshot)| (run, &snapshot.id)))
}

/// The same of a ledger that is still to be written.
pub(super) fn views<'a>(world: &'a World, uid: &str, ledger: &'a Ledger) -> Vec<RunView<'a>> {
    let Some(belongings) = world.belongings(uid) else { return Vec::new() };
    let doubtful = doubtful(world, uid, ledger);
    let mut runs: Vec<RunView<'a>> = snapshots(world, uid)
        .map(|(run, snapshot)| {
            let known = ledger.run(run, &snapshot.id).map(Cow::Borrowed);
            let mut record = known.unwrap_or_else(|| Cow::Owned(ledger.record(run, &snapshot.id)));
            if doubtful.is_some_and(|until| run <= until) && !record.rebuilt && record.awaited() {
                record.to_mut().rebuilt = true;
            }
            let promoter = belongings
                .promoters
                .iter()
                .filter(|(namespace, _)| *namespace == snapshot.namespace)
                .filter_map(|(namespace, name)| world.claims.get(namespace, name))
                // A promoter whose labels were stripped still has its name and its lineage.
                .chain(world.claims.get(&snapshot.namespace, &snapshot.id.name))
                .find(|p| p.from_snapshot.as_ref() == Some(&snapshot.id.name));
            RunView { run, record, snapshot, promoter }
        })
        .collect();
    runs.sort_by(|a, b| a.run.cmp(b.run).then_with(|| a.snapshot.id.name.cmp(&b.snapshot.id.name)));
    runs
}

/// Whether a copy has the result of its Job, or its run's snapshot is gone.
pub(super) fn recorded(world: &World, copy: &Ours, job: &Job) -> bool {
    let (Some(destination), Some(run)) = (&copy.destination, &copy.run) else { return true };
    let mut of_run = snapshots(world, &copy.source_uid).filter(|(its, _)| *its == run);
    !of_run.any(|(_, s)| world.record(s).is_none_or(|record| !record.has_result_of(destination, &job.id.uid)))
}

pub(super) fn is_for(job: &Job, run: &Run, destination: &str) -> bool {
    job.ours.as_ref().is_some_and(|o| o.run.as_ref() == Some(run) && o.destination.as_deref() == Some(destination))
}

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
