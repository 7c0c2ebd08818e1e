//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Shows how every PersistentVolumeClaim is backed up, or why it is not.
#[derive(Debug, Parser)]
#[command(name = "kubectl-backup", bin_name = "kubectl backup", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Where the backups of each PVC stand
    #[command(after_long_help = STATUS_HELP)]
    Status(Status),
}

/// Which cluster, which namespace, which installation.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct Cluster {
    /// The namespace [default: that of the context]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Use this kubeconfig, and neither KUBECONFIG nor ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The namespace of the controller
    #[arg(long, global = true, env = "BACKUP_NAMESPACE", default_value = "backup", value_name = "NAME")]
    pub(crate) backup_namespace: String,
    /// The name of the installation
    #[arg(long, global = true, env = "BACKUP_INSTANCE", default_value = "backup", value_name = "NAME")]
    pub(crate) instance: String,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The PVCs to show, with all that is known about each [default: every one]
    #[arg(value_name = "PVC")]
    pub(crate) names: Vec<String>,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "names")]
    pub(crate) all_namespaces: bool,
    /// Only PVCs with these labels, such as app=shop,tier!=cache
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "names")]
    pub(crate) selector: Option<String>,
    /// How it is shown
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT", hide_default_value = true)]
    pub(crate) output: Output,
    /// No line of column names
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// How many runs a PVC has to miss to be Overdue
    #[arg(long, value_name = "RUNS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) missed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// The columns that matter (default)
    Table,
    /// More columns, and nothing cut off
    Wide,
    /// All that is known
    Json,
    /// The same
    Yaml,
    /// persistentvolumeclaim/NAME
    Name,
}

const STATUS_HELP: &str = "\
Columns:
  STATE      how the PVC stands, see below
  SINCE      for how long it has been protected without a break
  SNAPSHOT   age of the newest restore point in its namespace
  COPY       for each destination, how the newest copy ended and when
  OUTSIDE    whether a copy outlives the namespace; 'no' means that every restore point is lost with it
  NEXT RUN   time until the next snapshot
  REASON     why not, the newest failure, or what it waits for

On a narrow terminal REASON is cut, and SINCE, NEXT RUN and OUTSIDE are left out in that order; -o wide shows all.

States:
  Protected    it is backed up, and the newest good run is recent
  Pending      it is backed up from now on; no run is good yet
  Failing      the newest run or step failed, or no restore point is left          *
  Overdue      so many runs were missed since the newest good one (--missed)       *
  Unscheduled  it should be backed up, and the controller has made no CronJob      *
  Unprotected  it cannot be backed up as things are                                *
  Excluded     somebody chose not to back it up
  Vanished     the PVC is gone; restore points of it are left
  Unknown      you may not read what tells, and the controller recorded nothing on it

A PVC that is not bound has no data yet: it is Unprotected and does not count.
PVCs that backups themselves need (restore points, BackupDisks) are shown only by name.

Exit codes:
  0  all is well: no PVC that is shown has a state marked with *
  1  the command itself failed, or a PVC that was named is not there
  2  the command line is wrong
  3  at least one PVC that is shown has a state marked with *

States are computed from the cluster as the controller does it. That takes the rights to read the
ConfigMap backup-controller in the controller's namespace, and namespaces, persistentvolumes, storageclasses
and volumesnapshotclasses. Without them it shows what the controller recorded on each PVC, and says so.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"kubectl-backup").chain(args))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_are_kubectls_and_may_stand_anywhere() {
        for args in [
            &["-n", "shop", "status", "data"][..],
            &["status", "-n", "shop", "data"],
            &["status", "data", "--namespace=shop"],
        ] {
            let cli = parse(args).unwrap();
            let Verb::Status(status) = cli.verb;
            assert_eq!((cli.cluster.namespace.as_deref(), status.names), (Some("shop"), vec!["data".to_owned()]));
        }
        let cli =
            parse(&["status", "-A", "-l", "app in (a,b)", "-o", "wide", "--no-headers", "--context=prod"]).unwrap();
        let Verb::Status(status) = cli.verb;
        assert!(status.all_namespaces && status.no_headers && status.output == Output::Wide);
        assert_eq!(status.selector.as_deref(), Some("app in (a,b)"));
        assert_eq!(cli.cluster.context.as_deref(), Some("prod"));
        assert_eq!((status.missed, cli.cluster.instance.as_str()), (2, "backup"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            &[][..],
            &["restore"],
            &["status", "-A", "data"],
            &["status", "-l", "a=b", "data"],
            &["status", "-o", "xml"],
            &["status", "--missed", "0"],
            &["status", "--nonsense"],
        ] {
            assert_eq!(parse(bad).unwrap_err().exit_code(), 2, "{bad:?}");
        }
    }
}
