//! What time it is at the API server.
//!
//! Each answer carries the server's time in its `Date`. What ages are counted from are the API server's times, so what is
//! compared with them must be too: the clock of one node, ahead by a month, would expire a month of restore points.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use k8s_openapi::jiff::fmt::rfc2822;
use model::Timestamp;

/// A difference up to here is none: the header has whole seconds, and an answer takes a while.
const SAME: i64 = 5;

static CLOCK: Clock = Clock { ahead: AtomicI64::new(0) };

/// The API server's time, by the last answer and the time since. Before the first answer it is the machine's.
#[must_use]
pub fn now() -> Timestamp {
    CLOCK.at(Timestamp::now())
}

/// By how many seconds the API server is ahead of this machine; negative if it is behind. Small differences are 0.
#[must_use]
pub fn ahead() -> i64 {
    CLOCK.ahead.load(Ordering::Relaxed)
}

/// Takes note of the header `Date` of an answer.
pub(crate) fn saw(date: Option<&str>) {
    if let Some(date) = date {
        CLOCK.saw(date, Timestamp::now());
    }
}

/// How far the API server's clock is from the machine's.
#[derive(Debug)]
struct Clock {
    ahead: AtomicI64,
}

impl Clock {
    fn at(&self, here: Timestamp) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let by = Duration::from_secs(ahead.unsigned_abs());
        let there = if ahead < 0 { here.checked_sub(by) } else { here.checked_add(by) };
        there.unwrap_or(here)
    }

    /// A date that cannot be read changes nothing.
    fn saw(&self, date: &str, here: Timestamp) {
        let Ok(there) = rfc2822::parse(date) else { return };
        let ahead = there.timestamp().as_second().saturating_sub(here.as_second());
        self.ahead.store(if ahead.abs() <= SAME { 0 } else { ahead }, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// L9: a prune that is due by the clock of a node which is a month ahead deletes a month of restore points.
    #[test]
    fn the_time_is_the_api_servers_however_wrong_the_machine_is() {
        let clock = Clock { ahead: AtomicI64::new(0) };
        for wrong in ["2018-12-31T12:00:00Z", "2018-10-01T00:00:00Z", "1970-01-01T00:00:07Z"] {
            clock.saw("Sat, 01 Dec 2018 03:30:00 GMT", time(wrong));
            assert_eq!(clock.at(time(wrong)), time("2018-12-01T03:30:00Z"), "{wrong}");
        }
        clock.saw("yesterday", time("2018-12-01T03:30:00Z"));
        let later = time("1970-01-01T00:01:07Z");
        assert_eq!(clock.at(later), time("2018-12-01T03:31:00Z"), "and it goes on between two answers");
    }

    #[test]
    fn a_clock_that_is_right_is_left_alone() {
        let clock = Clock { ahead: AtomicI64::new(0) };
        for here in ["2018-12-01T03:30:00.9Z", "2018-12-01T03:29:56Z", "2018-12-01T03:30:05Z"] {
            clock.saw("Sat, 01 Dec 2018 03:30:00 GMT", time(here));
            assert_eq!(clock.at(time(here)), time(here), "{here}");
        }
    }
}
