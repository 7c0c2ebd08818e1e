//! Where the dev cluster's S3 server is, and with which keys.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::plane::write_private;

/// The S3 server of a full cluster, reached from this machine and from the pods of every node at the same address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    /// Without TLS: `http://ADDRESS:PORT`.
    pub endpoint: String,
    /// The same data over TLS: `https://ADDRESS:PORT`.
    pub tls_endpoint: String,
    /// Who signed its certificate (PEM); no system trusts it.
    pub ca: PathBuf,
    /// A bucket that is there. The owner of the keys may make others.
    pub bucket: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: String,
    /// Where its data lies on this machine: a folder for each bucket, and each object a file.
    pub folder: PathBuf,
}

impl S3 {
    pub(crate) fn file(dir: &Path) -> PathBuf {
        dir.join("s3.json")
    }

    /// Writes it down for its owner.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let facts = json!({
            "endpoint": self.endpoint,
            "tlsEndpoint": self.tls_endpoint,
            "ca": self.ca,
            "bucket": self.bucket,
            "accessKey": self.access_key,
            "secretKey": self.secret_key,
            "folder": self.folder,
        });
        write_private(&Self::file(dir), &format!("{facts:#}\n"))
    }

    /// Reads what the cluster of a folder wrote down.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = Self::file(dir);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("no S3 server: cannot read {}; `dev-cluster up` starts one", path.display()))?;
        let facts: serde_json::Value = serde_json::from_str(&text)?;
        let fact = |name: &str| {
            facts[name].as_str().map(str::to_owned).with_context(|| format!("{} has no {name}", path.display()))
        };
        Ok(Self {
            endpoint: fact("endpoint")?,
            tls_endpoint: fact("tlsEndpoint")?,
            ca: fact("ca")?.into(),
            bucket: fact("bucket")?,
            access_key: fact("accessKey")?,
            secret_key: fact("secretKey")?,
            folder: fact("folder")?.into(),
        })
    }

    /// As variables of an environment, with which restic finds the keys by itself.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 6] {
        [
            ("S3_ENDPOINT", self.endpoint.clone()),
            ("S3_TLS_ENDPOINT", self.tls_endpoint.clone()),
            ("S3_CA", self.ca.display().to_string()),
            ("S3_BUCKET", self.bucket.clone()),
            ("AWS_ACCESS_KEY_ID", self.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key.clone()),
        ]
    }
}
