//! What keeps a snapshot from being rotated while it is read.

use k8s_openapi::jiff::Timestamp;

use super::action::{Action, Plan, RestoreAction, Restores};
use crate::duration::Span;
use crate::world::World;

/// How long a restore holds its snapshot; it is renewed when half of that is left.
const HOLD: u64 = 3600;

/// What keeps a snapshot from being rotated: the step that holds it, and when to look again.
#[derive(Default)]
pub(super) struct Hold {
    pub(super) step: Option<Action>,
    again: Option<Timestamp>,
}

impl Hold {
    pub(super) fn add_to(self, plan: &mut Plan) {
        plan.actions.extend(self.step);
        plan.wake_at(self.again);
    }
}

/// Sees that a snapshot is not rotated under who reads it. Trees need no hold: copies, which prune, wait.
pub(super) fn hold(world: &World, namespace: &str, point: Option<&str>, now: Timestamp) -> Hold {
    let Some(snapshot) = point.and_then(|name| world.snapshots.get(namespace, name)) else { return Hold::default() };
    let half = Span::from_secs(HOLD / 2).after(now);
    if let Some(hold) = snapshot.hold.filter(|h| h.holds(half)) {
        let half = i64::try_from(HOLD / 2).unwrap_or(0);
        let again = |until: Timestamp| Timestamp::from_second(until.as_second() - half).unwrap_or(until);
        return Hold { step: None, again: hold.until.map(again) };
    }
    let until = Span::from_secs(HOLD).after(now);
    let step = RestoreAction::Hold { namespace: namespace.to_owned(), snapshot: snapshot.id.clone(), until };
    Hold { step: Some(Action::Restore(step)), again: None }
}

impl Restores {
    pub(super) fn hold(&mut self, hold: Hold) {
        self.actions.extend(hold.step);
        hold.again.into_iter().for_each(|at| self.wake_at(at));
    }
}
