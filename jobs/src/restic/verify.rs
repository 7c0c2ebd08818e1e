//! `backup-job restic verify`: checks the structure of the repository, and reads a part of its data.

use std::time::Instant;

use model::maintain::{MaintainResult, Part, Task};
use model::reason::{Problem, Reason};
use model::record::clip;

use super::args::Common;
use super::cause::Cause;
use super::exec::{Ended, Listener, Restic};
use super::heard::Error;
use super::maintain::ended;
use crate::outcome::{Failure, Outcome, now};
use crate::process::stop_flag;

/// Errors that are repeated; the others are counted.
const NAMED: usize = 2;
/// The longest piece of restic's text that is repeated.
const PIECE: usize = 230;

/// What `backup-job restic verify` is called with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The part of the data that is read, such as 3/30
    #[arg(long, value_name = "PART")]
    subset: Part,
}

/// Runs the step.
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
    let otherwise = restic.failure(ended);
    let ended_for_damage = matches!(ended.code, Some(0 | 1));
    let last = ended.heard.last_words();
    // An index or a tree that cannot be read ends the check at once, in words of its own.
    let damage = errors.count > 0 || last.contains("LoadIndex") || last.contains("contains errors");
    if restic.stopped() || !ended_for_damage || !damage || errors.outage {
        return otherwise;
    }
    let text = if errors.named.is_empty() { clip(&last, 2 * PIECE) } else { errors.named.join("; ") };
    let more = errors.count.saturating_sub(errors.named.len());
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Failure::last(Problem::new(Reason::RepositoryDamaged, format!("restic check: {text}{more}")))
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
    /// Whether one of them is the endpoint's.
    outage: bool,
}

impl Listener for Errors {
    fn out(&mut self, _line: &str) {}

    fn entry(&mut self, error: &Error) {
        let message = error.message.trim();
        // Advice follows the errors, also as errors. It is in the log.
        if ["The repository ", "restic repair ", "Damaged pack files "].iter().any(|begin| message.starts_with(begin)) {
            return;
        }
        self.outage |= matches!(Cause::of(message), Some(Cause::Unreachable | Cause::Credentials));
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(clip(&short_ids(message), PIECE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_leave_room_for_words() {
        let id = "c5c8cd4d09d64c41ffae76435210f655374dbdbfda6a62adecac1cc51b6f1f05";
        let text = format!("pack {id} contains 2 errors: [blob {id}: decrypting, pack id {id}]");
        assert_eq!(short_ids(&text), "pack c5c8cd4d contains 2 errors: [blob c5c8cd4d: decrypting, pack id c5c8cd4d]");
        assert_eq!(short_ids("é pack"), "é pack");
    }
}
