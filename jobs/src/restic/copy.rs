//! `backup-job restic copy`: copies a promoter's files into the repository.
//!
//! In the ordinary case there are two restic processes side by side: the one that looks which repository it is and then
//! the one that copies, and one that lists what was there before. Everything else comes after an exit code that asks for
//! it: no repository, a lock, missing entries.
//!
//! A try that is killed leaves at most data that no snapshot names, a lock, or a snapshot of this run. The next
//! try copies again in any case: where the snapshot is there, it finds every file unchanged, and what it
//! says is its own verdict and no guess about another's.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use model::Timestamp;
use model::facts::Journal;
use model::names::Run;
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState, clip};
use rustix::process::setpriority_process;

use super::args::Common;
use super::exec::{Ended, Restic};
use super::init::{Expect, open};
use super::report::Report;
use super::snapshots::{self, INCOMPLETE, Snapshot};
use crate::copy::ended;
use crate::copy::source::{self, Source};
use crate::device::is_device;
use crate::outcome::{Failure, Outcome, now};
use crate::process::stop_flag;
use crate::volume::LOST_AND_FOUND;

mod device;

/// restic's code for a snapshot in which entries are missing.
const UNREAD: i32 = 3;
/// A Go program that broke down.
const PANIC: i32 = 2;

/// The most that is repeated of patterns.
const SHOWN: usize = 240;

/// How nice the listing is to the copy: about a tenth of its share where both want the same processor.
const LATER: i32 = 10;

/// What `backup-job restic copy` is called with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Run to copy, such as 20181202T0000Z
    #[arg(long)]
    run: Run,
    /// Path of the promoter (the PVC made from the snapshot)
    #[arg(long, value_name = "DIR", default_value = "/source")]
    source: PathBuf,
    /// Whether the mount replayed or skipped the promoter's journal; it is recorded with the copy
    #[arg(long, default_value = "replayed", value_name = "WORD")]
    journal: Journal,
    /// Accept an empty volume, although an earlier copy has entries
    #[arg(long)]
    accept_empty: bool,
    /// Earlier run that has a copy with entries, here or elsewhere: the volume was not empty then
    #[arg(long, value_name = "RUN")]
    filled: Option<Run>,
    /// Create no repository: earlier copies are in the one whose ID begins like this, or in one of unknown ID (any)
    #[arg(long, value_name = "ID")]
    expect_repository: Option<Expect>,
    /// Make no snapshot if nothing has changed
    #[arg(long)]
    skip_unchanged: bool,
    /// Compression: auto, off, fastest, better or max
    #[arg(long, value_name = "HOW")]
    compression: Option<String>,
    /// Size of the repository's pack files, in MiB
    #[arg(long, value_name = "MIB")]
    pack_size: Option<u32>,
    /// Pattern of entries to leave out; a leading slash is the volume's root; may be repeated
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    exclude: Vec<String>,
    /// Accept any directory as the source, not only a mount point
    #[arg(long, hide = true)]
    allow_unmounted: bool,
}

/// Runs the step.
pub(crate) fn run(args: &Args) -> Outcome {
    let started = Instant::now();
    let copied = copy(args).map(|result| CopyResult { seconds: started.elapsed().as_secs(), ..result });
    ended(&args.run, copied, started)
}

fn copy(args: &Args) -> Result<CopyResult, Failure> {
    let stop = stop_flag();
    let restic = Restic::open(&args.common, Reason::CopyFailed, stop)?;
    tracing::info!(run = %args.run, destination = args.common.name, "copying");
    if is_device(&args.source) {
        return device::copy(&restic, args);
    }
    let source = source::look(&args.source, args.allow_unmounted)?;
    let make = || Copied::make(&restic, args, &backup(args, source, args.skip_unchanged));
    let check = |before: &[Snapshot]| check_empty(args, source, before);
    let check: Option<&CheckEmpty<'_>> = if source.empty && !args.accept_empty { Some(&check) } else { None };
    let Beside { copied, before, repository } = beside(&restic, args, &make, check)?;
    let result = Verdict { restic: &restic, args, source, before: &before }.of(&copied)?;
    Ok(CopyResult { repository: Some(repository), ..result })
}

/// Whether a source may be empty now, by what was there before.
type CheckEmpty<'a> = dyn Fn(&[Snapshot]) -> Result<(), Failure> + 'a;

/// A copy, with what else is known once it is made.
struct Beside {
    copied: Copied,
    /// What was there before, oldest first.
    before: Vec<Snapshot>,
    /// The repository's id.
    repository: String,
}

/// Copies, and lists what was there before at the same time. Of an empty source it is checked first.
fn beside(
    restic: &Restic,
    args: &Args,
    make: &dyn Fn() -> Result<Copied, Failure>,
    check: Option<&CheckEmpty<'_>>,
) -> Result<Beside, Failure> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let listing = scope.spawn(|| {
            give_way();
            snapshots::list(restic, &|| restic.stopped() || over.load(Ordering::Relaxed))
        });
        let join = || listing.join().unwrap_or_else(|_| Err(restic.unclear("cannot read the list of snapshots")));
        // Only an empty volume has to wait for what it held before.
        if let Some(check) = check {
            let before = match join() {
                Err(failure) if failure.problem.reason == Reason::RepositoryMissing => Vec::new(),
                before => before?,
            };
            check(&before)?;
            let repository = open(restic, args.expect_repository.as_ref())?.id;
            let copied = make()?;
            let before = if copied.ended.waited { snapshots::list(restic, &|| restic.stopped())? } else { before };
            return Ok(Beside { copied, before, repository });
        }
        let copied = open(restic, args.expect_repository.as_ref()).and_then(|opened| Ok((opened, make()?)));
        // A copy that failed has no use for the list.
        over.store(copied.is_err(), Ordering::Relaxed);
        let before = join();
        let (opened, copied) = copied?;
        let before = match before {
            _ if opened.is_new => Vec::new(),
            Ok(before) if !copied.ended.waited => before,
            // It was unlucky, or is older than what others did while the copy waited for their lock.
            _ => snapshots::list(restic, &|| restic.stopped())?,
        };
        Ok(Beside { copied, before, repository: opened.id })
    })
}

/// Lets the copy go first. To open a repository costs a restic a third of a second of a processor, by intention; with
/// less of a claim the second one mostly takes what the first leaves idle. On Linux this is the thread's own, and what
/// it starts inherits it.
fn give_way() {
    if let Err(error) = setpriority_process(None, LATER) {
        tracing::debug!(%error, "cannot lower the priority of listing snapshots");
    }
}

fn check_empty(args: &Args, source: Source, before: &[Snapshot]) -> Result<(), Failure> {
    let depth = depth(args);
    // One without counts is old, and not known to have been empty.
    let entries = |s: &Snapshot| s.summary.as_ref().map_or(1, |counts| counts.entries(depth));
    let runs: Vec<(Run, u64)> = before.iter().filter_map(|s| Some((s.ours(&args.common)?, entries(s)))).collect();
    source::check_empty(source, false, args.filled.as_ref(), runs.iter().map(|(run, entries)| (run, *entries)))
}

/// How many of the folders that restic counts are not below the source: itself, and those above.
fn depth(args: &Args) -> u64 {
    let folders = args.source.components().filter(|part| matches!(part, std::path::Component::Normal(_))).count();
    u64::try_from(folders).unwrap_or(1)
}

/// One call of `restic backup`, and what it said.
struct Copied {
    ended: Ended,
    report: Report,
}

impl Copied {
    /// Calls restic with the words of a backup.
    fn make(restic: &Restic, args: &Args, words: &[OsString]) -> Result<Self, Failure> {
        let mut report = Report::new(args.common.progress_seconds);
        let ended = restic.run_locking(words, &mut report)?;
        match ended.code {
            Some(0 | UNREAD) => Ok(Self { ended, report }),
            // restic 0.19.1 may break down over an input that it could not read, instead of saying so at its end.
            Some(PANIC) if report.lacks_entries() => {
                Err(Failure::again(Problem::new(Reason::Unreadable, report.missing())))
            }
            _ => Err(restic.failure(&ended)),
        }
    }
}

/// The arguments of `restic backup`. There is no shell between us.
fn backup(args: &Args, source: Source, skip: bool) -> Vec<OsString> {
    // A scan would walk the whole volume once more only to know the end of its progress.
    let mut words: Vec<OsString> = vec!["backup".into(), "--no-scan".into()];
    if skip {
        words.push("--skip-if-unchanged".into());
    }
    words.extend(belongs(args));
    let mut exclude = |pattern: OsString| {
        let mut word = OsString::from("--exclude=");
        word.push(pattern);
        words.push(word);
    };
    if source.leave_lost_and_found {
        exclude(args.source.join(LOST_AND_FOUND).into());
    }
    for pattern in &args.exclude {
        exclude(at_root(&args.source.to_string_lossy(), pattern).into());
    }
    words.extend(["--".into(), (&args.source).into()]);
    words
}

/// Whose a snapshot is and of which run, and how it is stored.
fn belongs(args: &Args) -> Vec<OsString> {
    let common = &args.common;
    let mut words: Vec<OsString> = Vec::new();
    // restic finds the snapshot before by host and path. The pod's own name would never be found again (F81).
    words.extend(["--host".into(), (&common.namespace).into()]);
    for tag in common.tags().into_iter().chain([format!("run={}", args.run)]) {
        words.extend(["--tag".into(), tag.into()]);
    }
    words.extend(args.compression.iter().map(|how| format!("--compression={how}").into()));
    words.extend(args.pack_size.iter().map(|mib| format!("--pack-size={mib}").into()));
    words
}

/// A pattern that begins with a slash means the volume's root, which people know, and not the pod's.
fn at_root(source: &str, pattern: &str) -> String {
    let (not, path) = pattern.strip_prefix('!').map_or(("", pattern), |path| ("!", path));
    if path.starts_with('/') { format!("{not}{}{path}", source.trim_end_matches('/')) } else { pattern.to_owned() }
}

/// What follows from a copy.
struct Verdict<'a> {
    restic: &'a Restic,
    args: &'a Args,
    source: Source,
    /// What was there before, oldest first.
    before: &'a [Snapshot],
}

impl Verdict<'_> {
    fn of(&self, copied: &Copied) -> Result<CopyResult, Failure> {
        if self.lacks_everything(copied) {
            // restic has made a snapshot all the same. Unmarked it would look good.
            if let Some(id) = copied.report.snapshot() {
                mark(self.restic, id)?;
            }
            let text = format!("exclude leaves nothing of the volume: {}", clip(&self.args.exclude.join(", "), SHOWN));
            return Err(Failure::last(Problem::new(Reason::EverythingExcluded, text)));
        }
        if copied.report.snapshot().is_some() {
            return self.own(copied);
        }
        let complete = copied.ended.code == Some(0);
        // Nothing has changed since the snapshot that restic compared with. Only one of ours that is as good may
        // stand for this run; otherwise the run gets its own.
        match self.parent(copied.ended.started) {
            Some((parent, run)) if complete != parent.is_incomplete() => self.unchanged(copied, parent, &run),
            // This very run's, made by a try that was killed before it said what was missing.
            Some((parent, run)) if !complete && run == self.args.run => {
                let id = mark(self.restic, &parent.id)?;
                Ok(CopyResult { snapshot: Some(id), ..self.result(copied)? })
            }
            _ => {
                tracing::info!(
                    "nothing has changed, but no earlier snapshot can stand for this run: making a snapshot"
                );
                self.own(&Copied::make(self.restic, self.args, &backup(self.args, self.source, false))?)
            }
        }
    }

    /// Whether patterns leave nothing of a source that has something. Such a copy is no backup of it (L6).
    fn lacks_everything(&self, copied: &Copied) -> bool {
        let entries = copied.report.counts().map(|counts| counts.entries(depth(self.args)));
        !self.source.empty && !self.args.exclude.is_empty() && copied.ended.code == Some(0) && entries == Some(0)
    }

    /// The run has a snapshot of its own.
    fn own(&self, copied: &Copied) -> Result<CopyResult, Failure> {
        let Some(id) = copied.report.snapshot() else {
            return Err(self.restic.unclear("the backup succeeded, but its output names no snapshot"));
        };
        // Before anything is said of it: unmarked it looks good, also if the copy failed.
        let id = if copied.ended.code == Some(0) { id.to_owned() } else { mark(self.restic, id)? };
        let mut result = self.result(copied)?;
        if result.state == CopyState::Incomplete {
            result.incomplete.insert(0, self.args.run.clone());
        }
        Ok(CopyResult { snapshot: Some(id), kept: self.kept(Some(&self.args.run)), ..result })
    }

    /// An earlier snapshot stands for the run.
    fn unchanged(&self, copied: &Copied, parent: &Snapshot, run: &Run) -> Result<CopyResult, Failure> {
        tracing::info!(%run, "nothing has changed since this run: its snapshot is used");
        let unchanged = *run != self.args.run;
        Ok(CopyResult { snapshot: Some(parent.id.clone()), unchanged, ..self.result(copied)? })
    }

    fn result(&self, copied: &Copied) -> Result<CopyResult, Failure> {
        let Some(counts) = copied.report.counts() else {
            return Err(self.restic.unclear("the backup succeeded, but its output has no summary"));
        };
        let complete = copied.ended.code == Some(0);
        let files = counts.entries(depth(self.args));
        let text = copied.report.missing();
        // A source that cannot be read at all is no copy.
        if !complete && files == 0 {
            return Err(Failure::last(Problem::new(Reason::Unreadable, text)));
        }
        let state = if complete { CopyState::Complete } else { CopyState::Incomplete };
        let problem = Problem::new(Reason::Unreadable, if complete { String::new() } else { text });
        Ok(CopyResult {
            reason: (!complete).then_some(Reason::Unreadable),
            files,
            bytes: counts.total_bytes_processed,
            written: counts.data_added,
            owners_kept: true,
            journal: self.args.journal,
            kept: self.kept(None),
            incomplete: incomplete(self.args, self.before),
            ..CopyResult::without_data(state, &problem, now())
        })
    }

    /// The snapshot that restic has compared with: the newest of this host and path that is not newer than its own
    /// start; and its run, if it is ours.
    fn parent(&self, started: Timestamp) -> Option<(&Snapshot, Run)> {
        let path = self.args.source.to_string_lossy();
        let same =
            |s: &&Snapshot| s.time <= started && s.hostname == self.args.common.namespace && s.paths == [path.as_ref()];
        let parent = self.before.iter().rev().find(same)?;
        Some((parent, parent.ours(&self.args.common)?))
    }

    fn kept(&self, own: Option<&Run>) -> Vec<Run> {
        kept(self.args, self.before, own)
    }
}

/// Marks a snapshot as one in which entries are missing. It gets another id by that.
fn mark(restic: &Restic, id: &str) -> Result<String, Failure> {
    let words: Vec<OsString> = ["tag", "--add", INCOMPLETE, id].map(Into::into).into();
    let mut new = id.to_owned();
    let mut listener = |line: &str| {
        if let Some(id) = Report::renamed(line) {
            new = id;
        }
    };
    // Also when we are asked to end now, and when another has the lock: unmarked it would look good.
    let ended = restic.run_locking_unless(&words, &mut listener, &|| false)?;
    if ended.code == Some(0) { Ok(new) } else { Err(restic.failure(&ended)) }
}

/// The newest runs that are there.
fn kept(args: &Args, before: &[Snapshot], own: Option<&Run>) -> Vec<Run> {
    let before = before.iter().filter_map(|s| s.ours(&args.common));
    snapshots::newest(before.chain(own.cloned()))
}

/// Those of the newest runs that are there in which entries are missing.
fn incomplete(args: &Args, before: &[Snapshot]) -> Vec<Run> {
    let before = before.iter().filter(|s| s.is_incomplete());
    snapshots::newest(before.filter_map(|s| s.ours(&args.common)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_with_a_slash_begins_at_the_volumes_root() {
        assert_eq!(at_root("/source", "/cache"), "/source/cache");
        assert_eq!(at_root("/source/", "!/cache/keep"), "!/source/cache/keep");
        assert_eq!(at_root("/source", "*.tmp"), "*.tmp");
        assert_eq!(at_root("/source", "!a/b"), "!a/b");
    }
}
