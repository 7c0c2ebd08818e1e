//! A cluster with one source, as far as a central copy and a central drill go: what a plan sees, and what storage and
//! kubelet do.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job as ApiJob;
use model::Timestamp;
use model::config::Config;
use model::facts::{Content, Job};
use model::maintain::{MaintainResult, Task};
use model::names::{self, DrillOf, SourceId};
use model::plan::{Action, CentralPart, Plan, RestoreAction, Work};
use model::reason::Reason;
use model::record::{CopyResult, CopyState, Status};
use model::snapshot::VolumeSnapshotContent;
use model::world::{Change, Seen, World};

use crate::fixtures::{namespace, put_claim, put_snapshot, read, storage_class, volume};

pub(crate) const RUN: &str = "20261120T0000Z";
pub(crate) const DESTINATION: &str = "vault";
/// When a drill is due.
pub(crate) const DUE: &str = "20261120T0030Z";

pub(crate) fn minute(n: i64) -> Timestamp {
    Timestamp::from_second("2026-11-20T00:00:00Z".parse::<Timestamp>().unwrap().as_second() + 60 * n).unwrap()
}

pub(crate) fn source() -> SourceId {
    SourceId { namespace: "shop".into(), name: "data".into(), uid: "u1".into() }
}

pub(crate) fn name() -> String {
    names::central(&"night".into(), &source(), &RUN.parse().unwrap(), DESTINATION)
}

/// What is made for a drill of the run.
pub(crate) fn drill_name() -> String {
    let drill = DrillOf { due: &DUE.parse().unwrap(), run: &RUN.parse().unwrap() };
    names::central_drill(&"night".into(), &source(), drill, DESTINATION)
}

pub(crate) fn drill_job() -> String {
    names::maintain_job(&source(), Task::Drill, &DUE.parse().unwrap(), DESTINATION)
}

pub(crate) fn labels(component: &str) -> String {
    format!(
        "{{app.kubernetes.io/managed-by: backup-controller, backup-controller.io/instance: night, \
         backup-controller.io/component: {component}, backup-controller.io/source-uid: u1, \
         backup-controller.io/run: {RUN}, backup-controller.io/destination: {DESTINATION}}}"
    )
}

pub(crate) const MARKS: &str = "{backup-controller.io/source-namespace: shop, backup-controller.io/source-name: data}";

/// What is in the cluster, and how far storage has come with it.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each is an object that is there or not")]
pub(crate) struct Cluster {
    /// The source's own snapshot; with its record, if it has one.
    pub(crate) snapshot: bool,
    pub(crate) snapshot_goes: bool,
    pub(crate) record: Option<String>,
    pub(crate) content: bool,
    pub(crate) central_snapshot: Option<bool>,
    pub(crate) promoter: Option<&'static str>,
    pub(crate) volume: bool,
    pub(crate) job: Option<&'static str>,
    pub(crate) enforces: &'static str,
    pub(crate) class: &'static str,
    pub(crate) source_gone: bool,
    /// The minute in which what is there was made.
    pub(crate) made: i64,
    /// What a drill has; `None`: none is configured.
    pub(crate) drill: Option<Drill>,
}

/// The same for a drill, and the record that says when one is due and how it ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Drill {
    pub(crate) parts: Parts,
    pub(crate) job: Option<&'static str>,
    pub(crate) status: Status,
}

/// What a copy or a drill is made from.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Parts {
    pub(crate) content: bool,
    pub(crate) snapshot: Option<bool>,
    pub(crate) promoter: Option<&'static str>,
    pub(crate) volume: bool,
}

impl Parts {
    pub(crate) fn all() -> Self {
        Self { content: true, snapshot: Some(true), promoter: Some("Bound"), volume: true }
    }

    fn make(&mut self, part: CentralPart) {
        match part {
            CentralPart::Content => self.content = true,
            CentralPart::Snapshot => self.snapshot = Some(false),
            CentralPart::Promoter => (self.promoter, self.volume) = (Some("Pending"), false),
        }
    }

    /// Nothing goes before what needs it.
    fn take_away(&mut self, part: CentralPart, job: Option<&str>) {
        assert_eq!(job, None, "it reads the promoter");
        match part {
            CentralPart::Promoter => self.promoter = None,
            CentralPart::Snapshot => {
                assert!(self.promoter.is_none() && !self.volume, "{self:?}");
                self.snapshot = None;
            }
            CentralPart::Content => {
                assert!(self.promoter.is_none() && !self.volume && self.snapshot.is_none(), "{self:?}");
                self.content = false;
            }
        }
    }

    fn storage(&mut self, job: &mut Option<&'static str>) {
        if self.snapshot == Some(false) {
            self.snapshot = Some(true);
        } else if self.promoter == Some("Pending") {
            (self.promoter, self.volume) = (Some("Bound"), true);
        } else if *job == Some("Active") {
            *job = Some("Complete");
        } else if self.promoter.is_none() && self.volume {
            self.volume = false;
        }
    }
}

impl Cluster {
    fn parts(&self) -> Parts {
        let Self { content, central_snapshot: snapshot, promoter, volume, .. } = *self;
        Parts { content, snapshot, promoter, volume }
    }

    fn set_parts(&mut self, parts: Parts) {
        (self.content, self.central_snapshot) = (parts.content, parts.snapshot);
        (self.promoter, self.volume) = (parts.promoter, parts.volume);
    }

    /// One whose copies are drilled; what is there was made a minute before the first drill is due.
    pub(crate) fn drilled() -> Self {
        Self { drill: Some(Drill::default()), made: 29, ..Self::new() }
    }

    pub(crate) fn new() -> Self {
        Self { snapshot: true, enforces: "restricted", class: "fast", ..Self::default() }
    }

    /// The world as a controller sees it that has just started.
    pub(crate) fn world(&self) -> World {
        let drill = if self.drill.is_some() { ", drill: {schedule: 30 0 * * *}" } else { "" };
        let config = Config::parse(&format!(
            "destinations: [{{name: vault, type: restic, secret: s3, runIn: controller, prune: {{schedule: never}}, \
             verify: {{schedule: never}}{drill}}}]\ndefaults: {{destinations: [vault]}}"
        ));
        let mut world = World::new("night".into(), "keepers", Arc::new(config.unwrap()));
        for text in [
            "metadata: {name: fast}\nprovisioner: csi\nvolumeBindingMode: Immediate\nreclaimPolicy: Delete",
            "metadata: {name: late}\nprovisioner: csi\nvolumeBindingMode: WaitForFirstConsumer\nreclaimPolicy: Delete",
            "metadata: {name: keep}\nprovisioner: csi\nvolumeBindingMode: Immediate\nreclaimPolicy: Retain",
        ] {
            world.apply(Change::StorageClass(Seen::Put(storage_class(text))));
        }
        world.apply(Change::SnapshotApi(true));
        world.apply(Change::SnapshotClass(Seen::Begin));
        let class = crate::fixtures::snapshot_class("metadata: {name: snap}\ndriver: csi\ndeletionPolicy: Delete");
        world.apply(Change::SnapshotClass(Seen::Put(class)));
        world.apply(Change::SnapshotClass(Seen::End));
        for text in [
            format!("metadata: {{name: shop, labels: {{pod-security.kubernetes.io/enforce: {}}}}}", self.enforces),
            "metadata: {name: keepers}".to_owned(),
        ] {
            world.apply(Change::Namespace(Seen::Put(namespace(&text))));
        }
        if !self.source_gone {
            let text = "metadata: {name: pv1, uid: v1}\nspec: {claimRef: {namespace: shop, name: data, uid: u1}, \
                        csi: {driver: csi, volumeHandle: h1}}";
            world.apply(Change::Volume(Seen::Put(volume(text))));
            let text = format!(
                "metadata: {{name: data, namespace: shop, uid: u1, resourceVersion: '1', annotations: {}}}\n\
                 spec: {{storageClassName: {}, volumeName: pv1}}\nstatus: {{phase: Bound, capacity: {{storage: 2Gi}}}}",
                serde_json::json!(self.drill.as_ref().map(|d| BTreeMap::from([(names::STATUS, d.status.to_text())]))),
                self.class
            );
            put_claim(&mut world, &text);
        }
        if self.snapshot {
            let record = self
                .record
                .as_ref()
                .map(|r| r.replace('\'', "''"))
                .map(|r| format!(", backup-controller.io/copy.vault: '{r}'"));
            let goes = if self.snapshot_goes { "deletionTimestamp: 2026-11-20T00:01:00Z, " } else { "" };
            let text = format!(
                "metadata: {{name: data-20261120, namespace: shop, uid: s1, resourceVersion: '1', {goes}\
                 creationTimestamp: '{}', labels: {}, annotations: {{backup-controller.io/destinations-taken: vault{}}}}}\n\
                 spec: {{source: {{persistentVolumeClaimName: data}}}}\n\
                 status: {{readyToUse: true, restoreSize: 1Gi, boundVolumeSnapshotContentName: snapcontent-1}}",
                minute(0),
                labels("snapshot"),
                record.unwrap_or_default()
            );
            put_snapshot(&mut world, &text);
        }
        self.central(&mut world, &name(), &self.parts(), None);
        if let Some(state) = self.job {
            let job = names::copy_job(&source(), &RUN.parse().unwrap(), DESTINATION);
            let told = CopyResult { state: CopyState::Complete, reason: None, ..failed() };
            let (labels, told) = (labels("copy"), serde_json::to_string(&told).unwrap());
            self.started(&mut world, &job, &labels, &name(), (state, &told));
        }
        if let Some(drill) = &self.drill {
            self.central(&mut world, &drill_name(), &drill.parts, Some(Task::Drill));
            if let Some(state) = drill.job {
                let told = serde_json::to_string(&MaintainResult::new(Task::Drill, minute(32), None)).unwrap();
                let labels = drill_labels("maintain");
                self.started(&mut world, &drill_job(), &labels, &drill_name(), (state, &told));
            }
        }
        world
    }

    fn central(&self, world: &mut World, name: &str, parts: &Parts, task: Option<Task>) {
        let labels = if task.is_some() { drill_labels("central") } else { labels("central") };
        let at = minute(self.made);
        let labelled = |namespace: &str, uid: &str| {
            format!(
                "metadata: {{name: {name}{namespace}, uid: {uid}-{name}, resourceVersion: '1', \
                 creationTimestamp: '{at}', labels: {labels}, annotations: {MARKS}}}"
            )
        };
        let home = ", namespace: keepers";
        if parts.content {
            let content: VolumeSnapshotContent = read(&labelled("", "c"));
            world.apply(Change::Content(Seen::Put(Content::from(&content))));
        }
        if let Some(ready) = parts.snapshot {
            let text = format!(
                "{}\nspec: {{source: {{volumeSnapshotContentName: {name}}}}}\nstatus: {{readyToUse: {ready}}}",
                labelled(home, "s")
            );
            put_snapshot(world, &text);
        }
        if parts.volume {
            let text = format!(
                "metadata: {{name: pv-{name}, uid: v-{name}}}\nspec: {{claimRef: {{namespace: keepers, name: {name}, \
                 uid: p2}}, csi: {{driver: csi, volumeHandle: h2}}}}"
            );
            world.apply(Change::Volume(Seen::Put(volume(&text))));
        }
        if let Some(phase) = parts.promoter {
            let text = format!(
                "{}\nspec: {{storageClassName: fast, dataSource: {{apiGroup: snapshot.storage.k8s.io, \
                 kind: VolumeSnapshot, name: {name}}}}}\nstatus: {{phase: {phase}}}",
                labelled(home, "p")
            );
            put_claim(world, &text);
        }
    }

    /// A Job that mounts a claim; if it has ended, with what its pod told.
    fn started(&self, world: &mut World, name: &str, labels: &str, claim: &str, (state, told): (&str, &str)) {
        let status = match state {
            "Active" => "{}".to_owned(),
            state => format!("{{conditions: [{{type: {state}, status: 'True'}}]}}"),
        };
        let text = format!(
            "metadata: {{name: {name}, namespace: keepers, uid: j-{name}, resourceVersion: '1', \
             creationTimestamp: '{}', labels: {labels}, annotations: {MARKS}}}\n\
             spec: {{template: {{spec: {{containers: [], volumes: [{{name: source, persistentVolumeClaim: \
             {{claimName: {claim}}}}}]}}}}}}\nstatus: {status}",
            minute(self.made)
        );
        let job: ApiJob = read(&text);
        world.apply(Change::Job(Seen::Put(Job::from(&job))));
        if state == "Complete" {
            let mut labels: serde_json::Value = read(labels);
            labels["batch.kubernetes.io/job-name"] = serde_json::json!(name);
            let pod = serde_json::json!({
                "metadata": {
                    "name": name, "namespace": "keepers", "labels": labels,
                    "ownerReferences": [{
                        "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": format!("j-{name}"),
                        "controller": true,
                    }],
                },
                "status": {"containerStatuses": [{
                    "name": "backup", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"terminated": {"exitCode": 0, "message": told}},
                }]},
            });
            let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(pod).unwrap();
            world.apply(Change::Pod(Seen::Put(model::facts::Pod::from(&pod))));
        }
    }

    pub(crate) fn plan(&self, now: Timestamp) -> Plan {
        crate::fixtures::plan(&self.world(), "u1", now)
    }

    /// Does what a plan says, once; what it said, in words.
    pub(crate) fn turn(&mut self, now: Timestamp) -> Vec<String> {
        self.turn_but(now, &mut || false)
    }

    /// The same, but for the steps that are lost: nobody knows of them.
    pub(crate) fn turn_but(&mut self, now: Timestamp, lost: &mut dyn FnMut() -> bool) -> Vec<String> {
        let plan = self.plan(now);
        let admitted = plan.ready.into_iter().map(|(_, action)| action);
        let actions = plan.actions.into_iter().chain(admitted).filter(|_| !lost());
        actions.filter_map(|action| self.take(action)).collect()
    }

    fn take(&mut self, action: Action) -> Option<String> {
        let mut parts = self.parts();
        let said = match action {
            Action::StartCopy(copy) => {
                assert_eq!(copy.promoter, name());
                self.job = Some("Active");
                "Job".to_owned()
            }
            Action::MakeCentral(made) if made.task.is_some() => {
                assert_eq!((made.name.as_str(), made.run.as_str()), (drill_name().as_str(), DUE));
                self.drill.as_mut().unwrap().parts.make(made.part);
                format!("drill {:?}", made.part)
            }
            Action::MakeCentral(made) => {
                assert_eq!((made.name.as_str(), made.run.as_str()), (name().as_str(), RUN));
                parts.make(made.part);
                format!("{:?}", made.part)
            }
            Action::StartTask(task) => {
                let drill = self.drill.as_mut().unwrap();
                let (wanted, is) = (drill_name(), &task.work);
                assert!(matches!(is, Work::Drill(d) if d.promoter == wanted && d.run.as_str() == RUN), "{is:?}");
                assert_eq!((drill.parts, task.due.as_str()), (Parts::all(), DUE));
                drill.job = Some("Active");
                "drill Job".to_owned()
            }
            Action::DeleteJob { namespace, id } => {
                assert_eq!(namespace, "keepers");
                if id.name == drill_job() {
                    let drill = self.drill.as_mut().unwrap();
                    assert!(drill.status.maintenance[DESTINATION].drill.is_some(), "its end is recorded first");
                    drill.job = None;
                    "no drill Job".to_owned()
                } else {
                    self.job = None;
                    "no Job".to_owned()
                }
            }
            Action::TakeAway { part, id, uid } if id.name == drill_name() => {
                assert_eq!(uid, "u1");
                let drill = self.drill.as_mut().unwrap();
                drill.parts.take_away(part, drill.job);
                format!("no drill {part:?}")
            }
            Action::TakeAway { part, id, uid } => {
                assert_eq!((uid.as_str(), id.name), ("u1", name()));
                parts.take_away(part, self.job);
                format!("no {part:?}")
            }
            // Written whether or not something else is to be seen of it.
            Action::WriteLedger(write) => {
                let mut said = None;
                if let Some(drill) = &mut self.drill {
                    let ended = |s: &Status| s.maintenance.get(DESTINATION)?.drill.as_ref().map(|d| d.problem.clone());
                    let (before, after) = (ended(&drill.status), ended(&write.ledger.status));
                    drill.status = write.ledger.status.clone();
                    if let (None, Some(problem)) = (before, after) {
                        said = Some(format!("drill {:?}", problem.map(|p| p.reason)));
                    }
                }
                for (destination, result) in &write.results {
                    assert_eq!(destination, DESTINATION);
                    self.record = Some(serde_json::to_string(result).unwrap());
                    said = Some(format!("record {:?} {:?}", result.state, result.reason));
                }
                return said;
            }
            Action::Restore(RestoreAction::Hold { namespace, snapshot, .. }) => {
                assert_eq!((namespace.as_str(), snapshot.name.as_str()), ("shop", "data-20261120"));
                return None;
            }
            Action::ShowStatus { .. } | Action::ApplyCronJob { .. } | Action::DeleteCronJob(_) => return None,
            other => panic!("{other:?}"),
        };
        self.set_parts(parts);
        Some(said)
    }

    /// Storage and kubelet go on by one step, if there is something for them to do.
    pub(crate) fn storage(&mut self) -> bool {
        let before = self.clone();
        let (mut parts, mut job) = (self.parts(), self.job);
        parts.storage(&mut job);
        self.set_parts(parts);
        self.job = job;
        if let Some(drill) = &mut self.drill {
            drill.parts.storage(&mut drill.job);
        }
        *self != before
    }

    pub(crate) fn is_clean(&self) -> bool {
        !self.content
            && self.central_snapshot.is_none()
            && self.promoter.is_none()
            && !self.volume
            && self.job.is_none()
            && self.drill.as_ref().is_none_or(|d| d.job.is_none() && d.parts == Parts::default())
    }
}

fn drill_labels(component: &str) -> String {
    let labels = labels(component).replace(RUN, DUE);
    format!("{}, {}: drill}}", labels.trim_end_matches('}'), names::TASK)
}

pub(crate) fn failed() -> CopyResult {
    let problem = model::reason::Problem::new(Reason::CopyFailed, "x");
    CopyResult::without_data(CopyState::Failed, &problem, minute(5))
}

/// Until nothing happens any more.
pub(crate) fn run(cluster: &mut Cluster, now: Timestamp) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..60 {
        let said = cluster.turn(now);
        let quiet = said.is_empty();
        all.extend(said);
        if !cluster.storage() && quiet {
            return all;
        }
    }
    panic!("it never ends: {all:?}\n{cluster:?}");
}
