//! `backup-job restore`: writes what a restore point has back into a volume.
//!
//! This file is the order of the steps from files; [`session`] has what every restore does. [`preflight`] checks both
//! volumes, [`holders`] finds other pods that have the written one mounted, [`paths`] finds the entries that are asked
//! for. [`plan`] finds out what would be done and [`room`] whether it fits. [`act`] does it by rsync, which [`transfer`]
//! calls; [`temp`] marks that it is under way, and [`break_links`] gives names that share a file one of their own.
//! [`messages`] has the texts for [`console`]. [`device`] restores a raw block volume.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use model::reason::{Problem, Reason};
use rustix::process::geteuid;

use self::act::{Done, Writing};
use self::break_links::Scope;
use self::console::shown;
use self::plan::{Plan, Planner};
use self::preflight::Sides;
use self::session::{Ended, Next, Session};
use self::transfer::{Delete, Transfer};
use crate::outcome::{Failure, Outcome, TerminationLog};
use crate::rsync::{self, Report, Trouble};

pub(crate) mod act;
mod args;
pub(crate) mod break_links;
pub(crate) mod console;
pub(crate) mod device;
mod entry;
mod fixed;
pub(crate) mod holders;
mod messages;
pub(crate) mod paths;
pub(crate) mod plan;
pub(crate) mod preflight;
pub(crate) mod room;
pub(crate) mod session;
mod task;
pub(crate) mod temp;
pub(crate) mod transfer;

pub(crate) use args::{Args, How};
pub(crate) use task::TASK;

pub(crate) fn run(args: &Args, log: &TerminationLog) -> Outcome {
    session::conduct(&args.how, &args.volume, log, |session| {
        if device::modes(args).check()? { device::restore(args, session) } else { Restore { args, session }.run() }
    })
}

/// One restore from files.
struct Restore<'a, 'b> {
    args: &'a Args,
    session: &'a mut Session<'b>,
}

impl Restore<'_, '_> {
    fn run(&mut self) -> Result<Ended, Failure> {
        let how = &self.args.how;
        if !rsync::is_there() {
            return Err(act::trouble(Trouble::Missing));
        }
        let sides = preflight::look(self.args)?;
        self.session.warn("this restore point")?;
        let scope = how.scope();
        let parents = self.check_paths(&sides, scope.as_deref())?;
        if !how.dry_run {
            self.session.ask_holders()?;
        }
        let looked = preflight::keeps_nanoseconds(&sides.target);
        let transfer = Transfer {
            from: &sides.point,
            into: &sides.target,
            names: scope.as_deref(),
            deep: true,
            delete: if how.delete { Delete::During } else { Delete::No },
            checksum: how.checksum,
            nanoseconds: looked.unwrap_or(true),
            root: geteuid().is_root(),
            dry: false,
        };
        fixed::refuse(&transfer)?;
        let parted = break_links::find(&Scope {
            point: &sides.point,
            target: &sides.target,
            names: scope.as_deref(),
            checksum: how.checksum,
        });
        let room = room::look(&sides.target).map_err(|e| TASK.io("measuring free space on the volume", &e))?;
        let mut writing = Writing {
            transfer,
            parents: &parents,
            parted: &parted,
            planned: None,
            progress: self.session.progress(),
            stop: self.session.stop,
            root_as_it_was: false,
        };
        // A Job of which nobody reads the preview, and which has room for all there is, just begins.
        if self.session.looks() || !(how.ignore_space || room.is_ample(&sides.point)) {
            let mut plan = self.plan(&writing.transfer)?;
            plan.new += parents.len() as u64;
            plan.parted = parted.len() as u64;
            writing.planned = Some((plan.changes(), plan.bytes));
            match self.session.decide(&sides.target, plan, room, true)? {
                Next::End(ended) => return Ok(ended),
                Next::Write { delete_first: true } => writing.transfer.delete = Delete::Before,
                Next::Write { delete_first: false } => {}
            }
        }
        let mut done = Done::default();
        let left_out = {
            let (_lock, watch) = self.session.begin(&sides.target)?;
            writing.run(watch, &mut done)
        };
        self.session.done = done;
        Ok(left_out?.map_or(Ended::Complete, Ended::Incomplete))
    }

    /// Looks at the PATHs. Gives the folders above them that the volume does not have.
    fn check_paths(&self, sides: &Sides, scope: Option<&[PathBuf]>) -> Result<Vec<PathBuf>, Failure> {
        let Some(paths) = scope else {
            if sides.found_things {
                let text =
                    "lost+found of the restore point is not restored: name entries in it as PATHs if you need them.";
                self.session.console.say(text);
            }
            return Ok(Vec::new());
        };
        for path in paths {
            paths::find(&sides.point, path)
                .map_err(|e| TASK.io("reading the restore point", &e))?
                .map_err(Failure::last)?;
        }
        paths::missing_parents(&sides.target, paths)
            .map_err(|e| TASK.io("reading the volume", &e))?
            .map_err(Failure::last)
    }

    /// Finds out what would be done, and shows it.
    fn plan(&self, transfer: &Transfer<'_>) -> Result<Plan, Failure> {
        // What only the volume has is counted whether it is deleted or not.
        let dry = Transfer { dry: true, delete: Delete::During, ..transfer.clone() };
        let input = dry.input().map_err(|e| TASK.io("passing the PATHs to rsync", &e))?;
        let (how, console, looks) = (&self.args.how, self.session.console, self.session.looks());
        let all = (looks && how.itemize).then_some(console);
        let stop = || self.session.stop.load(Ordering::Relaxed);
        if looks {
            console.say(&self.session.headline(&shown(&self.args.restore_point)));
        }
        let mut planner = Planner::new(Report::new(&TASK), (transfer.from, transfer.into), how.delete, all, stop);
        let status = rsync::run(&dry.arguments(), input, &mut planner).map_err(act::trouble)?;
        if self.session.stop.load(Ordering::Relaxed) {
            return Err(Failure::again(Problem::new(Reason::RestoreFailed, TASK.stopped)));
        }
        // What cannot be read is told when it is written; a dry run that broke off says nothing.
        if !matches!(status.code(), Some(0 | 23 | 24)) {
            planner.report.verdict(status.code())?;
        }
        if looks {
            planner.lines.iter().for_each(|line| console.say(line));
        }
        Ok(planner.plan)
    }
}
