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
            tracing::error!(%error, "cannot listen for signals");
            return Outcome { exit: Exit::Again, message: String::new() };
        }
    };
    tracing::info!(
        "ready: /volume is the volume that is written, /restore-point the restore point. Run restore.sh --help in this \
         pod: kubectl exec -it POD -- restore.sh"
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
