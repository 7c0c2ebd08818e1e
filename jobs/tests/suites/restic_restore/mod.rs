//! `backup-job restic restore` from outside: the real program, real restic, real files.
//!
//! Tests read as claims. Some need root, as the restore pod has it; they say so where it is missing, past the
//! test harness's capture, and never pass in silence.

mod paths;
mod refused;
mod stopped;
mod vault;
mod whole;
