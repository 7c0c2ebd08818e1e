//! The folder in the volume that says that a restore is under way.
//!
//! It is made first and removed last. One that is there already was left by a restore that was killed: rsync may
//! have left the file that it was making. (A folder for such files would be simpler, but renames out of it take twice
//! the time of renames within a folder.) The folder's name says on which start of the machine it was made: files that
//! were renamed into place before the machine crashed may lack bytes that never reached the disk, with the right size
//! and time, and then contents are compared.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};

use crate::hard_links::walk;
use crate::no_follow::Root;
use crate::volume::{LOST_AND_FOUND, this_boot};

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
    /// Makes the folder, and removes what an earlier restore left. `point`: where rsync's own files are known by.
    pub(crate) fn make(point: Option<&Path>, target: &Path) -> io::Result<Self> {
        let meta = fs::metadata(target)?;
        let before = Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() };
        let outer = target.join(NAME);
        let crashed = clear(point, target, &outer)?;
        let temp = Self { outer, target: target.to_owned(), before, crashed };
        let root = Root::open(target)?;
        root.make_folder(Path::new(NAME), 0o700)?;
        root.make_folder(&drafts(), 0o700)?;
        Ok(temp)
    }

    /// Removes what rsync left if it did not end by itself.
    pub(crate) fn sweep(&self, point: &Path) -> io::Result<()> {
        sweep(point, &self.target, &fs::symlink_metadata(&self.outer)?)
    }

    /// Removes the folder, and sets the time of the volume's root to that of `like`, or to what it was.
    pub(crate) fn end(self, like: Option<&Path>) -> io::Result<()> {
        fs::remove_dir_all(&self.outer)?;
        match like {
            Some(like) => set_time_like(&Root::open(&self.target)?, Path::new(""), like),
            None => set_time(&Root::open(&self.target)?, Path::new(""), self.before),
        }
    }
}

/// A place for files of ours while the folder is there, relative to the volume's root.
pub(crate) fn drafts() -> PathBuf {
    Path::new(NAME).join(this_boot())
}

/// Whether an earlier restore left its folder: it did not come to its end.
pub(crate) fn is_left(target: &Path) -> bool {
    fs::symlink_metadata(target.join(NAME)).is_ok()
}

/// Removes what an earlier restore left, and tells whether it is of another start of the machine.
fn clear(point: Option<&Path>, target: &Path, outer: &Path) -> io::Result<bool> {
    let made = match fs::symlink_metadata(outer) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
        // Whoever put a link or a file here, it is removed and not followed.
        Ok(meta) if !meta.is_dir() => return fs::remove_file(outer).map(|()| false),
        Ok(meta) => meta,
    };
    if let Some(point) = point {
        sweep(point, target, &made)?;
    }
    let mut crashed = false;
    for entry in fs::read_dir(outer)? {
        crashed |= entry?.file_name() != OsStr::new(&this_boot());
    }
    fs::remove_dir_all(outer)?;
    Ok(crashed)
}

/// Removes the files that rsync was making when it was killed: by the form of their names, only those written since
/// `made`, our folder, was, and only where the restore point has a file that they would become, and not them.
fn sweep(point: &Path, target: &Path, made: &Metadata) -> io::Result<()> {
    let since = (made.mtime(), made.mtime_nsec());
    let mut left = Vec::new();
    walk(target, &mut |path, meta| {
        let Some(finals) = path.file_name().and_then(finals) else { return };
        let Ok(name) = path.strip_prefix(target) else { return };
        let is = |name: &Path| fs::symlink_metadata(point.join(name)).is_ok_and(|meta| meta.is_file());
        let late = (meta.ctime(), meta.ctime_nsec()) >= since && !is_other(name);
        if late && !is(name) && finals.iter().any(|last| is(&name.with_file_name(last))) {
            left.push(name.to_owned());
        }
    });
    let root = Root::open(target)?;
    left.iter().try_for_each(|name| {
        tracing::info!("removing a leftover of an earlier restore: {}", super::console::shown(name));
        root.remove_file(name)
    })
}

fn is_other(name: &Path) -> bool {
    name.starts_with(LOST_AND_FOUND) || name.starts_with(NAME)
}

/// The names that a file may get that rsync makes under this one: `.name.x1Y2z3`. One that begins with a dot gets no
/// second one.
fn finals(name: &OsStr) -> Option<[OsString; 2]> {
    let (stem, random) = name.as_bytes().split_at_checked(name.len().checked_sub(7)?)?;
    let random = random.strip_prefix(b".")?;
    let bare = stem.strip_prefix(b".").filter(|bare| !bare.is_empty())?;
    random.iter().all(u8::is_ascii_alphanumeric).then(|| [bare, stem].map(|name| OsStr::from_bytes(name).to_owned()))
}

/// Gives a folder of a volume the time that another one has.
pub(crate) fn set_time_like(root: &Root, folder: &Path, like: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(like)?;
    set_time(root, folder, Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() })
}

fn set_time(root: &Root, folder: &Path, time: Timespec) -> io::Result<()> {
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access, last_modification: time };
    Ok(rustix::fs::futimens(root.folder(folder)?, &times)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_rsync_gives_are_taken_for_its_own() {
        let names = |name: &str| finals(OsStr::new(name)).map(|all| all.map(|n| n.into_string().unwrap()));
        assert_eq!(names(".app.conf.x1Y2z3"), Some(["app.conf".into(), ".app.conf".into()]));
        assert_eq!(names(".bashrc.AbCdEf"), Some(["bashrc".into(), ".bashrc".into()]));
        for other in ["", ".", "x1Y2z3", ".x1Y2z3", "..x1Y2z3", "app.conf.x1Y2z3", ".app.x1Y2z", ".app.x1Y2z!"] {
            assert_eq!(names(other), None, "{other}");
        }
    }
}
