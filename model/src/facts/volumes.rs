//! PVCs, snapshots and volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::jiff::Timestamp;

use super::labels::Labels;
use super::nodes::{NodeTerm, node_terms};
use super::ours::{Identity, Ours, created, labels, namespace, settings};
use crate::hold::Hold;
use crate::names::{self, SourceId};
use crate::quantity;
use crate::record::{RestoreRecord, Status};
use crate::snapshot::VolumeSnapshot;
use crate::volume::{AccessModes, Journal, VolumeMode};

/// Where a PVC stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimPhase {
    /// Not bound to a volume yet.
    Pending,
    /// Bound.
    Bound,
    /// Its volume is gone.
    Lost,
}

/// A PersistentVolumeClaim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Name, UID, version.
    pub id: Identity,
    /// Our labels, if it has them.
    pub ours: Option<Ours>,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Where it stands.
    pub phase: ClaimPhase,
    /// Its StorageClass; empty means none.
    pub class: Option<String>,
    /// Its PersistentVolume.
    pub volume: Option<String>,
    /// What pods get of it.
    pub mode: VolumeMode,
    /// How pods may have it.
    pub access: AccessModes,
    /// Whether it is bound read-only and nothing else: a cheap view of a snapshot.
    pub read_only: bool,
    /// Bytes that it has, or asks for while it is not bound (F07).
    pub capacity: u64,
    /// The VolumeSnapshot that it was made from.
    pub from_snapshot: Option<String>,
    /// Whether a pod owns it: it comes and goes with that (A8).
    pub of_pod: bool,
    /// Our annotations.
    pub settings: BTreeMap<String, String>,
    /// Its labels; of a volume of our own, none: it is in no group.
    pub labels: Labels,
    /// Where its backups stand, as people are shown: nothing is decided by it.
    pub shown: Option<Status>,
    /// What became of its `restore-from`.
    pub restored: Option<Box<RestoreRecord>>,
}

impl Claim {
    /// The source that this PVC would be.
    #[must_use]
    pub fn source(&self) -> SourceId {
        SourceId { namespace: self.namespace.clone(), name: self.id.name.clone(), uid: self.id.uid.clone() }
    }

    /// Where its backups stand, as people are shown; not what another PVC brought along that had its name before.
    #[must_use]
    pub fn told(&self) -> Option<&Status> {
        self.shown.as_ref().filter(|status| status.uid == self.id.uid)
    }

    /// Of a promoter: how its filesystem's journal is mounted, as it was made for.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.settings.get(names::JOURNAL).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Whether it is held at the time `now`.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> bool {
        self.settings.get(names::HOLD).is_some_and(|text| Hold::read(text).holds(now))
    }

    /// The time up to which somebody accepts findings. What is no time accepts nothing, nor does one that is still to
    /// come at the time `now`: nobody knows what will be found.
    #[must_use]
    pub fn accepted(&self, now: Timestamp) -> Option<Timestamp> {
        self.accepted_by(names::ACCEPT_FINDING, now)
    }

    /// The same of copies that are missing at a destination.
    #[must_use]
    pub fn accepted_missing(&self, now: Timestamp) -> Option<Timestamp> {
        self.accepted_by(names::ACCEPT_MISSING, now)
    }

    /// For when somebody asks for a drill of the newest copies.
    #[must_use]
    pub fn drill_now(&self) -> Option<Timestamp> {
        self.settings.get(names::DRILL_NOW)?.trim().parse().ok()
    }

    fn accepted_by(&self, key: &str, now: Timestamp) -> Option<Timestamp> {
        self.settings.get(key)?.trim().parse().ok().filter(|at| *at <= now)
    }
}

impl From<&PersistentVolumeClaim> for Claim {
    fn from(pvc: &PersistentVolumeClaim) -> Self {
        let (meta, spec, status) = (&pvc.metadata, pvc.spec.as_ref(), pvc.status.as_ref());
        let requested = spec.and_then(|s| s.resources.as_ref()).and_then(|r| r.requests.as_ref());
        let actual = status.and_then(|s| s.capacity.as_ref());
        let bytes = |map: Option<&BTreeMap<String, _>>| {
            map.and_then(|m: &BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>| {
                m.get("storage")
            })
            .and_then(|q| quantity::parse(&q.0).ok())
            .unwrap_or(0)
        };
        let modes = spec.and_then(|s| s.access_modes.as_deref()).unwrap_or_default();
        let from_snapshot = spec.and_then(|s| {
            let plain = s.data_source.as_ref().map(|d| (d.api_group.as_deref(), &d.kind, &d.name));
            // One of another namespace is not the snapshot that has that name here.
            let here = |namespace: Option<&String>| namespace.is_none_or(|n| meta.namespace.as_ref() == Some(n));
            let full = s.data_source_ref.as_ref().filter(|d| here(d.namespace.as_ref()));
            let full = full.map(|d| (d.api_group.as_deref(), &d.kind, &d.name));
            full.or(plain)
                .filter(|(group, kind, _)| *group == Some(crate::snapshot::GROUP) && *kind == "VolumeSnapshot")
                .map(|(_, _, name)| name.clone())
        });
        Self {
            namespace: namespace(meta),
            id: Identity::of(meta),
            ours: Ours::read(meta),
            created: created(meta),
            terminating: meta.deletion_timestamp.is_some(),
            phase: match status.and_then(|s| s.phase.as_deref()) {
                Some("Bound") => ClaimPhase::Bound,
                Some("Lost") => ClaimPhase::Lost,
                _ => ClaimPhase::Pending,
            },
            class: spec.and_then(|s| s.storage_class_name.clone()),
            volume: spec.and_then(|s| s.volume_name.clone()).filter(|v| !v.is_empty()),
            mode: VolumeMode::read(spec.and_then(|s| s.volume_mode.as_deref())),
            access: AccessModes::read(modes),
            read_only: modes == ["ReadOnlyMany"],
            capacity: bytes(actual).max(bytes(requested)),
            from_snapshot,
            of_pod: meta.owner_references.iter().flatten().any(|o| o.kind == "Pod" && o.api_version == "v1"),
            settings: settings(meta),
            labels: if Ours::read(meta).is_none() { labels(meta) } else { Labels::default() },
            shown: meta.annotations.as_ref().and_then(|a| a.get(names::STATUS)).and_then(|t| Status::parse(t)),
            restored: meta
                .annotations
                .as_ref()
                .and_then(|a| a.get(names::RESTORE_STATUS))
                .and_then(|t| serde_json::from_str(t).ok()),
        }
    }
}

/// A VolumeSnapshot of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its namespace.
    pub namespace: String,
    /// Name, UID, version.
    pub id: Identity,
    /// Our labels, if it has them.
    pub ours: Option<Ours>,
    /// The PVC it was made from: its lineage.
    pub claim: Option<String>,
    /// The VolumeSnapshotContent that it is bound to.
    pub content: Option<String>,
    /// When the object was created.
    pub created: Timestamp,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether volumes can be made from it.
    pub ready: bool,
    /// Bytes that a volume made from it needs at least; 0 if the driver does not say (F06).
    pub restore_size: u64,
    /// The driver's last error.
    pub error: Option<String>,
    /// What holds it, if something does.
    pub hold: Option<Hold>,
    /// What its source was, and its promoter is.
    pub mode: VolumeMode,
    /// Where the backups of its source stand, as people are shown when that is gone.
    pub shown: Option<Status>,
}

impl Snapshot {
    /// Whether it is held at the time `now`.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> bool {
        self.hold.is_some_and(|hold| hold.holds(now))
    }
}

impl From<&VolumeSnapshot> for Snapshot {
    fn from(vs: &VolumeSnapshot) -> Self {
        let (meta, status) = (&vs.metadata, vs.status.as_ref());
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|a| a.get(key));
        Self {
            namespace: namespace(meta),
            id: Identity::of(meta),
            ours: Ours::read(meta),
            claim: vs.spec.source.persistent_volume_claim_name.clone(),
            content: status.and_then(|s| s.bound_volume_snapshot_content_name.clone()),
            created: created(meta),
            terminating: meta.deletion_timestamp.is_some(),
            ready: status.and_then(|s| s.ready_to_use).unwrap_or(false),
            restore_size: status
                .and_then(|s| s.restore_size.as_ref())
                .and_then(|q| quantity::parse(&q.0).ok())
                .unwrap_or(0),
            error: status.and_then(|s| s.error.as_ref()).and_then(|e| e.message.clone()),
            hold: annotation(names::HOLD).map(|text| Hold::read(text)),
            mode: VolumeMode::read(annotation(names::VOLUME_MODE_TAKEN).map(String::as_str)),
            shown: annotation(names::STATUS).and_then(|t| Status::parse(t)),
        }
    }
}

/// A PersistentVolume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// The CSI driver; `None` for other kinds of volume.
    pub driver: Option<String>,
    /// The nodes that can have it; `None` means all.
    pub nodes: Option<Vec<NodeTerm>>,
    /// Whether it survives its claim.
    pub retained: bool,
    /// Its UID.
    pub uid: String,
    /// The UID of its claim.
    pub claim_uid: Option<String>,
    /// Namespace and name of its claim, if that is named as a central promoter is.
    pub central: Option<Box<(String, String)>>,
    /// Our labels, if it has them.
    pub ours: Option<Box<Ours>>,
    /// The UID of the PVC whose volume it lends to a restore.
    pub lends: Option<Box<str>>,
    /// Whether its claim is gone: no other can have it.
    pub released: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl From<&PersistentVolume> for Volume {
    fn from(pv: &PersistentVolume) -> Self {
        let spec = pv.spec.as_ref();
        Self {
            name: pv.metadata.name.clone().unwrap_or_default(),
            driver: spec.and_then(|s| s.csi.as_ref()).map(|c| c.driver.clone()),
            nodes: spec.and_then(|s| s.node_affinity.as_ref()).and_then(|a| a.required.as_ref()).map(node_terms),
            retained: spec.and_then(|s| s.persistent_volume_reclaim_policy.as_deref()) == Some("Retain"),
            uid: pv.metadata.uid.clone().unwrap_or_default(),
            claim_uid: spec.and_then(|s| s.claim_ref.as_ref()).and_then(|c| c.uid.clone()),
            central: spec
                .and_then(|s| s.claim_ref.as_ref())
                .and_then(|c| Some((c.namespace.clone()?, c.name.clone()?)))
                .filter(|(_, name)| name.starts_with(names::CENTRAL_PREFIX))
                .map(Box::new),
            ours: Ours::read(&pv.metadata).map(Box::new),
            lends: pv.metadata.labels.as_ref().and_then(|l| l.get(names::TARGET_UID)).map(|uid| uid.as_str().into()),
            released: pv.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Released")),
            terminating: pv.metadata.deletion_timestamp.is_some(),
        }
    }
}
