//! The restore points: snapshots and promoters.

use model::config::Destination;
use model::facts::VolumeMode;
use model::maintain::Task;
use model::names::{self, Component, Instance, Run, SourceId};
use model::promoter::PromoterSpec;
use model::quantity;
use serde_json::{Value, json};

use crate::check::{Kind, Pin};
use crate::engine::{Template, Templates};
use crate::error::RenderError;
use crate::order::{Marks, Order, values};

/// The snapshot of a run.
#[derive(Debug, Clone, Copy)]
pub struct RunSnapshot<'a> {
    /// The installation.
    pub instance: &'a Instance,
    /// The source.
    pub source: &'a SourceId,
    /// The run.
    pub run: &'a Run,
    /// The object's name, one of [`model::names::restore_points`].
    pub name: &'a str,
    /// The `VolumeSnapshotClass`.
    pub class: &'a str,
    /// What the source is.
    pub mode: VolumeMode,
}

/// The PVC made from the snapshot of a run.
#[derive(Debug, Clone, Copy)]
pub struct Promoter<'a> {
    /// The installation.
    pub instance: &'a Instance,
    /// The source.
    pub source: &'a SourceId,
    /// The run.
    pub run: &'a Run,
    /// The VolumeSnapshot, which gives it its name.
    pub snapshot: &'a str,
    /// What it looks like.
    pub spec: &'a PromoterSpec,
}

pub(crate) fn volume_snapshot(templates: &Templates, point: &RunSnapshot<'_>) -> Result<Value, RenderError> {
    let source = point.source;
    let mut marks = Marks::new(point.instance, Component::Snapshot).source(source).run(point.run);
    if point.mode.is_block() {
        marks.annotate(names::VOLUME_MODE_TAKEN, point.mode.as_str());
    }
    Order {
        template: Template::Snapshot,
        kind: Kind::VolumeSnapshot,
        name: point.name.to_owned(),
        namespace: Some(source.namespace.clone()),
        marks,
        values: values! {
            "instance": point.instance,
            "run": point.run.as_str(),
            "source": json!({"namespace": source.namespace, "name": source.name, "uid": source.uid}),
            "class": point.class,
        },
        pins: vec![
            Pin::exactly("/spec/source", json!({"persistentVolumeClaimName": source.name})),
            Pin::exactly("/spec/volumeSnapshotClassName", point.class),
        ],
        pod: None,
    }
    .render(templates)
}

pub(crate) fn promoter(templates: &Templates, promoter: &Promoter<'_>) -> Result<Value, RenderError> {
    let marks = Marks::new(promoter.instance, Component::Promoter).source(promoter.source).run(promoter.run);
    promoter_in(templates, promoter, &promoter.source.namespace, marks)
}

pub(crate) fn drill_promoter(
    templates: &Templates,
    promoter: &Promoter<'_>,
    destination: &Destination,
    due: &Run,
) -> Result<Value, RenderError> {
    let marks = Marks::new(promoter.instance, Component::Promoter).source(promoter.source).run(promoter.run);
    let mut marks = marks.destination(destination);
    marks.label(names::TASK, Task::Drill.as_str());
    marks.label(names::DUE, due.as_str());
    promoter_in(templates, promoter, &promoter.source.namespace, marks)
}

/// The same in any namespace, with the marks that it has there.
pub(crate) fn promoter_in(
    templates: &Templates,
    promoter: &Promoter<'_>,
    namespace: &str,
    mut marks: Marks,
) -> Result<Value, RenderError> {
    let (source, shape) = (promoter.source, &promoter.spec.shape);
    for (key, value) in &shape.annotations {
        // Ours are ours, whatever the class's annotations say.
        if !key.starts_with(names::PREFIX) {
            marks.annotate(key, value);
        }
    }
    // A raw block device is not mounted.
    if shape.journal.is_skipped() && !shape.mode.is_block() {
        marks.annotate(names::JOURNAL, shape.journal.as_str());
    }
    let access_mode = if shape.read_only { "ReadOnlyMany" } else { "ReadWriteOnce" };
    let size = quantity::text(promoter.spec.bytes);
    let volume_mode = match shape.mode {
        VolumeMode::Filesystem => Pin::at_most("/spec/volumeMode", "Filesystem"),
        VolumeMode::Block => Pin::exactly("/spec/volumeMode", "Block"),
    };
    let data_source = json!(model::snapshot::reference(promoter.snapshot));
    Order {
        template: Template::Promoter,
        kind: Kind::PersistentVolumeClaim,
        name: promoter.snapshot.to_owned(),
        namespace: Some(namespace.to_owned()),
        marks,
        values: values! {
            "instance": promoter.instance,
            "run": promoter.run.as_str(),
            "source": json!({"namespace": source.namespace, "name": source.name, "uid": source.uid}),
            "storageClass": shape.storage_class,
            "accessModes": [access_mode],
            "size": size,
            "snapshot": promoter.snapshot,
            "volumeMode": shape.mode.as_str(),
        },
        pins: vec![
            Pin::exactly("/spec/dataSource", data_source),
            Pin::absent("/spec/dataSourceRef"),
            Pin::absent("/spec/volumeName"),
            Pin::exactly("/spec/storageClassName", shape.storage_class.as_str()),
            Pin::exactly("/spec/accessModes", json!([access_mode])),
            Pin::exactly("/spec/resources/requests/storage", size),
            volume_mode,
        ],
        pod: None,
    }
    .render(templates)
}
