//! What `backup-job drill` is called with.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, FromArgMatches, ValueEnum};
use model::Timestamp;
use model::names::Run;

use super::sample::Sample;
use crate::restic::args::Common;
use crate::restic::point;

/// Drill a copy: restore it or a sample of it, and compare the result byte by byte with its snapshot.
///
/// --original is the snapshot that was copied, mounted read-only. A drill restores to --scratch by the same program as
/// a restore. It compares the bytes of every file. It also compares type, mode, owner, time, link target, hard links,
/// device number, ACLs, capabilities and user attributes of every entry. It skips lost+found in the volume's root. At
/// the end it removes everything that it has written to --scratch.
///
/// A sample is random: each file is equally likely. The same --seed draws the same sample. A sample leaves out files
/// for which --scratch has no space. With --sample all, the drill fails if not everything fits.
///
/// If --original is a block device, the drill compares the whole image, whatever --sample is. It needs no --scratch.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backup-job drill --from tree --tree /destination --run 20181202T0000Z --sample all
  backup-job drill --from tree --tree /destination --run 20181202T0000Z --sample 100 --seed 20181209T0000Z
  backup-job drill --from restic --run 20181202T0000Z --name s3 --repository '{RESTIC_REPOSITORY}/shop/data/3f0c'
    --secret-name shop/backup-s3 --namespace shop --pvc data --uid 3f0c

Exit codes: 0 no differences, 1 failed but a retry may help, 2 wrong command line, 3 differences, or the drill cannot
be done as requested: the result contains the reason.")]
pub(crate) struct Args {
    /// Kind of destination that has the copy
    #[arg(long, value_name = "KIND")]
    pub(crate) from: From,
    /// With --from tree: the run's folder on the disk; it is only read
    #[arg(long, value_name = "DIR", required_if_eq("from", "tree"))]
    pub(crate) tree: Option<PathBuf>,
    /// Run that was copied
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Run,
    /// Path of the run's snapshot; it is only read
    #[arg(long, value_name = "DIR", default_value = "/source")]
    pub(crate) original: PathBuf,
    /// Directory to restore to; it is written
    #[arg(long, value_name = "DIR", default_value = "/scratch")]
    pub(crate) scratch: PathBuf,
    /// The most bytes to write to --scratch [default: all free space]
    #[arg(long, value_name = "BYTES")]
    pub(crate) room: Option<u64>,
    /// Entries to restore: all, or a number of files
    #[arg(long, value_name = "all|N", default_value = "100")]
    pub(crate) sample: Sample,
    /// With --from restic: ID of the snapshot, if the run found nothing changed and has none of its own
    #[arg(long, value_name = "ID", value_parser = point::id)]
    pub(crate) snapshot: Option<String>,
    /// With --from restic: a pattern that the copy excluded. Entries that the snapshot lacks are then no differences
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub(crate) exclude: Vec<String>,
    #[command(flatten)]
    pub(crate) repository: Repository,
    /// Text that selects the sample: the same text selects the same files [default: the time of --now, or the run]
    #[arg(long, value_name = "TEXT")]
    pub(crate) seed: Option<String>,
    /// Time at which the drill was due
    #[arg(long, value_name = "TIMESTAMP")]
    pub(crate) now: Option<Timestamp>,
    /// Accept an empty copy: the volume is meant to be empty
    #[arg(long)]
    pub(crate) accept_empty: bool,
    /// Accept any directories, not only mount points
    #[arg(long, hide = true)]
    pub(crate) allow_unmounted: bool,
}

/// Where a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// A disk: the copy is a folder named after the run.
    Tree,
    /// A restic repository.
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
