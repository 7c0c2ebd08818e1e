//! The copy of files.

use std::ffi::OsString;

use model::Timestamp;
use model::names::Run;
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState};
use model::text::{clip, sentence};

use super::args::Args;
use super::backup::{Beside, CheckEmpty, Copied, belongs, beside, incomplete, kept, mark};
use crate::copy::source::{self, Source};
use crate::outcome::{Failure, now};
use crate::restic::exec::Restic;
use crate::restic::snapshots::Snapshot;
use crate::restore::temp;
use crate::volume::LOST_AND_FOUND;

/// The most that is repeated of patterns.
const SHOWN: usize = 240;

/// Copies the files.
pub(super) fn copy(restic: &Restic, args: &Args) -> Result<CopyResult, Failure> {
    let source = source::look(&args.source, args.allow_unmounted)?;
    let make = || Copied::make(restic, args, &backup(args, source, args.skip_unchanged));
    let check = |before: &[Snapshot]| check_empty(args, source, before);
    let check: Option<&CheckEmpty<'_>> = if source.empty && !args.accept_empty { Some(&check) } else { None };
    let Beside { copied, before, repository } = beside(restic, args, &make, check)?;
    let result = Verdict { restic, args, source, before: &before }.of(&copied)?;
    Ok(CopyResult { repository: Some(repository), ..result })
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

/// The arguments of `restic backup`. There is no shell between us.
fn backup(args: &Args, source: Source, skip: bool) -> Vec<OsString> {
    // A scan would walk the whole volume once more only to know the end of its progress.
    let mut words: Vec<OsString> = vec!["backup".into(), "--no-scan".into()];
    if args.after_finding {
        // L13: no file is taken over from the snapshot before.
        words.push("--force".into());
    } else if skip {
        words.push("--skip-if-unchanged".into());
    }
    words.extend(belongs(args));
    let mut exclude = |pattern: OsString| {
        let mut word = OsString::from("--exclude=");
        word.push(pattern);
        words.push(word);
    };
    exclude(args.source.join(temp::NAME).into());
    if source.leave_lost_and_found {
        exclude(args.source.join(LOST_AND_FOUND).into());
    }
    for pattern in &args.exclude {
        exclude(at_root(&args.source.to_string_lossy(), pattern).into());
    }
    words.extend(["--".into(), (&args.source).into()]);
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
        Ok(CopyResult {
            message: if complete { String::new() } else { sentence(&text) },
            reason: (!complete).then_some(Reason::Unreadable),
            files,
            bytes: counts.total_bytes_processed,
            written: counts.data_added,
            checksummed: self.args.after_finding,
            journal: self.args.journal,
            kept: self.kept(None),
            incomplete: incomplete(self.args, self.before),
            ..CopyResult::new(state, now())
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
