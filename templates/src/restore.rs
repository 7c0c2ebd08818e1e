//! Restore pods: of a Deployment that asks for one, or of a Job.
//!
//! Where the restore point is a PVC, it is mounted beside the volume that is written. Where it is in a restic
//! repository, the pod has what reaches that instead.

use model::config::Config;
use model::facts::VolumeMode;
use model::names::{self, Component, Run, SourceId};
use serde_json::{Map, Value, json};

use crate::args;
use crate::check::{Kind, Pin};
use crate::engine::{Template, Templates};
use crate::error::RenderError;
use crate::install::Install;
use crate::lend;
use crate::order::{Marks, Order, container, values};
use crate::pods::{COPY_CAPABILITIES, Mount, PodRules};
use crate::program::{self, DESTINATION_DIR, RESTORE_COMMAND, RESTORE_POINT_DIR, SOURCE_DIR, VOLUME_DIR};
use crate::repository::Repository;

/// A pod that restores.
#[derive(Debug, Clone, Copy)]
pub struct RestorePod<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// The name of its Deployment or Job.
    pub name: &'a str,
    /// What was asked for: a [`model::restore::Request`].
    pub request: &'a str,
    /// What was answered: a [`model::record::RestoreRecord`] as JSON.
    pub status: &'a str,
    /// Who holds the target when the pod is made: a [`model::record::Holders`] as JSON.
    pub holders: &'a str,
    /// The PVC that was backed up.
    pub source: &'a SourceId,
    /// The run.
    pub run: &'a Run,
    /// The destination, unless it is a snapshot that is restored.
    pub destination: Option<&'a str>,
    /// The PVC that is written, in the pod's namespace.
    pub target: &'a str,
    /// The PVC whose volume that one is lent, if it is.
    pub lent: Option<&'a SourceId>,
    /// What the pod gets of that, and of a promoter.
    pub mode: VolumeMode,
    /// What it is written from.
    pub from: RestoreFrom<'a>,
    /// The node that is preferred.
    pub node: Option<&'a str>,
    /// Whether what the restore point does not have is deleted. For Jobs: in a restore pod a person says so.
    pub delete: bool,
    /// One file or folder; `None`: all. For Jobs.
    pub path: Option<&'a str>,
    /// Whether the pod needs the `SELinux` type `spc_t` to read the restore point.
    pub spc_no_relabeling: bool,
}

/// What a pod restores from.
#[derive(Debug, Clone, Copy)]
pub enum RestoreFrom<'a> {
    /// A PVC.
    Claim {
        /// Its name.
        name: &'a str,
        /// The folder in it; `None`: all of it.
        folder: Option<&'a str>,
    },
    /// A snapshot in a restic repository.
    Repository {
        /// The repository.
        repository: &'a Repository<'a>,
        /// The snapshot's id, or the beginning of it; `None`: the one of the run.
        snapshot: Option<&'a str>,
    },
}

fn marks(install: &Install, pod: &RestorePod<'_>) -> Marks {
    let mut marks = Marks::new(&install.instance, Component::Restore).source(pod.source).run(pod.run);
    if let Some(destination) = pod.destination {
        marks.label(names::DESTINATION, &names::label_value(destination));
    }
    if let RestoreFrom::Repository { repository, .. } = pod.from
        && let Some(label) = repository.restic.pods().label()
    {
        marks.label(names::DESTINATION_TYPE, label);
    }
    if let Some(target) = pod.lent {
        lend::mark(&mut marks, target);
    }
    marks.annotate(names::RESTORE_FROM, pod.request);
    marks.annotate(names::RESTORE_STATUS, pod.status);
    marks.annotate(names::HOLDERS, pod.holders);
    marks
}

/// What both kinds of pod have, and must have.
fn pod(install: &Install, config: &Config, pod: &RestorePod<'_>, args: &[String]) -> (Map<String, Value>, PodRules) {
    let selinux = pod.spc_no_relabeling.then_some("spc_t");
    let mut values = values! {
        "target": pod.target,
        "block": pod.mode.is_block(),
        "pointBlock": false,
        "claim": Value::Null,
        "subPath": Value::Null,
        "resticMounts": json!([]),
        "resticVolumes": json!([]),
        "node": pod.node,
        "volumeDir": VOLUME_DIR,
        "restorePointDir": RESTORE_POINT_DIR,
        "sourceDir": SOURCE_DIR,
        "destinationDir": DESTINATION_DIR,
        "capabilities": COPY_CAPABILITIES,
        "selinuxType": selinux,
    };
    let rules = container(&mut values, install, &install.mover_image, args, &config.resources.copy);
    let (claim, device) = (pod.target.to_owned(), pod.mode.is_block());
    let rules = PodRules {
        pointer: "/spec/template",
        root: true,
        capabilities: COPY_CAPABILITIES,
        selinux_type: selinux,
        mounts: vec![Mount {
            claim,
            path: VOLUME_DIR,
            also: Some(SOURCE_DIR),
            sub_path: None,
            read_only: false,
            device,
        }],
        ..rules
    };
    let rules = point(pod, &mut values, rules);
    (values, rules)
}

/// What the pod has of its restore point.
fn point(pod: &RestorePod<'_>, values: &mut Map<String, Value>, mut rules: PodRules) -> PodRules {
    match pod.from {
        // A promoter is what its source is; a tree is a folder, whatever is in it.
        RestoreFrom::Claim { name, folder } => {
            let device = folder.is_none() && pod.mode.is_block();
            values.extend(values! {
                "claim": name,
                "subPath": folder,
                "pointBlock": device,
            });
            let (claim, sub_path) = (name.to_owned(), folder.map(str::to_owned));
            let (path, also) = (RESTORE_POINT_DIR, Some(DESTINATION_DIR));
            rules.mounts.push(Mount { claim, path, also, sub_path, read_only: true, device });
            rules
        }
        RestoreFrom::Repository { repository, .. } => repository.pod(values, rules, true),
    }
}

/// The command that restores.
fn command(pod: &RestorePod<'_>) -> Vec<String> {
    match pod.from {
        RestoreFrom::Claim { .. } => vec!["restore".to_owned()],
        RestoreFrom::Repository { repository, snapshot } => args::restic_restore_args(repository, pod.run, snapshot),
    }
}

pub(crate) fn deployment(
    templates: &Templates,
    install: &Install,
    config: &Config,
    restore: &RestorePod<'_>,
) -> Result<Value, RenderError> {
    let (mut values, mut rules) = pod(install, config, restore, &["idle".to_owned()]);
    values.insert("restoreCommand".to_owned(), Value::Null);
    if let RestoreFrom::Repository { .. } = restore.from {
        // restore.sh is the tenant's, and calls `backup-job restore`, whatever there is to restore from.
        let command = program::escape(&json!(command(restore)).to_string());
        values.insert("restoreCommand".to_owned(), json!({"name": RESTORE_COMMAND, "value": command}));
        rules.variable = Some((RESTORE_COMMAND, command));
    }
    Order {
        template: Template::Restore,
        kind: Kind::Deployment,
        name: restore.name.to_owned(),
        namespace: Some(restore.namespace.to_owned()),
        marks: marks(install, restore),
        values,
        pins: vec![
            Pin::exactly("/spec/replicas", 1),
            // Who asks has said these, and they stay his.
            Pin::absent("/spec/selector"),
            Pin::absent("/spec/strategy"),
        ],
        pod: Some(rules),
    }
    .render(templates)
}

pub(crate) fn job(
    templates: &Templates,
    install: &Install,
    config: &Config,
    restore: &RestorePod<'_>,
) -> Result<Value, RenderError> {
    let args = args::unasked(command(restore), restore.delete, restore.path);
    let (mut values, rules) = pod(install, config, restore, &args);
    values.insert("backoffLimit".to_owned(), json!(config.retries.copy));
    values.insert("activeDeadlineSeconds".to_owned(), json!(config.deadlines.copy.as_secs()));
    Order {
        template: Template::RestoreJob,
        kind: Kind::Job,
        name: restore.name.to_owned(),
        namespace: Some(restore.namespace.to_owned()),
        marks: marks(install, restore),
        values,
        pins: Pin::job("/spec"),
        pod: Some(rules),
    }
    .render(templates)
}
