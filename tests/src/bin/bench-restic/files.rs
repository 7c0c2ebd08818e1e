//! The files that are copied. Nothing in them gets smaller, and no two have the same bytes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Files in one folder.
const FOLDER: u32 = 1000;
/// The size of a large file, in MiB.
const LARGE: u32 = 256;
const KIB: usize = 1024;

/// The files, below the source's root.
pub(crate) struct Files {
    root: PathBuf,
    number: u32,
}

impl Files {
    /// So many files of 1 to 16 KiB.
    pub(crate) fn small(root: &Path, number: u32) -> Result<Self> {
        let files = Self { root: root.to_owned(), number };
        for folder in 0..number.div_ceil(FOLDER) {
            fs::create_dir(root.join(format!("d-{folder}")))?;
        }
        (0..number).try_for_each(|file| files.write(file, 0))?;
        Ok(files)
    }

    /// So many MiB in large files.
    pub(crate) fn large(root: &Path, mib: u32) -> Result<Self> {
        let number = mib.div_ceil(LARGE);
        for file in 0..number {
            let mut noise = Noise::new(file, u32::MAX);
            let mut output = File::create(root.join(format!("large-{file}")))?;
            for _ in 0..LARGE.min(mib - file * LARGE) {
                output.write_all(&noise.bytes(KIB * KIB)).context("no room for the large files?")?;
            }
        }
        Ok(Self { root: root.to_owned(), number })
    }

    /// Changes one small file of a hundred, others in each round.
    pub(crate) fn change(&self, round: u32) -> Result<()> {
        (round % 100..self.number).step_by(100).try_for_each(|file| self.write(file, round + 1))
    }

    /// Removes all of them; the root stays.
    pub(crate) fn remove(self) -> Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
        }
        Ok(())
    }

    fn write(&self, file: u32, version: u32) -> Result<()> {
        let mut noise = Noise::new(file, version);
        let size = KIB + usize::try_from(noise.next() % 15_361)?;
        let path = self.root.join(format!("d-{}/f-{file}", file / FOLDER));
        fs::write(&path, noise.bytes(size)).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Numbers without a pattern, the same for the same seed: xorshift.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(one: u32, two: u32) -> Self {
        let seed = (u64::from(one) << 32 | u64::from(two)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut noise = Self(seed ^ 0xd1b5_4a32_d192_ed03);
        // Neighbouring seeds begin alike.
        for _ in 0..8 {
            noise.next();
        }
        noise
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, size: usize) -> Vec<u8> {
        (0..size.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(size).collect()
    }
}
