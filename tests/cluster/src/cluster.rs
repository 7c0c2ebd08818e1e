//! Finds a full cluster that runs already.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::audit::{self, AuditedRequest};
use crate::kubectl::Kubectl;
use crate::s3::S3;

/// The default folder of `dev-cluster up`; `DEV_CLUSTER_DIR` names another.
pub const DEFAULT_DIR: &str = "/var/tmp/backup-controller-dev";

/// A full cluster with nodes and storage: the one that `KUBECONFIG` names, else the dev cluster.
#[derive(Debug)]
pub struct Cluster {
    kubectl: Kubectl,
    dev: bool,
    dir: PathBuf,
}

impl Cluster {
    /// Finds the cluster and asks whether it answers. Starts nothing.
    pub fn existing() -> Result<Self> {
        let dir = PathBuf::from(std::env::var_os("DEV_CLUSTER_DIR").unwrap_or_else(|| DEFAULT_DIR.into()));
        let (own, program) = (dir.join("kubeconfig"), dir.join("bin/kubectl"));
        let named = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
        let (kubeconfig, dev) = match named {
            Some(path) => (path.clone(), path == own),
            None if own.is_file() => (own, true),
            None => bail!("no cluster: start one with `make cluster`, or let KUBECONFIG name yours"),
        };
        let kubectl = Kubectl::new(if dev && program.exists() { program } else { "kubectl".into() }, kubeconfig);
        kubectl.run(&["get", "--raw=/readyz", "--request-timeout=5s"]).context("the cluster does not answer")?;
        Ok(Self { kubectl, dev, dir })
    }

    /// kubectl for this cluster, which also knows the kubeconfig.
    #[must_use]
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Whether it is the dev cluster, whose storage classes and images are known.
    #[must_use]
    pub fn is_dev(&self) -> bool {
        self.dev
    }

    /// The dev cluster's S3 server.
    pub fn s3(&self) -> Result<S3> {
        if !self.dev {
            bail!("only the dev cluster has an S3 server of its own");
        }
        S3::read(&self.dir)
    }

    /// Where the dev cluster's storage keeps a bound volume of files on this machine.
    pub fn volume_path(&self, namespace: &str, claim: &str) -> Result<PathBuf> {
        if !self.dev {
            bail!("only the dev cluster's volumes are on this machine");
        }
        let volume = self.kubectl.run(&["-n", namespace, "get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}"])?;
        let handle = self.kubectl.run(&["get", "pv", &volume, "-o", "jsonpath={.spec.csi.volumeHandle}"])?;
        Ok(self.dir.join("pool/volumes").join(handle))
    }

    /// Every request since the start, oldest first. Needs a dev cluster that was started with `--audit`.
    pub fn audit_log(&self) -> Result<Vec<AuditedRequest>> {
        if !self.dev {
            bail!("only the dev cluster's record of requests can be read");
        }
        audit::read(&self.dir.join("audit.log"))
    }
}
