//! The keys of a destination, as they are written in YAML.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::disk::{Claim, Disk, HostPath};
use super::restic::{Compression, RunIn};
use super::tasks::{Drill, Orphans, Times};
use crate::config::input;
use crate::losses::Loss;
use crate::retention::Retention;

/// A destination as it is written: the keys of every type, so that a fault keeps its place.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub(super) struct Raw {
    pub(super) name: String,
    pub(super) r#type: Type,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim: Option<Claim>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) host_path: Option<HostPath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) repository: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run_in: Option<RunIn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compression: Option<Compression>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pack_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limit_upload: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limit_download: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exclude: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) environment: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) backend_options: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "input::maybe_quantity")]
    pub(super) cache: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) skip_unchanged: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prune: Option<Times>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verify: Option<Times>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retention: Option<Retention>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checksum_every: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) accept: Option<Vec<Loss>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) drill: Option<Drill>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) orphans: Option<Orphans>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Type {
    Disk,
    Restic,
}

impl Type {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Type::Disk => "disk",
            Type::Restic => "restic",
        }
    }
}

pub(super) const CHECKSUM_EVERY: u32 = 30;

impl Raw {
    /// What has no keys yet but those of its disk.
    pub(super) fn named(name: String, r#type: Type, disk: Option<Disk>) -> Raw {
        let (claim, host_path) = match disk {
            Some(Disk::Claim(claim)) => (Some(claim), None),
            Some(Disk::HostPath(path)) => (None, Some(path)),
            None => (None, None),
        };
        Raw {
            name,
            r#type,
            claim,
            host_path,
            repository: None,
            secret: None,
            run_in: None,
            ca: None,
            compression: None,
            pack_size: None,
            limit_upload: None,
            limit_download: None,
            exclude: None,
            environment: None,
            backend_options: None,
            cache: None,
            skip_unchanged: None,
            prune: None,
            verify: None,
            retention: None,
            checksum_every: None,
            accept: None,
            drill: None,
            orphans: None,
        }
    }

    /// The keys that are given and belong to one type alone.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, Type)> {
        // All keys: a new one does not compile until it is somebody's.
        let Raw {
            name: _,
            r#type: _,
            orphans: _,
            claim: _,
            host_path: _,
            retention: _,
            drill: _,
            repository,
            secret,
            run_in,
            ca,
            compression,
            pack_size,
            limit_upload,
            limit_download,
            exclude,
            environment,
            backend_options,
            cache,
            skip_unchanged,
            prune,
            verify,
            checksum_every,
            accept,
        } = self;
        let disk = [("checksumEvery", checksum_every.is_some()), ("accept", accept.is_some())];
        let restic = [
            ("repository", repository.is_some()),
            ("secret", secret.is_some()),
            ("runIn", run_in.is_some()),
            ("ca", ca.is_some()),
            ("compression", compression.is_some()),
            ("packSize", pack_size.is_some()),
            ("limitUpload", limit_upload.is_some()),
            ("limitDownload", limit_download.is_some()),
            ("exclude", exclude.is_some()),
            ("environment", environment.is_some()),
            ("backendOptions", backend_options.is_some()),
            ("cache", cache.is_some()),
            ("skipUnchanged", skip_unchanged.is_some()),
            ("prune", prune.is_some()),
            ("verify", verify.is_some()),
        ];
        let of = |r#type| move |(key, given): (&'static str, bool)| given.then_some((key, r#type));
        disk.into_iter().filter_map(of(Type::Disk)).chain(restic.into_iter().filter_map(of(Type::Restic)))
    }

    /// The disk, if it says one.
    pub(super) fn disk(&mut self) -> Result<Option<Disk>, String> {
        match (self.claim.take(), self.host_path.take()) {
            (Some(_), Some(_)) => Err(format!("{} has both `claim` and `hostPath`; remove one", self.name)),
            (Some(claim), None) => Ok(Some(Disk::Claim(claim))),
            (None, Some(path)) => Ok(Some(Disk::HostPath(path))),
            (None, None) => Ok(None),
        }
    }

    /// A key that a repository on a disk does not have, and why.
    pub(super) fn no_key_of_a_disk(&self) -> Option<(&'static str, &'static str)> {
        [
            (self.repository.is_some(), "repository", "each PVC has a repository in a folder of its own there"),
            (self.ca.is_some(), "ca", "a disk is not reached over the network"),
            (
                match self.run_in {
                    Some(RunIn::Controller) => true,
                    Some(RunIn::Tenant) | None => false,
                },
                "runIn: controller",
                "the disk, and the pods that mount it, are in the PVC's namespace",
            ),
        ]
        .into_iter()
        .find_map(|(given, key, why)| given.then_some((key, why)))
    }
}
