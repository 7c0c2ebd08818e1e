//! Changes in a volume that others may be writing to, made as root: no link is followed, in any part of a path.
//!
//! Time passes between a look at a volume and the change that follows from it, and a pod that has come meanwhile may
//! have put a link in a folder's place: to what only this pod may read, or to another place. So a path is gone down
//! step by step, each folder opened in the one above, and what is changed is changed by its descriptor. (`openat2`
//! does the same in one call, where the kernel and the container's runtime know it; a walk works everywhere.)

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Asked again and again while something takes long: an error ends it.
pub(crate) type GoOn<'a> = dyn FnMut() -> io::Result<()> + 'a;

/// A folder, and nothing else, whatever stands there.
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder that is held open. What is below it is named by paths that begin there.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

/// Goes on until the job is stopped.
pub(crate) fn until_stopped(stop: &AtomicBool) -> impl FnMut() -> io::Result<()> + '_ {
    || if stop.load(Ordering::Relaxed) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
}

impl Root {
    /// Holds a folder that nobody else can put something in the place of, such as where a volume is mounted.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(rustix::fs::CWD, path, OFlags::RDONLY | FOLDER, Mode::empty())?))
    }

    /// Holds a folder that is open already.
    pub(crate) fn of(folder: &File) -> io::Result<Self> {
        Ok(Self(folder.try_clone()?.into()))
    }

    /// Opens a folder below it; the empty path is the folder itself.
    pub(crate) fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut folder = openat(&self.0, ".", OFlags::RDONLY | FOLDER, Mode::empty())?;
        for part in path.components() {
            let Component::Normal(name) = part else { return Err(io::ErrorKind::InvalidInput.into()) };
            folder = openat(&folder, name, OFlags::RDONLY | FOLDER, Mode::empty())?;
        }
        Ok(folder)
    }

    /// Opens the folder above an entry, and gives the entry's name in it.
    pub(crate) fn above<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.folder(path.parent().unwrap_or(Path::new("")))?, name))
    }

    /// Makes a folder, which is not there.
    pub(crate) fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        let (above, name) = self.above(path)?;
        Ok(mkdirat(&above, name, Mode::from_raw_mode(mode))?)
    }

    /// Removes what is no folder.
    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        let (above, name) = self.above(path)?;
        Ok(unlinkat(&above, name, AtFlags::empty())?)
    }

    /// Removes a folder with all that is in it, a file or a link, if it is there.
    pub(crate) fn remove(&self, path: &Path, go_on: &mut GoOn<'_>) -> io::Result<()> {
        let removed = match self.remove_folder(path, go_on) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory || is_link(&error) => self.remove_file(path),
            other => other,
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes a folder with all that is in it.
    pub(crate) fn remove_folder(&self, path: &Path, go_on: &mut GoOn<'_>) -> io::Result<()> {
        let (above, name) = self.above(path)?;
        remove(above.as_fd(), name, go_on)
    }
}

/// What opening a link as a folder answers.
fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

fn remove(above: BorrowedFd<'_>, name: &OsStr, go_on: &mut GoOn<'_>) -> io::Result<()> {
    let folder = openat(above, name, OFlags::RDONLY | FOLDER, Mode::empty())?;
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let entry = OsStr::from_bytes(entry.file_name().to_bytes());
        if entry == "." || entry == ".." {
            continue;
        }
        go_on()?;
        match unlinkat(&folder, entry, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => remove(folder.as_fd(), entry, go_on)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(unlinkat(above, name, AtFlags::REMOVEDIR)?)
}

/// Opens an entry of a folder to read it, if it is a file: nothing waits for the other end of a pipe.
pub(crate) fn open_file(folder: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(openat(folder, name, flags, Mode::empty())?))
}

/// Makes a file in a folder, which is not there, and which nobody else can open.
pub(crate) fn make_file(folder: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?))
}

/// Gives a file the name, and the place, of another one.
pub(crate) fn rename((from, name): (&OwnedFd, &OsStr), (to, new): (&OwnedFd, &OsStr)) -> io::Result<()> {
    Ok(renameat(from, name, to, new)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A volume with a link out of it, in the middle of a path.
    fn scene(name: &str) -> (PathBuf, PathBuf) {
        let base = std::env::temp_dir().join(format!("beneath-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let (volume, outside) = (base.join("volume"), base.join("outside"));
        fs::create_dir_all(volume.join("a/b")).unwrap();
        fs::create_dir_all(outside.join("b/c")).unwrap();
        fs::write(outside.join("b/file"), "secret").unwrap();
        symlink(&outside, volume.join("link")).unwrap();
        (base, volume)
    }

    #[test]
    fn no_link_is_followed_in_any_part_of_a_path() {
        let (base, volume) = scene("links");
        let root = Root::open(&volume).unwrap();
        let [file, folder, new] = ["link/b/file", "link/b/c", "link/b/new"].map(Path::new);
        assert!(root.above(file).is_err() && root.folder(Path::new("link")).is_err());
        assert!(root.make_folder(new, 0o755).is_err() && root.remove_file(file).is_err());
        assert!(root.remove_folder(folder, &mut || Ok(())).is_err());
        assert!(root.remove_folder(Path::new("link"), &mut || Ok(())).is_err());
        assert!(root.folder(Path::new("../outside")).is_err());
        assert!(base.join("outside/b/c").is_dir() && base.join("outside/b/file").is_file());
        assert!(!base.join("outside/b/new").exists());
        root.make_folder(Path::new("a/b/new"), 0o755).unwrap();
        assert!(volume.join("a/b/new").is_dir());
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_folder_goes_with_all_that_is_in_it_and_not_what_its_links_lead_to() {
        let (base, volume) = scene("remove");
        symlink(base.join("outside"), volume.join("a/b/link")).unwrap();
        fs::write(volume.join("a/b/file"), "x").unwrap();
        let root = Root::open(&volume).unwrap();
        let stopped = root.remove_folder(Path::new("a"), &mut || Err(io::ErrorKind::Interrupted.into()));
        assert!(stopped.is_err() && volume.join("a/b/file").exists());
        root.remove_folder(Path::new("a"), &mut || Ok(())).unwrap();
        assert!(!volume.join("a").exists() && base.join("outside/b/file").exists());
        fs::remove_dir_all(base).unwrap();
    }
}
