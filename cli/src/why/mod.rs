//! `kubectl backup why`: all about one PVC, for who wants to understand it.

mod events;
mod page;
mod settings;

use std::process::ExitCode;

use anyhow::bail;
use model::Timestamp;

use crate::args::Cluster;
use crate::observe::{self, Scope};
use crate::status::{self, Question, State, output};
use crate::{ATTENTION, connect, list, terminal};
use page::Page;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The PVC
    #[arg(value_name = "PVC")]
    name: String,
    /// How it is shown
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT", hide_default_value = true)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A page to read (default)
    Text,
    /// All that is known
    Json,
    /// The same
    Yaml,
}

/// The verb.
pub(crate) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let connection = connect::connect(cluster).await?;
    let namespace = connection.namespace;
    let scope = Scope {
        namespace: Some(namespace.clone()),
        names: vec![args.name.clone()],
        selector: None,
        backup_namespace: cluster.backup_namespace.clone(),
        instance: cluster.instance.clone(),
    };
    let observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let mut volumes = status::volumes(Question { observed: &observed, names: &scope.names, missed: 2, now });
    if volumes.is_empty() {
        let others = list::candidates(&observed, &namespace);
        bail!("there is no PVC {} in namespace {namespace}, and no restore point of one\n{others}", args.name);
    }
    let volume = volumes.remove(0);
    let events = events::of(&connection.client, &volume).await;
    let page = Page::new(&observed, volume, events, now);
    let text = match args.output {
        Format::Text => page.text(),
        Format::Json => serde_json::to_string_pretty(&page)? + "\n",
        Format::Yaml => serde_yaml::to_string(&page)?,
    };
    terminal::write(&text)?;
    for note in output::notes(&[], &observed.gaps, observed.knows) {
        eprintln!("kubectl-backup: {note}");
    }
    let well = matches!(page.volume.state, State::Protected | State::Pending) && !page.volume.alarm;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(ATTENTION) })
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
It says whether the PVC is protected, and why not; what to do; which settings are in force and where each comes
from (an annotation on the PVC, one on its Namespace, or the configuration); when the next run is; and what the
controller told about it lately.

Examples:
  kubectl backup why data
  kubectl backup why data -n shop -o json

Exit codes:
  0  it is protected, or will be with its next run
  1  the command failed, or there is no such PVC
  2  the command line is wrong
  3  it is not protected, or something is wrong with its backups";

#[cfg(test)]
mod tests;
