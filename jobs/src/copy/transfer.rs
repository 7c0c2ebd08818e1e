//! How rsync is called for a copy, and what it says on the way.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::task::TASK;
use crate::restore::temp;
use crate::rsync::{self, Ear, Report, Trouble};

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
    /// Options for what the destination does not keep.
    pub(crate) without: &'a [&'static str],
    /// Whether we are root.
    pub(crate) root: bool,
    /// Whether the destination keeps times to the nanosecond.
    pub(crate) nanoseconds: bool,
    /// Whether ext4's own empty folder is left out.
    pub(crate) leave_lost_and_found: bool,
}

/// rsync's arguments. There is no shell between us, and names come from files only, never from arguments.
pub(crate) fn arguments(transfer: &Transfer<'_>) -> Vec<OsString> {
    let mut args = rsync::as_it_is(transfer.root, transfer.nanoseconds);
    // After what asks for everything, and before the filters that let attributes through.
    args.splice(1..1, transfer.without.iter().map(Into::into));
    args.push("--delete".into());
    // A15: what a restore left that was killed is none of the volume's.
    args.push(format!("--exclude=/{}", temp::NAME).into());
    if transfer.leave_lost_and_found {
        args.push("--exclude=/lost+found".into());
    }
    if transfer.checksum {
        args.push("--checksum".into());
    }
    args.extend(transfer.link.iter().map(|name| format!("--link-dest=../{name}").into()));
    args.extend(rsync::TELL.map(Into::into));
    args.push("--".into());
    for path in [transfer.source, transfer.into] {
        // With a slash: what is in it, and its own attributes.
        let mut path = path.as_os_str().to_owned();
        path.push("/");
        args.push(path);
    }
    args
}

/// Runs rsync to its end, or until `stop` is set. rsync has a clone of `lock` as long as it lives.
pub(crate) fn run(
    transfer: &Transfer<'_>,
    lock: &File,
    stop: &AtomicBool,
    progress: Duration,
) -> Result<(ExitStatus, Report), Trouble> {
    let mut ear = Log { report: Report::new(&TASK), every: progress, next: Instant::now() + progress, stop };
    // rsync reads nothing here; the open file carries the lock.
    let stdin = lock.try_clone().map_err(Trouble::Io)?;
    let status = rsync::run(&arguments(transfer), stdin, &mut ear)?;
    if ear.report.troubles() > 0 {
        tracing::warn!("{} entries are not in the copy", ear.report.troubles());
    }
    Ok((status, ear.report))
}

/// The report, and the log.
struct Log<'a> {
    report: Report,
    every: Duration,
    next: Instant,
    stop: &'a AtomicBool,
}

impl Ear for Log<'_> {
    fn out(&mut self, line: &str) {
        if let Some(progress) = self.report.out(line)
            && Instant::now() >= self.next
        {
            self.next = Instant::now() + self.every;
            let words: Vec<&str> = progress.split_whitespace().collect();
            tracing::info!("copying: {}", words.join(" "));
        }
    }

    fn error(&mut self, line: &str) {
        self.report.error(line);
    }

    fn stop(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
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
            without: &["--no-owner", "--filter=-x security.capability"],
            root: true,
            nanoseconds: true,
            leave_lost_and_found: true,
        };
        let args = words(&transfer);
        for arg in ["--checksum", "--exclude=/lost+found", "--link-dest=../20181203T0000Z", "--modify-window=-1"] {
            assert!(args.iter().any(|a| a == arg), "{arg}");
        }
        // A12: what the disk does not keep, after what asks for everything; the first filter that fits counts.
        assert_eq!(args[..3], ["-aHAXXS", "--no-owner", "--filter=-x security.capability"]);
        assert_eq!(args[args.len() - 3..], ["--", "/source/", "/destination/.partial-x/"]);
        let off = Transfer {
            checksum: false,
            without: &[],
            root: false,
            nanoseconds: false,
            leave_lost_and_found: false,
            link: &[],
            ..transfer
        };
        let set = ["--checksum", "--exclude=/lost", "--link", "--modify", "--filter=+x"];
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
            without: &[],
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
}
