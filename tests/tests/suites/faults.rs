//! The cluster itself fails or is not complete. Each test has a control plane of its own.

use std::sync::OnceLock;

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, kubelet};
use dev_cluster::{ControlPlane, Options, Part};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use model::reason::Reason;
use model::record::CopyState;

const RUN: &str = "20260101T0000Z";

/// A scene on a control plane that lives as long as the process; a test that fails must be able to show it.
async fn scene(options: Options, held: &'static OnceLock<ControlPlane>) -> Result<Scene> {
    let plane = ControlPlane::start_with(&options)?;
    Scene::on(held.get_or_init(|| plane)).await
}

/// F04: a cluster without the snapshot API is told so, and when the API appears, all goes on by itself.
#[tokio::test]
async fn the_snapshot_api_may_be_missing_and_appear_later() -> Result<()> {
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    let scene = scene(Options { audit: true, snapshot_crds: false, ..Options::default() }, &PLANE).await?;
    let controller = scene.controller("").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let missing = |s: &model::record::Status| s.unprotected.as_ref().is_some_and(|p| p.reason == Reason::NoSnapshotApi);
    scene.status_that("NoSnapshotApi", &claim, missing).await?;
    let event = scene.event(&claim, "NoSnapshotApi").await?;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert!(scene.cronjobs_of(&claim).await?.is_empty());
    assert_eq!(controller.page("/readyz")?.0, 200, "it does what it can");

    let crds = dev_cluster::ensure_built(Part::Crds)?.display().to_string();
    scene.plane.kubectl(&["create", "-f", &crds])?;
    scene.plane.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "-f", &crds])?;
    scene.snapshot_class("snap", &scene.driver(), false).await?;
    scene.cronjob_of(&claim).await?;
    scene.status_that("protected", &claim, |s| s.protected_since.is_some() && s.unprotected.is_none()).await?;
    scene.event(&claim, "Protected").await?;
    // It was looked for less and less often.
    let tries = controller.log().lines().filter(|l| l.contains("trying again later")).count();
    assert!(tries < 40, "{tries} tries");
    Ok(())
}

/// F63, F64: the API server dies twice. First the controller does not see what happens around it, and must
/// list anew; then it is cut off. It does all that is due afterwards, and nothing twice.
#[tokio::test]
async fn an_api_server_that_dies_loses_and_doubles_nothing() -> Result<()> {
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    let scene = scene(Options { audit: true, ..Options::default() }, &PLANE).await?;
    scene.snapshot_class("snap", &scene.driver(), false).await?;
    let class = scene.class("keep");
    let config = format!("destinations: [{{name: disk, type: disk, claim: {{storageClass: {class}, size: 1Gi}}}}]");
    let controller = scene.controller(&config).await?;
    let gone = scene.bound(&scene.tenant, NewClaim::new("gone")).await?;
    let its = scene.cronjob_of(&gone).await?;
    let copied = scene.bound(&scene.tenant, NewClaim::new("copied")).await?;
    scene.point(&copied, RUN, &["disk"]).await?;
    scene.bind_named(&scene.tenant, "backup-disk", None).await?;
    let job = scene.copy_of(&copied, RUN, "disk").await?;
    let kept = scene.bound(&scene.tenant, NewClaim::new("kept")).await?;
    let cronjob = scene.cronjob_of(&kept).await?;
    scene.event(&kept, "Protected").await?;

    // It sleeps while a PVC and a CronJob go, another PVC comes and a copy ends. Its watches end before that,
    // and cannot be resumed when it wakes up: the last API server does not know that far back.
    controller.freeze(true)?;
    scene.plane.restart_apiserver()?;
    let claims: Api<PersistentVolumeClaim> = scene.api(&scene.tenant);
    claims.delete("gone", &DeleteParams::default()).await?;
    scene.gone(&gone).await?;
    scene.api::<CronJob>(&scene.home).delete(&cronjob.name_any(), &DeleteParams::default()).await?;
    scene.gone(&cronjob).await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    let come = scene.bound(&scene.tenant, NewClaim::new("come")).await?;
    scene.plane.restart_apiserver()?;
    controller.freeze(false)?;
    scene.gone(&its).await?;
    let again = scene.cronjob_of(&kept).await?;
    assert_ne!(again.uid(), cronjob.uid());
    scene.cronjob_of(&come).await?;
    scene.status_that("good", &copied, |s| s.good.is_some()).await?;
    scene.gone(&job).await?;

    // Cut off: alive, and back when the API server is.
    let breaks = || controller.log().lines().filter(|l| l.contains("was interrupted")).count();
    let before = breaks();
    scene.plane.stop_apiserver()?;
    let broken = async || Ok((breaks() > before).then_some(()));
    backup_controller_tests::wait_for("the watches break", backup_controller_tests::DEADLINE, broken, async || {
        controller.log()
    })
    .await?;
    assert_eq!(controller.page("/healthz")?.0, 200);
    scene.plane.start_apiserver()?;
    let after = scene.bound(&scene.tenant, NewClaim::new("after")).await?;
    scene.point(&after, RUN, &["disk"]).await?;
    scene.cronjob_of(&after).await?;
    let second = scene.copy_of(&after, RUN, "disk").await?;
    scene.finish(&second, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.status_that("good", &after, |s| s.good.is_some() && s.failure.is_none()).await?;
    scene.gone(&second).await?;

    let writes = scene.writes(controller.user())?;
    let made: Vec<_> = writes.iter().filter(|r| r.verb == "create" && r.resource == "jobs" && r.code == 201).collect();
    assert_eq!(made.len(), 2, "{made:?}");
    for claim in [&copied, &after] {
        assert_eq!(scene.recorded(claim, RUN, "disk").await?.state, CopyState::Complete);
        let told = scene.events(claim).await?.into_iter().filter(|e| e.reason.as_deref() == Some("BackupComplete"));
        assert_eq!(told.map(|e| e.series.map(|s| s.count)).collect::<Vec<_>>(), [None], "recorded once");
    }
    Ok(())
}

/// F65: the API server hangs. Nothing is given up, and nothing is done twice when it goes on.
#[tokio::test]
async fn an_api_server_that_hangs_is_waited_for() -> Result<()> {
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    let scene = scene(Options { audit: true, ..Options::default() }, &PLANE).await?;
    scene.snapshot_class("snap", &scene.driver(), false).await?;
    let controller = scene.controller("").await?;
    let mut claims = Vec::new();
    for number in 0..20 {
        claims.push(scene.bound(&scene.tenant, NewClaim::new(&format!("data-{number}"))).await?);
    }
    // In the middle of its work.
    scene.plane.freeze_apiserver(true)?;
    assert_eq!(controller.page("/healthz")?.0, 200);
    assert_eq!(controller.page("/metrics")?.0, 200);
    scene.plane.freeze_apiserver(false)?;
    for claim in &claims {
        scene.cronjob_of(claim).await?;
        scene.status_that("protected", claim, |s| s.protected_since.is_some()).await?;
    }
    let writes = scene.writes(controller.user())?;
    for claim in &claims {
        let name = model::names::cronjob(&backup_controller_tests::source(claim));
        let count = writes.iter().filter(|r| r.name == name).count();
        assert_eq!(count, 1, "{name}: {writes:?}");
    }
    Ok(())
}
