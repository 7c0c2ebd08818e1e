//! The objects of a cluster: bound PVCs, and what a month of backups leaves of each.

use std::time::Duration;

use anyhow::{Context as _, Result};
use backup_controller_tests::Scene;
use backup_controller_tests::ledger;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use model::Timestamp;
use model::facts::{self, Identity};
use model::ledger::{Entry, Finding, Ledger};
use model::names::{self, Run, SourceId};
use model::promoter::PromoterShape;
use model::record::{CopyResult, CopyState};
use model::schedule::Zone;
use model::volume::Journal;
use serde_json::{Value, json};
use templates::{Promoter, RunSnapshot, Templates};

use crate::etcd::Etcd;

/// Its destinations.
pub(crate) const DESTINATIONS: [&str; 2] = ["disk", "s3"];
/// Snapshots of each PVC.
const SNAPSHOTS: u64 = 7;
/// PVCs of a namespace.
const PER_NAMESPACE: usize = 100;
const GIB: u64 = 1 << 30;

/// What makes the objects of one scene.
pub(crate) struct Seed<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) etcd: Etcd,
    now: Timestamp,
    namespaces: Vec<String>,
}

impl<'a> Seed<'a> {
    /// Makes the namespaces of so many PVCs.
    pub(crate) async fn new(scene: &'a Scene, claims: usize) -> Result<Self> {
        let mut namespaces = Vec::new();
        for number in 0..claims.div_ceil(PER_NAMESPACE) {
            namespaces.push(scene.namespace(&format!("n{number}")).await?);
        }
        Ok(Self { scene, etcd: Etcd::new(&scene.plane.etcd_url()), now: Timestamp::now(), namespaces })
    }

    fn namespace(&self, number: usize) -> &str {
        &self.namespaces[number / PER_NAMESPACE % self.namespaces.len()]
    }

    /// Bound PVCs with their volumes; with so many bytes of somebody's annotations.
    pub(crate) fn claims(&mut self, numbers: std::ops::Range<usize>, annotations: usize) -> Result<()> {
        for number in numbers {
            let (claim, volume) = self.bound("claim", number, self.scene.class("keep").as_str(), annotations);
            self.etcd.put("persistentvolumes", &volume)?;
            self.etcd.put("persistentvolumeclaims", &claim)?;
        }
        self.etcd.flush()
    }

    fn bound(&self, kind: &str, number: usize, class: &str, annotations: usize) -> (Value, Value) {
        let (namespace, name, uid) = (self.namespace(number), format!("data-{number}"), uid(kind, number, 0));
        let mut claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": name, "namespace": namespace, "uid": uid, "creationTimestamp": time(self.now, 40),
                "labels": {"app": "shop", "app.kubernetes.io/part-of": "shop"},
                "annotations": {
                    "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
                    "volume.kubernetes.io/storage-provisioner": self.scene.driver(),
                },
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": class, "volumeMode": "Filesystem",
                "volumeName": format!("pv-{uid}"), "resources": {"requests": {"storage": GIB.to_string()}},
            },
            "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": GIB.to_string()}},
        });
        if annotations > 0 {
            claim["metadata"]["annotations"]["example.com/notes"] = json!("x".repeat(annotations));
        }
        claim["metadata"]["managedFields"] = managed(&claim);
        let volume = self.volume(&claim);
        (claim, volume)
    }

    fn volume(&self, claim: &Value) -> Value {
        let meta = &claim["metadata"];
        let mut volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {
                "name": claim["spec"]["volumeName"], "creationTimestamp": meta["creationTimestamp"],
                "uid": format!("{}-pv", meta["uid"].as_str().unwrap_or_default()),
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "capacity": {"storage": GIB.to_string()}, "volumeMode": "Filesystem",
                "storageClassName": claim["spec"]["storageClassName"], "persistentVolumeReclaimPolicy": "Delete",
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta["namespace"],
                    "name": meta["name"], "uid": meta["uid"],
                },
                "csi": {"driver": self.scene.driver(), "volumeHandle": meta["uid"], "fsType": "ext4"},
            },
            "status": {"phase": "Bound"},
        });
        volume["metadata"]["managedFields"] = managed(&volume);
        volume
    }

    /// What a month leaves: snapshots, the newest one's promoter, a ledger with the copies.
    pub(crate) fn month(&mut self, numbers: std::ops::Range<usize>) -> Result<()> {
        for number in numbers {
            self.history(number)?;
        }
        self.etcd.flush()
    }

    fn history(&mut self, number: usize) -> Result<()> {
        let (claim, _) = self.bound("claim", number, self.scene.class("keep").as_str(), 0);
        let claim: PersistentVolumeClaim = serde_json::from_value(claim)?;
        let fact = facts::Claim::from(&claim);
        let source = fact.source();
        let mut ledger = Ledger::new(&fact, "");
        let mut kept: Vec<Run> = Vec::new();
        for day in (1..=SNAPSHOTS).rev() {
            let run = Run::at(self.now - Duration::from_secs(day * 24 * 3600));
            kept.insert(0, run.clone());
            let snapshot = self.snapshot(&source, &run, uid("snapshot", number, day))?;
            let taken = Identity { name: snapshot.0, uid: snapshot.1, ..Identity::default() };
            ledger.begin(&run, &taken, false);
            ledger.was_ready(&run, &taken);
            for destination in DESTINATIONS {
                let finished = run.time() + Duration::from_secs(300);
                let id = (destination == "s3").then(|| names::hash(&format!("{number} {run}"), 64));
                let result = CopyResult {
                    kept: kept.clone(),
                    files: 1234,
                    bytes: 123_456_789,
                    snapshot: id,
                    ..CopyResult::new(CopyState::Complete, finished)
                };
                let entry = Entry::Result(Box::new(result));
                ledger.enter(&Finding { run: run.clone(), destination: destination.into(), entry }, Timestamp::MIN);
            }
            if day == 1 {
                self.promoter(&source, &run, &taken.name, number)?;
            }
        }
        let mut map = ledger::object(&self.scene.name, &self.scene.home, &ledger);
        map["metadata"]["uid"] = json!(uid("ledger", number, 0));
        map["metadata"]["creationTimestamp"] = time(self.now, 30);
        self.etcd.put("configmaps", &map)
    }

    fn snapshot(&mut self, source: &SourceId, run: &Run, uid: String) -> Result<(String, String)> {
        let [name, ..] = names::restore_points(&source.name, run, &Zone::utc());
        let mut object = Templates::embedded().volume_snapshot(&RunSnapshot {
            instance: &self.scene.instance(),
            source,
            run,
            name: &name,
            class: &self.scene.class("snap"),
            mode: facts::VolumeMode::Filesystem,
        })?;
        let at = json!(run.time().to_string());
        (object["metadata"]["uid"], object["metadata"]["creationTimestamp"]) = (json!(uid), at.clone());
        object["metadata"]["generation"] = json!(1);
        object["metadata"]["finalizers"] =
            json!(["snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection"]);
        object["status"] = json!({
            "readyToUse": true, "restoreSize": GIB.to_string(), "creationTime": at,
            "boundVolumeSnapshotContentName": format!("snapcontent-{uid}"),
        });
        object["metadata"]["managedFields"] = managed(&object);
        self.etcd.put("snapshot.storage.k8s.io/volumesnapshots", &object)?;
        Ok((name, uid))
    }

    fn promoter(&mut self, source: &SourceId, run: &Run, snapshot: &str, number: usize) -> Result<()> {
        let shape = PromoterShape {
            storage_class: self.scene.class("keep"),
            read_only: false,
            mode: facts::VolumeMode::Filesystem,
            journal: Journal::Replayed,
            annotations: std::collections::BTreeMap::new(),
        };
        let mut claim = Templates::embedded().promoter(&Promoter {
            instance: &self.scene.instance(),
            source,
            run,
            snapshot,
            spec: &shape.sized(GIB),
        })?;
        let uid = uid("promoter", number, 0);
        (claim["metadata"]["uid"], claim["metadata"]["creationTimestamp"]) =
            (json!(uid), json!(run.time().to_string()));
        claim["spec"]["volumeName"] = json!(format!("pv-{uid}"));
        claim["status"] = json!({
            "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": GIB.to_string()},
        });
        claim["metadata"]["managedFields"] = managed(&claim);
        let volume = self.volume(&claim);
        self.etcd.put("persistentvolumes", &volume)?;
        self.etcd.put("persistentvolumeclaims", &claim)
    }

    /// Another PVC, by its number: not written.
    pub(crate) fn another(&self, number: usize) -> Result<(PersistentVolumeClaim, Value)> {
        let (claim, volume) = self.bound("another", number, self.scene.class("keep").as_str(), 0);
        Ok((serde_json::from_value(claim).context("no PVC")?, volume))
    }
}

/// As the API server would give it: the same for the same object each time.
fn uid(kind: &str, number: usize, part: u64) -> String {
    let hash = names::hash(&format!("{kind} {number} {part}"), 24);
    format!("{}-{}-4{}-8{}-{}", &hash[..8], &hash[8..12], &hash[12..15], &hash[15..18], &hash[12..24])
}

fn time(now: Timestamp, days: u64) -> Value {
    json!((now - Duration::from_secs(days * 24 * 3600)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// As large as what the API server notes for such an object: nobody here reads it, and everybody has to carry it.
fn managed(object: &Value) -> Value {
    fn fields(value: &Value) -> Value {
        match value {
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (format!("f:{key}"), fields(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            _ => json!({}),
        }
    }
    let of = |part: &str| json!({format!("f:{part}"): fields(&object[part])});
    let entry = |manager: &str, part: &str| {
        json!({
            "manager": manager, "operation": "Update", "apiVersion": object["apiVersion"],
            "time": object["metadata"]["creationTimestamp"], "fieldsType": "FieldsV1", "fieldsV1": of(part),
        })
    };
    json!([
        entry("kubectl-create", "metadata"),
        entry("kubectl-create", "spec"),
        entry("kube-controller-manager", "status")
    ])
}
