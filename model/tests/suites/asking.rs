//! Runs for the asking: how many of them a tenant can start.

use std::sync::Arc;

use crate::fixtures::{in_ledger, plan, put_claim, put_snapshot, read, status, storage};
use k8s_openapi::api::batch::v1::{CronJob as ApiCronJob, Job as ApiJob};
use model::Timestamp;
use model::config::Config;
use model::duration::Span;
use model::facts::{CronJob, Job};
use model::names::{self, Run, SourceId};
use model::plan::Action;
use model::record::Status;
use model::world::{Change, Seen, World};
use proptest::prelude::*;

fn start() -> Timestamp {
    "2026-11-20T00:00:00Z".parse().unwrap()
}

fn minutes(n: u64) -> Timestamp {
    Span::minutes(n).after(start())
}

/// A namespace of sources with CronJobs.
struct Case {
    world: World,
    version: u64,
}

impl Case {
    fn new(config: &str, sources: usize) -> Self {
        let config = Config::parse(config).unwrap_or_else(|e| panic!("{e}"));
        let mut world = World::new("night".into(), "home", Arc::new(config));
        storage(&mut world);
        let mut case = Self { world, version: 0 };
        for n in 0..sources {
            case.claim(n, None);
            case.cronjob(n);
        }
        case
    }

    fn source(n: usize) -> SourceId {
        SourceId { namespace: "shop".into(), name: format!("data-{n}"), uid: format!("u{n:03}") }
    }

    fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn claim(&mut self, n: usize, value: Option<&str>) {
        let SourceId { name, uid, .. } = Self::source(n);
        let version = self.next();
        let asked = value.map(|value| format!(", annotations: {{backup-controller.io/run-now: '{value}'}}"));
        put_claim(
            &mut self.world,
            &format!(
                "metadata: {{name: {name}, namespace: shop, uid: {uid}, resourceVersion: '{version}'{}}}\n\
                 spec: {{storageClassName: fast, volumeName: pv}}\nstatus: {{phase: Bound}}",
                asked.unwrap_or_default()
            ),
        );
    }

    fn cronjob(&mut self, n: usize) {
        let version = self.next();
        let text = format!(
            "metadata: {{name: {}, namespace: home, uid: c{n}, resourceVersion: '{version}', labels: {}}}\n\
             spec: {{schedule: 0 0 * * *, jobTemplate: {{spec: {{template: {{spec: {{containers: []}}}}}}}}}}",
            names::cronjob(&Self::source(n)),
            labels(n, "")
        );
        self.world.apply(Change::CronJob(Seen::Put(CronJob::from(&read::<ApiCronJob>(&text)))));
    }

    /// The Job of a run; how and when it ended, if it has.
    fn job(&mut self, n: usize, name: &str, created: Timestamp, ended: Option<(&str, Timestamp)>) {
        let version = self.next();
        let ended = ended.map(|(kind, at)| format!("{{type: {kind}, status: 'True', lastTransitionTime: '{at}'}}"));
        let text = format!(
            "metadata: {{name: '{name}', namespace: home, uid: '{name}', resourceVersion: '{version}', \
             creationTimestamp: '{created}', labels: {}}}\nstatus: {{conditions: [{}]}}",
            labels(n, ""),
            ended.unwrap_or_default()
        );
        self.world.apply(Change::Job(Seen::Put(Job::from(&read::<ApiJob>(&text)))));
    }

    fn job_gone(&mut self, name: &str) {
        self.world.apply(Change::Job(Seen::Gone(("home".into(), name.into()), name.into())));
    }

    fn snapshot(&mut self, n: usize, at: Timestamp) {
        let (version, run) = (self.next(), Run::at(at));
        let SourceId { name, .. } = Self::source(n);
        put_snapshot(
            &mut self.world,
            &format!(
                "metadata: {{name: {name}-{run}, namespace: shop, uid: s{n}-{run}, resourceVersion: '{version}', \
                 creationTimestamp: '{at}', labels: {}}}\n\
                 spec: {{source: {{persistentVolumeClaimName: {name}}}}}\nstatus: {{readyToUse: true}}",
                labels(n, &format!(", backup-controller.io/run: {run}"))
            ),
        );
    }

    /// Where its backups stand, by its ledger.
    fn status(&mut self, n: usize, status: &Status) {
        in_ledger(&mut self.world, &Self::source(n), |ledger| ledger.status = status.clone());
    }

    /// The Job that a source starts at that time, if it does.
    fn started(&self, n: usize, now: Timestamp) -> Option<String> {
        let actions = plan(&self.world, &Self::source(n).uid, now).actions;
        let mut jobs = actions.into_iter().filter_map(|action| match action {
            Action::StartRun { job, .. } => Some(job),
            _ => None,
        });
        jobs.next()
    }

    /// Nothing is started before that time, and the source is looked at again by then; then it is started.
    #[track_caller]
    fn due(&self, n: usize, now: Timestamp, at: Timestamp) {
        assert_eq!(self.started(n, now), None);
        assert_eq!(self.started(n, Span::from_secs(1).before(at)), None);
        let wake = plan(&self.world, &Self::source(n).uid, now).wake;
        assert!(wake.is_some_and(|wake| wake <= at), "{wake:?}");
        assert!(self.started(n, at).is_some());
    }
}

fn labels(n: usize, more: &str) -> String {
    format!(
        "{{app.kubernetes.io/managed-by: backup-controller, backup-controller.io/instance: night, \
         backup-controller.io/component: snapshot, backup-controller.io/source-uid: u{n:03}{more}}}"
    )
}

#[test]
fn a_new_value_starts_another_run_and_the_same_value_none() {
    let mut case = Case::new("", 1);
    case.claim(0, Some("1"));
    let first = case.started(0, start()).unwrap();
    assert_eq!(first, names::run_now_job(&Case::source(0), "1"));
    case.job(0, &first, start(), None);
    assert_eq!(case.started(0, start()), None);
    case.snapshot(0, start());
    case.job(0, &first, start(), Some(("Complete", minutes(1))));
    case.claim(0, Some("2"));
    case.due(0, minutes(2), minutes(60));
}

/// S8: a VolumeSnapshot that has the name of the next run's makes each run fail: no value counted as a run, and 40
/// values were 40 Jobs in 65 seconds.
#[test]
fn a_run_that_makes_no_snapshot_is_a_run_all_the_same() {
    let mut case = Case::new("", 1);
    case.claim(0, Some("1"));
    let first = case.started(0, start()).unwrap();
    case.job(0, &first, start(), None);
    case.claim(0, Some("2"));
    assert_eq!(case.started(0, minutes(59)), None, "one run at a time");
    case.job(0, &first, start(), Some(("Failed", minutes(1))));
    case.due(0, minutes(1), minutes(10));
    // What may be more frequent by the administrator's word may be so here.
    let mut case = Case::new("bounds: {minInterval: 2m}", 1);
    case.job(0, "scheduled", start(), Some(("Failed", minutes(1))));
    case.claim(0, Some("1"));
    case.due(0, minutes(1), minutes(2));
}

/// S8: he switches the backups off and on, and the CronJob goes with its Jobs; or he deletes the snapshot.
#[test]
fn what_a_tenant_deletes_has_happened_all_the_same() {
    let started = Status { run_now: Some("1".into()), run_now_at: Some(start()), ..Status::default() };
    let mut case = Case::new("", 1);
    case.claim(0, Some("1"));
    let first = case.started(0, start()).unwrap();
    case.job(0, &first, start(), Some(("Failed", minutes(1))));
    let written = status(&plan(&case.world, &Case::source(0).uid, minutes(1))).unwrap();
    assert_eq!((&written.run_now, written.run_now_at), (&started.run_now, started.run_now_at));
    case.status(0, &started);
    case.job_gone(&first);
    case.claim(0, Some("2"));
    case.due(0, minutes(2), minutes(10));
    let taken = Status { snapshot: Some(Run::at(start())), ..started };
    case.status(0, &taken);
    case.due(0, minutes(2), minutes(60));
    // F61: a clock was wrong once.
    let ahead = Status { snapshot: Some(Run::at(minutes(9999))), run_now_at: Some(minutes(9999)), ..taken };
    case.status(0, &ahead);
    assert!(case.started(0, minutes(2)).is_some());
}

/// S8: the values of 40 PVCs are no more than the namespace may have at once.
#[test]
fn a_namespace_has_a_few_runs_for_the_asking_at_once() {
    let mut case = Case::new("bounds: {maxRunNow: 3}", 40);
    (0..40).for_each(|n| case.claim(n, Some("x")));
    let first: Vec<usize> = (0..40).filter(|n| case.started(*n, start()).is_some()).collect();
    assert_eq!(first.len(), 3, "as many as are planned from one state: {first:?}");
    for n in &first {
        let job = case.started(*n, start()).unwrap();
        case.job(*n, &job, start(), None);
    }
    let waits = (0..40).find(|n| !first.contains(n)).unwrap();
    assert_eq!((0..40).filter(|n| case.started(*n, start()).is_some()).count(), 0);
    let wake = plan(&case.world, &Case::source(waits).uid, start()).wake;
    assert!(wake.is_some_and(|wake| wake <= minutes(1)), "{wake:?}");
    // One that cannot start holds up nobody: its PVC is not bound any more.
    let SourceId { name, uid, .. } = Case::source(waits);
    let version = case.next();
    put_claim(
        &mut case.world,
        &format!(
            "metadata: {{name: {name}, namespace: shop, uid: {uid}, resourceVersion: '{version}', \
             annotations: {{backup-controller.io/run-now: x}}}}\nspec: {{storageClassName: fast}}\nstatus: {{phase: Lost}}"
        ),
    );
    let job = names::run_now_job(&Case::source(first[0]), "x");
    case.job(first[0], &job, start(), Some(("Failed", minutes(1))));
    let next: Vec<usize> = (0..40).filter(|n| case.started(*n, minutes(1)).is_some()).collect();
    assert_eq!(next.len(), 1, "{next:?}");
    // Runs by schedule are not asked for.
    for n in 20..30 {
        case.job(n, &format!("backup-{n}"), start(), None);
    }
    assert_eq!((0..40).filter(|n| case.started(*n, minutes(1)).is_some()).count(), 1);
}

proptest! {
    #![proptest_config(crate::fixtures::cases(32))]

    /// Whatever values a tenant writes, and however his runs end: a source has a pause after each, and the namespace no
    /// more than it may.
    #[test]
    fn values_start_no_more_than_the_bounds_allow(
        turns in prop::collection::vec((0usize..6, prop::bool::ANY, 0u64..8), 1..60),
    ) {
        let mut case = Case::new("bounds: {maxRunNow: 2, minInterval: 30m}", 6);
        let (mut now, mut running, mut begun) = (0, Vec::<(usize, String)>::new(), [None::<u64>; 6]);
        for (value, (n, ends, later)) in turns.into_iter().enumerate() {
            case.claim(n, Some(&format!("v{value}")));
            for of in 0..6 {
                let Some(job) = case.started(of, minutes(now)) else { continue };
                prop_assert!(begun[of].is_none_or(|at| now >= at + 10), "{begun:?}");
                prop_assert!(running.iter().all(|(other, _)| *other != of));
                case.job(of, &job, minutes(now), None);
                begun[of] = Some(now);
                running.push((of, job));
            }
            prop_assert!(running.len() <= 2);
            now += later;
            if ends && let Some((of, job)) = running.pop() {
                case.job(of, &job, minutes(begun[of].unwrap()), Some(("Failed", minutes(now))));
            }
        }
    }
}
