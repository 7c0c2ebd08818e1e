//! Whether a pod that copies may run in a namespace, reaches the network there, and which Secret it reads.

use crate::config::{Destination, Keeps};
use crate::names;
use crate::reason::{Problem, Reason};
use crate::select::Protection;
use crate::world::World;

/// Whether a pod that copies may run in a source's namespace.
pub(super) fn allowed(world: &World, namespace: &str, destination: &Destination) -> Result<(), Problem> {
    if destination.secret().is_some() && namespace == world.namespace {
        let message = format!("a copy to {} would need a Secret of the controller's namespace", destination.name);
        return Err(Problem::new(Reason::SecretNotAllowed, message));
    }
    let enforces = world.namespaces.get("", namespace).and_then(|n| n.enforces.as_deref());
    if enforces == Some("restricted") {
        return Err(Problem::new(Reason::PodSecurity, restricted(destination)));
    }
    Ok(())
}

fn restricted(destination: &Destination) -> String {
    let refused = "the namespace enforces Pod Security restricted, but a copy pod must run as root to";
    match destination.keeps() {
        Keeps::InFiles => format!("{refused} keep the owners of files"),
        Keeps::InRepository => {
            format!("{refused} read every file; a destination with runIn: controller needs no pod here")
        }
    }
}

/// A `NetworkPolicy` that an earlier version made cuts pods off that need the network, and is not ours to change.
pub(super) fn online(world: &World, namespace: &str) -> Result<(), Problem> {
    let name = names::network_policy(&world.instance);
    match world.policies.get(namespace, &name) {
        Some(policy) if !policy.leaves_restic_out => {
            let message =
                format!("NetworkPolicy {namespace}/{name} of an earlier version blocks restic pods; delete it");
            Err(Problem::new(Reason::NetworkPolicyBlocks, message))
        }
        _ => Ok(()),
    }
}

/// The Secret of a source's group at a destination. Of a source that is gone nobody knows the group, and the
/// destination's own Secret may open somebody else's bucket.
pub(super) fn secret(
    world: &World,
    protection: Option<&Protection>,
    uid: &str,
    destination: &Destination,
) -> Result<Option<String>, Problem> {
    let destination = &destination.name;
    if let Some(protection) = protection {
        return Ok(protection.secrets.get(destination).cloned());
    }
    if let Some(claim) = world.claim_of(uid)
        && let Some(namespace) = world.namespaces.get("", &claim.namespace)
    {
        let group = crate::select::group_of(&world.config, claim, namespace);
        return Ok(group.and_then(|g| g.secrets.get(destination).cloned()));
    }
    if world.config.groups.iter().any(|g| g.secrets.contains_key(destination)) {
        let message =
            format!("the PVC is gone, so it is unknown which group's Secret its copies to {destination} need");
        return Err(Problem::new(Reason::SecretNotAllowed, message));
    }
    Ok(None)
}
