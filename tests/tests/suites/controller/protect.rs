//! A PVC gets one CronJob, which follows it.

use std::collections::BTreeSet;

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, source};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use model::names;
use model::snapshot::VolumeSnapshot;
use serde_json::json;

use crate::controller::{args, fence};

#[tokio::test]
async fn a_new_pvc_gets_one_cronjob_a_status_and_an_event() -> Result<()> {
    let scene = Scene::new().await?;
    let config = "defaults: {schedule: 'H H(0-5) * * *', timeZone: Europe/Amsterdam, retention: daily=7}";
    let controller = scene.controller(config).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;

    let cronjob = scene.cronjob_of(&claim).await?;
    assert_eq!(cronjob.name_any(), names::cronjob(&source(&claim)));
    let spec = cronjob.spec.clone().unwrap_or_default();
    let fields: Vec<&str> = spec.schedule.split(' ').collect();
    assert!(fields[0].parse::<u8>()? < 60 && fields[1].parse::<u8>()? < 6, "H is resolved: {}", spec.schedule);
    assert_eq!(fields[2..], ["*", "*", "*"]);
    assert_eq!(spec.time_zone.as_deref(), Some("Europe/Amsterdam"));
    assert_eq!(spec.concurrency_policy.as_deref(), Some("Forbid"));
    assert_eq!(spec.starting_deadline_seconds, Some(3600));
    assert_eq!((spec.successful_jobs_history_limit, spec.failed_jobs_history_limit), (Some(1), Some(1)));
    let job = spec.job_template.spec.unwrap_or_default();
    assert_eq!((job.backoff_limit, job.active_deadline_seconds), (Some(2), Some(1800)));
    let given = args(&cronjob);
    assert!(given.contains(&"--retention=daily=7".to_owned()), "{given:?}");
    assert!(given.contains(&format!("--uid={}", source(&claim).uid)), "{given:?}");
    let labels = cronjob.labels();
    assert_eq!(labels[names::MANAGED_BY], names::MANAGER);
    assert_eq!(labels[names::INSTANCE], scene.name);
    assert_eq!(labels[names::SOURCE_PVC], "data");
    assert_eq!(cronjob.owner_references(), []);

    let status = scene.status_that("protected", &claim, |s| s.protected_since.is_some()).await?;
    assert_eq!((status.unprotected, status.failure, status.waiting), (None, None, None));
    let event = scene.event(&claim, "Protected").await?;
    assert_eq!(event.type_.as_deref(), Some("Normal"));

    fence(&scene, "fence").await?;
    assert_eq!(scene.cronjobs_of(&claim).await?.len(), 1);
    let writes = scene.writes(controller.user())?;
    let about = |name: &str| writes.iter().filter(|r| r.name == name).map(|r| r.verb.as_str()).collect::<Vec<_>>();
    assert_eq!(about(&cronjob.name_any()), ["patch"], "the CronJob is written once");
    assert_eq!(about("data"), ["patch"], "the status is written once");
    Ok(())
}

/// F58: the API's limits for names. F59: names that differ only where others cut them.
#[tokio::test]
async fn names_of_any_length_get_cronjobs_of_their_own() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller("").await?;
    let long = format!("{}.x", "a".repeat(251));
    let (one, two) = (format!("{}-one", "b".repeat(60)), format!("{}-two", "b".repeat(60)));
    let mut names = BTreeSet::new();
    for name in [&long, &one, &two] {
        let claim = scene.bound(&scene.tenant, NewClaim::new(name)).await?;
        let cronjob = scene.cronjob_of(&claim).await?;
        assert_eq!(cronjob.annotations()[names::SOURCE_NAME], *name);
        assert!(cronjob.labels()[names::SOURCE_PVC].len() <= 63);
        names.insert(cronjob.name_any());
        scene.event(&claim, "Protected").await?;
    }
    assert_eq!(names.len(), 3, "{names:?}");
    Ok(())
}

/// F78.
#[tokio::test]
async fn a_pvc_that_is_made_anew_is_another_source() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller("").await?;
    let claims = scene.api::<PersistentVolumeClaim>(&scene.tenant);
    let old = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let first = scene.cronjob_of(&old).await?;
    claims.delete("data", &DeleteParams::default()).await?;
    scene.gone(&old).await?;
    let new = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    scene.gone(&first).await?;
    let second = scene.cronjob_of(&new).await?;
    assert_ne!(first.name_any(), second.name_any());
    assert!(args(&second).contains(&format!("--uid={}", source(&new).uid)));
    Ok(())
}

#[tokio::test]
async fn when_a_pvc_goes_its_cronjob_goes_and_its_restore_points_stay() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller("").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let cronjob = scene.cronjob_of(&claim).await?;
    let (snapshot, promoter) = scene.point(&claim, "20260101T0000Z", &[]).await?;
    scene.status_that("good", &claim, |s| s.good.is_some()).await?;
    let claims = scene.api::<PersistentVolumeClaim>(&scene.tenant);
    claims.delete("data", &DeleteParams::default()).await?;
    scene.gone(&cronjob).await?;
    fence(&scene, "fence").await?;
    let now = scene.api::<VolumeSnapshot>(&scene.tenant).get(&snapshot.name_any()).await?;
    assert_eq!((now.uid(), now.metadata.deletion_timestamp), (snapshot.uid(), None));
    let now = claims.get(&promoter.name_any()).await?;
    assert_eq!((now.uid(), now.metadata.deletion_timestamp), (promoter.uid(), None));
    let vanished = r#"backup_controller_sources{state="vanished",reason=""}"#;
    assert_eq!(controller.metric(vanished)?, Some(1.0));
    Ok(())
}

/// What somebody changes by hand is put back, with one write, and not fought over.
#[tokio::test]
async fn a_cronjob_that_somebody_edits_or_deletes_is_put_back() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller("").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let cronjob = scene.cronjob_of(&claim).await?;
    let schedule = cronjob.spec.clone().unwrap_or_default().schedule;
    let cronjobs = scene.api::<CronJob>(&scene.home);
    for (edit, number) in [(json!({"schedule": "1 2 3 4 5"}), "1"), (json!({"suspend": true}), "2")] {
        let before = scene.writes(controller.user())?.len();
        let patch = Patch::Merge(json!({"spec": edit}));
        cronjobs.patch(&cronjob.name_any(), &PatchParams::default(), &patch).await?;
        scene
            .cronjob_that("the CronJob is put back", &claim, |c| {
                let spec = c.spec.clone().unwrap_or_default();
                spec.schedule == schedule && spec.suspend != Some(true)
            })
            .await?;
        fence(&scene, &format!("fence-{number}")).await?;
        let after = scene.writes(controller.user())?;
        let ours: Vec<_> = after[before..].iter().filter(|r| r.name == cronjob.name_any()).collect();
        assert_eq!(ours.len(), 1, "{ours:?}");
    }
    cronjobs.delete(&cronjob.name_any(), &DeleteParams::default()).await?;
    scene.gone(&cronjob).await?;
    scene.cronjob_of(&claim).await?;
    Ok(())
}

/// A copy of a source's CronJob, made by hand, would run everything twice.
#[tokio::test]
async fn a_second_cronjob_of_a_source_is_removed() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller("").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let cronjob = scene.cronjob_of(&claim).await?;
    let mut copy = cronjob.clone();
    copy.metadata = kube::core::ObjectMeta {
        name: Some("mine".into()),
        labels: cronjob.metadata.labels.clone(),
        annotations: cronjob.metadata.annotations.clone(),
        ..Default::default()
    };
    let copy = scene.api::<CronJob>(&scene.home).create(&PostParams::default(), &copy).await?;
    scene.gone(&copy).await?;
    assert_eq!(scene.cronjob_of(&claim).await?.uid(), cronjob.uid());
    Ok(())
}
