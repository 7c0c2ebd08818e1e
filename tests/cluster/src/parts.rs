//! The parts that are built from source, and where the built ones are kept.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The version of Kubernetes that is run.
pub(crate) const KUBERNETES: &str = "1.34.4";

/// Something that is built once and then found in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The control plane, kubectl, kubelet, kube-proxy, the CSI sidecars, the snapshot controller and make-keys. They are
    /// built at once: they share most of their packages, and no processor waits while another links.
    Kubernetes,
    /// Our CSI driver and the pause program.
    Driver,
    /// The `VolumeSnapshot` CRDs: not built, but taken from the module that ships them.
    Crds,
    /// helm, which no cluster needs: the chart's tests do.
    Helm,
    /// The restic of the mover image.
    Restic,
    /// The same restic, whose new repositories have keys that cost next to nothing: see [`crate::building`].
    CheapRestic,
    /// An S3 server for tests: versitygw.
    S3,
}

impl Part {
    /// The name that people see, and that the cache folder begins with.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Driver => "driver",
            Self::Crds => "snapshot-crds",
            Self::Helm => "helm",
            Self::Restic => "restic",
            Self::CheapRestic => "cheap-restic",
            Self::S3 => "s3",
        }
    }

    /// The Go packages it is made of.
    pub(crate) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Kubernetes => &[
                "go.etcd.io/etcd/server/v3",
                "k8s.io/kubernetes/cmd/kube-apiserver",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
                "k8s.io/kubernetes/cmd/kube-scheduler",
                "k8s.io/kubernetes/cmd/kubectl",
                "k8s.io/kubernetes/cmd/kubelet",
                "k8s.io/kubernetes/cmd/kube-proxy",
                "github.com/kubernetes-csi/external-attacher/v4/cmd/csi-attacher",
                "github.com/kubernetes-csi/external-provisioner/v5/cmd/csi-provisioner",
                "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter",
                "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller",
                "./make-keys",
            ],
            Self::Driver => &["./csi-driver", "./pause"],
            Self::Helm => &["helm.sh/helm/v3/cmd/helm"],
            Self::Restic | Self::CheapRestic => &["github.com/restic/restic/cmd/restic"],
            Self::S3 => &["./s3-server"],
            Self::Crds => &[],
        }
    }

    /// The folder of its Go module.
    pub(crate) fn module(self) -> PathBuf {
        source_dir().join(match self {
            // One module, so that what Kubernetes and the CSI sidecars share is compiled once.
            Self::Kubernetes | Self::Driver | Self::Crds => "go/kubernetes",
            Self::Helm => "go/helm",
            // What is shipped is pinned beside the program that runs it.
            Self::Restic | Self::CheapRestic => "../../jobs/restic",
            Self::S3 => "go/s3",
        })
    }

    /// Roughly what a build from nothing needs on disk, in GiB (module cache, build cache and result).
    pub(crate) fn room(self) -> u64 {
        match self {
            Self::Kubernetes => 7,
            Self::Driver | Self::Crds | Self::Helm | Self::Restic | Self::CheapRestic | Self::S3 => 1,
        }
    }

    /// What the linker is told.
    pub(crate) fn ldflags(self) -> String {
        let (major, rest) = KUBERNETES.split_once('.').unwrap_or(("1", "0"));
        let minor = rest.split('.').next().unwrap_or_default();
        let version = "k8s.io/component-base/version";
        let set = match self {
            Self::Kubernetes => vec![
                (version, "gitVersion", format!("v{KUBERNETES}")),
                (version, "gitMajor", major.to_owned()),
                (version, "gitMinor", minor.to_owned()),
            ],
            // The cluster that `helm template` and `helm lint` imagine.
            Self::Helm => ["helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules"]
                .into_iter()
                .flat_map(|package| {
                    [(package, "k8sVersionMajor", major.to_owned()), (package, "k8sVersionMinor", minor.to_owned())]
                })
                .collect(),
            Self::Driver | Self::Crds | Self::Restic | Self::CheapRestic | Self::S3 => Vec::new(),
        };
        let mut flags = "-s -w".to_owned();
        for (package, name, value) in set {
            flags.extend([" -X ", package, ".", name, "=", &value]);
        }
        flags
    }

    /// Where the built part is, or will be: named by the content that it is built from.
    pub fn dir(self) -> Result<PathBuf> {
        let mut hash = DefaultHasher::new();
        (self.name(), self.packages(), self.ldflags(), go_version()?).hash(&mut hash);
        let module = self.module();
        let local: &[&str] = match self {
            Self::Kubernetes => &["make-keys"],
            Self::Driver => &["csi-driver", "pause"],
            Self::S3 => &["s3-server"],
            Self::Crds | Self::Helm | Self::Restic | Self::CheapRestic => &[],
        };
        hash_file(&module.join("go.mod"), &mut hash)?;
        hash_file(&module.join("go.sum"), &mut hash)?;
        for folder in local {
            let mut files = fs::read_dir(module.join(folder))?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<std::io::Result<Vec<_>>>()?;
            files.sort();
            for file in files {
                hash_file(&file, &mut hash)?;
            }
        }
        Ok(cache_dir()?.join("parts").join(format!("{}-{:016x}", self.name(), hash.finish())))
    }
}

fn hash_file(path: &Path, hash: &mut DefaultHasher) -> Result<()> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))?.hash(hash);
    Ok(())
}

/// `go env GOVERSION`, asked once.
fn go_version() -> Result<String> {
    static VERSION: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    if let Some(version) = VERSION.get() {
        return Ok(version.clone());
    }
    let output = Command::new("go")
        .args(["env", "GOVERSION"])
        .current_dir(source_dir().join("go/kubernetes"))
        .output()
        .context("`go` is needed to build the cluster's parts (Go 1.26 or newer), and was not found")?;
    if !output.status.success() {
        bail!("`go env` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(VERSION.get_or_init(|| version).clone())
}

/// The folder of this crate, where the Go modules and the manifests are.
pub(crate) fn source_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where built things are kept: `$XDG_CACHE_HOME/backup-controller`, by default below `~/.cache`.
pub fn cache_dir() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => {
            PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache")
        }
    };
    Ok(base.join("backup-controller"))
}
