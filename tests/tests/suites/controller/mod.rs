//! The real controller against a real API server, with the test as storage and kubelet.
//!
//! Each test has a [`Scene`] of its own on one control plane.

mod after;
mod block;
mod central;
mod central_drill;
mod classes;
mod config;
mod copy;
mod ended;
mod guarded;
mod host_disk;
mod killed;
mod ledger;
mod life;
mod limits;
mod lineage;
mod maintain;
mod pages;
mod plan;
mod protect;
mod quiet;
mod refused;
mod removal;
mod restic;
mod restore;
mod rights;
mod run_now;
mod settings;
mod templates;

use anyhow::Result;
use backup_controller_tests::{Controller, NewClaim, Scene};
use dev_cluster::AuditedRequest;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use model::names;
use model::snapshot::VolumeSnapshot;

/// A destination called `disk`: a PVC `backup-disk` of the scene's class that retains its volumes.
fn disk(scene: &Scene) -> String {
    let class = scene.class("keep");
    format!("destinations:\n  - {{name: disk, type: disk, claim: {{storageClass: {class}, size: 1Gi}}}}\n")
}

/// A controller with that destination and more configuration.
async fn with_disk(scene: &Scene, config: &str) -> Result<Controller> {
    scene.controller(&format!("{}{config}", disk(scene))).await
}

/// The disk of the scene's tenant, made by the controller and bound by the storage.
async fn bind_disk(scene: &Scene) -> Result<PersistentVolumeClaim> {
    scene.bind_named(&scene.tenant, "backup-disk", None).await
}

/// A source with one run that can be copied.
async fn source_with_run(
    scene: &Scene,
    name: &str,
    run: &str,
) -> Result<(PersistentVolumeClaim, VolumeSnapshot, PersistentVolumeClaim)> {
    let new = NewClaim::new(name).annotate(names::DESTINATION_SETTING, "disk");
    let claim = scene.bound(&scene.tenant, new).await?;
    let (snapshot, promoter) = scene.point(&claim, run, &["disk"]).await?;
    Ok((claim, snapshot, promoter))
}

/// Something that a controller must react to. When it has, it has seen all that came before, too.
async fn fence(scene: &Scene, name: &str) -> Result<PersistentVolumeClaim> {
    let claim = scene.bound(&scene.tenant, NewClaim::new(name)).await?;
    scene.cronjob_of(&claim).await?;
    scene.status_that("protected", &claim, |s| s.protected_since.is_some()).await?;
    scene.event(&claim, "Protected").await?;
    Ok(claim)
}

/// What was done by these requests, in order, as `create jobs`. A request whose client was killed is logged as broken off,
/// whether it was done or not: if it was not, it came again.
fn requests_done(writes: Vec<AuditedRequest>, counts: impl Fn(&AuditedRequest) -> bool) -> Vec<String> {
    let all: Vec<(String, u16)> =
        writes.into_iter().filter(counts).map(|r| (format!("{} {}", r.verb, r.resource), r.code)).collect();
    let is_done = |step: &str| all.iter().any(|(other, code)| other == step && *code < 300);
    let broken_off = |code: u16| code == 0 || code >= 499;
    let counts = |(step, code): &&(String, u16)| *code < 300 || broken_off(*code) && !is_done(step);
    all.iter().filter(counts).map(|(step, _)| step.clone()).collect()
}

/// The arguments of a CronJob's program.
fn args(cronjob: &CronJob) -> Vec<String> {
    let pod = cronjob.spec.as_ref().and_then(|s| s.job_template.spec.as_ref()).and_then(|j| j.template.spec.as_ref());
    pod.and_then(|p| p.containers[0].args.clone()).unwrap_or_default()
}

/// Whether a CronJob's program gets an argument.
fn has_arg(cronjob: &CronJob, arg: &str) -> bool {
    args(cronjob).iter().any(|a| a == arg)
}

/// Whether a Job's program gets an argument.
fn has_task_arg(job: &Job, arg: &str) -> bool {
    let pod = job.spec.as_ref().and_then(|s| s.template.spec.as_ref());
    pod.and_then(|p| p.containers[0].args.as_ref()).is_some_and(|args| args.iter().any(|a| a == arg))
}
