//! Restores that cannot start, that wait, or that nobody wants any more: each ends, and leaves nothing (law 5).

use std::sync::Arc;

use crate::fixtures::{RUN, in_ledger, now, put_claim, put_snapshot, read, storage, target};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job as ApiJob;
use k8s_openapi::api::core::v1::Pod as ApiPod;
use model::Timestamp;
use model::config::Config;
use model::duration::Span;
use model::facts::{Holder, Job, MountFailure, Pod, Restorer};
use model::names;
use model::plan::{self, Action, RestoreAction};
use model::reason::{Problem, Reason};
use model::record::{RestoreRecord, RestoreState};
use model::world::{Change, Seen, World};
use serde_json::json;

const REQUEST: &str = "pvc=data date=latest from=snapshot";

fn labels(component: &str) -> String {
    format!(
        "labels: {{app.kubernetes.io/managed-by: backup-controller, backup-controller.io/instance: night, \
         backup-controller.io/component: {component}, backup-controller.io/source-uid: u1, \
         backup-controller.io/run: {RUN}, batch.kubernetes.io/job-name: {}}}",
        job_name()
    )
}

fn job_name() -> String {
    names::restore_job(&target(), REQUEST)
}

/// What the PVC asks, and what it was told.
fn put_target(world: &mut World, request: Option<&str>, record: Option<&RestoreRecord>) {
    let told = record.map(|r| serde_json::to_string(r).unwrap());
    let asks = request.map(|r| format!("{}: '{r}'", names::RESTORE_FROM));
    let told = told.map(|r| format!("{}: '{r}'", names::RESTORE_STATUS));
    let annotations: Vec<String> = [asks, told].into_iter().flatten().collect();
    put_claim(
        world,
        &format!(
            "metadata: {{name: data, namespace: shop, uid: u1, annotations: {{{}}}}}\n\
             spec: {{storageClassName: fast, volumeName: pv}}\nstatus: {{phase: Bound}}",
            annotations.join(", ")
        ),
    );
}

/// A snapshot with its promoter, and the PVC that asks for it.
fn world(promoter: &str) -> World {
    let mut world = World::new("night".into(), "keepers", Arc::new(Config::default()));
    storage(&mut world);
    put_target(&mut world, Some(REQUEST), None);
    put_snapshot(
        &mut world,
        &format!(
            "metadata: {{name: data-20261120, namespace: shop, uid: s1, {}}}\n\
             spec: {{source: {{persistentVolumeClaimName: data}}}}\nstatus: {{readyToUse: true}}",
            labels("snapshot")
        ),
    );
    in_ledger(&mut world, &target(), |_| {});
    put_claim(
        &mut world,
        &format!(
            "metadata: {{name: data-20261120, namespace: shop, uid: p1, creationTimestamp: '{}', {}}}\n\
             spec: {{storageClassName: fast, volumeName: pv2, dataSource: {{apiGroup: snapshot.storage.k8s.io, \
             kind: VolumeSnapshot, name: data-20261120}}}}\nstatus: {{phase: {promoter}}}",
            now(),
            labels("promoter")
        ),
    );
    world.apply(Change::Holder("shop".into(), Seen::Begin));
    world.apply(Change::Holder("shop".into(), Seen::End));
    world
}

fn put_job(world: &mut World, instance: &str, meta: &str) {
    let job: ApiJob = read(&format!(
        "metadata: {{name: {}, namespace: shop, uid: j1, creationTimestamp: '{}', {meta}{}}}\n\
         spec: {{template: {{spec: {{containers: [], volumes: [{{name: v, persistentVolumeClaim: {{claimName: data}}}}]}}}}}}",
        job_name(),
        now(),
        labels("restore").replace("night", instance)
    ));
    world.apply(Change::Job(Seen::Put(Job::from(&job))));
}

/// The Job's pod, with what its kubelet and the scheduler say of it.
fn put_pod(world: &mut World, status: &str) {
    let pod: ApiPod = read(&format!(
        "metadata: {{name: {}-x, namespace: shop, uid: p1, creationTimestamp: '{}', {}, annotations: {{{}: \
         '{{\"request\":\"x\",\"state\":\"Ready\",\"target\":\"data\"}}'}}, ownerReferences: [{{apiVersion: batch/v1, \
         kind: Job, name: {}, uid: j1, controller: true}}]}}\n\
         spec: {{nodeName: node, containers: [], volumes: [{{name: v, persistentVolumeClaim: {{claimName: data}}}}]}}\n\
         status: {status}",
        job_name(),
        now(),
        labels("restore"),
        names::RESTORE_STATUS,
        job_name()
    ));
    world.apply(Change::Pod(Seen::Put(Pod::from(&pod))));
    world.apply(Change::Holder("shop".into(), Seen::Put(Holder::from(&pod))));
}

fn steps(world: &World, at: Timestamp) -> Vec<Action> {
    let aside =
        |a: &Action| matches!(a, Action::Restore(RestoreAction::Hold { .. } | RestoreAction::TellHolders { .. }));
    plan::restores(world, at).actions.into_iter().filter(|a| !aside(a)).collect()
}

/// The Jobs that are deleted.
fn ended(world: &World, at: Timestamp) -> Vec<String> {
    let uid = |action| match action {
        Action::DeleteJob { namespace, id } => Some(format!("{namespace}/{}", id.uid)),
        _ => None,
    };
    steps(world, at).into_iter().filter_map(uid).collect()
}

fn recorded(world: &World, at: Timestamp) -> Option<RestoreRecord> {
    steps(world, at).into_iter().find_map(|action| match action {
        Action::Restore(RestoreAction::Record { record, .. }) => Some(*record),
        _ => None,
    })
}

fn started(world: &World, at: Timestamp) -> bool {
    steps(world, at).iter().any(|a| matches!(a, Action::Restore(RestoreAction::Start(_))))
}

/// Until it is written down that the restore is decided; its Job is there.
fn begun() -> World {
    let mut world = world("Bound");
    let record = recorded(&world, now()).unwrap();
    assert_eq!((record.state, record.point.as_deref()), (RestoreState::Ready, Some("data-20261120")));
    put_target(&mut world, Some(REQUEST), Some(&record));
    assert!(started(&world, now()));
    put_job(&mut world, "night", "");
    world
}

/// A5, A5b: the request was taken away, and an hour later the Job was still there, with all that it mounts. Whoever looks
/// goes by the objects, so a controller that has just begun finds it too.
#[test]
fn a_restore_that_nobody_asks_for_any_more_ends_at_once() {
    let mut world = begun();
    assert_eq!(ended(&world, now()), [] as [&str; 0]);
    let record = RestoreRecord { state: RestoreState::Ready, ..recorded(&self::world("Bound"), now()).unwrap() };
    // With and without the record: that one is the tenant's to take away too.
    for told in [Some(&record), None] {
        put_target(&mut world, None, told);
        assert!(plan::any_restore(&world));
        assert_eq!(ended(&world, now()), ["shop/j1"]);
    }
    put_job(&mut world, "night", "deletionTimestamp: '2026-11-20T00:11:00Z', ");
    assert_eq!(ended(&world, now()), [] as [&str; 0], "it is being deleted");
    put_job(&mut world, "other", "");
    assert_eq!(ended(&world, now()), [] as [&str; 0], "another installation's");
    let gone = ("shop".to_owned(), job_name());
    put_job(&mut world, "night", "");
    world.apply(Change::Job(Seen::Gone(gone, "j1".into())));
    assert!(!plan::any_restore(&world));
}

/// A5b: with the PVC goes the request.
#[test]
fn a_restore_into_a_pvc_that_is_gone_ends() {
    let mut world = begun();
    world.apply(Change::Claim(Seen::Gone(("shop".into(), "data".into()), "u1".into())));
    assert_eq!(ended(&world, now()), ["shop/j1"]);
}

/// A5b: the new one would be told of the old one's pod, and give up.
#[test]
fn another_request_ends_the_restore_before_and_waits_for_its_end() {
    let mut world = begun();
    put_pod(&mut world, "{}");
    put_target(&mut world, Some("pvc=data date=latest from=snapshot id=2"), None);
    let waits = |world: &World| {
        let record = recorded(world, now()).unwrap();
        record.state == RestoreState::Waiting && record.problem.unwrap().reason == Reason::TargetInUse
    };
    assert_eq!(ended(&world, now()), ["shop/j1"]);
    assert!(waits(&world));
    world.apply(Change::Job(Seen::Gone(("shop".into(), job_name()), "j1".into())));
    assert!(waits(&world), "its pod ends after it");
    let pod = format!("{}-x", job_name());
    world.apply(Change::Pod(Seen::Gone(("shop".into(), pod.clone()), "p1".into())));
    world.apply(Change::Holder("shop".into(), Seen::Gone(("shop".into(), pod), "p1".into())));
    assert_eq!(recorded(&world, now()).unwrap().state, RestoreState::Ready);
}

/// A5: an image that cannot be pulled, a volume that cannot be mounted, a pod that fits on no node.
#[test]
fn a_restore_whose_pod_cannot_start_is_told_and_its_job_goes() {
    let waiting = "{phase: Pending, containerStatuses: [{name: backup, image: i, imageID: '', ready: false, restartCount: 0, \
                   state: {waiting: {reason: CreateContainerConfigError, message: no Secret}}}]}";
    let unschedulable = "{phase: Pending, conditions: [{type: PodScheduled, status: 'False', message: no node fits}]}";
    for (status, reason, words) in [
        (waiting, Reason::PodNotStarted, "no Secret"),
        (unschedulable, Reason::PodNotStarted, "no node fits"),
        ("{phase: Pending}", Reason::MountFailed, "FailedMount"),
    ] {
        let mut world = begun();
        put_pod(&mut world, status);
        let failure = Some(MountFailure { words: "FailedMount".into(), unreplayed: false });
        world.apply(Change::MountFailure(("shop".into(), format!("{}-x", job_name())), "p1".into(), failure));
        let limit = world.config.deadlines.copy_start;
        let early = Span::from_secs(limit.as_secs() - 1).after(now());
        assert_eq!((recorded(&world, early), ended(&world, early)), (None, vec![]));
        let record = recorded(&world, limit.after(now())).unwrap();
        let problem = record.problem.clone().unwrap();
        assert_eq!((record.state, problem.reason), (RestoreState::Failed, reason), "{problem}");
        assert!(problem.message.contains(words), "{problem}");
        put_target(&mut world, Some(REQUEST), Some(&record));
        assert_eq!(ended(&world, limit.after(now())), ["shop/j1"]);
    }
}

/// Law 5: whatever a restore waits for, it does not for ever. A5: meanwhile it holds its snapshot.
#[test]
fn a_restore_does_not_wait_for_ever() {
    let mut world = world("Pending");
    let record = recorded(&world, now()).unwrap();
    let reason = record.problem.as_ref().map(|p| p.reason);
    assert_eq!((record.state, reason), (RestoreState::Waiting, Some(Reason::WaitingForPromoter)));
    assert_eq!(record.since, Some(now()));
    put_target(&mut world, Some(REQUEST), Some(&record));
    let limit = world.config.deadlines.promoter_bound;
    assert_eq!(plan::restores(&world, Span::from_secs(1).after(now())).wake, Some(limit.after(now())));
    let record = recorded(&world, limit.after(now())).unwrap();
    let Problem { reason, message, .. } = record.problem.clone().unwrap();
    assert_eq!((record.state, reason), (RestoreState::Refused, Reason::WaitingForPromoter));
    assert!(message.contains("the restore waited 10m (deadlines.promoterBound)"), "{message}");
    put_target(&mut world, Some(REQUEST), Some(&record));
    assert_eq!(steps(&world, limit.after(now())), [], "a new value asks anew");
}

/// Law 5: the API server refuses the list of the pods, or does not answer. Nothing was told, and the restore waited for ever.
#[test]
fn a_restore_whose_namespaces_pods_cannot_be_listed_is_told_and_ends() {
    let mut world = world("Bound");
    world.holders.clear();
    let look = |world: &mut World, at: Timestamp| {
        let namespaces = plan::restores(world, at).namespaces;
        assert!(namespaces.contains("shop"), "they are wanted all the time");
        world.await_pods(&namespaces, at);
        recorded(world, at)
    };
    let after = |seconds| Span::from_secs(seconds).after(now());
    assert_eq!(look(&mut world, now()), None, "usually they are there within a second");
    assert_eq!(plan::restores(&world, now()).wake, Some(after(30)));
    assert_eq!(look(&mut world, after(29)), None);
    let record = look(&mut world, after(30)).unwrap();
    let problem = record.problem.clone().unwrap();
    assert_eq!((record.state, problem.reason), (RestoreState::Waiting, Reason::MountStateUnknown));
    assert!(problem.message.contains("cannot list the pods of namespace shop since"), "{problem}");
    put_target(&mut world, Some(REQUEST), Some(&record));
    assert_eq!(look(&mut world, after(31)), None, "it is told once");
    // As soon as they are known it goes on.
    let mut listed = self::world("Bound");
    put_target(&mut listed, Some(REQUEST), Some(&record));
    assert_eq!(recorded(&listed, after(31)).unwrap().state, RestoreState::Ready);
    let limit = world.config.deadlines.promoter_bound;
    let record = look(&mut world, limit.after(after(30))).unwrap();
    let problem = record.problem.unwrap();
    assert_eq!((record.state, problem.reason), (RestoreState::Refused, Reason::MountStateUnknown));
    assert!(problem.message.contains("deadlines.promoterBound"), "{problem}");
}

/// L2: the controller itself refuses it, whoever asks and however; a pod would be the second to do so.
#[test]
fn the_controller_refuses_to_delete_for_an_incomplete_restore_point() {
    let mut world = world("Bound");
    let config = "destinations: [{name: disk, type: disk, claim: {size: 1Gi}}]";
    world.apply(Change::Config(Arc::new(Config::parse(config).unwrap())));
    let run: names::Run = "20261120T0000Z".parse().unwrap();
    in_ledger(&mut world, &target(), |ledger| {
        let record = ledger.runs.iter_mut().find(|r| r.run == run).unwrap();
        let copy = json!({"state": "Incomplete", "finished": now(), "kept": [run], "incomplete": [run]});
        record.destinations = vec!["disk".to_owned()];
        record.results.insert("disk".to_owned(), serde_json::from_value(copy).unwrap());
    });
    put_target(&mut world, Some(&format!("pvc=data date={run} from=disk delete=true")), None);
    let record = recorded(&world, now()).unwrap();
    let reason = record.problem.map(|p| p.reason);
    assert_eq!((record.state, reason), (RestoreState::Refused, Some(Reason::RestorePointIncomplete)));
    put_target(&mut world, Some(&format!("pvc=data date={run} from=disk")), None);
    let reason = recorded(&world, now()).and_then(|r| r.problem).map(|p| p.reason);
    assert_ne!(reason, Some(Reason::RestorePointIncomplete));
}

fn put_deployment(world: &mut World, status: Option<&RestoreRecord>) {
    let told = status.map(|r| format!(", {}: '{}'", names::RESTORE_STATUS, serde_json::to_string(r).unwrap()));
    let deployment: Deployment = read(&format!(
        "metadata: {{name: restore-data, namespace: shop, uid: d1, annotations: {{{}: '{REQUEST}'{}}}}}",
        names::RESTORE_FROM,
        told.unwrap_or_default()
    ));
    world.apply(Change::Restorer(Seen::Put(Restorer::from(&deployment))));
}

/// A5: a quota that refuses its pod, or nobody who starts it: copies waited for it as long as the Deployment was there.
#[test]
fn a_restore_pod_that_never_comes_has_its_time_too() {
    let mut world = world("Bound");
    put_target(&mut world, None, None);
    put_deployment(&mut world, None);
    let prepared = steps(&world, now()).into_iter().find_map(|action| match action {
        Action::Restore(RestoreAction::Prepare(restore)) => Some(restore.record()),
        _ => None,
    });
    let record = prepared.unwrap();
    assert_eq!((record.state, record.since), (RestoreState::Ready, Some(now())));
    put_deployment(&mut world, Some(&record));
    assert_eq!(steps(&world, now()), []);
    let end = world.config.restores.max_age.after(now());
    let record = recorded(&world, end).unwrap();
    assert_eq!((record.state, record.problem.unwrap().reason), (RestoreState::Failed, Reason::DeadlineExceeded));
}

/// Law 5, for a Deployment.
#[test]
fn a_deployment_that_asks_does_not_wait_for_ever() {
    let mut world = world("Pending");
    put_target(&mut world, None, None);
    put_deployment(&mut world, None);
    let record = recorded(&world, now()).unwrap();
    assert_eq!((record.state, record.since), (RestoreState::Waiting, Some(now())));
    put_deployment(&mut world, Some(&record));
    let end = world.config.deadlines.promoter_bound.after(now());
    let record = recorded(&world, end).unwrap();
    assert_eq!(record.state, RestoreState::Failed);
    put_deployment(&mut world, Some(&record));
    assert_eq!(steps(&world, end), []);
}

/// A4: two installations see the PVC that asks. The first one that answers has it, and the other leaves it alone.
#[test]
fn a_restore_is_answered_by_one_installation() {
    let answered = |instance: Option<&str>, state, reason: Option<Reason>| RestoreRecord {
        instance: instance.map(Into::into),
        point: (state == RestoreState::Ready).then(|| "data-20261120".to_owned()),
        ..RestoreRecord::new(names::run_now_mark(REQUEST), state, reason.map(|reason| Problem::new(reason, "x")))
    };
    let written = |world: &World| {
        let plan = plan::restores(world, now());
        let record = plan.actions.iter().find_map(|action| match action {
            Action::Restore(RestoreAction::Record { record, .. }) => Some((record.instance.clone(), record.state)),
            _ => None,
        });
        (record, plan.actions.len())
    };
    let ours = Some((Some("night".into()), RestoreState::Ready));
    let mut bound = world("Bound");
    assert_eq!(written(&bound).0, ours);
    for (state, reason) in [
        (RestoreState::Ready, None),
        (RestoreState::Waiting, Some(Reason::TargetInUse)),
        (RestoreState::Refused, Some(Reason::InvalidRequest)),
        (RestoreState::Complete, None),
    ] {
        put_target(&mut bound, Some(REQUEST), Some(&answered(Some("day"), state, reason)));
        assert_eq!(written(&bound), (None, 0), "{state:?}");
    }
    // One that has no part in it was quicker.
    let unknown = answered(Some("day"), RestoreState::Refused, Some(Reason::NoRestorePoint));
    put_target(&mut bound, Some(REQUEST), Some(&unknown));
    assert_eq!(written(&bound).0, ours);
    // And where we have no part in it, we are not.
    let missing = REQUEST.replace("latest", "20010101");
    put_target(&mut bound, Some(&missing), Some(&RestoreRecord { request: names::run_now_mark(&missing), ..unknown }));
    assert_eq!(written(&bound).0, None);
    put_target(&mut bound, Some(&missing), None);
    assert_eq!(written(&bound).0, Some((Some("night".into()), RestoreState::Refused)), "nobody else would say it");
}
