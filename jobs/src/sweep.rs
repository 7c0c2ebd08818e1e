//! `backup-job sweep`: rotates the restore points of sources that are gone.
//!
//! A source that is being deleted counts as gone: no run of it comes any more, and a snapshot of it that
//! never became ready would keep it from going (F09). What one source makes fail does not keep the others
//! waiting; it is told, and the exit code asks for another try.

use std::collections::{BTreeSet, HashSet};

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::duration::Span;
use model::facts::Ours;
use model::ledger::Ledger;
use model::names::{self, Component, Instance, SourceId};
use model::reason::{Problem, Reason};
use model::record::SnapshotResult;
use model::retention::Retention;
use model::snapshot::VolumeSnapshot;

use crate::outcome::Outcome;
use crate::snapshot::observe::{self, Clock};
use crate::snapshot::rotate::{self, Lineage, Report, Rotation};
use crate::snapshot::server::{OnlyMetadata, Selector, Server};
use crate::snapshot::{Limits, Own, Stop, finish};

/// What it is called with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Installation that the objects belong to
    #[arg(long)]
    instance: Instance,
    /// How long a source has been deleted before its last restore points may be deleted too
    #[arg(long)]
    orphan_retention: Span,
    /// What rotation goes by.
    #[command(flatten)]
    limits: Limits,
    /// Who runs this.
    #[command(flatten)]
    own: Own,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let job = args.own.job();
    let mut report = Report::default();
    let ended = match api::connect(args.own.kubeconfig.as_deref()).await {
        Ok(client) => sweep(&Server::new(client), &args, job, &mut report).await,
        Err(error) => Err(error.into()),
    };
    finish(ended, SnapshotResult { rotated: report.rotated, warnings: report.warnings, ..SnapshotResult::default() })
}

async fn sweep(server: &Server, args: &Args, job: (&str, &str), report: &mut Report) -> Result<(), Stop> {
    let clock = observe::clock(server, job.0, job.1).await?;
    let vanished = vanished(server, &args.instance).await?;
    tracing::info!("{} deleted sources still have restore points", vanished.len());
    let mut failed: Vec<Problem> = Vec::new();
    for (namespace, uid) in &vanished {
        let mut of_source = Report::default();
        let swept = source(server, args, &clock, (job.0, namespace, uid), &mut of_source).await;
        report.rotated.append(&mut of_source.rotated);
        report.warnings.append(&mut of_source.warnings);
        let problem = swept.err().map(|stop| stop.problem()).or(of_source.failure);
        if let Some(problem) = problem {
            tracing::error!(
                "rotating the restore points of the deleted source {uid} in namespace {namespace} failed: {problem}"
            );
            failed.push(problem);
        }
    }
    let Some(first) = failed.first() else { return Ok(()) };
    let message = format!(
        "rotation failed for {} of {} deleted sources; the first error: {}",
        failed.len(),
        vanished.len(),
        first.message
    );
    Err(Stop::Again(Problem::new(first.reason, message)))
}

/// The sources that have restore points and are gone, by namespace and UID.
///
/// Snapshots are listed before PVCs: a source that is made in between is not taken for one that is gone.
/// Only metadata is held here; each source's restore points are looked at one after the other.
async fn vanished(server: &Server, instance: &Instance) -> Result<BTreeSet<(String, String)>, Stop> {
    let mut sources = BTreeSet::new();
    let labels = observe::labels(instance, None);
    let selector = Selector { labels: &labels, metadata: true, ..Selector::default() };
    let belongs = |meta: &ObjectMeta, component| source_of(meta, instance, component);
    server
        .list::<VolumeSnapshot, OnlyMetadata>(None, &selector, |s| {
            sources.extend(belongs(&s.metadata, Component::Snapshot));
        })
        .await
        .map_err(observe::no_snapshot_api)?;
    let mut live = HashSet::new();
    let all = Selector { metadata: true, ..Selector::default() };
    server
        .list::<PersistentVolumeClaim, OnlyMetadata>(None, &all, |p| {
            sources.extend(belongs(&p.metadata, Component::Promoter));
            if p.metadata.deletion_timestamp.is_none() {
                live.extend(p.metadata.uid);
            }
        })
        .await?;
    sources.retain(|(_, uid)| !live.contains(uid));
    Ok(sources)
}

fn source_of(meta: &ObjectMeta, instance: &Instance, component: Component) -> Option<(String, String)> {
    let ours = Ours::read(meta).filter(|o| o.instance == *instance && o.component == component)?;
    (!ours.source_uid.is_empty()).then_some((meta.namespace.clone()?, ours.source_uid))
}

/// Rotates what one source left.
async fn source(
    server: &Server,
    args: &Args,
    clock: &Clock,
    (ours, namespace, uid): (&str, &str, &str),
    report: &mut Report,
) -> Result<(), Stop> {
    let id = SourceId { namespace: namespace.to_owned(), name: String::new(), uid: uid.to_owned() };
    let existing = observe::existing(server, &args.instance, &id).await?;
    let ledger = match observe::ledger(server, &args.instance, ours, uid).await? {
        Ok(ledger) => ledger,
        Err(problem) => {
            let what = format!("the restore points of the deleted source {uid} in namespace {namespace} are kept");
            report.warn(problem.reason, format!("{what}: {}", problem.message));
            return Ok(());
        }
    };
    let claim = ledger.source.name.as_str();
    // What is left in another namespace is not of this source, whatever its labels say (law 2).
    if ledger.source.namespace != namespace {
        let name = names::ledger(uid);
        let of = &ledger.source.namespace;
        report.warn(
            Reason::NotManaged,
            format!("snapshots in namespace {namespace} are kept: ConfigMap {name} is of a PVC in namespace {of}"),
        );
        return Ok(());
    }
    let text = ledger.settings.as_ref().map(|s| s.retention.as_str()).unwrap_or_default();
    // A retention that cannot be read is none (law 4).
    let Ok(retention) = text.parse::<Retention>() else {
        let what = format!("ConfigMap {} has no valid settings.retention: '{text}'", names::ledger(uid));
        report.warn(Reason::InvalidSetting, format!("{what}; the restore points of {claim} are not rotated"));
        return Ok(());
    };
    let (limits, retention) = after_grace(args, &ledger, retention, clock);
    let lineage = Lineage { instance: &args.instance, uid, claim };
    let points = rotate::points(&existing, lineage, &ledger, &limits.deadlines(), clock.now, report);
    let decisions = model::rotate::plan(&points, &limits.rules(&retention, clock.now, None));
    if decisions.iter().all(|d| d.loss().is_none()) {
        return Ok(());
    }
    // What the lists say is looked at once more before anything goes.
    if let Some(meta) = server.get_metadata::<PersistentVolumeClaim>(namespace, claim).await?
        && meta.uid.as_deref() == Some(uid)
        && meta.deletion_timestamp.is_none()
    {
        report.warn(
            Reason::Conflict,
            format!("PVC {namespace}/{claim} exists, so none of its restore points are deleted here"),
        );
        return Ok(());
    }
    tracing::info!("PVC {namespace}/{claim} is deleted: checking its {} restore points", points.len());
    Rotation::new(server, namespace, &existing.promoters).act(&decisions, report).await;
    Ok(())
}

/// L3: when the source has been gone long enough, the floor ends. Keep rules count restore points and not time: of a source
/// that is gone they would keep some for ever, so they end when it has been gone for as long as they reach back.
fn after_grace(args: &Args, ledger: &Ledger, retention: Retention, clock: &Clock) -> (Limits, Retention) {
    // The controller stamps it. As long as it has not seen that the source is gone, nothing ends.
    let gone_for = |age: Span| ledger.gone.is_some_and(|gone| age.after(gone) <= clock.now);
    let mut limits = args.limits.clone();
    if !gone_for(args.orphan_retention) {
        return (limits, retention);
    }
    (limits.min_keep, limits.max_unconfirmed) = (0, 0);
    let reach = retention.longest(interval(ledger)).max(args.orphan_retention);
    let retention = if gone_for(reach) { Retention::age(reach) } else { retention };
    (limits, retention)
}

/// The time from run to run, as its recorded runs were: what a rule that counts runs reaches back to. A day at least.
fn interval(ledger: &Ledger) -> Span {
    let day = Span::days(1);
    let (Some(first), Some(last)) = (ledger.runs.first(), ledger.runs.last()) else { return day };
    let gaps = u64::try_from(ledger.runs.len()).unwrap_or(u64::MAX).saturating_sub(1).max(1);
    day.max(Span::from_secs(Span::between(first.run.time(), last.run.time()).as_secs() / gaps))
}
