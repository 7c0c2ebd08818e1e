//! Raw block volumes from outside: the real program, real loop devices, real restic.
//!
//! Tests read as claims. All need root and loop devices, and say so where they are missing, past the test harness's
//! capture: they never pass in silence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

// The same helpers as the other tests; not all of each is used here.
#[allow(dead_code, reason = "of the copy's tests")]
#[path = "../copy/compare.rs"]
mod compare;
#[allow(dead_code, reason = "of the copy's tests")]
#[path = "../copy/place.rs"]
mod place;
#[allow(dead_code, reason = "of the drill's tests")]
#[path = "../drill/repository.rs"]
mod repository;

mod disk;
mod drill;
mod restic;
mod restore;
mod tree;
