//! What every pod of a restic destination has in common: how it reaches its repository.
//!
//! Credentials are files of the one Secret that the destination names, and never variables of the container: what
//! describes a pod shows none of them. A Secret or authority that is not there does not keep the pod from starting;
//! the program says what is missing.

use model::config::{Destination, Format, Restic, RunIn, Tool};
use model::copy_options::Options;
use model::names::{self, SourceId};
use serde_json::{Map, Value, json};

use crate::order::values;
use crate::pods::{Mount, PodRules};
use crate::program::{CA_DIR, CACHE_DIR, SECRET_DIR};

/// A source's repository at a destination, as a pod reaches it.
#[derive(Debug, Clone)]
pub struct Repository<'a> {
    /// The destination's name.
    pub destination: &'a str,
    /// The source.
    pub source: &'a SourceId,
    /// Where the pod runs, and the Secret is.
    pub namespace: &'a str,
    /// The Secret.
    pub secret: &'a str,
    /// The destination, as it is for this source.
    pub restic: Restic,
    /// What is mounted of the disk that it lies on.
    pub folder: Option<Folder>,
}

/// A repository's part of a disk.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The PVC.
    pub claim: String,
    /// The folder in it; `None`: all of it.
    pub path: Option<String>,
}

impl<'a> Repository<'a> {
    /// The repository of a source; `None` if the destination is no restic destination. `home` is the controller's
    /// namespace, `secret` one that takes the place of the destination's.
    #[must_use]
    pub fn new(
        home: &'a str,
        destination: &'a Destination,
        source: &'a SourceId,
        options: &Options,
        secret: Option<&'a str>,
    ) -> Option<Self> {
        let restic = match destination.format() {
            Format::Trees(_) => return None,
            Format::Repository(Tool::Restic(restic)) => restic,
        };
        let folder = restic
            .disk
            .as_ref()
            .zip(destination.disk_claim())
            .map(|(disk, claim)| Folder { claim, path: Some(names::shelf(disk.is_host(), source)) });
        Some(Self {
            destination: &destination.name,
            source,
            namespace: match destination.runs_in() {
                RunIn::Tenant => &source.namespace,
                RunIn::Controller => home,
            },
            secret: secret.unwrap_or(&restic.secret),
            restic: options.over(restic),
            folder,
        })
    }

    /// The same one, on a disk that another namespace lends by a PVC.
    #[must_use]
    pub fn granted(self, claim: &str) -> Self {
        let folder = self.folder.map(|folder| Folder { claim: claim.to_owned(), ..folder });
        Self { folder, ..self }
    }

    /// Its part of a disk in a pod. What only reads takes no lock, and gets nothing that it could write.
    pub(crate) fn mount(&self, read_only: bool) -> Option<Mount> {
        let Folder { claim, path } = self.folder.clone()?;
        Some(Mount { claim, path: Restic::ON_DISK, also: None, sub_path: path, read_only, device: false })
    }

    /// The volumes of its pods, and where they are mounted: a template writes them out one by one, as
    /// `resticVolumes` and `resticMounts`.
    pub(crate) fn volumes(&self, read_only: bool) -> Vec<(Value, Value)> {
        let volume = |name: &str, kind: &str, what: Value, path: &str, read_only: bool| {
            let mut mount = json!({"name": name, "mountPath": path});
            if read_only {
                mount["readOnly"] = json!(true);
            }
            (json!({"name": name, kind: what}), mount)
        };
        // Root's alone to read: 0400.
        let secret = json!({"secretName": self.secret, "optional": true, "defaultMode": 0o400});
        let mut volumes = vec![volume("secret", "secret", secret, SECRET_DIR, true)];
        if let Some(ca) = &self.restic.ca {
            let ca = json!({"name": ca, "optional": true});
            volumes.push(volume("ca", "configMap", ca, CA_DIR, true));
        }
        if let Some(size) = &self.restic.cache {
            volumes.push(volume("cache", "emptyDir", json!({"sizeLimit": size}), CACHE_DIR, false));
        }
        // The files of the repository, until they are sent.
        volumes.push(volume("tmp", "emptyDir", json!({}), "/tmp", false));
        volumes.extend(self.mount(read_only).map(|mount| mount.volume("repository")));
        volumes
    }

    /// Puts what a pod needs for its repository among a template's values and its rules.
    pub(crate) fn pod(&self, values: &mut Map<String, Value>, mut rules: PodRules, read_only: bool) -> PodRules {
        let (volumes, mounts): (Vec<Value>, Vec<Value>) = self.volumes(read_only).into_iter().unzip();
        values.extend(values! {
            "resticVolumes": volumes,
            "resticMounts": mounts,
        });
        rules.mounts.extend(self.mount(read_only));
        PodRules { secret: Some(self.secret.to_owned()), ..rules }
    }
}
