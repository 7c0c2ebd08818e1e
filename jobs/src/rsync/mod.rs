//! How rsync is run and listened to, for every step that moves files.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

mod report;

pub(crate) use report::{Report, Stats, Task, Verdict};

/// How often a signal is looked for while rsync says nothing.
const TICK: Duration = Duration::from_millis(200);
/// How long rsync has to end after it was asked to; a pod has 30 seconds in all.
const GRACE: Duration = Duration::from_secs(10);
/// Longer lines are cut: no name is that long, even escaped.
const LINE: usize = 20 * 1024;
/// Lines of rsync's that go to the log; the rest is counted.
const LOGGED: u32 = 50;

/// What makes rsync tell what [`Report`] reads.
pub(crate) const TELL: [&str; 4] = ["--stats", "--no-human-readable", "--info=progress2", "--outbuf=L"];

/// rsync's options for moving files as they are. `root`: we are it. `nanoseconds`: both sides keep them.
pub(crate) fn as_it_is(root: bool, nanoseconds: bool) -> Vec<OsString> {
    // Hard links, ACLs, attributes (twice: also those that rsync gives a meaning) and holes are kept.
    let mut args: Vec<OsString> = ["-aHAXXS", "--numeric-ids"].map(Into::into).into();
    // An attribute that cannot be read or written costs the whole file, not only itself. Of these, only file
    // capabilities can be written without CAP_SYS_ADMIN, and those only by root. With filters of our own
    // rsync drops its own, so `system.*` is among them: POSIX ACLs come by -A, and what NFS and SMB call ACLs
    // no other file system takes.
    if root {
        args.push("--filter=+x security.capability".into());
    }
    args.extend(["security", "trusted", "system"].map(|space| format!("--filter=-x {space}.*").into()));
    if nanoseconds {
        // Otherwise times are compared by whole seconds, and a file that was written to again within
        // its second, at the same size, would count as unchanged.
        args.push("--modify-window=-1".into());
    }
    args
}

/// Who hears what rsync says.
pub(crate) trait Ear {
    /// Takes a line of standard output.
    fn out(&mut self, line: &str);
    /// Takes a line of standard error.
    fn error(&mut self, line: &str);
    /// Whether rsync is to end now. Asked after every line and [`TICK`].
    fn stop(&mut self) -> bool;
}

/// Why there is no exit status.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// rsync is not in the image.
    Missing,
    /// It cannot be started or listened to.
    Io(io::Error),
}

/// Runs rsync to its end, or until the ear wants it to stop. There is no shell between us. `stdin` stays open as
/// long as rsync lives.
pub(crate) fn run(args: &[OsString], stdin: File, ear: &mut impl Ear) -> Result<ExitStatus, Trouble> {
    let mut child = spawn(args, stdin)?;
    let said = listen(&mut child).map_err(Trouble::Io)?;
    let mut logged = 0;
    let mut asked: Option<Instant> = None;
    let mut ended = None;
    loop {
        match said.recv_timeout(TICK) {
            Ok(Said::Out(line)) => ear.out(&line),
            Ok(Said::Error(line)) => {
                ear.error(&line);
                logged += 1;
                if logged <= LOGGED && !line.trim().is_empty() {
                    tracing::warn!("{}", line.trim());
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            // A process that rsync left behind may hold the pipes open for ever.
            Err(RecvTimeoutError::Timeout) if ended.is_some() => break,
            Err(RecvTimeoutError::Timeout) => ended = child.try_wait().map_err(Trouble::Io)?,
        }
        match asked {
            None if ear.stop() => {
                tracing::info!("asked to stop: rsync is told");
                signal(&child, Signal::TERM);
                asked = Some(Instant::now());
            }
            Some(at) if at.elapsed() > GRACE => signal(&child, Signal::KILL),
            _ => {}
        }
    }
    if logged > LOGGED {
        tracing::warn!("rsync said {} lines more", logged - LOGGED);
    }
    child.wait().map_err(Trouble::Io)
}

fn spawn(args: &[OsString], stdin: File) -> Result<Child, Trouble> {
    let mut command = Command::new("rsync");
    command
        .args(args)
        // RSYNC_* variables and ~/.popt change what options mean.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // rsync is three processes: they get signals together.
        .process_group(0);
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Trouble::Missing,
        _ => Trouble::Io(error),
    })
}

fn signal(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process_group(group, signal);
    }
}

/// A line that rsync said.
enum Said {
    Out(String),
    Error(String),
}

fn listen(child: &mut Child) -> io::Result<Receiver<Said>> {
    let (sender, receiver) = sync_channel(64);
    if let Some(pipe) = child.stdout.take() {
        let sender = sender.clone();
        reader(pipe, move |line| send(&sender, Said::Out(line)))?;
    }
    if let Some(pipe) = child.stderr.take() {
        reader(pipe, move |line| send(&sender, Said::Error(line)))?;
    }
    Ok(receiver)
}

fn send(sender: &SyncSender<Said>, said: Said) {
    // Nobody listens any more once the transfer is over.
    let _ = sender.send(said);
}

fn reader(pipe: impl Read + Send + 'static, mut take: impl FnMut(String) + Send + 'static) -> io::Result<()> {
    let work = move || {
        if let Err(error) = lines(pipe, &mut take) {
            tracing::warn!(%error, "cannot hear rsync");
        }
    };
    thread::Builder::new().stack_size(128 * 1024).spawn(work).map(drop)
}

/// Reads lines; progress ends in a carriage return. What is too long is cut, and what is not text replaced.
fn lines(mut pipe: impl Read, take: &mut impl FnMut(String)) -> io::Result<()> {
    let mut chunk = [0; 4096];
    let mut line = Vec::new();
    loop {
        let n = match pipe.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        for &byte in &chunk[..n] {
            if byte != b'\n' && byte != b'\r' {
                if line.len() < LINE {
                    line.push(byte);
                }
            } else if !line.is_empty() {
                take(String::from_utf8_lossy(&line).into_owned());
                line.clear();
            }
        }
        if n == 0 {
            if !line.is_empty() {
                take(String::from_utf8_lossy(&line).into_owned());
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_lines_whatever_is_in_them() {
        let mut seen = Vec::new();
        lines(&b" 1 0%\r 2 5%\rdone\n\n\xff\xfe x\nno end"[..], &mut |line| seen.push(line)).unwrap();
        assert_eq!(seen, [" 1 0%", " 2 5%", "done", "\u{fffd}\u{fffd} x", "no end"]);
        let mut longest = 0;
        lines(&vec![b'x'; 3 * LINE][..], &mut |line| longest = line.len()).unwrap();
        assert_eq!(longest, LINE);
    }
}
