//! Signals: the first one ends what is under way, and what was made is taken back; the second ends the program.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::stop::Stop;
use super::undo::Left;
use crate::terminal::say;

/// Hears the first signal.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(watch::Receiver<Option<u8>>);

const INTERRUPT: u8 = 2;
const HANGUP: u8 = 1;
const TERMINATE: u8 = 15;

impl Interrupt {
    /// From now on signals do not end the program by themselves.
    pub(crate) fn listen(left: Left) -> anyhow::Result<Self> {
        let (sender, receiver) = watch::channel(None);
        let mut signals =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
        tokio::spawn(async move {
            let first = next(&mut signals).await;
            say("interrupted: cleaning up (interrupt again to stop at once, without the cleanup)");
            // Who waits may have ended.
            let _ = sender.send(Some(first));
            let second = next(&mut signals).await;
            for line in left.lines() {
                say(&line);
            }
            std::process::exit(i32::from(128 + second));
        });
        Ok(Self(receiver))
    }

    /// One that never comes, and what makes it come.
    #[cfg(test)]
    pub(crate) fn by_hand() -> (watch::Sender<Option<u8>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// Does the work unless a signal comes, or came. What must not be cut off, such as a request that makes
    /// something, is done outside of it.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let mut receiver = self.0.clone();
        let signalled = async {
            match receiver.wait_for(Option::is_some).await {
                Ok(number) => number.unwrap_or(INTERRUPT),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            number = signalled => Err(Stop::Signal(number)),
            done = work => Ok(done),
        }
    }
}

async fn next((interrupt, terminate, hangup): &mut (Signal, Signal, Signal)) -> u8 {
    tokio::select! {
        _ = interrupt.recv() => INTERRUPT,
        _ = terminate.recv() => TERMINATE,
        _ = hangup.recv() => HANGUP,
    }
}
