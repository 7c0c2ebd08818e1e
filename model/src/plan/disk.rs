//! The way from a namespace to a disk: what of it is there, and the next part to make.

use k8s_openapi::jiff::Timestamp;

use super::action::{Action, DiskStep, Todo};
use super::ended::outlived;
use super::placement::binds_on_use;
use crate::config::{Destination, Disk, Reach};
use crate::facts::{Claim, ClaimPhase, JobState};
use crate::names::{self, Component, FolderOf};
use crate::reason::{Problem, Reason};
use crate::record::KeepResult;
use crate::world::World;

/// How long a keeper's failure stands before it is tried again, in seconds.
const KEEPER_PAUSE: u64 = 300;

/// Why a disk cannot be used yet, and what is done about it.
pub(super) struct NotReady {
    pub(super) problem: Problem,
    /// What makes the next part of the way to it, or clears that away.
    pub(super) todo: Todo,
}

impl From<Problem> for NotReady {
    fn from(problem: Problem) -> Self {
        Self { problem, todo: Todo::none() }
    }
}

fn not_ready<T>(reason: Reason, message: impl Into<String>) -> Result<T, NotReady> {
    Err(Problem::new(reason, message).into())
}

/// The PVC of a destination's disk in a namespace, if a copy can use it; `None` if its pods mount no disk.
pub(super) fn ready<'a>(
    world: &'a World,
    destination: &Destination,
    namespace: &str,
    now: Timestamp,
) -> Result<Option<&'a Claim>, NotReady> {
    let Some(name) = destination.disk_claim() else { return Ok(None) };
    let Some(claim) = world.claims.get(namespace, &name) else {
        let step = missing(world, destination, namespace, now)?;
        return Err(NotReady {
            problem: Problem::new(Reason::DiskNotReady, format!("PVC {name} is being created")),
            todo: Todo::step(Action::MakeDisk {
                step,
                destination: destination.name.clone(),
                namespace: namespace.to_owned(),
            }),
        });
    };
    let ours = claim.ours.as_ref().is_some_and(|o| o.instance == world.instance && o.component == Component::Disk);
    if !ours {
        let message = format!("PVC {name} exists but is not a BackupDisk of this installation; set another claim.name");
        return not_ready(Reason::NameTaken, message);
    }
    if claim.terminating || claim.phase == ClaimPhase::Lost {
        return not_ready(Reason::DiskNotReady, format!("PVC {name} is being deleted or lost its volume"));
    }
    if claim.phase == ClaimPhase::Bound || binds_on_use(world, claim) {
        return Ok(Some(claim));
    }
    not_ready(Reason::DiskNotReady, format!("PVC {name} is not bound yet"))
}

/// The part to make next.
fn missing(world: &World, destination: &Destination, namespace: &str, now: Timestamp) -> Result<DiskStep, NotReady> {
    match destination.reach() {
        Reach::Disk(Disk::Claim(claim)) => {
            let by_default = || world.classes.storage.values().find(|c| c.default);
            let class = match &claim.storage_class {
                Some(name) => world.classes.storage.get(name).ok_or_else(|| {
                    let message = format!("destination {}: there is no StorageClass {name}", destination.name);
                    Problem::new(Reason::DiskNotReady, message)
                })?,
                None => by_default().ok_or_else(|| {
                    let message = format!("destination {}: the cluster has no default StorageClass", destination.name);
                    Problem::new(Reason::DiskNotReady, message)
                })?,
            };
            if !class.retained && !claim.allow_delete {
                let message = format!(
                    "destination {}: StorageClass {} has reclaimPolicy Delete, so the disk would be deleted with its PVC",
                    destination.name, class.name
                );
                return not_ready(Reason::DiskNotRetained, message);
            }
            Ok(DiskStep::Claim)
        }
        Reach::Disk(Disk::HostPath(_)) => {
            let folder = FolderOf { destination: &destination.name, namespace };
            let name = names::disk_volume(&world.instance, folder);
            if let Some(volume) = world.volumes.get("", &name) {
                let ours = volume.ours.as_ref();
                if ours.is_some_and(|o| o.instance == world.instance && o.component == Component::Disk) {
                    // A volume that had a claim binds to no other by itself: that keeps its data apart.
                    if volume.claim_uid.is_some() {
                        return not_ready(Reason::DiskNotReady, released(&name));
                    }
                    return Ok(DiskStep::HostClaim);
                }
                let message = format!("PersistentVolume {name} exists but is not a BackupDisk of this installation");
                return not_ready(Reason::NameTaken, message);
            }
            keeper(world, destination, namespace, now)
        }
        Reach::Network => {
            not_ready(Reason::UnknownDestination, format!("destination {} is not a disk", destination.name))
        }
    }
}

/// What gives a volume whose claim was deleted to the namespace again.
fn released(volume: &str) -> String {
    format!(
        "PersistentVolume {volume} was bound to another PVC before. To use its data again: \
         kubectl patch pv {volume} --type=json -p '[{{\"op\":\"remove\",\"path\":\"/spec/claimRef/uid\"}}]'"
    )
}

/// The static volume follows once the keeper has seen the disk and made the folder.
fn keeper(world: &World, destination: &Destination, namespace: &str, now: Timestamp) -> Result<DiskStep, NotReady> {
    let name = names::keeper_job(&world.instance, FolderOf { destination: &destination.name, namespace });
    let Some(job) = world.jobs.get(&world.namespace, &name) else {
        return Ok(DiskStep::Keeper);
    };
    // A1: in its pod another container may run on.
    let own_end = outlived(world, job).and_then(|(pod, _)| pod.ended.as_ref()).map(|(code, _)| *code);
    let state = match (job.state, own_end) {
        (JobState::Active, Some(0)) => JobState::Complete,
        (JobState::Active, Some(_)) => JobState::Failed,
        (state, _) => state,
    };
    match state {
        JobState::Complete => Ok(DiskStep::Volume),
        JobState::Active => {
            let stuck = world.pods_of(job).find_map(|p| p.unschedulable.as_ref()).map(|u| u.message.clone());
            let message = match stuck {
                Some(why) => format!("the pod that checks the host's disk cannot be scheduled on its node: {why}"),
                None => "a Job is checking the host's disk".to_owned(),
            };
            not_ready(Reason::DiskNotReady, message)
        }
        JobState::Failed => {
            let again = crate::duration::Span::from_secs(KEEPER_PAUSE).after(job.created);
            let delete = Action::DeleteJob { namespace: job.namespace.clone(), id: job.id.clone() };
            let told = world
                .pods_of(job)
                .filter_map(|p| p.ended.as_ref())
                .find_map(|(_, text)| serde_json::from_str::<KeepResult>(text).ok()?.problem);
            let problem = told.unwrap_or_else(|| {
                let why = job.failure.clone().map(|(_, m)| m).unwrap_or_default();
                Problem::new(Reason::DiskNotReady, format!("Job {name}, which checks the host's disk, failed: {why}"))
            });
            Err(NotReady { problem, todo: if now >= again { Todo::step(delete) } else { Todo::again(again) } })
        }
    }
}
