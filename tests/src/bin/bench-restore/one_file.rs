//! One file, from the command to its bytes: who takes which part of the time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use backup_controller_tests::figures::{Table, median};
use backup_controller_tests::nodes::{App, project, wait::wait_for};
use dev_cluster::Kubectl;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use model::names;

/// How often.
pub(crate) const TIMES: usize = 5;

/// What is waited for, in this order; each takes from the one before.
const PARTS: [&str; 7] = [
    "the command asks: Deployment made",
    "the controller answers: record Ready",
    "Kubernetes makes the pod",
    "Kubernetes gives it a node",
    "the node mounts both volumes and starts the container",
    "kubectl backup executes restore.sh, which looks and copies: bytes back",
    "the pod is taken away: the command ends",
];
/// Of [`PARTS`]: that the bytes are back.
const BACK: usize = 5;

/// When each part was first seen.
type Seen = Arc<Mutex<BTreeMap<usize, Instant>>>;

fn see(seen: &Seen, part: usize) {
    seen.lock().unwrap_or_else(PoisonError::into_inner).entry(part).or_insert_with(Instant::now);
}

/// Restores one file after the other, and tells the medians.
pub(crate) async fn measure(table: &mut Table, app: &App, kubectl: &Kubectl) -> Result<()> {
    let file = |n: usize| format!("many/{}/f-500", n * 20);
    let files: Vec<String> = (1..=TIMES).map(file).collect();
    app.sh(&format!("cd /data; rm {}; sync -f /data", files.join(" ")))?;
    app.scale(0)?;
    let client = api::connect(Some(kubectl.kubeconfig())).await?;
    let (mut parts, mut back, mut all) = (vec![Vec::new(); PARTS.len()], Vec::new(), Vec::new());
    for file in &files {
        detached(app)?;
        let (begun, seen) = once(app, kubectl, &client, file).await?;
        let mut before = begun;
        for (part, times) in parts.iter_mut().enumerate() {
            let at = seen.get(&part).copied().with_context(|| format!("never seen: {}", PARTS[part]))?.max(before);
            times.push((at - before).as_secs_f64());
            before = at;
        }
        back.push((seen[&BACK] - begun).as_secs_f64());
        all.push((before - begun).as_secs_f64());
    }
    app.scale(1)?;
    let read = app.sh(&format!("cd /data; cat {}", files.join(" ")))?;
    anyhow::ensure!(read.lines().count() == TIMES, "not all files are back: {read}");

    table.judge("one file of 100,000, command to bytes back: median", median(&mut back), 5.0, "s", false);
    let (least, most) = (back.first().copied().unwrap_or(0.0), back.last().copied().unwrap_or(0.0));
    table.tell(&format!("  least and most of {TIMES}"), format!("{least:.1} to {most:.1} s"));
    for (part, times) in PARTS.iter().zip(&mut parts) {
        table.tell(&format!("  {part}"), format!("{:.2} s", median(times)));
    }
    table.tell("  in all, to the end of the command", format!("{:.1} s", median(&mut all)));
    Ok(())
}

/// Waits until no node has the volume any more: as after an application that was stopped before.
fn detached(app: &App) -> Result<()> {
    let volume = app.kubectl(&["get", "pvc/data", "-o", "jsonpath={.spec.volumeName}"])?;
    let attached = || app.kubectl(&["get", "volumeattachments", "-o", "jsonpath={.items[*].spec.source}"]);
    let seen = || attached().unwrap_or_default();
    wait_for("the volume is detached", Duration::from_mins(1), seen, || {
        Ok((!attached()?.contains(&volume)).then_some(()))
    })
}

/// Restores one file; when it began, and when each part was seen.
async fn once(
    app: &App,
    kubectl: &Kubectl,
    client: &Client,
    file: &str,
) -> Result<(Instant, BTreeMap<usize, Instant>)> {
    let seen = Seen::default();
    let watching = tokio::spawn(watch(client.clone(), app.namespace.clone(), seen.clone()));
    // The watches are there before what they look for.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut command = Command::new(project().join("target/dev-image/kubectl-backup"));
    command.env("KUBECONFIG", kubectl.kubeconfig());
    command.args(["restore", "data", file, "--date=latest", "--yes", "-n", &app.namespace]);
    let begun = Instant::now();
    let last = tokio::task::spawn_blocking(move || run(command)).await??;
    see(&seen, PARTS.len() - 1);
    watching.abort();
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // The last line is the result.
    seen.insert(BACK, last);
    Ok((begun, seen))
}

/// Runs it; when it printed its last line.
fn run(mut command: Command) -> Result<Instant> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("no output")?;
    let (mut text, mut last) = (String::new(), Instant::now());
    for line in BufReader::new(output).lines() {
        writeln!(text, "{}", line?)?;
        last = Instant::now();
    }
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "kubectl backup restore ended with {status}:\n{text}");
    Ok(last)
}

/// Notes what happens to Deployments and pods that are new.
async fn watch(client: Client, namespace: String, seen: Seen) {
    let config = || watcher::Config::default().labels("template=restore");
    let deployments = watcher(Api::<Deployment>::namespaced(client.clone(), &namespace), config());
    let mut deployments = pin!(deployments.applied_objects());
    let mut pods = pin!(watcher(Api::<Pod>::namespaced(client, &namespace), config()).applied_objects());
    loop {
        tokio::select! {
            Some(Ok(deployment)) = deployments.next() => {
                see(&seen, 0);
                if deployment.metadata.annotations.is_some_and(|a| a.contains_key(names::RESTORE_STATUS)) {
                    see(&seen, 1);
                }
            }
            Some(Ok(pod)) = pods.next() => {
                see(&seen, 2);
                if pod.spec.is_some_and(|s| s.node_name.is_some()) {
                    see(&seen, 3);
                }
                let started = |s: k8s_openapi::api::core::v1::PodStatus| {
                    s.container_statuses.into_iter().flatten().any(|c| c.started == Some(true))
                };
                if pod.status.is_some_and(started) {
                    see(&seen, 4);
                }
            }
            else => return,
        }
    }
}
