//! What rsync says, and what follows from it. Pure: lines and an exit code in, a verdict out.

use std::io;

use model::reason::{Problem, Reason};
use model::text::clip;

use crate::outcome::{Failure, so_far};

/// Entries that are named; the others are counted.
const NAMED: usize = 4;
/// The longest piece of rsync's text that is repeated.
const PIECE: usize = 120;

/// What a transfer is called in sentences, and which reasons its failures have.
#[derive(Debug)]
pub(crate) struct Task {
    /// What is said of entries that did not make it.
    pub(crate) left_out: &'static str,
    /// That somebody ended it.
    pub(crate) stopped: &'static str,
    /// That there is no room.
    pub(crate) full: &'static str,
    pub(crate) failed: Reason,
    /// The reason where there is no room.
    pub(crate) no_room: Reason,
}

impl Task {
    /// No room: no retry helps, and nothing is deleted for it.
    fn full(&self, at: &str) -> Failure {
        Failure::last(Problem::new(self.no_room, format!("{} {at}", self.full)))
    }

    /// What is written to did not do what it was asked to do.
    pub(crate) fn io(&self, what: &str, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => self.full(&format!("while {what}")),
            io::ErrorKind::TimedOut => {
                Failure::again(Problem::new(Reason::NoProgress, format!("{what} failed: {error}")))
            }
            _ => self.failed(format!("{what} failed: {error}")),
        }
    }

    /// A failure that has no other reason: another try may help.
    pub(crate) fn failed(&self, text: String) -> Failure {
        Failure::again(Problem::new(self.failed, text))
    }
}

/// What rsync counted, from `--stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Entries below the root.
    pub(crate) files: u64,
    /// The sum of the files' sizes.
    pub(crate) bytes: u64,
    /// The sum of the sizes of files that were transferred.
    pub(crate) written: u64,
}

/// How a transfer ended, if there is a tree that is worth keeping.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every entry is there.
    Complete(Stats),
    /// Entries are missing; the text says which.
    Incomplete(Stats, String),
}

impl Verdict {
    /// The verdict on a tree that took two transfers.
    pub(crate) fn and(self, second: Self) -> Self {
        let written = self.stats().written;
        let sum = |stats: Stats| Stats { written: stats.written.saturating_add(written), ..stats };
        match (self, second) {
            (Self::Complete(_), Self::Complete(stats)) => Self::Complete(sum(stats)),
            (_, Self::Incomplete(stats, text)) | (Self::Incomplete(_, text), Self::Complete(stats)) => {
                Self::Incomplete(sum(stats), text)
            }
        }
    }

    fn stats(&self) -> Stats {
        match self {
            Self::Complete(stats) | Self::Incomplete(stats, _) => *stats,
        }
    }
}

/// What was read from rsync's output so far. It stays small, whatever rsync says.
#[derive(Debug)]
pub(crate) struct Report {
    task: &'static Task,
    files: Option<u64>,
    bytes: Option<u64>,
    written: Option<u64>,
    /// How far it was when it last said so: bytes and files.
    so_far: Option<(u64, u64)>,
    /// Entries that did not make it, and why: the first few.
    named: Vec<String>,
    /// How many there are.
    troubles: u64,
    /// Which entry did not fit on the disk.
    full: Option<String>,
    /// What shows that the source or the destination itself is failing.
    broken: Option<String>,
    /// Whether a file has as many names as its file system allows.
    too_many_links: bool,
    /// The first line of no known form.
    other: Option<String>,
    /// rsync's own last words.
    last: Option<String>,
}

impl Report {
    /// A report of nothing yet.
    pub(crate) fn new(task: &'static Task) -> Self {
        Self {
            task,
            files: None,
            bytes: None,
            written: None,
            so_far: None,
            named: Vec::new(),
            troubles: 0,
            full: None,
            broken: None,
            too_many_links: false,
            other: None,
            last: None,
        }
    }

    /// Takes a line of standard output. Gives it back if it tells progress.
    pub(crate) fn out<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let line = line.trim();
        let number = |prefix: &str| line.strip_prefix(prefix).and_then(first_number);
        if let Some(n) = number("Number of files: ") {
            // The root is not an entry of the volume.
            self.files = Some(n.saturating_sub(1));
        } else if let Some(n) = number("Total file size: ") {
            self.bytes = Some(n);
        } else if let Some(n) = number("Total transferred file size: ") {
            self.written = Some(n);
        } else if line.starts_with("skipping ") {
            self.skipped(line);
        } else if line.contains('%') && line.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            let files = line.split_once("(xfr#").and_then(|(_, rest)| first_number(rest));
            self.so_far =
                first_number(line).map(|bytes| (bytes, files.or(self.so_far.map(|(_, files)| files)).unwrap_or(0)));
            return Some(line);
        }
        None
    }

    /// How far it was when it was stopped, as the end of a sentence; empty: it had not begun to write.
    pub(crate) fn so_far(&self) -> String {
        self.so_far.map(|(bytes, files)| so_far(bytes, files)).unwrap_or_default()
    }

    /// Takes a line of standard error. rsync escapes what is in a name, so that a line is a line.
    pub(crate) fn error(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() || line.starts_with("***") {
            return;
        }
        if let Some(rest) = line.strip_prefix("rsync: [")
            && let Some((role, what)) = rest.split_once("] ")
            && let (Some(entry), Some((why, errno))) = (quoted(what), cause(what))
        {
            // An attribute that is too big for the file system is "no space" too, on a disk with room.
            let attribute = ATTRIBUTES.iter().any(|step| what.starts_with(step));
            if matches!(errno, ENOSPC | EDQUOT) && !attribute {
                self.full.get_or_insert_with(|| clip(entry, PIECE));
            }
            let writing = role != "sender";
            if matches!(errno, ESTALE | ENOTCONN) || (writing && matches!(errno, EIO | EROFS)) {
                self.broken.get_or_insert_with(|| clip(what, 2 * PIECE));
            }
            self.too_many_links |= errno == EMLINK && what.starts_with("link ");
            self.trouble(entry, why);
        } else if let Some(rest) = line.strip_prefix("file has vanished: ") {
            self.trouble(quoted(rest).unwrap_or(rest), "vanished");
        } else if line.starts_with("skipping ") {
            self.skipped(line);
        } else if line.starts_with("rsync error: ") {
            self.last = Some(clip(line, 2 * PIECE));
        } else {
            self.other.get_or_insert_with(|| clip(line, 2 * PIECE));
        }
    }

    /// The bytes of the files that were sent, once rsync has said so.
    pub(crate) fn written(&self) -> u64 {
        self.written.unwrap_or(0)
    }

    /// How many entries did not make it.
    pub(crate) fn troubles(&self) -> u64 {
        self.troubles
    }

    /// rsync that is not root leaves devices out, and calls that success.
    fn skipped(&mut self, line: &str) {
        match quoted(line) {
            Some(entry) => self.trouble(entry, "not a regular file"),
            None => self.trouble(line, "skipped"),
        }
    }

    fn trouble(&mut self, entry: &str, why: &str) {
        self.troubles += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("{} ({})", clip(entry, PIECE), clip(why, PIECE)));
        }
    }

    /// Whether a tree can only be made without links to the ones before.
    pub(crate) fn too_many_links(&self) -> bool {
        self.too_many_links
    }

    fn stats(&self) -> Option<Stats> {
        Some(Stats { files: self.files?, bytes: self.bytes?, written: self.written? })
    }

    /// What follows from all that and the exit code; `None` if a signal ended rsync.
    pub(crate) fn verdict(&self, code: Option<i32>) -> Result<Verdict, Failure> {
        let (failed, full) = (|text: String| self.task.failed(text), |at: &str| self.task.full(at));
        // A full disk shows as 11 in a file's data, and as 23 where a folder or a link was to be made.
        if let (Some(entry), true) = (&self.full, code != Some(0)) {
            return Err(full(&format!("while writing {entry}")));
        }
        if let (Some(what), true) = (&self.broken, code != Some(0)) {
            return Err(failed(format!("a volume is unavailable or failing: {what}")));
        }
        match (code, self.stats()) {
            (Some(0), Some(stats)) if self.troubles == 0 => Ok(Verdict::Complete(stats)),
            (Some(0 | 23 | 24), Some(stats)) if stats.files > 0 => Ok(Verdict::Incomplete(stats, self.missing())),
            (Some(0 | 23 | 24), Some(_)) => {
                let text = format!("no entry could be read: {}", self.missing());
                Err(Failure::last(Problem::new(Reason::Unreadable, text)))
            }
            (Some(0), None) => Err(failed("rsync printed no statistics: rsync 3.1 or later is needed".to_owned())),
            (Some(11), _) if self.troubles == 0 => Err(full("while writing a file")),
            (Some(20), _) => Err(failed(self.task.stopped.to_owned())),
            (Some(code), _) => Err(failed(format!("rsync ended with exit code {code}: {}", self.words()))),
            (None, _) => {
                Err(failed("rsync was killed; its memory limit (resources.copy.limits) may be too low".to_owned()))
            }
        }
    }

    fn missing(&self) -> String {
        let more = self.troubles.saturating_sub(self.named.len() as u64);
        match (self.troubles, more) {
            (0, _) => format!("entries are {}: {}", self.task.left_out, self.words()),
            (1, _) => format!("1 entry is {}: {}", self.task.left_out, self.named.join(", ")),
            (all, 0) => format!("{all} entries are {}: {}", self.task.left_out, self.named.join(", ")),
            (all, more) => {
                format!("{all} entries are {}: {}, and {more} more", self.task.left_out, self.named.join(", "))
            }
        }
    }

    fn words(&self) -> &str {
        self.named.first().or(self.other.as_ref()).or(self.last.as_ref()).map_or("it printed no error", String::as_str)
    }
}

/// Steps of rsync's that write attributes and ACLs.
const ATTRIBUTES: [&str; 4] = ["rsync_xal_set:", "copy_xattrs:", "set_xattr_acl:", "set_acl:"];

// Linux's numbers, which rsync writes behind the words.
const EIO: u32 = 5;
const ENOSPC: u32 = 28;
const EROFS: u32 = 30;
const EMLINK: u32 = 31;
const ENOTCONN: u32 = 107;
const ESTALE: u32 = 116;
const EDQUOT: u32 = 122;

/// The number at the beginning; `--no-human-readable` writes it without separators.
fn first_number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// What stands between the first and the last quotation mark: a name may hold more of them.
fn quoted(text: &str) -> Option<&str> {
    let (start, end) = (text.find('"')? + 1, text.rfind('"')?);
    text.get(start..end)
}

/// The words and the number at the end: `: Permission denied (13)`.
fn cause(text: &str) -> Option<(&str, u32)> {
    let (words, number) = text.strip_suffix(')')?.rsplit_once(" (")?;
    let (_, words) = words.rsplit_once(": ")?;
    Some((words, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Exit;

    const COPY: Task = Task {
        left_out: "not in the copy",
        stopped: "the copy was stopped",
        full: "no space left on the destination",
        failed: Reason::CopyFailed,
        no_room: Reason::DiskFull,
    };

    const STATS: &str = "\nNumber of files: 1234 (reg: 1000, dir: 200, link: 34)\nNumber of created files: 4\n\
        Number of regular files transferred: 2\nTotal file size: 5000000000 bytes\n\
        Total transferred file size: 42 bytes\nLiteral data: 42 bytes\nMatched data: 0 bytes\n\
        sent 1 bytes  received 2 bytes  3.00 bytes/sec\ntotal size is 7  speedup is 1.00\n";
    const COUNTED: Stats = Stats { files: 1233, bytes: 5_000_000_000, written: 42 };

    fn report(out: &str, error: &str) -> Report {
        let mut report = Report::new(&COPY);
        for line in out.lines() {
            assert_eq!(report.out(line), None, "{line}");
        }
        error.lines().for_each(|line| report.error(line));
        report
    }

    fn failure(out: &str, error: &str, code: Option<i32>) -> (Reason, Exit, String) {
        let Failure { problem, exit } = report(out, error).verdict(code).unwrap_err();
        (problem.reason, exit, problem.message)
    }

    #[test]
    fn statistics_are_read_and_the_root_is_not_an_entry() {
        assert_eq!(report(STATS, "").verdict(Some(0)), Ok(Verdict::Complete(COUNTED)));
        let empty = STATS.replace("1234 (reg: 1000, dir: 200, link: 34)", "1 (dir: 1)");
        let Ok(Verdict::Complete(stats)) = report(&empty, "").verdict(Some(0)) else { panic!() };
        assert_eq!(stats.files, 0);
    }

    #[test]
    fn progress_is_told_from_statistics() {
        let mut report = Report::new(&COPY);
        let progress = "      32768   0%    0.00kB/s    0:00:00 (xfr#1, to-chk=5/7)";
        assert_eq!(report.out(progress), Some(progress.trim()));
        assert_eq!(report.so_far(), " after 32Ki in 1 files");
        assert_eq!(report.out("sent 4289 bytes  received 93 bytes  8764.00 bytes/sec"), None);
    }

    /// Law 6: the lines are rsync's own, of 3.5.0.
    #[test]
    fn an_entry_that_cannot_be_read_makes_the_copy_incomplete_and_is_named() {
        let errors = "rsync: [sender] opendir \"/source/locked\" failed: Permission denied (13)\n\n\
            rsync: [sender] send_files failed to open \"/source/say \"hi\"\": Permission denied (13)\n\
            rsync: [sender] read errors mapping \"/source/bad\": Input/output error (5)\n\
            file has vanished: \"/source/gone\"\n\
            rsync: [generator] rsync_xal_set: lsetxattr(\"d/x\",\"user.a\") failed: Operation not supported (95)\n\
            rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394)";
        for code in [23, 24] {
            let Ok(Verdict::Incomplete(stats, text)) = report(STATS, errors).verdict(Some(code)) else { panic!() };
            assert_eq!(stats, COUNTED);
            assert_eq!(
                text,
                "5 entries are not in the copy: /source/locked (Permission denied), /source/say \"hi\" (Permission \
                 denied), /source/bad (Input/output error), /source/gone (vanished), and 1 more"
            );
        }
    }

    #[test]
    fn an_exit_code_of_0_does_not_hide_what_was_left_out() {
        let out = format!("skipping non-regular file \"null\"\nskipping socket (unsupported): s\n{STATS}");
        let Ok(Verdict::Incomplete(_, text)) = report(&out, "").verdict(Some(0)) else { panic!() };
        assert_eq!(
            text,
            "2 entries are not in the copy: null (not a regular file), skipping socket (unsupported): s (skipped)"
        );
    }

    #[test]
    fn what_rsync_says_in_words_that_are_not_known_is_repeated() {
        let errors = "filename overflows max-path len by 171: ddd\nrsync error: some files/attrs were not transferred";
        let Ok(Verdict::Incomplete(_, text)) = report(STATS, errors).verdict(Some(23)) else { panic!() };
        assert_eq!(text, "entries are not in the copy: filename overflows max-path len by 171: ddd");
    }

    /// F51. A folder, a link or an inode that has no room ends in 23, like a file that cannot be read.
    #[test]
    fn a_full_disk_is_a_full_disk_whatever_the_exit_code() {
        let file = "rsync: [receiver] write failed on \"/d/big\": No space left on device (28)\n\
            rsync error: error in file IO (code 11) at receiver.c(657) [receiver=3.5.0]\n\n\
            rsync: [sender] write error: Broken pipe (32)";
        let folder = "rsync: [generator] recv_generator: mkdir \"/d/t\" failed: No space left on device (28)\n\
            *** Skipping any contents from this failed directory ***";
        let quota = "rsync: [receiver] mkstemp \"/d/.x.abc\" failed: Disk quota exceeded (122)";
        for (text, code) in [(file, 11), (file, 12), (folder, 23), (quota, 23), ("", 11)] {
            let (reason, exit, _) = failure(STATS, text, Some(code));
            assert_eq!((reason, exit), (Reason::DiskFull, Exit::Final), "{text}");
        }
    }

    #[test]
    fn an_attribute_without_room_and_a_hostile_name_are_no_full_disk() {
        let attribute =
            "rsync: [receiver] rsync_xal_set: lsetxattr(\"f\",\"user.b\") failed: No space left on device (28)";
        let name = "rsync: [sender] send_files failed to open \"/source/x: No space left on device (28)\": \
            Permission denied (13)";
        for text in [attribute, name] {
            assert!(matches!(report(STATS, text).verdict(Some(23)), Ok(Verdict::Incomplete(..))), "{text}");
        }
    }

    #[test]
    fn a_volume_that_fails_is_tried_again_instead_of_recorded_with_holes() {
        for text in [
            "rsync: [receiver] mkstemp \"/d/.x.abc\" failed: Read-only file system (30)",
            "rsync: [receiver] write failed on \"/d/x\": Input/output error (5)",
            "rsync: [sender] readlink_stat(\"/source/x\") failed: Stale file handle (116)",
        ] {
            for code in [11, 23] {
                let (reason, exit, _) = failure(STATS, text, Some(code));
                assert_eq!((reason, exit), (Reason::CopyFailed, Exit::Again), "{text}");
            }
        }
    }

    #[test]
    fn a_file_with_too_many_names_is_told_from_a_folder_with_too_many_folders() {
        let file = "rsync: [generator] link \"/d/t2/f9\" => f0 failed: Too many links (31)";
        let folder = "rsync: [generator] recv_generator: mkdir \"/d/t2/link\" failed: Too many links (31)";
        assert!(report("", file).too_many_links() && !report("", folder).too_many_links());
    }

    #[test]
    fn everything_else_is_tried_again() {
        for (code, words) in [
            (Some(0), "no statistics"),
            (Some(12), "code 12: rsync error: error in rsync protocol"),
            (Some(20), "stopped"),
            (None, "killed"),
        ] {
            let (reason, exit, text) = failure("", "rsync error: error in rsync protocol data stream", code);
            assert_eq!((reason, exit), (Reason::CopyFailed, Exit::Again));
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_copy_of_nothing_is_not_kept_as_incomplete() {
        let out = STATS.replace("1234 (", "1 (");
        let locked = "rsync: [sender] opendir \"/source/.\" failed: Permission denied (13)";
        let (reason, exit, _) = failure(&out, locked, Some(23));
        assert_eq!((reason, exit), (Reason::Unreadable, Exit::Final));
        // The source itself is gone: rsync ends before it counts.
        let (reason, exit, _) = failure("", locked, Some(23));
        assert_eq!((reason, exit), (Reason::CopyFailed, Exit::Again));
    }

    #[test]
    fn two_transfers_are_as_good_as_the_worse_and_as_long_as_both() {
        let [one, two] = [1, 2].map(|written| Stats { files: 9, bytes: 9, written });
        let both = Stats { files: 9, bytes: 9, written: 3 };
        let incomplete = |stats| Verdict::Incomplete(stats, "x".to_owned());
        assert_eq!(Verdict::Complete(one).and(Verdict::Complete(two)), Verdict::Complete(both));
        assert_eq!(Verdict::Complete(one).and(incomplete(two)), incomplete(both));
        assert_eq!(incomplete(one).and(Verdict::Complete(two)), incomplete(both));
    }

    /// F55: however much rsync says, and however long names are.
    #[test]
    fn a_report_stays_small() {
        let mut report = Report::new(&COPY);
        STATS.lines().for_each(|line| assert_eq!(report.out(line), None));
        let name = "\\#377".repeat(255);
        for i in 0..10_000 {
            report.error(&format!("rsync: [sender] send_files failed to open \"/source/{name}{i}\": x (13)"));
        }
        assert_eq!(report.named.len(), NAMED);
        let Ok(Verdict::Incomplete(_, text)) = report.verdict(Some(23)) else { panic!() };
        assert!(text.len() < 1000 && text.ends_with("and 9996 more"), "{text}");
    }
}
