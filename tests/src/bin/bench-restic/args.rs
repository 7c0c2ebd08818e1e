//! What a measurement is called with.

use std::path::PathBuf;

use clap::Parser;

/// Measures `backup-job restic copy` beside bare `restic backup`.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// How many small files there are, of 1 to 16 KiB
    #[arg(long, default_value_t = 100_000)]
    pub(crate) files: u32,
    /// The sum of the large files, in MiB; 0: without them
    #[arg(long, default_value_t = 4096)]
    pub(crate) large_mib: u32,
    /// Pairs of each measurement
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Pairs of the large files
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) large_rounds: u32,
    /// Where all of it lies: a folder that is not there yet [default: target/bench-restic]
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Set for the second start, in a mount namespace of its own
    #[arg(long, hide = true)]
    pub(crate) mounted: bool,
}
