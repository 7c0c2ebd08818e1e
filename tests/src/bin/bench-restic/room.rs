//! The folder of a measurement, and the mount in it: a copy insists on a mount, and restic keeps the folders above
//! its source too, whose times must not change. So the files are mounted at /mnt, in a mount namespace of our own.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use backup_controller_tests::binaries;

use crate::args::Args;

/// Where both sides find the files.
pub(crate) const SEEN: &str = "/mnt";

/// Starts the program once more and removes the folder when it has ended, also when somebody interrupts it.
const SHELL: &str = r#"
dir=$1; shift
trap : HUP INT TERM
mount --bind "$dir/source" /mnt && "$@" --mounted "--dir=$dir"
code=$?
umount /mnt 2>/dev/null
# A server that was killed just now may still write.
rm -rf "$dir" 2>/dev/null || { sleep 1; rm -rf "$dir"; }
exit "$code"
"#;

/// Makes the folder and goes on in it. Returns only if that cannot be.
pub(crate) fn enter(args: &Args) -> Result<()> {
    anyhow::ensure!(rustix::process::geteuid().is_root(), "only root can mount the files as a pod sees them");
    let dir = match &args.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => binaries::project().join("target/bench-restic"),
    };
    // What the last run left behind if it was killed; a folder that somebody names is not ours to remove.
    if args.dir.is_none() && dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    if let Err(error) = check(&dir, args).and_then(|()| Ok(fs::create_dir(dir.join("source"))?)) {
        fs::remove_dir_all(&dir)?;
        return Err(error);
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", SHELL, "sh"]).arg(&dir).arg(std::env::current_exe()?);
    command.args(
        ["--files", "--large-mib", "--rounds", "--large-rounds"]
            .iter()
            .zip([args.files, args.large_mib, args.rounds, args.large_rounds])
            .map(|(name, value)| format!("{name}={value}")),
    );
    Err(command.exec()).context("cannot run unshare (of the package util-linux)")
}

/// Small files lie beside two repositories of them, large ones beside one.
fn check(dir: &Path, args: &Args) -> Result<()> {
    // 8.5 KiB on average, rounded up on the disk; the rounds change one of a hundred.
    let kib = 11 + 2 * 9 * (100 + u64::from(args.rounds)) / 100;
    let small = u64::from(args.files) * kib / 1024;
    let large = u64::from(args.large_mib) * 21 / 10;
    let needed = small.max(large) + 256;
    let disk = rustix::fs::statvfs(dir)?;
    let free = disk.f_bavail * disk.f_frsize / (1 << 20);
    anyhow::ensure!(
        free >= needed,
        "{} has {free} MiB free, and {needed} MiB are needed ({small} for the small files, {large} for the large \
         ones, not at the same time): make room, name another --dir, or measure less with --large-mib or --files",
        dir.display(),
    );
    Ok(())
}
