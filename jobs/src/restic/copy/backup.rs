//! One call of `restic backup`, beside a list of what was there before.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use model::names::Run;
use model::reason::{Problem, Reason};
use rustix::process::setpriority_process;

use super::args::Args;
use crate::outcome::Failure;
use crate::restic::exec::{Ended, Restic};
use crate::restic::init::open;
use crate::restic::report::Report;
use crate::restic::snapshots::{self, INCOMPLETE, Snapshot};

/// restic's code for a snapshot in which entries are missing.
const UNREAD: i32 = 3;
/// A Go program that broke down.
const PANIC: i32 = 2;

/// How nice the listing is to the copy: about a tenth of its share where both want the same processor.
const LATER: i32 = 10;

/// Whether a source may be empty now, by what was there before.
pub(super) type CheckEmpty<'a> = dyn Fn(&[Snapshot]) -> Result<(), Failure> + 'a;

/// A copy, with what else is known once it is made.
pub(super) struct Beside {
    pub(super) copied: Copied,
    /// What was there before, oldest first.
    pub(super) before: Vec<Snapshot>,
    pub(super) repository: String,
}

/// Copies, and lists what was there before at the same time. Of an empty source it is checked first.
pub(super) fn beside(
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

/// One call of `restic backup`, and what it said.
pub(super) struct Copied {
    pub(super) ended: Ended,
    pub(super) report: Report,
}

impl Copied {
    /// Calls restic with the words of a backup.
    pub(super) fn make(restic: &Restic, args: &Args, words: &[OsString]) -> Result<Self, Failure> {
        let mut report = Report::new(args.common.progress_seconds);
        let ended = restic.run_locking(words, &mut report)?;
        match ended.code {
            Some(0 | UNREAD) => Ok(Self { ended, report }),
            // restic 0.19.1 may break down over an input that it could not read, instead of saying so at its end.
            Some(PANIC) if report.lacks_entries() => {
                Err(Failure::again(Problem::new(Reason::Unreadable, report.missing())))
            }
            // A17: the next try reads all of it again, and stores only what is not there.
            _ if restic.stopped() => {
                let text = format!("the copy was stopped before it finished{}", report.so_far());
                Err(Failure::again(Problem::new(Reason::CopyFailed, text)))
            }
            _ => Err(restic.failure(&ended)),
        }
    }
}

/// Whose a snapshot is and of which run, and how it is stored.
pub(super) fn belongs(args: &Args) -> Vec<OsString> {
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

/// Marks a snapshot as one in which entries are missing. It gets another id by that.
pub(super) fn mark(restic: &Restic, id: &str) -> Result<String, Failure> {
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
pub(super) fn kept(args: &Args, before: &[Snapshot], own: Option<&Run>) -> Vec<Run> {
    let before = before.iter().filter_map(|s| s.ours(&args.common));
    snapshots::newest(before.chain(own.cloned()))
}

/// Those of the newest runs that are there in which entries are missing.
pub(super) fn incomplete(args: &Args, before: &[Snapshot]) -> Vec<Run> {
    let before = before.iter().filter(|s| s.is_incomplete());
    snapshots::newest(before.filter_map(|s| s.ours(&args.common)))
}
