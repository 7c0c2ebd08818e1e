//! The removal of the copies of a source that is gone: by an administrator's word about this source and this end of it,
//! and by nothing else.

use std::sync::Arc;

use model::Timestamp;
use model::config::Config;
use model::duration::Span;
use model::facts::{Identity, Job, Pod};
use model::ledger::{Entry, Finding, Ledger};
use model::maintain::{MaintainResult, Task};
use model::names::{self, Run, SourceId};
use model::next_copy::point_state;
use model::plan::{Action, Plan, Work};
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState, Removal, Settings};
use model::restore;
use model::world::{Change, Seen, World};
use serde_json::json;

use crate::fixtures::{self, claim, namespace, put_ledger, read, snapshot, write_ledger, written};

const UID: &str = "u-1";
const GONE: &str = "2026-11-20T12:00:00Z";
const RUN: &str = "20261119T0000Z";
const WORD: &str = "uid=u-1 gone=2026-11-20T12:00:00Z by=alice";

fn source() -> SourceId {
    SourceId { namespace: "shop".into(), name: "data".into(), uid: UID.into() }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The PVC `shop/data`, when it was there.
const CLAIM: &str = "metadata: {name: data, namespace: shop, uid: u-1}
spec: {storageClassName: fast, volumeName: pv, accessModes: [ReadWriteOnce]}
status: {phase: Bound, capacity: {storage: 1Gi}}";

struct Scene {
    world: World,
    now: Timestamp,
}

impl Scene {
    /// A source that is gone for a day, with a copy on a disk of its namespace.
    fn new() -> Self {
        let text = "destinations: [{name: disk, type: disk, claim: {size: 1Ti, name: backup-disk}}]";
        let mut world = World::new("night".into(), "keepers", Arc::new(Config::parse(text).unwrap()));
        world.apply(Change::SnapshotApi(true));
        let disk = json!({
            names::MANAGED_BY: names::MANAGER, names::INSTANCE: "night", names::COMPONENT: "disk",
            names::DESTINATION: "disk",
        });
        let disk = format!(
            "metadata: {{name: backup-disk, namespace: shop, uid: d-1, labels: {disk}}}\n\
             spec: {{volumeName: pv-disk}}\nstatus: {{phase: Bound}}"
        );
        world.apply(Change::Claim(Seen::Put(claim(&disk))));
        let mut scene = Self { world, now: time("2026-11-21T12:00:00Z") };
        scene.namespace("n-1");
        let mut ledger = Ledger::new(&claim(CLAIM), "n-1");
        ledger.gone = Some(time(GONE));
        ledger.settings = Some(Settings { destinations: vec!["disk".into()], ..Settings::default() });
        let (run, at) = (RUN.parse::<Run>().unwrap(), time("2026-11-19T01:00:00Z"));
        ledger.begin(&run, &Identity { name: "data-1".into(), uid: "s-1".into(), ..Identity::default() }, false);
        let failed = CopyResult::without_data(CopyState::Complete, &Problem::new(Reason::CopyFailed, ""), at);
        let result = CopyResult { reason: None, files: 3, bytes: 3, kept: vec![run.clone()], ..failed };
        ledger.enter(&Finding { run, destination: "disk".into(), entry: Entry::Result(Box::new(result)) });
        put_ledger(&mut scene.world, ledger);
        scene
    }

    fn namespace(&mut self, uid: &str) {
        let text = format!("metadata: {{name: shop, uid: {uid}}}");
        self.world.apply(Change::Namespace(Seen::Put(namespace(&text))));
    }

    /// Somebody annotates the ledger.
    fn says(&mut self, word: &str) {
        let mut book = self.world.ledgers.get("", UID).unwrap().clone();
        book.word = Some(word.to_owned());
        book.id.resource_version = (book.id.resource_version.parse::<u64>().unwrap() + 1).to_string();
        self.world.apply(Change::Ledger(Seen::Put(book)));
    }

    fn held(&mut self, held: bool) {
        let labels = json!({
            names::MANAGED_BY: names::MANAGER, names::INSTANCE: "night", names::COMPONENT: "snapshot",
            names::SOURCE_PVC: "data", names::SOURCE_UID: UID, names::RUN: RUN,
        });
        let mark = if held { "backup-controller.io/hold: 'for the court'" } else { "" };
        let version = self.world.snapshots.get("shop", "data-1").map_or(1, |_| 2);
        let text = format!(
            "metadata: {{name: data-1, namespace: shop, uid: s-1, resourceVersion: '{version}', labels: {labels}, \
             annotations: {{{mark}}}}}\n\
             spec: {{source: {{persistentVolumeClaimName: data}}}}\nstatus: {{readyToUse: true}}"
        );
        self.world.apply(Change::Snapshot(Seen::Put(snapshot(&text))));
    }

    /// Plans, and writes down what is to be written.
    fn look(&mut self) -> Plan {
        let plan = fixtures::plan(&self.world, UID, self.now);
        write_ledger(&mut self.world, &plan);
        plan
    }

    fn removal(&self) -> Option<&Removal> {
        self.world.ledger(UID)?.removals.get("disk")
    }

    fn points(&self) -> usize {
        let points = restore::points(&self.world, "shop", "data");
        points.iter().filter(|p| p.destination() == Some("disk")).count()
    }

    fn job(&mut self, due: &Run, status: &str) -> String {
        let name = names::maintain_job(&source(), Task::Remove, due, "disk");
        let mut labels = json!({
            names::MANAGED_BY: names::MANAGER, names::INSTANCE: "night", names::COMPONENT: "maintain",
            names::SOURCE_PVC: "data", names::SOURCE_UID: UID, names::RUN: due.as_str(), names::TASK: "remove",
            names::DESTINATION: "disk",
        });
        let at = self.now;
        let text = format!(
            "metadata: {{name: {name}, namespace: shop, uid: j-1, creationTimestamp: '{at}', labels: {labels}}}\n\
             status: {status}"
        );
        self.world.apply(Change::Job(Seen::Put(Job::from(&read::<k8s_openapi::api::batch::v1::Job>(&text)))));
        labels["batch.kubernetes.io/job-name"] = json!(name);
        labels.to_string()
    }

    /// Its Job ends, and its pod has told this.
    fn finish(&mut self, due: &Run, result: &MaintainResult) {
        let kind = if result.problem.is_none() { "Complete" } else { "Failed" };
        let now = self.now;
        let labels =
            self.job(due, &format!("{{conditions: [{{type: {kind}, status: 'True', lastTransitionTime: '{now}'}}]}}"));
        let job = names::maintain_job(&source(), Task::Remove, due, "disk");
        let message = json!(serde_json::to_string(result).unwrap());
        let text = format!(
            "metadata: {{name: {job}-x, namespace: shop, uid: pod, creationTimestamp: '{now}', labels: {labels}, \
             ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: {job}, uid: j-1, controller: true}}]}}\n\
             spec: {{nodeName: n, containers: []}}\n\
             status: {{containerStatuses: [{{name: backup, image: x, imageID: x, ready: false, restartCount: 0, \
             state: {{terminated: {{exitCode: 0, message: {message}}}}}}}]}}"
        );
        self.world.apply(Change::Pod(Seen::Put(Pod::from(&read::<k8s_openapi::api::core::v1::Pod>(&text)))));
    }

    fn gone(&mut self, due: &Run) {
        let job = names::maintain_job(&source(), Task::Remove, due, "disk");
        self.world.apply(Change::Pod(Seen::Gone(("shop".into(), format!("{job}-x")), "pod".into())));
        self.world.apply(Change::Job(Seen::Gone(("shop".into(), job), "j-1".into())));
    }
}

/// The runs that a Job would remove, if one could start.
fn removes(plan: &Plan) -> Option<Vec<Run>> {
    plan.ready.iter().find_map(|(_, action)| match action {
        Action::StartTask(task) => match &task.work {
            Work::Remove(remove) => Some(remove.runs.clone()),
            _ => None,
        },
        _ => None,
    })
}

fn notes(plan: &Plan) -> Vec<&'static str> {
    written(plan).into_iter().flat_map(|write| &write.notes).map(|note| note.reason).collect()
}

fn deletes(plan: &Plan) -> bool {
    plan.actions.iter().any(|a| matches!(a, Action::DeleteJob { .. }))
}

#[test]
fn the_word_ends_the_restore_points_first_and_then_their_files() {
    let mut scene = Scene::new();
    assert_eq!((removes(&scene.look()), scene.points()), (None, 1), "nothing is removed without a word");
    scene.says(WORD);
    let plan = scene.look();
    assert_eq!(removes(&plan), None, "not before the ledger lists no copy any more");
    assert_eq!(notes(&plan), ["RemovalAccepted", "RemovalBegun"]);
    let removal = scene.removal().unwrap();
    assert_eq!((removal.by.as_str(), removal.runs[0].as_str(), removal.begun), ("alice", RUN, Some(scene.now)));
    assert_eq!(scene.points(), 0);
    assert_eq!(scene.world.ledgers.get("", UID).unwrap().word, None, "the write ends the word");

    let plan = scene.look();
    assert_eq!(removes(&plan).unwrap(), [RUN.parse::<Run>().unwrap()]);
    let due = Run::at(scene.now);
    scene.job(&due, "{}");
    assert_eq!(removes(&scene.look()), None, "one Job at a time");
    let done = MaintainResult { files: 1, ..MaintainResult::new(Task::Remove, scene.now, None) };
    scene.finish(&due, &done);
    let plan = scene.look();
    assert_eq!((notes(&plan), deletes(&plan)), (vec!["CopiesRemoved"], false), "first it is written down");
    assert_eq!(written(&plan).unwrap().tasks.len(), 1);
    assert!(deletes(&scene.look()));
    scene.gone(&due);
    assert_eq!(scene.removal().unwrap().done(), Some(scene.now));
    assert_eq!(removes(&scene.look()), None);
    // The ledger tells of it as long as of a source that is gone.
    scene.now = Span::hours(30 * 24 + 1).after(time(GONE));
    assert!(scene.look().actions.is_empty(), "a removal of yesterday");
    scene.now = Span::days(32).after(scene.now);
    assert!(scene.look().actions.iter().any(|a| matches!(a, Action::DeleteLedger { .. })));
}

#[test]
fn a_word_about_something_else_or_from_before_removes_nothing_and_is_answered() {
    for word in [
        "true",
        "",
        "uid=u-2 gone=2026-11-20T12:00:00Z by=alice",
        "uid=u-1 gone=2026-11-20T12:00:01Z by=alice",
        "uid=u-1 gone=2026-11-20T12:00:00Z",
        "uid=u-1 by=alice",
    ] {
        let mut scene = Scene::new();
        scene.says(word);
        let plan = scene.look();
        assert_eq!(notes(&plan), ["WordRefused"], "{word}");
        assert_eq!((scene.removal(), scene.points()), (None, 1), "{word}");
        assert_eq!((notes(&scene.look()), removes(&scene.look())), (vec![], None), "it is answered once: {word}");
    }
}

/// Each obstacle alone is enough, in every combination with the others.
#[test]
fn no_job_starts_while_anything_speaks_against_it() {
    for bits in 0_u8..16 {
        let [stale, held, stranger, lives] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
        let mut scene = Scene::new();
        scene.held(held);
        if stranger {
            scene.namespace("n-2");
        }
        if lives {
            scene.world.apply(Change::Claim(Seen::Put(claim(CLAIM))));
        }
        scene.says(if stale { "uid=u-1 gone=2026-11-19T12:00:00Z by=alice" } else { WORD });
        let started = (0..3).any(|_| removes(&scene.look()).is_some());
        assert_eq!(started, bits == 0, "stale {stale}, held {held}, another namespace {stranger}, lives {lives}");
        assert_eq!(scene.points() == 1, stale || held || lives, "{bits}: a removal that has not begun hides nothing");
    }
}

#[test]
fn a_hold_stops_a_removal_until_it_is_released() {
    let mut scene = Scene::new();
    scene.held(true);
    scene.says(WORD);
    scene.look();
    let waiting = scene.removal().unwrap().waiting.clone().unwrap();
    assert!(waiting.reason == Reason::InUse && waiting.message.contains("data-1"), "{waiting}");
    assert!(scene.look().actions.iter().all(|a| !matches!(a, Action::WriteLedger(_))), "a wait is written down once");
    scene.held(false);
    scene.look();
    assert_eq!(scene.removal().unwrap().waiting, None);
    assert!(removes(&scene.look()).is_some());
}

/// A controller that saw it gone by mistake, or a cluster that was restored.
#[test]
fn a_source_that_lives_again_stops_the_removal() {
    let mut scene = Scene::new();
    scene.says(WORD);
    scene.look();
    let due = Run::at(scene.now);
    scene.job(&due, "{}");
    scene.world.apply(Change::Claim(Seen::Put(claim(CLAIM))));
    assert!(deletes(&scene.look()), "its Job ends, whatever it is at");
    scene.gone(&due);
    assert_eq!(removes(&scene.look()), None);
    assert_eq!(scene.removal(), None);
}

#[test]
fn a_removal_that_failed_is_told_and_tried_again_later() {
    let mut scene = Scene::new();
    scene.says(WORD);
    scene.look();
    let due = Run::at(scene.now);
    let problem = Problem::new(Reason::DiskNotReady, "cannot open the destination");
    scene.finish(&due, &MaintainResult::new(Task::Remove, scene.now, Some(problem)));
    assert_eq!(notes(&scene.look()), ["DiskNotReady"]);
    assert!(deletes(&scene.look()));
    scene.gone(&due);
    assert_eq!((removes(&scene.look()), scene.points()), (None, 0), "what has begun is no restore point again");
    scene.now = Span::hours(7).after(scene.now);
    assert!(removes(&scene.look()).is_some());
    // Its ledger stays until it is done, whatever the time.
    scene.now = Span::days(400).after(scene.now);
    assert!(scene.look().actions.iter().all(|a| !matches!(a, Action::DeleteLedger { .. })));
}

/// Law 1: the sweep keeps what it would keep if the copies were there. A snapshot whose copy failed does not become good,
/// and so the last good one does not go in its place.
#[test]
fn a_restore_point_is_as_good_after_its_copies_were_removed_as_before() {
    let snapshot = snapshot(
        "metadata: {name: data-1, namespace: shop, uid: s-1}\nspec: {source: {persistentVolumeClaimName: data}}\n\
         status: {readyToUse: true}",
    );
    let run: Run = RUN.parse().unwrap();
    for state in [CopyState::Complete, CopyState::Incomplete, CopyState::Failed, CopyState::Superseded] {
        for other in [None, Some(CopyState::Failed), Some(CopyState::Complete)] {
            let mut ledger = Ledger::new(&claim(CLAIM), "n-1");
            let names = [Some("disk"), other.map(|_| "other")].into_iter().flatten().map(str::to_owned);
            ledger.settings = Some(Settings { destinations: names.collect(), ..Settings::default() });
            ledger.begin(&run, &snapshot.id, false);
            for (name, state) in [("disk", Some(state)), ("other", other)] {
                let Some(state) = state else { continue };
                let result = CopyResult::new(state, time(GONE));
                let entry = Entry::Result(Box::new(result));
                ledger.enter(&Finding { run: run.clone(), destination: name.into(), entry });
            }
            let stands = |ledger: &Ledger| {
                point_state(&snapshot, &ledger.runs[0], &Config::parse("{}").unwrap().deadlines, time(GONE))
            };
            let before = stands(&ledger);
            ledger.give_up("disk");
            assert_eq!(stands(&ledger), before, "{state:?} beside {other:?}");
            let again = Ledger::parse(UID, &ledger.to_data()).unwrap();
            assert_eq!(stands(&again), before, "as it is written: {state:?} beside {other:?}");
        }
    }
}

/// A copy that ended while the removal waited for it, and whose Job is seen once more.
#[test]
fn a_copy_that_is_told_of_after_its_removal_began_is_no_restore_point() {
    let mut scene = Scene::new();
    scene.says(WORD);
    scene.look();
    let mut ledger = scene.world.ledger(UID).unwrap().clone();
    let result = CopyResult { kept: vec![RUN.parse().unwrap()], ..CopyResult::new(CopyState::Complete, scene.now) };
    let entry = Entry::Result(Box::new(result));
    ledger.enter(&Finding { run: RUN.parse().unwrap(), destination: "disk".into(), entry });
    put_ledger(&mut scene.world, ledger);
    assert_eq!(scene.points(), 0);
}
