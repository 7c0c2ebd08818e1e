//! One run from its Job to the recorded copy, with one old restore point to rotate.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use backup_controller_tests::figures::{Table, mebibytes, resident};
use backup_controller_tests::{Controller, Identity, NewClaim, Scene, binaries, kubelet};
use dev_cluster::AuditedRequest;
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt};
use model::Timestamp;
use model::names::{self, Run};
use model::record::CopyState;
use model::snapshot::VolumeSnapshot;
use serde_json::{Value, json};

use crate::memory::{counts, settle};

/// A source whose runs are started by hand.
pub(crate) struct Source {
    pub(crate) job: Identity,
    cronjob: CronJob,
}

/// Makes every snapshot ready, and removes volumes whose claims are gone.
pub(crate) async fn storage(client: Client) {
    futures::join!(take_snapshots(client.clone()), remove_volumes(Api::all(client)));
}

async fn take_snapshots(client: Client) {
    let mut seen = pin!(watcher(Api::all(client.clone()), watcher::Config::default()).applied_objects());
    while let Some(next) = seen.next().await {
        let Some(snapshot) = next.ok().filter(|s: &VolumeSnapshot| s.status.is_none()) else { continue };
        let api: Api<VolumeSnapshot> = Api::namespaced(client.clone(), &snapshot.namespace().unwrap_or_default());
        let patch = Patch::Merge(json!({"status": {"readyToUse": true, "restoreSize": "1Gi"}}));
        let _ = api.patch_status(&snapshot.name_any(), &PatchParams::default(), &patch).await;
    }
}

async fn remove_volumes(volumes: Api<PersistentVolume>) {
    let mut seen = pin!(watcher(volumes.clone(), watcher::Config::default()).applied_objects());
    while let Some(next) = seen.next().await {
        let Ok(volume) = next else { continue };
        let phase = volume.status.as_ref().and_then(|s| s.phase.as_deref());
        if matches!(phase, Some("Released" | "Failed")) && volume.metadata.deletion_timestamp.is_none() {
            let _ = volumes.delete(&volume.name_any(), &DeleteParams::default()).await;
        }
    }
}

/// Counts the requests of a run by both programs, and measures the job.
pub(crate) async fn measure(table: &mut Table, scene: &Scene, controller: &Controller) -> Result<Source> {
    let job = scene.identity("backup-job", "job-role.yaml", |_| {}).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("counted")).await?;
    // Two restore points with good copies. Both are past their retention; the newer is the last good one.
    let now = Timestamp::now();
    for days in [5_u64, 4] {
        let run = Run::at(now - Duration::from_secs(days * 24 * 3600));
        let (_, promoter) = scene.point(&claim, run.as_str(), &["disk"]).await?;
        let volumes: Api<PersistentVolume> = Api::all(scene.client.clone());
        let patch = Patch::Merge(json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}));
        let volume = promoter.spec.and_then(|s| s.volume_name).context("an unbound promoter")?;
        volumes.patch(&volume, &PatchParams::default(), &patch).await?;
        if days == 5 {
            scene.bind_named(&scene.tenant, "backup-disk", None).await?;
        }
        copy(scene, &claim, &run).await?;
    }
    let source = Source { job, cronjob: scene.cronjob_of(&claim).await? };
    settle(scene, controller.user()).await?;
    let before = scene.requests(controller.user())?.iter().filter(|r| counts(r)).count();

    let run = Run::at(now);
    let made = source.start_job(scene, &run, false).await?;
    let pod = scene.pod_of(&made).await?;
    let mut running = source.exec(scene, &made, &[])?;
    let peak = peak(&mut running.child)?;
    let code = running.child.wait()?.code();
    anyhow::ensure!(code == Some(0), "the job ended with {code:?}:\n{}", running.log()?);
    let result: Value = serde_json::from_str(&std::fs::read_to_string(&running.result)?)?;
    let gone = result["rotated"].as_array().map_or(0, Vec::len);
    anyhow::ensure!(gone == 2, "not one promoter and its snapshot were rotated: {result}");
    scene.end_pod(&pod, 0, &result.to_string()).await?;
    let point = result["restorePoint"].as_str().context("no restore point")?;
    scene.bind_named(&scene.tenant, point, None).await?;
    copy(scene, &claim, &run).await?;
    settle(scene, controller.user()).await?;

    table.judge("backup-job snapshot, a whole run: most memory (VmHWM)", mebibytes(peak.0), 12.0, "MiB", false);
    table.tell("  of it: private (RssAnon)", format!("{:.1} MiB", mebibytes(peak.1)));
    table.tell("  of it: of the program's file (RssFile)", format!("{:.1} MiB", mebibytes(peak.2)));
    let by_job: Vec<_> = scene.requests(&source.job.user)?.into_iter().filter(counts).collect();
    let by_controller: Vec<_> = scene.requests(controller.user())?.into_iter().filter(counts).skip(before).collect();
    let all = u32::try_from(by_job.len() + by_controller.len())?;
    table.judge("requests of a run with a copy and a rotation", f64::from(all), 16.0, "requests", true);
    tell(table, "backup-job", &by_job);
    tell(table, "the controller", &by_controller);
    let ledger = scene.ledger(&claim).await?.context("the source has no ledger")?;
    let size = ledger.to_data().values().map(String::len).sum::<usize>();
    table.tell("the ledger of that source, three runs at one destination", format!("{size} bytes"));
    Ok(source)
}

/// The copy of a run, to its recorded end.
async fn copy(scene: &Scene, claim: &PersistentVolumeClaim, run: &Run) -> Result<()> {
    let job = scene.copy_of(claim, run.as_str(), "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.gone(&job).await
}

/// One line a verb and resource.
fn tell(table: &mut Table, who: &str, requests: &[AuditedRequest]) {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for request in requests {
        let failed = if request.code < 400 { String::new() } else { format!(" (answer {})", request.code) };
        *kinds.entry(format!("{} {}{failed}", request.verb, request.resource)).or_default() += 1;
    }
    table.tell(&format!("  {who}"), requests.len().to_string());
    for (kind, number) in kinds {
        table.tell(&format!("    {kind}"), number.to_string());
    }
}

/// The most that a process occupies until it ends: in all, and then the private part and the program's.
/// The kernel keeps the maximum (`VmHWM`), so that only what comes after the last look is missed: less than
/// a millisecond. (A child's `ru_maxrss` would count its parent's memory before exec, too.)
fn peak(child: &mut Child) -> Result<(u32, u32, u32)> {
    let mut peak = (0, 0, 0);
    while child.try_wait()?.is_none() {
        let [most, private, file] = ["VmHWM", "RssAnon", "RssFile"].map(|key| resident(child.id(), key).unwrap_or(0));
        peak = (peak.0.max(most), peak.1.max(private), peak.2.max(file));
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(peak)
}

/// A job's process.
pub(crate) struct Running {
    pub(crate) child: Child,
    result: PathBuf,
    log: PathBuf,
}

impl Running {
    /// All that it has written.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Source {
    /// The Job that the source's CronJob makes for a run.
    pub(crate) async fn start_job(&self, scene: &Scene, run: &Run, suspend: bool) -> Result<Job> {
        let mut job = serde_json::to_value(self.cronjob.spec.as_ref().map(|s| &s.job_template))?;
        job["apiVersion"] = json!("batch/v1");
        job["kind"] = json!("Job");
        // As Kubernetes names it.
        job["metadata"]["name"] = json!(format!("{}-{}", self.cronjob.name_any(), run.time().as_second() / 60));
        job["metadata"]["annotations"][names::SCHEDULED_TIMESTAMP] = json!(run.time().to_string());
        job["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": self.cronjob.name_any(),
            "uid": self.cronjob.uid(), "controller": true, "blockOwnerDeletion": true,
        }]);
        job["spec"]["suspend"] = json!(suspend);
        let job: Job = serde_json::from_value(job)?;
        Ok(scene.api(&scene.home).create(&PostParams::default(), &job).await?)
    }

    /// The program of that Job's pod, with the pod's arguments and its account.
    pub(crate) fn exec(&self, scene: &Scene, job: &Job, more: &[String]) -> Result<Running> {
        let pod = job.spec.as_ref().and_then(|s| s.template.spec.as_ref()).context("a Job without a pod")?;
        let args = pod.containers.first().and_then(|c| c.args.clone()).unwrap_or_default();
        let name = job.name_any();
        let (result, log) = (scene.dir.join(format!("{name}.result")), scene.dir.join(format!("{name}.log")));
        let output = std::fs::File::create(&log)?;
        let child = Command::new(binaries::path("backup-job")?)
            .args(args)
            .args(more)
            .arg(format!("--termination-log={}", result.display()))
            .env_clear()
            .env("KUBECONFIG", &self.job.kubeconfig)
            .env("JOB_NAME", name)
            .env("JOB_NAMESPACE", &scene.home)
            .env("POD_UID", job.uid().unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Running { child, result, log })
    }
}
