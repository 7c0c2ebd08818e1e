//! The machine: what it must be, what it must have, and what is put back afterwards.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::guard::tail;
use crate::progress::{Step, say};

/// A program that is needed, and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ethtool", "ethtool"),
    ("socat", "socat"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("ip", "iproute2"),
    ("mount", "mount"),
    ("losetup", "mount"),
    ("setsid", "util-linux"),
    ("openssl", "openssl"),
];

/// What building images needs beside that.
const IMAGE_PROGRAMS: &[(&str, &str)] = &[
    ("buildah", "buildah"),
    ("mmdebstrap", "mmdebstrap"),
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
];

/// Settings of the kernel that kubelet, kube-proxy or we change.
const SETTINGS: &[&str] = &[
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/bridge/bridge-nf-call-iptables",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

/// Nodes need root on Linux.
pub(crate) fn require_root() -> Result<()> {
    if cfg!(target_os = "linux") && rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "nodes and storage need root on Linux; to use a cluster that you have, let KUBECONFIG name its \
         configuration and leave this command out"
    );
}

/// Runs a command to its end; an exit code other than 0 is an error with what it printed.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = output(program, args)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if text.is_empty() {
        String::from_utf8_lossy(&output.stdout).trim().clone_into(&mut text);
    }
    bail!("`{program} {}` failed ({}): {text}", args.join(" "), output.status)
}

/// Runs a command to its end, whatever the end is.
pub(crate) fn output(program: &str, args: &[&str]) -> Result<Output> {
    Command::new(program).args(args).stdin(Stdio::null()).output().with_context(|| format!("cannot start {program}"))
}

/// Installs what the nodes need.
pub(crate) fn install_node_programs() -> Result<()> {
    install(PROGRAMS)
}

/// Installs what building images needs.
pub(crate) fn install_image_programs() -> Result<()> {
    install(IMAGE_PROGRAMS)
}

fn install(wanted: &[(&str, &str)]) -> Result<()> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let present = |name: &str| {
        name.starts_with('/') && Path::new(name).exists()
            || path.split(':').any(|dir| Path::new(dir).join(name).exists())
    };
    let missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !present(program)).map(|&(_, package)| package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !present("apt-get") {
        bail!("these are missing, and this machine has no apt-get to install them (names are Debian's): {list}");
    }
    let mut step = Step::begin(format!("installing {list}"));
    run_long(&mut step, "apt-get", &["update", "-q"])?;
    run_long(
        &mut step,
        "apt-get",
        &[["install", "-q", "-y", "--no-install-recommends"].as_slice(), missing.as_slice()].concat(),
    )?;
    step.done();
    Ok(())
}

/// Runs a command that takes long. What it prints last is shown now and then, and its end if it fails.
pub(crate) fn run_long(step: &mut Step, program: &str, args: &[&str]) -> Result<()> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let log = std::env::temp_dir().join(format!("dev-cluster-{}-{number}.log", std::process::id()));
    let file = fs::File::options().create_new(true).append(true).open(&log)?;
    let mut child = Command::new(program)
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Packages must not start services of their own.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(100));
        step.tick(|| tail(&log, 1));
    };
    let end = tail(&log, 20);
    fs::remove_file(&log)?;
    if !status.success() {
        bail!("`{program} {}` failed ({status}):\n{end}", args.join(" "));
    }
    Ok(())
}

/// Writes down the kernel settings that will change.
pub(crate) fn save_settings(file: &Path) -> Result<()> {
    let mut text = String::new();
    for name in SETTINGS {
        if let Ok(value) = fs::read_to_string(format!("/proc/sys/{name}")) {
            writeln!(text, "{name}={}", value.trim())?;
        }
    }
    fs::write(file, text)?;
    Ok(())
}

/// Puts the kernel settings back.
pub(crate) fn restore_settings(file: &Path) {
    for line in fs::read_to_string(file).unwrap_or_default().lines() {
        if let Some((name, value)) = line.split_once('=') {
            let path = format!("/proc/sys/{name}");
            let now = fs::read_to_string(&path).unwrap_or_default();
            if now.trim() != value
                && let Err(error) = fs::write(&path, value)
            {
                say(&format!("cannot set {name} back to {value}: {error}"));
            }
        }
    }
}

/// Sets a kernel setting, if this kernel has it.
pub(crate) fn set(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/{name}");
    if Path::new(&path).exists() {
        fs::write(&path, value).with_context(|| format!("cannot set {name}"))?;
    }
    Ok(())
}

/// The roots of all mounted control group hierarchies (many with version 1, one with version 2).
pub(crate) fn cgroup_hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    Ok(mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (path, kind) = (fields.next()?, fields.next()?);
            kind.starts_with("cgroup").then(|| PathBuf::from(path))
        })
        .collect())
}
