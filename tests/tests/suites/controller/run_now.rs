//! A run for the asking.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, source};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::ListParams;
use model::names::{self, Run};
use model::reason::{Problem, Reason};
use model::record::{SnapshotResult, Status};

use crate::controller::fence;

async fn jobs(scene: &Scene, claim: &PersistentVolumeClaim) -> Result<Vec<Job>> {
    let label = format!("{}={}", names::SOURCE_UID, source(claim).uid);
    Ok(scene.api::<Job>(&scene.home).list(&ListParams::default().labels(&label)).await?.items)
}

#[tokio::test]
async fn a_new_value_starts_one_run_and_a_restart_none() -> Result<()> {
    let scene = Scene::new().await?;
    let mut controller = scene.controller("").await?;
    let claim = fence(&scene, "data").await?;
    let cronjob = scene.cronjob_of(&claim).await?;
    scene
        .annotate::<PersistentVolumeClaim>(&scene.tenant, "data", &[(names::RUN_NOW, Some("before the upgrade"))])
        .await?;
    let job = scene.wait("the Job", async || Ok(jobs(&scene, &claim).await?.pop())).await?;
    assert_eq!(job.name_any(), names::run_now_job(&source(&claim), "before the upgrade"));
    let owner = &job.owner_references()[0];
    assert_eq!(
        (owner.kind.as_str(), Some(owner.uid.clone()), owner.controller),
        ("CronJob", cronjob.uid(), Some(true))
    );
    assert_eq!(job.annotations()["cronjob.kubernetes.io/instantiate"], "manual");
    let asked = |s: &model::record::Status| s.run_now.as_deref() == Some("before the upgrade");
    scene.status_that("it was started", &claim, asked).await?;

    controller.kill();
    controller.start()?;
    controller.ready(&scene).await?;
    fence(&scene, "fence-1").await?;
    assert_eq!(jobs(&scene, &claim).await?.len(), 1);
    // The Job is gone some day: the value has been served all the same.
    scene.api::<Job>(&scene.home).delete(&job.name_any(), &kube::api::DeleteParams::background()).await?;
    scene.gone(&job).await?;
    fence(&scene, "fence-2").await?;
    assert_eq!(jobs(&scene, &claim).await?, []);
    // S8: a run whose Job is gone was a run all the same.
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "data", &[(names::RUN_NOW, Some("again"))]).await?;
    fence(&scene, "fence-3").await?;
    assert_eq!(jobs(&scene, &claim).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_run_for_the_asking_keeps_the_minimum_interval() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller("").await?;
    let claim = fence(&scene, "data").await?;
    let half_an_hour = std::time::Duration::from_secs(1800);
    let run = Run::at(model::Timestamp::now() - half_an_hour);
    scene.point(&claim, run.as_str(), &[]).await?;
    scene.status_that("good", &claim, |s| s.good.is_some()).await?;
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "data", &[(names::RUN_NOW, Some("1"))]).await?;
    fence(&scene, "fence").await?;
    assert_eq!(jobs(&scene, &claim).await?, []);
    // A shorter interval lets it start by itself.
    controller.configure("bounds: {minInterval: 10m}")?;
    scene.wait("the Job", async || Ok(jobs(&scene, &claim).await?.pop())).await?;
    Ok(())
}

/// The value is a tenant's text (law 9).
#[tokio::test]
async fn any_text_can_be_the_value() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller("").await?;
    let hostile = "\": \n- {{name}} $(POD_UID) \u{85}\u{7f}\u{2028}\u{feff}\u{ffff} é 🐘 # '";
    let claim = scene.bound(&scene.tenant, NewClaim::new("data").annotate(names::RUN_NOW, hostile)).await?;
    let job = scene.wait("the Job", async || Ok(jobs(&scene, &claim).await?.pop())).await?;
    assert_eq!(job.namespace(), Some(scene.home.clone()));
    let status = scene.status_that("it was started", &claim, |s| s.run_now.is_some()).await?;
    assert_eq!(status.run_now.as_deref(), Some(hostile));
    fence(&scene, "fence").await?;
    let writes = scene.writes(controller.user())?;
    let statuses = writes.iter().filter(|r| r.name == "data").count();
    assert!(statuses <= 2, "a status that is kept as it was written is not written again: {writes:?}");
    Ok(())
}

/// What a run's pod says is told on its source; a long value is kept by its mark.
#[tokio::test]
async fn a_run_that_fails_is_told_with_its_own_words() -> Result<()> {
    let scene = Scene::new().await?;
    scene.identity("backup-job", "job-role.yaml", |_| {}).await?;
    let controller = scene.controller("retries: {snapshot: 0}").await?;
    let value = "x".repeat(150_000);
    let claim = scene.bound(&scene.tenant, NewClaim::new("data").annotate(names::RUN_NOW, &value)).await?;
    let job = scene.wait("the Job", async || Ok(jobs(&scene, &claim).await?.pop())).await?;
    let problem = Problem::new(Reason::SnapshotNotReady, "VolumeSnapshot data-20260101 was not ready after 10m");
    let said = SnapshotResult { problem: Some(problem), ..SnapshotResult::default() };
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 3, &serde_json::to_string(&said)?).await?;
    let failed = |s: &Status| s.failure.as_ref().is_some_and(|f| f.problem.reason == Reason::SnapshotNotReady);
    let status = scene.status_that("SnapshotNotReady", &claim, failed).await?;
    assert!(status.failure.is_some_and(|f| f.problem.message.contains("data-20260101") && f.run.is_some()));
    let event = scene.event(&claim, "SnapshotNotReady").await?;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    fence(&scene, "fence").await?;
    let made = scene.writes(controller.user())?.iter().filter(|r| r.verb == "create" && r.resource == "jobs").count();
    assert_eq!(made, 1);
    Ok(())
}
