//! Central copies: out of the tenant's reach, step by step, and nothing of them left.

use anyhow::Result;
use backup_controller_tests::{Controller, NewClaim, Scene, kubelet, source};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use model::names;
use model::reason::Reason;
use model::record::CopyState;
use model::snapshot::{VolumeSnapshot, VolumeSnapshotContent};
use serde_json::{Value, json};

use crate::controller::block::reads_the_device;
use crate::controller::{fence, requests_done};

const RUN: &str = "20260101T0000Z";
const CONFIG: &str = "destinations:\n  - {name: vault, type: restic, secret: backup-s3, runIn: controller}\n";

/// A source of a namespace that refuses each pod that could copy it, and the snapshot of a run, with its content.
struct Copied {
    claim: PersistentVolumeClaim,
    snapshot: VolumeSnapshot,
    content: VolumeSnapshotContent,
    /// The name of all that the copy is made from.
    name: String,
}

async fn copied(scene: &Scene) -> Result<Copied> {
    copied_of(scene, NewClaim::new("data")).await
}

async fn copied_of(scene: &Scene, claim: NewClaim) -> Result<Copied> {
    let level = Patch::Merge(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}));
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    namespaces.patch(&scene.tenant, &PatchParams::default(), &level).await?;
    let claim = scene.bound(&scene.tenant, claim).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &["vault"]).await?;
    let (snapshot, content) = scene.make_content(&snapshot, &claim.uid().unwrap_or_default()).await?;
    let name = names::central(&scene.instance(), &source(&claim), &RUN.parse()?, "vault");
    Ok(Copied { claim, snapshot, content, name })
}

impl Copied {
    async fn contents(&self, scene: &Scene) -> Result<VolumeSnapshotContent> {
        let api: Api<VolumeSnapshotContent> = Api::all(scene.client.clone());
        scene.wait("the second content", async || Ok(api.get_opt(&self.name).await?)).await
    }

    async fn central_snapshot(&self, scene: &Scene) -> Result<VolumeSnapshot> {
        let api: Api<VolumeSnapshot> = scene.api(&scene.home);
        scene.wait("the central snapshot", async || Ok(api.get_opt(&self.name).await?)).await
    }

    async fn promoter(&self, scene: &Scene) -> Result<PersistentVolumeClaim> {
        let api: Api<PersistentVolumeClaim> = scene.api(&scene.home);
        scene.wait("the central promoter", async || Ok(api.get_opt(&self.name).await?)).await
    }

    async fn job(&self, scene: &Scene) -> Result<Job> {
        let name = names::copy_job(&source(&self.claim), &RUN.parse()?, "vault");
        let api: Api<Job> = scene.api(&scene.home);
        scene.wait("the central copy", async || Ok(api.get_opt(&name).await?)).await
    }

    /// The storage lets the promoter's volume go.
    async fn release(&self, scene: &Scene, promoter: &PersistentVolumeClaim) -> Result<()> {
        scene.gone(promoter).await?;
        let volumes: Api<PersistentVolume> = Api::all(scene.client.clone());
        let name = format!("pv-{}", promoter.uid().unwrap_or_default());
        volumes.delete(&name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Nothing of the copy is there, and the snapshot and its content are as they were.
    async fn taken_away(&self, scene: &Scene) -> Result<()> {
        let contents: Api<VolumeSnapshotContent> = Api::all(scene.client.clone());
        let what = "the second content is gone";
        scene.wait(what, async || Ok(contents.get_opt(&self.name).await?.is_none().then_some(()))).await?;
        assert!(scene.api::<VolumeSnapshot>(&scene.home).get_opt(&self.name).await?.is_none());
        assert!(scene.api::<PersistentVolumeClaim>(&scene.home).get_opt(&self.name).await?.is_none());
        Ok(())
    }

    async fn untouched(&self, scene: &Scene) -> Result<()> {
        let contents: Api<VolumeSnapshotContent> = Api::all(scene.client.clone());
        assert_eq!(contents.get(&self.content.name_any()).await?, self.content);
        let now = scene.api::<VolumeSnapshot>(&scene.tenant).get(&self.snapshot.name_any()).await?;
        assert_eq!((&now.spec, now.uid()), (&self.snapshot.spec, self.snapshot.uid()));
        Ok(())
    }
}

/// What our account made and deleted, in order: kinds, without Events and what the harness tries to see the guard.
pub(crate) fn steps(scene: &Scene, controller: &Controller) -> Result<Vec<String>> {
    let counts = |r: &dev_cluster::AuditedRequest| {
        matches!(r.verb.as_str(), "create" | "delete") && r.resource != "events" && r.name != "guard-probe"
    };
    Ok(requests_done(scene.writes(controller.user())?, counts))
}

pub(crate) const ALL: [&str; 8] = [
    "create volumesnapshotcontents",
    "create volumesnapshots",
    "create persistentvolumeclaims",
    "create jobs",
    "delete jobs",
    "delete persistentvolumeclaims",
    "delete volumesnapshots",
    "delete volumesnapshotcontents",
];

#[tokio::test]
async fn a_central_copy_is_made_out_of_the_tenants_reach_and_leaves_nothing() -> Result<()> {
    let scene = Scene::new().await?;
    let setup = scene.setup(CONFIG).await?;
    scene.guard(&setup.identity, "controller.yaml").await?;
    let controller = scene.start(setup).await?;
    let copied = copied(&scene).await?;

    let content = copied.contents(&scene).await?;
    let (spec, original) = (&content.spec, copied.content.status.clone().unwrap_or_default());
    assert_eq!((spec.deletion_policy.as_str(), &spec.driver), ("Retain", &scene.driver()));
    assert_eq!((&spec.source.snapshot_handle, &spec.source.volume_handle), (&original.snapshot_handle, &None));
    assert_eq!(spec.volume_snapshot_ref.namespace, Some(scene.home.clone()));
    assert_eq!(spec.source_volume_mode.as_deref(), Some("Filesystem"));
    let snapshot = copied.central_snapshot(&scene).await?;
    fence(&scene, "fence-1").await?;
    let claims = scene.api::<PersistentVolumeClaim>(&scene.home);
    assert_eq!(claims.get_opt(&copied.name).await?, None, "not before the snapshot is ready");
    scene.make_ready(&snapshot).await?;
    let promoter = copied.promoter(&scene).await?;
    fence(&scene, "fence-2").await?;
    assert_eq!(scene.copy_jobs(&scene.home).await?, [], "not before the PVC is bound");
    scene.bind(&promoter, None).await?;
    let job = copied.job(&scene).await?;
    let job_value = serde_json::to_value(&job)?;
    let volumes =
        job_value.pointer("/spec/template/spec/volumes").and_then(Value::as_array).cloned().unwrap_or_default();
    assert!(volumes.iter().any(|v| v["persistentVolumeClaim"] == json!({"claimName": copied.name, "readOnly": true})));
    assert!(volumes.iter().any(|v| v["secret"]["secretName"] == "backup-s3"));
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.status_that("good", &copied.claim, |s| s.good.is_some() && s.failure.is_none()).await?;

    scene.gone(&promoter).await?;
    fence(&scene, "fence-3").await?;
    assert!(scene.api::<VolumeSnapshot>(&scene.home).get_opt(&copied.name).await?.is_some(), "its volume is there");
    copied.release(&scene, &promoter).await?;
    copied.taken_away(&scene).await?;
    copied.untouched(&scene).await?;
    fence(&scene, "fence-4").await?;

    let of_copy = |s: &String| ALL.contains(&s.as_str());
    assert_eq!(steps(&scene, &controller)?.into_iter().filter(of_copy).collect::<Vec<_>>(), ALL);
    let pods = scene.api::<Pod>(&scene.tenant).list(&ListParams::default()).await?.items;
    let jobs = scene.api::<Job>(&scene.tenant).list(&ListParams::default()).await?.items;
    assert!(pods.is_empty() && jobs.is_empty(), "nothing of it in the tenant's namespace");
    // Its PVC was no source: it got no CronJob.
    let cronjobs = scene.api::<CronJob>(&scene.home).list(&ListParams::default()).await?.items;
    let of = |c: &CronJob| c.annotations().get(names::SOURCE_NAME).cloned().unwrap_or_default();
    assert!(cronjobs.iter().all(|c| !of(c).starts_with("central-")));
    Ok(())
}

/// All of it is a device: the driver would refuse, or a node mount, what became a filesystem on the way.
#[tokio::test]
async fn a_central_copy_of_a_raw_block_volume_is_made_of_its_device() -> Result<()> {
    let scene = Scene::new().await?;
    let setup = scene.setup(CONFIG).await?;
    scene.guard(&setup.identity, "controller.yaml").await?;
    let _controller = scene.start(setup).await?;
    let copied = copied_of(&scene, NewClaim::new("data").block()).await?;
    assert_eq!(copied.contents(&scene).await?.spec.source_volume_mode.as_deref(), Some("Block"));
    scene.make_ready(&copied.central_snapshot(&scene).await?).await?;
    let promoter = copied.promoter(&scene).await?;
    assert_eq!(promoter.spec.as_ref().and_then(|s| s.volume_mode.as_deref()), Some("Block"));
    scene.bind(&promoter, None).await?;
    reads_the_device(&copied.job(&scene).await?, &promoter)
}

/// F62.
#[tokio::test]
async fn a_controller_that_is_killed_between_any_two_steps_goes_on() -> Result<()> {
    let scene = Scene::new().await?;
    let mut controller = scene.controller(CONFIG).await?;
    let copied = copied(&scene).await?;
    copied.contents(&scene).await?;
    controller.kill();
    controller.start()?;
    let snapshot = copied.central_snapshot(&scene).await?;
    controller.kill();
    scene.make_ready(&snapshot).await?;
    controller.start()?;
    let promoter = copied.promoter(&scene).await?;
    controller.kill();
    scene.bind(&promoter, None).await?;
    controller.start()?;
    let job = copied.job(&scene).await?;
    controller.kill();
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    controller.start()?;
    scene.status_that("good", &copied.claim, |s| s.good.is_some()).await?;
    controller.kill();
    controller.start()?;
    scene.gone(&job).await?;
    controller.kill();
    controller.start()?;
    scene.gone(&promoter).await?;
    controller.kill();
    copied.release(&scene, &promoter).await?;
    controller.start()?;
    copied.taken_away(&scene).await?;
    copied.untouched(&scene).await?;
    controller.ready(&scene).await?;
    fence(&scene, "fence").await?;
    let of_copy = |s: &String| ALL.contains(&s.as_str());
    assert_eq!(steps(&scene, &controller)?.into_iter().filter(of_copy).collect::<Vec<_>>(), ALL, "each once");
    Ok(())
}

/// Who could bind a content of another volume to his snapshot would read that volume.
#[tokio::test]
async fn a_content_of_another_volume_is_refused_and_nothing_is_made_of_it() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller(CONFIG).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &["vault"]).await?;
    scene.make_content(&snapshot, "somebody-elses-volume").await?;
    let refused =
        |reason| move |s: &model::record::Status| s.failure.as_ref().is_some_and(|f| f.problem.reason == reason);
    scene.status_that("SnapshotMismatch", &claim, refused(Reason::SnapshotMismatch)).await?;
    scene.event(&claim, "SnapshotMismatch").await?;

    // And one that is gone is told, too.
    let other = scene.bound(&scene.tenant, NewClaim::new("other")).await?;
    let snapshot = scene.new_snapshot(&other, RUN, &["vault"]).await?;
    scene.snapshot_status(&snapshot, json!({"readyToUse": true, "boundVolumeSnapshotContentName": "gone"})).await?;
    scene.status_that("SourceSnapshotLost", &other, refused(Reason::SourceSnapshotLost)).await?;
    fence(&scene, "fence").await?;
    let of_copy = |s: &String| ALL.contains(&s.as_str());
    assert_eq!(steps(&scene, &controller)?.into_iter().filter(of_copy).collect::<Vec<_>>(), [] as [&str; 0]);
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_is_deleted_meanwhile_is_told_and_all_is_taken_away() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(CONFIG).await?;
    let copied = copied(&scene).await?;
    let snapshot = copied.central_snapshot(&scene).await?;
    scene.make_ready(&snapshot).await?;
    let promoter = copied.promoter(&scene).await?;
    scene.bind(&promoter, None).await?;
    let job = copied.job(&scene).await?;
    let snapshots = scene.api::<VolumeSnapshot>(&scene.tenant);
    snapshots.delete(&copied.snapshot.name_any(), &DeleteParams::default()).await?;
    scene.event(&copied.claim, "SourceSnapshotLost").await?;
    scene.gone(&job).await?;
    copied.release(&scene, &promoter).await?;
    copied.taken_away(&scene).await
}
