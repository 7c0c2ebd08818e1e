//! What a restore would do, found out by a dry run of rsync's.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::console::{Console, shown};
use super::entry::Item;
use super::paths;
use super::room::Need;
use crate::rsync::{Ear, Report};

/// Entries that are named without `--itemize`.
pub(crate) const NAMED: u64 = 20;
/// Above this many, the names that stay are not told one by one either.
const BLOCKED: usize = 3;

/// What would be done.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Entries that the volume does not have.
    pub(crate) new: u64,
    /// Entries that are other ones in the volume.
    pub(crate) changed: u64,
    /// Those of them that were written to later in the volume.
    pub(crate) newer: u64,
    /// Entries that only the volume has.
    pub(crate) extra: u64,
    /// Names that share a file in the volume, and not in the restore point.
    pub(crate) parted: u64,
    /// The sum of the sizes of the files that are written.
    pub(crate) bytes: u64,
    pub(crate) need: Need,
    /// Folders with something in them where the restore point has no folder: the first few, and how many.
    pub(crate) blocked: (Vec<PathBuf>, u64),
}

impl Plan {
    /// Whether there is something to do.
    pub(crate) fn is_empty(&self, delete: bool) -> bool {
        self.changes() == 0 && (!delete || self.extra == 0)
    }

    /// Entries that are made or changed.
    pub(crate) fn changes(&self) -> u64 {
        self.new + self.changed + self.parted
    }
}

/// Hears the dry run.
pub(crate) struct Planner<'a, S: FnMut() -> bool> {
    /// What is found out.
    pub(crate) plan: Plan,
    /// What else rsync says.
    pub(crate) report: Report,
    /// The restore point and the volume.
    sides: (&'a Path, &'a Path),
    delete: bool,
    /// The folder that was looked at last, and whether it is one in the volume, as all above it.
    folder: (PathBuf, bool),
    /// Lines about entries, if all are told.
    all: Option<Console>,
    /// Otherwise the first of them.
    pub(crate) lines: Vec<String>,
    stop: S,
}

impl<'a, S: FnMut() -> bool> Planner<'a, S> {
    /// Nothing heard yet. `all`: every entry is told there.
    pub(crate) fn new(
        report: Report,
        sides: (&'a Path, &'a Path),
        delete: bool,
        all: Option<Console>,
        stop: S,
    ) -> Self {
        let folder = (PathBuf::new(), true);
        Self { plan: Plan::default(), report, sides, delete, folder, all, lines: Vec::new(), stop }
    }

    fn entry(&mut self, item: &Item) {
        let point = self.sides.0.join(&item.path);
        let there = self.there(&item.path);
        if item.is_deletion() {
            self.plan.extra += 1;
            if self.delete {
                self.plan.need.freed(there.as_ref());
                self.tell("delete", item, "");
            }
            return;
        }
        let Ok(meta) = fs::symlink_metadata(point) else { return };
        self.blocked(item, &meta, there.as_ref());
        if item.is_sent() {
            self.plan.bytes += meta.size();
        }
        if item.is_sent() || (item.is_made() && !item.is_link()) {
            self.plan.need.written(&meta, there.as_ref());
        }
        match there {
            None => {
                self.plan.new += 1;
                self.tell("new", item, "");
            }
            Some(there) => self.change(item, &meta, &there),
        }
    }

    /// What stands at a path in the volume: nothing, where a link leads there.
    fn there(&mut self, path: &Path) -> Option<Metadata> {
        let (target, parent) = (self.sides.1, path.parent().unwrap_or(Path::new("")));
        if self.folder.0 != parent {
            let is_folder = |step: &&Path| fs::symlink_metadata(target.join(step)).is_ok_and(|meta| meta.is_dir());
            self.folder = (parent.to_owned(), paths::above(path).iter().all(is_folder));
        }
        self.folder.1.then(|| fs::symlink_metadata(target.join(path)).ok()).flatten()
    }

    fn change(&mut self, item: &Item, meta: &Metadata, there: &Metadata) {
        self.plan.changed += 1;
        let later = (there.mtime(), there.mtime_nsec()) > (meta.mtime(), meta.mtime_nsec());
        let newer = later && !there.is_dir();
        self.plan.newer += u64::from(newer);
        let mut words = if item.is_made() { vec!["replaced"] } else { item.changes() };
        if newer {
            words.push("newer in the volume");
        }
        self.tell("change", item, &format!(" ({})", words.join(", ")));
    }

    /// rsync puts nothing in the place of a folder that is not empty, unless it deletes.
    fn blocked(&mut self, item: &Item, meta: &Metadata, there: Option<&Metadata>) {
        let stands = there.is_some_and(Metadata::is_dir) && !meta.is_dir() && !self.delete;
        let is_full = || fs::read_dir(self.sides.1.join(&item.path)).is_ok_and(|mut all| all.next().is_some());
        if stands && is_full() {
            let (named, count) = &mut self.plan.blocked;
            *count += 1;
            if named.len() < BLOCKED {
                named.push(item.path.clone());
            }
        }
    }

    fn tell(&mut self, what: &str, item: &Item, more: &str) {
        if self.all.is_none() && self.lines.len() as u64 >= NAMED {
            return;
        }
        let slash = if item.is_folder() { "/" } else { "" };
        let line = format!("  {what:<7} {}{slash}{more}", shown(&item.path));
        match self.all {
            Some(console) => console.say(&line),
            None => self.lines.push(line),
        }
    }
}

impl<S: FnMut() -> bool> Ear for Planner<'_, S> {
    fn out(&mut self, line: &str) {
        match Item::read(line) {
            Some(item) => self.entry(&item),
            None => drop(self.report.out(line)),
        }
    }

    fn error(&mut self, line: &str) {
        self.report.error(line);
    }

    fn stop(&mut self) -> bool {
        (self.stop)()
    }
}
