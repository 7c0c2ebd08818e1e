//! The folder in the volume where files are made before they get their names.
//!
//! rsync would make them beside their final place, and a restore that is killed would leave them there, under names
//! that nobody can tell from the volume's own. Here they are found and removed by the next restore. The folder's name
//! says on which start of the machine it was made: files that were renamed into place before the machine crashed may
//! lack bytes that never reached the disk, with the right size and time, and then contents are compared.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT};

use crate::volume::this_boot;

/// The folder in the volume's root.
pub(crate) const NAME: &str = ".backup-controller-restore";

/// The folder while it is there.
#[derive(Debug)]
pub(crate) struct Temp {
    outer: PathBuf,
    target: PathBuf,
    /// The time of the volume's root before the folder was made.
    before: Timespec,
    /// Whether a restore was going on when the machine stopped.
    pub(crate) crashed: bool,
}

impl Temp {
    /// Makes the folder, and removes what is left of an earlier one.
    pub(crate) fn make(target: &Path) -> io::Result<Self> {
        let meta = fs::metadata(target)?;
        let before = Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() };
        let outer = target.join(NAME);
        let crashed = clear(&outer)?;
        let temp = Self { outer, target: target.to_owned(), before, crashed };
        fs::DirBuilder::new().mode(0o700).recursive(true).create(temp.path())?;
        Ok(temp)
    }

    /// Where rsync makes its files.
    pub(crate) fn path(&self) -> PathBuf {
        self.outer.join(this_boot())
    }

    /// Removes it, and sets the time of the volume's root to that of `like`, or to what it was.
    pub(crate) fn end(self, like: Option<&Path>) -> io::Result<()> {
        fs::remove_dir_all(&self.outer)?;
        match like {
            Some(like) => set_time_like(&self.target, like),
            None => set_time(&self.target, self.before),
        }
    }
}

/// Whether an earlier restore left its folder: it did not come to its end.
pub(crate) fn is_left(target: &Path) -> bool {
    fs::symlink_metadata(target.join(NAME)).is_ok()
}

/// Removes what an earlier restore left, and tells whether it is of another start of the machine.
fn clear(outer: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(outer) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
        // Whoever put a link or a file here, it is removed and not followed.
        Ok(meta) if !meta.is_dir() => return fs::remove_file(outer).map(|()| false),
        Ok(_) => {}
    }
    let mut crashed = false;
    for entry in fs::read_dir(outer)? {
        crashed |= entry?.file_name() != OsStr::new(&this_boot());
    }
    fs::remove_dir_all(outer)?;
    Ok(crashed)
}

/// Gives a folder the time that another one has.
pub(crate) fn set_time_like(path: &Path, like: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(like)?;
    set_time(path, Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() })
}

fn set_time(path: &Path, time: Timespec) -> io::Result<()> {
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
