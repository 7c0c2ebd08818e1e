//! `backup-job restore` and `idle` from outside: the real program, real rsync, real files.
//!
//! Tests read as claims. Some need root, as the restore pod has it; they say so where it is missing, past the
//! test harness's capture, and never pass in silence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

// The same helpers as the copy's tests; not all of each is used here.
#[path = "../copy/compare.rs"]
mod compare;
#[allow(dead_code, reason = "of the copy's tests")]
#[path = "../copy/corpus.rs"]
mod corpus;
#[allow(dead_code, reason = "of the copy's tests")]
#[path = "../copy/place.rs"]
mod place;

mod idle;
mod paths;
mod refused;
mod scene;
mod shown;
mod stopped;
mod whole;
