//! A command of `kubectl backup`, from its start to its end.

use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use backup_controller_tests::figures::{by_kind, mebibytes, resident};
use backup_controller_tests::{Scene, binaries};

use crate::cost::{Row, cpu};
use crate::proxy;

/// Whom the administrator's kubeconfig makes of somebody.
const ADMINISTRATOR: &str = "admin";

/// Runs it as an administrator.
pub(crate) async fn measure(scene: &Scene, what: &str, args: &[&str]) -> Result<Row> {
    let (wire, kubeconfig) = proxy::start(&scene.plane.url(), scene.plane.kubeconfig_path()).await?;
    let asked = scene.requests(ADMINISTRATOR)?.len();
    let begun = Instant::now();
    let mut child = Command::new(binaries::path("kubectl-backup")?)
        .args(args)
        .args(["--backup-namespace", &scene.home, "--instance", &scene.name])
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let (mut peak, mut used) = (0, 0.0);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = resident(child.id(), "VmHWM").unwrap_or(0).max(peak);
        used = cpu(child.id()).unwrap_or(0.0_f64).max(used);
        // The proxy needs this thread.
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let wall = begun.elapsed().as_secs_f64();
    ensure!(matches!(status.code(), Some(0 | 3)), "{what} ended with {status}");
    // The administrator asks nothing else meanwhile.
    let requests = by_kind(scene.requests(ADMINISTRATOR)?.iter().skip(asked));
    let peak = mebibytes(peak);
    let received = wire.received.load(Ordering::Relaxed);
    Ok(Row { what: what.to_owned(), wall, cpu: used, memory: peak, peak, received, requests })
}
