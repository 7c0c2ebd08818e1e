//! Whether a pod of ours may run in a namespace, reaches the network there, and which Secret it reads.

use std::collections::BTreeMap;

use crate::config::{Destination, Keeps, RunIn};
use crate::facts::Namespace;
use crate::names::{self, SourceId};
use crate::reason::{Problem, Reason};
use crate::select::Protection;
use crate::world::World;

/// Whether a pod that copies may run in a source's namespace.
pub(super) fn allowed(world: &World, namespace: &str, destination: &Destination) -> Result<(), Problem> {
    if destination.secret().is_some() && namespace == world.namespace {
        let message = format!("a copy to {} would need a Secret of the controller's namespace", destination.name);
        return Err(Problem::new(Reason::SecretNotAllowed, message));
    }
    let Some(namespace) = world.namespaces.get("", namespace) else { return Ok(()) };
    as_root(namespace, AsRoot::Copy(destination))
}

/// What a pod of ours does as root.
#[derive(Debug, Clone, Copy)]
pub(super) enum AsRoot<'a> {
    /// It copies to a destination.
    Copy(&'a Destination),
    /// It restores.
    Restore,
    /// It prunes, verifies, drills or removes.
    Task,
}

/// Whether a namespace admits pods that run as root. Pod Security `restricted` does not: the API server would refuse the
/// pod of every try, and the Job would only say that it has none (F39).
pub(super) fn as_root(namespace: &Namespace, work: AsRoot<'_>) -> Result<(), Problem> {
    if namespace.enforces.as_deref() != Some("restricted") {
        return Ok(());
    }
    let must = match work {
        AsRoot::Copy(destination) => match destination.keeps() {
            Keeps::InFiles => "a copy pod must run as root to keep the owners of files",
            Keeps::InRepository => {
                "a copy pod must run as root to read every file; a destination with runIn: controller needs no pod here"
            }
        },
        AsRoot::Restore => "a restore pod must run as root to keep file owners",
        AsRoot::Task => "this pod must run as root",
    };
    let which = match work {
        // One text for all namespaces: `kubectl backup plan` puts those with the same text into one line.
        AsRoot::Copy(_) | AsRoot::Task => "the namespace".to_owned(),
        // It may be the target's or the controller's.
        AsRoot::Restore => format!("namespace {}", namespace.name),
    };
    Err(Problem::new(Reason::PodSecurity, format!("{which} enforces Pod Security restricted, but {must}")))
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

/// The Secret with which a restore in the namespace `to` reads what `source` has in a repository: as [`secret`].
pub(super) fn restore_secret(
    world: &World,
    protection: Option<&Protection>,
    source: &SourceId,
    to: &str,
    destination: &Destination,
) -> Result<Option<String>, Problem> {
    match destination.runs_in() {
        // The administrator's groups say it, whoever restores.
        RunIn::Controller => secret(world, protection, &source.uid, destination),
        // Another tenant has no say in how this one's Secret is used.
        RunIn::Tenant => {
            let own = protection.filter(|_| source.namespace == to);
            Ok(own.and_then(|protection| of_group(&protection.secrets, destination)))
        }
    }
}

fn of_group(secrets: &BTreeMap<String, String>, destination: &Destination) -> Option<String> {
    secrets.get(&destination.name).cloned()
}

/// The Secret of a source's group at a destination, in the place of the destination's own. Of a source that is gone nobody knows the group, and the
/// destination's own Secret may open somebody else's bucket.
pub(super) fn secret(
    world: &World,
    protection: Option<&Protection>,
    uid: &str,
    destination: &Destination,
) -> Result<Option<String>, Problem> {
    if let Some(protection) = protection {
        return Ok(of_group(&protection.secrets, destination));
    }
    if let Some(claim) = world.claim_of(uid)
        && let Some(namespace) = world.namespaces.get("", &claim.namespace)
    {
        let group = crate::select::group_of(&world.config, claim, namespace);
        return Ok(group.and_then(|g| of_group(&g.secrets, destination)));
    }
    if world.config.groups.iter().any(|g| g.secrets.contains_key(&destination.name)) {
        let destination = &destination.name;
        let message =
            format!("the PVC is gone, so it is unknown which group's Secret its copies to {destination} need");
        return Err(Problem::new(Reason::SecretNotAllowed, message));
    }
    Ok(None)
}
