//! Restore pods: of a Deployment that asks for one, or of a Job.
//!
//! Where the restore point is a PVC, it is mounted beside the volume that is written. Where it is in a restic
//! repository, the pod has what reaches that instead.

use model::config::{Config, Destination, PodKind};
use model::names::{self, Component, SourceId};
use model::plan::{Origin, Restore};
use model::restore::Place;
use serde_json::{Map, Value, json};

use crate::alias;
use crate::args;
use crate::check::{Kind, Pin};
use crate::engine::{Template, Templates};
use crate::error::{Fault, RenderError};
use crate::install::Install;
use crate::order::{Marks, Order, container, fail, values};
use crate::pods::{COPY_CAPABILITIES, Mount, PodRules};
use crate::program::{self, DESTINATION_DIR, RESTORE_COMMAND, RESTORE_POINT_DIR, SOURCE_DIR, VOLUME_DIR};
use crate::repository::Repository;

/// The pod of a restore, in its namespace.
struct Pod<'a> {
    restore: &'a Restore,
    source: &'a SourceId,
    namespace: &'a str,
    /// The PVC that is written.
    target: String,
    from: From<'a>,
}

/// What a pod restores from.
enum From<'a> {
    /// A PVC, and the folder in it; no folder: all of it.
    Claim(String, Option<&'a str>),
    /// A restic repository, and the snapshot's id, or the beginning of it; no id: the one of the run.
    Repository(Box<Repository<'a>>, Option<&'a str>),
}

impl<'a> Pod<'a> {
    /// The pod of a restore from that source. `destination` is where the restore point is, if that is a repository.
    fn of(
        install: &'a Install,
        destination: Option<&'a Destination>,
        restore: &'a Restore,
        source: &'a SourceId,
    ) -> Result<Self, Fault> {
        let (namespace, target) = match restore.origin.target_volume() {
            Some(_) => (&install.namespace, restore.job()),
            None => (&restore.namespace, restore.target.name.clone()),
        };
        let from = match &restore.origin {
            Origin::Claim { name, folder } => From::Claim(name.clone(), folder.as_deref()),
            Origin::Granted { folder, .. } | Origin::Home { folder, .. } => {
                From::Claim(restore.granted_disk(), Some(folder))
            }
            Origin::Repository { options, secret, .. } | Origin::Central { options, secret, .. } => {
                let reached = destination
                    .and_then(|at| Repository::new(&install.namespace, at, source, options, secret.as_deref()));
                let reached = reached.ok_or_else(|| Fault::Input("cannot restore without a repository".to_owned()))?;
                // The Secret is that of the pod's own namespace, also where the source is another's.
                let reached = Repository { namespace, ..reached };
                let reached = match restore.origin.granted() {
                    Some(_) => reached.granted(&restore.granted_disk()),
                    None => reached,
                };
                let snapshot = match &restore.point.place {
                    Place::Repository { snapshot, .. } => snapshot.as_deref(),
                    Place::Snapshot { .. } | Place::Tree { .. } => None,
                };
                From::Repository(Box::new(reached), snapshot)
            }
        };
        Ok(Self { restore, source, namespace, target, from })
    }
}

fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn marks(install: &Install, pod: &Pod<'_>) -> Marks {
    let restore = pod.restore;
    let mut marks = Marks::new(&install.instance, Component::Restore).source(pod.source).run(&restore.point.run);
    if let Some(destination) = restore.point.destination() {
        marks.label(names::DESTINATION, &names::label_value(destination));
    }
    let label = match &pod.from {
        From::Claim(..) => None,
        From::Repository(repository, _) => repository.restic.pods().label(),
    };
    if let Some(label) = label {
        marks.label(names::DESTINATION_TYPE, label);
    }
    if restore.origin.target_volume().is_some() {
        alias::mark(&mut marks, &restore.target);
    }
    marks.annotate(names::RESTORE_FROM, &restore.text);
    marks.annotate(names::RESTORE_STATUS, &text(&restore.record()));
    marks.annotate(names::HOLDERS, &text(&restore.holders));
    marks
}

/// What both kinds of pod have, and must have.
fn pod(install: &Install, config: &Config, pod: &Pod<'_>, args: &[String]) -> (Map<String, Value>, PodRules) {
    let restore = pod.restore;
    let selinux = restore.spc_no_relabeling.then_some("spc_t");
    let mut values = values! {
        "target": pod.target,
        "block": restore.mode.is_block(),
        "pointBlock": false,
        "claim": Value::Null,
        "subPath": Value::Null,
        "resticMounts": json!([]),
        "resticVolumes": json!([]),
        "node": restore.node,
        "volumeDir": VOLUME_DIR,
        "restorePointDir": RESTORE_POINT_DIR,
        "sourceDir": SOURCE_DIR,
        "destinationDir": DESTINATION_DIR,
        "capabilities": COPY_CAPABILITIES,
        "selinuxType": selinux,
    };
    let rules = container(&mut values, (install, config), PodKind::Restore, args);
    let (claim, device) = (pod.target.clone(), restore.mode.is_block());
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
fn point(pod: &Pod<'_>, values: &mut Map<String, Value>, mut rules: PodRules) -> PodRules {
    match &pod.from {
        // A promoter is what its source is; a tree is a folder, whatever is in it.
        From::Claim(name, folder) => {
            let device = folder.is_none() && pod.restore.mode.is_block();
            values.extend(values! {
                "claim": name,
                "subPath": folder,
                "pointBlock": device,
            });
            let (claim, sub_path) = (name.clone(), folder.map(str::to_owned));
            let (path, also) = (RESTORE_POINT_DIR, Some(DESTINATION_DIR));
            rules.mounts.push(Mount { claim, path, also, sub_path, read_only: true, device });
            rules
        }
        From::Repository(repository, _) => repository.pod(values, rules, true),
    }
}

/// The command that restores.
fn command(pod: &Pod<'_>) -> Vec<String> {
    match &pod.from {
        From::Claim(..) => vec!["restore".to_owned()],
        From::Repository(repository, snapshot) => {
            args::restic_restore_args(repository, &pod.restore.point.run, *snapshot)
        }
    }
}

pub(crate) fn deployment(
    templates: &Templates,
    install: &Install,
    config: &Config,
    destination: Option<&Destination>,
    restore: &Restore,
) -> Result<Value, RenderError> {
    let source = restore.source();
    let of = Pod::of(install, destination, restore, &source).map_err(|fault| fail(Template::Restore, fault))?;
    let (mut values, mut rules) = pod(install, config, &of, &["idle".to_owned()]);
    values.insert("restoreCommand".to_owned(), Value::Null);
    match of.from {
        From::Claim(..) => {}
        From::Repository(..) => {
            // restore.sh is the tenant's, and calls `backup-job restore`, whatever there is to restore from.
            let command = program::escape(&json!(command(&of)).to_string());
            values.insert("restoreCommand".to_owned(), json!({"name": RESTORE_COMMAND, "value": command}));
            rules.variable = Some((RESTORE_COMMAND, command));
        }
    }
    Order {
        template: Template::Restore,
        kind: Kind::Deployment,
        name: restore.asker.id().name.clone(),
        namespace: Some(of.namespace.to_owned()),
        marks: marks(install, &of),
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
    destination: Option<&Destination>,
    restore: &Restore,
) -> Result<Value, RenderError> {
    let source = restore.source();
    let of = Pod::of(install, destination, restore, &source).map_err(|fault| fail(Template::RestoreJob, fault))?;
    let args = args::unasked(command(&of), restore.request.delete, restore.request.path.as_deref());
    let (mut values, rules) = pod(install, config, &of, &args);
    values.insert("backoffLimit".to_owned(), json!(config.retries.copy));
    values.insert("activeDeadlineSeconds".to_owned(), json!(config.deadlines.copy.as_secs()));
    Order {
        template: Template::RestoreJob,
        kind: Kind::Job,
        name: restore.job(),
        namespace: Some(of.namespace.to_owned()),
        marks: marks(install, &of),
        values,
        pins: Pin::job("/spec"),
        pod: Some(rules),
    }
    .render(templates)
}
