//! What a central copy or drill is made from, in the controller's namespace: content, snapshot and PVC of one name.

use model::config::Destination;
use model::handle::Handle;
use model::maintain::Task;
use model::names::{self, Component, Run, SourceId};
use model::promoter::PromoterSpec;
use serde_json::{Value, json};

use crate::check::Pin;
use crate::engine::{Template, Templates};
use crate::error::RenderError;
use crate::order::{Marks, Order, values};
use crate::points::promoter_in;
use crate::{Install, Promoter};

/// One central copy or drill.
#[derive(Debug, Clone, Copy)]
pub struct Central<'a> {
    /// The installation.
    pub install: &'a Install,
    /// The source.
    pub source: &'a SourceId,
    /// The run that is copied; of a drill the minute for which it is due.
    pub run: &'a Run,
    /// Where the copy goes, or lies.
    pub destination: &'a Destination,
    /// The task that it is made for; `None`: a copy.
    pub task: Option<Task>,
    /// The name of all three.
    pub name: &'a str,
}

impl Central<'_> {
    fn marks(&self) -> Marks {
        let mut marks = Marks::new(&self.install.instance, Component::Central);
        if let Some(task) = self.task {
            marks.label(names::TASK, task.as_str());
        }
        marks.source(self.source).run(self.run).destination(self.destination)
    }

    /// The content, over the driver's snapshot.
    pub(crate) fn content(&self, templates: &Templates, handle: &Handle) -> Result<Value, RenderError> {
        let (name, home) = (self.name, &self.install.namespace);
        Order {
            template: Template::CentralContent,
            kind: ("snapshot.storage.k8s.io/v1", "VolumeSnapshotContent"),
            name: name.to_owned(),
            namespace: None,
            marks: self.marks(),
            values: values! {
                "home": home,
                "driver": handle.driver,
                "class": handle.class,
                "mode": handle.mode,
                "handle": handle.snapshot,
            },
            pins: vec![
                Pin::exactly("/spec/deletionPolicy", "Retain"),
                Pin::exactly("/spec/driver", handle.driver.as_str()),
                Pin::exactly("/spec/source", json!({"snapshotHandle": handle.snapshot})),
                Pin::exactly("/spec/volumeSnapshotRef", json!({"namespace": home, "name": name})),
            ],
            pod: None,
        }
        .render(templates)
    }

    /// The snapshot that names the content.
    pub(crate) fn snapshot(&self, templates: &Templates) -> Result<Value, RenderError> {
        let name = self.name;
        Order {
            template: Template::CentralSnapshot,
            kind: ("snapshot.storage.k8s.io/v1", "VolumeSnapshot"),
            name: name.to_owned(),
            namespace: Some(self.install.namespace.clone()),
            marks: self.marks(),
            values: values! {},
            pins: vec![Pin::exactly("/spec/source", json!({"volumeSnapshotContentName": name}))],
            pod: None,
        }
        .render(templates)
    }

    /// The PVC made from the snapshot, by the same template as in the source's namespace.
    pub(crate) fn promoter(&self, templates: &Templates, spec: &PromoterSpec) -> Result<Value, RenderError> {
        let promoter = Promoter {
            instance: &self.install.instance,
            source: self.source,
            run: self.run,
            snapshot: self.name,
            spec,
        };
        promoter_in(templates, &promoter, &self.install.namespace, self.marks())
    }
}
