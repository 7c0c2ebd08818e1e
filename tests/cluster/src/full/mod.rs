//! The full cluster: a control plane, two nodes and storage on this machine.

mod daemon;
mod host;
mod images;
mod leftovers;
mod network;
mod node;
mod s3;
mod settings;
mod storage;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use self::daemon::Daemons;
use self::node::{NODES, Node};
use self::settings::{Bins, MARK};
use crate::building::{ensure_built, free_gib};
use crate::guard::tail;
use crate::parts::{Part, cache_dir};
use crate::plane::{Identity, Launch, Plane};
use crate::progress::{Step, say};

pub use self::images::{binaries, images, load_images};
pub use self::settings::Settings;

/// What [`build`] builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// What tests on a control plane without nodes need.
    ControlPlane,
    /// The parts of a cluster with nodes. [`up`] needs [`Wanted::S3`] too.
    Nodes,
    /// The S3 server. It shares no package with the others that would be worth waiting for.
    S3,
    /// All parts.
    Everything,
}

impl Wanted {
    fn parts(self) -> &'static [Part] {
        match self {
            Self::ControlPlane => &[Part::Kubernetes, Part::Crds, Part::Helm],
            Self::Nodes => &[Part::Kubernetes, Part::Driver, Part::Crds],
            Self::S3 => &[Part::S3],
            Self::Everything => {
                &[Part::Kubernetes, Part::Driver, Part::Crds, Part::S3, Part::Helm, Part::Restic, Part::CheapRestic]
            }
        }
    }
}

/// Builds the wanted parts that are not in the cache. The first one compiles most of what the others share; these are
/// then built two at a time, because a program is linked on one core.
pub fn build(wanted: Wanted) -> Result<()> {
    let Some((first, others)) = wanted.parts().split_first() else { return Ok(()) };
    ensure_built(*first)?;
    let waiting = Mutex::new(others.iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let builder = || -> Result<()> {
        while let Some(part) = next() {
            ensure_built(*part)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let beside = scope.spawn(builder);
        builder()?;
        beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    say(&format!("built parts are in {}", cache_dir()?.join("parts").display()));
    Ok(())
}

/// Installs the packages that nodes and images need, and makes the base of the images.
pub fn base() -> Result<()> {
    host::require_root()?;
    host::install_node_programs()?;
    host::install_image_programs()?;
    images::import_base()
}

/// Starts the cluster, unless it runs. After a failure nothing is left of it.
pub fn up(settings: &Settings) -> Result<()> {
    host::require_root()?;
    if settings.is_ours() {
        if Daemons::new(&settings.dir).check().is_ok() && settings.kubectl().run(&["get", "--raw=/readyz"]).is_ok() {
            say("the cluster runs already");
            return Ok(());
        }
        say("a cluster was left behind, not whole; ending it first");
        down(settings)?;
    } else if settings.dir.exists() && fs::read_dir(&settings.dir)?.next().is_some() {
        bail!("{} has things that are not a dev cluster's; choose another folder with --dir", settings.dir.display());
    }
    let step = Step::begin("starting the cluster");
    host::install_node_programs()?;
    let bins = Bins {
        kubernetes: ensure_built(Part::Kubernetes)?,
        driver: ensure_built(Part::Driver)?,
        crds: ensure_built(Part::Crds)?,
        s3: ensure_built(Part::S3)?,
    };
    network::check_free()?;
    create_dir(settings)?;
    say(&format!("everything is kept in {} ({} GiB free)", settings.dir.display(), free_gib(&settings.dir)?));
    if let Err(error) = bring_up(settings, &bins) {
        if settings.keep_failed {
            return Err(
                error.context(format!("the start failed; what there is of it stays in {}", settings.dir.display()))
            );
        }
        let error = error.context("the start failed, and what there was of it is removed (--keep-failed leaves it)");
        return Err(match down(settings) {
            Ok(()) => error,
            Err(more) => error.context(format!("removing it failed too: {more:#}")),
        });
    }
    step.done();
    Ok(())
}

fn create_dir(settings: &Settings) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o711).create(&settings.dir)?;
    let mark = serde_json::json!({
        "portBase": settings.port_base,
        // What the kubelet puts into a fixed place is only removed if the place was not there before.
        "madeKubeletDir": !Path::new("/var/lib/kubelet").exists(),
    });
    fs::write(settings.dir.join(MARK), format!("{mark:#}\n"))?;
    Ok(())
}

fn bring_up(settings: &Settings, bins: &Bins) -> Result<()> {
    let dir = &settings.dir;
    host::save_settings(&dir.join("kernel-settings"))?;
    network::create(NODES).context("the network failed")?;
    storage::create_file_systems(settings).context("the storage failed")?;
    for name in ["bin", "kubeconfigs"] {
        fs::create_dir_all(dir.join(name))?;
    }
    std::os::unix::fs::symlink(bins.kubernetes.join("kubectl"), settings.kubectl_path())?;
    let plane = Plane {
        bin: bins.kubernetes.clone(),
        dir: dir.clone(),
        address: network::node_address(1),
        api_port: settings.port_base,
        etcd_port: settings.port_base + 1,
        etcd_peer_port: settings.port_base + 2,
        audit: settings.audit,
        disabled_controllers: Vec::new(),
        apiserver_flags: Vec::new(),
        controller_manager_flags: Vec::new(),
    };
    identities(settings, &plane)?;
    let daemons = Daemons::new(dir);
    start(settings, bins, &plane, &daemons).map_err(|error| {
        let ends =
            ["kubelet-1", "kubelet-2"].map(|name| format!("--- end of {name}'s log\n{}", tail(&daemons.log(name), 5)));
        error.context(format!("the cluster did not become ready\n{}\n---", ends.join("\n")))
    })
}

/// Makes every user, its token and its kubeconfig.
fn identities(settings: &Settings, plane: &Plane) -> Result<()> {
    let mut all = vec![(settings.kubeconfig(), Identity::administrator("admin")?)];
    for name in ["kube-controller-manager", "kube-scheduler", "kube-proxy"] {
        all.push((settings.kubeconfig_of(name), Identity::administrator(&format!("system:{name}"))?));
    }
    for name in storage::SIDECARS {
        all.push((settings.kubeconfig_of(name), Identity::administrator(name)?));
    }
    for node in Node::all(settings) {
        node.prepare(settings)?;
        all.push((node.kubeconfig(), node.identity()?));
    }
    plane.prepare(&all.iter().map(|(_, identity)| identity.clone()).collect::<Vec<_>>())?;
    all.iter().try_for_each(|(path, identity)| plane.write_kubeconfig(path, identity))
}

fn start(settings: &Settings, bins: &Bins, plane: &Plane, daemons: &Daemons) -> Result<()> {
    let limit = Duration::from_secs(90);
    let alive = || daemons.check();
    daemons.start("etcd", &plane.etcd())?;
    daemons.start("kube-apiserver", &plane.apiserver())?;
    for node in Node::all(settings) {
        daemons.start(&node.process("containerd"), &node.containerd())?;
    }
    wait_for(limit, "the API server's certificate", || Ok(plane.ca().exists()), alive)?;
    daemons.start(
        "kube-controller-manager",
        &plane.controller_manager(&settings.kubeconfig_of("kube-controller-manager")),
    )?;
    daemons.start("kube-scheduler", &plane.scheduler(&settings.kubeconfig_of("kube-scheduler")))?;
    let listens = || Ok(std::net::TcpStream::connect((plane.address, plane.api_port)).is_ok());
    wait_for(limit, "the API server", listens, alive)?;
    let kubectl = settings.kubectl();
    kubectl.wait_ready(limit, alive)?;
    say("the control plane is ready");
    start_s3(settings, bins, daemons)?;

    kubectl.run(&["create", "-f", &bins.crds.display().to_string()])?;
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=30s", "-f", &bins.crds.display().to_string()])?;
    kubectl.run_with_input(&["create", "-f", "-"], storage::MANIFESTS)?;
    let pause = images::pause_archive(bins)?;
    for node in Node::all(settings) {
        node.await_containerd(alive)?;
        node.ctr(&["images", "import", &pause.display().to_string()])?;
        daemons.start(&node.process("kubelet"), &node.kubelet(bins))?;
        daemons.start(&node.process("csi-driver"), &node.csi_driver(bins, &storage::pool(settings)))?;
    }
    daemons.start("kube-proxy", &kube_proxy(settings, bins))?;
    daemons.start("csi-controller", &storage::controller(settings, bins))?;
    for name in storage::SIDECARS {
        daemons.start(name, &storage::sidecar(settings, bins, name))?;
    }
    let names: Vec<String> = Node::all(settings).map(|node| node.name()).collect();
    for name in &names {
        let driver = format!("--for=jsonpath={{.spec.drivers[0].name}}={}", node::DRIVER);
        for (condition, object) in [
            ("--for=create", "node"),
            ("--for=condition=Ready", "node"),
            ("--for=create", "csinode"),
            (&driver, "csinode"),
        ] {
            kubectl.run(&["wait", condition, "--timeout=60s", &format!("{object}/{name}")]).with_context(|| {
                daemons
                    .check()
                    .err()
                    .map_or_else(|| format!("{name} did not become ready"), |error| format!("{error:#}"))
            })?;
        }
    }
    kubectl.run(&["wait", "--for=create", "--timeout=60s", "-n", "default", "serviceaccount/default"])?;
    alive()
}

fn start_s3(settings: &Settings, bins: &Bins, daemons: &Daemons) -> Result<()> {
    for server in s3::servers(settings, bins, &s3::prepare(settings)?) {
        daemons.start(server.name, &server)?;
    }
    for port in settings.s3_ports() {
        let listens = || Ok(std::net::TcpStream::connect((network::node_address(1), port)).is_ok());
        wait_for(Duration::from_secs(30), "the S3 server", listens, || daemons.check())?;
    }
    Ok(())
}

fn wait_for(
    limit: Duration,
    what: &str,
    holds: impl Fn() -> Result<bool>,
    alive: impl Fn() -> Result<()>,
) -> Result<()> {
    let deadline = std::time::Instant::now() + limit;
    while !holds()? {
        alive()?;
        if std::time::Instant::now() > deadline {
            bail!("{what}: not within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// One for the whole machine: both nodes share its packet filter.
fn kube_proxy(settings: &Settings, bins: &Bins) -> Launch {
    Launch::new(
        "kube-proxy",
        bins.kubernetes.join("kube-proxy"),
        &[
            format!("--kubeconfig={}", settings.kubeconfig_of("kube-proxy").display()),
            "--hostname-override=node-1".into(),
            "--proxy-mode=iptables".into(),
            format!("--cluster-cidr={}", network::PODS),
            format!("--healthz-bind-address=127.0.0.1:{}", settings.node_port(1, 2)),
            format!("--metrics-bind-address=127.0.0.1:{}", settings.node_port(1, 3)),
            "--nodeport-addresses=10.97.0.0/24".into(),
            "--iptables-localhost-nodeports=false".into(),
            "--conntrack-max-per-core=0".into(),
            "--conntrack-tcp-timeout-established=0s".into(),
            "--conntrack-tcp-timeout-close-wait=0s".into(),
        ],
    )
}

/// Ends the cluster and removes every trace of it. Once more does nothing.
pub fn down(settings: &Settings) -> Result<()> {
    if !settings.is_ours() {
        say(&format!("no cluster in {}", settings.dir.display()));
        return Ok(());
    }
    host::require_root()?;
    let step = Step::begin("ending the cluster");
    let dir = &settings.dir;
    let mark: serde_json::Value = serde_json::from_str(&fs::read_to_string(dir.join(MARK))?).unwrap_or_default();
    let daemons = Daemons::new(dir);
    let is_runtime = |name: &str| name.starts_with("containerd-");
    // Their data goes too: nothing needs to be written in order.
    daemons.stop(Signal::KILL, |name| !is_runtime(name))?;
    for node in Node::all(settings) {
        node.remove_containers();
    }
    daemons.stop(Signal::TERM, is_runtime)?;
    leftovers::end_unknown(dir);
    leftovers::remove_cgroups(NODES)?;
    leftovers::detach_images(dir)?;
    leftovers::unmount_below(dir)?;
    leftovers::remove_network_results(NODES);
    network::remove(NODES)?;
    host::restore_settings(&dir.join("kernel-settings"));
    if mark["madeKubeletDir"] == true {
        leftovers::remove_fixed_places(dir);
    }
    // The mark goes last, so that an interrupted `down` can be repeated.
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == MARK) {
            continue;
        }
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    fs::remove_dir_all(dir)?;
    step.done();
    Ok(())
}

/// What runs, in words. The second value tells whether all of it does.
pub fn status(settings: &Settings) -> Result<(String, bool)> {
    if !settings.is_ours() {
        return Ok((format!("no cluster in {}\n", settings.dir.display()), false));
    }
    let mut whole = true;
    let mut text = String::new();
    for process in Daemons::new(&settings.dir).all()? {
        let runs = process.runs();
        whole &= runs;
        writeln!(text, "{:<24} {:>8}  {}", process.name, process.pid, if runs { "runs" } else { "ENDED" })?;
    }
    match settings.kubectl().run(&["get", "nodes", "--request-timeout=5s"]) {
        Ok(nodes) => text += &nodes,
        Err(error) => {
            whole = false;
            writeln!(text, "{error:#}")?;
        }
    }
    Ok((text, whole))
}
