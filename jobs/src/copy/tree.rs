//! The making of one tree.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use model::facts::VolumeMode;
use model::losses::Loss;
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState};
use model::text::sentence;
use rustix::process::geteuid;

use super::args::Args;
use super::layout::{Partial, Shelf, Tree};
use super::manifest::Manifest;
use super::partial::{Plan, Start};
use super::probe::Found;
use super::source::Source;
use super::task::TASK;
use super::transfer::Transfer;
use super::{commit, partial, probe, transfer};
use crate::hard_links;
use crate::outcome::{Failure, now};
use crate::rsync::{Stats, Trouble, Verdict};

/// What a tree is made of.
pub(crate) struct Making<'a> {
    /// What was asked for.
    pub(crate) args: &'a Args,
    /// Where the tree goes.
    pub(crate) shelf: &'a Shelf,
    /// The lock of the only writer.
    pub(crate) lock: &'a File,
    /// What was seen of the source.
    pub(crate) source: Source,
    /// The trees before.
    pub(crate) trees: &'a [Tree],
    /// Whether somebody wants this to end.
    pub(crate) stop: &'a AtomicBool,
    /// When it began.
    pub(crate) started: Instant,
}

/// How one call of rsync ended.
enum Moved {
    /// With a tree.
    To(Verdict),
    /// At a file with as many names as it can have.
    TooManyLinks,
}

impl Making<'_> {
    /// Makes the tree of the run, from what is left of the tries before.
    pub(crate) fn run(&self, left: Vec<Partial>) -> Result<Manifest, Failure> {
        self.make(left).inspect_err(|failure| self.give_room(failure))
    }

    fn make(&self, left: Vec<Partial>) -> Result<Manifest, Failure> {
        let mut start = partial::begin(self.shelf, &self.args.run, &self.args.attempt, left)?;
        let mut plan =
            partial::plan(self.args.checksum_every, &start, self.trees).after_finding(self.args.after_finding);
        let found = if plan.probe { self.probe()? } else { Found::default() };
        let mut verdict = match self.transfer(&start, &plan, &found)? {
            Moved::To(verdict) => verdict,
            Moved::TooManyLinks => {
                tracing::warn!(
                    "a file has reached the limit of hard links: making the copy without links to earlier copies"
                );
                partial::discard(self.shelf, &start.partial);
                start.partial = partial::fresh(self.shelf, &self.args.run, &self.args.attempt)?;
                plan = plan.unlinked();
                self.transfer(&start, &plan, &found)?.verdict()?
            }
        };
        if plan.may_merge {
            verdict = self.part((&start, &plan, &found), verdict)?;
        }
        let manifest = commit::commit(self.shelf, &start.partial, || self.written_down(verdict, plan, found))
            .map_err(|e| TASK.io("completing the copy", &e))?;
        if let Some(other) = &start.other {
            partial::discard(self.shelf, other);
        }
        Ok(manifest)
    }

    /// Asks what the disk keeps.
    fn probe(&self) -> Result<Found, Failure> {
        let found = probe::probe(self.shelf).map_err(|e| TASK.io("finding out what the destination keeps", &e))?;
        if !found.lost.is_empty() {
            tracing::warn!("the destination does not keep: {}", found.lost);
        }
        Ok(found)
    }

    /// Runs rsync.
    fn transfer(&self, start: &Start, plan: &Plan, found: &Found) -> Result<Moved, Failure> {
        let name = start.partial.name();
        let nanoseconds = self
            .shelf
            .keeps_nanoseconds(&name)
            .map_err(|e| TASK.io("setting a folder's time on the destination", &e))?;
        if !nanoseconds {
            tracing::warn!("the destination does not store nanoseconds: comparing times by whole seconds");
        }
        let transfer = Transfer {
            source: &self.source_path()?,
            into: &self.shelf.at(&name),
            link: &plan.link,
            checksum: plan.checksum,
            without: &found.without,
            root: geteuid().is_root(),
            nanoseconds,
            leave_lost_and_found: self.source.leave_lost_and_found,
        };
        tracing::info!(run = %self.args.run, link = ?plan.link, checksum = plan.checksum, "copying");
        let ended = transfer::run(&transfer, self.lock, self.stop, self.args.progress_seconds);
        let (status, report) = ended.map_err(|trouble| match trouble {
            Trouble::Missing => {
                let text = "the image has no rsync: copies need the image backup-mover";
                Failure::last(Problem::new(Reason::CopyFailed, text))
            }
            Trouble::Io(error) => TASK.io("running rsync", &error),
        })?;
        if self.stop.load(Ordering::Relaxed) && !status.success() {
            let text =
                format!("the copy was stopped before it finished{}; the next attempt continues it", report.so_far());
            return Err(Failure::again(Problem::new(Reason::CopyFailed, text)));
        }
        if report.too_many_links() && !status.success() {
            return Ok(Moved::TooManyLinks);
        }
        report.verdict(status.code()).map(Moved::To)
    }

    /// Parts names that were linked to one file of an older tree and are several files in the source.
    fn part(&self, (start, plan, found): (&Start, &Plan, &Found), verdict: Verdict) -> Result<Verdict, Failure> {
        let tree = self.shelf.at(&start.partial.name());
        let merged = hard_links::merged(&self.source_path()?, &tree);
        if merged.is_empty() {
            return Ok(verdict);
        }
        tracing::info!("{} names are no longer hard links of one file: copying them again", merged.len());
        for name in merged {
            fs::remove_file(tree.join(name)).map_err(|e| TASK.io("separating hard links", &e))?;
        }
        let plan = Plan { link: Vec::new(), checksum: false, ..plan.clone() };
        let again = self.transfer(start, &plan, found)?.verdict()?;
        Ok(verdict.and(again))
    }

    fn written_down(&self, verdict: Verdict, plan: Plan, found: Found) -> Manifest {
        let compared = matches!(verdict, Verdict::Complete(_));
        let complaint = probe::complaint(&found, &self.args.accept.iter().copied().collect());
        let (counted, problem) = match (verdict, complaint) {
            (Verdict::Complete(counted), None) => (counted, None),
            (Verdict::Complete(counted), Some(lost)) => (counted, Some((Reason::DiskCannotKeep, lost))),
            (Verdict::Incomplete(counted, entries), None) => (counted, Some((Reason::Unreadable, entries))),
            (Verdict::Incomplete(counted, entries), Some(lost)) => {
                (counted, Some((Reason::Unreadable, format!("{entries}; {lost}"))))
            }
        };
        let state = if problem.is_none() { CopyState::Complete } else { CopyState::Incomplete };
        let (reason, message) = problem.unzip();
        let Stats { files, bytes, written } = counted;
        Manifest {
            run: self.args.run.clone(),
            destination: self.args.name.clone(),
            of: self.args.of.clone(),
            volume_mode: VolumeMode::Filesystem,
            // Files that could not be read were not compared either.
            since_checksum: if plan.checksum && compared { 0 } else { plan.since_checksum },
            linked: plan.linked,
            hard_links: self.source_path().ok().map(|source| hard_links::count(&source)),
            probed: true,
            result: CopyResult {
                reason,
                message: sentence(&message.unwrap_or_default()),
                files,
                bytes,
                written,
                seconds: self.started.elapsed().as_secs(),
                checksummed: plan.checksum,
                owners_kept: geteuid().is_root() && !found.lost.has(Loss::Owners),
                lost: found.lost,
                journal: self.args.journal,
                ..CopyResult::new(state, now())
            },
        }
    }

    fn source_path(&self) -> Result<PathBuf, Failure> {
        std::path::absolute(&self.args.source).map_err(|e| TASK.io("finding the source's path", &e))
    }

    /// Removes partial trees where they would only keep the disk full for others. Trees are not touched.
    fn give_room(&self, failure: &Failure) {
        if !matches!(failure.problem.reason, Reason::DiskFull | Reason::Unreadable) {
            return;
        }
        match self.shelf.inventory() {
            Ok(found) => found.partials.iter().for_each(|left| partial::discard(self.shelf, left)),
            Err(error) => tracing::warn!(%error, "cannot list unfinished copies"),
        }
    }
}

impl Moved {
    /// Where there are no links, there cannot be too many: not to the trees before.
    fn verdict(self) -> Result<Verdict, Failure> {
        match self {
            Self::To(verdict) => Ok(verdict),
            Self::TooManyLinks => {
                let text = "a file has more hard links than the destination's file system allows";
                Err(Failure::last(Problem::new(Reason::CopyFailed, text)))
            }
        }
    }
}
