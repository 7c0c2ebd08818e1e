//! `backup-job restic verify`: checks the structure of the repository, and reads a part of its data.

use std::time::Instant;

use model::maintain::{MaintainResult, Part, Task};
use model::reason::{Problem, Reason};
use model::text::clip;

use super::args::Common;
use super::classify::Cause;
use super::exec::{Ended, Listener, Restic};
use super::maintain::ended;
use super::stderr::Error;
use crate::outcome::{Failure, Outcome, now};
use crate::process::stop_flag;

/// Errors that are repeated; the others are counted.
const NAMED: usize = 2;
/// The longest piece of restic's text that is repeated.
const PIECE: usize = 230;

/// Words of `check` about what is damaged, in lower case.
const DAMAGE: [&str; 18] = [
    "ciphertext verification failed",
    "contains errors",
    "does not match",
    "failed to decode",
    "has different data in indexes",
    "has nil blob list",
    "has no subtree",
    "has null id",
    "in several indexes",
    "invalid data returned",
    "not contained in index",
    "not found in index",
    "subtree id is null",
    "unexpected file size",
    "unexpected pack id",
    "with empty name",
    "with invalid type",
    " errors: [",
];

/// The same of a file that is not there; or that could not be listed, if something lies between it and us.
const MISSING: &str = "does not exist";

/// What `backup-job restic verify` is called with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Part of the data to read, such as 3/30
    #[arg(long, value_name = "PART")]
    subset: Part,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let started = Instant::now();
    let mut result = MaintainResult::new(Task::Verify, now(), None);
    result.part = Some(args.subset);
    ended(result, verify(args), started)
}

fn verify(args: &Args) -> Result<(), Failure> {
    let restic = Restic::open(&args.common, Reason::CopyFailed, stop_flag())?;
    let mut errors = Errors::default();
    let words = ["check".into(), format!("--read-data-subset={}", args.subset).into()];
    let ended = restic.run_locking(&words, &mut errors)?;
    if ended.code == Some(0) && errors.count == 0 { Ok(()) } else { Err(failure(&restic, &ended, &errors)) }
}

/// Whether it is the repository that is not whole, or something between it and us.
fn failure(restic: &Restic, ended: &Ended, errors: &Errors) -> Failure {
    let last = ended.heard.last_words();
    if restic.stopped() || !matches!(ended.code, Some(0 | 1)) {
        return restic.failure(ended);
    }
    match &errors.outage {
        // It may have damage's words too: what was not listed is told to be missing.
        _ if errors.damage => {}
        // Whatever restic makes of it at its end: a file that it could not fetch is not damaged for that.
        Some(_) if is_outage(&last) => return restic.failure(ended),
        Some(why) => return restic.because(why),
        None if errors.missing => {}
        None if is_outage(&last) => return restic.failure(ended),
        None if errors.count > 0 => return restic.unclear(&format!("check: {}", errors.named.join("; "))),
        // An index or a tree that cannot be read ends the check at once, in words of its own.
        None if last.contains("LoadIndex") || names_damage(&last) => {}
        None => return restic.failure(ended),
    }
    let text = if errors.named.is_empty() { clip(&last, 2 * PIECE) } else { errors.named.join("; ") };
    let more = errors.count.saturating_sub(errors.named.len());
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Failure::last(Problem::new(Reason::RepositoryDamaged, format!("restic check: {text}{more}")))
}

/// Whether words are about what lies between the repository and us.
fn is_outage(text: &str) -> bool {
    let outages = [Cause::Unreachable, Cause::Credentials, Cause::Host, Cause::Broken];
    Cause::of(text).is_some_and(|cause| outages.contains(&cause))
}

/// Whether words of `check` say that what was read, or listed, is not as it must be.
fn names_damage(text: &str) -> bool {
    let text = text.to_lowercase();
    DAMAGE.iter().any(|word| text.contains(word))
}

/// restic's words with the first digits of each id, as restic itself shortens them elsewhere.
fn short_ids(text: &str) -> String {
    let is_id = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    words
        .map(|word| {
            let end = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if is_id(end) { format!("{}{}", &end[..8], &word[end.len()..]) } else { word.to_owned() }
        })
        .collect()
}

/// What `check` finds wrong.
#[derive(Debug, Default)]
struct Errors {
    named: Vec<String>,
    count: usize,
    /// Whether one of them is the repository's.
    damage: bool,
    /// Whether one of them is about a file that is not there.
    missing: bool,
    /// The first that is the endpoint's, or the way to it.
    outage: Option<String>,
}

impl Errors {
    /// Takes one.
    fn take(&mut self, message: &str) {
        // Advice follows the errors, also as errors. It is in the log.
        if ["The repository ", "restic repair ", "Damaged pack files "].iter().any(|begin| message.starts_with(begin)) {
            return;
        }
        self.count += 1;
        if is_outage(message) {
            self.outage.get_or_insert_with(|| clip(&short_ids(message), PIECE));
            return;
        }
        self.damage |= names_damage(message);
        self.missing |= message.contains(MISSING);
        if self.named.len() < NAMED {
            self.named.push(clip(&short_ids(message), PIECE));
        }
    }
}

impl Listener for Errors {
    fn out(&mut self, _line: &str) {}

    fn entry(&mut self, error: &Error) {
        self.take(error.message.trim());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of restic 0.19.1 whose ssh was killed in the middle of a check: each pack that is left, and its last words.
    #[test]
    fn a_lost_connection_is_no_damage() {
        let mut errors = Errors::default();
        for message in [
            "Load(<data/b33483b001>, 18043669, 0) failed: ssh command exited: exit status 255",
            "download error: circuit breaker open for file <data/b33483b001>",
            "download error: connection lost",
            "pack b33483b0 contains 1 errors: [partial download error: readFull: connection lost]",
            "The repository is damaged and must be repaired. Please follow the troubleshooting guide",
        ] {
            errors.take(message);
        }
        assert!(!errors.damage && !errors.missing, "{errors:?}");
        assert_eq!((errors.count, errors.outage.is_some()), (4, true));
        for words in ["Connection to h closed by remote host.", "Timeout, server h not responding."] {
            assert!(is_outage(words), "{words}");
        }
        for disk in ["read /disk/data/b3/b334: input/output error", "open /x: read-only file system"] {
            assert!(is_outage(disk), "{disk}");
        }
    }

    /// With or without an endpoint that fails beside.
    #[test]
    fn what_is_damaged_is_told_by_its_words() {
        for message in [
            "pack b33483b0 contains 2 errors: [blob c5c8cd4d: ciphertext verification failed unexpected pack id c5]",
            "pack b33483b0: unexpected file size: got 1, expected 2",
            "file \"a\" blob c5c8cd4d not found in index",
            "Load(<data/b33483b001>, 1, 0) failed: invalid data returned",
        ] {
            let mut errors = Errors::default();
            errors.take("download error: circuit breaker open for file <data/b33483b001>");
            errors.take(message);
            assert!(errors.damage, "{message}");
            assert!(errors.named[0].starts_with(&message[..4]), "{errors:?}");
        }
        let mut errors = Errors::default();
        errors.take("pack b33483b0: does not exist");
        assert!(!errors.damage && errors.missing);
    }

    #[test]
    fn ids_leave_room_for_words() {
        let id = "c5c8cd4d09d64c41ffae76435210f655374dbdbfda6a62adecac1cc51b6f1f05";
        let text = format!("pack {id} contains 2 errors: [blob {id}: decrypting, pack id {id}]");
        assert_eq!(short_ids(&text), "pack c5c8cd4d contains 2 errors: [blob c5c8cd4d: decrypting, pack id c5c8cd4d]");
        assert_eq!(short_ids("é pack"), "é pack");
    }
}
