//! `backup-job idle`: the main process of a restore pod, in which people run `backup-job restore`.

use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

use crate::outcome::{Exit, Outcome};

/// Waits for a signal to end. As process 1 it also takes leave of what others left behind.
pub(crate) async fn run() -> Outcome {
    let listen =
        || Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::child())?));
    let (mut term, mut int, mut child) = match listen() {
        Ok(signals) => signals,
        Err::<_, std::io::Error>(error) => {
            tracing::error!(%error, "cannot handle signals");
            return Outcome { exit: Exit::Again, message: String::new() };
        }
    };
    tracing::info!(
        "ready: a restore writes to /volume. The restore point is at /restore-point, unless it is in a restic \
         repository. For help, run: kubectl exec -it POD -- restore.sh --help"
    );
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = child.recv() => while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {},
        }
    }
    Outcome { exit: Exit::Done, message: String::new() }
}
