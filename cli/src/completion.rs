//! Completion: scripts for shells, and the answers that kubectl's own completion asks for.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Command, Parser as _};
use clap_complete::Shell;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use model::facts::Ours;
use model::restore::{self, Place, RestorePoint};

use crate::flags::Cluster;
use crate::observe::{self, Scope};
use crate::{connect, terminal};

/// How long a person waits for names.
const PATIENCE: Duration = Duration::from_secs(2);
/// What kubectl is told about files: there are none to complete.
const NO_FILES: &str = ":4";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shell to complete in; kubectl prints a script for kubectl's own completion
    #[arg(value_enum, value_name = "SHELL")]
    shell: For,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum For {
    Bash,
    Zsh,
    Fish,
    Kubectl,
}

/// The words behind `kubectl backup`, the last of which is not finished.
#[derive(Debug, clap::Args)]
pub(crate) struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// The script that kubectl runs to complete the words behind `kubectl backup`.
const KUBECTL: &str = "\
#!/bin/sh
# Completes `kubectl backup`: kubectl runs this file if it is in the PATH and is named kubectl_complete-backup.
exec kubectl-backup __complete -- \"$@\"
";

pub(crate) fn run(command: Command, args: &Args) -> anyhow::Result<ExitCode> {
    let shell = match args.shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
        For::Kubectl => {
            terminal::write(KUBECTL)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let mut script = Vec::new();
    let mut command = command.bin_name("kubectl-backup");
    clap_complete::generate(shell, &mut command, "kubectl-backup", &mut script);
    terminal::write(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

/// What could come next, one a line with a tab before its description, as kubectl's completion reads it.
pub(crate) async fn complete(command: &Command, args: &Words) -> anyhow::Result<ExitCode> {
    let (last, before) = args.words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut lines = match next(command, before, last) {
        Next::Words(lines) => lines,
        // A cluster that does not answer completes nothing, and says nothing in the middle of a command line.
        Next::Pvc => asked(pvcs(before)).await,
        Next::Place(pvc) => asked(restore_points(before, pvc, place_words)).await,
        Next::Snapshot(pvc) => asked(restore_points(before, pvc, snapshot_words)).await,
    };
    lines.retain(|line| line.starts_with(last));
    lines.push(NO_FILES.to_owned());
    terminal::write(&(lines.join("\n") + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// What the cluster answers; nothing if that takes too long.
async fn asked(answer: impl Future<Output = anyhow::Result<Vec<String>>>) -> Vec<String> {
    tokio::time::timeout(PATIENCE, answer).await.ok().and_then(Result::ok).unwrap_or_default()
}

/// What a word can be.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Words(Vec<String>),
    Pvc,
    /// From where the PVC can be restored.
    Place(String),
    /// A snapshot of it in a restic repository.
    Snapshot(String),
}

fn next(root: &Command, before: &[String], last: &str) -> Next {
    let mut command = root;
    let mut expected: Option<&clap::Arg> = None;
    let mut named: Option<&String> = None;
    for word in before {
        if expected.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            expected = flag(root, command, word).filter(|arg| takes_value(arg) && !word.contains('='));
        } else if let Some(found) = command.find_subcommand(word) {
            command = found;
        } else if named.is_none() {
            named = Some(word);
        }
    }
    if let Some(arg) = expected {
        match (arg.get_long(), named) {
            (Some("from"), Some(pvc)) => return Next::Place(pvc.clone()),
            (Some("snapshot"), Some(pvc)) => return Next::Snapshot(pvc.clone()),
            _ => {}
        }
        let values = arg.get_possible_values();
        return Next::Words(values.iter().map(|v| v.get_name().to_owned()).collect());
    }
    if last.starts_with('-') {
        let flags = command.get_arguments().chain(root.get_arguments()).filter(|a| !a.is_hide_set());
        let line = |arg: &clap::Arg| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            arg.get_long().map(|long| format!("--{long}\t{help}"))
        };
        return Next::Words(flags.filter_map(line).collect());
    }
    let verbs: Vec<String> = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set())
        .map(|c| format!("{}\t{}", c.get_name(), c.get_about().map(ToString::to_string).unwrap_or_default()))
        .collect();
    if !verbs.is_empty() {
        return Next::Words(verbs);
    }
    let positional = command.get_positionals().next();
    let named = positional.and_then(|arg| arg.get_value_names()).is_some_and(|n| n.iter().any(|n| n == "PVC"));
    match positional {
        Some(_) if named => Next::Pvc,
        Some(arg) => Next::Words(arg.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect()),
        None => Next::Words(Vec::new()),
    }
}

fn flag<'a>(root: &'a Command, command: &'a Command, word: &str) -> Option<&'a clap::Arg> {
    let name = word.split('=').next().unwrap_or(word);
    let is = |arg: &&clap::Arg| match name.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| name == format!("-{short}")),
    };
    command.get_arguments().chain(root.get_arguments()).find(is)
}

fn takes_value(arg: &clap::Arg) -> bool {
    arg.get_action().takes_values()
}

/// The PVCs of the namespace that the words name, without those that backups themselves need.
async fn pvcs(before: &[String]) -> anyhow::Result<Vec<String>> {
    let connection = connect::connect(&cluster(before)?).await?;
    let api: Api<PartialObjectMeta<PersistentVolumeClaim>> = Api::namespaced(connection.client, &connection.namespace);
    let listed = api::bounded(|| "list persistentvolumeclaims".to_owned(), api.list(&ListParams::default())).await?;
    let users = listed.items.into_iter().filter(|pvc| Ours::read(&pvc.metadata).is_none());
    Ok(users.filter_map(|pvc| pvc.metadata.name).collect())
}

/// Which cluster and namespace the words name.
fn cluster(before: &[String]) -> anyhow::Result<Cluster> {
    /// What the words say of the cluster.
    #[derive(clap::Parser)]
    struct Said {
        #[command(flatten)]
        cluster: Cluster,
    }
    // Only what names the cluster is looked at; the rest of the line may not be finished.
    let flags = ["-n", "--namespace", "--kubeconfig", "--context", "--backup-namespace", "--instance"];
    let mut words = vec!["kubectl-backup".to_owned()];
    let mut given = before.iter();
    while let Some(word) = given.next() {
        if flags.contains(&word.as_str()) {
            words.push(word.clone());
            words.extend(given.next().cloned());
        } else if flags.iter().any(|flag| word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))) {
            words.push(word.clone());
        }
    }
    Ok(Said::try_parse_from(words)?.cluster)
}

/// What the restore points of a PVC say, newest first, each word once.
async fn restore_points(
    before: &[String],
    pvc: String,
    words: fn(&RestorePoint) -> Vec<String>,
) -> anyhow::Result<Vec<String>> {
    let cluster = cluster(before)?;
    let connection = connect::connect(&cluster).await?;
    let scope = Scope::of(&cluster, &connection.namespace, std::slice::from_ref(&pvc));
    let observed = Box::pin(observe::observe(&connection.client, &scope)).await?;
    let points = restore::points(&observed.world, &connection.namespace, &pvc);
    let mut seen = BTreeSet::new();
    Ok(points.iter().flat_map(words).filter(|word| seen.insert(word.clone())).collect())
}

fn place_words(point: &RestorePoint) -> Vec<String> {
    match &point.place {
        Place::Snapshot { .. } => vec!["snapshot".to_owned()],
        Place::Tree { destination } => vec!["disk".to_owned(), destination.clone()],
        Place::Repository { destination, .. } => vec!["restic".to_owned(), destination.clone()],
    }
}

/// The id, and after a tab the run.
fn snapshot_words(point: &RestorePoint) -> Vec<String> {
    match &point.place {
        Place::Repository { snapshot: Some(id), destination } => {
            vec![format!("{}\t{} at {destination}", restore::short(id), point.run)]
        }
        _ => Vec::new(),
    }
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
kubectl completes `kubectl backup` if your PATH has a program with the name kubectl_complete-backup. This program
completes verbs, flags, the names of PVCs, and the places of their restore points:

  kubectl backup completion kubectl > ~/bin/kubectl_complete-backup && chmod +x ~/bin/kubectl_complete-backup

For the name `kubectl-backup`, with a dash, scripts for three shells complete verbs and flags:

  source <(kubectl backup completion bash)                                        # bash
  kubectl backup completion zsh > \"${fpath[1]}/_kubectl-backup\"                   # zsh
  kubectl backup completion fish > ~/.config/fish/completions/kubectl-backup.fish # fish";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::CommandFactory as _;

    fn at(words: &[&str]) -> Next {
        let (last, before) = words.split_last().unwrap();
        let before: Vec<String> = before.iter().map(|w| (*w).to_owned()).collect();
        next(&Cli::command(), &before, last)
    }

    fn lines(words: &[&str]) -> Vec<String> {
        match at(words) {
            Next::Words(lines) => lines,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_could_come_next_follows_from_the_words_before() {
        let verbs = lines(&[""]);
        assert!(verbs.iter().any(|l| l.starts_with("status\tShow the backups")), "{verbs:?}");
        assert!(!verbs.iter().any(|l| l.starts_with("__complete") || l.starts_with("process")), "{verbs:?}");
        for words in [&["list", ""][..], &["-n", "shop", "why", "da"], &["run", "-n=shop", "data", ""]] {
            assert_eq!(at(words), Next::Pvc, "{words:?}");
        }
        let data = || "data".to_owned();
        assert_eq!(at(&["restore", "data", "--date=20181202", "--from", ""]), Next::Place(data()));
        assert_eq!(at(&["list", "-n", "shop", "data", "--from", "s"]), Next::Place(data()));
        assert_eq!(at(&["restore", "data", "--snapshot", ""]), Next::Snapshot(data()));
        assert_eq!(at(&["restore", "--snapshot", ""]), Next::Words(vec![]));
        assert!(lines(&["status", "--no"]).iter().any(|l| l.starts_with("--no-headers\t")));
        assert!(lines(&["list", "--"]).iter().any(|l| l.starts_with("--namespace\t")));
        assert_eq!(lines(&["status", "-o", ""]), ["table", "wide", "json", "yaml", "name"]);
        assert_eq!(lines(&["completion", ""]), ["bash", "zsh", "fish", "kubectl"]);
        assert!(lines(&["template", ""]).iter().all(|l| l.starts_with("process\t")));
        assert!(lines(&["list", "-n", ""]).is_empty());
    }
}
