//! Where copies can go: disks and restic repositories.

#![deny(clippy::wildcard_enum_match_arm)]

mod answers;
mod convert;
mod disk;
mod kinds;
mod raw;
mod restic;
mod tasks;

pub use answers::{Format, Keeps, PodType, Reach, Tool};
pub use disk::{AccessMode, Claim, Disk, HostPath, Trees};
pub use kinds::{Destination, Store};
pub use restic::{Compression, Restic, RunIn};
pub use tasks::{All, Drill, Orphans, Sample, Scratch, Times};
