//! A repository on a disk: copied to, restored from, and lent.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, kubelet, source};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use model::names::{self, GrantClaim};
use model::record::{CopyResult, CopyState, RestoreState};
use serde_json::{Value, json};

use super::{answered, done, restore_job, restore_job_in};
use crate::controller::{bind_disk, source_with_run};

const RUN: &str = "20260101T0000Z";
const ID: &str = "0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd";

/// What the Job's pod has of the repository: the PVC, the mount, and whether it has the network.
fn repository(job: &Job) -> Result<(Value, Value, String)> {
    let template = serde_json::to_value(job)?["spec"]["template"].clone();
    let named = |list: &Value| {
        let list = list.as_array().cloned().unwrap_or_default();
        list.into_iter().find(|v| v["name"] == "repository").unwrap_or_default()
    };
    let volume = named(&template["spec"]["volumes"])["persistentVolumeClaim"].clone();
    let container = &template["spec"]["containers"][0];
    assert!(container["args"].as_array().is_some_and(|a| a.contains(&json!("--repository=/repository"))));
    let kind = template["metadata"]["labels"][names::DESTINATION_TYPE].as_str().unwrap_or_default().to_owned();
    Ok((volume, named(&container["volumeMounts"]), kind))
}

#[tokio::test]
async fn a_repository_on_a_disk_is_copied_to_restored_from_and_lent() -> Result<()> {
    let scene = Scene::new().await?;
    let other = scene.namespace("test").await?;
    let setup = scene
        .setup(&format!(
            "destinations:\n  - {{name: disk, type: restic, secret: backup-s3, claim: {{storageClass: {}, size: 1Gi}}}}\n\
             restores:\n  grants: [{{from: {}/*, to: {other}}}]\n",
            scene.class("keep"),
            scene.tenant
        ))
        .await?;
    scene.guard(&setup.identity, "controller.yaml").await?;
    let controller = scene.start(setup).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    let disk = bind_disk(&scene).await?;
    let shelf = format!("{}/data/{}", scene.tenant, source(&claim).uid);
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let (volume, mount, kind) = repository(&job)?;
    assert_eq!(volume, json!({"claimName": disk.name_any()}));
    assert_eq!(mount, json!({"name": "repository", "mountPath": "/repository", "subPath": shelf}));
    assert_eq!(kind, names::RESTIC_ON_DISK);
    let policy = scene.api::<NetworkPolicy>(&scene.tenant).get(&names::network_policy(&scene.instance())).await?;
    assert_eq!(policy.labels()[names::DESTINATION_TYPE], names::DISK, "it needs no network");
    let copied = CopyResult { snapshot: Some(ID.to_owned()), ..kubelet::copied(CopyState::Complete, None) };
    scene.finish(&job, &copied).await?;
    scene.gone(&job).await?;

    let request = "pvc=data date=20260101 from=restic";
    let target = scene.bound(&scene.tenant, NewClaim::new("target").annotate(names::RESTORE_FROM, request)).await?;
    let job = restore_job(&scene, &target, request).await?;
    let (volume, mount, _) = repository(&job)?;
    assert_eq!(volume, json!({"claimName": disk.name_any(), "readOnly": true}));
    assert_eq!((&mount["subPath"], &mount["readOnly"]), (&json!(shelf), &json!(true)));
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 0, &serde_json::to_string(&done(RestoreState::Complete))?).await?;
    answered(&scene, "target", RestoreState::Complete).await?;

    let request = format!("pvc={}/data date=latest from=restic", scene.tenant);
    let target = scene.bound(&other, NewClaim::new("copy").annotate(names::RESTORE_FROM, &request)).await?;
    let job = restore_job_in(&scene, &other, &target, &request).await?;
    let (volume, mount, _) = repository(&job)?;
    assert_eq!(volume, json!({"claimName": job.name_any(), "readOnly": true}), "the claim that is made for it");
    assert_eq!(mount["subPath"], json!(shelf));
    let volumes: kube::Api<PersistentVolume> = kube::Api::all(scene.client.clone());
    let name = names::grant_volume(&scene.instance(), GrantClaim { namespace: &other, name: &job.name_any() });
    let lent = scene.wait("the lent volume", async || Ok(volumes.get_opt(&name).await?)).await?;
    let csi = lent.spec.unwrap_or_default().csi.unwrap_or_default();
    assert_eq!((csi.read_only, csi.volume_handle), (Some(true), disk.uid().unwrap_or_default()));
    let claims = scene.api::<PersistentVolumeClaim>(&other);
    scene.wait("the claim to it", async || Ok(claims.get_opt(&job.name_any()).await?)).await?;
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 0, &serde_json::to_string(&done(RestoreState::Complete))?).await?;
    scene.wait("the volume is gone", async || Ok(volumes.get_opt(&name).await?.is_none().then_some(()))).await?;
    let writes = scene.writes(controller.user())?;
    let gone = |r: &dev_cluster::AuditedRequest| r.verb == "delete" && r.code == 404;
    let refused: Vec<_> = writes.into_iter().filter(|r| r.code >= 400 && r.name != "guard-probe" && !gone(r)).collect();
    assert_eq!(refused, Vec::<dev_cluster::AuditedRequest>::new());
    Ok(())
}
