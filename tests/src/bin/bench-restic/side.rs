//! The two that are compared.

/// Who copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// `backup-job restic copy`.
    Ours,
    /// `restic backup`.
    Bare,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Ours, Self::Bare];

    /// The name of its repositories.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Bare => "bare",
        }
    }
}
