//! Restore pods: of a Deployment that asks for one, or of a Job.

use model::config::Config;
use model::names::{self, Component};
use serde_json::{Map, Value, json};

use crate::Install;
use crate::RestorePod;
use crate::args::{self, DESTINATION_DIR, SOURCE_DIR};
use crate::check::Pin;
use crate::engine::{Template, Templates};
use crate::error::RenderError;
use crate::objects::{COPY_CAPABILITIES, Marks, Order, program, values};
use crate::pods::{Mount, PodRules};

fn marks(install: &Install, pod: &RestorePod<'_>) -> Marks {
    let mut marks = Marks::new(&install.instance, Component::Restore).source(pod.source).run(pod.run);
    if let Some(destination) = pod.destination {
        marks.label(names::DESTINATION, &names::label_value(destination));
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
        "claim": pod.claim,
        "subPath": pod.folder,
        "node": pod.node,
        "sourceDir": SOURCE_DIR,
        "destinationDir": DESTINATION_DIR,
        "capabilities": COPY_CAPABILITIES,
        "selinuxType": selinux,
    };
    let rules = program(&mut values, install, &install.mover_image, args, &config.resources.copy);
    let rules = PodRules {
        pointer: "/spec/template",
        root: true,
        capabilities: COPY_CAPABILITIES,
        selinux_type: selinux,
        mounts: vec![
            Mount { claim: pod.target.to_owned(), path: SOURCE_DIR, sub_path: None, read_only: false },
            Mount {
                claim: pod.claim.to_owned(),
                path: DESTINATION_DIR,
                sub_path: pod.folder.map(str::to_owned),
                read_only: true,
            },
        ],
        ..rules
    };
    (values, rules)
}

pub(crate) fn deployment(
    templates: &Templates,
    install: &Install,
    config: &Config,
    restore: &RestorePod<'_>,
) -> Result<Value, RenderError> {
    let (values, rules) = pod(install, config, restore, &["idle".to_owned()]);
    Order {
        template: Template::Restore,
        kind: ("apps/v1", "Deployment"),
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
    let args = args::restore_args(restore.delete, restore.path);
    let (mut values, rules) = pod(install, config, restore, &args);
    values.insert("backoffLimit".to_owned(), json!(config.retries.copy));
    values.insert("activeDeadlineSeconds".to_owned(), json!(config.deadlines.copy.as_secs()));
    Order {
        template: Template::RestoreJob,
        kind: ("batch/v1", "Job"),
        name: restore.name.to_owned(),
        namespace: Some(restore.namespace.to_owned()),
        marks: marks(install, restore),
        values,
        pins: Pin::job("/spec"),
        pod: Some(rules),
    }
    .render(templates)
}
