//! `kubectl backup hold`: keeps a restore point from rotation, or lets it go again.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use model::Timestamp;
use model::duration::Span;
use model::facts::Snapshot;
use model::hold::Hold;
use model::names;
use model::plan;
use model::restore::{self, From, Place, Request, When};
use model::schedule::Zone;
use model::select::Verdict;
use model::snapshot::VolumeSnapshot;
use model::text::clip;
use serde_json::json;

use crate::flags::Cluster;
use crate::observe::{self, Observed, Scope};
use crate::rights::Deed;
use crate::{age, connect, list};

/// Who writes, as the API server records it.
pub(crate) const MANAGER: &str = "kubectl-backup";
/// The longest text that is written.
const LONGEST: usize = 200;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Restore point (VolumeSnapshot), such as data-20181202; with --date, the PVC
    #[arg(value_name = "RESTORE_POINT")]
    name: String,
    /// Date of the PVC's restore point: YYYYMMDD, YYYYMMDD-HHMM, a run such as 20181202T0000Z, or latest
    #[arg(long, value_name = "DATE")]
    date: Option<When>,
    /// UID of the PVC, if several PVCs had the name
    #[arg(long, value_name = "UID", requires = "date")]
    uid: Option<String>,
    /// Length of the hold, such as 7d or 36h [default: until it is released]
    #[arg(long = "for", value_name = "TIME", conflicts_with_all = ["until", "release"])]
    length: Option<Span>,
    /// End of the hold, such as 2018-12-09T12:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "release")]
    until: Option<Timestamp>,
    /// Reason, for people: one line of text
    #[arg(long, value_name = "TEXT", conflicts_with = "release")]
    reason: Option<String>,
    /// Release the restore point
    #[arg(long)]
    release: bool,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let connection = connect::connect(cluster).await?;
    let namespace = connection.namespace;
    let scope = Scope::of(cluster, &namespace, &[]);
    let observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    observed.need_snapshots(&namespace)?;
    let now = api::now();
    let text = if args.release { None } else { Some(args.text(now)?) };
    let snapshot = find(&observed, &namespace, args)?;
    annotate(&connection.client, snapshot, text.as_deref()).await?;
    for line in effect(&observed, snapshot, text.as_deref(), now) {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// What the annotation says.
    fn text(&self, now: Timestamp) -> anyhow::Result<String> {
        let until = self.until.or(self.length.map(|length| length.after(now)));
        if let Some(past) = until.filter(|until| *until <= now) {
            bail!("--until {past} is in the past: choose a later time");
        }
        let reason = self.reason.as_deref().unwrap_or("by kubectl backup hold").trim();
        if reason.chars().any(char::is_control) {
            bail!("--reason must be one line of text");
        }
        let text = until.map_or_else(|| clip(reason, LONGEST), |until| Hold::text(until, reason));
        if Hold::read(&text).until.is_some() != until.is_some() {
            bail!("--reason must not begin with 'until=': use --until");
        }
        Ok(text)
    }
}

/// The snapshot that is meant.
fn find<'a>(observed: &'a Observed, namespace: &str, args: &Args) -> anyhow::Result<&'a Snapshot> {
    let world = &observed.world;
    let Some(when) = &args.date else {
        let ours = |s: &&Snapshot| s.ours.as_ref().is_some_and(|o| o.instance == world.instance && o.run.is_some());
        return world
            .snapshots
            .get(namespace, &args.name)
            .filter(ours)
            .with_context(|| unknown(observed, namespace, &args.name));
    };
    let request = Request {
        namespace: None,
        pvc: args.name.clone(),
        uid: args.uid.clone(),
        when: when.clone(),
        from: From::Snapshot,
        target: None,
        delete: false,
        path: None,
    };
    let live = world.claims.get(namespace, &args.name);
    let zone = live.map_or_else(|| world.config.defaults.time_zone.clone(), |claim| zone(observed, claim));
    let points = restore::points(world, namespace, &args.name);
    let point = restore::choose(&points, &request, live.map(|c| c.id.uid.as_str()), &zone)
        .map_err(|problem| anyhow!("{problem}\nWhat to do: {}", problem.reason.help()))?;
    let Place::Snapshot { name, .. } = &point.place else {
        bail!("{point} is a copy at a destination: only snapshots can be held")
    };
    world.snapshots.get(namespace, name).with_context(|| {
        format!("VolumeSnapshot {name} is gone. Choose another restore point: kubectl backup list {}", args.name)
    })
}

/// The zone of the PVC's schedule.
fn zone(observed: &Observed, claim: &model::facts::Claim) -> Zone {
    let world = &observed.world;
    match plan::verdict(world, claim) {
        Verdict::Protected(protection, _) if observed.knows.verdicts() => protection.zone.clone(),
        _ => world.config.defaults.time_zone.clone(),
    }
}

/// There is no such restore point; those that there are.
fn unknown(observed: &Observed, namespace: &str, name: &str) -> String {
    let points = restore::points(&observed.world, namespace, name);
    if points.is_empty() {
        let head = format!("namespace {namespace} has no restore point {name}");
        return format!("{head}\n{}", list::candidates(observed, namespace));
    }
    let snapshots = points.iter().filter_map(|p| match &p.place {
        Place::Snapshot { name, .. } => Some(name.as_str()),
        Place::Tree { .. } | Place::Repository { .. } => None,
    });
    let names: Vec<&str> = snapshots.take(8).collect();
    if names.is_empty() {
        return format!("{name} is a PVC without snapshots: only snapshots can be held, and it has copies only");
    }
    format!("{name} is a PVC: hold one of its restore points ({}), or add --date=YYYYMMDD", names.join(", "))
}

/// Writes the one annotation, or takes it away. Exactly the snapshot that was seen is meant.
async fn annotate(client: &Client, snapshot: &Snapshot, text: Option<&str>) -> anyhow::Result<()> {
    let (namespace, name) = (&snapshot.namespace, &snapshot.id.name);
    let patch = json!({"metadata": {"uid": snapshot.id.uid, "annotations": {names::HOLD: text}}});
    let api: Api<VolumeSnapshot> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(&patch);
    let request = api.patch_metadata(name, &params, &patch);
    let written = api::bounded(|| format!("patch volumesnapshots {namespace}/{name}"), request).await;
    let resource = "volumesnapshots.snapshot.storage.k8s.io";
    written.map_err(|e| Deed::new("patch", resource, Some(namespace)).failed(&e))?;
    Ok(())
}

/// What is so from now on.
fn effect(observed: &Observed, snapshot: &Snapshot, text: Option<&str>, now: Timestamp) -> Vec<String> {
    let world = &observed.world;
    let name = &snapshot.id.name;
    let promoter = world.claims.get(&snapshot.namespace, name);
    let held_by_promoter = promoter.filter(|p| p.from_snapshot.as_ref() == Some(name) && p.held(now));
    let Some(text) = text else {
        let mut lines = vec![match snapshot.hold {
            Some(_) => format!("volumesnapshot/{name} is released: the next run may rotate it"),
            None => format!("volumesnapshot/{name} was not held"),
        }];
        if held_by_promoter.is_some() {
            let key = names::HOLD;
            lines.push(format!(
                "PVC {name}, which is made from it, still holds it. To release it, run: kubectl annotate pvc {name} \
                 {key}-"
            ));
        }
        return lines;
    };
    let mut lines = vec![match Hold::read(text).until {
        Some(until) => {
            format!("volumesnapshot/{name} is held until {}, for {}", seconds(until), age::between(seconds(now), until))
        }
        None => format!("volumesnapshot/{name} is held until it is released: kubectl backup hold {name} --release"),
    }];
    let uid = snapshot.ours.as_ref().map(|o| o.source_uid.as_str());
    let of_source = |s: &&Snapshot| s.ours.as_ref().map(|o| o.source_uid.as_str()) == uid;
    let promoter_holds = |s: &Snapshot| world.claims.get(&s.namespace, &s.id.name).is_some_and(|p| p.held(now));
    let mut held: Vec<&Snapshot> = world.snapshots.within(&snapshot.namespace).filter(of_source).collect();
    held.retain(|s| s.id.name == *name || s.held(now) || promoter_holds(s));
    held.sort_by(|a, b| run_of(a).cmp(&run_of(b)));
    let max = usize::try_from(world.config.bounds.max_holds).unwrap_or(usize::MAX);
    if observed.knows.config {
        let pvc = snapshot.claim.as_deref().unwrap_or_default();
        lines.push(format!("held restore points of PVC {pvc}: {}; bounds.maxHolds allows {max}", held.len()));
        if held.iter().position(|s| s.id.name == *name).is_some_and(|rank| rank >= max) {
            let older: Vec<&str> = held.iter().take(max).map(|s| s.id.name.as_str()).collect();
            lines.push(format!(
                "warning: this hold has NO effect, because {max} older restore points are held ({}). Release one of \
                 them: kubectl backup hold NAME --release",
                older.join(", ")
            ));
        }
    }
    lines
}

fn run_of(snapshot: &Snapshot) -> Option<&names::Run> {
    snapshot.ours.as_ref().and_then(|o| o.run.as_ref())
}

fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
Rotation deletes neither a held restore point nor its promoter: the PVC that is made from the snapshot. The hold is
the annotation backup-controller.io/hold on the VolumeSnapshot. This command writes it with your permissions. A new
hold replaces the previous one.

The administrator limits holds per PVC (bounds.maxHolds); beyond the limit, holds on the newest restore points have
no effect. Copies on a disk or in a restic repository cannot be held.

Examples:
  kubectl backup hold data-20181202 --for 7d --reason 'comparing with the live data'
  kubectl backup hold data --date 20181202 --until 2018-12-09T12:00:00Z
  kubectl backup hold data-20181202 --release

Exit codes:
  0  done
  1  there is no such restore point, the time is in the past, or the command failed
  2  the command line is wrong";

#[cfg(test)]
mod tests;
