//! What is in a repository: restic's list of snapshots, and which of them are ours.

use std::io::BufReader;
use std::process::ChildStdout;

use model::Timestamp;
use model::names::Run;
use model::record::KEPT;
use serde::Deserialize;

use super::args::Common;
use super::exec::Restic;
use crate::outcome::Failure;

/// The tag of a snapshot in which entries are missing.
pub(crate) const INCOMPLETE: &str = "incomplete";
/// The tag of a device's snapshot in which there is nothing but zeros.
pub(crate) const EMPTY: &str = "empty";
/// The tag by which people hold a snapshot with stock restic.
pub(crate) const HOLD: &str = "hold";

/// A snapshot of restic's, as `restic snapshots --json` lists it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Snapshot {
    /// Its whole id.
    pub(crate) id: String,
    /// The id that it had before it was tagged: restic gives another one with each tag.
    #[serde(default)]
    pub(crate) original: Option<String>,
    /// When it was begun, by the clock of the node that made it.
    pub(crate) time: Timestamp,
    /// Of ours, the source's namespace.
    #[serde(default)]
    pub(crate) hostname: String,
    /// What was copied.
    #[serde(default)]
    pub(crate) paths: Vec<String>,
    /// What was tagged to it.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// What was counted; restic before 0.17 wrote nothing down.
    #[serde(default)]
    pub(crate) summary: Option<Counts>,
}

/// What restic counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    files_new: u64,
    files_changed: u64,
    files_unmodified: u64,
    dirs_new: u64,
    dirs_changed: u64,
    dirs_unmodified: u64,
    /// Bytes that were new, before they were compressed.
    pub(crate) data_added: u64,
    /// The sum of the files' sizes.
    pub(crate) total_bytes_processed: u64,
}

impl Counts {
    /// Entries below the folder that was copied, which lies `depth` folders deep.
    pub(crate) fn entries(&self, depth: u64) -> u64 {
        let files = self.files_new + self.files_changed + self.files_unmodified;
        let folders = self.dirs_new + self.dirs_changed + self.dirs_unmodified;
        files + folders.saturating_sub(depth)
    }
}

impl Snapshot {
    /// Whether it is one of the source's, made by us, and which run's.
    pub(crate) fn ours(&self, args: &Common) -> Option<Run> {
        let has = |tag: &String| self.tags.contains(tag);
        if self.hostname != args.namespace || !args.tags().iter().all(has) {
            return None;
        }
        self.tags.iter().find_map(|tag| tag.strip_prefix("run=")?.parse().ok())
    }

    /// Whether it has an id that begins so, or had it when it was made.
    pub(crate) fn is_called(&self, id: &str) -> bool {
        self.id.starts_with(id) || self.original.as_ref().is_some_and(|original| original.starts_with(id))
    }

    /// Whether entries are missing in it.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.tags.iter().any(|tag| tag == INCOMPLETE)
    }

    /// Whether it is of a device on which there was nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.tags.iter().any(|tag| tag == EMPTY)
    }

    /// Whether somebody holds it.
    pub(crate) fn is_held(&self) -> bool {
        self.tags.iter().any(|tag| tag == HOLD)
    }
}

/// Lists the snapshots, oldest first. It takes no lock: it reads, beside whoever writes.
pub(crate) fn list(restic: &Restic, stop: &dyn Fn() -> bool) -> Result<Vec<Snapshot>, Failure> {
    let args = ["snapshots".into(), "--no-lock".into()];
    // From the pipe, one after another: as text they are many times as big.
    let read = |pipe: ChildStdout| serde_json::from_reader::<_, Vec<Snapshot>>(BufReader::new(pipe));
    let (ended, read) = restic.read(&args, stop, read)?;
    match (ended.code, read) {
        (Some(0), Some(Ok(mut snapshots))) => {
            snapshots.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| a.id.cmp(&b.id)));
            Ok(snapshots)
        }
        (Some(0), Some(Err(error))) => Err(restic.unclear(&format!("cannot read its list of snapshots: {error}"))),
        _ => Err(restic.failure(&ended)),
    }
}

/// The newest of `runs`, newest first, each once.
pub(crate) fn newest(runs: impl Iterator<Item = Run>) -> Vec<Run> {
    let mut runs: Vec<Run> = runs.collect();
    runs.sort_by(|a, b| b.cmp(a));
    runs.dedup();
    runs.truncate(KEPT);
    runs
}
