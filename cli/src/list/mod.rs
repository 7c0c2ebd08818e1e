//! `kubectl backup list`: what a PVC can be restored from.

mod output;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::bail;
use model::Timestamp;
use model::config::{Destination, Format, Reach, Tool};
use model::names::{Component, SourceId};
use model::restore::{self, From};

use crate::flags::{Cluster, Output};
use crate::observe::{self, Observed, Scope};
use crate::points;
use crate::status::{self, Question, State};
use crate::table::Look;
use crate::{connect, terminal};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// PVC that was backed up; it may be gone
    #[arg(value_name = "PVC")]
    name: Option<String>,
    /// Only restore points of this kind: snapshot, disk, restic, or the name of a destination
    #[arg(long, value_name = "KIND")]
    from: Option<From>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT", hide_default_value = true)]
    output: Output,
    /// Do not print the column names
    #[arg(long)]
    no_headers: bool,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let connection = connect::connect(cluster).await?;
    let namespace = connection.namespace;
    let scope = Scope::of(cluster, &namespace, args.name.as_slice());
    let observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    observed.need_snapshots(&namespace)?;
    let Some(name) = &args.name else {
        bail!("no PVC is named: kubectl backup list PVC\n{}", candidates(&observed, &namespace));
    };
    let now = Timestamp::from_second(api::now().as_second())?;
    let from = args.from.clone().unwrap_or(From::Any);
    let points = points::points(&observed, &namespace, name, &from, now);
    if points.is_empty() && observed.world.claims.get(&namespace, name).is_none() {
        let others = candidates(&observed, &namespace);
        let more = unrecorded(&observed, &namespace, name, &from);
        bail!("namespace {namespace} has no PVC {name} and no restore point of such a PVC\n{others}{more}");
    }
    let places = places(&points::points(&observed, &namespace, name, &From::Any, now));
    if let Some(problem) = unknown(&observed, name, &from, &places) {
        bail!("{problem}");
    }
    let look = Look {
        namespaces: false,
        wide: args.output == Output::Wide,
        headers: !args.no_headers,
        width: if args.output == Output::Table { terminal::width() } else { None },
    };
    terminal::write(&output::text(&namespace, name, &points, args.output, look, now)?)?;
    if points.is_empty() {
        let elsewhere = if places.is_empty() { String::new() } else { format!("; it has some of {}", list(&places)) };
        let words = from.words();
        let more = unrecorded(&observed, &namespace, name, &from);
        let why = format!("For the reason, run: kubectl backup why {name}");
        eprintln!("PVC {name} has no restore point{words}{elsewhere}. {why}{more}");
    }
    let names = std::slice::from_ref(name);
    let volumes = status::volumes(Question { observed: &observed, names, missed: 2, now });
    // U1: restore points of one destination say nothing about another.
    for finding in volumes.iter().filter(|v| v.state == State::Degraded).filter_map(|v| v.findings.first()) {
        let said = format!("{}: {}", finding.reason, finding.message);
        eprintln!("PVC {name} is Degraded: {said}. For the remedy, run: kubectl backup why {name}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Where restore points are, as `--from` takes it.
fn places(points: &[points::Point]) -> BTreeSet<String> {
    points.iter().map(|point| point.destination().unwrap_or("snapshot").to_owned()).collect()
}

fn list(places: &BTreeSet<String>) -> String {
    places.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// U12: a destination that is not configured, and that no restore point of the PVC names, is a slip.
fn unknown(observed: &Observed, name: &str, from: &From, places: &BTreeSet<String>) -> Option<String> {
    let of = match from {
        From::Destination(of) | From::Disk(Some(of)) | From::Restic(Some(of)) => of,
        From::Any | From::Snapshot | From::Disk(None) | From::Restic(None) => return None,
    };
    let config = &observed.world.config;
    if !observed.knows.config || config.destination(of).is_some() || places.contains(of) {
        return None;
    }
    let all: Vec<&str> = config.destinations.iter().map(|d| d.name.as_str()).collect();
    let all = if all.is_empty() { "there are none".to_owned() } else { format!("there are {}", all.join(", ")) };
    let has =
        if places.is_empty() { "no restore point".to_owned() } else { format!("restore points of {}", list(places)) };
    Some(format!("there is no destination {of}: {all}; PVC {name} has {has}"))
}

/// Where copies may lie that nothing in this cluster records: those of a cluster or a namespace that was lost. A line for
/// each repository that is reached over the network.
fn unrecorded(observed: &Observed, namespace: &str, name: &str, from: &From) -> String {
    let source = SourceId { namespace: namespace.into(), name: name.into(), uid: "<UID>".into() };
    let line = |destination: &Destination| match (destination.reach(), destination.format()) {
        (Reach::Disk(_), _) | (_, Format::Trees(_)) => String::new(),
        (Reach::Network, Format::Repository(Tool::Restic(restic))) => {
            let (to, address, secret) = (&destination.name, restic.address(&source), &restic.secret);
            format!(
                "\nCopies of an earlier PVC {name} that nothing here records may lie in {to}, one repository for each \
                 UID: {address} (Secret {secret}). List the UIDs with a client of the store, and the runs of one with \
                 `restic snapshots`. Then run: kubectl backup restore {name} --date RUN --from {to} --uid UID --to {name}"
            )
        }
    };
    let meant = observed.world.config.destinations.iter().filter(|d| *from == From::Any || d.is_meant_by(from));
    meant.map(line).collect()
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
        return format!(
            "no PVC in namespace {namespace} has restore points. For the reasons, run: kubectl backup status -n \
             {namespace}"
        );
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
  RUN         the run: one backup of the PVC, named by its minute in UTC
  AGE         time since the run
  WHERE       snapshot: a VolumeSnapshot in the namespace
              disk: a folder on the disk of a destination
              restic: a snapshot in a restic repository, with the id for restore --snapshot if it is recorded
  STATE       of a snapshot: Good (ready and, if it has destinations, copied completely to at least one),
              Incomplete (something is missing in its best copy), Unconfirmed (every copy failed),
              Unsure (the same, but a copy from before the controller started may be there), or
              Unrecorded (a copy has not finished).
              Of a copy: Complete or Incomplete; <unknown> once the snapshot with its record is gone.
              A restore is possible from each of them
  MOUNTABLE   yes: a PVC exists that you can mount to look into the restore point. -o wide names it: the promoter
              (the PVC that is made from the snapshot), or the BackupDisk (the PVC with the copies).
              no: a restore creates a missing promoter again; a restic repository needs no PVC
  FILES, SIZE number and size of the copied files; `device` is a raw block volume, which is restored whole
  JOURNAL     only if one is skipped: the filesystem was mounted without its journal. The last writes before the
              snapshot may be missing, and files that were deleted last may be present
  HELD        end of the hold; until then rotation keeps the restore point: kubectl backup hold

Examples:
  kubectl backup list data
  kubectl backup list data --from disk
  kubectl backup list data --from s3
  kubectl backup list data -o name --from snapshot

A deleted PVC keeps its restore points for some time, under its name. -o wide shows the UID of the PVC that each
restore point belongs to.

Exit codes:
  0  done, also if the PVC has no restore point
  1  there is no such PVC and no restore point of one, no PVC is named, or the command failed
  2  the command line is wrong";

#[cfg(test)]
mod tests;
