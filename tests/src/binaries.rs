//! Our programs: built once, or taken from the folder that `BACKUP_BINARIES` names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

/// The names of our images, which no node of a control plane alone pulls.
pub(crate) const CONTROLLER_IMAGE: &str = "registry.example/backup-controller:test";
pub(crate) const MOVER_IMAGE: &str = "registry.example/backup-mover:test";

/// The folder of this project.
#[must_use]
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The path of `backup-controller` or `backup-job`.
pub fn path(name: &str) -> Result<PathBuf> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| folder().map_err(|e| format!("{e:#}")));
    let folder = folder.as_ref().map_err(|e| anyhow::anyhow!("{e}"))?;
    let path = folder.join(name);
    if !path.is_file() {
        bail!("there is no {}", path.display());
    }
    Ok(path)
}

fn folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("BACKUP_BINARIES") {
        return Ok(folder.into());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        // With the features of the whole workspace, as the tests.
        .args(["build", "--quiet", "--workspace", "--bins"])
        .current_dir(project())
        .output()
        .context("cargo cannot be run")?;
    if !built.status.success() {
        bail!("our programs cannot be built:\n{}", String::from_utf8_lossy(&built.stderr));
    }
    // This test is in target/<triple>/<profile>/deps, and the programs are in the folder above.
    let test = std::env::current_exe()?;
    Ok(test.ancestors().nth(2).context("the test is not in a target folder")?.to_owned())
}
