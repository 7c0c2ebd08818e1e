//! What `backup-job restic restore` is called with.

use std::path::PathBuf;

use crate::restic::args::Common;
use crate::restic::point::Which;
use crate::restore::How;

/// Restore a volume, or files and folders of it, from a restic repository.
///
/// The restore WRITES to the volume at /target. It only reads the repository, apart from restic's lock. Select the
/// snapshot by --snapshot or --run; a snapshot of a PVC other than --uid is refused.
///
/// The restore first shows a preview, by sizes, times, modes and owners, and asks for confirmation. Files of the
/// snapshot replace those of the volume, even newer ones. Entries that the snapshot lacks are kept unless you use
/// --delete. No other pod may use the volume. To continue an interrupted restore, run the same command again.
///
/// If /target is a block device, the restore overwrites the whole device and accepts no PATH.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backup-job restic restore … --run 20181202T0000Z --dry-run    preview a restore of the whole volume
  backup-job restic restore … --snapshot 1a2b3c4d etc/app.conf  restore one file

Exit codes: 0 done, 1 failed but a retry may help, 2 wrong command line, 3 refused or incomplete: the text contains
the reason.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) how: How,
    /// Path of the volume; the restore writes to it
    #[arg(long, value_name = "DIR", default_value = "/target")]
    pub(crate) target: PathBuf,
}
