//! Annotations: the PVC's over the Namespace's over the configuration, inside bounds; what cannot be read
//! is told and changes nothing (law 4).

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, Setup};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use model::names;
use model::reason::Reason;
use model::record::Status;

use crate::controller::{args, disk, fence, has_arg, with_disk};

async fn annotate(scene: &Scene, name: &str, key: &str, value: Option<&str>) -> Result<PersistentVolumeClaim> {
    scene.annotate(&scene.tenant, name, &[(key, value)]).await
}

#[tokio::test]
async fn opt_out_ends_the_schedule_and_opting_in_again_begins_it() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller("").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let cronjob = scene.cronjob_of(&claim).await?;
    annotate(&scene, "data", names::ENABLED, Some("false")).await?;
    scene.gone(&cronjob).await?;
    let out = |s: &Status| s.unprotected.as_ref().is_some_and(|p| p.reason == Reason::Disabled);
    scene.status_that("disabled", &claim, out).await?;
    // Somebody chose it: it is told, and no warning.
    assert_eq!(scene.event(&claim, "Disabled").await?.type_.as_deref(), Some("Normal"));
    annotate(&scene, "data", names::ENABLED, None).await?;
    scene.cronjob_of(&claim).await?;
    scene.status_that("protected", &claim, |s| s.unprotected.is_none()).await?;

    // The namespace's word holds for all PVCs without one of their own.
    let kept = scene.bound(&scene.tenant, NewClaim::new("kept").annotate(names::ENABLED, "true")).await?;
    let cronjob = scene.cronjob_of(&claim).await?;
    scene.cronjob_of(&kept).await?;
    scene.annotate_namespace(&scene.tenant, &[(names::ENABLED, Some("false"))]).await?;
    scene.gone(&cronjob).await?;
    let never = scene.bound(&scene.tenant, NewClaim::new("never")).await?;
    let also = scene.bound(&scene.tenant, NewClaim::new("also").annotate(names::ENABLED, "true")).await?;
    scene.cronjob_of(&also).await?;
    assert_eq!(scene.cronjobs_of(&kept).await?.len(), 1);
    assert!(scene.cronjobs_of(&never).await?.is_empty());
    assert_eq!(scene.status(&never).await?, None, "what somebody chose is not written on every PVC");
    Ok(())
}

#[tokio::test]
async fn with_opt_in_only_what_is_asked_for_is_protected() -> Result<()> {
    let scene = Scene::new().await?;
    let setup = Setup { selection: "  mode: opt-in".to_owned(), ..scene.setup("").await? };
    let controller = scene.start(setup).await?;
    let other = scene.namespace("asked").await?;
    let left_out = scene.namespace("left-out").await?;
    scene.annotate_namespace(&other, &[(names::ENABLED, Some("true"))]).await?;
    let plain = scene.bound(&scene.tenant, NewClaim::new("plain")).await?;
    // A tenant cannot lift what the administrator excluded.
    let excluded = scene.bound(&left_out, NewClaim::new("data").annotate(names::ENABLED, "true")).await?;
    let asked = scene.bound(&scene.tenant, NewClaim::new("asked").annotate(names::ENABLED, "true")).await?;
    let by_namespace = scene.bound(&other, NewClaim::new("data")).await?;
    let not = scene.bound(&other, NewClaim::new("not").annotate(names::ENABLED, "false")).await?;
    for claim in [&asked, &by_namespace] {
        scene.cronjob_of(claim).await?;
        scene.event(claim, "Protected").await?;
    }
    for claim in [&plain, &excluded, &not] {
        assert!(scene.cronjobs_of(claim).await?.is_empty(), "{}", claim.name_any());
    }
    let series = r#"backup_controller_sources{state="unprotected",reason="NotOptedIn"}"#;
    assert_eq!(controller.metric(series)?, Some(1.0));
    Ok(())
}

/// F73: a word that is neither true nor false is told, and counts as not set.
#[tokio::test]
async fn a_typo_in_enabled_is_told_and_counts_as_not_set() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller("").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data").annotate(names::ENABLED, "yes")).await?;
    scene.cronjob_of(&claim).await?;
    let event = scene.event(&claim, "InvalidSetting").await?;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    let note = event.note.unwrap_or_default();
    assert!(note.contains(names::ENABLED) && note.contains("yes") && note.contains("\"true\""), "{note}");
    let status = scene.status_that("protected", &claim, |s| s.protected_since.is_some()).await?;
    assert_eq!(status.warnings.len(), 1);

    // In a namespace that is opted out, it does not opt in.
    let closed = scene.namespace("closed").await?;
    scene.annotate_namespace(&closed, &[(names::ENABLED, Some("false"))]).await?;
    let claim = scene.bound(&closed, NewClaim::new("data").annotate(names::ENABLED, "ture")).await?;
    scene.event(&claim, "InvalidSetting").await?;
    assert!(scene.cronjobs_of(&claim).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn settings_of_the_pvc_go_over_those_of_its_namespace() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let namespace = [
        (names::SCHEDULE, Some("5 4 * * *")),
        (names::TIME_ZONE, Some("Asia/Tokyo")),
        (names::RETENTION, Some("5days")),
        (names::DESTINATION_SETTING, Some("disk")),
    ];
    scene.annotate_namespace(&scene.tenant, &namespace).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let cronjob = scene.cronjob_of(&claim).await?;
    let spec = cronjob.spec.clone().unwrap_or_default();
    assert_eq!((spec.schedule.as_str(), spec.time_zone.as_deref()), ("5 4 * * *", Some("Asia/Tokyo")));
    assert!(has_arg(&cronjob, "--retention=5d"), "{:?}", args(&cronjob));
    // What a run is copied to is recorded, and no word of the program that takes it.
    let copied_to = |destinations: &'static [&str]| {
        move |ledger: &model::ledger::Ledger| ledger.settings.as_ref().is_some_and(|s| s.destinations == destinations)
    };
    scene.ledger_that("the namespace's destination", &claim, copied_to(&["disk"])).await?;

    fence(&scene, "fence-1").await?;
    let before = scene.writes(controller.user())?.len();
    annotate(&scene, "data", names::RETENTION, Some("9days")).await?;
    scene.cronjob_that("the retention follows", &claim, |c| has_arg(c, "--retention=9d")).await?;
    annotate(&scene, "data", names::DESTINATION_SETTING, Some("none")).await?;
    let ledger = scene.ledger_that("snapshots only", &claim, copied_to(&[])).await?;
    assert_eq!(ledger.settings.map(|s| s.retention).as_deref(), Some("9d"));
    fence(&scene, "fence-2").await?;
    let writes = scene.writes(controller.user())?.split_off(before);
    let ours: Vec<_> = writes.iter().filter(|r| r.name == cronjob.name_any()).collect();
    assert_eq!(ours.len(), 1, "the destinations are no word of it: {ours:?}");
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_gets_a_label_brings_its_pvcs_into_a_group() -> Result<()> {
    let scene = Scene::new().await?;
    let config = "groups:
  - {name: marked, pvcLabels: {example.com/backup: weekly}, schedule: 7 5 * * 0, retention: 12days}
  - {name: gold, namespaceLabels: {example.com/tier: gold}, schedule: 7 5 * * *, retention: 9days}
  - {name: off, namespaceLabels: {example.com/tier: none}, enabled: false, retention: 20days}";
    let _controller = scene.controller(config).await?;
    let plain = scene.bound(&scene.tenant, NewClaim::new("plain")).await?;
    let own = scene.bound(&scene.tenant, NewClaim::new("own").annotate(names::RETENTION, "3days")).await?;
    let on = scene.bound(&scene.tenant, NewClaim::new("on").annotate(names::ENABLED, "true")).await?;
    for claim in [&plain, &on] {
        scene.cronjob_that("the defaults", claim, |c| has_arg(c, "--retention=2d")).await?;
    }
    let namespaces = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(scene.client.clone());
    let label = async |tier: &str| {
        let patch = serde_json::json!({"metadata": {"labels": {"example.com/tier": tier}}});
        namespaces.patch(&scene.tenant, &kube::api::PatchParams::default(), &kube::api::Patch::Merge(&patch)).await
    };
    label("gold").await?;
    let fifth = |c: &k8s_openapi::api::batch::v1::CronJob| c.spec.as_ref().is_some_and(|s| s.schedule == "7 5 * * *");
    scene.cronjob_that("the group's", &plain, |c| has_arg(c, "--retention=9d") && fifth(c)).await?;
    scene.cronjob_that("its own", &own, |c| has_arg(c, "--retention=3d") && fifth(c)).await?;
    // The first group that fits counts.
    let pvcs = scene.api::<PersistentVolumeClaim>(&scene.tenant);
    let patch = serde_json::json!({"metadata": {"labels": {"example.com/backup": "weekly"}}});
    pvcs.patch("plain", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(&patch)).await?;
    let sunday = |c: &k8s_openapi::api::batch::v1::CronJob| c.spec.as_ref().is_some_and(|s| s.schedule == "7 5 * * 0");
    scene.cronjob_that("of its own label", &plain, |c| has_arg(c, "--retention=12d") && sunday(c)).await?;
    // New backups can start disabled, and be enabled one by one.
    let cronjob = scene.cronjob_of(&own).await?;
    label("none").await?;
    scene.gone(&cronjob).await?;
    scene.status_that("off", &own, |s| s.unprotected.as_ref().is_some_and(|p| p.message.contains("group off"))).await?;
    scene.cronjob_that("enabled", &on, |c| has_arg(c, "--retention=20d") && !fifth(c)).await?;
    Ok(())
}

/// F76, law 4: what was in force stays in force.
#[tokio::test]
async fn a_setting_that_cannot_be_read_is_told_and_changes_nothing() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data").annotate(names::RETENTION, "9days")).await?;
    let before = scene.cronjob_of(&claim).await?;
    for (key, value, reason, words) in [
        (names::RETENTION, "2 fortnights", "InvalidSetting", "days"),
        (names::SCHEDULE, "61 * * * *", "InvalidSetting", "59"),
        (names::SCHEDULE, "* * * * *", "InvalidSetting", "minInterval"),
        (names::TIME_ZONE, "Mars/Olympus", "InvalidSetting", "zone"),
        (names::DESTINATION_SETTING, "tape", "UnknownDestination", "allowed are disk, none"),
    ] {
        // Of its own PVC, so that Events are not joined.
        let name = format!("p-{}", names::hash(value, 6));
        let other = scene.bound(&scene.tenant, NewClaim::new(&name).annotate(names::RETENTION, "9days")).await?;
        let its = scene.cronjob_of(&other).await?;
        annotate(&scene, &name, key, Some(value)).await?;
        let event = scene.event(&other, reason).await?;
        let note = event.note.unwrap_or_default();
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        assert!(note.contains(key) && note.contains(value) && note.contains(words), "{note}");
        let now = scene.cronjob_of(&other).await?;
        assert_eq!(now.resource_version(), its.resource_version(), "{key}: {value}");
    }
    // The administrator changes the default meanwhile, and the setting is still not readable.
    annotate(&scene, "data", names::RETENTION, Some("for ever")).await?;
    scene.event(&claim, "InvalidSetting").await?;
    controller.configure(&format!("{}defaults: {{retention: 1day}}", disk(&scene)))?;
    let marker = fence(&scene, "fence").await?;
    scene.cronjob_that("the default follows", &marker, |c| has_arg(c, "--retention=1d")).await?;
    let now = scene.cronjob_of(&claim).await?;
    assert_eq!(now.resource_version(), before.resource_version());
    // Readable again: it follows.
    annotate(&scene, "data", names::RETENTION, Some("10days")).await?;
    scene.cronjob_that("it follows", &claim, |c| has_arg(c, "--retention=10d")).await?;
    let status = scene.status_that("no warnings", &claim, |s| s.warnings.is_empty()).await?;
    assert!(status.protected_since.is_some());
    Ok(())
}

/// Law 4 for a PVC that is new: it is protected, and rotates nothing.
#[tokio::test]
async fn a_new_pvc_with_a_retention_that_cannot_be_read_rotates_nothing() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller("").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data").annotate(names::RETENTION, "")).await?;
    let cronjob = scene.cronjob_of(&claim).await?;
    assert!(has_arg(&cronjob, "--no-rotate"), "{:?}", args(&cronjob));
    scene.event(&claim, "InvalidSetting").await?;
    annotate(&scene, "data", names::RETENTION, Some("3days")).await?;
    let right = scene.cronjob_that("it rotates", &claim, |c| has_arg(c, "--retention=3d")).await?;
    assert!(!has_arg(&right, "--no-rotate"), "{:?}", args(&right));
    Ok(())
}
