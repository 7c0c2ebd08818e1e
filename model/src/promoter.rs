//! What a promoter looks like: the PVC that is made from the snapshot of a run.

use std::collections::BTreeMap;

use crate::facts::{Journal, VolumeMode};

/// What the promoters of a source have in common, whichever snapshot they are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromoterShape {
    /// The StorageClass.
    pub storage_class: String,
    /// ReadOnlyMany instead of ReadWriteOnce.
    pub read_only: bool,
    /// What pods get of it: what its source was when the snapshot was taken.
    pub mode: VolumeMode,
    /// Whether it is mounted without its journal: for a read-only one that is a price, which its restore point tells.
    pub journal: Journal,
    /// Annotations for the PVC.
    pub annotations: BTreeMap<String, String>,
}

impl PromoterShape {
    /// A promoter of this shape, for a snapshot that needs so many bytes.
    #[must_use]
    pub fn sized(self, bytes: u64) -> PromoterSpec {
        PromoterSpec { bytes, shape: self }
    }
}

/// What one promoter looks like: whoever plans one, makes one or renders one has this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromoterSpec {
    /// Its size: what the snapshot needs to be restored, and no less than the source has (F06, F07).
    pub bytes: u64,
    /// All else.
    pub shape: PromoterShape,
}
