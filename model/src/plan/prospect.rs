//! What will become of copies, before there is anything to copy.

use k8s_openapi::jiff::Timestamp;

use super::{Plan, Standing, copy, disk};
use crate::config::Destination;
use crate::reason::Problem;
use crate::world::World;

/// The problem that every copy of a namespace's sources to a destination would have, if there is one now. Disks that
/// the controller still has to make are no problem.
#[must_use]
pub fn prospect(world: &World, namespace: &str, destination: &Destination, now: Timestamp) -> Option<Problem> {
    if destination.is_central() {
        return None;
    }
    if let Err(problem) = copy::allowed(world, namespace, destination) {
        return Some(problem);
    }
    if destination.is_remote() {
        return copy::online(world, namespace).err();
    }
    let mut steps = Plan { actions: Vec::new(), ready: Vec::new(), wake: None, standing: Standing::Vanished };
    let ready = disk::ready(world, destination, namespace, now, &mut steps);
    ready.err().filter(|_| steps.actions.is_empty())
}
