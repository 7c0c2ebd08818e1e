//! Why a snapshot does not have a PATH, and what it has instead.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::listing::Entry;
use crate::outcome::Failure;
use crate::restic::exec::Restic;
use crate::restic::point::RepositoryPoint;
use crate::restore::console::shown;
use crate::restore::paths;

/// Looks at the folders above the PATH.
pub(crate) fn why(restic: &Restic, point: &RepositoryPoint, path: &Path) -> Result<Failure, Failure> {
    let mut folders = vec![Path::new("")];
    folders.extend(paths::above(path));
    let mut args = vec!["ls".into(), "--no-lock".into(), point.folder(Path::new("")), "--".into()];
    args.extend(folders.iter().map(|folder| Path::new("/").join(folder).into()));
    let mut names: HashMap<PathBuf, Vec<(OsString, String)>> = HashMap::new();
    let ended = restic.run(&args, &mut |line: &str| {
        let Some(entry) = Entry::read(line) else { return };
        let path = Path::new(entry.path.trim_start_matches('/'));
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            names.entry(parent.to_owned()).or_default().push((name.to_owned(), entry.kind));
        }
    })?;
    if ended.code != Some(0) {
        return Err(restic.failure(&ended));
    }
    let mut steps = folders;
    steps.push(path);
    // The first step that is not there, or leads nowhere.
    for pair in steps.windows(2) {
        let (parent, step) = (pair[0], pair[1]);
        let there = names.remove(parent).unwrap_or_default();
        let name = step.file_name().unwrap_or_default();
        let kind = there.iter().find(|(other, _)| other == name).map(|(_, kind)| kind.as_str());
        let problem = match kind {
            None => paths::missing(path, parent, step, there.into_iter().map(|(name, _)| name)),
            Some("dir") => continue,
            Some("symlink") if step != path => {
                paths::not_found(path, &format!("{} is a symbolic link: use a path without it", shown(step)))
            }
            Some(_) if step != path => paths::not_found(path, &format!("{} is not a folder", shown(step))),
            Some(_) => break,
        };
        return Ok(Failure::last(problem));
    }
    Ok(Failure::last(paths::not_found(path, "restic's list of the snapshot does not contain it")))
}
