//! A wire to the S3 server that is cut before a certain request: what came before it was done, and nothing after it is.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// A port that leads to a server.
pub(crate) struct Wire {
    pub(crate) port: u16,
    reached: Receiver<()>,
}

/// Where the wire is cut.
struct Cut {
    method: &'static str,
    folder: &'static str,
    left: AtomicUsize,
    done: AtomicBool,
    reached: Sender<()>,
}

impl Wire {
    /// Cut before the `nth` request of this method for something in this folder of the repository.
    pub(crate) fn new(server: u16, method: &'static str, folder: &'static str, nth: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, reached) = channel();
        let cut = Arc::new(Cut { method, folder, left: nth.into(), done: AtomicBool::new(false), reached: sender });
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let (answers, back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let cut = Arc::clone(&cut);
                thread::spawn(move || carry(client, server, &|request| cut.is_before(request)));
                thread::spawn(move || carry(answers, back, &|_| false));
            }
        });
        Self { port, reached }
    }

    /// Waits until somebody sends the request.
    #[track_caller]
    pub(crate) fn await_cut(&self) {
        self.reached.recv_timeout(Duration::from_secs(60)).expect("the request was never sent");
    }
}

impl Cut {
    /// Whether what is sent comes no further. A client awaits each answer, so a request begins where a read begins.
    fn is_before(&self, sent: &[u8]) -> bool {
        let line = String::from_utf8_lossy(sent.split(|byte| *byte == b'\r').next().unwrap_or_default());
        let named = format!("/uid-1/{}/", self.folder);
        let counts = line.starts_with(&format!("{} /", self.method)) && line.contains(&named);
        if counts && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.done.store(true, Ordering::SeqCst);
            self.reached.send(()).unwrap();
        }
        self.done.load(Ordering::SeqCst)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, cut: &dyn Fn(&[u8]) -> bool) {
    let mut chunk = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        // The other direction keeps the connection open: to the client nothing has happened.
        if cut(&chunk[..count]) {
            return;
        }
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
