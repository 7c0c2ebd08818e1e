//! `restore --scale`: looks, compares and asks first, and stops the application last (U5).
//!
//! The preview runs in the restore pod while the application runs: it only reads (law 7). Where the pod cannot mount the
//! volume beside the application, that is said before the question. L10: the application is started again if the volume
//! holds what it held before, or all of the restore point.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use model::reason::Reason;
use model::record::{Holds, RestoreResult};
use tokio::time::Instant;

use super::args::{Output, Restore, Step};
use super::done::Done;
use super::pod::{Beside, Start};
use super::session::Session;
use super::sight::{Sight, in_pod};
use super::stop::Stop;
use super::tty::Text;
use super::workload::{Found, Seen, Workload};
use super::{central, exec, pod, scale, target, zero};
use crate::terminal::say;

/// Where the restore is done.
enum Where {
    /// In this pod.
    Pod(String),
    /// In the controller's namespace.
    Central,
}

/// Restores, and stops meanwhile what mounts the volume.
pub(super) async fn restore(
    session: &mut Session,
    args: &Restore,
    sight: &Sight,
    claim: Option<&PersistentVolumeClaim>,
    ask: bool,
) -> Result<Done, Stop> {
    let name = args.target();
    let deadline = || Instant::now() + args.point.timeout.as_duration();
    let found = scale::find(session, name).await?;
    let mut rights = sight.rights(session, args);
    if !args.dry_run {
        rights.extend(scale::rights(session, &found));
    }
    session.need(&rights).await?;
    if found.is_empty() {
        if !args.dry_run {
            scale::ended(session, name, None, deadline()).await?;
        }
        return in_pod(session, args, sight, ask, deadline()).await;
    }
    let told = zero::look(session, &found, name).await?;
    let words = words(&found);
    for text in &told {
        say(text);
    }
    if args.dry_run {
        say(&format!("--scale would stop, and start again after the restore: {words}"));
        return in_pod(session, args, sight, ask, deadline()).await;
    }
    let running = found.values().any(|seen| seen.now > 0);
    let mut ready = None;
    let mut restorer = None;
    if let Some(why) = alone(claim) {
        say(&why);
    } else {
        let beside = Beside { nodes: nodes(session, name).await?, shared: shared(claim) };
        let asked = pod::ask(session, &sight.request).await?;
        say(&format!("created Deployment {asked}; it is deleted at the end"));
        let request = sight.request.to_string();
        match pod::start(session, &asked, &request, running.then_some(&beside), deadline()).await {
            Ok(Start::Ready(pod)) => ready = Some(Where::Pod(pod)),
            Ok(Start::Blocked(why)) => say(&format!("the changes cannot be shown before the application stops: {why}")),
            Err(Stop::Refused(problem)) if problem.reason == Reason::AskByAnnotation => {
                central::check(args)?;
                ready = Some(Where::Central);
            }
            Err(stop) => return Err(stop),
        }
        restorer = Some(asked);
    }
    let seen = match &ready {
        Some(Where::Pod(pod)) => {
            if let Some(done) = preview(session, args, pod).await? {
                return Ok(done);
            }
            true
        }
        Some(Where::Central) => {
            say(central::WITHOUT_PREVIEW);
            true
        }
        None => false,
    };
    consent(session, &words, running, seen, ask, name).await?;
    // What an earlier restore left stopped may lie on a mixture; only a whole restore tells that it does not.
    let earlier = found.values().any(Seen::is_left);
    session.left.set_mixture(earlier);
    scale::down(session, &found, name, restorer.as_deref(), deadline()).await?;
    let place = match ready {
        Some(place) => place,
        None => later(session, args, sight, restorer, deadline()).await?,
    };
    let pod = match place {
        Where::Pod(pod) => pod,
        Where::Central => return by_controller(session, args, earlier).await,
    };
    if !seen && ask {
        if let Some(done) = preview(session, args, &pod).await? {
            return Ok(done);
        }
        if !session.ask("Restore?").await? {
            return Err(Stop::refused(Reason::TargetInUse, "you declined the restore; nothing was written"));
        }
    }
    write(session, args, &pod, earlier).await
}

/// The restore pod that could not be there before.
async fn later(
    session: &Session,
    args: &Restore,
    sight: &Sight,
    restorer: Option<String>,
    deadline: Instant,
) -> Result<Where, Stop> {
    let restorer = if let Some(restorer) = restorer {
        restorer
    } else {
        let asked = pod::ask(session, &sight.request).await?;
        say(&format!("created Deployment {asked}; it is deleted at the end"));
        asked
    };
    match pod::ready(session, &restorer, &sight.request.to_string(), deadline).await {
        Ok(pod) => Ok(Where::Pod(pod)),
        Err(Stop::Refused(problem)) if problem.reason == Reason::AskByAnnotation => {
            central::check(args)?;
            say(central::WITHOUT_PREVIEW);
            Ok(Where::Central)
        }
        Err(stop) => Err(stop),
    }
}

/// The controller writes; the application is started again if it says so.
async fn by_controller(session: &mut Session, args: &Restore, earlier: bool) -> Result<Done, Stop> {
    let deadline = Instant::now() + args.point.timeout.as_duration();
    let done = central::request(session, args, deadline).await;
    // Otherwise it is known there whether it may have begun.
    if let Ok(Done::There(_, result)) = &done {
        settle(session, result.holds(), earlier);
    }
    done
}

/// Shows what would change. Gives the end, if it ends there: nothing was stopped or written.
async fn preview(session: &mut Session, args: &Restore, pod: &str) -> Result<Option<Done>, Stop> {
    let command = args.step(Step::Preview);
    let (code, text) = exec::heard(session, pod, &command, words_to(args)).await?;
    Ok((code != 0).then(|| Done::Ran(code, result(&text).map(Box::new))))
}

/// Writes, and decides by the result whether the application may start again.
async fn write(session: &Session, args: &Restore, pod: &str, earlier: bool) -> Result<Done, Stop> {
    let command = args.step(Step::Write { progress: io::stderr().is_terminal() });
    session.left.set_mixture(true);
    match exec::heard(session, pod, &command, words_to(args)).await {
        Ok((code, text)) => {
            let result = result(&text);
            let holds = match &result {
                Some(result) => result.holds(),
                // A command line that restore.sh does not know.
                None if code == 2 => Holds::AsBefore,
                None => Holds::Mixture,
            };
            settle(session, holds, earlier);
            Ok(Done::Ran(code, result.map(Box::new)))
        }
        // The command was not started.
        Err(Stop::Refused(problem)) => {
            settle(session, Holds::AsBefore, earlier);
            Err(Stop::Refused(problem))
        }
        Err(Stop::Failed(error)) => Err(Stop::Failed(
            error.context("the restore was interrupted; files written so far stay, and the same command continues"),
        )),
        Err(stop) => Err(stop),
    }
}

/// Where the words of restore.sh go: standard output is for its result, if that is JSON.
fn words_to(args: &Restore) -> Text {
    if args.output == Output::Text { Text::output() } else { Text::error() }
}

fn settle(session: &Session, holds: Holds, earlier: bool) {
    session.left.set_mixture(match holds {
        Holds::Whole => false,
        Holds::AsBefore => earlier,
        Holds::Mixture => true,
    });
}

/// The last line that is a result.
fn result(text: &str) -> Option<RestoreResult> {
    text.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}

/// Asks before anything is stopped.
async fn consent(
    session: &mut Session,
    words: &str,
    running: bool,
    seen: bool,
    ask: bool,
    name: &str,
) -> Result<(), Stop> {
    if !ask {
        return Ok(());
    }
    let then = if seen { "restore" } else { "show the changes and ask again, restore" };
    let question = if running {
        format!("Stop {words}, {then}, and start it again? It is down until the restore has ended.")
    } else {
        format!("Restore, and then start {words}?")
    };
    if session.ask(&question).await? {
        return Ok(());
    }
    let message = format!("you declined; nothing was stopped, and nothing was written to PVC {name}: {words}");
    Err(Stop::refused(Reason::TargetInUse, message))
}

/// What is to be stopped, for a sentence.
fn words(found: &Found) -> String {
    let word = |(workload, seen): (&Workload, &Seen)| {
        let stopped = if seen.is_left() { ", stopped since an earlier restore" } else { "" };
        format!("{workload} (replicas: {}{stopped})", seen.replicas())
    };
    found.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// Why no second pod can mount the volume at all.
fn alone(claim: Option<&PersistentVolumeClaim>) -> Option<String> {
    has_mode(claim, "ReadWriteOncePod")
        .then(|| "the changes cannot be shown before the application stops: the volume is ReadWriteOncePod".to_owned())
}

fn shared(claim: Option<&PersistentVolumeClaim>) -> bool {
    has_mode(claim, "ReadWriteMany")
}

fn has_mode(claim: Option<&PersistentVolumeClaim>, mode: &str) -> bool {
    let modes = claim.and_then(|c| c.spec.as_ref()).and_then(|s| s.access_modes.as_deref()).unwrap_or_default();
    modes.iter().any(|m| m == mode)
}

/// The nodes of the pods that mount the volume.
async fn nodes(session: &Session, name: &str) -> Result<BTreeSet<String>, Stop> {
    let pods = target::holders(session, name).await?.unwrap_or_default();
    Ok(pods.into_iter().filter_map(|pod| pod.spec?.node_name).collect())
}
