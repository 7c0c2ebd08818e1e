//! Raw block volumes: protected as any other, and read as the devices that they are.

use anyhow::{Context as _, Result};
use backup_controller_tests::{NewClaim, Scene};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use model::names;
use serde_json::{Value, json};

use crate::controller::{bind_disk, with_disk};

const RUN: &str = "20260101T0000Z";
const S3: &str = "  - {name: s3, type: restic, secret: backup-s3}\n";

/// Its pods have the promoter's device at the place where files would be mounted, to read and not to write.
pub(crate) fn reads_the_device(job: &Job, promoter: &PersistentVolumeClaim) -> Result<()> {
    let job = serde_json::to_value(job)?;
    let pod = job.pointer("/spec/template/spec").context("no pod")?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let container = &pod["containers"][0];
    assert_eq!(container["volumeDevices"], json!([{"name": "source", "devicePath": "/source"}]));
    let source = list(&pod["volumes"]).into_iter().find(|v| v["name"] == "source").unwrap_or_default();
    assert_eq!(source["persistentVolumeClaim"], json!({"claimName": promoter.name_any(), "readOnly": true}));
    let mounted = |m: &Value| m["name"] == "source" || m["mountPath"] == "/source";
    assert!(!list(&container["volumeMounts"]).iter().any(mounted), "{container}");
    let args = list(&container["args"]);
    assert!(args.iter().any(|a| a == "--source=/source"), "{args:?}");
    Ok(())
}

/// The namespace enforces `baseline`: the API server has no objection to a pod with a device.
#[tokio::test]
async fn a_raw_block_volume_has_a_cronjob_and_its_copies_read_the_device() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, S3).await?;
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    let level = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}});
    namespaces.patch(&scene.tenant, &PatchParams::default(), &Patch::Merge(level)).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("raw").block()).await?;
    scene.cronjob_of(&claim).await?;
    scene.status_that("protected", &claim, |s| s.unprotected.is_none() && s.protected_since.is_some()).await?;
    let (snapshot, promoter) = scene.point(&claim, RUN, &["disk", "s3"]).await?;
    assert_eq!(snapshot.annotations()[names::VOLUME_MODE_TAKEN], "Block");
    assert_eq!(promoter.spec.as_ref().and_then(|s| s.volume_mode.as_deref()), Some("Block"));
    let disk = bind_disk(&scene).await?;
    assert_eq!(disk.spec.as_ref().and_then(|s| s.volume_mode.as_deref()), Some("Filesystem"), "the disk has files");
    for destination in ["disk", "s3"] {
        let job = scene.copy_of(&claim, RUN, destination).await?;
        reads_the_device(&job, &promoter)?;
        let pod = scene.pod_of(&job).await?;
        let devices = pod.spec.and_then(|s| s.containers[0].volume_devices.clone()).unwrap_or_default();
        assert_eq!(devices.len(), 1, "{destination}");
    }
    Ok(())
}
