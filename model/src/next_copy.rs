//! What becomes of a source's runs: which one is copied next, which are superseded, which are lost.
//!
//! If several runs of a source wait for the same destination, the newest is copied. A run that is being
//! copied already, or whose central copy has begun, is left alone. A result is final: no Job is made twice for a run and
//! destination that has one. U1: the newest run alone is tried again where its copy failed of the destination.

use k8s_openapi::jiff::Timestamp;

use crate::breaker::next_try;
use crate::config::Deadlines;
use crate::facts::{Claim, ClaimPhase, Snapshot};
use crate::names::Run;
use crate::reason::{Problem, Reason};
use crate::record::{CopyState, RunRecord};
use crate::rotate::PointState;

/// One run of a source: its snapshot, and its promoter if there is one.
#[derive(Debug, Clone, Copy)]
pub struct RunFacts<'a> {
    /// The run.
    pub run: &'a Run,
    /// What the ledger has of it.
    pub record: &'a RunRecord,
    /// Its snapshot.
    pub snapshot: &'a Snapshot,
    /// Its promoter.
    pub promoter: Option<&'a Claim>,
    /// Whether a copy Job of it to the destination in question exists.
    pub copying: bool,
    /// Whether something is made for its central copy already: where that takes longer than it is from run to run,
    /// none would ever be copied if each took the place of the one before.
    pub begun: bool,
}

/// What to do about one run and one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It has a result.
    Done,
    /// Its copy Job exists.
    Copying,
    /// Its copy can start, as soon as limits allow.
    Copy,
    /// Its copy failed, and is tried again: from that time on.
    Retry(Timestamp),
    /// Something is awaited; look again at the time at the latest.
    Wait(Problem, Option<Timestamp>),
    /// It will not be copied: record this.
    Record(CopyState, Problem),
}

/// What a copy is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feed {
    /// The promoter, which may bind only when a pod needs it.
    Promoter { waits_for_consumer: bool },
    /// The snapshot itself: a central copy has a promoter of its own.
    Snapshot,
}

impl Feed {
    fn is_there(self, r: &RunFacts<'_>) -> bool {
        match self {
            Self::Promoter { waits_for_consumer } => promoted(r, waits_for_consumer),
            Self::Snapshot => r.snapshot.ready && !r.snapshot.terminating,
        }
    }
}

/// Decides about each run of a source for one destination, in the order given.
///
/// `waits_for_consumer` says whether the promoters' class binds only when a pod needs the volume: then an
/// unbound promoter is ready for its copy (F20, F21).
#[must_use]
pub fn next(
    runs: &[RunFacts<'_>],
    destination: &str,
    waits_for_consumer: bool,
    deadlines: &Deadlines,
    now: Timestamp,
) -> Vec<Next> {
    decide(runs, destination, Feed::Promoter { waits_for_consumer }, deadlines, now)
}

/// The same for a destination whose copies run in the controller's namespace: a run can be copied as soon as its
/// snapshot is ready, whatever becomes of the promoter in the source's namespace.
#[must_use]
pub fn next_central(runs: &[RunFacts<'_>], destination: &str, deadlines: &Deadlines, now: Timestamp) -> Vec<Next> {
    decide(runs, destination, Feed::Snapshot, deadlines, now)
}

fn decide(runs: &[RunFacts<'_>], destination: &str, feed: Feed, deadlines: &Deadlines, now: Timestamp) -> Vec<Next> {
    let wanted = |r: &RunFacts<'_>| r.record.destinations.iter().any(|d| d == destination);
    // A newer run takes the place of an older one once it can be copied, or was; not if its copy failed.
    let counts = |r: &RunFacts<'_>| match r.record.results.get(destination) {
        Some(result) => result.state.has_data(),
        None => r.copying || feed.is_there(r),
    };
    let newest = runs.iter().filter(|r| wanted(r) && counts(r)).map(|r| r.run).max();
    let last = newest_wanted(runs.iter().map(|r| r.record), destination).map(|r| &r.run);
    runs.iter()
        .map(|r| {
            if !wanted(r) {
                return Next::Done;
            }
            if r.record.results.contains_key(destination) {
                let again = retried(r.record, destination).filter(|_| Some(r.run) == last && !r.copying);
                return again.filter(|_| feed.is_there(r)).map_or(Next::Done, Next::Retry);
            }
            if r.copying {
                return Next::Copying;
            }
            if let Some(newest) = newest.filter(|n| *n > r.run && !r.begun) {
                let problem = Problem::new(Reason::Superseded, format!("the newer run {newest} is copied instead"));
                return Next::Record(CopyState::Superseded, problem);
            }
            match feed {
                Feed::Promoter { waits_for_consumer } => undecided(r, waits_for_consumer, deadlines, now),
                Feed::Snapshot => of_snapshot(r, deadlines, now),
            }
        })
        .collect()
}

/// U1: the only run whose copy to a destination is tried again: the newest that is to be copied there.
pub fn newest_wanted<'a>(records: impl Iterator<Item = &'a RunRecord>, destination: &str) -> Option<&'a RunRecord> {
    records.filter(|r| r.destinations.iter().any(|d| d == destination)).max_by_key(|r| &r.run)
}

/// U1: when a copy that failed is tried again, if that can help.
#[must_use]
pub fn retried(record: &RunRecord, destination: &str) -> Option<Timestamp> {
    let result = record.results.get(destination).filter(|r| r.state == CopyState::Failed)?;
    let retry = record.retries.get(destination).filter(|_| !record.rebuilt)?;
    let mended = result.reason.is_some_and(Reason::is_mended_at_destination);
    mended.then(|| next_try(retry.since, retry.last))
}

fn of_snapshot(r: &RunFacts<'_>, deadlines: &Deadlines, now: Timestamp) -> Next {
    if r.snapshot.terminating {
        let message = "the snapshot was deleted before it was copied";
        return Next::Record(CopyState::Failed, Problem::new(Reason::SourceSnapshotLost, message));
    }
    if r.snapshot.ready {
        return Next::Copy;
    }
    let until = deadlines.snapshot_ready.after(r.snapshot.created);
    if now < until {
        return Next::Wait(Problem::new(Reason::WaitingForPromoter, "the snapshot is not ready yet"), Some(until));
    }
    let (name, limit) = (&r.snapshot.id.name, deadlines.snapshot_ready);
    let message = format!("VolumeSnapshot {name} was not ready within {limit} (deadlines.snapshotReady)");
    Next::Record(CopyState::Failed, Problem::new(Reason::SnapshotNotReady, message))
}

fn promoted(r: &RunFacts<'_>, waits_for_consumer: bool) -> bool {
    r.promoter.filter(|_| !r.snapshot.terminating).is_some_and(|p| {
        !p.terminating && (p.phase == ClaimPhase::Bound || (waits_for_consumer && p.phase == ClaimPhase::Pending))
    })
}

fn undecided(r: &RunFacts<'_>, waits_for_consumer: bool, deadlines: &Deadlines, now: Timestamp) -> Next {
    let lost = |what: &str| Next::Record(CopyState::Failed, Problem::new(Reason::PromoterLost, what.to_owned()));
    if r.snapshot.terminating {
        return lost("the snapshot was deleted before it was copied");
    }
    let Some(promoter) = r.promoter else {
        // The job that took the snapshot makes the promoter; it has this long for both.
        let until = deadlines.snapshot_job.after(r.snapshot.created);
        if now >= until {
            return lost("no promoter was made from the snapshot within deadlines.snapshotJob");
        }
        return Next::Wait(Problem::new(Reason::WaitingForPromoter, "the promoter does not exist yet"), Some(until));
    };
    if promoter.terminating || promoter.phase == ClaimPhase::Lost {
        return lost("the promoter was deleted or lost its volume before it was copied");
    }
    if promoted(r, waits_for_consumer) {
        return Next::Copy;
    }
    let until = deadlines.promoter_bound.after(promoter.created);
    if now >= until {
        let message = format!(
            "PVC {} was not bound within {} (deadlines.promoterBound)",
            promoter.id.name, deadlines.promoter_bound
        );
        return Next::Record(CopyState::Failed, Problem::new(Reason::PromoterNotBound, message));
    }
    let message = format!("PVC {} is not bound yet", promoter.id.name);
    Next::Wait(Problem::new(Reason::WaitingForPromoter, message), Some(until))
}

/// Whether a PVC shows that the snapshot of that name was ready once: it was made from it, and has its volume.
#[must_use]
pub fn shows_ready(promoter: &Claim, snapshot: &str) -> bool {
    promoter.phase == ClaimPhase::Bound && promoter.from_snapshot.as_deref() == Some(snapshot)
}

/// How far a run got, as people are shown it: one that is ready and in no record is not recorded yet.
#[must_use]
pub fn shown_state(
    snapshot: &Snapshot,
    record: Option<&RunRecord>,
    deadlines: &Deadlines,
    now: Timestamp,
) -> PointState {
    match record {
        Some(record) => point_state(snapshot, record, deadlines, now),
        None if snapshot.ready => PointState::Unrecorded,
        None if now >= deadlines.snapshot_ready.after(snapshot.created) => PointState::Dead,
        None => PointState::Waiting,
    }
}

/// How far a run got, as rotation sees it. `record` is what the ledger has of it; of one that it does not know yet, what
/// is recorded is nothing, and its destinations are those of the settings in force.
#[must_use]
pub fn point_state(snapshot: &Snapshot, record: &RunRecord, deadlines: &Deadlines, now: Timestamp) -> PointState {
    // L7: a copy or a promoter was made of it, so it was ready once: a status or a content that was lost makes no dead
    // snapshot of it.
    let copied = record.copied().next().is_some() || record.removed.is_some_and(CopyState::has_data);
    if !snapshot.ready && !copied {
        let until = deadlines.snapshot_ready.after(snapshot.created);
        return match (record.ready, now >= until) {
            (true, _) => PointState::Lost,
            (false, true) => PointState::Dead,
            (false, false) => PointState::Waiting,
        };
    }
    if record.destinations.is_empty() && record.removed.is_none() {
        return PointState::Good;
    }
    if record.has_ended(CopyState::Complete) {
        PointState::Good
    } else if record.awaited() {
        PointState::Unrecorded
    } else if record.has_ended(CopyState::Incomplete) {
        PointState::Incomplete
    } else if record.unsure.is_empty() {
        PointState::Unconfirmed
    } else {
        PointState::Unsure
    }
}
