//! The image of a device in a dated tree: one sparse file.
//!
//! An image with several names is another run's, too, and is never written. Tenants can write to their disk: links
//! are not followed, and what is no file is no image.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use model::names::DEVICE_IMAGE;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Where a tree has it.
pub(crate) fn path(tree: &Path) -> PathBuf {
    tree.join(DEVICE_IMAGE)
}

/// Opens a tree's image to read it; `None`: it has none.
pub(crate) fn open(tree: &Path) -> io::Result<Option<File>> {
    open_as(tree, OFlags::RDONLY)
}

/// Opens an image that may be written, as it has no other name; `None`: there is none.
pub(crate) fn open_own(tree: &Path) -> io::Result<Option<File>> {
    let Some(file) = open_as(tree, OFlags::RDWR)? else { return Ok(None) };
    Ok((file.metadata()?.nlink() == 1).then_some(file))
}

fn open_as(tree: &Path, how: OFlags) -> io::Result<Option<File>> {
    // A pipe that nobody reads is not waited for.
    let flags = how | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path(tree), flags, Mode::empty()) {
        Ok(file) => {
            let file = File::from(file);
            Ok(file.metadata()?.is_file().then_some(file))
        }
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes an empty image, which nobody else reads.
pub(crate) fn make(tree: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(path(tree))?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Removes what stands in an image's place.
pub(crate) fn remove(tree: &Path) -> io::Result<()> {
    match fs::remove_file(path(tree)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Gives an open image of another tree a name in this one. Whether that was possible: some file systems have no hard
/// links, and others only so many of one file.
pub(crate) fn link(image: &File, from: &Path, tree: &Path) -> io::Result<bool> {
    if let Err(error) = fs::hard_link(path(from), path(tree)) {
        tracing::warn!(%error, "cannot make a hard link to the previous image: writing a new one");
        return Ok(false);
    }
    // What has that name now may be another file than the one that was compared.
    let (is, was) = (fs::symlink_metadata(path(tree))?, image.metadata()?);
    if (is.dev(), is.ino()) == (was.dev(), was.ino()) {
        return Ok(true);
    }
    remove(tree).map(|()| false)
}

/// Makes an empty image share another one's blocks. Whether the file system can.
pub(crate) fn clone(from: &File, into: &File) -> io::Result<bool> {
    match rustix::fs::ioctl_ficlone(into, from) {
        Ok(()) => Ok(true),
        Err(error) => {
            tracing::debug!(%error, "the file system cannot clone the previous image");
            into.set_len(0).map(|()| false)
        }
    }
}

/// Whether a folder has an image and nothing else, as a dated tree of a device has.
pub(crate) fn is_alone(folder: &Path) -> bool {
    let alone = fs::read_dir(folder).is_ok_and(|entries| {
        let names: Vec<_> = entries.take(2).flatten().map(|entry| entry.file_name()).collect();
        names == [DEVICE_IMAGE]
    });
    alone && open(folder).is_ok_and(|image| image.is_some())
}

/// Whether a folder is a dated tree of a device, and not a volume with one file of that name. Its manifest lies beside
/// it, where a pod that restores does not see it: so this goes by its form.
pub(crate) fn is_tree(folder: &Path) -> bool {
    let private = |path: &Path, mode| fs::symlink_metadata(path).is_ok_and(|meta| meta.mode() & 0o7777 == mode);
    is_alone(folder) && private(folder, 0o700) && private(&path(folder), 0o600)
}
