//! Compares trees entry by entry: what rsync is not asked about itself.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File, Metadata};
use std::hash::Hasher as _;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// All that a restore has to bring back about one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    size: u64,
    device: u64,
    /// A file's hash, a link's target.
    content: Vec<u8>,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first path in the tree with the same inode, unless that is this one.
    same_as: Option<PathBuf>,
}

/// Every entry of a tree by its path, with the root as the empty path.
pub(crate) type Listing = BTreeMap<PathBuf, Entry>;

/// Lists a tree. Access by root does not change what is listed.
pub(crate) fn list(root: &Path) -> Listing {
    let mut paths = vec![PathBuf::new()];
    let mut next = 0;
    while let Some(path) = paths.get(next).cloned() {
        next += 1;
        let whole = root.join(&path);
        if fs::symlink_metadata(&whole).unwrap().is_dir() {
            paths.extend(fs::read_dir(&whole).unwrap().map(|entry| path.join(entry.unwrap().file_name())));
        }
    }
    paths.sort();
    let mut inodes = BTreeMap::new();
    paths
        .into_iter()
        .map(|path| {
            let whole = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(&path) };
            let meta = fs::symlink_metadata(&whole).unwrap();
            let first = inodes.entry((meta.dev(), meta.ino())).or_insert_with(|| path.clone());
            let same_as = (*first != path).then(|| first.clone());
            (path, entry(&whole, &meta, same_as))
        })
        .collect()
}

fn entry(path: &Path, meta: &Metadata, same_as: Option<PathBuf>) -> Entry {
    let kind = meta.file_type();
    let (kind, content) = if kind.is_dir() {
        ("folder", Vec::new())
    } else if kind.is_symlink() {
        ("link", fs::read_link(path).unwrap().as_os_str().as_bytes().to_owned())
    } else if kind.is_file() {
        ("file", hash(path))
    } else if kind.is_fifo() {
        ("fifo", Vec::new())
    } else if kind.is_socket() {
        ("socket", Vec::new())
    } else if kind.is_block_device() {
        ("block device", Vec::new())
    } else {
        ("character device", Vec::new())
    };
    Entry {
        kind,
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        // A folder's size is its file system's business.
        size: if kind == "folder" { 0 } else { meta.size() },
        device: if kind.ends_with("device") { meta.rdev() } else { 0 },
        content,
        attributes: attributes(path),
        same_as,
    }
}

fn hash(path: &Path) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    let mut hasher = DefaultHasher::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut chunk).unwrap();
        if n == 0 {
            return hasher.finish().to_be_bytes().to_vec();
        }
        hasher.write(&chunk[..n]);
    }
}

/// Extended attributes, which include ACLs and capabilities, but for those that the copy leaves out.
fn attributes(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    let n = rustix::fs::llistxattr(path, &mut names).unwrap();
    names[..n]
        .split(|b| *b == 0)
        .filter(|name| !name.is_empty() && !name.starts_with(b"trusted.") && *name != b"security.selinux")
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let n = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
            value.truncate(n);
            (name.to_owned(), value)
        })
        .collect()
}

/// Fails with the first differences of two listings.
#[track_caller]
pub(crate) fn same(wanted: &Listing, found: &Listing) {
    let paths: std::collections::BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    let differences: Vec<String> = paths
        .into_iter()
        .filter(|path| wanted.get(*path) != found.get(*path))
        .map(|path| {
            let name = path.to_string_lossy();
            format!("{name:?}\n  wanted {:?}\n  found  {:?}", wanted.get(path), found.get(path))
        })
        .collect();
    let shown = differences.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} of {} entries differ:\n{shown}", differences.len(), wanted.len());
}
