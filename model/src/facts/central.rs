//! What central copies are made from, beside what all runs have.

use k8s_openapi::jiff::Timestamp;

use super::ours::{Identity, Ours, created};
use crate::names;
use crate::snapshot::VolumeSnapshotContent;
use crate::volume::VolumeMode;

/// A VolumeSnapshotContent of ours: the second one over a source's snapshot, for a central copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Name, UID, version.
    pub id: Identity,
    /// Our labels, if it has them.
    pub ours: Option<Ours>,
    /// The namespace of its source.
    pub source_namespace: Option<String>,
    /// The full name of its source.
    pub source_name: Option<String>,
    /// What the volume of its snapshot was, if the driver's side says it.
    pub mode: Option<VolumeMode>,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl From<&VolumeSnapshotContent> for Content {
    fn from(content: &VolumeSnapshotContent) -> Self {
        let meta = &content.metadata;
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|a| a.get(key)).cloned();
        Self {
            id: Identity::of(meta),
            ours: Ours::read(meta),
            source_namespace: annotation(names::SOURCE_NAMESPACE),
            source_name: annotation(names::SOURCE_NAME),
            mode: content.spec.source_volume_mode.as_deref().map(|word| VolumeMode::read(Some(word))),
            created: created(meta),
            terminating: meta.deletion_timestamp.is_some(),
        }
    }
}
