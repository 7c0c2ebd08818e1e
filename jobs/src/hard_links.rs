//! Files that have several names, and rsync's two limits with them.
//!
//! *Merging.* Two names that were one file yesterday and are two today, with the same content, time and
//! attributes, would both be linked to yesterday's file and so be one file again: after a restore, a
//! write to one would change the other. rsync says so under `--hard-links` and leaves it at that. So the names
//! are looked for where a tree that is linked from has such files at all, parted, and copied again.
//!
//! *Counting.* ext4 gives a file 65,000 names, all trees together; at the next one rsync ends with code 12. The
//! tree is then made without links, and the trees after it link to that one.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How many names of files below `root` are not the only ones of their file.
pub(crate) fn count(root: &Path) -> u64 {
    let mut names = 0;
    walk(root, &mut |_, meta| names += u64::from(meta.nlink() > 1));
    names
}

/// Names in `tree` that share a file with a name that they do not share one with in `source`: taken away and
/// copied again, they are parted.
pub(crate) fn merged(source: &Path, tree: &Path) -> Vec<PathBuf> {
    // Eight bytes a file; the names are only looked at again if there is something to look for.
    let mut inodes = Vec::new();
    walk(tree, &mut |_, meta| {
        if meta.nlink() > 1 {
            inodes.push(meta.ino());
        }
    });
    inodes.sort_unstable();
    let mut originals: HashMap<u64, Option<u64>> =
        inodes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| (pair[0], None)).collect();
    drop(inodes);
    let mut merged = Vec::new();
    if originals.is_empty() {
        return merged;
    }
    walk(tree, &mut |path, meta| {
        let Some(first) = originals.get_mut(&meta.ino()) else { return };
        let Ok(name) = path.strip_prefix(tree) else { return };
        let Ok(original) = fs::symlink_metadata(source.join(name)) else { return };
        if *first.get_or_insert(original.ino()) != original.ino() {
            merged.push(name.to_owned());
        }
    });
    merged
}

/// Shows every file at or below `root`. What cannot be read is passed over: rsync says so.
pub(crate) fn walk(root: &Path, see: &mut impl FnMut(&Path, &Metadata)) {
    if let Ok(meta) = fs::symlink_metadata(root)
        && meta.is_file()
    {
        return see(root, &meta);
    }
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    if let Ok(meta) = entry.metadata() {
                        see(&entry.path(), &meta);
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_were_parted_in_the_source_are_found() {
        let root = std::env::temp_dir().join(format!("links-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let (source, tree) = (root.join("source"), root.join("tree"));
        for dir in [&source, &tree] {
            fs::create_dir_all(dir.join("sub")).unwrap();
            for file in ["a", "e", "alone"] {
                fs::write(dir.join(file), "x").unwrap();
            }
            fs::hard_link(dir.join("e"), dir.join("sub/f")).unwrap();
        }
        // One file in the tree; in the source a and b are one, c and d another.
        for name in ["b", "sub/c", "sub/d"] {
            fs::hard_link(tree.join("a"), tree.join(name)).unwrap();
        }
        fs::hard_link(source.join("a"), source.join("b")).unwrap();
        fs::write(source.join("sub/c"), "x").unwrap();
        fs::hard_link(source.join("sub/c"), source.join("sub/d")).unwrap();

        let mut names = merged(&source, &tree);
        names.sort();
        let [ab, cd] = [["a", "b"], ["sub/c", "sub/d"]].map(|group| group.map(PathBuf::from).to_vec());
        assert!(names == ab || names == cd, "{names:?}");
        assert_eq!(merged(&source, &source), Vec::<PathBuf>::new());
        assert_eq!((count(&source), count(&tree)), (6, 6));
        fs::remove_dir_all(root).unwrap();
    }
}
