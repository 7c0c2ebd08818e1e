//! The driver's snapshot behind a VolumeSnapshot, and whether it is what the VolumeSnapshot says.
//!
//! A central copy reads whatever a handle names, with the controller's rights, so a handle is taken from one place
//! only: the content that is bound to a snapshot of ours, and that was made from the source's own volume.

use crate::names::SourceId;
use crate::reason::{Problem, Reason};
use crate::snapshot::VolumeSnapshotContent;

/// What a second content says to reach the same snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle {
    /// The CSI driver.
    pub driver: String,
    /// The driver's name of its snapshot.
    pub snapshot: String,
    /// The class, which names the driver's Secrets.
    pub class: Option<String>,
    /// `Filesystem` or `Block`.
    pub mode: Option<String>,
}

/// Of which VolumeSnapshot, and of which volume, the content has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lineage<'a> {
    /// The source.
    pub source: &'a SourceId,
    /// The VolumeSnapshot's name, in the source's namespace.
    pub snapshot: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// The driver and the handle of the source's volume, if the source is still there.
    pub volume: Option<(&'a str, &'a str)>,
}

/// The snapshot's handle.
///
/// # Errors
/// [`Reason::SnapshotMismatch`] if the content is another snapshot's, or of another volume;
/// [`Reason::SourceSnapshotLost`] if it is going, or the driver's snapshot is not known.
pub fn take(content: &VolumeSnapshotContent, lineage: Lineage<'_>) -> Result<Handle, Problem> {
    let name = content.metadata.name.as_deref().unwrap_or_default();
    let foreign = |what: String| {
        let message = format!("VolumeSnapshotContent {name} of VolumeSnapshot {}: {what}", lineage.snapshot);
        Err(Problem::new(Reason::SnapshotMismatch, message))
    };
    let spec = &content.spec;
    let of = &spec.volume_snapshot_ref;
    let refers = (of.namespace.as_deref(), of.name.as_deref(), of.uid.as_deref());
    if refers != (Some(lineage.source.namespace.as_str()), Some(lineage.snapshot), Some(lineage.uid)) {
        return foreign("it belongs to another VolumeSnapshot".to_owned());
    }
    let Some(volume) = spec.source.volume_handle.as_deref() else {
        return foreign("it was not made from a volume, but from an existing snapshot".to_owned());
    };
    if let Some((driver, handle)) = lineage.volume {
        if spec.driver != driver {
            return foreign(format!("its driver is {}, but the volume has driver {driver}", spec.driver));
        }
        if volume != handle {
            return foreign(format!("it is a snapshot of volume {volume}, not of the PVC's volume"));
        }
    }
    let handle = content.status.as_ref().and_then(|s| s.snapshot_handle.clone());
    let Some(snapshot) = handle.filter(|h| !h.is_empty() && content.metadata.deletion_timestamp.is_none()) else {
        let message = format!("VolumeSnapshotContent {name} is being deleted or has no snapshot handle");
        return Err(Problem::new(Reason::SourceSnapshotLost, message));
    };
    Ok(Handle {
        driver: spec.driver.clone(),
        snapshot,
        class: spec.volume_snapshot_class_name.clone(),
        mode: spec.source_volume_mode.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn bound() -> Value {
        json!({
            "metadata": {"name": "snapcontent-1"},
            "spec": {
                "deletionPolicy": "Delete", "driver": "csi.example.com", "sourceVolumeMode": "Filesystem",
                "source": {"volumeHandle": "vol-7"}, "volumeSnapshotClassName": "snap",
                "volumeSnapshotRef": {"namespace": "shop", "name": "data-20181202", "uid": "1"},
            },
            "status": {"snapshotHandle": "snap-9", "readyToUse": true},
        })
    }

    fn taken(content: &Value, volume: Option<(&str, &str)>) -> Result<Handle, Reason> {
        let source = SourceId { namespace: "shop".into(), name: "data".into(), uid: "u".into() };
        let lineage = Lineage { source: &source, snapshot: "data-20181202", uid: "1", volume };
        take(&serde_json::from_value(content.clone()).unwrap(), lineage).map_err(|p| p.reason)
    }

    #[test]
    fn the_handle_is_that_of_the_bound_content() {
        let handle = taken(&bound(), Some(("csi.example.com", "vol-7"))).unwrap();
        assert_eq!((handle.snapshot.as_str(), handle.driver.as_str()), ("snap-9", "csi.example.com"));
        assert_eq!((handle.class.as_deref(), handle.mode.as_deref()), (Some("snap"), Some("Filesystem")));
        assert!(taken(&bound(), None).is_ok(), "the source is gone, its snapshot is not");
    }

    /// What a content says is checked field by field: each alone would let a copy read somebody else's volume.
    #[test]
    fn a_forged_content_is_refused() {
        for (pointer, value) in [
            ("/spec/volumeSnapshotRef/namespace", json!("other")),
            ("/spec/volumeSnapshotRef/name", json!("data-20181203")),
            ("/spec/volumeSnapshotRef/uid", json!("2")),
            ("/spec/volumeSnapshotRef/uid", Value::Null),
            ("/spec/driver", json!("other.example.com")),
            ("/spec/source", json!({"volumeHandle": "vol-8"})),
            ("/spec/source", json!({"snapshotHandle": "snap-9"})),
        ] {
            let mut content = bound();
            *content.pointer_mut(pointer).unwrap() = value.clone();
            let refused = taken(&content, Some(("csi.example.com", "vol-7")));
            assert_eq!(refused, Err(Reason::SnapshotMismatch), "{pointer}: {value}");
        }
    }

    #[test]
    fn a_content_that_goes_or_names_no_snapshot_is_lost() {
        let mut going = bound();
        going["metadata"]["deletionTimestamp"] = json!("2018-12-02T00:00:00Z");
        let mut unnamed = bound();
        unnamed["status"] = json!({"readyToUse": false});
        for content in [going, unnamed] {
            assert_eq!(taken(&content, Some(("csi.example.com", "vol-7"))), Err(Reason::SourceSnapshotLost));
        }
    }
}
