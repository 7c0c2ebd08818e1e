//! Raw block volumes from outside: the real program, real loop devices, real restic.
//!
//! Tests read as claims. All need root and loop devices, and say so where they are missing, past the test harness's
//! capture: they never pass in silence.

mod disk;
mod drill;
mod restic;
mod restore;
mod tree;
