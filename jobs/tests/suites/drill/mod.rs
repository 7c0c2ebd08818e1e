//! `backup-job drill` from outside: the real program, real rsync and restic, real files.
//!
//! Tests read as claims. Some need root, as the drill's pod has it; they say so where it is missing, past the
//! test harness's capture, and never pass in silence.

mod refused;
mod restic;
mod sample;
mod scene;
mod tree;
