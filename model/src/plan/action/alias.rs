//! What is lent for a restore.

use crate::facts::Identity;

/// A part of what was lent, as it is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasPart {
    /// The PVC in the controller's namespace.
    Claim(Identity),
    /// The PersistentVolume. It is retained, so the storage stays as it is.
    Volume(Identity),
}

impl AliasPart {
    /// The object.
    #[must_use]
    pub fn id(&self) -> &Identity {
        match self {
            Self::Claim(id) | Self::Volume(id) => id,
        }
    }
}
