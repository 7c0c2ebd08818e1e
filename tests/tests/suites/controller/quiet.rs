//! What costs nothing.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, kubelet};
use dev_cluster::AuditedRequest;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::ListParams;
use model::names;
use model::record::CopyState;

use crate::controller::{bind_disk, fence, with_disk};

const SOURCES: usize = 60;

/// The state of the cluster is all that there is: a restart reads it and finds everything done. Afterwards
/// there are only watches.
#[tokio::test]
async fn a_restart_writes_nothing_and_then_only_watches() -> Result<()> {
    let scene = Scene::new().await?;
    let mut controller = with_disk(&scene, "").await?;
    // Sources of each sort: protected with a good copy, with an incomplete one, without any; and some that
    // are not protected, by choice and otherwise.
    let (good, _, _) = crate::controller::source_with_run(&scene, "good", "20260101T0000Z").await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&good, "20260101T0000Z", "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.gone(&job).await?;
    let (bad, _, _) = crate::controller::source_with_run(&scene, "bad", "20260101T0000Z").await?;
    let job = scene.copy_of(&bad, "20260101T0000Z", "disk").await?;
    let unreadable = kubelet::copied(CopyState::Incomplete, Some(model::reason::Reason::Unreadable));
    scene.finish(&job, &unreadable).await?;
    scene.gone(&job).await?;
    scene.claim(&scene.tenant, NewClaim::new("pending")).await?;
    scene.bound(&scene.tenant, NewClaim::new("block").block()).await?;
    scene.bound(&scene.tenant, NewClaim::new("out").annotate(names::ENABLED, "false")).await?;
    scene.bound(&scene.tenant, NewClaim::new("typo").annotate(names::RETENTION, "for ever")).await?;
    let many = (0..SOURCES).map(|n| format!("data-{n}")).collect::<Vec<_>>();
    let made = many.iter().map(|name| scene.bound(&scene.tenant, NewClaim::new(name)));
    futures::future::try_join_all(made).await?;
    let told = |c: &PersistentVolumeClaim| {
        ["out", "pending"].contains(&c.name_any().as_str())
            || c.labels().contains_key(names::COMPONENT)
            || c.annotations().contains_key(names::STATUS)
    };
    scene
        .wait("every source has its status", async || {
            let all = scene.api::<PersistentVolumeClaim>(&scene.tenant).list(&ListParams::default()).await?;
            Ok(all.items.iter().all(told).then_some(()))
        })
        .await?;
    fence(&scene, "fence-1").await?;

    controller.kill();
    let before = scene.requests(controller.user())?.len();
    controller.start()?;
    controller.ready(&scene).await?;
    let marker = fence(&scene, "fence-2").await?;
    let requests = scene.requests(controller.user())?.split_off(before);
    let of_marker = |r: &AuditedRequest| {
        let marker = backup_controller_tests::source(&marker);
        let its = [names::cronjob(&marker), names::ledger(&marker.uid)];
        r.name == "fence-2" || its.contains(&r.name) || (r.resource == "events" && r.verb == "create")
    };
    let writes: Vec<_> = requests.iter().filter(|r| !matches!(r.verb.as_str(), "list" | "watch")).collect();
    let other: Vec<_> = writes.iter().filter(|r| !of_marker(r)).collect();
    assert_eq!(other, Vec::<&&AuditedRequest>::new(), "written, or read one by one, at a restart");
    assert_eq!(writes.len(), 4, "a CronJob, a ledger, a status and an Event for the new PVC: {writes:?}");
    let lists = requests.iter().filter(|r| r.verb == "list").count();
    assert!(lists <= 14, "each kind is listed once: {lists}");

    // Settled: what happens to one source costs its own four writes, and nothing is listed or read.
    let before = scene.requests(controller.user())?.len();
    fence(&scene, "fence-3").await?;
    let requests = scene.requests(controller.user())?.split_off(before);
    let besides: Vec<_> = requests.iter().filter(|r| r.verb != "watch").collect();
    assert_eq!(besides.len(), 4, "{besides:?}");
    Ok(())
}
