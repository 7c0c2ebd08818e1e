//! Tasks for copies: when they are due, what they wait for, what is recorded of them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod fixtures;

use std::sync::Arc;

use fixtures::{claim, namespace, read, snapshot, snapshot_class, storage_class, volume};
use model::Timestamp;
use model::admit::{self, Admission, Rank, Slot, Waiting};
use model::breaker::{Breakers, Open};
use model::config::{Config, Limits};
use model::duration::Span;
use model::facts::{Job, Pod};
use model::maintain::{MaintainResult, PARTS, Part, Task, TaskState};
use model::names::{self, Run, SourceId};
use model::plan::{self, Action, Maintain, Plan, Prune, Work, next_part};
use model::reason::{Problem, Reason};
use model::record::{Maintenance, Status, TaskStatus};
use model::world::{Change, Seen, World};
use serde_json::json;

const UID: &str = "1111";

/// A cluster with one source, `shop/data`.
struct Cluster {
    world: World,
    now: Timestamp,
    status: Status,
    /// What a person has written down.
    accepted: &'static str,
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn source() -> SourceId {
    SourceId { namespace: "shop".into(), name: "data".into(), uid: UID.into() }
}

const S3: &str = "{name: s3, type: restic, secret: backup-s3, prune: {schedule: 30 2 * * *}, \
                  verify: {schedule: 0 5 * * *}";
const NO_DRILL: &str = "}";
const DRILL: &str = ", drill: {schedule: 0 6 * * 0}}";

impl Cluster {
    /// It is noon of 20 November 2026, a Friday, and the source was copied for the first time.
    fn new(destination: &str) -> Self {
        let mut cluster = Self::without_copies(destination);
        cluster.run("2026-11-20T11:00:00Z", "Complete");
        cluster.look();
        cluster
    }

    fn without_copies(destination: &str) -> Self {
        let text = format!(
            "destinations:\n  - {destination}\ndefaults: {{schedule: 0 0 * * *, destinations: [s3], retention: 7days}}\n"
        );
        let mut world = World::new("backup", "backup", Arc::new(Config::parse(&text).unwrap()));
        world.apply(Change::Namespace(Seen::Put(namespace("metadata: {name: shop}"))));
        world.apply(Change::StorageClass(Seen::Put(storage_class("metadata: {name: fast}\nprovisioner: csi.example"))));
        world.apply(Change::SnapshotClass(Seen::Begin));
        let class = "metadata: {name: snap}\ndriver: csi.example\ndeletionPolicy: Delete";
        world.apply(Change::SnapshotClass(Seen::Put(snapshot_class(class))));
        world.apply(Change::SnapshotClass(Seen::End));
        world.apply(Change::SnapshotApi(true));
        let pv = "metadata: {name: pv}\nspec: {csi: {driver: csi.example, volumeHandle: h}}";
        world.apply(Change::Volume(Seen::Put(volume(pv))));
        let mut cluster = Self { world, now: time("2026-11-20T12:00:00Z"), status: Status::default(), accepted: "" };
        cluster.record();
        cluster.look();
        cluster
    }

    /// Writes the record on the source, as the controller does.
    fn record(&mut self) {
        let annotations = json!({names::STATUS: self.status.to_text(), names::ACCEPT_FINDING: self.accepted});
        let text = format!(
            "metadata: {{name: data, namespace: shop, uid: '{UID}', annotations: {annotations}}}\n\
             spec: {{storageClassName: fast, volumeName: pv, accessModes: [ReadWriteOnce]}}\n\
             status: {{phase: Bound, capacity: {{storage: 1Gi}}}}"
        );
        self.world.apply(Change::Claim(Seen::Put(claim(&text))));
    }

    fn labels(component: &str, run: &str) -> serde_json::Value {
        json!({
            names::MANAGED_BY: names::MANAGER, names::INSTANCE: "backup", names::COMPONENT: component,
            names::SOURCE_PVC: "data", names::SOURCE_UID: UID, names::RUN: run,
        })
    }

    /// A run with a ready snapshot, a promoter, and a copy at `s3`.
    fn run(&mut self, at: &str, copied: &str) -> String {
        let name = self.snapshot(at, copied, true, "{}");
        self.promoter(at, "Bound", None);
        name
    }

    /// The promoter of a run; made again for a drill that was due then.
    fn promoter(&mut self, at: &str, phase: &str, due: Option<&str>) {
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
        self.world.apply(Change::Claim(Seen::Put(claim(&promoter))));
    }

    fn snapshot(&mut self, at: &str, copied: &str, ready: bool, more: &str) -> String {
        let run = Run::at(time(at));
        let name = format!("data-{}", run.as_str().to_ascii_lowercase());
        let labels = Self::labels("snapshot", run.as_str());
        let result = json!({"state": copied, "finished": at, "files": 1, "bytes": 1}).to_string();
        let mut annotations = json!({names::DESTINATIONS_TAKEN: "s3", names::copy_key("s3"): result});
        let more: serde_json::Value = serde_json::from_str(more).unwrap();
        annotations.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let text = format!(
            "metadata: {{name: {name}, namespace: shop, uid: s-{run}, creationTimestamp: '{at}', labels: {labels}, \
             annotations: {annotations}}}\nspec: {{source: {{persistentVolumeClaimName: data}}}}\n\
             status: {{readyToUse: {ready}, restoreSize: 1Gi}}"
        );
        self.world.apply(Change::Snapshot(Seen::Put(snapshot(&text))));
        name
    }

    /// What is planned now.
    fn plan(&self) -> Plan {
        plan::plan(&self.world, UID, self.now, "")
    }

    /// Plans, and writes down what the plan says is to be recorded.
    fn look(&mut self) -> Plan {
        let plan = self.plan();
        let written = plan.actions.iter().find_map(|a| match a {
            Action::WriteStatus { status, .. } => Some((**status).clone()),
            _ => None,
        });
        if let Some(status) = written {
            self.status = status;
            self.record();
        }
        plan
    }

    fn at(&mut self, now: &str) -> Plan {
        self.now = time(now);
        self.look()
    }

    /// The Job of a task, as the controller makes it.
    fn start(&mut self, task: Task, due: &str) {
        self.job(task, due, "{}");
    }

    fn job(&mut self, task: Task, due: &str, status: &str) {
        let due: Run = due.parse().unwrap();
        let name = names::maintain_job(&source(), task, &due, "s3");
        let mut labels = Self::labels("maintain", due.as_str());
        labels[names::TASK] = json!(task.as_str());
        labels[names::DESTINATION] = json!("s3");
        let annotations = json!({names::SOURCE_NAMESPACE: "shop", names::SOURCE_NAME: "data"});
        let at = self.now;
        let text = format!(
            "metadata: {{name: {name}, namespace: shop, uid: j-{name}, creationTimestamp: '{at}', labels: {labels}, \
             annotations: {annotations}}}\nstatus: {status}"
        );
        self.world.apply(Change::Job(Seen::Put(Job::from(&read::<k8s_openapi::api::batch::v1::Job>(&text)))));
    }

    /// The Job of a task ends, and its pod has told this.
    fn finish(&mut self, task: Task, due: &str, result: &MaintainResult) {
        let (kind, exit) = if result.state == TaskState::Done { ("Complete", 0) } else { ("Failed", 3) };
        let now = self.now;
        let ended = format!("{{conditions: [{{type: {kind}, status: 'True', lastTransitionTime: '{now}'}}]}}");
        self.job(task, due, &ended);
        let run: Run = due.parse().unwrap();
        let job = names::maintain_job(&source(), task, &run, "s3");
        let message = json!(serde_json::to_string(result).unwrap());
        let text = format!(
            "metadata: {{name: {job}-x, namespace: shop, uid: pod, creationTimestamp: '{now}', \
             labels: {{batch.kubernetes.io/job-name: {job}}}}}\nspec: {{nodeName: n, containers: []}}\n\
             status: {{containerStatuses: [{{name: backup, image: x, imageID: x, ready: false, restartCount: 0, \
             state: {{terminated: {{exitCode: {exit}, message: {message}}}}}}}]}}"
        );
        self.world.apply(Change::Pod(Seen::Put(Pod::from(&read::<k8s_openapi::api::core::v1::Pod>(&text)))));
    }

    fn gone(&mut self, task: Task, due: &str) {
        let job = names::maintain_job(&source(), task, &due.parse().unwrap(), "s3");
        let key = |name: &str| ("shop".to_owned(), name.to_owned());
        self.world.apply(Change::Pod(Seen::Gone(key(&format!("{job}-x")), "pod".into())));
        self.world.apply(Change::Job(Seen::Gone(key(&job), format!("j-{job}"))));
    }

    /// From its Job to the record, and the Job's end.
    fn done(&mut self, task: Task, due: &str, result: &MaintainResult) -> Plan {
        self.finish(task, due, result);
        let told = self.look();
        let plan = self.plan();
        assert!(plan.actions.iter().any(|a| matches!(a, Action::DeleteJob { .. })), "{plan:?}");
        self.gone(task, due);
        told
    }

    /// A restore of a PVC has its pod.
    fn restores(&mut self, pvc: &str) {
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

    fn s3(&self) -> &Maintenance {
        &self.status.maintenance["s3"]
    }
}

/// The tasks that could start, as words.
fn tasks(plan: &Plan) -> Vec<String> {
    started(plan).map(|m| format!("{} {}", m.task().as_str(), m.due)).collect()
}

fn started(plan: &Plan) -> impl Iterator<Item = &Maintain> {
    plan.ready.iter().filter_map(|(waiting, action)| match action {
        Action::StartTask(task) => {
            assert_eq!(waiting.rank, Rank::Task);
            Some(&**task)
        }
        _ => None,
    })
}

fn pruned(plan: &Plan) -> Prune {
    let mut prunes =
        started(plan).filter_map(|m| if let Work::Prune(prune) = &m.work { Some(prune.clone()) } else { None });
    prunes.next().unwrap()
}

fn notes(plan: &Plan) -> Vec<String> {
    let notes = plan.actions.iter().filter_map(|a| match a {
        Action::WriteStatus { notes, .. } => Some(notes),
        _ => None,
    });
    notes.flatten().map(|n| format!("{} {} {}", if n.warning { "!" } else { "-" }, n.reason, n.text)).collect()
}

fn ok(task: Task) -> MaintainResult {
    MaintainResult::new(task, time("2026-11-21T02:31:00Z"), None)
}

fn bad(task: Task, reason: Reason) -> MaintainResult {
    MaintainResult::new(task, time("2026-11-21T02:31:00Z"), Some(Problem::new(reason, "it says why")))
}

#[test]
fn a_task_is_due_at_its_minute_and_the_source_is_looked_at_then() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    let plan = cluster.plan();
    assert_eq!(tasks(&plan), [""; 0]);
    assert_eq!(plan.wake, Some(time("2026-11-21T02:30:00Z")));
    assert_eq!(tasks(&cluster.at("2026-11-21T02:29:59Z")), [""; 0]);
    assert_eq!(tasks(&cluster.at("2026-11-21T02:30:00Z")), ["prune 20261121T0230Z"]);
}

#[test]
fn no_task_is_due_before_the_first_copy() {
    let mut cluster = Cluster::without_copies(&format!("{S3}{DRILL}"));
    assert_eq!(tasks(&cluster.at("2026-11-29T12:00:00Z")), [""; 0]);
    cluster.run("2026-11-29T11:00:00Z", "Failed");
    assert_eq!(tasks(&cluster.look()), [""; 0]);
    cluster.run("2026-11-29T11:30:00Z", "Complete");
    cluster.look();
    assert_eq!(tasks(&cluster.look()), [""; 0], "nor for minutes that passed before it");
    assert_eq!(tasks(&cluster.at("2026-11-30T02:30:00Z")), ["prune 20261130T0230Z"]);
}

#[test]
fn after_an_outage_of_days_each_task_is_done_once_and_for_the_newest_minute() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    let missed = ["prune 20261201T0230Z", "verify 20261201T0500Z", "drill 20261129T0600Z"];
    assert_eq!(tasks(&cluster.at("2026-12-01T12:00:00Z")), missed);
    for (task, due) in
        [(Task::Prune, "20261201T0230Z"), (Task::Verify, "20261201T0500Z"), (Task::Drill, "20261129T0600Z")]
    {
        cluster.done(task, due, &ok(task));
    }
    let plan = cluster.plan();
    assert_eq!(tasks(&plan), [""; 0]);
    assert_eq!(plan.wake, Some(time("2026-12-02T02:30:00Z")));
}

/// F29: what is seen twice is not done twice.
#[test]
fn while_a_task_has_a_job_there_is_no_second_one_whatever_is_due() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    cluster.start(Task::Prune, "20261121T0230Z");
    assert_eq!(tasks(&cluster.look()), [""; 0]);
    assert_eq!(tasks(&cluster.at("2026-11-23T03:00:00Z")), ["verify 20261122T0500Z"], "the prune runs for days");
    cluster.done(Task::Prune, "20261121T0230Z", &ok(Task::Prune));
    assert_eq!(tasks(&cluster.plan()), ["prune 20261123T0230Z", "verify 20261122T0500Z"]);
}

#[test]
fn an_end_is_recorded_before_its_job_goes_and_a_failure_is_told() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    cluster.finish(Task::Prune, "20261121T0230Z", &bad(Task::Prune, Reason::RepositoryLocked));
    let plan = cluster.look();
    assert!(!plan.actions.iter().any(|a| matches!(a, Action::DeleteJob { .. })), "{plan:?}");
    let notes = notes(&plan);
    assert!(notes.iter().any(|n| n.starts_with("! RepositoryLocked prune of s3: it says why")), "{notes:?}");
    assert_eq!(cluster.s3().prune.as_ref().map(|p| p.state), Some(TaskState::Failed));
    assert!(cluster.status.failure.is_none() && cluster.status.good.is_some(), "the copy is as good as before");
    let plan = cluster.plan();
    assert!(plan.actions.iter().any(|a| matches!(a, Action::DeleteJob { .. })), "{plan:?}");
    cluster.gone(Task::Prune, "20261121T0230Z");
    assert_eq!(tasks(&cluster.at("2026-11-21T04:00:00Z")), [""; 0], "it is tried again when it is due again");
    assert_eq!(tasks(&cluster.at("2026-11-22T02:30:00Z"))[0], "prune 20261122T0230Z");
}

#[test]
fn a_job_that_ended_without_a_word_is_recorded_too() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    cluster.job(
        Task::Prune,
        "20261121T0230Z",
        "{conditions: [{type: Complete, status: 'True', lastTransitionTime: '2026-11-21T02:30:00Z'}]}",
    );
    assert!(cluster.look().wake.is_some() && cluster.s3().prune.is_none(), "its pod's end may come a little later");
    cluster.at("2026-11-21T02:31:00Z");
    let problem = cluster.s3().prune.as_ref().and_then(|p| p.problem.as_ref());
    assert_eq!(problem.map(|p| p.reason), Some(Reason::JobFailed));
}

/// A prune that fails, or waits, or runs: the copy of another repository starts, and that of its own waits for it alone.
#[test]
fn copies_come_before_tasks_and_a_repository_has_one_writer() {
    let slot = |disk: &str| Slot {
        namespace: "shop".into(),
        destination: "s3".into(),
        disk: disk.into(),
        node: None,
        breaker: None,
    };
    let waiting = |rank, minute, disk| {
        let since = Span::minutes(minute).after(Timestamp::UNIX_EPOCH);
        Waiting { rank, source: source(), run: Run::at(since), since, slot: slot(disk) }
    };
    let one = Limits { cluster: 1, ..Limits::default() };
    let all = [waiting(Rank::Task, 0, "a"), waiting(Rank::Copy, 9, "b")];
    let starts = |answers: Vec<Admission>| answers.iter().map(|a| *a == Admission::Start).collect::<Vec<_>>();
    let admit = |waiting: &[Waiting], running: &[Slot], limits: &Limits| {
        admit::admit(waiting, running, limits, &Breakers::new(), Timestamp::UNIX_EPOCH)
    };
    assert_eq!(starts(admit(&all, &[], &one)), [false, true], "older, and later all the same");
    let same = [waiting(Rank::Task, 0, "a"), waiting(Rank::Copy, 9, "a"), waiting(Rank::Task, 0, "b")];
    assert_eq!(starts(admit(&same, &[], &Limits::default())), [false, true, true]);
    assert_eq!(starts(admit(&same, &[slot("a")], &Limits::default())), [false, false, true]);
}

/// One copy at a time tries whether it works again: tasks neither try nor take that copy's place.
#[test]
fn no_task_starts_at_a_destination_that_is_down() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    let plan = cluster.at("2026-11-21T02:30:00Z");
    let waiting: Vec<Waiting> = plan.ready.iter().map(|(w, _)| w.clone()).collect();
    assert_eq!(waiting.iter().map(|w| w.rank).collect::<Vec<_>>(), [Rank::Task]);
    let key = waiting[0].slot.breaker.clone().unwrap();
    let open = Open { reason: Reason::DestinationUnreachable, since: cluster.now, next: cluster.now };
    let answers = |down: &Breakers| admit::admit(&waiting, &[], &Limits::default(), down, cluster.now);
    assert!(matches!(answers(&[(key, open)].into())[0], Admission::Wait(_)));
    assert_eq!(answers(&Breakers::new())[0], Admission::Start);
    cluster.start(Task::Prune, "20261121T0230Z");
    assert_eq!(plan::running(&cluster.world).map(|s| s.breaker).collect::<Vec<_>>(), [None]);
}

#[test]
fn a_task_that_runs_occupies_its_repository() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    let free = plan::running(&cluster.world).count();
    cluster.start(Task::Prune, "20261121T0230Z");
    let running: Vec<Slot> = plan::running(&cluster.world).collect();
    assert_eq!((free, running.len()), (0, 1));
    let task = cluster.at("2026-11-21T05:00:00Z").ready.pop().map(|(waiting, _)| waiting.slot.disk);
    assert_eq!(task, running.into_iter().next().map(|slot| slot.disk), "prune and verify are never beside each other");
}

#[test]
fn a_prune_goes_by_the_destinations_retention_and_leaves_what_is_held() {
    let mut cluster = Cluster::new(&format!("{S3}, retention: 30days}}"));
    cluster.snapshot("2026-11-20T01:00:00Z", "Complete", true, r#"{"backup-controller.io/hold": "keep it"}"#);
    let prune = pruned(&cluster.at("2026-11-21T02:30:00Z"));
    assert_eq!(prune.retention.to_string(), "30d");
    assert_eq!(prune.holds.iter().map(Run::as_str).collect::<Vec<_>>(), ["20261120T0100Z"]);
    assert_eq!((prune.since, prune.hold_snapshots.len()), (None, 0));
}

/// What a prune may forget is counted in the repository, in what is newer than the last prune: a clock that is days
/// ahead lets no more go than one that is right.
#[test]
fn a_prune_tells_when_the_last_one_was_due_whatever_the_clock_said() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    cluster.done(Task::Prune, "20261121T0230Z", &ok(Task::Prune));
    let since = |plan: &Plan| pruned(plan).since.map(|run| run.to_string());
    assert_eq!(since(&cluster.at("2026-11-24T12:00:00Z")).as_deref(), Some("20261121T0230Z"));
}

/// Somebody holds a run that changed nothing: its data is the snapshot of an earlier run. And what a copy that broke
/// off left in the repository is no restore point, whatever its tags say.
#[test]
fn a_prune_leaves_the_data_of_held_runs_and_knows_what_is_not_whole() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    let unchanged = |id: &str| {
        let at = "2026-11-20T01:00:00Z";
        json!({"state": "Complete", "finished": at, "files": 1, "bytes": 1, "unchanged": true, "snapshot": id})
            .to_string()
    };
    let held = json!({names::HOLD: "keep it", names::copy_key("s3"): unchanged("abc")}).to_string();
    cluster.snapshot("2026-11-20T01:00:00Z", "Complete", true, &held);
    let free = json!({names::copy_key("s3"): unchanged("def")}).to_string();
    cluster.snapshot("2026-11-20T02:00:00Z", "Complete", true, &free);
    for (at, state) in [("03", "Incomplete"), ("04", "Failed"), ("05", "Superseded")] {
        cluster.snapshot(&format!("2026-11-20T{at}:00:00Z"), state, true, "{}");
    }
    let prune = pruned(&cluster.at("2026-11-21T02:30:00Z"));
    assert_eq!(prune.hold_snapshots, ["abc"]);
    assert_eq!(prune.holds.iter().map(Run::as_str).collect::<Vec<_>>(), ["20261120T0100Z"]);
    let incomplete: Vec<&str> = prune.incomplete.iter().map(Run::as_str).collect();
    assert_eq!(incomplete, ["20261120T0300Z", "20261120T0400Z"]);
    // Law 1: the failed one may have saved all, and be what the unchanged ones stand on.
    assert_eq!(prune.complete_snapshots, ["abc", "def"]);
}

/// Law 1. What a try left that was killed before it could mark it looks good once its record is gone.
#[test]
fn a_copy_that_failed_is_told_to_a_prune_also_when_its_snapshot_is_gone() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.run("2026-11-20T13:00:00Z", "Failed");
    cluster.look();
    let gone = |cluster: &mut Cluster| {
        let name = ("shop".to_owned(), "data-20261120t1300z".to_owned());
        cluster.world.apply(Change::Snapshot(Seen::Gone(name, "s-20261120T1300Z".into())));
    };
    gone(&mut cluster);
    let told = |plan: &Plan| pruned(plan).incomplete.iter().map(|r| r.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(told(&cluster.at("2026-11-21T02:30:00Z")), ["20261120T1300Z"]);
    cluster.done(Task::Prune, "20261121T0230Z", &bad(Task::Prune, Reason::RepositoryLocked));
    assert_eq!(told(&cluster.at("2026-11-22T02:30:00Z")), ["20261120T1300Z"], "it was not marked");
    cluster.done(Task::Prune, "20261122T0230Z", &ok(Task::Prune));
    assert_eq!(told(&cluster.at("2026-11-23T02:30:00Z")), [""; 0]);
    // An outage of weeks is no record of megabytes.
    for hour in 0..80 {
        let at = Span::minutes(60 * hour).after(time("2026-11-23T03:00:00Z"));
        cluster.run(&at.to_string(), "Failed");
    }
    cluster.look();
    assert_eq!((cluster.s3().failed.len(), cluster.s3().failed.last().unwrap().as_str()), (64, "20261126T1000Z"));
}

/// Laws 1 and 3: what a damaged repository still has may be all that is left.
#[test]
fn nothing_is_forgotten_where_a_verify_found_damage_or_a_drill_a_difference() {
    for (task, at, due, reason) in [
        (Task::Verify, "2026-11-21T05:00:00Z", "20261121T0500Z", Reason::RepositoryDamaged),
        (Task::Drill, "2026-11-22T06:00:00Z", "20261122T0600Z", Reason::DrillDiffers),
    ] {
        let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
        cluster.at("2026-11-21T02:30:00Z");
        cluster.done(Task::Prune, "20261121T0230Z", &ok(Task::Prune));
        cluster.at(at);
        cluster.done(task, due, &bad(task, reason));
        let plan = cluster.at("2026-11-23T02:30:00Z");
        assert!(tasks(&plan).iter().all(|t| !t.starts_with("prune")), "{plan:?}");
        let told = format!("! RepositoryDamaged prune of s3: nothing is forgotten: the {}", task.as_str());
        assert!(notes(&plan).iter().any(|n| n.starts_with(&told)), "{:?}", notes(&plan));
        // The next one that finds nothing wrong ends that: of a verify, of the same part.
        let part = cluster.s3().damage.as_ref().and_then(|d| d.part);
        cluster.at(if task == Task::Drill { "2026-11-29T06:00:00Z" } else { "2026-11-23T05:00:00Z" });
        let due = if task == Task::Drill { "20261129T0600Z" } else { "20261123T0500Z" };
        cluster.done(task, due, &MaintainResult { part, ..ok(task) });
        assert!(tasks(&cluster.at("2026-11-30T02:30:00Z")).contains(&"prune 20261130T0230Z".to_owned()));
    }
}

/// Where drills were switched off, none would ever find that all is well again.
#[test]
fn a_finding_stays_until_it_is_refuted_or_a_person_accepts_it_by_its_time() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    cluster.at("2026-11-22T06:00:00Z");
    cluster.done(Task::Drill, "20261122T0600Z", &bad(Task::Drill, Reason::DrillDiffers));
    cluster.at("2026-11-29T06:00:00Z");
    cluster.done(Task::Drill, "20261129T0600Z", &bad(Task::Drill, Reason::DestinationUnreachable));
    let pruned = |plan: &Plan| tasks(plan).iter().any(|t| t.starts_with("prune"));
    let plan = cluster.at("2026-11-30T02:30:00Z");
    assert!(!pruned(&plan), "one that could not be made refutes nothing");
    let key = names::ACCEPT_FINDING;
    let told = format!("annotate the PVC with {key}=2026-11-21T02:31:00Z");
    assert!(notes(&plan).iter().any(|n| n.contains(&told)), "{:?}", notes(&plan));
    for (day, accepted, goes) in [
        (1, "true", false),
        (2, "2026-11-21T02:30:59Z", false),
        (3, " 2026-11-21T02:31:00Z", true),
        (4, "", false),
        (5, "2026-12-05T02:30:01Z", false),
        (6, "2026-12-06T02:30:00Z", true),
    ] {
        cluster.accepted = accepted;
        cluster.record();
        assert_eq!(pruned(&cluster.at(&format!("2026-12-0{day}T02:30:00Z"))), goes, "{accepted}");
    }
}

/// Or each would be named when the other one is accepted, and prunes would never go on.
#[test]
fn who_accepts_the_newest_of_two_findings_accepts_both_and_no_later_one() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    let found = |task, at: &str, reason| {
        let problem = Problem::new(reason, "as it was found");
        MaintainResult::new(task, time(at), Some(problem))
    };
    for (task, due, at, reason) in [
        (Task::Drill, "20261122T0600Z", "2026-11-22T06:05:00Z", Reason::DrillDiffers),
        (Task::Verify, "20261123T0500Z", "2026-11-23T05:05:00Z", Reason::RepositoryDamaged),
    ] {
        cluster.at(at);
        cluster.done(task, due, &found(task, at, reason));
    }
    assert_eq!(cluster.s3().findings().count(), 2);
    let pruned = |plan: &Plan| tasks(plan).iter().any(|t| t.starts_with("prune"));
    let plan = cluster.at("2026-11-24T02:30:00Z");
    let named = format!("{}=2026-11-23T05:05:00Z", names::ACCEPT_FINDING);
    assert!(!pruned(&plan) && notes(&plan).iter().any(|n| n.contains(&named)), "the newest: {:?}", notes(&plan));
    for (day, accepted, goes) in [(25, "2026-11-22T06:05:00Z", false), (26, "2026-11-23T05:05:00Z", true)] {
        cluster.accepted = accepted;
        cluster.record();
        assert_eq!(pruned(&cluster.at(&format!("2026-11-{day}T02:30:00Z"))), goes, "{accepted}");
    }
    let later = "2026-11-29T06:05:00Z";
    cluster.at(later);
    cluster.done(Task::Drill, "20261129T0600Z", &found(Task::Drill, later, Reason::DrillDiffers));
    assert!(!pruned(&cluster.at("2026-11-30T02:30:00Z")), "what is found later is not accepted");
}

#[test]
fn a_task_uses_the_secret_that_its_group_names() {
    let group = "groups: [{name: gold, namespaces: [shop], destinations: [s3], secrets: {s3: gold-s3}}]";
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}\n{group}"));
    let plan = cluster.at("2026-11-22T06:00:00Z");
    let secrets: Vec<_> = started(&plan).map(|m| m.secret.as_deref()).collect();
    assert_eq!(secrets, [Some("gold-s3"); 3]);
}

/// Law 5: a restore pod may stand for days.
#[test]
fn a_restore_from_a_repository_keeps_the_tasks_of_no_other_waiting() {
    for (pvc, expected) in [("data", 0), ("other", 1)] {
        let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
        cluster.restores(pvc);
        assert_eq!(tasks(&cluster.at("2026-11-21T02:30:00Z")).len(), expected, "{pvc}");
    }
}

/// Nobody knows any more in whose bucket the copies of this source lie.
#[test]
fn a_copy_of_a_source_that_is_gone_or_not_protected_goes_into_no_other_bucket() {
    let group = "groups: [{name: gold, namespaces: [shop], destinations: [s3], secrets: {s3: gold-s3}}]";
    for (settings, expected) in [(group, Some(Reason::SecretElsewhere)), ("selection: {mode: all}", None)] {
        let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}\n{settings}"));
        cluster.run("2026-11-20T11:30:00Z", "none yet");
        let copies = |plan: &Plan| -> Vec<Option<String>> {
            let copies =
                plan.ready.iter().filter_map(|(_, a)| if let Action::StartCopy(c) = a { Some(c) } else { None });
            copies.map(|c| c.secret.clone()).collect()
        };
        assert_eq!(copies(&cluster.plan()), [expected.map(|_| "gold-s3".to_owned())]);
        let text = format!(
            "metadata: {{name: data, namespace: shop, uid: '{UID}', annotations: {{{}: 'false'}}}}\n\
             spec: {{storageClassName: fast, volumeName: pv}}\nstatus: {{phase: Bound}}",
            names::ENABLED
        );
        cluster.world.apply(Change::Claim(Seen::Put(claim(&text))));
        assert_eq!(copies(&cluster.plan()), [expected.map(|_| "gold-s3".to_owned())], "its group is known");
        let gone = Seen::Gone(("shop".to_owned(), "data".to_owned()), UID.to_owned());
        cluster.world.apply(Change::Claim(gone));
        let plan = cluster.plan();
        let recorded =
            plan.actions.iter().find_map(|a| if let Action::Record { result, .. } = a { result.reason } else { None });
        assert_eq!((recorded, copies(&plan).len()), (expected, usize::from(expected.is_none())), "{plan:?}");
    }
}

/// The runs that are there were taken for a destination that the source does not name any more.
#[test]
fn a_copy_uses_its_groups_secret_until_its_last_run_is_copied() {
    let group = "{name: gold, namespaces: [shop], destinations: [], secrets: {s3: gold-s3}}";
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}\ngroups: [{group}]"));
    cluster.run("2026-11-20T11:30:00Z", "none yet");
    let plan = cluster.plan();
    let mut copies = plan.ready.iter().filter_map(|(_, a)| if let Action::StartCopy(c) = a { Some(c) } else { None });
    assert_eq!(copies.next().unwrap().secret.as_deref(), Some("gold-s3"));
}

/// A node's clock was ahead for an hour: what was done in the future was not done.
#[test]
fn tasks_go_on_when_a_clock_that_was_ahead_is_right_again() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2027-11-21T02:30:00Z");
    cluster.done(Task::Prune, "20271121T0230Z", &ok(Task::Prune));
    assert!(tasks(&cluster.at("2026-11-21T02:30:00Z")).contains(&"prune 20261121T0230Z".to_owned()));
    cluster.done(Task::Prune, "20261121T0230Z", &ok(Task::Prune));
    assert_eq!(cluster.s3().prune.as_ref().map(|p| p.due.as_str()), Some("20261121T0230Z"));
    assert!(tasks(&cluster.plan()).iter().all(|t| !t.starts_with("prune")));
    // And a first copy that was made in the future is one all the same.
    let mut cluster = Cluster::without_copies(&format!("{S3}{NO_DRILL}"));
    cluster.run("2027-11-20T11:00:00Z", "Complete");
    cluster.look();
    assert!(tasks(&cluster.at("2026-11-21T02:30:00Z")).contains(&"prune 20261121T0230Z".to_owned()));
}

#[test]
fn what_is_left_after_a_prune_is_recorded_until_a_copy_says_it_anew() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    let kept: Vec<Run> = vec!["20261120T0000Z".parse().unwrap()];
    cluster.done(Task::Prune, "20261121T0230Z", &MaintainResult { kept: kept.clone(), ..ok(Task::Prune) });
    assert_eq!(cluster.s3().kept, kept);
    cluster.run("2026-11-22T00:00:00Z", "Complete");
    cluster.at("2026-11-22T00:10:00Z");
    assert_eq!(cluster.s3().kept, []);
}

#[test]
fn thirty_verifies_that_find_nothing_read_all_parts() {
    let mut seen = std::collections::BTreeSet::new();
    let mut before: Option<TaskStatus> = None;
    for _ in 0..PARTS {
        let part = next_part(before.as_ref());
        seen.insert(part.number);
        before = Some(verified(part, None));
    }
    assert_eq!(seen, (1..=PARTS).collect());
    assert_eq!(next_part(before.as_ref()).number, 1, "and then from the beginning");
}

fn verified(part: Part, problem: Option<Reason>) -> TaskStatus {
    TaskStatus {
        due: "20261121T0500Z".parse().unwrap(),
        state: if problem.is_some() { TaskState::Failed } else { TaskState::Done },
        finished: time("2026-11-21T05:00:00Z"),
        problem: problem.map(|r| Problem::new(r, "x")),
        part: Some(part),
        run: None,
        files: 0,
        bytes: 0,
        whole: false,
    }
}

#[test]
fn a_part_that_could_not_be_read_comes_again_and_one_that_is_damaged_does_not_stop_the_walk() {
    let part: Part = "7/30".parse().unwrap();
    let next = |problem| next_part(Some(&verified(part, Some(problem)))).number;
    assert_eq!((next(Reason::DestinationUnreachable), next(Reason::RepositoryDamaged)), (7, 8));
    let other = Part { number: 7, of: 12 };
    assert_eq!(next_part(Some(&verified(other, None))).number, 1, "parts of another size are other parts");
}

#[test]
fn damage_is_shown_until_its_part_is_clean_again() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    let mut days = (21..=30).map(|d| format!("202611{d}")).chain((1..=31).map(|d| format!("202612{d:02}")));
    let mut verify = |cluster: &mut Cluster, problem: Option<Reason>| {
        let due = format!("{}T0500Z", days.next().unwrap());
        cluster.now = due.parse::<Run>().unwrap().time();
        let plan = cluster.plan();
        let part = started(&plan).find_map(|m| if let Work::Verify(part) = m.work { Some(part) } else { None });
        let result = problem.map_or_else(|| ok(Task::Verify), |r| bad(Task::Verify, r));
        cluster.done(Task::Verify, &due, &MaintainResult { part, ..result });
        part.unwrap().number
    };
    assert_eq!(verify(&mut cluster, Some(Reason::RepositoryDamaged)), 1);
    for _ in 2..=PARTS {
        verify(&mut cluster, None);
        assert_eq!(cluster.s3().damage.as_ref().and_then(|d| d.part).map(|p| p.number), Some(1));
    }
    assert_eq!(verify(&mut cluster, Some(Reason::DestinationUnreachable)), 1);
    assert!(cluster.s3().damage.is_some(), "it was not read");
    assert_eq!(verify(&mut cluster, None), 1);
    assert_eq!(cluster.s3().damage, None);
}

#[test]
fn a_drill_takes_the_newest_complete_copy_whose_snapshot_is_ready() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    let newest = cluster.run("2026-11-21T00:00:00Z", "Complete");
    cluster.run("2026-11-21T01:00:00Z", "Incomplete");
    cluster.snapshot("2026-11-21T02:00:00Z", "Complete", false, "{}");
    let plan = cluster.at("2026-11-22T06:00:00Z");
    let drill = started(&plan).find_map(|m| if let Work::Drill(drill) = &m.work { Some(drill.clone()) } else { None });
    let drill = drill.unwrap();
    assert_eq!((drill.run.as_str(), &drill.promoter), ("20261121T0000Z", &newest));
}

#[test]
fn a_promoter_that_is_gone_is_made_again_for_a_drill_and_held() {
    let mut cluster = Cluster::without_copies(&format!("{S3}{DRILL}"));
    let name = cluster.snapshot("2026-11-20T00:00:00Z", "Complete", true, "{}");
    cluster.look();
    let plan = cluster.at("2026-11-22T06:00:00Z");
    assert!(tasks(&plan).iter().all(|t| !t.starts_with("drill")), "{plan:?}");
    // Each is admitted as the drill itself is: thousands are due at once, and a clone is not free.
    let drills = |plan: &Plan| {
        let drills = plan.ready.iter().filter(|(_, a)| matches!(a, Action::Promote(_) | Action::Hold { .. }));
        drills.cloned().collect::<Vec<_>>()
    };
    let at_once = plan.actions.iter().any(|a| matches!(a, Action::Promote(_) | Action::Hold { .. }));
    let held = drills(&plan);
    assert!(!at_once && matches!(&held[..], [(_, Action::Hold { snapshot, .. })] if snapshot.name == name), "{plan:?}");
    let until = format!(r#"{{"{}": "until=2026-11-22T12:00:00Z"}}"#, names::HOLD);
    cluster.snapshot("2026-11-20T00:00:00Z", "Complete", true, &until);
    let promoted = drills(&cluster.plan());
    assert!(
        matches!(&promoted[..], [(_, Action::Promote(p))] if p.snapshot == name && p.asker.is_none()),
        "{promoted:?}"
    );
    let waiting: Vec<Waiting> = held.into_iter().chain(promoted).map(|(waiting, _)| waiting).collect();
    assert!(waiting.iter().all(|w| w.rank == Rank::Task && w.slot.disk == format!("s3/shop/{UID}")));
    let open = Open { reason: Reason::DestinationUnreachable, since: cluster.now, next: cluster.now };
    let down: Breakers = [(waiting[0].slot.breaker.clone().unwrap(), open)].into();
    let answers = admit::admit(&waiting, &[], &Limits::default(), &down, cluster.now);
    assert!(answers.iter().all(|a| matches!(a, Admission::Wait(_))), "none while the destination is down");
}

/// Thousands are due at once, and a clone may cost as much as the drill: it takes the slot of its drill, which is read
/// from the promoter, and gives it to the Job.
#[test]
fn a_promoter_that_is_made_for_a_drill_has_its_slot_until_the_drill_has_ended() {
    let mut cluster = Cluster::without_copies(&format!("{S3}{DRILL}"));
    let until = format!(r#"{{"{}": "until=2026-11-22T12:00:00Z"}}"#, names::HOLD);
    cluster.snapshot("2026-11-20T00:00:00Z", "Complete", true, &until);
    cluster.look();
    let plan = cluster.at("2026-11-22T06:00:00Z");
    let promoted = plan.ready.iter().find_map(|(w, a)| if let Action::Promote(p) = a { Some((w, p)) } else { None });
    let (waiting, promote) = promoted.unwrap();
    let (_, due) = promote.drill.as_ref().unwrap();
    assert_eq!(plan::running(&cluster.world).count(), 0);

    let made = |cluster: &mut Cluster, phase: &str| cluster.promoter("2026-11-20T00:00:00Z", phase, Some(due.as_str()));
    let slots = |cluster: &Cluster| plan::running(&cluster.world).collect::<Vec<_>>();
    made(&mut cluster, "Pending");
    assert_eq!(slots(&cluster), [Slot { breaker: None, ..waiting.slot.clone() }]);
    assert!(
        !cluster.plan().ready.iter().any(|(_, a)| matches!(a, Action::Promote(_) | Action::StartTask(_) if drills(a)))
    );
    // A newer copy, or a time at which it would be due anew, change nothing.
    made(&mut cluster, "Bound");
    cluster.snapshot("2026-11-21T00:00:00Z", "Complete", true, "{}");
    let plan = cluster.at("2026-11-29T06:00:00Z");
    let starts: Vec<_> = plan.actions.iter().filter(|a| drills(a)).map(Action::key).collect();
    assert_eq!(starts, [format!("drill/{UID}/20261122T0600Z/s3")], "in the slot that it has");
    assert!(!plan.ready.iter().any(|(_, a)| drills(a)), "{plan:?}");

    cluster.start(Task::Drill, "20261122T0600Z");
    assert_eq!(slots(&cluster).len(), 1, "now it is the Job's");
    cluster.done(Task::Drill, "20261122T0600Z", &ok(Task::Drill));
    assert_eq!(slots(&cluster), []);
    // The next one is of the newer run, and admitted as all are.
    assert!(cluster.plan().ready.iter().any(|(_, a)| matches!(a, Action::Hold { .. })));
}

fn drills(action: &Action) -> bool {
    matches!(action, Action::StartTask(task) if task.task() == Task::Drill)
}

/// What nobody wants any more takes no slot, and what a tenant writes takes none.
#[test]
fn only_a_drill_that_goes_on_takes_a_slot_for_its_promoter() {
    let slots = |change: &dyn Fn(&mut Cluster)| {
        let mut cluster = Cluster::without_copies(&format!("{S3}{DRILL}"));
        cluster.snapshot("2026-11-20T00:00:00Z", "Complete", true, "{}");
        cluster.at("2026-11-22T06:00:00Z");
        cluster.promoter("2026-11-20T00:00:00Z", "Pending", Some("20261122T0600Z"));
        change(&mut cluster);
        plan::running(&cluster.world).count()
    };
    let config = |cluster: &mut Cluster, text: &str| {
        let text = format!("destinations: [{text}]\ndefaults: {{destinations: [s3]}}");
        cluster.world.apply(Change::Config(Arc::new(Config::parse(&text).unwrap())));
    };
    assert_eq!(slots(&|_| ()), 1);
    assert_eq!(slots(&|c| config(c, &format!("{S3}{NO_DRILL}"))), 0, "drills were switched off");
    assert_eq!(slots(&|c| c.promoter("2026-11-20T00:00:00Z", "Pending", None)), 0, "it has no label of ours");
    let unprotected = |c: &mut Cluster| {
        c.status.protected_since = None;
        c.record();
    };
    assert_eq!(slots(&unprotected), 0);
    let gone = |c: &mut Cluster| {
        c.world.apply(Change::Claim(Seen::Gone(("shop".to_owned(), "data".to_owned()), UID.to_owned())));
    };
    assert_eq!(slots(&gone), 0);
    let elsewhere = |c: &mut Cluster| {
        let other = "{name: other, type: restic, secret: other}";
        let text = format!("destinations: [{S3}{DRILL}, {other}]\ndefaults: {{destinations: [other]}}");
        c.world.apply(Change::Config(Arc::new(Config::parse(&text).unwrap())));
    };
    assert_eq!(slots(&elsewhere), 0, "the source is copied elsewhere now: nobody would end the drill");
}

/// Law 5. Others wait for the slot of a drill that has begun: on a disk of a node, those of all namespaces.
#[test]
fn a_drill_that_cannot_go_on_ends_and_gives_its_slot_back() {
    let begun = || {
        let mut cluster = Cluster::without_copies(&format!("{S3}{DRILL}"));
        cluster.snapshot("2026-11-20T00:00:00Z", "Complete", true, "{}");
        cluster.at("2026-11-22T06:00:00Z");
        cluster.promoter("2026-11-20T00:00:00Z", "Bound", Some("20261122T0600Z"));
        assert_eq!(plan::running(&cluster.world).count(), 1);
        cluster
    };
    let ended = |cluster: &Cluster| {
        let drill = cluster.s3().drill.as_ref().and_then(|d| d.problem.as_ref().map(|p| (d.due.clone(), p.reason)));
        drill.map(|(due, reason)| (due.to_string(), reason, plan::running(&cluster.world).count()))
    };
    let end = |reason| Some(("20261122T0600Z".to_owned(), reason, 0));
    // Its run is gone; that another one could be drilled is for the next time.
    let mut cluster = begun();
    let name = ("shop".to_owned(), "data-20261120t0000z".to_owned());
    cluster.world.apply(Change::Snapshot(Seen::Gone(name, "s-20261120T0000Z".into())));
    cluster.snapshot("2026-11-21T00:00:00Z", "Complete", true, "{}");
    let plan = cluster.look();
    assert_eq!(ended(&cluster), end(Reason::SourceSnapshotLost));
    assert!(!plan.actions.iter().any(drills), "{plan:?}");
    // A restore comes first, for days: it has waited for long enough.
    let mut cluster = begun();
    cluster.restores("data");
    let plan = cluster.at("2026-11-22T09:59:00Z");
    assert_eq!((ended(&cluster), plan.wake), (None, Some(time("2026-11-22T10:00:00Z"))));
    cluster.at("2026-11-22T10:00:00Z");
    assert_eq!(ended(&cluster), end(Reason::DeadlineExceeded));
}

#[test]
fn a_drill_that_found_every_byte_proves_the_copy_and_a_later_failure_does_not_hide_that() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    cluster.at("2026-11-22T06:00:00Z");
    let run = Some("20261120T0000Z".parse().unwrap());
    let proof = MaintainResult { files: 100, bytes: 4096, run: run.clone(), ..ok(Task::Drill) };
    let plan = cluster.done(Task::Drill, "20261122T0600Z", &proof);
    let text = notes(&plan).into_iter().find(|n| n.starts_with("- Proven")).unwrap();
    assert!(text.contains("s3, run 20261120T0000Z: restorable, proven on 2026-11-21: 100 files, 4"), "{text}");
    let plan = cluster.at("2026-11-29T06:00:00Z");
    assert!(tasks(&plan).contains(&"drill 20261129T0600Z".to_owned()), "{plan:?}");
    let plan = cluster.done(Task::Drill, "20261129T0600Z", &bad(Task::Drill, Reason::DrillDiffers));
    assert!(notes(&plan).iter().any(|n| n.starts_with("! DrillDiffers")), "{plan:?}");
    let s3 = cluster.s3();
    assert_eq!(s3.drill.as_ref().map(|d| d.state), Some(TaskState::Failed));
    assert_eq!(s3.proven.as_ref().map(|p| p.due.as_str()), Some("20261122T0600Z"));
}

/// A restic pod reads its Secret as root: nobody waits for a pod that is never made.
#[test]
fn a_namespace_that_refuses_the_pod_is_told_once_each_time() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    let strict = "metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}";
    cluster.world.apply(Change::Namespace(Seen::Put(namespace(strict))));
    let plan = cluster.at("2026-11-21T02:30:00Z");
    assert_eq!(tasks(&plan), [""; 0]);
    assert_eq!(notes(&plan).iter().filter(|n| n.starts_with("! PodSecurity prune of s3")).count(), 1, "{plan:?}");
    assert_eq!(notes(&cluster.look()), [""; 0]);
}

#[test]
fn a_source_that_vanished_or_is_not_protected_any_more_gets_no_task_and_keeps_no_job() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    cluster.start(Task::Prune, "20261121T0230Z");
    let gone = Seen::Gone(("shop".to_owned(), "data".to_owned()), UID.to_owned());
    cluster.world.apply(Change::Claim(gone));
    let plan = cluster.at("2026-11-29T12:00:00Z");
    assert_eq!((tasks(&plan), plan.actions.len()), (Vec::new(), 0), "what runs may end");
    cluster.finish(Task::Prune, "20261121T0230Z", &ok(Task::Prune));
    let plan = cluster.plan();
    assert!(matches!(plan.actions.as_slice(), [Action::DeleteJob { .. }]), "{plan:?}");
}

/// F94.
#[test]
fn a_source_of_another_installation_gets_no_task() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    cluster.status.instance = "other".into();
    cluster.record();
    cluster.now = time("2026-11-29T12:00:00Z");
    assert_eq!(tasks(&cluster.plan()), [""; 0]);
}

#[test]
fn what_is_switched_off_is_never_due() {
    let never = "{name: s3, type: restic, secret: s, prune: {schedule: never}, verify: {schedule: never}}";
    let mut cluster = Cluster::new(never);
    let plan = cluster.at("2026-12-29T12:00:00Z");
    assert_eq!(tasks(&plan), [""; 0]);
    assert!(cluster.status.maintenance.is_empty());
}

/// Ten thousand sources are planned anew at each start.
#[test]
fn sources_and_tasks_have_times_of_their_own() {
    let mut cluster = Cluster::new("{name: s3, type: restic, secret: backup-s3}");
    let plan = cluster.at("2026-11-22T23:59:00Z");
    let times: std::collections::BTreeSet<String> =
        started(&plan).map(|m| m.due.as_str()["20261122T".len()..].to_owned()).collect();
    assert_eq!(times.len(), 2, "{times:?}");
}
