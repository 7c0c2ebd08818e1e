//! What a source's tasks are planned from.

use super::subject::Subject;
use crate::facts::Claim;
use crate::record::Maintenance;

/// What a source's tasks are planned from.
pub(super) struct TaskSource<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) claim: &'a Claim,
}

impl<'a> TaskSource<'a> {
    pub(super) fn maintenance(&self, destination: &str) -> Option<&'a Maintenance> {
        self.subject.status?.maintenance.get(destination)
    }
}
