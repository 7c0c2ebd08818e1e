//! The id of a run.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// One backup of one source, named by its minute in UTC: `20181202T0000Z`.
///
/// The order of runs is the order of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Run(String);

/// A text that is not a run's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a run; write its minute in UTC, for example 20181202T0000Z")]
pub struct RunError(String);

impl Run {
    /// The run of the minute in which `time` lies.
    #[must_use]
    pub fn at(time: Timestamp) -> Self {
        Self(time.strftime("%Y%m%dT%H%MZ").to_string())
    }

    /// The id, `20181202T0000Z`: a valid label value and file name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The minute that the id names.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        // The text was checked when the value was made.
        parse_minute(&self.0).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

fn parse_minute(text: &str) -> Option<Timestamp> {
    let shape = text.len() == 14
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 => b == b'T',
            13 => b == b'Z',
            _ => b.is_ascii_digit(),
        });
    if !shape {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text[range].parse::<i16>().ok();
    let small = |range: std::ops::Range<usize>| text[range].parse::<i8>().ok();
    civil::DateTime::new(number(0..4)?, small(4..6)?, small(6..8)?, small(9..11)?, small(11..13)?, 0, 0)
        .ok()?
        .to_zoned(TimeZone::UTC)
        .ok()
        .map(|z| z.timestamp())
}

impl FromStr for Run {
    type Err = RunError;
    fn from_str(text: &str) -> Result<Self, RunError> {
        parse_minute(text).map(|_| Self(text.to_owned())).ok_or_else(|| RunError(text.to_owned()))
    }
}

impl TryFrom<String> for Run {
    type Error = RunError;
    fn try_from(text: String) -> Result<Self, RunError> {
        text.parse()
    }
}

impl From<Run> for String {
    fn from(run: Run) -> Self {
        run.0
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
