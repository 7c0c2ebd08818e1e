//! One object that is asked for: its marks, the values that its template gets, and what must come out.

use std::collections::BTreeMap;

use model::config::{Config, Destination, PodKind};
use model::names::{self, Component, Instance, Run, SourceId};
use serde_json::{Map, Value, json};

use crate::check::{self, Expected, Kind, Pin};
use crate::dress;
use crate::engine::{Template, Templates};
use crate::error::{Fault, RenderError};
use crate::install::Install;
use crate::pods::PodRules;
use crate::program::{self, COMMAND};

/// Labels and annotations, as they grow.
#[derive(Default)]
pub(crate) struct Marks {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Marks {
    pub(crate) fn new(instance: &Instance, component: Component) -> Self {
        let mut marks = Self::default();
        marks.label(names::MANAGED_BY, names::MANAGER);
        marks.label(names::INSTANCE, instance.as_str());
        marks.label(names::COMPONENT, component.as_str());
        // A9: what is a backup, or made for one, is in no other backup.
        marks.label(names::NOT_FOR_VELERO, "true");
        marks
    }

    pub(crate) fn label(&mut self, key: &str, value: &str) {
        self.labels.insert(key.to_owned(), value.to_owned());
    }

    pub(crate) fn annotate(&mut self, key: &str, value: &str) {
        self.annotations.insert(key.to_owned(), value.to_owned());
    }

    pub(crate) fn source(mut self, source: &SourceId) -> Self {
        self.label(names::SOURCE_PVC, &names::label_value(&source.name));
        self.label(names::SOURCE_UID, &source.uid);
        self.annotate(names::SOURCE_NAMESPACE, &source.namespace);
        self.annotate(names::SOURCE_NAME, &source.name);
        self
    }

    pub(crate) fn run(mut self, run: &Run) -> Self {
        self.label(names::RUN, run.as_str());
        self
    }

    pub(crate) fn destination(mut self, destination: &Destination) -> Self {
        self.label(names::DESTINATION, &names::label_value(&destination.name));
        if let Some(label) = destination.pods().label() {
            self.label(names::DESTINATION_TYPE, label);
        }
        self
    }
}

/// One object that is asked for.
pub(crate) struct Order {
    pub(crate) template: Template,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) marks: Marks,
    /// What the template gets beside name, namespace, labels and annotations.
    pub(crate) values: Map<String, Value>,
    pub(crate) pins: Vec<Pin>,
    pub(crate) pod: Option<PodRules>,
}

impl Order {
    pub(crate) fn render(self, templates: &Templates) -> Result<Value, RenderError> {
        let mut values = self.values;
        values.insert("name".to_owned(), json!(self.name));
        values.insert("labels".to_owned(), json!(self.marks.labels));
        values.insert("annotations".to_owned(), json!(self.marks.annotations));
        if let Some(namespace) = &self.namespace {
            values.insert("namespace".to_owned(), json!(namespace));
        }
        let text = templates.text(self.template, &Value::Object(values))?;
        let mut object = crate::yaml::parse_document(self.template.file(), &text)?;
        let expected = Expected {
            kind: self.kind,
            name: self.name,
            namespace: self.namespace,
            labels: self.marks.labels,
            annotations: self.marks.annotations,
            pins: self.pins,
            pod: self.pod,
        };
        check::object(&expected, &object).map_err(|fault| fail(self.template, fault))?;
        if let Some(rules) = &expected.pod {
            dress::pod(&mut object, rules);
        }
        Ok(object)
    }
}

pub(crate) fn fail(template: Template, fault: Fault) -> RenderError {
    RenderError { template: template.file(), place: None, fault }
}

/// A map of the values that a template gets.
macro_rules! values {
    ($($key:literal: $value:expr,)*) => { serde_json::Map::from_iter([$(($key.to_owned(), serde_json::json!($value)),)*]) };
}

pub(crate) use values;

fn escaped(args: &[String]) -> Vec<String> {
    args.iter().map(|a| program::escape(a)).collect()
}

/// The values of a container that runs our program, and the rules for its pod that follow from them.
pub(crate) fn container(
    values: &mut Map<String, Value>,
    (install, config): (&Install, &Config),
    kind: PodKind,
    args: &[String],
) -> PodRules {
    let args = escaped(args);
    let (image, resources) = match kind {
        PodKind::SnapshotJob => (&install.controller_image, &config.resources.snapshot_job),
        PodKind::Copy | PodKind::Maintenance | PodKind::Restore => (&install.mover_image, &config.resources.copy),
    };
    values.extend(values! {
        "instance": install.instance,
        "image": image,
        "imagePullPolicy": install.image_pull_policy,
        "command": [COMMAND],
        "args": args,
        "resources": json!({"requests": resources.requests, "limits": resources.limits}),
    });
    let settings = config.pods.of(kind);
    PodRules { image: image.clone(), command: COMMAND, args, settings, ..PodRules::default() }
}
