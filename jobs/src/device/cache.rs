//! What a device leaves in the page cache.

use std::fs::File;
use std::num::NonZeroU64;

use rustix::fs::{Advice, fadvise};

/// After so many bytes, what was written is brought to the disk, and the page cache is given back.
pub(super) const WINDOW: u64 = 64 << 20;

/// Gives the page cache of a range back.
pub(super) fn forget(file: &File, from: u64, to: u64) {
    if let Some(length) = NonZeroU64::new(to.saturating_sub(from)) {
        let _ = fadvise(file, from, Some(length), Advice::DontNeed);
    }
}
