//! Runs that start so long after the last one ended: when, and never twice.

use std::sync::Arc;

use crate::fixtures::{MARK, namespace, put_claim, put_snapshot, read, snapshot_class, storage_class, volume};
use model::Timestamp;
use model::config::Config;
use model::duration::Span;
use model::facts::{CronJob, Job, Journal};
use model::names::{self, Run, SourceId};
use model::plan::{Action, NextRun, Plan, next_run};
use model::reason::{Problem, Reason};
use model::record::{CopyState, CopyStatus, Failure, Status};
use model::world::{Change, Seen, World};
use proptest::prelude::*;

const CONFIG: &str = "defaults: {schedule: '@after 24h', destinations: [disk]}
destinations: [{name: disk, type: disk, claim: {storageClass: keep, size: 1Gi}}]
";
const PERIOD: Span = Span::hours(24);
/// What a run may take at most, by default: its Job, the copy's start, the copy.
const PATIENCE: Span = Span::minutes(30 + 10 + 240);

fn source() -> SourceId {
    SourceId { namespace: "shop".into(), name: "data".into(), uid: "u".into() }
}

fn start() -> Timestamp {
    "2026-11-20T00:00:00Z".parse().unwrap()
}

fn later(hours: u64, minutes: u64) -> Timestamp {
    Span::minutes(hours * 60 + minutes).after(start())
}

/// A source that is protected since [`start`], with its CronJob.
struct Case {
    world: World,
    version: u64,
}

impl Case {
    fn new(config: &str) -> Case {
        let config = Config::parse(config).unwrap_or_else(|e| panic!("{e}"));
        let mut world = World::new("night".into(), "home", Arc::new(config));
        world.apply(Change::SnapshotApi(true));
        world.apply(Change::SnapshotClass(Seen::Begin));
        world.apply(Change::SnapshotClass(Seen::Put(snapshot_class("metadata: {name: snap}\ndriver: d"))));
        world.apply(Change::SnapshotClass(Seen::End));
        world.apply(Change::StorageClass(Seen::Put(storage_class("metadata: {name: fast}\nprovisioner: d"))));
        world.apply(Change::Namespace(Seen::Put(namespace("metadata: {name: shop}"))));
        world.apply(Change::Volume(Seen::Put(volume(
            "metadata: {name: pv}\nspec: {csi: {driver: d, volumeHandle: h}}",
        ))));
        let mut case = Case { world, version: 0 };
        case.claim(&Status { instance: "night".into(), protected_since: Some(start()), ..Status::default() }, "");
        case.cronjob("backup-controller.io/after: 1d", true);
        case
    }

    fn claim(&mut self, status: &Status, settings: &str) {
        self.version += 1;
        let text = format!(
            "metadata: {{name: data, namespace: shop, uid: u, resourceVersion: '{}', annotations: {{\
             backup-controller.io/status: '{}'{settings}}}}}\n\
             spec: {{storageClassName: fast, volumeName: pv}}\nstatus: {{phase: Bound}}",
            self.version,
            status.to_text()
        );
        put_claim(&mut self.world, &text);
    }

    fn cronjob(&mut self, annotation: &str, suspend: bool) {
        self.version += 1;
        let name = names::cronjob(&source());
        let text = format!(
            "metadata: {{name: {name}, namespace: home, uid: c, resourceVersion: '{}', labels: {}, \
             annotations: {{{annotation}}}}}\nspec: {{schedule: 0 0 30 2 *, suspend: {suspend}, \
             jobTemplate: {{spec: {{template: {{spec: {{containers: []}}}}}}}}}}",
            self.version,
            labels("snapshot", "")
        );
        let cronjob: k8s_openapi::api::batch::v1::CronJob = read(&text);
        self.world.apply(Change::CronJob(Seen::Put(CronJob::from(&cronjob))));
    }

    /// A run with a ready snapshot; with the time at which its copy was recorded, or without one.
    fn run(&mut self, at: Timestamp, copied: Option<(&str, Timestamp)>) {
        self.version += 1;
        let run = Run::at(at);
        let copy = copied.map(|(state, finished)| {
            format!("backup-controller.io/copy.disk: '{{\"state\":\"{state}\",\"finished\":\"{finished}\"}}', ")
        });
        let text = format!(
            "metadata: {{name: data-{run}, namespace: shop, uid: s-{run}, resourceVersion: '{}', \
             creationTimestamp: '{at}', labels: {}, annotations: {{{}backup-controller.io/destinations-taken: disk}}}}\n\
             spec: {{source: {{persistentVolumeClaimName: data}}}}\nstatus: {{readyToUse: true}}",
            self.version,
            labels("snapshot", &format!(", backup-controller.io/run: {run}")),
            copy.unwrap_or_default(),
        );
        put_snapshot(&mut self.world, &text);
    }

    /// A Job of the source, running or ended.
    fn job(&mut self, name: &str, created: Timestamp, ended: Option<(&str, Timestamp)>) {
        self.version += 1;
        let ended = ended.map(|(kind, at)| format!("{{type: {kind}, status: 'True', lastTransitionTime: '{at}'}}"));
        let text = format!(
            "metadata: {{name: '{name}', namespace: home, uid: '{name}', resourceVersion: '{}', \
             creationTimestamp: '{created}', labels: {}}}\nstatus: {{conditions: [{}]}}",
            self.version,
            labels("snapshot", ""),
            ended.unwrap_or_default()
        );
        let job: k8s_openapi::api::batch::v1::Job = read(&text);
        self.world.apply(Change::Job(Seen::Put(Job::from(&job))));
    }

    fn job_gone(&mut self, name: &str) {
        self.world.apply(Change::Job(Seen::Gone(("home".into(), name.into()), name.into())));
    }

    fn plan(&self, now: Timestamp) -> Plan {
        crate::fixtures::plan(&self.world, "u", now)
    }

    /// The Job that is started at that time, if one is.
    fn started(&self, now: Timestamp) -> Option<String> {
        let mut jobs = self.plan(now).actions.into_iter().filter_map(|action| match action {
            Action::StartRun { job, .. } => Some(job),
            _ => None,
        });
        let job = jobs.next();
        assert_eq!(jobs.next(), None, "one run at a time");
        job
    }

    fn next(&self, now: Timestamp) -> Option<NextRun> {
        next_run(&self.world, self.world.claim_of("u").unwrap(), PERIOD, now)
    }

    /// The next run is at that time, to the second, and the plan wakes for it.
    #[track_caller]
    fn due(&self, now: Timestamp, at: Timestamp) {
        assert_eq!(self.next(now), Some(NextRun::At(at)));
        assert_eq!(self.started(Span::from_secs(1).before(at)), None);
        assert!(self.plan(now).wake.is_some_and(|wake| wake <= at), "{:?}", self.plan(now).wake);
        assert!(self.started(at).is_some());
    }
}

fn labels(component: &str, more: &str) -> String {
    format!(
        "{{app.kubernetes.io/managed-by: backup-controller, backup-controller.io/instance: night, \
         backup-controller.io/component: {component}, backup-controller.io/source-uid: u{more}}}"
    )
}

#[test]
fn the_first_run_is_at_a_moment_of_its_own_within_the_period() {
    let mut case = Case::new(CONFIG);
    let Some(NextRun::At(first)) = case.next(start()) else { panic!("{:?}", case.next(start())) };
    assert!(first >= start() && first < PERIOD.after(start()));
    case.due(start(), first);
    // As long as nobody knows since when it is protected, nothing starts.
    case.claim(&Status::default(), "");
    assert_eq!((case.next(later(99, 0)), case.started(later(99, 0))), (None, None));
}

#[test]
fn a_run_that_ended_arms_the_next_one() {
    let mut case = Case::new(CONFIG);
    case.run(later(1, 0), None);
    case.job("j", later(1, 0), None);
    assert_eq!(case.next(later(1, 1)), Some(NextRun::UnderWay(Some(PATIENCE.after(later(1, 0))))));
    case.job("j", later(1, 0), Some(("Complete", later(1, 5))));
    assert!(matches!(case.next(later(1, 6)), Some(NextRun::UnderWay(_))), "its copy has no result");
    case.run(later(1, 0), Some(("Complete", later(3, 0))));
    case.due(later(3, 1), later(27, 0));
    // The Job and the snapshot go some day: what is on record has happened all the same.
    case.job_gone("j");
    case.due(later(3, 1), later(27, 0));
}

/// However it failed: a snapshot that could not be taken, a copy that broke off.
#[test]
fn a_run_that_failed_arms_the_next_one() {
    for state in ["Failed", "Incomplete", "Superseded"] {
        let mut case = Case::new(CONFIG);
        case.run(later(1, 0), Some((state, later(2, 0))));
        case.due(later(3, 0), later(26, 0));
    }
    let mut case = Case::new(CONFIG);
    case.job("j", later(1, 0), Some(("Failed", later(1, 30))));
    case.due(later(3, 0), later(25, 30));
    // Kubernetes or somebody deletes the Job, and the record knows of it.
    case.job_gone("j");
    let problem = Problem::new(Reason::JobFailed, "x");
    let failure = Failure { run: Some(Run::at(later(1, 0))), problem, at: later(1, 31) };
    let status = Status { protected_since: Some(start()), failure: Some(failure), ..Status::default() };
    case.claim(&status, "");
    case.due(later(3, 0), later(25, 31));
}

/// A copy that waits for a disk that does not come holds up no snapshot.
#[test]
fn a_run_whose_copy_never_ends_counts_as_ended_when_its_time_is_over() {
    let mut case = Case::new(CONFIG);
    case.run(later(1, 0), None);
    let over = PATIENCE.after(later(1, 0));
    assert_eq!(case.next(Span::from_secs(1).before(over)), Some(NextRun::UnderWay(Some(over))));
    case.due(over, PERIOD.after(over));
}

/// F61: the API server's clock was wrong once.
#[test]
fn a_run_of_a_time_to_come_is_no_reason_to_wait() {
    let mut case = Case::new(CONFIG);
    case.run(later(1, 0), Some(("Complete", later(2, 0))));
    case.run(later(9999, 0), None);
    case.due(later(3, 0), later(26, 0));
}

/// The clock of a node is ahead, and the copies there end in a time to come.
#[test]
fn an_end_in_a_time_to_come_counts_when_that_has_come() {
    let mut case = Case::new(CONFIG);
    case.run(later(1, 0), Some(("Complete", later(9, 0))));
    assert_eq!(case.next(later(3, 0)), Some(NextRun::At(later(25, 0))));
    assert_eq!(case.next(later(9, 0)), Some(NextRun::At(later(33, 0))));
    case.job("j", later(1, 0), Some(("Complete", later(9999, 0))));
    let copy = CopyStatus {
        run: Run::at(later(1, 0)),
        state: CopyState::Complete,
        finished: later(9999, 0),
        files: 0,
        bytes: 0,
        journal: Journal::Replayed,
        lost: model::losses::Losses::default(),
    };
    let copies = [("disk".to_owned(), copy)].into();
    case.claim(&Status { protected_since: Some(start()), copies, ..Status::default() }, "");
    assert_eq!(case.next(later(3, 0)), Some(NextRun::At(later(25, 0))));
}

#[test]
fn nothing_starts_while_a_job_of_the_source_runs() {
    let mut case = Case::new(CONFIG);
    case.run(later(1, 0), Some(("Complete", later(2, 0))));
    case.job("by-hand", later(25, 0), None);
    assert_eq!(case.started(later(26, 0)), None);
    case.job("by-hand", later(25, 0), Some(("Complete", later(26, 30))));
    case.due(later(26, 31), later(50, 30));
}

/// What a controller starts that died before it saw its Job is the same Job.
#[test]
fn the_same_state_starts_the_same_job() {
    let mut case = Case::new(CONFIG);
    case.run(later(1, 0), Some(("Complete", later(2, 0))));
    let job = case.started(later(26, 0)).unwrap();
    assert_eq!(job, names::after_job(&source(), later(2, 0)));
    assert_eq!(case.started(later(26, 9)).as_ref(), Some(&job));
    case.run(later(26, 0), Some(("Complete", later(27, 0))));
    assert_ne!(case.started(later(51, 0)), Some(job));
}

#[test]
fn what_is_asked_for_takes_the_place_of_what_is_due() {
    let mut case = Case::new(CONFIG);
    case.run(later(1, 0), Some(("Complete", later(2, 0))));
    let status = Status { protected_since: Some(start()), ..Status::default() };
    case.claim(&status, ", backup-controller.io/run-now: please");
    assert_eq!(case.started(later(26, 0)), Some(names::run_now_job(&source(), "please")));
}

/// Law 4: what was in force stays in force.
#[test]
fn while_the_schedule_cannot_be_read_the_cronjob_says_when() {
    let status = Status { protected_since: Some(start()), ..Status::default() };
    let mut case = Case::new(&CONFIG.replace("@after 24h", "0 3 * * *"));
    case.run(later(1, 0), Some(("Complete", later(2, 0))));
    assert_eq!(case.started(later(30, 0)), None, "the setting is in force, and Kubernetes starts it");
    case.claim(&status, ", backup-controller.io/schedule: '@after noon'");
    assert!(case.started(later(26, 0)).is_some());

    let mut case = Case::new(CONFIG);
    case.run(later(1, 0), Some(("Complete", later(2, 0))));
    case.cronjob("example.com/a: b", false);
    case.claim(&status, ", backup-controller.io/schedule: 0 3 * *");
    assert_eq!(case.started(later(26, 0)), None, "Kubernetes still starts it by the clock");
}

/// Somebody ends the suspension or takes our word from the CronJob: it is put back.
#[test]
fn the_cronjob_is_suspended_and_says_why() {
    let applied = |case: &Case| {
        case.plan(start()).actions.into_iter().find_map(|action| match action {
            Action::ApplyCronJob { source, .. } => Some(source),
            _ => None,
        })
    };
    let mut case = Case::new(CONFIG);
    assert!(applied(&case).is_some());
    let zone = |case: &mut Case, annotation: &str, suspend| {
        let annotations = format!("backup-controller.io/applied: {MARK}{annotation}");
        case.cronjob(&annotations, suspend);
        let name = names::cronjob(&source());
        let mut cronjob = case.world.cronjobs.get("", &name).unwrap().clone();
        cronjob.spec.1 = Some("Etc/UTC".into());
        case.version += 1;
        cronjob.id.resource_version = case.version.to_string();
        case.world.apply(Change::CronJob(Seen::Put(cronjob)));
    };
    zone(&mut case, ", backup-controller.io/after: 1d", true);
    assert_eq!(applied(&case), None);
    zone(&mut case, ", backup-controller.io/after: 1d", false);
    assert!(applied(&case).is_some());
    zone(&mut case, ", backup-controller.io/after: 2d", true);
    assert!(applied(&case).is_some());
    zone(&mut case, "", true);
    assert!(applied(&case).is_some());
}

proptest! {
    #![proptest_config(crate::fixtures::cases(64))]

    /// Whatever happens to runs and to the controller, each starts a period after the end of the one before, and no
    /// later than the spread of those that are late.
    #[test]
    fn runs_follow_each_other_a_period_after_each_end(
        lives in prop::collection::vec((1u64..200, 0u64..3000, prop::bool::ANY), 1..8),
    ) {
        let mut case = Case::new(CONFIG);
        let mut now = start();
        let mut last_end: Option<Timestamp> = None;
        for (minutes, away, fails) in lives {
            // It wakes when it said it would, unless the controller is away.
            while case.started(now).is_none() {
                let wake = case.plan(now).wake.unwrap();
                prop_assert!(wake > now, "it wakes, and does nothing");
                now = wake;
            }
            let due = last_end.map(|end| PERIOD.after(end));
            prop_assert!(due.is_none_or(|due| now >= due));
            let away_until = Span::minutes(away).after(now);
            while now < away_until && case.started(now).is_some() { now = Span::minutes(7).after(now); }
            while case.started(now).is_none() {
                let wake = case.plan(now).wake.unwrap();
                prop_assert!(wake > now && wake <= Span::hours(1).after(now));
                now = wake;
            }
            let name = case.started(now).unwrap();
            case.job(&name, now, None);
            prop_assert_eq!(case.started(now), None);
            let end = Span::minutes(minutes).after(now);
            if fails {
                case.job(&name, now, Some(("Failed", end)));
            } else {
                case.run(now, Some(("Complete", end)));
                case.job(&name, now, Some(("Complete", Span::minutes(1).after(now).min(end))));
            }
            prop_assert_eq!(case.started(end), None);
            last_end = Some(end);
            now = end;
        }
    }
}
