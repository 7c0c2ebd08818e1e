//! What another namespace may restore from: a volume of a disk that is not its own, and the claim to it.

use model::config::HostPath;
use model::names::{self, Component, GrantClaim, Instance, SourceId};
use serde_json::{Value, json};

use crate::check::{Kind, Pin};
use crate::engine::{Template, Templates};
use crate::error::RenderError;
use crate::order::{Marks, Order, values};

/// What a namespace may restore from a disk that is not its own.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The installation.
    pub instance: &'a Instance,
    /// The claim: it has the name of the restore Job, or one that follows from it.
    pub claim: GrantClaim<'a>,
    /// The PVC that was backed up.
    pub source: &'a SourceId,
    /// The size that both say.
    pub size: &'a str,
    /// Where the trees are.
    pub medium: Medium<'a>,
}

/// What a disk is on.
#[derive(Debug, Clone)]
pub enum Medium<'a> {
    /// A host's disk: of it the folder of the source's namespace.
    Host(&'a HostPath),
    /// The volume of another namespace's BackupDisk, as its `PersistentVolume` has it: all of it.
    Csi {
        /// `spec.csi`.
        source: &'a serde_json::Value,
        /// `spec.nodeAffinity`, or null.
        node_affinity: &'a serde_json::Value,
    },
}

fn marks(grant: &Grant<'_>) -> Marks {
    let mut marks = Marks::new(grant.instance, Component::Grant);
    marks.annotate(names::SOURCE_NAMESPACE, &grant.source.namespace);
    marks.annotate(names::SOURCE_NAME, &grant.source.name);
    marks.label(names::SOURCE_UID, &grant.source.uid);
    marks
}

/// The volume, to be created.
pub(crate) fn volume(templates: &Templates, grant: &Grant<'_>) -> Result<Value, RenderError> {
    let name = names::grant_volume(grant.instance, grant.claim);
    let mut pins = vec![
        Pin::exactly("/spec/claimRef/namespace", grant.claim.namespace),
        Pin::exactly("/spec/claimRef/name", grant.claim.name),
        Pin::exactly("/spec/persistentVolumeReclaimPolicy", "Retain"),
        Pin::exactly("/spec/accessModes", json!(["ReadOnlyMany"])),
        Pin::exactly("/spec/storageClassName", ""),
        Pin::at_most("/spec/volumeMode", "Filesystem"),
    ];
    let (csi, path, affinity) = match &grant.medium {
        Medium::Host(host) => {
            // S1: the namespace's folder and nothing below it. A tenant writes what is below, and the kubelet follows a
            // link in a volume's path. The pod names the rest as its subPath, in which the kubelet follows none.
            let path = host.folder_of(&grant.source.namespace);
            let requirements: Vec<Value> = host
                .node_selector
                .iter()
                .map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}))
                .collect();
            pins.push(Pin::exactly("/spec/local/path", path.as_str()));
            pins.push(Pin::exactly("/spec/mountOptions", json!(["ro"])));
            (Value::Null, json!(path), json!({"required": {"nodeSelectorTerms": [{"matchExpressions": requirements}]}}))
        }
        Medium::Csi { source, node_affinity } => {
            let mut source = (*source).clone();
            source["readOnly"] = json!(true);
            pins.push(Pin::exactly("/spec/csi", source.clone()));
            (source, Value::Null, (*node_affinity).clone())
        }
    };
    Order {
        template: Template::GrantVolume,
        kind: Kind::PersistentVolume,
        name,
        namespace: None,
        marks: marks(grant),
        values: values! {
            "claimNamespace": grant.claim.namespace,
            "claimName": grant.claim.name,
            "size": grant.size,
            "csi": csi,
            "path": path,
            "nodeAffinity": affinity,
        },
        pins,
        pod: None,
    }
    .render(templates)
}

/// The claim, to be created.
pub(crate) fn claim(templates: &Templates, grant: &Grant<'_>) -> Result<Value, RenderError> {
    let volume = names::grant_volume(grant.instance, grant.claim);
    Order {
        template: Template::GrantClaim,
        kind: Kind::PersistentVolumeClaim,
        name: grant.claim.name.to_owned(),
        namespace: Some(grant.claim.namespace.to_owned()),
        marks: marks(grant),
        values: values! {
            "volume": volume,
            "size": grant.size,
        },
        pins: vec![
            Pin::exactly("/spec/volumeName", volume),
            Pin::exactly("/spec/storageClassName", ""),
            Pin::exactly("/spec/accessModes", json!(["ReadOnlyMany"])),
            Pin::at_most("/spec/volumeMode", "Filesystem"),
        ],
        pod: None,
    }
    .render(templates)
}
