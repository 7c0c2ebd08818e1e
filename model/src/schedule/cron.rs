//! Schedules by the clock, with the meaning that Kubernetes gives them.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use k8s_openapi::jiff::Timestamp;

use super::fields::{Fields, ScheduleError, set, values};
use super::zone::Zone;
use crate::duration::Span;

/// More changes of the clock than there are between two runs of any schedule.
const MOST_CHANGES: usize = 1000;
/// Leap years and weekdays repeat after so many days (28 years) within a century.
const CALENDAR: usize = 28 * 365 + 7;

/// When the runs of one source are due.
///
/// The text has Kubernetes' five fields (minute, hour, day of month, month, weekday with Sunday
/// as 0) or one of its macros (`@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`,
/// `@yearly`, `@annually`). In the place of a number may stand `H`: a value that the source's
/// seed decides, so that volumes spread by themselves and each keeps its time.
///
/// | written | means |
/// |---|---|
/// | `H` | one value of the field; a day of the month stays within 1-28 |
/// | `H(0-5)` | one value of the range |
/// | `H/15` | every 15, starting at one of the first 15 |
/// | `H(0-29)/10` | the same within a range |
///
/// If day of month and weekday are both restricted, either is enough, as in any cron; a `*` with
/// a step above 1 is a restriction.
///
/// Refused, each with a reason: a `TZ=` prefix, six fields, weekday 7, ranges that end before
/// they begin, `L`, `W`, `#`, dates that never come (31 February), and `@every`. Kubernetes takes
/// the last one and counts from the CronJob's last run or its creation: what is due then does not
/// follow from the setting, and all volumes that were made together run together.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub(super) fields: Fields,
    /// For the `cron` crate; two of them if either day is enough.
    dates: Vec<cron::Schedule>,
}

/// The dates are what the fields say.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl Schedule {
    /// Reads a schedule. `seed` decides what `H` means; it names the source (namespace, name and
    /// UID), so that each source has its own times and keeps them.
    pub fn parse(text: &str, seed: &str) -> Result<Schedule, ScheduleError> {
        let fields = Fields::parse(text, seed)?;
        let days = numbers(fields.days, set(1, 31), 0);
        // Sunday is 0 in Kubernetes and 1 in the crate.
        let weekdays = numbers(fields.weekdays, set(0, 6), 1);
        let pairs = if fields.either_day {
            vec![(days.as_str(), "*"), ("*", weekdays.as_str())]
        } else {
            vec![(days.as_str(), weekdays.as_str())]
        };
        let minutes = numbers(fields.minutes, set(0, 59), 0);
        let hours = numbers(fields.hours, set(0, 23), 0);
        let months = numbers(fields.months, set(1, 12), 0);
        let dates = pairs
            .into_iter()
            .map(|(days, weekdays)| {
                format!("0 {minutes} {hours} {days} {months} {weekdays}")
                    .parse::<cron::Schedule>()
                    .map_err(|e| ScheduleError::new(text, e.to_string()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Schedule { fields, dates })
    }

    /// What goes into the CronJob's `schedule`: each `H` is replaced by what it came to.
    #[must_use]
    pub fn kubernetes(&self) -> &str {
        &self.fields.kubernetes
    }

    /// The first run later than `moment`; none before 1970 or after 2100, which are the years that
    /// the `cron` crate knows.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp, zone: &Zone) -> Option<Timestamp> {
        // Between two changes of the clock its time and the seconds since 1970 run in step. So
        // look by the clock as it is set, and again from the change on if one comes first.
        let mut earliest = moment.as_second().max(0) + 1;
        for _ in 0..MOST_CHANGES {
            let (local, offset) = zone.clock(earliest);
            let found = self.first_by_clock(local)?.and_utc().timestamp() - offset;
            match zone.first_change(earliest, found) {
                None => return Timestamp::from_second(found).ok(),
                Some(change) => earliest = change,
            }
        }
        None
    }

    /// The last run not later than `moment`; none before 1970.
    #[must_use]
    pub fn previous_at_or_before(&self, moment: Timestamp, zone: &Zone) -> Option<Timestamp> {
        let mut latest = moment.as_second();
        if latest < 0 {
            return None;
        }
        for _ in 0..MOST_CHANGES {
            let (local, offset) = zone.clock(latest);
            let found = self.last_by_clock(local)?.and_utc().timestamp() - offset;
            match zone.last_change(found, latest) {
                None => return Timestamp::from_second(found).ok(),
                Some(change) => latest = change - 1,
            }
        }
        None
    }

    /// The smallest distance between two runs that follow each other, by a clock that never
    /// changes: once a year a change may bring two runs an hour closer, or one of them twice. A
    /// bound that counted this would refuse one daily schedule in six; such a run is left to the
    /// job, which looks at the run before.
    #[must_use]
    pub fn shortest_interval(&self) -> Span {
        let times: Vec<u64> = values(self.fields.hours)
            .flat_map(|hour| values(self.fields.minutes).map(move |minute| hour * 60 + minute))
            .map(u64::from)
            .collect();
        let within_a_day = times.windows(2).map(|pair| pair[1] - pair[0]).min();
        let (first, last) = (times.first().copied(), times.last().copied());
        let over_midnight = self.shortest_days() * 24 * 60 + first.unwrap_or(0) - last.unwrap_or(0);
        Span::minutes(within_a_day.map_or(over_midnight, |within| within.min(over_midnight)))
    }

    /// The fewest days between two dates with runs that follow each other.
    fn shortest_days(&self) -> u64 {
        let start = NaiveDate::from_yo_opt(2001, 1).unwrap_or_default();
        let mut shortest = CALENDAR;
        let mut before = None;
        // One year more, for the pair over the calendar's end.
        for (number, date) in start.iter_days().take(CALENDAR + 366).enumerate() {
            let weekday = date.weekday().num_days_from_sunday();
            if !self.fields.matches_date(date.month(), date.day(), weekday) {
                continue;
            }
            if let Some(before) = before.replace(number) {
                shortest = shortest.min(number - before);
            }
            if shortest == 1 {
                break;
            }
        }
        shortest as u64
    }

    /// The first time not earlier than `clock`, on a clock without changes.
    fn first_by_clock(&self, clock: NaiveDateTime) -> Option<NaiveDateTime> {
        let after = clock.checked_sub_signed(TimeDelta::seconds(1))?.and_utc();
        self.dates
            .iter()
            .filter_map(|dates| dates.after(&after).next())
            .min()
            .map(|found: DateTime<Utc>| found.naive_utc())
    }

    /// The last time not later than `clock`, on a clock without changes.
    fn last_by_clock(&self, clock: NaiveDateTime) -> Option<NaiveDateTime> {
        let before = clock.checked_add_signed(TimeDelta::seconds(1))?.and_utc();
        self.dates
            .iter()
            .filter_map(|dates| dates.after(&before).next_back())
            .max()
            .map(|found: DateTime<Utc>| found.naive_utc())
    }
}

/// A field for the `cron` crate: the values with `shift` added, or a star for all of them.
fn numbers(bits: u64, all: u64, shift: u32) -> String {
    if bits == all {
        return "*".to_owned();
    }
    let numbers: Vec<String> = values(bits).map(|value| (value + shift).to_string()).collect();
    numbers.join(",")
}
