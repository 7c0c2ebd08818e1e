//! The configuration file: followed, or refused with the line, and never half of it.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, binaries};
use kube::ResourceExt;

use crate::controller::{fence, has_arg};

const VALID: &str = "backup_controller_config_valid";

#[tokio::test]
async fn a_new_configuration_is_followed_with_one_write_a_cronjob() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller("defaults: {retention: 2days}").await?;
    let mut claims = Vec::new();
    for number in 0..3 {
        let claim = scene.bound(&scene.tenant, NewClaim::new(&format!("data-{number}"))).await?;
        scene.event(&claim, "Protected").await?;
        scene.cronjob_of(&claim).await?;
        claims.push(claim);
    }
    let before = scene.writes(controller.user())?.len();
    controller.configure("defaults: {retention: 4days}")?;
    let mut names = Vec::new();
    for claim in &claims {
        let follows = scene.cronjob_that("the retention follows", claim, |c| has_arg(c, "--retention=4d")).await?;
        names.push(follows.name_any());
    }
    fence(&scene, "fence").await?;
    let writes = scene.writes(controller.user())?.split_off(before);
    for name in names {
        let count = writes.iter().filter(|r| r.name == name).count();
        assert_eq!(count, 1, "{writes:?}");
    }
    assert!(writes.iter().all(|r| !r.name.starts_with("data-")), "a status was written: {writes:?}");
    Ok(())
}

/// F72.
#[tokio::test]
async fn a_bad_configuration_is_refused_with_its_line_and_the_old_one_stays() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller("defaults:\n  retention: 2days").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let before = scene.cronjob_of(&claim).await?;
    assert_eq!(controller.metric(VALID)?, Some(1.0));

    controller.configure("defaults:\n  retention: 9days\n  retenshun: 1day")?;
    scene.wait("the metric says so", async || Ok((controller.metric(VALID)? == Some(0.0)).then_some(()))).await?;
    let log = controller.log();
    let line = log.lines().find(|l| l.contains("stay in force")).unwrap_or_default();
    assert!(line.contains("retenshun") && line.contains("line 8"), "{line}");
    let marker = scene.bound(&scene.tenant, NewClaim::new("marker")).await?;
    let its = scene.cronjob_of(&marker).await?;
    assert!(has_arg(&its, "--retention=2d"), "the old one is not in force");
    assert_eq!(scene.cronjob_of(&claim).await?.resource_version(), before.resource_version());
    assert_eq!(controller.page("/healthz")?.0, 200);

    controller.configure("defaults:\n  retention: 9days")?;
    scene.cronjob_that("it follows", &claim, |c| has_arg(c, "--retention=9d")).await?;
    assert_eq!(controller.metric(VALID)?, Some(1.0));
    let refusals = controller.log().lines().filter(|l| l.contains("stay in force")).count();
    assert_eq!(refusals, 1, "it is told once");
    Ok(())
}

/// At the start there is no old one.
#[tokio::test]
async fn a_bad_configuration_at_the_start_ends_the_program() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("backup-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("config.yaml");
    std::fs::write(&file, "defaults:\n  schedule: never\n")?;
    let ended = std::process::Command::new(binaries::path("backup-controller")?)
        .env_clear()
        .args(["--controller-image=x", "--mover-image=x", "--listen=127.0.0.1:0", "--config"])
        .arg(&file)
        .output()?;
    std::fs::remove_dir_all(&folder)?;
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && told.contains("config.yaml") && told.contains("line 2"), "{told}");
    Ok(())
}
