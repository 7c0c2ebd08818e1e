//! How long restore points are kept: one grammar for snapshots, dated trees and restic.

mod foreign;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::duration::{Span, from_text, shown};
use crate::schedule::{Civil, Zone};

const ALLOWED: &str = "write an age, for example `2days`, or keep rules, for example `last=3 daily=7 within=2d`. The \
                       rules are last, hourly, daily, weekly, monthly, yearly (with a number) and within (with an age)";

/// How long restore points are kept: an age, or keep rules of which one is enough.
///
/// | written | keeps |
/// |---|---|
/// | `2days` | what is younger than that |
/// | `within=2d` | the same, beside other rules |
/// | `last=3` | the newest 3 |
/// | `hourly=24` `daily=7` `weekly=5` `monthly=6` `yearly=2` | the newest of each of the last so many hours, days, ISO weeks, months, years **that have a restore point** |
///
/// Rules stand in any order with blanks between them, each at most once; a length of time in a
/// rule has no blanks (`within=1w2d`). Hours, days, weeks, months and years are those of the
/// schedule's time zone. What would keep nothing (empty, `last=0`, `0d`) is refused: a setting
/// deletes everything only if it cannot be read, and then it deletes nothing.
///
/// It means the same as in restic but for one thing: restic also keeps the oldest while a rule
/// has not used up its number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Retention(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Age(Span),
    Rules {
        /// How many of each unit, in the order of [`UNITS`].
        counts: [u32; UNITS.len()],
        within: Option<Span>,
    },
}

/// What a rule counts, from the shortest to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Last,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

const UNITS: [Unit; 6] = [Unit::Last, Unit::Hourly, Unit::Daily, Unit::Weekly, Unit::Monthly, Unit::Yearly];

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Last => "last",
            Unit::Hourly => "hourly",
            Unit::Daily => "daily",
            Unit::Weekly => "weekly",
            Unit::Monthly => "monthly",
            Unit::Yearly => "yearly",
        }
    }

    /// The longest that one of them is.
    fn length(self) -> Span {
        match self {
            Unit::Last => Span::ZERO,
            Unit::Hourly => Span::hours(1),
            Unit::Daily => Span::days(1),
            Unit::Weekly => Span::days(7),
            Unit::Monthly => Span::days(31),
            Unit::Yearly => Span::days(366),
        }
    }

    /// Which hour, day, week, month or year this is; for `last`, each point is its own.
    fn bucket(self, civil: &Civil, point: usize) -> (i64, u32, u32, u32, i32) {
        let Civil { year, month, day, hour, utc_offset, .. } = *civil;
        let year = i64::from(year);
        match self {
            Unit::Last => (i64::try_from(point).unwrap_or(i64::MAX), 0, 0, 0, 0),
            // Two hours look the same when the clock goes back.
            Unit::Hourly => (year, month, day, hour, utc_offset),
            Unit::Daily => (year, month, day, 0, 0),
            Unit::Weekly => (i64::from(civil.iso_year), civil.iso_week, 0, 0, 0),
            Unit::Monthly => (year, month, 0, 0, 0),
            Unit::Yearly => (year, 0, 0, 0, 0),
        }
    }
}

/// Why a text is not a retention, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not a retention: {fault}; {ALLOWED}")]
pub struct RetentionError {
    text: String,
    fault: String,
}

impl Retention {
    /// Keeps what is younger than `age`.
    #[must_use]
    pub const fn age(age: Span) -> Retention {
        Retention(Kind::Age(age))
    }

    /// For each point, in the order given: why it is kept (`daily 3/7`, `younger than 2d`), or
    /// nothing if it has expired. The points are the runs of one source, in any order.
    ///
    /// A point later than `now` is kept and not counted: a clock that slipped says nothing about
    /// what is old.
    #[must_use]
    pub fn judge(&self, points: &[Timestamp], now: Timestamp, zone: &Zone) -> Vec<Option<String>> {
        let mut reasons: Vec<Vec<String>> =
            points.iter().map(|&point| self.by_age(point, now).into_iter().collect()).collect();
        let mut newest_first: Vec<usize> = (0..points.len()).filter(|&i| points[i] <= now).collect();
        newest_first.sort_by_key(|&i| std::cmp::Reverse(points[i]));
        let civils: Vec<Civil> = points.iter().map(|&point| zone.civil(point)).collect();
        for (unit, count) in self.counts() {
            let mut used = BTreeSet::new();
            for &point in &newest_first {
                if used.len() >= count as usize {
                    break;
                }
                if used.insert(unit.bucket(&civils[point], point)) {
                    reasons[point].push(format!("{} {}/{count}", unit.name(), used.len()));
                }
            }
        }
        reasons.into_iter().map(|reasons| (!reasons.is_empty()).then(|| reasons.join(", "))).collect()
    }

    fn by_age(&self, point: Timestamp, now: Timestamp) -> Option<String> {
        if point > now {
            return Some("later than now".to_owned());
        }
        let age = self.kept_age()?;
        (age.before(now) < point).then(|| format!("younger than {age}"))
    }

    /// About how far back this reaches if a point is made every `interval`: the interval is what
    /// `last` counts in, and a day without a point does not count for `daily`.
    #[must_use]
    pub fn longest(&self, interval: Span) -> Span {
        self.counts()
            .map(|(unit, count)| unit.length().max(interval).times(u64::from(count)))
            .chain(self.kept_age())
            .max()
            .unwrap_or(Span::ZERO)
    }

    /// What keeps all that this or the other keeps: one rule is enough, so of each the larger.
    #[must_use]
    pub fn or(&self, other: &Retention) -> Retention {
        let within = self.kept_age().max(other.kept_age());
        if let (Kind::Age(_), Kind::Age(_), Some(age)) = (&self.0, &other.0, within) {
            return Retention::age(age);
        }
        let mut counts = [0; UNITS.len()];
        for (unit, count) in self.counts().chain(other.counts()) {
            let most = &mut counts[unit as usize];
            *most = count.max(*most);
        }
        Retention(Kind::Rules { counts, within })
    }

    /// Whether each rule keeps at least what the same rule of the other keeps. What `30days` keeps may be all that
    /// `daily=7` keeps; that is not looked at.
    #[must_use]
    pub fn covers(&self, other: &Retention) -> bool {
        let mine = |unit: Unit| self.counts().find(|(its, _)| *its == unit).map_or(0, |(_, count)| count);
        self.kept_age() >= other.kept_age() && other.counts().all(|(unit, count)| count <= mine(unit))
    }

    /// The age up to which all is kept; `None` if only rules count.
    #[must_use]
    pub fn kept_age(&self) -> Option<Span> {
        match self.0 {
            Kind::Age(age) => Some(age),
            Kind::Rules { within, .. } => within,
        }
    }

    /// The rules that keep something.
    fn counts(&self) -> impl Iterator<Item = (Unit, u32)> {
        let counts = match self.0 {
            Kind::Age(_) => [0; UNITS.len()],
            Kind::Rules { counts, .. } => counts,
        };
        UNITS.into_iter().zip(counts).filter(|(_, count)| *count > 0)
    }
}

fn parse(text: &str) -> Result<Kind, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if !text.contains('=') {
        let age: Span = text.parse().map_err(|_| "it is neither an age nor a rule".to_owned())?;
        return if age.is_zero() { Err(KEEPS_NOTHING.to_owned()) } else { Ok(Kind::Age(age)) };
    }
    let mut counts = [None; UNITS.len()];
    let mut within = None;
    for word in text.split_whitespace() {
        let (name, value) = word.split_once('=').ok_or_else(|| {
            format!("{} is not a rule (write an age beside rules as `within=`, without blanks)", shown(word))
        })?;
        let twice = if name == "within" {
            let age: Span = value.parse().map_err(|_| format!("{} is not a duration", shown(value)))?;
            within.replace(age).is_some()
        } else {
            let place = UNITS
                .iter()
                .position(|unit| unit.name() == name)
                .ok_or_else(|| format!("unknown rule {}", shown(name)))?;
            counts[place].replace(count(value)?).is_some()
        };
        if twice {
            return Err(format!("the rule {name} occurs twice"));
        }
    }
    let counts = counts.map(Option::unwrap_or_default);
    let within = within.filter(|age| !age.is_zero());
    if within.is_none() && counts.iter().all(|&count| count == 0) {
        return Err(KEEPS_NOTHING.to_owned());
    }
    Ok(Kind::Rules { counts, within })
}

const KEEPS_NOTHING: &str = "it keeps nothing";

fn count(text: &str) -> Result<u32, String> {
    text.chars()
        .all(|c| c.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| format!("{} is not a whole number up to {}", shown(text), u32::MAX))
}

impl FromStr for Retention {
    type Err = RetentionError;

    fn from_str(text: &str) -> Result<Retention, RetentionError> {
        parse(text).map(Retention).map_err(|fault| {
            let known = UNITS.map(Unit::name).into_iter().chain(["within"]).collect::<Vec<_>>();
            let offers = foreign::offers(text, &known).into_iter().filter(|offer| parse(offer).is_ok());
            let offers: Vec<String> = offers.map(|offer| format!("`{offer}`")).collect();
            let hint =
                if offers.is_empty() { String::new() } else { format!(" (did you mean {}?)", offers.join(" or ")) };
            RetentionError { text: shown(text), fault: fault + &hint }
        })
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.counts().map(|(unit, count)| format!("{}={count}", unit.name()));
        let text: Vec<String> = match &self.0 {
            Kind::Age(age) => vec![age.to_string()],
            Kind::Rules { within, .. } => {
                rules.chain(within.map(|age| format!("within={}", age.to_string().replace(' ', "")))).collect()
            }
        };
        f.pad(&text.join(" "))
    }
}

impl Serialize for Retention {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Retention, D::Error> {
        from_text(deserializer, "a retention such as `2days` or `daily=7 weekly=5`")
    }
}
