//! What is counted: totals by reason, bounded however many volumes there are; per-volume series on request.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64};

use model::Timestamp;
use model::breaker::Breakers;
use model::maintain::TaskState;
use model::names::SourceId;
use model::plan::{Proof, Protected, Standing, TaskEnd};
use model::reason::Reason;
use model::record::{CopyResult, CopyState};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Values of a label, as a closed list: `docs/metrics.md` names each.
macro_rules! labels {
    ($($(#[$doc:meta])* $kind:ident { $($name:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        enum $kind { $($name,)* }

        impl $kind {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    )*};
}

labels! {
    /// Where a PVC stands.
    SourceState { Protected = "protected", Degraded = "degraded", Unprotected = "unprotected", Vanished = "vanished", }
    /// How a copy ended; a failed one by its reason, if there is one.
    CopyEnd { Complete = "Complete", Incomplete = "Incomplete", Superseded = "Superseded", Failed = "Failed", }
    /// How a prune, verify or drill ended; a failed one by its reason, if there is one.
    TaskResult { Done = "Done", Failed = "Failed", }
    /// What the newest drill found.
    DrillState { Proven = "proven", Failed = "failed", None = "none", }
    /// How a step ended, unless it was refused for a reason.
    StepResult { Done = "done", }
}

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

/// Of sources whose copies at a destination are not well.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Unwell {
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
    degraded: Family<Unwell, Total>,
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
            "PVCs by state (protected, degraded, unprotected, vanished) and reason: the cause, or the newest failure",
            sources.clone(),
        );
        let waiting = Family::<Waits, Total>::default();
        registry.register("copies_waiting", "Waiting copies by reason", waiting.clone());
        let tasks_waiting = Family::<Waits, Total>::default();
        let help = "Prunes, verifies and drills that are due but waiting, by reason";
        registry.register("tasks_waiting", help, tasks_waiting.clone());
        let down = Family::<Down, Total>::default();
        let help =
            "Destinations whose copies fail because of the destination; with runIn: tenant, the affected namespaces";
        registry.register("destinations_down", help, down.clone());
        let steps = Family::<Outcome, Counter>::default();
        registry.register("steps", "Steps on the API server by kind and result", steps.clone());
        let copies = Family::<Destination, Counter>::default();
        registry.register("copies", "Finished copies by destination and result", copies.clone());
        let bytes = Family::<Destination, Counter>::default();
        let help = "Bytes written by copies, without hard-linked files";
        registry.register_with_unit("copies_written", help, Unit::Bytes, bytes.clone());
        let tasks = Family::<Ended, Counter>::default();
        registry.register("tasks", "Finished prunes, verifies and drills by destination and result", tasks.clone());
        let proofs = Family::<Proven, Total>::default();
        let help = "PVCs with drills, by destination and result of the newest drill: proven, failed, none";
        registry.register("drilled_sources", help, proofs.clone());
        let degraded = Family::<Unwell, Total>::default();
        let help = "PVCs without a good copy in time, by destination and reason";
        registry.register("degraded_sources", help, degraded.clone());
        let last_good = Family::<Volume, Gauge<f64, AtomicU64>>::default();
        let help = "Time of a PVC's newest good run, in seconds since 1970; only with metrics.perVolume";
        registry.register_with_unit("last_good_timestamp", help, Unit::Seconds, last_good.clone());
        let last_proven = Family::<VolumeAt, Gauge<f64, AtomicU64>>::default();
        let help =
            "Time of the newest drill that proved a PVC's copy, in seconds since 1970; only with metrics.perVolume";
        registry.register_with_unit("last_proven_timestamp", help, Unit::Seconds, last_proven.clone());
        let config_valid = Total::default();
        registry.register("config_valid", "1 if the newest configuration file is in force", config_valid.clone());
        let synced = Total::default();
        registry.register("synced", "1 once all kinds of objects are listed", synced.clone());
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
            degraded,
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
            for unwell in degraded(&standing) {
                if self.degraded.get_or_create(&unwell).dec() <= 1 {
                    self.degraded.remove(&unwell);
                }
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
            for unwell in degraded(&standing) {
                self.degraded.get_or_create(&unwell).inc();
            }
            for proof in proofs(&standing) {
                self.proofs.get_or_create(&proven(proof)).inc();
                if let (Some(volume), Some(at)) = (&volume, proof.proven) {
                    self.last_proven.get_or_create(&volume.at(&proof.destination)).set(seconds(at));
                }
            }
            if let (Standing::Protected(Protected { good: Some(run), .. }), Some(volume)) = (standing, volume) {
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

    /// A step ended, or was refused for a reason.
    pub(crate) fn step(&self, action: &'static str, refused: Option<Reason>) {
        let result = refused.map_or(StepResult::Done.as_str(), Reason::as_str);
        self.steps.get_or_create(&Outcome { action, result }).inc();
    }

    /// A copy was recorded.
    pub(crate) fn copy(&self, destination: &str, result: &CopyResult) {
        let state = match result.state {
            CopyState::Complete => CopyEnd::Complete.as_str(),
            CopyState::Incomplete => CopyEnd::Incomplete.as_str(),
            CopyState::Superseded => CopyEnd::Superseded.as_str(),
            CopyState::Failed => result.reason.map_or(CopyEnd::Failed.as_str(), Reason::as_str),
        };
        let labels = Destination { destination: destination.to_owned(), result: state };
        self.copies.get_or_create(&labels).inc();
        self.bytes.get_or_create(&labels).inc_by(result.written);
    }

    /// The end of a task was recorded.
    pub(crate) fn task(&self, TaskEnd { destination, task, status, .. }: &TaskEnd) {
        let result = match (status.state, &status.problem) {
            (TaskState::Done, _) => TaskResult::Done.as_str(),
            (TaskState::Failed, problem) => problem.as_ref().map_or(TaskResult::Failed.as_str(), |p| p.reason.as_str()),
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
    let (state, reason) = match standing {
        Standing::Protected(Protected { failure: Some(failure), .. }) => (SourceState::Protected, failure.as_str()),
        // U1: a source that is not well at one destination is not green.
        Standing::Protected(Protected { failure: None, degraded, .. }) => match degraded.first() {
            Some((_, reason)) => (SourceState::Degraded, reason.as_str()),
            None => (SourceState::Protected, ""),
        },
        Standing::Unprotected(reason) => (SourceState::Unprotected, reason.as_str()),
        Standing::Vanished => (SourceState::Vanished, ""),
    };
    State { state: state.as_str(), reason }
}

fn proofs(standing: &Standing) -> &[Proof] {
    match standing {
        Standing::Protected(protected) => &protected.proofs,
        Standing::Unprotected(_) | Standing::Vanished => &[],
    }
}

fn degraded(standing: &Standing) -> Vec<Unwell> {
    match standing {
        Standing::Protected(Protected { degraded, .. }) => degraded
            .iter()
            .map(|(destination, reason)| Unwell { destination: destination.clone(), reason: reason.as_str() })
            .collect(),
        Standing::Unprotected(_) | Standing::Vanished => Vec::new(),
    }
}

fn proven(proof: &Proof) -> Proven {
    let state = match (proof.failed, proof.proven) {
        (true, _) => DrillState::Failed,
        (false, Some(_)) => DrillState::Proven,
        (false, None) => DrillState::None,
    };
    Proven { destination: proof.destination.clone(), state: state.as_str() }
}

#[allow(clippy::cast_precision_loss, reason = "seconds since 1970 are far below what a double holds exactly")]
fn seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::maintain::Task;
    use model::plan::Action;

    use super::*;

    fn protected(run: &str) -> Standing {
        Standing::Protected(Protected { good: Some(run.parse().unwrap()), ..Protected::default() })
    }

    const PAGE: &str = include_str!("../../docs/metrics.md");

    /// What stands below a heading of the page.
    fn section(heading: &str) -> &'static str {
        let (_, rest) = PAGE.split_once(&format!("\n### {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
        rest.split("\n#").next().unwrap()
    }

    /// The values of a label in its table, but those that are reasons.
    fn listed(heading: &str, label: &str) -> BTreeSet<&'static str> {
        let rows = section(heading).lines().skip_while(|line| !line.starts_with(&format!("| `{label}` |"))).skip(1);
        let rows = rows.take_while(|line| line.starts_with('|'));
        rows.filter_map(|row| Some(row.strip_prefix("| `")?.split_once('`')?.0)).collect()
    }

    /// An alert misses a value that the page lacks.
    #[test]
    fn every_value_of_every_label_is_in_the_page_and_no_other() {
        let actions = Action::names().collect();
        for (heading, label, values) in [
            ("States", "state", SourceState::ALL.iter().map(|v| v.as_str()).collect()),
            ("Results of copies", "result", CopyEnd::ALL.iter().map(|v| v.as_str()).collect()),
            ("Results of maintenance", "task", Task::ALL.iter().map(|v| v.as_str()).collect()),
            ("Results of maintenance", "result", TaskResult::ALL.iter().map(|v| v.as_str()).collect()),
            ("Results of drills", "state", DrillState::ALL.iter().map(|v| v.as_str()).collect()),
            ("Actions", "action", actions),
        ] {
            assert_eq!(listed(heading, label), values, "docs/metrics.md, {heading}, {label}");
        }
        let done = StepResult::ALL.iter().map(|v| v.as_str());
        assert!(done.into_iter().all(|done| section("Actions").contains(&format!("`result` is `{done}`"))));
        let rows = section("Reasons").lines().filter(|line| line.starts_with('|'));
        let reasons: BTreeSet<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
        assert_eq!(reasons, Reason::ALL.iter().map(|reason| reason.as_str()).collect(), "docs/metrics.md, Reasons");
    }

    /// One series of each metric.
    fn of_each() -> Metrics {
        let mut metrics = Metrics::new();
        metrics.per_volume(true);
        let source = SourceId { namespace: "shop".into(), name: "data".into(), uid: "1".into() };
        let at = Timestamp::from_second(1_544_313_600).unwrap();
        let proofs = vec![Proof { destination: "s3".into(), proven: Some(at), failed: false }];
        let degraded = vec![("s3".to_owned(), Reason::CredentialsRefused)];
        let good = "20181202T0000Z".parse().ok();
        let standing = Standing::Protected(Protected { good, failure: None, degraded, proofs });
        metrics.standing("1", Some(&source), Some(&standing));
        metrics.waiting(&[Reason::DiskBusy], &[Reason::DiskBusy]);
        let destination = || "s3".to_owned();
        let reason = Reason::DestinationUnreachable.as_str();
        metrics.down.get_or_create(&Down { destination: destination(), reason }).set(1);
        metrics.step("ApplyCronJob", None);
        let labels = Destination { destination: destination(), result: reason };
        metrics.copies.get_or_create(&labels).inc();
        metrics.bytes.get_or_create(&labels).inc();
        let task = Task::Drill.as_str();
        metrics.tasks.get_or_create(&Ended { destination: destination(), task, result: reason }).inc();
        metrics
    }

    #[test]
    fn every_metric_is_in_the_page_with_its_kind_and_its_labels() {
        let text = of_each().text().unwrap();
        let mut count = 0;
        for series in text.lines().filter(|line| !line.starts_with('#')) {
            count += 1;
            let name = series.split(['{', ' ']).next().unwrap();
            let labels = series.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(all, _)| all);
            let labels: Vec<String> =
                labels.split(',').filter_map(|l| l.split_once('=')).map(|(l, _)| format!("`{l}`")).collect();
            let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
            let kind = text.lines().find_map(|line| {
                let (family, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
                (family == name.trim_end_matches("_total")).then_some(kind)
            });
            let row = format!("\n| `{name}` | {} | {labels} | ", kind.unwrap());
            assert!(PAGE.contains(&row), "docs/metrics.md has no row that begins with{row}");
        }
        let (code, _) = include_str!("metrics.rs").split_once("#[cfg(test)]\nmod tests").unwrap();
        assert_eq!(count, code.matches("registry.register").count(), "of_each() lacks a metric");
        assert_eq!(count, PAGE.matches("\n| `backup_controller_").count(), "the page has a metric that is none");
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
        let drilled = |proofs| Standing::Protected(Protected { proofs, ..Protected::default() });
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

    /// U1: no alert could fire while one of two destinations had no copies.
    #[test]
    fn a_source_that_is_not_well_at_one_destination_is_degraded_and_the_destination_is_named() {
        let mut metrics = Metrics::new();
        let standing = |failure, reasons: &[(&str, Reason)]| {
            let degraded = reasons.iter().map(|(name, reason)| ((*name).to_owned(), *reason)).collect();
            Standing::Protected(Protected { failure, degraded, ..Protected::default() })
        };
        let both = [("s3", Reason::CredentialsRefused), ("disk", Reason::DiskFull)];
        metrics.standing("1", None, Some(&standing(None, &both)));
        metrics.standing("2", None, Some(&standing(Some(Reason::DiskFull), &both[1..])));
        let text = metrics.text().unwrap();
        for line in [
            r#"_sources{state="degraded",reason="CredentialsRefused"} 1"#,
            r#"_sources{state="protected",reason="DiskFull"} 1"#,
            r#"degraded_sources{destination="s3",reason="CredentialsRefused"} 1"#,
            r#"degraded_sources{destination="disk",reason="DiskFull"} 2"#,
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        metrics.standing("1", None, Some(&standing(None, &[])));
        metrics.standing("2", None, None);
        let text = metrics.text().unwrap();
        assert!(!text.contains("degraded\"") && !text.contains("degraded_sources{"), "{text}");
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
