//! Restores that are asked for: by a Deployment that wants to be a restore pod, or by an annotation on the PVC that
//! is to be written.
//!
//! They are few and urgent. So each is looked at whenever one may have changed, none waits for a limit, and copies
//! wait for the disk that a restore reads.

mod alias;
mod answer;
mod asked;
mod claim;
mod deployment;
mod holders;
mod obstacle;
mod patience;
mod reading;
mod resolve;
mod restores;
mod withdrawn;

pub(super) use reading::reads;
pub use restores::{any, restores};
