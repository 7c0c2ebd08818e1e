//! A sample of a dated tree, by the same calls of rsync that restore one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use model::losses::Losses;
use model::names::Run;
use model::reason::{Problem, Reason};
use rustix::process::geteuid;

use super::sample::Choice;
use super::task::TASK;
use crate::copy::layout::manifest_of;
use crate::copy::manifest::Manifest;
use crate::outcome::Failure;
use crate::restore::transfer::{Delete, Transfer};
use crate::rsync::{self, Ear, Report, Trouble, Verdict};

/// What the manifest beside a tree tells: whether something is missing in it, and what a complete one has without what
/// its disk does not keep. Of a tree that is mounted alone nobody knows.
pub(crate) fn told(tree: &Path, run: &Run) -> (bool, Losses) {
    let manifest = tree.with_file_name(manifest_of(run.as_str()));
    match Manifest::read(&manifest, run).ok().flatten() {
        Some(manifest) if manifest.is_good() => (false, manifest.result.lost),
        Some(_) => (true, Losses::default()),
        None => (false, Losses::default()),
    }
}

/// Restores what was chosen, or everything. The text says what was left out.
pub(crate) fn fetch(
    tree: &Path,
    into: &Path,
    choice: Option<&Choice>,
    nanoseconds: bool,
    stop: &AtomicBool,
) -> Result<Option<String>, Failure> {
    let names: Option<Vec<PathBuf>> = choice.map(|choice| choice.all().cloned().collect());
    let transfer = Transfer {
        from: tree,
        into,
        names: names.as_deref(),
        // Folders that are named are made, and nothing in them that is not.
        deep: false,
        delete: Delete::No,
        checksum: false,
        nanoseconds,
        root: geteuid().is_root(),
        dry: false,
    };
    let input = transfer.input().map_err(|error| TASK.io("writing the list of the sample", &error))?;
    let mut hand = Hand { report: Report::new(&TASK), stop };
    let status = rsync::run(&transfer.arguments(), input, &mut hand).map_err(|trouble| match trouble {
        Trouble::Missing => {
            let text = "the image has no rsync: drills need the image backup-mover";
            Failure::last(Problem::new(TASK.failed, text))
        }
        Trouble::Io(error) => TASK.io("running rsync", &error),
    })?;
    if stop.load(Ordering::Relaxed) {
        return Err(Failure::again(Problem::new(TASK.failed, TASK.stopped)));
    }
    match hand.report.verdict(status.code()) {
        Ok(Verdict::Complete(_)) => Ok(None),
        Ok(Verdict::Incomplete(_, text)) => Ok(Some(text)),
        // Not one entry of the sample is in the tree, or can be read: the comparison tells which.
        Err(failure) if failure.problem.reason == Reason::Unreadable => Ok(Some(failure.problem.message)),
        Err(failure) => Err(failure),
    }
}

/// Hears rsync.
struct Hand<'a> {
    report: Report,
    stop: &'a AtomicBool,
}

impl Ear for Hand<'_> {
    fn out(&mut self, line: &str) {
        // Lines about entries are not told: a comparison follows.
        if !line.starts_with(crate::restore::transfer::MARK) {
            self.report.out(line);
        }
    }

    fn error(&mut self, line: &str) {
        self.report.error(line);
    }

    fn stop(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
