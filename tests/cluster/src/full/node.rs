//! One node: containerd, kubelet, and the storage driver's part on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::host::{cgroup_hierarchies, run};
use super::network::{self, node_address};
use super::settings::{Bins, Settings};
use crate::plane::{Identity, Launch};

/// How many nodes a cluster has.
pub(crate) const NODES: u8 = 2;
/// The driver's name.
pub(crate) const DRIVER: &str = "dev.csi.backup-controller.io";
/// The image that holds a pod's namespaces.
pub(crate) const PAUSE_IMAGE: &str = "localhost/pause:dev";

/// A node by its number, from 1.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    number: u8,
    dir: PathBuf,
}

impl Node {
    pub(crate) fn all(settings: &Settings) -> impl Iterator<Item = Self> {
        (1..=NODES).map(|number| Self::new(settings, number))
    }

    fn new(settings: &Settings, number: u8) -> Self {
        Self { number, dir: settings.nodes_dir().join(format!("node-{number}")) }
    }

    pub(crate) fn name(&self) -> String {
        format!("node-{}", self.number)
    }

    /// The name of one of its processes.
    pub(crate) fn process(&self, program: &str) -> String {
        format!("{program}-{}", self.number)
    }

    pub(crate) fn identity(&self) -> Result<Identity> {
        Identity::new(&format!("system:node:{}", self.name()), "system:nodes")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.dir.join("containerd.sock")
    }

    pub(crate) fn kubelet_dir(&self) -> PathBuf {
        self.dir.join("kubelet")
    }

    /// The control group of all its pods; each node needs one of its own, or each kubelet would remove
    /// the other's pods as orphans.
    pub(crate) fn cgroup(number: u8) -> String {
        format!("bcdev-{number}")
    }

    /// Writes its configuration.
    pub(crate) fn prepare(&self, settings: &Settings) -> Result<()> {
        for dir in ["kubelet/plugins_registry", "kubelet/plugins", "logs", "plugins"] {
            fs::create_dir_all(self.dir.join(dir))?;
        }
        network::write_cni(&self.dir.join("cni"), self.number)?;
        fs::write(self.dir.join("containerd.toml"), self.containerd_config())?;
        fs::write(self.dir.join("kubelet.json"), format!("{:#}\n", self.kubelet_config(settings)))?;
        for hierarchy in cgroup_hierarchies()? {
            fs::create_dir_all(hierarchy.join(Self::cgroup(self.number)))?;
        }
        Ok(())
    }

    fn containerd_config(&self) -> String {
        let dir = self.dir.display();
        format!(
            r#"version = 2
root = "{dir}/containerd"
state = "{dir}/containerd-state"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]

[grpc]
address = "{dir}/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
# Without CAP_SYS_RESOURCE a score cannot be lowered, and every sandbox would die.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{dir}/runc"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{dir}/cni/net.d"
"#
        )
    }

    fn kubelet_config(&self, settings: &Settings) -> serde_json::Value {
        serde_json::json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": node_address(self.number),
            "port": settings.node_port(self.number, 0),
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": settings.node_port(self.number, 1),
            "readOnlyPort": 0,
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": false},
                "x509": {"clientCAFile": settings.dir.join("pki/kubelet-ca.crt")},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": format!("unix://{}", self.containerd_socket().display()),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", Self::cgroup(self.number)),
            "failCgroupV1": false,
            "failSwapOn": false,
            "oomScoreAdj": 0,
            "makeIPTablesUtilChains": false,
            // No name service runs; pods are given an address where nobody answers.
            "clusterDNS": ["10.96.0.10"],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "podLogsDir": self.dir.join("logs"),
            "volumePluginDir": self.dir.join("plugins"),
            "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "50Mi"},
            // Images are imported and cannot be pulled again: never collect them.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "syncFrequency": "10s",
            // A volume may only be mounted once the node's status says that it is wanted: with the default
            // of 10 s every pod with a volume waits that long.
            "nodeStatusUpdateFrequency": "500ms",
            "nodeStatusReportFrequency": "1m",
        })
    }

    pub(crate) fn containerd(&self) -> Launch {
        let config = self.dir.join("containerd.toml").display().to_string();
        Launch::new("containerd", "containerd".into(), &["--config".into(), config])
    }

    pub(crate) fn kubelet(&self, bins: &Bins) -> Launch {
        Launch::new(
            "kubelet",
            bins.kubernetes.join("kubelet"),
            &[
                format!("--config={}", self.dir.join("kubelet.json").display()),
                format!("--kubeconfig={}", self.kubeconfig().display()),
                format!("--root-dir={}", self.kubelet_dir().display()),
                format!("--cert-dir={}", self.dir.join("pki").display()),
                format!("--hostname-override={}", self.name()),
                format!("--node-ip={}", node_address(self.number)),
            ],
        )
    }

    pub(crate) fn csi_driver(&self, bins: &Bins, pool: &Path) -> Launch {
        Launch::new(
            "csi-driver",
            bins.driver.join("csi-driver"),
            &[
                format!("--name={DRIVER}"),
                format!("--node={}", self.name()),
                format!("--kubelet-dir={}", self.kubelet_dir().display()),
                format!("--pool={}", pool.display()),
            ],
        )
    }

    /// Runs ctr in the namespace of Kubernetes' images and containers.
    pub(crate) fn ctr(&self, args: &[&str]) -> Result<String> {
        let socket = self.containerd_socket().display().to_string();
        run("ctr", &[&["--address", &socket, "--namespace", "k8s.io"], args].concat())
    }

    /// Waits until containerd answers.
    pub(crate) fn await_containerd(&self, alive: impl Fn() -> Result<()>) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.ctr(&["version"]).is_err() {
            alive()?;
            if Instant::now() > deadline {
                bail!("containerd of {} does not answer", self.name());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Removes every container, so that their shims end by themselves.
    pub(crate) fn remove_containers(&self) {
        if !self.containerd_socket().exists() {
            return;
        }
        let Ok(tasks) = self.ctr(&["tasks", "ls", "-q"]) else { return };
        let tasks: Vec<&str> = tasks.lines().collect();
        if !tasks.is_empty() {
            let _ = self.ctr(&[&["tasks", "rm", "-f"], tasks.as_slice()].concat());
        }
    }
}
