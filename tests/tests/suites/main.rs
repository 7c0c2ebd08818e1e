//! The suites: on a real control plane, and (`e2e`) on two real nodes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "in the helpers of tests, as in tests"
)]

mod commands;
mod controller;
mod documents;
mod e2e;
mod faults;
mod guard;
mod install;
mod snapshot_job;
