//! What a restore would do, found out by the listing of the snapshot beside the volume.
//!
//! Sizes, times, modes and owners are compared; attributes and ACLs, which no listing has, are not.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::listing::{Entry, Names, listed};
use crate::restore::break_links::Name;
use crate::restore::console::{Console, shown};
use crate::restore::plan::{NAMED, Plan};
use crate::restore::temp;
use crate::volume::LOST_AND_FOUND;

/// Above this many, folders that stand in the way are not told one by one.
const BLOCKED: usize = 3;

/// What a plan is made for.
pub(crate) struct Scope<'a> {
    /// The volume.
    pub(crate) target: &'a Path,
    /// The entries that are restored; `None`: all.
    pub(crate) names: Option<&'a [PathBuf]>,
    /// Whether what the snapshot does not have is deleted.
    pub(crate) delete: bool,
    /// Whether the volume keeps times to the nanosecond.
    pub(crate) nanoseconds: bool,
    /// Whether owners can be given.
    pub(crate) owners: bool,
    /// Where every entry is told, if all are.
    pub(crate) all: Option<Console>,
}

/// Hears the listing.
pub(crate) struct Planner<'a> {
    scope: Scope<'a>,
    /// What is found out.
    pub(crate) plan: Plan,
    /// The first lines about entries.
    pub(crate) lines: Vec<String>,
    /// Entries of the snapshot that are restored.
    pub(crate) entries: u64,
    /// Folders of the volume that have to give way, if what stands in them is deleted.
    pub(crate) blocked: Vec<PathBuf>,
    /// Which of the PATHs the snapshot has.
    pub(crate) found: HashSet<PathBuf>,
    names: Names,
    /// The folders above the next entry.
    open: Vec<Folder>,
    /// Files with several names in the snapshot need room once.
    counted: HashSet<u64>,
    shared: HashMap<u64, Shared>,
}

/// A folder of the snapshot.
struct Folder {
    path: PathBuf,
    /// The names that the snapshot has in it.
    seen: HashSet<String>,
    /// Whether it is one in the volume, too. Where it is a link there, what lies behind it is not below this path.
    real: bool,
}

/// A file of the volume with several names.
struct Shared {
    nlink: u64,
    touched: bool,
    /// The names that the snapshot has, and the inodes that they have there.
    names: Vec<(Name, u64)>,
}

impl<'a> Planner<'a> {
    /// Nothing heard yet.
    pub(crate) fn new(scope: Scope<'a>) -> Self {
        let mut planner = Self {
            scope,
            plan: Plan::default(),
            lines: Vec::new(),
            entries: 0,
            blocked: Vec::new(),
            found: HashSet::new(),
            names: Names::default(),
            open: Vec::new(),
            counted: HashSet::new(),
            shared: HashMap::new(),
        };
        if planner.scope.names.is_none() {
            planner.open.push(Folder { path: PathBuf::new(), seen: HashSet::new(), real: true });
        }
        planner
    }

    /// Takes an entry of the snapshot.
    pub(crate) fn entry(&mut self, entry: &Entry) {
        let Some(path) = self.path(entry) else { return };
        self.close(path.parent().unwrap_or(Path::new("")));
        if let (Some(folder), Some(name)) = (self.open.last_mut(), path.file_name())
            && Some(folder.path.as_path()) == path.parent()
        {
            folder.seen.insert(listed(name));
        }
        self.entries += 1;
        // Nobody opens the folders above a PATH: that no link is among them was looked at before.
        let above = self.open.last().is_none_or(|folder| folder.real);
        let there = above.then(|| fs::symlink_metadata(self.scope.target.join(&path)).ok()).flatten();
        self.judge(&path, entry, there.as_ref());
        if entry.is_dir() {
            let real = there.is_some_and(|there| there.is_dir());
            self.open.push(Folder { path, seen: HashSet::new(), real });
        }
    }

    /// Where an entry is in the volume; `None`: it is not restored.
    fn path(&mut self, entry: &Entry) -> Option<PathBuf> {
        let target = self.scope.target;
        let Some(names) = self.scope.names else {
            return Some(self.names.find(target, &entry.path)).filter(|path| !is_ours(path));
        };
        // What was named has its own bytes, whatever the listing makes of them.
        let path = Path::new(entry.path.trim_start_matches('/'));
        let (name, rest) = names.iter().find_map(|name| {
            let rest = path.strip_prefix(listed(name.as_os_str())).ok()?;
            Some((name, rest.to_str()?))
        })?;
        self.found.insert(name.clone());
        if rest.is_empty() {
            return Some(name.clone());
        }
        Some(name.join(self.names.find(&target.join(name), rest)))
    }

    /// The listing is at its end. Gives the names that have to be parted from their file.
    pub(crate) fn end(&mut self) -> Vec<Name> {
        while let Some(folder) = self.open.pop() {
            self.extra(&folder);
        }
        let mut parted = Vec::new();
        for shared in std::mem::take(&mut self.shared).into_values() {
            let first = shared.names.first().map(|(_, inode)| *inode);
            let alone = shared.touched && (shared.names.len() as u64) < shared.nlink;
            let names = shared.names.into_iter().filter(|(_, inode)| alone || Some(*inode) != first);
            parted.extend(names.map(|(name, _)| name));
        }
        self.plan.parted = parted.len() as u64;
        parted
    }

    /// Leaves the folders that the next entry is not in.
    fn close(&mut self, parent: &Path) {
        while let Some(folder) = self.open.pop_if(|folder| !parent.starts_with(&folder.path)) {
            self.extra(&folder);
        }
    }

    fn judge(&mut self, path: &Path, entry: &Entry, there: Option<&Metadata>) {
        let Some(there) = there else {
            self.plan.new += 1;
            self.write(entry, None);
            return self.tell("new", path, entry, "");
        };
        let same_kind = kind(there) == entry.kind;
        let mut words = Vec::new();
        if !same_kind {
            words.push("replaced");
            self.write(entry, Some(there));
            if there.is_dir() && is_full(&self.scope.target.join(path)) {
                self.blocked(path);
            }
        } else if entry.is_file() && (entry.size != there.size() || !self.same_time(entry, there)) {
            words.push("content");
            self.write(entry, Some(there));
        }
        if same_kind {
            words.extend(self.changes(entry, there));
        }
        if there.is_file() && there.nlink() > 1 && entry.is_file() {
            self.share(path, entry, there, !words.is_empty());
        }
        if words.is_empty() {
            return;
        }
        self.plan.changed += 1;
        let time = (there.mtime(), there.mtime_nsec());
        if !there.is_dir() && entry.mtime().is_some_and(|was| time > was) {
            self.plan.newer += 1;
            words.push("newer in the volume");
        }
        self.tell("change", path, entry, &format!(" ({})", words.join(", ")));
    }

    fn changes(&self, entry: &Entry, there: &Metadata) -> Vec<&'static str> {
        let mut words = Vec::new();
        if !self.same_time(entry, there) {
            words.push("time");
        }
        if entry.kind != "symlink" && entry.mode() != there.mode() & 0o7777 {
            words.push("mode");
        }
        if self.scope.owners && entry.uid != there.uid() {
            words.push("owner");
        }
        if self.scope.owners && entry.gid != there.gid() {
            words.push("group");
        }
        words
    }

    fn same_time(&self, entry: &Entry, there: &Metadata) -> bool {
        entry.mtime().is_none_or(|(seconds, nanoseconds)| {
            seconds == there.mtime() && (!self.scope.nanoseconds || nanoseconds == there.mtime_nsec())
        })
    }

    /// A file's content is written. restic writes into a file that is there, unless it has other names.
    fn write(&mut self, entry: &Entry, there: Option<&Metadata>) {
        if entry.is_file() && entry.inode != 0 && !self.counted.insert(entry.inode) {
            return;
        }
        self.plan.bytes += entry.size;
        self.plan.need.changed(entry.size, there);
    }

    fn share(&mut self, path: &Path, entry: &Entry, there: &Metadata, touched: bool) {
        let new = || Shared { nlink: there.nlink(), touched: false, names: Vec::new() };
        let shared = self.shared.entry(there.ino()).or_insert_with(new);
        shared.touched |= touched;
        shared.names.push((Name::new(path.to_owned(), there), entry.inode));
    }

    fn blocked(&mut self, path: &Path) {
        if self.scope.delete {
            return self.blocked.push(path.to_owned());
        }
        let (named, count) = &mut self.plan.blocked;
        *count += 1;
        if named.len() < BLOCKED {
            named.push(path.to_owned());
        }
    }

    /// What a folder of the volume has and the snapshot has not, with all that is in it.
    fn extra(&mut self, folder: &Folder) {
        if !folder.real {
            return;
        }
        for entry in fs::read_dir(self.scope.target.join(&folder.path)).into_iter().flatten().flatten() {
            let path = folder.path.join(entry.file_name());
            if folder.seen.contains(&listed(&entry.file_name())) || is_ours(&path) {
                continue;
            }
            if let Ok(meta) = entry.metadata() {
                self.lost(&path, &meta);
            }
        }
    }

    /// An entry that only the volume has, and all that is in it.
    fn lost(&mut self, path: &Path, meta: &Metadata) {
        let mut stack = vec![(path.to_owned(), meta.clone())];
        while let Some((path, meta)) = stack.pop() {
            self.plan.extra += 1;
            if self.scope.delete {
                self.plan.need.freed(Some(&meta));
                self.line("delete", &path, meta.is_dir(), "");
            }
            if meta.is_dir() {
                let entries = fs::read_dir(self.scope.target.join(&path)).into_iter().flatten().flatten();
                stack.extend(entries.filter_map(|entry| Some((path.join(entry.file_name()), entry.metadata().ok()?))));
            }
        }
    }

    fn tell(&mut self, what: &str, path: &Path, entry: &Entry, more: &str) {
        self.line(what, path, entry.is_dir(), more);
    }

    fn line(&mut self, what: &str, path: &Path, is_dir: bool, more: &str) {
        if self.scope.all.is_none() && self.lines.len() as u64 >= NAMED {
            return;
        }
        let slash = if is_dir { "/" } else { "" };
        let line = format!("  {what:<7} {}{slash}{more}", shown(path));
        match self.scope.all {
            Some(console) => console.say(&line),
            None => self.lines.push(line),
        }
    }
}

/// What is neither restored nor deleted with the whole volume.
fn is_ours(path: &Path) -> bool {
    path.starts_with(LOST_AND_FOUND) || path.starts_with(temp::NAME)
}

fn is_full(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut all| all.next().is_some())
}

/// restic's word for what an entry is.
fn kind(meta: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = meta.file_type();
    match () {
        () if kind.is_file() => "file",
        () if kind.is_dir() => "dir",
        () if kind.is_symlink() => "symlink",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () if kind.is_char_device() => "chardev",
        () => "dev",
    }
}
