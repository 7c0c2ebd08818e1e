//! The whole flow under the guard: the policies that restrict our accounts do not stand in their way.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, kubelet};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use model::names;
use model::record::CopyState;

use crate::controller::{bind_disk, disk, source_with_run};

const RUN: &str = "20260101T0000Z";

#[tokio::test]
async fn the_guard_lets_the_whole_flow_pass() -> Result<()> {
    let scene = Scene::new().await?;
    let setup = scene.setup(&disk(&scene)).await?;
    scene.guard(&setup.identity, "controller.yaml").await?;
    let controller = scene.start(setup).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    let cronjob = scene.cronjob_of(&claim).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.status_that("good", &claim, |s| s.good.is_some()).await?;
    scene.gone(&job).await?;
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "data", &[(names::RUN_NOW, Some("1"))]).await?;
    scene.status_that("a run was started", &claim, |s| s.run_now.is_some()).await?;
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "data", &[(names::ENABLED, Some("false"))]).await?;
    scene.gone(&cronjob).await?;
    scene.event(&claim, "Disabled").await?;
    let other = scene.bound(&scene.tenant, NewClaim::new("other")).await?;
    scene.event(&other, "Protected").await?;
    let writes = scene.writes(controller.user())?;
    // The harness itself tries what is forbidden, to see that the guard is there.
    let refused: Vec<_> = writes.iter().filter(|r| r.code >= 400 && r.name != "guard-probe").collect();
    assert_eq!(refused, Vec::<&dev_cluster::AuditedRequest>::new());
    Ok(())
}
