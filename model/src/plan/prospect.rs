//! Problems that copies would have, before there is anything to copy.

use k8s_openapi::jiff::Timestamp;

use super::{access, central, disk};
use crate::config::Destination;
use crate::reason::Problem;
use crate::world::World;

/// The problem that every copy of a namespace's sources to a destination would have, if there is one now. Disks that
/// the controller still has to make are no problem. `class` is the StorageClass of the sources' promoters.
///
/// Neither `NetworkPolicies` nor the Jobs that check hosts' disks are examined: the world need not contain them.
#[must_use]
pub fn prospect(
    world: &World,
    namespace: &str,
    class: &str,
    destination: &Destination,
    now: Timestamp,
) -> Option<Problem> {
    if destination.is_central() {
        return central::not_retained(world, class).err();
    }
    if let Err(problem) = access::allowed(world, namespace, destination) {
        return Some(problem);
    }
    let not_ready = disk::ready(world, destination, namespace, now).err()?;
    not_ready.todo.actions.is_empty().then_some(not_ready.problem)
}
