//! How rsync is called, and how it is listened to.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::report::Report;

/// How often a signal is looked for while rsync says nothing.
const TICK: Duration = Duration::from_millis(200);
/// How long rsync has to end after it was asked to; a pod has 30 seconds in all.
const GRACE: Duration = Duration::from_secs(10);
/// Longer lines are cut: no name is that long, even escaped.
const LINE: usize = 20 * 1024;
/// Lines of rsync's that go to the log; the rest is counted.
const LOGGED: u32 = 50;

/// One transfer.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "options of rsync's, each on or off")]
pub(crate) struct Transfer<'a> {
    /// The mount that is copied.
    pub(crate) source: &'a Path,
    /// The partial tree that it is copied into.
    pub(crate) into: &'a Path,
    /// Names beside it: trees (or what is left of one) whose unchanged files are linked, the best first.
    pub(crate) link: &'a [String],
    /// Whether contents are compared, not only sizes and times.
    pub(crate) checksum: bool,
    /// Whether we are root.
    pub(crate) root: bool,
    /// Whether the destination keeps times to the nanosecond.
    pub(crate) nanoseconds: bool,
    /// Whether ext4's own empty folder is left out.
    pub(crate) leave_lost_and_found: bool,
}

/// rsync's arguments. There is no shell between us, and names come from files only, never from arguments.
pub(crate) fn arguments(transfer: &Transfer<'_>) -> Vec<OsString> {
    // Hard links, ACLs, attributes (twice: also those that rsync gives a meaning) and holes are kept.
    let mut args: Vec<OsString> = ["-aHAXXS", "--numeric-ids", "--delete"].map(Into::into).into();
    // An attribute that cannot be read or written costs the whole file, not only itself. Of these, only file
    // capabilities can be written without CAP_SYS_ADMIN, and those only by root. With filters of our own
    // rsync drops its own, so `system.*` is among them: POSIX ACLs come by -A, and what NFS and SMB call ACLs
    // no other file system takes.
    if transfer.root {
        args.push("--filter=+x security.capability".into());
    }
    args.extend(["security", "trusted", "system"].map(|space| format!("--filter=-x {space}.*").into()));
    if transfer.leave_lost_and_found {
        args.push("--exclude=/lost+found".into());
    }
    if transfer.nanoseconds {
        // Otherwise times are compared by whole seconds, and a file that was written to again within
        // its second, at the same size, would be linked to its old version.
        args.push("--modify-window=-1".into());
    }
    if transfer.checksum {
        args.push("--checksum".into());
    }
    args.extend(transfer.link.iter().map(|name| format!("--link-dest=../{name}").into()));
    args.extend(["--stats", "--no-human-readable", "--info=progress2", "--outbuf=L", "--"].map(Into::into));
    for path in [transfer.source, transfer.into] {
        // With a slash: what is in it, and its own attributes.
        let mut path = path.as_os_str().to_owned();
        path.push("/");
        args.push(path);
    }
    args
}

/// Why there is no exit status.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// rsync is not in the image.
    Missing,
    /// It cannot be started or listened to.
    Io(io::Error),
}

/// Runs rsync to its end, or until `stop` is set. rsync has a clone of `lock` as long as it lives.
pub(crate) fn run(
    transfer: &Transfer<'_>,
    lock: &File,
    stop: &AtomicBool,
    progress: Duration,
) -> Result<(ExitStatus, Report), Trouble> {
    let mut command = Command::new("rsync");
    command
        .args(arguments(transfer))
        // RSYNC_* variables and ~/.popt change what options mean.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
        .env("LC_ALL", "C")
        .current_dir("/")
        // rsync reads nothing here; the open file carries the lock.
        .stdin(lock.try_clone().map_err(Trouble::Io)?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // rsync is three processes: they get signals together.
        .process_group(0);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Trouble::Missing,
        _ => Trouble::Io(error),
    })?;
    let said = listen(&mut child).map_err(Trouble::Io)?;
    let mut ear = Ear { report: Report::default(), every: progress, next: Instant::now() + progress, logged: 0 };
    let mut asked: Option<Instant> = None;
    let mut ended = None;
    loop {
        match said.recv_timeout(TICK) {
            Ok(line) => ear.hear(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            // A process that rsync left behind may hold the pipes open for ever.
            Err(RecvTimeoutError::Timeout) if ended.is_some() => break,
            Err(RecvTimeoutError::Timeout) => ended = child.try_wait().map_err(Trouble::Io)?,
        }
        if stop.load(Ordering::Relaxed) {
            match asked {
                None => {
                    tracing::info!("asked to stop: rsync is told");
                    signal(&child, Signal::TERM);
                    asked = Some(Instant::now());
                }
                Some(at) if at.elapsed() > GRACE => signal(&child, Signal::KILL),
                Some(_) => {}
            }
        }
    }
    let status = child.wait().map_err(Trouble::Io)?;
    ear.end();
    Ok((status, ear.report))
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

/// Who hears what rsync says: the report, and the log.
struct Ear {
    report: Report,
    every: Duration,
    next: Instant,
    logged: u32,
}

impl Ear {
    fn hear(&mut self, said: &Said) {
        match said {
            Said::Out(line) => {
                if let Some(progress) = self.report.out(line)
                    && Instant::now() >= self.next
                {
                    self.next = Instant::now() + self.every;
                    let words: Vec<&str> = progress.split_whitespace().collect();
                    tracing::info!("copying: {}", words.join(" "));
                }
            }
            Said::Error(line) => {
                self.report.error(line);
                self.logged += 1;
                if self.logged <= LOGGED && !line.trim().is_empty() {
                    tracing::warn!("{}", line.trim());
                }
            }
        }
    }

    fn end(&self) {
        if self.logged > LOGGED {
            tracing::warn!("rsync said {} lines more", self.logged - LOGGED);
        }
        if self.report.troubles() > 0 {
            tracing::warn!("{} entries are not in the copy", self.report.troubles());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(transfer: &Transfer<'_>) -> Vec<String> {
        arguments(transfer).into_iter().map(|arg| arg.into_string().unwrap()).collect()
    }

    const TREES: [&str; 2] = ["20181203T0000Z", "20181202T0000Z"];

    #[test]
    fn a_tree_is_linked_to_the_trees_before_it() {
        let link = TREES.map(str::to_owned);
        let transfer = Transfer {
            source: Path::new("/source"),
            into: Path::new("/destination/.partial-x"),
            link: &link,
            checksum: true,
            root: true,
            nanoseconds: true,
            leave_lost_and_found: true,
        };
        let args = words(&transfer);
        for arg in ["--checksum", "--exclude=/lost+found", "--link-dest=../20181203T0000Z", "--modify-window=-1"] {
            assert!(args.iter().any(|a| a == arg), "{arg}");
        }
        assert_eq!(args[args.len() - 3..], ["--", "/source/", "/destination/.partial-x/"]);
        let off = Transfer {
            checksum: false,
            root: false,
            nanoseconds: false,
            leave_lost_and_found: false,
            link: &[],
            ..transfer
        };
        let set = ["--checksum", "--exclude", "--link", "--modify", "--filter=+x"];
        assert!(!words(&off).iter().any(|arg| set.iter().any(|option| arg.starts_with(option))));
    }

    /// NFS lists `system.nfs4_acl` on every file, btrfs `trusted.*` to everybody.
    #[test]
    fn attributes_that_only_their_own_file_system_or_an_administrator_takes_are_left_out() {
        let transfer = Transfer {
            source: Path::new("/source"),
            into: Path::new("/destination/x"),
            link: &[],
            checksum: false,
            root: true,
            nanoseconds: true,
            leave_lost_and_found: false,
        };
        let filters: Vec<String> = words(&transfer).into_iter().filter(|a| a.starts_with("--filter")).collect();
        let left_out = ["--filter=-x security.*", "--filter=-x trusted.*", "--filter=-x system.*"];
        assert_eq!(
            (filters[0].as_str(), &filters[1..]),
            ("--filter=+x security.capability", &left_out.map(String::from)[..])
        );
    }

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
