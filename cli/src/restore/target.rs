//! The PVC that is to be written: whether it can be, and who holds it.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::ListParams;
use model::facts::{Claim, ClaimPhase, Holder};
use model::names::Component;
use model::quantity;
use model::reason::Reason;

use super::session::Session;
use super::stop::Stop;
use super::workload::owner_text;
use crate::observe::Observed;

/// What is known of a PVC.
#[derive(Debug)]
pub(crate) enum Target {
    /// It is there.
    There(Box<PersistentVolumeClaim>),
    /// It is not.
    Gone,
    /// It may not be read.
    Unknown,
}

impl Target {
    pub(crate) fn claim(&self) -> Option<&PersistentVolumeClaim> {
        match self {
            Self::There(claim) => Some(claim),
            Self::Gone | Self::Unknown => None,
        }
    }
}

/// Looks at one PVC.
pub(crate) async fn read(session: &Session, name: &str) -> Result<Target, Stop> {
    let api: Api<PersistentVolumeClaim> = session.api();
    match api::bounded(|| format!("get persistentvolumeclaims {name}"), api.get_opt(name)).await {
        Ok(Some(claim)) => Ok(Target::There(Box::new(claim))),
        Ok(None) => Ok(Target::Gone),
        Err(error) if error.is_right_missing() => Ok(Target::Unknown),
        Err(error) => Err(Stop::asked(session.deed("get", "persistentvolumeclaims"), &error)),
    }
}

/// Whether it can be written at all.
pub(crate) fn check(observed: &Observed, claim: &PersistentVolumeClaim) -> Result<(), Stop> {
    let facts = Claim::from(claim);
    let name = &facts.id.name;
    let no = |why: String| Err(Stop::refused(Reason::TargetNotReady, format!("PVC {name} cannot be written: {why}")));
    let own = facts.ours.as_ref().is_some_and(|o| {
        matches!(
            o.component,
            Component::Promoter | Component::Disk | Component::Central | Component::Grant | Component::Target
        )
    });
    let promoter = facts.from_snapshot.as_ref() == Some(name);
    if own || (promoter && model::plan::from_our_snapshot(&observed.world, &facts)) {
        return no("it is itself a restore point or a BackupDisk; choose another PVC with --to".to_owned());
    }
    if facts.terminating {
        return no("it is being deleted".to_owned());
    }
    if facts.read_only {
        return no("it is read-only".to_owned());
    }
    match facts.phase {
        ClaimPhase::Lost => no("its volume is gone".to_owned()),
        ClaimPhase::Pending if waits_for_consumer(observed, facts.class.as_deref()) == Some(false) => {
            no(format!("it is not bound to a volume. For the reason, run: kubectl describe pvc {name}"))
        }
        _ => Ok(()),
    }
}

/// Whether volumes of the class are made at their first use; `None`: not known.
pub(crate) fn waits_for_consumer(observed: &Observed, class: Option<&str>) -> Option<bool> {
    let classes = &observed.world.classes.storage;
    let class = match class {
        Some(name) => classes.get(name),
        None => classes.values().find(|c| c.default),
    };
    class.map(|c| c.waits_for_consumer)
}

/// Whether `bytes` of data fit.
pub(crate) fn check_room(claim: &PersistentVolumeClaim, bytes: u64) -> Result<(), Stop> {
    let facts = Claim::from(claim);
    if facts.capacity == 0 || bytes <= facts.capacity {
        return Ok(());
    }
    let (bytes, room) = (quantity::human(bytes), quantity::human(facts.capacity));
    let message = format!("the restore point has {bytes} of data, but PVC {} has room for {room}", facts.id.name);
    Err(Stop::refused(Reason::TargetTooSmall, message))
}

/// The pods that mount it and have not ended; `None`: that may not be read.
pub(crate) async fn holders(session: &Session, name: &str) -> Result<Option<Vec<Pod>>, Stop> {
    let api: Api<Pod> = session.api();
    let what = || format!("list pods in namespace {}", session.namespace);
    match api::bounded(what, api.list(&ListParams::default())).await {
        Ok(list) => Ok(Some(list.items.into_iter().filter(|pod| holds(pod, name)).collect())),
        Err(error) if error.is_right_missing() => Ok(None),
        Err(error) => Err(Stop::asked(session.deed("list", "pods"), &error)),
    }
}

/// Whether the pod mounts the PVC, and has not ended.
pub(crate) fn holds(pod: &Pod, claim: &str) -> bool {
    let holder = Holder::from(pod);
    !holder.ended && holder.claims.iter().any(|c| c == claim)
}

/// The refusal that names who holds it.
pub(crate) fn in_use(name: &str, pods: &[Pod], hint: &str) -> Stop {
    const SHOWN: usize = 10;
    let mut words: Vec<String> = pods.iter().take(SHOWN).map(owner_text).collect();
    if pods.len() > SHOWN {
        words.push(format!("and {} others", pods.len() - SHOWN));
    }
    Stop::refused(Reason::TargetInUse, format!("PVC {name} is mounted by {}{hint}", words.join(", ")))
}
