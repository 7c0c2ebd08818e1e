//! The removal of a gone source's copies, by an administrator's word or by the configuration.

use std::collections::BTreeMap;
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

/// The administrator's word that ends a removal: the annotation [`crate::names::END_REMOVAL`], such as
/// `uid=0a1b… gone=2018-12-05T03:17:00Z forget=s3 by=alice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndWord {
    /// About which source, and by whom.
    pub word: Word,
    /// The destination of the removal.
    pub destination: String,
    /// What becomes of the copies there.
    pub copies: Left,
}

/// What becomes of the copies that a removal leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// `keep=`: they stay restore points.
    Kept,
    /// `forget=`: they are no restore points, and a person removes them.
    Forgotten,
}

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::of(&Parts::read(text, &["uid", "gone", "by"])?)
    }
}

impl Word {
    fn of(parts: &Parts<'_>) -> Result<Self, String> {
        let gone = parts.get("gone")?;
        Ok(Self {
            uid: parts.get("uid")?.to_owned(),
            gone: gone
                .parse()
                .map_err(|_| format!("gone={}: is not a time such as 2018-12-05T03:17:00Z", clip(gone, BY)))?,
            by: clip(parts.get("by")?, BY),
        })
    }
}

impl FromStr for EndWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = Parts::read(text, &["uid", "gone", "keep", "forget", "by"])?;
        let (destination, copies) = match (parts.get("keep"), parts.get("forget")) {
            (Ok(_), Ok(_)) => return Err("keep= and forget= exclude each other".to_owned()),
            (Ok(name), Err(_)) => (name, Left::Kept),
            (Err(_), Ok(name)) => (name, Left::Forgotten),
            (Err(_), Err(_)) => return Err("keep=DESTINATION or forget=DESTINATION is missing".to_owned()),
        };
        Ok(Self { word: Word::of(&parts)?, destination: destination.to_owned(), copies })
    }
}

/// The parts `key=value` of a word.
struct Parts<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Parts<'a> {
    fn read(text: &'a str, keys: &[&str]) -> Result<Self, String> {
        let mut parts = BTreeMap::new();
        for part in text.split_whitespace() {
            let Some((key, value)) = part.split_once('=').filter(|(key, _)| keys.contains(key)) else {
                return Err(format!("'{}' is none of {}=", clip(part, BY), keys.join("=, ")));
            };
            if parts.insert(key, value).is_some() {
                return Err(format!("'{}' is there twice", clip(part, BY)));
            }
        }
        Ok(Self(parts))
    }

    fn get(&self, key: &str) -> Result<&'a str, String> {
        self.0.get(key).copied().filter(|value| !value.is_empty()).ok_or_else(|| format!("{key}= is missing"))
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
    /// Set if it could not end, and an administrator ended it: what is left at the destination, a person removes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<Abandoned>,
}

/// Who ended a removal that left something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Abandoned {
    /// By whose word.
    pub by: String,
    /// When the word was read.
    pub at: Timestamp,
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

    /// One that is to begin.
    #[must_use]
    pub fn new(by: String, since: Timestamp) -> Self {
        Self { by, since, waiting: None, begun: None, runs: Vec::new(), ended: None, abandoned: None }
    }

    /// When it was over, if it is: all copies are removed, or an administrator ended it.
    #[must_use]
    pub fn over(&self) -> Option<Timestamp> {
        let done = self.ended.as_ref().filter(|end| end.state == TaskState::Done).map(|end| end.finished);
        done.or(self.abandoned.as_ref().map(|abandoned| abandoned.at))
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

    #[test]
    fn a_word_that_ends_a_removal_says_what_becomes_of_the_copies() {
        let begin = "uid=u-1 gone=2018-12-05T03:17:00Z by=alice";
        let read = |copies: &str| format!("{begin} {copies}").parse::<EndWord>();
        let kept = read("keep=s3").unwrap();
        assert_eq!((kept.word, kept.destination.as_str(), kept.copies), (begin.parse().unwrap(), "s3", Left::Kept));
        assert_eq!(read("forget=s3").unwrap().copies, Left::Forgotten);
        for (bad, part) in [
            ("", "keep=DESTINATION or forget=DESTINATION"),
            ("keep=", "keep=DESTINATION or forget=DESTINATION"),
            ("keep=s3 forget=s3", "exclude"),
            ("forget=s3 forget=disk", "twice"),
            ("s3", "'s3'"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(part), "{bad}: {error}");
        }
        assert!("forget=s3 by=alice".parse::<EndWord>().unwrap_err().contains("gone="));
    }
}
