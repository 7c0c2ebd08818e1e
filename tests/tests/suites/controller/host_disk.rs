//! A destination on a host's disk: keeper, volume, claim, copy.

use anyhow::{Context as _, Result};
use backup_controller_tests::{Scene, binaries};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{Api, ResourceExt};
use model::names::{self, FolderOf};
use model::reason::Reason;
use model::record::Status;

use crate::controller::source_with_run;

const RUN: &str = "20260101T0000Z";

pub(super) fn destination(scene: &Scene) -> String {
    let node = format!("{}-host", scene.name);
    format!(
        "destinations:\n  - name: disk\n    type: disk\n    hostPath: {{path: /srv/{}, size: 1Ti, \
         nodeSelector: {{kubernetes.io/hostname: {node}}}}}\n",
        scene.name
    )
}

pub(super) async fn node(scene: &Scene) -> Result<()> {
    let node = format!("{}-host", scene.name);
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": {"kubernetes.io/hostname": node}},
    });
    scene.apply(&object).await.map(drop)
}

pub(super) async fn keeper(scene: &Scene, old: Option<&Job>) -> Result<Job> {
    let name = names::keeper_job(&scene.instance(), FolderOf { destination: "disk", namespace: &scene.tenant });
    let jobs = scene.api::<Job>(&scene.home);
    let new = |j: &Job| old.is_none_or(|o| o.uid() != j.uid());
    scene.wait("the keeper", async || Ok(jobs.get_opt(&name).await?.filter(new))).await
}

#[tokio::test]
async fn a_keeper_a_volume_a_claim_and_a_copy() -> Result<()> {
    let scene = Scene::new().await?;
    node(&scene).await?;
    let _controller = scene.controller(&destination(&scene)).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    let job = keeper(&scene, None).await?;
    let volumes: Api<PersistentVolume> = Api::all(scene.client.clone());
    let name = names::disk_volume(&scene.instance(), FolderOf { destination: "disk", namespace: &scene.tenant });
    assert_eq!(volumes.get_opt(&name).await?, None, "not before the keeper has seen the disk");
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 0, "{\"folder\":\"x\"}").await?;

    let volume = scene.wait("the volume", async || Ok(volumes.get_opt(&name).await?)).await?;
    let spec = volume.spec.unwrap_or_default();
    assert_eq!(spec.local.map(|l| l.path), Some(format!("/srv/{}/{}", scene.name, scene.tenant)));
    assert_eq!(spec.persistent_volume_reclaim_policy.as_deref(), Some("Retain"));
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let disk = scene.api::<PersistentVolumeClaim>(&scene.tenant).get("backup-disk-disk").await?;
    assert_eq!(disk.spec.and_then(|s| s.volume_name), Some(name));
    let text = serde_json::to_string(&job)?;
    assert!(text.contains("backup-disk-disk") && !text.contains("hostPath"), "{text}");
    Ok(())
}

/// The words are those of the real keeper, in a folder without the marker file.
#[tokio::test]
async fn a_disk_that_is_not_mounted_is_told() -> Result<()> {
    let scene = Scene::new().await?;
    node(&scene).await?;
    let controller = scene.controller(&destination(&scene)).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    let job = keeper(&scene, None).await?;
    let pod = scene.pod_of(&job).await?;

    let root = scene.dir.join("empty mount point");
    std::fs::create_dir_all(&root)?;
    let log = scene.dir.join("termination-log");
    let ended = std::process::Command::new(binaries::path("backup-job")?)
        .args(["keep", "--namespace", &scene.tenant, "--root"])
        .arg(&root)
        .arg("--termination-log")
        .arg(&log)
        .output()?;
    let exit = ended.status.code().context("it was killed")?;
    scene.end_pod(&pod, exit, &std::fs::read_to_string(log)?).await?;

    let told = |s: &Status| s.waiting.as_ref().is_some_and(|p| p.reason == Reason::DiskNotMounted);
    let status = scene.status_that("DiskNotMounted", &claim, told).await?;
    assert!(status.waiting.is_some_and(|p| p.message.contains(".backup-controller-disk")));
    scene.event(&claim, "DiskNotMounted").await?;
    let waiting = r#"backup_controller_sources{state="protected",reason=""}"#;
    assert_eq!(controller.metric(waiting)?, Some(1.0));
    assert_eq!(scene.copy_jobs(&scene.tenant).await?, []);
    Ok(())
}

/// Law 8 for volumes, which have no namespace.
#[tokio::test]
async fn a_strangers_volume_with_our_name_is_not_used() -> Result<()> {
    let scene = Scene::new().await?;
    node(&scene).await?;
    let name = names::disk_volume(&scene.instance(), FolderOf { destination: "disk", namespace: &scene.tenant });
    scene
        .apply(&serde_json::json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Ti"}, "hostPath": {"path": "/etc"}},
        }))
        .await?;
    let _controller = scene.controller(&destination(&scene)).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    let told = |s: &Status| s.waiting.as_ref().is_some_and(|p| p.reason == Reason::NameTaken);
    scene.status_that("NameTaken", &claim, told).await?;
    assert_eq!(scene.api::<PersistentVolumeClaim>(&scene.tenant).get_opt("backup-disk-disk").await?, None);
    Ok(())
}
