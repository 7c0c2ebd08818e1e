//! The plans from outside: what is decided, for which world.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod admitting;
mod after;
mod aliases;
mod asking;
mod central;
mod copying;
mod devices;
mod facts;
mod fixtures;
mod granting;
mod laws;
mod ledger;
mod maintaining;
mod mounting;
mod removing;
mod repository_disk;
mod restoring;
mod select;
mod several;
mod shortened;
