//! Destinations that are down: told by the copies' results alone, so that a restart changes nothing.
//!
//! When the newest results at a destination say that it does not answer or refuses, its breaker is open: copies
//! wait, and one at a time tries. After each failure the pause before the next try is as long as the destination has
//! been down by then, a minute at least and half an hour at most. One copy that works closes it. Those that wait lose
//! nothing: a copy that failed is tried again after those that were not tried yet.
//!
//! Where copies run with a tenant's own Secret, each namespace has its own breaker: what a tenant writes there, or a
//! firewall of his, stops nobody else.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::jiff::Timestamp;

use crate::duration::Span;
use crate::reason::{Problem, Reason};
use crate::record::{CopyResult, CopyState};

/// The shortest pause before another try, in seconds.
const SHORTEST: u64 = 60;
const LONGEST: u64 = 30 * 60;
/// How far a node's clock may be ahead, in seconds. A result from later than that says nothing yet.
const SKEW: u64 = 5 * 60;

/// A breaker that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// What the newest copy failed of.
    pub reason: Reason,
    /// Since when none has worked.
    pub since: Timestamp,
    /// From when on one copy may try.
    pub next: Timestamp,
}

impl Open {
    /// What a copy to the destination waits for. It does not say when the next one tries: thousands may wait, and
    /// would be told anew each time.
    #[must_use]
    pub fn problem(&self, key: &str) -> Problem {
        let message =
            format!("{key} has been failing since {} ({}); one copy at a time is probing it", self.since, self.reason);
        Problem { cause: Some(self.reason), ..Problem::new(Reason::DestinationDown, message) }
    }
}

/// The breakers that are open at a moment, by [`crate::config::Destination::breaker`].
pub type Breakers = BTreeMap<String, Open>;

/// The results that say something about a destination, by when they ended; how many of each.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Results {
    worked: HashMap<String, BTreeMap<Timestamp, u32>>,
    faults: HashMap<String, BTreeMap<(Timestamp, Reason), u32>>,
}

impl Results {
    /// A result that is there now. `since`: when the first try of its copy failed. That result is gone, and the pauses
    /// go on from it.
    pub fn put(&mut self, key: &str, result: &CopyResult, since: Option<Timestamp>) {
        if worked(result) {
            *self.worked.entry(key.to_owned()).or_default().entry(result.finished).or_default() += 1;
        } else if let Some(reason) = fault(result) {
            let faults = self.faults.entry(key.to_owned()).or_default();
            for at in [Some(result.finished), since].into_iter().flatten() {
                *faults.entry((at, reason)).or_default() += 1;
            }
        }
    }

    /// A result that is there no more.
    pub fn take(&mut self, key: &str, result: &CopyResult, since: Option<Timestamp>) {
        if worked(result) {
            take(&mut self.worked, key, &result.finished);
        } else if let Some(reason) = fault(result) {
            for at in [Some(result.finished), since].into_iter().flatten() {
                take(&mut self.faults, key, &(at, reason));
            }
        }
    }

    /// The breakers that are open now.
    #[must_use]
    pub fn open(&self, now: Timestamp) -> Breakers {
        self.faults.keys().filter_map(|key| Some((key.clone(), self.one(key, now)?))).collect()
    }

    fn one(&self, key: &str, now: Timestamp) -> Option<Open> {
        let now = Span::from_secs(SKEW).after(now);
        let worked = self.worked.get(key).and_then(|w| w.range(..=now).next_back()).map(|(at, _)| *at);
        let faults = self.faults.get(key)?;
        let mut down = faults.keys().skip_while(|(at, _)| worked.is_some_and(|w| *at <= w));
        let &(since, _) = down.next()?;
        let &(last, reason) = faults.keys().rev().find(|(at, _)| *at <= now)?;
        if since > last {
            return None;
        }
        Some(Open { reason, since, next: next_try(since, last) })
    }
}

/// When something is tried again that has been failing since a time, and failed last at another.
#[must_use]
pub fn next_try(since: Timestamp, last: Timestamp) -> Timestamp {
    let long = u64::try_from(last.duration_since(since).as_secs()).unwrap_or(0);
    Span::from_secs(long.clamp(SHORTEST, LONGEST)).after(last)
}

fn take<T: Ord>(of: &mut HashMap<String, BTreeMap<T, u32>>, key: &str, at: &T) {
    let Some(counts) = of.get_mut(key) else { return };
    if let Some(count) = counts.get_mut(at) {
        *count -= 1;
        if *count == 0 {
            counts.remove(at);
        }
    }
    if counts.is_empty() {
        of.remove(key);
    }
}

fn worked(result: &CopyResult) -> bool {
    result.state.has_data()
}

/// What is the destination's fault. What a copy fails of by itself says nothing about others.
fn fault(result: &CopyResult) -> Option<Reason> {
    result.reason.filter(|r| result.state == CopyState::Failed && r.is_destinations_fault())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Timestamp {
        Span::minutes(minute).after("2026-11-20T00:00:00Z".parse().unwrap())
    }

    fn failed(minute: u64, reason: Reason) -> CopyResult {
        CopyResult::without_data(CopyState::Failed, &Problem::new(reason, "x"), at(minute))
    }

    fn complete(minute: u64) -> CopyResult {
        CopyResult { state: CopyState::Complete, reason: None, ..failed(minute, Reason::CopyFailed) }
    }

    fn results(all: &[CopyResult]) -> Results {
        let mut results = Results::default();
        for result in all {
            results.put("s3", result, None);
        }
        results
    }

    /// Since when it is down and when the next one tries, in minutes.
    fn open(all: &[CopyResult], now: u64) -> Option<(Timestamp, Timestamp)> {
        results(all).open(at(now)).get("s3").map(|o| (o.since, o.next))
    }

    use Reason::{BucketMissing, DestinationUnreachable, WrongPassword};

    #[test]
    fn the_newest_result_says_whether_a_destination_works() {
        let down = failed(5, DestinationUnreachable);
        assert_eq!(open(&[complete(1)], 9), None);
        assert_eq!(open(&[complete(1), down.clone()], 9), Some((at(5), at(6))));
        assert_eq!(open(&[complete(1), down.clone(), complete(7)], 9), None);
        let incomplete = CopyResult { state: CopyState::Incomplete, ..complete(7) };
        assert_eq!(open(&[down.clone(), incomplete], 9), None, "the destination took what could be read");
        // What one source's own repository refuses, and what was never tried, is not the destination's fault.
        let superseded = CopyResult { state: CopyState::Superseded, ..failed(8, BucketMissing) };
        let own = [failed(7, WrongPassword), failed(8, Reason::PromoterLost), superseded];
        assert_eq!(open(&own, 9), None);
        assert_eq!(open(&[&own[..], std::slice::from_ref(&down)].concat(), 9), Some((at(5), at(6))));
    }

    #[test]
    fn each_pause_is_as_long_as_the_outage_so_far_within_a_minute_and_half_an_hour() {
        let (mut all, mut pauses) = (vec![complete(0)], Vec::new());
        let mut now = 10;
        for _ in 0..9 {
            all.push(failed(now, DestinationUnreachable));
            let (since, next) = open(&all, now).unwrap();
            assert_eq!(since, at(10));
            let pause = next.duration_since(at(now)).as_secs() / 60;
            pauses.push(pause);
            now += u64::try_from(pause).unwrap();
        }
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 30, 30, 30]);
        // The order in which the results become known changes nothing.
        all.reverse();
        assert_eq!(open(&all, now).unwrap().0, at(10));
    }

    /// As snapshots rotate, their results go.
    #[test]
    fn what_is_taken_out_leaves_nothing_behind() {
        let all = [complete(1), failed(5, BucketMissing), failed(5, BucketMissing), failed(6, DestinationUnreachable)];
        let mut results = results(&all);
        assert_eq!(results.open(at(9))["s3"].reason, DestinationUnreachable);
        results.take("s3", &all[3], None);
        results.take("s3", &all[2], None);
        assert_eq!(results.open(at(9))["s3"].reason, BucketMissing, "there were two");
        results.take("s3", &all[1], None);
        assert!(results.open(at(9)).is_empty());
        results.take("s3", &all[0], None);
        results.take("s3", &all[0], None);
        assert_eq!(results, Results::default());
    }

    /// A clock that is wrong, or a result that somebody invented, keeps a destination neither closed nor open.
    #[test]
    fn results_from_the_future_say_nothing_yet() {
        assert_eq!(open(&[complete(1), failed(100, BucketMissing)], 9), None);
        assert_eq!(open(&[complete(100), failed(5, BucketMissing)], 9), Some((at(5), at(6))));
        assert_eq!(
            open(&[failed(12, BucketMissing)], 9),
            Some((at(12), at(13))),
            "a node's clock may be ahead a little"
        );
    }
}
