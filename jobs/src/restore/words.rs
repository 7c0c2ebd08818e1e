//! What a restore says before and at its end.

use std::fs;
use std::path::Path;

use model::quantity::human;
use model::reason::{Problem, Reason};
use model::record::{RestoreRecord, RestoreResult, RestoreState, clip};

use super::SENTENCE;
use super::console::shown;
use super::device::told;
use super::plan::{NAMED, Plan};
use super::room::Room;
use super::session::{Ended, Session};
use crate::outcome::{Exit, Failure, now};

impl Session<'_> {
    /// What is restored, from where to where.
    pub(crate) fn headline(&self, from: &str) -> String {
        let status = fs::read_to_string(&self.how.status).unwrap_or_default();
        let record = serde_json::from_str::<RestoreRecord>(&status).ok();
        let (point, target) = record.map_or((None, None), |record| (record.point, record.target));
        let name = |what: Option<String>, path: &str| match what {
            Some(name) => format!("{} ({path})", shown(Path::new(&name))),
            None => path.to_owned(),
        };
        format!("From {} to {}:", name(point, from), name(target, &shown(self.to)))
    }

    /// The plan in numbers.
    pub(super) fn show(&self, plan: &Plan, room: Room, sure: bool) {
        let say = |line: String| self.console.say(&line);
        let told = plan.new + plan.changed + if self.how.delete { plan.extra } else { 0 };
        if !self.how.itemize && told > NAMED {
            say(format!("  and {} more; --itemize names all", told - NAMED));
        }
        if plan.is_empty(self.how.delete) {
            say(if sure {
                "Nothing to do: what the restore point has is in the volume as it was.".to_owned()
            } else {
                "Sizes, times, modes and owners are as they were. Attributes are set anew.".to_owned()
            });
        } else {
            let (new, changed, newer) = (plan.new, plan.changed, plan.newer);
            say(format!("New: {new}. Changed: {changed}, of them newer in the volume: {newer}."));
            say(format!("To be written: {}, of {} that are free.", human(plan.bytes), human(room.bytes)));
        }
        if plan.parted > 0 {
            say(format!(
                "{} names share a file in the volume and not in the restore point: they are parted.",
                plan.parted
            ));
        }
        if plan.extra > 0 {
            let extra = plan.extra;
            say(if self.how.delete {
                format!("DELETED: {extra}. The restore point does not have them.")
            } else {
                format!("Not in the restore point: {extra}. They stay; --delete removes them.")
            });
        }
        let (blocked, count) = &plan.blocked;
        if *count > 0 {
            let names: Vec<String> = blocked.iter().map(|path| shown(path)).collect();
            say(format!(
                "{count} folders with something in them stand where the restore point has none, and stay; --delete \
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
        };
        match ended {
            Ok(Ended::Complete) => (Exit::Done, result(RestoreState::Complete, None)),
            Ok(Ended::Incomplete(text)) => {
                let problem = Problem::new(Reason::Unreadable, clip(&text, SENTENCE));
                (Exit::Final, result(RestoreState::Incomplete, Some(problem)))
            }
            Ok(Ended::Shown(plan)) => {
                let shown = result(RestoreState::Ready, None);
                let deleted = if self.how.delete { plan.extra } else { 0 };
                (Exit::Done, RestoreResult { changed: plan.changes(), deleted, bytes: plan.bytes, ..shown })
            }
            Ok(Ended::Declined) => (Exit::Final, result(RestoreState::Refused, None)),
            Ok(Ended::Unasked) => {
                let text = "nobody can be asked without a terminal: say --yes (and kubectl exec -it gives a terminal)";
                let problem = Problem::new(Reason::InvalidRequest, text);
                (Exit::Usage, result(RestoreState::Refused, Some(problem)))
            }
            Err(Failure { problem, exit }) => {
                let state = match (self.wrote, exit) {
                    (false, Exit::Final | Exit::Usage) => RestoreState::Refused,
                    _ => RestoreState::Failed,
                };
                let told = if self.device && !self.how.dry_run { told(problem, done.changed > 0) } else { problem };
                let problem = Problem::new(told.reason, clip(&told.message, SENTENCE));
                (exit, result(state, Some(problem)))
            }
        }
    }

    /// The last words for people.
    pub(super) fn conclude(&self, result: &RestoreResult) {
        let RestoreResult { state, problem, changed, deleted, bytes, seconds, .. } = result;
        let counted = if self.device {
            format!("1 device, {} of it written in {seconds} s", human(*bytes))
        } else {
            format!("{changed} entries written, {deleted} deleted, {} in {seconds} s", human(*bytes))
        };
        let say = |line: &str| self.console.say(line);
        if let Some(problem) = problem {
            say(&format!("{}: {}.", problem.reason, problem.message.trim_end_matches('.')));
        }
        match state {
            // That there was nothing to do has been said.
            RestoreState::Complete if !self.wrote => {}
            RestoreState::Complete => say(&format!("Done: {counted}. All of it is on the disk.")),
            RestoreState::Incomplete => say(&format!("Not wholly restored: {counted}. The rest is in the volume.")),
            RestoreState::Ready => say("Nothing was written: this was a dry run."),
            RestoreState::Waiting | RestoreState::Refused if self.device => say("Nothing was written by this try."),
            RestoreState::Waiting | RestoreState::Refused => say("Nothing was written."),
            RestoreState::Failed if self.wrote => {
                say(&format!("Broken off: {counted}. What was written stays; the same command goes on with it."));
            }
            RestoreState::Failed if self.device => say("Nothing was written by this try. Try again."),
            RestoreState::Failed => say("Nothing was written. Try again."),
        }
    }
}
