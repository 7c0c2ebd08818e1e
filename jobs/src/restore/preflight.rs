//! What is looked at before anything is written: that both volumes are there, and that one may be written.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use model::reason::{Problem, Reason};
use rustix::fs::{FlockOperation, Mode, OFlags, StatVfsMountFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::args::Args;
use super::console::shown;
use super::temp;
use crate::outcome::Failure;
use crate::volume::{LOST_AND_FOUND, is_mount};

/// The two volumes.
#[derive(Debug)]
pub(crate) struct Sides {
    /// The restore point: it is read.
    pub(crate) point: PathBuf,
    /// The volume: it is written.
    pub(crate) target: PathBuf,
    /// Whether the restore point has something in its folder lost+found.
    pub(crate) found_things: bool,
}

/// Looks at both.
pub(crate) fn look(args: &Args) -> Result<Sides, Failure> {
    let point = folder(&args.restore_point, args.how.allow_unmounted).map_err(|why| {
        let text = format!("the restore point is not available at {}: {why}", shown(&args.restore_point));
        Failure::last(Problem::new(Reason::RestorePointEmpty, text))
    })?;
    let target = target(&args.volume, args.how.allow_unmounted)?;
    let id = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    if id(&point) == id(&target) {
        return Err(not_ready(&target, "it is the restore point itself"));
    }
    let (empty, found_things) = contents(&point).map_err(|error| {
        let text = format!("cannot read the restore point: {error}");
        Failure::again(Problem::new(Reason::RestoreFailed, text))
    })?;
    if empty {
        let text = format!("the restore point at {} is empty: choose another one", shown(&point));
        return Err(Failure::last(Problem::new(Reason::RestorePointEmpty, text)));
    }
    Ok(Sides { point, target, found_things })
}

/// Looks at the volume that is to be written.
pub(crate) fn target(path: &Path, allow_unmounted: bool) -> Result<PathBuf, Failure> {
    let target = folder(path, allow_unmounted).map_err(|why| not_ready(path, &why))?;
    let flags = rustix::fs::statvfs(&target).map_err(|error| not_ready(&target, &error.to_string()))?.f_flag;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Err(not_ready(&target, "it is mounted read-only"));
    }
    Ok(target)
}

fn not_ready(target: &Path, why: &str) -> Failure {
    let text = format!("cannot write to the volume at {}: {why}", shown(target));
    Failure::last(Problem::new(Reason::TargetNotReady, text))
}

/// A folder where a volume is mounted. The error is for a sentence.
pub(crate) fn folder(path: &Path, allow_unmounted: bool) -> Result<PathBuf, String> {
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    let meta = fs::metadata(&path).map_err(|error| error.to_string())?;
    if !meta.is_dir() {
        return Err("it is not a folder".to_owned());
    }
    if allow_unmounted || is_mount(&path).map_err(|error| error.to_string())? {
        return Ok(path);
    }
    Err("no volume is mounted there".to_owned())
}

/// Whether a restore point has nothing but what the file system itself makes, and whether that has anything in it.
fn contents(point: &Path) -> io::Result<(bool, bool)> {
    let mut empty = true;
    for entry in fs::read_dir(point)? {
        let name = entry?.file_name();
        if name != OsStr::new(LOST_AND_FOUND) && name != OsStr::new(temp::NAME) {
            empty = false;
            break;
        }
    }
    let found = fs::read_dir(point.join(LOST_AND_FOUND)).is_ok_and(|mut entries| entries.next().is_some());
    Ok((empty, found))
}

/// Keeps a second restore out of the volume, as long as the file or a clone of it is open: rsync gets one, so that it
/// counts as a writer after its parent was killed. `None`: somebody else has the lock.
pub(crate) fn lock(target: &Path) -> io::Result<Option<File>> {
    let file = File::open(target)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        // This clone is open in rsync too: it is not closed when a program starts.
        Ok(()) => Ok(Some(File::from(rustix::io::dup(&file)?))),
        Err(Errno::WOULDBLOCK) => Ok(None),
        // NFS locks no folders, and other file systems nothing.
        Err(error) => {
            tracing::debug!(%error, "the volume does not support locks");
            Ok(Some(file))
        }
    }
}

/// Whether a file system keeps times to the nanosecond, found out without a trace. `None`: it makes no files without
/// a name, as NFS does not.
pub(crate) fn keeps_nanoseconds(target: &Path) -> Option<bool> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(target, flags, Mode::RUSR | Mode::WUSR).ok()?);
    let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 123_456_789 };
    rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time }).ok()?;
    Some(file.metadata().ok()?.mtime_nsec() == time.tv_nsec)
}
