//! Names that share a file in the volume, and not in the restore point.
//!
//! rsync gives a file that has changed a new inode, but owners, modes, times and attributes it changes in place: all
//! names of the file would get them. And names with the same content it leaves as one. So they are parted first, by
//! a copy that rsync then makes right: if the restore stops in between, nothing is lost.

use std::collections::HashMap;
use std::fs::{self, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::temp;
use crate::links::walk;
use crate::volume::LOST_AND_FOUND;

/// What is known of a file in the volume that has several names.
struct Group {
    /// The inode of the first name's file in the restore point.
    original: u64,
    /// Names that the restore point has.
    names: u64,
    /// Whether they are names of several files in it.
    differs: bool,
    /// Whether rsync would change the file in place.
    touched: bool,
    nlink: u64,
}

/// Where names are looked for.
pub(crate) struct Scope<'a> {
    /// The restore point.
    pub(crate) point: &'a Path,
    /// The volume.
    pub(crate) target: &'a Path,
    /// The entries that are restored; `None`: all.
    pub(crate) names: Option<&'a [PathBuf]>,
    /// Whether files that are the same by content are left, and their times changed in place.
    pub(crate) checksum: bool,
}

/// Names that have to be parted from their file, relative to the volume's root.
pub(crate) fn find(scope: &Scope<'_>) -> Vec<PathBuf> {
    let mut groups: HashMap<u64, Group> = HashMap::new();
    scope.walk(&mut |_, meta, original| {
        let first =
            || Group { original: original.ino(), names: 0, differs: false, touched: false, nlink: meta.nlink() };
        let group = groups.entry(meta.ino()).or_insert_with(first);
        group.names += 1;
        group.differs |= group.original != original.ino();
        group.touched |= is_touched(meta, original, scope.checksum);
    });
    // A name that the restore point does not have keeps its file as it is.
    groups.retain(|_, group| group.differs || (group.touched && group.names < group.nlink));
    let mut found = Vec::new();
    if groups.is_empty() {
        return found;
    }
    scope.walk(&mut |name, meta, original| {
        let Some(group) = groups.get(&meta.ino()) else { return };
        let alone = group.touched && group.names < group.nlink;
        if alone || group.original != original.ino() {
            found.push(name.to_owned());
        }
    });
    found
}

/// Whether rsync changes something about a file in place. Attributes are not looked at: they seldom change alone.
fn is_touched(there: &Metadata, original: &Metadata, checksum: bool) -> bool {
    let time = |meta: &Metadata| (meta.mtime(), meta.mtime_nsec());
    (there.mode(), there.uid(), there.gid()) != (original.mode(), original.uid(), original.gid())
        || (checksum && time(there) != time(original))
}

impl Scope<'_> {
    /// Shows every name of a file with several names in the volume that is a file in the restore point.
    fn walk(&self, see: &mut impl FnMut(&Path, &Metadata, &Metadata)) {
        let all = [PathBuf::new()];
        for start in self.names.unwrap_or(&all) {
            let root = self.target.join(start);
            if fs::symlink_metadata(&root).is_ok_and(|meta| meta.is_symlink()) {
                continue;
            }
            walk(&root, &mut |path, meta| {
                let Ok(name) = path.strip_prefix(self.target) else { return };
                if meta.nlink() < 2 || (self.names.is_none() && is_left_alone(name)) {
                    return;
                }
                if let Ok(original) = fs::symlink_metadata(self.point.join(name))
                    && original.is_file()
                {
                    see(name, meta, &original);
                }
            });
        }
    }
}

fn is_left_alone(name: &Path) -> bool {
    name.starts_with(LOST_AND_FOUND) || name.starts_with(temp::NAME)
}

/// Gives names a file of their own.
pub(crate) fn part(target: &Path, names: &[PathBuf], temp: &Path) -> io::Result<()> {
    let draft = temp.join("parted");
    for name in names {
        let path = target.join(name);
        let meta = fs::symlink_metadata(&path)?;
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        io::copy(&mut fs::File::open(&path)?, &mut copy)?;
        if rustix::process::geteuid().is_root() {
            chown(&draft, Some(meta.uid()), Some(meta.gid()))?;
        }
        // Its time is left as it is now, so that rsync makes it anew.
        copy.set_permissions(meta.permissions())?;
        fs::rename(&draft, &path)?;
    }
    Ok(())
}
