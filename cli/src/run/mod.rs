//! `kubectl backup run`: starts a run now, and follows it.

mod follow;
mod watch;

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use model::Timestamp;
use model::duration::Span;
use model::names;
use serde_json::json;

use crate::flags::Cluster;
use crate::hold::MANAGER;
use crate::observe::{self, Observed, Scope};
use crate::review::need;
use crate::rights::Deed;
use crate::status::{self, Question, State, Volume};
use crate::{age, connect};
use follow::{Follow, Until};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// PVCs to back up
    #[arg(value_name = "PVC", required = true)]
    names: Vec<String>,
    /// Follow the run until its copies at all destinations have ended, or with --wait=any until one is complete
    #[arg(long, value_enum, value_name = "COPIES", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "all")]
    wait: Option<Until>,
    /// Longest time to follow the run
    #[arg(long, value_name = "TIME", default_value = "6h", requires = "wait")]
    timeout: Span,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let connection = connect::connect(cluster).await?;
    let namespace = connection.namespace;
    let scope = Scope::of(cluster, &namespace, &args.names);
    let observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    let now = api::now();
    let volumes = status::volumes(Question { observed: &observed, names: &args.names, missed: 2, now });
    let volumes = live(&args.names, volumes, &namespace)?;
    // Each call is a new value, and short enough to be remembered whole.
    let value = format!("kubectl backup run {now}");
    let until = args.wait.unwrap_or(Until::All);
    let follows: Vec<Follow> = volumes.iter().map(|v| Follow::new(&observed, v, &value, until, now)).collect();
    need(&connection.client, &rights(&volumes, args.wait.is_some())).await?;
    for volume in &volumes {
        annotate(&connection.client, volume, names::RUN_NOW, &value).await?;
        println!("persistentvolumeclaim/{}: backup requested", volume.name);
        if let Some(note) = note(&observed, volume, now) {
            println!("{note}");
        }
    }
    if args.wait.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    let watching = watch::Watching { client: &connection.client, namespace: &namespace, observed: &observed };
    watching.until_done(follows, args.timeout).await
}

/// The PVCs that are there, without those that are gone and had the same names (U3). Nothing is written if one of them
/// cannot be backed up.
pub(crate) fn live(names: &[String], mut volumes: Vec<Volume>, namespace: &str) -> anyhow::Result<Vec<Volume>> {
    volumes.retain(|volume| volume.state != State::Vanished);
    let mut faults = Vec::new();
    for name in names {
        let Some(volume) = volumes.iter().find(|v| v.name == *name) else {
            faults.push(format!("namespace {namespace} has no PVC {name}"));
            continue;
        };
        if matches!(volume.state, State::Unprotected | State::Excluded) {
            let finding = volume.findings.first();
            let why = finding.map(|f| format!(": {}: {}\n  What to do: {}", f.reason, f.message, f.help));
            faults.push(format!("PVC {name} is not backed up{}", why.unwrap_or_default()));
        }
    }
    if faults.is_empty() { Ok(volumes) } else { Err(anyhow!("{}", faults.join("\n"))) }
}

/// What it takes to annotate the PVCs, and to follow what comes of that.
pub(crate) fn rights(volumes: &[Volume], follows: bool) -> Vec<Deed<'_>> {
    const CLAIMS: &str = "persistentvolumeclaims";
    let patches = volumes.iter().map(|v| Deed::new("patch", CLAIMS, Some(&v.namespace)).named(&v.name));
    let watch = volumes.first().filter(|_| follows).map(|v| Deed::new("watch", CLAIMS, Some(&v.namespace)));
    patches.chain(watch).collect()
}

/// What the person should know about when the run starts.
fn note(observed: &Observed, volume: &Volume, now: Timestamp) -> Option<String> {
    if volume.state == State::Unscheduled {
        return Some("  the controller has not created its CronJob yet: the run starts after that".to_owned());
    }
    if volume.state == State::Unknown {
        let name = &volume.name;
        return Some(format!(
            "  it is unknown whether it is protected. For the missing permissions, run: kubectl backup why {name}"
        ));
    }
    if !observed.knows.config {
        return None;
    }
    let bounds = &observed.world.config.bounds;
    let wait = |from: Timestamp| (now < from).then(|| age::between(now, from));
    let newest = volume.restore_points.iter().flatten().map(|p| &p.run).max();
    let of_run = newest.and_then(|newest| {
        let (interval, wait) = (bounds.min_interval, wait(bounds.min_interval.after(newest.time()))?);
        let words = format!("run {newest} is younger than bounds.minInterval ({interval})");
        Some(format!("  TooSoon: the run starts in {wait}: {words}"))
    });
    let asked = observed.world.status(&volume.uid).and_then(|status| status.run_now_at);
    let of_request = || {
        let (pause, asked) = (bounds.run_now_pause(), asked.filter(|at| *at <= now)?);
        let (wait, ago) = (wait(pause.after(asked))?, age::between(asked, now));
        Some(format!("  TooSoon: the run starts in {wait}: the newest run by run-now started {ago} ago"))
    };
    of_run.or_else(of_request)
}

/// Writes one annotation, on exactly the PVC that was seen.
pub(crate) async fn annotate(client: &Client, volume: &Volume, key: &str, value: &str) -> anyhow::Result<()> {
    let Volume { namespace, name, uid, .. } = volume;
    let patch = json!({"metadata": {"uid": uid, "annotations": {key: value}}});
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(&patch);
    let written = api::bounded(
        || format!("patch persistentvolumeclaims {namespace}/{name}"),
        api.patch_metadata(name, &params, &patch),
    );
    let deed = Deed::new("patch", "persistentvolumeclaims", Some(namespace));
    match written.await {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() => {
            bail!("PVC {name} was deleted and created again meanwhile: run the command again")
        }
        Err(error) => Err(deed.failed(&error)),
    }
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
Writes the annotation backup-controller.io/run-now on each PVC, with your permissions. The controller starts one run
for each new value. Runs of one PVC are at least bounds.minInterval apart: an earlier request starts its run then. A
run is good when its snapshot is ready and, if the PVC has destinations, one copy is complete.
--wait waits for the copies at all destinations, and --wait=any for the first complete one.

Examples:
  kubectl backup run data
  kubectl backup run data orders --wait --timeout 2h

Ctrl-C stops following the run. The run continues.

Exit codes:
  0    the runs are requested; with --wait: each run is good and copied completely to all destinations; with
       --wait=any: each run is good
  1    the command failed, or a PVC cannot be backed up; in the latter case no run is requested
  2    the command line is wrong
  3    with --wait: a run or one of its copies failed, or did not finish in time
  130  with --wait: Ctrl-C";

#[cfg(test)]
mod tests;
