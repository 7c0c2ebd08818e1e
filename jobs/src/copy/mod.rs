//! `backup-job copy`: copies a promoter's files into a dated tree.
//!
//! This file is the order of the steps. [`source`] looks at what is copied, [`layout`] at where it goes;
//! [`tree`] makes the tree: [`partial`] begins it, [`probe`] asks what its disk keeps, [`transfer`] moves the bytes, [`crate::hard_links`] mends what rsync
//! cannot do, and [`commit`] ends it. Of a raw block volume, [`image`] makes the tree. [`prune`] removes expired trees, and
//! [`remove`] all of a source that is gone.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use model::names::Run;
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState, KEPT, termination_message};
use model::text::sentence;

use crate::device::is_device;
use crate::outcome::{Exit, Failure, Outcome, TerminationLog, now};
use crate::process::{allow_deep_trees, stop_flag};

use self::image::Imaging;
use self::layout::{Inventory, Shelf, Tree};
use self::prune::Policy;
use self::task::TASK;
use self::tree::Making;

mod args;
mod commit;
pub(crate) mod image;
pub(crate) mod layout;
pub(crate) mod manifest;
mod partial;
mod probe;
mod prune;
pub(crate) mod remove;
pub(crate) mod source;
mod task;
mod transfer;
mod tree;

pub(crate) use args::Args;

pub(crate) fn run(args: &Args, log: &TerminationLog) -> Outcome {
    let started = Instant::now();
    let stop = stop_flag();
    allow_deep_trees();
    ended(&args.run, copy(args, log, &stop, started), started)
}

/// What a copy leaves, wherever it went.
pub(crate) fn ended(run: &Run, copied: Result<CopyResult, Failure>, started: Instant) -> Outcome {
    let (exit, result) = match copied {
        Ok(result) if result.state == CopyState::Complete => (Exit::Done, result),
        Ok(result) => (Exit::Final, result),
        Err(Failure { problem, exit }) => {
            let mut result = CopyResult::without_data(CopyState::Failed, &problem, now());
            result.seconds = started.elapsed().as_secs();
            (exit, result)
        }
    };
    let message = termination_message(&result);
    match exit {
        Exit::Done => tracing::info!(%run, result = message, "copied"),
        Exit::Again | Exit::Usage | Exit::Final => {
            tracing::error!(%run, result = message, "the copy failed or is incomplete");
        }
    }
    Outcome { exit, message }
}

fn copy(args: &Args, log: &TerminationLog, stop: &AtomicBool, started: Instant) -> Result<CopyResult, Failure> {
    let shelf = Shelf::open(&args.destination).map_err(|error| {
        let text = format!("cannot open the destination {}: {error}", args.destination.display());
        Failure::again(Problem::new(Reason::DiskNotReady, text))
    })?;
    let Some(lock) = shelf.lock().map_err(|e| TASK.io("locking the destination", &e))? else {
        let text = "another copy of this volume is still writing to the destination";
        return Err(Failure::again(Problem::new(Reason::DiskBusy, text)));
    };
    let mut found = shelf.inventory().map_err(|e| TASK.io("reading the destination", &e))?;
    if let Some(tree) = found.trees.iter().find(|tree| tree.run == args.run) {
        tracing::info!(run = %args.run, "the copy of this run already exists");
        let mut result = tree.manifest.result.clone();
        tell_kept(&mut result, &found.trees, &[]);
        return Ok(result);
    }
    // Whatever refuses the copy comes before the first change on the disk: on another one it would be somebody else's.
    expect_trees(&found, &args.expect_tree)?;
    refuse_strangers(&found, &args.run)?;
    let manifest = if is_device(&args.source) {
        tidy(&shelf, &mut found);
        Imaging { args, shelf: &shelf, trees: &found.trees, stop, started }.run(found.partials)?
    } else {
        let source = source::look(&args.source, args.allow_unmounted)?;
        let counts = found.trees.iter().map(|tree| (&tree.run, tree.manifest.result.files));
        source::check_empty(source, args.accept_empty, args.filled.as_ref(), counts)?;
        tidy(&shelf, &mut found);
        Making { args, shelf: &shelf, lock: &lock, source, trees: &found.trees, stop, started }.run(found.partials)?
    };

    // Whatever happens from here on, the run is done.
    let mut result = manifest.result.clone();
    found.trees.push(Tree { run: args.run.clone(), manifest });
    tell_kept(&mut result, &found.trees, &[]);
    // A pod that is killed while it prunes has told of its copy already.
    log.write(&termination_message(&result));
    match Policy::read(args) {
        Ok(None) => {}
        Ok(Some(policy)) => {
            let pruned = prune::prune(&shelf, &policy, &found.trees, &args.run);
            result.pruned.clone_from(&pruned);
            tell_kept(&mut result, &found.trees, &pruned);
            // Restores go by this list: it leaves out what is trash before the first file goes.
            log.write(&termination_message(&result));
            prune::remove(&shelf, &pruned, stop);
        }
        // Law 4: it deletes nothing, and is told.
        Err(fault) => {
            tracing::warn!("nothing is pruned: {fault}");
            let before = if result.message.is_empty() { String::new() } else { format!("{}; ", result.message) };
            result.message = sentence(&format!("{before}nothing is pruned: {fault}"));
        }
    }
    Ok(result)
}

/// Puts the newest trees that stay into a result, newest first, and which of them lack entries.
fn tell_kept(result: &mut CopyResult, trees: &[Tree], pruned: &[Run]) {
    let mut kept: Vec<&Tree> = trees.iter().filter(|tree| !pruned.contains(&tree.run)).collect();
    kept.sort_by(|a, b| b.run.cmp(&a.run));
    kept.truncate(KEPT);
    let lacks = |tree: &&&Tree| tree.manifest.result.state != CopyState::Complete;
    result.incomplete = kept.iter().filter(lacks).map(|tree| tree.run.clone()).collect();
    result.kept = kept.into_iter().map(|tree| tree.run.clone()).collect();
}

/// Law 12: a disk that had trees of this source and has none of them is another one, or was emptied. A tree that is
/// newer than those that are expected shows that it is the same: a copy whose result was lost may have pruned them all.
fn expect_trees(found: &Inventory, expected: &[Run]) -> Result<(), Failure> {
    let Some(newest) = expected.iter().max() else { return Ok(()) };
    if found.trees.iter().any(|tree| expected.contains(&tree.run) || tree.run > *newest) {
        return Ok(());
    }
    let text = format!(
        "the destination has none of the earlier copies of this volume, the newest of which was run {newest}; nothing \
         was copied"
    );
    Err(Failure::last(Problem::new(Reason::DiskMissing, text)))
}

/// Tells which folders are called like a tree and were not made by us. They are never written to.
fn refuse_strangers(found: &Inventory, run: &Run) -> Result<(), Failure> {
    for stranger in &found.strangers {
        tracing::warn!(run = %stranger, "the folder of this run has no manifest: it does not count, and is left alone");
    }
    if found.strangers.contains(run) {
        let text = format!("the destination already has a folder {run}, which has no manifest: move it away");
        return Err(Failure::last(Problem::new(Reason::NameTaken, text)));
    }
    Ok(())
}

/// Removes what crashes left and nobody needs.
fn tidy(shelf: &Shelf, found: &mut Inventory) {
    let orphans = found.orphans.drain(..).map(|run| layout::manifest_of(run.as_str()).into());
    for name in found.rubbish.drain(..).chain(orphans) {
        tracing::info!("removing a leftover of an earlier run: {}", name.display());
        if let Err(error) = shelf.remove(&name, &mut || Ok(())) {
            tracing::warn!(%error, "cannot remove {}", name.display());
        }
    }
}
