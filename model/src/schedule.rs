//! When a run is due: Kubernetes' cron schedules in a time zone, with `H` as in Jenkins.
//!
//! Kubernetes' own controller decides when a CronJob fires; what is computed here is for people
//! (the next run), for bounds (the shortest interval) and for deadlines. So this module gives the
//! `cron` crate Kubernetes' meaning: that crate wants seconds, counts weekdays from 1, joins day
//! of month and weekday with AND, and puts the two passes of an hour that the clock shows twice
//! into one another. It therefore sees explicit numbers only, twice if day of month and weekday
//! are both restricted, and a clock without changes; the zone's changes are dealt with here.
//!
//! Clock changes are as in Kubernetes: a time that the clock skips has no run that day, and a
//! time that it shows twice has two. Kubernetes differs in two corners that are not worth
//! copying: where the clock changes by other than an hour (Lord Howe, Troll) or at midnight
//! (Beirut, Cairo, Havana, Santiago), it may miss or move a run on the day of the change.

mod due;
mod fields;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::duration::{Span, from_text, shown};
pub use due::{Due, after, first, start};
pub use fields::ScheduleError;
use fields::{Fields, set, values};

/// No zone changes its clock twice within this.
const BETWEEN_CHANGES: i64 = 86_400;
/// More changes of the clock than there are between two runs of any schedule.
const MOST_CHANGES: usize = 1000;
/// Leap years and weekdays repeat after so many days (28 years) within a century.
const CALENDAR: usize = 28 * 365 + 7;

/// A time zone by its IANA name, from the database that is compiled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Zone(chrono_tz::Tz);

/// Why a time zone was refused, with those that may be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not a time zone; write an IANA name such as Etc/UTC or Europe/Amsterdam{hint}")]
pub struct ZoneError {
    text: String,
    hint: String,
}

/// A moment as the clock and the calendar of a zone show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Civil {
    /// The year.
    pub year: i32,
    /// The month, from 1.
    pub month: u32,
    /// The day of the month, from 1.
    pub day: u32,
    /// The hour, 0 to 23.
    pub hour: u32,
    /// The minute, 0 to 59.
    pub minute: u32,
    /// The year that the ISO week belongs to: around New Year it is not always `year`.
    pub iso_year: i32,
    /// The ISO week, 1 to 53. It begins on Monday.
    pub iso_week: u32,
    /// Seconds east of UTC at that moment. It tells apart the two hours that look the same when
    /// the clock goes back.
    pub utc_offset: i32,
}

impl Zone {
    /// `Etc/UTC`.
    #[must_use]
    pub const fn utc() -> Zone {
        Zone(chrono_tz::Tz::Etc__UTC)
    }

    /// The IANA name, as it goes into a CronJob's `timeZone`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// What the zone's clock and calendar show at that moment.
    #[must_use]
    pub fn civil(&self, moment: Timestamp) -> Civil {
        let (local, offset) = self.clock(moment.as_second());
        let week = local.iso_week();
        Civil {
            year: local.year(),
            month: local.month(),
            day: local.day(),
            hour: local.hour(),
            minute: local.minute(),
            iso_year: week.year(),
            iso_week: week.week(),
            utc_offset: i32::try_from(offset).unwrap_or(0),
        }
    }

    /// What the clock shows, and its seconds east of UTC.
    fn clock(&self, second: i64) -> (NaiveDateTime, i64) {
        let utc = civil_of(second);
        let offset = self.0.offset_from_utc_datetime(&utc).fix();
        let seconds = i64::from(offset.local_minus_utc());
        let local = utc.checked_add_signed(TimeDelta::seconds(seconds)).unwrap_or(utc);
        (local, seconds)
    }

    fn offset(&self, second: i64) -> i64 {
        self.clock(second).1
    }

    /// The first second in `(from, to]` with another offset than `from` has.
    fn first_change(&self, from: i64, to: i64) -> Option<i64> {
        let before = self.offset(from);
        let mut low = from;
        while low < to {
            let high = to.min(low + BETWEEN_CHANGES);
            if self.offset(high) != before {
                return Some(bisect(low, high, |second| self.offset(second) != before));
            }
            low = high;
        }
        None
    }

    /// The last second in `(from, to]` that has another offset than the second before it.
    fn last_change(&self, from: i64, to: i64) -> Option<i64> {
        let after = self.offset(to);
        let mut high = to;
        while high > from {
            let low = from.max(high - BETWEEN_CHANGES);
            if self.offset(low) != after {
                return Some(bisect(low, high, |second| self.offset(second) == after));
            }
            high = low;
        }
        None
    }
}

/// The first second in `(low, high]` for which `holds` is true; it is false at `low`, true at
/// `high`, and changes once.
fn bisect(mut low: i64, mut high: i64, holds: impl Fn(i64) -> bool) -> i64 {
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// Seconds since 1970 as date and time. What the API's times can hold, chrono can.
fn civil_of(second: i64) -> NaiveDateTime {
    DateTime::from_timestamp(second, 0).unwrap_or_default().naive_utc()
}

impl Default for Zone {
    fn default() -> Zone {
        Zone::utc()
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Zone, ZoneError> {
        let name = text.trim();
        name.parse().map(Zone).map_err(|_| ZoneError { text: shown(text), hint: similar_zones(name) })
    }
}

/// Zones that differ in case, or that lie in that place: `amsterdam`, `New York`.
fn similar_zones(text: &str) -> String {
    let wanted = text.to_lowercase().replace(' ', "_");
    let found: Vec<&str> = chrono_tz::TZ_VARIANTS
        .iter()
        .map(|zone| zone.name())
        .filter(|name| {
            let name = name.to_lowercase();
            !wanted.is_empty() && (name == wanted || name.ends_with(&format!("/{wanted}")))
        })
        .take(3)
        .collect();
    if found.is_empty() { String::new() } else { format!(" (did you mean {}?)", found.join(" or ")) }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        from_text(deserializer, "the name of a time zone")
    }
}

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
    fields: Fields,
    /// For the `cron` crate; two of them if either day is enough.
    dates: Vec<cron::Schedule>,
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
