//! Time zones: what a clock shows there, and when that changes.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::duration::{from_text, shown};

/// No zone changes its clock twice within this.
const BETWEEN_CHANGES: i64 = 86_400;

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
    pub(super) fn clock(&self, second: i64) -> (NaiveDateTime, i64) {
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
    pub(super) fn first_change(&self, from: i64, to: i64) -> Option<i64> {
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
    pub(super) fn last_change(&self, from: i64, to: i64) -> Option<i64> {
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
