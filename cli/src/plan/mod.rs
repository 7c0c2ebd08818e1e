//! `kubectl backup plan`: the PVCs that would be protected, when, by which rule, and with how much room.
//!
//! [`config`] finds the configuration, [`rows`] judges each PVC with the controller's own code, [`room`] and
//! [`summary`] add up, [`secrets`] asks which Secrets are there, [`output`] makes text of it. Nothing is written.

pub(crate) mod config;
mod output;
mod room;
mod rows;
mod secrets;
mod summary;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume};
use k8s_openapi::api::storage::v1::StorageClass;
use model::Timestamp;
use model::snapshot::VolumeSnapshotClass;
use model::world::Change;

use crate::asked::Asked;
use crate::exit::ATTENTION;
use crate::flags::{Cluster, Output};
use crate::observe::{self, Gap, Observed, Scope};
use crate::table::Look;
use crate::{connect, terminal};
use output::Whole;
use summary::Summary;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The PVCs to show, each with the remedy for its problems [default: every one]
    #[arg(value_name = "PVC")]
    names: Vec<String>,
    /// Plan with this configuration instead of the installed one; - reads standard input
    #[arg(short, long, value_name = "FILE")]
    filename: Option<PathBuf>,
    /// All namespaces (default, unless --namespace or a PVC is given)
    #[arg(short = 'A', long, conflicts_with = "names")]
    all_namespaces: bool,
    /// Only PVCs with these labels, such as app=shop,tier!=cache
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "names")]
    selector: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT", hide_default_value = true)]
    output: Output,
    /// Do not print the column names
    #[arg(long)]
    no_headers: bool,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let given = args.filename.as_deref().map(config::read).transpose()?;
    let connection = connect::connect(cluster).await?;
    let plan = match given {
        Some(plan) => plan,
        None => config::installed(&connection.client, &cluster.backup_namespace).await?,
    };
    let one = cluster.namespace.is_some() || !args.names.is_empty();
    let scope = Scope {
        namespace: (one && !args.all_namespaces).then(|| connection.namespace.clone()),
        names: args.names.clone(),
        selector: args.selector.clone(),
        backup_namespace: plan.namespace.clone().unwrap_or_else(|| cluster.backup_namespace.clone()),
        instance: plan.instance.clone().unwrap_or_else(|| cluster.instance.clone()),
    };
    let mut observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    observed.world.apply(Change::Config(Arc::new(plan.config.clone())));
    observed.knows.config = true;
    needs_verdicts(&observed)?;

    let now = Timestamp::from_second(api::now().as_second())?;
    let rows = rows::rows(&observed, &scope.names, now);
    let mut lacks = rows::lacks(&observed.world, &rows, now);
    let needed = secrets::needed(&observed.world, &rows);
    let mut gaps = not_read(&observed.gaps);
    let allowed = match &plan.secrets {
        Some(allowed) => Ok(allowed.clone()),
        None if needed.is_empty() => Ok(Vec::new()),
        None => config::installed_secrets(&connection.client, &scope.backup_namespace).await?,
    };
    match allowed {
        Ok(allowed) => lacks.extend(secrets::unguarded(&plan.config, &allowed, &needed)),
        Err(gap) => gaps.push(gap),
    }
    let (missing, refused) = secrets::missing(&connection.client, &scope, needed).await?;
    lacks.extend(missing);
    gaps.extend(refused);
    let summary = Summary::new(&observed.world, &plan, &rows, lacks);
    let whole = Whole { at: now, configuration: &plan.from, volumes: &rows, summary: &summary, not_read: &gaps };

    let look = Look {
        namespaces: scope.namespace.is_none(),
        wide: args.output == Output::Wide,
        headers: !args.no_headers,
        width: if args.output == Output::Table { terminal::width() } else { None },
    };
    terminal::write(&output::text(&whole, args.output, look, !args.names.is_empty())?)?;
    for note in output::notes(&gaps) {
        eprintln!("kubectl-backup: {note}");
    }
    let absent: Vec<&String> = args.names.iter().filter(|name| !rows.iter().any(|r| r.name == **name)).collect();
    for name in &absent {
        eprintln!("kubectl-backup: PVC {name} was not found in namespace {}", connection.namespace);
    }
    if rows.is_empty() && args.names.is_empty() && matches!(args.output, Output::Table | Output::Wide) {
        let place = scope.namespace.map_or_else(|| "any namespace".to_owned(), |n| format!("namespace {n}"));
        eprintln!("No PersistentVolumeClaims found in {place}.");
    }
    Ok(match summary.is_well() {
        _ if !absent.is_empty() => ExitCode::FAILURE,
        true => ExitCode::SUCCESS,
        false => ExitCode::from(ATTENTION),
    })
}

/// The gaps that concern a plan. Its configuration was found, or given, before.
fn not_read(gaps: &[Gap]) -> Vec<Gap> {
    let is_configuration = |asked: &Asked| asked.is::<ConfigMap>() && asked.name.is_some();
    gaps.iter().filter(|gap| !is_configuration(&gap.resource)).cloned().collect()
}

/// Without the objects that decide, a plan would be a guess.
fn needs_verdicts(observed: &Observed) -> anyhow::Result<()> {
    if observed.knows.verdicts() {
        return Ok(());
    }
    let decides = |asked: &Asked| {
        let of_volumes = asked.is::<PersistentVolume>() || asked.is::<StorageClass>();
        asked.is::<Namespace>() || of_volumes || asked.is::<VolumeSnapshotClass>()
    };
    let missing = observed.gaps.iter().filter(|gap| decides(&gap.resource));
    let missing: Vec<String> = missing.map(|gap| format!("{} {}", gap.verb, gap.resource)).collect();
    bail!(
        "you lack permission to {}, and these decide what is protected: ask an administrator of the cluster to plan, or for the \
         ClusterRole backup-status once the controller is installed",
        missing.join(", ")
    )
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
It shows what the controller does with a configuration, before and after it is installed. It decides with the
controller's own code, reads with your rights, and writes nothing.

The configuration is that of --filename, else the installed one, else the defaults; the last lines name which one
it is. --filename takes a config.yaml, or manifests that contain its ConfigMap:

  kubectl backup plan                                      # before the installation: with the defaults
  kubectl backup plan -f config.yaml                       # the same with your settings
  kubectl kustomize overlay | kubectl backup plan -f -     # with the overlay that you are about to apply
  helm template backup ./helm/backup-controller -n backup -f values.yaml | kubectl backup plan -f -

Examples:
  kubectl backup plan -n shop                              # one namespace
  kubectl backup plan -n shop data                         # one PVC, with the remedy for its problems
  kubectl backup plan -l tier=gold -o wide                 # PVCs with a label, and all columns

Columns:
  PROTECTED        yes; no: it cannot be protected as things are; excluded: a setting excludes it
  RULE             the places that select the PVC or set something: annotations, a group, the defaults
  SCHEDULE         as it is written; H stands for a time of the PVC's own
  NEXT RUN         time until the first run, or the next one
  SNAPSHOT CLASS   the VolumeSnapshotClass
  DESTINATIONS     the destinations that each restore point is copied to
  KEEPS            the retention of restore points, and that of destinations with one of their own
  REASON           the reason why it is not protected, or a setting that cannot be read

<unchanged> means: a setting of the PVC cannot be read, so its existing CronJob stays as it is. SCHEDULE and NEXT RUN
are those of the CronJob. Promoters and BackupDisks are shown only if you name them. A PVC that merely has their
labels is shown as excluded (OwnVolume), and a PVC that merely has the name of a BackupDisk as not protected.

A promoter is the PVC that is made from a snapshot, to copy or restore from it. Below the table are the
counts by reason, the next runs, the limits, the room that snapshots, promoters and copies take at most, and the
problems that copies would have.

Exit codes:
  0  every PVC that is shown is protected, or excluded by choice
  1  the command itself failed, or a PVC on the command line does not exist
  2  the command line is wrong
  3  at least one PVC cannot be protected, or a destination or an image lacks something

A PVC that is not bound has no data yet: it is not protected, and does not count.

Limits: plan checks neither NetworkPolicies nor hosts' disks, and contacts no destination. Copies can still fail there.

Required permissions: list PVCs, persistentvolumes, storageclasses and volumesnapshotclasses; list namespaces, or get
one with -n. Optional: list volumesnapshots, cronjobs, jobs and secrets, and get the controller's Deployment. Without
one of these, a note names the part of the plan that is missing.";
