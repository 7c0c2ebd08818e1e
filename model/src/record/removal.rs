//! The removal of a gone source's copies, by an administrator's word or by the configuration.

use std::str::FromStr;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::status::TaskStatus;
use crate::maintain::TaskState;
use crate::names::Run;
use crate::reason::Problem;
use crate::text::clip;

/// The longest name of who gave the word.
const BY: usize = 64;

/// The administrator's word on a ledger: the annotation [`crate::names::REMOVE_COPIES`], such as
/// `uid=0a1b… gone=2018-12-05T03:17:00Z by=alice`.
///
/// The UID and the time at which the source was seen to be gone make it a word about this source and this end of it: one
/// that is copied from elsewhere, or left from before, removes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The source's UID.
    pub uid: String,
    /// When the source was first seen to be gone, as its ledger says.
    pub gone: Timestamp,
    /// Who says it.
    pub by: String,
}

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut uid, mut gone, mut by) = (None, None, None);
        for part in text.split_whitespace() {
            let (place, value) = match part.split_once('=') {
                Some(("uid", value)) => (&mut uid, value),
                Some(("gone", value)) => (&mut gone, value),
                Some(("by", value)) => (&mut by, value),
                _ => return Err(format!("'{}' is not uid=, gone= or by=", clip(part, BY))),
            };
            if place.replace(value).is_some() {
                return Err(format!("'{}' is there twice", clip(part, BY)));
            }
        }
        let missing = |key: &str| format!("{key}= is missing");
        let gone = gone.ok_or_else(|| missing("gone"))?;
        Ok(Self {
            uid: uid.filter(|uid| !uid.is_empty()).ok_or_else(|| missing("uid"))?.to_owned(),
            gone: gone
                .parse()
                .map_err(|_| format!("gone={}: is not a time such as 2018-12-05T03:17:00Z", clip(gone, BY)))?,
            by: clip(by.filter(|by| !by.is_empty()).ok_or_else(|| missing("by"))?, BY),
        })
    }
}

/// The removal of the copies of a source at one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    /// By whose word; [`Removal::CONFIGURATION`] if nobody had to say one.
    pub by: String,
    /// When the word was read, or the removal announced.
    pub since: Timestamp,
    /// What it waits for before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Problem>,
    /// When it began: since then no copy there is a restore point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Timestamp>,
    /// The runs that had a copy there then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run>,
    /// How the newest Job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<TaskStatus>,
}

/// A removal that the configuration asks for, before it begins. It is no [`Removal`]: a version that does not know the
/// setting would begin that at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Announced {
    /// Since when.
    pub since: Timestamp,
    /// When it begins, unless something speaks against it.
    pub due: Timestamp,
    /// What it waits for since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Problem>,
}

impl Removal {
    /// Who asks for it if the configuration does. No word has blanks in its name.
    pub const CONFIGURATION: &str = "the configuration (destinations[].orphans)";

    /// When it was done, if it is.
    #[must_use]
    pub fn done(&self) -> Option<Timestamp> {
        self.ended.as_ref().filter(|end| end.state == TaskState::Done).map(|end| end.finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_the_source_its_end_and_who_says_it() {
        let word: Word = "uid=u-1 gone=2018-12-05T03:17:00Z by=alice".parse().unwrap();
        assert_eq!((word.uid.as_str(), word.by.as_str()), ("u-1", "alice"));
        for (bad, part) in [
            ("", "gone="),
            ("true", "'true'"),
            ("uid=u-1 by=alice", "gone="),
            ("gone=2018-12-05T03:17:00Z by=alice", "uid="),
            ("uid=u-1 gone=2018-12-05T03:17:00Z", "by="),
            ("uid= gone=2018-12-05T03:17:00Z by=alice", "uid="),
            ("uid=u-1 gone=yesterday by=alice", "gone=yesterday"),
            ("uid=u-1 uid=u-2 gone=2018-12-05T03:17:00Z by=alice", "twice"),
            ("uid=u-1 gone=2018-12-05T03:17:00Z by=alice from=disk", "'from=disk'"),
        ] {
            let error = bad.parse::<Word>().unwrap_err();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }
}
