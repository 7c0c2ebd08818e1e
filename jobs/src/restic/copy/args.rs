//! What `backup-job restic copy` is called with.

use std::path::PathBuf;

use model::facts::Journal;
use model::names::Run;

use crate::restic::args::Common;
use crate::restic::init::Expect;

/// What `backup-job restic copy` is called with.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) common: Common,
    /// Run to copy, such as 20181202T0000Z
    #[arg(long)]
    pub(super) run: Run,
    /// Path of the promoter (the PVC made from the snapshot)
    #[arg(long, value_name = "DIR", default_value = "/source")]
    pub(super) source: PathBuf,
    /// Whether the mount replayed or skipped the promoter's journal; it is recorded with the copy
    #[arg(long, default_value = "replayed", value_name = "WORD")]
    pub(super) journal: Journal,
    /// Accept an empty volume, although an earlier copy has entries
    #[arg(long)]
    pub(super) accept_empty: bool,
    /// Earlier run that has a copy with entries, here or elsewhere: the volume was not empty then
    #[arg(long, value_name = "RUN")]
    pub(super) filled: Option<Run>,
    /// Create no repository: earlier copies are in the one whose ID begins like this, or in one of unknown ID (any)
    #[arg(long, value_name = "ID")]
    pub(super) expect_repository: Option<Expect>,
    /// Read every file, and store what the repository lacks: something wrong was found in it
    #[arg(long)]
    pub(super) after_finding: bool,
    /// Repair the index first, so that data which is gone counts as gone
    #[arg(long)]
    pub(super) repair_index: bool,
    /// Make no snapshot if nothing has changed
    #[arg(long)]
    pub(super) skip_unchanged: bool,
    /// Compression: auto, off, fastest, better or max
    #[arg(long, value_name = "HOW")]
    pub(super) compression: Option<String>,
    /// Size of the repository's pack files, in MiB
    #[arg(long, value_name = "MIB")]
    pub(super) pack_size: Option<u32>,
    /// Pattern of entries to leave out; a leading slash is the volume's root; may be repeated
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub(super) exclude: Vec<String>,
    /// Accept any directory as the source, not only a mount point
    #[arg(long, hide = true)]
    pub(super) allow_unmounted: bool,
}
