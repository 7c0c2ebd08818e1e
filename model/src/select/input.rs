//! What is known about a PVC.

use std::collections::BTreeMap;

use crate::config::{Config, Group, glob};
use crate::facts::{Claim, Namespace, SnapshotClass, StorageClass, Volume};
use crate::reason::{Problem, Reason};
use crate::text::clip;

/// The cluster's classes.
#[derive(Debug, Clone, Default)]
pub struct Classes {
    /// StorageClasses by name.
    pub storage: BTreeMap<String, StorageClass>,
    /// VolumeSnapshotClasses by name.
    pub snapshot: BTreeMap<String, SnapshotClass>,
    /// Whether the cluster has the VolumeSnapshot API at all (F04).
    pub snapshot_api: bool,
}

/// What is known about one PVC.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The PVC.
    pub claim: &'a Claim,
    /// Its Namespace.
    pub namespace: &'a Namespace,
    /// Its volume.
    pub volume: Option<&'a Volume>,
    /// Whether the snapshot that the PVC was made from is one of ours. With the name of that snapshot it
    /// makes a promoter, whatever its labels say: a stripped label never makes a promoter a source.
    pub from_our_snapshot: bool,
    /// The cluster's classes.
    pub classes: &'a Classes,
    /// The configuration.
    pub config: &'a Config,
}

/// The group that a PVC belongs to: the first one that fits.
#[must_use]
pub fn group_of<'a>(config: &'a Config, claim: &Claim, namespace: &Namespace) -> Option<&'a Group> {
    config.groups.iter().find(|group| fits(group, claim, namespace))
}

fn fits(group: &Group, claim: &Claim, namespace: &Namespace) -> bool {
    let named = group.namespaces.is_empty() || group.namespaces.iter().any(|p| glob(p, &claim.namespace));
    named && namespace.labels.have(&group.namespace_labels) && claim.labels.have(&group.pvc_labels)
}

/// The group that it would belong to without its labels.
pub(super) fn unlabelled_group<'a>(input: &Input<'a>) -> Option<&'a Group> {
    let mut unlabelled = input.config.groups.iter().filter(|group| group.pvc_labels.is_empty());
    unlabelled.find(|group| fits(group, input.claim, input.namespace))
}

pub(super) fn group<'a>(input: &Input<'a>) -> Option<&'a Group> {
    group_of(input.config, input.claim, input.namespace)
}

pub(super) fn driver<'a>(input: &Input<'a>) -> Option<&'a str> {
    if let Some(volume) = input.volume {
        return volume.driver.as_deref();
    }
    let class = input.classes.storage.get(input.claim.class.as_deref()?)?;
    Some(&class.driver)
}

/// A setting that cannot be read.
pub(super) fn invalid(key: &str, place: &str, value: &str, why: impl std::fmt::Display) -> Problem {
    let value = clip(value, 80);
    Problem::new(Reason::InvalidSetting, format!("{key}: \"{value}\" on {place}: {why}"))
}
