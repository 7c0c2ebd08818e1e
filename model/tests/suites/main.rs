//! The plans from outside: what is decided, for which world.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod admitting;
mod after;
mod asking;
mod central;
mod copying;
mod devices;
mod facts;
mod fixtures;
mod granting;
mod laws;
mod ledger;
mod lending;
mod maintaining;
mod mounting;
mod repository_disk;
mod restoring;
mod select;
mod several;
mod shortened;
