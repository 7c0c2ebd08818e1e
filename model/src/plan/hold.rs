//! What keeps a snapshot from being rotated while it is read.

use k8s_openapi::jiff::Timestamp;

use super::action::{Action, RestoreAction, Todo};
use crate::duration::Span;
use crate::world::World;

/// How long a restore holds its snapshot; it is renewed when half of that is left.
const HOLD: u64 = 3600;

/// Sees that a snapshot is not rotated under who reads it. Trees need no hold: copies, which prune, wait.
pub(super) fn hold(world: &World, namespace: &str, point: Option<&str>, now: Timestamp) -> Todo {
    let Some(snapshot) = point.and_then(|name| world.snapshots.get(namespace, name)) else { return Todo::none() };
    let half = Span::from_secs(HOLD / 2).after(now);
    if let Some(hold) = snapshot.hold.filter(|h| h.holds(half)) {
        let half = i64::try_from(HOLD / 2).unwrap_or(0);
        let again = |until: Timestamp| Timestamp::from_second(until.as_second() - half).unwrap_or(until);
        return Todo::again(hold.until.map(again));
    }
    let until = Span::from_secs(HOLD).after(now);
    let step = RestoreAction::Hold { namespace: namespace.to_owned(), snapshot: snapshot.id.clone(), until };
    Todo::step(Action::Restore(step))
}
