//! `backup-job remove`: removes all copies of a source that is gone from its own part of a disk.
//!
//! The pod has this one folder of the disk, so nothing beside it can be touched. What lies in it is looked at first: a
//! manifest of another source or destination refuses all of it. Then every tree is made trash, which is no restore
//! point, and only then files are removed. A try that was stopped is finished by the next one. Folders that we did not
//! make stay, and are told.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use model::maintain::{MaintainResult, Task, TaskState};
use model::names::Run;
use model::reason::{Problem, Reason};
use model::record::KEPT;
use model::text::{clip, sentence};

use super::commit::expire;
use super::layout::{Inventory, Partial, Shelf, manifest_of, trash_of};
use super::task::TASK;
use crate::no_follow::until_stopped;
use crate::outcome::{Exit, Failure, Outcome, now};
use crate::process::{allow_deep_trees, stop_flag};

/// Says that a removal was begun here: what is missing then is no sign of another disk.
const BEGUN: &str = ".removed";

/// What `backup-job remove` is called with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the destination: copies that were made for another one stay
    #[arg(long, value_name = "DESTINATION")]
    name: String,
    /// Whose copies they are, <namespace>/<pvc>/<uid>: copies of another source stay
    #[arg(long, value_name = "SOURCE")]
    of: String,
    /// Directory of this source on the destination
    #[arg(long, value_name = "DIR", default_value = "/destination")]
    destination: PathBuf,
    /// Run that has a copy here. If there is none of these, the disk is another one; may be repeated
    #[arg(long, value_name = "RUN")]
    expect_tree: Vec<Run>,
}

/// Runs the step.
pub(crate) fn run(args: &Args) -> Outcome {
    let started = Instant::now();
    allow_deep_trees();
    let mut result = MaintainResult::new(Task::Remove, now(), None);
    let exit = match remove(args, &mut result, &stop_flag()) {
        Ok(()) => Exit::Done,
        Err(Failure { problem, exit }) => {
            result.state = TaskState::Failed;
            result.problem = Some(Problem::new(problem.reason, sentence(&problem.message)));
            exit
        }
    };
    (result.finished, result.seconds) = (now(), started.elapsed().as_secs());
    match &result.problem {
        None => tracing::info!(copies = result.files, "removed all copies of {}", args.of),
        Some(problem) => tracing::error!(copies = result.files, "not all copies of {} are removed: {problem}", args.of),
    }
    Outcome::new(exit, &result)
}

/// Writes down what was done as it is done.
fn remove(args: &Args, result: &mut MaintainResult, stop: &AtomicBool) -> Result<(), Failure> {
    let shelf = Shelf::open(&args.destination).map_err(|error| {
        let text = format!("cannot open the destination {}: {error}", args.destination.display());
        Failure::again(Problem::new(Reason::DiskNotReady, text))
    })?;
    let Some(_lock) = shelf.lock().map_err(|e| TASK.io("locking the destination", &e))? else {
        let text = "a copy of this volume is still writing to the destination";
        return Err(Failure::again(Problem::new(Reason::DiskBusy, text)));
    };
    let found = shelf.inventory().map_err(|e| TASK.io("reading the destination", &e))?;
    refuse_foreign(args, &found)?;
    begin(args, &shelf, &found)?;
    // The trash of an earlier try may have the name that a tree needs now.
    for name in &found.rubbish {
        discard(&shelf, name, stop)?;
    }
    for tree in &found.trees {
        expire(&shelf, &tree.run).map_err(|e| TASK.io(&format!("making trash of {}", tree.run), &e))?;
        result.files += 1;
        result.pruned.push(tree.run.clone());
    }
    result.pruned.sort_by(|a, b| b.cmp(a));
    result.pruned.truncate(KEPT);
    let trees = found.trees.iter().map(|tree| trash_of(&tree.run));
    let partials = found.partials.iter().map(Partial::name);
    let manifests = found.orphans.iter().map(|run| manifest_of(run.as_str()));
    for name in trees.chain(partials).chain(manifests) {
        discard(&shelf, name.as_ref(), stop)?;
    }
    for stranger in &found.strangers {
        tracing::warn!(run = %stranger, "the folder of this run has no manifest: it is not ours, and stays");
    }
    shelf.sync_names().map_err(|e| TASK.io("syncing the destination", &e))
}

/// What says that it is of another source, or was made for another destination, is not what the ledger tells of. Then
/// nothing at all is removed.
fn refuse_foreign(args: &Args, found: &Inventory) -> Result<(), Failure> {
    for tree in &found.trees {
        let manifest = &tree.manifest;
        let (field, there, wanted) = match &manifest.of {
            Some(of) if *of != args.of => ("of", of, &args.of),
            _ if manifest.destination != args.name => ("destination", &manifest.destination, &args.name),
            _ => continue,
        };
        let text = format!(
            "nothing is removed: the manifest of run {} has {field} {}, and not {wanted}",
            tree.run,
            clip(there, 128)
        );
        return Err(Failure::last(Problem::new(Reason::NotManaged, text)));
    }
    Ok(())
}

/// Law 12: a disk that has none of the copies that are to go is another one, or is not mounted, unless an earlier try
/// removed them.
fn begin(args: &Args, shelf: &Shelf, found: &Inventory) -> Result<(), Failure> {
    let mark = shelf.at(BEGUN);
    let begun = fs::symlink_metadata(&mark).is_ok_and(|meta| meta.is_file());
    let known = |run: &Run| args.expect_tree.contains(run);
    if !begun && !args.expect_tree.is_empty() && !found.trees.iter().any(|tree| known(&tree.run)) {
        let text = "the destination has none of the copies that are to be removed; nothing is removed";
        return Err(Failure::again(Problem::new(Reason::DiskMissing, text)));
    }
    if !begun {
        let made = File::create_new(&mark).and_then(|file| file.sync_all());
        made.and_then(|()| shelf.sync_names()).map_err(|e| TASK.io("marking the removal", &e))?;
    }
    Ok(())
}

/// Removes a folder or a file. A stop is heard in the middle of a tree.
fn discard(shelf: &Shelf, name: &OsStr, stop: &AtomicBool) -> Result<(), Failure> {
    match shelf.remove(name, &mut until_stopped(stop)) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            let text = "the removal was stopped; the next try continues it";
            Err(Failure::again(Problem::new(Reason::JobFailed, text)))
        }
        Err(error) => Err(TASK.io(&format!("removing {}", name.display()), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use model::names::SourceId;
    use model::plan::Remove;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_the_template_renders_is_understood() {
        let source = SourceId { namespace: "shop".into(), name: "data".into(), uid: "u".into() };
        let runs: Vec<Run> = vec!["20181201T0000Z".parse().unwrap(), "20181202T0000Z".parse().unwrap()];
        let rendered = templates::args::remove_args("disk", &source, &Remove { runs: runs.clone(), tried: false });
        assert_eq!(rendered[0], "remove");
        let Line { args } = Line::try_parse_from(&rendered).unwrap();
        assert_eq!((args.name.as_str(), args.of.as_str(), args.expect_tree), ("disk", "shop/data/u", runs));
        assert_eq!(args.destination.to_str(), Some("/destination"));
    }
}
