//! Restores of raw block volumes: the pod has devices where others have mounts, and nothing is mixed.

use super::*;

/// A raw block volume with a run and its copy on the disk.
async fn copied(scene: &Scene) -> Result<(PersistentVolumeClaim, VolumeSnapshot, Controller)> {
    let controller = with_disk(scene, "").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("image").block()).await?;
    let (snapshot, _) = scene.point(&claim, RUN, &["disk"]).await?;
    bind_disk(scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let mut result = kubelet::copied(CopyState::Complete, None);
    result.kept = vec![RUN.parse()?, "20251231T0000Z".parse()?];
    scene.finish(&job, &result).await?;
    scene.gone(&job).await?;
    Ok((claim, snapshot, controller))
}

/// Where the first container has each volume: as a device, and mounted.
fn places(pod: &Value) -> (Value, Vec<Value>) {
    let container = &pod["spec"]["containers"][0];
    let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
    let data = |m: &Value| m["name"] == "source" || m["name"] == "destination";
    (container["volumeDevices"].clone(), mounts.into_iter().filter(data).collect())
}

async fn refusal(scene: &Scene, name: &str, request: &str) -> Result<String> {
    ask(scene, name, request).await?;
    let problem = answer(scene, name, RestoreState::Refused).await?.problem;
    let now = scene.api::<Deployment>(&scene.tenant).get(&format!("restore-{name}")).await?;
    assert_eq!(now.spec.and_then(|s| s.replicas), Some(0), "{request}");
    Ok(problem.map(|p| p.to_string()).unwrap_or_default())
}

#[tokio::test]
async fn a_device_is_restored_from_its_promoter_by_a_pod_that_has_both_as_devices() -> Result<()> {
    let scene = Scene::new().await?;
    let (_, snapshot, _controller) = copied(&scene).await?;
    ask(&scene, "image", "pvc=image date=latest").await?;
    let record = answer(&scene, "image", RestoreState::Ready).await?;
    assert_eq!(record.point, Some(snapshot.name_any()));
    let pod = serde_json::to_value(restore_pod(&scene, "image").await?)?;
    let (devices, mounts) = places(&pod);
    let both =
        json!([{"name": "source", "devicePath": "/volume"}, {"name": "destination", "devicePath": "/restore-point"}]);
    assert_eq!((devices, mounts), (both, vec![]));
    let volumes = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    let claim_of = |name: &str| volumes.iter().find(|v| v["name"] == name).map(|v| v["persistentVolumeClaim"].clone());
    assert_eq!(claim_of("source"), Some(json!({"claimName": "image"})));
    let promoter = json!({"claimName": snapshot.name_any(), "readOnly": true});
    assert_eq!(claim_of("destination"), Some(promoter));
    Ok(())
}

/// Of a run that only the disk still has: what the PVC was is known by its UID.
#[tokio::test]
async fn an_image_on_the_disk_is_a_file_in_a_folder_and_only_the_target_is_a_device() -> Result<()> {
    let scene = Scene::new().await?;
    let (claim, _, _controller) = copied(&scene).await?;
    let told = scene.event(&claim, "BackupComplete").await?.note.unwrap_or_default();
    assert!(told.contains("; 1 device, ") && told.ends_with(" on disk"), "{told}");
    let request = "pvc=image date=20251231 from=disk";
    let target =
        scene.bound(&scene.tenant, NewClaim::new("target").block().annotate(names::RESTORE_FROM, request)).await?;
    let job = restore_job(&scene, &target, request).await?;
    let pod = serde_json::to_value(&job)?["spec"]["template"].clone();
    let (devices, mounts) = places(&pod);
    assert_eq!(devices, json!([{"name": "source", "devicePath": "/volume"}]));
    let folder = format!("{}/image/{}/20251231T0000Z", scene.tenant, source(&claim).uid);
    let tree = |at: &str| json!({"name": "destination", "mountPath": at, "readOnly": true, "subPath": folder});
    assert_eq!(mounts, vec![tree("/restore-point"), tree("/destination")]);
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["restore", "--yes"]), "the program sees by itself what there is");
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 0, &serde_json::to_string(&done(RestoreState::Complete))?).await?;
    answered(&scene, "target", RestoreState::Complete).await?;
    Ok(())
}

#[tokio::test]
async fn files_and_devices_are_not_mixed_and_a_device_has_no_paths() -> Result<()> {
    let scene = Scene::new().await?;
    let (_, _, _controller) = copied(&scene).await?;
    scene.bound(&scene.tenant, NewClaim::new("files")).await?;
    for (name, request) in [("snapshot", "from=snapshot"), ("disk", "from=disk"), ("old", "date=20251231")] {
        let date = if request.starts_with("date") { "" } else { "date=20260101 " };
        let refusal = refusal(&scene, name, &format!("pvc=image {date}{request} target=files")).await?;
        let why =
            "VolumeModeDiffers: PVC image is a raw block volume (volumeMode: Block), but PVC files has a filesystem";
        assert_eq!(refusal, why);
    }
    let other = refusal(&scene, "path", "pvc=image date=latest path=etc/passwd").await?;
    assert!(other.starts_with("VolumeModeDiffers: a raw block volume has no files"), "{other}");
    // The other way round, asked for on the PVC: said as an Event too, with what to do.
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    scene.point(&claim, RUN, &[]).await?;
    let request = "pvc=data date=latest";
    let target =
        scene.bound(&scene.tenant, NewClaim::new("raw").block().annotate(names::RESTORE_FROM, request)).await?;
    let problem = answered(&scene, "raw", RestoreState::Refused).await?.problem;
    assert_eq!(problem.map(|p| p.reason), Some(Reason::VolumeModeDiffers));
    let event = scene.event(&target, "RestoreRefused").await?;
    assert!(event.note.is_some_and(|note| note.contains(Reason::VolumeModeDiffers.help())));
    Ok(())
}

/// F78. The source is gone, and the class of the target says nothing about what it was: the snapshot does.
#[tokio::test]
async fn a_device_that_is_gone_is_promoted_again_as_the_device_that_it_was() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("image").block()).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &[]).await?;
    let snapshot = scene.make_ready(&snapshot).await?;
    scene.api::<PersistentVolumeClaim>(&scene.tenant).delete("image", &DeleteParams::default()).await?;
    scene.gone(&claim).await?;
    scene.bound(&scene.tenant, NewClaim::new("files")).await?;
    let refusal = refusal(&scene, "files", "pvc=image date=latest target=files").await?;
    assert!(refusal.starts_with("VolumeModeDiffers"), "{refusal}");
    scene.bound(&scene.tenant, NewClaim::new("target").block()).await?;
    ask(&scene, "image", "pvc=image date=latest target=target").await?;
    let waiting = answer(&scene, "image", RestoreState::Waiting).await?;
    assert_eq!(waiting.problem.map(|p| p.reason), Some(Reason::WaitingForPromoter));
    let promoter = scene.bind_named(&scene.tenant, &snapshot.name_any(), None).await?;
    assert_eq!(promoter.spec.and_then(|s| s.volume_mode).as_deref(), Some("Block"));
    answer(&scene, "image", RestoreState::Ready).await?;
    let (devices, _) = places(&serde_json::to_value(restore_pod(&scene, "image").await?)?);
    assert_eq!(devices.as_array().map(Vec::len), Some(2));
    Ok(())
}

/// Nothing in the cluster tells what lies there: the pod is made, and the program in it looks before it writes.
#[tokio::test]
async fn what_is_not_known_is_left_to_the_program_in_the_pod() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    scene.bound(&scene.tenant, NewClaim::new("target").block()).await?;
    let (data, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&data, RUN, "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.gone(&job).await?;
    ask(&scene, "image", "pvc=image uid=0-1 date=20200101T0000Z from=disk/disk target=target").await?;
    answer(&scene, "image", RestoreState::Ready).await?;
    let (devices, mounts) = places(&serde_json::to_value(restore_pod(&scene, "image").await?)?);
    // The restore point has its own name and the origin's.
    assert_eq!((devices.as_array().map(Vec::len), mounts.len()), (Some(1), 2));
    Ok(())
}
