//! A volume that is a block device.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{Place, has, root, say};

/// One mebibyte.
pub(crate) const MIB: u64 = 1 << 20;

/// A loop device over a sparse file.
pub(crate) struct Disk {
    pub(crate) path: PathBuf,
    backing: PathBuf,
}

impl Disk {
    /// A device of so many bytes; `None`, and why, where there can be none.
    pub(crate) fn new(place: &Place, name: &str, bytes: u64) -> Option<Self> {
        if !root("raw block volumes") || !has("losetup", "raw block volumes") {
            return None;
        }
        let backing = place.path.join(name);
        File::create(&backing).unwrap().set_len(bytes).unwrap();
        let done = Command::new("losetup").args(["--find", "--show"]).arg(&backing).output().unwrap();
        if !done.status.success() {
            say(&format!("SKIPPED, no loop device: {}", String::from_utf8_lossy(&done.stderr)));
            return None;
        }
        Some(Self { path: String::from_utf8(done.stdout).unwrap().trim().into(), backing })
    }

    /// Writes to the device, down to its file.
    pub(crate) fn write(&self, at: u64, content: &[u8]) {
        let device = File::options().write(true).open(&self.path).unwrap();
        device.write_all_at(content, at).unwrap();
        device.sync_all().unwrap();
    }

    /// All that is on it.
    pub(crate) fn content(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    /// Bytes that it takes of what it lies on.
    pub(crate) fn takes(&self) -> u64 {
        taken(&self.backing)
    }

    /// It cannot be written any more.
    pub(crate) fn is_read_only(&self) {
        assert!(Command::new("blockdev").arg("--setro").arg(&self.path).status().unwrap().success());
    }

    /// From here on, it cannot be read.
    pub(crate) fn breaks_at(&self, at: u64) {
        File::options().write(true).open(&self.backing).unwrap().set_len(at).unwrap();
        self.forget();
    }

    /// What was cut off is there again, as zeros.
    pub(crate) fn is_mended(&self, bytes: u64) {
        File::options().write(true).open(&self.backing).unwrap().set_len(bytes).unwrap();
        self.forget();
    }

    /// Nothing of it is in memory.
    fn forget(&self) {
        assert!(Command::new("blockdev").arg("--flushbufs").arg(&self.path).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The kernel keeps that for the next one who gets this device.
        let _ = Command::new("blockdev").arg("--setrw").arg(&self.path).status();
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
    }
}

/// Bytes that a file takes on its disk.
pub(crate) fn taken(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}
