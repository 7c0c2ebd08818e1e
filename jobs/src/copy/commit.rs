//! How a partial copy becomes a tree, and how a tree stops being one.
//!
//! A tree counts if it has its final name **and** a manifest. A partial copy is never good, wherever the
//! power fails:
//!
//! | after step | what is there | what the next copy does |
//! |---|---|---|
//! | 1. the whole file system is synced | a partial with every byte on the disk | goes on with it |
//! | 2. the manifest is written under the partial's name and synced | the same and a file | removes the file, goes on with the partial |
//! | 3. the manifest gets its final name, and names are synced | a manifest without a tree: does not count | removes the manifest, goes on with the partial |
//! | 4. the partial gets its final name, without replacing | a tree with a manifest, all of it on the disk | finds the run done |
//! | 5. names are synced | the same for sure | the same |
//!
//! Between 3 and 5 the disk may have done either; both rows hold. The tree's name comes last, because it is
//! what a person looks at: a folder called like a run was whole when it appeared. It also goes first, when
//! a tree expires: it is renamed to trash, then its manifest is removed (a crash between the two leaves a
//! manifest without a tree), and only then its files.

use std::fs;
use std::io;

use model::names::Run;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::layout::{Partial, Shelf, manifest_of, trash_of};
use super::manifest::Manifest;

/// Makes the partial the tree of its run. What is written down about it is asked for once its bytes are safe:
/// until then the copy has not ended.
pub(crate) fn commit(
    shelf: &Shelf,
    partial: &Partial,
    written_down: impl FnOnce() -> Manifest,
) -> io::Result<Manifest> {
    let name = partial.name();
    let draft = shelf.at(&manifest_of(&name));
    shelf.sync_all()?;
    let manifest = written_down();
    manifest.write(&draft)?;
    fs::rename(draft, shelf.at(&manifest_of(partial.run.as_str())))?;
    shelf.sync_names()?;
    rename_new(shelf, &name, partial.run.as_str())?;
    shelf.sync_names()?;
    Ok(manifest)
}

/// Makes a tree trash: from here on it does not count. Its files are still to be removed.
pub(crate) fn expire(shelf: &Shelf, run: &Run) -> io::Result<()> {
    rename_new(shelf, run.as_str(), &trash_of(run))?;
    shelf.sync_names()?;
    fs::remove_file(shelf.at(&manifest_of(run.as_str())))?;
    shelf.sync_names()
}

/// Renames a folder and replaces nothing.
pub(crate) fn rename_new(shelf: &Shelf, from: &str, to: &str) -> io::Result<()> {
    match renameat_with(CWD, shelf.at(from), CWD, shelf.at(to), RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // NFS and others have no such rename.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => rename_looking(shelf, from, to),
        Err(error) => Err(error.into()),
    }
}

/// The same in two steps. Where another writer came between them, the rename itself still refuses to
/// replace anything but an empty folder.
fn rename_looking(shelf: &Shelf, from: &str, to: &str) -> io::Result<()> {
    match fs::symlink_metadata(shelf.at(to)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(shelf.at(from), shelf.at(to)),
        Err(error) => Err(error),
        Ok(_) => Err(Errno::EXIST.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_rename_replaces_nothing_with_or_without_the_kernels_help() {
        let path: PathBuf = std::env::temp_dir().join(format!("commit-{}", std::process::id()));
        for (round, rename) in [rename_new, rename_looking].into_iter().enumerate() {
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("new/inside")).unwrap();
            fs::create_dir(path.join("taken")).unwrap();
            fs::write(path.join("file"), "x").unwrap();
            let shelf = Shelf::open(&path).unwrap();
            for taken in ["taken", "file"] {
                let error = rename(&shelf, "new", taken).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{taken}, {round}");
            }
            rename(&shelf, "new", "free").unwrap();
            assert!(shelf.at("free/inside").exists() && !shelf.at("new").exists());
        }
        fs::remove_dir_all(path).unwrap();
    }
}
