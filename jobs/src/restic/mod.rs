//! `backup-job restic`: works on the restic repository of a source, by the pinned `restic` of the image.
//!
//! [`args`] are the arguments of every verb, [`address`] is what restic works on, [`secret`] reads the mounted Secret,
//! [`exec`] runs restic, [`stderr`] reads its messages and [`classify`] finds their cause. [`snapshots`] is what a
//! repository holds. The verbs stand on these: [`copy`] (with [`init`] and [`report`]), [`prune`], [`remove`], [`verify`],
//! and [`restore`] with [`point`], which finds the snapshot that is meant, and [`restore_errors`].

use clap::Subcommand;

use crate::outcome::{Outcome, TerminationLog};

mod address;
pub(crate) mod args;
mod classify;
mod copy;
pub(crate) mod dump;
pub(crate) mod exec;
mod init;
mod maintain;
pub(crate) mod pattern;
pub(crate) mod point;
mod prune;
mod remove;
mod report;
pub(crate) mod restore;
pub(crate) mod restore_errors;
mod secret;
pub(crate) mod snapshots;
mod ssh;
pub(crate) mod stderr;
mod verify;

/// What `backup-job restic` is called with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Copy a promoter (the PVC made from a snapshot) to the repository; create the repository if it does not exist
    Copy(copy::Args),
    /// Forget expired snapshots, and remove their data
    Prune(prune::Args),
    /// Forget all snapshots of a source (a PVC) that no longer exists, and remove their data
    Remove(remove::Args),
    /// Read and check a part of the repository
    Verify(verify::Args),
    Restore(restore::Args),
}

impl Args {
    /// Whether a person may be looking on.
    pub(crate) fn is_restore(&self) -> bool {
        matches!(self.verb, Verb::Restore(_))
    }
}

pub(crate) fn run(args: &Args, log: &TerminationLog) -> Outcome {
    match &args.verb {
        Verb::Copy(args) => copy::run(args),
        Verb::Prune(args) => prune::run(args),
        Verb::Remove(args) => remove::run(args),
        Verb::Verify(args) => verify::run(args),
        Verb::Restore(args) => restore::run(args, log),
    }
}
