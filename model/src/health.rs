//! U1: how a source stands at each destination that it is to be copied to.
//!
//! A source is well when each of them has a good copy in time. That one of them is well says nothing about another.

use k8s_openapi::jiff::Timestamp;

use crate::config::Deadlines;
use crate::duration::Span;
use crate::names::Run;
use crate::record::CopyState;
use crate::schedule::{Due, Zone};

/// How many runs that were due may become no good copy. The same number makes a source overdue.
pub const MISSED: u32 = 2;

/// How a source stands at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It has a good copy in time.
    Well,
    /// It has no copy yet, and none is late.
    Pending,
    /// Its newest copy is not good.
    Failed,
    /// Too many runs that were due became no good copy.
    Late,
}

/// Judges it by the newest copy that ended there (those that gave way to a newer run do not count), the newest good
/// one, and the time from which on the next good one is late.
#[must_use]
pub fn health(
    newest: Option<(&Run, CopyState)>,
    good: Option<&Run>,
    late: Option<Timestamp>,
    now: Timestamp,
) -> Health {
    let is_late = late.is_some_and(|late| late <= now);
    match newest.filter(|(run, _)| good.is_none_or(|good| good < *run)) {
        Some((_, CopyState::Failed | CopyState::Incomplete)) => Health::Failed,
        Some((_, CopyState::Complete | CopyState::Superseded)) | None if is_late => Health::Late,
        Some((_, CopyState::Complete)) => Health::Well,
        Some((_, CopyState::Superseded)) | None if good.is_some() => Health::Well,
        Some((_, CopyState::Superseded)) | None => Health::Pending,
    }
}

/// How long a run may take until it is copied.
#[must_use]
pub fn patience(deadlines: &Deadlines) -> Span {
    let Deadlines { snapshot_job, copy_start, copy, .. } = deadlines;
    Span::from_secs(snapshot_job.as_secs() + copy_start.as_secs() + copy.as_secs())
}

/// From when on a good copy is late whose predecessor is of that time: [`MISSED`] runs were due since, and had their
/// time. Nothing if the schedule names no such time.
#[must_use]
pub fn late(due: &Due, zone: &Zone, after: Timestamp, patience: Span) -> Option<Timestamp> {
    let mut at = after;
    for _ in 0..MISSED {
        at = match due {
            Due::Cron(schedule) => schedule.next_after(at, zone)?,
            Due::After(span) => Span::from_secs(span.as_secs() + patience.as_secs()).after(at),
        };
    }
    Some(patience.after(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn run(day: u32) -> Run {
        format!("201812{day:02}T0317Z").parse().unwrap()
    }

    /// U1: each state of the newest copy, with and without a good one, in time and too late.
    #[test]
    fn a_destination_is_well_only_with_a_good_copy_in_time() {
        use CopyState::{Complete, Failed, Incomplete, Superseded};
        use Health::{Late, Pending, Well};
        let now = at("2018-12-05T12:00:00Z");
        let (early, late) = (Some(at("2018-12-05T12:00:01Z")), Some(now));
        let judge = |newest: Option<(u32, CopyState)>, good: Option<u32>, late| {
            let (newest, good) = (newest.map(|(day, state)| (run(day), state)), good.map(run));
            health(newest.as_ref().map(|(run, state)| (run, *state)), good.as_ref(), late, now)
        };
        for (newest, good, in_time, too_late) in [
            (None, None, Pending, Late),
            (None, Some(4), Well, Late),
            (Some((4, Complete)), Some(4), Well, Late),
            (Some((5, Complete)), None, Well, Late),
            (Some((5, Superseded)), None, Pending, Late),
            (Some((5, Superseded)), Some(4), Well, Late),
            (Some((5, Failed)), None, Health::Failed, Health::Failed),
            (Some((5, Failed)), Some(4), Health::Failed, Health::Failed),
            (Some((5, Incomplete)), Some(4), Health::Failed, Health::Failed),
            (Some((4, Failed)), Some(5), Well, Late),
        ] {
            assert_eq!(judge(newest, good, early), in_time, "{newest:?} {good:?}");
            assert_eq!(judge(newest, good, None), in_time, "{newest:?} {good:?}");
            assert_eq!(judge(newest, good, late), too_late, "{newest:?} {good:?}");
        }
    }

    #[test]
    fn a_copy_is_late_once_two_runs_had_their_time() {
        let late = |schedule: &str| {
            let due = Due::parse(schedule, "").unwrap();
            late(&due, &Zone::default(), at("2018-12-02T03:17:00Z"), patience(&Deadlines::default())).unwrap()
        };
        // A Job has 30 minutes, and a copy 10 minutes and 4 hours.
        assert_eq!(late("17 3 * * *"), at("2018-12-04T07:57:00Z"));
        assert_eq!(late("17 3 * * 0"), at("2018-12-16T07:57:00Z"));
        assert_eq!(late("@after 1d"), at("2018-12-04T17:17:00Z"));
    }
}
