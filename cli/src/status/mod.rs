//! `kubectl backup status`: where the backups of each PVC stand.
//!
//! [`judge`] says it from what was observed, [`view`] has the words for it, [`output`] and [`columns`] make text
//! of it.

mod columns;
mod controller;
mod findings;
mod judge;
pub(crate) mod output;
mod timing;
mod view;

use std::process::ExitCode;

use model::Timestamp;

use crate::exit::ATTENTION;
use crate::flags::{Cluster, Output};
use crate::observe::{self, Scope};
use crate::table::Look;
use crate::{connect, terminal};

pub(crate) use judge::{Question, volumes};
pub(crate) use view::{Finding, State, Volume, Word, word};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// PVCs to show, with all details of each [default: all PVCs]
    #[arg(value_name = "PVC")]
    pub(crate) names: Vec<String>,
    /// Show the PVCs of all namespaces
    #[arg(short = 'A', long, conflicts_with = "names")]
    pub(crate) all_namespaces: bool,
    /// Show only PVCs with these labels, such as app=shop,tier!=cache
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "names")]
    pub(crate) selector: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT", hide_default_value = true)]
    pub(crate) output: Output,
    /// Do not print the column names
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// Number of missed runs after which a PVC is Overdue
    #[arg(long, value_name = "RUNS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) missed: u32,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let connection = connect::connect(cluster).await?;
    let namespace = connection.namespace;
    let scope = Scope {
        namespace: (!args.all_namespaces).then(|| namespace.clone()),
        names: args.names.clone(),
        selector: args.selector.clone(),
        backup_namespace: cluster.backup_namespace.clone(),
        instance: cluster.instance.clone(),
    };
    let mut observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    let deployment = controller::look(&connection.client, &cluster.backup_namespace).await?;
    let away = controller::fault(&deployment, &cluster.backup_namespace);
    let faults: Vec<String> = away.clone().into_iter().chain(controller::configuration(&observed.gaps)).collect();
    if let observe::Answer::Refused(gap) = deployment {
        observed.gaps.push(gap);
    }
    let now = Timestamp::from_second(api::now().as_second())?;
    let volumes = judge::volumes(Question { observed: &observed, names: &args.names, missed: args.missed, now });

    let look = Look {
        namespaces: args.all_namespaces,
        wide: args.output == Output::Wide,
        headers: !args.no_headers,
        width: if args.output == Output::Table { terminal::width() } else { None },
    };
    let text = output::text(&volumes, (&faults, &observed.gaps), args.output, look, !args.names.is_empty(), now)?;
    terminal::write(&text)?;
    let down = output::down(&observed.world.down(now), now);
    for note in output::notes(&volumes, &observed.gaps, observed.knows, &cluster.backup_namespace)
        .into_iter()
        .chain(down)
        .chain(away)
    {
        eprintln!("kubectl-backup: {note}");
    }
    let missing: Vec<&String> = args.names.iter().filter(|name| !volumes.iter().any(|v| v.name == **name)).collect();
    for name in &missing {
        eprintln!("kubectl-backup: namespace {namespace} has no PVC {name} and no restore point of such a PVC");
    }
    if volumes.is_empty() && args.names.is_empty() && matches!(args.output, Output::Table | Output::Wide) {
        let place = if args.all_namespaces { "any namespace".to_owned() } else { format!("namespace {namespace}") };
        eprintln!("No PersistentVolumeClaims found in {place}.");
    }
    Ok(match output::alarms(&volumes) {
        _ if !missing.is_empty() => ExitCode::FAILURE,
        // U2: what nobody keeps up is not well.
        _ if !faults.is_empty() => ExitCode::from(ATTENTION),
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(ATTENTION),
    })
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
Columns:
  STATE      state of the PVC, see below
  SINCE      time for which the PVC has been protected without a break
  SNAPSHOT   age of the newest restore point in the namespace
  COPY       for each destination: result and age of the newest copy. A drill is a test restore that is compared
             byte by byte. `proven` has the age of the newest drill that passed; `not proven`: the newest drill failed
  OUTSIDE    yes: the PVC has destinations that outlive the namespace, and each has a good copy in time. Else no
  NEXT RUN   time until the next run
  REASON     reason for the state, newest failure, or current wait

On a narrow terminal REASON is cut, and SINCE, NEXT RUN and OUTSIDE are omitted in this order. -o wide shows all.

States (* needs attention):
  Protected    the newest good run is recent
  Pending      no run is good yet, but the PVC is backed up from now on
  Failing      the newest run or step failed, or no restore point is left            *
  Degraded     the newest run is good, but a destination has no good copy in time, or a
               copy there is damaged                                                 *
  Overdue      runs were missed since the newest good one (--missed sets the number) *
  Unscheduled  the PVC should be backed up, but the controller created no CronJob    *
  Unprotected  the PVC cannot be backed up in its present state                      *
  Excluded     the PVC is excluded from backups by choice
  Vanished     the PVC is gone, but has restore points
  Unknown      you lack permission to read the objects that show it, and the controller has not recorded a status

A run is good when its snapshot is ready and, if the PVC has destinations, one copy is complete. A destination has no
good copy in time if its newest copy failed or is incomplete, or if two runs became no complete copy there.
In any state, a copy that is damaged (RepositoryDamaged) or differs from its snapshot (RestoreMismatch) needs attention.
So does a finding of another version that this one cannot read (UnknownReason).
A PVC that is not bound has no data yet: it is Unprotected, but needs no attention.
PVCs that belong to the backups are shown only if you name them: BackupDisks, which contain copies, and promoters,
which are made from snapshots.

Examples:
  kubectl backup status
  kubectl backup status -A -o wide
  kubectl backup status data

Exit codes:
  0  no PVC in the output needs attention
  1  the command failed, or a named PVC does not exist
  2  the command line is wrong
  3  at least one PVC in the output needs attention, or no controller works: its Deployment is absent or not ready,
     or its configuration is absent or refused

States are computed from the cluster, as the controller does it. This needs permission to read the ConfigMap
backup-controller in the controller's namespace, namespaces, persistentvolumes, storageclasses and
volumesnapshotclasses. Without it, the states come from the controller's record on each PVC, and a note below the table
names the missing permissions.";
