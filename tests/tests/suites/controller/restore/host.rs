//! Restores from the host's disk of another namespace: ours reads it, and nothing of it is left.

use super::*;
use crate::controller::host_disk;

/// S1: the path of the volume is the namespace's folder, for a claim in the controller's namespace. What the tenant can
/// write there is the pod's subPath. Under the guard, by an account with the installed role.
#[tokio::test]
async fn another_namespaces_folder_on_a_host_is_read_in_the_controllers_namespace() -> Result<()> {
    let scene = Scene::new().await?;
    host_disk::node(&scene).await?;
    let other = scene.namespace("test").await?;
    let grant = format!("restores:\n  grants: [{{from: {}/data, to: {other}}}]\n", scene.tenant);
    let setup = scene.setup(&format!("{}{grant}", host_disk::destination(&scene))).await?;
    scene.guard(&setup.identity, "controller.yaml").await?;
    let controller = scene.start(setup).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    let keeper = host_disk::keeper(&scene, None).await?;
    let pod = scene.pod_of(&keeper).await?;
    scene.end_pod(&pod, 0, "{\"folder\":\"x\"}").await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.gone(&job).await?;

    let target = scene.bound(&other, NewClaim::new("copy")).await?;
    let request = format!("pvc={}/data date=latest from=disk", scene.tenant);
    scene.annotate::<PersistentVolumeClaim>(&other, "copy", &[(names::RESTORE_FROM, Some(&request))]).await?;
    let job = restore_job_in(&scene, &scene.home, &target, &request).await?;
    let disk = names::granted_disk(&job.name_any());
    let claims = scene.api::<PersistentVolumeClaim>(&scene.home);
    let lent = scene.wait("the claim to the disk", async || Ok(claims.get_opt(&disk).await?)).await?;
    let volumes: kube::Api<PersistentVolume> = kube::Api::all(scene.client.clone());
    let name = names::grant_volume(&scene.instance(), GrantClaim { namespace: &scene.home, name: &disk });
    let spec = volumes.get(&name).await?.spec.unwrap_or_default();
    assert_eq!(spec.local.map(|l| l.path), Some(format!("/srv/{}/{}", scene.name, scene.tenant)));
    assert_eq!(spec.mount_options, Some(vec!["ro".to_owned()]));
    let pod = serde_json::to_value(&job)?["spec"]["template"]["spec"].clone();
    let mounts = pod["containers"][0]["volumeMounts"].as_array().cloned().unwrap_or_default();
    let folder = format!("data/{}/{RUN}", source(&claim).uid);
    let point: Vec<_> = mounts.iter().filter(|m| m["name"] == "destination").collect();
    assert!(!point.is_empty() && point.iter().all(|m| m["subPath"] == json!(folder)), "{point:?}");

    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 0, &serde_json::to_string(&done(RestoreState::Complete))?).await?;
    scene.gone(&job).await?;
    scene.gone(&lent).await?;
    for volume in [name, names::alias_volume(&scene.instance(), &job.name_any())] {
        scene
            .wait("the volumes are gone", async || Ok(volumes.get_opt(&volume).await?.is_none().then_some(())))
            .await?;
    }
    assert_eq!(scene.api::<PersistentVolumeClaim>(&other).get_opt(&job.name_any()).await?, None);
    let writes = scene.writes(controller.user())?;
    // What is gone may be deleted once more before that is seen.
    let gone = |r: &dev_cluster::AuditedRequest| r.verb == "delete" && r.code == 404;
    let refused: Vec<_> = writes.into_iter().filter(|r| r.code >= 400 && r.name != "guard-probe" && !gone(r)).collect();
    assert_eq!(refused, Vec::<dev_cluster::AuditedRequest>::new());
    Ok(())
}
