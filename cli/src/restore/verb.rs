//! The steps of the two verbs.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use model::Timestamp;
use model::facts::{Claim, VolumeMode};
use model::reason::Reason;
use model::record::{RestoreResult, RestoreState, Volume};
use model::restore::{From, Place};
use serde_json::Value;
use tokio::time::Instant;

use super::args::{Browse, Restore};
use super::claim::{self, Made, New};
use super::done::Done;
use super::session::Session;
use super::sight::{Sight, in_pod, sight, started};
use super::stop::Stop;
use super::target::{self, Target};
use super::undo::Undo;
use super::workload::owner_text;
use super::{exec, look, pod, protected, scale, scaled};
use crate::terminal::say;

/// Where the shell of `browse` begins.
const SHELL: &str = "cd /restore-point && if [ -x /bin/bash ]; then exec /bin/bash; else exec /bin/sh; fi";

pub(crate) async fn restore(session: &mut Session, args: &Restore, ask: bool) -> Result<Done, Stop> {
    let deadline = Instant::now() + args.point.timeout.as_duration();
    let sight = sight(session, &args.point, args.to.as_deref()).await?;
    if let Some(point) = sight.point.as_ref().filter(|_| args.delete) {
        // L2: before a PVC is created or a workload is stopped.
        point.may_delete().map_err(Stop::Refused)?;
    }
    let name = args.target();
    match (target::read(session, name).await?, &args.to) {
        (Target::Gone, None) => {
            let message = format!("PVC {name} is gone: add --to {name} to create it again, or --to with another name");
            Err(Stop::refused(Reason::TargetNotReady, message))
        }
        (Target::Gone, Some(_)) => {
            let done = into_new(session, args, &sight, ask, deadline).await?;
            if !args.dry_run {
                protected::told(session, name).await?;
            }
            Ok(done)
        }
        (found, _) => {
            if args.size.is_some() || args.storage_class.is_some() || args.volume_mode.is_some() {
                let text = format!(
                    "PVC {name} exists: remove --size, --storage-class and --volume-mode, which are for a new PVC"
                );
                return Err(Stop::Usage(text));
            }
            check_old(session, args, &sight, found.claim())?;
            if args.scale {
                return Box::pin(scaled::restore(session, args, &sight, found.claim(), ask)).await;
            }
            session.need(&sight.rights(session, args)).await?;
            unused(session, args, deadline).await?;
            in_pod(session, args, &sight, ask, deadline).await
        }
    }
}

/// Makes the PVC, and fills it.
async fn into_new(
    session: &mut Session,
    args: &Restore,
    sight: &Sight,
    ask: bool,
    deadline: Instant,
) -> Result<Done, Stop> {
    let name = args.target();
    let snapshot = look::snapshot(sight.point.as_ref()).filter(|_| !args.parts());
    let object = new_claim(session, args, sight, snapshot).await?;
    if !args.dry_run {
        let mut rights = claim::rights(session);
        if snapshot.is_none() {
            rights.extend(sight.rights(session, args));
        }
        session.need(&rights).await?;
    }
    let uid = claim::create(session, &object, args.dry_run).await?;
    if args.dry_run {
        let from = sight.point.as_ref().map_or_else(|| "the restore point".to_owned(), ToString::to_string);
        let spec = &object["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (size, mode) = (text(&spec["resources"]["requests"]["storage"]), text(&spec["volumeMode"]));
        let class =
            spec["storageClassName"].as_str().map(|class| format!(", StorageClass {class}")).unwrap_or_default();
        let what = format!("PVC {name} would be created ({size}, volumeMode {mode}{class})");
        return Ok(Done::Here(format!("{what} and filled from {from}; nothing was changed"), false));
    }
    if snapshot.is_none() {
        session.left.add(Undo::Claim { name: name.to_owned(), uid });
    }
    say(&format!("created PVC {name}{}", brought(&object)));
    let made = claim::bound(session, name, deadline).await?;
    if snapshot.is_none() {
        return in_pod(session, args, sight, ask, deadline).await;
    }
    Ok(match made {
        Made::Bound => Done::Here(format!("PVC {name} contains the data of the restore point"), false),
        Made::AtFirstUse => {
            let snapshot = snapshot.unwrap_or_default();
            let text = format!(
                "PVC {name} is created. The storage fills it when a pod first mounts it. Keep the snapshot until then: \
                 kubectl backup hold {snapshot}"
            );
            Done::Here(text, true)
        }
    })
}

/// What the PVC that was made again has of the one that is gone.
fn brought(object: &Value) -> String {
    let keys = |of: &str| object["metadata"][of].as_object().into_iter().flat_map(|map| map.keys());
    let keys: Vec<&str> = keys("labels").chain(keys("annotations")).map(String::as_str).collect();
    if keys.is_empty() { String::new() } else { format!(". From the PVC that is gone it has {}", keys.join(", ")) }
}

async fn new_claim(session: &Session, args: &Restore, sight: &Sight, snapshot: Option<&str>) -> Result<Value, Stop> {
    let source = target::read(session, &args.point.pvc).await?;
    let (observed, namespace, pvc) = (&sight.observed, &session.namespace, &args.point.pvc);
    let like = match source.claim() {
        Some(claim) => Some(Volume::of(&Claim::from(claim))),
        None => look::volume(observed, sight.point.as_ref(), &sight.request).cloned(),
    };
    let mode = args.volume_mode.or(sight.mode).or(like.as_ref().map(|l| l.mode)).unwrap_or_default();
    sight.fits(args, Some(mode))?;
    let needed = match (snapshot, &sight.point) {
        (Some(snapshot), _) => look::restore_size(observed, namespace, snapshot),
        // Files may need less than their volume had; an image needs all of it.
        (None, Some(point)) if mode.is_block() => look::device_size(observed, namespace, pvc, point),
        _ => 0,
    };
    let new = New {
        namespace: &session.namespace,
        name: args.target(),
        like: like.as_ref(),
        again: source.claim().is_none() && args.target() == pvc,
        snapshot,
        needed,
        mode,
        size: args.size,
        class: args.storage_class.as_deref(),
    };
    new.object()
}

/// Looks whether a PVC that is there can be written.
fn check_old(
    session: &Session,
    args: &Restore,
    sight: &Sight,
    claim: Option<&PersistentVolumeClaim>,
) -> Result<(), Stop> {
    let Some(claim) = claim else { return Ok(()) };
    target::check(&sight.observed, claim)?;
    sight.fits(args, Some(Claim::from(claim).mode))?;
    let point = sight.point.as_ref().filter(|_| !args.parts());
    let data = point.and_then(|p| look::data_size(&sight.observed, &session.namespace, &args.point.pvc, p));
    target::check_room(claim, data.unwrap_or(0))
}

/// Waits until pods that end have ended, and refuses a PVC that others mount.
async fn unused(session: &Session, args: &Restore, deadline: Instant) -> Result<(), Stop> {
    let name = args.target();
    // Who may not list them is not helped by it.
    for (workload, seen) in scale::left(session, name).await.unwrap_or_default() {
        let replicas = seen.replicas();
        say(&format!(
            "an earlier restore left {workload} stopped: with --scale, a restore that succeeds scales it back to {replicas}"
        ));
    }
    let pods = target::holders(session, name).await?.unwrap_or_default();
    if pods.is_empty() {
        return Ok(());
    }
    if pods.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()) {
        let ending: Vec<String> = pods.iter().map(owner_text).collect();
        say(&format!("PVC {name} is still mounted by {}: waiting for the pod to end", ending.join(", ")));
        return scale::ended(session, name, None, deadline).await;
    }
    let stop =
        target::in_use(name, &pods, ": add --scale to stop Deployments and StatefulSets, and to start them again");
    if !args.dry_run {
        return Err(stop);
    }
    say(&stop.text());
    Ok(())
}

/// A shell beside the restore point.
pub(crate) async fn browse(session: &mut Session, args: &Browse) -> Result<Done, Stop> {
    let deadline = Instant::now() + args.point.timeout.as_duration();
    let sight = sight(session, &args.point, args.to.as_deref()).await?;
    let name = args.to.as_deref().unwrap_or(&args.point.pvc);
    let point = sight.point.as_ref();
    let found = point.is_some_and(|point| match point.place {
        Place::Repository { .. } => true,
        Place::Snapshot { .. } | Place::Tree { .. } => false,
    });
    let asked = match sight.request.from {
        From::Restic(_) => true,
        From::Any | From::Snapshot | From::Disk(_) | From::Destination(_) => false,
    };
    if found || asked {
        let text = format!(
            "a restic repository cannot be mounted, so browse cannot open it. Restore a PATH of it, or all of it into \
             a new PVC (kubectl backup restore {} --to NEW), or list its files with restic ls",
            args.point.pvc
        );
        return Err(Stop::Usage(text));
    }
    let target = target::read(session, name).await?;
    let mode = sight.mode.or_else(|| target.claim().map(|claim| Claim::from(claim).mode));
    if mode.is_some_and(VolumeMode::is_block) {
        let text = format!(
            "browse shows files, and a raw block volume has none. Restore it into a new PVC (kubectl backup restore {} \
             --to NEW), and open that in your own pod",
            args.point.pvc
        );
        return Err(Stop::Usage(text));
    }
    if matches!(target, Target::Gone) {
        let message = format!(
            "PVC {name} is gone, and the pod must mount a PVC beside the restore point: name any PVC with --to"
        );
        return Err(Stop::refused(Reason::TargetNotReady, message));
    }
    session.need(&pod::rights(session, true)).await?;
    let pod = started(session, &sight.request, deadline).await?;
    say(
        "the restore point is at /restore-point (read-only), the PVC at /volume; `exit` ends the shell and deletes the \
         pod",
    );
    let command = ["/bin/sh", "-c", SHELL].map(str::to_owned);
    let mut keys = std::mem::take(&mut session.keys);
    let ended = exec::run(session, &pod, &command, Some(&mut keys)).await;
    // The shell's code is that of whatever was typed last.
    ended.map(|_| Done::Told(0))
}

/// The result of a restore that the storage does.
pub(crate) fn without_pod(waiting: bool, now: Timestamp) -> RestoreResult {
    let state = if waiting { RestoreState::Waiting } else { RestoreState::Complete };
    RestoreResult { state, problem: None, finished: now, changed: 0, deleted: 0, bytes: 0, seconds: 0, wrote: None }
}
