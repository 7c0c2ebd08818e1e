//! The source's own part of a destination, and what lies in it.
//!
//! ```text
//! <run>/                              a dated tree; it counts only together with
//! <run>.json                          its manifest
//! .partial-<run>-<boot>-<attempt>/    a copy under way, or what is left of one
//! .partial-<run>-<boot>-<attempt>.json   a manifest that is being written
//! .partial-probe/                     a folder in which it was asked what the disk keeps; see [`super::probe`]
//! .trash-<run>/                       an expired tree that is being removed
//! ```
//!
//! What has another name is not ours: it is neither used nor touched. A tree without a manifest was not made
//! by us as it stands (see [`super::commit`] for why none of our crashes leaves one): it is told and left. A
//! manifest of ours without a tree says something about nothing; it is left by a crash, and removed.

use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use model::names::Run;
use rustix::fs::{AtFlags, CWD, FlockOperation, Timespec, Timestamps};
use rustix::io::Errno;

use super::manifest::Manifest;
use crate::no_follow::{GoOn, Root};

const PARTIAL: &str = ".partial-";
/// No partial of a run is called so: one that is left is rubbish.
const PROBE: &str = ".partial-probe";
const TRASH: &str = ".trash-";
const MANIFEST: &str = ".json";

/// The folder of one source at a destination.
#[derive(Debug)]
pub(crate) struct Shelf {
    path: PathBuf,
    /// The folder itself, open: for syncing it, and for the lock on it.
    handle: File,
}

/// A tree that counts: it has its final name and a manifest.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) run: Run,
    /// What is written down about it.
    pub(crate) manifest: Manifest,
}

/// What is left of a copy that did not end, or a copy under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partial {
    /// The run that it was made for.
    pub(crate) run: Run,
    /// The start of the machine on which it was begun. See [`crate::volume::this_boot`].
    pub(crate) boot: String,
    /// The try that writes it.
    pub(crate) attempt: String,
}

impl Partial {
    pub(crate) fn name(&self) -> String {
        format!("{PARTIAL}{}-{}-{}", self.run, self.boot, self.attempt)
    }

    fn parse(name: &OsStr) -> Option<Self> {
        let mut parts = name.to_str()?.strip_prefix(PARTIAL)?.splitn(3, '-');
        let (run, boot, attempt) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { run: run.parse().ok()?, boot: boot.to_owned(), attempt: attempt.to_owned() })
    }
}

/// The name of the manifest of the tree or partial called `name`.
pub(crate) fn manifest_of(name: &str) -> String {
    format!("{name}{MANIFEST}")
}

/// The name that an expired tree has until it is removed.
pub(crate) fn trash_of(run: &Run) -> String {
    format!("{TRASH}{run}")
}

/// What lies in a [`Shelf`].
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// Trees that count, oldest first.
    pub(crate) trees: Vec<Tree>,
    /// Folders called like a tree that have no manifest of ours.
    pub(crate) strangers: Vec<Run>,
    /// Manifests of ours whose tree is gone.
    pub(crate) orphans: Vec<Run>,
    /// Copies that did not end, the latest written first.
    pub(crate) partials: Vec<Partial>,
    /// What has to go: expired trees, and what else has names that only we give.
    pub(crate) rubbish: Vec<OsString>,
}

impl Shelf {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let handle = File::open(&path)?;
        if !handle.metadata()?.is_dir() {
            return Err(Errno::NOTDIR.into());
        }
        Ok(Self { path, handle })
    }

    /// A path in it.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Keeps a second writer out, as long as the returned file or a clone of it is open; rsync gets a clone,
    /// so that it also counts as a writer after its parent was killed. The controller admits one writer
    /// to a disk anyway; this is for the day on which it errs. `None`: somebody else has the lock.
    pub(crate) fn lock(&self) -> io::Result<Option<File>> {
        // Its own open file description, as a lock belongs to that.
        let file = File::open(&self.path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            // NFS locks no folders, and other file systems nothing.
            Err(error) => {
                tracing::debug!(%error, "the destination does not support locks");
                Ok(Some(file))
            }
        }
    }

    /// Makes the names in the folder durable.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.handle) {
            // Some file systems cannot sync a folder, and need not.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes everything on the destination's file system durable, or says what could not be written.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.handle)?)
    }

    /// Makes a folder that nobody else looks into.
    pub(crate) fn make(&self, name: &str) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(self.at(name))
    }

    /// Whether the file system keeps a folder's time to the nanosecond. SMB keeps 100 of them, others seconds.
    pub(crate) fn keeps_nanoseconds(&self, name: &str) -> io::Result<bool> {
        let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 123_456_789 };
        let path = self.at(name);
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        let meta = fs::symlink_metadata(path)?;
        Ok((meta.mtime(), meta.mtime_nsec()) == (time.tv_sec, time.tv_nsec))
    }

    /// Makes an empty folder for a look at what the disk keeps, and holds it.
    pub(crate) fn begin_probe(&self) -> io::Result<OwnedFd> {
        self.end_probe()?;
        let root = Root::of(&self.handle)?;
        root.make_folder(PROBE.as_ref(), 0o700)?;
        root.folder(PROBE.as_ref())
    }

    /// Removes it.
    pub(crate) fn end_probe(&self) -> io::Result<()> {
        self.remove(PROBE.as_ref(), &mut || Ok(()))
    }

    /// Removes a folder with all that is in it, or a file, if it is there. Links are removed, never followed: the tenant
    /// of a BackupDisk may write to it meanwhile. `go_on` can end it in the middle of a tree.
    pub(crate) fn remove(&self, name: &OsStr, go_on: &mut GoOn<'_>) -> io::Result<()> {
        Root::of(&self.handle)?.remove(name.as_ref(), go_on)
    }

    /// Looks at all that lies in it.
    pub(crate) fn inventory(&self) -> io::Result<Inventory> {
        let mut found = Inventory::default();
        let (mut folders, mut manifests, mut partials) = (Vec::<Run>::new(), Vec::<Run>::new(), Vec::new());
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_dir = entry.file_type()?.is_dir();
            if name.as_encoded_bytes().starts_with(PARTIAL.as_bytes()) {
                match Partial::parse(&name) {
                    Some(partial) if is_dir => {
                        let meta = entry.metadata()?;
                        partials.push((Reverse((meta.ctime(), meta.ctime_nsec())), partial));
                    }
                    _ => found.rubbish.push(name),
                }
            } else if name.as_encoded_bytes().starts_with(TRASH.as_bytes()) {
                found.rubbish.push(name);
            } else if let Some(name) = name.to_str() {
                if let Some(run) = name.strip_suffix(MANIFEST).and_then(|n| n.parse().ok()) {
                    manifests.push(run);
                } else if let (true, Ok(run)) = (is_dir, name.parse()) {
                    folders.push(run);
                }
            }
        }
        partials.sort_by_key(|(time, _)| *time);
        found.partials = partials.into_iter().map(|(_, partial)| partial).collect();
        for run in manifests {
            let Some(manifest) = Manifest::read(&self.at(&manifest_of(run.as_str())), &run)? else {
                tracing::warn!(%run, "invalid manifest: its copy is not a restore point, and both are left alone");
                continue;
            };
            if folders.contains(&run) {
                found.trees.push(Tree { run, manifest });
            } else {
                found.orphans.push(run);
            }
        }
        found.trees.sort_by(|a, b| a.run.cmp(&b.run));
        found.strangers = folders.into_iter().filter(|f| !found.trees.iter().any(|t| t.run == *f)).collect();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::manifest::tests::manifest;
    use model::record::CopyState;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("layout-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_tree_counts_only_with_its_final_name_and_a_manifest() {
        let folder = Folder::new("counts");
        let shelf = Shelf::open(&folder.0).unwrap();
        let [whole, bare, lone] = ["20181201T0000Z", "20181202T0000Z", "20181203T0000Z"];
        let partial = ".partial-20181204T0000Z-0123abcd-pod-1";
        for name in [whole, bare, partial, ".partial-else", PROBE, ".trash-20181130T0000Z", "20181205", "photos"] {
            fs::create_dir(shelf.at(name)).unwrap();
        }
        for run in [whole, lone] {
            manifest(run, CopyState::Complete).write(&shelf.at(&manifest_of(run))).unwrap();
        }
        fs::write(shelf.at(&manifest_of(partial)), "{").unwrap();
        fs::write(shelf.at("20181206T0000Z"), "a file").unwrap();
        fs::write(shelf.at(&manifest_of("20181207T0000Z")), "not ours").unwrap();
        std::os::unix::fs::symlink(whole, shelf.at("20181208T0000Z")).unwrap();

        let mut found = shelf.inventory().unwrap();
        found.rubbish.sort();
        let runs = |runs: &[Run]| runs.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found.trees.iter().map(|t| t.run.as_str()).collect::<Vec<_>>(), [whole]);
        assert_eq!(runs(&found.strangers), [bare]);
        assert_eq!(runs(&found.orphans), [lone]);
        assert_eq!(found.partials.iter().map(Partial::name).collect::<Vec<_>>(), [partial]);
        assert_eq!(found.rubbish, [&manifest_of(partial), ".partial-else", PROBE, ".trash-20181130T0000Z"]);
    }

    #[test]
    fn a_partial_says_for_which_run_and_on_which_start_it_was_made() {
        let partial = Partial {
            run: "20181204T0000Z".parse().unwrap(),
            boot: "0123abcd".into(),
            attempt: "0b4c6b0e-3a3f-4e1c".into(),
        };
        assert_eq!(Partial::parse(OsStr::new(&partial.name())), Some(partial));
        for other in [".partial-", ".partial-x-y-z", ".partial-20181204T0000Z", "20181204T0000Z-a-b"] {
            assert_eq!(Partial::parse(OsStr::new(other)), None, "{other}");
        }
    }

    #[test]
    fn there_is_one_writer() {
        let folder = Folder::new("lock");
        let shelf = Shelf::open(&folder.0).unwrap();
        let lock = shelf.lock().unwrap();
        assert!(lock.is_some());
        assert!(shelf.lock().unwrap().is_none());
        drop(lock);
        assert!(shelf.lock().unwrap().is_some());
    }

    #[test]
    fn nanoseconds_are_asked_for_where_they_are_kept() {
        let folder = Folder::new("times");
        let shelf = Shelf::open(&folder.0).unwrap();
        shelf.make("new").unwrap();
        // Every file system that these tests run on keeps them.
        assert!(shelf.keeps_nanoseconds("new").unwrap());
        assert!(shelf.keeps_nanoseconds("missing").is_err());
    }

    #[test]
    fn removing_follows_no_link() {
        let folder = Folder::new("remove");
        let shelf = Shelf::open(&folder.0).unwrap();
        fs::create_dir_all(shelf.at("kept/inside")).unwrap();
        fs::create_dir(shelf.at(".trash-a")).unwrap();
        std::os::unix::fs::symlink("../kept", shelf.at(".trash-a/link")).unwrap();
        std::os::unix::fs::symlink("kept", shelf.at(".trash-b")).unwrap();
        for name in [".trash-a", ".trash-b", ".trash-c"] {
            shelf.remove(OsStr::new(name), &mut || Ok(())).unwrap();
        }
        assert!(shelf.at("kept/inside").exists());
        assert!(!shelf.at(".trash-a").exists() && fs::symlink_metadata(shelf.at(".trash-b")).is_err());
    }
}
