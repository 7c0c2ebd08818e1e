//! What is left when the processes are stopped: containers, mounts, control groups, files elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::daemon::kill_if;
use super::host::{cgroup_hierarchies, output};
use super::node::Node;

/// Kills what runs in the nodes' control groups and removes the groups.
pub(crate) fn remove_cgroups(nodes: u8) -> Result<()> {
    for hierarchy in cgroup_hierarchies()? {
        for node in 1..=nodes {
            let group = hierarchy.join(Node::cgroup(node));
            let deadline = Instant::now() + Duration::from_secs(10);
            while group.exists() && !remove_group(&group) {
                if Instant::now() > deadline {
                    bail!("processes in {} do not end", group.display());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
    Ok(())
}

fn remove_group(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let members = || fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in members().lines() {
        if let Ok(number) = pid.parse() {
            kill_if(number, || members().lines().any(|member| member == pid));
        }
    }
    fs::remove_dir(group).is_ok()
}

/// What we start, and what containerd starts for us.
const OURS: [&str; 15] = [
    "containerd",
    "containerd-shim-runc-v2",
    "csi-attacher",
    "csi-driver",
    "csi-provisioner",
    "csi-snapshotter",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
    "snapshot-controller",
    "make-keys",
    "s3-server",
];

/// Kills processes of this folder that nobody knows of any more: shims that did not end with their
/// containers, and what was started a moment before `up` was killed.
pub(crate) fn end_unknown(dir: &Path) {
    let ours = format!("{}/", dir.display());
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let found: Vec<i32> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|&pid| is_of(pid, &ours))
            .collect();
        if found.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            for pid in found {
                kill_if(pid, || is_of(pid, &ours));
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether a process is one of [`OURS`] and was told to use this folder.
fn is_of(pid: i32, dir: &str) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command);
    let program = command.split('\0').next().unwrap_or_default();
    OURS.contains(&program.rsplit('/').next().unwrap_or_default()) && command.contains(dir)
}

/// Detaches the devices of volumes: of images in this folder, and the kubelets' own of those devices. What is
/// still mounted goes when it is unmounted.
pub(crate) fn detach_images(dir: &Path) -> Result<()> {
    for entry in fs::read_dir("/sys/block")? {
        let name = entry?.file_name();
        let image = Path::new("/sys/block").join(&name).join("loop/backing_file");
        if fs::read_to_string(image).is_ok_and(|image| Path::new(image.trim_end()).starts_with(dir)) {
            output("losetup", &["--detach", &Path::new("/dev").join(name).display().to_string()])?;
        }
    }
    Ok(())
}

/// Unmounts everything below a folder, innermost first.
pub(crate) fn unmount_below(dir: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let below: Vec<PathBuf> = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .map(|path| PathBuf::from(unescape(path)))
            .filter(|path| path.starts_with(dir))
            .collect();
        if below.is_empty() {
            return Ok(());
        }
        let mut failure = String::new();
        for path in below.iter().rev() {
            let result = output("umount", &[&path.display().to_string()])?;
            if !result.status.success() {
                String::from_utf8_lossy(&result.stderr).trim().clone_into(&mut failure);
            }
        }
        if Instant::now() > deadline {
            bail!("cannot unmount: {failure}");
        }
        if !failure.is_empty() {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The kernel writes a space in a path as \040.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Removes what CNI remembers of our pods: they were ended without asking it.
pub(crate) fn remove_network_results(nodes: u8) {
    const RESULTS: &str = "/var/lib/cni/results";
    let files = || fs::read_dir(RESULTS).into_iter().flatten().flatten();
    let name = |path: &Path| path.file_name().map(|name| name.display().to_string()).unwrap_or_default();
    for node in 1..=nodes {
        let prefix = format!("dev-cluster-{node}-");
        for file in files().map(|entry| entry.path()) {
            if let Some(container) = name(&file).strip_prefix(&prefix).and_then(|rest| rest.strip_suffix("-eth0")) {
                let _ = fs::remove_file(Path::new(RESULTS).join(format!("cni-loopback-{container}-lo")));
                let _ = fs::remove_file(&file);
            }
        }
    }
    for empty in [RESULTS, "/var/lib/cni"] {
        let _ = fs::remove_dir(empty);
    }
}

const DEVICES: &str = "/var/lib/kubelet/device-plugins";

/// Removes what the kubelet keeps in fixed places. Folders go if they are empty.
pub(crate) fn remove_fixed_places(dir: &Path) {
    for entry in fs::read_dir("/var/log/containers").into_iter().flatten().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(dir)) {
            let _ = fs::remove_file(entry.path());
        }
    }
    for file in ["kubelet.sock", "DEPRECATION"] {
        let _ = fs::remove_file(Path::new(DEVICES).join(file));
    }
    for empty in [
        "/var/log/containers",
        DEVICES,
        "/var/lib/kubelet",
        "/run/containerd/s",
        "/run/containerd/runc",
        "/run/containerd",
    ] {
        let _ = fs::remove_dir(empty);
    }
}
