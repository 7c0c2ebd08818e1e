//! What a source's tasks are planned from.

use k8s_openapi::jiff::Timestamp;

use crate::facts::Claim;
use crate::record::{Maintenance, Status};
use crate::select::Protection;
use crate::world::World;

/// What a source's tasks are planned from.
pub(super) struct Source<'a> {
    pub(super) world: &'a World,
    pub(super) claim: &'a Claim,
    pub(super) status: Option<&'a Status>,
    /// `None`: it is not ours to protect, nothing new is started.
    pub(super) protection: Option<&'a Protection>,
    /// Whether all of its runs are known.
    pub(super) whole: bool,
    pub(super) now: Timestamp,
}

impl<'a> Source<'a> {
    pub(super) fn maintenance(&self, destination: &str) -> Option<&'a Maintenance> {
        self.status?.maintenance.get(destination)
    }
}
