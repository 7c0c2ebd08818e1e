//! Taking back what a call made, whatever happened.

use super::session::Session;
use super::stop::Stop;
use super::undo::Undo;
use super::{central, pod, scale};
use crate::terminal::say;

/// Takes back what was made, the newest first. Its own failures do not hide how the restore ended.
pub(crate) async fn tidy<T>(session: &Session, result: Result<T, Stop>) -> Result<T, Stop> {
    let mut failed = None;
    for undo in session.left.all() {
        let done = match &undo {
            Undo::Delete { resource, name } => delete(session, resource, name).await,
            Undo::Ask { pvc } => central::withdraw(session, pvc).await,
            Undo::Scale { workload, replicas } => scale::back(session, workload, *replicas).await,
        };
        match done {
            Ok(()) => session.left.done(&undo),
            Err(stop) => failed = Some(stop),
        }
    }
    let Some(stop) = failed else { return result };
    say(&stop.text());
    for line in session.left.lines() {
        say(&line);
    }
    result
        .and(Err(Stop::Failed(anyhow::anyhow!("the restore is done, but the cleanup failed: run the commands above"))))
}

async fn delete(session: &Session, resource: &'static str, name: &str) -> Result<(), Stop> {
    pod::remove(session, resource, name).await?;
    // What gets its replicas back must not meet the restore pod at its volume.
    let waits = session.left.all().iter().any(|u| matches!(u, Undo::Scale { .. }));
    if waits && resource == pod::DEPLOYMENTS && !pod::gone(session, name).await {
        say(&format!("the pod of Deployment {name} is still terminating"));
    }
    Ok(())
}
