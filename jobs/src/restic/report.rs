//! What `restic backup` says of its work. Pure: lines in, counts and sentences out.

use std::time::{Duration, Instant};

use model::quantity;
use model::text::clip;
use serde::Deserialize;

use crate::outcome::so_far;

use super::exec::Listener;
use super::snapshots::Counts;
use super::stderr::Error;

/// Entries that are named; the others are counted.
const NAMED: usize = 4;
/// The longest piece of restic's text that is repeated.
const PIECE: usize = 120;

/// What was read so far. It stays small, whatever restic says.
#[derive(Debug)]
pub(crate) struct Report {
    every: Duration,
    started: Instant,
    next: Instant,
    /// How far it was when it last said so: bytes and files.
    so_far: Option<(u64, u64)>,
    summary: Option<Summary>,
    /// Entries that could not be read, and why: the first few.
    named: Vec<String>,
    /// How many there are.
    missing: u64,
}

#[derive(Debug, Deserialize)]
struct Summary {
    #[serde(default)]
    snapshot_id: Option<String>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    bytes_done: u64,
    #[serde(default)]
    files_done: u64,
}

#[derive(Deserialize)]
struct Changed {
    new_snapshot_id: String,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    message_type: std::borrow::Cow<'a, str>,
}

impl Report {
    /// Nothing yet; progress is logged every so often.
    pub(crate) fn new(every: Duration) -> Self {
        let now = Instant::now();
        Self { every, started: now, next: now + every, so_far: None, summary: None, named: Vec::new(), missing: 0 }
    }

    /// The snapshot that was made; none, if nothing has changed.
    pub(crate) fn snapshot(&self) -> Option<&str> {
        self.summary.as_ref()?.snapshot_id.as_deref().filter(|id| !id.is_empty())
    }

    /// What was counted.
    pub(crate) fn counts(&self) -> Option<&Counts> {
        self.summary.as_ref().map(|summary| &summary.counts)
    }

    /// Whether entries are not in the copy.
    pub(crate) fn lacks_entries(&self) -> bool {
        self.missing > 0
    }

    /// Which entries are not in the copy.
    pub(crate) fn missing(&self) -> String {
        let named = self.named.join(", ");
        let more = self.missing.saturating_sub(u64::try_from(self.named.len()).unwrap_or(u64::MAX));
        match (self.missing, more) {
            (0, _) => "entries are not in the copy, but restic named none".to_owned(),
            (1, _) => format!("1 entry is not in the copy: {named}"),
            (all, 0) => format!("{all} entries are not in the copy: {named}"),
            (all, more) => format!("{all} entries are not in the copy: {named}, and {more} more"),
        }
    }

    /// The id that `restic tag` gave to a snapshot, if a line says it.
    pub(crate) fn renamed(line: &str) -> Option<String> {
        serde_json::from_str::<Changed>(line).ok().map(|changed| changed.new_snapshot_id)
    }

    /// How far it was when it was stopped, as the end of a sentence.
    pub(crate) fn so_far(&self) -> String {
        self.so_far.map(|(bytes, files)| so_far(bytes, files)).unwrap_or_default()
    }

    fn progress(&mut self, status: &Status) {
        self.so_far = Some((status.bytes_done, status.files_done));
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + self.every;
        let seconds = now.duration_since(self.started).as_secs().max(1);
        let [done, rate] = [status.bytes_done, status.bytes_done / seconds].map(quantity::human);
        tracing::info!("copying: {done}, {} files, {rate}/s", status.files_done);
    }
}

impl Listener for Report {
    fn out(&mut self, line: &str) {
        match serde_json::from_str::<Kind<'_>>(line).as_ref().map(|kind| kind.message_type.as_ref()) {
            Ok("status") => {
                if let Ok(status) = serde_json::from_str(line) {
                    self.progress(&status);
                }
            }
            Ok("summary") => self.summary = serde_json::from_str(line).ok(),
            _ => {}
        }
    }

    fn entry(&mut self, error: &Error) {
        self.missing += 1;
        if self.named.len() < NAMED {
            let item = error.item.as_deref().unwrap_or("an entry");
            // restic repeats the path in its words: `open /source/x: permission denied`.
            let why = error.message.rsplit_once(": ").map_or(error.message.as_str(), |(_, why)| why);
            self.named.push(format!("{} ({})", clip(item, PIECE), clip(why, PIECE)));
        }
    }
}
