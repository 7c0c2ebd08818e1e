//! The CronJobs, and the Jobs that are made from one by hand.

use std::collections::BTreeMap;

use model::config::{Config, PodKind};
use model::names::{self, Component, Instance, SourceId};
use model::schedule::Schedule;
use model::select::Protection;
use serde_json::{Value, json};

use crate::args;
use crate::check::{Kind, Pin};
use crate::engine::{Template, Templates};
use crate::error::{Fault, RenderError};
use crate::install::Install;
use crate::order::{Marks, Order, container, fail, values};
use crate::pods::PodRules;
use crate::program::TEMPLATES_DIR;

/// The sweeper's CronJob.
#[must_use]
pub fn sweep_name(instance: &Instance) -> String {
    let name = instance.as_str();
    if name.len() <= 40 { format!("{name}-sweep") } else { format!("sweep-{}", names::hash(name, 12)) }
}

/// A CronJob whose pods call the API as the job's service account.
fn cronjob(
    template: Template,
    install: &Install,
    config: &Config,
    name: String,
    marks: Marks,
    args: &[String],
    when: (&str, &str, u64),
) -> Order {
    let (schedule, zone, starting_deadline) = when;
    let mut values = values! {
        "schedule": schedule,
        "timeZone": zone,
        "startingDeadlineSeconds": starting_deadline,
        "backoffLimit": config.retries.snapshot,
        "activeDeadlineSeconds": config.deadlines.snapshot_job.as_secs(),
        "serviceAccount": install.job_service_account,
    };
    let pod = container(&mut values, (install, config), PodKind::SnapshotJob, args);
    let mut pins = vec![
        Pin::exactly("/spec/schedule", schedule),
        Pin::exactly("/spec/timeZone", zone),
        Pin::exactly("/spec/concurrencyPolicy", "Forbid"),
        Pin::exactly("/spec/startingDeadlineSeconds", starting_deadline),
        Pin::at_most("/spec/suspend", false),
    ];
    pins.extend(Pin::job("/spec/jobTemplate/spec"));
    Order {
        template,
        kind: Kind::CronJob,
        name,
        namespace: Some(install.namespace.clone()),
        marks,
        values,
        pins,
        pod: Some(PodRules {
            pointer: "/spec/jobTemplate/spec/template",
            service_account: Some(install.job_service_account.clone()),
            token: true,
            ..pod
        }),
    }
}

/// Suspended or not, and said so: what is left out of an applied object is not put back if somebody edits it.
fn suspended(mut object: Value, suspended: bool) -> Value {
    object["spec"]["suspend"] = Value::Bool(suspended);
    object
}

/// With a hash of itself, by which an unchanged CronJob is known.
fn with_mark(mut object: Value) -> Value {
    let hash = names::hash(&canonical(&object), 16);
    object["metadata"]["annotations"][names::APPLIED] = Value::String(hash);
    object
}

/// By what a rendered CronJob is known: a hash of all that it says.
#[must_use]
pub fn mark(rendered: &Value) -> Option<&str> {
    rendered["metadata"]["annotations"][names::APPLIED].as_str()
}

/// The same text for the same value, in whatever order its maps are.
fn canonical(value: &Value) -> String {
    fn write(value: &Value, text: &mut String) {
        match value {
            Value::Object(map) => {
                let sorted: BTreeMap<&String, &Value> = map.iter().collect();
                text.push('{');
                for (key, value) in sorted {
                    text.push_str(&Value::from(key.as_str()).to_string());
                    text.push(':');
                    write(value, text);
                    text.push(',');
                }
                text.push('}');
            }
            Value::Array(items) => {
                text.push('[');
                for item in items {
                    write(item, text);
                    text.push(',');
                }
                text.push(']');
            }
            scalar => text.push_str(&scalar.to_string()),
        }
    }
    let mut text = String::new();
    write(value, &mut text);
    text
}

pub(crate) fn snapshot_cronjob(
    templates: &Templates,
    install: &Install,
    config: &Config,
    source: &SourceId,
    protection: &Protection,
    rotate: bool,
) -> Result<Value, RenderError> {
    let args = args::snapshot_args(install, config, source, protection, rotate);
    let (schedule, suspend) = protection.cron();
    let mut marks = Marks::new(&install.instance, Component::Snapshot).source(source);
    if let Some(after) = protection.due.after() {
        marks.annotate(names::AFTER, &after.to_string());
    }
    let mut order = cronjob(
        Template::Cronjob,
        install,
        config,
        names::cronjob(source),
        marks,
        &args,
        (schedule, protection.zone.name(), protection.starting_deadline.as_secs()),
    );
    order.values.extend(values! {
        "templatesConfigMap": install.templates_config_map,
        "templatesDir": TEMPLATES_DIR,
        "source": json!({"namespace": source.namespace, "name": source.name, "uid": source.uid}),
    });
    order.render(templates).map(|object| suspended(object, suspend)).map(with_mark)
}

pub(crate) fn run_job(cronjob: &Value, cronjob_uid: &str, job: &str) -> Result<Value, RenderError> {
    let missing =
        |what: &str| fail(Template::Cronjob, Fault::Input(format!("cannot make a Job: the CronJob has no {what}")));
    let text = |pointer: &str| cronjob.pointer(pointer).and_then(Value::as_str);
    let name = text("/metadata/name").ok_or_else(|| missing("metadata.name"))?;
    let namespace = text("/metadata/namespace").ok_or_else(|| missing("metadata.namespace"))?;
    let template = |field: &str| cronjob.pointer(&format!("/spec/jobTemplate/{field}")).filter(|v| v.is_object());
    let metadata = template("metadata").ok_or_else(|| missing("spec.jobTemplate.metadata"))?;
    let spec = template("spec").ok_or_else(|| missing("spec.jobTemplate.spec"))?;
    let mut annotations = metadata["annotations"].as_object().cloned().unwrap_or_default();
    annotations.insert("cronjob.kubernetes.io/instantiate".to_owned(), json!("manual"));
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job,
            "namespace": namespace,
            "labels": metadata["labels"],
            "annotations": annotations,
            // As kubectl makes it: without blockOwnerDeletion, which would need a right on cronjobs/finalizers.
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": cronjob_uid, "controller": true},
            ],
        },
        "spec": spec,
    }))
}

pub(crate) fn sweep_cronjob(templates: &Templates, install: &Install, config: &Config) -> Result<Value, RenderError> {
    // After the night's snapshots, and not in all clusters at the same minute.
    let schedule = Schedule::parse("H 6 * * *", install.instance.as_str());
    let schedule = schedule.as_ref().map_or("0 6 * * *", Schedule::kubernetes);
    cronjob(
        Template::Sweep,
        install,
        config,
        sweep_name(&install.instance),
        Marks::new(&install.instance, Component::Sweep),
        &args::sweep_args(install, config),
        (schedule, config.defaults.time_zone.name(), 3600),
    )
    .render(templates)
    .map(with_mark)
}
