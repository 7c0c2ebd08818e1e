//! `kubectl backup`: what the controller does, shown to a person and asked for by one.
//!
//! Each verb is a module with its arguments and a `run`. [`observe`] looks at the cluster once, [`table`] makes
//! text that fits a terminal, [`rights`] says which right is missing.

mod age;
mod args;
mod asked;
mod check;
mod completion;
mod connect;
mod drill;
mod exit;
mod flags;
mod hold;
mod list;
mod observe;
mod plan;
mod points;
mod restore;
mod review;
mod rights;
mod run;
mod status;
mod table;
mod template;
mod terminal;
#[cfg(test)]
mod tests;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::args::{Cli, ConfigVerb, TemplateVerb, Verb};
use crate::flags::Cluster;
use crate::template::{new_app, process};

fn main() -> ExitCode {
    let Cli { cluster, verb } = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(dispatch(&cluster, &verb)));
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kubectl-backup: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cluster: &Cluster, verb: &Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Status(args) => Box::pin(status::run(cluster, args)).await,
        Verb::Plan(args) => Box::pin(plan::run(cluster, args)).await,
        Verb::Config(ConfigVerb::Check(args)) => check::run(args),
        Verb::List(args) => Box::pin(list::run(cluster, args)).await,
        Verb::Hold(args) => Box::pin(hold::run(cluster, args)).await,
        Verb::Run(args) => Box::pin(run::run(cluster, args)).await,
        Verb::Drill(args) => Box::pin(drill::run(cluster, args)).await,
        Verb::Why(args) => Box::pin(why::run(cluster, args)).await,
        Verb::Completion(args) => completion::run(Cli::command(), args),
        Verb::Complete(args) => Box::pin(completion::complete(&Cli::command(), args)).await,
        Verb::Process(args) | Verb::Template(TemplateVerb::Process(args)) => process::run(cluster, args),
        Verb::NewApp(args) => Box::pin(new_app::run(cluster, args)).await,
        Verb::Restore(args) => Box::pin(restore::restore(cluster, args)).await,
        Verb::Browse(args) => Box::pin(restore::browse(cluster, args)).await,
    }
}
