//! What every object has: which one it is, and whether it is ours.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use super::labels::Labels;
use crate::maintain::Task;
use crate::names::{self, Component, Instance, Run};

/// The labels that we put on all we create, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// The installation.
    pub instance: Instance,
    /// What the object is for.
    pub component: Component,
    /// The source's name as a label value (cut and hashed if long).
    pub source_pvc: String,
    /// The source's UID; empty on objects that belong to no single source.
    pub source_uid: String,
    /// The run, if the object belongs to one.
    pub run: Option<Run>,
    /// The destination, if the object belongs to one.
    pub destination: Option<String>,
    /// The task, if the object is the Job of one, or made for one.
    pub task: Option<Task>,
    /// For when that task was due, if the object is a promoter that was made again for it.
    pub due: Option<Run>,
}

impl Ours {
    /// Reads the labels; `None` if the object does not say that it is ours.
    #[must_use]
    pub fn read(meta: &ObjectMeta) -> Option<Self> {
        let labels = meta.labels.as_ref()?;
        if labels.get(names::MANAGED_BY)? != names::MANAGER {
            return None;
        }
        let text = |key: &str| labels.get(key).cloned();
        Some(Self {
            instance: text(names::INSTANCE)?.into(),
            component: Component::parse(labels.get(names::COMPONENT)?)?,
            source_pvc: text(names::SOURCE_PVC).unwrap_or_default(),
            source_uid: text(names::SOURCE_UID).unwrap_or_default(),
            run: labels.get(names::RUN).and_then(|t| t.parse().ok()),
            destination: text(names::DESTINATION),
            task: labels.get(names::TASK).and_then(|t| Task::parse(t)),
            due: labels.get(names::DUE).and_then(|t| t.parse().ok()),
        })
    }
}

/// The identity of an object: what a delete's preconditions need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
}

impl Identity {
    /// Of an object's metadata.
    #[must_use]
    pub fn of(meta: &ObjectMeta) -> Self {
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
        }
    }
}

pub(super) fn created(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0)
}

pub(super) fn namespace(meta: &ObjectMeta) -> String {
    meta.namespace.clone().unwrap_or_default()
}

pub(super) fn labels(meta: &ObjectMeta) -> Labels {
    meta.labels.as_ref().map(Labels::from).unwrap_or_default()
}

/// The annotations that are ours, and the one of Velero's that users bring along.
pub(super) fn settings(meta: &ObjectMeta) -> BTreeMap<String, String> {
    meta.annotations
        .iter()
        .flatten()
        .filter(|(key, _)| {
            let records = [names::STATUS, names::RESTORE_STATUS];
            (key.starts_with(names::PREFIX) && !records.contains(&key.as_str()))
                || key.eq_ignore_ascii_case(VELERO_SNAPSHOT_CLASS)
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Velero's key for the class of a PVC's snapshots (annotation) and for a driver's class (label).
pub const VELERO_SNAPSHOT_CLASS: &str = "velero.io/csi-volumesnapshot-class";

/// The parts of a comma-separated list, trimmed, without empty ones.
#[must_use]
pub fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned).collect()
}
