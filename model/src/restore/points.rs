//! What there is to restore from, as the records tell it.

use std::collections::BTreeMap;

use super::point::{Place, RestorePoint};
use crate::config::{Destination, Format};
use crate::facts::{Ours, Snapshot};
use crate::ledger::Ledger;
use crate::names::Run;
use crate::record::{CopyResult, CopyState, KEPT, Maintenance};
use crate::text::clip;
use crate::world::World;

/// The longest text of a finding that is repeated.
const FOUND: usize = 200;

/// The restore points of the PVCs that have or had a name, newest first; a snapshot before the copies of its run, and
/// of those the trees before the repositories.
#[must_use]
pub fn points(world: &World, namespace: &str, pvc: &str) -> Vec<RestorePoint> {
    let ours = world.snapshots.within(namespace).filter(|s| s.claim.as_deref() == Some(pvc) && !s.terminating);
    let ours: Vec<(&Snapshot, &Ours)> =
        ours.filter_map(|s| Some((s, s.ours.as_ref().filter(|o| o.instance == world.instance)?))).collect();
    let mut points = Vec::new();
    for (snapshot, ours) in &ours {
        let Some(run) = ours.run.as_ref().filter(|_| snapshot.ready) else { continue };
        points.push(RestorePoint {
            uid: ours.source_uid.clone(),
            run: run.clone(),
            place: mounted(world, namespace, snapshot),
            // A snapshot is the volume as it was, whatever a copy could read of it.
            incomplete: false,
            finding: None,
            passed_over: None,
        });
    }
    let ledgers = world.ledgers.iter().filter_map(|book| book.ledger.as_deref().ok());
    for ledger in ledgers.filter(|l| l.source.namespace == namespace && l.source.name == pvc) {
        for (destination, shelf) in shelves(ledger) {
            let repository = is_repository(world, destination, &shelf);
            points.extend(shelf.runs().into_iter().map(|(run, snapshot)| {
                let (incomplete, finding) = (shelf.lacks(run), shelf.finding(run, repository));
                let (uid, destination) = (ledger.source.uid.clone(), destination.to_owned());
                let place =
                    if repository { Place::Repository { destination, snapshot } } else { Place::Tree { destination } };
                RestorePoint { uid, run: run.clone(), place, incomplete, finding, passed_over: None }
            }));
        }
    }
    points.sort_by(|a, b| {
        b.run.cmp(&a.run).then_with(|| a.kind().cmp(&b.kind())).then_with(|| a.to_string().cmp(&b.to_string()))
    });
    points.dedup();
    points
}

/// A snapshot, with its promoter if that is there.
fn mounted(world: &World, namespace: &str, snapshot: &Snapshot) -> Place {
    let name = &snapshot.id.name;
    let promoter = world.claims.get(namespace, name);
    let promoter = promoter.filter(|c| c.from_snapshot.as_ref() == Some(name) && !c.terminating);
    Place::Snapshot { name: name.clone(), promoter: promoter.map(|c| c.id.name.clone()) }
}

/// Whether a destination is a restic repository. Who may not read the configuration sees it by the copies: only those
/// in a repository have a restic snapshot, and only repositories are pruned by Jobs of their own.
fn is_repository(world: &World, destination: &str, shelf: &Shelf<'_>) -> bool {
    match world.config.destination(destination).map(Destination::format) {
        Some(Format::Trees(_)) => false,
        Some(Format::Repository(_)) => true,
        None => {
            shelf.maintenance.is_some_and(|done| done.pruned_to().is_some())
                || shelf.results.iter().any(|(_, result)| result.snapshot.is_some())
        }
    }
}

/// By destination: what a source's ledger tells of its copies there.
fn shelves(ledger: &Ledger) -> BTreeMap<&String, Shelf<'_>> {
    let shelf = |destination: &String| Shelf {
        results: Vec::new(),
        kept: ledger.newest_list(destination),
        maintenance: ledger.status.maintenance.get(destination),
    };
    let mut shelves = BTreeMap::new();
    for record in &ledger.runs {
        for (destination, result) in record.copied() {
            let shelf = shelves.entry(destination).or_insert_with(|| shelf(destination));
            shelf.results.push((&record.run, result));
        }
    }
    // A prune also tells of copies whose results are not in the ledger any more.
    for (destination, _) in ledger.status.maintenance.iter().filter(|(_, done)| done.pruned_to().is_some()) {
        shelves.entry(destination).or_insert_with(|| shelf(destination));
    }
    shelves
}

/// What the records tell of one source's copies at one destination.
struct Shelf<'a> {
    results: Vec<(&'a Run, &'a CopyResult)>,
    /// The newest list of what is there.
    kept: &'a [Run],
    /// What was done for it, and found.
    maintenance: Option<&'a Maintenance>,
}

impl<'a> Shelf<'a> {
    /// Whether entries are missing in a run's copy: its own record says so, or that of a later copy.
    fn lacks(&self, run: &Run) -> bool {
        let own = self.results.iter().find(|(its, _)| *its == run);
        own.map_or_else(
            || self.results.iter().any(|(_, result)| result.incomplete.contains(run)),
            |(_, result)| result.state == CopyState::Incomplete,
        )
    }

    /// L13: what was found wrong here that concerns a run. A tree that was made by comparing contents, and those after
    /// it, share nothing with the trees of the finding; in a repository snapshots share their data for ever.
    fn finding(&self, run: &Run, repository: bool) -> Option<String> {
        let done = self.maintenance?;
        if !repository && done.healed.as_ref().is_some_and(|healed| run >= healed) {
            return None;
        }
        let (task, found) = done.findings().max_by_key(|(_, found)| found.finished)?;
        let what = found.problem.as_ref().map(|p| clip(&p.message, FOUND)).unwrap_or_default();
        Some(format!("the {} of {} found: {what}", task.as_str(), found.finished))
    }

    /// The runs that can be restored, each with the id of its restic snapshot, if a record tells it.
    fn runs(&self) -> BTreeMap<&'a Run, Option<String>> {
        let kept = self.kept;
        // A list that is full was cut.
        let holds = |run: &Run| kept.contains(run) || (kept.len() >= KEPT && kept.iter().all(|k| run < k));
        // An unchanged run has its data in the snapshot of an earlier one, and is there as long as that is.
        let shared = |result: &CopyResult| {
            let first = |(_, r): &&(&Run, &CopyResult)| !r.unchanged && r.snapshot == result.snapshot;
            result.unchanged && self.results.iter().find(first).is_none_or(|(run, _)| holds(run))
        };
        let mut runs: BTreeMap<&Run, Option<String>> = kept.iter().map(|run| (run, None)).collect();
        for (run, result) in &self.results {
            // Programs of old did not name what they kept.
            let told = if kept.is_empty() { result.kept.is_empty() } else { kept.contains(run) };
            if told || shared(result) {
                runs.insert(run, result.snapshot.clone());
            }
        }
        runs
    }
}
