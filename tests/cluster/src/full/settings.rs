//! Where a cluster keeps its things, and where the built parts are.

use std::path::PathBuf;

use anyhow::Result;

use crate::kubectl::Kubectl;
use crate::s3::S3;

/// Marks a folder as ours: `down` removes no other.
pub(super) const MARK: &str = "dev-cluster.json";

/// Where a full cluster keeps its things, and on which ports it listens.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of everything; `down` removes it.
    pub dir: PathBuf,
    /// The first port. The API server has this one, etcd the next two, the S3 server the two after those,
    /// node n has ten from `10 * n` on.
    pub port_base: u16,
    /// The size of the storage's (sparse) file, in GiB.
    pub pool_gib: u64,
    /// Let the API server record every request in `audit.log` of the folder.
    pub audit: bool,
    /// Leave everything as it is when a start fails, to look at it.
    pub keep_failed: bool,
}

impl Settings {
    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// kubectl, of the same version as the cluster.
    #[must_use]
    pub fn kubectl_path(&self) -> PathBuf {
        self.dir.join("bin/kubectl")
    }

    /// The cluster's S3 server. An error if there is none.
    pub fn s3(&self) -> Result<S3> {
        S3::read(&self.dir)
    }

    pub(super) fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.kubectl_path(), self.kubeconfig())
    }

    pub(super) fn kubeconfig_of(&self, name: &str) -> PathBuf {
        self.dir.join("kubeconfigs").join(name)
    }

    pub(super) fn node_port(&self, node: u8, number: u16) -> u16 {
        self.port_base + 10 * u16::from(node) + number
    }

    /// Where the nodes keep everything.
    pub(super) fn nodes_dir(&self) -> PathBuf {
        self.dir.join("nodes")
    }

    pub(super) fn is_ours(&self) -> bool {
        self.dir.join(MARK).is_file()
    }
}

/// The folders of the built parts.
#[derive(Debug)]
pub(super) struct Bins {
    pub(super) kubernetes: PathBuf,
    pub(super) driver: PathBuf,
    pub(super) crds: PathBuf,
    pub(super) s3: PathBuf,
}
