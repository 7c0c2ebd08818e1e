//! Classes, and volumes that cannot be protected as things are: each has its reason.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use model::names;
use model::reason::Reason;
use model::record::Status;

use crate::controller::has_arg;

async fn unprotected(scene: &Scene, claim: &PersistentVolumeClaim, reason: Reason) -> Result<Status> {
    let is = |s: &Status| s.unprotected.as_ref().is_some_and(|p| p.reason == reason);
    let status = scene.status_that(reason.as_str(), claim, is).await?;
    let event = scene.event(claim, reason.as_str()).await?;
    assert_eq!(event.type_.as_deref(), Some("Warning"), "{event:?}");
    assert!(scene.cronjobs_of(claim).await?.is_empty(), "{reason}: it has a CronJob");
    Ok(status)
}

/// F05: two classes that fit are ambiguous until one is the default, and two defaults are again.
#[tokio::test]
async fn two_snapshot_classes_are_ambiguous_until_one_is_chosen() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller("").await?;
    scene.snapshot_class("other", &scene.driver(), false).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let status = unprotected(&scene, &claim, Reason::AmbiguousSnapshotClass).await?;
    let message = status.unprotected.map(|p| p.message).unwrap_or_default();
    assert!(message.contains(&scene.class("snap")) && message.contains(&scene.class("other")), "{message}");
    let series = r#"backup_controller_sources{state="unprotected",reason="AmbiguousSnapshotClass"}"#;
    assert_eq!(controller.metric(series)?, Some(1.0));

    // One default: protected. Two: ambiguous for new PVCs; the CronJob that is there stays, for the reason may pass.
    scene.snapshot_class("other", &scene.driver(), true).await?;
    let cronjob = scene.cronjob_of(&claim).await?;
    assert!(has_arg(&cronjob, &format!("--snapshot-class={}", scene.class("other"))), "{cronjob:?}");
    scene.status_that("protected", &claim, |s| s.unprotected.is_none() && s.protected_since.is_some()).await?;
    scene.snapshot_class("snap", &scene.driver(), true).await?;
    let second = scene.bound(&scene.tenant, NewClaim::new("second")).await?;
    unprotected(&scene, &second, Reason::AmbiguousSnapshotClass).await?;
    scene
        .status_that("ambiguous", &claim, |s| {
            s.unprotected.as_ref().is_some_and(|p| p.reason == Reason::AmbiguousSnapshotClass)
        })
        .await?;
    assert_eq!(scene.cronjobs_of(&claim).await?.len(), 1);
    // A tenant's own word settles it for one PVC.
    let name = scene.class("snap");
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "second", &[(names::SNAPSHOT_CLASS, Some(&name))]).await?;
    let cronjob = scene.cronjob_of(&second).await?;
    assert!(has_arg(&cronjob, &format!("--snapshot-class={name}")), "{cronjob:?}");
    Ok(())
}

/// F22 among others: what a class names must exist and be of the volume's driver.
#[tokio::test]
async fn classes_that_do_not_fit_are_told_by_name() -> Result<()> {
    let scene = Scene::new().await?;
    scene.snapshot_class("foreign", "other.csi.example.com", false).await?;
    let (fast, late, foreign) = (scene.class("fast"), scene.class("late"), scene.class("foreign"));
    let config = format!("classes:\n  {fast}: {{storageClass: {late}}}\n  {late}: {{snapshotClass: no-such-class}}\n");
    let _controller = scene.controller(&config).await?;
    let missing = scene.bound(&scene.tenant, NewClaim::new("missing").class(&late)).await;
    // The class waits for a consumer, and the storage binds it all the same.
    let status = unprotected(&scene, &missing?, Reason::WrongSnapshotClass).await?;
    let message = status.unprotected.map(|p| p.message).unwrap_or_default();
    assert!(message.contains("no-such-class") && message.contains(&format!("classes.{late}")), "{message}");

    let annotated = NewClaim::new("foreign").annotate(names::SNAPSHOT_CLASS, &foreign);
    let wrong = scene.bound(&scene.tenant, annotated).await?;
    let status = unprotected(&scene, &wrong, Reason::WrongSnapshotClass).await?;
    let message = status.unprotected.map(|p| p.message).unwrap_or_default();
    assert!(message.contains("other.csi.example.com") && message.contains(&scene.driver()), "{message}");

    let fine = scene.bound(&scene.tenant, NewClaim::new("fine")).await?;
    let cronjob = scene.cronjob_of(&fine).await?;
    assert!(has_arg(&cronjob, &format!("--storage-class={late}")), "{cronjob:?}");
    Ok(())
}

/// F93, and the other volumes of which there can be no snapshot. None is passed over in silence (law 10).
#[tokio::test]
async fn a_volume_that_cannot_be_protected_has_its_reason_until_it_can() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller("").await?;
    // Every PVC is unbound when it is new: that is counted, and not worth a word.
    let pending = scene.claim(&scene.tenant, NewClaim::new("pending")).await?;
    let series = r#"backup_controller_sources{state="unprotected",reason="NotBound"}"#;
    scene.wait("it is counted", async || Ok(controller.metric(series)?.filter(|n| *n >= 1.0))).await?;
    assert_eq!(scene.status(&pending).await?, None);
    let plain = scene.claim(&scene.tenant, NewClaim::new("plain")).await?;
    let plain = scene.bind_without_csi(&plain).await?;
    unprotected(&scene, &plain, Reason::NotCsi).await?;
    scene.bind(&pending, None).await?;
    scene.cronjob_of(&pending).await?;
    let status = scene.status_that("protected", &pending, |s| s.protected_since.is_some()).await?;
    assert_eq!(status.unprotected, None);
    scene.event(&pending, "Protected").await?;
    Ok(())
}
