//! `backup-job restic restore`: writes what a snapshot in a repository has back into a volume.
//!
//! It goes about it as a restore from files does ([`crate::restore`]), and shares its words, refusals and care with
//! it. This file is the order of the steps; [`listing`] reads what the snapshot has, [`plan`] finds out what would be
//! done, and [`act`] lets restic do it. A raw block volume is restored by [`device`].

use std::path::{Path, PathBuf};

use model::reason::{Problem, Reason};
use rustix::process::geteuid;

use self::act::Writing;
use self::listing::Entry;
use self::plan::{Planner, Scope};
use super::exec::Restic;
use super::point::{self, RepositoryPoint};
use super::snapshots;
use crate::device::is_device;
use crate::outcome::{Failure, Outcome, TerminationLog};
use crate::restore::break_links::Name;
use crate::restore::device::Modes;
use crate::restore::session::{self, Ended, Next, Session};
use crate::restore::{TASK, paths, preflight, room};

mod act;
mod args;
mod device;
pub(crate) mod listing;
mod missing;
mod node;
mod plan;

pub(crate) use args::Args;
pub(crate) use node::LEFT_OUT;

pub(crate) fn run(args: &Args, log: &TerminationLog) -> Outcome {
    session::conduct(&args.how, &args.target, log, |session| Restore { args, session }.run())
}

/// One restore from a repository.
struct Restore<'a, 'b> {
    args: &'a Args,
    session: &'a mut Session<'b>,
}

/// What was found out.
struct Found {
    plan: crate::restore::plan::Plan,
    /// Names that have to be parted from their file.
    parted: Vec<Name>,
    /// Folders that have to give way.
    blocked: Vec<PathBuf>,
}

impl Restore<'_, '_> {
    fn run(&mut self) -> Result<Ended, Failure> {
        let how = &self.args.how;
        let (scope, to_device) = (how.scope(), is_device(&self.args.target));
        let target = if to_device {
            Ok(self.args.target.clone())
        } else {
            preflight::target(&self.args.target, how.allow_unmounted)
        }?;
        let restic = Restic::open(&self.args.common, TASK.failed, self.session.stop.clone())?;
        let snapshots = snapshots::list(&restic, &|| restic.stopped())?;
        let point = point::choose(&snapshots, &self.args.which, &self.args.common).map_err(Failure::last)?;
        drop(snapshots);
        self.session.incomplete |= point.incomplete;
        if (Modes { point: point.is_device(), target: to_device, paths: scope.is_some() }).check()? {
            return device::restore(self.session, &restic, &point, &target);
        }
        self.session.warn(&point.name())?;
        let parents = paths::missing_parents(&target, scope.as_deref().unwrap_or_default())
            .map_err(|e| TASK.io("reading the volume", &e))?
            .map_err(Failure::last)?;
        if !how.dry_run {
            self.session.ask_holders()?;
        }
        let mut found = self.plan(&restic, &point, &target, scope.as_deref())?;
        found.plan.new += parents.len() as u64;
        let room = room::look(&target).map_err(|e| TASK.io("measuring free space on the volume", &e))?;
        let planned = (found.plan.changes(), if how.delete { found.plan.extra } else { 0 }, found.plan.bytes);
        // Attributes and contents are compared by restic while it writes.
        match self.session.decide(&target, found.plan, room, false)? {
            Next::End(ended) => return Ok(ended),
            // restic deletes last: where its room is needed first, we do it.
            Next::Write { delete_first: true } => {
                let text = "the restore fits on the volume only after deletions, but restic deletes last: delete \
                            entries that the snapshot does not have, or restore into a larger PVC";
                return Err(Failure::last(Problem::new(Reason::TargetTooSmall, text)));
            }
            Next::Write { delete_first: false } => {}
        }
        let progress = self.session.progress();
        let verify = self.session.finding().is_some();
        self.session.compared =
            "It was compared with the checksums of the repository: what was damaged after it was stored would be named";
        let (_lock, watch) = self.session.begin(&target)?;
        let mut writing = Writing {
            restic: &restic,
            point: &point,
            target: &target,
            names: scope.as_deref(),
            parents: &parents,
            parted: &found.parted,
            blocked: &found.blocked,
            delete: how.delete,
            // Files of the volume that only look the same are compared too: the repository has their checksums.
            checksum: how.checksum || verify,
            verify,
            progress,
            planned,
        };
        let (done, left_out) = writing.run(watch);
        self.session.done = done;
        Ok(left_out?.map_or(Ended::Complete, Ended::Incomplete))
    }

    /// Finds out what would be done, and shows it.
    fn plan(
        &self,
        restic: &Restic,
        point: &RepositoryPoint,
        target: &Path,
        names: Option<&[PathBuf]>,
    ) -> Result<Found, Failure> {
        let (how, console, looks) = (&self.args.how, self.session.console, self.session.looks());
        if looks {
            console.say(&self.session.headline(&point.name()));
        }
        let mut planner = Planner::new(Scope {
            target,
            names,
            delete: how.delete,
            nanoseconds: preflight::keeps_nanoseconds(target).unwrap_or(true),
            owners: geteuid().is_root(),
            all: (looks && how.itemize).then_some(console),
        });
        let mut args = vec!["ls".into(), "--no-lock".into(), point.folder(Path::new(""))];
        if let Some(names) = names {
            args.push("--recursive".into());
            args.push("--".into());
            args.extend(names.iter().map(|name| Path::new("/").join(name).into()));
        }
        let ended = restic.run(&args, &mut |line: &str| {
            if let Some(entry) = Entry::read(line) {
                planner.entry(&entry);
            }
        })?;
        if ended.code != Some(0) {
            return Err(restic.failure(&ended));
        }
        let parted = planner.end();
        if let Some(name) = names.into_iter().flatten().find(|name| !planner.found.contains(*name)) {
            return Err(missing::why(restic, point, name)?);
        }
        if planner.entries == 0 {
            let text = format!("{} is empty: choose another restore point", point.name());
            return Err(Failure::last(Problem::new(Reason::RestorePointEmpty, text)));
        }
        if looks {
            planner.lines.iter().for_each(|line| console.say(line));
        }
        Ok(Found { plan: planner.plan, parted, blocked: planner.blocked })
    }
}
