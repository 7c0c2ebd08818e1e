//! Restores from central destinations, step by step: a small cluster does what the plans say, and whatever is lost in
//! between, the next plan goes on. What was lent goes away again, in order, and nobody writes beside a tenant's pod.

use std::sync::Arc;

use crate::fixtures::{RUN, cases, in_ledger, namespace, now, put_claim, put_snapshot, read, target, volume};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job as ApiJob;
use k8s_openapi::api::core::v1::Pod as ApiPod;
use model::config::Config;
use model::duration::Span;
use model::facts::{Holder, Job, Pod, Restorer};
use model::names::{self, SourceId};
use model::plan::{self, Action, AliasPart, Origin, RestoreAction};
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState, RestoreRecord, RestoreResult, RestoreState};
use model::record::{RunRecord, Taken};
use model::world::{Change, Seen, World};
use proptest::prelude::*;

const REQUEST: &str = "pvc=data date=latest from=vault";
const CONFIG: &str = "destinations: [{name: vault, type: restic, secret: s3, runIn: controller}]";
/// What stands on a restore pod of whatever request.
const TOLD: &str = r#"{"request":"x","state":"Ready","target":"data"}"#;

fn labels(component: &str) -> String {
    format!(
        "app.kubernetes.io/managed-by: backup-controller, backup-controller.io/instance: night, \
         backup-controller.io/component: {component}"
    )
}

/// What is in the cluster, and how far storage and kubelet have come with it.
#[derive(Debug, Clone, PartialEq)]
struct Cluster {
    request: Option<String>,
    record: Option<String>,
    /// The PersistentVolume that lends: its phase.
    volume: Option<&'static str>,
    claim: Option<&'static str>,
    job: Option<&'static str>,
    pod: Option<bool>,
    /// The volume of the target.
    target: &'static str,
    target_phase: &'static str,
    /// Pods of the tenant that have the target: name, and whether it ends.
    holders: Vec<(&'static str, bool)>,
    config: &'static str,
    enforces: &'static str,
    /// The other installation that has the PVC's record.
    other: bool,
    /// Whether the API server refuses a part of what a restore starts with, and whether that is known.
    refuses: bool,
    fault: bool,
    /// How late it is.
    minutes: u64,
    /// Another namespace with a ledger of a PVC.
    elsewhere: Option<&'static str>,
}

impl Cluster {
    fn new() -> Self {
        Self {
            request: Some(REQUEST.into()),
            record: None,
            volume: None,
            claim: None,
            job: None,
            pod: None,
            target: "csi: {driver: csi, volumeHandle: h1}",
            target_phase: "Bound",
            holders: vec![],
            config: CONFIG,
            enforces: "restricted",
            other: false,
            refuses: false,
            fault: false,
            minutes: 0,
            elsewhere: None,
        }
    }

    /// The Job's name, which the claim has too; what is there is of the first request.
    fn job_name() -> String {
        names::restore_job(&target(), REQUEST)
    }

    fn world(&self) -> World {
        let mut world = World::new("night".into(), "keepers", Arc::new(Config::parse(self.config).unwrap()));
        world.apply(Change::SnapshotApi(true));
        for text in [
            format!("metadata: {{name: shop, labels: {{pod-security.kubernetes.io/enforce: {}}}}}", self.enforces),
            "metadata: {name: keepers}".to_owned(),
        ] {
            world.apply(Change::Namespace(Seen::Put(namespace(&text))));
        }
        world.apply(Change::StorageClass(Seen::Put(crate::fixtures::storage_class(
            "metadata: {name: late}\nprovisioner: csi\nvolumeBindingMode: WaitForFirstConsumer",
        ))));
        let text = format!(
            "metadata: {{name: pv1, uid: v1}}\nspec: {{claimRef: {{namespace: shop, name: data, uid: u1}}, {}}}",
            self.target
        );
        world.apply(Change::Volume(Seen::Put(volume(&text))));
        if let Some(namespace) = self.elsewhere {
            let source = SourceId { namespace: namespace.into(), name: "data".into(), uid: "u9".into() };
            in_ledger(&mut world, &source, |ledger| {
                let taken = Taken::Snapshot { name: "data-20261120".into(), uid: "s9".into() };
                let mut run = RunRecord::new(RUN.parse().unwrap(), taken, None);
                let copied =
                    CopyResult { kept: vec![RUN.parse().unwrap()], ..CopyResult::new(CopyState::Complete, now()) };
                run.results.insert("vault".into(), copied);
                ledger.runs.push(run);
            });
        }
        self.tenant(&mut world);
        self.home(&mut world);
        if self.fault {
            world.memory.restore_faults.insert("u1".into(), Problem::new(Reason::QuotaExceeded, "exceeded quota"));
        }
        world
    }

    /// What the tenant has: the PVC that asks, the snapshot of a run that was copied, and pods.
    fn tenant(&self, world: &mut World) {
        let quoted = |key: &str, text: &str| format!("{key}: '{}'", text.replace('\'', "''"));
        let asks = self.request.iter().map(|r| quoted(names::RESTORE_FROM, r));
        let told = self.record.iter().map(|r| quoted(names::RESTORE_STATUS, r));
        let other = self.other.then(|| quoted(names::STATUS, r#"{"instance":"other"}"#));
        let annotations: Vec<String> = asks.chain(told).chain(other).collect();
        let volume = if self.target_phase == "Bound" { "pv1" } else { "''" };
        let text = format!(
            "metadata: {{name: data, namespace: shop, uid: u1, resourceVersion: '1', annotations: {{{}}}}}\n\
             spec: {{storageClassName: late, volumeName: {volume}}}\nstatus: {{phase: {}}}",
            annotations.join(", "),
            self.target_phase
        );
        put_claim(world, &text);
        let copied =
            CopyResult { snapshot: Some("0123abcd".to_owned()), ..CopyResult::new(CopyState::Complete, now()) };
        let text = format!(
            "metadata: {{name: data-20261120, namespace: shop, uid: s1, resourceVersion: '1', labels: {{{}, \
             backup-controller.io/source-uid: u1, backup-controller.io/run: {RUN}}}, annotations: {{{}, \
             backup-controller.io/destinations-taken: vault}}}}\n\
             spec: {{source: {{persistentVolumeClaimName: data}}}}\nstatus: {{readyToUse: true}}",
            labels("snapshot"),
            quoted("backup-controller.io/copy.vault", &serde_json::to_string(&copied).unwrap())
        );
        put_snapshot(world, &text);
        world.apply(Change::Holder("shop".into(), Seen::Begin));
        for (name, ends) in &self.holders {
            let ends = if *ends { "deletionTimestamp: 2026-11-20T00:09:00Z, " } else { "" };
            let pod: ApiPod = read(&format!(
                "metadata: {{{ends}name: {name}, namespace: shop, uid: {name}}}\n\
                 spec: {{containers: [], volumes: [{{name: v, persistentVolumeClaim: {{claimName: data}}}}]}}"
            ));
            world.apply(Change::Holder("shop".into(), Seen::Put(Holder::from(&pod))));
        }
        world.apply(Change::Holder("shop".into(), Seen::End));
    }

    /// What there is in the controller's namespace.
    fn home(&self, world: &mut World) {
        let name = Self::job_name();
        let marks = |component: &str| format!("labels: {{{}, backup-controller.io/target-uid: u1}}", labels(component));
        if let Some(phase) = self.volume {
            let uid = if phase == "Available" { "" } else { ", uid: c1" };
            let text = format!(
                "metadata: {{name: night-{name}, uid: v2, {}}}\nspec: {{claimRef: {{namespace: keepers, name: {name}{uid}}}, \
                 csi: {{driver: csi, volumeHandle: h1}}}}\nstatus: {{phase: {phase}}}",
                marks("target")
            );
            world.apply(Change::Volume(Seen::Put(volume(&text))));
        }
        if let Some(phase) = self.claim {
            let text = format!(
                "metadata: {{name: {name}, namespace: keepers, uid: c1, resourceVersion: '1', {}}}\n\
                 spec: {{volumeName: night-{name}}}\nstatus: {{phase: {phase}}}",
                marks("target")
            );
            put_claim(world, &text);
        }
        if let Some(state) = self.job {
            let status = match state {
                "Active" => "{}".to_owned(),
                state => format!("{{conditions: [{{type: {state}, status: 'True'}}]}}"),
            };
            let job: ApiJob = read(&format!(
                "metadata: {{name: {name}, namespace: keepers, uid: j1, resourceVersion: '1', \
                 creationTimestamp: '{}', {}}}\nstatus: {status}",
                now(),
                marks("restore")
            ));
            world.apply(Change::Job(Seen::Put(Job::from(&job))));
        }
        world.apply(Change::Holder("keepers".into(), Seen::Begin));
        if let Some(ended) = self.pod {
            let result = RestoreResult {
                state: RestoreState::Complete,
                problem: None,
                finished: now(),
                changed: 1,
                deleted: 0,
                bytes: 1,
                wrote: Some(true),
                seconds: 1,
            };
            let message = serde_json::to_string(&result).unwrap();
            let state = if ended {
                serde_json::json!({"terminated": {"exitCode": 0, "message": message}})
            } else {
                serde_json::json!({"running": {}})
            };
            let pod: ApiPod = serde_json::from_value(serde_json::json!({
                "metadata": {
                    "name": format!("{name}-x"), "namespace": "keepers", "uid": "p1",
                    "labels": {
                        "batch.kubernetes.io/job-name": name, names::MANAGED_BY: names::MANAGER,
                        names::INSTANCE: "night", names::COMPONENT: "restore",
                    },
                    "ownerReferences": [
                        {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": "j1", "controller": true},
                    ],
                    "annotations": {names::TARGET_NAMESPACE: "shop", names::RESTORE_STATUS: TOLD},
                },
                "spec": {"containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": name}}]},
                "status": {
                    "phase": if ended { "Succeeded" } else { "Running" },
                    "containerStatuses": [{
                        "name": "backup", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": state,
                    }],
                },
            }))
            .unwrap();
            world.apply(Change::Pod(Seen::Put(Pod::from(&pod))));
            world.apply(Change::Holder("keepers".into(), Seen::Put(Holder::from(&pod))));
        }
        world.apply(Change::Holder("keepers".into(), Seen::End));
    }

    fn plan(&self) -> Vec<Action> {
        plan::restores(&self.world(), Span::minutes(self.minutes).after(now())).actions
    }

    /// Does what the plan says; the step that starts a restore does `far` of its three parts. Says what was done.
    fn turn(&mut self, far: usize) -> Vec<String> {
        let actions = self.plan();
        let mut said = Vec::new();
        for action in actions {
            match action {
                Action::Restore(RestoreAction::Record { record, namespace, .. }) => {
                    assert_eq!(namespace, "shop");
                    said.push(format!("{:?}", record.state));
                    self.record = Some(serde_json::to_string(&record).unwrap());
                }
                Action::Restore(RestoreAction::Start(restore)) => {
                    assert!(
                        matches!(&restore.origin, Origin::Central { volume, .. } if volume == "pv1"),
                        "{restore:?}"
                    );
                    assert!(self.holders.is_empty() && restore.job() == Self::job_name());
                    assert!(!matches!(self.volume, Some("Released" | "Terminating")) && self.claim != Some("Lost"));
                    said.push("start".into());
                    self.volume = self.volume.or(Some("Available"));
                    if far > 0 {
                        self.claim = self.claim.or(Some("Pending"));
                    }
                    self.fault = self.refuses;
                    if far > 1 && !self.refuses {
                        assert_eq!(self.job, None);
                        self.job = Some("Active");
                    }
                }
                Action::DeleteJob { namespace, id } => {
                    assert_eq!((namespace.as_str(), id.uid.as_str()), ("keepers", "j1"));
                    if self.job.take().is_some() {
                        said.push("no Job".into());
                    }
                }
                Action::Restore(RestoreAction::TakeBack(AliasPart::Claim(id))) => {
                    assert_eq!((id.uid.as_str(), self.job, self.pod), ("c1", None, None), "what uses it goes first");
                    said.push("no Claim".into());
                    self.claim = None;
                    self.volume = self.volume.map(|phase| if phase == "Bound" { "Released" } else { phase });
                }
                Action::Restore(RestoreAction::TakeBack(AliasPart::Volume(id))) => {
                    assert_eq!((id.uid.as_str(), self.claim, self.pod), ("v2", None, None), "never the target's own");
                    said.push("no Volume".into());
                    self.volume = None;
                }
                Action::Restore(RestoreAction::TellHolders { .. } | RestoreAction::Hold { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        said
    }

    /// Storage and kubelet go on by one step, if there is something for them to do.
    fn storage(&mut self) -> bool {
        let before = self.clone();
        if self.claim == Some("Pending") && self.volume == Some("Available") {
            (self.claim, self.volume) = (Some("Bound"), Some("Bound"));
        } else if self.job == Some("Active") && self.claim == Some("Bound") && self.pod.is_none() {
            self.pod = Some(false);
        } else if self.job.is_some() && self.pod == Some(false) {
            (self.pod, self.job) = (Some(true), Some("Complete"));
        } else if self.job.is_none() {
            // Pods end after their Job.
            self.pod = None;
        }
        *self != before
    }

    fn state(&self) -> Option<RestoreState> {
        Some(serde_json::from_str::<RestoreRecord>(self.record.as_ref()?).unwrap().state)
    }

    fn is_clean(&self) -> bool {
        self.volume.is_none() && self.claim.is_none() && self.job.is_none() && self.pod.is_none()
    }

    /// What is waited for, or why there is no restore.
    fn problem(&mut self) -> (RestoreState, Reason, String) {
        self.turn(2);
        let record: RestoreRecord = serde_json::from_str(self.record.as_ref().unwrap()).unwrap();
        let problem = record.problem.unwrap();
        (record.state, problem.reason, problem.message)
    }
}

/// Until nothing happens any more.
fn run(cluster: &mut Cluster) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..40 {
        let said = cluster.turn(2);
        let quiet = said.is_empty();
        all.extend(said);
        if !cluster.storage() && quiet {
            return all;
        }
    }
    panic!("it never ends: {all:?}\n{cluster:?}");
}

const ALL: [&str; 6] = ["Ready", "start", "Complete", "no Job", "no Claim", "no Volume"];

/// The namespace enforces `restricted`: no pod of the restore is there.
#[test]
fn a_target_is_lent_for_its_restore_and_comes_back() {
    let mut cluster = Cluster::new();
    assert_eq!(run(&mut cluster), ALL);
    assert!(cluster.is_clean());
    assert_eq!(run(&mut cluster), [] as [&str; 0], "and never again");
}

/// F62: another controller goes on from what is there; the plan is made from nothing but the objects.
#[test]
fn a_start_that_broke_off_between_any_two_objects_is_taken_up() {
    for far in [0, 1] {
        for settled in [false, true] {
            let mut cluster = Cluster::new();
            cluster.turn(far);
            assert_eq!(cluster.turn(far), ["start"]);
            assert_eq!(cluster.job, None);
            if settled {
                cluster.storage();
            }
            assert_eq!(run(&mut cluster), ALL[1..], "{far} {settled}");
            assert!(cluster.is_clean());
        }
    }
}

/// Who takes the request back, or asks for something else, ends it: the pod first, the storage's volume never.
#[test]
fn who_does_not_ask_any_more_gets_his_volume_back() {
    let mut cluster = Cluster::new();
    while cluster.pod != Some(false) {
        cluster.turn(2);
        cluster.storage();
    }
    let mut other = cluster.clone();
    cluster.request = None;
    assert_eq!(run(&mut cluster), ["no Job", "no Claim", "no Volume"]);
    assert!(cluster.is_clean());
    other.request = Some(format!("{REQUEST} path=etc"));
    let (state, reason, _) = other.problem();
    assert_eq!((state, reason), (RestoreState::Waiting, Reason::TargetInUse), "two never write one volume");
}

/// A quota, a guard, a role that is too old: it is told, and what was lent stays until it is made good or is too late.
#[test]
fn a_start_that_is_refused_is_told_and_ends() {
    let mut cluster = Cluster { refuses: true, ..Cluster::new() };
    assert_eq!(cluster.turn(2), ["Ready"]);
    assert_eq!(cluster.turn(2), ["start"]);
    cluster.storage();
    let (state, reason, message) = cluster.problem();
    assert_eq!((state, reason, message.as_str()), (RestoreState::Waiting, Reason::QuotaExceeded, "exceeded quota"));
    let lent = (Some("Bound"), Some("Bound"));
    for minutes in [1, 9] {
        cluster.minutes = minutes;
        assert_eq!(cluster.turn(2), ["start"], "it is tried again, and nothing is told twice");
        assert_eq!((cluster.volume, cluster.claim), lent);
    }
    // Another controller knows of no refusal yet.
    cluster.fault = false;
    assert_eq!(cluster.turn(2), ["start"]);
    let mut good = Cluster { refuses: false, ..cluster.clone() };
    assert_eq!(run(&mut good), ["start", "Ready", "Complete", "no Job", "no Claim", "no Volume"]);
    assert!(good.is_clean());

    cluster.minutes = 10;
    let (state, reason, message) = cluster.problem();
    assert_eq!((state, reason), (RestoreState::Failed, Reason::QuotaExceeded));
    assert!(message.contains("within 10m (deadlines.copyStart): exceeded quota"), "{message}");
    assert_eq!(run(&mut cluster), ["no Claim", "no Volume"]);
    assert!(cluster.is_clean());
}

/// Only who looks at the target's volume knows that it cannot be lent. The next plan records it, for this request alone.
#[test]
fn a_volume_that_cannot_be_lent_ends_the_restore_that_asked_for_it() {
    let mut cluster = Cluster::new();
    assert_eq!(cluster.turn(2), ["Ready"]);
    let mut world = cluster.world();
    let steps = |world: &World| -> Vec<String> {
        let steps = plan::restores(world, now()).actions.into_iter().filter_map(|action| match action {
            Action::Restore(RestoreAction::Start(_)) => Some("start".to_owned()),
            Action::Restore(RestoreAction::Record { record, .. }) => {
                Some(format!("{:?} {:?}", record.state, record.problem.map(|p| p.reason)))
            }
            _ => None,
        });
        steps.collect()
    };
    let refused = |request: &str| {
        let problem = Problem::new(Reason::TargetNotReady, "PersistentVolume pv1 is gone");
        Change::RestoreRefused { uid: "u1".into(), request: request.into(), problem }
    };
    world.apply(refused("pvc=other date=latest from=vault"));
    assert_eq!(steps(&world), ["start"]);
    world.apply(refused(REQUEST));
    assert_eq!(steps(&world), ["Refused Some(TargetNotReady)"]);

    // Once it is recorded, whoever asks for the same again is looked at again.
    let recorded = |record: &str, version: &str| {
        let text = format!(
            "metadata: {{name: data, namespace: shop, uid: u1, resourceVersion: '{version}', annotations: {{{}: \
             '{REQUEST}', {}: '{}'}}}}\nspec: {{storageClassName: late, volumeName: pv1}}\nstatus: {{phase: Bound}}",
            names::RESTORE_FROM,
            names::RESTORE_STATUS,
            record.replace('\'', "''")
        );
        Change::Claim(Seen::Put(crate::fixtures::claim(&text)))
    };
    let ready = cluster.record.unwrap();
    world.apply(recorded(&ready.replace("Ready", "Refused"), "2"));
    assert_eq!(steps(&world), [""; 0]);
    world.apply(recorded(&ready, "3"));
    assert_eq!(steps(&world), ["start"]);
    let problem = Problem::new(Reason::TargetNotReady, "late");
    let gone = Change::RestoreRefused { uid: "u9".into(), request: REQUEST.into(), problem };
    assert!(world.apply(gone).is_empty(), "an answer that comes late is about nobody");
}

/// The namespace is not selected any more, or another installation has the PVC's record.
#[test]
fn who_is_not_ours_any_more_gets_his_volume_back() {
    let config = "destinations: [{name: vault, type: restic, secret: s3, runIn: controller}]\n\
                  selection: {namespaces: {exclude: [shop]}}";
    for (other, config) in [(true, CONFIG), (false, config)] {
        let mut cluster = Cluster::new();
        while cluster.pod != Some(false) {
            cluster.turn(2);
            cluster.storage();
        }
        (cluster.other, cluster.config) = (other, config);
        assert_eq!(run(&mut cluster), ["no Job", "no Claim", "no Volume"], "{other}");
        assert!(cluster.is_clean());
    }
}

/// Law 7.
#[test]
fn a_volume_that_a_pod_has_is_not_lent() {
    let mut cluster = Cluster { holders: vec![("app", false)], ..Cluster::new() };
    let (state, reason, message) = cluster.problem();
    assert_eq!((state, reason), (RestoreState::Refused, Reason::TargetInUse));
    assert!(message.contains("app") && cluster.is_clean());
    let mut cluster = Cluster { holders: vec![("app", true)], ..Cluster::new() };
    assert_eq!(cluster.problem().0, RestoreState::Waiting, "it ends by itself");
    cluster.holders.clear();
    assert_eq!(run(&mut cluster), ALL);
}

#[test]
fn a_pod_that_comes_while_the_volume_is_lent_is_told_to_the_restore() {
    let mut cluster = Cluster::new();
    while cluster.pod != Some(false) {
        cluster.turn(2);
        cluster.storage();
    }
    cluster.holders = vec![("late", false)];
    let told = |cluster: &Cluster| {
        cluster.plan().into_iter().find_map(|a| match a {
            Action::Restore(RestoreAction::TellHolders { namespace, pod, holders }) => {
                Some((namespace, pod.uid, holders.pods))
            }
            _ => None,
        })
    };
    let late = ("keepers".to_owned(), "p1".to_owned(), vec!["late".to_owned()]);
    assert_eq!(told(&cluster), Some(late));
}

/// A restore pod of the tenant is told of ours, which it cannot see.
#[test]
fn a_pod_beside_the_target_is_told_who_writes_it_elsewhere() {
    let mut cluster = Cluster::new();
    while cluster.pod != Some(false) {
        cluster.turn(2);
        cluster.storage();
    }
    let mut world = cluster.world();
    let pod: ApiPod = serde_json::from_value(serde_json::json!({
        "metadata": {
            "name": "own", "namespace": "shop", "uid": "own",
            "labels": {names::INSTANCE: "night", names::COMPONENT: "restore"},
            "annotations": {names::RESTORE_STATUS: TOLD, names::TARGET_NAMESPACE: "elsewhere"},
        },
        "spec": {"containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
    }))
    .unwrap();
    world.apply(Change::Holder("shop".into(), Seen::Put(Holder::from(&pod))));
    let told = plan::restores(&world, now()).actions.into_iter().find_map(|a| match a {
        Action::Restore(RestoreAction::TellHolders { pod, holders, .. }) if pod.uid == "own" => Some(holders.pods),
        _ => None,
    });
    assert_eq!(told, Some(vec![format!("keepers/{}-x", Cluster::job_name())]));
}

/// S11: a Deployment that asks for a restore may have any number of pods, and each costs a request every half minute with the
/// names of all others.
#[test]
fn of_many_restore_pods_a_few_are_told_and_a_few_are_named() {
    let mut world = Cluster::new().world();
    let put = |world: &mut World, number: usize| {
        let pod: ApiPod = serde_json::from_value(serde_json::json!({
            "metadata": {
                "name": format!("many-{number:03}"), "namespace": "shop", "uid": format!("u-{number}"),
                "labels": {names::INSTANCE: "night", names::COMPONENT: "restore"},
                "annotations": {names::RESTORE_STATUS: TOLD},
            },
            "spec": {"containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
        }))
        .unwrap();
        world.apply(Change::Holder("shop".into(), Seen::Put(Holder::from(&pod))));
    };
    for number in 0..500 {
        put(&mut world, number);
    }
    let told = plan::restores(&world, now()).actions.into_iter().filter_map(|a| match a {
        Action::Restore(RestoreAction::TellHolders { namespace, holders, .. }) if namespace == "shop" => {
            Some(holders.pods.len())
        }
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [20; 20]);
}

/// What is left of an earlier time cannot be bound again.
#[test]
fn what_was_used_up_goes_before_it_is_made_anew() {
    let ready = || {
        let mut cluster = Cluster::new();
        cluster.turn(0);
        cluster.record
    };
    for (volume, claim) in [("Released", None), ("Bound", Some("Lost"))] {
        let mut cluster = Cluster { volume: Some(volume), claim, record: ready(), ..Cluster::new() };
        let (state, reason, _) = cluster.problem();
        assert_eq!((state, reason), (RestoreState::Waiting, Reason::TargetInUse));
        run(&mut cluster);
        assert!(cluster.is_clean() && cluster.state() == Some(RestoreState::Complete));
    }
}

#[test]
fn a_target_that_cannot_be_lent_is_told_why() {
    let none = Cluster::new;
    for (mut cluster, state, reason, words) in [
        (Cluster { target: "local: {path: /x}", ..none() }, RestoreState::Refused, Reason::TargetNotReady, "no CSI"),
        (
            Cluster { target: "nfs: {path: /x, server: s}", ..none() },
            RestoreState::Refused,
            Reason::TargetNotReady,
            "CSI",
        ),
        (
            Cluster { target_phase: "Pending", ..none() },
            RestoreState::Waiting,
            Reason::TargetNotReady,
            "first mounts it",
        ),
        (
            Cluster { request: Some("pvc=other/data date=latest from=vault".into()), ..none() },
            RestoreState::Refused,
            Reason::NotGranted,
            "no grant",
        ),
        (
            Cluster { request: Some(format!("pvc=data uid=u0 date={RUN} from=vault")), ..none() },
            RestoreState::Refused,
            Reason::NotGranted,
            "only with a grant",
        ),
        (
            Cluster {
                request: Some(format!("pvc=old uid=u0 date={RUN} from=vault")),
                config: "destinations: [{name: vault, type: restic, secret: s3, runIn: controller}]\n\
                         groups: [{name: a, namespaces: [x], secrets: {vault: other}}]\n\
                         restores: {grants: [{from: shop/old, to: shop}]}",
                ..none()
            },
            RestoreState::Refused,
            Reason::SecretNotAllowed,
            "which group's Secret",
        ),
    ] {
        let was = format!("{cluster:?}");
        let (told, because, message) = cluster.problem();
        assert!((told, because) == (state, reason) && message.contains(words), "{told:?} {because}: {message}\n{was}");
        assert!(cluster.is_clean());
    }
}

/// Law 5: nobody mounts first what is to be restored.
#[test]
fn a_target_that_nobody_mounts_is_not_awaited_for_ever() {
    let mut cluster = Cluster { target_phase: "Pending", ..Cluster::new() };
    assert_eq!(cluster.turn(2), ["Waiting"]);
    cluster.minutes = 9;
    assert_eq!(cluster.turn(2), [] as [&str; 0]);
    let mut mounted = Cluster { target_phase: "Bound", ..cluster.clone() };
    assert_eq!(run(&mut mounted), ALL);
    cluster.minutes = 10;
    let (state, reason, message) = cluster.problem();
    assert_eq!((state, reason), (RestoreState::Refused, Reason::TargetNotReady));
    assert!(message.contains("start a pod that mounts it") && message.contains("waited 10m (deadlines.promoterBound)"));
    assert_eq!(run(&mut cluster), [] as [&str; 0], "a new request is a new try");
}

/// His rights do not reach into the controller's namespace, and a restore pod has no others.
#[test]
fn a_deployment_is_told_to_ask_on_the_pvc() {
    let mut world = Cluster { request: None, ..Cluster::new() }.world();
    let deployment: Deployment = read(&format!(
        "metadata: {{name: restore-data, namespace: shop, uid: d1, annotations: {{{}: '{REQUEST}'}}}}",
        names::RESTORE_FROM
    ));
    world.apply(Change::Restorer(Seen::Put(Restorer::from(&deployment))));
    let actions = plan::restores(&world, now()).actions;
    let [Action::Restore(RestoreAction::Record { record, .. })] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(record.problem.as_ref().map(|p| p.reason), Some(Reason::AskByAnnotation));
}

/// In the controller's own namespace nothing has to be lent.
#[test]
fn a_target_beside_the_controller_is_restored_where_it_is() {
    let mut cluster = Cluster { enforces: "privileged", ..Cluster::new() };
    cluster.turn(0);
    let mut world = cluster.world();
    "shop".clone_into(&mut world.namespace);
    let origin = plan::restores(&world, now()).actions.into_iter().find_map(|a| match a {
        Action::Restore(RestoreAction::Start(restore)) => Some(restore.origin),
        _ => None,
    });
    assert!(matches!(origin, Some(Origin::Repository { granted: None, .. })), "{origin:?}");
}

#[test]
fn a_granted_namespace_restores_what_another_one_has_there() {
    let grant = "destinations: [{name: vault, type: restic, secret: s3, runIn: controller}]\n\
                 restores: {grants: [{from: other/data, to: shop}]}";
    let request = format!("pvc=other/data uid=u9 date={RUN} from=vault");
    let source = SourceId { namespace: "other".into(), name: "data".into(), uid: "u9".into() };
    let mut cluster = Cluster { config: grant, request: Some(request), ..Cluster::new() };
    // S5: nobody's words say whose data it is.
    let (state, reason, _) = cluster.problem();
    assert_eq!((state, reason), (RestoreState::Refused, Reason::NoRestorePoint));
    (cluster.record, cluster.elsewhere) = (None, Some("other"));
    assert_eq!(cluster.turn(2), ["Ready"]);
    let start = cluster.plan().into_iter().find_map(|a| match a {
        Action::Restore(RestoreAction::Start(restore)) => Some((restore.source(), restore.target.clone())),
        _ => None,
    });
    assert_eq!(start, Some((source, target())));
}

proptest! {
    #![proptest_config(cases(300))]

    /// Whatever is lost, delayed or asked for in between: each step finds what it needs (the asserts in `turn`), and
    /// in the end nothing is lent.
    #[test]
    fn in_any_order_of_events_all_comes_back(events in prop::collection::vec(0_u8..14, 0..40)) {
        let mut cluster = Cluster::new();
        let held = events.contains(&8);
        for event in events {
            match event {
                0 | 1 => drop(cluster.turn(0)),
                2 => drop(cluster.turn(1)),
                4 | 5 => drop(cluster.storage()),
                6 => cluster.request = if cluster.request.is_some() { None } else { Some(REQUEST.into()) },
                7 => cluster.record = None,
                8 => cluster.holders = vec![("app", false)],
                9 => cluster.holders.clear(),
                10 => cluster.refuses = !cluster.refuses,
                11 => cluster.other = !cluster.other,
                // Another controller knows of no refusal.
                12 => cluster.fault = false,
                _ => drop(cluster.turn(2)),
            }
        }
        (cluster.refuses, cluster.other) = (false, false);
        cluster.holders.clear();
        run(&mut cluster);
        prop_assert!(cluster.is_clean(), "{cluster:?}");
        let refused = held && cluster.state() == Some(RestoreState::Refused);
        let done = refused || cluster.state() == Some(RestoreState::Complete);
        prop_assert!(cluster.request.is_none() || done, "{cluster:?}");
    }
}

/// The watches of Jobs and pods are two: what has just begun is not taken for what was before.
#[test]
fn a_pod_that_is_seen_before_its_job_changes_nothing() {
    let mut cluster = Cluster::new();
    while cluster.pod != Some(false) {
        cluster.turn(2);
        cluster.storage();
    }
    let job = cluster.job.take();
    assert_eq!(cluster.turn(2), [] as [&str; 0]);
    assert_eq!(cluster.state(), Some(RestoreState::Ready));
    cluster.job = job;
    assert_eq!(run(&mut cluster), ALL[2..]);
    assert!(cluster.is_clean());
}

/// F62: a claim whose volume went first would stay for ever.
#[test]
fn a_claim_whose_volume_is_gone_goes_too() {
    let mut cluster = Cluster { claim: Some("Pending"), request: None, ..Cluster::new() };
    assert_eq!(run(&mut cluster), ["no Claim"]);
    assert!(cluster.is_clean());
    // One that is asked for gets its volume.
    let mut cluster = Cluster { claim: Some("Pending"), ..Cluster::new() };
    assert_eq!(run(&mut cluster), ALL);
}
