//! Whether the volume has room for what is restored.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use model::quantity::human;
use model::reason::{Problem, Reason};
use rustix::fs::{StatVfs, statvfs};

/// `st_blocks` counts these, whatever the file system.
const SECTOR: u64 = 512;
/// What an entry without content takes, at most.
const SMALL: u64 = 4096;

/// What room a restore needs. Files are replaced one by one, each by a whole new one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// What is taken more than given back so far.
    balance: i64,
    /// The most that was ever taken.
    peak: i64,
    /// What deletions give back.
    deleted: i64,
    /// Inodes that are taken.
    inodes: u64,
}

impl Need {
    /// An entry is written in the place of another one, or of none.
    pub(crate) fn written(&mut self, entry: &Metadata, there: Option<&Metadata>) {
        let size =
            if entry.is_file() { (entry.blocks() * SECTOR).min(entry.size().next_multiple_of(SMALL)) } else { SMALL };
        let before = self.balance;
        self.balance = before.saturating_add(signed(size));
        self.peak = self.peak.max(self.balance);
        self.balance = self.balance.saturating_sub(there.map_or(0, taken));
        self.inodes += u64::from(there.is_none());
    }

    /// A file gets this size, in its place where one is there already.
    pub(crate) fn changed(&mut self, size: u64, there: Option<&Metadata>) {
        let size = size.next_multiple_of(SMALL).max(SMALL);
        self.balance = self.balance.saturating_add(signed(size)).saturating_sub(there.map_or(0, taken));
        self.peak = self.peak.max(self.balance);
        self.inodes += u64::from(there.is_none());
    }

    /// An entry is deleted.
    pub(crate) fn freed(&mut self, there: Option<&Metadata>) {
        self.deleted = self.deleted.saturating_add(there.map_or(0, taken));
    }

    /// The bytes that have to be free.
    fn bytes(&self) -> u64 {
        u64::try_from(self.peak).unwrap_or(0)
    }

    /// The bytes that have to be free if deletions come first.
    fn bytes_after_deleting(&self) -> u64 {
        u64::try_from(self.peak.saturating_sub(self.deleted)).unwrap_or(0)
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What removing a name gives back: nothing, if its file has others.
fn taken(there: &Metadata) -> i64 {
    if there.is_dir() || there.nlink() > 1 { 0 } else { signed(there.blocks() * SECTOR) }
}

/// What the volume has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Free bytes.
    pub(crate) bytes: u64,
    /// Free inodes; `None`: the file system does not count them.
    inodes: Option<u64>,
}

/// Looks at the volume.
pub(crate) fn look(target: &Path) -> io::Result<Room> {
    let StatVfs { f_bavail, f_frsize, f_files, f_favail, .. } = statvfs(target)?;
    Ok(Room { bytes: f_bavail.saturating_mul(f_frsize), inodes: (f_files > 0).then_some(f_favail) })
}

impl Room {
    /// The same without what a file system keeps for itself while it is written: for who plans to fill it.
    pub(crate) fn with_reserve(self) -> Self {
        Self { bytes: self.bytes - self.bytes / 20, inodes: self.inodes.map(|free| free - free / 20) }
    }

    /// Whether everything in the restore point's file system would fit, and so whatever is restored of it.
    pub(crate) fn is_ample(&self, point: &Path) -> bool {
        let Ok(StatVfs { f_blocks, f_bfree, f_frsize, f_files, f_ffree, .. }) = statvfs(point) else { return false };
        let used = f_blocks.saturating_sub(f_bfree).saturating_mul(f_frsize);
        let inodes = f_files.saturating_sub(f_ffree);
        used > 0 && used <= self.bytes && self.inodes.is_none_or(|free| inodes <= free)
    }

    /// Whether deletions have to come first, or why it does not fit at all.
    pub(crate) fn fits(&self, need: &Need, delete: bool) -> Result<bool, Problem> {
        if let Some(free) = self.inodes.filter(|free| need.inodes > *free) {
            let text = format!("{} files and folders are needed, but the volume has room for only {free}", need.inodes);
            return Err(Problem::new(Reason::TargetTooSmall, text));
        }
        if need.bytes() <= self.bytes {
            return Ok(false);
        }
        if delete && need.bytes_after_deleting() <= self.bytes {
            return Ok(true);
        }
        let needed = if delete { need.bytes_after_deleting() } else { need.bytes() };
        let text = format!(
            "the restore needs {}, but the volume has {} free ({needed} and {} bytes)",
            human(needed),
            human(self.bytes),
            self.bytes
        );
        Err(Problem::new(Reason::TargetTooSmall, text))
    }

    /// The same for a restore, with what the person can do.
    pub(crate) fn fits_restore(&self, need: &Need, delete: bool) -> Result<bool, Problem> {
        self.fits(need, delete).map_err(|Problem { reason, message, .. }| {
            let delete = if delete { "" } else { "; or use --delete, which frees the space of all other entries" };
            let advice = "Restore into a larger PVC, free some space, or name only the PATHs that you need";
            Problem::new(reason, format!("{message}. {advice}{delete}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(peak: i64, deleted: i64) -> Need {
        Need { balance: 0, peak, deleted, inodes: 5 }
    }

    #[test]
    fn what_does_not_fit_is_told_with_numbers_and_deletions_may_make_room() {
        let room = Room { bytes: 1000, inodes: Some(10) };
        assert_eq!(room.fits(&need(1000, 0), false), Ok(false));
        assert_eq!(room.fits(&need(1001, 1), true), Ok(true));
        let problem = room.fits(&need(1001, 1), false).unwrap_err();
        assert_eq!(problem.reason, Reason::TargetTooSmall);
        assert!(problem.message.contains("1001 and 1000 bytes"), "{problem}");
        assert!(room.fits(&need(2000, 1), true).is_err());
        assert!(Room { inodes: Some(4), ..room }.fits(&need(1, 0), false).is_err());
        assert_eq!(Room { inodes: None, ..room }.fits(&need(1, 0), false), Ok(false));
    }
}
