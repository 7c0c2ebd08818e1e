//! What both verbs see before anything is done, and the restore pod that they ask for.

use model::facts::VolumeMode;
use model::reason::Reason;
use model::restore::{LACKS, Place, Request, RestorePoint, misfit};
use tokio::time::Instant;

use super::args::{PointArgs, Restore};
use super::done::Done;
use super::session::Session;
use super::stop::Stop;
use super::tty::Text;
use super::{central, exec, look, pod};
use crate::observe::{self, Observed, Scope};
use crate::rights::Deed;
use crate::terminal::say;

/// Says that a new volume has nothing in it. A new filesystem has this folder.
const LOOK: &str = "cd /volume && for e in * .[!.]* ..?*; do case $e in lost+found) ;; *) [ ! -e \"$e\" ] && [ ! -L \"$e\" ] || \
                    exit 1 ;; esac; done; echo empty";
const EMPTY: &str = "empty\n";

/// The highest exit code with which a restore has said what became of it.
const MOST_TOLD: i32 = 3;

/// What was seen before anything is done.
pub(super) struct Sight {
    pub(super) observed: Observed,
    pub(super) request: Request,
    pub(super) point: Option<RestorePoint>,
    /// What the PVC was that was backed up, if anything tells it.
    pub(super) mode: Option<VolumeMode>,
}

impl Sight {
    /// Refuses what does not fit: a device into a filesystem, files into a device, or one file of a device.
    pub(super) fn fits(&self, args: &Restore, written: Option<VolumeMode>) -> Result<(), Stop> {
        let misfit = misfit(&args.point.pvc, self.mode, args.target(), written, args.parts());
        misfit.map_or(Ok(()), |problem| Err(Stop::Refused(problem)))
    }
}

/// Who writes the restore point into the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// A command in the restore pod.
    Pod,
    /// The controller, asked by an annotation.
    Controller,
    /// The configuration would tell, and may not be read.
    Unknown,
}

impl Sight {
    fn writer(&self) -> Writer {
        let name = match self.point.as_ref().map(|point| &point.place) {
            Some(Place::Snapshot { .. }) => return Writer::Pod,
            Some(Place::Tree { destination, .. } | Place::Repository { destination, .. }) => destination,
            None => return Writer::Unknown,
        };
        let world = &self.observed.world;
        match world.config.destination(name).filter(|_| self.observed.knows.config) {
            Some(destination) if destination.is_central() => Writer::Controller,
            Some(_) => Writer::Pod,
            None => Writer::Unknown,
        }
    }

    /// What it takes to restore into a PVC that is there. Rights that only one of two ways needs are not asked for while
    /// it is not known which one it is.
    pub(super) fn rights<'a>(&self, session: &'a Session, args: &Restore) -> Vec<Deed<'a>> {
        let mut rights = pod::rights(session, self.writer() == Writer::Pod);
        if self.writer() == Writer::Controller && !args.dry_run {
            rights.push(session.deed("patch", "persistentvolumeclaims"));
            rights.push(session.deed("watch", "persistentvolumeclaims"));
        }
        rights
    }
}

pub(super) async fn sight(session: &Session, args: &PointArgs, target: Option<&str>) -> Result<Sight, Stop> {
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
    if let Some(over) = &point.passed_over {
        say(over);
    }
    if point.incomplete {
        say(&format!("WARNING: it is incomplete: {LACKS}"));
    }
    if let Some(finding) = &point.finding {
        say(&format!("WARNING: a check found something wrong where it is stored: {finding}"));
    }
}

/// Restores by a restore pod.
pub(super) async fn in_pod(
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
    let made = session.left.keep_claim();
    let mut keys = std::mem::take(&mut session.keys);
    let ended = exec::run(session, &pod, &command, ask.then_some(&mut keys)).await;
    session.keys = keys;
    match ended {
        Err(Stop::Failed(error)) => Err(Stop::Failed(
            error.context("the restore was interrupted; files written so far stay, and the same command continues"),
        )),
        Ok(code) => {
            if let Some(made) = made
                && is_empty(session, &pod).await
            {
                session.left.add(made);
            }
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

/// Whether nothing was written into the volume, as the pod sees it. A device is never empty.
async fn is_empty(session: &Session, pod: &str) -> bool {
    let command = ["/bin/sh", "-c", LOOK].map(str::to_owned);
    exec::heard(session, pod, &command, Text::error()).await.is_ok_and(|(code, said)| code == 0 && said == EMPTY)
}

/// Asks for a restore pod, and waits for it; gives the pod's name.
pub(super) async fn started(session: &Session, request: &Request, deadline: Instant) -> Result<String, Stop> {
    let name = pod::ask(session, request).await?;
    say(&format!("created Deployment {name}; it is deleted at the end"));
    pod::ready(session, &name, &request.to_string(), deadline).await
}
