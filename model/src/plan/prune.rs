//! What a prune goes by, and when none may.

use std::collections::BTreeSet;

use super::copy::{self, RunView};
use super::maintain::{Source, Work};
use crate::config::Destination;
use crate::maintain::Task;
use crate::names::{self, Run};
use crate::reason::{Problem, Reason};
use crate::record::{CopyResult, CopyState, Maintenance};
use crate::retention::Retention;
use crate::schedule::Zone;
use crate::select::Protection;

/// What a prune goes by. How many snapshots it forgets at most is the configuration's `bounds.maxDeletesPerRun` for each
/// snapshot that was made since the last prune: that is counted in the repository, and not by a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    /// What is kept.
    pub retention: Retention,
    /// The zone whose days that counts.
    pub zone: Zone,
    /// The minute for which the last prune was due.
    pub since: Option<Run>,
    /// Runs that stay, because somebody holds them.
    pub holds: Vec<Run>,
    /// The ids of snapshots that stay, because a held run changed nothing and has its data in an earlier one.
    pub hold_snapshots: Vec<String>,
    /// Runs whose copy is recorded as incomplete or failed: what they left does not count as good.
    pub incomplete: Vec<Run>,
    /// The ids of the snapshots that a complete copy names, whichever run made them: they are whole, for that copy read
    /// everything. Only told beside `incomplete`.
    pub complete_snapshots: Vec<String>,
}

impl<'a> Source<'a> {
    /// A prune goes by what the source says now; what cannot be read deletes nothing (law 4).
    pub(super) fn prune(
        &self,
        destination: &Destination,
        due: &Run,
        protection: &Protection,
    ) -> Result<Option<Work>, Problem> {
        if protection.unreadable || !self.whole {
            return Ok(None);
        }
        self.sound(&destination.name)?;
        let retention = destination.retention.clone().unwrap_or_else(|| protection.retention.clone());
        let runs = copy::runs(self.world, &self.claim.id.uid);
        let copied = |r: &&RunView<'a>| r.record.results.get(&destination.name);
        let held = |r: &RunView<'_>| r.snapshot.held(self.now) || r.promoter.is_some_and(|p| p.held(self.now));
        let (held, mut holds): (Vec<&RunView<'_>>, Vec<Run>) =
            runs.iter().filter(|r| held(r)).map(|r| (r, r.run.clone())).unzip();
        holds.dedup();
        let unchanged = held.iter().filter_map(&copied).filter(|c| c.unchanged);
        let poor = |c: &CopyResult| matches!(c.state, CopyState::Incomplete | CopyState::Failed);
        let incomplete = runs.iter().filter(|r| copied(r).is_some_and(poor)).map(|r| r.run.clone());
        let maintenance = self.maintenance(&destination.name);
        let last = maintenance.and_then(|m| m.prune.as_ref());
        let failed = maintenance.into_iter().flat_map(|m| m.failed.iter().cloned());
        let incomplete: BTreeSet<Run> = incomplete.chain(failed).collect();
        let complete = runs.iter().filter_map(|r| copied(&r)).filter(|c| c.state == CopyState::Complete);
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
        let accepted = self.claim.accepted(self.now);
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
