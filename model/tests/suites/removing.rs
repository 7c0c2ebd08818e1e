//! The removal of the copies of a source that is gone: by an administrator's word about this source and this end of it,
//! or by the configuration of a destination, and by nothing else.

use std::sync::Arc;

use model::Timestamp;
use model::config::Config;
use model::duration::Span;
use model::facts::{Identity, Job, Pod, Policy};
use model::ledger::{Entry, Finding, Ledger, Words};
use model::maintain::{MaintainResult, Task};
use model::names::{self, Run, SourceId};
use model::next_copy::point_state;
use model::plan::{About, Action, Plan, Work};
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

fn config(bounds: &str, more: &str) -> Arc<Config> {
    let disk = format!("{{name: disk, type: disk, claim: {{size: 1Ti, name: backup-disk}}, {more}}}");
    Arc::new(Config::parse(&format!("bounds: {{{bounds}}}\ndestinations: [{disk}]")).unwrap())
}

/// So long after the PVC was seen to be gone.
fn gone_for(span: Span) -> Timestamp {
    span.after(time(GONE))
}

const SECOND: Span = Span::from_secs(1);
const REMOVE: &str = "orphans: remove";

struct Scene {
    world: World,
    now: Timestamp,
}

impl Scene {
    /// A source that is gone for a day, with a copy on a disk of its namespace.
    fn new() -> Self {
        let mut world = World::new("night".into(), "keepers", config("", ""));
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
        ledger.enter(
            &Finding { run, destination: "disk".into(), entry: Entry::Result(Box::new(result)) },
            Timestamp::MIN,
        );
        put_ledger(&mut scene.world, ledger);
        scene
    }

    /// A source whose destination removes the copies of what is gone, after 30 days.
    fn removing() -> Self {
        let mut scene = Self::new();
        scene.configure("", REMOVE);
        scene
    }

    fn configure(&mut self, bounds: &str, more: &str) {
        self.world.apply(Change::Config(config(bounds, more)));
    }

    fn ledger(&mut self, change: impl FnOnce(&mut Ledger)) {
        fixtures::in_ledger(&mut self.world, &source(), change);
    }

    /// What is told at a time, and whether the copies are restore points still. Nothing may be removed before that ends.
    fn at(&mut self, now: Timestamp) -> (Vec<&'static str>, bool) {
        self.now = now;
        let plan = self.look();
        assert!(self.world.ledger(UID).is_some(), "the ledger ends after the copies");
        let listed = self.points() == 1;
        assert!(!(listed && removes(&plan).is_some()), "files go after their restore points");
        (notes(&plan), listed)
    }

    fn namespace(&mut self, uid: &str) {
        self.namespace_that(&format!("uid: {uid}"));
    }

    fn namespace_that(&mut self, is: &str) {
        let text = format!("metadata: {{name: shop, {is}}}");
        self.world.apply(Change::Namespace(Seen::Put(namespace(&text))));
    }

    fn namespace_gone(&mut self) {
        self.world.apply(Change::Namespace(Seen::Gone((String::new(), "shop".into()), "n-1".into())));
    }

    /// The destination is a repository, with this configuration beside.
    fn repository(&mut self, run_in: &str, more: &str) {
        let text = format!("{more}\ndestinations: [{{name: disk, type: restic, secret: backup-s3, runIn: {run_in}}}]");
        let config = Config::parse(&text).unwrap_or_else(|e| panic!("{e}"));
        self.world.apply(Change::Config(Arc::new(config)));
    }

    /// A policy of an earlier version cuts restic off.
    fn cut_off(&mut self) {
        let name = names::network_policy(&"night".into());
        let text = format!(
            "metadata: {{name: {name}, namespace: shop, labels: {{{}: {}, {}: night, {}: policy}}}}",
            names::MANAGED_BY,
            names::MANAGER,
            names::INSTANCE,
            names::COMPONENT
        );
        let policy = read::<k8s_openapi::api::networking::v1::NetworkPolicy>(&text);
        self.world.apply(Change::Policy(Seen::Put(Policy::from(&policy.metadata))));
    }

    /// Somebody annotates the ledger.
    fn says(&mut self, word: &str) {
        self.annotates(Words { remove: Some(word.to_owned()), end: None });
    }

    /// Somebody annotates the ledger with the word that ends a removal.
    fn ends(&mut self, word: &str) {
        self.annotates(Words { remove: None, end: Some(word.to_owned()) });
    }

    fn annotates(&mut self, words: Words) {
        let mut book = self.world.ledgers.get("", UID).unwrap().clone();
        book.words = words;
        book.id.resource_version = (book.id.resource_version.parse::<u64>().unwrap() + 1).to_string();
        self.world.apply(Change::Ledger(Seen::Put(book)));
    }

    fn held(&mut self, held: bool) {
        self.snapshot(RUN, "data-1", if held { "backup-controller.io/hold: 'for the court'" } else { "" });
    }

    /// A snapshot of the source, with this annotation.
    fn snapshot(&mut self, run: &str, name: &str, mark: &str) {
        let labels = json!({
            names::MANAGED_BY: names::MANAGER, names::INSTANCE: "night", names::COMPONENT: "snapshot",
            names::SOURCE_PVC: "data", names::SOURCE_UID: UID, names::RUN: run,
        });
        let version = self.world.snapshots.get("shop", name).map_or(1, |_| 2);
        let uid = name.replace("data", "s");
        let text = format!(
            "metadata: {{name: {name}, namespace: shop, uid: {uid}, resourceVersion: '{version}', labels: {labels}, \
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

    /// A copy to the disk runs.
    fn copies(&mut self) {
        let run = "20261120T0000Z";
        let labels = json!({
            names::MANAGED_BY: names::MANAGER, names::INSTANCE: "night", names::COMPONENT: "copy",
            names::SOURCE_PVC: "data", names::SOURCE_UID: UID, names::RUN: run, names::DESTINATION: "disk",
        });
        let text =
            format!("metadata: {{name: copy, namespace: shop, uid: j-2, labels: {labels}}}\nstatus: {{active: 1}}");
        self.world.apply(Change::Job(Seen::Put(Job::from(&read::<k8s_openapi::api::batch::v1::Job>(&text)))));
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

/// Whether the Job that could start must not expect to find what it removes.
fn tried(plan: &Plan) -> bool {
    plan.ready.iter().any(|(_, action)| match action {
        Action::StartTask(task) => matches!(&task.work, Work::Remove(remove) if remove.tried),
        _ => false,
    })
}

/// Law 12: a try that found another repository has removed nothing, and neither has the next one if it finds that again.
#[test]
fn a_try_that_found_no_copies_proves_no_removal() {
    let mut scene = Scene::new();
    scene.says(WORD);
    scene.look();
    assert!(!tried(&scene.look()), "the first try");
    let due = Run::at(scene.now);
    let problem = Problem::new(Reason::RepositoryMissing, "none");
    scene.finish(&due, &MaintainResult::new(Task::Remove, scene.now, Some(problem)));
    scene.look();
    scene.gone(&due);
    scene.now = Span::hours(7).after(scene.now);
    let plan = scene.look();
    assert!(removes(&plan).is_some() && !tried(&plan));
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
    assert_eq!(scene.world.ledgers.get("", UID).unwrap().words, Words::default(), "the write ends the word");

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
    assert_eq!(scene.removal().unwrap().over(), Some(scene.now));
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
        assert_eq!(scene.points() == 1, bits != 0, "{bits}: a removal that has not begun hides nothing");
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
    assert!(tried(&scene.look()), "it may have removed some");
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
                ledger.enter(&Finding { run: run.clone(), destination: name.into(), entry }, Timestamp::MIN);
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
    ledger.enter(&Finding { run: RUN.parse().unwrap(), destination: "disk".into(), entry }, Timestamp::MIN);
    put_ledger(&mut scene.world, ledger);
    assert_eq!(scene.points(), 0);
}

/// Law 1: copies outlive their source unless the administrator configures their end.
#[test]
fn no_time_removes_copies_unless_the_configuration_says_so() {
    for more in ["", "orphans: keep"] {
        let mut scene = Scene::new();
        scene.configure("orphanRetention: 1s", more);
        for days in [0, 1, 7, 30, 31, 400, 4000] {
            assert_eq!(scene.at(gone_for(Span::days(days))), (vec![], true), "{more}: day {days}");
        }
        assert!(scene.world.ledger(UID).unwrap().announced.is_empty());
    }
}

/// Law 1: with the setting they stay for `bounds.orphanRetention`, at least seven days, and are announced a day before.
#[test]
fn the_configuration_removes_copies_when_their_time_is_over_and_tells_it_a_day_before() {
    for (retention, days) in [("30days", 30), ("1s", 7), ("6days", 7), ("8days", 8)] {
        let mut scene = Scene::new();
        scene.configure(&format!("orphanRetention: {retention}"), REMOVE);
        let (told, end) = (gone_for(Span::days(days - 1)), gone_for(Span::days(days)));
        assert_eq!(scene.at(gone_for(Span::days(1))), (vec![], true), "{retention}");
        assert_eq!(scene.at(SECOND.before(told)), (vec![], true), "{retention}");
        assert_eq!(fixtures::plan(&scene.world, UID, scene.now).wake, Some(told), "{retention}");
        assert_eq!(scene.at(told), (vec!["RemovalAnnounced"], true), "{retention}");
        assert_eq!(scene.world.ledger(UID).unwrap().announced["disk"].due, end, "{retention}");
        let plan = scene.look();
        assert_eq!((notes(&plan), plan.wake), (vec![], Some(end)), "{retention}: it is told once");
        assert_eq!(scene.at(SECOND.before(end)), (vec![], true), "{retention}");
        assert_eq!(scene.at(end), (vec!["RemovalBegun"], false), "{retention}");
        assert_eq!(scene.removal().unwrap().by, Removal::CONFIGURATION, "{retention}");
        assert_eq!(removes(&scene.look()).unwrap(), [RUN.parse::<Run>().unwrap()], "{retention}");
        // Its ledger stays until it is done, and as long again.
        scene.now = gone_for(Span::days(400));
        assert_eq!(scene.at(scene.now), (vec![], false), "{retention}");
        let due = Run::at(scene.now);
        scene.finish(&due, &MaintainResult { files: 1, ..MaintainResult::new(Task::Remove, scene.now, None) });
        assert_eq!(scene.at(scene.now), (vec!["CopiesRemoved"], false), "{retention}");
        assert!(deletes(&scene.look()));
        scene.gone(&due);
        scene.now = Span::days(days).after(scene.now);
        assert!(scene.look().actions.iter().any(|a| matches!(a, Action::DeleteLedger { .. })), "{retention}");
    }
}

/// The administrator may have set it on the wrong destination.
#[test]
fn where_the_setting_is_new_a_source_that_is_gone_for_years_has_a_day_too() {
    let mut scene = Scene::removing();
    let now = gone_for(Span::days(1000));
    assert_eq!(scene.at(now), (vec!["RemovalAnnounced"], true));
    assert_eq!(scene.at(SECOND.before(Span::days(1).after(now))), (vec![], true));
    assert_eq!(scene.at(Span::days(1).after(now)), (vec!["RemovalBegun"], false));
}

/// L9: also a clock that is a month ahead announces, and removes nothing if it is put right within a day.
#[test]
fn an_announced_removal_is_withdrawn_and_begins_again_with_a_whole_day() {
    let announced = gone_for(Span::days(29));
    let back = gone_for(Span::days(2));
    for (bounds, more, now) in [("", "", announced), ("orphanRetention: 31d", REMOVE, announced), ("", REMOVE, back)] {
        let mut scene = Scene::removing();
        assert_eq!(scene.at(announced), (vec!["RemovalAnnounced"], true));
        scene.configure(bounds, more);
        assert_eq!(scene.at(now), (vec!["RemovalWithdrawn"], true), "{bounds} {more} {now}");
        assert!(scene.world.ledger(UID).unwrap().announced.is_empty());
        scene.configure("", REMOVE);
        let late = gone_for(Span::days(50));
        assert_eq!(scene.at(late), (vec!["RemovalAnnounced"], true), "{bounds} {more} {now}");
        assert_eq!(scene.at(SECOND.before(Span::days(1).after(late))), (vec![], true), "{bounds} {more} {now}");
    }
}

type Spoil = fn(&mut Scene);

/// What a removal by the configuration waits for. Where the ledger does not know all copies, it waits for ever.
#[test]
fn each_obstacle_alone_keeps_the_restore_points_however_long_they_are_due() {
    let obstacles: [(&str, Spoil, Reason); 9] = [
        ("held", |scene| scene.held(true), Reason::InUse),
        ("a copy runs", |scene| scene.copies(), Reason::InUse),
        ("another namespace", |scene| scene.namespace("n-2"), Reason::NamespaceTerminating),
        ("no namespace", Scene::namespace_gone, Reason::NamespaceTerminating),
        (
            "no disk",
            |scene| {
                let gone = Seen::Gone(("shop".into(), "backup-disk".into()), "d-1".into());
                scene.world.apply(Change::Claim(gone));
            },
            Reason::DiskNotReady,
        ),
        ("rebuilding", |scene| scene.ledger(|l| l.rebuilding.extend(["other".to_owned()])), Reason::LedgerMissing),
        ("no settings", |scene| scene.ledger(|l| l.settings = None), Reason::LedgerMissing),
        (
            "a run in doubt",
            |scene| {
                scene.ledger(|ledger| {
                    let (run, id) = ("20261120T0000Z".parse().unwrap(), Identity::default());
                    ledger.begin(&run, &id, false);
                    ledger.doubt(&run);
                });
            },
            Reason::LedgerMissing,
        ),
        (
            "two newer snapshots that the ledger does not know",
            |scene| {
                scene.snapshot("20261120T0000Z", "data-2", "");
                scene.snapshot("20261120T1200Z", "data-3", "");
            },
            Reason::LedgerMissing,
        ),
    ];
    for (what, spoil, reason) in obstacles {
        let mut scene = Scene::removing();
        assert_eq!(scene.at(gone_for(Span::days(29))).0, ["RemovalAnnounced"], "{what}");
        spoil(&mut scene);
        for days in [30, 31, 60, 400] {
            let (told, listed) = scene.at(gone_for(Span::days(days)));
            assert!(!told.contains(&"RemovalBegun") && listed, "{what}: {told:?}");
            assert_eq!(scene.removal(), None, "{what}");
        }
        let waiting = scene.world.ledger(UID).unwrap().announced["disk"].waiting.clone();
        assert_eq!(waiting.map(|w| w.reason), Some(reason), "{what}");
        let plan = fixtures::plan(&scene.world, UID, scene.now);
        assert!(plan.wake.is_some() && written(&plan).is_none(), "{what}: a wait is written down once");
    }
}

#[test]
fn a_removal_that_waited_begins_when_nothing_speaks_against_it_any_more() {
    let mut scene = Scene::removing();
    scene.held(true);
    assert_eq!(scene.at(gone_for(Span::days(29))), (vec!["RemovalAnnounced"], true));
    assert_eq!(scene.at(gone_for(Span::days(40))), (vec![], true));
    scene.held(false);
    assert_eq!(scene.at(gone_for(Span::days(40))), (vec!["RemovalBegun"], false));
}

#[test]
fn a_ledger_that_cannot_be_read_removes_nothing() {
    let mut scene = Scene::removing();
    scene.at(gone_for(Span::days(29)));
    let mut book = scene.world.ledgers.get("", UID).unwrap().clone();
    book.ledger = Err(Problem::new(Reason::LedgerUnreadable, "edited"));
    book.id.resource_version = "99".into();
    scene.world.apply(Change::Ledger(Seen::Put(book)));
    scene.now = gone_for(Span::days(400));
    let plan = scene.look();
    assert!(plan.actions.is_empty() && plan.ready.is_empty(), "{:?}", plan.actions);
}

#[test]
fn a_source_that_lives_again_ends_the_announcement_and_its_time_begins_again() {
    let mut scene = Scene::removing();
    scene.at(gone_for(Span::days(29)));
    let lives = Change::Claim(Seen::Put(claim(CLAIM)));
    scene.world.apply(lives);
    scene.now = gone_for(Span::days(31));
    assert_eq!(removes(&scene.look()), None);
    let ledger = scene.world.ledger(UID).unwrap();
    assert_eq!((ledger.announced.len(), ledger.removals.len(), ledger.gone), (0, 0, None));
    scene.world.apply(Change::Claim(Seen::Gone(("shop".into(), "data".into()), UID.into())));
    assert_eq!(scene.at(gone_for(Span::days(31))), (vec![], true));
    assert_eq!(scene.at(gone_for(Span::days(59))), (vec![], true), "30 days from the second end");
    assert_eq!(scene.at(gone_for(Span::days(60))), (vec!["RemovalAnnounced"], true));
    assert_eq!(scene.at(gone_for(Span::days(61))), (vec!["RemovalBegun"], false));
}

#[test]
fn a_word_removes_at_once_what_is_only_announced() {
    let mut scene = Scene::removing();
    scene.at(gone_for(Span::days(29)));
    scene.says(WORD);
    assert_eq!(scene.at(scene.now), (vec!["RemovalAccepted", "RemovalBegun"], false));
    assert_eq!(scene.removal().unwrap().by, "alice");
    assert!(scene.world.ledger(UID).unwrap().announced.is_empty());
}

/// A version that does not know the setting begins each removal of a ledger at once.
#[test]
fn an_announcement_is_no_removal_for_a_version_that_does_not_know_it() {
    let mut scene = Scene::removing();
    scene.at(gone_for(Span::days(29)));
    let ledger = scene.world.ledger(UID).unwrap();
    let mut known: serde_json::Value = serde_json::to_value(ledger).unwrap();
    assert!(known.get("removals").is_none() && known.as_object_mut().unwrap().remove("announced").is_some());
    let read: Ledger = serde_json::from_value(known).unwrap();
    assert!(read.announced.is_empty(), "and what that version writes is read");
}

const FORGET: &str = "uid=u-1 gone=2026-11-20T12:00:00Z forget=disk by=bob";
const KEEP: &str = "uid=u-1 gone=2026-11-20T12:00:00Z keep=disk by=bob";

fn texts(plan: &Plan) -> Vec<&str> {
    written(plan).into_iter().flat_map(|write| &write.notes).map(|note| note.text.as_str()).collect()
}

/// L23: its Job fails each time, its Secret is refused, its destination is gone: only the deletion of the ledger ended it.
#[test]
fn a_removal_that_cannot_end_is_ended_by_a_word_and_what_is_left_is_named() {
    let ways: [(&str, Spoil); 3] = [
        ("its Job fails", |scene| {
            let due = Run::at(scene.now);
            let problem = Problem::new(Reason::RepositoryMissing, "none");
            scene.finish(&due, &MaintainResult::new(Task::Remove, scene.now, Some(problem)));
            scene.look();
            scene.gone(&due);
        }),
        ("its Job runs", |scene| drop(scene.job(&Run::at(scene.now), "{active: 1}"))),
        ("its destination is gone", |scene| drop(scene.world.apply(Change::Config(Arc::new(Config::default()))))),
    ];
    for (what, spoil) in ways {
        let mut scene = Scene::new();
        scene.says(WORD);
        scene.look();
        spoil(&mut scene);
        scene.ends(FORGET);
        let plan = scene.look();
        assert_eq!(notes(&plan), ["RemovalAbandoned"], "{what}");
        let text = texts(&plan)[0].to_owned();
        assert!(text.contains("shop/data/u-1") && text.contains(RUN) && text.contains("bob"), "{what}: {text}");
        let removal = scene.removal().unwrap().clone();
        let abandoned = removal.abandoned.as_ref().unwrap();
        assert_eq!((removal.by.as_str(), abandoned.by.as_str(), abandoned.at), ("alice", "bob", scene.now), "{what}");
        assert_eq!(scene.world.ledgers.get("", UID).unwrap().words, Words::default(), "the write ends the word");
        let plan = scene.look();
        assert_eq!(deletes(&plan), what == "its Job runs", "{what}: what it is at ends");
        scene.gone(&Run::at(scene.now));
        // No try comes again, and the ledger says it as long as it tells of what is gone.
        for days in [1, 29] {
            scene.now = Span::days(days).after(abandoned.at);
            let plan = scene.look();
            assert_eq!((removes(&plan), notes(&plan), scene.points()), (None, vec![], 0), "{what}: day {days}");
            assert!(scene.removal().is_some_and(|r| r.abandoned.is_some()), "{what}");
        }
        scene.now = Span::days(31).after(abandoned.at);
        assert!(scene.look().actions.iter().any(|a| matches!(a, Action::DeleteLedger { .. })), "{what}");
    }
}

/// L23: before a removal has begun its copies are restore points, and a person decides whether they stay so.
#[test]
fn a_removal_that_waits_is_taken_back_or_forgets_its_copies_as_the_word_says() {
    for (word, told, listed) in [(KEEP, "RemovalWithdrawn", true), (FORGET, "RemovalAbandoned", false)] {
        let mut scene = Scene::new();
        scene.world.apply(Change::Config(Arc::new(Config::default())));
        scene.says(WORD);
        scene.look();
        assert_eq!(scene.removal().unwrap().waiting.as_ref().unwrap().reason, Reason::UnknownDestination);
        scene.ends(word);
        assert_eq!(notes(&scene.look()), [told]);
        scene.configure("", "");
        assert_eq!((removes(&scene.look()), scene.points() == 1), (None, listed), "{told}");
        assert_eq!(scene.removal().is_none(), listed, "{told}: the ledger keeps that its copies were left");
        assert_eq!(scene.world.ledger(UID).unwrap().is_over(false), !listed, "{told}");
    }
}

/// L23: what somebody holds or reads is not forgotten.
#[test]
fn a_word_forgets_no_copy_that_is_in_use() {
    let uses: [(&str, Spoil); 2] = [("held", |scene| scene.held(true)), ("a copy runs", Scene::copies)];
    for (what, spoil) in uses {
        let mut scene = Scene::new();
        spoil(&mut scene);
        scene.says(WORD);
        scene.look();
        scene.ends(FORGET);
        assert_eq!((notes(&scene.look()), scene.points()), (vec!["WordRefused"], 1), "{what}");
        assert!(scene.removal().is_some_and(|r| r.abandoned.is_none() && r.begun.is_none()), "{what}");
    }
}

#[test]
fn a_word_that_ends_a_removal_is_about_this_source_this_end_and_a_removal_that_goes_on() {
    let (uid, gone) = ("uid=u-1", "gone=2026-11-20T12:00:00Z");
    for (word, begun) in [
        (FORGET, false),
        (KEEP, false),
        (KEEP, true),
        ("true", true),
        (&format!("{uid} {gone} forget=disk"), true),
        (&format!("{uid} {gone} forget=other by=bob"), true),
        (&format!("uid=u-2 {gone} forget=disk by=bob"), true),
        (&format!("{uid} gone=2026-11-20T12:00:01Z forget=disk by=bob"), true),
    ] {
        let mut scene = Scene::new();
        if begun {
            scene.says(WORD);
            scene.look();
        }
        scene.ends(word);
        assert_eq!(notes(&scene.look()), ["WordRefused"], "{word}");
        let points = usize::from(!begun);
        assert_eq!((removes(&scene.look()).is_some(), scene.points()), (begun, points), "{word}: it goes on as before");
    }
}

/// L23: the configuration does not begin again what a person ended.
#[test]
fn what_was_forgotten_is_not_announced_again() {
    let mut scene = Scene::removing();
    scene.at(gone_for(Span::days(29)));
    assert_eq!(scene.at(gone_for(Span::days(30))), (vec!["RemovalBegun"], false));
    scene.ends(FORGET);
    assert_eq!(scene.at(gone_for(Span::days(30))), (vec!["RemovalAbandoned"], false));
    assert_eq!(scene.at(gone_for(Span::days(59))), (vec![], false));
    assert!(scene.world.ledger(UID).unwrap().announced.is_empty());
}

/// A group of the namespace has a Secret of its own at the destination: nobody knows whether the PVC was in it.
const BANK: &str = "groups: [{name: bank, namespaces: [shop], secrets: {disk: bank-s3}}]";

/// What keeps the Job of a removal from running.
const OBSTACLES: [(&str, Spoil, Reason); 6] = [
    ("no destination", |scene| drop(scene.world.apply(Change::Config(Arc::default()))), Reason::UnknownDestination),
    ("no namespace", Scene::namespace_gone, Reason::NamespaceTerminating),
    ("another namespace", |scene| scene.namespace("n-2"), Reason::NamespaceTerminating),
    (
        "restricted",
        |scene| scene.namespace_that("uid: n-1, labels: {pod-security.kubernetes.io/enforce: restricted}"),
        Reason::PodSecurity,
    ),
    ("cut off", Scene::cut_off, Reason::NetworkPolicyBlocks),
    ("a group's Secret", |scene| scene.repository("tenant", BANK), Reason::SecretNotAllowed),
];

/// L24: its restore points were given up at once, and the Job that removes their files could never run.
#[test]
fn a_removal_whose_job_cannot_run_keeps_its_restore_points_and_says_what_it_waits_for() {
    for (what, spoil, reason) in OBSTACLES {
        let mut scene = Scene::new();
        scene.repository("tenant", "");
        spoil(&mut scene);
        scene.says(WORD);
        for hours in [0, 7, 7 * 24] {
            scene.now = Span::hours(hours).after(scene.now);
            assert_eq!((removes(&scene.look()), scene.points()), (None, 1), "{what}");
        }
        let removal = scene.removal().unwrap();
        assert_eq!((removal.begun, removal.waiting.as_ref().map(|w| w.reason)), (None, Some(reason)), "{what}");
        assert!(fixtures::plan(&scene.world, UID, scene.now).wake.is_some(), "{what}: it is looked at again");
    }
}

/// L24: once it has begun it waits for the same.
#[test]
fn a_removal_that_has_begun_starts_no_job_that_cannot_run() {
    for (what, spoil, reason) in OBSTACLES {
        let mut scene = Scene::new();
        scene.repository("tenant", "");
        scene.says(WORD);
        scene.look();
        assert!(scene.removal().unwrap().begun.is_some(), "{what}");
        spoil(&mut scene);
        assert_eq!(removes(&scene.look()), None, "{what}");
        assert_eq!(scene.removal().unwrap().waiting.as_ref().map(|w| w.reason), Some(reason), "{what}");
        scene.repository("tenant", "");
        scene.namespace("n-1");
        scene.world.apply(Change::Policy(Seen::Begin));
        scene.world.apply(Change::Policy(Seen::End));
        assert!(removes(&scene.look()).is_some(), "{what}: it goes on when that is over");
    }
}

/// L24: the destination's own Secret may open somebody else's bucket, in which the PVC has nothing. Nobody can say which
/// Secret is right once the PVC is gone, unless no group has one.
#[test]
fn a_removal_uses_no_secret_that_may_be_another_groups() {
    for run_in in ["tenant", "controller"] {
        for (groups, starts) in [("", true), (BANK, false)] {
            let mut scene = Scene::new();
            scene.repository(run_in, groups);
            scene.says(WORD);
            scene.look();
            let plan = scene.look();
            let secrets = plan.ready.iter().filter_map(|(_, action)| match action {
                Action::StartTask(task) => Some(task.secret.clone()),
                _ => None,
            });
            assert_eq!(secrets.collect::<Vec<_>>(), vec![None; usize::from(starts)], "{run_in} {groups}");
            assert_eq!(scene.points() == 0, starts, "{run_in} {groups}");
        }
    }
}

/// L24: the pod said that it had failed years ago, so that the next try came at once, for ever; or years from now, so that
/// none came.
#[test]
fn a_pods_word_of_when_it_failed_neither_shortens_nor_lengthens_the_pause() {
    for told in ["2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
        let mut scene = Scene::new();
        scene.says(WORD);
        scene.look();
        let due = Run::at(scene.now);
        let problem = Problem::new(Reason::DiskNotReady, "cannot open the destination");
        scene.finish(&due, &MaintainResult::new(Task::Remove, time(told), Some(problem)));
        scene.look();
        scene.gone(&due);
        let failed = scene.now;
        scene.now = SECOND.before(Span::hours(6).after(failed));
        assert_eq!(removes(&scene.look()), None, "{told}");
        scene.now = Span::hours(6).after(failed);
        assert!(removes(&scene.look()).is_some(), "{told}");
    }
}

/// L24: an Event in a namespace that is gone is refused, and nobody heard of the removal.
#[test]
fn what_is_told_of_a_removal_is_on_the_ledger_where_no_namespace_is_needed() {
    let mut scene = Scene::new();
    let mut told = Vec::new();
    let hear = |plan: &Plan, told: &mut Vec<&'static str>| {
        for note in written(plan).into_iter().flat_map(|write| &write.notes) {
            assert_eq!(note.about, About::Ledger, "{}", note.reason);
            told.push(note.reason);
        }
    };
    scene.says("true");
    hear(&scene.look(), &mut told);
    scene.says(WORD);
    hear(&scene.look(), &mut told);
    let due = Run::at(scene.now);
    let problem = Problem::new(Reason::DestinationUnreachable, "no answer");
    scene.finish(&due, &MaintainResult::new(Task::Remove, scene.now, Some(problem)));
    hear(&scene.look(), &mut told);
    scene.gone(&due);
    scene.namespace_gone();
    scene.says(WORD);
    hear(&scene.look(), &mut told);
    scene.ends(FORGET);
    hear(&scene.look(), &mut told);
    assert_eq!(
        told,
        ["WordRefused", "RemovalAccepted", "RemovalBegun", "DestinationUnreachable", "WordRefused", "RemovalAbandoned"]
    );
}
