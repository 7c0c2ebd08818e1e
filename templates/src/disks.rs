//! What a destination that is a disk needs in each namespace.

use model::config::{Config, Destination, Disk, HostPath, PodKind, Reach};
use model::names::{self, Component, FolderOf};
use serde_json::{Value, json};

use crate::args;
use crate::check::{Kind, Pin};
use crate::engine::{Template, Templates};
use crate::error::{Fault, RenderError};
use crate::install::Install;
use crate::order::{Marks, Order, container, fail, values};
use crate::pods::PodRules;
use crate::program::KEEPER_DIR;

/// A keeper makes one folder on a disk whose root may have any owner.
const KEEPER_CAPABILITIES: &[&str] = &["DAC_OVERRIDE"];

pub(crate) fn disk_claim(
    templates: &Templates,
    install: &Install,
    destination: &Destination,
    namespace: &str,
) -> Result<Value, RenderError> {
    let claim = match destination.reach() {
        Reach::Disk(Disk::Claim(claim)) => claim,
        Reach::Disk(Disk::HostPath(_)) | Reach::Network => {
            let why = format!("destination {} has no claim", destination.name);
            return Err(fail(Template::DiskClaim, Fault::Input(why)));
        }
    };
    let access_mode = claim.access_mode.as_str();
    Order {
        template: Template::DiskClaim,
        kind: Kind::PersistentVolumeClaim,
        name: claim.name.clone(),
        namespace: Some(namespace.to_owned()),
        marks: Marks::new(&install.instance, Component::Disk).destination(destination),
        values: values! {
            "instance": install.instance,
            "destination": destination.name,
            "storageClass": claim.storage_class,
            "accessModes": [access_mode],
            "size": claim.size,
        },
        pins: vec![
            Pin::exactly("/spec/accessModes", json!([access_mode])),
            Pin::exactly("/spec/resources/requests/storage", claim.size.as_str()),
            claim.storage_class.as_ref().map_or(Pin::absent("/spec/storageClassName"), |class| {
                Pin::exactly("/spec/storageClassName", class.as_str())
            }),
            Pin::at_most("/spec/volumeMode", "Filesystem"),
        ],
        pod: None,
    }
    .render(templates)
}

/// The PVC of a destination that is a disk.
pub(crate) fn disk_claim_name(template: Template, destination: &Destination) -> Result<String, RenderError> {
    destination
        .disk_claim()
        .ok_or_else(|| fail(template, Fault::Input(format!("destination {} is not a disk", destination.name))))
}

/// A destination on a host's disk, and how a node that has it is known.
fn host_path(template: Template, destination: &Destination) -> Result<&HostPath, RenderError> {
    let host = destination.host_path().ok_or("is not a host's disk");
    let host = host.and_then(|host| {
        let known = !host.node_selector.is_empty();
        known.then_some(host).ok_or("needs a nodeSelector for the nodes that have the disk")
    });
    host.map_err(|why| fail(template, Fault::Input(format!("destination {} {why}", destination.name))))
}

pub(crate) fn keeper_job(
    templates: &Templates,
    install: &Install,
    config: &Config,
    destination: &Destination,
    namespace: &str,
) -> Result<Value, RenderError> {
    let host = host_path(Template::Keeper, destination)?;
    let mut values = values! {
        "backoffLimit": config.retries.snapshot,
        "activeDeadlineSeconds": config.deadlines.snapshot_job.as_secs(),
        "destination": destination.name,
        "path": host.path,
        "keeperDir": KEEPER_DIR,
        "nodeSelector": host.node_selector,
        "capabilities": KEEPER_CAPABILITIES,
    };
    let args = args::keep_args(namespace);
    let pod = container(&mut values, (install, config), PodKind::SnapshotJob, &args);
    let mut marks = Marks::new(&install.instance, Component::Keeper).destination(destination);
    marks.annotate(names::SOURCE_NAMESPACE, namespace);
    let mut pins = Pin::job("/spec");
    pins.push(Pin::exactly("/spec/template/spec/nodeSelector", json!(host.node_selector)));
    Order {
        template: Template::Keeper,
        kind: Kind::Job,
        name: names::keeper_job(&install.instance, FolderOf { destination: &destination.name, namespace }),
        namespace: Some(install.namespace.clone()),
        marks,
        values,
        pins,
        pod: Some(PodRules {
            pointer: "/spec/template",
            root: true,
            capabilities: KEEPER_CAPABILITIES,
            host_path: Some((host.path.clone(), KEEPER_DIR)),
            ..pod
        }),
    }
    .render(templates)
}

pub(crate) fn disk_volume(
    templates: &Templates,
    install: &Install,
    destination: &Destination,
    namespace: &str,
) -> Result<Value, RenderError> {
    let host = host_path(Template::DiskVolume, destination)?;
    let path = host.folder_of(namespace);
    let claim = names::host_disk_claim(&destination.name);
    let requirements: Vec<Value> = host
        .node_selector
        .iter()
        .map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}))
        .collect();
    let mut marks = Marks::new(&install.instance, Component::Disk).destination(destination);
    marks.annotate(names::SOURCE_NAMESPACE, namespace);
    Order {
        template: Template::DiskVolume,
        kind: Kind::PersistentVolume,
        name: names::disk_volume(&install.instance, FolderOf { destination: &destination.name, namespace }),
        namespace: None,
        marks,
        values: values! {
            "instance": install.instance,
            "destination": destination.name,
            "claimNamespace": namespace,
            "claimName": claim,
            "path": path,
            "size": host.size,
            "nodeRequirements": requirements,
        },
        pins: vec![
            Pin::exactly("/spec/local/path", path),
            Pin::exactly("/spec/claimRef/namespace", namespace),
            Pin::exactly("/spec/claimRef/name", claim),
            Pin::exactly("/spec/persistentVolumeReclaimPolicy", "Retain"),
            Pin::exactly("/spec/storageClassName", ""),
            Pin::exactly("/spec/nodeAffinity/required/nodeSelectorTerms", json!([{"matchExpressions": requirements}])),
            Pin::at_most("/spec/volumeMode", "Filesystem"),
        ],
        pod: None,
    }
    .render(templates)
}

pub(crate) fn host_disk_claim(
    templates: &Templates,
    install: &Install,
    destination: &Destination,
    namespace: &str,
) -> Result<Value, RenderError> {
    let host = host_path(Template::HostDiskClaim, destination)?;
    let volume = names::disk_volume(&install.instance, FolderOf { destination: &destination.name, namespace });
    Order {
        template: Template::HostDiskClaim,
        kind: Kind::PersistentVolumeClaim,
        name: names::host_disk_claim(&destination.name),
        namespace: Some(namespace.to_owned()),
        marks: Marks::new(&install.instance, Component::Disk).destination(destination),
        values: values! {
            "instance": install.instance,
            "destination": destination.name,
            "volume": volume,
            "size": host.size,
        },
        pins: vec![
            Pin::exactly("/spec/volumeName", volume),
            Pin::exactly("/spec/storageClassName", ""),
            Pin::exactly("/spec/resources/requests/storage", host.size.as_str()),
            Pin::at_most("/spec/volumeMode", "Filesystem"),
        ],
        pod: None,
    }
    .render(templates)
}
