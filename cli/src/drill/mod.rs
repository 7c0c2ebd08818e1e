//! `kubectl backup drill`: has the newest copies proven now, and follows that.

mod follow;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::runtime::{WatchStreamExt as _, watcher::watch_object};
use kube::{Api, Client};
use model::Timestamp;
use model::duration::Span;
use model::facts::Claim;
use model::names;

use crate::exit::{ATTENTION, INTERRUPTED};
use crate::flags::Cluster;
use crate::observe::{self, Observed, Scope};
use crate::review::need;
use crate::rights::{Deed, Missing, refused};
use crate::run::{annotate, live, rights};
use crate::status::{self, Question, Volume};
use crate::table::printable;
use crate::{age, connect};
use follow::Follow;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// PVCs whose copies are proven
    #[arg(value_name = "PVC", required = true)]
    names: Vec<String>,
    /// Follow the drills until each has ended
    #[arg(long)]
    wait: bool,
    /// Longest time to follow the drills
    #[arg(long, value_name = "TIME", default_value = "6h", requires = "wait")]
    timeout: Span,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let connection = connect::connect(cluster).await?;
    let namespace = connection.namespace;
    let scope = Scope::of(cluster, &namespace, &args.names);
    let observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    // The annotation is a time in whole seconds.
    let now = Timestamp::from_second(api::now().as_second())?;
    let volumes = status::volumes(Question { observed: &observed, names: &args.names, missed: 2, now });
    let volumes = live(&args.names, volumes, &namespace)?;
    let follows = volumes.iter().map(|v| Follow::new(&observed, v, now)).collect::<Vec<_>>();
    if observed.knows.config {
        are_drilled(&follows)?;
    }
    need(&connection.client, &rights(&volumes, args.wait)).await?;
    for (volume, follow) in volumes.iter().zip(&follows) {
        annotate(&connection.client, volume, names::DRILL_NOW, &now.to_string()).await?;
        let destinations = if follow.is_empty() { String::new() } else { format!(": {}", follow.names()) };
        println!("persistentvolumeclaim/{}: drill requested{destinations}", volume.name);
        for note in notes(&observed, volume, now) {
            println!("{note}");
        }
    }
    if !args.wait {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(unknown) = follows.iter().find(|follow| follow.is_empty()) {
        eprintln!(
            "kubectl-backup: the drills of PVC {} cannot be followed: which destinations are drilled stands in the \
             configuration, which you may not read. To see them, run: kubectl backup why {0}",
            unknown.name
        );
        return Ok(ExitCode::from(ATTENTION));
    }
    until_done(&connection.client, &namespace, follows, args.timeout).await
}

/// Nothing is written if one of the PVCs cannot be drilled.
fn are_drilled(follows: &[Follow]) -> anyhow::Result<()> {
    let none = follows.iter().filter(|follow| follow.is_empty());
    let faults: Vec<String> = none
        .map(|follow| {
            format!(
                "no destination of PVC {} is drilled\n  What to do: ask the administrator to set destinations[].drill \
                 in the configuration",
                follow.name
            )
        })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(anyhow!("{}", faults.join("\n"))) }
}

/// What the person should know about when the drills start.
fn notes(observed: &Observed, volume: &Volume, now: Timestamp) -> Vec<String> {
    let Some(status) = observed.world.status(&volume.uid) else { return Vec::new() };
    if status.maintenance.values().all(|m| m.since.is_none()) {
        return vec!["  there is no complete copy yet: the drill starts after the first one".to_owned()];
    }
    if !observed.knows.config {
        return Vec::new();
    }
    let pause = observed.world.config.bounds.min_interval;
    let drills = status.maintenance.iter().filter_map(|(name, m)| Some((name, m.drill.as_ref()?.finished)));
    drills
        .filter(|(_, ended)| *ended <= now && now < pause.after(*ended))
        .map(|(name, ended)| {
            let (wait, ago) = (age::between(now, pause.after(ended)), age::between(ended, now));
            format!(
                "  TooSoon: the drill of {name} starts in {wait}: the newest one ended {ago} ago, and \
                 bounds.minInterval is {pause}"
            )
        })
        .collect()
}

/// Tells how the drills end, until each has, the time is over, or the person has seen enough.
async fn until_done(
    client: &Client,
    namespace: &str,
    mut follows: Vec<Follow>,
    timeout: Span,
) -> anyhow::Result<ExitCode> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let watch = |(place, follow): (usize, &Follow)| {
        let watch = watch_object(api.clone(), &follow.name).default_backoff();
        watch.map_ok(move |claim| (place, claim.as_ref().map(Claim::from))).boxed()
    };
    let mut changes = stream::select_all(follows.iter().enumerate().map(watch).collect::<Vec<_>>());
    let deadline = tokio::time::sleep(Duration::from_secs(timeout.as_secs()));
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(deadline, interrupt);
    while follows.iter().any(Follow::is_open) {
        let change = tokio::select! {
            change = changes.next() => change,
            () = &mut deadline => {
                eprintln!(
                    "kubectl-backup: these drills did not end within {timeout} (--timeout): {}\nThey continue. To see \
                     them, run: kubectl backup why PVC",
                    open(&follows)
                );
                return Ok(ExitCode::from(ATTENTION));
            }
            _ = &mut interrupt => {
                eprintln!("\nThe drills continue. To see them, run: kubectl backup why PVC");
                return Ok(ExitCode::from(INTERRUPTED));
            }
        };
        match change {
            Some(Ok((place, claim))) => {
                for line in follows[place].step(claim.as_ref()) {
                    println!("{}", printable(&line));
                }
            }
            Some(Err(error)) => {
                let deed = Deed::new("watch", "persistentvolumeclaims", Some(namespace));
                if let Some(said) = refused(&error) {
                    return Err(Missing(format!("{} The drills continue", deed.missing(&said))).into());
                }
            }
            None => bail!("the watch of the PVCs ended. The drills continue; to see them, run: kubectl backup why PVC"),
        }
    }
    let passed = follows.iter().all(Follow::has_passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(ATTENTION) })
}

fn open(follows: &[Follow]) -> String {
    let open = follows.iter().filter(|follow| follow.is_open());
    open.map(|follow| format!("{} ({})", follow.name, follow.names())).collect::<Vec<_>>().join(", ")
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
A drill restores the newest complete copy, or a sample of it, to a scratch volume, and compares it with its snapshot,
byte by byte. This command writes the annotation backup-controller.io/drill-now on each PVC, with your permissions: a
time, at which each destination that has a drill in the configuration is drilled once. Drills of a destination are at
least bounds.minInterval apart: an earlier request starts its drill then.

Examples:
  kubectl backup drill data
  kubectl backup drill data orders --wait --timeout 30m

Ctrl-C stops following the drills. They continue.

Exit codes:
  0    the drills are requested; with --wait: each has passed
  1    the command failed, or a PVC cannot be drilled; in the latter case no drill is requested
  2    the command line is wrong
  3    with --wait: a drill failed or found a difference, or did not end in time
  130  with --wait: Ctrl-C";

#[cfg(test)]
mod tests;
