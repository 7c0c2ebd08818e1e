//! What a restore says before and at its end.

use std::path::Path;

use model::duration::took;
use model::quantity::human;
use model::reason::{Problem, Reason};
use model::record::{RestoreResult, RestoreState};
use model::restore::LACKS;
use model::text::sentence;

use super::console::shown;
use super::device::told;
use super::plan::{NAMED, Plan};
use super::room::Room;
use super::session::{Ended, Session};
use crate::outcome::{Exit, Failure, now};

impl Session<'_> {
    /// What is restored, from where to where.
    pub(crate) fn headline(&self, from: &str) -> String {
        let record = self.record.as_ref();
        let (point, target) = record.map_or((None, None), |record| (record.point.as_ref(), record.target.as_ref()));
        let name = |what: Option<&String>, path: &str| match what {
            Some(name) => format!("{} ({path})", shown(Path::new(name))),
            None => path.to_owned(),
        };
        format!("From {} to {}:", name(point, from), name(target, &shown(self.to)))
    }

    /// The plan in numbers.
    pub(super) fn show(&self, plan: &Plan, room: Room, sure: bool) {
        let say = |line: String| self.console.say(&line);
        let told = plan.new + plan.changed + if self.how.delete { plan.extra } else { 0 };
        if !self.how.itemize && told > NAMED {
            say(format!("  and {} more; --itemize lists all", told - NAMED));
        }
        if plan.is_empty(self.how.delete) {
            say(if sure {
                "Nothing to do: the volume has every entry of the restore point, unchanged.".to_owned()
            } else {
                "Sizes, times, modes and owners match already. Attributes are set again.".to_owned()
            });
        } else {
            let (new, changed, newer) = (plan.new, plan.changed, plan.newer);
            say(format!("New: {new}. Changed: {changed} ({newer} of them newer in the volume)."));
            say(format!("To write: {}. Free: {}.", human(plan.bytes), human(room.bytes)));
        }
        if plan.parted > 0 {
            say(format!(
                "{} names are hard links in the volume but not in the restore point: each gets its own file.",
                plan.parted
            ));
        }
        if plan.extra > 0 {
            let extra = plan.extra;
            say(if self.how.delete {
                format!("DELETED: {extra}. The restore point does not have these entries.")
            } else {
                format!("Not in the restore point: {extra}. These entries are kept; --delete removes them.")
            });
        }
        let (blocked, count) = &plan.blocked;
        if *count > 0 {
            let names: Vec<String> = blocked.iter().map(|path| shown(path)).collect();
            say(format!(
                "{count} non-empty directories are in the way of files of the restore point and are kept; --delete \
                 replaces them: {}",
                names.join(", ")
            ));
        }
    }

    /// The exit code and the result.
    pub(super) fn result(&self, ended: Result<Ended, Failure>) -> (Exit, RestoreResult) {
        let done = self.done;
        let result = |state, problem| RestoreResult {
            state,
            problem,
            finished: now(),
            changed: done.changed,
            deleted: done.deleted,
            bytes: done.bytes,
            seconds: 0,
            wrote: Some(self.wrote),
        };
        match ended {
            // L2: all that the restore point has is in the volume; that is not all that the volume had.
            Ok(Ended::Complete) if self.incomplete => {
                let problem =
                    Problem::new(Reason::RestorePointIncomplete, format!("the restore point is incomplete: {LACKS}"));
                (Exit::Final, result(RestoreState::Incomplete, Some(problem)))
            }
            // L13: what it has is in the volume, and nobody knows whether that is what the volume had.
            Ok(Ended::Complete) if self.finding().is_some() => {
                let finding = self.finding().unwrap_or_default();
                let compared = self.compared;
                let text =
                    format!("what was restored may be damaged: {finding}. {compared}. Compare the restored data");
                (
                    Exit::Final,
                    result(RestoreState::Incomplete, Some(Problem::new(Reason::RestoreMismatch, sentence(&text)))),
                )
            }
            Ok(Ended::Complete) => (Exit::Done, result(RestoreState::Complete, None)),
            Ok(Ended::Incomplete(text)) => {
                let problem = Problem::new(Reason::Unreadable, sentence(&text));
                (Exit::Final, result(RestoreState::Incomplete, Some(problem)))
            }
            Ok(Ended::Shown(plan)) => {
                let shown = result(RestoreState::Ready, None);
                let deleted = if self.how.delete { plan.extra } else { 0 };
                (Exit::Done, RestoreResult { changed: plan.changes(), deleted, bytes: plan.bytes, ..shown })
            }
            Ok(Ended::Declined) => (Exit::Final, result(RestoreState::Refused, None)),
            Ok(Ended::Unasked) => {
                let text =
                    "cannot ask for confirmation without a terminal: use --yes, or kubectl exec -it for a terminal";
                let problem = Problem::new(Reason::InvalidRequest, text);
                (Exit::Usage, result(RestoreState::Refused, Some(problem)))
            }
            Err(Failure { problem, exit }) => {
                let state = match (self.wrote, exit) {
                    (false, Exit::Final | Exit::Usage) => RestoreState::Refused,
                    _ => RestoreState::Failed,
                };
                let told = if self.device && !self.how.dry_run { told(problem, done.changed > 0) } else { problem };
                let problem = Problem::new(told.reason, sentence(&told.message));
                (exit, result(state, Some(problem)))
            }
        }
    }

    /// The last words for people.
    pub(super) fn conclude(&self, result: &RestoreResult) {
        let RestoreResult { state, problem, changed, deleted, bytes, seconds, .. } = result;
        let time = took(*seconds);
        let counted = if self.device {
            format!("1 device, {} written in {time}", human(*bytes))
        } else {
            format!("{changed} entries written, {deleted} deleted, {} in {time}", human(*bytes))
        };
        let say = |line: &str| self.console.say(line);
        if let Some(problem) = problem {
            say(&format!("{}: {}.", problem.reason, problem.message.trim_end_matches('.')));
        }
        match state {
            // That there was nothing to do has been said.
            RestoreState::Complete if !self.wrote => {}
            RestoreState::Complete => say(&format!("Done: {counted}. All data is on the disk.")),
            RestoreState::Incomplete if self.finding().is_some() => say(&format!("Written, and in doubt: {counted}.")),
            RestoreState::Incomplete => say(&format!("Incomplete: {counted}. All other entries are in the volume.")),
            RestoreState::Ready => say("Nothing was written so far: this is what a restore would change."),
            RestoreState::Waiting | RestoreState::Refused if self.device => say("Nothing was written by this attempt."),
            RestoreState::Waiting | RestoreState::Refused => say("Nothing was written."),
            RestoreState::Failed if self.wrote => {
                say(&format!("Interrupted: {counted}. Written data is kept; run the same command again to continue."));
            }
            RestoreState::Failed if self.device => {
                say("Nothing was written by this attempt. Run the same command again.");
            }
            RestoreState::Failed => say("Nothing was written. Run the same command again."),
        }
    }
}
