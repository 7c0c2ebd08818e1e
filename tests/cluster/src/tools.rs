//! Programs that tests run by name, outside of any cluster.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::building::ensure_built;
use crate::parts::{Part, cache_dir};

/// Builds what is missing of the programs and links them into one folder, which the Makefile has on `PATH`.
pub fn link_tools() -> Result<PathBuf> {
    let bin = cache_dir()?.join("tools/bin");
    fs::create_dir_all(&bin).with_context(|| format!("cannot create {}", bin.display()))?;
    for (part, program) in [(Part::Restic, "restic"), (Part::S3, "versitygw")] {
        // By a new name first: another process may be about to run the old one.
        let partial = bin.join(format!(".{program}.{}", std::process::id()));
        symlink(ensure_built(part)?.join(program), &partial)?;
        fs::rename(partial, bin.join(program))?;
    }
    Ok(bin)
}
