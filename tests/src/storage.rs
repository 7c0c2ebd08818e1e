//! The test as the storage: classes, volumes, snapshots and promoters.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use anyhow::Result;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use model::facts::{self, Journal};
use model::promoter::PromoterShape;
use model::snapshot::{VolumeSnapshot, VolumeSnapshotContent};
use serde_json::{Value, json};
use templates::{Promoter, RunSnapshot, Templates};

use crate::scene::{Scene, source};

/// The size of every volume.
pub const GIB: u64 = 1 << 30;

/// A PVC that a user makes.
#[derive(Debug, Clone)]
pub struct NewClaim {
    name: String,
    class: Option<String>,
    annotations: BTreeMap<String, String>,
    mode: &'static str,
    snapshot: Option<String>,
}

impl NewClaim {
    /// Of the class `<scene>-fast`, without annotations.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), class: None, annotations: BTreeMap::new(), mode: "Filesystem", snapshot: None }
    }

    /// With an annotation.
    #[must_use]
    pub fn annotate(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Of another class, by its full name.
    #[must_use]
    pub fn class(mut self, class: &str) -> Self {
        self.class = Some(class.to_owned());
        self
    }

    /// A raw block volume.
    #[must_use]
    pub fn block(mut self) -> Self {
        self.mode = "Block";
        self
    }

    /// Made from a snapshot.
    #[must_use]
    pub fn from_snapshot(mut self, snapshot: &str) -> Self {
        self.snapshot = Some(snapshot.to_owned());
        self
    }
}

impl Scene {
    /// `<scene>-fast`: Immediate, Delete; `<scene>-late`: WaitForFirstConsumer; `<scene>-keep`: Retain.
    pub(crate) async fn storage_classes(&self) -> Result<()> {
        for (suffix, binding, reclaim) in [
            ("fast", "Immediate", "Delete"),
            ("late", "WaitForFirstConsumer", "Delete"),
            ("keep", "Immediate", "Retain"),
        ] {
            self.apply(&json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                "metadata": {"name": self.class(suffix)},
                "provisioner": self.driver(),
                "volumeBindingMode": binding,
                "reclaimPolicy": reclaim,
            }))
            .await?;
        }
        Ok(())
    }

    /// The full name of one of the scene's classes: `fast`, `late`, `keep`, `snap`.
    #[must_use]
    pub fn class(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.name)
    }

    /// Makes the VolumeSnapshotClass `<scene>-<suffix>`.
    pub async fn snapshot_class(&self, suffix: &str, driver: &str, default: bool) -> Result<()> {
        self.apply(&json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
            "metadata": {
                "name": self.class(suffix),
                "annotations": {"snapshot.storage.kubernetes.io/is-default-class": default.to_string()},
            },
            "driver": driver,
            "deletionPolicy": "Delete",
        }))
        .await?;
        Ok(())
    }

    /// A user's PVC; it is not bound.
    pub async fn claim(&self, namespace: &str, new: NewClaim) -> Result<PersistentVolumeClaim> {
        let class = new.class.unwrap_or_else(|| self.class("fast"));
        let mut object = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": new.name, "namespace": namespace, "annotations": new.annotations},
            "spec": {
                "storageClassName": class,
                "accessModes": ["ReadWriteOnce"],
                "volumeMode": new.mode,
                "resources": {"requests": {"storage": GIB.to_string()}},
            },
        });
        if let Some(snapshot) = new.snapshot {
            object["spec"]["dataSource"] = json!(model::snapshot::reference(&snapshot));
        }
        let claim: PersistentVolumeClaim = serde_json::from_value(object)?;
        Ok(self.api(namespace).create(&PostParams::default(), &claim).await?)
    }

    /// A user's PVC, bound.
    pub async fn bound(&self, namespace: &str, new: NewClaim) -> Result<PersistentVolumeClaim> {
        let claim = self.claim(namespace, new).await?;
        self.bind(&claim, None).await
    }

    /// Makes a volume for a PVC, on these nodes (`kubernetes.io/hostname`) or on all, and waits until the
    /// cluster has bound them.
    pub async fn bind(&self, claim: &PersistentVolumeClaim, nodes: Option<&[&str]>) -> Result<PersistentVolumeClaim> {
        let mut more = json!({"csi": {"driver": self.driver(), "volumeHandle": claim.uid().unwrap_or_default()}});
        if let Some(nodes) = nodes {
            more["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}]},
            ]}});
        }
        self.bind_to(claim, &more).await
    }

    /// The same with a volume that no CSI driver has.
    pub async fn bind_without_csi(&self, claim: &PersistentVolumeClaim) -> Result<PersistentVolumeClaim> {
        self.bind_to(claim, &json!({"nfs": {"server": "files.example.com", "path": "/"}})).await
    }

    async fn bind_to(&self, claim: &PersistentVolumeClaim, more: &Value) -> Result<PersistentVolumeClaim> {
        let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
        let spec = claim.spec.clone().unwrap_or_default();
        let uid = claim.uid().unwrap_or_default();
        let mut object = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": format!("pv-{uid}")},
            "spec": {
                "accessModes": spec.access_modes,
                "capacity": {"storage": GIB.to_string()},
                "storageClassName": spec.storage_class_name,
                "volumeMode": spec.volume_mode,
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "namespace": namespace, "name": name, "uid": uid,
                },
            },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            object["spec"][key] = value.clone();
        }
        let volume: PersistentVolume = serde_json::from_value(object)?;
        Api::all(self.client.clone()).create(&PostParams::default(), &volume).await?;
        let claims: Api<PersistentVolumeClaim> = self.api(&namespace);
        let bound = |c: &PersistentVolumeClaim| c.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Bound"));
        self.wait(&format!("PVC {name} is bound"), async || Ok(claims.get_opt(&name).await?.filter(bound))).await
    }

    /// Waits for a PVC, and binds it.
    pub async fn bind_named(
        &self,
        namespace: &str,
        name: &str,
        nodes: Option<&[&str]>,
    ) -> Result<PersistentVolumeClaim> {
        let claims: Api<PersistentVolumeClaim> = self.api(namespace);
        let claim = self.wait(&format!("PVC {name}"), async || Ok(claims.get_opt(name).await?)).await?;
        self.bind(&claim, nodes).await
    }

    /// The snapshot of a run that is copied to these destinations, as the snapshot job makes it; not ready. The
    /// controller, if there is one, knows the source by then.
    pub async fn new_snapshot(
        &self,
        claim: &PersistentVolumeClaim,
        run: &str,
        destinations: &[&str],
    ) -> Result<VolumeSnapshot> {
        if self.has_controller.load(Ordering::Relaxed) {
            self.copies_to(claim, destinations).await?;
        }
        let run = run.parse()?;
        let name = point_name(claim, &run);
        let object = Templates::embedded().volume_snapshot(&RunSnapshot {
            instance: &self.instance(),
            source: &source(claim),
            run: &run,
            name: &name,
            class: &self.class("snap"),
            mode: facts::Claim::from(claim).mode,
        })?;
        Ok(api::ensure(&self.client, &object).await?)
    }

    /// The driver has made a snapshot.
    pub async fn make_ready(&self, snapshot: &VolumeSnapshot) -> Result<VolumeSnapshot> {
        self.snapshot_status(snapshot, json!({"readyToUse": true, "restoreSize": GIB.to_string()})).await
    }

    /// The driver has made a snapshot of a volume (its handle), with its content. A PVC's volume has the PVC's UID as
    /// its handle.
    pub async fn make_content(
        &self,
        snapshot: &VolumeSnapshot,
        handle: &str,
    ) -> Result<(VolumeSnapshot, VolumeSnapshotContent)> {
        let (namespace, uid) = (snapshot.namespace().unwrap_or_default(), snapshot.uid().unwrap_or_default());
        let name = format!("snapcontent-{uid}");
        self.apply(&json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
            "metadata": {"name": name},
            "spec": {
                "deletionPolicy": "Delete", "driver": self.driver(), "source": {"volumeHandle": handle},
                "sourceVolumeMode": facts::Snapshot::from(snapshot).mode.as_str(), "volumeSnapshotClassName": self.class("snap"),
                "volumeSnapshotRef": {
                    "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
                    "namespace": namespace, "name": snapshot.name_any(), "uid": uid,
                },
            },
        }))
        .await?;
        let contents: Api<VolumeSnapshotContent> = Api::all(self.client.clone());
        let status = Patch::Merge(json!({"status": {"readyToUse": true, "snapshotHandle": format!("handle-{uid}")}}));
        let content = contents.patch_status(&name, &PatchParams::default(), &status).await?;
        let size = GIB.to_string();
        let status = json!({"readyToUse": true, "restoreSize": size, "boundVolumeSnapshotContentName": name});
        Ok((self.snapshot_status(snapshot, status).await?, content))
    }

    /// The driver says something about a snapshot.
    pub async fn snapshot_status(&self, snapshot: &VolumeSnapshot, status: Value) -> Result<VolumeSnapshot> {
        let api: Api<VolumeSnapshot> = self.api(&snapshot.namespace().unwrap_or_default());
        let patch = Patch::Merge(json!({"status": status}));
        Ok(api.patch_status(&snapshot.name_any(), &PatchParams::default(), &patch).await?)
    }

    /// The promoter of a snapshot, as the snapshot job makes it, of one of the scene's classes; not bound.
    pub async fn promoter(
        &self,
        claim: &PersistentVolumeClaim,
        snapshot: &VolumeSnapshot,
        class: &str,
    ) -> Result<PersistentVolumeClaim> {
        self.promoter_that_is(claim, snapshot, class, None).await
    }

    /// The same; with a journal, it is read-only and mounted so.
    pub async fn promoter_that_is(
        &self,
        claim: &PersistentVolumeClaim,
        snapshot: &VolumeSnapshot,
        class: &str,
        read_only: Option<Journal>,
    ) -> Result<PersistentVolumeClaim> {
        let run = snapshot.labels().get(model::names::RUN).cloned().unwrap_or_default().parse()?;
        let shape = PromoterShape {
            storage_class: self.class(class),
            read_only: read_only.is_some(),
            mode: facts::Claim::from(claim).mode,
            journal: read_only.unwrap_or_default(),
            annotations: BTreeMap::new(),
        };
        let object = Templates::embedded().promoter(&Promoter {
            instance: &self.instance(),
            source: &source(claim),
            run: &run,
            snapshot: &snapshot.name_any(),
            spec: &shape.sized(GIB),
        })?;
        Ok(api::ensure(&self.client, &object).await?)
    }

    /// A whole restore point, ready to be copied: the snapshot of a run and its bound promoter.
    pub async fn point(
        &self,
        claim: &PersistentVolumeClaim,
        run: &str,
        destinations: &[&str],
    ) -> Result<(VolumeSnapshot, PersistentVolumeClaim)> {
        let snapshot = self.new_snapshot(claim, run, destinations).await?;
        let snapshot = self.make_ready(&snapshot).await?;
        let promoter = self.promoter(claim, &snapshot, "fast").await?;
        Ok((snapshot, self.bind(&promoter, None).await?))
    }
}

/// The name of a run's restore point.
fn point_name(claim: &PersistentVolumeClaim, run: &model::names::Run) -> String {
    // The form that says the minute: a test may want several runs of a day.
    let [_, _, name] = model::names::restore_points(&claim.name_any(), run, &model::schedule::Zone::utc());
    name
}
