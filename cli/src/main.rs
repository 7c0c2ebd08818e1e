//! `kubectl backup`: what the controller does, shown to a person.
//!
//! [`observe`] looks at the cluster once; [`status`] says where each PVC stands; [`output`] and [`table`]
//! make text of it.

mod age;
mod args;
mod connect;
mod observe;
mod output;
mod status;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use model::Timestamp;

use crate::args::{Cli, Cluster, Output, Status, Verb};
use crate::observe::Scope;
use crate::status::Question;
use crate::table::Look;

/// At least one PVC needs attention.
const ATTENTION: u8 = 3;

fn main() -> ExitCode {
    let Cli { cluster, verb: Verb::Status(args) } = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(Box::pin(status(&cluster, &args))));
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kubectl-backup: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn status(cluster: &Cluster, args: &Status) -> anyhow::Result<ExitCode> {
    let connection = connect::connect(cluster).await?;
    let namespace = cluster.namespace.clone().unwrap_or(connection.namespace);
    let scope = Scope {
        namespace: (!args.all_namespaces).then(|| namespace.clone()),
        names: args.names.clone(),
        selector: args.selector.clone(),
        backup_namespace: cluster.backup_namespace.clone(),
        instance: cluster.instance.clone(),
    };
    let observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let volumes = status::volumes(Question { observed: &observed, names: &args.names, missed: args.missed, now });

    let look = Look {
        namespaces: args.all_namespaces,
        wide: args.output == Output::Wide,
        headers: !args.no_headers,
        width: if args.output == Output::Table { terminal_width() } else { None },
    };
    let text = output::text(&volumes, &observed.gaps, args.output, look, !args.names.is_empty(), now)?;
    write(&text)?;
    for note in output::notes(&volumes, &observed.gaps, observed.knows) {
        eprintln!("kubectl-backup: {note}");
    }
    let missing: Vec<&String> = args.names.iter().filter(|name| !volumes.iter().any(|v| v.name == **name)).collect();
    for name in &missing {
        eprintln!("kubectl-backup: there is no PVC {name} in namespace {namespace}, and no restore point of one");
    }
    if volumes.is_empty() && args.names.is_empty() && matches!(args.output, Output::Table | Output::Wide) {
        let place = if args.all_namespaces { "any namespace".to_owned() } else { format!("namespace {namespace}") };
        eprintln!("No PersistentVolumeClaims found in {place}.");
    }
    Ok(match output::alarms(&volumes) {
        _ if !missing.is_empty() => ExitCode::FAILURE,
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(ATTENTION),
    })
}

/// Who reads us may stop reading.
fn write(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// The width of the terminal; nothing if the output goes elsewhere.
fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    said.or_else(asked).filter(|width| *width > 0)
}
