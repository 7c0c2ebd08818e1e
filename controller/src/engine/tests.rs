//! The loop against an API server that answers when the test says so, at a time that the test gives.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex};

use k8s_openapi::api::batch::v1::CronJob;
use model::config::Config;
use model::duration::Span;
use model::facts;
use model::ledger::Book;
use model::names;
use model::reason::Reason;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use templates::{Install, Templates};
use tokio::sync::oneshot;

use super::*;

const INSTANCE: &str = "night";
const HOME: &str = "keepers";
/// The version of what the API server has written.
const WRITTEN: u64 = 5000;

static TEMPLATES: LazyLock<Arc<Templates>> = LazyLock::new(|| Arc::new(Templates::embedded()));

type Answer = Result<Option<Change>, Refusal>;
type Asked = (Action, Settings, oneshot::Sender<Answer>);

#[derive(Clone, Default)]
struct Server {
    /// What waits for its answer.
    asked: Rc<RefCell<Vec<Asked>>>,
    /// The keys of all that was ever asked.
    log: Rc<RefCell<Vec<String>>>,
}

impl Take for Server {
    async fn take(&self, action: &Action, settings: &Settings) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.log.borrow_mut().push(action.key());
        self.asked.borrow_mut().push((action.clone(), settings.clone(), answer));
        answered.await.unwrap()
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn settings(config: &str) -> Settings {
    let install = Install {
        instance: INSTANCE.into(),
        namespace: HOME.into(),
        job_service_account: "taker".into(),
        controller_image: "controller:1".into(),
        mover_image: "mover:1".into(),
        image_pull_policy: "IfNotPresent".into(),
        templates_config_map: None,
    };
    Settings {
        config: Arc::new(Config::parse(config).unwrap()),
        install: Arc::new(install),
        templates: TEMPLATES.clone(),
    }
}

struct Bench {
    engine: Engine<Server>,
    server: Server,
    now: Timestamp,
}

impl Bench {
    /// A cluster that is listed in full, with so many PVCs that are backed up.
    fn with(sources: usize) -> Self {
        let settings = settings("{}");
        let world = World::new(INSTANCE.into(), HOME, settings.config.clone());
        let shown = Shown { metrics: Arc::new(Mutex::new(Metrics::new())), pending: Arc::new(Mutex::new(vec![])) };
        let server = Server::default();
        let engine = Engine::new(world, settings, server.clone(), shown);
        let mut bench = Self { engine, server, now: "2026-11-20T00:10:00Z".parse().unwrap() };
        macro_rules! list {
            ($($kind:ident [$($object:expr),*])*) => {$(
                bench.engine.observe(Change::$kind(Seen::Begin));
                $(bench.engine.observe(Change::$kind(Seen::Put($object)));)*
                bench.engine.observe(Change::$kind(Seen::End));
            )*};
        }
        let object = |name: &str| json!({"metadata": {"name": name, "uid": format!("uid-of-{name}")}});
        let with = |mut value: Value, key: &str, field: Value| {
            value[key] = field;
            value
        };
        let class = with(object("fast"), "provisioner", json!("csi.example"));
        let mut snapshots = with(object("snaps"), "driver", json!("csi.example"));
        snapshots["deletionPolicy"] = json!("Delete");
        let volume = with(object("pv"), "spec", json!({"csi": {"driver": "csi.example", "volumeHandle": "h"}}));
        list! {
            Volume[facts::Volume::from(&read::<k8s_openapi::api::core::v1::PersistentVolume>(volume))]
            Namespace[facts::Namespace::from(&read(object("shop")["metadata"].clone()))]
            StorageClass[facts::StorageClass::from(&read::<k8s_openapi::api::storage::v1::StorageClass>(class))]
            SnapshotClass[facts::SnapshotClass::from(&read::<model::snapshot::VolumeSnapshotClass>(snapshots))]
            Claim[] Snapshot[] Ledger[] Content[] Job[] Pod[] CronJob[] Node[] Policy[] Restorer[]
        }
        bench.engine.observe(Change::SnapshotApi(true));
        for number in 0..sources {
            bench.claim(number, 1);
        }
        assert_eq!(bench.engine.world.unsynced(), [""; 0]);
        bench
    }

    /// A watch tells of a PVC in some version.
    fn claim(&mut self, number: usize, version: u64) {
        self.engine.observe(claim(number, version, None));
    }

    /// A turn of the loop. Gives the keys of all steps that are under way at the API server.
    fn turn(&mut self) -> Vec<String> {
        self.engine.wake(self.now);
        self.engine.turn(self.now);
        assert!(self.engine.step().now_or_never().is_none(), "nothing is answered");
        self.asked()
    }

    fn asked(&self) -> Vec<String> {
        let mut asked: Vec<String> = self.server.asked.borrow().iter().map(|(action, ..)| action.key()).collect();
        asked.sort();
        asked
    }

    fn wait(&mut self, seconds: u64) {
        self.now = Span::from_secs(seconds).after(self.now);
    }

    /// The API server answers one of the steps.
    fn answer(&mut self, key: &str, answer: impl FnOnce(&Action, &Settings) -> Answer) {
        let at = self.server.asked.borrow().iter().position(|(action, ..)| action.key() == key);
        let at = at.unwrap_or_else(|| panic!("{key} was not asked"));
        let (action, settings, to) = self.server.asked.borrow_mut().remove(at);
        assert!(to.send(answer(&action, &settings)).is_ok());
        let ended = self.engine.step().now_or_never().unwrap();
        self.engine.ended(ended, self.now);
    }

    /// The API server does all that is asked of it but one step. Says whether that is asked.
    fn settle_but(&mut self, key: &str) -> bool {
        for _ in 0..20 {
            let asked = self.turn();
            if asked.iter().all(|asked| asked == key) {
                return !asked.is_empty();
            }
            for other in asked.iter().filter(|asked| *asked != key) {
                self.answer(other, done);
            }
        }
        panic!("there is no end to it: {:?}", self.asked());
    }

    fn settle(&mut self) {
        assert!(!self.settle_but(""));
    }

    /// How often a step was asked.
    fn times(&self, key: &str) -> usize {
        self.server.log.borrow().iter().filter(|asked| *asked == key).count()
    }

    /// Goes from wake to wake until a step is asked. Gives the seconds that it took.
    fn until(&mut self, key: &str) -> f64 {
        let since = self.now;
        for _ in 0..20 {
            if self.settle_but(key) {
                return self.now.duration_since(since).as_secs_f64();
            }
            self.now = self.engine.next_wake().unwrap();
        }
        panic!("{key} is not asked");
    }

    /// The namespace is backed up, or it is not.
    fn select(&mut self, selected: bool) {
        let config = if selected { "{}" } else { "selection: {namespaces: {exclude: [shop]}}" };
        self.engine.reload(Ok(settings(config)));
    }

    fn fault(&self, number: usize) -> Option<Reason> {
        self.engine.world.memory.faults.get(&uid(number)).map(|problem| problem.reason)
    }
}

fn claim(number: usize, version: u64, status: Option<String>) -> Change {
    let claim = json!({
        "metadata": {
            "name": format!("data{number}"), "namespace": "shop", "uid": uid(number),
            "resourceVersion": version.to_string(), "creationTimestamp": "2026-11-01T00:00:00Z",
            "annotations": status.map(|text| json!({names::STATUS: text})),
        },
        "spec": {"storageClassName": "fast", "volumeName": "pv", "accessModes": ["ReadWriteOnce"]},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
    });
    let claim: k8s_openapi::api::core::v1::PersistentVolumeClaim = read(claim);
    Change::Claim(Seen::Put(facts::Claim::from(&claim)))
}

/// A CronJob as a template makes it, in some version.
fn written(mut rendered: Value, version: u64) -> Change {
    rendered["metadata"]["uid"] = json!(format!("uid-of-{}", rendered["metadata"]["name"]));
    rendered["metadata"]["resourceVersion"] = json!(version.to_string());
    Change::CronJob(Seen::Put(facts::CronJob::from(&read::<CronJob>(rendered))))
}

/// What the API server answers when it does what it is asked.
#[allow(clippy::unnecessary_wraps, reason = "as any answer")]
fn done(action: &Action, settings: &Settings) -> Answer {
    let Settings { config, install, templates } = settings;
    Ok(match action {
        Action::WriteLedger(write) => {
            let mut map = templates::ledger(install, &write.ledger);
            let before = write.replaces.as_ref().map_or(0, |id| id.resource_version.parse().unwrap());
            map["metadata"]["uid"] = json!(format!("ledger-of-{}", write.ledger.source.uid));
            map["metadata"]["resourceVersion"] = json!((before + 1u64).to_string());
            Some(Change::Ledger(Seen::Put(Book::read(&read(map), &INSTANCE.into()).unwrap())))
        }
        Action::ApplyCronJob { source, protection } => {
            Some(written(settings.snapshot_cronjob(source, protection).unwrap(), WRITTEN))
        }
        Action::ApplySweep { .. } => Some(written(templates.sweep_cronjob(install, config).unwrap(), WRITTEN)),
        Action::ShowStatus { source, status, .. } => {
            Some(claim(source.uid[1..].parse().unwrap(), WRITTEN, Some(status.to_text())))
        }
        _ => None,
    })
}

fn uid(number: usize) -> String {
    format!("u{number}")
}

fn source(number: usize) -> SourceId {
    SourceId { namespace: "shop".into(), name: format!("data{number}"), uid: uid(number) }
}

fn cronjob(number: usize) -> String {
    format!("cronjob/{}", uid(number))
}

fn refused(_: &Action, _: &Settings) -> Answer {
    Err(Refusal::NoDestination("attic".into()))
}

fn unanswered(_: &Action, _: &Settings) -> Answer {
    Err(Refusal::Api(api::Error::Deadline { what: "apply".into() }))
}

/// A full list tells of each object, and some objects change each second.
#[test]
fn many_changes_of_a_source_are_one_step() {
    let mut bench = Bench::with(1);
    for version in 2..1000 {
        bench.claim(0, version);
    }
    assert_eq!(bench.turn(), ["ledger/u0", "sweep"]);
    bench.settle();
    let all = ["cronjob/u0", "ledger/u0", "status/u0", "sweep"];
    assert_eq!(all.map(|key| bench.times(key)), [1; 4]);
    assert_eq!(bench.server.log.borrow().len(), 4);
}

#[test]
fn a_wake_fires_once_and_not_before_its_time() {
    let mut bench = Bench::with(2);
    bench.settle();
    let at = Span::from_secs(60).after(bench.now);
    for _ in 0..2 {
        bench.engine.wake_at(Some(at), Wake::Source(uid(1)));
        bench.engine.wake_at(Some(at), Wake::Sweep);
    }
    assert_eq!(bench.engine.next_wake(), Some(at));
    bench.engine.wake(Span::from_secs(59).after(bench.now));
    assert!(bench.engine.dirty.is_empty() && !bench.engine.sweep_due);
    bench.engine.wake(at);
    assert_eq!(bench.engine.dirty, HashSet::from([uid(1)]), "the other source has nothing to do");
    assert!(bench.engine.sweep_due && bench.engine.next_wake().is_none());
    bench.now = at;
    bench.settle();
    bench.engine.wake(Span::from_secs(60).after(at));
    assert!(bench.engine.dirty.is_empty() && !bench.engine.sweep_due);
}

#[test]
fn a_refused_step_is_told_and_waits_longer_each_time_until_it_is_done() {
    let mut bench = Bench::with(2);
    let key = cronjob(0);
    assert!(bench.settle_but(&key));
    let mut pauses = Vec::new();
    for _ in 0..6 {
        bench.answer(&key, refused);
        assert_eq!(bench.fault(0), Some(Reason::UnknownDestination));
        pauses.push(bench.until(&key));
    }
    for (pause, whole) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]) {
        assert!((whole * 0.75..=whole).contains(pause), "{pauses:?}");
    }
    assert_eq!((bench.times(&key), bench.times(&cronjob(1))), (7, 1));
    assert_eq!(bench.fault(1), None, "it is one source's fault");
    bench.answer(&key, done);
    bench.settle();
    assert_eq!((bench.fault(0), bench.times(&key)), (None, 7));
}

#[test]
fn a_refusal_is_forgotten_when_nobody_wants_the_step() {
    let mut bench = Bench::with(1);
    let key = cronjob(0);
    assert!(bench.settle_but(&key));
    bench.answer(&key, refused);
    assert!(!bench.settle_but(&key) && bench.fault(0).is_some());
    bench.select(false);
    bench.settle();
    assert_eq!(bench.fault(0), None);
    bench.wait(3600);
    bench.settle();
    assert_eq!(bench.times(&key), 1);
}

/// Ten thousand Events say less than one log line.
#[test]
fn that_old_pvcs_are_protected_is_no_news_when_the_controller_first_looks_at_them() {
    let mut bench = Bench::with(1);
    let told = |bench: &Bench, key: &str| {
        let asked = bench.server.asked.borrow();
        let write = asked.iter().find_map(|(action, ..)| match action {
            Action::WriteLedger(write) if action.key() == key => Some(write),
            _ => None,
        });
        write.unwrap().notes.iter().any(|note| note.reason == "Protected")
    };
    bench.turn();
    assert!(!told(&bench, "ledger/u0"));
    bench.settle();
    bench.wait(60);
    bench.claim(1, 2);
    bench.turn();
    assert!(told(&bench, "ledger/u1"), "it is chosen from now on");
}

/// A13: the PVC cannot be written, and its ledger and its Events can.
#[test]
fn a_status_that_cannot_be_written_is_told_once_and_only_until_it_is() {
    let mut bench = Bench::with(1);
    let key = "status/u0";
    let told = |bench: &Bench| bench.engine.world.ledger("u0").and_then(|ledger| ledger.status.not_shown.clone());
    assert!(bench.settle_but(key));
    for _ in 0..4 {
        bench.answer(key, refused);
        bench.until(key);
    }
    let problem = told(&bench).unwrap();
    assert_eq!(problem.reason, Reason::StatusNotShown);
    assert!(problem.message.contains("backup-controller.io/status of the PVC"), "{}", problem.message);
    assert_eq!((bench.times("ledger/u0"), bench.fault(0)), (2, None), "it is no fault of the backups");
    bench.engine.world.memory.not_shown.clear();
    bench.claim(0, 2);
    assert!(bench.settle_but(key) && told(&bench).is_some(), "a restart forgets why, and not that it is so");
    bench.answer(key, done);
    bench.settle();
    assert_eq!((told(&bench), bench.times("ledger/u0")), (None, 3));
}

/// An API server that restarts is no fault of a source.
#[test]
fn a_refusal_that_may_pass_by_itself_is_told_when_it_has_not() {
    let mut bench = Bench::with(1);
    let key = cronjob(0);
    let told: Vec<bool> = (0..4)
        .map(|_| {
            bench.until(&key);
            bench.answer(&key, unanswered);
            bench.fault(0).is_some()
        })
        .collect();
    assert_eq!(told, [false, false, true, true]);
}

/// Whatever changes meanwhile: what is under way is not begun again, and is not wanted again when it has ended.
#[test]
fn an_api_server_that_answers_late_is_asked_once() {
    let mut bench = Bench::with(1);
    for key in ["ledger/u0".to_owned(), cronjob(0)] {
        assert!(bench.settle_but(&key), "{key}");
        for minute in 1..=120 {
            bench.wait(60);
            bench.claim(0, minute);
            bench.engine.sweep_due = true;
            assert!(bench.settle_but(&key), "{key}");
        }
        bench.answer(&key, done);
    }
    bench.settle();
    assert_eq!(["ledger/u0", "cronjob/u0"].map(|key| bench.times(key)), [1, 1]);
}

/// The age of what a watch tells decides, and nothing else: the same in a newer version is put right.
#[test]
fn a_watch_that_is_behind_repeats_nothing() {
    let mut bench = Bench::with(1);
    bench.settle();
    let before = bench.server.log.borrow().clone();
    assert_eq!(before.len(), 4, "{before:?}");
    let tell = |bench: &mut Bench, version: u64| {
        bench.claim(0, version);
        let cronjobs = &bench.engine.world.cronjobs;
        let mut other = cronjobs.get("", &names::cronjob(&source(0))).unwrap().clone();
        (other.applied, other.id.resource_version) = (Some("another".into()), version.to_string());
        bench.engine.observe(Change::CronJob(Seen::Put(other)));
    };
    // What was there before our own writes: the PVC without its status, and another CronJob.
    tell(&mut bench, WRITTEN - 1);
    bench.settle();
    assert_eq!(*bench.server.log.borrow(), before);
    tell(&mut bench, WRITTEN + 1);
    assert_eq!(bench.turn(), ["cronjob/u0", "status/u0"]);
}

/// Each new field of a type, and each setting that is the controller's alone, rewrote all CronJobs of a cluster.
#[test]
fn a_cronjob_is_written_again_if_it_is_rendered_differently_and_not_otherwise() {
    let mut bench = Bench::with(1);
    bench.settle();
    let disk = "destinations: [{name: disk, type: disk, claim: {size: 1Gi}}]";
    for (config, times, why) in [
        ("{}".to_owned(), 1, "the same"),
        (format!("{disk}\ndefaults: {{destinations: [disk]}}"), 1, "copies are made by the controller"),
        (format!("{disk}\ndeadlines: {{copy: 5h}}"), 1, "and they have deadlines"),
        ("deadlines: {snapshotJob: 40m}".to_owned(), 2, "the deadline of its Jobs"),
        ("deadlines: {snapshotReady: 5m}".to_owned(), 3, "an argument of its pods"),
        ("resources: {snapshotJob: {limits: {memory: 300Mi}}}".to_owned(), 4, "what its pods may use"),
        ("defaults: {retention: last=9}".to_owned(), 5, "the source's own setting"),
    ] {
        bench.engine.reload(Ok(settings(&config)));
        bench.settle();
        assert_eq!(bench.times(&cronjob(0)), times, "{why}");
    }
}

/// What is deleted stays in a watch for a moment, or for ever if something holds it.
#[test]
fn what_is_deleted_is_deleted_again_only_if_it_stays() {
    let mut bench = Bench::with(1);
    bench.settle();
    bench.select(false);
    bench.turn();
    let key = bench.asked().into_iter().find(|key| key.starts_with("cronjob-delete/")).unwrap();
    bench.answer(&key, |_, _| Ok(None));
    for second in 0..29 {
        bench.wait(1);
        bench.claim(0, WRITTEN + 1 + second);
        assert!(!bench.settle_but(&key), "{second}");
    }
    bench.wait(1);
    assert!(bench.settle_but(&key), "its wake has come");
    bench.answer(&key, |action, _| match action {
        Action::DeleteCronJob(id) => {
            Ok(Some(Change::CronJob(Seen::Gone((String::new(), id.name.clone()), id.uid.clone()))))
        }
        other => panic!("{other:?}"),
    });
    bench.wait(3600);
    bench.settle();
    assert_eq!(bench.times(&key), 2);
}

#[test]
fn so_many_steps_are_under_way_and_each_end_lets_one_more_in() {
    let mut bench = Bench::with(3 * CONCURRENCY);
    let first = bench.turn();
    assert_eq!(first.len(), CONCURRENCY);
    assert_eq!(bench.turn(), first);
    bench.answer(&first[0], done);
    let next = bench.turn();
    assert_eq!((next.len(), next.contains(&first[0])), (CONCURRENCY, false));
    for _ in 0..20 {
        bench.asked().iter().for_each(|key| bench.answer(key, done));
        assert!(bench.turn().len() <= CONCURRENCY);
    }
    assert_eq!(bench.server.log.borrow().len(), 3 * (3 * CONCURRENCY) + 1, "a ledger, a CronJob and a status each");
}
