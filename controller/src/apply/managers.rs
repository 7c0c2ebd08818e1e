//! The names under which fields are applied to objects.
//!
//! What one name applied and does not name any more is removed by the API server. So whatever is applied on its own has a
//! name of its own: to apply the one must not take the other away.

use model::names;

/// What is applied on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    /// Objects that are ours as a whole, whose creation has this name too.
    Whole,
    /// The pod of a Deployment that asks for a restore.
    RestorePod,
    /// What became of a restore, on who asked for it.
    RestoreStatus,
    /// The hold on a snapshot that is restored from.
    Hold,
    /// Who else has the volume that a restore pod writes.
    Holders,
    /// Where the backups of a source stand.
    Status,
}

impl Manager {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => names::MANAGER,
            Self::RestorePod => "backup-controller/restore",
            Self::RestoreStatus => "backup-controller/restore-status",
            Self::Hold => "backup-controller/hold",
            Self::Holders => "backup-controller/holders",
            Self::Status => "backup-controller/status",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_applied_on_its_own_has_a_name_of_its_own() {
        use Manager::{Hold, Holders, RestorePod, RestoreStatus, Status, Whole};
        let all = [Whole, RestorePod, RestoreStatus, Hold, Holders, Status];
        let names: BTreeSet<&str> = all.into_iter().map(Manager::as_str).collect();
        assert_eq!(names.len(), all.len(), "{names:?}");
        assert!(names.iter().all(|name| name.split('/').next() == Some(names::MANAGER)), "{names:?}");
        // The API server refuses longer ones.
        assert!(names.iter().all(|name| name.len() <= 128), "{names:?}");
    }
}
