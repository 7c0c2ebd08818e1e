//! What runs in pods: `backup-job`, one program for every step of a backup.
//!
//! `snapshot` and `sweep` talk to the API server. `copy`, `restic`, `restore` and `keep` know no API: they move files,
//! and leave a result that the controller reads. `idle` keeps a pod for `restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::logging::Format;
use crate::outcome::{Exit, Outcome, TerminationLog};

mod beneath;
mod child;
mod copy;
mod device;
mod drill;
mod idle;
mod keep;
mod links;
mod logging;
mod outcome;
mod process;
mod restic;
mod restore;
mod rsync;
mod snapshot;
mod stand_in;
mod sweep;
mod volume;

/// Runs one step of a backup and leaves its result as JSON in the termination message.
///
/// Exit codes: 0 done, 1 another try may help, 2 wrong command line, 3 no retry helps.
#[derive(Parser)]
#[command(name = "backup-job", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    step: Step,
    /// The file for the termination message [default: /dev/termination-log, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    termination_log: Option<PathBuf>,
    /// What is logged: a level, or levels by target
    #[arg(long, global = true, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How log lines look
    #[arg(long, global = true, env = "LOG_FORMAT", default_value = "text")]
    log_format: Format,
}

#[derive(Subcommand)]
enum Step {
    /// Takes the snapshot of a run, makes its promoter, and rotates
    Snapshot(snapshot::Args),
    /// Rotates the restore points of sources that are gone
    Sweep(sweep::Args),
    /// Copies a promoter's files into a dated tree
    Copy(copy::Args),
    /// Works on the restic repository of a source
    Restic(restic::Args),
    /// Checks that a host's disk is mounted, and makes a namespace's folder on it
    Keep(keep::Args),
    Restore(restore::Args),
    Drill(drill::Args),
    /// Does nothing until it is told to end: the main process of a restore pod
    Idle,
}

fn main() -> ExitCode {
    let command = std::env::var(templates::args::RESTORE_COMMAND).ok();
    let cli = Cli::parse_from(stand_in::words(std::env::args_os(), command.as_deref()));
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
        Step::Idle => with_runtime(idle::run()),
    };
    outcome.finish(&log)
}

/// One thread is enough for a step that mostly waits; the steps that move files start none.
fn with_runtime(step: impl Future<Output = Outcome>) -> Outcome {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(step),
        Err(error) => {
            tracing::error!(%error, "cannot start");
            Outcome { exit: Exit::Again, message: String::new() }
        }
    }
}
