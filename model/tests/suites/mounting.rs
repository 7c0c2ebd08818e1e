//! Pods whose volumes do not come: why is asked once, when their time is over, and then told.

use std::sync::Arc;

use crate::fixtures::{put_claim, put_snapshot, read, results};
use model::Timestamp;
use model::config::Config;
use model::facts::{Job, MountFailure, Pod, PodRefusal};
use model::names::{self, Run, SourceId};
use model::plan::{self, Action, Plan};
use model::reason::Reason;
use model::record::{CopyResult, CopyState};
use model::world::{Change, Key, Seen, World};
use serde_json::{Value, json};

const UID: &str = "u1";
const RUN: &str = "20261120T0000Z";
const CONFIG: &str = "defaults: {destinations: [s3]}\ndestinations: [{name: s3, type: restic, secret: backup-s3}]";

fn minute(n: i64) -> Timestamp {
    Timestamp::from_second("2026-11-20T00:00:00Z".parse::<Timestamp>().unwrap().as_second() + 60 * n).unwrap()
}

fn source() -> SourceId {
    SourceId { namespace: "shop".into(), name: "data".into(), uid: UID.into() }
}

fn labels(component: &str) -> Value {
    json!({
        names::MANAGED_BY: names::MANAGER, names::INSTANCE: "night", names::COMPONENT: component,
        names::SOURCE_PVC: "data", names::SOURCE_UID: UID, names::RUN: RUN, names::DESTINATION: "s3",
    })
}

fn job_name() -> String {
    names::copy_job(&source(), &RUN.parse::<Run>().unwrap(), "s3")
}

/// A source whose run is being copied, from a promoter with that access mode.
fn world(access: &str) -> World {
    world_of(access, "replayed")
}

/// The same, from a promoter whose mount does that with the journal.
fn world_of(access: &str, journal: &str) -> World {
    let mut world = World::new("night".into(), "keepers", Arc::new(Config::parse(CONFIG).unwrap()));
    crate::fixtures::storage(&mut world);
    let text = format!(
        "metadata: {{name: data, namespace: shop, uid: {UID}}}\nspec: {{storageClassName: fast, volumeName: pv}}\n\
         status: {{phase: Bound, capacity: {{storage: 1Gi}}}}"
    );
    put_claim(&mut world, &text);
    let text = format!(
        "metadata: {{name: point, namespace: shop, uid: s, creationTimestamp: '{}', labels: {}, annotations: {}}}\n\
         spec: {{source: {{persistentVolumeClaimName: data}}}}\nstatus: {{readyToUse: true}}",
        minute(0),
        labels("snapshot"),
        json!({"backup-controller.io/destinations-taken": "s3"}),
    );
    put_snapshot(&mut world, &text);
    let text = format!(
        "metadata: {{name: point, namespace: shop, uid: p, creationTimestamp: '{}', labels: {}, annotations: {}}}\n\
         spec: {{storageClassName: fast, volumeName: pv-1, accessModes: [{access}], \
         dataSource: {{apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: point}}}}\n\
         status: {{phase: Bound}}",
        minute(0),
        labels("promoter"),
        json!({names::JOURNAL: journal}),
    );
    put_claim(&mut world, &text);
    let text = format!(
        "metadata: {{name: {}, namespace: shop, uid: j, creationTimestamp: '{}', labels: {}, annotations: {}}}\n\
         spec: {{template: {{spec: {{containers: [], \
         volumes: [{{name: source, persistentVolumeClaim: {{claimName: point}}}}]}}}}}}",
        job_name(),
        minute(1),
        labels("copy"),
        json!({names::SOURCE_NAMESPACE: "shop", names::SOURCE_NAME: "data"}),
    );
    world.apply(Change::Job(Seen::Put(Job::from(&read::<k8s_openapi::api::batch::v1::Job>(&text)))));
    put_pod(&mut world, "pod-1", 1);
    world
}

/// A pod of the copy that has its node and hangs there.
fn put_pod(world: &mut World, uid: &str, created: i64) {
    put_pod_that(world, uid, created, "waiting: {reason: ContainerCreating}");
}

/// A pod of the copy whose container has that state.
fn put_pod_that(world: &mut World, uid: &str, created: i64, state: &str) {
    put_pod_beside(world, uid, created, state, "Pending");
}

/// The same of a pod in that phase: others of its containers may run.
fn put_pod_beside(world: &mut World, uid: &str, created: i64, state: &str, phase: &str) {
    world.apply(Change::Pod(Seen::Put(pod_that(uid, created, state, phase))));
}

fn pod_that(uid: &str, created: i64, state: &str, phase: &str) -> Pod {
    let (mut labels, name) = (labels("copy"), job_name());
    labels["batch.kubernetes.io/job-name"] = json!(name);
    let text = format!(
        "metadata: {{name: {uid}, namespace: shop, uid: {uid}, creationTimestamp: '{}', \
         labels: {labels}, ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: {name}, uid: j, \
         controller: true}}]}}\nspec: {{nodeName: node-1, containers: []}}\n\
         status: {{phase: {phase}, containerStatuses: [{{name: backup, image: x, imageID: x, ready: false, restartCount: 0, \
         state: {{{state}}}}}]}}",
        minute(created),
    );
    Pod::from(&read::<k8s_openapi::api::core::v1::Pod>(&text))
}

fn key(name: &str) -> Key {
    ("shop".to_owned(), name.to_owned())
}

fn answer(world: &mut World, words: Option<&str>, unreplayed: bool) -> bool {
    let failure = words.map(|words| MountFailure { words: words.to_owned(), unreplayed });
    world.apply(Change::MountFailure(key("pod-1"), "pod-1".into(), failure)).contains(UID)
}

/// The Job again, with that status.
fn put_job(world: &mut World, status: &str) {
    put_job_that(world, "", status);
}

/// The same, with more metadata.
fn put_job_that(world: &mut World, meta: &str, status: &str) {
    let text = format!(
        "metadata: {{name: {}, namespace: shop, uid: j, creationTimestamp: '{}', labels: {}, annotations: {}{meta}}}\n\
         spec: {{template: {{spec: {{containers: []}}}}}}\nstatus: {status}",
        job_name(),
        minute(1),
        labels("copy"),
        json!({names::SOURCE_NAMESPACE: "shop", names::SOURCE_NAME: "data"}),
    );
    world.apply(Change::Job(Seen::Put(Job::from(&read::<k8s_openapi::api::batch::v1::Job>(&text)))));
}

fn pod_is_gone(world: &mut World) {
    world.apply(Change::Pod(Seen::Gone(key("pod-1"), "pod-1".into())));
}

fn asked(plan: &Plan) -> Vec<&str> {
    let of = |a: &'_ Action| matches!(a, Action::Ask { .. });
    plan.actions
        .iter()
        .filter(|a| of(a))
        .map(|a| match a {
            Action::Ask { namespace, uid, .. } if namespace == "shop" => uid.as_str(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn recorded(plan: &Plan) -> Option<CopyResult> {
    results(plan).into_iter().next().map(|(_, result)| result)
}

fn at(world: &World, n: i64) -> Plan {
    crate::fixtures::plan(world, UID, minute(n))
}

/// F38, law 5: in between, nobody lists Events.
#[test]
fn why_a_pod_hangs_is_asked_once_and_only_when_its_time_is_over() {
    let mut world = world("ReadOnlyMany");
    assert!(asked(&at(&world, 10)).is_empty() && at(&world, 10).wake.is_some_and(|wake| wake <= minute(11)));
    let late = at(&world, 11);
    assert_eq!((asked(&late), recorded(&late)), (vec!["pod-1"], None));
    assert!(answer(&mut world, None, false), "the source is looked at again");
    let told = at(&world, 11);
    assert!(asked(&told).is_empty());
    let result = recorded(&told).unwrap();
    assert_eq!((result.state, result.reason), (CopyState::Failed, Some(Reason::PodNotStarted)));
    assert!(result.message.contains("node node-1 has not started its container"), "{}", result.message);
}

/// A1: a proxy that somebody injects does not end. Without its end Kubernetes neither ends the Job nor tries again.
#[test]
fn a_copy_has_ended_when_our_container_has_whatever_else_is_in_its_pod() {
    for (code, message, state, reason) in [
        (0, r#"{"state":"Complete","finished":"2026-11-20T00:02:00Z"}"#, CopyState::Complete, None),
        (
            1,
            r#"{"state":"Failed","reason":"DiskFull","finished":"2026-11-20T00:02:00Z"}"#,
            CopyState::Failed,
            Some(Reason::DiskFull),
        ),
        (137, "", CopyState::Failed, Some(Reason::JobFailed)),
    ] {
        let mut world = world("ReadOnlyMany");
        let ended = json!({"terminated": {"exitCode": code, "message": message, "finishedAt": minute(2)}}).to_string();
        let inside = ended.trim_start_matches('{').trim_end_matches('}').to_owned() + "}";
        put_pod_beside(&mut world, "pod-1", 1, &inside, "Running");
        let soon = at(&world, 2);
        assert_eq!(recorded(&soon), None, "the proxy may end by itself");
        assert!(soon.wake.is_some_and(|wake| wake <= minute(3)), "{:?}", soon.wake);
        let result = recorded(&at(&world, 3)).unwrap();
        assert_eq!((result.state, result.reason), (state, reason), "{result:?}");
    }
    let mut world = world("ReadOnlyMany");
    put_pod_beside(&mut world, "pod-1", 1, "terminated: {exitCode: 0, finishedAt: '2036-11-20T00:02:00Z'}", "Running");
    let plan = at(&world, 3);
    let lost = plan
        .actions
        .iter()
        .any(|action| matches!(action, Action::WriteLedger(write) if write.ledger.runs[0].lost.contains_key("s3")));
    assert!(lost, "a clock that is ahead holds no slot: {plan:?}");
}

/// A17: Kubernetes ends the pods of a Job before it has failed. In between it has none.
#[test]
fn a_copy_that_reached_its_deadline_is_not_taken_for_one_that_never_started() {
    let mut world = world("ReadOnlyMany");
    put_job(&mut world, "{conditions: [{type: FailureTarget, status: 'True', reason: DeadlineExceeded, message: m}]}");
    pod_is_gone(&mut world);
    let plan = at(&world, 242);
    assert_eq!((recorded(&plan), asked(&plan)), (None, Vec::new()));
    put_pod_that(
        &mut world,
        "pod-1",
        1,
        r#"terminated: {exitCode: 1, message: '{"state":"Failed","reason":"CopyFailed","message":"the copy was stopped before it finished after 3Gi in 9 files","finished":"2026-11-20T04:01:00Z"}'}"#,
    );
    put_job(&mut world, "{conditions: [{type: Failed, status: 'True', reason: DeadlineExceeded, message: m}]}");
    let result = recorded(&at(&world, 242)).unwrap();
    assert_eq!(result.reason, Some(Reason::DeadlineExceeded));
    assert!(
        result.message.contains("within 4h (deadlines.copy)") && result.message.ends_with("3Gi in 9 files"),
        "{}",
        result.message
    );
}

/// A3: a `LimitRange`, a quota, Pod Security or a webhook refuses the pod, and only the Job's Events say why.
#[test]
fn why_a_job_gets_no_pod_is_asked_once_and_told() {
    for (refusal, reason, words) in [
        (Some(("minimum memory usage per Container is 256Mi", false)), Reason::PodRefused, "256Mi"),
        (Some(("violates PodSecurity", true)), Reason::PodSecurity, "violates"),
        (None, Reason::PodNotStarted, "check its events"),
    ] {
        let mut world = world("ReadOnlyMany");
        pod_is_gone(&mut world);
        assert!(asked(&at(&world, 10)).is_empty(), "it may get one yet");
        assert_eq!(asked(&at(&world, 11)), ["j"]);
        let refusal = refusal.map(|(words, pod_security)| PodRefusal { words: words.to_owned(), pod_security });
        assert!(world.apply(Change::PodRefusal(key(&job_name()), "other".into(), refusal.clone())).is_empty());
        assert!(world.apply(Change::PodRefusal(key(&job_name()), "j".into(), refusal)).contains(UID));
        let result = recorded(&at(&world, 11)).unwrap();
        assert_eq!(result.reason, Some(reason));
        assert!(result.message.contains(words), "{}", result.message);
    }
}

/// S8: in his own namespace a tenant may patch the Job's `activeDeadlineSeconds`, or suspend it, and a copy that he slows
/// down would hold its slots for ever.
#[test]
fn a_copy_ends_when_its_time_is_over_whatever_its_job_says() {
    let mut world = world("ReadOnlyMany");
    put_pod_that(&mut world, "pod-1", 1, "running: {startedAt: '2026-11-20T00:01:00Z'}");
    let before = at(&world, 242);
    assert_eq!(recorded(&before), None);
    assert!(before.wake.is_some_and(|wake| wake <= minute(243)), "{:?}", before.wake);
    let result = recorded(&at(&world, 243)).unwrap();
    assert_eq!((result.state, result.reason), (CopyState::Failed, Some(Reason::DeadlineExceeded)));
    assert!(result.message.contains("4h after its creation (deadlines.copy)"), "{}", result.message);
}

/// S11: he keeps the deleted Job by a finalizer, in as many namespaces as he has.
#[test]
fn a_job_that_its_namespace_does_not_let_go_takes_a_place_only_for_its_time() {
    let mut world = world("ReadOnlyMany");
    put_job_that(&mut world, &format!(", deletionTimestamp: '{}', finalizers: [example.com/mine]", minute(2)), "{}");
    let running = |n| plan::running(&world, minute(n)).collect::<Vec<_>>();
    assert_eq!((running(242).len(), running(243).len()), (1, 0));
    assert_eq!(plan::frees(&world, &running(2), minute(2)), Some(minute(243)), "admission looks again then");
}

/// L25: the watch of pods stands still, and that of Jobs goes on.
#[test]
fn a_copy_whose_end_no_watch_told_is_asked_for_it_once() {
    let told = "terminated: {exitCode: 0, message: '{\"state\":\"Complete\",\"finished\":\"2026-11-20T00:02:00Z\"}'}";
    let mut world = world("ReadOnlyMany");
    put_job(
        &mut world,
        &format!("{{conditions: [{{type: Complete, status: 'True', lastTransitionTime: '{}'}}]}}", minute(2)),
    );
    assert!(asked(&at(&world, 2)).is_empty(), "it may still be on its way");
    let plan = at(&world, 3);
    assert_eq!((recorded(&plan), asked(&plan)), (None, vec!["j"]));
    let pod = pod_that("pod-1", 1, told, "Succeeded");
    assert!(world.apply(Change::PodsListed(key(&job_name()), "other".into(), vec![pod.clone()])).is_empty());
    assert!(world.apply(Change::PodsListed(key(&job_name()), "j".into(), vec![pod])).contains(UID));
    assert_eq!(recorded(&at(&world, 3)).unwrap().state, CopyState::Complete);

    // There is none, and so there is nothing to wait for.
    let mut world = self::world("ReadOnlyMany");
    put_job(
        &mut world,
        &format!("{{conditions: [{{type: Failed, status: 'True', lastTransitionTime: '{}'}}]}}", minute(2)),
    );
    assert_eq!(asked(&at(&world, 3)), ["j"]);
    world.apply(Change::PodsListed(key(&job_name()), "j".into(), Vec::new()));
    let plan = at(&world, 3);
    assert_eq!((recorded(&plan).unwrap().reason, asked(&plan)), (Some(Reason::JobFailed), Vec::new()));
}

#[test]
fn a_volume_that_cannot_be_mounted_is_told_in_the_kubelets_words() {
    for (access, journal, unreplayed, reason) in [
        ("ReadOnlyMany", "replayed", true, Reason::JournalNotReplayable),
        ("ReadOnlyMany", "replayed", false, Reason::MountFailed),
        // Who has that option is not told to take it.
        ("ReadOnlyMany", "skipped", true, Reason::MountFailed),
        // Our settings say nothing of how others' volumes are mounted.
        ("ReadWriteOnce", "replayed", true, Reason::MountFailed),
    ] {
        let mut world = world_of(access, journal);
        answer(&mut world, Some("ext4: write access unavailable (try mounting with noload)"), unreplayed);
        let result = recorded(&at(&world, 11)).unwrap();
        assert_eq!(result.reason, Some(reason), "{access} {journal}");
        let wanted = "pod pod-1: node node-1 cannot mount its volumes: ext4: write access unavailable";
        assert!(result.message.starts_with(wanted), "{}", result.message);
    }
    for word in ["classes.<class>.storageClass", "mountOptions [noload]", "readOnly: true", "norecovery"] {
        assert!(Reason::JournalNotReplayable.help().contains(word), "{word}");
    }
}

#[test]
fn what_was_said_of_a_pod_goes_with_it_and_each_pod_is_asked_about() {
    let mut world = world("ReadOnlyMany");
    answer(&mut world, Some("x"), false);
    world.apply(Change::Pod(Seen::Gone(key("pod-1"), "pod-1".into())));
    assert!(world.memory.mount_failures.is_empty());
    assert!(
        !answer(&mut world, Some("late"), false) && world.memory.mount_failures.is_empty(),
        "an answer that comes late"
    );
    put_pod(&mut world, "pod-2", 12);
    assert!(recorded(&at(&world, 13)).is_none() && asked(&at(&world, 13)).is_empty());
    assert_eq!(asked(&at(&world, 22)), ["pod-2"]);
}
