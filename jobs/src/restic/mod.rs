//! `backup-job restic`: works on the restic repository of a source, by the pinned `restic` of the image.
//!
//! [`args`] is what every verb is called with, [`secret`] reads the mounted Secret, [`exec`] runs restic, [`heard`]
//! listens to it and [`cause`] knows what its words mean. [`snapshots`] is what a repository holds. The verbs stand
//! on these: [`copy`] (with [`init`] and [`report`]), [`prune`], [`verify`].

use clap::Subcommand;

use crate::outcome::Outcome;

mod args;
mod cause;
mod copy;
mod exec;
mod heard;
mod init;
mod maintain;
mod prune;
mod report;
mod secret;
mod snapshots;
mod verify;

/// What `backup-job restic` is called with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Copies a promoter's files into the repository, which is made if it is not there
    Copy(copy::Args),
    /// Forgets expired snapshots, and removes their data
    Prune(prune::Args),
    /// Reads and checks a part of the repository
    Verify(verify::Args),
}

/// Runs the step.
pub(crate) fn run(args: &Args) -> Outcome {
    match &args.verb {
        Verb::Copy(args) => copy::run(args),
        Verb::Prune(args) => prune::run(args),
        Verb::Verify(args) => verify::run(args),
    }
}
