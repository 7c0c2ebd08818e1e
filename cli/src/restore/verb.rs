//! The steps of the two verbs.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use model::Timestamp;
use model::facts::{Claim, VolumeMode};
use model::reason::Reason;
use model::record::{RestoreResult, RestoreState};
use model::restore::{From, LACKS, Place, Request, RestorePoint, misfit};
use serde_json::Value;
use tokio::time::Instant;

use super::args::{Browse, Point, Restore};
use super::claim::{self, Made, New};
use super::done::Done;
use super::session::Session;
use super::stop::Stop;
use super::target::{self, Target};
use super::workload::owner_text;
use super::{central, exec, look, pod, scale};
use crate::observe::{self, Observed, Scope};
use crate::terminal::say;

/// Where the shell of `browse` begins.
const SHELL: &str = "cd /restore-point && if [ -x /bin/bash ]; then exec /bin/bash; else exec /bin/sh; fi";

/// The highest exit code with which a restore has said what became of it.
const MOST_TOLD: i32 = 3;

/// What was seen before anything is done.
struct Sight {
    observed: Observed,
    request: Request,
    point: Option<RestorePoint>,
    /// What the PVC was that was backed up, if anything tells it.
    mode: Option<VolumeMode>,
}

impl Sight {
    /// Refuses what does not fit: a device into a filesystem, files into a device, or one file of a device.
    fn fits(&self, args: &Restore, written: Option<VolumeMode>) -> Result<(), Stop> {
        let misfit = misfit(&args.point.pvc, self.mode, args.target(), written, args.parts());
        misfit.map_or(Ok(()), |problem| Err(Stop::Refused(problem)))
    }
}

async fn sight(session: &Session, args: &Point, target: Option<&str>) -> Result<Sight, Stop> {
    let scope = Scope {
        namespace: Some(session.namespace.clone()),
        names: vec![args.pvc.clone()],
        selector: None,
        backup_namespace: session.backup_namespace.clone(),
        instance: session.instance.clone(),
    };
    let observed = session.interrupt.during(Box::pin(observe::observe(&session.client, &scope))).await??;
    let request = args.request(target);
    let point = look::point(&observed, &session.namespace, &request).map_err(Stop::Refused)?;
    match &point {
        Some(point) => told(point),
        None => say("you lack permission to see all restore points: the controller selects the restore point"),
    }
    let mode = look::mode(&observed, &session.namespace, point.as_ref(), &request);
    Ok(Sight { observed, request, point, mode })
}

/// Says which restore point it is, and what is known to be wrong with it.
fn told(point: &RestorePoint) {
    say(&format!("restore point {point}"));
    if point.incomplete {
        say(&format!("WARNING: it is incomplete: {LACKS}"));
    }
    if let Some(finding) = &point.finding {
        say(&format!("WARNING: a check found something wrong where it is stored: {finding}"));
    }
}

/// Restores.
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
        (Target::Gone, Some(_)) => into_new(session, args, &sight, ask, deadline).await,
        (found, _) => {
            if args.size.is_some() || args.storage_class.is_some() || args.volume_mode.is_some() {
                let text = format!(
                    "PVC {name} exists: remove --size, --storage-class and --volume-mode, which are for a new PVC"
                );
                return Err(Stop::Usage(text));
            }
            into_old(session, args, &sight, found.claim(), deadline, ask).await?;
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
    claim::create(session, &object, args.dry_run).await?;
    if args.dry_run {
        let from = sight.point.as_ref().map_or_else(|| "the restore point".to_owned(), ToString::to_string);
        let spec = &object["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (size, mode) = (text(&spec["resources"]["requests"]["storage"]), text(&spec["volumeMode"]));
        let what = format!("PVC {name} would be created ({size}, volumeMode {mode})");
        return Ok(Done::Here(format!("{what} and filled from {from}; nothing was changed"), false));
    }
    say(&format!("created PVC {name}; it is kept"));
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

async fn new_claim(session: &Session, args: &Restore, sight: &Sight, snapshot: Option<&str>) -> Result<Value, Stop> {
    let source = target::read(session, &args.point.pvc).await?;
    let (observed, namespace, pvc) = (&sight.observed, &session.namespace, &args.point.pvc);
    let like = source.claim().map(|claim| Claim::from(claim).mode);
    let mode = args.volume_mode.or(sight.mode).or(like).unwrap_or_default();
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
        like: source.claim(),
        snapshot,
        needed,
        mode,
        size: args.size,
        class: args.storage_class.as_deref(),
    };
    new.object()
}

/// Looks whether a PVC that is there can be written, and stops what mounts it if that is asked for.
async fn into_old(
    session: &mut Session,
    args: &Restore,
    sight: &Sight,
    claim: Option<&PersistentVolumeClaim>,
    deadline: Instant,
    ask: bool,
) -> Result<(), Stop> {
    let name = args.target();
    if let Some(claim) = claim {
        target::check(&sight.observed, claim)?;
        sight.fits(args, Some(Claim::from(claim).mode))?;
        let point = sight.point.as_ref().filter(|_| !args.parts());
        let data = point.and_then(|p| look::data_size(&sight.observed, &session.namespace, &args.point.pvc, p));
        target::check_room(claim, data.unwrap_or(0))?;
    }
    if args.scale {
        return scaled(session, args, deadline, ask).await;
    }
    // Who may not list them is not helped by it.
    for (workload, replicas) in scale::left(session, name).await.unwrap_or_default() {
        say(&format!("a killed restore left {workload} scaled to 0: add --scale to scale it back to {replicas}"));
    }
    let pods = target::holders(session, name).await?.unwrap_or_default();
    if pods.is_empty() {
        return Ok(());
    }
    if pods.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()) {
        let ending: Vec<String> = pods.iter().map(owner_text).collect();
        say(&format!("PVC {name} is still mounted by {}: waiting for the pod to end", ending.join(", ")));
        return scale::ended(session, name, deadline).await;
    }
    let stop =
        target::in_use(name, &pods, ": add --scale to stop Deployments and StatefulSets, and to start them again");
    if !args.dry_run {
        return Err(stop);
    }
    say(&stop.text());
    Ok(())
}

/// `--scale`.
async fn scaled(session: &mut Session, args: &Restore, deadline: Instant, ask: bool) -> Result<(), Stop> {
    let name = args.target();
    let found = scale::find(session, name).await?;
    if found.is_empty() {
        return if args.dry_run { Ok(()) } else { scale::ended(session, name, deadline).await };
    }
    let words: Vec<String> = found.iter().map(|(workload, n)| format!("{workload} (replicas: {n})")).collect();
    let words = words.join(", ");
    if args.dry_run {
        say(&format!("--scale would scale to 0, and back after the restore: {words}"));
        return Ok(());
    }
    for hpa in scale::autoscalers(session, &found).await {
        say(&format!("HorizontalPodAutoscaler {hpa} is inactive while there are 0 replicas"));
    }
    if ask && !session.ask(&format!("Scale to 0, and back after the restore: {words}?")).await? {
        return Err(Stop::refused(
            Reason::TargetInUse,
            format!("PVC {name} is mounted, and you declined to scale to 0: {words}"),
        ));
    }
    scale::down(session, found, name, deadline).await
}

/// Restores by a restore pod.
async fn in_pod(
    session: &mut Session,
    args: &Restore,
    sight: &Sight,
    ask: bool,
    deadline: Instant,
) -> Result<Done, Stop> {
    let pod = match started(session, &sight.request, deadline).await {
        Err(Stop::Refused(problem)) if problem.reason == Reason::AskByAnnotation => {
            return central::restore(session, args, ask, deadline).await;
        }
        started => started?,
    };
    let command = args.command(ask);
    let mut keys = std::mem::take(&mut session.keys);
    let ended = exec::run(session, &pod, &command, ask.then_some(&mut keys)).await;
    session.keys = keys;
    match ended {
        Err(Stop::Failed(error)) => Err(Stop::Failed(
            error.context("the restore was interrupted; files written so far stay, and the same command continues"),
        )),
        Ok(code) => {
            if code > MOST_TOLD {
                say(&format!(
                    "restore.sh ended with exit code {code}; files written so far stay, and the same command continues"
                ));
            }
            Ok(Done::Told(code))
        }
        Err(stop) => Err(stop),
    }
}

/// Asks for a restore pod, and waits for it; gives the pod's name.
async fn started(session: &Session, request: &Request, deadline: Instant) -> Result<String, Stop> {
    let name = pod::ask(session, request).await?;
    say(&format!("created Deployment {name}; it is deleted at the end"));
    pod::ready(session, &name, &request.to_string(), deadline).await
}

/// A shell beside the restore point.
pub(crate) async fn browse(session: &mut Session, args: &Browse) -> Result<Done, Stop> {
    let deadline = Instant::now() + args.point.timeout.as_duration();
    let sight = sight(session, &args.point, args.to.as_deref()).await?;
    let name = args.to.as_deref().unwrap_or(&args.point.pvc);
    let point = sight.point.as_ref();
    if point.is_some_and(|p| matches!(p.place, Place::Repository { .. }))
        || matches!(sight.request.from, From::Restic(_))
    {
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
    RestoreResult { state, problem: None, finished: now, changed: 0, deleted: 0, bytes: 0, seconds: 0 }
}
