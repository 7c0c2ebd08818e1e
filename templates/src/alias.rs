//! A target that is lent to the controller's namespace: its volume once more, and the claim of the restore that
//! writes it.

use model::alias::Original;
use model::names::{self, Component, SourceId};
use serde_json::{Value, json};

use crate::check::{Kind, Pin};
use crate::engine::{Template, Templates};
use crate::error::RenderError;
use crate::install::Install;
use crate::order::{Marks, Order, values};

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Alias<'a> {
    /// The installation.
    pub install: &'a Install,
    /// The PVC that is written.
    pub target: &'a SourceId,
    /// The restore Job in the controller's namespace; the claim has its name.
    pub job: &'a str,
    /// The target's volume.
    pub original: &'a Original,
}

/// Says whose volume is lent.
pub(crate) fn mark(marks: &mut Marks, target: &SourceId) {
    marks.label(names::TARGET_UID, &target.uid);
    marks.annotate(names::TARGET_NAMESPACE, &target.namespace);
    marks.annotate(names::TARGET_NAME, &target.name);
}

impl Alias<'_> {
    fn marks(&self) -> Marks {
        let mut marks = Marks::new(&self.install.instance, Component::Target);
        mark(&mut marks, self.target);
        marks
    }

    fn volume_name(&self) -> String {
        names::alias_volume(&self.install.instance, self.job)
    }

    /// The volume, to be created.
    pub(crate) fn volume(&self, templates: &Templates) -> Result<Value, RenderError> {
        let (original, home) = (self.original, &self.install.namespace);
        let mut pins = vec![
            Pin::exactly("/spec/claimRef/namespace", home.as_str()),
            Pin::exactly("/spec/claimRef/name", self.job),
            Pin::exactly("/spec/persistentVolumeReclaimPolicy", "Retain"),
            Pin::exactly("/spec/accessModes", json!(original.access_modes)),
            Pin::exactly("/spec/storageClassName", ""),
            Pin::exactly("/spec/volumeMode", original.mode.as_str()),
            Pin::exactly("/spec/csi", json!(original.csi)),
        ];
        pins.push(match original.mount_options.as_slice() {
            [] => Pin::absent("/spec/mountOptions"),
            options => Pin::exactly("/spec/mountOptions", json!(options)),
        });
        pins.push(match &original.node_affinity {
            None => Pin::absent("/spec/nodeAffinity"),
            Some(affinity) => Pin::exactly("/spec/nodeAffinity", json!(affinity)),
        });
        Order {
            template: Template::AliasVolume,
            kind: Kind::PersistentVolume,
            name: self.volume_name(),
            namespace: None,
            marks: self.marks(),
            values: values! {
                "home": home,
                "claim": self.job,
                "size": original.size,
                "accessModes": original.access_modes,
                "volumeMode": original.mode.as_str(),
                "mountOptions": original.mount_options,
                "csi": original.csi,
                "nodeAffinity": original.node_affinity,
            },
            pins,
            pod: None,
        }
        .render(templates)
    }

    /// The claim, to be created.
    pub(crate) fn claim(&self, templates: &Templates) -> Result<Value, RenderError> {
        let (original, volume) = (self.original, self.volume_name());
        Order {
            template: Template::AliasClaim,
            kind: Kind::PersistentVolumeClaim,
            name: self.job.to_owned(),
            namespace: Some(self.install.namespace.clone()),
            marks: self.marks(),
            values: values! {
                "volume": volume,
                "size": original.size,
                "accessModes": original.access_modes,
                "volumeMode": original.mode.as_str(),
            },
            pins: vec![
                Pin::exactly("/spec/volumeName", volume),
                Pin::exactly("/spec/storageClassName", ""),
                Pin::exactly("/spec/accessModes", json!(original.access_modes)),
                Pin::exactly("/spec/volumeMode", original.mode.as_str()),
            ],
            pod: None,
        }
        .render(templates)
    }
}
