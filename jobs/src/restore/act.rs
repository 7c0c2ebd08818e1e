//! The writing: the same steps again go on where they were broken off.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::quantity::human;
use model::reason::{Problem, Reason};

use super::break_links::{self, Name};
use super::console::{Console, shown};
use super::entry::{counted, is_a_folders_time};
use super::holders::Watch;
use super::task::TASK;
use super::temp::{self, Temp};
use super::transfer::{Delete, Transfer};
use crate::no_follow::Root;
use crate::outcome::Failure;
use crate::rsync::{self, Ear, Report, Trouble, Verdict};

/// How often progress is told.
const TOLD: Duration = Duration::from_secs(5);

/// What has been done.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Done {
    /// Entries made or changed.
    pub(crate) changed: u64,
    /// Entries deleted.
    pub(crate) deleted: u64,
    /// Bytes of the files that were written.
    pub(crate) bytes: u64,
}

/// What is written.
pub(crate) struct Writing<'a> {
    /// What rsync is called with.
    pub(crate) transfer: Transfer<'a>,
    /// Folders above the PATHs that the volume does not have.
    pub(crate) parents: &'a [PathBuf],
    /// Names that are parted.
    pub(crate) parted: &'a [Name],
    /// Entries and bytes that are to be written, if somebody counted.
    pub(crate) planned: Option<(u64, u64)>,
    /// Whether progress is told.
    pub(crate) progress: bool,
    /// Whether somebody wants this to end.
    pub(crate) stop: &'a AtomicBool,
    /// Whether the volume's root had the restore point's time, until we made a folder of ours in it. That rsync sets it
    /// again is no change then.
    pub(crate) root_as_it_was: bool,
}

/// Whether both have the same time of their last change.
fn same_time(one: &Path, other: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    time(one).is_some_and(|at| Some(at) == time(other))
}

impl Writing<'_> {
    /// Writes. What was done is counted in `done`, also if it ends early. The text is about entries that were left
    /// out.
    pub(crate) fn run(&mut self, watch: Watch<'_>, done: &mut Done) -> Result<Option<String>, Failure> {
        let target = self.transfer.into;
        self.root_as_it_was = self.transfer.names.is_none() && same_time(self.transfer.from, target);
        let temp = Temp::make(Some(self.transfer.from), target)
            .map_err(|e| TASK.io("making the restore's temporary folder", &e))?;
        if temp.crashed {
            tracing::warn!("the node stopped during an earlier restore: comparing file contents");
            self.transfer.checksum = true;
        }
        let ended = self.write(watch, done);
        if ended.is_err() {
            temp.sweep(self.transfer.from).map_err(|e| TASK.io("removing unfinished files of rsync", &e))?;
        }
        // Also what was written before it was stopped is on the disk before the folder that tells of it goes.
        let synced = File::open(target).and_then(|root| Ok(rustix::fs::syncfs(&root)?));
        let like = self.transfer.names.is_none().then_some(self.transfer.from);
        let tidied = temp.end(like.filter(|_| ended.is_ok()));
        let left_out = ended?;
        synced.map_err(|e| TASK.io("writing to the disk", &e))?;
        tidied.map_err(|e| TASK.io("removing the restore's temporary folder", &e))?;
        Ok(left_out)
    }

    fn write(&self, mut watch: Watch<'_>, done: &mut Done) -> Result<Option<String>, Failure> {
        let transfer = &self.transfer;
        let stopped = || self.stop.load(Ordering::Relaxed);
        let parted = break_links::part(transfer.into, self.parted, &mut go_on(&mut watch, &stopped));
        parted.map_err(|e| ended(&watch, stopped(), "separating hard links", &e))?;
        if !self.parents.is_empty() {
            let alone = Transfer { names: Some(self.parents), deep: false, delete: Delete::No, ..transfer.clone() };
            self.call(&alone, &mut watch, done)?;
        }
        let verdict = self.call(transfer, &mut watch, done)?;
        for parent in self.parents.iter().rev() {
            Root::open(transfer.into)
                .and_then(|root| temp::set_time_like(&root, parent, &transfer.from.join(parent)))
                .map_err(|e| TASK.io("setting a folder's time", &e))?;
        }
        Ok(match verdict {
            Verdict::Complete(_) => self.forgotten(),
            Verdict::Incomplete(_, text) => Some(text),
        })
    }

    /// A PATH that rsync passed over in silence.
    fn forgotten(&self) -> Option<String> {
        let mut names = self.transfer.names.into_iter().flatten();
        let name = names.find(|name| fs::symlink_metadata(self.transfer.into.join(name)).is_err())?;
        Some(format!("1 entry is {}: {} (rsync skipped it)", TASK.left_out, shown(name)))
    }

    fn call(&self, transfer: &Transfer<'_>, watch: &mut Watch<'_>, done: &mut Done) -> Result<Verdict, Failure> {
        let input = transfer.input().map_err(|e| TASK.io("passing the PATHs to rsync", &e))?;
        let mut hand = Hand {
            report: Report::new(&TASK),
            done,
            watch,
            stop: self.stop,
            planned: self.planned,
            progress: self.progress,
            root_as_it_was: self.root_as_it_was,
            next: Instant::now() + TOLD,
        };
        let status = rsync::run(&transfer.arguments(), input, &mut hand).map_err(trouble)?;
        let report = hand.report;
        done.bytes += report.written();
        if !status.success() {
            if let Some(problem) = watch.problem() {
                return Err(Failure::last(problem.clone()));
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(Failure::again(Problem::new(Reason::RestoreFailed, TASK.stopped)));
            }
        }
        report.verdict(status.code())
    }
}

/// Asks between steps of ours whether the volume may still be written.
pub(crate) fn go_on<'a>(
    watch: &'a mut Watch<'_>,
    stopped: &'a dyn Fn() -> bool,
) -> impl FnMut() -> io::Result<()> + 'a {
    || if stopped() || watch.is_over() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
}

/// Why a step of ours ended early.
pub(crate) fn ended(watch: &Watch<'_>, stopped: bool, what: &str, error: &io::Error) -> Failure {
    match watch.problem() {
        Some(problem) => Failure::last(problem.clone()),
        None if stopped => Failure::again(Problem::new(Reason::RestoreFailed, TASK.stopped)),
        None => TASK.io(what, error),
    }
}

/// Why rsync could not be run.
pub(crate) fn trouble(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Missing => {
            let text = "the image has no rsync: restores need the image backup-mover";
            Failure::last(Problem::new(Reason::RestoreFailed, text))
        }
        Trouble::Io(error) => TASK.io("running rsync", &error),
    }
}

/// Hears rsync, counts, and watches who has the volume.
struct Hand<'a, 'w> {
    report: Report,
    done: &'a mut Done,
    watch: &'a mut Watch<'w>,
    stop: &'a AtomicBool,
    planned: Option<(u64, u64)>,
    progress: bool,
    root_as_it_was: bool,
    next: Instant,
}

impl Hand<'_, '_> {
    fn tell(&mut self, line: &str) {
        if !self.progress || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + TOLD;
        let mut words = line.split_whitespace();
        let bytes = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        let entries = self.done.changed;
        let text = match self.planned {
            Some((all, size)) => {
                let percent = (bytes.saturating_mul(100)).checked_div(size).unwrap_or(100).min(100);
                format!("{entries} of {all} entries, {} of {}, {percent}%", human(bytes), human(size))
            }
            None => format!("{entries} entries, {}, {}", human(bytes), words.next().unwrap_or_default()),
        };
        Console::progress(&text);
    }
}

impl Ear for Hand<'_, '_> {
    fn out(&mut self, line: &str) {
        match counted(line) {
            Some(true) => self.done.deleted += 1,
            // The root comes first.
            Some(false) if std::mem::take(&mut self.root_as_it_was) && is_a_folders_time(line) => {}
            Some(false) => self.done.changed += 1,
            None => {
                if let Some(progress) = self.report.out(line) {
                    let progress = progress.to_owned();
                    self.tell(&progress);
                }
            }
        }
    }

    fn error(&mut self, line: &str) {
        self.report.error(line);
    }

    fn stop(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.watch.is_over()
    }
}
