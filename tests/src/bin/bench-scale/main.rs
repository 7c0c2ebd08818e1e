//! What so many volumes cost: time, processor, memory, requests and bytes of the controller and of the plugin.
//!
//! API server, etcd and controller-manager are real and on this machine, as are our programs with their installed
//! roles. The bench plays storage: it writes PVCs, snapshots and ledgers of a month into etcd. Nothing fails because of
//! a time; `--assert` fails because of a number of requests.

mod cost;
mod etcd;
mod news;
mod proxy;
mod report;
mod seed;
mod tool;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use backup_controller_tests::{Controller, Scene};
use clap::Parser;
use dev_cluster::{ControlPlane, Options};

use cost::{Meter, Row};
use proxy::Wire;
use report::Report;
use seed::{DESTINATIONS, Seed};

#[derive(Debug, Parser)]
struct Args {
    /// PVCs
    #[arg(long, default_value = "1000")]
    claims: usize,
    /// Seconds in which nothing happens
    #[arg(long, default_value = "600")]
    steady: u64,
    /// PVCs that are made one after the other
    #[arg(long, default_value = "200")]
    new: usize,
    /// Where the figures are written, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fail where there are more requests than there may be
    #[arg(long)]
    assert: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(measure(&Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-scale: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A control plane on which volumes are bound by this bench alone.
fn plane() -> Result<&'static ControlPlane> {
    let disabled = [
        "persistentvolume-binder-controller",
        "persistentvolume-expander-controller",
        "persistentvolumeclaim-protection-controller",
        "persistentvolume-protection-controller",
        "persistentvolume-attach-detach-controller",
    ];
    let options =
        Options { audit: true, disabled_controllers: disabled.map(str::to_owned).into(), ..Options::default() };
    Ok(Box::leak(Box::new(ControlPlane::start_with(&options)?)))
}

/// The configuration. No run comes round while this goes on, and no task is due.
fn config(scene: &Scene, retention: &str, limits: u32) -> String {
    let [disk, s3] = DESTINATIONS;
    format!(
        "defaults: {{schedule: '0 0 1 1 *', retention: {retention}, destinations: [{disk}, {s3}]}}\n\
         limits: {{cluster: {limits}}}\n\
         destinations:\n\
         \x20 - {{name: {disk}, type: disk, claim: {{name: backup-disk, storageClass: {}, size: 1Gi}}}}\n\
         \x20 - {{name: {s3}, type: restic, secret: backup-s3, prune: {{schedule: never}}, verify: {{schedule: never}}}}\n",
        scene.class("keep")
    )
}

/// A controller whose bytes are counted.
struct Watched<'a> {
    scene: &'a Scene,
    controller: Controller,
    wire: Arc<Wire>,
    patience: Duration,
}

impl Watched<'_> {
    fn meter(&self) -> Result<Meter<'_>> {
        let pid = self.controller.pid().context("the controller has ended")?;
        Meter::start(self.scene, pid, self.controller.user(), &self.wire)
    }

    /// Ends it, starts it again, and measures that.
    async fn restart(&mut self, what: &str) -> Result<Row> {
        self.controller.terminate(self.scene).await?;
        let asked = self.scene.requests(self.controller.user())?.len();
        self.controller.start()?;
        self.started(what, asked).await
    }

    async fn started(&self, what: &str, asked: usize) -> Result<Row> {
        let pid = self.controller.pid().context("the controller has ended")?;
        let meter = Meter::from_start(self.scene, pid, self.controller.user(), &self.wire, asked);
        let row = meter.settle(what, self.patience).await;
        row.with_context(|| format!("the controller's log ends with:\n{}", tail(&self.controller.log())))
    }
}

/// The last lines of a log.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

async fn measure(args: &Args) -> Result<()> {
    let claims = args.claims;
    eprintln!("==> a control plane starts");
    let scene = Scene::on(plane()?).await?;
    scene.snapshot_class("snap", &scene.driver(), false).await?;
    let mut seed = Seed::new(&scene, claims).await?;
    let mut report = Report::new(claims);

    eprintln!("==> {claims} PVCs, and a controller that has never seen them");
    seed.claims(0..claims, 0)?;
    let mut setup = scene.setup(&config(&scene, "7days", 10)).await?;
    let (wire, kubeconfig) = proxy::start(&scene.plane.url(), &setup.identity.kubeconfig).await?;
    setup.identity.kubeconfig = kubeconfig;
    "info".clone_into(&mut setup.log);
    let controller = scene.launch(setup)?;
    let patience = Duration::from_secs(120) + Duration::from_millis(100) * u32::try_from(claims)?;
    let mut watched = Watched { scene: &scene, controller, wire, patience };
    report.take("first start", watched.started("first start", 0).await?);

    eprintln!("==> a month of backups");
    watched.controller.terminate(&scene).await?;
    seed.month(0..claims)?;
    watched.controller.start()?;
    watched.started("the month is taken in", 0).await?;

    eprintln!("==> the controller starts again");
    report.take("restart", watched.restart("restart, nothing to do").await?);

    eprintln!("==> nothing happens for {} s", args.steady);
    let meter = watched.meter()?;
    tokio::time::sleep(Duration::from_secs(args.steady)).await;
    report.take("steady", meter.end(&format!("nothing happens for {} s", args.steady))?);

    eprintln!("==> {} PVCs, one after the other", args.new);
    let meter = watched.meter()?;
    let delays = Box::pin(news::make(&scene, &seed, args.new)).await?;
    report.take("new", meter.settle(&format!("{} new PVCs", args.new), watched.patience).await?);
    report.delays(delays);

    eprintln!("==> the configuration changes");
    let meter = watched.meter()?;
    watched.controller.configure(&config(&scene, "8days", 10))?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    report.take("all change", meter.settle("a configuration that changes all", watched.patience).await?);
    let meter = watched.meter()?;
    watched.controller.configure(&config(&scene, "8days", 9))?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    report.take("none change", meter.settle("a configuration that changes none", watched.patience).await?);

    eprintln!("==> the plugin");
    let namespace = format!("{}-n0", scene.name);
    for (name, command) in [
        ("status", &["status", "-A"][..]),
        ("why", &["why", "data-0", "-n", &namespace]),
        ("list", &["list", "data-0", "-n", &namespace]),
    ] {
        let what = format!("kubectl backup {}", command[..2].join(" "));
        report.take(name, tool::measure(&scene, &what, command).await?);
    }

    eprintln!("==> the API server is away for a minute");
    let meter = watched.meter()?;
    scene.plane.stop_apiserver()?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    scene.plane.start_apiserver()?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    report.take("away", meter.settle("the API server is away for a minute", watched.patience).await?);

    report.etcd(seed.etcd.size()?);
    print!("{report}");
    if let Some(path) = &args.json {
        std::fs::write(path, report.json()?)?;
    }
    if args.assert {
        let faults = report.faults();
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
    }
    Ok(())
}
