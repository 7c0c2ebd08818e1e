//! When a source's runs are due: by the clock, or so long after the last one ended.

use k8s_openapi::jiff::Timestamp;

use super::fields::drawn;
use super::{Schedule, ScheduleError};
use crate::duration::Span;

/// What a schedule begins with that counts from the end of the last run.
const AFTER: &str = "@after";

/// When the runs of one source are due, as the setting `schedule` says.
#[derive(Debug, Clone, PartialEq)]
pub enum Due {
    /// By the clock: fields or a macro. Kubernetes starts the runs.
    Cron(Schedule),
    /// `@after 24h`: so long after the last run ended, well or not. No clock can start these, so the
    /// controller does. See [`crate::plan::next_run`].
    After(Span),
}

impl Due {
    /// Reads a schedule; `seed` as in [`Schedule::parse`].
    pub fn parse(text: &str, seed: &str) -> Result<Due, ScheduleError> {
        let Some(rest) = text.trim().strip_prefix(AFTER).filter(|rest| !rest.starts_with(char::is_alphanumeric)) else {
            return Schedule::parse(text, seed).map(Due::Cron);
        };
        match rest.parse::<Span>() {
            Ok(span) if !span.is_zero() => Ok(Due::After(span)),
            Ok(_) => Err(ScheduleError::new(text, "the time after the previous run must be at least 1s")),
            Err(fault) => {
                Err(ScheduleError::new(text, format!("{fault}; write @after and a duration, for example @after 24h")))
            }
        }
    }

    /// As it is shown, and as it is read again: `H` replaced by what it came to.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Due::Cron(schedule) => schedule.kubernetes().to_owned(),
            Due::After(span) => after(*span),
        }
    }

    /// The smallest distance between two runs, as in [`Schedule::shortest_interval`].
    #[must_use]
    pub fn shortest_interval(&self) -> Span {
        match self {
            Due::Cron(schedule) => schedule.shortest_interval(),
            Due::After(span) => *span,
        }
    }

    /// The time after the end of the last run, if that is what counts.
    #[must_use]
    pub fn after(&self) -> Option<Span> {
        match self {
            Due::Cron(_) => None,
            Due::After(span) => Some(*span),
        }
    }
}

/// A schedule that counts from the end of the last run, as text.
#[must_use]
pub fn after(span: Span) -> String {
    format!("{AFTER} {span}")
}

/// Late by this, a run is not alone: the controller was away, or the settings of many changed at once.
const LATE: Span = Span::minutes(10);
/// Over this time the late ones are spread.
const SPREAD: Span = Span::hours(1);

/// The moment, within `period` from `since`, at which the first run of a source is due. The seed decides it, so
/// that those which were made together do not run together.
#[must_use]
pub fn first(since: Timestamp, period: Span, seed: &str) -> Timestamp {
    share(seed, period).after(since)
}

/// When to start a run that was due at `due`, as things are at `now`. In time it is `due`. A late one waits for a
/// moment of its source's own, of which there is one in each [`SPREAD`], so that thousands that are late together
/// do not start together.
#[must_use]
pub fn start(due: Timestamp, now: Timestamp, seed: &str) -> Timestamp {
    if now < LATE.after(due) {
        return due;
    }
    let own = Span::from_secs(share(seed, SPREAD).as_secs());
    let whole = i64::try_from(SPREAD.as_secs()).unwrap_or(i64::MAX);
    let since = (now.as_second() - i64::try_from(own.as_secs()).unwrap_or(0)).rem_euclid(whole);
    let since = Span::from_secs(u64::try_from(since).unwrap_or(0));
    let begun = since.before(now);
    if since < LATE { begun } else { SPREAD.after(begun) }
}

/// A length of time shorter than `below` that the seed decides.
fn share(seed: &str, below: Span) -> Span {
    Span::from_secs(drawn(seed, "after", 0) % below.as_secs().max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn after_and_a_length_of_time_is_a_schedule_and_every_is_none() {
        for (text, shown) in
            [("@after 24h", "@after 1d"), (" @after  1d 12h ", "@after 1d 12h"), ("@after 90m", "@after 1h 30m")]
        {
            let due = Due::parse(text, "seed").unwrap();
            assert_eq!(due.text(), shown);
            assert_eq!(due.after(), Some(due.shortest_interval()));
            assert_eq!(Due::parse(shown, "other").unwrap().after(), due.after());
        }
        let cron = Due::parse("H 3 * * *", "seed").unwrap();
        assert!(cron.after().is_none() && cron.text().ends_with(" 3 * * *"));
        for (text, words) in [
            ("@after", "write @after and a duration"),
            ("@after 24", "a unit"),
            ("@after 0h", "must be at least 1s"),
            ("@after soon", "write @after"),
            ("@afterwards 1h", "the macros are"),
            ("@After 1h", "@after"),
            ("@every 24h", "@after 24h"),
        ] {
            let fault = Due::parse(text, "seed").unwrap_err().to_string();
            assert!(fault.contains(words), "{text}: {fault}");
        }
    }

    /// Ten thousand that are protected at once, or late at once, do not begin at once.
    #[test]
    fn first_runs_and_late_ones_are_spread() {
        let seeds: Vec<String> = (0..10_000).map(|n| format!("shop/data-{n}/uid")).collect();
        let mut hours = [0; 24];
        let mut minutes = [0; 60];
        for seed in &seeds {
            let first = first(at(0), Span::hours(24), seed).as_second();
            hours[usize::try_from(first / 3600).unwrap()] += 1;
            let late = start(at(0), at(86_400), seed).as_second() - 86_400;
            // A moment that has just begun counts as now.
            minutes[usize::try_from(late.rem_euclid(3600) / 60).unwrap()] += 1;
        }
        assert!(hours.iter().all(|n| (300..550).contains(n)), "{hours:?}");
        assert!(minutes.iter().all(|n| (100..240).contains(n)), "{minutes:?}");
    }

    proptest! {
        #[test]
        fn a_late_run_starts_within_the_spread_and_whenever_it_is_asked(due in 0i64..10_000_000, late in 0i64..1_000_000, seed in "[a-z]{1,8}") {
            let start_at = start(at(due), at(due + late), &seed);
            prop_assert!(start_at >= at(due));
            prop_assert!(start_at <= SPREAD.after(at(due + late)));
            // Asked again when the time has come, it is now.
            let then = at(start_at.as_second().max(due + late));
            prop_assert!(start(at(due), then, &seed) <= then);
        }

        #[test]
        fn a_first_run_is_within_its_period(since in 0i64..10_000_000, hours in 1u64..2000, seed in ".{0,20}") {
            let first = first(at(since), Span::hours(hours), &seed);
            prop_assert!(first >= at(since) && first < Span::hours(hours).after(at(since)));
        }
    }
}
