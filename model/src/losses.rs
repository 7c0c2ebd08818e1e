//! What a disk may not be able to keep of the files that are copied to it (A12).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::listed::listed;

listed! {
    /// Something that a disk does not keep. Each has a word of its own, in results and in the configuration.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Loss {
        /// Owners and groups, by number.
        Owners,
        /// Modes, with those that make a program run as its owner.
        Modes,
        /// Times to the nanosecond.
        Times,
        /// Times before 1970 or after 2038.
        FarTimes,
        /// Symbolic links.
        Links,
        /// Hard links.
        HardLinks,
        /// Extended attributes: those of users, and file capabilities.
        Attributes,
        /// POSIX ACLs.
        Acls,
        /// Holes in files: they cost room, and nothing else.
        Holes,
        /// Names that differ only in case.
        Case,
        /// Names with any byte, each as it is.
        Names,
    }
}

impl Loss {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owners => "owners",
            Self::Modes => "modes",
            Self::Times => "times",
            Self::FarTimes => "far-times",
            Self::Links => "links",
            Self::HardLinks => "hard-links",
            Self::Attributes => "attributes",
            Self::Acls => "acls",
            Self::Holes => "holes",
            Self::Case => "case",
            Self::Names => "names",
        }
    }

    /// Whether a copy lacks something by it. It is accepted by an administrator, or the copy is incomplete.
    #[must_use]
    pub const fn counts(self) -> bool {
        match self {
            Self::Holes => false,
            Self::Owners
            | Self::Modes
            | Self::Times
            | Self::FarTimes
            | Self::Links
            | Self::HardLinks
            | Self::Attributes
            | Self::Acls
            | Self::Case
            | Self::Names => true,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Loss {
    type Err = String;

    /// One of those that can be accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        let all = || Self::ALL.into_iter().filter(|loss| loss.counts());
        all().find(|loss| loss.as_str() == text).ok_or_else(|| {
            let words: Vec<&str> = all().map(Self::as_str).collect();
            let why = if text == Self::Holes.as_str() { " (holes only cost room, and never count)" } else { "" };
            format!("{text:?} is not one of {}{why}", words.join(", "))
        })
    }
}

impl Serialize for Loss {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Loss {
    /// As an administrator writes one that he accepts.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a disk does not keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses(BTreeSet<Loss>);

impl Losses {
    /// Whether it keeps everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is among them.
    #[must_use]
    pub fn has(&self, loss: Loss) -> bool {
        self.0.contains(&loss)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Loss> + '_ {
        self.0.iter().copied()
    }

    /// Those by which a copy is incomplete: what is not accepted, and not harmless.
    #[must_use]
    pub fn that_count(&self, accepted: &Self) -> Self {
        self.iter().filter(|loss| loss.counts() && !accepted.has(*loss)).collect()
    }

    /// As the end of a sentence about a copy that is complete: they are accepted, or harmless.
    #[must_use]
    pub fn aside(&self) -> String {
        if self.is_empty() { String::new() } else { format!(" (the disk does not keep: {self})") }
    }

    /// Those that are not among others.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        Self(&self.0 - &others.0)
    }
}

impl FromIterator<Loss> for Losses {
    fn from_iter<T: IntoIterator<Item = Loss>>(losses: T) -> Self {
        Self(losses.into_iter().collect())
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Loss::as_str).collect();
        f.write_str(&words.join(", "))
    }
}

impl Serialize for Losses {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Losses {
    /// Results are the words of pods, and manifests those of whoever may write to the disk: only known words pass, once
    /// each. A word of another version does not make a restore point unreadable; the copy's state says the rest.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(from)?;
        Ok(Loss::ALL.into_iter().filter(|loss| words.iter().any(|word| word == loss.as_str())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A12.
    #[test]
    fn a_loss_counts_unless_it_is_accepted_or_costs_only_room() {
        let lost: Losses = [Loss::Owners, Loss::Holes, Loss::Acls].into_iter().collect();
        assert_eq!(lost.that_count(&Losses::default()).to_string(), "owners, acls");
        let accepted: Losses = [Loss::Owners, Loss::Case].into_iter().collect();
        assert_eq!(lost.that_count(&accepted).to_string(), "acls");
        assert!(lost.that_count(&lost).is_empty());
    }

    #[test]
    fn what_a_pod_says_of_its_disk_is_known_words_and_no_others() {
        let said = r#"["acls","owners","acls","<b>","quantum"]"#;
        let losses: Losses = serde_json::from_str(said).unwrap();
        assert_eq!(serde_json::to_string(&losses).unwrap(), r#"["owners","acls"]"#);
        for said in ["\"owners\"", "[1]", "{}", "null"] {
            assert!(serde_json::from_str::<Losses>(said).is_err(), "{said}");
        }
    }

    #[test]
    fn only_what_can_be_accepted_is_read_as_such() {
        for loss in Loss::ALL {
            assert_eq!(loss.as_str().parse::<Loss>().is_ok(), loss.counts(), "{loss}");
        }
        let fault = "xattrs".parse::<Loss>().unwrap_err();
        assert!(fault.contains("\"xattrs\" is not one of owners, modes, times, far-times"), "{fault}");
    }
}
