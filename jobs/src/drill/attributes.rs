//! Extended attributes: with ACLs and file capabilities among them.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use model::losses::{Loss, Losses};
use model::text::clip;
use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::Errno;

use super::walk::at;
use crate::restore::console::shown;

/// The kernel's limits of a list of names and of a value.
const LIMIT: usize = 64 * 1024;

/// Whether copies keep an attribute (`docs/safety.md`): not what only the system itself may write, nor labels that
/// belong to where a file lies.
fn is_kept(name: &[u8]) -> bool {
    match name.split(|byte| *byte == b'.').next() {
        Some(b"security") => name == b"security.capability",
        Some(b"system") => name.starts_with(b"system.posix_acl_"),
        Some(b"trusted") => false,
        _ => true,
    }
}

/// Whether an attribute is one that the copy's disk does not keep.
fn is_lost(name: &[u8], lost: &Losses) -> bool {
    lost.has(if name.starts_with(b"system.") { Loss::Acls } else { Loss::Attributes })
}

/// What an attribute is called in a sentence.
fn word(name: &[u8]) -> String {
    match name {
        b"system.posix_acl_access" => "ACL".to_owned(),
        b"system.posix_acl_default" => "default ACL".to_owned(),
        b"security.capability" => "capabilities".to_owned(),
        name => format!("attribute {}", clip(&shown(Path::new(std::ffi::OsStr::from_bytes(name))), 40)),
    }
}

/// Which attributes differ, in words. An error is one of reading the original.
pub(crate) fn differ(original: &Path, restored: &Path, lost: &Losses) -> io::Result<Vec<String>> {
    let keeps = |name: &[u8]| is_kept(name) && !is_lost(name, lost);
    let was = read(original, &keeps).map_err(|error| at(original, &error.into()))?;
    let is = match read(restored, &keeps) {
        Ok(is) => is,
        Err(error) => return Ok(vec![format!("attributes ({error})")]),
    };
    let mut words: Vec<String> =
        was.iter().filter(|(name, value)| is.get(*name) != Some(value)).map(|(name, _)| word(name)).collect();
    words.extend(is.keys().filter(|name| !was.contains_key(*name)).map(|name| word(name)));
    Ok(words)
}

fn read(path: &Path, keeps: &dyn Fn(&[u8]) -> bool) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
    let mut all = BTreeMap::new();
    let names = match filled(|buffer| llistxattr(path, buffer)) {
        Err(Errno::OPNOTSUPP) => return Ok(all),
        names => names?,
    };
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty() && keeps(name)) {
        all.insert(name.to_owned(), filled(|buffer| lgetxattr(path, name, buffer))?);
    }
    Ok(all)
}

/// What a call puts into a buffer: mostly little, and nothing at all for most entries.
fn filled(mut call: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut few = [0; 1024];
    match call(&mut few) {
        Err(Errno::RANGE) => {}
        size => return size.map(|size| few[..size].to_vec()),
    }
    let mut much = vec![0; LIMIT];
    let size = call(&mut much)?;
    much.truncate(size);
    Ok(much)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_copies_leave_out_is_not_compared() {
        for kept in ["user.x", "system.posix_acl_access", "system.posix_acl_default", "security.capability"] {
            assert!(is_kept(kept.as_bytes()), "{kept}");
        }
        for other in ["security.selinux", "security.ima", "trusted.overlay.opaque", "system.nfs4_acl"] {
            assert!(!is_kept(other.as_bytes()), "{other}");
        }
    }
}
