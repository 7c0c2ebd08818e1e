//! A copy has ended: its result is recorded, told and counted, and only then its Job goes.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, kubelet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::api::ListParams;
use model::names;
use model::reason::Reason;
use model::record::{CopyState, Status};

use crate::controller::{bind_disk, fence, source_with_run, with_disk};

const RUN: &str = "20260101T0000Z";

fn failed(reason: Reason) -> impl Fn(&Status) -> bool {
    move |s| s.failure.as_ref().is_some_and(|f| f.problem.reason == reason)
}

/// A source whose copy runs.
async fn copying(scene: &Scene) -> Result<(PersistentVolumeClaim, Job)> {
    let (claim, ..) = source_with_run(scene, "data", RUN).await?;
    bind_disk(scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    Ok((claim, job))
}

#[tokio::test]
async fn a_complete_copy_is_recorded_and_told_before_its_job_goes() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let (claim, snapshot, _) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let pod = scene.pod_of(&job).await?;
    let result = kubelet::copied(CopyState::Complete, None);
    let before = scene.writes(controller.user())?.len();
    scene.finish(&job, &result).await?;
    assert_eq!(scene.recorded(&claim, RUN, "disk").await?.state, CopyState::Complete);
    let status = scene.status_that("good", &claim, |s| s.good.is_some()).await?;
    assert_eq!(status.good.as_ref().map(model::names::Run::as_str), Some(RUN));
    assert_eq!((status.failure, status.waiting), (None, None));
    let copy = &status.copies["disk"];
    assert_eq!((copy.state, copy.files, copy.bytes), (CopyState::Complete, 42, 4096));
    let event = scene.event(&claim, "BackupComplete").await?;
    let note = event.note.unwrap_or_default();
    assert!(note.contains(RUN) && note.contains(&snapshot.name_any()) && note.contains("42"), "{note}");
    scene.gone(&job).await?;
    // Its pod goes with it.
    scene.gone(&pod).await?;

    fence(&scene, "fence").await?;
    let writes = scene.writes(controller.user())?.split_off(before);
    let ledger = names::ledger(&claim.uid().unwrap_or_default());
    let of_run = |r: &&dev_cluster::AuditedRequest| {
        r.name == ledger || r.name == "data" || r.name == job.name_any() || r.resource == "volumesnapshots"
    };
    let mut order: Vec<String> = writes.iter().filter(of_run).map(|r| format!("{} {}", r.verb, r.resource)).collect();
    assert_eq!(order.first().map(String::as_str), Some("update configmaps"), "first it is recorded");
    // What follows from the ledger is done side by side.
    order[1..].sort();
    assert_eq!(order[1..], ["delete jobs", "patch persistentvolumeclaims"], "{writes:?}");
    let told = writes.iter().position(|r| r.resource == "events");
    let went = writes.iter().position(|r| r.verb == "delete");
    assert!(told < went, "{writes:?}");
    assert_eq!(scene.find_copy(&claim, RUN, "disk").await?, None, "it is not copied again");
    Ok(())
}

/// Law 6.
#[tokio::test]
async fn an_incomplete_copy_is_kept_and_marked_not_good_and_not_tried_again() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let (claim, job) = copying(&scene).await?;
    scene.finish(&job, &kubelet::copied(CopyState::Incomplete, Some(Reason::Unreadable))).await?;
    let result = scene.recorded(&claim, RUN, "disk").await?;
    assert_eq!((result.state, result.files), (CopyState::Incomplete, 42));
    let status = scene.status_that("marked", &claim, failed(Reason::Unreadable)).await?;
    assert_eq!((status.good, status.copies["disk"].state), (None, CopyState::Incomplete));
    let event = scene.event(&claim, "Unreadable").await?;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    scene.gone(&job).await?;
    fence(&scene, "fence").await?;
    assert_eq!(scene.find_copy(&claim, RUN, "disk").await?, None, "it is not copied again");
    let counted = r#"backup_controller_copies_total{destination="disk",result="Incomplete"}"#;
    assert_eq!(controller.metric(counted)?, Some(1.0));
    let series = r#"backup_controller_sources{state="protected",reason="Unreadable"}"#;
    assert_eq!(controller.metric(series)?, Some(1.0));

    // The next good run makes up for it.
    scene.point(&claim, "20260102T0000Z", &["disk"]).await?;
    let job = scene.copy_of(&claim, "20260102T0000Z", "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.recorded(&claim, "20260102T0000Z", "disk").await?;
    scene.status_that("made up for", &claim, |s| s.failure.is_none() && s.good.is_some()).await?;
    Ok(())
}

#[tokio::test]
async fn a_job_that_fails_without_a_word_is_jobfailed() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "retries: {copy: 0}").await?;
    let (claim, job) = copying(&scene).await?;
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 137, "").await?;
    let result = scene.recorded(&claim, RUN, "disk").await?;
    assert_eq!((result.state, result.reason), (CopyState::Failed, Some(Reason::JobFailed)));
    scene.status_that("JobFailed", &claim, failed(Reason::JobFailed)).await?;
    scene.event(&claim, "JobFailed").await?;
    scene.gone(&job).await?;
    Ok(())
}

/// The result of a try that failed is what is told, not the Job controller's words.
#[tokio::test]
async fn a_failed_copy_tells_what_its_pod_said() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let (claim, job) = copying(&scene).await?;
    scene.finish(&job, &kubelet::copied(CopyState::Failed, Some(Reason::DiskFull))).await?;
    let result = scene.recorded(&claim, RUN, "disk").await?;
    assert_eq!((result.state, result.reason), (CopyState::Failed, Some(Reason::DiskFull)));
    scene.event(&claim, "DiskFull").await?;
    scene.gone(&job).await?;
    Ok(())
}

#[tokio::test]
async fn a_copy_that_takes_too_long_is_deadlineexceeded() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "deadlines: {copy: 3s}").await?;
    let (claim, job) = copying(&scene).await?;
    let pod = scene.pod_of(&job).await?;
    assert_eq!(job.spec.and_then(|s| s.active_deadline_seconds), Some(3));
    let result = scene.recorded(&claim, RUN, "disk").await?;
    assert_eq!((result.state, result.reason), (CopyState::Failed, Some(Reason::DeadlineExceeded)), "{pod:?}");
    scene.event(&claim, "DeadlineExceeded").await?;
    Ok(())
}

/// The data is there and the message is lost: one more Job finds the tree and tells. If that one says
/// nothing either, there is no third.
#[tokio::test]
async fn a_copy_whose_message_is_lost_is_made_once_more_and_not_for_ever() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let (claim, first) = copying(&scene).await?;
    let pod = scene.pod_of(&first).await?;
    scene.end_pod(&pod, 0, "").await?;
    scene.gone(&first).await?;
    let second = scene.copy_of(&claim, RUN, "disk").await?;
    let pod = scene.pod_of(&second).await?;
    scene.end_pod(&pod, 0, "").await?;
    let result = scene.recorded(&claim, RUN, "disk").await?;
    assert_eq!((result.state, result.reason), (CopyState::Failed, Some(Reason::JobFailed)));
    scene.gone(&second).await?;
    fence(&scene, "fence").await?;
    let writes = scene.writes(controller.user())?;
    let jobs = writes.iter().filter(|r| r.verb == "create" && r.resource == "jobs").count();
    assert_eq!(jobs, 2, "{writes:?}");
    let pods = scene.api::<Pod>(&scene.tenant).list(&ListParams::default()).await?;
    assert!(pods.items.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_copy_whose_message_is_lost_is_good_when_the_second_one_tells() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let (claim, first) = copying(&scene).await?;
    let pod = scene.pod_of(&first).await?;
    scene.end_pod(&pod, 0, "").await?;
    scene.gone(&first).await?;
    let second = scene.copy_of(&claim, RUN, "disk").await?;
    scene.finish(&second, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.status_that("good", &claim, |s| s.good.is_some() && s.failure.is_none()).await?;
    scene.gone(&second).await?;
    Ok(())
}

/// A run is good with one complete copy; that another failed is told all the same.
#[tokio::test]
async fn a_copy_that_fails_beside_a_good_one_is_told() -> Result<()> {
    let scene = Scene::new().await?;
    let class = scene.class("keep");
    let config = format!(
        "destinations:\n  - {{name: disk, type: disk, claim: {{storageClass: {class}, size: 1Gi}}}}\n  \
         - {{name: other, type: disk, claim: {{storageClass: {class}, size: 1Gi, name: other-disk}}}}\n"
    );
    let _controller = scene.controller(&config).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    scene.point(&claim, RUN, &["disk", "other"]).await?;
    bind_disk(&scene).await?;
    scene.bind_named(&scene.tenant, "other-disk", None).await?;
    let good = scene.copy_of(&claim, RUN, "disk").await?;
    let bad = scene.copy_of(&claim, RUN, "other").await?;
    scene.finish(&good, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.status_that("good", &claim, |s| s.good.is_some()).await?;
    scene.finish(&bad, &kubelet::copied(CopyState::Failed, Some(Reason::DiskFull))).await?;
    let event = scene.event(&claim, "DiskFull").await?;
    let note = event.note.unwrap_or_default();
    assert!(event.type_.as_deref() == Some("Warning") && note.contains("other") && note.contains(RUN), "{note}");
    let status = scene.status_that("both", &claim, |s| s.copies.contains_key("other")).await?;
    assert_eq!((status.copies["disk"].state, status.copies["other"].state), (CopyState::Complete, CopyState::Failed));
    assert!(status.failure.is_none() && status.good.is_some());
    Ok(())
}
