//! What an object is follows from where it comes from, not from its labels alone; and what is not ours is
//! left alone.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, kubelet, source};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use model::names;
use model::reason::Reason;
use model::record::CopyState;
use model::snapshot::VolumeSnapshot;
use serde_json::json;

use crate::controller::{bind_disk, disk, fence, source_with_run, with_disk};

const RUN: &str = "20260101T0000Z";

/// F28: backups are not backed up; but what a user makes of one is his.
#[tokio::test]
async fn a_promoter_without_its_labels_is_no_source_and_a_users_restore_is() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let (claim, snapshot, promoter) = source_with_run(&scene, "data", RUN).await?;
    let disk = bind_disk(&scene).await?;
    scene.copy_of(&claim, RUN, "disk").await?;
    let strip = Patch::Merge(json!({"metadata": {"labels": null}}));
    let claims = scene.api::<PersistentVolumeClaim>(&scene.tenant);
    for ours in [&promoter, &disk] {
        let now = claims.patch(&ours.name_any(), &PatchParams::default(), &strip).await?;
        assert!(now.labels().is_empty());
    }
    let restored = scene.bound(&scene.tenant, NewClaim::new("restored").from_snapshot(&snapshot.name_any())).await?;
    scene.cronjob_of(&restored).await?;
    scene.event(&restored, "Protected").await?;
    fence(&scene, "fence").await?;
    for ours in [&promoter, &disk] {
        assert_eq!(scene.cronjobs_of(ours).await?, []);
        assert_eq!(scene.status(ours).await?, None);
    }
    assert_eq!(controller.page("/healthz")?.0, 200);
    Ok(())
}

/// A label says that a PVC is the promoter of a run; what it was made from says otherwise. It is not copied.
#[tokio::test]
async fn a_forged_promoter_is_not_copied() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let (other, ..) = source_with_run(&scene, "other", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&other, RUN, "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.gone(&job).await?;

    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &["disk"]).await?;
    scene.make_ready(&snapshot).await?;
    let forged = scene.claim(&scene.tenant, NewClaim::new("a-forged-one")).await?;
    let labels = json!({
        names::MANAGED_BY: names::MANAGER, names::INSTANCE: scene.name, names::COMPONENT: "promoter",
        names::SOURCE_UID: source(&claim).uid, names::SOURCE_PVC: "data", names::RUN: RUN,
    });
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    scene.api::<PersistentVolumeClaim>(&scene.tenant).patch("a-forged-one", &PatchParams::default(), &patch).await?;
    scene.bind(&forged, None).await?;
    fence(&scene, "fence").await?;
    assert_eq!(scene.copy_jobs(&scene.tenant).await?, []);
    // The true one comes, and is.
    let (_, promoter) = scene.point(&claim, RUN, &["disk"]).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let text = serde_json::to_string(&job)?;
    assert!(text.contains(&promoter.name_any()) && !text.contains("a-forged-one"), "{text}");
    Ok(())
}

/// S12: a tenant deletes what is ours, and makes his own by the names that follow from the run. Nothing of it counts as ours.
#[tokio::test]
async fn what_takes_the_name_of_a_promoter_and_of_its_snapshot_is_neither() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let (claim, snapshot, promoter) = source_with_run(&scene, "data", RUN).await?;
    let other = scene.bound(&scene.tenant, NewClaim::new("other")).await?;
    let gone = kube::api::DeleteParams::default();
    let (claims, snapshots) =
        (scene.api::<PersistentVolumeClaim>(&scene.tenant), scene.api::<VolumeSnapshot>(&scene.tenant));
    claims.delete(&promoter.name_any(), &gone).await?;
    snapshots.delete(&snapshot.name_any(), &gone).await?;
    scene.gone(&promoter).await?;
    scene.gone(&snapshot).await?;
    let forged = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": snapshot.name_any(), "namespace": scene.tenant},
        "spec": {"volumeSnapshotClassName": "snap", "source": {"persistentVolumeClaimName": other.name_any()}},
    });
    scene.apply(&forged).await?;
    let forged = snapshots.get(&snapshot.name_any()).await?;
    scene.make_ready(&forged).await?;
    let new = NewClaim::new(&promoter.name_any()).from_snapshot(&forged.name_any());
    scene.bound(&scene.tenant, new).await?;
    bind_disk(&scene).await?;
    fence(&scene, "fence").await?;
    assert_eq!(scene.copy_jobs(&scene.tenant).await?, []);
    let lost = |s: &model::record::Status| s.failure.as_ref().is_some_and(|f| f.problem.reason == Reason::PromoterLost);
    scene.status_that("the copy is given up", &claim, lost).await?;
    let asks = format!("pvc=data date={RUN} from=snapshot");
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "other", &[(names::RESTORE_FROM, Some(&asks))]).await?;
    let refused = async || {
        let record = claims.get("other").await?.annotations().get(names::RESTORE_STATUS).cloned();
        Ok(record.filter(|r| r.contains("NoRestorePoint")))
    };
    scene.wait("it is no restore point", refused).await?;
    assert_eq!(scene.api::<Job>(&scene.tenant).list(&kube::api::ListParams::default()).await?.items, []);
    Ok(())
}

/// F94: two installations on one cluster.
#[tokio::test]
async fn another_installations_objects_are_left_alone() -> Result<()> {
    let scene = Scene::new().await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    // The scene's name is the other installation's: what the harness makes is its.
    let (snapshot, promoter) = scene.point(&claim, RUN, &["disk"]).await?;
    let cronjob: CronJob = serde_json::from_value(json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "theirs", "labels": {
            names::MANAGED_BY: names::MANAGER, names::INSTANCE: scene.name, names::COMPONENT: "snapshot",
            names::SOURCE_UID: source(&claim).uid, names::SOURCE_PVC: "data",
        }},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "backup", "image": "none"}],
        }}}}},
    }))?;
    let cronjobs = scene.api::<CronJob>(&scene.home);
    let cronjob = cronjobs.create(&PostParams::default(), &cronjob).await?;
    let mut setup = scene.setup(&disk(&scene)).await?;
    setup.instance = format!("{}-second", scene.name);
    let controller = scene.start(setup).await?;
    let marker = fence(&scene, "fence").await?;
    let its = scene.cronjob_of(&claim).await?;
    let ours = scene.cronjobs_of(&claim).await?;
    assert_eq!(ours.len(), 2, "each installation has one: {its:?}");
    let theirs = cronjobs.get("theirs").await?;
    assert_eq!((theirs.uid(), theirs.resource_version()), (cronjob.uid(), cronjob.resource_version()));
    assert_eq!(scene.api::<Job>(&scene.tenant).list(&kube::api::ListParams::default()).await?.items, []);
    let now = scene.api::<VolumeSnapshot>(&scene.tenant).get(&snapshot.name_any()).await?;
    assert_eq!(now.resource_version(), snapshot.resource_version());
    assert_eq!(scene.cronjobs_of(&promoter).await?, [], "the other's promoter is no source");
    let writes = scene.writes(controller.user())?;
    let touched: Vec<_> = writes
        .iter()
        .filter(|r| !matches!(r.resource.as_str(), "events" | "cronjobs" | "configmaps"))
        .filter(|r| r.name != "data" && r.name != marker.name_any() && r.namespace.starts_with(&scene.name))
        .collect();
    assert_eq!(touched, Vec::<&dev_cluster::AuditedRequest>::new());
    Ok(())
}

/// A tenant may make CronJobs in his namespace, with our labels and our names. That changes nothing.
#[tokio::test]
async fn a_cronjob_in_a_tenants_namespace_stands_for_none_of_ours() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller("").await?;
    let claim = fence(&scene, "data").await?;
    let ours = scene.cronjob_of(&claim).await?;
    let before = scene.writes(controller.user())?.len();
    let mut forged = ours.clone();
    forged.metadata = kube::core::ObjectMeta {
        name: Some(ours.name_any()),
        labels: ours.metadata.labels.clone(),
        annotations: ours.metadata.annotations.clone(),
        ..Default::default()
    };
    if let Some(spec) = &mut forged.spec {
        spec.schedule = "9 9 9 9 *".into();
    }
    let cronjobs = scene.api::<CronJob>(&scene.tenant);
    let forged = cronjobs.create(&PostParams::default(), &forged).await?;
    fence(&scene, "fence-1").await?;
    cronjobs.delete(&forged.name_any(), &kube::api::DeleteParams::default()).await?;
    scene.gone(&forged).await?;
    fence(&scene, "fence-2").await?;
    let writes = scene.writes(controller.user())?.split_off(before);
    assert!(writes.iter().all(|r| r.name != ours.name_any()), "{writes:?}");
    assert_eq!(scene.cronjob_of(&claim).await?.resource_version(), ours.resource_version());
    Ok(())
}
