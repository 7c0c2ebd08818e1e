//! What a step that moves files asks of a volume's file system.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use model::names::hash;
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

/// ext4 makes this folder in every volume's root (F48).
pub(crate) const LOST_AND_FOUND: &str = "lost+found";

/// Whether something is mounted at `path`. The device alone does not tell: a bind mount has its parent's.
pub(crate) fn is_mount(path: &Path) -> io::Result<bool> {
    let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)?;
    if stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    }
    // Linux before 5.8.
    Ok(fs::metadata(path)?.dev() != fs::metadata(path.join(".."))?.dev())
}

/// Whether an entry is a folder that has nothing in it, or that nobody may look into.
pub(crate) fn is_empty_or_locked(entry: &fs::DirEntry) -> bool {
    if !entry.file_type().is_ok_and(|t| t.is_dir()) {
        return false;
    }
    match fs::read_dir(entry.path()) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

/// A short name for this start of this machine.
///
/// A file that rsync has renamed into place has its size and time, but its bytes may be in memory only. They
/// stay there when a process is killed and are lost when the machine is, and then a file with holes can have
/// the right size and time. So a partial tree from another start, here or elsewhere, is compared by checksum.
pub(crate) fn this_boot() -> String {
    match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) => hash(id.trim(), 8),
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_from_a_folder() {
        assert!(is_mount(Path::new("/proc")).unwrap());
        assert!(!is_mount(Path::new("/proc/self")).unwrap());
    }
}
