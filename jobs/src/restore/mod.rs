//! `backup-job restore`: writes what a restore point has back into a volume.
//!
//! This file is the order of the steps. [`sides`] looks at both volumes, [`holders`] at who else has the one that is
//! written, [`paths`] at what is asked for; [`plan`] finds out what would be done and [`room`] whether it fits;
//! [`act`] does it by rsync, which [`transfer`] calls: [`temp`] tells that it is under way, [`parting`] mends what rsync
//! does to names that share a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use model::reason::{Problem, Reason};
use model::record::termination_message;
use rustix::process::geteuid;

use self::act::{Done, Writing};
use self::console::Console;
use self::holders::Watch;
use self::parting::Scope;
use self::plan::{Plan, Planner};
use self::room::Room;
use self::sides::Sides;
use self::transfer::{Delete, Transfer};
use crate::outcome::{Failure, Outcome, TerminationLog};
use crate::process::{allow_deep_trees, stop_flag_unless};
use crate::rsync::{self, Report, Task};

mod act;
mod args;
mod console;
mod entry;
mod holders;
mod parting;
mod paths;
mod plan;
mod room;
mod sides;
mod temp;
mod transfer;
mod words;

pub(crate) use args::Args;

/// The longest sentence in a result; it is repeated in annotations and Events.
const SENTENCE: usize = 512;

/// What restores are called in the words about rsync, and which reasons their failures have.
const TASK: Task = Task {
    left_out: "not restored",
    stopped: "the restore was stopped",
    full: "no space left on the volume",
    failed: Reason::RestoreFailed,
    no_room: Reason::TargetTooSmall,
};

/// How a restore ended that did not fail.
enum Ended {
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

/// Runs the step.
pub(crate) fn run(args: &Args, log: &TerminationLog) -> Outcome {
    let started = Instant::now();
    let asking = Arc::new(AtomicBool::new(false));
    let stop = stop_flag_unless(&asking);
    allow_deep_trees();
    let console = Console::new(args.output);
    let mut restore = Restore { args, console, stop: &stop, asking: &asking, done: Done::default(), wrote: false };
    let ended = restore.run();
    let (exit, mut result) = restore.result(ended);
    result.seconds = started.elapsed().as_secs();
    restore.conclude(&result);
    let message = termination_message(&result);
    console.result(&message);
    Outcome { exit, message: if log.is_ours() { message } else { String::new() } }
}

/// One restore.
struct Restore<'a> {
    args: &'a Args,
    console: Console,
    stop: &'a AtomicBool,
    asking: &'a Arc<AtomicBool>,
    done: Done,
    /// Whether writing was begun.
    wrote: bool,
}

impl Restore<'_> {
    fn run(&mut self) -> Result<Ended, Failure> {
        let args = self.args;
        let sides = sides::look(args)?;
        let scope = args.scope();
        let parents = self.check_paths(&sides, scope.as_deref())?;
        if !args.dry_run {
            self.ask_holders()?;
        }
        let looked = sides::keeps_nanoseconds(&sides.target);
        let transfer = Transfer {
            from: &sides.point,
            into: &sides.target,
            names: scope.as_deref(),
            deep: true,
            delete: if args.delete { Delete::During } else { Delete::No },
            checksum: args.checksum,
            nanoseconds: looked.unwrap_or(true),
            root: geteuid().is_root(),
            dry: false,
        };
        let parted = parting::find(&Scope {
            point: &sides.point,
            target: &sides.target,
            names: scope.as_deref(),
            checksum: args.checksum,
        });
        let room = room::look(&sides.target).map_err(|e| TASK.io("looking for room", &e))?;
        let mut writing = Writing {
            transfer,
            parents: &parents,
            parted: &parted,
            planned: None,
            progress: args.progress || Console::is_watched(),
            stop: self.stop,
        };
        // A Job of which nobody reads the preview, and which has room for all there is, just begins.
        let looks = args.dry_run || !args.yes || Console::can_ask();
        if looks || !(args.ignore_space || room.is_ample(&sides.point)) {
            let mut plan = self.plan(&writing.transfer, looks)?;
            plan.new += parents.len() as u64;
            plan.parted = parted.len() as u64;
            if let Some(ended) = self.decide(&sides, &mut writing, plan, room, looks)? {
                return Ok(ended);
            }
        }
        self.write(&sides, &mut writing)
    }

    /// Looks at the PATHs. Gives the folders above them that the volume does not have.
    fn check_paths(&self, sides: &Sides, scope: Option<&[PathBuf]>) -> Result<Vec<PathBuf>, Failure> {
        let Some(paths) = scope else {
            if sides.found_things {
                self.console.say("lost+found of the restore point is left out: name what you need of it as a PATH");
            }
            return Ok(Vec::new());
        };
        for path in paths {
            paths::find(&sides.point, path)
                .map_err(|e| TASK.io("looking into the restore point", &e))?
                .map_err(Failure::last)?;
        }
        paths::missing_parents(&sides.target, paths)
            .map_err(|e| TASK.io("looking into the volume", &e))?
            .map_err(Failure::last)
    }

    fn ask_holders(&self) -> Result<model::Timestamp, Failure> {
        holders::ask(&self.args.holders, self.args.holders_wait, self.stop).map_err(Failure::last)
    }

    /// Finds out what would be done, and shows it.
    fn plan(&self, transfer: &Transfer<'_>, looks: bool) -> Result<Plan, Failure> {
        // What only the volume has is counted whether it is deleted or not.
        let dry = Transfer { dry: true, delete: Delete::During, ..transfer.clone() };
        let input = dry.input().map_err(|e| TASK.io("naming the PATHs", &e))?;
        let all = (looks && self.args.itemize).then_some(self.console);
        let stop = || self.stop.load(Ordering::Relaxed);
        if looks {
            self.console.say(&self.headline());
        }
        let mut planner = Planner::new(Report::new(&TASK), (transfer.from, transfer.into), self.args.delete, all, stop);
        let status = rsync::run(&dry.arguments(), input, &mut planner).map_err(act::trouble)?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(Failure::again(Problem::new(Reason::RestoreFailed, TASK.stopped)));
        }
        // What cannot be read is told when it is written; a dry run that broke off says nothing.
        if !matches!(status.code(), Some(0 | 23 | 24)) {
            planner.report.verdict(status.code())?;
        }
        if looks {
            planner.lines.iter().for_each(|line| self.console.say(line));
        }
        Ok(planner.plan)
    }

    /// Whether it goes on: `Some` says how it ended instead.
    fn decide(
        &self,
        sides: &Sides,
        writing: &mut Writing<'_>,
        plan: Plan,
        room: Room,
        looks: bool,
    ) -> Result<Option<Ended>, Failure> {
        let args = self.args;
        if looks {
            self.show(&plan, room);
        }
        if plan.is_empty(args.delete) && !temp::is_left(&sides.target) {
            return Ok(Some(if args.dry_run { Ended::Shown(plan) } else { Ended::Complete }));
        }
        if !args.ignore_space && room.fits(&plan.need, args.delete).map_err(Failure::last)? {
            writing.transfer.delete = Delete::Before;
        }
        writing.planned = Some((plan.changes(), plan.bytes));
        if args.dry_run {
            return Ok(Some(Ended::Shown(plan)));
        }
        if args.yes {
            return Ok(None);
        }
        if !Console::can_ask() {
            return Ok(Some(Ended::Unasked));
        }
        Ok((!Console::ask("Restore?", self.asking)).then_some(Ended::Declined))
    }

    fn write(&mut self, sides: &Sides, writing: &mut Writing<'_>) -> Result<Ended, Failure> {
        let Some(_lock) = sides::lock(&sides.target).map_err(|e| TASK.io("locking the volume", &e))? else {
            let text = "another restore is writing to this volume: wait for its end, or stop it";
            return Err(Failure::again(Problem::new(Reason::TargetInUse, text)));
        };
        // Time has passed since the first question.
        let watch = Watch::new(&self.args.holders, self.ask_holders()?);
        self.wrote = true;
        let left_out = writing.run(watch, &mut self.done)?;
        Ok(left_out.map_or(Ended::Complete, Ended::Incomplete))
    }
}
