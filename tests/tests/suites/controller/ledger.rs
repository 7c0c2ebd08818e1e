//! Ledgers that are lost or edited: nothing is made up, nothing is written over, and people are told.

use anyhow::{Context as _, Result};
use backup_controller_tests::ledger::result;
use backup_controller_tests::{Scene, kubelet, source};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use model::ledger::KEY;
use model::names;
use model::reason::Reason;
use model::record::{CopyState, Status};
use serde_json::json;

use crate::controller::{bind_disk, fence, source_with_run, with_disk};

const RUN: &str = "20260101T0000Z";
const NEXT: &str = "20260102T0000Z";

#[tokio::test]
async fn a_ledger_that_is_lost_is_begun_again_and_the_destination_tells_what_it_has() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.gone(&job).await?;
    let maps = scene.api::<ConfigMap>(&scene.home);
    maps.delete(&names::ledger(&source(&claim).uid), &DeleteParams::default()).await?;

    let again = scene.ledger_that("it is begun again", &claim, |l| l.rebuilding.contains("disk")).await?;
    assert!(again.runs.iter().all(|r| r.rebuilt && r.results.is_empty()), "{again:?}");
    let event = scene.event(&claim, "LedgerMissing").await?;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    fence(&scene, "fence").await?;
    assert_eq!(scene.find_copy(&claim, RUN, "disk").await?, None, "it is neither copied again nor given up");
    assert_eq!(scene.result(&claim, RUN, "disk").await?, None);

    // The next copy prunes nothing, and tells what is there.
    scene.point(&claim, NEXT, &["disk"]).await?;
    let job = scene.copy_of(&claim, NEXT, "disk").await?;
    let text = serde_json::to_string(&job)?;
    assert!(!text.contains("--retention"), "{text}");
    let mut copied = kubelet::copied(CopyState::Complete, None);
    copied.kept = vec![RUN.parse()?, NEXT.parse()?];
    scene.finish(&job, &copied).await?;
    let whole = scene.ledger_that("it is whole", &claim, |l| l.rebuilding.is_empty()).await?;
    for run in [RUN, NEXT] {
        assert_eq!(result(&whole, run, "disk").map(|r| r.state), Some(CopyState::Complete), "{run}");
    }
    Ok(())
}

#[tokio::test]
async fn a_ledger_that_somebody_edited_is_told_and_not_written_over() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let maps = scene.api::<ConfigMap>(&scene.home);
    let name = names::ledger(&source(&claim).uid);
    let ours = maps.get(&name).await?.data.and_then(|mut data| data.remove(KEY)).context("no ledger")?;
    let write = async |text: &str| {
        let patch = Patch::Merge(json!({"data": {KEY: text}}));
        maps.patch(&name, &PatchParams::default(), &patch).await
    };
    let edited = write(&ours.replace("\"disk\"", "\"tape\"")).await?;

    let unreadable = |s: &Status| s.failure.as_ref().is_some_and(|f| f.problem.reason == Reason::LedgerUnreadable);
    let status = scene.status_that("LedgerUnreadable", &claim, unreadable).await?;
    assert!(status.failure.is_some_and(|f| f.problem.message.contains("somebody edited it")));
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    fence(&scene, "fence").await?;
    assert_eq!(maps.get(&name).await?.resource_version(), edited.resource_version());
    assert!(scene.find_copy(&claim, RUN, "disk").await?.is_some(), "its result is written nowhere yet");

    // As it was: all goes on.
    write(&ours).await?;
    assert_eq!(scene.recorded(&claim, RUN, "disk").await?.state, CopyState::Complete);
    scene.status_that("no failure", &claim, |s| s.failure.is_none() && s.good.is_some()).await?;
    scene.gone(&job).await
}
