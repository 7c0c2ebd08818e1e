//! The demo: the controller is installed with its playbook, a real volume is backed up on a real cluster, with one
//! command, to a disk and to S3, every restore point of it is compared with the snapshot, byte by byte, a drill proves
//! that the copy can be restored, and what gets lost is restored.
//!
//! It expects the dev cluster with its images (`make demo` sees to that), or the cluster that `KUBECONFIG` names, which
//! has no S3 server of ours: there, the copy on the disk is all there is, and it is drilled. It leaves both running.

mod names;
mod ready;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use backup_controller_tests::nodes::{self, App, Comparison, Files, Keys, Place, Tree, ansible};
use clap::Parser;
use dev_cluster::{Cluster, Kubectl};
use serde_json::Value;

use names::{INSTALLATION, MADE_BY_DEMO, NAMESPACE};

const FOLDER: &str = "debian/etc";

/// Backs up a real volume, compares every restore point with it, loses a folder, and restores it.
#[derive(Debug, Parser)]
struct Args {
    /// Remove what the demo made in the cluster that KUBECONFIG names.
    #[arg(long)]
    remove: bool,
}

fn main() -> ExitCode {
    let done = if Args::parse().remove { remove() } else { run() };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says what is done, and how long it took.
fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    println!("==> {what}");
    let done = work().with_context(|| what.to_owned())?;
    println!("    {:.1} s", start.elapsed().as_secs_f64());
    Ok(done)
}

fn run() -> Result<()> {
    let begun = Instant::now();
    let cluster = Cluster::existing()?;
    let kubectl = cluster.kubectl();
    let place = if cluster.is_dev() {
        Place::dev()
    } else {
        let place = ready::look(kubectl)?.place(&ready::Wishes::from_environment())?;
        println!("This cluster can show the demo, with StorageClass {}. It has no S3 server of ours:", place.class);
        println!("the repository, and restic without us, are left out. `make down` removes what the demo makes here.");
        place
    };
    step("what an earlier demo left is removed", || {
        kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s"])
    })?;
    let keys = cluster.is_dev().then(|| Ok::<_, anyhow::Error>(Keys::of(&cluster.s3()?, NAMESPACE))).transpose()?;
    let destinations: &[&str] = if keys.is_some() { &["disk", "s3"] } else { &["disk"] };
    println!("==> an application fills its volume, and keeps writing to it");
    let fill = || {
        let namespace = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                // From its beginning: a demo that is killed leaves nothing that it does not know again.
                "labels": {MADE_BY_DEMO: "true"},
                "annotations": {"backup-controller.io/destinations": destinations.join(",")},
            },
        });
        kubectl.run_with_input(&["create", "-f", "-"], &namespace.to_string())?;
        if let Some(keys) = &keys {
            App::existing(kubectl, NAMESPACE).secret("backup-s3", keys)?;
        }
        App::fill(kubectl, NAMESPACE, place.clone(), Files::Many)
    };
    let app = std::thread::scope(|scope| {
        let app = scope.spawn(fill);
        install(kubectl, &place)?;
        app.join().map_err(|_| anyhow::anyhow!("the application's thread failed"))?
    })?;

    let run = step("a run is asked for, as a user does: snapshot, promoter, copies", || {
        backup(kubectl.kubeconfig(), &["run", "data", "--wait", "--timeout", "3m"]).with_context(|| app.seen())?;
        let run = app.good_run(None)?;
        app.copied(&run, destinations)?;
        Ok(run)
    })?;
    let compared = compare(&app, &cluster, keys.as_ref(), &run)?;
    let drilled = destinations.last().copied().unwrap_or_default();
    let seconds = lose_and_restore(&app, kubectl.kubeconfig(), &run)?;
    println!();
    let proven = prove(&app, kubectl.kubeconfig(), &run, drilled)?;
    println!();
    backup(kubectl.kubeconfig(), &["status"])?;
    show(kubectl, &run, &compared, (drilled, &proven), seconds, begun.elapsed().as_secs());
    Ok(())
}

fn install(kubectl: &Kubectl, place: &Place) -> Result<()> {
    step("the controller is installed: ansible-playbook install-backup-controller.yaml", || {
        let mut vars = ansible::demo_settings(place);
        // The demo asks for its run. It would take a minute more to wait for a schedule.
        vars["SCHEDULE"] = "H H * * *".into();
        if let (Value::Object(vars), Value::Object(images)) = (&mut vars, place.images()) {
            vars.extend(images);
        }
        ansible::install_with_playbook(kubectl, &vars)?;
        label(kubectl, INSTALLATION)
    })
}

fn label(kubectl: &Kubectl, namespace: &str) -> Result<()> {
    kubectl.run(&["label", "--overwrite", "namespace", namespace, &format!("{MADE_BY_DEMO}=true")])?;
    Ok(())
}

/// A restore point, what it is, and what comparing it with the snapshot found.
type Compared = (&'static str, String, Comparison);

/// Every restore point, compared with a volume that the storage made from the snapshot.
fn compare(app: &App, cluster: &Cluster, keys: Option<&Keys>, run: &str) -> Result<Vec<Compared>> {
    let point = app.restore_point(run)?;
    let disk = Tree { claim: "backup-disk".into(), path: format!("{NAMESPACE}/data/{}/{run}", app.uid()?) };
    let mut trees =
        vec![("promoter", format!("pvc/{point}"), Tree::volume(&point)), ("disk", format!("pvc/{}", disk.claim), disk)];
    if let Some(keys) = keys {
        let stock = app.stock_restic(keys)?;
        let tree = step("restic as it comes, without us, restores the repository into a new volume", || {
            app.restored_by(&stock, cluster, "by-restic")
        })?;
        trees.push(("s3", "a restic repository".to_owned(), tree));
    }
    let compared = step("every restore point is compared with the snapshot, byte by byte", || {
        let truth = app.truth(&point)?;
        trees
            .into_iter()
            .map(|(kind, name, tree)| Ok((kind, name, app.compare(&format!("compare-{kind}"), &truth, &tree)?)))
            .collect::<Result<Vec<Compared>>>()
    })?;
    let different: Vec<_> = compared.iter().filter(|(_, _, found)| !found.equal()).collect();
    if !different.is_empty() {
        let found: Vec<_> = different.iter().map(|(kind, _, found)| format!("{kind}: {}", found.differences)).collect();
        bail!("a restore point differs from its snapshot:\n{}", found.join("\n"));
    }
    Ok(compared)
}

/// The copy is restored to scratch by a drill, and compared there.
fn prove(app: &App, kubeconfig: &Path, run: &str, destination: &str) -> Result<Value> {
    step("a drill is asked for: it restores a sample of the copy, and compares it", || {
        backup(kubeconfig, &["drill", "data", "--wait", "--timeout", "3m"]).with_context(|| app.seen())?;
        let proven = app.status()?["maintenance"][destination]["proven"].take();
        if proven["run"] != run {
            bail!("the drill proved another run than {run}: {proven}");
        }
        Ok(proven)
    })
}

/// A folder is lost, and comes back with one command while the application is down for a moment. Returns the seconds.
fn lose_and_restore(app: &App, kubeconfig: &Path, run: &str) -> Result<f64> {
    // All that an archive holds: names, contents, owners, modes, times, attributes.
    let pax = "exthdr.name=%d/%f,delete=atime,delete=ctime";
    let archive = format!("tar --sort=name --xattrs --acls --pax-option={pax} -C /data -cf - {FOLDER} | sha256sum");
    let digest = || app.sh(&archive);
    let before = digest()?;
    println!("\n$ rm -rf /data/{FOLDER}                   # in the application's pod");
    app.sh(&format!("rm -rf /data/{FOLDER}"))?;
    let start = Instant::now();
    backup(kubeconfig, &["restore", "data", FOLDER, "--date", run, "--scale", "--yes"])?;
    let seconds = start.elapsed().as_secs_f64();
    app.kubectl(&["rollout", "status", "deployment/app", "--timeout=120s"]).with_context(|| app.seen())?;
    if digest()? != before {
        bail!("what was restored is not what was lost");
    }
    Ok(seconds)
}

/// The last screen.
fn show(kubectl: &Kubectl, run: &str, compared: &[Compared], drill: (&str, &Value), restored: f64, total: u64) {
    let (entries, bytes) = compared.first().map_or((0, 0), |(_, _, found)| (found.entries, found.bytes));
    let megabytes = bytes / 1_000_000;
    println!("\nThis was shown, in {} min {:02} s:", total / 60, total % 60);
    let line = |label: &str, text: &str| println!("  {label:<18} {text}");
    line("a volume in use", &format!("PVC data in namespace {NAMESPACE}: {entries} entries, {megabytes} MB"));
    line("backed up", &format!("run {run}, with one command, while the application kept writing"));
    let names: Vec<_> = compared.iter().map(|(kind, name, _)| format!("{kind} ({name})")).collect();
    line("restore points", &names.join(", "));
    line("compared", "each restore point with the snapshot: every byte, owner, mode, time and attribute is equal");
    let (name, proven) = drill;
    line("proven by a drill", &format!("{} entries of the copy to {name} were restored and compared", proven["files"]));
    line("lost and restored", &format!("{FOLDER}, with one command, in {restored:.1} s"));
    line("look around", &format!("export KUBECONFIG={}", kubectl.kubeconfig().display()));
    line("", &format!("target/dev-image/kubectl-backup -n {NAMESPACE} list data"));
    line("end it", "make down");
}

/// What a user types.
fn backup(kubeconfig: &Path, args: &[&str]) -> Result<()> {
    let program = nodes::project().join("target/dev-image/kubectl-backup");
    println!("$ kubectl backup -n {NAMESPACE} {}", args.join(" "));
    let mut command = Command::new(&program);
    command.env("KUBECONFIG", kubeconfig).args(["-n", NAMESPACE]).args(args);
    let status = command.status().with_context(|| program.display().to_string())?;
    // Something that needs attention is for the reader of the table.
    if !status.success() && args[0] != "status" {
        bail!("kubectl backup {}: {status}", args.join(" "));
    }
    Ok(())
}

/// Removes what the demo made in a cluster that is not ours.
fn remove() -> Result<()> {
    let cluster = Cluster::existing()?;
    let kubectl = cluster.kubectl();
    let made = kubectl.run(&["get", "namespaces", "-l", &format!("{MADE_BY_DEMO}=true"), "-o", "name"])?;
    if made.is_empty() {
        println!("the demo made nothing in this cluster");
        return Ok(());
    }
    let made = |name: &str| made.lines().any(|line| line == format!("namespace/{name}"));
    if made(NAMESPACE) {
        step("the demo's application and its backups are removed", || {
            kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=180s"])
        })?;
    }
    if made(INSTALLATION) {
        step("the controller is removed: ansible-playbook uninstall-backup-controller.yaml", || {
            ansible::play(kubectl, "uninstall-backup-controller.yaml", &serde_json::json!({}), &[])?;
            // The records of the demo's backups keep it.
            kubectl.run(&["delete", "namespace", INSTALLATION, "--ignore-not-found", "--timeout=180s"])
        })?;
    }
    Ok(())
}
