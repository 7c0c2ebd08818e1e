//! The program from outside, and what the documents say of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod black_box;
mod docs;
