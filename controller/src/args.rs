//! The command line. Each flag can be given as an environment variable too.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use model::names::Instance;

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
    pub(crate) instance: Instance,
    /// The namespace of the controller and its CronJobs
    #[arg(long, env = "BACKUP_NAMESPACE", default_value = "backup", value_name = "NAME")]
    pub(crate) namespace: String,
    /// The service account of the pods that take snapshots
    #[arg(long, env = "BACKUP_JOB_SERVICE_ACCOUNT", default_value = "backup-job", value_name = "NAME")]
    pub(crate) job_service_account: String,
    /// The image of the pods that take snapshots
    #[arg(long, env = "BACKUP_CONTROLLER_IMAGE", default_value = "", hide_default_value = true, value_name = "IMAGE")]
    pub(crate) controller_image: String,
    /// The image of the pods that copy
    #[arg(long, env = "BACKUP_MOVER_IMAGE", default_value = "", hide_default_value = true, value_name = "IMAGE")]
    pub(crate) mover_image: String,
    /// The Secrets that the guard allows pods to mount, separated by commas; a * at the end matches any ending
    #[arg(long, env = "BACKUP_SECRETS", value_delimiter = ',', value_name = "NAMES")]
    pub(crate) secrets: Vec<String>,
    /// The folders of hosts' disks of which the guard allows volumes, separated by commas
    #[arg(long, env = "BACKUP_HOST_DISKS", value_delimiter = ',', value_name = "FOLDERS")]
    pub(crate) host_disks: Option<Vec<String>>,
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

impl Args {
    /// Rejects image names that no node can pull. Every Job would wait for them, without naming the cause.
    pub(crate) fn check_images(&self) -> Result<(), String> {
        let images = [
            ("BACKUP_CONTROLLER_IMAGE", &self.controller_image, "backup-controller"),
            ("BACKUP_MOVER_IMAGE", &self.mover_image, "backup-mover"),
        ];
        for (variable, image, placeholder) in images {
            let found = match image.trim() {
                "" => "it is empty".to_owned(),
                given if given == placeholder => format!("{given} is the placeholder of templates/install"),
                given if given.contains(char::is_whitespace) => given.to_owned(),
                _ => continue,
            };
            return Err(format!(
                "{variable} names no image ({found}): install again with the image that you pushed, as docs/install.md \
                 shows (images of an overlay or of the chart's values; IMAGE and MOVER_IMAGE of the playbook)"
            ));
        }
        Ok(())
    }
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One readable line for each entry
    Text,
    /// One JSON object for each entry
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_no_pod_could_have_is_refused_by_its_variable() {
        let check = |controller: &str, mover: &str| {
            let args = ["backup-controller", "--controller-image", controller, "--mover-image", mover];
            Args::try_parse_from(args).map_err(|e| e.to_string()).and_then(|args| args.check_images())
        };
        assert_eq!(check("registry.example/backup-controller:1", "localhost/backup-mover"), Ok(()));
        assert_eq!(check("backup-controller:dev", "backup-mover@sha256:00"), Ok(()));
        for (controller, mover, part) in [
            ("", "m:1", "BACKUP_CONTROLLER_IMAGE names no image (it is empty)"),
            ("c:1", "", "BACKUP_MOVER_IMAGE names no image (it is empty)"),
            ("c:1", "backup-mover", "BACKUP_MOVER_IMAGE names no image (backup-mover is the placeholder"),
            ("c:1", " the overlay names no image ", "(the overlay names no image)"),
        ] {
            let refused = check(controller, mover).unwrap_err();
            assert!(refused.contains(part) && refused.contains("docs/install.md"), "{refused}");
        }
        let unset = Args::try_parse_from(["backup-controller"]).unwrap();
        assert!(unset.check_images().is_err());
    }
}
