//! What is counted: totals by reason, bounded however many volumes there are; per-volume series on request.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64};

use model::Timestamp;
use model::breaker::Breakers;
use model::maintain::TaskState;
use model::names::SourceId;
use model::plan::{Proof, Standing, TaskEnd};
use model::reason::Reason;
use model::record::{CopyResult, CopyState};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    action: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Destination {
    destination: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    destination: String,
    task: &'static str,
    result: &'static str,
}

/// Of sources whose copies are drilled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Proven {
    destination: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VolumeAt {
    namespace: String,
    persistentvolumeclaim: String,
    destination: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Waits {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Down {
    destination: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Volume {
    namespace: String,
    persistentvolumeclaim: String,
}

type Total = Gauge<i64, AtomicI64>;

/// All metrics of the process.
pub(crate) struct Metrics {
    registry: Registry,
    sources: Family<State, Total>,
    waiting: Family<Waits, Total>,
    tasks_waiting: Family<Waits, Total>,
    down: Family<Down, Total>,
    steps: Family<Outcome, Counter>,
    copies: Family<Destination, Counter>,
    bytes: Family<Destination, Counter>,
    tasks: Family<Ended, Counter>,
    proofs: Family<Proven, Total>,
    last_good: Family<Volume, Gauge<f64, AtomicU64>>,
    last_proven: Family<VolumeAt, Gauge<f64, AtomicU64>>,
    config_valid: Total,
    synced: Total,
    standings: HashMap<String, (Standing, Option<Volume>)>,
    per_volume: bool,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("backup_controller");
        let sources = Family::<State, Total>::default();
        registry.register(
            "sources",
            "Sources by state (protected, unprotected, vanished) and reason: why not, or the newest failure",
            sources.clone(),
        );
        let waiting = Family::<Waits, Total>::default();
        registry.register("copies_waiting", "Copies that wait, by reason", waiting.clone());
        let tasks_waiting = Family::<Waits, Total>::default();
        let help = "Prunes, verifies and drills that are due and wait, by reason";
        registry.register("tasks_waiting", help, tasks_waiting.clone());
        let down = Family::<Down, Total>::default();
        let help =
            "Namespaces in which copies to a destination fail for a fault of the destination; 1 for one that is shared";
        registry.register("destinations_down", help, down.clone());
        let steps = Family::<Outcome, Counter>::default();
        registry.register("steps", "Steps taken against the API server, by kind and result", steps.clone());
        let copies = Family::<Destination, Counter>::default();
        registry.register("copies", "Copies recorded, by destination and result", copies.clone());
        let bytes = Family::<Destination, Counter>::default();
        let help = "Bytes that copies wrote; what was hard-linked is not in it";
        registry.register_with_unit("copies_written", help, Unit::Bytes, bytes.clone());
        let tasks = Family::<Ended, Counter>::default();
        registry.register("tasks", "Prunes, verifies and drills recorded, by destination and result", tasks.clone());
        let proofs = Family::<Proven, Total>::default();
        let help =
            "Sources whose copies are drilled, by destination and what the newest drill says: proven, failed, none";
        registry.register("drilled_sources", help, proofs.clone());
        let last_good = Family::<Volume, Gauge<f64, AtomicU64>>::default();
        let help = "When a source's newest good run was, in seconds since 1970; only with metrics.perVolume";
        registry.register_with_unit("last_good_timestamp", help, Unit::Seconds, last_good.clone());
        let last_proven = Family::<VolumeAt, Gauge<f64, AtomicU64>>::default();
        let help = "When a drill last proved a source's copy, in seconds since 1970; only with metrics.perVolume";
        registry.register_with_unit("last_proven_timestamp", help, Unit::Seconds, last_proven.clone());
        let config_valid = Total::default();
        registry.register("config_valid", "1 if the newest configuration file is in force", config_valid.clone());
        let synced = Total::default();
        registry.register("synced", "1 once every kind of object has been listed in full", synced.clone());
        Self {
            registry,
            sources,
            waiting,
            tasks_waiting,
            down,
            steps,
            copies,
            bytes,
            tasks,
            proofs,
            last_good,
            last_proven,
            config_valid,
            synced,
            standings: HashMap::new(),
            per_volume: false,
        }
    }

    /// Whether the newest configuration is in force, and whether it asks for per-volume series.
    pub(crate) fn config(&self, valid: bool) {
        self.config_valid.set(i64::from(valid));
    }

    /// Turns per-volume series on or off.
    pub(crate) fn per_volume(&mut self, on: bool) {
        if self.per_volume && !on {
            self.last_good.clear();
            self.last_proven.clear();
        }
        self.per_volume = on;
    }

    /// Whether every kind has been listed.
    pub(crate) fn synced(&self, synced: bool) {
        self.synced.set(i64::from(synced));
    }

    /// Where a source stands now; `None` if it left nothing behind. A series never outlives its source (F80).
    pub(crate) fn standing(&mut self, uid: &str, source: Option<&SourceId>, standing: Option<&Standing>) {
        let volume = source
            .filter(|_| self.per_volume)
            .map(|s| Volume { namespace: s.namespace.clone(), persistentvolumeclaim: s.name.clone() });
        let new = standing.map(|s| (s.clone(), volume));
        if self.standings.get(uid) == new.as_ref() {
            return;
        }
        let old = match new.clone() {
            Some(new) => self.standings.insert(uid.to_owned(), new),
            None => self.standings.remove(uid),
        };
        if let Some((standing, volume)) = old {
            let gauge = self.sources.get_or_create(&state(&standing)).clone();
            if gauge.dec() <= 1 {
                self.sources.remove(&state(&standing));
            }
            for proof in proofs(&standing) {
                if self.proofs.get_or_create(&proven(proof)).dec() <= 1 {
                    self.proofs.remove(&proven(proof));
                }
                if let Some(volume) = &volume {
                    self.last_proven.remove(&volume.at(&proof.destination));
                }
            }
            if let Some(volume) = volume {
                self.last_good.remove(&volume);
            }
        }
        if let Some((standing, volume)) = new {
            self.sources.get_or_create(&state(&standing)).inc();
            for proof in proofs(&standing) {
                self.proofs.get_or_create(&proven(proof)).inc();
                if let (Some(volume), Some(at)) = (&volume, proof.proven) {
                    self.last_proven.get_or_create(&volume.at(&proof.destination)).set(seconds(at));
                }
            }
            if let (Standing::Protected(Some(run), ..), Some(volume)) = (standing, volume) {
                self.last_good.get_or_create(&volume).set(seconds(run.time()));
            }
        }
    }

    /// What waiting copies and tasks wait for.
    pub(crate) fn waiting(&self, copies: &[Reason], tasks: &[Reason]) {
        for (family, reasons) in [(&self.waiting, copies), (&self.tasks_waiting, tasks)] {
            let mut totals: BTreeMap<Reason, i64> = BTreeMap::new();
            for reason in reasons {
                *totals.entry(*reason).or_default() += 1;
            }
            family.clear();
            for (reason, total) in totals {
                family.get_or_create(&Waits { reason: reason.as_str() }).set(total);
            }
        }
    }

    /// Which destinations are down. Namespaces are counted and not named: there may be many.
    pub(crate) fn down(&self, down: &Breakers) {
        let mut totals: BTreeMap<(&str, &'static str), i64> = BTreeMap::new();
        for (key, open) in down {
            let destination = key.split('/').next().unwrap_or(key);
            *totals.entry((destination, open.reason.as_str())).or_default() += 1;
        }
        self.down.clear();
        for ((destination, reason), total) in totals {
            self.down.get_or_create(&Down { destination: destination.to_owned(), reason }).set(total);
        }
    }

    /// A step ended.
    pub(crate) fn step(&self, action: &'static str, result: &'static str) {
        self.steps.get_or_create(&Outcome { action, result }).inc();
    }

    /// A copy was recorded.
    pub(crate) fn copy(&self, destination: &str, result: &CopyResult) {
        let state = match result.state {
            CopyState::Complete => "Complete",
            CopyState::Incomplete => "Incomplete",
            CopyState::Superseded => "Superseded",
            CopyState::Failed => result.reason.map_or("Failed", Reason::as_str),
        };
        let labels = Destination { destination: destination.to_owned(), result: state };
        self.copies.get_or_create(&labels).inc();
        self.bytes.get_or_create(&labels).inc_by(result.written);
    }

    /// The end of a task was recorded.
    pub(crate) fn task(&self, TaskEnd { destination, task, status, .. }: &TaskEnd) {
        let result = match (status.state, &status.problem) {
            (TaskState::Done, _) => "Done",
            (TaskState::Failed, problem) => problem.as_ref().map_or("Failed", |p| p.reason.as_str()),
        };
        self.tasks.get_or_create(&Ended { destination: destination.clone(), task: task.as_str(), result }).inc();
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

impl Volume {
    fn at(&self, destination: &str) -> VolumeAt {
        VolumeAt {
            namespace: self.namespace.clone(),
            persistentvolumeclaim: self.persistentvolumeclaim.clone(),
            destination: destination.to_owned(),
        }
    }
}

fn state(standing: &Standing) -> State {
    match standing {
        Standing::Protected(_, failure, _) => State { state: "protected", reason: failure.map_or("", Reason::as_str) },
        Standing::Unprotected(reason) => State { state: "unprotected", reason: reason.as_str() },
        Standing::Vanished => State { state: "vanished", reason: "" },
    }
}

fn proofs(standing: &Standing) -> &[Proof] {
    match standing {
        Standing::Protected(.., proofs) => proofs,
        Standing::Unprotected(_) | Standing::Vanished => &[],
    }
}

fn proven(proof: &Proof) -> Proven {
    let state = match (proof.failed, proof.proven) {
        (true, _) => "failed",
        (false, Some(_)) => "proven",
        (false, None) => "none",
    };
    Proven { destination: proof.destination.clone(), state }
}

#[allow(clippy::cast_precision_loss, reason = "seconds since 1970 are far below what a double holds exactly")]
fn seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protected(run: &str) -> Standing {
        Standing::Protected(Some(run.parse().unwrap()), None, Vec::new())
    }

    /// F80.
    #[test]
    fn a_series_never_outlives_its_source() {
        let mut metrics = Metrics::new();
        metrics.per_volume(true);
        let source = SourceId { namespace: "shop".into(), name: "data".into(), uid: "1".into() };
        metrics.standing("1", Some(&source), Some(&protected("20181202T0000Z")));
        let text = metrics.text().unwrap();
        assert!(text.contains(r#"sources{state="protected",reason=""} 1"#), "{text}");
        assert!(text.contains(r#"namespace="shop",persistentvolumeclaim="data""#), "{text}");
        metrics.standing("1", Some(&source), None);
        let text = metrics.text().unwrap();
        assert!(!text.contains("protected") && !text.contains(r#""shop""#), "{text}");
    }

    /// F80 again; and a source that is proven at one destination may not be at another.
    #[test]
    fn sources_count_as_proven_failed_or_none_at_each_destination() {
        let mut metrics = Metrics::new();
        metrics.per_volume(true);
        let source = SourceId { namespace: "shop".into(), name: "data".into(), uid: "1".into() };
        let at = Timestamp::from_second(1_544_313_600).ok();
        let proof = |destination: &str, proven, failed| Proof { destination: destination.into(), proven, failed };
        let drilled = |proofs| Standing::Protected(None, None, proofs);
        metrics.standing("1", Some(&source), Some(&drilled(vec![proof("s3", at, false), proof("disk", at, true)])));
        metrics.standing("2", None, Some(&drilled(vec![proof("s3", None, false)])));
        let text = metrics.text().unwrap();
        for (destination, state) in [("s3", "proven"), ("disk", "failed"), ("s3", "none")] {
            let line = format!(r#"drilled_sources{{destination="{destination}",state="{state}"}} 1"#);
            assert!(text.contains(&line), "{line}: {text}");
        }
        let newest = r#"last_proven_timestamp_seconds{namespace="shop",persistentvolumeclaim="data",destination="s3"} 1544313600"#;
        assert!(text.contains(newest), "{text}");
        metrics.standing("1", None, None);
        metrics.standing("2", None, None);
        let text = metrics.text().unwrap();
        assert!(!text.contains("sources{destination") && !text.contains("timestamp_seconds{"), "{text}");
    }

    /// Law 5: a task waits for a limit, for its repository or for a destination that is down, and is seen to.
    #[test]
    fn tasks_that_wait_are_counted_beside_copies_that_do() {
        let metrics = Metrics::new();
        metrics.waiting(&[Reason::DiskBusy], &[Reason::WaitingForSlot, Reason::WaitingForSlot]);
        let text = metrics.text().unwrap();
        for line in [r#"copies_waiting{reason="DiskBusy"} 1"#, r#"tasks_waiting{reason="WaitingForSlot"} 2"#] {
            assert!(text.contains(line), "{line}: {text}");
        }
        metrics.waiting(&[], &[]);
        assert!(!metrics.text().unwrap().contains("waiting{"));
    }

    #[test]
    fn ten_thousand_volumes_cost_one_series() {
        let mut metrics = Metrics::new();
        for i in 0..10_000 {
            metrics.standing(&i.to_string(), None, Some(&protected("20181202T0000Z")));
        }
        let text = metrics.text().unwrap();
        assert!(text.contains(r#"sources{state="protected",reason=""} 10000"#) && text.lines().count() < 60, "{text}");
    }
}
