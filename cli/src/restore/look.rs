//! Which restore point is meant, as far as the user's rights show it. The controller is the judge.

use model::facts::{Claim, Snapshot, VolumeMode};
use model::names::Run;
use model::plan;
use model::reason::{Problem, Reason};
use model::record::Volume;
use model::restore::{self, From, Place, Request, RestorePoint, When};
use model::schedule::Zone;
use model::select::Verdict;

use crate::observe::Observed;

/// The restore point; `None`: only the controller can tell.
pub(crate) fn point(observed: &Observed, namespace: &str, request: &Request) -> Result<Option<RestorePoint>, Problem> {
    let Observed { world, knows, .. } = observed;
    if !knows.snapshots {
        return Ok(None);
    }
    let live = world.claims.get(namespace, &request.pvc);
    let points = restore::points(world, namespace, &request.pvc);
    if live.is_none() && points.is_empty() && request.uid.is_none() {
        let message = format!("namespace {namespace} has no PVC {} and no restore point of such a PVC", request.pvc);
        return Err(Problem::new(Reason::NoRestorePoint, message));
    }
    let (zone, sure) = zone(observed, live);
    let uid = live.map(|c| c.id.uid.as_str());
    match restore::choose(&points, request, uid, &zone) {
        Ok(point) => Ok(Some(point)),
        // A date means another day in another zone; and a copy may be there that no record tells of any more.
        Err(_) if !sure && points.iter().any(|p| may_be_of(p, &request.when)) => Ok(None),
        Err(_) if matches!(request.when, When::Run(_)) && !matches!(request.from, From::Any | From::Snapshot) => {
            Ok(None)
        }
        Err(problem) => Err(with_uids(problem, &points, request)),
    }
}

/// The zone of the dates in names, as the controller takes it, and whether that is certain.
fn zone(observed: &Observed, live: Option<&Claim>) -> (Zone, bool) {
    let Observed { world, knows, .. } = observed;
    if !knows.verdicts() {
        return (world.config.defaults.time_zone.clone(), false);
    }
    match live.map(|claim| plan::verdict(world, claim)) {
        Some(Verdict::Protected(protection, _)) => (protection.zone.clone(), true),
        _ => (world.config.defaults.time_zone.clone(), true),
    }
}

/// Whether the restore point may be of that day in some zone: the clocks of the earth differ from UTC by 14 hours at
/// most.
fn may_be_of(point: &RestorePoint, when: &When) -> bool {
    let When::Local(text) = when else { return false };
    let day = text.split('-').next().and_then(|day| format!("{day}T0000Z").parse::<Run>().ok());
    day.is_some_and(|day| {
        let hours = point.run.time().duration_since(day.time()).as_hours();
        (-14..24 + 14).contains(&hours)
    })
}

/// Where several PVCs had the name, the UIDs to choose from.
fn with_uids(mut problem: Problem, points: &[RestorePoint], request: &Request) -> Problem {
    let uids: std::collections::BTreeSet<&str> = points.iter().map(|p| p.uid.as_str()).collect();
    if problem.reason == Reason::AmbiguousRestorePoint && request.uid.is_none() && uids.len() > 1 {
        let uids: Vec<&str> = uids.into_iter().collect();
        problem.message = format!("{}; several PVCs had this name: add --uid {}", problem.message, uids.join(" or "));
    }
    problem
}

/// The name of the snapshot, if it is one.
pub(crate) fn snapshot(point: Option<&RestorePoint>) -> Option<&str> {
    match &point?.place {
        Place::Snapshot { name, .. } => Some(name),
        Place::Tree { .. } | Place::Repository { .. } => None,
    }
}

/// The bytes that a volume made from the snapshot needs at least; 0: not known.
pub(crate) fn restore_size(observed: &Observed, namespace: &str, snapshot: &str) -> u64 {
    observed.world.snapshots.get(namespace, snapshot).map_or(0, |s| s.restore_size)
}

/// The bytes that a device needs which is to take the restore point's image; 0: not known.
pub(crate) fn device_size(observed: &Observed, namespace: &str, pvc: &str, point: &RestorePoint) -> u64 {
    let taken = of_run(observed, namespace, pvc, point).map(|s| s.restore_size).max();
    taken.max(data_size(observed, namespace, pvc, point)).unwrap_or(0)
}

/// What the PVC was of which the restore point is; `None`: nothing that the user may read tells it.
pub(crate) fn mode(
    observed: &Observed,
    namespace: &str,
    point: Option<&RestorePoint>,
    request: &Request,
) -> Option<VolumeMode> {
    let uid = point.map(|p| &p.uid).or(request.uid.as_ref())?;
    restore::mode(&observed.world, namespace, uid)
}

/// What the PVC was of which the restore point is, if it is gone and something that the user may read tells it.
pub(crate) fn volume<'a>(
    observed: &'a Observed,
    point: Option<&RestorePoint>,
    request: &Request,
) -> Option<&'a Volume> {
    let uid = point.map(|p| &p.uid).or(request.uid.as_ref())?;
    observed.world.ledger(uid)?.volume.known()
}

/// The bytes of the files in the restore point, as its copies recorded them.
pub(crate) fn data_size(observed: &Observed, namespace: &str, pvc: &str, point: &RestorePoint) -> Option<u64> {
    let mut of_run = of_run(observed, namespace, pvc, point);
    of_run.find_map(|s| {
        let results = observed.world.record(s).into_iter().flat_map(|record| record.results.values());
        results.map(|c| c.bytes).filter(|bytes| *bytes > 0).max()
    })
}

/// The snapshots of the restore point's run.
fn of_run<'a>(
    observed: &'a Observed,
    namespace: &'a str,
    pvc: &'a str,
    point: &'a RestorePoint,
) -> impl Iterator<Item = &'a Snapshot> {
    observed.world.snapshots.within(namespace).filter(move |s| {
        s.claim.as_deref() == Some(pvc)
            && s.ours.as_ref().is_some_and(|o| o.source_uid == point.uid && o.run.as_ref() == Some(&point.run))
    })
}
