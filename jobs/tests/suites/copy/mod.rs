//! `backup-job copy`, `keep` and `remove` from outside: the real program, real rsync, real files.
//!
//! Tests read as claims. Some need root, as the copy pod has it; they say so where it is missing, past the
//! test harness's capture, and never pass in silence.

mod expected;
mod faults;
mod fidelity;
mod history;
mod interrupted;
mod keep;
mod losses;
mod remove;
