//! Programs that tests run by name, outside of any cluster.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::building::ensure_built;
use crate::parts::{Part, cache_dir};

/// Builds what is missing of the programs and links them into two folders: `bin`, which the Makefile has on `PATH`, and
/// `test-bin`, which the test runner puts before it, with the restic that is only for tests. Gives the first one.
pub fn link_tools() -> Result<PathBuf> {
    let tools = cache_dir()?.join("tools");
    let bin = tools.join("bin");
    link(Part::Restic, "restic", &bin)?;
    link(Part::S3, "s3-server", &bin)?;
    link(Part::CheapRestic, "restic", &tools.join("test-bin"))?;
    Ok(bin)
}

fn link(part: Part, program: &str, bin: &Path) -> Result<()> {
    fs::create_dir_all(bin).with_context(|| format!("cannot create {}", bin.display()))?;
    // By a new name first: another process may be about to run the old one.
    let partial = bin.join(format!(".{program}.{}", std::process::id()));
    symlink(ensure_built(part)?.join(program), &partial)?;
    fs::rename(partial, bin.join(program))?;
    Ok(())
}
