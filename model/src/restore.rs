//! What a restore is asked for, and which restore point that is.
//!
//! A request is one line of `key=value`, the same on a restore pod's Deployment and on a PVC that is to be
//! written: `pvc=data date=20181202 from=disk`. The restore points are what the snapshots say: those that are
//! ready, and the trees and restic snapshots that their copies' results name.

use std::collections::BTreeSet;

use crate::names::{self, Run, SourceId};
use crate::reason::{Problem, Reason};
use crate::schedule::Zone;

mod modes;
mod point;
mod points;
mod request;

pub use modes::{misfit, mode};
pub use point::{LACKS, Place, RestorePoint, not_deleting, short};
pub use points::points;
pub use request::{From, Request, RequestError, When};

/// The restore point that a request means, out of [`points`]. `live` is the UID of the PVC that has the name now:
/// its restore points come before those of an earlier one.
///
/// L2: a complete restore point comes before the incomplete ones, unless the request selects the run of those.
pub fn choose(
    points: &[RestorePoint],
    request: &Request,
    live: Option<&str>,
    zone: &Zone,
) -> Result<RestorePoint, Problem> {
    let chosen = chosen(points, request, live, zone)?;
    Ok(RestorePoint { passed_over: passed_over(points, request, chosen), ..chosen.clone() })
}

/// L2: who asks for the latest has to know that there are later ones, and how to get them.
fn passed_over(points: &[RestorePoint], request: &Request, chosen: &RestorePoint) -> Option<String> {
    let later = |p: &&RestorePoint| p.incomplete && p.run > chosen.run && p.uid == chosen.uid;
    let over: Vec<&RestorePoint> = points.iter().filter(later).filter(|p| request.from.fits(&p.place)).collect();
    let first = over.first().filter(|_| request.when == When::Latest && !chosen.incomplete)?;
    let (list, run) = (list(&over), &first.run);
    let from = first.destination().map(|name| format!(" from {name}")).unwrap_or_default();
    Some(format!("later copies are incomplete and were passed over: {list}. To restore one, ask for date {run}{from}"))
}

fn chosen<'a>(
    points: &'a [RestorePoint],
    request: &Request,
    live: Option<&str>,
    zone: &Zone,
) -> Result<&'a RestorePoint, Problem> {
    let wanted = |p: &&RestorePoint| request.uid.as_ref().is_none_or(|uid| *uid == p.uid);
    let there: Vec<&RestorePoint> = points.iter().filter(|p| request.from.fits(&p.place)).filter(wanted).collect();
    let dated: Vec<&RestorePoint> = there.iter().copied().filter(|p| is_at(p, request, zone)).collect();
    let of_live: Vec<&RestorePoint> = dated.iter().copied().filter(|p| Some(p.uid.as_str()) == live).collect();
    let found = if of_live.is_empty() { dated } else { of_live };
    one_repository(request, &found)?;
    let runs: BTreeSet<(&Run, &str)> = found.iter().map(|p| (&p.run, p.uid.as_str())).collect();
    match (runs.len(), &request.when) {
        // Unchanged runs share a snapshot.
        (1, _) | (2.., When::Latest | When::Snapshot(_)) => {
            let complete = found.iter().copied().find(|p| !p.incomplete);
            complete.or_else(|| found.first().copied()).ok_or_else(|| none(request, &there))
        }
        (0, _) => Err(none(request, &there)),
        _ => {
            // The day's first run has the day alone in its name.
            let named = found.iter().copied().find(|p| is_named(p, request));
            named.ok_or_else(|| {
                let (pvc, when) = (&request.pvc, &request.when);
                let message = format!("PVC {pvc} has several restore points for {when}: {}", list(&found));
                Problem::new(Reason::AmbiguousRestorePoint, message)
            })
        }
    }
}

/// An id is one of one snapshot, and `restic` one of one destination.
fn one_repository(request: &Request, found: &[&RestorePoint]) -> Result<(), Problem> {
    let ambiguous = |message| Err(Problem::new(Reason::AmbiguousRestorePoint, message));
    let ids: BTreeSet<&str> = found.iter().filter_map(|p| p.snapshot_id()).collect();
    if let (When::Snapshot(id), 2..) = (&request.when, ids.len()) {
        let ids: Vec<&str> = ids.into_iter().map(|id| id.get(..16).unwrap_or(id)).collect();
        return ambiguous(format!(
            "PVC {} has several restic snapshots that begin with {id}: {}",
            request.pvc,
            ids.join(", ")
        ));
    }
    let names: BTreeSet<&str> = found.iter().filter_map(|p| p.destination()).collect();
    if request.from == From::Restic(None) && names.len() > 1 {
        let names: Vec<String> = names.into_iter().map(|name| format!("from={name}")).collect();
        return ambiguous(format!("there are several repositories; choose {}", names.join(" or ")));
    }
    Ok(())
}

fn is_named(point: &RestorePoint, request: &Request) -> bool {
    matches!(&point.place, Place::Snapshot { name, .. } if *name == format!("{}-{}", request.pvc, request.when))
}

fn is_at(point: &RestorePoint, request: &Request, zone: &Zone) -> bool {
    match &request.when {
        When::Latest => true,
        When::Run(run) => point.run == *run,
        When::Snapshot(id) => point.snapshot_id().is_some_and(|whole| whole.starts_with(id.as_str())),
        When::Local(text) => {
            let local = zone.civil(point.run.time());
            let day = format!("{:04}{:02}{:02}", local.year, local.month, local.day);
            let minute = format!("{day}-{:02}{:02}", local.hour, local.minute);
            *text == day || *text == minute || is_named(point, request)
        }
    }
}

fn none(request: &Request, there: &[&RestorePoint]) -> Problem {
    let from = request.from.words();
    let there = if there.is_empty() { format!("it has none{from}") } else { format!("there are {}", list(there)) };
    let message = format!("PVC {} has no restore point for {}{from}; {there}", request.pvc, request.when);
    Problem::new(Reason::NoRestorePoint, message)
}

/// Some restore points for a sentence, the newest.
fn list(points: &[&RestorePoint]) -> String {
    const SHOWN: usize = 8;
    let mut words: Vec<String> = points.iter().take(SHOWN).map(ToString::to_string).collect();
    if points.len() > SHOWN {
        words.push(format!("and {} older", points.len() - SHOWN));
    }
    words.join(", ")
}

/// The path of a tree below a disk's root. On a host's disk the root is the namespace's folder already.
#[must_use]
pub fn tree_path(host_disk: bool, source: &SourceId, run: &Run) -> String {
    format!("{}/{run}", names::shelf(host_disk, source))
}

#[cfg(test)]
mod tests;
