//! New PVCs: how long until each is scheduled.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use backup_controller_tests::{Scene, wait_for};
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use model::names;
use serde_json::json;

use crate::seed::Seed;

/// When the CronJob of each source was seen.
type Seen = Arc<Mutex<HashMap<String, Instant>>>;

/// Makes PVCs one after the other. Gives the seconds from `Bound` to the CronJob of each.
pub(crate) async fn make(scene: &Scene, seed: &Seed<'_>, number: usize) -> Result<Vec<f64>> {
    let cronjobs = Seen::default();
    let watch = tokio::spawn(watch(scene.api(&scene.home), cronjobs.clone()));
    // The list is not to be in the way of the first.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut delays = Vec::new();
    for number in 0..number {
        delays.push(one(scene, seed, number, &cronjobs).await?);
    }
    watch.abort();
    Ok(delays)
}

async fn watch(cronjobs: Api<CronJob>, seen: Seen) {
    let mut changes = pin!(watcher(cronjobs, watcher::Config::default()).applied_objects());
    while let Some(change) = changes.next().await {
        let Some(uid) = change.ok().and_then(|job| job.labels().get(names::SOURCE_UID).cloned()) else { continue };
        seen.lock().unwrap_or_else(PoisonError::into_inner).entry(uid).or_insert_with(Instant::now);
    }
}

async fn one(scene: &Scene, seed: &Seed<'_>, number: usize, cronjobs: &Seen) -> Result<f64> {
    let (mut claim, mut volume) = seed.another(number)?;
    let status = claim.status.take();
    let name = format!("another-{number}");
    (claim.metadata.uid, claim.metadata.creation_timestamp, claim.metadata.managed_fields) = (None, None, None);
    claim.metadata.name = Some(name.clone());
    let claims: Api<PersistentVolumeClaim> = scene.api(&claim.namespace().unwrap_or_default());
    let made = claims.create(&PostParams::default(), &claim).await?;
    let uid = made.uid().context("a PVC without a UID")?;
    for key in ["uid", "creationTimestamp", "managedFields"] {
        volume["metadata"].as_object_mut().context("no metadata")?.remove(key);
    }
    volume["spec"]["claimRef"]["uid"] = json!(uid);
    volume["spec"]["claimRef"]["name"] = json!(name);
    let volume: PersistentVolume = serde_json::from_value(volume)?;
    Api::all(scene.client.clone()).create(&PostParams::default(), &volume).await?;
    let begun = Instant::now();
    claims.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await?;
    let at = || cronjobs.lock().unwrap_or_else(PoisonError::into_inner).get(&uid).copied();
    let what = format!("the CronJob of {name}");
    let limit = Duration::from_secs(60);
    let at = wait_for(&what, limit, async || Ok(at()), async || String::new()).await?;
    Ok(at.duration_since(begun).as_secs_f64())
}
