//! backup-controller: watches volumes, plans their backups, applies the plans and records what came of them.

mod admin;
mod apply;
mod args;
mod backoff;
mod engine;
mod holders;
mod metrics;
mod rendered;
mod revision;
mod run;
mod settings;
mod steps;
mod telemetry;
mod watch;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let args = args::Args::parse();
    if let Err(error) = telemetry::init(args.log_format, &args.log) {
        eprintln!("backup-controller: --log: {error}");
        return std::process::ExitCode::from(2);
    }
    if let Err(error) = args.check_images() {
        tracing::error!("{error}");
        return std::process::ExitCode::from(2);
    }
    // One thread: the work is waiting for answers, and one thread's memory is enough for it.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return std::process::ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::run(args)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
