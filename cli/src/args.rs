//! The command line: the verbs. Each verb's own arguments stand in its module.

use clap::{Parser, Subcommand};

use crate::check;
use crate::completion;
use crate::drill;
use crate::flags::Cluster;
use crate::hold;
use crate::list;
use crate::plan;
use crate::restore;
use crate::run;
use crate::status;
use crate::template::{new_app, process};
use crate::why;

/// Show the backups of PersistentVolumeClaims (PVCs), back up now, and restore
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
    /// Show the backups of each PVC
    #[command(after_long_help = status::HELP)]
    Status(status::Args),
    /// Explain one PVC: why it is not protected, and which settings apply
    #[command(after_long_help = why::HELP)]
    Why(why::Args),
    /// Show which PVCs would be protected, when, by which rule, and how much room that takes
    #[command(after_long_help = plan::HELP)]
    Plan(plan::Args),
    /// Check a configuration without a cluster
    #[command(subcommand)]
    Config(ConfigVerb),
    /// List the restore points of a PVC
    #[command(after_long_help = list::HELP)]
    List(list::Args),
    /// Back up PVCs now
    #[command(after_long_help = run::HELP)]
    Run(run::Args),
    /// Prove the newest copies of PVCs now: restore them for a test, and compare
    #[command(after_long_help = drill::HELP)]
    Drill(drill::Args),
    /// Hold a restore point so that it is not deleted, or release it
    #[command(after_long_help = hold::HELP)]
    Hold(hold::Args),
    /// Restore files or a whole volume, into the PVC or into a new one
    #[command(after_long_help = restore::args::RESTORE_HELP)]
    Restore(restore::args::Restore),
    /// Open a shell in a pod that mounts a restore point
    #[command(after_long_help = restore::args::BROWSE_HELP)]
    Browse(restore::args::Browse),
    /// Print the objects of an OpenShift Template
    #[command(subcommand)]
    Template(TemplateVerb),
    /// Print the objects of a Template (same as template process)
    #[command(after_long_help = process::HELP, hide = true)]
    Process(process::Args),
    /// Create the objects of a Template, as oc new-app does
    #[command(after_long_help = new_app::HELP)]
    NewApp(new_app::Args),
    /// Print a script that completes the command line in a shell
    #[command(after_long_help = completion::HELP)]
    Completion(completion::Args),
    /// Complete a command line: kubectl calls this
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete(completion::Words),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Say whether the controller accepts a configuration
    #[command(after_long_help = check::HELP)]
    Check(check::Args),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TemplateVerb {
    /// Print the objects of a Template, for kubectl apply -f - and kubectl delete -f -
    #[command(after_long_help = process::HELP)]
    Process(process::Args),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Output;
    use clap::CommandFactory as _;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"kubectl-backup").chain(args))
    }

    /// U12: remedies named commands without the PVC or the date that they need.
    #[test]
    fn each_command_of_a_remedy_can_be_typed() {
        let mut commands = 0;
        for reason in model::reason::Reason::ALL {
            for text in reason.help().split("kubectl backup ").skip(1) {
                let command = text.split(['.', ',', ':', ';']).next().unwrap();
                let sample = command.replace("PVC", "data").replace("NAME", "other").replace("DATE", "latest");
                let words: Vec<&str> = sample.split_whitespace().collect();
                assert!(parse(&words).is_ok(), "{reason}: kubectl backup {command}");
                commands += 1;
            }
        }
        assert!(commands > 5, "{commands}");
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
