//! How drills ended that were asked for. Pure: a PVC in, new lines out.

use std::collections::BTreeMap;

use model::Timestamp;
use model::config::Destination;
use model::facts::{Claim, VolumeMode};
use model::maintain::TaskState;
use model::names::Run;
use model::plan;
use model::record::{Status, TaskStatus};

use crate::observe::Observed;
use crate::status::Volume;

/// One PVC's drills, as far as they were told.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) name: String,
    uid: String,
    mode: VolumeMode,
    /// The minute for which they were asked for.
    asked: Run,
    /// By destination: whether the drill passed, once it has ended.
    ends: BTreeMap<String, Option<bool>>,
}

impl Follow {
    /// Of the destinations that are drilled. Who may not read the configuration knows those that were drilled before.
    pub(super) fn new(observed: &Observed, volume: &Volume, now: Timestamp) -> Self {
        let world = &observed.world;
        let status = world.status(&volume.uid);
        let before = |name: &str| status.is_some_and(|s| s.maintenance.get(name).is_some_and(|m| m.drill.is_some()));
        let is_drilled = |name: &str| world.config.destination(name).is_some_and(Destination::is_drilled);
        let drilled = |name: &&String| if observed.knows.config { is_drilled(name) } else { before(name) };
        Self {
            name: volume.name.clone(),
            uid: volume.uid.clone(),
            mode: world.claims.get(&volume.namespace, &volume.name).map_or(VolumeMode::Filesystem, |c| c.mode),
            asked: Run::at(now),
            ends: volume.copies.keys().filter(drilled).map(|name| (name.clone(), None)).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn is_open(&self) -> bool {
        self.ends.values().any(Option::is_none)
    }

    pub(super) fn has_passed(&self) -> bool {
        self.ends.values().all(|end| *end == Some(true))
    }

    /// The destinations whose drills have not ended.
    pub(super) fn names(&self) -> String {
        let open = self.ends.iter().filter(|(_, end)| end.is_none());
        open.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// What is new, in lines.
    pub(super) fn step(&mut self, claim: Option<&Claim>) -> Vec<String> {
        let Some(claim) = claim.filter(|claim| claim.id.uid == self.uid) else {
            for end in self.ends.values_mut().filter(|end| end.is_none()) {
                *end = Some(false);
            }
            return vec![format!("{}: the PVC is gone", self.name)];
        };
        claim.told().map(|status| self.ended(status)).unwrap_or_default()
    }

    fn ended(&mut self, status: &Status) -> Vec<String> {
        let mut lines = Vec::new();
        for (destination, end) in self.ends.iter_mut().filter(|(_, end)| end.is_none()) {
            let Some(maintenance) = status.maintenance.get(destination) else { continue };
            let Some(drill) = maintenance.drill.as_ref().filter(|drill| drill.due >= self.asked) else { continue };
            *end = Some(drill.state == TaskState::Done);
            lines.push(format!("{}: {destination}: {}", self.name, told(drill, self.mode)));
        }
        lines
    }
}

fn told(drill: &TaskStatus, mode: VolumeMode) -> String {
    let run = drill.run.as_ref().map(|run| format!(", run {run}")).unwrap_or_default();
    match &drill.problem {
        None => format!("{}{run}", plan::proven(drill, mode)),
        Some(problem) => format!("{problem}{run}. What to do: {}", problem.reason.help()),
    }
}
