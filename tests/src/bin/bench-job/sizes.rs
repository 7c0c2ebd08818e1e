//! What is shipped.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use backup_controller_tests::binaries;
use backup_controller_tests::figures::Table;

/// The binaries, and the layers that they are in the images.
pub(crate) fn measure(table: &mut Table) -> Result<()> {
    let controller = binaries::path("backup-controller")?;
    let job = binaries::path("backup-job")?;
    for path in [&controller, &job] {
        let name = path.file_name().unwrap_or_default().display();
        table.tell(&format!("{name}, the program"), mebibytes(path.metadata()?.len()));
    }
    let folder = job.parent().context("a program without a folder")?;
    for (what, programs) in [
        ("image backup-controller, all of it", &["backup-controller", "backup-job"][..]),
        ("image backup-mover, on top of Debian", &["backup-job"][..]),
    ] {
        let plain = layer(folder, programs, &[])?;
        let compressed = layer(folder, programs, &["--gzip"])?;
        table.tell(what, format!("{}, {} with gzip", mebibytes(plain), mebibytes(compressed)));
    }
    Ok(())
}

/// The size of the layer that `COPY <programs> /usr/bin/` makes.
fn layer(folder: &Path, programs: &[&str], compress: &[&str]) -> Result<u64> {
    let mut tar = Command::new("tar")
        .args(["--create", "--owner=0", "--group=0", "--transform=s,^,usr/bin/,"])
        .args(compress)
        .arg("--directory")
        .arg(folder)
        .args(programs)
        .stdout(Stdio::piped())
        .spawn()
        .context("tar cannot be run")?;
    let mut output = tar.stdout.take().context("tar has no output")?;
    let size = std::io::copy(&mut output, &mut std::io::sink())?;
    anyhow::ensure!(tar.wait()?.success(), "tar failed");
    Ok(size)
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
