//! What `backup-job restic restore` is called with.

use std::path::PathBuf;

use crate::restic::args::Common;
use crate::restic::point::Which;
use crate::restore::How;

/// Restores a volume, or files and folders of it, from a restic repository.
///
/// /target is the volume: it is WRITTEN. The repository is only read, but for restic's lock. Which snapshot is said by
/// its id, or by its run; one of another PVC than --uid is refused. What would be done is shown first, and asked about:
/// it is found out by sizes, times, modes and owners. Files that the snapshot has are made as they were, also if they
/// are newer in the volume. What it does not have stays, unless you say --delete. No other pod may have the volume
/// mounted. A restore that broke off goes on if it is called again. Where /target is a block device, all of it is made
/// what it was, and no PATH can be named.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backup-job restic restore … --run 20181202T0000Z --dry-run    what a restore of the whole volume would do
  backup-job restic restore … --snapshot 1a2b3c4d etc/app.conf  one file

Exit codes: 0 done, 1 another try may help, 2 wrong command line, 3 refused or not wholly done: the text says why.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) how: How,
    /// Where the volume is mounted: it is written
    #[arg(long, value_name = "DIR", default_value = "/target")]
    pub(crate) target: PathBuf,
}
