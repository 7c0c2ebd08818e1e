//! The command line: the verbs, and what all of them take. Each verb's own arguments stand in its module.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::completion;
use crate::hold;
use crate::list;
use crate::plan;
use crate::restore;
use crate::run;
use crate::status;
use crate::template::{new_app, process};
use crate::why;

/// Backups of PersistentVolumeClaims: how they stand, and what can be restored
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
    #[command(after_long_help = status::HELP)]
    Status(status::Args),
    /// All about one PVC: why it is not protected, what is in force, what it waits for
    #[command(after_long_help = why::HELP)]
    Why(why::Args),
    /// Shows which PVCs would be protected, when, by which rule, and how much room that takes
    #[command(after_long_help = plan::HELP)]
    Plan(plan::Args),
    /// What a PVC can be restored from
    #[command(after_long_help = list::HELP)]
    List(list::Args),
    /// Backs PVCs up now
    #[command(after_long_help = run::HELP)]
    Run(run::Args),
    /// Keeps a restore point from rotation
    #[command(after_long_help = hold::HELP)]
    Hold(hold::Args),
    /// Copies a restore point back into a PVC, or makes a new PVC of it
    #[command(after_long_help = restore::args::RESTORE_HELP)]
    Restore(restore::args::Restore),
    /// A shell in a pod that has a restore point
    #[command(after_long_help = restore::args::BROWSE_HELP)]
    Browse(restore::args::Browse),
    /// Templates of OpenShift
    #[command(subcommand)]
    Template(TemplateVerb),
    /// The objects of a Template: template process
    #[command(after_long_help = process::HELP, hide = true)]
    Process(process::Args),
    /// Creates the objects of a Template, as oc new-app does
    #[command(after_long_help = new_app::HELP)]
    NewApp(new_app::Args),
    /// Scripts with which a shell completes the command line
    #[command(after_long_help = completion::HELP)]
    Completion(completion::Args),
    /// What could come next: asked by kubectl's completion
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete(completion::Words),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TemplateVerb {
    /// The objects of a Template, for kubectl apply -f - and kubectl delete -f -
    #[command(after_long_help = process::HELP)]
    Process(process::Args),
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
            let Verb::Status(status) = cli.verb else { panic!("{args:?}") };
            assert_eq!((cli.cluster.namespace.as_deref(), status.names), (Some("shop"), vec!["data".to_owned()]));
        }
        let cli =
            parse(&["status", "-A", "-l", "app in (a,b)", "-o", "wide", "--no-headers", "--context=prod"]).unwrap();
        let Verb::Status(status) = cli.verb else { panic!("not status") };
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
            &["restore", "data"],
            &["restore", "data", "--date=tomorrow"],
            &["restore", "data", "--date=20181202", "../etc"],
            &["restore", "data", "--date=20181202", "--size=1Gi"],
            &["restore", "data", "--date=20181202", "--to=new", "--in-place"],
            &["restore", "data", "--date=20181202", "--from=tape/s3"],
            &["restore", "data", "--date=20181202", "--snapshot=0123abcd"],
            &["restore", "data", "--snapshot=0123"],
            &["restore", "shop/data", "--date=20181202"],
            &["browse", "data"],
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
