//! What a disk does to files by itself.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Flips a bit in the middle of a file. Its size and its time stay.
pub fn flip(path: &Path) -> Result<()> {
    let file = File::options().read(true).write(true).open(path).with_context(|| path.display().to_string())?;
    let meta = file.metadata()?;
    let at = meta.len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ 1], at)?;
    file.set_times(FileTimes::new().set_accessed(meta.accessed()?).set_modified(meta.modified()?))?;
    Ok(())
}

/// The largest file below a folder.
pub fn largest(folder: &Path) -> Result<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut found: Option<(u64, PathBuf)> = None;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                folders.push(entry.path());
            } else if found.as_ref().is_none_or(|(size, _)| meta.len() > *size) {
                found = Some((meta.len(), entry.path()));
            }
        }
    }
    Ok(found.with_context(|| format!("no file below {}", folder.display()))?.1)
}
