//! How pods have a volume: as a filesystem or a device, and with or without its journal.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::quantity;

/// What pods get of a volume: `spec.volumeMode` of its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum VolumeMode {
    /// A filesystem, mounted.
    #[default]
    Filesystem,
    /// The raw block device.
    Block,
}

impl VolumeMode {
    /// What the API's word says; without one it is a filesystem.
    #[must_use]
    pub fn read(word: Option<&str>) -> Self {
        if word == Some("Block") { Self::Block } else { Self::Filesystem }
    }

    /// The API's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filesystem => "Filesystem",
            Self::Block => "Block",
        }
    }

    /// Whether it is a raw block device.
    #[must_use]
    pub fn is_block(self) -> bool {
        self == Self::Block
    }

    /// How much of it there is, in words: `3043 entries, 1.2Mi`, or `1 device, 20Gi`.
    #[must_use]
    pub fn amount(self, count: u64, what: &str, bytes: u64) -> String {
        let size = quantity::human(bytes);
        match self {
            Self::Filesystem => format!("{count} {what}, {size}"),
            Self::Block => format!("1 device, {size}"),
        }
    }
}

/// How pods may have a volume: `spec.accessModes` of its claim, in one byte, because ten thousand of them are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct AccessModes(u8);

/// The API's words for access modes. The place of each is its bit.
const ACCESS: [&str; 4] = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

impl AccessModes {
    /// What the API's words say. Words that are not known are left out.
    #[must_use]
    pub fn read(words: &[String]) -> Self {
        let set = ACCESS.iter().enumerate().filter(|(_, known)| words.iter().any(|word| word == *known));
        Self(set.fold(0, |bits, (place, _)| bits | 1 << place))
    }

    /// The API's words.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        ACCESS.into_iter().enumerate().filter(move |(place, _)| self.0 & 1 << place != 0).map(|(_, word)| word)
    }

    /// Whether none is known.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

impl From<Vec<String>> for AccessModes {
    fn from(words: Vec<String>) -> Self {
        Self::read(&words)
    }
}

impl From<AccessModes> for Vec<String> {
    fn from(modes: AccessModes) -> Self {
        modes.words().map(str::to_owned).collect()
    }
}

/// What becomes of a filesystem's journal when it is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Journal {
    /// It is replayed where that is needed: what was written is there.
    #[default]
    Replayed,
    /// It is passed over: what only it has is missing, and what was deleted last may be there again.
    Skipped,
}

impl Journal {
    /// What mount options say: `noload` of ext4, `norecovery` of ext4 and xfs; `nologreplay` of btrfs, which newer
    /// kernels have as one of the words of `rescue`.
    #[must_use]
    pub fn of(mount_options: &[String]) -> Self {
        let skips = |word: &str| match word.strip_prefix("rescue=") {
            Some(how) => how.split(':').any(|word| matches!(word, "nologreplay" | "all")),
            None => matches!(word, "noload" | "norecovery" | "nologreplay"),
        };
        let mut words = mount_options.iter().flat_map(|option| option.split(',')).map(str::trim);
        if words.any(skips) { Self::Skipped } else { Self::Replayed }
    }

    /// Whether it is passed over.
    #[must_use]
    pub fn is_skipped(self) -> bool {
        self == Self::Skipped
    }

    /// Whether it is not, which needs no word in records.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
    pub fn is_replayed(&self) -> bool {
        *self == Self::Replayed
    }

    /// The word in annotations and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Skipped => "skipped",
        }
    }
}

impl FromStr for Journal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Replayed, Self::Skipped].into_iter().find(|j| j.as_str() == text);
        known.ok_or_else(|| "must be replayed or skipped".to_owned())
    }
}
