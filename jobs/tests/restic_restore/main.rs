//! `backup-job restic restore` from outside: the real program, real restic, real files.
//!
//! Tests read as claims. Some need root, as the restore pod has it; they say so where it is missing, past the
//! test harness's capture, and never pass in silence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

// The same helpers as the tests of copies, restores and drills; not all of each is used here.
#[allow(dead_code, reason = "of the copy's tests")]
#[path = "../copy/compare.rs"]
mod compare;
#[allow(dead_code, reason = "of the copy's tests")]
#[path = "../copy/corpus.rs"]
mod corpus;
#[allow(dead_code, reason = "of the copy's tests")]
#[path = "../copy/place.rs"]
mod place;
#[allow(dead_code, reason = "of the drill's tests")]
#[path = "../drill/repository.rs"]
mod repository;
#[allow(dead_code, reason = "of the restore's tests")]
#[path = "../restore/scene.rs"]
mod scene;

mod paths;
mod refused;
mod stopped;
mod vault;
mod whole;
