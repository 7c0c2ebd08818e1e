//! What does not come, does not start, or is refused has a deadline and a reason (law 5).

use anyhow::{Context as _, Result};
use backup_controller_tests::{NewClaim, Scene, kubelet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, ResourceQuota};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use model::facts::Journal;
use model::names;
use model::reason::Reason;
use model::record::{CopyResult, CopyState, Status};
use serde_json::json;

use crate::controller::{bind_disk, disk, fence, source_with_run, with_disk};

const RUN: &str = "20260101T0000Z";

fn failed(reason: Reason) -> impl Fn(&Status) -> bool {
    move |s| s.failure.as_ref().is_some_and(|f| f.problem.reason == reason)
}

async fn result(scene: &Scene, claim: &PersistentVolumeClaim) -> Result<CopyResult> {
    scene.result(claim, RUN, "disk").await?.context("no result in the ledger")
}

/// F22, F23.
#[tokio::test]
async fn a_promoter_that_never_binds_fails_its_run_at_the_deadline() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "deadlines: {promoterBound: 2s}").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &["disk"]).await?;
    let snapshot = scene.make_ready(&snapshot).await?;
    let promoter = scene.promoter(&claim, &snapshot, "fast").await?;
    let status = scene.status_that("PromoterNotBound", &claim, failed(Reason::PromoterNotBound)).await?;
    assert!(status.failure.is_some_and(|f| f.problem.message.contains(&promoter.name_any())));
    scene.event(&claim, "PromoterNotBound").await?;
    assert_eq!(result(&scene, &claim).await?.state, CopyState::Failed);
    Ok(())
}

/// The job that makes promoters died for good, or somebody deleted what it made.
#[tokio::test]
async fn a_promoter_that_never_comes_or_goes_fails_its_run() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "deadlines: {snapshotJob: 3s, snapshotReady: 2s}").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &["disk"]).await?;
    scene.make_ready(&snapshot).await?;
    scene.status_that("PromoterLost", &claim, failed(Reason::PromoterLost)).await?;
    scene.event(&claim, "PromoterLost").await?;
    assert_eq!(result(&scene, &claim).await?.reason, Some(Reason::PromoterLost));
    Ok(())
}

/// F38: an image that cannot be pulled never hits the backoff limit. F39: neither does a Job without pods.
#[tokio::test]
async fn a_copy_that_does_not_start_fails_at_its_deadline_and_its_job_goes() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "deadlines: {copyStart: 6s}").await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let pod = scene.pod_of(&job).await?;
    scene.place_pod(&pod, "node-1").await?;
    scene.hold_pod(&pod, "ImagePullBackOff", "Back-off pulling image \"registry.example/mover\"").await?;
    let status = scene.status_that("PodNotStarted", &claim, failed(Reason::PodNotStarted)).await?;
    let message = status.failure.map(|f| f.problem.message).unwrap_or_default();
    assert!(message.contains("ImagePullBackOff") && message.contains("registry.example/mover"), "{message}");
    scene.event(&claim, "PodNotStarted").await?;
    scene.gone(&job).await?;
    assert_eq!(result(&scene, &claim).await?.state, CopyState::Failed);
    Ok(())
}

/// F38: a volume that cannot be mounted. The pod has its node, and the kubelet says no more than that.
#[tokio::test]
async fn a_copy_that_hangs_for_its_volumes_fails_at_the_same_deadline() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "deadlines: {copyStart: 4s}").await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let pod = scene.pod_of(&job).await?;
    scene.place_pod(&pod, "node-1").await?;
    scene.hold_pod(&pod, "ContainerCreating", "").await?;
    let status = scene.status_that("PodNotStarted", &claim, failed(Reason::PodNotStarted)).await?;
    let message = status.failure.map(|f| f.problem.message).unwrap_or_default();
    assert!(message.contains("node-1") && message.contains("volumes"), "{message}");
    scene.gone(&job).await?;
    Ok(())
}

/// F38: the kubelet's words stand in the copy's result, and the advice is about what they say. Nobody has to find them
/// in Events, which are gone after an hour.
#[tokio::test]
async fn a_promoter_that_cannot_be_mounted_is_told_in_the_kubelets_words() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "deadlines: {copyStart: 6s}").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &["disk"]).await?;
    let snapshot = scene.make_ready(&snapshot).await?;
    let promoter = scene.promoter_that_is(&claim, &snapshot, "fast", Some(Journal::Replayed)).await?;
    scene.bind(&promoter, None).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let pod = scene.pod_of(&job).await?;
    scene.not_mounted(&pod, "mount failed:\nwrite access unavailable (try mounting with noload)").await?;
    scene.place_pod(&pod, "node-1").await?;
    scene.hold_pod(&pod, "ContainerCreating", "").await?;
    let status = scene.status_that("JournalNotReplayable", &claim, failed(Reason::JournalNotReplayable)).await?;
    let message = status.failure.map(|f| f.problem.message).unwrap_or_default();
    assert!(message.contains("node-1") && message.contains("(try mounting with noload)"), "{message}");
    scene.event(&claim, "JournalNotReplayable").await?;
    assert_eq!(result(&scene, &claim).await?.reason, Some(Reason::JournalNotReplayable));
    scene.gone(&job).await
}

/// What the promoter says of its journal is in the command line of its copy: the copy's record has it from there.
#[tokio::test]
async fn a_copy_is_told_that_its_promoter_has_no_journal() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &["disk"]).await?;
    let snapshot = scene.make_ready(&snapshot).await?;
    let promoter = scene.promoter_that_is(&claim, &snapshot, "fast", Some(Journal::Skipped)).await?;
    scene.bind(&promoter, None).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let pod = job.spec.as_ref().and_then(|s| s.template.spec.as_ref());
    let args = pod.and_then(|p| p.containers.first()?.args.clone()).unwrap_or_default();
    assert!(args.iter().any(|a| a == "--journal=skipped"), "{args:?}");
    let mut copied = kubelet::copied(CopyState::Complete, None);
    copied.journal = Journal::Skipped;
    scene.finish(&job, &copied).await?;
    let skipped = |s: &Status| s.copies.get("disk").is_some_and(|c| c.journal == Journal::Skipped);
    scene.status_that("the journal was skipped", &claim, skipped).await?;
    Ok(())
}

/// The opposite: a pod that runs is never taken for one that does not start, however long it runs.
#[tokio::test]
async fn a_copy_that_runs_is_not_ended_by_the_deadline_of_its_start() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "deadlines: {copyStart: 4s}").await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let pod = scene.pod_of(&job).await?;
    scene.place_pod(&pod, "node-1").await?;
    scene.run_pod(&pod).await?;
    // Another copy, whose pod does not start, passes the same deadline later.
    let other = scene.namespace("other").await?;
    let marker = scene.bound(&other, NewClaim::new("marker")).await?;
    scene.point(&marker, RUN, &["disk"]).await?;
    scene.bind_named(&other, "backup-disk", None).await?;
    scene.status_that("PodNotStarted", &marker, failed(Reason::PodNotStarted)).await?;
    let now = scene.find_copy(&claim, RUN, "disk").await?;
    assert_eq!(now.and_then(|j| j.uid()), job.uid());
    assert!(scene.status(&claim).await?.is_some_and(|s| s.failure.is_none()));
    Ok(())
}

/// Limits what may be made in a namespace, and waits until that counts.
pub(crate) async fn set_quota(scene: &Scene, namespace: &str, hard: serde_json::Value) -> Result<()> {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight", "namespace": namespace},
        "spec": {"hard": hard},
    });
    scene.apply(&quota).await?;
    let quotas = scene.api::<ResourceQuota>(namespace);
    let counted = |q: &ResourceQuota| {
        let status = q.status.as_ref();
        status.is_some_and(|s| s.hard.is_some() && s.hard == q.spec.as_ref().and_then(|s| s.hard.clone()))
    };
    scene.wait("the quota counts", async || Ok(quotas.get_opt("tight").await?.filter(counted))).await?;
    Ok(())
}

/// F39: a quota that refuses is told on the source, and when it is raised the step is taken.
#[tokio::test]
async fn a_quota_that_refuses_the_copy_is_told_until_it_is_raised() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    set_quota(&scene, &scene.tenant, json!({"count/jobs.batch": "0"})).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let status = scene.status_that("QuotaExceeded", &claim, failed(Reason::QuotaExceeded)).await?;
    let message = status.failure.map(|f| f.problem.message).unwrap_or_default();
    assert!(message.contains("tight") && message.contains("count/jobs.batch"), "{message}");
    scene.event(&claim, "QuotaExceeded").await?;
    set_quota(&scene, &scene.tenant, json!({"count/jobs.batch": "5"})).await?;
    scene.copy_of(&claim, RUN, "disk").await?;
    scene.status_that("no fault any more", &claim, |s| s.failure.is_none()).await?;
    Ok(())
}

#[tokio::test]
async fn a_quota_that_refuses_the_disk_is_told_until_it_is_raised() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let (claim, ..) = {
        let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
        let snapshot = scene.new_snapshot(&claim, RUN, &["disk"]).await?;
        let snapshot = scene.make_ready(&snapshot).await?;
        let promoter = scene.promoter(&claim, &snapshot, "fast").await?;
        set_quota(&scene, &scene.tenant, json!({"persistentvolumeclaims": "2"})).await?;
        scene.bind(&promoter, None).await?;
        (claim, snapshot)
    };
    let status = scene.status_that("QuotaExceeded", &claim, failed(Reason::QuotaExceeded)).await?;
    assert!(status.failure.is_some_and(|f| f.problem.message.contains("backup-disk")));
    scene.event(&claim, "QuotaExceeded").await?;
    scene.api::<ResourceQuota>(&scene.tenant).delete("tight", &DeleteParams::default()).await?;
    bind_disk(&scene).await?;
    scene.copy_of(&claim, RUN, "disk").await?;
    scene.status_that("no fault any more", &claim, |s| s.failure.is_none()).await?;
    Ok(())
}

/// A fault does not outlive the step that had it.
#[tokio::test]
async fn a_refusal_is_forgotten_when_a_newer_run_takes_the_place() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let name = names::copy_job(&backup_controller_tests::source(&claim), &RUN.parse()?, "disk");
    scene
        .apply(&json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": scene.tenant},
            "spec": {"suspend": true, "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "theirs", "image": "none"}],
            }}},
        }))
        .await?;
    scene.point(&claim, RUN, &["disk"]).await?;
    bind_disk(&scene).await?;
    scene.status_that("NameTaken", &claim, failed(Reason::NameTaken)).await?;
    scene.point(&claim, "20260102T0000Z", &["disk"]).await?;
    scene.copy_of(&claim, "20260102T0000Z", "disk").await?;
    scene.status_that("no fault any more", &claim, |s| s.failure.is_none()).await?;
    Ok(())
}

/// F92: a right that is missing is told on the source, with the verb and the resource.
#[tokio::test]
async fn a_missing_right_is_told_with_its_verb_and_resource() -> Result<()> {
    let scene = Scene::new().await?;
    let identity = scene
        .identity("backup-controller", "controller-role.yaml", |rule| {
            let jobs = rule["resources"].as_array().is_some_and(|r| r.iter().any(|r| r == "jobs"));
            if let Some(verbs) = rule["verbs"].as_array_mut().filter(|_| jobs) {
                verbs.retain(|v| v != "create");
            }
        })
        .await?;
    let controller = scene.start(scene.setup_as(identity, &disk(&scene))).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let status = scene.status_that("Forbidden", &claim, failed(Reason::Forbidden)).await?;
    let message = status.failure.map(|f| f.problem.message).unwrap_or_default();
    assert!(message.contains("cannot create resource \"jobs\""), "{message}");
    assert!(message.contains(controller.user()), "{message}");
    scene.event(&claim, "Forbidden").await?;
    let refused = r#"backup_controller_steps_total{action="StartCopy",result="Forbidden"}"#;
    assert!(controller.metric(refused)?.is_some_and(|n| n >= 1.0));
    Ok(())
}

/// F40: the promoter is on one node and the disk on another.
#[tokio::test]
async fn a_promoter_and_a_disk_that_no_node_can_have_are_a_node_conflict() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let nodes = ["one", "two"].map(|n| format!("{}-{n}", scene.name));
    for node in &nodes {
        scene
            .apply(&json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": node, "labels": {"kubernetes.io/hostname": node}},
            }))
            .await?;
    }
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &["disk"]).await?;
    let snapshot = scene.make_ready(&snapshot).await?;
    let promoter = scene.promoter(&claim, &snapshot, "fast").await?;
    // The disk comes with the first copy: one that can be made, elsewhere.
    scene.bind(&promoter, Some(&[&nodes[0]])).await?;
    let disk: PersistentVolumeClaim = scene.bind_named(&scene.tenant, "backup-disk", Some(&[&nodes[1]])).await?;
    let status = scene.status_that("NodeConflict", &claim, failed(Reason::NodeConflict)).await?;
    let message = status.failure.map(|f| f.problem.message).unwrap_or_default();
    assert!(message.contains(&promoter.name_any()) && message.contains(&disk.name_any()), "{message}");
    scene.event(&claim, "NodeConflict").await?;
    assert_eq!(scene.copy_jobs(&scene.tenant).await?, []);
    // One that shares a node with the disk is copied.
    let next = scene.new_snapshot(&claim, "20260102T0000Z", &["disk"]).await?;
    let next = scene.make_ready(&next).await?;
    let promoter = scene.promoter(&claim, &next, "fast").await?;
    scene.bind(&promoter, Some(&[&nodes[0], &nodes[1]])).await?;
    scene.copy_of(&claim, "20260102T0000Z", "disk").await?;
    assert_eq!(controller.page("/healthz")?.0, 200);
    Ok(())
}

/// A status that cannot be written (here: a namespace's policy) holds nothing else up.
#[tokio::test]
async fn a_volume_whose_status_cannot_be_written_is_protected_all_the_same() -> Result<()> {
    let scene = Scene::new().await?;
    let identity = scene
        .identity("backup-controller", "controller-role.yaml", |rule| {
            let claims = rule["resources"].as_array().is_some_and(|r| r.iter().any(|r| r == "persistentvolumeclaims"));
            if let Some(verbs) = rule["verbs"].as_array_mut().filter(|_| claims) {
                verbs.retain(|v| v != "patch");
            }
        })
        .await?;
    let controller = scene.start(scene.setup_as(identity, &disk(&scene))).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    scene.cronjob_of(&claim).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.gone(&job).await?;
    assert_eq!(result(&scene, &claim).await?.state, CopyState::Complete);
    let refused = r#"backup_controller_steps_total{action="ShowStatus",result="Forbidden"}"#;
    assert!(controller.metric(refused)?.is_some_and(|n| n >= 1.0));
    Ok(())
}

/// A source is well again when what refused it is gone, without anybody touching it.
#[tokio::test]
async fn a_cronjob_that_is_refused_is_written_when_the_refusal_ends() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller("").await?;
    let first = fence(&scene, "first").await?;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight", "namespace": scene.home},
        "spec": {"hard": {"count/cronjobs.batch": "2"}},
    });
    scene.apply(&quota).await?;
    let quotas = scene.api::<ResourceQuota>(&scene.home);
    scene.wait("the quota counts", async || Ok(quotas.get("tight").await?.status.filter(|s| s.used.is_some()))).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    scene.status_that("QuotaExceeded", &claim, failed(Reason::QuotaExceeded)).await?;
    // However often it is tried, it is told once.
    let refused = r#"backup_controller_steps_total{action="ApplyCronJob",result="QuotaExceeded"}"#;
    scene.wait("three tries", async || Ok(controller.metric(refused)?.filter(|n| *n >= 3.0))).await?;
    let events = scene.events(&claim).await?;
    assert_eq!(events.iter().filter(|e| e.reason.as_deref() == Some("QuotaExceeded")).count(), 1);
    let writes = scene.writes(controller.user())?;
    assert!(writes.iter().filter(|r| r.name == "data").count() <= 2, "{writes:?}");
    let patch = Patch::Merge(json!({"spec": {"hard": {"count/cronjobs.batch": "10"}}}));
    quotas.patch("tight", &PatchParams::default(), &patch).await?;
    scene.cronjob_of(&claim).await?;
    scene.status_that("no fault any more", &claim, |s| s.failure.is_none()).await?;
    assert_eq!(scene.cronjobs_of(&first).await?.len(), 1);
    Ok(())
}
