//! What is in a snapshot, as `restic ls --json` tells it: each folder before what is in it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use model::Timestamp;
use serde::Deserialize;

use super::node;

/// One entry.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    message_type: String,
    /// Its path below what was listed. A byte that is no text has become [`char::REPLACEMENT_CHARACTER`].
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default, rename = "mode")]
    go_mode: u32,
    #[serde(default)]
    pub(crate) uid: u32,
    #[serde(default)]
    pub(crate) gid: u32,
    #[serde(default)]
    mtime: Option<Timestamp>,
    #[serde(default)]
    pub(crate) inode: u64,
}

impl Entry {
    /// Reads a line; `None`: it is about something else.
    pub(crate) fn read(line: &str) -> Option<Self> {
        serde_json::from_str::<Self>(line).ok().filter(|entry| entry.message_type == "node" && entry.path != "/")
    }

    /// The kernel's bits of its mode.
    pub(crate) fn mode(&self) -> u32 {
        node::mode(self.go_mode)
    }

    /// Its time in seconds and nanoseconds, as `stat` has it.
    pub(crate) fn mtime(&self) -> Option<(i64, i64)> {
        self.mtime.map(node::split)
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind == "dir"
    }

    pub(crate) fn is_file(&self) -> bool {
        self.kind == "file"
    }
}

/// A name as a listing has it.
pub(crate) fn listed(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Finds the names that a volume has for paths of a listing.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The names in the folder that was looked at last, as a listing has them.
    folder: Option<(PathBuf, HashMap<String, OsString>)>,
}

impl Names {
    /// The path below `root` that a listing calls so. Names that cannot be told apart in it are taken for one.
    pub(crate) fn find(&mut self, root: &Path, path: &str) -> PathBuf {
        let path = Path::new(path.trim_start_matches('/'));
        if !path.to_string_lossy().contains(char::REPLACEMENT_CHARACTER) {
            return path.to_owned();
        }
        let mut found = PathBuf::new();
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            let text = name.to_string_lossy();
            if text.contains(char::REPLACEMENT_CHARACTER) {
                let name = self.names(&root.join(&found)).get(&*text).cloned();
                found.push(name.unwrap_or_else(|| OsString::from(&*text)));
            } else {
                found.push(name);
            }
        }
        found
    }

    fn names(&mut self, folder: &Path) -> &HashMap<String, OsString> {
        if self.folder.as_ref().is_none_or(|(path, _)| path != folder) {
            let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
            self.folder = Some((folder.to_owned(), names.map(|name| (listed(&name), name)).collect()));
        }
        let (_, names) = self.folder.get_or_insert_with(Default::default);
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_entry_or_none() {
        let line = r#"{"name":"x","type":"file","path":"/c/x","uid":5,"gid":6,"size":2,"mode":8389092,
            "permissions":"-rw-r--r--","mtime":"1969-12-31T23:59:58.9Z","inode":12,"message_type":"node"}"#;
        let entry = Entry::read(line).unwrap();
        assert_eq!((entry.path.as_str(), entry.mode(), entry.inode), ("/c/x", 0o4744, 12));
        assert_eq!(entry.mtime(), Some((-2, 900_000_000)));
        assert!(entry.is_file() && !entry.is_dir());
        for other in ["", r#"{"message_type":"snapshot","struct_type":"snapshot","paths":["/source"]}"#] {
            assert!(Entry::read(other).is_none(), "{other}");
        }
    }

    #[test]
    fn every_byte_that_is_no_text_is_one_mark() {
        assert_eq!(listed(OsStr::from_bytes(b"a\xff\xfe\xc3b\xc3\xa9")), "a\u{fffd}\u{fffd}\u{fffd}b\u{e9}");
    }
}
