//! The pages for those who look after the process.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, kubelet};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::DeleteParams;
use model::names;
use model::record::CopyState;

use crate::controller::{bind_disk, fence, source_with_run, with_disk};

fn sources(state: &str, reason: &str) -> String {
    format!(r#"backup_controller_sources{{state="{state}",reason="{reason}"}}"#)
}

#[tokio::test]
async fn the_totals_are_right_and_no_series_bears_a_volume() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let (claim, _, _) = source_with_run(&scene, "good", "20260101T0000Z").await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, "20260101T0000Z", "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.event(&claim, "BackupComplete").await?;
    scene.claim(&scene.tenant, NewClaim::new("pending")).await?;
    scene.bound(&scene.tenant, NewClaim::new("out").annotate(names::ENABLED, "false")).await?;
    for number in 0..20 {
        scene.claim(&scene.tenant, NewClaim::new(&format!("pending-{number}"))).await?;
    }
    fence(&scene, "fence").await?;
    let value = |series: &str| controller.metric(series);
    scene
        .wait("the totals", async || {
            let all = value(&sources("protected", ""))? == Some(2.0)
                && value(&sources("unprotected", "NotBound"))? == Some(21.0)
                && value(&sources("unprotected", "Disabled"))? == Some(1.0);
            Ok(all.then_some(()))
        })
        .await?;
    assert_eq!(value(r#"backup_controller_copies_total{destination="disk",result="Complete"}"#)?, Some(1.0));
    assert_eq!(value(r#"backup_controller_steps_total{action="StartCopy",result="done"}"#)?, Some(1.0));
    assert_eq!(value("backup_controller_synced")?, Some(1.0));
    let (status, text) = controller.page("/metrics")?;
    assert_eq!(status, 200);
    // The promoter and the disk are ours, and no sources.
    assert!(!text.contains("OwnVolume") && !text.contains("pending-"), "{text}");
    assert!(text.lines().count() < 80, "{text}");

    // F80: a series does not outlive what it counts.
    let claims = scene.api::<PersistentVolumeClaim>(&scene.tenant);
    claims.delete("out", &DeleteParams::default()).await?;
    scene
        .wait("the series is gone", async || Ok(value(&sources("unprotected", "Disabled"))?.is_none().then_some(())))
        .await?;
    assert_eq!(controller.page("/healthz")?, (200, "ok\n".to_owned()));
    assert_eq!(controller.page("/readyz")?.0, 200);
    assert_eq!(controller.page("/")?.0, 404);
    Ok(())
}

#[tokio::test]
async fn a_series_for_each_volume_is_had_for_the_asking() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller("").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    scene.point(&claim, "20260101T0000Z", &[]).await?;
    scene.status_that("good", &claim, |s| s.good.is_some()).await?;
    let series = format!(
        r#"backup_controller_last_good_timestamp_seconds{{namespace="{}",persistentvolumeclaim="data"}}"#,
        scene.tenant
    );
    assert_eq!(controller.metric(&series)?, None);
    controller.configure("metrics: {perVolume: true}")?;
    scene.wait("the series", async || Ok(controller.metric(&series)?)).await?;
    assert_eq!(controller.metric(&series)?, Some(1_767_225_600.0));
    controller.configure("")?;
    scene.wait("no series", async || Ok(controller.metric(&series)?.is_none().then_some(()))).await?;
    assert_eq!(claim.name_any(), "data");
    Ok(())
}

/// F92 at its worst: what may not be listed keeps the controller from deciding anything, and says so.
#[tokio::test]
async fn a_kind_that_may_not_be_listed_is_named_by_readyz_and_the_log() -> Result<()> {
    let scene = Scene::new().await?;
    let identity = scene
        .identity("backup-controller", "controller-role.yaml", |rule| {
            if let Some(list) = rule["resources"].as_array_mut() {
                list.iter_mut().filter(|r| *r == "persistentvolumes").for_each(|r| *r = "nothing".into());
            }
        })
        .await?;
    let controller = scene.launch(scene.setup_as(identity, ""))?;
    scene
        .wait("the page", async || {
            let (status, text) = controller.page("/readyz")?;
            Ok((status == 503 && text == "not listed yet: persistentvolumes\n").then_some(()))
        })
        .await?;
    assert_eq!(controller.page("/healthz")?.0, 200);
    let log = controller.log();
    assert!(log.contains("cannot list resource \"persistentvolumes\""), "{log}");
    Ok(())
}
