//! `kubectl backup status`: where the backups of each PVC stand.
//!
//! [`judge`] says it from what was observed, [`view`] has the words for it, [`output`] and [`columns`] make text
//! of it.

mod columns;
mod findings;
mod judge;
pub(crate) mod output;
mod timing;
mod view;

use std::process::ExitCode;

use model::Timestamp;

use crate::args::{Cluster, Output};
use crate::observe::{self, Scope};
use crate::table::Look;
use crate::{ATTENTION, connect, terminal};

pub(crate) use judge::{Question, volumes, word};
#[cfg(test)]
pub(crate) use view::WORDS;
pub(crate) use view::{Finding, State, Volume};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The PVCs to show, with all that is known about each [default: every one]
    #[arg(value_name = "PVC")]
    pub(crate) names: Vec<String>,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "names")]
    pub(crate) all_namespaces: bool,
    /// Only PVCs with these labels, such as app=shop,tier!=cache
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "names")]
    pub(crate) selector: Option<String>,
    /// How it is shown
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT", hide_default_value = true)]
    pub(crate) output: Output,
    /// No line of column names
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// How many runs a PVC has to miss to be Overdue
    #[arg(long, value_name = "RUNS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) missed: u32,
}

/// The verb.
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
    let observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let volumes = judge::volumes(Question { observed: &observed, names: &args.names, missed: args.missed, now });

    let look = Look {
        namespaces: args.all_namespaces,
        wide: args.output == Output::Wide,
        headers: !args.no_headers,
        width: if args.output == Output::Table { terminal::width() } else { None },
    };
    let text = output::text(&volumes, &observed.gaps, args.output, look, !args.names.is_empty(), now)?;
    terminal::write(&text)?;
    let down = output::down(&observed.world.down(now), now);
    for note in output::notes(&volumes, &observed.gaps, observed.knows).into_iter().chain(down) {
        eprintln!("kubectl-backup: {note}");
    }
    let missing: Vec<&String> = args.names.iter().filter(|name| !volumes.iter().any(|v| v.name == **name)).collect();
    for name in &missing {
        eprintln!("kubectl-backup: there is no PVC {name} in namespace {namespace}, and no restore point of one");
    }
    if volumes.is_empty() && args.names.is_empty() && matches!(args.output, Output::Table | Output::Wide) {
        let place = if args.all_namespaces { "any namespace".to_owned() } else { format!("namespace {namespace}") };
        eprintln!("No PersistentVolumeClaims found in {place}.");
    }
    Ok(match output::alarms(&volumes) {
        _ if !missing.is_empty() => ExitCode::FAILURE,
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(ATTENTION),
    })
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
Columns:
  STATE      how the PVC stands, see below
  SINCE      for how long it has been protected without a break
  SNAPSHOT   age of the newest restore point in its namespace
  COPY       for each destination, how the newest copy ended and when; with drills, when one last proved it
  OUTSIDE    whether a copy outlives the namespace; 'no' means that every restore point is lost with it
  NEXT RUN   time until the next snapshot
  REASON     why not, the newest failure, or what it waits for

On a narrow terminal REASON is cut, and SINCE, NEXT RUN and OUTSIDE are left out in that order; -o wide shows all.

States:
  Protected    it is backed up, and the newest good run is recent
  Pending      it is backed up from now on; no run is good yet
  Failing      the newest run or step failed, or no restore point is left          *
  Overdue      so many runs were missed since the newest good one (--missed)       *
  Unscheduled  it should be backed up, and the controller has made no CronJob      *
  Unprotected  it cannot be backed up as things are                                *
  Excluded     somebody chose not to back it up
  Vanished     the PVC is gone; restore points of it are left
  Unknown      you may not read what tells, and the controller recorded nothing on it

A copy that was found to be damaged, or to differ from its snapshot (RepositoryDamaged, RestoreMismatch), counts as *
whatever the state is.
A PVC that is not bound has no data yet: it is Unprotected and does not count.
PVCs that backups themselves need (restore points, BackupDisks) are shown only by name.

Exit codes:
  0  all is well: no PVC that is shown has a state marked with *
  1  the command itself failed, or a PVC that was named is not there
  2  the command line is wrong
  3  at least one PVC that is shown has a state marked with *

States are computed from the cluster as the controller does it. That takes the rights to read the
ConfigMap backup-controller in the controller's namespace, and namespaces, persistentvolumes, storageclasses
and volumesnapshotclasses. Without them it shows what the controller recorded on each PVC, and says so.";
