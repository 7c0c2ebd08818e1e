//! Every entry of a volume, one after the other.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::restore::console::shown;
use crate::restore::temp;
use crate::volume::LOST_AND_FOUND;

/// Shows every entry below `root`, by its path below it, the root first as the empty path. ext4's own folder in the
/// root is passed over, and that of a restore that was killed: restores leave both out.
///
/// Unlike where a copy is made, what cannot be read is an error: a drill that looks away proves nothing. In memory
/// are the folders that are still to be looked into.
pub(crate) fn walk(root: &Path, see: &mut impl FnMut(&Path, &Metadata) -> io::Result<()>) -> io::Result<()> {
    see(Path::new(""), &fs::symlink_metadata(root).map_err(|error| at(root, &error))?)?;
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let whole = root.join(&folder);
        for entry in fs::read_dir(&whole).map_err(|error| at(&whole, &error))? {
            let entry = entry.map_err(|error| at(&whole, &error))?;
            let name = folder.join(entry.file_name());
            if [LOST_AND_FOUND, temp::NAME].map(OsStr::new).contains(&name.as_os_str()) {
                continue;
            }
            let meta = entry.metadata().map_err(|error| at(&entry.path(), &error))?;
            see(&name, &meta)?;
            if meta.is_dir() {
                folders.push(name);
            }
        }
    }
    Ok(())
}

/// The same error, with the path in its words.
pub(crate) fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", shown(path)))
}
