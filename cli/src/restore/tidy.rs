//! Taking back what a call made, whatever happened.

use super::done::Done;
use super::session::Session;
use super::stop::Stop;
use super::undo::Undo;
use super::{central, claim, pod, scale};
use crate::exit::ATTENTION;
use crate::terminal::say;

/// Takes back what was made, the newest first. Its own failures do not hide how the restore ended.
pub(crate) async fn tidy(session: &Session, result: Result<Done, Stop>) -> Result<Done, Stop> {
    // L10: it does not start on a volume that may hold a mixture.
    let stopped = if session.left.is_mixture() { session.left.keep_stopped() } else { Vec::new() };
    let mut failed = None;
    let mut back = Vec::new();
    for undo in session.left.all() {
        let done = match &undo {
            Undo::Delete { resource, name } => delete(session, resource, name).await,
            Undo::Claim { name, uid } => claim::delete(session, name, uid).await,
            Undo::Ask { pvc, request } => central::withdraw(session, pvc, request).await,
            Undo::Scale { workload, replicas } => {
                back.push((workload.clone(), *replicas));
                scale::back(session, workload, *replicas).await
            }
        };
        match done {
            Ok(()) => session.left.done(&undo),
            Err(stop) => failed = Some(stop),
        }
    }
    for (workload, replicas) in back.iter().filter(|_| failed.is_none()) {
        scale::awaited(session, workload, *replicas).await;
    }
    for line in &stopped {
        say(line);
    }
    let result = if stopped.is_empty() { result } else { half(result) };
    let Some(stop) = failed else { return result };
    say(&stop.text());
    for line in session.left.lines() {
        say(&line);
    }
    result
        .and(Err(Stop::Failed(anyhow::anyhow!("the restore is done, but the cleanup failed: run the commands above"))))
}

/// L10: how a restore ended whose application stays stopped. A signal keeps its number.
fn half(result: Result<Done, Stop>) -> Result<Done, Stop> {
    match result {
        Ok(Done::Ran(_, result)) => Ok(Done::Ran(i32::from(ATTENTION), result)),
        Ok(Done::There(point, result)) => Ok(Done::Half(point, result)),
        Ok(done) => Ok(done),
        Err(Stop::Failed(error)) => Err(Stop::Half(error)),
        Err(stop) => Err(stop),
    }
}

async fn delete(session: &Session, resource: &'static str, name: &str) -> Result<(), Stop> {
    pod::remove(session, resource, name).await?;
    // U8: whoever comes next must not meet it at the volume: the application, or the next restore.
    if resource == pod::DEPLOYMENTS && !pod::gone(session, name).await {
        say(&format!("the pod of Deployment {name} is still terminating"));
    }
    Ok(())
}
