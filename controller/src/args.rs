//! The command line. Each flag can be given as an environment variable too.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Backs up every PersistentVolumeClaim on a schedule: snapshots, promoters (PVCs made from snapshots) and copies.
///
/// Runs as one replica in its own namespace. All state is in the cluster's objects: you can stop and start it at any
/// time, and snapshots are taken on schedule while it is stopped.
#[derive(Debug, Parser)]
#[command(name = "backup-controller", version)]
pub(crate) struct Args {
    /// The configuration file; read again whenever it changes
    #[arg(long, env = "BACKUP_CONFIG", default_value = "/etc/backup-controller/config.yaml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// A directory of templates; each replaces the embedded template with the same file name
    #[arg(long, env = "BACKUP_TEMPLATES", value_name = "DIR")]
    pub(crate) templates: Option<PathBuf>,
    /// The ConfigMap that contains these templates; the pods that take snapshots mount it too
    #[arg(long, env = "BACKUP_TEMPLATES_CONFIG_MAP", value_name = "NAME")]
    pub(crate) templates_config_map: Option<String>,
    /// The installation's name; objects of other installations are left alone
    #[arg(long, env = "BACKUP_INSTANCE", default_value = "backup", value_name = "NAME")]
    pub(crate) instance: String,
    /// The namespace of the controller and its CronJobs
    #[arg(long, env = "BACKUP_NAMESPACE", default_value = "backup", value_name = "NAME")]
    pub(crate) namespace: String,
    /// The service account of the pods that take snapshots
    #[arg(long, env = "BACKUP_JOB_SERVICE_ACCOUNT", default_value = "backup-job", value_name = "NAME")]
    pub(crate) job_service_account: String,
    /// The image of the pods that take snapshots
    #[arg(long, env = "BACKUP_CONTROLLER_IMAGE", value_name = "IMAGE")]
    pub(crate) controller_image: String,
    /// The image of the pods that copy
    #[arg(long, env = "BACKUP_MOVER_IMAGE", value_name = "IMAGE")]
    pub(crate) mover_image: String,
    /// The Secrets that the guard allows pods to mount, separated by commas; a * at the end matches any ending
    #[arg(long, env = "BACKUP_SECRETS", value_delimiter = ',', value_name = "NAMES")]
    pub(crate) secrets: Vec<String>,
    /// The pull policy of these images: Always, `IfNotPresent` or Never
    #[arg(long, env = "BACKUP_IMAGE_PULL_POLICY", default_value = "IfNotPresent", value_name = "POLICY")]
    pub(crate) image_pull_policy: String,
    /// The address that serves /metrics, /healthz and /readyz
    #[arg(long, env = "BACKUP_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Use this kubeconfig instead of the pod's service account
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The format of the log
    #[arg(long, env = "BACKUP_LOG_FORMAT", default_value = "text", value_enum)]
    pub(crate) log_format: LogFormat,
    /// The level of the log: error, warn, info, debug, trace, or a filter such as "info,kube=debug"
    #[arg(long, env = "BACKUP_LOG", default_value = "info,kube_runtime=error", value_name = "FILTER")]
    pub(crate) log: String,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One readable line for each entry
    Text,
    /// One JSON object for each entry
    Json,
}
