//! Names that share a file in the volume, and not in the restore point.
//!
//! rsync gives a file that has changed a new inode, but owners, modes, times and attributes it changes in place: all
//! names of the file would get them. And names with the same content it leaves as one. So they are parted first, by
//! a copy that rsync then makes right: if the restore stops in between, nothing is lost.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;

use super::console::shown;
use super::temp;
use crate::hard_links::walk;
use crate::no_follow::{self, GoOn, Root};
use crate::volume::LOST_AND_FOUND;

/// The file that takes a name's place, while it is written.
const DRAFT: &str = "parted";
/// So many bytes of a file are copied before it is asked whether to go on.
const CHUNK: u64 = 16 << 20;

/// A name that has to be parted from its file.
#[derive(Debug)]
pub(crate) struct Name {
    /// Relative to the volume's root.
    path: PathBuf,
    /// The device and the inode of the file that it had when it was looked at.
    file: (u64, u64),
}

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

/// Names that have to be parted from their file.
pub(crate) fn find(scope: &Scope<'_>) -> Vec<Name> {
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
            found.push(Name::new(name.to_owned(), meta));
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

/// Gives names a file of their own, in the volume at `target`, where our folder is. Whatever was put in a name's place since it was looked
/// at is left alone, and ends it: it may be a link to what nobody but us may read.
pub(crate) fn part(target: &Path, names: &[Name], go_on: &mut GoOn<'_>) -> io::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let root = Root::open(target)?;
    let drafts = root.folder(&temp::drafts())?;
    names.iter().try_for_each(|name| {
        go_on()?;
        name.part(&root, &drafts, go_on)
    })
}

impl Name {
    /// What is known of a name.
    pub(crate) fn new(path: PathBuf, meta: &Metadata) -> Self {
        Self { path, file: (meta.dev(), meta.ino()) }
    }

    fn part(&self, root: &Root, drafts: &OwnedFd, go_on: &mut GoOn<'_>) -> io::Result<()> {
        let (above, name) = root.above(&self.path).map_err(|error| self.other(&error.to_string()))?;
        let mut file = no_follow::open_file(&above, name).map_err(|error| self.other(&error.to_string()))?;
        let meta = file.metadata()?;
        if !meta.is_file() || (meta.dev(), meta.ino()) != self.file {
            return Err(self.other("another file has its name"));
        }
        let draft = OsStr::new(DRAFT);
        let mut copy = no_follow::make_file(drafts, draft)?;
        while io::copy(&mut Read::by_ref(&mut file).take(CHUNK), &mut copy)? > 0 {
            go_on()?;
        }
        if rustix::process::geteuid().is_root() {
            fchown(&copy, Some(meta.uid()), Some(meta.gid()))?;
        }
        // Its time is left as it is now, so that rsync makes it anew.
        copy.set_permissions(meta.permissions())?;
        // Copying took its time.
        let now = rustix::fs::statat(&above, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (now.st_dev, now.st_ino) != self.file {
            return Err(self.other("another file has its name"));
        }
        no_follow::rename((drafts, draft), (&above, name))
    }

    fn other(&self, why: &str) -> io::Error {
        let text = "changed during the restore: another process writes to the volume. Stop it, and restore again";
        io::Error::other(format!("{} ({why}) {text}", shown(&self.path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::temp::Temp;
    use std::os::unix::fs::symlink;

    /// Where the volume is, what is to be parted, and a file outside that nobody is to see.
    fn scene(name: &str) -> (PathBuf, Vec<Name>, PathBuf) {
        let base = std::env::temp_dir().join(format!("parting-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let (point, volume, outside) = (base.join("point"), base.join("volume"), base.join("outside"));
        for folder in [&point, &volume, &outside] {
            fs::create_dir_all(folder.join("h")).unwrap();
        }
        for name in ["h/a", "h/b", "h/c"] {
            fs::write(point.join(name), "x").unwrap();
        }
        fs::write(volume.join("h/a"), "x").unwrap();
        fs::hard_link(volume.join("h/a"), volume.join("h/b")).unwrap();
        fs::hard_link(volume.join("h/a"), volume.join("h/c")).unwrap();
        for name in ["h/a", "h/b", "h/c"] {
            fs::write(outside.join(name), "secret").unwrap();
        }
        let names = find(&Scope { point: &point, target: &volume, names: None, checksum: false });
        assert_eq!(names.len(), 2);
        (volume, names, outside)
    }

    /// The content of every file below a folder, links not followed.
    fn contents(folder: &Path) -> Vec<String> {
        let mut all = Vec::new();
        walk(folder, &mut |path, _| all.push(fs::read_to_string(path).unwrap()));
        all
    }

    fn end(volume: &Path) {
        fs::remove_dir_all(volume.parent().unwrap()).unwrap();
    }

    #[test]
    fn parted_names_have_files_of_their_own() {
        let (volume, names, _) = scene("parted");
        let temp = Temp::make(None, &volume).unwrap();
        part(&volume, &names, &mut || Ok(())).unwrap();
        temp.end(None).unwrap();
        assert_eq!(crate::hard_links::count(&volume), 0);
        assert_eq!(contents(&volume), ["x", "x", "x"]);
        end(&volume);
    }

    #[test]
    fn what_a_link_leads_to_that_was_put_in_a_names_place_never_comes_into_the_volume() {
        for place in ["name", "folder", "file", "drafts"] {
            let (volume, names, outside) = scene(place);
            let _temp = Temp::make(None, &volume).unwrap();
            let name = &names[1].path;
            let swap = |what: &Path, to: &Path| {
                fs::rename(what, volume.join("away")).unwrap();
                symlink(to, what).unwrap();
            };
            match place {
                "name" => swap(&volume.join(name), &outside.join(name)),
                "folder" => swap(&volume.join("h"), &outside.join("h")),
                "drafts" => swap(&volume.join(temp::drafts()), &outside.join("h")),
                _ => fs::rename(outside.join(name), volume.join(name)).unwrap(),
            }
            let error = part(&volume, &names, &mut || Ok(())).unwrap_err();
            if place != "drafts" {
                assert!(error.to_string().contains("another process writes"), "{place}: {error}");
            }
            let secrets = contents(&volume).iter().filter(|text| *text == "secret").count();
            assert_eq!(secrets, usize::from(place == "file"), "{place}: only what was moved there");
            assert_eq!(fs::read_dir(outside.join("h")).unwrap().count(), if place == "file" { 2 } else { 3 });
            end(&volume);
        }
    }

    /// Law 7.
    #[test]
    fn parting_ends_when_somebody_gets_the_volume() {
        let (volume, names, _) = scene("ends");
        let temp = Temp::make(None, &volume).unwrap();
        let mut asked = 0;
        let ended = part(&volume, &names, &mut || {
            asked += 1;
            if asked > 2 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
        });
        assert!(ended.is_err());
        temp.end(None).unwrap();
        assert_eq!(crate::hard_links::count(&volume), 2, "the first one is parted, the second one is not");
        end(&volume);
    }
}
