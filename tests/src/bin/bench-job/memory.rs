//! What a process occupies, as the kernel tells it.

use anyhow::{Context as _, Result};
use backup_controller_tests::figures::{Table, counts, mebibytes, resident};
use backup_controller_tests::{Controller, NewClaim, Scene};
use futures::future::try_join_all;
use std::time::{Duration, Instant};

/// How many PVCs the controller protects.
pub(crate) const CLAIMS: usize = 100;

/// Its destinations. The sources are copied to the first one, unless they choose.
pub(crate) const DESTINATIONS: [&str; 3] = ["disk", "attic", "vault"];

/// Without requests for this long, a controller is idle.
const QUIET: Duration = Duration::from_secs(3);

/// Starts a controller with [`CLAIMS`] PVCs, and measures it when all is written.
pub(crate) async fn measure(table: &mut Table, scene: &Scene) -> Result<Controller> {
    let claims = (0..CLAIMS).map(|n| format!("data-{n}")).collect::<Vec<_>>();
    let made = claims.iter().map(|name| scene.bound(&scene.tenant, NewClaim::new(name)));
    let claims = try_join_all(made).await?;
    // No schedule comes round while this runs, and promoters stay as long as their snapshots.
    let class = scene.class("keep");
    let disk = |name| {
        format!("{{name: {name}, type: disk, claim: {{name: backup-{name}, storageClass: {class}, size: 1Gi}}}}")
    };
    let config = format!(
        "defaults: {{schedule: '0 0 1 1 *', retention: 2days, destinations: [{}], promoterRetention: keep}}\n\
         destinations: [{}]\n",
        DESTINATIONS[0],
        DESTINATIONS.map(disk).join(", ")
    );
    let controller = scene.controller(&config).await?;
    for claim in &claims {
        scene.cronjob_of(claim).await?;
        scene.status_that("protected", claim, |s| s.protected_since.is_some()).await?;
    }
    settle(scene, controller.user()).await?;
    let pid = controller.pid().context("the controller has ended")?;
    for (what, key) in [("idle", "VmRSS"), ("at most until then", "VmHWM")] {
        let size = resident(pid, key).context("the kernel tells no size")?;
        table.judge(&format!("controller with {CLAIMS} PVCs, {what} ({key})"), mebibytes(size), 20.0, "MiB", false);
    }
    for (what, key) in [("private", "RssAnon"), ("of the program's file", "RssFile")] {
        let size = resident(pid, key).context("the kernel tells no size")?;
        table.tell(&format!("  of it, idle: {what} ({key})"), format!("{:.1} MiB", mebibytes(size)));
    }
    Ok(controller)
}

/// Waits until a user asks nothing any more; a watch that goes on is no question.
pub(crate) async fn settle(scene: &Scene, user: &str) -> Result<()> {
    let end = Instant::now() + Duration::from_mins(1);
    let asked = || anyhow::Ok(scene.requests(user)?.iter().filter(|r| counts(r)).count());
    let (mut seen, mut since) = (asked()?, Instant::now());
    while since.elapsed() < QUIET {
        anyhow::ensure!(Instant::now() < end, "{user} does not stop asking");
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = asked()?;
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    Ok(())
}
