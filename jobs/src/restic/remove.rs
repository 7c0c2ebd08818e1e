//! `backup-job restic remove`: forgets all snapshots of a source that is gone, and removes their data. The empty
//! repository stays: restic cannot remove it, and its address may be shared with what is not ours.

use std::ffi::OsString;
use std::time::Instant;

use model::maintain::{MaintainResult, Task};
use model::names::Run;
use model::reason::{Problem, Reason};

use super::args::Common;
use super::exec::Restic;
use super::maintain::ended;
use super::prune::{forget_ids, remove_data};
use super::snapshots::{self, Snapshot};
use crate::outcome::{Failure, Outcome, now};
use crate::process::stop_flag;

/// What `backup-job restic remove` is called with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Copies were made here, and nothing has removed one yet: a repository without any is another one
    #[arg(long)]
    expect_copies: bool,
}

/// Runs the step.
pub(crate) fn run(args: &Args) -> Outcome {
    let started = Instant::now();
    let mut result = MaintainResult::new(Task::Remove, now(), None);
    let done = remove(args, &mut result);
    ended(result, done, started)
}

fn remove(args: &Args, result: &mut MaintainResult) -> Result<(), Failure> {
    let restic = Restic::open(&args.common, Reason::CopyFailed, stop_flag())?;
    let all = snapshots::list(&restic, &|| restic.stopped())?;
    // By its own tags: namespace, PVC and UID.
    let ours: Vec<(&Snapshot, Run)> = all.iter().filter_map(|s| Some((s, s.ours(&args.common)?))).collect();
    if ours.is_empty() && args.expect_copies {
        let text = "the repository has no snapshot of this PVC, but copies were made: the address leads to another one, or \
                    they are gone";
        return Err(Failure::last(Problem::new(Reason::RepositoryMissing, text)));
    }
    if let Some((_, run)) = ours.iter().find(|(snapshot, _)| snapshot.is_held()) {
        let text = format!("nothing is removed: the snapshot of run {run} has the tag {}", snapshots::HOLD);
        return Err(Failure::last(Problem::new(Reason::InUse, text)));
    }
    let ids: Vec<OsString> = ours.iter().map(|(snapshot, _)| OsString::from(&snapshot.id)).collect();
    forget_ids(&restic, ids)?;
    result.files = ours.len() as u64;
    result.pruned = snapshots::newest(ours.into_iter().map(|(_, run)| run));
    result.bytes = remove_data(&restic)?;
    if all.len() as u64 > result.files {
        tracing::info!("keeping {} snapshots that are not backups of this source", all.len() as u64 - result.files);
    }
    Ok(())
}
