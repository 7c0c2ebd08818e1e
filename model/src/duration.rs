//! Lengths of time, as people write them: `2days`, `36h`, `1w 2d`.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
const MONTH: u64 = 30 * DAY;
const YEAR: u64 = 365 * DAY;
/// What a calendar can hold; more is a slip of the keyboard.
const MOST_YEARS: u64 = 9999;

const ALLOWED: &str = "write whole numbers with a unit: seconds (s), minutes (m, min), hours (h), days (d), \
                       weeks (w), months (30 days), years (y, 365 days); for example `2days`, `36h` or `1w 2d`";

/// A length of time in whole seconds.
///
/// As text: one or more of a whole number and its unit, largest or smallest first, with or
/// without blanks: `2days`, `36h`, `1w 2d`, `90m`, `10s`, `1d12h`. The units are `s sec second`,
/// `m min minute`, `h hr hour`, `d day`, `w week`, `month` (30 days) and `y year` (365 days),
/// one or many, in any case but for the letter `m`. A number without a unit is refused, and so
/// are signs, fractions and a unit that stands twice.
///
/// It is shown in days, hours, minutes and seconds (`9d`, `1h 30m`), which reads back the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

/// Why a text is not a length of time, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not a duration: {fault}; {ALLOWED}")]
pub struct SpanError {
    text: String,
    fault: String,
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Span {
        Span(seconds)
    }

    /// So many minutes.
    #[must_use]
    pub const fn minutes(n: u64) -> Span {
        Span(n.saturating_mul(MINUTE))
    }

    /// So many hours.
    #[must_use]
    pub const fn hours(n: u64) -> Span {
        Span(n.saturating_mul(HOUR))
    }

    /// So many days of 24 hours.
    #[must_use]
    pub const fn days(n: u64) -> Span {
        Span(n.saturating_mul(DAY))
    }

    /// In seconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// For the timers of the standard library.
    #[must_use]
    pub const fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0)
    }

    /// Whether this is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// So many times this; the longest there is if that would overflow.
    #[must_use]
    pub const fn times(self, n: u64) -> Span {
        Span(self.0.saturating_mul(n))
    }

    /// The moment this long after `moment`; the last one of the calendar if there is none.
    #[must_use]
    pub fn after(self, moment: Timestamp) -> Timestamp {
        moment.checked_add(self.signed()).unwrap_or(Timestamp::MAX)
    }

    /// The moment this long before `moment`; the first one of the calendar if there is none.
    #[must_use]
    pub fn before(self, moment: Timestamp) -> Timestamp {
        moment.checked_sub(self.signed()).unwrap_or(Timestamp::MIN)
    }

    /// From `earlier` to `later`, in whole seconds; nothing if `later` is not later.
    #[must_use]
    pub fn between(earlier: Timestamp, later: Timestamp) -> Span {
        let seconds = later.duration_since(earlier).as_secs();
        Span(u64::try_from(seconds).unwrap_or(0))
    }

    fn signed(self) -> SignedDuration {
        SignedDuration::from_secs(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

/// Seconds in a unit. A lone `M` is no unit: some mean minutes, others months.
fn unit(word: &str) -> Option<u64> {
    if word == "M" {
        return None;
    }
    Some(match word.to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => MINUTE,
        "h" | "hr" | "hrs" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => WEEK,
        "month" | "months" => MONTH,
        "y" | "year" | "years" => YEAR,
        _ => return None,
    })
}

fn parse(text: &str) -> Result<u64, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut total = 0u64;
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let (number, tail) = split_while(rest, |c| c.is_ascii_digit());
        if number.is_empty() {
            return Err(format!("expected a whole number at {}", shown(rest)));
        }
        let (word, tail) = split_while(tail.trim_start(), char::is_alphabetic);
        if word.is_empty() {
            return Err(match tail.chars().next() {
                Some('.' | ',') => "fractions are not allowed, use a smaller unit".to_owned(),
                _ => format!("{number} has no unit"),
            });
        }
        let seconds = unit(word).ok_or_else(|| {
            let hint = if word == "M" { " (minutes are `m`, months are `months`)" } else { "" };
            format!("{} is not a unit{hint}", shown(word))
        })?;
        if seen.contains(&seconds) {
            return Err(format!("the unit {} occurs twice", shown(word)));
        }
        seen.push(seconds);
        total = number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(seconds))
            .and_then(|n| n.checked_add(total))
            .filter(|&n| n <= MOST_YEARS * YEAR)
            .ok_or_else(|| format!("it is longer than {MOST_YEARS} years"))?;
        rest = tail.trim_start();
    }
    Ok(total)
}

fn split_while(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !wanted(c)).unwrap_or(text.len());
    text.split_at(end)
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Span, SpanError> {
        parse(text).map(Span).map_err(|fault| SpanError { text: shown(text), fault })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts =
            [(self.0 / DAY, "d"), (self.0 % DAY / HOUR, "h"), (self.0 % HOUR / MINUTE, "m"), (self.0 % MINUTE, "s")];
        let text: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
        f.pad(if text.is_empty() { "0s".to_owned() } else { text.join(" ") }.as_str())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        from_text(deserializer, "a duration such as `2days` or `36h`")
    }
}

/// Takes a text and has its type read it. A number or a word that YAML takes for something else
/// is refused, or taken, in the type's own words: "invalid type: integer" does not say what is
/// missing.
pub(crate) fn from_text<'de, D, T>(deserializer: D, expecting: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_any(Text(expecting, PhantomData))
}

struct Text<T>(&'static str, PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

/// A text for a message: quoted, with control characters escaped, and cut. Who writes an
/// annotation of a megabyte gets no Event of a megabyte.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(MOST).collect();
    let more = if chars.next().is_some() { "..." } else { "" };
    format!("\"{}{more}\"", head.escape_debug())
}

/// How long something took, as it is told: results have whole seconds (U12).
#[must_use]
pub fn took(seconds: u64) -> String {
    if seconds == 0 { "less than 1 s".to_owned() } else { format!("{seconds} s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secs(text: &str) -> u64 {
        text.parse::<Span>().unwrap_or_else(|e| panic!("{text}: {e}")).as_secs()
    }

    fn fault(text: &str) -> String {
        text.parse::<Span>().expect_err(text).to_string()
    }

    // F76: the origin's own way of writing must parse.
    #[test]
    fn lengths_of_time_read_as_people_write_them() {
        for (text, seconds) in [
            ("2days", 2 * DAY),
            ("2 days", 2 * DAY),
            ("1day", DAY),
            ("36h", 36 * HOUR),
            ("1w 2d", 9 * DAY),
            ("90m", 90 * MINUTE),
            ("90min", 90 * MINUTE),
            ("10s", 10),
            ("1d12h", 36 * HOUR),
            ("1h 30m 5s", HOUR + 30 * MINUTE + 5),
            ("30m 1h", 90 * MINUTE),
            ("1month", 30 * DAY),
            ("2months", 60 * DAY),
            ("1y", 365 * DAY),
            ("2years", 730 * DAY),
            ("2Days", 2 * DAY),
            ("1 Week", WEEK),
            ("5secs", 5),
            ("5 minutes", 5 * MINUTE),
            ("3hrs", 3 * HOUR),
            ("  2d  ", 2 * DAY),
            ("0s", 0),
            ("0d", 0),
            ("007d", 7 * DAY),
            ("1h0m0s", HOUR),
        ] {
            assert_eq!(secs(text), seconds, "{text}");
        }
    }

    #[test]
    fn what_is_refused_is_shown_with_what_is_allowed() {
        for (text, part) in [
            ("", "it is empty"),
            ("   ", "it is empty"),
            ("2", "2 has no unit"),
            ("1d 2", "2 has no unit"),
            ("-2d", "expected a whole number at \"-2d\""),
            ("+2d", "expected a whole number"),
            ("d", "expected a whole number"),
            ("1.5h", "fractions are not allowed"),
            ("2fortnights", "\"fortnights\" is not a unit"),
            ("2days ago", "expected a whole number at \"ago\""),
            ("1M", "minutes are `m`, months are `months`"),
            ("1d 1day", "the unit \"day\" occurs twice"),
            ("2d;3h", "expected a whole number at \";3h\""),
            ("٣d", "expected a whole number"),
            ("99999999999999999999999d", "longer than 9999 years"),
            ("18446744073709551615w", "longer than 9999 years"),
            ("10000y", "longer than 9999 years"),
        ] {
            let message = fault(text);
            assert!(message.contains(part), "{text}: {message}");
            assert!(message.contains("days (d)"), "{text}: {message}");
            assert!(message.starts_with('"'), "{text}: {message}");
        }
    }

    #[test]
    fn a_hostile_text_is_shown_short_and_escaped() {
        let message = fault(&"\u{1b}[31mx\n".repeat(100_000));
        assert!(message.len() < 700, "{}", message.len());
        assert!(!message.contains(['\u{1b}', '\n']));
    }

    #[test]
    fn it_is_shown_in_days_hours_minutes_and_seconds() {
        for (text, shown) in [
            ("2days", "2d"),
            ("90m", "1h 30m"),
            ("1w 2d", "9d"),
            ("86399s", "23h 59m 59s"),
            ("1d 1s", "1d 1s"),
            ("0h", "0s"),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn moments_stop_at_the_ends_of_the_calendar() {
        let noon: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(Span::days(1).after(noon), "2026-02-01T12:00:00Z".parse().unwrap());
        assert_eq!(Span::hours(12).before(noon), "2026-01-31T00:00:00Z".parse().unwrap());
        assert_eq!(Span::from_secs(u64::MAX).after(noon), Timestamp::MAX);
        assert_eq!(Span::from_secs(u64::MAX).before(noon), Timestamp::MIN);
        assert_eq!(Span::days(u64::MAX).as_secs(), u64::MAX);
        assert_eq!(Span::between(noon, Span::minutes(5).after(noon)), Span::minutes(5));
        // F61: a clock that went back gives no time, not a huge one.
        assert_eq!(Span::between(noon, Span::minutes(5).before(noon)), Span::ZERO);
    }

    #[test]
    fn a_number_in_a_file_is_refused_for_its_missing_unit() {
        let fault = serde_yaml::from_str::<Span>("10").expect_err("a bare number");
        assert!(fault.to_string().contains("10 has no unit"), "{fault}");
        assert_eq!(serde_yaml::from_str::<Span>("10m").unwrap(), Span::minutes(10));
        assert_eq!(serde_json::to_string(&Span::days(2)).unwrap(), "\"2d\"");
        assert!(serde_yaml::from_str::<Span>("[1d]").is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(seconds in 0..MOST_YEARS * YEAR) {
            let span = Span::from_secs(seconds);
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }

        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,20}|[0-9smhdwy .,+-]{0,20}") {
            if let Ok(span) = text.parse::<Span>() {
                prop_assert!(span.as_secs() <= MOST_YEARS * YEAR);
            }
        }
    }
}
