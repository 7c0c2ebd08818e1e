//! Reading, comparing and writing whole devices and images.
//!
//! What is the same is not written: a restore that is called again writes what is still missing, a clone of an image
//! shares what has not changed, and a thin volume stays thin.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FallocateFlags, fallocate};

use super::cache::{WINDOW, forget};

/// What is read at once.
const CHUNK: usize = 1 << 20;
/// What is told apart in it.
const BLOCK: usize = 4096;
/// From so many zeros on, a hole is cheaper than to write them.
const HOLE: usize = 16 * BLOCK;
/// A block of zeros.
static ZERO: [u8; BLOCK] = [0; BLOCK];

/// Why a stream ended before its end. The numbers are bytes from the beginning.
#[derive(Debug)]
pub(crate) enum Broken {
    /// What is read failed, or ended too early.
    From(u64, io::Error),
    /// What is written, or compared with, failed.
    Into(u64, io::Error),
    /// Somebody wants this to end.
    Stopped,
}

/// Asked for each chunk, before and after something is written, with the bytes that are done: whether to go on.
pub(crate) type GoOn<'a> = dyn FnMut(u64) -> bool + 'a;

/// What is written: a device, or an image.
#[derive(Debug)]
pub(crate) struct Target {
    file: File,
    /// Whether there is nothing in it but zeros.
    blank: bool,
    /// Whether it takes holes.
    holes: bool,
    old: Vec<u8>,
    /// From here on, what was written may be in memory only.
    synced: u64,
    /// Bytes that were written, zeros among them.
    pub(crate) written: u64,
}

/// What becomes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Same,
    Zero,
    Data,
}

impl Target {
    /// To write what differs from what is in it.
    pub(crate) fn over(file: File) -> Self {
        Self { file, blank: false, holes: true, old: Vec::new(), synced: 0, written: 0 }
    }

    /// An image without content: it is not compared with, and zeros stay holes.
    pub(crate) fn blank(file: File) -> Self {
        Self { blank: true, ..Self::over(file) }
    }

    /// Gives an image the device's size.
    pub(crate) fn resize(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    /// Makes everything that was written durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn put(&mut self, at: u64, new: &[u8]) -> io::Result<()> {
        let known = self.look(at, new.len());
        if known && !self.blank && self.old[..new.len()] == *new {
            return Ok(());
        }
        let fate = |start: usize, block: &[u8]| match () {
            () if known && self.blank && is_zero(block) => Fate::Same,
            () if known && !self.blank && self.old[start..start + block.len()] == *block => Fate::Same,
            () if is_zero(block) => Fate::Zero,
            () => Fate::Data,
        };
        let mut runs: Vec<(Fate, usize, usize)> = Vec::new();
        for (index, block) in new.chunks(BLOCK).enumerate() {
            let (start, end) = (index * BLOCK, index * BLOCK + block.len());
            let fate = fate(start, block);
            match runs.last_mut() {
                Some((last, _, until)) if *last == fate => *until = end,
                _ => runs.push((fate, start, end)),
            }
        }
        for (fate, start, end) in runs {
            let place = at + start as u64;
            match fate {
                Fate::Same => continue,
                Fate::Zero if self.hole(place, end - start) => {}
                Fate::Zero | Fate::Data => self.file.write_all_at(&new[start..end], place)?,
            }
            self.written += (end - start) as u64;
        }
        Ok(())
    }

    /// Reads what is there. What cannot be read is written anew.
    fn look(&mut self, at: u64, length: usize) -> bool {
        if self.blank {
            return true;
        }
        self.old.resize(CHUNK, 0);
        let read = self.file.read_exact_at(&mut self.old[..length], at);
        if let Err(error) = &read {
            tracing::warn!(%error, at, "cannot read the old data at this byte: overwriting it");
        }
        read.is_ok()
    }

    /// Makes a hole of zeros: a device gives its blocks back, and a file system its room. Whether that was possible.
    fn hole(&mut self, at: u64, length: usize) -> bool {
        if !self.holes || length < HOLE {
            return false;
        }
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        self.holes = fallocate(&self.file, how, at, length as u64).is_ok();
        self.holes
    }

    fn pass(&mut self, at: u64) -> io::Result<()> {
        if at - self.synced < WINDOW {
            return Ok(());
        }
        self.file.sync_data()?;
        forget(&self.file, self.synced, at);
        self.synced = at;
        Ok(())
    }
}

/// Makes bytes `start..end` of a target what `from` gives.
pub(crate) fn write(
    from: &mut impl Read,
    (start, end): (u64, u64),
    target: &mut Target,
    go_on: &mut GoOn<'_>,
) -> Result<(), Broken> {
    let mut new = vec![0; CHUNK];
    let mut at = start;
    target.synced = start;
    while at < end {
        let chunk = fill(from, &mut new, at, end).map_err(|error| Broken::From(at, error))?;
        // Reading may have taken long.
        if !go_on(at) {
            return Err(Broken::Stopped);
        }
        target.put(at, chunk).map_err(|error| Broken::Into(at, error))?;
        at += chunk.len() as u64;
        target.pass(at).map_err(|error| Broken::Into(at, error))?;
        if !go_on(at) {
            return Err(Broken::Stopped);
        }
    }
    Ok(())
}

/// Refuses a stream that gives more than the `size` bytes that were read of it.
pub(crate) fn end(from: &mut impl Read, size: u64) -> Result<(), Broken> {
    match from.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Broken::From(size, io::Error::other("the stream is longer than expected"))),
        Err(error) => Err(Broken::From(size, error)),
    }
}

/// What differs between two streams.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// How many blocks of 4 KiB.
    pub(crate) blocks: u64,
    /// Where the first of them begins.
    pub(crate) first: Option<u64>,
}

/// Compares two streams of `size` bytes, to their end or up to the first difference.
pub(crate) fn compare(
    (from, into): (&mut impl Read, &mut impl Read),
    size: u64,
    to_the_end: bool,
    go_on: &mut GoOn<'_>,
) -> Result<Differences, Broken> {
    let (mut was, mut is) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut found = Differences::default();
    let mut at = 0;
    while at < size && (to_the_end || found.first.is_none()) {
        let was = fill(from, &mut was, at, size).map_err(|error| Broken::From(at, error))?;
        let is = fill(into, &mut is, at, size).map_err(|error| Broken::Into(at, error))?;
        if was != is {
            for (index, (was, is)) in was.chunks(BLOCK).zip(is.chunks(BLOCK)).enumerate() {
                if was != is {
                    found.blocks += 1;
                    found.first.get_or_insert(at + (index * BLOCK) as u64);
                }
            }
        }
        at += was.len() as u64;
        if !go_on(at) {
            return Err(Broken::Stopped);
        }
    }
    Ok(found)
}

/// Whether there is nothing but zeros: mostly known after the first bytes.
pub(crate) fn is_blank(from: &mut impl Read, size: u64, go_on: &mut GoOn<'_>) -> Result<bool, Broken> {
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    while at < size {
        let chunk = fill(from, &mut chunk, at, size).map_err(|error| Broken::From(at, error))?;
        if !chunk.chunks(BLOCK).all(is_zero) {
            return Ok(false);
        }
        at += chunk.len() as u64;
        if !go_on(at) {
            return Err(Broken::Stopped);
        }
    }
    Ok(true)
}

/// The next chunk, which ends at `end` at the latest. Less than that is an error: nothing short is ever good.
fn fill<'a>(from: &mut impl Read, chunk: &'a mut [u8], at: u64, end: u64) -> io::Result<&'a [u8]> {
    let length = usize::try_from(end - at).map_or(chunk.len(), |left| left.min(chunk.len()));
    from.read_exact(&mut chunk[..length])?;
    Ok(&chunk[..length])
}

fn is_zero(block: &[u8]) -> bool {
    *block == ZERO[..block.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    const SIZE: usize = 3 * CHUNK + 3 * 512;

    fn file(name: &str, content: &[u8]) -> File {
        let path = std::env::temp_dir().join(format!("stream-{name}-{}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    fn content(file: &File) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut all, 0).unwrap();
        all
    }

    fn noise(seed: u8) -> Vec<u8> {
        (0..SIZE).map(|i| u8::try_from(i % 251).unwrap().wrapping_mul(seed) ^ seed).collect()
    }

    fn written(new: &[u8], mut target: Target) -> Target {
        write(&mut &*new, (0, new.len() as u64), &mut target, &mut |_| true).unwrap();
        assert!(content(&target.file) == new, "it is what it was made of");
        target
    }

    #[test]
    fn only_blocks_that_differ_are_written() {
        let old = noise(3);
        let mut new = old.clone();
        assert_eq!(written(&new, Target::over(file("same", &old))).written, 0);
        new[CHUNK + 5] ^= 1;
        new[SIZE - 1] ^= 1;
        let rest = SIZE % BLOCK;
        assert_eq!(written(&new, Target::over(file("two", &old))).written, (BLOCK + rest) as u64);
        new[CHUNK..2 * CHUNK].fill(0);
        let target = written(&new, Target::over(file("zeros", &old)));
        assert_eq!(target.written, (CHUNK + rest) as u64);
    }

    #[test]
    fn zeros_take_no_room_in_an_image() {
        let mut new = vec![0; SIZE];
        new[2 * CHUNK] = 1;
        let image = file("sparse", &[]);
        image.set_len(SIZE as u64).unwrap();
        let target = written(&new, Target::blank(image));
        assert_eq!(target.written, BLOCK as u64);
        target.sync().unwrap();
        assert!(target.file.metadata().unwrap().blocks() * 512 <= 64 * 1024);
    }

    #[test]
    fn what_ends_early_is_never_whole() {
        let new = noise(5);
        let mut target = Target::over(file("short", &vec![0; SIZE]));
        let short = &new[..SIZE - 1];
        let broken = write(&mut &*short, (0, SIZE as u64), &mut target, &mut |_| true).unwrap_err();
        assert!(matches!(broken, Broken::From(at, error)
            if at == 3 * CHUNK as u64 && error.kind() == io::ErrorKind::UnexpectedEof));
        let broken = compare((&mut &*new, &mut &*short), SIZE as u64, true, &mut |_| true).unwrap_err();
        assert!(matches!(broken, Broken::Into(..)));
        let broken = compare((&mut &*new, &mut &*new), SIZE as u64, true, &mut |at| at < 2).unwrap_err();
        assert!(matches!(broken, Broken::Stopped));
    }

    #[test]
    fn differences_are_counted_by_blocks() {
        let (old, mut new) = (noise(7), noise(7));
        let differ = |a: &[u8], b: &[u8], all| compare((&mut &*a, &mut &*b), SIZE as u64, all, &mut |_| true).unwrap();
        assert_eq!(differ(&old, &new, true), Differences::default());
        new[BLOCK + 1] ^= 1;
        new[BLOCK + 2] ^= 1;
        new[SIZE - 1] ^= 1;
        assert_eq!(differ(&old, &new, true), Differences { blocks: 2, first: Some(BLOCK as u64) });
        assert_eq!(differ(&old, &new, false).blocks, 1, "it stops after the chunk");
    }

    #[test]
    fn a_device_is_blank_only_if_all_of_it_is() {
        let mut all = vec![0; SIZE];
        assert!(is_blank(&mut &*all, SIZE as u64, &mut |_| true).unwrap());
        all[SIZE - 1] = 1;
        assert!(!is_blank(&mut &*all, SIZE as u64, &mut |_| true).unwrap());
    }
}
