//! The controller is killed between any two steps: the next one finds what is done, and does the rest (F62).

use anyhow::Result;
use backup_controller_tests::{Scene, kubelet};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use model::record::CopyState;

use crate::controller::{bind_disk, disk, fence, source_with_run, with_disk};

const RUN: &str = "20260101T0000Z";

fn complete(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|c| c.type_ == "Complete" && c.status == "True")
}

/// After the Job was made, and after it has completed but was not recorded.
#[tokio::test]
async fn a_copy_is_adopted_and_recorded_by_the_next_controller() -> Result<()> {
    let scene = Scene::new().await?;
    let mut controller = with_disk(&scene, "").await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    controller.kill();
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    let jobs = scene.api::<Job>(&scene.tenant);
    scene.wait("the Job is complete", async || Ok(complete(&jobs.get(&job.name_any()).await?).then_some(()))).await?;
    controller.start()?;
    controller.ready(&scene).await?;
    scene.status_that("good", &claim, |s| s.good.is_some()).await?;
    scene.event(&claim, "BackupComplete").await?;
    scene.gone(&job).await?;
    fence(&scene, "fence").await?;
    let writes = scene.writes(controller.user())?;
    let count = |verb: &str, kind: &str| writes.iter().filter(|r| r.verb == verb && r.resource == kind).count();
    assert_eq!((count("create", "jobs"), count("patch", "volumesnapshots"), count("delete", "jobs")), (1, 0, 1));
    assert_eq!(scene.recorded(&claim, RUN, "disk").await?.state, CopyState::Complete);
    let told = scene.events(&claim).await?.into_iter().filter(|e| e.reason.as_deref() == Some("BackupComplete"));
    assert_eq!(told.map(|e| e.series.map(|s| s.count)).collect::<Vec<_>>(), [None], "recorded once");
    Ok(())
}

/// Killed again and again while sources, promoters and copies come: nothing is doubled and nothing is lost.
#[tokio::test]
async fn a_controller_that_is_killed_all_the_time_doubles_nothing() -> Result<()> {
    let scene = Scene::new().await?;
    let mut controller = with_disk(&scene, "limits: {cluster: 10, namespace: 10}").await?;
    let mut claims = Vec::new();
    for number in 0..4 {
        let (claim, ..) = source_with_run(&scene, &format!("data-{number}"), RUN).await?;
        controller.kill();
        controller.start()?;
        claims.push(claim);
    }
    bind_disk(&scene).await?;
    let mut done: Vec<Job> = Vec::new();
    while done.len() < claims.len() {
        let next = scene
            .wait("the next copy", async || {
                let open = |j: &Job| done.iter().all(|d| d.uid() != j.uid());
                Ok(scene.copy_jobs(&scene.tenant).await?.into_iter().find(open))
            })
            .await?;
        controller.kill();
        scene.finish(&next, &kubelet::copied(CopyState::Complete, None)).await?;
        controller.start()?;
        done.push(next);
    }
    for claim in &claims {
        scene.status_that("good", claim, |s| s.good.is_some() && s.failure.is_none()).await?;
    }
    for job in &done {
        scene.gone(job).await?;
    }
    fence(&scene, "fence").await?;
    let writes = scene.writes(controller.user())?;
    let made: Vec<_> = writes.iter().filter(|r| r.verb == "create" && r.resource == "jobs" && r.code == 201).collect();
    assert_eq!(made.len(), claims.len(), "{made:?}");
    Ok(())
}

/// A node that comes back, or a hand that starts another one: two of the same installation at once.
#[tokio::test]
async fn two_controllers_of_one_installation_double_nothing_and_do_not_fight() -> Result<()> {
    let scene = Scene::new().await?;
    let setup = scene.setup(&disk(&scene)).await?;
    let first = scene.start(setup.clone()).await?;
    let _second = scene.start(setup).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    let status = scene.status_that("good", &claim, |s| s.good.is_some()).await?;
    assert_eq!(status.failure, None);
    scene.gone(&job).await?;
    fence(&scene, "fence").await?;
    // Both are the same account: what each of them wrote is counted together.
    let writes = scene.writes(first.user())?;
    let made = writes.iter().filter(|r| r.verb == "create" && r.resource == "jobs" && r.code == 201).count();
    assert_eq!(made, 1, "{writes:?}");
    let told = writes.iter().filter(|r| r.name == "data").count();
    assert!((2..=6).contains(&told), "{told} times: {writes:?}");
    Ok(())
}

#[tokio::test]
async fn a_controller_that_is_told_to_stop_stops() -> Result<()> {
    let scene = Scene::new().await?;
    let mut controller = scene.controller("").await?;
    fence(&scene, "data").await?;
    controller.terminate(&scene).await?;
    assert!(controller.log().lines().last().is_some_and(|l| l.contains("stopped")), "{}", controller.log());
    Ok(())
}
