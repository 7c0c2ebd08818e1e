//! The person's side of a command in a pod: keys and window in, text out.
//!
//! Reads and writes that may block for ever are done by threads of their own, which nobody waits for.

use std::io::{self, IsTerminal as _, Write as _};
use std::thread;

use kube::api::TerminalSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::{mpsc, oneshot};

/// The terminal in raw mode: each key goes to the pod, Ctrl-C too. Its end sets the terminal back.
#[derive(Debug)]
pub(crate) struct Raw(Option<Termios>);

impl Raw {
    /// Nothing if standard input is no terminal.
    pub(crate) fn set() -> io::Result<Self> {
        if !io::stdin().is_terminal() {
            return Ok(Self(None));
        }
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self(Some(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // The terminal may be gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, before);
        }
    }
}

/// The size of the window, if there is one.
pub(crate) fn window() -> Option<TerminalSize> {
    let size = tcgetwinsize(io::stdin()).ok().filter(|size| size.ws_col > 0)?;
    Some(TerminalSize { width: size.ws_col, height: size.ws_row })
}

/// Standard input.
#[derive(Debug, Default)]
pub(crate) struct Keys(Option<mpsc::Receiver<Vec<u8>>>);

impl Keys {
    /// What was typed; `None`: nothing more comes.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        self.0.get_or_insert_with(read).recv().await
    }

    /// A line that was typed, while the terminal is not raw.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while !line.contains(&b'\n') {
            match self.next().await {
                Some(bytes) => line.extend(bytes),
                None if line.is_empty() => return None,
                None => break,
            }
        }
        Some(String::from_utf8_lossy(&line).trim().to_owned())
    }

    /// Line by line, as a terminal gives them.
    #[cfg(test)]
    pub(crate) fn lines(text: &str) -> Self {
        let (sender, receiver) = mpsc::channel(8);
        for line in text.split_inclusive('\n') {
            // The channel has room for it.
            let _ = sender.try_send(line.as_bytes().to_vec());
        }
        Self(Some(receiver))
    }

    #[cfg(test)]
    pub(crate) fn typed(text: &str) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        // The channel has room for it.
        let _ = sender.try_send(text.as_bytes().to_vec());
        Self(Some(receiver))
    }
}

fn read() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(16);
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        loop {
            match rustix::io::read(io::stdin(), &mut buffer) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(0) | Err(_) => return,
                Ok(n) if sender.blocking_send(buffer[..n].to_vec()).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    receiver
}

/// Standard output or error.
#[derive(Debug)]
pub(crate) struct Text {
    sender: mpsc::Sender<Vec<u8>>,
    end: oneshot::Receiver<()>,
}

impl Text {
    pub(crate) fn output() -> Self {
        Self::new(|bytes| {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        })
    }

    pub(crate) fn error() -> Self {
        Self::new(|bytes| io::stderr().lock().write_all(bytes))
    }

    fn new(write: fn(&[u8]) -> io::Result<()>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(16);
        let (ended, end) = oneshot::channel();
        thread::spawn(move || {
            while let Some(bytes) = receiver.blocking_recv() {
                if write(&bytes).is_err() {
                    return;
                }
            }
            // Who waits may have ended.
            let _ = ended.send(());
        });
        Self { sender, end }
    }

    /// `false`: nobody reads it any more.
    pub(crate) async fn put(&self, bytes: Vec<u8>) -> bool {
        self.sender.send(bytes).await.is_ok()
    }

    /// Waits until all is written.
    pub(crate) async fn flush(self) {
        drop(self.sender);
        // It ends without a word if nobody reads.
        let _ = self.end.await;
    }
}
