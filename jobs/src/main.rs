//! What runs in pods: `backup-job`, one program for every step of a backup.
//!
//! `snapshot` and `sweep` talk to the API server. `copy`, `restic`, `restore` and `keep` know no API: they move files,
//! and leave a result that the controller reads. `idle` keeps a pod for `restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::logging::Format;
use crate::outcome::{Exit, Outcome, TerminationLog};

mod child;
mod copy;
mod device;
mod drill;
mod hard_links;
mod idle;
mod keep;
mod logging;
mod no_follow;
mod outcome;
mod process;
mod redact;
mod restic;
mod restore;
mod restore_alias;
mod rsync;
mod snapshot;
mod sweep;
mod volume;

/// Run one step of a backup and write its result as JSON to the termination message.
///
/// Exit codes: 0 done, 1 failed but a retry may help, 2 wrong command line, 3 failed and no retry helps.
#[derive(Parser)]
#[command(name = "backup-job", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    step: Step,
    /// File for the termination message [default: /dev/termination-log, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    termination_log: Option<PathBuf>,
    /// Log level, or levels by target, such as info,kube=warn
    #[arg(long, global = true, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// Format of log lines
    #[arg(long, global = true, env = "LOG_FORMAT", default_value = "text")]
    log_format: Format,
}

#[derive(Subcommand)]
enum Step {
    /// Take a run's snapshot, make its promoter (the PVC made from the snapshot), and delete expired restore points
    Snapshot(snapshot::Args),
    /// Delete expired restore points of sources (PVCs) that no longer exist
    Sweep(sweep::Args),
    /// Copy a promoter (the PVC made from a snapshot) to a disk, into a folder named after the run
    Copy(copy::Args),
    /// Copy to, maintain or restore from the restic repository of a source
    Restic(restic::Args),
    /// Check that a host's disk is mounted, and make a namespace's folder on it
    Keep(keep::Args),
    Restore(restore::Args),
    Drill(drill::Args),
    /// Remove all copies of a source (a PVC) that no longer exists from its directory on a disk
    Remove(copy::remove::Args),
    /// Wait until stopped: the main process of a restore pod
    Idle,
}

fn main() -> ExitCode {
    let command = std::env::var(templates::program::RESTORE_COMMAND).ok();
    let cli = Cli::parse_from(restore_alias::words(std::env::args_os(), command.as_deref()));
    let restores = match &cli.step {
        Step::Restore(_) => true,
        Step::Restic(args) => args.is_restore(),
        _ => false,
    };
    logging::start(&cli.log, cli.log_format, restores);
    let log = TerminationLog::new(cli.termination_log);
    let outcome = match cli.step {
        Step::Snapshot(args) => with_runtime(snapshot::run(args)),
        Step::Sweep(args) => with_runtime(sweep::run(args)),
        Step::Copy(args) => copy::run(&args, &log),
        Step::Restic(args) => restic::run(&args, &log),
        Step::Keep(args) => keep::run(&args),
        Step::Restore(args) => restore::run(&args, &log),
        Step::Drill(args) => drill::run(&args),
        Step::Remove(args) => copy::remove::run(&args),
        Step::Idle => with_runtime(idle::run()),
    };
    outcome.finish(&log)
}

/// One thread is enough for a step that mostly waits; the steps that move files start none.
fn with_runtime(step: impl Future<Output = Outcome>) -> Outcome {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(step),
        Err(error) => {
            tracing::error!(%error, "cannot start the async runtime");
            Outcome { exit: Exit::Again, message: String::new() }
        }
    }
}
