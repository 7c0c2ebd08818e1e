//! How rsync is run and listened to, for every step that moves files.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::child;

mod report;

pub(crate) use crate::child::Ear;
pub(crate) use report::{Report, Stats, Task, Verdict};

/// How long rsync has to end after it was asked to; a pod has 30 seconds in all.
const GRACE: Duration = Duration::from_secs(10);
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

/// Why there is no exit status.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// rsync is not in the image.
    Missing,
    /// It cannot be started or listened to.
    Io(io::Error),
}

/// Whether rsync is in the image: asked before anything is begun, so that its lack is a refusal.
pub(crate) fn is_there() -> bool {
    std::env::split_paths(&child::path()).any(|folder| folder.join("rsync").is_file())
}

/// Runs rsync to its end, or until the ear wants it to stop. There is no shell between us. `stdin` stays open as
/// long as rsync lives.
pub(crate) fn run(args: &[OsString], stdin: File, ear: &mut impl Ear) -> Result<ExitStatus, Trouble> {
    let mut command = Command::new("rsync");
    command
        .args(args)
        // RSYNC_* variables and ~/.popt change what options mean.
        .env_clear()
        .env("PATH", child::path())
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(stdin);
    let mut logged = Logged { ear, lines: 0 };
    let status = child::run(&mut command, GRACE, &mut logged).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Trouble::Missing,
        _ => Trouble::Io(error),
    });
    if logged.lines > LOGGED {
        tracing::warn!("{} more messages of rsync are not logged", logged.lines - LOGGED);
    }
    status
}

/// An ear whose first error lines go to the log too.
struct Logged<'a, E> {
    ear: &'a mut E,
    lines: u32,
}

impl<E: Ear> Ear for Logged<'_, E> {
    fn out(&mut self, line: &str) {
        self.ear.out(line);
    }

    fn error(&mut self, line: &str) {
        self.ear.error(line);
        self.lines += 1;
        if self.lines <= LOGGED && !line.trim().is_empty() {
            tracing::warn!("{}", line.trim());
        }
    }

    fn stop(&mut self) -> bool {
        self.ear.stop()
    }
}
