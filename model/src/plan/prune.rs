//! What a prune goes by, and when none may.

use std::collections::BTreeSet;

use super::action::{Prune, Work};
use super::subject::RunView;
use super::task_source::TaskSource;
use crate::config::Destination;
use crate::maintain::Task;
use crate::names::{self, Run};
use crate::reason::{Problem, Reason};
use crate::record::{CopyResult, CopyState, Maintenance};
use crate::select::Protection;

impl TaskSource<'_> {
    /// A prune goes by what the source says now; what cannot be read deletes nothing (law 4).
    pub(super) fn prune(
        &self,
        destination: &Destination,
        due: &Run,
        protection: &Protection,
    ) -> Result<Option<Work>, Problem> {
        if protection.unreadable || !self.subject.whole {
            return Ok(None);
        }
        self.sound(&destination.name)?;
        // L4: an empty central repository in days, by an annotation and a run each hour.
        let of_source = if destination.is_central() { &protection.central_retention } else { &protection.retention };
        let retention = destination.retention.as_ref().unwrap_or(of_source).clone();
        let runs = &self.subject.runs;
        let held =
            |r: &RunView<'_>| r.snapshot.held(self.subject.now) || r.promoter.is_some_and(|p| p.held(self.subject.now));
        let (held, mut holds): (Vec<&RunView<'_>>, Vec<Run>) =
            runs.iter().filter(|r| held(r)).map(|r| (r, r.run.clone())).unzip();
        holds.dedup();
        let unchanged = held.iter().filter_map(|r| r.result(&destination.name)).filter(|c| c.unchanged);
        let poor = |c: &CopyResult| matches!(c.state, CopyState::Incomplete | CopyState::Failed);
        let incomplete = runs.iter().filter(|r| r.result(&destination.name).is_some_and(poor)).map(|r| r.run.clone());
        let maintenance = self.maintenance(&destination.name);
        let last = maintenance.and_then(|m| m.prune.as_ref());
        let failed = maintenance.into_iter().flat_map(|m| m.failed.iter().cloned());
        let incomplete: BTreeSet<Run> = incomplete.chain(failed).collect();
        let complete =
            runs.iter().filter_map(|r| r.result(&destination.name)).filter(|c| c.state == CopyState::Complete);
        let complete: BTreeSet<String> = complete.filter_map(|c| c.snapshot.clone()).collect();
        Ok(Some(Work::Prune(Prune {
            retention,
            zone: protection.zone.clone(),
            // One that a clock had ahead is not before what came after it.
            since: last.map(|p| p.due.clone().min(due.clone())),
            holds,
            hold_snapshots: unchanged.filter_map(|c| c.snapshot.clone()).collect(),
            complete_snapshots: if incomplete.is_empty() { Vec::new() } else { complete.into_iter().collect() },
            incomplete: incomplete.into_iter().collect(),
        })))
    }

    /// What a damaged repository still has may be all that is left (laws 1 and 3). A finding stays until a task of its
    /// kind finds nothing there any more; where that may never be, a person goes on in spite of it.
    fn sound(&self, destination: &str) -> Result<(), Problem> {
        let accepted = self.claim.accepted(self.subject.now);
        let findings = self.maintenance(destination).into_iter().flat_map(Maintenance::findings);
        let open = findings.filter(|(_, found)| !found.is_accepted(accepted));
        // Whoever accepts the newest accepts those before it too.
        let Some((task, found)) = open.max_by_key(|(_, found)| found.finished) else { return Ok(()) };
        let what = if task == Task::Drill { "differences" } else { "damage" };
        let (task, at, key) = (task.as_str(), found.finished, names::ACCEPT_FINDING);
        let message = format!(
            "prune is paused: the {task} of {at} found {what}. It resumes when a later {task} finds nothing, or when you \
             accept this and all earlier findings by annotating the PVC with {key}={at}"
        );
        Err(Problem::new(Reason::RepositoryDamaged, message))
    }
}
