//! A cluster of objects as the API server has them.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use model::Timestamp;
use model::config::Config;
use model::facts;
use model::names::{self, SourceId};
use model::snapshot::{VolumeSnapshot, VolumeSnapshotClass};
use model::world::{Change, World};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::observe::{Knows, Observed, tell};
use crate::status::{self, Question, Volume};

/// The time at which every test looks.
pub(crate) const NOW: &str = "2018-12-05T12:00:00Z";
pub(crate) const DRIVER: &str = "csi.example.com";
/// The installation's name, and its namespace: no two names in a fixture are alike.
pub(crate) const INSTANCE: &str = "night";
pub(crate) const HOME: &str = "keepers";

pub(crate) const CONFIG: &str = "
defaults: {destinations: [disk]}
destinations:
  - {name: disk, type: disk, claim: {size: 1Ti, storageClass: retain}}
  - {name: vault, type: disk, hostPath: {path: /srv/backup, nodeSelector: {disk: backup}, size: 1Ti}}
";

pub(crate) const ALL: Knows = Knows {
    config: true,
    namespaces: true,
    volumes: true,
    classes: true,
    snapshots: true,
    copies: true,
    cronjobs: true,
};
/// What an ordinary tenant may read.
pub(crate) const TENANT: Knows = Knows {
    config: false,
    namespaces: true,
    volumes: false,
    classes: false,
    snapshots: true,
    copies: true,
    cronjobs: false,
};

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Objects by kind.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    pub(crate) claims: Vec<Value>,
    pub(crate) volumes: Vec<Value>,
    pub(crate) snapshots: Vec<Value>,
    pub(crate) cronjobs: Vec<Value>,
    pub(crate) jobs: Vec<Value>,
    pub(crate) namespaces: Vec<Value>,
    pub(crate) storage_classes: Vec<Value>,
    pub(crate) snapshot_classes: Vec<Value>,
    pub(crate) config: String,
}

impl Objects {
    /// A cluster with classes, one namespace and its BackupDisk on a retained volume.
    pub(crate) fn new() -> Self {
        let class = |name: &str, reclaim: &str| json!({"metadata": {"name": name}, "provisioner": DRIVER, "reclaimPolicy": reclaim});
        let mut objects = Self {
            claims: vec![],
            volumes: vec![],
            snapshots: vec![],
            cronjobs: vec![],
            jobs: vec![],
            namespaces: vec![],
            storage_classes: vec![class("fast", "Delete"), class("retain", "Retain")],
            snapshot_classes: vec![
                json!({"metadata": {"name": "snaps"}, "driver": DRIVER, "deletionPolicy": "Delete"}),
            ],
            config: CONFIG.to_owned(),
        };
        objects.namespace("shop");
        objects.disk("shop", "Retain");
        objects
    }

    pub(crate) fn namespace(&mut self, name: &str) {
        self.namespaces.push(json!({"metadata": {"name": name}}));
    }

    pub(crate) fn disk(&mut self, namespace: &str, reclaim: &str) {
        let mut claim = claim(namespace, "backup-disk");
        claim["metadata"]["labels"] = labels("disk", &[("destination", "disk")]);
        self.claims.push(claim);
        self.volume(namespace, "backup-disk", reclaim);
    }

    fn volume(&mut self, namespace: &str, name: &str, reclaim: &str) {
        self.volumes.push(json!({
            "metadata": {"name": format!("pv-{namespace}-{name}")},
            "spec": {"csi": {"driver": DRIVER, "volumeHandle": "v"}, "persistentVolumeReclaimPolicy": reclaim}
        }));
    }

    /// A PVC with its volume; gives the PVC to be changed.
    pub(crate) fn pvc(&mut self, namespace: &str, name: &str) -> &mut Value {
        self.volume(namespace, name, "Delete");
        self.claims.push(claim(namespace, name));
        self.claims.last_mut().unwrap()
    }

    /// The volume that was made last is of no CSI driver.
    pub(crate) fn without_csi(&mut self) {
        let spec = &mut self.volumes.last_mut().unwrap()["spec"];
        *spec = json!({"nfs": {"server": "files.example.com", "path": "/shop"}});
    }

    /// A PVC that is backed up each night at 03:17, with the record on it.
    pub(crate) fn source(&mut self, namespace: &str, name: &str, status: &Value) -> &mut Value {
        let id = source_id(namespace, name);
        self.cronjobs.push(json!({
            "metadata": {
                "namespace": HOME, "name": names::cronjob(&id), "uid": format!("cronjob-{name}"), "resourceVersion": "1",
                "labels": labels("snapshot", &[("source-uid", &id.uid)])
            },
            "spec": {"schedule": "17 3 * * *", "timeZone": "Etc/UTC", "jobTemplate": {}}
        }));
        let pvc = self.pvc(namespace, name);
        let status = shown(&id.uid, status);
        pvc["metadata"]["annotations"] = json!({names::STATUS: status.to_string()});
        pvc
    }

    /// A ready snapshot of a run, with its promoter; and what is shown of the results of its copies, on its source or, if
    /// that is gone, on the newest snapshot.
    pub(crate) fn point(&mut self, namespace: &str, name: &str, run: &str, copies: &Value) -> &mut Value {
        self.point_of(&source_id(namespace, name).uid, (namespace, name), run, copies)
    }

    /// The same of a PVC that had the name before, or of one that is gone.
    pub(crate) fn point_of(
        &mut self,
        uid: &str,
        (namespace, name): (&str, &str),
        run: &str,
        copies: &Value,
    ) -> &mut Value {
        let point = format!("{name}-{}", &run[..8]);
        let mut promoter = claim(namespace, &point);
        promoter["metadata"]["labels"] = labels("promoter", &[("source-uid", uid), ("run", run)]);
        promoter["spec"]["dataSource"] =
            json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": point});
        self.claims.push(promoter);
        let destinations: Vec<&String> = copies.as_object().unwrap().keys().collect();
        let results: serde_json::Map<String, Value> =
            copies.as_object().unwrap().clone().into_iter().filter(|(_, copy)| !copy.is_null()).collect();
        let record = json!({
            "run": run, "taken": {"snapshot": {"name": point, "uid": format!("vs-{point}")}},
            "destinations": destinations, "results": results,
        });
        let created: model::names::Run = run.parse().unwrap();
        self.snapshots.push(json!({
            "metadata": {
                "namespace": namespace, "name": point, "uid": format!("vs-{point}"), "resourceVersion": "1",
                "creationTimestamp": created.time().to_string(),
                "labels": labels("snapshot", &[("source-uid", uid), ("run", run)]),
                "annotations": {}
            },
            "spec": {"source": {"persistentVolumeClaimName": name}},
            "status": {"readyToUse": true}
        }));
        self.record(uid, record);
        self.snapshots.last_mut().unwrap()
    }

    /// Puts a run into what is shown of a source.
    fn record(&mut self, uid: &str, record: Value) {
        let of_source = |s: &&mut Value| s["metadata"]["labels"]["backup-controller.io/source-uid"] == uid;
        let live = self.claims.iter_mut().find(|c| c["metadata"]["uid"] == uid);
        let boards: Vec<&mut Value> = match live {
            Some(claim) => vec![claim],
            None => self.snapshots.iter_mut().filter(of_source).collect(),
        };
        let texts: Vec<&str> =
            boards.iter().filter_map(|b| b["metadata"]["annotations"][names::STATUS].as_str()).collect();
        let mut status = texts.last().map_or_else(|| shown(uid, &json!({})), |t| serde_json::from_str(t).unwrap());
        match status["runs"].as_array_mut() {
            Some(runs) => runs.push(record),
            None => status["runs"] = json!([record]),
        }
        for board in boards {
            board["metadata"]["annotations"][names::STATUS] = status.to_string().into();
        }
    }

    /// A copy under way.
    pub(crate) fn copying(&mut self, namespace: &str, name: &str, run: &str) {
        let uid = source_id(namespace, name).uid;
        let labels = labels("copy", &[("source-uid", &uid), ("run", run), ("destination", "disk")]);
        self.jobs.push(json!({
            "metadata": {"namespace": namespace, "name": format!("copy-{name}"), "uid": "j", "labels": labels}
        }));
    }

    pub(crate) fn observed(&self, knows: Knows) -> Observed {
        let config = if knows.config { Config::parse(&self.config).unwrap() } else { Config::default() };
        let mut world = World::new(INSTANCE.into(), HOME, Arc::new(config));
        world.apply(Change::SnapshotApi(true));
        tell(&mut world, Change::Claim, read::<PersistentVolumeClaim, _>(&self.claims, |o| facts::Claim::from(o)));
        tell(
            &mut world,
            Change::Namespace,
            read::<Namespace, _>(&self.namespaces, |o| facts::Namespace::from(&o.metadata)),
        );
        let volumes = read::<PersistentVolume, _>(&self.volumes, |o| facts::Volume::from(o));
        tell(&mut world, Change::Volume, if knows.volumes { volumes } else { vec![] });
        let classes = read::<StorageClass, _>(&self.storage_classes, |o| facts::StorageClass::from(o));
        tell(&mut world, Change::StorageClass, if knows.classes { classes } else { vec![] });
        let classes = read::<VolumeSnapshotClass, _>(&self.snapshot_classes, |o| facts::SnapshotClass::from(o));
        tell(&mut world, Change::SnapshotClass, if knows.classes { classes } else { vec![] });
        let snapshots = read::<VolumeSnapshot, _>(&self.snapshots, |o| facts::Snapshot::from(o));
        tell(&mut world, Change::Snapshot, if knows.snapshots { snapshots } else { vec![] });
        let jobs = read::<Job, _>(&self.jobs, |o| facts::Job::from(o));
        tell(&mut world, Change::Job, if knows.copies { jobs } else { vec![] });
        let cronjobs = read::<CronJob, _>(&self.cronjobs, |o| facts::CronJob::from(o));
        tell(&mut world, Change::CronJob, if knows.cronjobs { cronjobs } else { vec![] });
        world.believe_shown();
        Observed { world, knows, gaps: vec![], selected: None }
    }

    pub(crate) fn volumes(&self, knows: Knows) -> Vec<Volume> {
        let observed = self.observed(knows);
        status::volumes(Question { observed: &observed, names: &[], missed: 2, now: now() })
    }

    /// The one PVC of that name.
    pub(crate) fn only(&self, name: &str) -> Volume {
        self.only_with(name, ALL)
    }

    pub(crate) fn only_with(&self, name: &str, knows: Knows) -> Volume {
        let observed = self.observed(knows);
        let names = [name.to_owned()];
        let mut volumes = status::volumes(Question { observed: &observed, names: &names, missed: 2, now: now() });
        assert_eq!(volumes.len(), 1, "{name}");
        volumes.remove(0)
    }
}

/// Where the backups of a source stand, as the controller shows it.
pub(crate) fn shown(uid: &str, status: &Value) -> Value {
    let mut status = status.clone();
    status["instance"] = INSTANCE.into();
    status["uid"] = uid.into();
    status
}

pub(crate) fn source_id(namespace: &str, name: &str) -> SourceId {
    SourceId { namespace: namespace.to_owned(), name: name.to_owned(), uid: format!("uid-{namespace}-{name}") }
}

pub(crate) fn claim(namespace: &str, name: &str) -> Value {
    json!({
        "metadata": {
            "namespace": namespace, "name": name, "uid": source_id(namespace, name).uid, "resourceVersion": "1",
            "creationTimestamp": "2018-11-01T00:00:00Z"
        },
        "spec": {
            "storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "volumeName": format!("pv-{namespace}-{name}"),
            "resources": {"requests": {"storage": "1Gi"}}
        },
        "status": {"phase": "Bound"}
    })
}

pub(crate) fn labels(component: &str, more: &[(&str, &str)]) -> Value {
    let mut labels = json!({
        "app.kubernetes.io/managed-by": "backup-controller",
        "backup-controller.io/instance": INSTANCE,
        "backup-controller.io/component": component
    });
    for (key, value) in more {
        labels[format!("backup-controller.io/{key}")] = json!(value);
    }
    labels
}

/// A copy's result.
pub(crate) fn copied(state: &str, finished: &str) -> Value {
    json!({"state": state, "finished": finished, "files": 3043, "bytes": 1_234_567})
}

/// A copy in a record.
pub(crate) fn copy_status(run: &str, state: &str, finished: &str) -> Value {
    json!({"run": run, "state": state, "finished": finished, "files": 3043, "bytes": 1_234_567})
}

fn read<K: DeserializeOwned, T>(objects: &[Value], trim: fn(&K) -> T) -> Vec<T> {
    objects.iter().map(|o| trim(&serde_json::from_value(o.clone()).unwrap())).collect()
}

/// One PVC of every kind.
pub(crate) fn cluster() -> Objects {
    let mut all = Objects::new();
    let since = "2018-11-01T00:10:00Z";
    let (last, before) = ("20181205T0317Z", "20181204T0317Z");
    let complete = |run: &str, at: &str| json!({"disk": copy_status(run, "Complete", at)});
    let good = json!({
        "protectedSince": since, "snapshot": last, "good": last, "copies": complete(last, "2018-12-05T03:29:00Z")
    });

    all.source("shop", "data", &good);
    all.point("shop", "data", before, &json!({"disk": copied("Complete", "2018-12-04T03:30:00Z")}));
    all.point("shop", "data", last, &json!({"disk": copied("Complete", "2018-12-05T03:29:00Z")}));

    let full = json!({
        "protectedSince": since, "snapshot": last, "good": before,
        "copies": {"disk": copy_status(last, "Failed", "2018-12-05T03:29:00Z")},
        "failure": {
            "run": last, "reason": "DiskFull", "at": "2018-12-05T03:29:00Z",
            "message": "copy to disk: no space left on the disk: it did not take debian/usr/share/doc/very/long/name"
        }
    });
    all.source("shop", "full", &full);
    all.point("shop", "full", before, &json!({"disk": copied("Complete", "2018-12-04T03:30:00Z")}));

    let old = "20181202T0317Z";
    let overdue = json!({
        "protectedSince": since, "snapshot": old, "good": old, "copies": complete(old, "2018-12-02T03:30:00Z")
    });
    all.source("shop", "late", &overdue);
    all.point("shop", "late", old, &json!({"disk": copied("Complete", "2018-12-02T03:30:00Z")}));

    let fresh = json!({
        "protectedSince": "2018-12-05T11:00:00Z", "snapshot": "20181205T1130Z",
        "waiting": {"reason": "DiskBusy", "message": "the disk of disk takes one copy at a time; 2 wait before this one"}
    });
    all.source("shop", "new", &fresh);
    all.point("shop", "new", "20181205T1130Z", &json!({"disk": null}));

    all.source("shop", "now", &good);
    all.point("shop", "now", last, &json!({"disk": copied("Complete", "2018-12-05T03:29:00Z")}));
    all.copying("shop", "now", "20181205T1159Z");

    all.pvc("shop", "forgotten");
    all.pvc("shop", "nfs");
    all.without_csi();
    all.pvc("shop", "off")["metadata"]["annotations"] = json!({"backup-controller.io/enabled": "false"});
    let unbound = all.pvc("shop", "unbound");
    unbound["status"]["phase"] = json!("Pending");
    unbound["spec"]["volumeName"] = Value::Null;

    let snapshots_only = json!({"protectedSince": since, "snapshot": last, "good": last});
    all.source("shop", "here-only", &snapshots_only)["metadata"]["annotations"]["backup-controller.io/destinations"] =
        json!("none");
    all.point("shop", "here-only", last, &json!({}));

    all.source("shop", "typo", &good)["metadata"]["annotations"]["backup-controller.io/retention"] =
        json!("2 fortnights");
    all.point("shop", "typo", last, &json!({"disk": copied("Complete", "2018-12-05T03:29:00Z")}));

    all.point("shop", "gone", before, &json!({"disk": copied("Complete", "2018-12-04T03:30:00Z")}));

    all.namespace("kube-system");
    all.pvc("kube-system", "etcd");
    all
}
