//! What rsync says of one entry: `>f.s...... name`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use super::transfer::MARK;

/// rsync's letters for what differs.
const LETTERS: [(char, &str); 6] =
    [('t', "time"), ('p', "mode"), ('o', "owner"), ('g', "group"), ('a', "ACL"), ('x', "attributes")];

/// What is done to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// rsync's eleven letters.
    letters: String,
    /// The entry, relative to the volume's root.
    pub(crate) path: PathBuf,
}

impl Item {
    /// Reads a line; `None`: it is about something else.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let rest = line.strip_prefix(MARK)?;
        let (letters, name) = (rest.get(..11).filter(|letters| letters.is_ascii())?, rest.get(11..)?);
        let name = name.strip_prefix(' ').unwrap_or(name);
        // A folder's name ends in a slash.
        let path = PathBuf::from(OsString::from_vec(unescape(name))).components().collect();
        Some(Self { letters: letters.to_owned(), path })
    }

    /// Whether it is deleted.
    pub(crate) fn is_deletion(&self) -> bool {
        self.letters.starts_with('*')
    }

    /// Whether a file's content is sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.letters.starts_with(['>', '<'])
    }

    /// Whether it becomes another name of a file that is there.
    pub(crate) fn is_link(&self) -> bool {
        self.letters.starts_with('h')
    }

    pub(crate) fn is_folder(&self) -> bool {
        !self.is_deletion() && self.letters[1..].starts_with('d')
    }

    /// Whether it is made anew.
    pub(crate) fn is_made(&self) -> bool {
        self.letters[2..].starts_with('+')
    }

    /// What changes of an entry that is there.
    pub(crate) fn changes(&self) -> Vec<&'static str> {
        let mut words = Vec::new();
        if self.is_sent() || self.letters[2..].starts_with('c') {
            words.push("content");
        }
        if self.is_link() {
            words.push("hard link");
        }
        let rest = &self.letters[2..];
        words.extend(LETTERS.iter().filter(|(letter, _)| rest.contains(*letter)).map(|(_, word)| *word));
        words
    }
}

/// Whether a line without a name says that of a folder the time differs, and nothing else.
pub(crate) fn is_a_folders_time(line: &str) -> bool {
    line.strip_prefix(MARK) == Some(".d..t......")
}

/// Whether a line is about an entry, and whether the entry is deleted.
pub(crate) fn counted(line: &str) -> Option<bool> {
    line.strip_prefix(MARK).map(|rest| rest.starts_with('*'))
}

/// rsync writes a byte that may harm a terminal as `\#` and three octal digits.
fn unescape(name: &str) -> Vec<u8> {
    let bytes = name.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let (byte, length) = octal(&bytes[at..]).map_or((bytes[at], 1), |byte| (byte, 5));
        out.push(byte);
        at += length;
    }
    out
}

fn octal(bytes: &[u8]) -> Option<u8> {
    let digits = bytes.strip_prefix(b"\\#")?.get(..3)?;
    u8::from_str_radix(std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;

    #[test]
    fn the_time_of_a_folder_alone_is_told_apart() {
        assert!(is_a_folders_time("=.d..t......"));
        for other in ["=.d..tp.....", "=.f..t......", "=cd+++++++++", "sent"] {
            assert!(!is_a_folders_time(other), "{other}");
        }
    }

    #[test]
    fn a_line_is_read_whatever_the_name() {
        let item = Item::read("=>f.st.p.... a/new\\#012line \\#134#012 \\#377").unwrap();
        assert_eq!(item.path.as_os_str().as_bytes(), b"a/new\nline \\#012 \xff");
        assert_eq!(item.changes(), ["content", "time", "mode"]);
        assert!(item.is_sent() && !item.is_made() && !item.is_deletion() && !item.is_folder());
        let item = Item::read("=cd+++++++++ a/b/").unwrap();
        assert!(item.is_made() && item.is_folder() && item.path == Path::new("a/b"));
        assert!(Item::read("=*deleting   a/b c").unwrap().is_deletion());
        assert_eq!(Item::read("=*deleting   a/b c").unwrap().path, Path::new("a/b c"));
        assert_eq!(Item::read("=.d..t...... ./").unwrap().path, Path::new("."));
        for other in ["", "=", "Number of files: 0", ">f+++++++++ a"] {
            assert_eq!(Item::read(other), None, "{other}");
        }
    }
}
