//! The volume behind a PVC, and whether it can be lent: a restore from a central destination writes it from the
//! controller's namespace, through a second PersistentVolume.
//!
//! Who may name a handle there may write any volume of the driver, so it is taken from one place only: the
//! PersistentVolume that is bound to that very PVC, which tenants cannot write.

use k8s_openapi::api::core::v1::{CSIPersistentVolumeSource, PersistentVolume, VolumeNodeAffinity};

use crate::facts::VolumeMode;
use crate::names::SourceId;
use crate::reason::{Problem, Reason};

/// What a second PersistentVolume says to be the same volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Original {
    /// The driver, its handle, attributes and Secrets.
    pub csi: CSIPersistentVolumeSource,
    /// `spec.capacity.storage`.
    pub size: String,
    /// `spec.accessModes`.
    pub access_modes: Vec<String>,
    /// `spec.volumeMode`.
    pub mode: VolumeMode,
    /// `spec.mountOptions`.
    pub mount_options: Vec<String>,
    /// `spec.nodeAffinity`.
    pub node_affinity: Option<VolumeNodeAffinity>,
}

/// The volume of a PVC.
///
/// # Errors
/// [`Reason::TargetNotReady`] if it is not that PVC's, is going, is no CSI volume, or cannot be written.
pub fn take(volume: &PersistentVolume, target: &SourceId) -> Result<Original, Problem> {
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    let no = |why: &str| {
        let message = format!("PVC {} cannot have an alias volume: its PersistentVolume {name} {why}", target.name);
        Err(Problem::new(Reason::TargetNotReady, message))
    };
    let spec = volume.spec.clone().unwrap_or_default();
    let of = spec.claim_ref.unwrap_or_default();
    let bound = (of.namespace.as_deref(), of.name.as_deref(), of.uid.as_deref());
    if bound != (Some(&target.namespace), Some(&target.name), Some(&target.uid)) {
        return no("is bound to another PVC");
    }
    if volume.metadata.deletion_timestamp.is_some() {
        return no("is being deleted");
    }
    let Some(csi) = spec.csi else { return no(NOT_CSI) };
    let access_modes = spec.access_modes.unwrap_or_default();
    if csi.read_only == Some(true) || !access_modes.iter().any(|mode| mode != "ReadOnlyMany") {
        return no("is read-only");
    }
    let Some(size) = spec.capacity.and_then(|mut c| c.remove("storage")) else { return no("has no capacity") };
    Ok(Original {
        csi,
        size: size.0,
        access_modes,
        mode: VolumeMode::read(spec.volume_mode.as_deref()),
        mount_options: spec.mount_options.unwrap_or_default(),
        node_affinity: spec.node_affinity,
    })
}

/// What is said of volumes that only their node, or their server, knows.
pub const NOT_CSI: &str = "has no CSI driver, so it cannot be mounted from another namespace";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn bound() -> Value {
        json!({
            "metadata": {"name": "pv-1"},
            "spec": {
                "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "fast", "volumeMode": "Block",
                "claimRef": {"namespace": "shop", "name": "data", "uid": "u"},
                "csi": {
                    "driver": "csi.example.com", "volumeHandle": "vol-7", "fsType": "xfs",
                    "volumeAttributes": {"pool": "p"}, "nodeStageSecretRef": {"namespace": "csi", "name": "s"},
                },
                "mountOptions": ["noatime"],
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "zone", "operator": "In", "values": ["a"]},
                ]}]}},
            },
        })
    }

    fn taken(volume: &Value) -> Result<Original, Problem> {
        let target = SourceId { namespace: "shop".into(), name: "data".into(), uid: "u".into() };
        take(&serde_json::from_value(volume.clone()).unwrap(), &target)
    }

    #[test]
    fn a_volume_is_lent_as_it_is() {
        let (original, spec) = (taken(&bound()).unwrap(), &bound()["spec"]);
        assert_eq!(json!(original.csi), spec["csi"]);
        assert_eq!(json!(original.node_affinity), spec["nodeAffinity"]);
        assert_eq!((json!(original.access_modes), original.size.as_str()), (spec["accessModes"].clone(), "10Gi"));
        assert_eq!((original.mode, original.mount_options), (VolumeMode::Block, vec!["noatime".to_owned()]));
    }

    /// Each alone would let a restore write a volume that is not the PVC's, or none that it can reach.
    #[test]
    fn a_volume_of_another_claim_or_kind_is_not_lent() {
        for (pointer, value, words) in [
            ("/spec/claimRef/namespace", json!("other"), "bound to another PVC"),
            ("/spec/claimRef/name", json!("other"), "bound to another PVC"),
            ("/spec/claimRef/uid", json!("2"), "bound to another PVC"),
            ("/spec/claimRef/uid", Value::Null, "bound to another PVC"),
            ("/spec/claimRef", Value::Null, "bound to another PVC"),
            ("/metadata", json!({"name": "pv-1", "deletionTimestamp": "2018-12-02T00:00:00Z"}), "being deleted"),
            ("/spec/csi", Value::Null, "no CSI driver"),
            ("/spec/csi/readOnly", json!(true), "read-only"),
            ("/spec/accessModes", json!(["ReadOnlyMany"]), "read-only"),
            ("/spec/accessModes", Value::Null, "read-only"),
            ("/spec/capacity", Value::Null, "no capacity"),
        ] {
            let mut volume = bound();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            volume.pointer_mut(parent).unwrap()[field] = value.clone();
            let problem = taken(&volume).unwrap_err();
            assert!(problem.message.contains(words), "{pointer}: {value}: {problem}");
            assert_eq!(problem.reason, Reason::TargetNotReady);
        }
    }

    /// The scheduler and the kubelet count its pods by claim and by volume: one of ours is one.
    #[test]
    fn a_volume_that_one_pod_may_have_is_lent_to_one_pod() {
        let mut volume = bound();
        volume["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
        assert_eq!(taken(&volume).unwrap().access_modes, ["ReadWriteOncePod"]);
    }
}
