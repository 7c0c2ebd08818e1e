//! `backup-job restic copy`: copies a promoter into the repository: its [`files`], or its [`device`]. What both have
//! in common is [`backup`].
//!
//! In the ordinary case there are two restic processes side by side: the one that looks which repository it is and then
//! the one that copies, and one that lists what was there before. Everything else comes after an exit code that asks for
//! it: no repository, a lock, missing entries.
//!
//! A try that is killed leaves at most data that no snapshot names, a lock, or a snapshot of this run. The next
//! try copies again in any case: where the snapshot is there, it finds every file unchanged, and what it
//! says is its own verdict and no guess about another's.

use std::time::Instant;

use model::reason::Reason;
use model::record::CopyResult;

use super::exec::Restic;
use crate::copy::ended;
use crate::device::is_device;
use crate::outcome::{Failure, Outcome};
use crate::process::stop_flag;

mod args;
mod backup;
mod device;
mod files;

pub(crate) use args::Args;

pub(crate) fn run(args: &Args) -> Outcome {
    let started = Instant::now();
    let copied = copy(args).map(|result| CopyResult { seconds: started.elapsed().as_secs(), ..result });
    ended(&args.run, copied, started)
}

/// L13: removes packs that are gone from the index, so that the copy stores their data again. Without this restic takes
/// it for stored. Nothing but index files is written and deleted. `restic repair packs` deletes data that cannot be read: by
/// restic's guide a person comes first, who copies the repository and looks for the fault of the hardware.
///
/// A copy without it is better than none.
fn repair_index(restic: &Restic) {
    let words = ["repair".into(), "index".into()];
    match restic.run_locking(&words, &mut |_: &str| {}) {
        Ok(ended) if ended.code == Some(0) => tracing::info!("repaired the repository's index"),
        Ok(ended) => {
            let problem = restic.failure(&ended).problem;
            tracing::warn!("cannot repair the repository's index: {problem}");
        }
        Err(Failure { problem, .. }) => tracing::warn!("cannot repair the repository's index: {problem}"),
    }
}

fn copy(args: &Args) -> Result<CopyResult, Failure> {
    let stop = stop_flag();
    let restic = Restic::open(&args.common, Reason::CopyFailed, stop)?;
    tracing::info!(run = %args.run, destination = args.common.name, "copying");
    if args.repair_index {
        repair_index(&restic);
    }
    if is_device(&args.source) { device::copy(&restic, args) } else { files::copy(&restic, args) }
}
