//! Flags that several verbs have.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use model::names::Instance;

/// Which cluster, which namespace, which installation.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct Cluster {
    /// Namespace of the PVCs [default: the context's namespace]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Use only this kubeconfig, not KUBECONFIG or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: the current context]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Namespace of the controller
    #[arg(long, global = true, env = "BACKUP_NAMESPACE", default_value = "backup", value_name = "NAME")]
    pub(crate) backup_namespace: String,
    /// Name of the controller's installation
    #[arg(long, global = true, env = "BACKUP_INSTANCE", default_value = "backup", value_name = "NAME")]
    pub(crate) instance: Instance,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// The most important columns (default)
    Table,
    /// All columns, at full width
    Wide,
    /// All details as JSON
    Json,
    /// All details as YAML
    Yaml,
    /// Only the names of the objects, as TYPE/NAME
    Name,
}
