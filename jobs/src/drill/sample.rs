//! What is restored and compared: everything, or some files by lot.

use std::collections::{BTreeSet, BinaryHeap};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use model::reason::Problem;
use sha2::{Digest as _, Sha256};

use super::walk::{at, walk};
use crate::restore::room::{Need, Room};

/// The most files that are drawn.
const MOST: u32 = model::config::Sample::MOST;

/// How much is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    /// Everything.
    All,
    /// So many files.
    Files(usize),
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        match text.parse::<u32>() {
            Ok(count @ 1..=MOST) => Ok(Self::Files(usize::try_from(count).unwrap_or(usize::MAX))),
            _ => Err(format!("must be 'all' or a number of files from 1 to {MOST}")),
        }
    }
}

/// One entry that was drawn so far.
struct Drawn {
    lot: (bool, [u8; 16]),
    name: PathBuf,
    meta: Metadata,
}

// A heap gives its greatest first: the one that goes when a smaller lot comes.
impl Ord for Drawn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.lot.cmp(&other.lot)
    }
}
impl PartialOrd for Drawn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Drawn {
    fn eq(&self, other: &Self) -> bool {
        self.lot == other.lot
    }
}
impl Eq for Drawn {}

/// What was drawn.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The entries, relative to the volume's root, sorted.
    pub(crate) names: BTreeSet<PathBuf>,
    /// The folders above them, without the root.
    pub(crate) parents: BTreeSet<PathBuf>,
    /// How many were drawn for which there is no room.
    pub(crate) left_out: u64,
}

impl Choice {
    /// Every entry that is restored, each once, folders before what is in them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.parents.union(&self.names)
    }
}

/// A lot: the same for the same seed and name, whatever the order in which a file system tells names. Folders come
/// after all else: they are drawn where there are fewer files than asked for, and are compared anyway above a file.
fn lot(seed: &str, name: &Path, meta: &Metadata) -> (bool, [u8; 16]) {
    let digest = Sha256::new().chain_update(seed).chain_update([0]).chain_update(name.as_os_str().as_bytes());
    let mut lot = [0; 16];
    lot.copy_from_slice(&digest.finalize()[..16]);
    (meta.is_dir(), lot)
}

/// Draws `count` entries for which `counts` says yes, each file as likely as any other: those with the smallest lots.
/// In memory are never more than that many. What does not fit into the room is left out, and counted.
pub(crate) fn draw(
    volume: &Path,
    count: usize,
    seed: &str,
    room: Room,
    counts: impl Fn(&Path, &Metadata) -> bool,
) -> io::Result<Choice> {
    let mut heap = BinaryHeap::new();
    walk(volume, &mut |name, meta| {
        if name.as_os_str().is_empty() || !counts(name, meta) {
            return Ok(());
        }
        let lot = lot(seed, name, meta);
        if heap.len() < count || heap.peek().is_some_and(|last: &Drawn| lot < last.lot) {
            heap.push(Drawn { lot, name: name.to_owned(), meta: meta.clone() });
        }
        if heap.len() > count {
            heap.pop();
        }
        Ok(())
    })?;
    let mut choice = Choice::default();
    let mut need = Need::default();
    for Drawn { name, meta, .. } in heap.into_sorted_vec() {
        let mut more = need;
        more.written(&meta, None);
        let parents: Vec<&Path> = above(&name).filter(|parent| !choice.parents.contains(*parent)).collect();
        for parent in &parents {
            let path = volume.join(parent);
            more.written(&fs::symlink_metadata(&path).map_err(|error| at(&path, &error))?, None);
        }
        if room.fits(&more, false).is_err() {
            choice.left_out += 1;
            continue;
        }
        need = more;
        let parents: Vec<PathBuf> = parents.into_iter().map(Path::to_owned).collect();
        choice.parents.extend(parents);
        choice.names.insert(name);
    }
    Ok(choice)
}

/// The folders above an entry, without the root.
fn above(name: &Path) -> impl Iterator<Item = &Path> {
    name.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty())
}

/// How many entries there are below the root, or why not all of them fit.
pub(crate) fn measure(
    volume: &Path,
    room: Room,
    counts: impl Fn(&Path, &Metadata) -> bool,
) -> io::Result<Result<u64, Problem>> {
    use std::os::unix::fs::MetadataExt as _;
    let (mut need, mut entries) = (Need::default(), 0);
    let mut linked = std::collections::HashSet::new();
    walk(volume, &mut |name, meta| {
        if name.as_os_str().is_empty() || !counts(name, meta) {
            return Ok(());
        }
        entries += 1;
        // A file with several names takes its room once.
        if meta.is_dir() || meta.nlink() < 2 || linked.insert(meta.ino()) {
            need.written(meta, None);
        }
        Ok(())
    })?;
    Ok(room.fits(&need, false).map(|_| entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_all_or_a_number() {
        assert_eq!("all".parse(), Ok(Sample::All));
        assert_eq!("100".parse(), Ok(Sample::Files(100)));
        for bad in ["", "0", "-1", "some", "100001", "1.5"] {
            assert!(bad.parse::<Sample>().is_err(), "{bad}");
        }
    }
}
