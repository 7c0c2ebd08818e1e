//! What a central copy or drill is made from, in the controller's namespace: content, snapshot and PVC of one name.

use model::config::Destination;
use model::handle::Handle;
use model::names::{self, Component};
use model::plan::Central;
use serde_json::{Value, json};

use crate::check::{Kind, Pin};
use crate::engine::{Template, Templates};
use crate::error::RenderError;
use crate::install::Install;
use crate::order::{Marks, Order, values};
use crate::points::{Promoter, promoter_in};

fn marks(install: &Install, destination: &Destination, central: &Central) -> Marks {
    let mut marks = Marks::new(&install.instance, Component::Central);
    if let Some(task) = central.task {
        marks.label(names::TASK, task.as_str());
    }
    marks.source(&central.source).run(&central.run).destination(destination)
}

/// The content, over the driver's snapshot.
pub(crate) fn content(
    templates: &Templates,
    install: &Install,
    destination: &Destination,
    central: &Central,
    handle: &Handle,
) -> Result<Value, RenderError> {
    let (name, home) = (&central.name, &install.namespace);
    Order {
        template: Template::CentralContent,
        kind: Kind::VolumeSnapshotContent,
        name: name.clone(),
        namespace: None,
        marks: marks(install, destination, central),
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
pub(crate) fn snapshot(
    templates: &Templates,
    install: &Install,
    destination: &Destination,
    central: &Central,
) -> Result<Value, RenderError> {
    let name = &central.name;
    Order {
        template: Template::CentralSnapshot,
        kind: Kind::VolumeSnapshot,
        name: name.clone(),
        namespace: Some(install.namespace.clone()),
        marks: marks(install, destination, central),
        values: values! {},
        pins: vec![Pin::exactly("/spec/source", json!({"volumeSnapshotContentName": name}))],
        pod: None,
    }
    .render(templates)
}

/// The PVC made from the snapshot, by the same template as in the source's namespace.
pub(crate) fn promoter(
    templates: &Templates,
    install: &Install,
    destination: &Destination,
    central: &Central,
) -> Result<Value, RenderError> {
    let promoter = Promoter {
        instance: &install.instance,
        source: &central.source,
        run: &central.run,
        snapshot: &central.name,
        spec: &central.promoter,
    };
    promoter_in(templates, &promoter, &install.namespace, marks(install, destination, central))
}
