//! Restic repositories on the dev cluster's S3 server: as a tenant names them, and as stock restic sees them.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use dev_cluster::{Cluster, Part, S3, ensure_built};
use serde_json::{Value, json};

use super::{App, Tree};

/// What stands in a tenant's Secret.
#[derive(Debug, Clone)]
pub struct Keys {
    /// `RESTIC_REPOSITORY`: below it is a repository for each source.
    pub repository: String,
    /// `RESTIC_PASSWORD`
    pub password: String,
    /// `AWS_ACCESS_KEY_ID`
    pub access_key: String,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_key: String,
}

impl Keys {
    /// Of a folder in the server's bucket.
    #[must_use]
    pub fn of(s3: &S3, folder: &str) -> Self {
        Self {
            repository: format!("s3:{}/{}/{folder}", s3.endpoint, s3.bucket),
            password: "only for tests, and long enough".to_owned(),
            access_key: s3.access_key.clone(),
            secret_key: s3.secret_key.clone(),
        }
    }

    fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("RESTIC_REPOSITORY", &self.repository),
            ("RESTIC_PASSWORD", &self.password),
            ("AWS_ACCESS_KEY_ID", &self.access_key),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_key),
        ]
    }
}

/// restic as it comes, on this machine, with the repository of one source.
#[derive(Debug)]
pub struct Stock {
    keys: Keys,
}

impl Stock {
    /// Runs restic, and returns what it prints. An exit code other than 0 is an error with its words.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(ensure_built(Part::Restic)?.join("restic"));
        command.args(["--no-cache", "--quiet"]).args(args).envs(self.keys.environment()).stdin(Stdio::null());
        let output = command.output().context("cannot start restic")?;
        if !output.status.success() {
            bail!("restic {}: {}\n{}", args.join(" "), output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The snapshots, oldest first.
    pub fn snapshots(&self) -> Result<Vec<Value>> {
        // A prune that runs beside it locks the repository.
        Ok(serde_json::from_str(&self.run(&["snapshots", "--no-lock", "--json"])?)?)
    }
}

impl App {
    /// Makes the Secret of a destination what it is to be.
    pub fn secret(&self, name: &str, keys: &Keys) -> Result<()> {
        let data: serde_json::Map<String, Value> =
            keys.environment().map(|(key, value)| (key.to_owned(), value.into())).into_iter().collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        self.apply(&secret.to_string())?;
        Ok(())
    }

    /// A new volume with what stock restic restores from the newest snapshot, without any help of ours.
    pub fn restored_by(&self, stock: &Stock, cluster: &Cluster, claim: &str) -> Result<Tree> {
        self.claim(claim, None)?;
        self.bound(claim)?;
        let target = cluster.volume_path(&self.namespace, claim)?.display().to_string();
        // With its path: only so has the volume's root its owner and times again.
        stock.run(&["restore", "latest", "--target", &target])?;
        Ok(Tree { claim: claim.to_owned(), path: "source".to_owned() })
    }

    /// Stock restic with the repository that the keys give the application's volume.
    pub fn stock_restic(&self, keys: &Keys) -> Result<Stock> {
        let repository = format!("{}/{}/data/{}", keys.repository, self.namespace, self.uid()?);
        Ok(Stock { keys: Keys { repository, ..keys.clone() } })
    }
}
