//! A promoter is copied: once, with the right mounts, as the limits of Pod Security allow.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, kubelet, source};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use model::names;
use model::reason::Reason;
use model::record::CopyState;
use serde_json::{Value, json};

use crate::controller::{bind_disk, disk, fence, source_with_run, with_disk};

const RUN: &str = "20260101T0000Z";

#[tokio::test]
async fn a_bound_promoter_gets_one_disk_and_one_copy_with_the_right_mounts() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let (claim, snapshot, promoter) = source_with_run(&scene, "data", RUN).await?;
    let disk = bind_disk(&scene).await?;
    assert_eq!(disk.labels()[names::COMPONENT], "disk");
    let spec = disk.spec.clone().unwrap_or_default();
    assert_eq!(spec.storage_class_name, Some(scene.class("keep")));
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    fence(&scene, "fence").await?;

    let job = serde_json::to_value(&job)?;
    let at = |pointer: &str| job.pointer(pointer).cloned().unwrap_or(Value::Null);
    let policies = scene.api::<k8s_openapi::api::networking::v1::NetworkPolicy>(&scene.tenant);
    let policy = policies.get(&names::network_policy(&scene.instance())).await?.spec.unwrap_or_default();
    assert_eq!(policy.policy_types, Some(vec!["Ingress".to_owned(), "Egress".to_owned()]));
    assert_eq!((policy.ingress, policy.egress), (None, None), "nothing in, nothing out");
    let labels = |key: &str| at("/metadata/labels")[key].clone();
    assert_eq!(labels(names::COMPONENT), "copy");
    assert_eq!(labels(names::RUN), RUN);
    assert_eq!(labels(names::SOURCE_UID), source(&claim).uid);
    assert_eq!(labels(names::DESTINATION), "disk");
    assert_eq!(at("/spec/backoffLimit"), 6);
    assert_eq!(at("/spec/activeDeadlineSeconds"), 4 * 3600);
    let volumes = at("/spec/template/spec/volumes");
    let of = |name: &str| volumes.as_array().and_then(|v| v.iter().find(|v| v["name"] == name)).cloned();
    assert_eq!(
        of("source").map(|v| v["persistentVolumeClaim"].clone()),
        Some(json!({"claimName": promoter.name_any(), "readOnly": true}))
    );
    assert_eq!(of("destination").map(|v| v["persistentVolumeClaim"]["claimName"].clone()), Some(json!("backup-disk")));
    let mounts = at("/spec/template/spec/containers/0/volumeMounts");
    let path = format!("{}/data/{}", scene.tenant, source(&claim).uid);
    assert_eq!(mounts[0], json!({"name": "source", "mountPath": "/source", "readOnly": true}));
    assert_eq!(mounts[1], json!({"name": "destination", "mountPath": "/destination", "subPath": path}));
    assert_eq!(at("/spec/template/spec/automountServiceAccountToken"), false);
    let pod = at("/spec/template/spec/securityContext");
    assert_eq!((&pod["runAsUser"], &pod["fsGroup"]), (&json!(0), &Value::Null));
    let security = at("/spec/template/spec/containers/0/securityContext");
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));

    let creates: Vec<_> = scene.writes(controller.user())?;
    let made = |kind: &str| creates.iter().filter(|r| r.verb == "create" && r.resource == kind).count();
    assert_eq!((made("jobs"), made("persistentvolumeclaims")), (1, 1), "{creates:?}");
    assert_eq!(snapshot.namespace(), Some(scene.tenant.clone()));
    Ok(())
}

/// The namespace enforces `baseline`, and the API server has no objection.
#[tokio::test]
async fn a_copy_fits_pod_security_baseline_and_is_not_tried_under_restricted() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let level =
        |level: &str| Patch::Merge(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}}));
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(scene.client.clone());
    namespaces.patch(&scene.tenant, &PatchParams::default(), &level("baseline")).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    scene.pod_of(&job).await?;

    let strict = scene.namespace("strict").await?;
    namespaces.patch(&strict, &PatchParams::default(), &level("restricted")).await?;
    let claim = scene.bound(&strict, NewClaim::new("data")).await?;
    scene.point(&claim, RUN, &["disk"]).await?;
    let refused =
        |s: &model::record::Status| s.failure.as_ref().is_some_and(|f| f.problem.reason == Reason::PodSecurity);
    scene.status_that("PodSecurity", &claim, refused).await?;
    scene.event(&claim, "PodSecurity").await?;
    assert_eq!(scene.copy_jobs(&strict).await?, []);
    Ok(())
}

/// F20: a class that waits for the first consumer never binds without the copy's pod; F21: one that does
/// not wait is not used before it is bound.
#[tokio::test]
async fn an_unbound_promoter_is_copied_if_its_class_waits_for_a_consumer_and_only_then() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let late = scene.bound(&scene.tenant, NewClaim::new("late")).await?;
    let fast = scene.bound(&scene.tenant, NewClaim::new("fast")).await?;
    for (claim, class) in [(&fast, "fast"), (&late, "late")] {
        let snapshot = scene.new_snapshot(claim, RUN, &["disk"]).await?;
        let snapshot = scene.make_ready(&snapshot).await?;
        scene.promoter(claim, &snapshot, class).await?;
    }
    bind_disk(&scene).await?;
    let job = scene.copy_of(&late, RUN, "disk").await?;
    let pod = job.spec.and_then(|s| s.template.spec).unwrap_or_default();
    let source = pod.volumes.into_iter().flatten().find(|v| v.name == "source");
    let name = source.and_then(|v| v.persistent_volume_claim).map(|c| c.claim_name).unwrap_or_default();
    assert!(name.starts_with("late-"), "{name}");
    fence(&scene, "fence").await?;
    assert_eq!(scene.find_copy(&fast, RUN, "disk").await?, None);
    assert_eq!(controller.page("/healthz")?.0, 200);
    Ok(())
}

/// F29: what happens again, and what is seen twice, makes no second copy.
#[tokio::test]
async fn a_replay_makes_no_second_copy() -> Result<()> {
    let scene = Scene::new().await?;
    let mut controller = with_disk(&scene, "").await?;
    let (claim, snapshot, promoter) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    // Every object of the run changes, and changes again; then the controller starts anew.
    for value in ["1", "2"] {
        let touch = [("example.com/touched", Some(value))];
        scene.annotate::<PersistentVolumeClaim>(&scene.tenant, &promoter.name_any(), &touch).await?;
        scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "data", &touch).await?;
        scene.annotate::<model::snapshot::VolumeSnapshot>(&scene.tenant, &snapshot.name_any(), &touch).await?;
        scene.annotate::<Job>(&scene.tenant, &job.name_any(), &touch).await?;
    }
    fence(&scene, "fence-1").await?;
    controller.kill();
    controller.start()?;
    controller.ready(&scene).await?;
    fence(&scene, "fence-2").await?;
    let jobs = scene.copy_jobs(&scene.tenant).await?;
    assert_eq!(jobs.iter().map(ResourceExt::uid).collect::<Vec<_>>(), [job.uid()]);
    let writes = scene.writes(controller.user())?;
    let creates: Vec<_> = writes.iter().filter(|r| r.verb == "create" && r.resource == "jobs").collect();
    assert_eq!(creates.len(), 1, "{creates:?}");
    Ok(())
}

/// Law 8: what has our name and is not ours is never adopted. It is told, and when it is gone the step is taken.
#[tokio::test]
async fn a_stranger_with_our_name_is_told_and_not_adopted() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let name = names::copy_job(&source(&claim), &RUN.parse()?, "disk");
    let stranger: Job = serde_json::from_value(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"suspend": true, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "theirs", "image": "none"}],
        }}},
    }))?;
    let jobs = scene.api::<Job>(&scene.tenant);
    let stranger = jobs.create(&PostParams::default(), &stranger).await?;
    scene.point(&claim, RUN, &["disk"]).await?;
    bind_disk(&scene).await?;
    let event = scene.event(&claim, "NameTaken").await?;
    assert!(event.note.unwrap_or_default().contains(&name));
    let taken = |s: &model::record::Status| s.failure.as_ref().is_some_and(|f| f.problem.reason == Reason::NameTaken);
    scene.status_that("NameTaken", &claim, taken).await?;
    let now = jobs.get(&name).await?;
    assert_eq!((now.uid(), now.labels().contains_key(names::MANAGED_BY)), (stranger.uid(), false));

    jobs.delete(&name, &DeleteParams::background()).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    assert_ne!(job.uid(), stranger.uid());
    scene.status_that("no fault any more", &claim, |s| s.failure.is_none()).await?;
    Ok(())
}

/// The same for the disk: a user's PVC of that name is not written to.
#[tokio::test]
async fn a_users_pvc_with_the_disks_name_is_not_used() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    scene.bound(&scene.tenant, NewClaim::new("backup-disk")).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    let taken = |s: &model::record::Status| s.waiting.as_ref().is_some_and(|p| p.reason == Reason::NameTaken);
    scene.status_that("NameTaken", &claim, taken).await?;
    scene.event(&claim, "NameTaken").await?;
    assert_eq!(scene.copy_jobs(&scene.tenant).await?, []);
    Ok(())
}

/// F58 to the end of the flow: the longest name there is.
#[tokio::test]
async fn a_pvc_with_the_longest_name_is_copied() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(&disk(&scene)).await?;
    let name = format!("{}.{}", "a".repeat(100), "b".repeat(152));
    let (claim, snapshot, _) = source_with_run(&scene, &name, RUN).await?;
    assert!(snapshot.name_any().len() <= 253);
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    assert_eq!(job.annotations()[names::SOURCE_NAME], name);
    scene.pod_of(&job).await?;
    Ok(())
}

/// The disk dies with its class's reclaim policy, unless somebody accepts that.
#[tokio::test]
async fn a_disk_that_would_go_with_its_namespace_is_not_made() -> Result<()> {
    let scene = Scene::new().await?;
    let class = scene.class("fast");
    let destination = |more: &str| {
        format!("destinations: [{{name: disk, type: disk, claim: {{storageClass: {class}, size: 1Gi{more}}}}}]")
    };
    let controller = scene.controller(&destination("")).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    let told = |s: &model::record::Status| s.waiting.as_ref().is_some_and(|p| p.reason == Reason::DiskNotRetained);
    let status = scene.status_that("DiskNotRetained", &claim, told).await?;
    assert!(status.waiting.is_some_and(|p| p.message.contains(&class)));
    scene.event(&claim, "DiskNotRetained").await?;
    assert_eq!(scene.api::<PersistentVolumeClaim>(&scene.tenant).get_opt("backup-disk").await?, None);
    controller.configure(&destination(", allowDelete: true"))?;
    bind_disk(&scene).await?;
    scene.copy_of(&claim, RUN, "disk").await?;
    scene.status_that("nothing waits", &claim, |s| s.waiting.is_none()).await?;
    Ok(())
}

/// Somebody deleted the volume before its last run was copied: that copy is worth more than ever.
#[tokio::test]
async fn the_last_run_of_a_source_that_is_gone_is_copied() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let (claim, snapshot, _) = source_with_run(&scene, "data", RUN).await?;
    let claims = scene.api::<PersistentVolumeClaim>(&scene.tenant);
    scene.wait("the disk", async || Ok(claims.get_opt("backup-disk").await?)).await?;
    claims.delete("data", &DeleteParams::default()).await?;
    scene.gone(&claim).await?;
    fence(&scene, "fence").await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.gone(&job).await?;
    let snapshots = scene.api::<model::snapshot::VolumeSnapshot>(&scene.tenant);
    assert_eq!(scene.recorded(&claim, RUN, "disk").await?.state, CopyState::Complete);
    // The PVC is gone, so its newest snapshot shows where its backups stand.
    let shown = async || {
        let now = snapshots.get(&snapshot.name_any()).await?;
        let status = now.annotations().get(names::STATUS).and_then(|text| model::record::Status::parse(text));
        let run = |s: &model::record::Status| s.runs.iter().any(|r| r.results.contains_key("disk"));
        Ok(status.filter(|s| s.uid == source(&claim).uid && run(s)))
    };
    scene.wait("the snapshot shows it", shown).await?;
    let writes = scene.writes(controller.user())?;
    assert!(writes.iter().all(|r| r.code < 400), "{writes:?}");
    Ok(())
}
