//! Runs that count from the end of the last one: the controller starts them, and it alone.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, kubelet, source};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::ListParams;
use model::duration::Span;
use model::names::{self, Run};
use model::reason::Reason;
use model::record::{CopyResult, CopyState, SnapshotResult};

use crate::controller::{bind_disk, fence, with_disk};

async fn jobs(scene: &Scene, claim: &PersistentVolumeClaim) -> Result<Vec<Job>> {
    let label = format!("{}={}", names::SOURCE_UID, source(claim).uid);
    Ok(scene.api::<Job>(&scene.home).list(&ListParams::default().labels(&label)).await?.items)
}

fn ago(minutes: u64) -> model::Timestamp {
    Span::minutes(minutes).before(model::Timestamp::now())
}

#[tokio::test]
async fn a_run_starts_so_long_after_the_last_one_and_a_restart_starts_no_other() -> Result<()> {
    let scene = Scene::new().await?;
    scene.identity("backup-job", "job-role.yaml", |_| {}).await?;
    let mut controller = scene.controller("").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    scene.cronjob_of(&claim).await?;

    // A run of more than an hour ago, whose Job is gone. It is there before the first run could be due.
    let run = Run::at(ago(62));
    scene.point(&claim, run.as_str(), &[]).await?;
    fence(&scene, "fence-0").await?;
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "data", &[(names::SCHEDULE, Some("@after 1h"))]).await?;
    let suspended = |c: &k8s_openapi::api::batch::v1::CronJob| {
        let suspend = c.spec.as_ref().and_then(|s| s.suspend);
        (suspend, c.annotations().get(names::AFTER).map(String::as_str)) == (Some(true), Some("1h"))
    };
    let cronjob = scene.cronjob_that("it counts from the end", &claim, suspended).await?;
    let job = scene.wait("the Job", async || Ok(jobs(&scene, &claim).await?.pop())).await?;
    assert_eq!(job.name_any(), names::after_job(&source(&claim), run.time()));
    assert_eq!(job.owner_references()[0].uid, cronjob.uid().unwrap_or_default());
    controller.kill();
    controller.start()?;
    controller.ready(&scene).await?;
    fence(&scene, "fence-1").await?;
    assert_eq!(jobs(&scene, &claim).await?.len(), 1);

    // It ends, and the next one counts from there.
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 0, &serde_json::to_string(&SnapshotResult::default())?).await?;
    scene
        .wait("the Job ended", async || {
            Ok(jobs(&scene, &claim).await?.pop().filter(|j| model::facts::Job::from(j).ended.is_some()))
        })
        .await?;
    fence(&scene, "fence-2").await?;
    assert_eq!(jobs(&scene, &claim).await?.len(), 1);

    // By the clock again: Kubernetes takes over.
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "data", &[(names::SCHEDULE, Some("5 4 * * *"))]).await?;
    let back = |c: &k8s_openapi::api::batch::v1::CronJob| {
        let spec = c.spec.clone().unwrap_or_default();
        spec.schedule == "5 4 * * *" && spec.suspend != Some(true) && !c.annotations().contains_key(names::AFTER)
    };
    scene.cronjob_that("it goes by the clock", &claim, back).await?;
    Ok(())
}

/// However it ended: the next run counts from the copy's end, and nothing starts before there is one.
#[tokio::test]
async fn a_copy_that_failed_arms_the_next_run() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    scene.cronjob_of(&claim).await?;
    let run = Run::at(ago(200));
    scene.point(&claim, run.as_str(), &["disk"]).await?;
    bind_disk(&scene).await?;
    let copy = scene.copy_of(&claim, run.as_str(), "disk").await?;
    // Not before: a snapshot that is not ready yet, without a Job, is a run that has ended.
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "data", &[(names::SCHEDULE, Some("@after 1h"))]).await?;
    let after = |c: &k8s_openapi::api::batch::v1::CronJob| c.annotations().contains_key(names::AFTER);
    scene.cronjob_that("it counts from the end", &claim, after).await?;
    fence(&scene, "fence").await?;
    assert_eq!(jobs(&scene, &claim).await?, [], "the copy is under way");
    let ended = ago(62);
    let result = CopyResult { finished: ended, ..kubelet::copied(CopyState::Failed, Some(Reason::DiskFull)) };
    scene.finish(&copy, &result).await?;
    let job = scene.wait("the Job", async || Ok(jobs(&scene, &claim).await?.pop())).await?;
    assert_eq!(job.name_any(), names::after_job(&source(&claim), ended));
    Ok(())
}
