//! Raw block volumes: the device itself is copied, restored and compared, not files in it.
//!
//! Where a step expects a volume's folder, a pod with a raw block volume has the device. So each verb looks at the
//! path once ([`is_device`]), and goes its own way for a device. What they share is here: [`stream`] reads, compares
//! and writes, [`image`] is the one file that a device is in a dated tree.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{Advice, OFlags, fadvise, major, minor};
use rustix::io::Errno;

mod cache;
pub(crate) mod image;
pub(crate) mod stream;

use cache::{WINDOW, forget};

/// Whether a block device stands at a path. What cannot be looked at is none: who opens it says why.
pub(crate) fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.file_type().is_block_device())
}

/// A block device.
#[derive(Debug)]
pub(crate) struct Device {
    /// Its size in bytes.
    pub(crate) size: u64,
    file: File,
}

impl Device {
    /// Opens a device that is read.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::of(File::open(path)?)
    }

    /// Opens a device that is written, for us alone: what a node has mounted, or another restore writes, is busy.
    pub(crate) fn open_alone(path: &Path) -> io::Result<Self> {
        if is_read_only(path)? {
            return Err(Errno::ROFS.into());
        }
        let alone = i32::try_from(OFlags::EXCL.bits()).unwrap_or_default();
        Self::of(File::options().read(true).write(true).custom_flags(alone).open(path)?)
    }

    fn of(mut file: File) -> io::Result<Self> {
        let size = file.seek(SeekFrom::End(0))?;
        if size == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the device has size 0"));
        }
        Ok(Self { size, file })
    }

    /// Reads it from a byte on.
    pub(crate) fn reader(&self, from: u64) -> io::Result<Reader> {
        Ok(Reader::new(self.file.try_clone()?, from))
    }

    /// To write it.
    pub(crate) fn target(&self) -> io::Result<stream::Target> {
        Ok(stream::Target::over(self.file.try_clone()?))
    }

    /// Makes everything that was written to it durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Whether the kernel takes no writes to a device. It may be opened for them even so.
fn is_read_only(path: &Path) -> io::Result<bool> {
    let device = fs::metadata(path)?.rdev();
    let known = fs::read_to_string(format!("/sys/dev/block/{}:{}/ro", major(device), minor(device)));
    Ok(known.is_ok_and(|text| text.trim() == "1"))
}

/// Reads a device or an image from its beginning to its end, and leaves no more of it in the page cache than it must.
#[derive(Debug)]
pub(crate) struct Reader {
    file: File,
    at: u64,
    /// Up to here, the page cache was given back.
    passed: u64,
}

impl Reader {
    /// Reads from a byte on.
    pub(crate) fn new(file: File, from: u64) -> Self {
        // Advice that is not taken costs nothing.
        let _ = fadvise(&file, from, None, Advice::Sequential);
        Self { file, at: from, passed: from }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        if self.at - self.passed >= WINDOW {
            forget(&self.file, self.passed, self.at);
            self.passed = self.at;
        }
        Ok(read)
    }
}
