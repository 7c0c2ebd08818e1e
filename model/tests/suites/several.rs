//! Several destinations of a source: one that is down stops neither the others nor the run.

use std::sync::Arc;

use crate::fixtures::{
    claim, in_ledger, namespace, put_snapshot, results, snapshot, snapshot_class, status, storage_class, volume,
    write_ledger, written,
};
use model::Timestamp;
use model::admit::{Admission, Waiting, admit};
use model::config::Config;
use model::facts::Claim;
use model::plan::{self, Action, Expected, Left, Plan};
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState};
use model::world::{Change, Seen, World};

const UID: &str = "7a8e2c0e-0000-4000-8000-000000000001";
const CONFIG: &str = "
destinations:
  - {name: disk, type: disk, claim: {size: 1Gi}}
  - {name: s3, type: restic, secret: backup-s3}
  - {name: vault, type: restic, secret: backup-s3, runIn: controller}
defaults: {destinations: [disk, s3]}
";

fn at(minute: u64) -> Timestamp {
    model::duration::Span::minutes(minute).after("2026-11-20T00:00:00Z".parse().unwrap())
}

fn labels(component: &str, run: &str, more: &str) -> String {
    format!(
        "labels: {{app.kubernetes.io/managed-by: backup-controller, backup-controller.io/instance: night, \
         backup-controller.io/component: {component}, backup-controller.io/run: {run}, \
         backup-controller.io/source-uid: {UID}{more}}}"
    )
}

fn failed(reason: Reason, minute: u64) -> CopyResult {
    CopyResult::without_data(CopyState::Failed, &Problem::new(reason, "x"), at(minute))
}

fn complete(minute: u64) -> CopyResult {
    CopyResult { state: CopyState::Complete, reason: None, ..failed(Reason::CopyFailed, minute) }
}

/// The PVC, with these annotations.
fn source(annotations: &str) -> Claim {
    claim(&format!(
        "metadata: {{name: data, namespace: shop, uid: {UID}, annotations: {annotations}}}\nspec: {{volumeName: pv, storageClassName: block}}\nstatus: {{phase: Bound}}"
    ))
}

struct Scene {
    world: World,
}

impl Scene {
    /// A protected PVC with a BackupDisk beside it, and no run yet.
    fn new() -> Self {
        let mut world = World::new("night".into(), "keepers", Arc::new(Config::parse(CONFIG).unwrap()));
        for change in [
            Change::SnapshotApi(true),
            Change::SnapshotClass(Seen::Begin),
            Change::SnapshotClass(Seen::Put(snapshot_class(
                "metadata: {name: snaps}\ndriver: d\ndeletionPolicy: Delete",
            ))),
            Change::SnapshotClass(Seen::End),
            Change::StorageClass(Seen::Put(storage_class("metadata: {name: block}\nprovisioner: d"))),
            Change::Namespace(Seen::Put(namespace("metadata: {name: shop}"))),
            Change::Volume(Seen::Put(volume("metadata: {name: pv}\nspec: {csi: {driver: d, volumeHandle: '1'}}"))),
            Change::Claim(Seen::Put(source("{}"))),
            Change::Claim(Seen::Put(claim(
                "metadata: {name: backup-disk, namespace: shop, uid: disk, labels: {app.kubernetes.io/managed-by: \
                 backup-controller, backup-controller.io/instance: night, backup-controller.io/component: disk}}\n\
                 status: {phase: Bound}",
            ))),
        ] {
            world.apply(change);
        }
        Self { world }
    }

    /// A run of that minute, with these results.
    fn run(&mut self, name: &str, minute: u64, destinations: &str, copies: &[(&str, CopyResult)]) {
        let taken = self.take(name, minute, destinations, copies);
        put_snapshot(&mut self.world, &taken);
    }

    /// A run of that minute that does not stand in the ledger.
    fn unseen(&mut self, name: &str, minute: u64) {
        let taken = self.take(name, minute, "", &[]);
        self.world.apply(Change::Snapshot(Seen::Put(snapshot(&taken))));
    }

    fn take(&mut self, name: &str, minute: u64, destinations: &str, copies: &[(&str, CopyResult)]) -> String {
        let run = model::names::Run::at(at(minute));
        let copy = |(d, r): &(&str, CopyResult)| {
            format!(", backup-controller.io/copy.{d}: '{}'", serde_json::to_string(r).unwrap())
        };
        let copies = copies.iter().map(copy).collect::<Vec<_>>().concat();
        let object = |component: &str| {
            let labels = labels(component, run.as_str(), "");
            format!(
                "name: {name}, namespace: shop, uid: {name}-{component}, creationTimestamp: '{}', {labels}",
                at(minute)
            )
        };
        let taken = format!(
            "metadata: {{{}, annotations: {{backup-controller.io/destinations-taken: '{destinations}'{copies}}}}}\n\
             spec: {{source: {{persistentVolumeClaimName: data}}}}\nstatus: {{readyToUse: true}}",
            object("snapshot")
        );
        let promoter = claim(&format!(
            "metadata: {{{}}}\nspec: {{dataSource: {{apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: {name}}}}}\n\
             status: {{phase: Bound}}",
            object("promoter")
        ));
        self.world.apply(Change::Claim(Seen::Put(promoter)));
        taken
    }

    /// Does what the plan of that minute says of the ledger.
    fn write(&mut self, minute: u64) {
        let plan = self.plan(minute);
        write_ledger(&mut self.world, &plan);
    }

    fn plan(&self, minute: u64) -> Plan {
        crate::fixtures::plan(&self.world, UID, at(minute))
    }

    /// What is admitted at that minute, as `destination state`.
    fn admitted(&self, minute: u64) -> Vec<String> {
        let ready: Vec<Waiting> = self.plan(minute).ready.into_iter().map(|(waiting, _)| waiting).collect();
        let down = self.world.down(at(minute));
        let answers = admit(&ready, &[], &self.world.config.limits, &down, at(minute));
        let word = |a: &Admission| match a {
            Admission::Start => "starts".to_owned(),
            Admission::Wait(problem) => problem.reason.to_string(),
        };
        ready.iter().zip(&answers).map(|(w, a)| format!("{} {}", w.slot.destination, word(a))).collect()
    }
}

/// U15: a new PVC whose retention is mistyped was snapshotted and never copied, and each of its runs was told as good.
#[test]
fn a_new_source_with_a_setting_that_cannot_be_read_is_copied_by_the_defaults_and_not_called_good_without() {
    let mut scene = Scene::new();
    scene.world.apply(Change::Claim(Seen::Put(source("{backup-controller.io/retention: 2 fortnights}"))));
    scene.write(0);
    assert!(scene.world.ledger(UID).unwrap().settings.is_none(), "nothing can be deleted");
    scene.unseen("data-1", 1);
    for minute in [2, 3] {
        scene.write(minute);
        assert_eq!(scene.world.status(UID).unwrap().good, None);
        let ready: Vec<String> =
            scene.plan(minute).ready.into_iter().map(|(w, _)| w.slot.destination.clone()).collect();
        assert_eq!(ready, ["disk", "s3"]);
    }
    // Its copies delete nothing, and they make the run good.
    for (_, action) in scene.plan(3).ready {
        assert!(matches!(action, Action::StartCopy(copy) if copy.retention.is_none()));
    }
    in_ledger(&mut scene.world, &source("{}").source(), |ledger| {
        ledger.runs[0].results.insert("disk".to_owned(), complete(4));
    });
    scene.write(5);
    assert!(scene.world.status(UID).unwrap().good.is_some());
}

/// What each copy that can start is told to expect.
fn expected(scene: &Scene, minute: u64) -> Vec<(String, Expected)> {
    let copy = |(_, action)| match action {
        Action::StartCopy(copy) => Some((copy.destination, copy.expected)),
        _ => None,
    };
    scene.plan(minute).ready.into_iter().filter_map(copy).collect()
}

/// Law 12, L5, L6: the pod cannot know what was there, and the records can.
#[test]
fn a_copy_is_told_what_the_source_and_its_destination_had_until_somebody_accepts_that_it_is_lost() {
    let mut scene = Scene::new();
    let run = |minute| model::names::Run::at(at(minute));
    scene.run("data-1", 0, "disk", &[]);
    assert_eq!(expected(&scene, 1), [("disk".to_owned(), Expected::default())]);
    let tree = CopyResult { files: 5, kept: vec![run(0)], ..complete(1) };
    scene.run("data-1", 0, "disk", &[("disk", tree)]);
    scene.run("data-2", 10, "disk,s3", &[]);
    let filled = Some(run(0));
    let trees = Expected { filled: filled.clone(), left: Left::Trees(vec![run(0)]) };
    let new = Expected { filled: filled.clone(), left: Left::Nothing };
    assert_eq!(expected(&scene, 11), [("disk".to_owned(), trees.clone()), ("s3".to_owned(), new)]);

    let copied = CopyResult {
        files: 5,
        snapshot: Some("abcd".to_owned()),
        repository: Some("0123456789abcdef".to_owned()),
        ..complete(11)
    };
    scene.run("data-2", 10, "disk,s3", &[("disk", failed(Reason::DiskMissing, 11)), ("s3", copied)]);
    scene.run("data-3", 20, "disk,s3", &[]);
    let filled = Some(run(10));
    let trees = Expected { filled: filled.clone(), ..trees };
    let repository = Expected { filled: filled.clone(), left: Left::Repository(Some("0123456789abcdef".to_owned())) };
    let both = |disk: &Expected| [("disk".to_owned(), disk.clone()), ("s3".to_owned(), repository.clone())];
    assert_eq!(expected(&scene, 21), both(&trees));
    // What is no time, is before the failure or is still to come accepts nothing.
    let accept = |scene: &mut Scene, text: &str| {
        let annotations = format!("{{{}: '{text}'}}", model::names::ACCEPT_MISSING);
        scene.world.apply(Change::Claim(Seen::Put(source(&annotations))));
    };
    for not in ["true", "2026-11-20T00:10:59Z", "2026-11-20T00:22:00Z"] {
        accept(&mut scene, not);
        assert_eq!(expected(&scene, 21), both(&trees), "{not}");
    }
    accept(&mut scene, " 2026-11-20T00:11:00Z");
    assert_eq!(expected(&scene, 21), both(&Expected { filled, left: Left::Nothing }));
}

/// The ledger remembers that there were copies longer than it does the runs.
#[test]
fn a_copy_is_told_what_the_ledger_remembers_of_runs_that_it_forgot() {
    let mut scene = Scene::new();
    scene.run("data-1", 10, "s3", &[]);
    let run = model::names::Run::at(at(0));
    let copies = format!(
        "{{\"s3\":{{\"run\":\"{run}\",\"state\":\"Complete\",\"finished\":\"{}\",\"files\":5,\"bytes\":5}}}}",
        at(6)
    );
    let id = scene.world.claims.get("shop", "data").unwrap().source();
    in_ledger(&mut scene.world, &id, |ledger| ledger.status.copies = serde_json::from_str(&copies).unwrap());
    let told = [("s3".to_owned(), Expected { filled: Some(run), left: Left::Repository(None) })];
    assert_eq!(expected(&scene, 11), told);
}

/// A run costs one write of its ledger for each copy, and none before.
#[test]
fn a_run_is_copied_before_it_stands_in_the_ledger_and_is_written_down_with_the_first_word_of_it() {
    let mut scene = Scene::new();
    scene.write(0);
    scene.unseen("data-1", 10);
    let plan = scene.plan(11);
    assert!(written(&plan).is_none(), "{plan:?}");
    assert_eq!(scene.admitted(11), ["disk starts", "s3 starts"]);
    // Settings that change are words of it: it was taken with those before.
    scene.world.apply(Change::Claim(Seen::Put(source("{backup-controller.io/destinations: disk}"))));
    scene.write(12);
    let ledger = scene.world.ledger(UID).unwrap();
    assert_eq!(ledger.runs[0].destinations, ["disk", "s3"]);
    assert_eq!(ledger.settings.as_ref().unwrap().destinations, ["disk"]);
}

/// L20: the ledger is an older one, or the controller was away. Nobody gives up runs that may have been copied.
#[test]
fn runs_that_nobody_saw_are_superseded_only_by_the_word_of_the_destination() {
    let mut scene = Scene::new();
    scene.write(0);
    (1..=3).for_each(|number| scene.unseen(&format!("data-{number}"), 10 * number));
    for minute in [41, 42] {
        let plan = scene.plan(minute);
        assert_eq!(records(&plan), [], "minute {minute}");
        assert_eq!(scene.admitted(minute), ["disk starts", "s3 starts"], "of the newest one");
        write_ledger(&mut scene.world, &plan);
    }
    let told = |to: &str, kept: &[u64]| {
        let kept = kept.iter().map(|minute| model::names::Run::at(at(*minute))).collect();
        let entry = model::ledger::Entry::Result(Box::new(CopyResult { kept, ..complete(43) }));
        model::ledger::Finding { run: model::names::Run::at(at(30)), destination: to.to_owned(), entry }
    };
    let mut ledger = scene.world.ledger(UID).unwrap().clone();
    assert_eq!(ledger.runs.iter().map(|r| r.rebuilt).collect::<Vec<_>>(), [true, true, false]);
    let states = |ledger: &model::ledger::Ledger, to: &str| -> Vec<Option<CopyState>> {
        ledger.runs.iter().map(|r| r.results.get(to).map(|r| r.state)).collect()
    };
    ledger.enter(&told("disk", &[30, 10]), Timestamp::MIN);
    assert_eq!(states(&ledger, "disk"), [CopyState::Complete, CopyState::Superseded, CopyState::Complete].map(Some));
    assert_eq!(states(&ledger, "s3"), [None; 3]);
    // A list that did not fit its message ends the wait, too.
    ledger.enter(&told("s3", &[]), Timestamp::MIN);
    assert_eq!(states(&ledger, "s3"), [CopyState::Superseded, CopyState::Superseded, CopyState::Complete].map(Some));
    // Nobody is left who would tell: what cannot be copied is given up.
    scene.world.apply(Change::Claim(Seen::Put(source("{backup-controller.io/destinations: disk}"))));
    let given_up = records(&scene.plan(44));
    assert_eq!(given_up.iter().map(|(to, ..)| to.as_str()).collect::<Vec<_>>(), ["s3", "s3"]);
}

/// Names are used again, and UIDs are not: nothing is copied or written by the ledger of another namespace or PVC.
#[test]
fn a_ledger_of_another_namespace_or_pvc_is_not_believed() {
    let mut scene = Scene::new();
    scene.world.apply(Change::Namespace(Seen::Put(namespace("metadata: {name: shop, uid: n-1}"))));
    scene.write(0);
    scene.unseen("data-1", 10);
    assert_eq!(scene.admitted(11), ["disk starts", "s3 starts"]);
    let id = scene.world.claims.get("shop", "data").unwrap().source();
    let ours = scene.world.ledger(UID).unwrap().source.clone();
    let others = [
        model::ledger::Whose { namespace_uid: "n-0".to_owned(), ..ours.clone() },
        model::ledger::Whose { namespace: "bank".to_owned(), ..ours.clone() },
        model::ledger::Whose { name: "other".to_owned(), ..ours },
    ];
    for other in others {
        in_ledger(&mut scene.world, &id, |ledger| ledger.source = other.clone());
        let plan = scene.plan(11);
        assert!(written(&plan).is_none() && plan.ready.is_empty(), "{other:?}: {plan:?}");
    }
}

/// Until every destination has told what it has, the copies delete nothing.
#[test]
fn a_copy_by_a_ledger_that_is_not_whole_is_told_no_retention() {
    let mut scene = Scene::new();
    scene.write(0);
    scene.unseen("data-1", 10);
    let id = scene.world.claims.get("shop", "data").unwrap().source();
    let told = |scene: &Scene| -> Vec<bool> {
        let ready = scene.plan(11).ready.into_iter();
        ready
            .filter_map(|(_, a)| if let Action::StartCopy(c) = a { Some(c.retention.is_some()) } else { None })
            .collect()
    };
    assert_eq!(told(&scene), [true, true]);
    in_ledger(&mut scene.world, &id, |ledger| ledger.rebuilding = ["s3".to_owned()].into());
    assert_eq!(told(&scene), [false, false]);
}

fn records(plan: &Plan) -> Vec<(String, CopyState, Option<Reason>)> {
    results(plan).into_iter().map(|(destination, result)| (destination, result.state, result.reason)).collect()
}

#[test]
fn a_repository_needs_no_disk_and_no_policy_and_each_destination_has_its_own_copy() {
    let mut scene = Scene::new();
    scene.run("data-1", 0, "disk,s3", &[]);
    let plan = scene.plan(1);
    let ready: Vec<(&str, bool, &str)> = plan
        .ready
        .iter()
        .map(|(w, start)| {
            let Action::StartCopy(copy) = start else { panic!("{start:?}") };
            (copy.destination.as_str(), copy.isolate, w.slot.disk.as_str())
        })
        .collect();
    assert_eq!(ready, [("disk", true, "disk/shop"), ("s3", false, &*format!("s3/shop/{UID}"))]);
    assert!(records(&plan).is_empty());
    // Without the disk the repository is not kept waiting.
    let gone = Seen::Gone(("shop".to_owned(), "backup-disk".to_owned()), "disk".to_owned());
    scene.world.apply(Change::Claim(gone));
    assert_eq!(scene.admitted(1), ["s3 starts"]);
}

#[test]
fn a_group_has_a_secret_of_its_own_for_a_destination() {
    let mut scene = Scene::new();
    scene.run("data-1", 0, "disk,s3", &[]);
    let secrets = |scene: &Scene| -> Vec<Option<String>> {
        scene
            .plan(1)
            .ready
            .into_iter()
            .filter_map(|(_, action)| match action {
                model::plan::Action::StartCopy(copy) => Some(copy.secret),
                _ => None,
            })
            .collect()
    };
    assert_eq!(secrets(&scene), [None, None], "the destination's");
    let gold = "groups: [{name: gold, namespaces: [shop], secrets: {s3: backup-s3-gold}}]";
    scene.world.apply(Change::Config(Arc::new(Config::parse(&format!("{CONFIG}{gold}")).unwrap())));
    assert_eq!(secrets(&scene), [None, Some("backup-s3-gold".to_owned())]);
}

/// Each group has its own key and its own bucket; the network and the certificate are the same for all.
#[test]
fn one_groups_bad_key_does_not_stop_the_copies_of_the_others() {
    let gold = "groups: [{name: gold, namespaces: [shop], secrets: {s3: gold-s3}}]";
    let central = "destinations: [{name: s3, type: restic, secret: backup-s3, runIn: controller}]";
    for (groups, reason, down) in [
        ("", Reason::CredentialsRefused, true),
        (gold, Reason::CredentialsRefused, false),
        (gold, Reason::BucketMissing, false),
        (gold, Reason::DestinationUnreachable, true),
        (gold, Reason::CertificateRefused, true),
        (gold, Reason::DestinationFull, true),
    ] {
        let mut scene = Scene::new();
        scene.world.apply(Change::Config(Arc::new(Config::parse(&format!("{central}\n{groups}")).unwrap())));
        scene.run("data-1", 0, "s3", &[("s3", failed(reason, 10))]);
        assert_eq!(scene.world.down(at(11)).contains_key("s3"), down, "{groups} {reason}");
    }
}

/// S2, S4: each takes a slot, and could say what became of a copy, if labels were believed.
#[test]
fn a_job_counts_only_where_its_source_has_its_copies_and_by_the_name_that_follows() {
    let mut scene = Scene::new();
    scene.run("data-1", 0, "disk", &[]);
    let run = model::names::Run::at(at(0));
    let id = scene.world.claims.get("shop", "data").unwrap().source();
    let derived = model::names::copy_job(&id, &run, "disk");
    let mut put = |namespace: &str, name: &str| {
        let ended = "{conditions: [{type: Failed, status: 'True', lastTransitionTime: '2026-11-20T00:01:00Z'}]}";
        for status in ["{}", ended] {
            let text = format!(
                "metadata: {{name: {name}, namespace: {namespace}, uid: j-{namespace}, creationTimestamp: '{}', {}, \
                 annotations: {{backup-controller.io/source-namespace: shop, backup-controller.io/source-name: data}}}}\n\
                 status: {status}",
                at(1),
                labels("copy", run.as_str(), ", backup-controller.io/destination: disk")
            );
            let job = model::facts::Job::from(&crate::fixtures::read::<k8s_openapi::api::batch::v1::Job>(&text));
            scene.world.apply(Change::Job(Seen::Put(job)));
            if status == "{}" {
                let slots = plan::running(&scene.world, at(1)).count();
                let ready = scene.plan(1).ready.len();
                if (slots, ready) != (0, 1) {
                    return (slots, ready, 0);
                }
            }
        }
        (0, 1, records(&scene.plan(5)).len())
    };
    assert_eq!(put("evil", &derived), (0, 1, 0), "another namespace");
    assert_eq!(put("keepers", &derived), (0, 1, 0), "ours, but the destination is not central");
    assert_eq!(put("shop", "copy-of-my-own"), (0, 1, 0), "another name");
    assert_eq!(put("shop", &derived), (1, 0, 0), "this one runs");
}

/// 3-2-1: what is down neither stops the other, nor makes the run bad, nor costs it its own chance.
#[test]
fn a_destination_that_is_down_does_not_stop_the_other() {
    let mut scene = Scene::new();
    scene.run("data-1", 0, "disk,s3", &[("disk", complete(5)), ("s3", failed(Reason::DestinationUnreachable, 10))]);
    scene.run("data-2", 60, "disk,s3", &[]);
    let down = scene.world.down(at(10));
    assert_eq!(down.keys().collect::<Vec<_>>(), ["s3/shop"]);
    assert_eq!(scene.admitted(61), ["disk starts", "s3 starts"], "one tries");
    // That one fails, and the next run's waits.
    scene.run("data-2", 60, "disk,s3", &[("disk", complete(65)), ("s3", failed(Reason::DestinationUnreachable, 70))]);
    scene.run("data-3", 75, "disk,s3", &[]);
    assert_eq!(scene.admitted(76), ["disk starts", "s3 DestinationDown"]);
    assert_eq!(
        status(&scene.plan(76)).unwrap().good.map(|r| r.to_string()).as_deref(),
        Some("20261120T0100Z"),
        "good by its other copy"
    );
    // Half an hour after the last try it is its turn, and one that works ends it.
    assert_eq!(scene.admitted(101), ["disk starts", "s3 starts"]);
    scene.run("data-3", 75, "disk,s3", &[("disk", complete(77)), ("s3", complete(102))]);
    assert!(scene.world.down(at(103)).is_empty());
}

/// No copy waits for ever, and none is made of a promoter that is gone while it waited.
#[test]
fn a_copy_that_waits_for_a_destination_keeps_its_promoter_and_ends_when_a_newer_run_comes() {
    let mut scene = Scene::new();
    scene.run("data-0", 0, "disk,s3", &[("disk", complete(1)), ("s3", failed(Reason::CredentialsRefused, 30))]);
    scene.run("data-1", 30, "disk,s3", &[("disk", complete(31))]);
    assert_eq!(scene.admitted(30), ["s3 DestinationDown"]);
    let awaited = |name: &str| {
        let snapshot = scene.world.snapshots.get("shop", name).unwrap();
        scene.world.record(snapshot).unwrap().awaited()
    };
    assert!(awaited("data-1") && !awaited("data-0"));
    scene.run("data-2", 60, "disk,s3", &[("disk", complete(61))]);
    let superseded = ("s3".to_owned(), CopyState::Superseded, Some(Reason::Superseded));
    assert_eq!(records(&scene.plan(62)), [superseded]);
}

/// A restart reads the same objects: what is down stays down, and what is not does not.
#[test]
fn a_breaker_is_what_the_objects_say() {
    let mut scene = Scene::new();
    scene.run("data-1", 0, "s3", &[("s3", failed(Reason::DestinationFull, 10))]);
    let down = scene.world.down(at(10));
    assert_eq!(down.len(), 1);
    let config = scene.world.config.clone();
    scene.world.apply(Change::Config(config));
    assert_eq!(scene.world.down(at(10)), down, "read anew");
    let disk_only = CONFIG.replace("type: restic, secret: backup-s3}", "type: disk, claim: {size: 1Gi, name: other}}");
    scene.world.apply(Change::Config(Arc::new(Config::parse(&disk_only).unwrap())));
    assert!(scene.world.down(at(10)).is_empty(), "a disk has none");
    scene.world.apply(Change::Config(Arc::new(Config::parse(CONFIG).unwrap())));
    assert_eq!(scene.world.down(at(10)), down);
    let ledger = (String::new(), model::names::ledger(UID));
    scene.world.apply(Change::Ledger(Seen::Gone(ledger, format!("l-{UID}"))));
    assert!(scene.world.down(at(10)).is_empty(), "what nobody says any more is not so");
}

/// F39: the API server would refuse the pod of every try.
#[test]
fn a_namespace_that_enforces_restricted_is_told_of_central_copies() {
    let mut scene = Scene::new();
    let restricted = "metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}";
    scene.world.apply(Change::Namespace(Seen::Put(namespace(restricted))));
    scene.run("data-1", 0, "s3", &[]);
    let plan = scene.plan(1);
    let message = results(&plan).into_iter().next().map(|(_, result)| result.message);
    assert_eq!(records(&plan), [("s3".to_owned(), CopyState::Failed, Some(Reason::PodSecurity))]);
    assert!(message.unwrap().contains("runIn: controller"));
}

/// L20: what came of it before the controller began to watch may be lost, with an etcd that went back.
#[test]
fn that_an_older_run_than_the_controller_has_no_copy_is_written_down_as_unsure() {
    for (watching, unsure) in [(Some(at(30)), true), (Some(at(0)), false)] {
        let mut scene = Scene::new();
        scene.world.memory.watching = watching;
        scene.run("data-1", 10, "disk", &[]);
        scene.run("data-2", 20, "disk", &[]);
        let plan = scene.plan(41);
        assert_eq!(records(&plan), [("disk".to_owned(), CopyState::Superseded, Some(Reason::Superseded))]);
        let ledger = &written(&plan).unwrap().ledger;
        assert_eq!(ledger.runs[0].unsure.contains("disk"), unsure, "{watching:?}");
        assert!(ledger.runs[1].unsure.is_empty(), "it may still be copied");
    }
}

#[test]
fn a_policy_of_an_earlier_version_is_told_before_it_cuts_a_copy_off() {
    let mut scene = Scene::new();
    scene.run("data-1", 0, "s3", &[]);
    let policy = |labels: &str| {
        let meta = crate::fixtures::read(&format!("{{name: night-pods, namespace: shop, labels: {{{labels}}}}}"));
        Change::Policy(Seen::Put(model::facts::Policy::from(&meta)))
    };
    scene.world.apply(policy("a: b"));
    assert!(scene.plan(1).ready.is_empty());
    scene.world.apply(policy("backup-controller.io/destination-type: disk"));
    assert_eq!(scene.plan(1).ready.len(), 1);
}

/// Enters the result of a copy Job of the run of that minute.
fn told(scene: &mut Scene, minute: u64, to: &str, entry: model::ledger::Entry) {
    let id = scene.world.claims.get("shop", "data").unwrap().source();
    let finding = model::ledger::Finding { run: model::names::Run::at(at(minute)), destination: to.to_owned(), entry };
    in_ledger(&mut scene.world, &id, |ledger| ledger.enter(&finding, Timestamp::MIN));
}

fn tried(reason: Reason, minute: u64) -> model::ledger::Entry {
    model::ledger::Entry::Failed(Box::new(failed(reason, minute)), format!("job-{minute}"), at(minute))
}

fn degraded(plan: &Plan) -> Vec<(String, Reason)> {
    match &plan.standing {
        plan::Standing::Protected(protected) => protected.degraded.clone(),
        other => panic!("{other:?}"),
    }
}

/// The Events of a plan, as reason and text.
fn events(plan: &Plan) -> Vec<(&'static str, String)> {
    written(plan).map(|write| write.notes.iter().map(|n| (n.reason, n.text.clone())).collect()).unwrap_or_default()
}

/// U1: the run is good by the disk alone, and the repository has no copy of it: that was green.
#[test]
fn one_bad_destination_of_two_degrades_the_source_and_is_told_once_and_its_end_too() {
    let mut scene = Scene::new();
    scene.write(0);
    scene.run("data-1", 5, "disk,s3", &[("disk", complete(8))]);
    assert_eq!(degraded(&scene.plan(9)), [], "its copy is not late yet");
    scene.write(9);
    told(&mut scene, 5, "s3", tried(Reason::CredentialsRefused, 10));
    let plan = scene.plan(10);
    assert_eq!(degraded(&plan), [("s3".to_owned(), Reason::CredentialsRefused)]);
    let plan::Standing::Protected(protected) = &plan.standing else { panic!() };
    assert_eq!((protected.failure, protected.good.is_some()), (None, true));
    let notes = events(&plan);
    let (_, text) = notes.iter().find(|(reason, _)| *reason == "Degraded").unwrap();
    assert!(text.contains("copy to s3") && text.contains(Reason::CredentialsRefused.help()), "{text}");
    scene.write(10);
    // Another try of the same run fails of the same: nothing is new.
    told(&mut scene, 5, "s3", tried(Reason::CredentialsRefused, 12));
    let plan = scene.plan(12);
    assert_eq!(events(&plan), []);
    let wanted = status(&plan).unwrap_or_default().wanted;
    assert!(wanted["disk"].is_well() && !wanted["s3"].is_well());
    assert_eq!(wanted["s3"].failure.as_ref().unwrap().at, at(10), "since when it has been so");
    scene.write(12);
    told(&mut scene, 5, "s3", model::ledger::Entry::Result(Box::new(complete(14))));
    let plan = scene.plan(14);
    assert_eq!(degraded(&plan), []);
    assert_eq!(events(&plan).iter().map(|(reason, _)| *reason).collect::<Vec<_>>(), ["CopiesWell"]);
    scene.write(14);
    assert_eq!(events(&scene.plan(15)), []);
}

/// U1: the Secret is right again, and the copy waited for the next run. Half an hour after the last try at the latest, it
/// is tried again.
#[test]
fn the_newest_runs_copy_that_failed_of_its_destination_is_tried_again_until_it_works() {
    let mut scene = Scene::new();
    scene.write(0);
    scene.run("data-1", 5, "disk,s3", &[("disk", complete(8))]);
    let mut now = 10;
    let mut pauses = Vec::new();
    for _ in 0..9 {
        told(&mut scene, 5, "s3", tried(Reason::CredentialsRefused, now));
        assert_eq!(scene.admitted(now), [""; 0], "not at once");
        let next = (now..now + 600).find(|minute| !scene.plan(*minute).ready.is_empty()).unwrap();
        assert!(scene.plan(now).wake.is_some_and(|wake| wake <= at(next)));
        assert_eq!(scene.admitted(next), ["s3 starts"], "the breaker's pauses are the same");
        assert!(scene.plan(next).ready.iter().all(|(w, _)| w.rank == model::admit::Rank::Retry));
        pauses.push(next - now);
        now = next;
    }
    assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 30, 30, 30]);
    told(&mut scene, 5, "s3", model::ledger::Entry::Result(Box::new(complete(now))));
    assert!(scene.plan(now + 60).ready.is_empty());
    let record = &scene.world.ledger(UID).unwrap().runs[0];
    assert_eq!((record.results["s3"].state, record.retries.len()), (CopyState::Complete, 0));
}

/// U1: another try helps only where somebody mends something, and only the newest run is worth it.
#[test]
fn what_another_try_cannot_help_is_not_tried_again() {
    let ready = |reason: Reason, change: fn(&mut Scene)| {
        let mut scene = Scene::new();
        scene.write(0);
        scene.run("data-1", 5, "disk,s3", &[("disk", complete(8))]);
        told(&mut scene, 5, "s3", tried(reason, 10));
        change(&mut scene);
        scene.plan(200).ready.iter().map(|(w, _)| w.slot.destination.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ready(Reason::WrongPassword, |_| {}), ["s3"]);
    assert_eq!(ready(Reason::SecretIncomplete, |_| {}), ["s3"]);
    for final_one in [Reason::SourceEmpty, Reason::CopyFailed, Reason::DeadlineExceeded, Reason::JobFailed] {
        assert_eq!(ready(final_one, |_| {}), [""; 0], "{final_one}");
    }
    let newer = |scene: &mut Scene| scene.run("data-2", 60, "disk,s3", &[("disk", complete(65)), ("s3", complete(66))]);
    assert_eq!(ready(Reason::WrongPassword, newer), [""; 0], "a newer run");
    let unwanted = |scene: &mut Scene| {
        scene.world.apply(Change::Claim(Seen::Put(source("{backup-controller.io/destinations: disk}"))));
    };
    assert_eq!(ready(Reason::WrongPassword, unwanted), [""; 0], "nobody wants it there any more");
    let gone = |scene: &mut Scene| {
        let promoter = ("shop".to_owned(), "data-1".to_owned());
        scene.world.apply(Change::Claim(Seen::Gone(promoter, "data-1-promoter".to_owned())));
    };
    assert_eq!(ready(Reason::WrongPassword, gone), [""; 0], "there is nothing to copy");
}

/// U1: nobody said a word while copies waited, for weeks.
#[test]
fn a_destination_that_gets_no_copy_of_two_runs_is_late_whatever_the_others_have() {
    let day = 24 * 60;
    let mut scene = Scene::new();
    scene.write(0);
    for n in 1..=3 {
        scene.run(&format!("data-{n}"), n * day, "disk,s3", &[("disk", complete(n * day + 5))]);
        scene.write(n * day + 6);
    }
    let wake = scene.plan(3 * day + 6).wake.unwrap();
    let overdue = [("s3".to_owned(), Reason::CopyOverdue)];
    assert_eq!(degraded(&scene.plan(3 * day + 6)), overdue, "of three runs");
    assert!(wake > at(3 * day + 6), "when the disk is late, it looks again");
    let late = plan::plan(&scene.world, UID, wake, &mut |_, _, _| true);
    assert_eq!(degraded(&late).len(), 2, "{wake}");
}

/// U1: what another try made is good, and a prune does not take it for what the failed one left.
#[test]
fn a_copy_that_worked_at_another_try_is_not_marked_as_failed() {
    let mut scene = Scene::new();
    scene.write(0);
    scene.run("data-0", 2, "disk,s3", &[("disk", complete(3)), ("s3", complete(4))]);
    scene.write(4);
    scene.run("data-1", 5, "disk,s3", &[("disk", complete(8))]);
    told(&mut scene, 5, "s3", tried(Reason::DestinationFull, 10));
    scene.write(10);
    let failed = |scene: &Scene| scene.world.status(UID).unwrap().maintenance["s3"].failed.clone();
    assert_eq!(failed(&scene).len(), 1);
    told(&mut scene, 5, "s3", model::ledger::Entry::Result(Box::new(complete(14))));
    scene.write(14);
    assert_eq!(failed(&scene), []);
}
