//! What a source was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::volume::{AccessModes, VolumeMode};

/// What a source was: enough to make it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its StorageClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// What pods get of it.
    #[serde(default)]
    pub mode: VolumeMode,
    /// Its size in bytes; 0: it is not known what the source was.
    #[serde(default)]
    pub bytes: u64,
    /// How pods may have it.
    #[serde(default, skip_serializing_if = "AccessModes::is_empty")]
    pub access_modes: AccessModes,
    /// Its labels, clipped; not those that only we may set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its annotations of ours that users set, clipped.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Volume {
    /// Itself, if it is known what the source was.
    #[must_use]
    pub fn known(&self) -> Option<&Self> {
        Some(self).filter(|volume| volume.bytes > 0)
    }
}
