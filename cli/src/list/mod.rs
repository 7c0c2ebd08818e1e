//! `kubectl backup list`: what a PVC can be restored from.

mod output;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::bail;
use model::Timestamp;
use model::names::Component;
use model::restore::{self, From};

use crate::args::{Cluster, Output};
use crate::observe::{self, Observed, Scope};
use crate::points;
use crate::table::Look;
use crate::{connect, terminal};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The PVC; one that is gone may have left restore points
    #[arg(value_name = "PVC")]
    name: Option<String>,
    /// Only restore points of that kind: snapshot, disk, restic, or the name of a destination
    #[arg(long, value_name = "KIND")]
    from: Option<From>,
    /// How it is shown
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT", hide_default_value = true)]
    output: Output,
    /// No line of column names
    #[arg(long)]
    no_headers: bool,
}

/// The verb.
pub(crate) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let connection = connect::connect(cluster).await?;
    let namespace = connection.namespace;
    let scope = Scope {
        namespace: Some(namespace.clone()),
        names: args.name.iter().cloned().collect(),
        selector: None,
        backup_namespace: cluster.backup_namespace.clone(),
        instance: cluster.instance.clone(),
    };
    let observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    observed.need_snapshots(&namespace)?;
    let Some(name) = &args.name else {
        bail!(
            "list shows the restore points of one PVC: kubectl backup list PVC\n{}",
            candidates(&observed, &namespace)
        );
    };
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let from = args.from.clone().unwrap_or(From::Any);
    let points = points::points(&observed, &namespace, name, &from, now);
    if points.is_empty() && observed.world.claims.get(&namespace, name).is_none() {
        let others = candidates(&observed, &namespace);
        bail!("there is no PVC {name} in namespace {namespace}, and no restore point of one\n{others}");
    }
    let look = Look {
        namespaces: false,
        wide: args.output == Output::Wide,
        headers: !args.no_headers,
        width: if args.output == Output::Table { terminal::width() } else { None },
    };
    terminal::write(&output::text(&namespace, name, &points, args.output, look, now)?)?;
    if points.is_empty() {
        eprintln!("PVC {name} has no restore point{}: kubectl backup why {name}", from.words());
    }
    Ok(ExitCode::SUCCESS)
}

/// The PVCs that have restore points, for who named none of them.
pub(crate) fn candidates(observed: &Observed, namespace: &str) -> String {
    let world = &observed.world;
    let taken = world.snapshots.within(namespace).filter(|s| {
        let ours = s.ours.as_ref().filter(|o| o.instance == world.instance);
        ours.is_some_and(|o| o.component == Component::Snapshot)
    });
    let names: BTreeSet<&String> = taken.filter_map(|s| s.claim.as_ref()).collect();
    if names.is_empty() {
        return format!("no PVC in namespace {namespace} has restore points: kubectl backup status -n {namespace}");
    }
    let count = |name: &String| {
        let count = restore::points(world, namespace, name).len();
        let gone = if world.claims.get(namespace, name).is_none() { ", the PVC is gone" } else { "" };
        format!("  {name} ({count}{gone})")
    };
    let lines: Vec<String> = names.into_iter().map(count).collect();
    format!("PVCs in namespace {namespace} that have restore points:\n{}", lines.join("\n"))
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
Columns:
  RUN         the run: its minute in UTC
  AGE         how long ago that was
  WHERE       a snapshot in the namespace, a dated tree on a disk, or a snapshot in a restic repository: the
              destination, and the id as restore --snapshot takes it, if a record tells it
  STATE       snapshot: Good (ready, and copied completely somewhere if it has destinations), Unconfirmed (every
              copy failed or is incomplete), Unrecorded (a copy is not finished). Others: Complete or Incomplete;
              <unknown> once the snapshot that had the record is gone. All of them can be restored from
  MOUNTABLE   whether a PVC is there to look into it: the promoter, or the BackupDisk; -o wide names it.
              A restore makes a promoter that is gone again. A restic repository needs none
  HELD        until when it is not rotated: kubectl backup hold
  FILES, SIZE what was copied; `device` is a raw block volume, which is restored whole
  JOURNAL     only where one is skipped: the filesystem was mounted without its journal, so that the last writes
              before the snapshot may be missing, and what was deleted last may be there again

Examples:
  kubectl backup list data
  kubectl backup list data --from disk
  kubectl backup list data --from s3
  kubectl backup list data -o name --from snapshot

A PVC that was deleted keeps its restore points for a while: they are listed under its name, and -o wide tells by
the UID which PVC of that name they are of.

Exit codes: 0, also if there is no restore point; 1 if there is no such PVC, or the command failed; 2 if the
command line is wrong.";

#[cfg(test)]
mod tests;
