//! The PATHs of a restore: whether the restore point has them, and what leads to them in the volume.
//!
//! No link is followed on the way to a PATH, in neither volume: it could lead out of it, or to another place in it.

use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use model::reason::{Problem, Reason};

use super::console::shown;

/// Similar names that are told.
const SIMILAR: usize = 5;

/// What stands at a path, its links not followed; `None`: nothing.
fn look(path: &Path) -> io::Result<Option<FileType>> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta.file_type())),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => Ok(None),
            _ => Err(error),
        },
    }
}

/// The folders above a path, the highest first, without the root.
pub(crate) fn above(path: &Path) -> Vec<&Path> {
    let mut parents: Vec<&Path> = path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).collect();
    parents.reverse();
    parents
}

/// Checks that the restore point has a PATH.
pub(crate) fn find(point: &Path, path: &Path) -> io::Result<Result<(), Problem>> {
    let mut parent = Path::new("");
    for step in above(path) {
        match look(&point.join(step))? {
            Some(kind) if kind.is_dir() => parent = step,
            Some(kind) if kind.is_symlink() => {
                let to = fs::read_link(point.join(step)).unwrap_or_default();
                let what = format!("{} is a symbolic link to {}: use a path without it", shown(step), shown(&to));
                return Ok(Err(not_found(path, &what)));
            }
            Some(_) => return Ok(Err(not_found(path, &format!("{} is not a folder", shown(step))))),
            None => return Ok(Err(missing(path, parent, step, names(&point.join(parent))))),
        }
    }
    Ok(match look(&point.join(path))? {
        Some(_) => Ok(()),
        None => Err(missing(path, parent, path, names(&point.join(parent)))),
    })
}

/// That the restore point does not have a PATH.
pub(crate) fn not_found(path: &Path, what: &str) -> Problem {
    Problem::new(Reason::PathNotFound, format!("the restore point has no {}: {what}", shown(path)))
}

/// `at` is the first step of `path` that is not there, `parent` the folder above it, and `names` what is in that.
pub(crate) fn missing(path: &Path, parent: &Path, at: &Path, names: impl Iterator<Item = OsString>) -> Problem {
    let name = at.file_name().unwrap_or_default();
    let names = similar(names, name);
    let folder =
        if parent.as_os_str().is_empty() { "the root".to_owned() } else { format!("the folder {}", shown(parent)) };
    let what = match names.as_slice() {
        [] => format!("{folder} contains no name similar to {}", shown(Path::new(name))),
        names => {
            let names: Vec<String> = names.iter().map(|n| shown(Path::new(n))).collect();
            format!("similar names in {folder}: {}", names.join(", "))
        }
    };
    not_found(path, &what)
}

/// The names in a folder.
fn names(folder: &Path) -> impl Iterator<Item = OsString> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name())
}

/// The names that are most like this one.
fn similar(names: impl Iterator<Item = OsString>, name: &OsStr) -> Vec<OsString> {
    let wanted = name.to_string_lossy().to_lowercase();
    let mut scored: Vec<_> = names
        .filter_map(|name| {
            likeness(&wanted, &name.to_string_lossy().to_lowercase()).map(|score| (Reverse(score), name))
        })
        .collect();
    scored.sort();
    scored.into_iter().take(SIMILAR).map(|(_, name)| name).collect()
}

/// How much alike two names in lower case are, at most 100; `None`: not at all.
fn likeness(wanted: &str, name: &str) -> Option<usize> {
    let shorter = wanted.chars().count().min(name.chars().count());
    if shorter >= 3 && (name.contains(wanted) || wanted.contains(name)) {
        return Some(90);
    }
    let distance = distance(wanted, name);
    (distance <= 1 + shorter / 4 && distance < shorter.max(1)).then(|| 100usize.saturating_sub(distance * 5))
}

/// How many characters must be put, taken or changed to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The folders above the PATHs that the volume does not have, the highest first. What stands in the place of one and
/// is no folder is not replaced: nobody named it.
pub(crate) fn missing_parents(target: &Path, paths: &[PathBuf]) -> io::Result<Result<Vec<PathBuf>, Problem>> {
    let mut missing: Vec<PathBuf> = Vec::new();
    for path in paths {
        for step in above(path) {
            match look(&target.join(step))? {
                Some(kind) if kind.is_dir() => {}
                None => missing.push(step.to_owned()),
                Some(kind) => {
                    let what = if kind.is_symlink() { "a symbolic link" } else { "not a folder" };
                    let text = format!(
                        "cannot restore {1}: in the volume, {0} is {what}. Move it away, or restore {0} itself",
                        shown(step),
                        shown(path)
                    );
                    return Ok(Err(Problem::new(Reason::NameTaken, text)));
                }
            }
        }
    }
    missing.sort();
    missing.dedup();
    Ok(Ok(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_nearly_right_are_like_it() {
        assert_eq!(distance("config", "conifg"), 2);
        for (wanted, name) in [("app.conf", "app.cnf"), ("report.txt", "report.txt.bak"), ("phtos", "photos")] {
            assert!(likeness(wanted, name).is_some(), "{wanted} {name}");
        }
        for (wanted, name) in [("app.conf", "zebra"), ("a", "b"), ("x", "photos")] {
            assert_eq!(likeness(wanted, name), None, "{wanted} {name}");
        }
        assert_eq!(likeness("readme", "readme"), Some(90), "which differs in the case of its letters");
    }

    #[test]
    fn the_folders_above_a_path_come_from_the_top() {
        assert_eq!(above(Path::new("a/b/c")), [Path::new("a"), Path::new("a/b")]);
        assert_eq!(above(Path::new("a")), Vec::<&Path>::new());
    }
}
