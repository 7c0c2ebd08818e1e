//! `backup-job drill` from outside: the real program, real rsync and restic, real files.
//!
//! Tests read as claims. Some need root, as the drill's pod has it; they say so where it is missing, past the
//! test harness's capture, and never pass in silence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

// The same helpers as the copy's tests; not all of each is used here.
#[allow(dead_code, reason = "of the copy's tests")]
#[path = "../copy/compare.rs"]
mod compare;
#[allow(dead_code, reason = "of the copy's tests")]
#[path = "../copy/corpus.rs"]
mod corpus;
#[allow(dead_code, reason = "of the copy's tests")]
#[path = "../copy/place.rs"]
mod place;

mod refused;
#[allow(dead_code, reason = "of the tests of restores")]
mod repository;
mod restic;
mod sample;
mod scene;
mod tree;
