//! `backup-job snapshot`: one run of one source.
//!
//! It observes (its Job if the name does not tell which run it is, the source, the restore points that are there), makes the snapshot and waits until
//! it is ready, makes the promoter, and rotates. Doing it twice is the same as doing it once: what a try
//! before this one made is adopted.

mod act;
mod args;
pub(crate) mod observe;
pub(crate) mod rotate;
pub(crate) mod server;
mod stop;
#[cfg(test)]
mod tests;
mod wait;

use std::time::Duration;

use model::Timestamp;
use model::facts::{Claim, Snapshot};
use model::ledger::Ledger;
use model::reason::{Problem, Reason};
use model::record::SnapshotResult;
use model::snapshot::VolumeSnapshot;
use templates::Templates;

use crate::outcome::{Exit, Outcome};
use act::Maker;
pub(crate) use args::{Args, Limits, Own};
use observe::{Clock, Existing};
use rotate::{Lineage, Report, Rotation};
use server::Server;
pub(crate) use stop::Stop;

pub(crate) async fn run(args: Args) -> Outcome {
    let (namespace, name) = args.own.job();
    let mut result = SnapshotResult::default();
    let ended = match api::connect(args.own.kubeconfig.as_deref()).await {
        Ok(client) => take_and_rotate(&Server::new(client), &args, (namespace, name), &mut result).await,
        Err(error) => Err(error.into()),
    };
    finish(ended, result)
}

/// The outcome of a step that ended, with what it got done.
pub(crate) fn finish(ended: Result<(), Stop>, mut result: SnapshotResult) -> Outcome {
    let exit = match &ended {
        Ok(()) => Exit::Done,
        Err(stop @ Stop::Idle(problem)) => {
            tracing::info!("nothing to do: {problem}");
            stop.exit()
        }
        Err(stop) => {
            tracing::error!("{}", api::chain(stop));
            stop.exit()
        }
    };
    result.problem = ended.err().map(|stop| stop.problem());
    Outcome::new(exit, &result)
}

async fn take_and_rotate(
    server: &Server,
    args: &Args,
    (job_namespace, job_name): (&str, &str),
    result: &mut SnapshotResult,
) -> Result<(), Stop> {
    let id = args.source();
    let (run, made) = if let Some(run) = observe::scheduled(&id, job_name) {
        (run, None)
    } else {
        let Clock { run, now } = observe::clock(server, job_namespace, job_name).await?;
        (run, Some(now))
    };
    result.run = Some(run.clone());
    tracing::info!("run {run} of PVC {id}");
    let claim = observe::source(server, &id).await?;
    let mut existing = observe::existing(server, &args.instance, &id).await?;
    // It has answered by now, so this is its time and not that of the node.
    let clock = Clock { run, now: made.unwrap_or_else(api::now) };
    let templates = match &args.templates {
        None => Templates::embedded(),
        dir => Templates::load(dir.as_deref())
            .map_err(|e| Stop::Final(Problem::new(Reason::InvalidObject, e.to_string())))?,
    };
    let maker = Maker { server, args, source: &id, run: &clock.run, templates: &templates, existing: &existing };
    let taken = take(&maker, &claim, &clock, result).await;

    // A run that failed rotates too: only earlier runs are judged, by their own records. Otherwise
    // snapshots that never become ready would pile up, and a full quota would stay full.
    if !args.no_rotate && taken.as_ref().err().is_none_or(|stop| stop.exit() == Exit::Final) {
        if let Ok((snapshot, promoter)) = &taken {
            existing.put(snapshot.clone(), promoter.clone());
        }
        let ledger = observe::ledger(server, &args.instance, job_namespace, &args.uid).await?;
        let report = rotate(server, args, &existing, ledger, &clock).await;
        (result.rotated, result.warnings) = (report.rotated, report.warnings);
    }
    match taken {
        Err(stop) if stop.problem().reason == Reason::QuotaExceeded && !result.rotated.is_empty() => {
            Err(Stop::Again(stop.problem()))
        }
        taken => taken.map(drop),
    }
}

/// Makes the snapshot and the promoter, or finds them made.
async fn take(
    maker: &Maker<'_>,
    claim: &Claim,
    clock: &Clock,
    result: &mut SnapshotResult,
) -> Result<(Snapshot, Claim), Stop> {
    let args = maker.args;
    let made = if let Some(snapshot) = maker.adopt().await? {
        snapshot
    } else {
        let deadlines = args.limits.deadlines();
        if let Some(problem) = observe::too_early(maker.existing, &args.pvc, clock, args.min_interval, &deadlines) {
            return Err(Stop::Idle(problem));
        }
        maker.snapshot(claim).await?
    };
    result.restore_point.clone_from(&made.metadata.name);
    let patience = left(args.limits.snapshot_deadline.as_duration(), &made);
    let snapshot = Snapshot::from(&wait::until_ready(maker.server, &args.namespace, made, patience).await?);
    tracing::info!("the VolumeSnapshot {} is ready", snapshot.id.name);
    let promoter = maker.promoter(&snapshot, claim).await?;
    Ok((snapshot, promoter))
}

/// What is left of a snapshot's time: one that was adopted has used some. It only ever shortens the time.
fn left(deadline: Duration, snapshot: &VolumeSnapshot) -> Duration {
    let created = snapshot.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |t| t.0);
    let age = api::now().duration_since(created).try_into().unwrap_or(Duration::ZERO);
    deadline.saturating_sub(age)
}

/// Plans, and does what the plan says.
async fn rotate(
    server: &Server,
    args: &Args,
    existing: &Existing,
    ledger: Result<Box<Ledger>, Problem>,
    clock: &Clock,
) -> Report {
    let mut report = Report::default();
    let ledger = match ledger {
        Ok(ledger) => ledger,
        Err(problem) => {
            report.warn(problem.reason, format!("nothing is deleted: {}", problem.message));
            return report;
        }
    };
    let limits = &args.limits;
    let lineage = Lineage { instance: &args.instance, uid: &args.uid, claim: &args.pvc };
    let points = rotate::points(existing, lineage, &ledger, &limits.deadlines(), clock.now, &mut report);
    let decisions = model::rotate::plan(&points, &limits.rules(&args.retention, clock.now, Some(&clock.run)));
    Rotation::new(server, &args.namespace, &existing.promoters).act(&decisions, &mut report).await;
    report
}
