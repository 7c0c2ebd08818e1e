//! restic repositories.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::tasks::Times;
use crate::listed::listed;
use crate::names::SourceId;

/// restic repositories, one for each source.
///
/// The keys stand in the destination itself. What they mean is restic's own meaning, where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restic {
    /// `claim` or `hostPath`: the disk that the repositories lie on. Default: none, they are reached over the network.
    pub disk: Option<Disk>,
    /// The address, as restic's `-r` takes it, with `{namespace}`, `{pvc}` and `{uid}` in it. `{uid}` must be
    /// there: no two sources share a repository. A name in capital letters, such as `{RESTIC_REPOSITORY}`, is a
    /// key of the Secret. Default: `{RESTIC_REPOSITORY}/{namespace}/{pvc}/{uid}`.
    /// On a disk it is [`Restic::ON_DISK`] and is not written.
    pub repository: String,
    /// The name of the Secret with `RESTIC_PASSWORD` and what the backend wants, such as `AWS_ACCESS_KEY_ID`: each
    /// key is an environment variable of restic. With `runIn: tenant` one of the source's own namespace, with
    /// `runIn: controller` one of the controller's. Must be set.
    pub secret: String,
    /// Where copies run. Default: `tenant`.
    pub run_in: RunIn,
    /// The name of a `ConfigMap` beside the Secret whose key `ca.crt` signs the endpoint's certificate. Default:
    /// the certificates of the mover's image.
    pub ca: Option<String>,
    /// How much restic compresses. Default: `auto`.
    pub compression: Compression,
    /// The size of the repository's files, in MiB; 4 to 128. Default: restic's, 16.
    pub pack_size: Option<u32>,
    /// The most that is sent, in KiB a second. Default: no limit.
    pub limit_upload: Option<u32>,
    /// The most that is fetched, in KiB a second. Default: no limit.
    pub limit_download: Option<u32>,
    /// What is left out: patterns of restic's `--exclude`. Default: nothing.
    pub exclude: Vec<String>,
    /// More environment variables for restic, such as `HTTPS_PROXY`. Default: none.
    pub environment: BTreeMap<String, String>,
    /// Options of restic's backends, as its `-o` takes them ([`crate::restic_options`]). Default: none.
    pub backend_options: BTreeMap<String, String>,
    /// The size of restic's cache on the node, a quantity; it is gone with the pod. Default: no cache.
    pub cache: Option<String>,
    /// Whether a run that changed nothing makes no snapshot in the repository. Default: `true`.
    pub skip_unchanged: bool,
    /// When expired snapshots are forgotten, and their data removed. Default: `H H(0-5) * * *`.
    pub prune: Times,
    /// When a part of the repository is read and checked; 30 times are the whole of it. Default: `H H * * *`.
    pub verify: Times,
}

impl Restic {
    /// Where a repository is, unless the configuration says otherwise.
    pub const REPOSITORY: &'static str = "{RESTIC_REPOSITORY}/{namespace}/{pvc}/{uid}";

    /// Where a pod has the repository of its source on a disk: of the disk it mounts that folder alone.
    pub const ON_DISK: &'static str = "/repository";

    /// A repository of which nothing is said but its Secret.
    #[must_use]
    pub fn named(secret: &str) -> Restic {
        Restic {
            disk: None,
            repository: Restic::REPOSITORY.to_owned(),
            secret: secret.to_owned(),
            run_in: RunIn::default(),
            ca: None,
            compression: Compression::default(),
            pack_size: None,
            limit_upload: None,
            limit_download: None,
            exclude: Vec::new(),
            environment: BTreeMap::new(),
            backend_options: BTreeMap::new(),
            cache: None,
            skip_unchanged: true,
            prune: Times::prune(),
            verify: Times::verify(),
        }
    }

    /// The repository's address for a source; what stands in it in capital letters is filled in from the Secret,
    /// where the Secret is.
    #[must_use]
    pub fn address(&self, source: &SourceId) -> String {
        [("{namespace}", &source.namespace), ("{pvc}", &source.name), ("{uid}", &source.uid)]
            .into_iter()
            .fold(self.repository.clone(), |address, (variable, value)| address.replace(variable, value))
    }
}

/// Where the pods of a destination run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunIn {
    /// `tenant`: in the source's namespace, with a Secret of the tenant's own.
    #[default]
    Tenant,
    /// `controller`: in the controller's namespace, with a Secret of the administrator's. The tenant sees
    /// neither pods nor credentials.
    Controller,
}

listed! {
    /// How much restic compresses, in its own words.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Compression {
        /// `auto`: what can be made smaller.
        #[default]
        Auto,
        /// `off`: nothing, for data that is compressed or encrypted already.
        Off,
        /// `fastest`: less, for less CPU.
        Fastest,
        /// `better`: more, for more CPU.
        Better,
        /// `max`: a little more, for several times the CPU.
        Max,
    }
}

impl Compression {
    /// As restic's `--compression` takes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Compression::Auto => "auto",
            Compression::Off => "off",
            Compression::Fastest => "fastest",
            Compression::Better => "better",
            Compression::Max => "max",
        }
    }
}
