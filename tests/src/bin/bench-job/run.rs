//! One run from its Job to the recorded copies at one, two and three destinations, with one old restore point to rotate.

use std::path::PathBuf;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use backup_controller_tests::figures::{Table, by_kind, counts, mebibytes, resident};
use backup_controller_tests::{Controller, Identity as Account, NewClaim, Scene, binaries, kubelet};
use dev_cluster::AuditedRequest;
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt};
use model::Timestamp;
use model::facts::Identity;
use model::ledger::{Entry, Finding, Ledger};
use model::names::{self, Run};
use model::record::{CopyResult, CopyState};
use model::snapshot::VolumeSnapshot;
use serde_json::{Value, json};

use crate::memory::{DESTINATIONS, settle};

/// A source whose runs are started by hand.
pub(crate) struct Source {
    pub(crate) job: Account,
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

/// Counts the requests of a run by both programs, at one destination and at more, and measures the job. Gives the source
/// of one destination.
pub(crate) async fn measure(table: &mut Table, scene: &Scene, controller: &Controller) -> Result<Source> {
    let job = scene.identity("backup-job", "job-role.yaml", |_| {}).await?;
    let one = Box::pin(measure_at(table, scene, controller, &job, &DESTINATIONS[..1])).await?;
    for more in 2..=DESTINATIONS.len() {
        Box::pin(measure_at(table, scene, controller, &job, &DESTINATIONS[..more])).await?;
    }
    Ok(one)
}

/// The same of a source with these destinations.
async fn measure_at(
    table: &mut Table,
    scene: &Scene,
    controller: &Controller,
    job: &Account,
    destinations: &[&str],
) -> Result<Source> {
    let number = destinations.len();
    let claim = scene.bound(&scene.tenant, NewClaim::new(&format!("counted-{number}"))).await?;
    // Two restore points with good copies. Both are past their retention; the newer is the last good one.
    let now = Timestamp::now();
    for days in [5_u64, 4] {
        let run = Run::at(now - Duration::from_secs(days * 24 * 3600));
        let (_, promoter) = scene.point(&claim, run.as_str(), destinations).await?;
        let volumes: Api<PersistentVolume> = Api::all(scene.client.clone());
        let patch = Patch::Merge(json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}));
        let volume = promoter.spec.and_then(|s| s.volume_name).context("an unbound promoter")?;
        volumes.patch(&volume, &PatchParams::default(), &patch).await?;
        // The disks of fewer destinations are there already.
        if let Some(newest) = destinations.last().filter(|_| days == 5) {
            scene.bind_named(&scene.tenant, &format!("backup-{newest}"), None).await?;
        }
        copies(scene, &claim, &run, destinations).await?;
    }
    let source = Source { job: job.clone(), cronjob: scene.cronjob_of(&claim).await? };
    settle(scene, controller.user()).await?;
    let asked = |user: &str| anyhow::Ok(scene.requests(user)?.into_iter().filter(counts).collect::<Vec<_>>());
    let before = (asked(&job.user)?.len(), asked(controller.user())?.len());

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
    copies(scene, &claim, &run, destinations).await?;
    settle(scene, controller.user()).await?;

    let by_job = asked(&job.user)?.split_off(before.0);
    let by_controller = asked(controller.user())?.split_off(before.1);
    let all = f64::from(u32::try_from(by_job.len() + by_controller.len())?);
    if number == 1 {
        table.judge("backup-job snapshot, a whole run: most memory (VmHWM)", mebibytes(peak.0), 12.0, "MiB", false);
        table.tell("  of it: private (RssAnon)", format!("{:.1} MiB", mebibytes(peak.1)));
        table.tell("  of it: of the program's file (RssFile)", format!("{:.1} MiB", mebibytes(peak.2)));
    }
    // Each further destination: a Job is made and deleted, and the ledger and the status are written.
    let goal = 16.0 + 5.0 * f64::from(u32::try_from(number - 1)?);
    table.judge(&format!("requests of a run with a rotation, destinations: {number}"), all, goal, "requests", true);
    tell(table, "backup-job", &by_job);
    tell(table, "the controller", &by_controller);
    let ledger = scene.ledger(&claim).await?.context("the source has no ledger")?;
    table.tell(&format!("the ledger of that source, three runs, destinations: {number}"), size(&ledger));
    if number == DESTINATIONS.len() {
        let years = years(ledger, &run)?;
        table.tell(&format!("the same with {DAILY} daily and {MONTHLY} monthly runs"), size(&years));
    }
    Ok(source)
}

/// How many runs of each kind a long ledger has.
const DAILY: u64 = 31;
const MONTHLY: u64 = 24;

/// A ledger with the copies of as many runs as a usual retention keeps for two years, each as the run's that is there.
fn years(mut ledger: Ledger, newest: &Run) -> Result<Ledger> {
    let known = ledger.runs.iter().find(|record| record.run == *newest).context("the run is not recorded")?;
    let results = known.results.clone();
    let days = (1..DAILY).chain((1..=MONTHLY).map(|month| DAILY + 30 * month)).rev();
    let at = |days: u64| Run::at(newest.time() - Duration::from_secs(days * 24 * 3600));
    let mut kept: Vec<Run> = Vec::new();
    ledger.runs.clear();
    for run in days.map(at).chain([newest.clone()]) {
        kept.insert(0, run.clone());
        let taken =
            Identity { name: format!("counted-3-{run}"), uid: names::hash(run.as_str(), 36), ..Identity::default() };
        ledger.begin(&run, &taken, false);
        for (destination, result) in &results {
            let result = CopyResult { finished: run.time(), kept: kept.clone(), ..result.clone() };
            let entry = Entry::Result(Box::new(result));
            ledger.enter(&Finding { run: run.clone(), destination: destination.clone(), entry }, Timestamp::MIN);
        }
    }
    // The snapshots of the last three are there.
    ledger.trim(|record| kept.iter().take(3).any(|run| *run == record.run));
    anyhow::ensure!(ledger.runs.len() as u64 == DAILY + MONTHLY, "{} runs are recorded", ledger.runs.len());
    Ok(ledger)
}

fn size(ledger: &Ledger) -> String {
    format!("{} bytes", ledger.to_data().values().map(String::len).sum::<usize>())
}

/// The copies of a run, to their recorded ends.
async fn copies(scene: &Scene, claim: &PersistentVolumeClaim, run: &Run, destinations: &[&str]) -> Result<()> {
    for destination in destinations {
        let job = scene.copy_of(claim, run.as_str(), destination).await?;
        scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
        scene.gone(&job).await?;
    }
    Ok(())
}

/// One line a verb and resource.
fn tell(table: &mut Table, who: &str, requests: &[AuditedRequest]) {
    table.tell(&format!("  {who}"), requests.len().to_string());
    for (kind, number) in by_kind(requests) {
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
