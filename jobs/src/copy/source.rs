//! What is looked at before a source is copied: that it is there, and that it is not suddenly empty.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use model::names::Run;
use model::reason::{Problem, Reason};

use crate::outcome::Failure;
use crate::restore::temp;
use crate::volume::{LOST_AND_FOUND, is_empty_or_locked, is_mount};

/// A source that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// Whether there is nothing in it.
    pub(crate) empty: bool,
    /// Whether the folder [`LOST_AND_FOUND`] is left out. Only an empty or locked one is: what a file
    /// system check put there is the user's, and so is a folder that he called so.
    pub(crate) leave_lost_and_found: bool,
}

/// Looks at the root of the source.
pub(crate) fn look(path: &Path, allow_unmounted: bool) -> Result<Source, Failure> {
    let unreadable = |error: io::Error| {
        let problem = Problem::new(Reason::Unreadable, format!("cannot read the volume: {error}"));
        // What is refused stays refused; anything else may be a mount that is not there yet.
        if error.kind() == io::ErrorKind::PermissionDenied { Failure::last(problem) } else { Failure::again(problem) }
    };
    if !allow_unmounted && !is_mount(path).map_err(unreadable)? {
        let text = format!("no volume is mounted at {}, so nothing is copied", path.display());
        return Err(Failure::again(Problem::new(Reason::CopyFailed, text)));
    }
    let mut source = Source { empty: true, leave_lost_and_found: false };
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name() == OsStr::new(LOST_AND_FOUND) && is_empty_or_locked(&entry) {
            source.leave_lost_and_found = true;
        } else if entry.file_name() != OsStr::new(temp::NAME) {
            source.empty = false;
        }
    }
    Ok(source)
}

/// An empty source that was not empty before is not good unless somebody says that it is (law 6, F47): a
/// lost mount, a failed restore and an emptied volume look the same from here. `copies`: the entries of each copy
/// that there is, oldest first; `filled`: a run that has a copy with entries at any destination.
pub(crate) fn check_empty<'a>(
    source: Source,
    accepted: bool,
    filled: Option<&Run>,
    copies: impl DoubleEndedIterator<Item = (&'a Run, u64)>,
) -> Result<(), Failure> {
    if !source.empty || accepted {
        return Ok(());
    }
    let text = match (copies.rev().find(|(_, entries)| *entries > 0), filled) {
        (Some((run, entries)), _) => format!("the volume is empty, but run {run} had {entries} entries"),
        (None, Some(run)) => format!("the volume is empty, but the copy of run {run} to another destination is not"),
        (None, None) => return Ok(()),
    };
    Err(Failure::last(Problem::new(Reason::SourceEmpty, text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    fn check(source: Source, accepted: bool, before: &[u64]) -> Result<(), Failure> {
        let runs: Vec<Run> = (1..=before.len()).map(|day| format!("201812{day:02}T0000Z").parse().unwrap()).collect();
        check_empty(source, accepted, None, runs.iter().zip(before.iter().copied()))
    }

    /// F47, L6.
    #[test]
    fn an_empty_source_is_good_only_if_it_always_was_or_is_accepted() {
        let empty = Source { empty: true, leave_lost_and_found: false };
        assert!(check(empty, false, &[]).is_ok(), "the first run of an empty volume");
        assert!(check(empty, false, &[0, 0]).is_ok(), "it always was");
        assert!(check(empty, true, &[5]).is_ok(), "accepted");
        for before in [&[5][..], &[5, 0], &[0, 5]] {
            let failure = check(empty, false, before).unwrap_err();
            assert_eq!(failure.problem.reason, Reason::SourceEmpty, "{before:?}");
        }
        let run: Run = "20181130T0000Z".parse().unwrap();
        let elsewhere = |accepted| check_empty(empty, accepted, Some(&run), std::iter::empty());
        assert_eq!(elsewhere(false).unwrap_err().problem.reason, Reason::SourceEmpty, "another destination has it");
        assert!(elsewhere(true).is_ok(), "accepted");
        let full = Source { empty: false, leave_lost_and_found: false };
        assert!(check(full, false, &[5]).is_ok());
    }

    /// F48.
    #[test]
    fn lost_and_found_makes_no_volume_full_unless_something_was_found() {
        let root = std::env::temp_dir().join(format!("source-{}", std::process::id()));
        fs::create_dir_all(root.join(LOST_AND_FOUND)).unwrap();
        let source = look(&root, true).unwrap();
        assert_eq!(source, Source { empty: true, leave_lost_and_found: true });
        fs::write(root.join(LOST_AND_FOUND).join("#12"), "found").unwrap();
        let source = look(&root, true).unwrap();
        assert_eq!(source, Source { empty: false, leave_lost_and_found: false });
        fs::remove_dir_all(root).unwrap();
    }
}
