//! What is done for copies, beside making them: when, and how much of it.

use serde::{Deserialize, Serialize};

use crate::config::input;

/// When a task is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Times {
    /// As a source's schedule ([`crate::schedule::Schedule`]), in the source's zone; or `never`.
    pub schedule: String,
}

impl Times {
    /// What turns a task off.
    pub const NEVER: &'static str = "never";

    pub(super) fn prune() -> Times {
        Times { schedule: "H H(0-5) * * *".to_owned() }
    }

    pub(super) fn verify() -> Times {
        Times { schedule: "H H * * *".to_owned() }
    }
}

/// When copies are restored and compared with their snapshots, and how much of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Drill {
    /// When, in the source's zone. Default: `H H * * H`, once a week.
    pub schedule: String,
    /// How much is restored: `all`, or a number of files that are drawn by lot. Default: 100.
    pub sample: Sample,
    /// Where it is restored to.
    pub scratch: Scratch,
}

impl Default for Drill {
    fn default() -> Drill {
        Drill { schedule: "H H * * H".to_owned(), sample: Sample::Files(100), scratch: Scratch::default() }
    }
}

/// How much a drill restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sample {
    /// A number of files, drawn by lot; 1 to [`Sample::MOST`].
    Files(u32),
    /// `all`.
    All(All),
}

/// The word for a whole volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum All {
    /// `all`.
    All,
}

impl Sample {
    /// The most files that a drill draws: it has their names in memory, and one after the other in patterns of restic's.
    pub const MOST: u32 = 100_000;
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Sample::Files(number) => write!(f, "{number}"),
            Sample::All(_) => f.write_str("all"),
        }
    }
}

/// Where a drill restores to; gone with its pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Scratch {
    /// Its size, a quantity. Default: `1Gi`.
    #[serde(deserialize_with = "input::quantity")]
    pub size: String,
    /// The class of a volume that is made for it. Default: none; it lies on the node's own disk.
    pub storage_class: Option<String>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { size: "1Gi".to_owned(), storage_class: None }
    }
}

/// What becomes of the copies of a source that is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orphans {
    /// They stay until an administrator's word removes them.
    #[default]
    Keep,
    /// They are removed after `bounds.orphanRetention`.
    Remove,
}
