//! The text of a schedule: Kubernetes' five fields and macros, and `H`.
//!
//! The rules are those of the parser in Kubernetes' CronJob controller (robfig/cron v3,
//! `ParseStandard`). Four forms that it takes without meaning anything by them are refused here:
//! an empty item in a list, `*-5`, numbers with a sign, and a schedule that never fires.

use sha2::{Digest, Sha256};

use crate::duration::shown;

/// A schedule of thousands of characters is an attack or an accident.
const MOST_CHARACTERS: usize = 256;

const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Why a schedule was refused: the field, its text, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not a schedule: {fault}")]
pub struct ScheduleError {
    text: String,
    fault: String,
}

impl ScheduleError {
    pub(super) fn new(text: &str, fault: impl Into<String>) -> ScheduleError {
        ScheduleError { text: shown(text), fault: fault.into() }
    }
}

/// What the five fields of a schedule allow: bit n stands for the value n.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) minutes: u64,
    pub(super) hours: u64,
    pub(super) days: u64,
    pub(super) months: u64,
    pub(super) weekdays: u64,
    /// Day of month and weekday are both restricted: then either is enough. If one of them is
    /// `*` or `?`, both must match. A step above 1 makes `*` a restriction.
    pub(super) either_day: bool,
    /// As Kubernetes takes it: blanks made single, `H` replaced by what it came to.
    pub(super) kubernetes: String,
}

impl Fields {
    pub(super) fn parse(text: &str, seed: &str) -> Result<Fields, ScheduleError> {
        let fault = |fault: String| ScheduleError::new(text, fault);
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(fault("it is empty; write five fields or a macro such as @daily".to_owned()));
        }
        if trimmed.len() > MOST_CHARACTERS {
            return Err(fault(format!("it is longer than {MOST_CHARACTERS} characters")));
        }
        if trimmed.starts_with("TZ=") || trimmed.starts_with("CRON_TZ=") {
            return Err(fault(
                "a schedule cannot contain a time zone; set timeZone, or the annotation backup-controller.io/time-zone"
                    .to_owned(),
            ));
        }
        if trimmed.starts_with('@') {
            let (_, meaning) =
                MACROS.iter().find(|(name, _)| *name == trimmed).ok_or_else(|| fault(unknown_macro(trimmed)))?;
            let fields = Fields::five(meaning, seed).map_err(fault)?;
            return Ok(Fields { kubernetes: trimmed.to_owned(), ..fields });
        }
        Fields::five(trimmed, seed).map_err(fault)
    }

    fn five(text: &str, seed: &str) -> Result<Fields, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = words.as_slice() else {
            let hint = match words.len() {
                6 => " (there is no field for seconds)",
                _ => "",
            };
            return Err(format!(
                "it needs five fields (minute, hour, day of month, month, weekday), but has {}{hint}",
                words.len()
            ));
        };
        let minutes = MINUTE.parse(minute, seed)?;
        let hours = HOUR.parse(hour, seed)?;
        let days = DAY.parse(day, seed)?;
        let months = MONTH.parse(month, seed)?;
        let weekdays = WEEKDAY.parse(weekday, seed)?;
        let either_day = !days.star && !weekdays.star;
        let parts = [&minutes, &hours, &days, &months, &weekdays].map(|p| p.text.as_str());
        let fields = Fields {
            minutes: minutes.bits,
            hours: hours.bits,
            days: days.bits,
            months: months.bits,
            weekdays: weekdays.bits,
            either_day,
            kubernetes: parts.join(" "),
        };
        if !fields.fires() {
            return Err(format!("it never fires: day {day} does not occur in month {month}"));
        }
        // Were this allowed, one source in twelve would never be backed up.
        if month.contains('H') && !either_day && days.bits.trailing_zeros() > 28 {
            return Err(format!(
                "day of month {}: the month that `H` selects may not have that day; use 1-28",
                shown(day)
            ));
        }
        Ok(fields)
    }

    /// Whether any date matches. With a weekday to choose from, some always does.
    fn fires(&self) -> bool {
        const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        self.either_day
            || (1..).zip(LENGTHS).any(|(month, length)| has(self.months, month) && self.days.trailing_zeros() <= length)
    }

    /// Whether a date matches; the weekday counts from Sunday as 0.
    pub(super) fn matches_date(&self, month: u32, day: u32, weekday: u32) -> bool {
        let (on_day, on_weekday) = (has(self.days, day), has(self.weekdays, weekday));
        has(self.months, month) && if self.either_day { on_day || on_weekday } else { on_day && on_weekday }
    }
}

/// Whether a value is in a set.
pub(super) fn has(bits: u64, value: u32) -> bool {
    (bits >> value) & 1 == 1
}

/// The set of all values from `from` to `to`.
pub(super) fn set(from: u32, to: u32) -> u64 {
    stepped(from, to, 1)
}

/// The values in a set, smallest first.
pub(super) fn values(bits: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |&value| has(bits, value))
}

fn unknown_macro(text: &str) -> String {
    if text.starts_with("@every") {
        return "`@every` is not supported, because all volumes would start together. Use fields, for example \
                `H H/6 * * *` for every six hours, or @after 24h, which counts from the end of the previous run"
            .to_owned();
    }
    let known: Vec<&str> = MACROS.iter().map(|(name, _)| *name).collect();
    format!("the macros are {} and @after with a duration (in lower case)", known.join(", "))
}

struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// The highest value that `H` comes to.
    hash_max: u32,
    /// Three letters for each value from `min`.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", min: 0, max: 59, hash_max: 59, names: &[] };
const HOUR: Field = Field { name: "hour", min: 0, max: 23, hash_max: 23, names: &[] };
const DAY: Field = Field { name: "day of month", min: 1, max: 31, hash_max: 28, names: &[] };
const MONTH: Field = Field {
    name: "month",
    min: 1,
    max: 12,
    hash_max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Field =
    Field { name: "weekday", min: 0, max: 6, hash_max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

struct Parsed {
    bits: u64,
    star: bool,
    text: String,
}

impl Field {
    fn parse(&self, text: &str, seed: &str) -> Result<Parsed, String> {
        let mut all = Parsed { bits: 0, star: false, text: String::new() };
        for (index, item) in text.split(',').enumerate() {
            let parsed = self
                .item(item, seed, index)
                .map_err(|fault| format!("{} {}: {fault}; {}", self.name, shown(text), self.allowed()))?;
            all.bits |= parsed.bits;
            all.star |= parsed.star;
            if index > 0 {
                all.text.push(',');
            }
            all.text.push_str(&parsed.text);
        }
        Ok(all)
    }

    fn allowed(&self) -> String {
        let names = match self.names {
            [first, .., last] => {
                format!(" or {}-{}", first.to_uppercase(), last.to_uppercase())
            }
            _ => String::new(),
        };
        let (min, max) = (self.min, self.max);
        format!(
            "use {min}-{max}{names}, `*`, `?`, ranges `a-b`, steps `*/n` `a/n` `a-b/n`, \
             lists with commas, and `H` `H(a-b)` `H/n`"
        )
    }

    /// One item of a list.
    fn item(&self, item: &str, seed: &str, index: usize) -> Result<Parsed, String> {
        let (base, step) = match item.split_once('/') {
            Some((base, step)) => (base, Some(step_of(step)?)),
            None => (item, None),
        };
        if base.is_empty() {
            return Err("an item is empty".to_owned());
        }
        if let Some(range) = base.strip_prefix('H') {
            return self.hashed(range, step, seed, index);
        }
        let star = matches!(base, "*" | "?");
        let (from, to) = match base.split_once('-') {
            _ if star => (self.min, self.max),
            Some((from, to)) => self.range(from, to)?,
            None => {
                let value = self.value(base)?;
                (value, if step.is_some() { self.max } else { value })
            }
        };
        Ok(Parsed {
            bits: stepped(from, to, step.unwrap_or(1)),
            star: star && step.unwrap_or(1) == 1,
            text: item.to_owned(),
        })
    }

    /// `H`, `H(a-b)`, `H/n` or `H(a-b)/n`: a value of the range; with a step the first value is
    /// among the first `n`, and the others follow.
    fn hashed(&self, range: &str, step: Option<u32>, seed: &str, index: usize) -> Result<Parsed, String> {
        let (from, to) = if range.is_empty() {
            (self.min, self.hash_max)
        } else {
            let (from, to) = range
                .strip_prefix('(')
                .and_then(|r| r.strip_suffix(')'))
                .and_then(|r| r.split_once('-'))
                .ok_or_else(|| "`H` takes a range in parentheses, for example `H(0-5)`".to_owned())?;
            self.range(from, to)?
        };
        if to > self.hash_max {
            return Err(format!("`H` must stay within {}-{}: some months have no later day", self.min, self.hash_max));
        }
        let size = to - from + 1;
        let spread = step.unwrap_or(size);
        if spread > size {
            return Err(format!("the step {spread} is larger than its range"));
        }
        let first = from + hash(seed, self.name, index, spread);
        let bits = stepped(first, to, spread);
        let text = match step {
            Some(step) if bits.count_ones() > 1 => format!("{first}-{to}/{step}"),
            _ => first.to_string(),
        };
        let bits = if step.is_some() { bits } else { 1 << first };
        Ok(Parsed { bits, star: false, text })
    }

    fn range(&self, from: &str, to: &str) -> Result<(u32, u32), String> {
        let (low, high) = (self.value(from)?, self.value(to)?);
        if low > high {
            return Err(format!("the range ends before it begins; write {from}-{},{}-{to}", self.max, self.min));
        }
        Ok((low, high))
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_lowercase();
        if let Some((value, _)) = (self.min..).zip(self.names).find(|(_, name)| **name == lower) {
            return Ok(value);
        }
        let value = number(text).ok_or_else(|| match text {
            "" => "a number is missing".to_owned(),
            "h" => "`H` must be a capital letter".to_owned(),
            "*" | "?" => format!("{} must stand alone or before a step", shown(text)),
            _ if text.contains(['L', 'W', '#', 'l', 'w']) && self.names.is_empty() || text.contains('#') => {
                format!("{}: `L`, `W` and `#` are not supported", shown(text))
            }
            _ => format!("{} is not a number", shown(text)),
        })?;
        if value < self.min {
            return Err(format!("{value} is below {}", self.min));
        }
        if value > self.max {
            let hint = if self.name == WEEKDAY.name && value == 7 { " (Sunday is 0)" } else { "" };
            return Err(format!("{value} is above {}{hint}", self.max));
        }
        Ok(value)
    }
}

fn step_of(text: &str) -> Result<u32, String> {
    match number(text) {
        Some(0) => Err("the step must be at least 1".to_owned()),
        Some(step) => Ok(step),
        None => Err(format!("the step {} is not a number", shown(text))),
    }
}

/// Digits only: no sign, no blank.
fn number(text: &str) -> Option<u32> {
    text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn stepped(from: u32, to: u32, step: u32) -> u64 {
    (from..=to).step_by(usize::try_from(step).unwrap_or(usize::MAX)).fold(0, |bits, value| bits | (1 << value))
}

/// A number below `below` that seed, field and place decide, and that no release may change:
/// it would move every run of every volume.
fn hash(seed: &str, field: &str, index: usize, below: u32) -> u32 {
    // The bias of a remainder below 60 of 64 bits is nothing.
    u32::try_from(drawn(seed, field, index) % u64::from(below.max(1))).unwrap_or(0)
}

/// The same without a bound.
pub(super) fn drawn(seed: &str, field: &str, index: usize) -> u64 {
    let digest = Sha256::new()
        .chain_update(seed)
        .chain_update([0])
        .chain_update(field)
        .chain_update([0])
        .chain_update(index.to_string())
        .finalize();
    digest.iter().take(8).fold(0u64, |n, byte| (n << 8) | u64::from(*byte))
}
