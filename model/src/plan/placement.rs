//! Where a pod can run that copies or compares, and what it occupies there.

use crate::admit::Slot;
use crate::config::{Destination, Disk, Reach};
use crate::facts::Claim;
use crate::names::SourceId;
use crate::reason::{Problem, Reason};
use crate::world::World;

/// Whether a PVC gets its volume only when a pod first mounts it.
pub(super) fn binds_on_use(world: &World, claim: &Claim) -> bool {
    claim.class.as_ref().and_then(|c| world.classes.storage.get(c)).is_some_and(|c| c.waits_for_consumer)
}

pub(super) fn slot(destination: &Destination, source: &SourceId, node: Option<String>) -> Slot {
    let SourceId { namespace, uid, .. } = source;
    // A host's disk is one, whatever the namespace; a PVC is one in each; a repository is one for each source.
    let disk = match destination.reach() {
        Reach::Disk(Disk::HostPath(_)) => destination.name.clone(),
        Reach::Disk(Disk::Claim(_)) => format!("{}/{namespace}", destination.name),
        Reach::Network => format!("{}/{namespace}/{uid}", destination.name),
    };
    Slot {
        namespace: namespace.clone(),
        destination: destination.name.clone(),
        disk,
        node,
        breaker: destination.breaker(namespace),
        begun: None,
    }
}

/// The node that can have a PVC's volume, if it is the only one.
pub(super) fn only_node(world: &World, claim: &Claim) -> Option<String> {
    let terms = world.volumes.get("", claim.volume.as_ref()?)?.nodes.as_ref()?;
    let mut fit = world.nodes.iter().filter(|n| terms.iter().any(|term| term.matches(&n.labels)));
    fit.next().filter(|_| fit.next().is_none()).map(|n| n.name.clone())
}

/// The node that can have both volumes, if it is the only one; an error if none can (F40).
pub(super) fn common_nodes(world: &World, promoter: &Claim, disk: &Claim) -> Result<Option<String>, Problem> {
    let terms =
        |claim: &Claim| claim.volume.as_ref().and_then(|v| world.volumes.get("", v)).and_then(|v| v.nodes.clone());
    let (a, b) = (terms(promoter), terms(disk));
    if a.is_none() && b.is_none() {
        return Ok(None);
    }
    let fits = |terms: &Option<Vec<_>>, labels: &_| {
        terms.as_ref().is_none_or(|t: &Vec<crate::facts::NodeTerm>| t.iter().any(|term| term.matches(labels)))
    };
    let mut common = world.nodes.iter().filter(|n| fits(&a, &n.labels) && fits(&b, &n.labels));
    match (common.next(), common.next()) {
        (None, _) => {
            let message = format!("no node can mount both PVC {} and PVC {}", promoter.id.name, disk.id.name);
            Err(Problem::new(Reason::NodeConflict, message))
        }
        (Some(only), None) => Ok(Some(only.name.clone())),
        _ => Ok(None),
    }
}
