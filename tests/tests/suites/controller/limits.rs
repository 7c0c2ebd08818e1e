//! Many copies wait: which go first, how many at once, and what the others are told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use backup_controller_tests::{NewClaim, Scene, kubelet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use model::names;
use model::reason::Reason;
use model::record::CopyState;

use crate::controller::{bind_disk, disk, fence, source_with_run, with_disk};

/// A class of many destinations, so that the disk itself is not the limit.
async fn namespaces_with_disks(scene: &Scene, count: usize) -> Result<Vec<String>> {
    let mut namespaces = vec![scene.tenant.clone()];
    for number in 1..count {
        namespaces.push(scene.namespace(&format!("shop-{number}")).await?);
    }
    Ok(namespaces)
}

fn open(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    job.metadata.deletion_timestamp.is_none()
        && !conditions.iter().any(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")
}

/// All copy Jobs of the scene that have not ended.
async fn active(scene: &Scene) -> Result<Vec<Job>> {
    let label = format!("{}=copy,{}={}", names::COMPONENT, names::INSTANCE, scene.name);
    let jobs: Api<Job> = Api::all(scene.client.clone());
    let all = jobs.list(&ListParams::default().labels(&label)).await?;
    Ok(all.items.into_iter().filter(open).collect())
}

/// Runs copies to their end, one at a time in the order in which they start, and says whose they were.
/// Between two looks there are never more than `limit`.
async fn run_all(scene: &Scene, count: usize, limit: usize) -> Result<Vec<Job>> {
    let mut done: Vec<Job> = Vec::new();
    let end = Instant::now() + Duration::from_secs(120);
    while done.len() < count {
        let jobs = active(scene).await?;
        assert!(
            jobs.len() <= limit,
            "{} at once: {:?}",
            jobs.len(),
            jobs.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
        );
        let next = jobs.into_iter().find(|j| done.iter().all(|d| d.uid() != j.uid()));
        if let Some(job) = next {
            scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
            done.push(job);
        } else if Instant::now() > end {
            bail!("{} of {count} copies came\n{}", done.len(), scene.seen());
        }
    }
    Ok(done)
}

/// L20: of the older ones the destination may have copies that the ledger does not know of.
#[tokio::test]
async fn the_newest_run_is_copied_and_older_ones_are_superseded_when_the_destination_has_told() -> Result<()> {
    let scene = Scene::new().await?;
    let mut controller = with_disk(&scene, "").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    scene.copies_to(&claim, &["disk"]).await?;
    // Three runs came while the controller was away.
    controller.kill();
    for day in 1..=3 {
        scene.point(&claim, &format!("2026010{day}T0000Z"), &["disk"]).await?;
    }
    controller.start()?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, "20260103T0000Z", "disk").await?;
    scene.ledger_that("they are in doubt", &claim, |l| l.runs.iter().filter(|r| r.rebuilt).count() == 2).await?;
    for run in ["20260101T0000Z", "20260102T0000Z"] {
        assert_eq!(scene.result(&claim, run, "disk").await?, None);
    }
    let mut copied = kubelet::copied(CopyState::Complete, None);
    copied.kept = vec!["20260101T0000Z".parse()?, "20260103T0000Z".parse()?];
    scene.finish(&job, &copied).await?;
    assert_eq!(scene.recorded(&claim, "20260101T0000Z", "disk").await?.state, CopyState::Complete);
    let result = scene.recorded(&claim, "20260102T0000Z", "disk").await?;
    assert_eq!((result.state, result.reason), (CopyState::Superseded, Some(Reason::Superseded)));
    let status = scene.status_that("good", &claim, |s| s.good.is_some()).await?;
    assert_eq!((status.good.map(|g| g.to_string()).as_deref(), status.failure), (Some("20260103T0000Z"), None));
    fence(&scene, "fence").await?;
    assert_eq!(scene.copy_jobs(&scene.tenant).await?, []);
    Ok(())
}

/// F86: many promoters bind at once, and one copy runs at any time; so does each of the fair order's
/// namespaces get its turn.
#[tokio::test]
async fn a_limit_of_one_admits_one_and_namespaces_take_turns() -> Result<()> {
    let scene = Scene::new().await?;
    let namespaces = namespaces_with_disks(&scene, 3).await?;
    let controller = with_disk(&scene, "limits: {cluster: 1, namespace: 5}").await?;
    let claims = 4;
    let mut made = Vec::new();
    // The first namespace asks for three copies before the others ask for one.
    for (namespace, count) in namespaces.iter().zip([claims - 1, 1, 1]) {
        for number in 0..count {
            made.push(scene.bound(namespace, NewClaim::new(&format!("data-{number}"))).await?);
        }
    }
    futures::future::try_join_all(made.iter().map(|claim| scene.point(claim, "20260101T0000Z", &["disk"]))).await?;
    for namespace in &namespaces {
        scene.bind_named(namespace, "backup-disk", None).await?;
    }
    let order = run_all(&scene, made.len(), 1).await?;
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for job in &order {
        *count.entry(job.namespace().unwrap_or_default()).or_default() += 1;
    }
    assert_eq!(count.values().copied().collect::<Vec<_>>(), [3, 1, 1], "{count:?}");
    let writes = scene.writes(controller.user())?;
    let created = writes.iter().filter(|r| r.verb == "create" && r.resource == "jobs").count();
    assert_eq!(created, made.len(), "no Job was made twice");
    Ok(())
}

/// Fair between namespaces, as soon as more than one can start: whoever has fewer goes first, though
/// another asked before.
#[tokio::test]
async fn a_namespace_with_many_copies_does_not_keep_another_waiting() -> Result<()> {
    let scene = Scene::new().await?;
    let namespaces = namespaces_with_disks(&scene, 2).await?;
    let class = scene.class("keep");
    // Two disks, so that a namespace can have two copies at once.
    let two = format!(
        "destinations:\n  - {{name: disk, type: disk, claim: {{storageClass: {class}, size: 1Gi}}}}\n  \
         - {{name: other, type: disk, claim: {{storageClass: {class}, size: 1Gi, name: other-disk}}}}\n\
         limits: {{cluster: 2, namespace: 2}}\n"
    );
    let mut controller = scene.controller(&two).await?;
    // All wait for their disks, and are recorded, before any can start: the first namespace's are older.
    let mut first = Vec::new();
    for number in 0..2 {
        let claim = scene.bound(&namespaces[0], NewClaim::new(&format!("data-{number}"))).await?;
        first.push(claim);
    }
    let late = scene.bound(&namespaces[1], NewClaim::new("late")).await?;
    let disks = ["disk", "other"];
    for (claim, disk) in [(&first[0], "disk"), (&first[1], "other"), (&late, "disk")] {
        scene.copies_to(claim, &[disk]).await?;
    }
    for (claim, disk) in [(&first[0], "disk"), (&first[1], "other"), (&late, "disk")] {
        scene.point(claim, "20260101T0000Z", &[disk]).await?;
    }
    controller.kill();
    // The disks exist and are bound before it decides.
    let install = templates::Install {
        instance: scene.instance(),
        namespace: scene.home.clone(),
        job_service_account: "backup-job".into(),
        controller_image: "x".into(),
        mover_image: "x".into(),
        image_pull_policy: "IfNotPresent".into(),
        templates_config_map: None,
    };
    let config = model::config::Config::parse(&two)?;
    for (namespace, destination) in [(0, 0), (0, 1), (1, 0)] {
        let destination = config
            .destination(disks[destination])
            .map(|d| templates::Templates::embedded().disk_claim(&install, d, &namespaces[namespace]));
        let Some(object) = destination else { bail!("no destination") };
        let made: PersistentVolumeClaim = api::ensure(&scene.client, &object?).await?;
        scene.bind(&made, None).await?;
    }
    controller.start()?;
    controller.ready(&scene).await?;
    scene.wait("two copies", async || Ok((active(&scene).await?.len() == 2).then_some(()))).await?;
    scene.copy_of(&late, "20260101T0000Z", "disk").await?;
    let of_first = scene.copy_jobs(&namespaces[0]).await?;
    assert_eq!(of_first.len(), 1);
    Ok(())
}

/// One writer a disk; the others are told after a while, and take their turns.
#[tokio::test]
async fn a_disk_takes_one_copy_at_a_time_and_who_waits_is_told() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let (one, ..) = source_with_run(&scene, "one", "20260101T0000Z").await?;
    bind_disk(&scene).await?;
    let first = scene.copy_of(&one, "20260101T0000Z", "disk").await?;
    let (two, ..) = source_with_run(&scene, "two", "20260101T0000Z").await?;
    let busy = |s: &model::record::Status| s.waiting.as_ref().is_some_and(|p| p.reason == Reason::DiskBusy);
    scene.status_that("DiskBusy", &two, busy).await?;
    let event = scene.event(&two, "DiskBusy").await?;
    assert_eq!(event.type_.as_deref(), Some("Normal"));
    assert_eq!(controller.metric(r#"backup_controller_copies_waiting{reason="DiskBusy"}"#)?, Some(1.0));
    assert_eq!(active(&scene).await?.len(), 1);
    scene.finish(&first, &kubelet::copied(CopyState::Complete, None)).await?;
    let second = scene.copy_of(&two, "20260101T0000Z", "disk").await?;
    scene.status_that("it waits no more", &two, |s| s.waiting.is_none()).await?;
    scene.finish(&second, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.status_that("good", &two, |s| s.good.is_some()).await?;
    assert_eq!(controller.metric(r#"backup_controller_copies_waiting{reason="DiskBusy"}"#)?, None);
    Ok(())
}

/// F68: a copy that fails gives its place back.
#[tokio::test]
async fn a_copy_that_fails_gives_its_place_to_the_next() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(&format!("{}limits: {{cluster: 1}}", disk(&scene))).await?;
    let (one, ..) = source_with_run(&scene, "one", "20260101T0000Z").await?;
    let (two, ..) = source_with_run(&scene, "two", "20260101T0000Z").await?;
    bind_disk(&scene).await?;
    let first = scene.copy_of(&one, "20260101T0000Z", "disk").await?;
    scene.finish(&first, &kubelet::copied(CopyState::Failed, Some(Reason::CopyFailed))).await?;
    let second = scene.copy_of(&two, "20260101T0000Z", "disk").await?;
    scene.finish(&second, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.status_that("good", &two, |s| s.good.is_some()).await?;
    Ok(())
}
