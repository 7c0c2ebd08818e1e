//! The ledger: what it forgets and what it keeps, whom it believes, and that no state of it makes rotation delete what a
//! whole one would keep.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::Timestamp;
use model::config::{Deadlines, PromoterRetention};
use model::duration::Span;
use model::facts::{Identity, Snapshot};
use model::ledger::{Book, CHECKSUM, Entry, Finding, KEY, Ledger, SCHEMA};
use model::names::{self, Run, SourceId};
use model::next_copy::point_state;
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState, Settings, Status};
use model::retention::Retention;
use model::rotate::{Decision, Point, PointState, Rules, plan};
use model::schedule::Zone;
use proptest::prelude::*;

use crate::fixtures::{cases, claim, snapshot};

const UID: &str = "0a1b2c3d-0000-4000-8000-000000000001";
const DESTINATIONS: [&str; 2] = ["disk", "s3"];

fn source() -> SourceId {
    SourceId { namespace: "shop".into(), name: "data".into(), uid: UID.into() }
}

fn at(day: u64) -> Timestamp {
    Span::days(day).after("2026-01-01T00:00:00Z".parse().unwrap())
}

fn run(day: u64) -> Run {
    Run::at(at(day))
}

fn taken(day: u64) -> Identity {
    Identity { name: format!("data-{day}"), uid: format!("s-{day}"), resource_version: "1".into() }
}

fn empty() -> Ledger {
    let mut ledger = Ledger::of_shown(&source(), &Status::default());
    ledger.settings = Some(Settings {
        retention: "last=2".into(),
        time_zone: "Etc/UTC".into(),
        choice: None,
        destinations: DESTINATIONS.map(str::to_owned).into(),
    });
    ledger
}

fn result(state: CopyState, day: u64) -> CopyResult {
    CopyResult::without_data(state, &Problem::new(Reason::CopyFailed, "x"), Span::hours(1).after(at(day)))
}

fn enter(ledger: &mut Ledger, day: u64, destination: &str, result: CopyResult) {
    enter_since(ledger, day, destination, result, Timestamp::MIN);
}

/// What a controller finds out that has been watching since then.
fn enter_since(ledger: &mut Ledger, day: u64, destination: &str, result: CopyResult, watching_since: Timestamp) {
    let entry = Entry::Result(Box::new(result));
    ledger.enter(&Finding { run: run(day), destination: destination.into(), entry }, watching_since);
}

fn map(data: BTreeMap<String, String>, labels: &[(&str, &str)]) -> ConfigMap {
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let metadata = ObjectMeta { name: Some(names::ledger(UID)), labels: Some(labels), ..ObjectMeta::default() };
    ConfigMap { metadata, data: Some(data), ..ConfigMap::default() }
}

const LABELS: [(&str, &str); 3] =
    [(names::MANAGED_BY, names::MANAGER), (names::INSTANCE, "night"), (names::COMPONENT, "ledger")];

#[test]
fn a_ledger_is_read_as_it_was_written() {
    let mut ledger = empty();
    ledger.begin(&run(1), &taken(1), false);
    enter(&mut ledger, 1, "disk", result(CopyState::Complete, 1));
    let book = Book::read(&map(ledger.to_data(), &LABELS), &"night".into()).unwrap();
    assert_eq!((book.uid.as_str(), book.ledger), (UID, Ok(Box::new(ledger))));
    assert!(Book::read(&ConfigMap::default(), &"night".into()).is_none(), "it has no ledger's name");
}

/// U4: who makes a PVC again has to know its class and its size, and the labels and annotations are lost.
#[test]
fn what_a_source_was_is_shown_once_it_is_gone_and_read_back() {
    let claim = claim(
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: shop, uid: u-1,
          labels: {app: shop, backup-controller.io/run: 20181202T0000Z},
          annotations: {backup-controller.io/enabled: 'true', backup-controller.io/run-now: x, other: x}},
          spec: {storageClassName: fast, volumeMode: Block, accessModes: [ReadWriteMany, ReadWriteOnce],
          resources: {requests: {storage: 2Gi}}}}",
    );
    let mut ledger = Ledger::new(&claim, "n-1");
    assert_eq!(ledger.shown().volume, None, "the PVC shows it itself");
    ledger.gone = Some(at(1));
    let shown = Status::parse(&ledger.shown().to_text()).unwrap();
    let volume = Ledger::of_shown(&source(), &shown).volume;
    assert_eq!((&volume, volume.known()), (&ledger.volume, Some(&volume)));
    assert_eq!((volume.storage_class.as_deref(), volume.bytes, volume.mode.is_block()), (Some("fast"), 2 << 30, true));
    assert_eq!(volume.access_modes.words().collect::<Vec<_>>(), ["ReadWriteOnce", "ReadWriteMany"]);
    assert_eq!(volume.labels, BTreeMap::from([("app".to_owned(), "shop".to_owned())]), "ours are reserved");
    let settings: Vec<&str> = volume.settings().map(|(key, _)| key.as_str()).collect();
    assert_eq!(settings, [names::ENABLED]);
    assert_eq!(Ledger::of_shown(&source(), &Status::default()).volume.known(), None, "an older controller's");
}

/// Each is told by object and field.
#[test]
fn a_ledger_that_is_not_ours_edited_newer_too_long_or_anothers_is_not_believed() {
    let said = |data: BTreeMap<String, String>, labels: &[(&str, &str)]| {
        let problem = Book::read(&map(data, labels), &"night".into()).unwrap().ledger.unwrap_err();
        assert_eq!(problem.reason, Reason::LedgerUnreadable);
        assert!(problem.message.contains(&names::ledger(UID)), "{problem}");
        problem.message
    };
    let signed = |text: String| BTreeMap::from([(CHECKSUM.to_owned(), names::hash(&text, 64)), (KEY.to_owned(), text)]);
    assert!(said(empty().to_data(), &LABELS[..2]).contains("metadata.labels"));
    let other = [LABELS[0], (names::INSTANCE, "other"), LABELS[2]];
    assert!(said(empty().to_data(), &other).contains("metadata.labels"), "another installation's");
    assert!(said(BTreeMap::new(), &LABELS).contains("data[\"ledger.json\"]: is missing"));
    let mut edited = empty().to_data();
    *edited.get_mut(KEY).unwrap() = edited[KEY].replace("last=2", "last=1");
    assert!(said(edited, &LABELS).contains("somebody edited it"));
    assert!(said(signed("{".into()), &LABELS).contains(KEY));
    let newer = Ledger { schema: SCHEMA + 1, ..empty() };
    assert!(said(newer.to_data(), &LABELS).contains("a newer version wrote it"));
    assert!(said(signed("x".repeat(300_000)), &LABELS).contains("300000 bytes"));
    let mut strange = empty();
    strange.source.uid = "another".into();
    assert!(said(strange.to_data(), &LABELS).contains("source.uid"));
}

/// Old ones are written as a few words; whatever else is known of them is not lost by that.
#[test]
fn short_results_say_the_same_as_long_ones() {
    let whole =
        CopyResult { reason: None, message: String::new(), files: 3, bytes: 4, ..result(CopyState::Complete, 1) };
    for result in [
        whole.clone(),
        CopyResult { snapshot: Some("0123456789abcdef".into()), ..whole.clone() },
        CopyResult { snapshot: Some("x y".into()), ..whole.clone() },
        CopyResult { unchanged: true, snapshot: Some("0123".into()), ..whole.clone() },
        CopyResult { state: CopyState::Superseded, ..whole.clone() },
        CopyResult { kept: vec![run(1)], ..whole.clone() },
        result(CopyState::Failed, 1),
    ] {
        let mut ledger = empty();
        ledger.begin(&run(1), &taken(1), false);
        ledger.runs[0].destinations = vec!["disk".into()];
        ledger.runs[0].results.insert("disk".into(), result);
        let data = ledger.to_data();
        assert_eq!(Ledger::parse(UID, &data), Ok(ledger));
    }
    let mut ledger = empty();
    ledger.begin(&run(1), &taken(1), false);
    ledger.runs[0].results.insert("disk".into(), whole);
    assert!(ledger.to_data()[KEY].contains("\"disk\":\"Complete 2026-01-02T01:00:00Z 3 4\""), "{ledger:?}");
}

#[test]
fn a_result_is_final_and_of_a_run_that_is_known() {
    let mut ledger = empty();
    enter(&mut ledger, 1, "disk", result(CopyState::Complete, 1));
    assert!(ledger.runs.is_empty());
    ledger.begin(&run(1), &taken(1), false);
    ledger.begin(&run(1), &taken(1), false);
    enter(&mut ledger, 1, "disk", result(CopyState::Failed, 1));
    enter(&mut ledger, 1, "disk", result(CopyState::Complete, 2));
    assert_eq!(ledger.runs.len(), 1);
    assert_eq!(ledger.runs[0].results["disk"].state, CopyState::Failed);
    let another = Identity { uid: "made again".into(), ..taken(1) };
    assert!(ledger.run(&run(1), &another).is_none(), "a snapshot of that name that was made again is another one");
}

/// Until every destination has told what it has, nothing is deleted; then its runs have their records back.
#[test]
fn a_ledger_that_was_lost_is_whole_when_every_destination_has_answered() {
    use CopyState::{Complete, Failed, Incomplete, Superseded};
    let mut ledger = empty();
    (1..=3).for_each(|day| ledger.begin(&run(day), &taken(day), true));
    ledger.begin(&run(4), &taken(4), false);
    assert!(!ledger.is_whole());
    let silent = result(CopyState::Complete, 4);
    enter(
        &mut ledger,
        4,
        "disk",
        CopyResult { kept: vec![run(4), run(3), run(1)], incomplete: vec![run(3)], ..silent },
    );
    assert!(!ledger.is_whole(), "s3 has not answered");
    let states = |ledger: &Ledger, to: &str| -> Vec<Option<CopyState>> {
        ledger.runs.iter().map(|r| r.results.get(to).map(|r| r.state)).collect()
    };
    assert_eq!(states(&ledger, "disk"), [Some(Complete), Some(Superseded), Some(Incomplete), Some(Complete)]);
    assert_eq!(states(&ledger, "s3"), [None; 4]);
    // A copy that failed, and one whose list did not fit its message, tell nothing of what is there.
    enter(&mut ledger, 4, "s3", result(Failed, 4));
    assert!(!ledger.is_whole());
    ledger.begin(&run(5), &taken(5), false);
    enter(&mut ledger, 5, "s3", result(Complete, 5));
    assert!(!ledger.is_whole());
    ledger.begin(&run(6), &taken(6), false);
    enter(&mut ledger, 6, "s3", CopyResult { kept: vec![run(6)], ..result(Complete, 6) });
    assert!(ledger.is_whole());
    assert_eq!(states(&ledger, "s3")[..3], [Some(Superseded); 3]);
}

/// L20: an older ledger does not know of a copy, and the run was given up for a newer one. The destination has the copy.
#[test]
fn that_a_run_was_not_copied_counts_less_than_the_word_of_the_destination() {
    use CopyState::{Complete, Failed, Superseded};
    let mut ledger = empty();
    (1..=4).for_each(|day| ledger.begin(&run(day), &taken(day), false));
    for (day, state) in [(1, Superseded), (2, Superseded), (3, Failed)] {
        enter(&mut ledger, day, "disk", result(state, day));
    }
    enter(&mut ledger, 4, "disk", CopyResult { kept: vec![run(4), run(3), run(1)], ..result(Complete, 4) });
    let states: Vec<CopyState> = ledger.runs.iter().map(|r| r.results["disk"].state).collect();
    assert_eq!(states, [Complete, Superseded, Failed, Complete]);
}

/// Law 8: with a cluster that was restored its snapshot is there again; it is not copied again.
#[test]
fn a_run_whose_snapshot_comes_back_has_its_results_before_that_is_written_down() {
    let mut ledger = empty();
    ledger.begin(&run(1), &taken(1), false);
    enter(&mut ledger, 1, "disk", CopyResult { kept: vec![run(1)], ..result(CopyState::Complete, 1) });
    ledger.trim(|_| false);
    assert!(ledger.run(&run(1), &taken(1)).is_none());
    let record = ledger.record(&run(1), &taken(1));
    assert_eq!((record.results.len(), record.snapshot()), (1, Some(("data-1", "s-1"))));
    ledger.begin(&run(1), &taken(1), false);
    assert_eq!(ledger.runs, [record]);
}

#[test]
fn a_ledger_keeps_runs_with_a_restore_point_and_the_last_twenty_without() {
    let mut ledger = empty();
    for day in 1..=60 {
        ledger.begin(&run(day), &taken(day), false);
        let kept = if day < 60 { vec![run(day)] } else { vec![run(60), run(2)] };
        enter(&mut ledger, day, "disk", CopyResult { kept, ..result(CopyState::Complete, day) });
    }
    ledger.trim(|record| record.run == run(3));
    let days: Vec<String> = ledger.runs.iter().map(|r| r.run.to_string()).collect();
    assert_eq!(days.len(), 23, "{days:?}");
    assert_eq!(days[..2], [run(2).to_string(), run(3).to_string()], "the copy of the one, the snapshot of the other");
    let lists = ledger.runs.iter().filter(|r| !r.results["disk"].kept.is_empty()).count();
    assert_eq!(lists, 1, "what is there, the newest copy tells");
    assert!(!ledger.is_over(false) && !ledger.is_over(true));
    ledger.runs.retain(|r| r.run != run(60) && r.run != run(2));
    let mut gone = ledger.clone();
    gone.runs.clear();
    assert!(gone.is_over(false) && !gone.is_over(true));
}

/// A volume that does not change for months, at a repository: each run stands for the same snapshot.
#[test]
fn runs_that_changed_nothing_do_not_fill_a_ledger() {
    let mut ledger = empty();
    for day in 1..=400 {
        ledger.begin(&run(day), &taken(day), false);
        let told = CopyResult {
            kept: vec![run(1)],
            snapshot: Some("0123456789abcdef".into()),
            ..result(CopyState::Complete, day)
        };
        enter(&mut ledger, day, "s3", CopyResult { unchanged: day > 1, ..told });
        ledger.trim(|record| record.run == run(day));
    }
    let days: Vec<String> = ledger.runs.iter().map(|r| r.run.to_string()).collect();
    assert!(days.len() <= 22 && days[0] == run(1).to_string(), "{days:?}");
    assert!(!ledger.is_over(false), "there is a copy");
}

/// 31 daily and 24 monthly runs at three destinations: what etcd and the API server hold for each source.
#[test]
fn the_largest_usual_ledger_is_small() {
    let mut ledger = empty();
    ledger.settings.as_mut().unwrap().destinations = ["disk", "attic", "s3"].map(str::to_owned).into();
    for day in 1..=55 {
        ledger.begin(&run(day), &taken(day), false);
        for to in ["disk", "attic", "s3"] {
            let kept = (1..=day).rev().map(run).collect();
            let snapshot = (to == "s3").then(|| names::hash(&day.to_string(), 64));
            let state = result(CopyState::Complete, day);
            let whole = CopyResult { reason: None, message: String::new(), ..state };
            let counts =
                CopyResult { files: 123_456, bytes: 123_456_789_012, written: 1_234_567, seconds: 99, ..whole };
            enter(&mut ledger, day, to, CopyResult { kept, snapshot, ..counts });
        }
    }
    // The snapshots of the last three are there.
    ledger.trim(|record| record.run >= run(53));
    let size = ledger.to_data()[KEY].len();
    println!("{size} bytes");
    assert!(size <= 16 * 1024, "{size} bytes");
}

/// The controller sees the snapshots that are there.
fn see(ledger: &mut Ledger, there: &[u64], new: bool) {
    let there: Vec<(Run, Identity)> = there.iter().map(|day| (run(*day), taken(*day))).collect();
    let until = ledger.doubtful(there.iter().map(|(run, taken)| (run, taken))).filter(|_| !new).cloned();
    for (run, taken) in &there {
        ledger.begin(run, taken, new);
    }
    if let Some(until) = until {
        ledger.doubt(&until);
    }
}

/// Of the runs that wait for a destination the newest is copied, and the older never will be; those in doubt have to be
/// told of.
fn supersede(ledger: &mut Ledger, newest: u64, to: &str, watching_since: Timestamp) {
    for day in 1..newest {
        let record = ledger.runs.iter().find(|r| r.run == run(day));
        if record.is_some_and(|r| !r.rebuilt) {
            enter_since(ledger, day, to, result(CopyState::Superseded, newest), watching_since);
        }
    }
}

/// What happens to a source over time.
#[derive(Debug, Clone)]
enum Event {
    /// A run, and how its copies end while the controller is there.
    Run(Vec<CopyState>),
    /// The copies of the newest run that have no result by the ledger are made, and end like this: once more, if etcd is older.
    Again(CopyState),
    /// The controller is away for the next runs.
    Away(usize),
    /// Somebody deletes the ledger.
    Lost,
    /// etcd is what it was some writes of the ledger ago: the ledger, and the snapshots that there were.
    Older(usize),
    /// A second writer has the same state, and writes too: one of the two loses.
    Twice,
    /// The snapshot job rotates.
    Rotate,
}

fn event() -> impl Strategy<Value = Event> {
    use CopyState::{Complete, Failed, Incomplete};
    let state = prop::sample::select(vec![Complete, Complete, Complete, Incomplete, Failed]);
    prop_oneof![
        6 => prop::collection::vec(state.clone(), 2).prop_map(Event::Run),
        3 => prop::collection::vec(Just(Failed), 2).prop_map(Event::Run),
        2 => state.prop_map(Event::Again),
        1 => (1_usize..8).prop_map(Event::Away),
        1 => Just(Event::Lost),
        1 => (1_usize..4).prop_map(Event::Older),
        1 => Just(Event::Twice),
        4 => Just(Event::Rotate),
    ]
}

/// A source with its snapshots, what lies at its destinations, the ledger, and one that nothing ever happens to.
struct Cluster {
    day: u64,
    there: Vec<u64>,
    shelves: BTreeMap<&'static str, BTreeMap<u64, CopyState>>,
    ledger: Option<Ledger>,
    written: Vec<(Ledger, Vec<u64>)>,
    whole: Ledger,
    /// For how many runs the controller is away yet.
    away: usize,
    /// Since when it has been watching.
    since: Timestamp,
}

impl Cluster {
    fn new() -> Self {
        let ledger = Some(empty());
        let shelves = DESTINATIONS.map(|to| (to, BTreeMap::new())).into();
        let (there, written) = (Vec::new(), Vec::new());
        Self { day: 0, there, shelves, ledger, written, whole: empty(), away: 0, since: Timestamp::MIN }
    }

    /// The controller looks, and writes down what it found.
    fn write(&mut self, found: &[(u64, &'static str, CopyResult)]) {
        let new = self.ledger.is_none();
        let mut next = self.ledger.clone().unwrap_or_else(empty);
        see(&mut self.whole, &self.there, false);
        see(&mut next, &self.there, new);
        for (day, to, result) in found {
            enter_since(&mut next, *day, to, result.clone(), self.since);
            enter(&mut self.whole, *day, to, result.clone());
            if result.state != CopyState::Failed {
                supersede(&mut next, *day, to, self.since);
                supersede(&mut self.whole, *day, to, Timestamp::MIN);
            }
        }
        let there = self.there.clone();
        next.trim(|r| there.iter().any(|day| run(*day) == r.run));
        self.written.push((next.clone(), there));
        self.ledger = Some(next);
    }

    fn points(&self, ledger: &Ledger) -> Vec<Point> {
        let point = |day: &u64| {
            let vs = ready(*day);
            let record = ledger.record(&run(*day), &taken(*day));
            let state = point_state(&vs, &record, &Deadlines::default(), at(self.day));
            Point { run: run(*day), id: taken(*day), state, held: false, terminating: false, promoter: None }
        };
        self.there.iter().map(point).collect()
    }

    /// The snapshots that go by a ledger, at once and later.
    fn deletes(&self, ledger: &Ledger, retention: &Retention) -> (Vec<u64>, Vec<u64>) {
        let zone = Zone::default();
        let rules = Rules {
            retention,
            zone: &zone,
            now: at(self.day),
            current: None,
            min_keep: 2,
            max_unconfirmed: 3,
            max_deletes: 3,
            max_holds: 0,
            promoters: PromoterRetention::Auto,
        };
        let decisions = plan(&self.points(ledger), &rules);
        let day = |d: &Decision| d.point.id.name.trim_start_matches("data-").parse().unwrap();
        let goes = decisions.iter().filter(|d| !d.snapshot.stays());
        let (now, later): (Vec<_>, Vec<_>) = goes.partition(|d| d.snapshot.deletes());
        (now.into_iter().map(day).collect(), later.into_iter().map(day).collect())
    }

    /// A run is good if a copy of it is whole somewhere, whatever anybody has written down.
    fn is_good(&self, day: u64) -> bool {
        self.shelves.values().any(|shelf| shelf.get(&day) == Some(&CopyState::Complete))
    }

    /// Whether some destination has data of a run, whatever anybody has written down.
    fn has_copy(&self, day: u64) -> bool {
        self.shelves.values().any(|shelf| shelf.contains_key(&day))
    }

    fn happen(&mut self, event: &Event, retention: &Retention) -> Result<(), TestCaseError> {
        match event {
            Event::Away(runs) => {
                self.away = *runs;
                self.since = at(self.day + *runs as u64 + 1);
            }
            Event::Again(state) => {
                let Some(day) = self.there.last().copied().filter(|_| self.away == 0) else { return Ok(()) };
                let Some(ledger) = &self.ledger else { return Ok(()) };
                let record = ledger.record(&run(day), &taken(day));
                let waits = |to: &&str| !record.rebuilt && !record.results.contains_key(*to);
                let found = DESTINATIONS.into_iter().filter(waits).map(|to| (day, to, self.copy(day, to, *state)));
                let found: Vec<_> = found.collect();
                // Nobody repeats a copy by a whole ledger; if it is better than the first, that is known.
                for (day, to, _) in found.iter().filter(|(.., told)| told.state.has_data()) {
                    let known = self.whole.runs.iter_mut().filter(|r| r.run == run(*day));
                    known.for_each(|r| r.results.retain(|name, its| name != to || its.state.has_data()));
                }
                self.write(&found);
            }
            Event::Lost => self.ledger = None,
            Event::Older(writes) => {
                if let Some(write) = self.written.len().checked_sub(1 + writes) {
                    // What was written since never was, also for the next time.
                    self.written.truncate(write + 1);
                    let (ledger, there) = self.written[write].clone();
                    (self.ledger, self.there) = (Some(ledger), there);
                    self.since = at(self.day + 1);
                }
            }
            // The version that it planned from is not there any more: nothing is written.
            Event::Twice => {}
            Event::Run(states) => {
                self.day += 1;
                self.there.push(self.day);
                if self.away > 0 {
                    self.away -= 1;
                    return Ok(());
                }
                // The ledger is there before the run that it records.
                if self.ledger.is_none() {
                    let today = self.there.pop();
                    self.write(&[]);
                    self.there.extend(today);
                }
                self.write(&[]);
                let (day, copies) = (self.day, DESTINATIONS.into_iter().zip(states));
                let found: Vec<_> = copies.map(|(to, state)| (day, to, self.copy(day, to, *state))).collect();
                self.write(&found);
            }
            Event::Rotate => self.rotate(retention)?,
        }
        Ok(())
    }

    /// A copy is made, and tells what is there.
    fn copy(&mut self, day: u64, to: &'static str, state: CopyState) -> CopyResult {
        let trees = self.shelves.get_mut(to).unwrap();
        let mut told = result(state, self.day);
        if state != CopyState::Failed {
            // What lies there already is found.
            told.state = *trees.entry(day).or_insert(state);
            told.kept = trees.keys().rev().map(|day| run(*day)).collect();
            let lacks = trees.iter().filter(|(_, state)| **state == CopyState::Incomplete);
            told.incomplete = lacks.map(|(day, _)| run(*day)).collect();
        }
        told
    }

    fn rotate(&mut self, retention: &Retention) -> Result<(), TestCaseError> {
        let Some(ledger) = self.ledger.clone().filter(Ledger::is_whole) else { return Ok(()) };
        let (gone, _) = self.deletes(&ledger, retention);
        // What was taken while the controller was away is as unknown to a ledger that nothing happened to.
        let (would, later) = self.deletes(&self.whole, retention);
        // Which of the runs without any copy stay depends on which run is the newest good one, as far as it is known.
        for day in gone.iter().filter(|day| self.has_copy(**day)) {
            let goes = would.contains(day) || later.contains(day);
            prop_assert!(goes, "{day} goes, and a whole ledger keeps it: {would:?}, {later:?}");
        }
        let good_before = self.there.iter().filter(|day| self.is_good(**day)).count();
        let newest = self.there.iter().filter(|day| self.is_good(**day)).max().copied();
        self.there.retain(|day| !gone.contains(day));
        let good_after = self.there.iter().filter(|day| self.is_good(**day)).count();
        prop_assert!(good_after >= good_before.min(2), "the floor: {good_before} were good, {good_after} are");
        prop_assert!(newest.is_none_or(|day| self.there.contains(&day)), "the last good one: {newest:?}");
        Ok(())
    }
}

fn ready(day: u64) -> Snapshot {
    let created = at(day);
    snapshot(&format!(
        "metadata: {{name: data-{day}, uid: s-{day}, namespace: shop, creationTimestamp: '{created}'}}\n\
         spec: {{source: {{persistentVolumeClaimName: data}}}}\nstatus: {{readyToUse: true}}"
    ))
}

proptest! {
    #![proptest_config(cases(400))]

    /// Laws 1 and 3, and that a ledger in any state deletes nothing with a copy that a whole one would keep. L20: also one that etcd has
    /// from before a copy ended, while the controller is away for longer than `maxUnconfirmed` runs.
    #[test]
    fn no_state_of_the_ledger_makes_rotation_delete_what_a_whole_one_keeps(
        events in prop::collection::vec(event(), 1..60),
        retention in prop::sample::select(vec!["1h", "3days", "last=1", "last=3", "daily=5 weekly=2"]),
    ) {
        let retention: Retention = retention.parse().unwrap();
        let mut cluster = Cluster::new();
        for event in &events {
            cluster.happen(event, &retention)?;
        }
    }
}

#[test]
fn an_unknown_run_has_the_destinations_of_the_settings_in_force() {
    let ledger = empty();
    let record = ledger.record(&run(1), &taken(1));
    let state = |record| point_state(&ready(1), record, &Deadlines::default(), at(1));
    assert_eq!(state(&record), PointState::Unrecorded);
    let alone = Ledger { settings: None, ..ledger };
    assert!(!alone.is_whole(), "nobody knows where its runs are copied to");
}

/// Runs whose copies end like this, one after the other.
fn runs(cluster: &mut Cluster, states: [CopyState; 2], number: usize) {
    for _ in 0..number {
        cluster.happen(&Event::Run(states.into()), &"last=1".parse().unwrap()).unwrap();
    }
}

/// L20: etcd went back to before the only good copy ended, and nothing shows it. Then the destinations fail for more than
/// `maxUnconfirmed` runs: what goes is a run of which there is no copy.
#[test]
fn a_good_copy_without_a_result_stays_while_its_destination_fails() {
    use CopyState::{Complete, Failed};
    let mut cluster = Cluster::new();
    runs(&mut cluster, [Failed; 2], 1);
    runs(&mut cluster, [Complete; 2], 1);
    let retention = "last=1".parse().unwrap();
    cluster.happen(&Event::Older(1), &retention).unwrap();
    runs(&mut cluster, [Failed; 2], 8);
    for _ in 0..4 {
        cluster.rotate(&retention).unwrap();
    }
    assert_eq!(cluster.there, [2, 8, 9, 10]);
}

/// L20: the same, and the copy is made again and fails, because nobody can know that it is there. Its snapshot stays while
/// more than `maxUnconfirmed` newer ones fail, and the next copy tells of it.
#[test]
fn a_good_copy_that_was_repeated_in_vain_keeps_its_snapshot_and_is_listed_again() {
    use CopyState::{Complete, Failed};
    let mut cluster = Cluster::new();
    runs(&mut cluster, [Complete; 2], 2);
    let retention = "last=3".parse().unwrap();
    cluster.happen(&Event::Older(1), &retention).unwrap();
    cluster.write(&DESTINATIONS.map(|to| (2, to, result(Failed, 2))));
    runs(&mut cluster, [Failed; 2], 8);
    for _ in 0..4 {
        cluster.rotate(&retention).unwrap();
    }
    assert_eq!(cluster.there, [1, 2, 8, 9, 10]);
    runs(&mut cluster, [Complete; 2], 1);
    let copied = cluster.ledger.as_ref().unwrap().ever_copied();
    for to in DESTINATIONS {
        assert!(copied[to].contains(&run(2)), "{to}: {copied:?}");
    }
}
