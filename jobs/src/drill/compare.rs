//! Whether what was restored is what was backed up: byte by byte, and with all that is known of an entry.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use model::losses::{Loss, Losses};
use model::text::clip;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::attributes;
use super::walk::{at, walk};
use crate::restore::console::shown;

/// Differences that are told; the others are counted.
const NAMED: usize = 4;
/// The longest name in a sentence.
const NAME: usize = 100;
/// What is compared at once.
const CHUNK: usize = 256 * 1024;

/// What a way of restoring keeps. Whatever one cannot keep by its design is no difference.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a limit of its own")]
pub(crate) struct Rules {
    /// Whether owners can be given: by root alone.
    pub(crate) owners: bool,
    /// Whether the scratch volume keeps times to the nanosecond.
    pub(crate) nanoseconds: bool,
    /// Whether sockets are copied.
    pub(crate) sockets: bool,
    /// Whether times beyond the years 1678 to 2262 are kept.
    pub(crate) far_times: bool,
    /// Whether entries that are no files share an inode as they did.
    pub(crate) special_links: bool,
}

/// Compares entry by entry.
pub(crate) struct Compare<'a> {
    pub(crate) original: &'a Path,
    restored: &'a Path,
    rules: Rules,
    lost: Losses,
    /// Inodes of files with several names: what each became, from both sides.
    links: [HashMap<u64, u64>; 2],
    chunks: [Vec<u8>; 2],
    /// Bytes of files that were compared.
    pub(crate) bytes: u64,
    /// Entries that differ.
    pub(crate) differences: u64,
    named: Vec<String>,
}

impl<'a> Compare<'a> {
    /// Nothing compared yet.
    pub(crate) fn new(original: &'a Path, restored: &'a Path, rules: Rules) -> Self {
        let chunks = [vec![0; CHUNK], vec![0; CHUNK]];
        Self {
            original,
            restored,
            rules,
            lost: Losses::default(),
            links: Default::default(),
            chunks,
            bytes: 0,
            differences: 0,
            named: Vec::new(),
        }
    }

    /// A12: what the copy's disk does not keep was accepted when the copy became complete, and is no difference.
    pub(crate) fn without(self, lost: Losses) -> Self {
        Self { lost, ..self }
    }

    /// Compares one entry, by its path below both roots. An error is one of reading the original.
    pub(crate) fn entry(&mut self, name: &Path) -> io::Result<()> {
        let path = self.original.join(name);
        let meta = fs::symlink_metadata(&path).map_err(|error| at(&path, &error))?;
        let what = match fs::symlink_metadata(self.restored.join(name)) {
            Ok(found) => self.differs(name, &meta, &found)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory => {
                vec!["missing".to_owned()]
            }
            Err(error) => vec![error.to_string()],
        };
        if !what.is_empty() {
            self.differ(name, &what.join(", "));
        }
        Ok(())
    }

    /// Names every restored entry that the original does not have.
    pub(crate) fn extra(&mut self) -> io::Result<()> {
        let mut extra = Vec::new();
        let (original, mut count) = (self.original, 0_u64);
        walk(self.restored, &mut |name, _| {
            match fs::symlink_metadata(original.join(name)) {
                Ok(_) => {}
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory =>
                {
                    count += 1;
                    if extra.len() < NAMED {
                        extra.push(name.to_owned());
                    }
                }
                Err(error) => return Err(at(&original.join(name), &error)),
            }
            Ok(())
        })?;
        for name in &extra {
            self.differ(name, "not in the original");
        }
        self.differences += count.saturating_sub(extra.len() as u64);
        Ok(())
    }

    /// What differs, in words; `None`: nothing.
    pub(crate) fn told(&self) -> Option<String> {
        if self.differences == 0 {
            return None;
        }
        let more = match self.differences - self.named.len() as u64 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        Some(format!("{}{more}", self.named.join("; ")))
    }

    fn differ(&mut self, name: &Path, what: &str) {
        self.differences += 1;
        if self.named.len() < NAMED {
            let name = if name.as_os_str().is_empty() { "the root".to_owned() } else { clip(&shown(name), NAME) };
            self.named.push(format!("{name} ({})", clip(what, NAME)));
        }
    }

    /// All that differs of an entry that is on both sides.
    fn differs(&mut self, name: &Path, was: &Metadata, is: &Metadata) -> io::Result<Vec<String>> {
        if was.file_type() != is.file_type() {
            return Ok(vec![format!("{}, was {}", kind(is), kind(was))]);
        }
        let mut what = Vec::new();
        if was.is_file() {
            what.extend(self.content(name, was, is)?);
        }
        if was.is_symlink() {
            what.extend(self.link(name)?);
        }
        let mut two = |word: &str, was: String, is: String| {
            if was != is {
                what.push(format!("{word} {is}, was {was}"));
            }
        };
        if !self.lost.has(Loss::Modes) {
            two("mode", format!("{:o}", was.mode() & 0o7777), format!("{:o}", is.mode() & 0o7777));
        }
        if self.rules.owners && !self.lost.has(Loss::Owners) {
            two("owner", format!("{}:{}", was.uid(), was.gid()), format!("{}:{}", is.uid(), is.gid()));
        }
        if was.file_type().is_char_device() || was.file_type().is_block_device() {
            two("device", device(was), device(is));
        }
        if !self.same_time(was, is) {
            two("time", time(was), time(is));
        }
        if self.parted(was, is) {
            what.push("hard links".to_owned());
        }
        what.extend(attributes::differ(&self.original.join(name), &self.restored.join(name), &self.lost)?);
        Ok(what)
    }

    fn same_time(&self, was: &Metadata, is: &Metadata) -> bool {
        // restic counts nanoseconds in 64 bits.
        if !self.rules.far_times && was.mtime().unsigned_abs() > 9_223_372_035 {
            return true;
        }
        if self.lost.has(Loss::FarTimes) && !(0..=i64::from(i32::MAX)).contains(&was.mtime()) {
            return true;
        }
        // Some file systems count in steps of two seconds.
        if self.lost.has(Loss::Times) {
            return was.mtime().abs_diff(is.mtime()) <= 2;
        }
        was.mtime() == is.mtime() && (!self.rules.nanoseconds || was.mtime_nsec() == is.mtime_nsec())
    }

    /// Whether an entry is the same file as another one on one side only. Names that were not restored are not asked.
    fn parted(&mut self, was: &Metadata, is: &Metadata) -> bool {
        if self.lost.has(Loss::HardLinks) {
            return false;
        }
        if was.is_dir() || (was.nlink() < 2 && is.nlink() < 2) || !(was.is_file() || self.rules.special_links) {
            return false;
        }
        let [there, back] = &mut self.links;
        *there.entry(was.ino()).or_insert(is.ino()) != is.ino()
            || *back.entry(is.ino()).or_insert(was.ino()) != was.ino()
    }

    fn link(&self, name: &Path) -> io::Result<Option<String>> {
        let path = self.original.join(name);
        let was = fs::read_link(&path).map_err(|error| at(&path, &error))?;
        Ok(match fs::read_link(self.restored.join(name)) {
            Ok(is) if is.as_os_str().as_bytes() == was.as_os_str().as_bytes() => None,
            Ok(is) => Some(format!("leads to {}, led to {}", shown(&is), shown(&was))),
            Err(error) => Some(error.to_string()),
        })
    }

    fn content(&mut self, name: &Path, was: &Metadata, is: &Metadata) -> io::Result<Option<String>> {
        if was.size() != is.size() {
            return Ok(Some(format!("size {}, was {}", is.size(), was.size())));
        }
        let path = self.original.join(name);
        let original = File::open(&path).map_err(|error| at(&path, &error))?;
        let restored = match File::open(self.restored.join(name)) {
            Ok(file) => file,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let size = was.size();
        let mut place = 0;
        loop {
            // What is a hole on both sides is the same.
            let next = [&original, &restored].map(|file| data(file, place, size));
            place = next[0].min(next[1]);
            if place >= size {
                break;
            }
            let length = usize::try_from(size - place).unwrap_or(CHUNK).min(CHUNK);
            let [one, two] = &mut self.chunks;
            original.read_exact_at(&mut one[..length], place).map_err(|error| at(&path, &error))?;
            if let Err(error) = restored.read_exact_at(&mut two[..length], place) {
                return Ok(Some(error.to_string()));
            }
            if let Some(byte) = one[..length].iter().zip(&two[..length]).position(|(one, two)| one != two) {
                return Ok(Some(format!("content from byte {}", place + byte as u64)));
            }
            place += length as u64;
        }
        self.bytes += size;
        Ok(None)
    }
}

/// Where data begins at or after a place. A file system that knows no holes has data everywhere.
fn data(file: &File, place: u64, size: u64) -> u64 {
    match rustix::fs::seek(file, SeekFrom::Data(place)) {
        Ok(next) => next.max(place),
        Err(Errno::NXIO) => size,
        Err(_) => place,
    }
}

fn kind(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    match () {
        () if kind.is_file() => "a file",
        () if kind.is_dir() => "a folder",
        () if kind.is_symlink() => "a link",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

fn device(meta: &Metadata) -> String {
    format!("{}:{}", rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()))
}

fn time(meta: &Metadata) -> String {
    format!("{}.{:09}", meta.mtime(), meta.mtime_nsec())
}
