//! The demo: the controller is installed with its playbook, a real volume is backed up on a real cluster, on its
//! schedule, to a disk and to S3, every restore point of it is compared with the snapshot, byte by byte, a drill proves
//! that the copy in S3 can be restored, and what gets lost is restored.
//!
//! It expects the cluster and the images to be there (`make demo` sees to that) and leaves both running.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use backup_controller_tests::nodes::{self, App, BACKUP_DEADLINE, Comparison, Files, Keys, Tree, wait::wait_for};
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
    let keys = Keys::of(&cluster.s3()?, NAMESPACE);
    let app =
        step("a tenant has the keys of a bucket in a Secret; his application fills its volume, and goes on", || {
            kubectl.run(&["create", "namespace", NAMESPACE])?;
            kubectl.run(&["annotate", "namespace", NAMESPACE, "backup-controller.io/destinations=disk,s3"])?;
            App::existing(kubectl, NAMESPACE).secret("backup-s3", &keys)?;
            App::fill(kubectl, NAMESPACE, "shared", Files::Many)
        })?;
    println!("    {} entries", app.sh("find /data | wc -l")?.trim());

    let run = step("its schedule (every minute, for the demo) comes round: snapshot, promoter, copies", || {
        let run = app.good_run(None)?;
        app.copied(&run, &["disk", "s3"])?;
        // One is enough to look at: the volume's own annotation overrides the schedule from here on.
        app.annotate("backup-controller.io/schedule=H H * * *")?;
        Ok(run)
    })?;
    let point = app.restore_point(&run)?;
    println!("    run {run}: restore point {point}");

    let disk = Tree { claim: "backup-disk".into(), path: format!("{NAMESPACE}/data/{}/{run}", app.uid()?) };
    let promoter = Tree::volume(&point);
    let stock = app.stock_restic(&keys)?;
    let restored = step("restic as it comes, without us, restores the repository into a new volume", || {
        app.restored_by(&stock, &cluster, "by-restic")
    })?;
    let [by_promoter, by_disk, by_restic] =
        step("every restore point is compared with the snapshot, byte by byte", || {
            let truth = app.truth(&point)?;
            let compare = |name: &str, tree: &Tree| app.compare(name, &truth, tree);
            Ok([
                compare("compare-promoter", &promoter)?,
                compare("compare-disk", &disk)?,
                compare("compare-restic", &restored)?,
            ])
        })?;

    let now: u64 = app.sh("tail -n 1 /data/ticker")?.split(' ').next().unwrap_or("0").parse()?;
    println!(
        "\nThe application goes on: its ticker is at {now} now; the restore points hold the moment of the snapshot.\n"
    );
    println!("{:<12} {:<28} {:>8} {:>12}  RESULT", "KIND", "RESTORE POINT", "ENTRIES", "BYTES");
    let equal = [
        row("promoter", &format!("pvc/{point}"), &by_promoter),
        row("BackupDisk", &format!("pvc/{} {run}", disk.claim), &by_disk),
        row("restic, S3", &format!("s3 {run}"), &by_restic),
    ];
    if equal.contains(&false) {
        let found = [by_promoter, by_disk, by_restic].map(|found| found.differences).join("\n");
        bail!("a restore point differs from its snapshot:\n{found}");
    }
    println!();
    prove(&app, &run)?;
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

/// The copy in S3 is restored to scratch by a drill, on its own schedule, and compared there.
fn prove(app: &App, run: &str) -> Result<()> {
    let proven = step("a drill (every minute, for the demo) restores some of the copy in S3 and compares it", || {
        wait_for(
            "a drill that finds no difference",
            BACKUP_DEADLINE,
            || app.seen(),
            || {
                let proven = app.status()?["maintenance"]["s3"]["proven"].take();
                Ok((proven["run"] == run).then_some(proven))
            },
        )
    })?;
    println!(
        "    restorable, proven at {}: {} entries, {} bytes",
        proven["finished"], proven["files"], proven["bytes"]
    );
    Ok(())
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
