//! What `backup-job drill` is called with.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, FromArgMatches, ValueEnum};
use model::Timestamp;
use model::names::Run;

use super::sample::Sample;
use crate::restic::args::Common;
use crate::restic::point;

/// Proves that a copy can be restored: restores it, or a sample of it, and compares it with its snapshot.
///
/// --original is the snapshot that was copied, mounted read-only. What is restored to --scratch, by the same program
/// that a restore uses, is compared with it: the bytes of every file; and type, mode, owner, time, link target, hard
/// links, device number, ACLs, capabilities and user attributes. lost+found of the volume's root is passed over. What
/// was written to --scratch is removed in the end.
///
/// A sample is drawn by lot, each file as likely as any other, and the same for the same --seed. Files for which
/// --scratch has no room are left out of a sample; of --sample all, everything has to fit.
///
/// Where --original is a block device, all of its image is compared with it, whatever --sample says; --scratch is not
/// needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backup-job drill --from tree --tree /destination --run 20181202T0000Z --sample all
  backup-job drill --from tree --tree /destination --run 20181202T0000Z --sample 100 --seed 20181209T0000Z
  backup-job drill --from restic --run 20181202T0000Z --name s3 --repository '{RESTIC_REPOSITORY}/shop/data/3f0c'
    --secret-name shop/backup-s3 --namespace shop --pvc data --uid 3f0c

Exit codes: 0 every byte is as it was, 1 another try may help, 2 wrong command line, 3 there are differences, or it
cannot be done as asked for: the result says which.")]
pub(crate) struct Args {
    /// Where the copy is
    #[arg(long, value_name = "KIND")]
    pub(crate) from: From,
    /// With --from tree: the run's tree on the disk; it is read
    #[arg(long, value_name = "DIR", required_if_eq("from", "tree"))]
    pub(crate) tree: Option<PathBuf>,
    /// The run of which the copy is
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Run,
    /// Where the run's snapshot is mounted; it is read
    #[arg(long, value_name = "DIR", default_value = "/source")]
    pub(crate) original: PathBuf,
    /// Where there is room to restore to; it is written
    #[arg(long, value_name = "DIR", default_value = "/scratch")]
    pub(crate) scratch: PathBuf,
    /// How much of --scratch may be filled, where its file system has more than that [default: all that is free]
    #[arg(long, value_name = "BYTES")]
    pub(crate) room: Option<u64>,
    /// How much is restored: all, or a number of files
    #[arg(long, value_name = "all|N", default_value = "100")]
    pub(crate) sample: Sample,
    /// With --from restic: the snapshot's id, if the run has none of its own because nothing had changed
    #[arg(long, value_name = "ID", value_parser = point::id)]
    pub(crate) snapshot: Option<String>,
    /// With --from restic: what the copy left out. Then entries that the snapshot does not have are not missed
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub(crate) exclude: Vec<String>,
    #[command(flatten)]
    pub(crate) repository: Repository,
    /// What the sample is drawn by: the same text draws the same files [default: the time of --now, or the run]
    #[arg(long, value_name = "TEXT")]
    pub(crate) seed: Option<String>,
    /// When the drill was due
    #[arg(long, value_name = "TIMESTAMP")]
    pub(crate) now: Option<Timestamp>,
    /// Somebody said that the volume is meant to be empty: then an empty copy is as it must be
    #[arg(long)]
    pub(crate) accept_empty: bool,
    /// Takes any folders, not only mounts
    #[arg(long, hide = true)]
    pub(crate) allow_unmounted: bool,
}

/// Where a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// On a disk, as a dated tree.
    Tree,
    /// In a restic repository.
    Restic,
}

/// Where the repository is, with --from restic: then all that is said of one must be there.
#[derive(Debug)]
pub(crate) struct Repository(pub(crate) Option<Common>);

/// What every call for a repository has to say.
const REQUIRED: [&str; 6] = ["name", "repository", "secret_name", "namespace", "pvc", "uid"];

impl clap::Args for Repository {
    fn augment_args(command: Command) -> Command {
        let required = |arg: Arg| arg.required(false).required_if_eq("from", "restic");
        REQUIRED.into_iter().fold(Common::augment_args(command), |command, id| command.mut_arg(id, required))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Repository {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        matches.contains_id("repository").then(|| Common::from_arg_matches(matches)).transpose().map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args {
    /// What the sample is drawn by.
    pub(crate) fn seed(&self) -> String {
        let due = || self.now.map_or_else(|| self.run.to_string(), |now| now.to_string());
        self.seed.clone().unwrap_or_else(due)
    }
}
