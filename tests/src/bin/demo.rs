//! The demo: the controller is installed with its playbook, a real volume is backed up on a real cluster, on its
//! schedule, every restore point of it is compared with the snapshot, byte by byte, and what gets lost is restored.
//!
//! It expects the cluster and the images to be there (`make demo` sees to that) and leaves both running.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use backup_controller_tests::nodes::{self, App, Comparison, Tree};
use dev_cluster::Cluster;

const NAMESPACE: &str = "demo";

fn main() -> ExitCode {
    match run() {
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
    let cluster = Cluster::existing()?;
    let kubectl = cluster.kubectl();
    step("the controller is installed: ansible-playbook install-backup-controller.yaml", || {
        nodes::ansible::install_with_playbook(kubectl, &nodes::ansible::demo_settings())
    })?;
    step("what an earlier demo left is removed", || {
        kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s"])
    })?;
    let app = step("an application fills its volume with files, and goes on writing", || {
        App::create(kubectl, NAMESPACE, "shared")
    })?;
    println!("    {} entries", app.sh("find /data | wc -l")?.trim());

    let run = step("its schedule (every minute, for the demo) comes round: snapshot, promoter, copy", || {
        let run = app.good_run(None)?;
        // One is enough to look at: the volume's own annotation overrides the schedule from here on.
        app.annotate("backup-controller.io/schedule=H H * * *")?;
        Ok(run)
    })?;
    let point = app.restore_point(&run)?;
    println!("    run {run}: restore point {point}");

    let disk = Tree { claim: "backup-disk".into(), path: format!("{NAMESPACE}/data/{}/{run}", app.uid()?) };
    let promoter = Tree::volume(&point);
    let (by_promoter, by_disk) = step("every restore point is compared with the snapshot, byte by byte", || {
        let truth = app.truth(&point)?;
        let promoter = app.compare("compare-promoter", &truth, &promoter)?;
        Ok((promoter, app.compare("compare-disk", &truth, &disk)?))
    })?;

    let now: u64 = app.sh("tail -n 1 /data/ticker")?.split(' ').next().unwrap_or("0").parse()?;
    println!(
        "\nThe application goes on: its ticker is at {now} now; the restore points hold the moment of the snapshot.\n"
    );
    println!("{:<12} {:<28} {:>8} {:>12}  RESULT", "KIND", "RESTORE POINT", "ENTRIES", "BYTES");
    let equal = [
        row("promoter", &format!("pvc/{point}"), &by_promoter),
        row("BackupDisk", &format!("pvc/{} {run}", disk.claim), &by_disk),
    ];
    if equal.contains(&false) {
        bail!("a restore point differs from its snapshot:\n{}\n{}", by_promoter.differences, by_disk.differences);
    }
    lose_and_restore(&app, kubectl.kubeconfig(), &run)?;
    println!();
    backup(kubectl.kubeconfig(), &["status"])?;
    println!("\nThe cluster is left running: look around with KUBECONFIG={}", kubectl.kubeconfig().display());
    println!("and {}; `make down` ends it.", kubectl.program().display());
    Ok(())
}

fn row(kind: &str, point: &str, found: &Comparison) -> bool {
    let result = if found.equal() { "bytes equal" } else { "DIFFERENT" };
    println!("{kind:<12} {point:<28} {:>8} {:>12}  {result}", found.entries, found.bytes);
    found.equal()
}

/// A folder is lost, and comes back with one command while the application is down for a moment.
fn lose_and_restore(app: &App, kubeconfig: &Path, run: &str) -> Result<()> {
    // All that an archive holds: names, contents, owners, modes, times, attributes.
    let pax = "exthdr.name=%d/%f,delete=atime,delete=ctime";
    let archive = format!("tar --sort=name --xattrs --acls --pax-option={pax} -C /data/debian -cf - etc | sha256sum");
    let digest = || app.sh(&archive);
    let before = digest()?;
    println!("\n$ rm -rf /data/debian/etc                   # in the application's pod");
    app.sh("rm -rf /data/debian/etc")?;
    let start = Instant::now();
    backup(kubeconfig, &["restore", "data", "debian/etc", "--date", run, "--scale", "--yes"])?;
    let seconds = start.elapsed().as_secs_f64();
    app.kubectl(&["rollout", "status", "deployment/app", "--timeout=120s"]).with_context(|| app.seen())?;
    if digest()? != before {
        bail!("what was restored is not what was lost");
    }
    println!("    the folder is back as it was, in {seconds:.1} s, and the application runs again");
    Ok(())
}

/// What a user types.
fn backup(kubeconfig: &Path, args: &[&str]) -> Result<()> {
    let program = nodes::project().join("target/image/kubectl-backup");
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
