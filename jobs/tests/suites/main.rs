//! `backup-job` from outside: the real program, real rsync and restic, real files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod compare;
mod copy;
mod corpus;
mod device;
mod drill;
mod place;
mod repository;
mod restic;
mod restic_restore;
mod restore;
