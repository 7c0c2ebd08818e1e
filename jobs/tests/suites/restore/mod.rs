//! `backup-job restore` and `idle` from outside: the real program, real rsync, real files.
//!
//! Tests read as claims. Some need root, as the restore pod has it; they say so where it is missing, past the
//! test harness's capture, and never pass in silence.

mod idle;
mod paths;
mod refused;
pub(crate) mod scene;
mod shown;
mod stopped;
mod whole;
