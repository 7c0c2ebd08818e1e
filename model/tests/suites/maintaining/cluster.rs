//! A cluster with one source and its copies.

use std::sync::Arc;

use model::Timestamp;
use model::admit::Rank;
use model::config::Config;
use model::facts::{Job, Pod};
use model::maintain::{MaintainResult, Task, TaskState};
use model::names::{self, Run, SourceId};
use model::plan::{Action, Maintain, Plan, Prune, Work};
use model::reason::{Problem, Reason};
use model::record::{Maintenance, Status};
use model::world::{Change, Seen, World};
use serde_json::json;

use crate::fixtures::{
    namespace, put_claim, put_snapshot, read, snapshot_class, status, storage_class, volume, write_ledger, written,
};

pub(crate) const UID: &str = "1111";

/// A cluster with one source, `shop/data`.
pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) now: Timestamp,
    pub(crate) status: Status,
    /// What a person has written down.
    pub(crate) accepted: &'static str,
    /// The retention that its annotation says.
    pub(crate) retention: Option<&'static str>,
    /// When it asks for a drill.
    pub(crate) drill_now: Option<&'static str>,
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn source() -> SourceId {
    SourceId { namespace: "shop".into(), name: "data".into(), uid: UID.into() }
}

pub(crate) const S3: &str = "{name: s3, type: restic, secret: backup-s3, prune: {schedule: 30 2 * * *}, \
                  verify: {schedule: 0 5 * * *}";
pub(crate) const NO_DRILL: &str = "}";
pub(crate) const DRILL: &str = ", drill: {schedule: 0 6 * * 0}}";

impl Cluster {
    /// It is noon of 20 November 2026, a Friday, and the source was copied for the first time.
    pub(crate) fn new(destination: &str) -> Self {
        let mut cluster = Self::without_copies(destination);
        cluster.run("2026-11-20T11:00:00Z", "Complete");
        cluster.look();
        cluster
    }

    pub(crate) fn without_copies(destination: &str) -> Self {
        let text = format!(
            "destinations:\n  - {destination}\ndefaults: {{schedule: 0 0 * * *, destinations: [s3], retention: 7days}}\n"
        );
        let mut world = World::new("night".into(), "keepers", Arc::new(Config::parse(&text).unwrap()));
        world.apply(Change::Namespace(Seen::Put(namespace("metadata: {name: shop}"))));
        world.apply(Change::StorageClass(Seen::Put(storage_class("metadata: {name: fast}\nprovisioner: csi.example"))));
        world.apply(Change::SnapshotClass(Seen::Begin));
        let class = "metadata: {name: snap}\ndriver: csi.example\ndeletionPolicy: Delete";
        world.apply(Change::SnapshotClass(Seen::Put(snapshot_class(class))));
        world.apply(Change::SnapshotClass(Seen::End));
        world.apply(Change::SnapshotApi(true));
        let pv = "metadata: {name: pv}\nspec: {csi: {driver: csi.example, volumeHandle: h}}";
        world.apply(Change::Volume(Seen::Put(volume(pv))));
        let (now, status) = (time("2026-11-20T12:00:00Z"), Status::default());
        let mut cluster = Self { world, now, status, accepted: "", retention: None, drill_now: None };
        cluster.record();
        cluster.look();
        cluster
    }

    /// Writes the record on the source, as the controller does.
    pub(crate) fn record(&mut self) {
        let mut annotations = json!({names::STATUS: self.status.to_text(), names::ACCEPT_FINDING: self.accepted});
        if let Some(retention) = self.retention {
            annotations[names::RETENTION] = json!(retention);
        }
        if let Some(at) = self.drill_now {
            annotations[names::DRILL_NOW] = json!(at);
        }
        let text = format!(
            "metadata: {{name: data, namespace: shop, uid: '{UID}', annotations: {annotations}}}\n\
             spec: {{storageClassName: fast, volumeName: pv, accessModes: [ReadWriteOnce]}}\n\
             status: {{phase: Bound, capacity: {{storage: 1Gi}}}}"
        );
        put_claim(&mut self.world, &text);
    }

    pub(crate) fn labels(component: &str, run: &str) -> serde_json::Value {
        json!({
            names::MANAGED_BY: names::MANAGER, names::INSTANCE: "night", names::COMPONENT: component,
            names::SOURCE_PVC: "data", names::SOURCE_UID: UID, names::RUN: run,
        })
    }

    /// Those of a task's Job and of its pods.
    fn task_labels(task: Task, due: &str) -> serde_json::Value {
        let mut labels = Self::labels("maintain", due);
        labels[names::TASK] = json!(task.as_str());
        labels[names::DESTINATION] = json!("s3");
        labels
    }

    /// A run with a ready snapshot, a promoter, and a copy at `s3`.
    pub(crate) fn run(&mut self, at: &str, copied: &str) -> String {
        let name = self.snapshot(at, copied, true, "{}");
        self.promoter(at, "Bound", None);
        name
    }

    /// The promoter of a run; made again for a drill that was due then.
    pub(crate) fn promoter(&mut self, at: &str, phase: &str, due: Option<&str>) {
        let run = Run::at(time(at));
        let name = format!("data-{}", run.as_str().to_ascii_lowercase());
        let mut labels = Self::labels("promoter", run.as_str());
        if let Some(due) = due {
            labels[names::DUE] = json!(due);
            labels[names::TASK] = json!("drill");
            labels[names::DESTINATION] = json!("s3");
        }
        let promoter = format!(
            "metadata: {{name: {name}, namespace: shop, uid: p-{run}, creationTimestamp: '{at}', labels: {labels}}}\n\
             spec: {{storageClassName: fast, volumeName: pv-{run}, \
             dataSource: {{apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: {name}}}}}\n\
             status: {{phase: {phase}}}"
        );
        put_claim(&mut self.world, &promoter);
    }

    pub(crate) fn snapshot(&mut self, at: &str, copied: &str, ready: bool, more: &str) -> String {
        let run = Run::at(time(at));
        let name = format!("data-{}", run.as_str().to_ascii_lowercase());
        let labels = Self::labels("snapshot", run.as_str());
        let result = json!({"state": copied, "finished": at, "files": 1, "bytes": 1}).to_string();
        let mut annotations =
            json!({"backup-controller.io/destinations-taken": "s3", "backup-controller.io/copy.s3": result});
        let more: serde_json::Value = serde_json::from_str(more).unwrap();
        annotations.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let text = format!(
            "metadata: {{name: {name}, namespace: shop, uid: s-{run}, creationTimestamp: '{at}', labels: {labels}, \
             annotations: {annotations}}}\nspec: {{source: {{persistentVolumeClaimName: data}}}}\n\
             status: {{readyToUse: {ready}, restoreSize: 1Gi}}"
        );
        put_snapshot(&mut self.world, &text);
        name
    }

    /// What is planned now.
    pub(crate) fn plan(&self) -> Plan {
        crate::fixtures::plan(&self.world, UID, self.now)
    }

    /// Plans, and writes down what the plan says is to be recorded.
    pub(crate) fn look(&mut self) -> Plan {
        let plan = self.plan();
        write_ledger(&mut self.world, &plan);
        if let Some(status) = status(&plan).filter(|_| self.world.claim_of(UID).is_some()) {
            self.status = status;
            self.record();
        }
        plan
    }

    pub(crate) fn at(&mut self, now: &str) -> Plan {
        self.now = time(now);
        self.look()
    }

    /// The Job of a task, as the controller makes it.
    pub(crate) fn start(&mut self, task: Task, due: &str) {
        self.job(task, due, "{}");
    }

    pub(crate) fn job(&mut self, task: Task, due: &str, status: &str) {
        let due: Run = due.parse().unwrap();
        let name = names::maintain_job(&source(), task, &due, "s3");
        let labels = Self::task_labels(task, due.as_str());
        let annotations = json!({names::SOURCE_NAMESPACE: "shop", names::SOURCE_NAME: "data"});
        let at = self.now;
        let text = format!(
            "metadata: {{name: {name}, namespace: shop, uid: j-{name}, creationTimestamp: '{at}', labels: {labels}, \
             annotations: {annotations}}}\nstatus: {status}"
        );
        self.world.apply(Change::Job(Seen::Put(Job::from(&read::<k8s_openapi::api::batch::v1::Job>(&text)))));
    }

    /// The Job of a task ends, and its pod has told this.
    pub(crate) fn finish(&mut self, task: Task, due: &str, result: &MaintainResult) {
        let (kind, exit) = if result.state == TaskState::Done { ("Complete", 0) } else { ("Failed", 3) };
        let now = self.now;
        let ended = format!("{{conditions: [{{type: {kind}, status: 'True', lastTransitionTime: '{now}'}}]}}");
        self.job(task, due, &ended);
        let run: Run = due.parse().unwrap();
        let job = names::maintain_job(&source(), task, &run, "s3");
        let message = json!(serde_json::to_string(result).unwrap());
        let mut labels = Self::task_labels(task, run.as_str());
        labels["batch.kubernetes.io/job-name"] = json!(job);
        let text = format!(
            "metadata: {{name: {job}-x, namespace: shop, uid: pod, creationTimestamp: '{now}', \
             labels: {labels}, ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: {job}, uid: j-{job}, \
             controller: true}}]}}\nspec: {{nodeName: n, containers: []}}\n\
             status: {{containerStatuses: [{{name: backup, image: x, imageID: x, ready: false, restartCount: 0, \
             state: {{terminated: {{exitCode: {exit}, message: {message}}}}}}}]}}"
        );
        self.world.apply(Change::Pod(Seen::Put(Pod::from(&read::<k8s_openapi::api::core::v1::Pod>(&text)))));
    }

    pub(crate) fn gone(&mut self, task: Task, due: &str) {
        let job = names::maintain_job(&source(), task, &due.parse().unwrap(), "s3");
        let key = |name: &str| ("shop".to_owned(), name.to_owned());
        self.world.apply(Change::Pod(Seen::Gone(key(&format!("{job}-x")), "pod".into())));
        self.world.apply(Change::Job(Seen::Gone(key(&job), format!("j-{job}"))));
    }

    /// From its Job to the record, and the Job's end.
    pub(crate) fn done(&mut self, task: Task, due: &str, result: &MaintainResult) -> Plan {
        self.finish(task, due, result);
        let told = self.look();
        let plan = self.plan();
        assert!(plan.actions.iter().any(|a| matches!(a, Action::DeleteJob { .. })), "{plan:?}");
        self.gone(task, due);
        told
    }

    /// A restore of a PVC has its pod.
    pub(crate) fn restores(&mut self, pvc: &str) {
        let status = json!({"request": "x", "state": "Ready", "point": "s3/20261120T0000Z"}).to_string();
        let annotations =
            json!({names::RESTORE_FROM: format!("pvc={pvc} date=20261120 from=s3"), names::RESTORE_STATUS: status});
        let text = format!(
            "metadata: {{name: restore, namespace: shop, uid: r, annotations: {annotations}}}\n\
             spec: {{selector: {{}}, template: {{}}}}"
        );
        let deployment = read::<k8s_openapi::api::apps::v1::Deployment>(&text);
        self.world.apply(Change::Restorer(Seen::Put(model::facts::Restorer::from(&deployment))));
    }

    pub(crate) fn s3(&self) -> &Maintenance {
        &self.status.maintenance["s3"]
    }
}

/// The tasks that could start, as words.
pub(crate) fn tasks(plan: &Plan) -> Vec<String> {
    started(plan).map(|m| format!("{} {}", m.task().as_str(), m.due)).collect()
}

pub(crate) fn started(plan: &Plan) -> impl Iterator<Item = &Maintain> {
    plan.ready.iter().filter_map(|(waiting, action)| match action {
        Action::StartTask(task) => {
            assert_eq!(waiting.rank, Rank::Task);
            Some(&**task)
        }
        _ => None,
    })
}

pub(crate) fn pruned(plan: &Plan) -> Prune {
    let mut prunes =
        started(plan).filter_map(|m| if let Work::Prune(prune) = &m.work { Some(prune.clone()) } else { None });
    prunes.next().unwrap()
}

pub(crate) fn notes(plan: &Plan) -> Vec<String> {
    let notes = written(plan).into_iter().flat_map(|write| &write.notes);
    notes.map(|n| format!("{} {} {}", if n.warning { "!" } else { "-" }, n.reason, n.text)).collect()
}

pub(crate) fn ok(task: Task) -> MaintainResult {
    MaintainResult::new(task, time("2026-11-21T02:31:00Z"), None)
}

pub(crate) fn bad(task: Task, reason: Reason) -> MaintainResult {
    MaintainResult::new(task, time("2026-11-21T02:31:00Z"), Some(Problem::new(reason, "it says why")))
}
