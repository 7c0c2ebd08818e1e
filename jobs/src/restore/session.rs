//! What every restore does, whatever its restore point is: it asks who has the volume, shows what it would do, asks
//! whether it may, and tells how it ended.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use model::record::{RestoreRecord, termination_message};
use model::restore::{LACKS, not_deleting};

use super::act::Done;
use super::args::How;
use super::console::Console;
use super::plan::Plan;
use super::room::Room;
use super::task::TASK;
use super::{holders, preflight, temp};
use crate::device::is_device;
use crate::outcome::{Failure, Outcome, TerminationLog};
use crate::process::{allow_deep_trees, stop_flag_unless};
use holders::Watch;
use model::reason::{Problem, Reason};

/// How a restore ended that did not fail.
pub(crate) enum Ended {
    /// There was nothing to do, or all of it is done.
    Complete,
    /// Entries were left out; the text says which.
    Incomplete(String),
    /// It was only to be shown.
    Shown(Plan),
    /// Somebody said no.
    Declined,
    /// Nobody could be asked.
    Unasked,
}

/// What follows from a plan.
pub(crate) enum Next {
    /// The restore has ended.
    End(Ended),
    /// It is written; whether deletions have to come first.
    Write { delete_first: bool },
}

/// One restore.
pub(crate) struct Session<'a> {
    /// How it goes about it.
    pub(crate) how: &'a How,
    /// Where people see the volume.
    pub(crate) to: &'a Path,
    /// Where text goes.
    pub(crate) console: Console,
    /// Whether somebody wants this to end.
    pub(crate) stop: &'a Arc<AtomicBool>,
    /// What has been done.
    pub(crate) done: Done,
    /// Whether writing was begun.
    pub(crate) wrote: bool,
    /// Whether it is a device that is to be written, and not files.
    pub(crate) device: bool,
    /// What the controller wrote down about it.
    pub(super) record: Option<RestoreRecord>,
    /// Whether entries are missing in the restore point.
    pub(crate) incomplete: bool,
    /// After a finding: with what the contents were compared, a sentence.
    pub(crate) compared: &'static str,
    asking: &'a Arc<AtomicBool>,
}

/// Runs a restore into the volume at `to`, and tells how it ended.
pub(crate) fn conduct(
    how: &How,
    to: &Path,
    log: &TerminationLog,
    work: impl FnOnce(&mut Session<'_>) -> Result<Ended, Failure>,
) -> Outcome {
    let started = Instant::now();
    let asking = Arc::new(AtomicBool::new(false));
    let stop = stop_flag_unless(&asking);
    allow_deep_trees();
    let console = Console::new(how.output);
    let device = is_device(to);
    let record = record(&how.status);
    let mut session = Session {
        how,
        to,
        console,
        stop: &stop,
        done: Done::default(),
        wrote: false,
        device,
        incomplete: record.as_ref().is_some_and(|record| record.incomplete),
        compared: "A tree has no checksums of its files to compare it with",
        record,
        asking: &asking,
    };
    let ended = work(&mut session);
    let (exit, mut result) = session.result(ended);
    result.seconds = started.elapsed().as_secs();
    session.conclude(&result);
    let message = termination_message(&result);
    console.result(&message);
    Outcome { exit, message: if log.is_ours() { message } else { String::new() } }
}

/// The controller's description of the restore, if there is one.
fn record(path: &Path) -> Option<RestoreRecord> {
    fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok())
}

impl Session<'_> {
    /// Says what is known to be wrong with the restore point, before anything else. L2: an entry that is missing in it
    /// may be intact in the volume, so an incomplete one deletes nothing.
    pub(crate) fn warn(&self, point: &str) -> Result<(), Failure> {
        if let Some(finding) = self.finding() {
            let text = "WARNING: a check found something wrong where this restore point is stored";
            self.console.say(&format!("{text}: {finding}. Compare the restored data."));
        }
        if self.incomplete {
            self.console.say(&format!("WARNING: {point} is incomplete: {LACKS}."));
        }
        if self.incomplete && self.how.delete { Err(Failure::last(not_deleting(point))) } else { Ok(()) }
    }

    /// What a verify or a drill found wrong where the restore point is.
    pub(crate) fn finding(&self) -> Option<&str> {
        self.record.as_ref()?.finding.as_deref()
    }

    /// Asks whether nobody else has the volume.
    pub(crate) fn ask_holders(&self) -> Result<model::Timestamp, Failure> {
        holders::ask(&self.how.holders, self.how.holders_wait, self.stop).map_err(Failure::last)
    }

    /// Whether progress is told.
    pub(crate) fn progress(&self) -> bool {
        self.how.progress || Console::is_watched()
    }

    /// Whether somebody may look at what would be done.
    pub(crate) fn looks(&self) -> bool {
        self.how.dry_run || !self.how.yes || Console::can_ask()
    }

    /// Shows a plan to who looks, and finds out whether it goes on. `sure`: what is not in the plan is not done.
    pub(crate) fn decide(&self, target: &Path, plan: Plan, room: Room, sure: bool) -> Result<Next, Failure> {
        let how = self.how;
        if self.looks() {
            self.show(&plan, room, sure);
        }
        if sure && plan.is_empty(how.delete) && !temp::is_left(target) {
            return Ok(Next::End(if how.dry_run { Ended::Shown(plan) } else { Ended::Complete }));
        }
        let delete_first = !how.ignore_space && room.fits_restore(&plan.need, how.delete).map_err(Failure::last)?;
        Ok(match self.consent(plan) {
            Next::Write { .. } => Next::Write { delete_first },
            end @ Next::End(_) => end,
        })
    }

    /// Whether it goes on, once it is shown what would be done.
    pub(crate) fn consent(&self, plan: Plan) -> Next {
        let how = self.how;
        if how.dry_run {
            return Next::End(Ended::Shown(plan));
        }
        let write = Next::Write { delete_first: false };
        if how.yes {
            return write;
        }
        if !Console::can_ask() {
            return Next::End(Ended::Unasked);
        }
        if Console::ask("Restore?", self.asking) { write } else { Next::End(Ended::Declined) }
    }

    /// Begins to write: nobody else may restore to the volume, and nobody may have it. Time has passed since the
    /// first question. The lock holds as long as what is given back lives.
    pub(crate) fn begin(&mut self, target: &Path) -> Result<(std::fs::File, Watch<'_>), Failure> {
        let Some(lock) = preflight::lock(target).map_err(|e| TASK.io("locking the volume", &e))? else {
            let text = "another restore is writing to this volume: wait until it ends, or stop it";
            return Err(Failure::again(Problem::new(Reason::TargetInUse, text)));
        };
        let free = self.ask_holders()?;
        self.wrote = true;
        Ok((lock, Watch::new(&self.how.holders, free)))
    }
}
