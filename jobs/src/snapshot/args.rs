//! What `backup-job snapshot` is called with, and what it shares with `sweep`.

use std::path::PathBuf;

use clap::error::ErrorKind;
use model::Timestamp;
use model::config::{Deadlines, PromoterRetention};
use model::duration::Span;
use model::facts::{Journal, VolumeMode};
use model::names::{Instance, Run, SourceId};
use model::promoter::PromoterShape;
use model::retention::Retention;
use model::rotate::Rules;
use model::schedule::Zone;

/// What it is called with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Installation that the objects belong to
    #[arg(long)]
    pub(crate) instance: Instance,
    /// Namespace of the source
    #[arg(long)]
    pub(crate) namespace: String,
    /// Name of the source, the PVC to back up
    #[arg(long)]
    pub(crate) pvc: String,
    /// UID of the source: a PVC of the same name with another UID is another source
    #[arg(long)]
    pub(crate) uid: String,
    /// How long to keep restore points: an age or keep rules
    #[arg(long)]
    pub(crate) retention: Retention,
    /// VolumeSnapshotClass of the snapshot
    #[arg(long)]
    pub(crate) snapshot_class: String,
    /// StorageClass of the promoter (the PVC made from the snapshot)
    #[arg(long)]
    pub(crate) storage_class: String,
    /// Make the promoter ReadOnlyMany
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Whether mounting the promoter replays or skips its journal: replayed or skipped
    #[arg(long, default_value = "replayed", value_name = "WORD")]
    pub(crate) journal: Journal,
    /// Annotation for the promoter; may be repeated
    #[arg(long, value_parser = key_value, value_name = "KEY=VALUE")]
    promoter_annotation: Vec<(String, String)>,
    /// Do nothing if another run is closer than this
    #[arg(long)]
    pub(crate) min_interval: Span,
    /// Delete nothing
    #[arg(long)]
    pub(crate) no_rotate: bool,
    /// Directory of templates that replace the built-in ones
    #[arg(long, value_name = "DIR")]
    pub(crate) templates: Option<PathBuf>,
    /// What rotation goes by.
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// Who runs this.
    #[command(flatten)]
    pub(crate) own: Own,
}

impl Args {
    /// The source.
    pub(crate) fn source(&self) -> SourceId {
        SourceId { namespace: self.namespace.clone(), name: self.pvc.clone(), uid: self.uid.clone() }
    }

    /// What promoters look like.
    pub(crate) fn shape(&self, mode: VolumeMode) -> PromoterShape {
        PromoterShape {
            storage_class: self.storage_class.clone(),
            read_only: self.read_only,
            mode,
            journal: self.journal,
            annotations: self.promoter_annotation.iter().cloned().collect(),
        }
    }
}

/// What rotation goes by, apart from the retention.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Limits {
    /// Time zone of the schedule and of the days that keep rules count
    #[arg(long)]
    pub(crate) time_zone: Zone,
    /// Good restore points to keep, whatever their age
    #[arg(long)]
    pub(crate) min_keep: usize,
    /// Restore points to keep that are newer than the last good one
    #[arg(long)]
    pub(crate) max_unconfirmed: usize,
    /// Restore points of one source that one run may delete
    #[arg(long)]
    pub(crate) max_deletes: usize,
    /// Holds of one source that take effect
    #[arg(long)]
    pub(crate) max_holds: usize,
    /// How long to keep promoters: auto, keep or release
    #[arg(long, value_parser = promoter_retention, value_name = "WORD")]
    pub(crate) promoter_retention: PromoterRetention,
    /// How long a snapshot may take to become ready
    #[arg(long)]
    pub(crate) snapshot_deadline: Span,
}

impl Limits {
    /// The rules for one source.
    pub(crate) fn rules<'a>(&'a self, retention: &'a Retention, now: Timestamp, current: Option<&'a Run>) -> Rules<'a> {
        Rules {
            retention,
            zone: &self.time_zone,
            now,
            current,
            min_keep: self.min_keep,
            max_unconfirmed: self.max_unconfirmed,
            max_deletes: self.max_deletes,
            max_holds: self.max_holds,
            promoters: self.promoter_retention,
        }
    }

    /// The deadlines by which restore points are judged.
    pub(crate) fn deadlines(&self) -> Deadlines {
        Deadlines { snapshot_ready: self.snapshot_deadline, ..Deadlines::default() }
    }
}

/// The Job that runs this: it says which run it is, and what time it is at the API server.
#[derive(Debug, clap::Args)]
pub(crate) struct Own {
    /// Name of the Job that runs this command
    #[arg(long, env = "JOB_NAME", value_name = "NAME")]
    job_name: Option<String>,
    /// Namespace of that Job
    #[arg(long, env = "JOB_NAMESPACE", value_name = "NAMESPACE")]
    job_namespace: Option<String>,
    /// Outside of a pod: kubeconfig file for the cluster
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

const BY_HAND: &str = "JOB_NAME and JOB_NAMESPACE are not set: the run has no Job.\n\
    Pods of a CronJob have both. To start a run by hand:\n    \
    kubectl create job --namespace <controller's namespace> --from=cronjob/<CronJob of the source> <name>\n\
    or annotate the PVC with a new value of backup-controller.io/run-now.";

impl Own {
    /// The Job's namespace and name. Without them the command line is wrong, and the program ends.
    pub(crate) fn job(&self) -> (&str, &str) {
        match (&self.job_namespace, &self.job_name) {
            (Some(namespace), Some(name)) if !namespace.is_empty() && !name.is_empty() => (namespace, name),
            _ => clap::Error::raw(ErrorKind::MissingRequiredArgument, format!("{BY_HAND}\n")).exit(),
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| "must be KEY=VALUE".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}

fn promoter_retention(text: &str) -> Result<PromoterRetention, String> {
    match text {
        "auto" => Ok(PromoterRetention::Auto),
        "keep" => Ok(PromoterRetention::Keep),
        "release" => Ok(PromoterRetention::Release),
        _ => Err("must be auto, keep or release".to_owned()),
    }
}
