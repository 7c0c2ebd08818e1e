//! Copies to restic repositories: what their Jobs are, several destinations, one that is down.

use std::process::Command;

use anyhow::{Context as _, Result};
use backup_controller_tests::{Controller, NewClaim, Scene, binaries, kubelet, source};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use model::ledger::Ledger;
use model::names;
use model::reason::Reason;
use model::record::{CopyResult, CopyState, Status};
use serde_json::{Value, json};

use crate::controller::{bind_disk, disk, fence};

const RUN: &str = "20260101T0000Z";
const S3: &str = "  - {name: s3, type: restic, secret: backup-s3, cache: 1Gi, exclude: ['*.bak']}\n";

async fn with_s3(scene: &Scene) -> Result<Controller> {
    scene.controller(&format!("destinations:\n{S3}")).await
}

async fn run_to(scene: &Scene, name: &str, destinations: &[&str]) -> Result<PersistentVolumeClaim> {
    let claim = scene.bound(&scene.tenant, NewClaim::new(name)).await?;
    scene.point(&claim, RUN, destinations).await?;
    Ok(claim)
}

/// A result that says the endpoint does not answer, of so many minutes ago.
fn unreachable(minutes: i64) -> CopyResult {
    let ago = std::time::Duration::from_secs(60 * u64::try_from(minutes).unwrap_or(0));
    let finished = model::Timestamp::now().checked_sub(ago).unwrap_or_default();
    CopyResult { finished, ..kubelet::copied(CopyState::Failed, Some(Reason::DestinationUnreachable)) }
}

#[tokio::test]
async fn a_copy_to_a_repository_mounts_its_secret_and_needs_no_disk_and_no_policy() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_s3(&scene).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let options = "exclude=*.tmp compression=off env.HTTPS_PROXY=http://proxy:3128";
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "data", &[(names::COPY_OPTIONS, Some(options))]).await?;
    let (_, promoter) = scene.point(&claim, RUN, &["s3"]).await?;
    let job = serde_json::to_value(scene.copy_of(&claim, RUN, "s3").await?)?;
    let at = |pointer: &str| job.pointer(pointer).cloned().unwrap_or(Value::Null);
    assert_eq!(at("/metadata/labels")[names::DESTINATION_TYPE], "restic");
    assert_eq!(at("/spec/template/metadata/labels")[names::DESTINATION_TYPE], "restic");
    let pod = at("/spec/template/spec");
    let names: Vec<&str> = pod["volumes"].as_array().into_iter().flatten().filter_map(|v| v["name"].as_str()).collect();
    assert_eq!(names, ["source", "secret", "cache", "tmp"]);
    let claim_of = &pod["volumes"][0]["persistentVolumeClaim"];
    assert_eq!(*claim_of, json!({"claimName": promoter.name_any(), "readOnly": true}));
    assert_eq!(pod["volumes"][1]["secret"], json!({"secretName": "backup-s3", "optional": true, "defaultMode": 0o400}));
    let container = &pod["containers"][0];
    assert_eq!(container["volumeMounts"][1], json!({"name": "secret", "mountPath": "/secret", "readOnly": true}));
    assert_eq!((&container["env"], &container["envFrom"]), (&Value::Null, &Value::Null));
    assert_eq!(container["securityContext"]["capabilities"]["add"], json!(["DAC_OVERRIDE"]));
    let args: Vec<&str> = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (uid, tenant) = (source(&claim).uid, &scene.tenant);
    let repository = format!("--repository={{RESTIC_REPOSITORY}}/{tenant}/data/{uid}");
    let secret = format!("--secret-name={tenant}/backup-s3");
    for wanted in [
        "restic",
        "copy",
        &repository,
        &secret,
        "--exclude=*.tmp",
        "--compression=off",
        "--env=HTTPS_PROXY=http://proxy:3128",
    ] {
        assert!(args.contains(&wanted), "{wanted}: {args:?}");
    }
    assert!(!args.contains(&"--exclude=*.bak"), "the PVC's word takes the place of the destination's: {args:?}");

    fence(&scene, "fence").await?;
    let policies = scene.api::<NetworkPolicy>(&scene.tenant).list(&kube::api::ListParams::default()).await?;
    assert_eq!(policies.items.len(), 0, "what reaches a repository is not cut off");
    let creates = scene.writes(controller.user())?;
    let made = |kind: &str| creates.iter().filter(|r| r.verb == "create" && r.resource == kind).count();
    assert_eq!((made("jobs"), made("persistentvolumeclaims")), (1, 0), "{creates:?}");
    Ok(())
}

/// 3-2-1: each destination has its Job and its record, and one complete copy makes the run good.
#[tokio::test]
async fn of_two_destinations_one_that_refuses_does_not_stop_the_other() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(&format!("{}{S3}", disk(&scene))).await?;
    let claim = run_to(&scene, "data", &["disk", "s3"]).await?;
    let to_s3 = scene.copy_of(&claim, RUN, "s3").await?;
    let refused = kubelet::copied(CopyState::Failed, Some(Reason::CredentialsRefused));
    scene.finish(&to_s3, &refused).await?;
    scene.gone(&to_s3).await?;
    scene.event(&claim, "CredentialsRefused").await?;
    // The run is not judged before its other copy has ended.
    bind_disk(&scene).await?;
    let to_disk = scene.copy_of(&claim, RUN, "disk").await?;
    scene.finish(&to_disk, &kubelet::copied(CopyState::Complete, None)).await?;
    let status = scene.status_that("good", &claim, |s| s.good.is_some()).await?;
    let ended: Vec<_> = status.copies.iter().map(|(d, c)| (d.as_str(), c.state)).collect();
    assert_eq!(ended, [("disk", CopyState::Complete), ("s3", CopyState::Failed)]);
    for destination in ["disk", "s3"] {
        assert!(scene.result(&claim, RUN, destination).await?.is_some(), "{destination}");
    }
    Ok(())
}

/// Three sources and an endpoint that is down: one Job at a time, also after a restart, until one works.
#[tokio::test]
async fn where_a_destination_is_down_one_copy_at_a_time_tries_until_one_works() -> Result<()> {
    let scene = Scene::new().await?;
    let mut controller = with_s3(&scene).await?;
    let one = run_to(&scene, "one", &["s3"]).await?;
    let two = run_to(&scene, "two", &["s3"]).await?;
    let (first, second) = (scene.copy_of(&one, RUN, "s3").await?, scene.copy_of(&two, RUN, "s3").await?);
    // Two at once in a namespace: the third waits for its turn.
    let three = run_to(&scene, "three", &["s3"]).await?;
    let waits = |reason: Reason| move |s: &Status| s.waiting.as_ref().is_some_and(|p| p.reason == reason);
    scene.status_that("it waits", &three, waits(Reason::WaitingForSlot)).await?;

    // There is room now, but one tries already.
    scene.finish(&first, &unreachable(20)).await?;
    scene.gone(&first).await?;
    scene.status_that("it waits for the destination", &three, waits(Reason::DestinationDown)).await?;
    let down = r#"backup_controller_destinations_down{destination="s3",reason="DestinationUnreachable"}"#;
    assert_eq!(controller.metric(down)?, Some(1.0));
    assert!(scene.find_copy(&three, RUN, "s3").await?.is_none());
    // That one fails too: the next pause is as long as the destination has been down.
    scene.finish(&second, &unreachable(0)).await?;
    scene.gone(&second).await?;
    controller.kill();
    controller.start()?;
    controller.ready(&scene).await?;
    fence(&scene, "fence").await?;
    assert_eq!(scene.copy_jobs(&scene.tenant).await?, [], "a restart reads the same results");
    assert_eq!(controller.metric(down)?, Some(1.0));

    // As if the newest failure were older: the pause is over, and the third tries.
    let earlier = unreachable(20).finished;
    let age = |ledger: &mut Ledger| {
        ledger.runs.iter_mut().flat_map(|r| r.results.values_mut()).for_each(|r| r.finished = earlier);
        let retries = ledger.runs.iter_mut().flat_map(|r| r.retries.values_mut());
        retries.for_each(|r| (r.since, r.last) = (earlier, model::Timestamp::now()));
    };
    scene.edit_ledger(&two, age).await?;
    let third = scene.copy_of(&three, RUN, "s3").await?;
    let four = run_to(&scene, "four", &["s3"]).await?;
    scene.status_that("it waits for the one that tries", &four, waits(Reason::DestinationDown)).await?;
    scene.finish(&third, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.status_that("good", &three, |s| s.good.is_some()).await?;
    let fourth = scene.copy_of(&four, RUN, "s3").await?;
    assert_eq!(controller.metric(down)?, None, "it works again");
    scene.finish(&fourth, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.status_that("good", &four, |s| s.good.is_some()).await?;
    Ok(())
}

/// What `kubectl backup why` or `status` says of a PVC of the tenant, and its exit code.
fn shown(scene: &Scene, verb: &str) -> Result<(Value, Option<i32>)> {
    let output = Command::new(binaries::path("kubectl-backup")?)
        .args([verb, "-n", &scene.tenant, "-o", "json", "data"])
        .arg(format!("--kubeconfig={}", scene.plane.kubeconfig_path().display()))
        .args([format!("--instance={}", scene.name), format!("--backup-namespace={}", scene.home)])
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((serde_json::from_slice(&output.stdout).context(told)?, output.status.code()))
}

/// U1, U2: green, exit 0 and no alert, while one of two destinations had no copy; and mended, it waited for the next run.
#[tokio::test]
async fn one_broken_secret_of_two_degrades_the_source_until_its_copy_works_at_another_try() -> Result<()> {
    let scene = Scene::new().await?;
    let config = format!("{}{S3}", disk(&scene));
    let controller = scene.controller(&config).await?;
    let claim = run_to(&scene, "data", &["disk", "s3"]).await?;
    bind_disk(&scene).await?;
    scene.finish(&scene.copy_of(&claim, RUN, "disk").await?, &kubelet::copied(CopyState::Complete, None)).await?;
    let first = scene.copy_of(&claim, RUN, "s3").await?;
    scene.finish(&first, &kubelet::copied(CopyState::Failed, Some(Reason::CredentialsRefused))).await?;
    scene.gone(&first).await?;
    let is_degraded = |s: &Status| s.good.is_some() && s.failure.is_none() && s.unwell().count() == 1;
    scene.status_that("it is degraded", &claim, is_degraded).await?;
    scene.event(&claim, "Degraded").await?;
    let state = r#"backup_controller_sources{state="degraded",reason="CredentialsRefused"}"#;
    let place = r#"backup_controller_degraded_sources{destination="s3",reason="CredentialsRefused"}"#;
    let counted = async |wanted: Option<f64>| {
        let ask = async || {
            let is = controller.metric(state)? == wanted && controller.metric(place)? == wanted;
            Ok(is.then_some(()))
        };
        scene.wait("it is counted", ask).await
    };
    counted(Some(1.0)).await?;
    let meta = json!({"name": "backup-controller", "namespace": scene.home});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"config.yaml": config}});
    scene.apply(&map).await?;
    let (told, code) = shown(&scene, "why")?;
    assert_eq!((&told["volume"]["state"], code), (&json!("Degraded"), Some(3)), "{told}");
    assert_eq!(told["volume"]["findings"][0]["reason"], "CredentialsRefused");

    // As if the failure were older: its pause is over, and the Secret is right again.
    let earlier = unreachable(20).finished;
    let age = |ledger: &mut Ledger| {
        ledger.runs.iter_mut().filter_map(|r| r.results.get_mut("s3")).for_each(|r| r.finished = earlier);
        let retries = ledger.runs.iter_mut().flat_map(|r| r.retries.values_mut());
        retries.for_each(|r| (r.since, r.last) = (earlier, earlier));
    };
    scene.edit_ledger(&claim, age).await?;
    let second = scene.copy_of(&claim, RUN, "s3").await?;
    assert_ne!(second.uid(), first.uid());
    scene.finish(&second, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.status_that("it is well", &claim, |s| s.wanted.len() == 2 && s.unwell().count() == 0).await?;
    scene.event(&claim, "CopiesWell").await?;
    scene.gone(&second).await?;
    counted(None).await?;
    let (told, code) = shown(&scene, "why")?;
    assert_eq!((&told["volume"]["state"], code), (&json!("Protected"), Some(0)), "{told}");
    // The controller of this test has no Deployment.
    let (told, code) = shown(&scene, "status")?;
    assert_eq!((&told["alarms"], code), (&json!(0), Some(3)), "{told}");
    assert!(told["controller"][0].as_str().is_some_and(|said| said.contains("has no Deployment")), "{told}");
    Ok(())
}
