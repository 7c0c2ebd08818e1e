//! `kubectl backup why`: all about one PVC, for who wants to understand it.

mod events;
mod page;
mod settings;

use std::process::ExitCode;

use anyhow::bail;
use model::Timestamp;

use crate::exit::ATTENTION;
use crate::flags::Cluster;
use crate::observe::{self, Scope};
use crate::status::{self, Question, State, output};
use crate::{connect, list, terminal};
use page::Page;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// PVC to explain
    #[arg(value_name = "PVC")]
    name: String,
    /// Output format
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT", hide_default_value = true)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A page to read (default)
    Text,
    /// All details as JSON
    Json,
    /// All details as YAML
    Yaml,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let connection = connect::connect(cluster).await?;
    let namespace = connection.namespace;
    let scope = Scope::of(cluster, &namespace, std::slice::from_ref(&args.name));
    let observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    let now = Timestamp::from_second(api::now().as_second())?;
    let mut volumes = status::volumes(Question { observed: &observed, names: &scope.names, missed: 2, now });
    if volumes.is_empty() {
        let others = list::candidates(&observed, &namespace);
        bail!("namespace {namespace} has no PVC {} and no restore point of such a PVC\n{others}", args.name);
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
    for note in output::notes(&[], &observed.gaps, observed.knows, &cluster.backup_namespace) {
        eprintln!("kubectl-backup: {note}");
    }
    let well = matches!(page.volume.state, State::Protected | State::Pending) && !page.volume.alarm;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(ATTENTION) })
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
Shows the state of the PVC, the reasons for it with their remedies, the next run, and the newest events of the
controller. It also shows the settings in force. Each setting comes from an annotation on the PVC, an annotation on
its Namespace, a group of the configuration, or the defaults of the configuration. The promoter class is the
StorageClass of promoters: the PVCs that are made from snapshots.

Examples:
  kubectl backup why data
  kubectl backup why data -n shop -o json

Exit codes:
  0  the PVC is protected, or will be with its next run
  1  there is no such PVC and no restore point of one, or the command failed
  2  the command line is wrong
  3  the PVC is not protected (also by choice), or its backups need attention";

#[cfg(test)]
mod tests;
