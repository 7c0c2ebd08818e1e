//! Central copies and drills, step by step: a small cluster does what the plans say, and whatever is lost in between, the next
//! plan goes on. What is made from a source in our own namespace is never taken for the source's own.

mod storage;

use std::sync::Arc;

use crate::fixtures::{put_claim, put_snapshot, results, status, written};
use model::config::Destination;
use model::config::{Config, Limits};
use model::facts::VolumeMode;
use model::names::Run;
use model::plan::{self, Action, CentralPart};
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState};
use model::world::{Change, Seen, World};
use proptest::prelude::*;
use storage::{Cluster, DESTINATION, Drill, Parts, failed, labels, minute, name, run};

const ALL: [&str; 9] = [
    "Content",
    "Snapshot",
    "Promoter",
    "Job",
    "record Complete None",
    "no Job",
    "no Promoter",
    "no Snapshot",
    "no Content",
];

/// The namespace enforces `restricted`, and the source's own promoter was never made.
#[test]
fn the_parts_are_made_in_order_and_taken_away_in_the_reverse_order() {
    let mut cluster = Cluster::new();
    assert_eq!(run(&mut cluster, minute(1)), ALL);
    assert!(cluster.is_clean() && cluster.record.is_some());
    assert_eq!(run(&mut cluster, minute(2)), [] as [&str; 0], "and never again");
}

/// Each prefix of the way, on the way there and back: another controller goes on from what is there. In the tests
/// above it does so at each step, as the plan is made from nothing but the objects; here the steps before are lost.
#[test]
fn whatever_is_there_the_next_controller_goes_on() {
    let record =
        || Some(serde_json::to_string(&CopyResult { state: CopyState::Complete, reason: None, ..failed() }).unwrap());
    let there = [
        (Cluster { content: true, ..Cluster::new() }, 1),
        (Cluster { content: true, central_snapshot: Some(false), ..Cluster::new() }, 2),
        (Cluster { content: true, central_snapshot: Some(true), ..Cluster::new() }, 2),
        (Cluster { content: true, central_snapshot: Some(true), promoter: Some("Pending"), ..Cluster::new() }, 3),
        (
            Cluster {
                content: true,
                central_snapshot: Some(true),
                promoter: Some("Bound"),
                volume: true,
                ..Cluster::new()
            },
            3,
        ),
    ];
    for (mut cluster, done) in there {
        let was = cluster.clone();
        assert_eq!(run(&mut cluster, minute(1)), ALL[done..], "{was:?}");
        assert!(cluster.is_clean());
    }
    let whole = Cluster {
        content: true,
        central_snapshot: Some(true),
        promoter: Some("Bound"),
        volume: true,
        job: Some("Complete"),
        ..Cluster::new()
    };
    let there = [
        (whole.clone(), 4),
        (Cluster { record: record(), ..whole.clone() }, 5),
        (Cluster { record: record(), job: None, ..whole.clone() }, 6),
        (Cluster { record: record(), job: None, promoter: None, ..whole.clone() }, 7),
        (Cluster { record: record(), job: None, promoter: None, volume: false, ..whole.clone() }, 7),
        (
            Cluster {
                record: record(),
                job: None,
                promoter: None,
                volume: false,
                central_snapshot: None,
                ..whole.clone()
            },
            8,
        ),
    ];
    for (mut cluster, done) in there {
        let was = cluster.clone();
        assert_eq!(run(&mut cluster, minute(1)), ALL[done..], "{was:?}");
        assert!(cluster.is_clean());
    }
}

/// Its volume may need the snapshot, and the Job reads the volume.
#[test]
fn nothing_goes_before_what_needs_it_is_gone() {
    let record = Some(serde_json::to_string(&failed()).unwrap());
    let whole = Cluster {
        content: true,
        central_snapshot: Some(true),
        promoter: Some("Bound"),
        volume: true,
        job: Some("Active"),
        record,
        ..Cluster::new()
    };
    assert_eq!(whole.clone().turn(minute(6)), ["no Job"]);
    let mut released = Cluster { job: None, promoter: None, ..whole };
    assert_eq!(released.turn(minute(6)), [] as [&str; 0]);
    // And it is told, once it lasts.
    let told = |now| {
        let plan = released.plan(now);
        status(&plan).and_then(|s| s.waiting).map(|p| p.reason)
    };
    assert_eq!((told(minute(6)), told(minute(600))), (None, Some(Reason::InUse)));
}

#[test]
fn a_class_that_waits_for_its_consumer_gets_its_job_while_the_claim_is_pending() {
    let pending = Cluster { content: true, central_snapshot: Some(true), promoter: Some("Pending"), ..Cluster::new() };
    assert_eq!(Cluster { class: "late", ..pending.clone() }.turn(minute(1)), ["Job"]);
    assert_eq!(pending.clone().turn(minute(1)), [] as [&str; 0]);
}

/// Law 5.
#[test]
fn every_wait_ends_and_says_why() {
    let snapshot = Cluster { content: true, central_snapshot: Some(false), ..Cluster::new() };
    let promoter = Cluster { central_snapshot: Some(true), promoter: Some("Pending"), ..snapshot.clone() };
    let lost = Cluster { promoter: Some("Lost"), ..promoter.clone() };
    for (mut cluster, now, why) in [
        (snapshot, 600, "SnapshotNotReady"),
        (promoter, 600, "PromoterNotBound"),
        (lost, 1, "PromoterLost"),
        (Cluster { class: "keep", ..Cluster::new() }, 1, "VolumeRetained"),
        (Cluster { snapshot_goes: true, ..Cluster::new() }, 1, "SourceSnapshotLost"),
        (Cluster { source_gone: true, ..Cluster::new() }, 1, "WrongStorageClass"),
    ] {
        let early = cluster.clone().turn(minute(1));
        assert!(now == 1 || early.is_empty(), "{early:?}");
        assert_eq!(cluster.turn(minute(now)), [format!("record Failed Some({why})")]);
        run(&mut cluster, minute(now));
        assert!(cluster.is_clean(), "{why}: {cluster:?}");
    }
}

/// There is nothing left to record it on.
#[test]
fn a_snapshot_that_is_gone_is_told_on_the_source_and_all_is_taken_away() {
    let mut cluster = Cluster {
        snapshot: false,
        content: true,
        central_snapshot: Some(true),
        promoter: Some("Bound"),
        volume: true,
        job: Some("Active"),
        ..Cluster::new()
    };
    let plan = cluster.plan(minute(1));
    let notes = &written(&plan).unwrap().notes;
    assert!(notes.iter().any(|n| n.warning && n.reason == "SourceSnapshotLost"), "{notes:?}");
    assert_eq!(run(&mut cluster, minute(1)), ["no Job", "no Promoter", "no Snapshot", "no Content"]);
    assert!(cluster.is_clean());
}

/// From its first part on, a copy has its slot, in its source's namespace and on its own repository.
#[test]
fn a_copy_that_is_prepared_counts_as_running_once() {
    let slots = |cluster: &Cluster| plan::running(&cluster.world(), minute(1)).collect::<Vec<_>>();
    let content = Cluster { content: true, ..Cluster::new() };
    let with_job =
        Cluster { central_snapshot: Some(true), promoter: Some("Bound"), job: Some("Active"), ..content.clone() };
    for cluster in [&content, &with_job] {
        let running = slots(cluster);
        assert_eq!(running.len(), 1, "{running:?}");
        assert_eq!((running[0].namespace.as_str(), running[0].disk.as_str()), ("shop", "vault/shop/u1"));
    }
    assert_eq!(slots(&Cluster::new()), []);
    let record = Some(serde_json::to_string(&failed()).unwrap());
    assert_eq!(slots(&Cluster { record, ..content.clone() }), [], "what is taken away takes no slot");
    // The first part waits to be admitted; what follows does not.
    assert_eq!((Cluster::new().plan(minute(1)).ready.len(), content.plan(minute(1)).ready.len()), (1, 0));
    let full = Limits { cluster: 0, ..Limits::default() };
    let ready: Vec<_> = Cluster::new().plan(minute(1)).ready.into_iter().map(|(w, _)| w).collect();
    assert!(matches!(
        model::admit::admit(&ready, &[], &full, &std::collections::BTreeMap::default(), minute(1))[..],
        [model::admit::Admission::Wait(_)]
    ));
}

/// Where the parts of a copy take longer than it is from run to run, none would ever be copied.
#[test]
fn a_copy_that_has_begun_is_not_superseded_and_the_newer_run_waits() {
    let newer = |world: &mut World| {
        let text = format!(
            "metadata: {{name: data-2, namespace: shop, uid: s9, creationTimestamp: '{}', labels: {}, \
             annotations: {{backup-controller.io/destinations-taken: vault}}}}\n\
             spec: {{source: {{persistentVolumeClaimName: data}}}}\n\
             status: {{readyToUse: true, restoreSize: 1Gi, boundVolumeSnapshotContentName: snapcontent-2}}",
            minute(5),
            labels("snapshot").replace("T0000Z", "T0005Z")
        );
        put_snapshot(world, &text);
    };
    let planned = |cluster: &Cluster| {
        let mut world = cluster.world();
        newer(&mut world);
        let plan = crate::fixtures::plan(&world, "u1", minute(6));
        let superseded = !results(&plan).is_empty();
        let ready: Vec<_> = plan.ready.into_iter().map(|(waiting, _)| waiting).collect();
        assert_eq!(ready.iter().map(|w| w.run.as_str()).collect::<Vec<_>>(), ["20261120T0005Z"]);
        let running: Vec<_> = plan::running(&world, minute(1)).collect();
        let none = std::collections::BTreeMap::default();
        let answer = model::admit::admit(&ready, &running, &Limits::default(), &none, minute(6));
        (superseded, answer == [model::admit::Admission::Start])
    };
    assert_eq!(planned(&Cluster::new()), (true, true));
    let mut begun = Cluster { content: true, ..Cluster::new() };
    assert_eq!(planned(&begun), (false, false));
    begun = Cluster { central_snapshot: Some(true), promoter: Some("Pending"), ..begun };
    assert_eq!(planned(&begun), (false, false));
}

/// What lies in our own namespace has the source's labels, and is none of what the source has.
#[test]
fn what_a_central_copy_is_made_from_is_no_restore_point_no_source_and_no_run() {
    let cluster = Cluster {
        content: true,
        central_snapshot: Some(true),
        promoter: Some("Bound"),
        volume: true,
        ..Cluster::new()
    };
    for source_gone in [false, true] {
        let world = Cluster { source_gone, ..cluster.clone() }.world();
        let belongings = world.belongings("u1").unwrap();
        assert_eq!(belongings.snapshots.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["shop"]);
        assert!(belongings.promoters.is_empty() && belongings.central.contains(&name()));
        assert!(world.belongings("p2").is_none(), "its PVC is no source");
        assert_eq!(world.source_of("u1").unwrap().namespace, "shop");
    }
    let world = Cluster { snapshot: false, source_gone: true, ..cluster }.world();
    assert_eq!(world.source_of("u1"), None, "nor does it tell where a source was");
    let plan = crate::fixtures::plan(&world, "u1", minute(1));
    assert!(plan.ready.is_empty());
    assert!(matches!(plan.actions[..], [Action::TakeAway { part: CentralPart::Promoter, .. }]), "{:?}", plan.actions);
}

/// A volume whose claim of the same name was made anew goes later than the new one comes.
#[test]
fn the_end_of_an_older_volume_does_not_hide_the_newer_one() {
    let record = Some(serde_json::to_string(&failed()).unwrap());
    let mut world = Cluster { record, content: true, central_snapshot: Some(true), ..Cluster::new() }.world();
    let volume = |name: &str| {
        crate::fixtures::volume(&format!(
            "metadata: {{name: {name}, uid: u-{name}}}\nspec: {{claimRef: {{namespace: keepers, name: {}, uid: p9}}}}",
            self::name()
        ))
    };
    world.apply(Change::Volume(Seen::Put(volume("older"))));
    world.apply(Change::Volume(Seen::Put(volume("newer"))));
    world.apply(Change::Volume(Seen::Gone((String::new(), "older".to_owned()), "u-older".to_owned())));
    let plan = crate::fixtures::plan(&world, "u1", minute(6));
    assert!(!plan.actions.iter().any(|a| matches!(a, Action::TakeAway { .. })), "it needs the snapshot: {plan:?}");
}

/// A tenant who forges the labels in his own namespace gets nothing deleted, nothing hidden and nothing copied.
#[test]
fn what_says_in_a_tenants_namespace_that_it_is_central_is_not() {
    let mut world = Cluster::new().world();
    let labels = labels("central");
    let text = format!("metadata: {{name: {}, namespace: shop, uid: x, labels: {labels}}}", name());
    put_snapshot(&mut world, &text);
    put_claim(&mut world, &text.replace("uid: x", "uid: y"));
    assert!(world.belongings("u1").unwrap().central.is_empty());
    let plan = crate::fixtures::plan(&world, "u1", minute(1));
    assert!(!plan.actions.iter().any(|a| matches!(a, Action::TakeAway { .. })));
    assert_eq!(plan.ready.len(), 1);
}

/// A Secret of the controller's own namespace is for central copies alone.
#[test]
fn a_volume_of_the_controllers_namespace_is_not_copied_with_its_secrets_otherwise() {
    let mut world = Cluster::new().world();
    let config =
        Config::parse("destinations: [{name: vault, type: restic, secret: s3}]\ndefaults: {destinations: [vault]}");
    world.apply(Change::Config(Arc::new(config.unwrap())));
    let refused = |world: &World, uid: &str| {
        results(&crate::fixtures::plan(world, uid, minute(1))).into_iter().find_map(|(_, result)| result.reason)
    };
    let labels = labels("snapshot").replace("u1", "u9");
    for text in [
        "metadata: {name: data, namespace: keepers, uid: u9}\nspec: {storageClassName: fast}\nstatus: {phase: Bound}"
            .to_owned(),
        format!(
            "metadata: {{name: data-1, namespace: keepers, uid: p9, labels: {}}}\nspec: {{storageClassName: fast, \
             dataSource: {{apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: data-1}}}}\nstatus: {{phase: Bound}}",
            labels.replace("snapshot", "promoter")
        ),
    ] {
        put_claim(&mut world, &text);
    }
    let text = format!(
        "metadata: {{name: data-1, namespace: keepers, uid: s9, labels: {labels}, \
         annotations: {{backup-controller.io/destinations-taken: vault}}}}\n\
         spec: {{source: {{persistentVolumeClaimName: data}}}}\nstatus: {{readyToUse: true}}"
    );
    put_snapshot(&mut world, &text);
    assert_eq!(refused(&world, "u9"), Some(Reason::SecretNotAllowed));
}

const DRILL: [&str; 9] = [
    "drill Content",
    "drill Snapshot",
    "drill Promoter",
    "drill Job",
    "drill None",
    "no drill Job",
    "no drill Promoter",
    "no drill Snapshot",
    "no drill Content",
];

fn complete() -> String {
    serde_json::to_string(&CopyResult { state: CopyState::Complete, reason: None, ..failed() }).unwrap()
}

/// A copy that is recorded and cleared away, and its source's record.
fn copied() -> Cluster {
    let mut cluster = Cluster { record: Some(complete()), ..Cluster::drilled() };
    assert_eq!(run(&mut cluster, minute(29)), [] as [&str; 0], "not before it is due");
    cluster
}

#[test]
fn a_drill_has_objects_of_its_own_which_go_when_its_end_is_recorded() {
    let mut cluster = copied();
    assert_eq!(run(&mut cluster, minute(31)), DRILL);
    assert!(cluster.is_clean());
    assert_eq!(run(&mut cluster, minute(33)), [] as [&str; 0], "and never again for that minute");
}

/// F62. What is there says all: what was known before is lost in each.
#[test]
fn whatever_is_there_of_a_drill_the_next_controller_goes_on() {
    let mut ended = copied();
    assert_eq!(run(&mut ended, minute(31)), DRILL);
    let (open, over) = (copied().drill.unwrap().status, ended.drill.unwrap().status);
    let none = Parts::default();
    let there = [
        (Parts { content: true, ..none }, None, &open, 1),
        (Parts { content: true, snapshot: Some(false), ..none }, None, &open, 2),
        (Parts { content: true, snapshot: Some(true), promoter: Some("Pending"), ..none }, None, &open, 3),
        (Parts::all(), None, &open, 3),
        (Parts::all(), Some("Active"), &open, 4),
        (Parts::all(), Some("Complete"), &open, 4),
        (Parts::all(), Some("Complete"), &over, 5),
        (Parts::all(), None, &over, 6),
        (Parts { promoter: None, ..Parts::all() }, None, &over, 7),
        (Parts { promoter: None, volume: false, ..Parts::all() }, None, &over, 7),
        (Parts { content: true, ..none }, None, &over, 8),
    ];
    for (parts, job, status, done) in there {
        let mut cluster = copied();
        cluster.drill = Some(Drill { parts, job, status: status.clone() });
        assert_eq!(run(&mut cluster, minute(31)), DRILL[done..], "{parts:?}");
        assert!(cluster.is_clean());
    }
}

/// Law 5.
#[test]
fn a_drill_that_cannot_be_made_ends_and_says_why() {
    let made = |parts: Parts| Cluster { drill: Some(Drill { parts, ..copied().drill.unwrap() }), ..copied() };
    let content = Parts { content: true, ..Parts::default() };
    let pending = Parts { snapshot: Some(true), promoter: Some("Pending"), ..content };
    for (mut cluster, now, why) in [
        (made(Parts { snapshot: Some(false), ..content }), 45, "SnapshotNotReady"),
        (made(pending), 45, "PromoterNotBound"),
        (made(Parts { promoter: Some("Lost"), ..pending }), 31, "PromoterLost"),
        (Cluster { snapshot_goes: true, ..made(pending) }, 31, "SourceSnapshotLost"),
        (Cluster { class: "keep", ..copied() }, 31, "VolumeRetained"),
    ] {
        assert_eq!(cluster.turn(minute(now)), [format!("drill Some({why})")]);
        run(&mut cluster, minute(now));
        assert!(cluster.is_clean(), "{why}: {cluster:?}");
    }
    // And what is there longer than it may be is told.
    let mut ended = copied();
    run(&mut ended, minute(31));
    ended.drill.as_mut().unwrap().parts = Parts { promoter: None, ..Parts::all() };
    let told = |now| status(&ended.plan(now)).and_then(|s| s.waiting).map(|p| p.reason);
    assert_eq!((told(minute(33)), told(minute(60))), (None, Some(Reason::InUse)));
}

/// Only who looks at the content sees that it is another's.
#[test]
fn a_drill_whose_content_is_refused_ends_for_that_time() {
    let mut world = copied().world();
    let end = |world: &World| {
        let plan = crate::fixtures::plan(world, "u1", minute(31));
        status(&plan).and_then(|s| s.maintenance.get("vault").and_then(|m| m.drill.clone()))
    };
    let content =
        crate::fixtures::plan(&world, "u1", minute(31)).ready.into_iter().find_map(|(_, action)| match action {
            Action::MakeCentral(made) => Some(made),
            _ => None,
        });
    let due = content.unwrap().run;
    let refused = |due: &Run| {
        let problem = Problem::new(Reason::SnapshotMismatch, "it is of another volume");
        Change::DrillRefused { uid: "u1".to_owned(), destination: "vault".to_owned(), due: due.clone(), problem }
    };
    world.apply(refused(&Run::at(minute(1))));
    assert_eq!(end(&world), None, "an earlier one's is not this one's");
    assert_eq!(world.apply(refused(&due)), ["u1".to_owned()].into(), "it is looked at now");
    let end = end(&world).unwrap();
    assert_eq!((end.due, end.problem.map(|p| p.reason)), (due, Some(Reason::SnapshotMismatch)));
    assert!(crate::fixtures::plan(&world, "u1", minute(31)).ready.is_empty(), "it is not tried again and again");
}

/// Where drills are switched off, or the source goes, what was made for one goes too; a Job that runs ends first.
#[test]
fn a_drill_that_nobody_wants_any_more_leaves_nothing() {
    for job in [None, Some("Active")] {
        let drilled =
            Cluster { drill: Some(Drill { parts: Parts::all(), job, ..copied().drill.unwrap() }), ..copied() };
        let gone = Cluster { source_gone: true, ..drilled };
        let taken = gone.plan(minute(31)).actions;
        let taken = taken.iter().any(|a| matches!(a, Action::TakeAway { part: CentralPart::Promoter, .. }));
        assert_eq!(taken, job.is_none(), "it reads the promoter");
        let Cluster { drill: Some(drill), .. } = &gone else { panic!() };
        let mut world = Cluster { source_gone: false, drill: Some(drill.clone()), ..gone.clone() }.world();
        let mut config = (*world.config).clone();
        config.destinations = config.destinations.into_iter().map(|d| Destination { drill: None, ..d }).collect();
        world.apply(Change::Config(Arc::new(config)));
        let actions = crate::fixtures::plan(&world, "u1", minute(31)).actions;
        let taken = actions.iter().any(|a| matches!(a, Action::TakeAway { part: CentralPart::Promoter, .. }));
        assert_eq!(taken, job.is_none());
    }
}

/// From its first part on, a drill has its slot, and gives it back when its end is recorded.
#[test]
fn a_drill_that_is_prepared_counts_as_running_once_and_takes_no_copys_try() {
    let with = |parts, job| {
        let cluster = Cluster { drill: Some(Drill { parts, job, ..copied().drill.unwrap() }), ..copied() };
        plan::running(&cluster.world(), minute(1)).collect::<Vec<_>>()
    };
    let content = Parts { content: true, ..Parts::default() };
    for (parts, job) in [(content, None), (Parts::all(), None), (Parts::all(), Some("Active"))] {
        let running = with(parts, job);
        let [slot] = &running[..] else { panic!("{running:?}") };
        assert_eq!((slot.namespace.as_str(), slot.disk.as_str(), &slot.breaker), ("shop", "vault/shop/u1", &None));
    }
    let mut ended = copied();
    run(&mut ended, minute(31));
    ended.drill.as_mut().unwrap().parts = Parts::all();
    assert_eq!(plan::running(&ended.world(), minute(1)).count(), 0, "what is taken away takes no slot");
    let ready = copied().plan(minute(31)).ready;
    assert!(ready.iter().all(|(w, _)| w.rank == model::admit::Rank::Task) && ready.len() == 1, "{ready:?}");
}

/// A newer copy may come while one is compared.
#[test]
fn a_drill_that_has_begun_goes_on_with_its_run() {
    let cluster = Cluster { drill: Some(Drill { parts: Parts::all(), ..copied().drill.unwrap() }), ..copied() };
    let mut world = cluster.world();
    let text = format!(
        "metadata: {{name: data-2, namespace: shop, uid: s9, creationTimestamp: '{}', labels: {}, \
         annotations: {{backup-controller.io/destinations-taken: vault, backup-controller.io/copy.vault: '{}'}}}}\n\
         spec: {{source: {{persistentVolumeClaimName: data}}}}\n\
         status: {{readyToUse: true, restoreSize: 1Gi, boundVolumeSnapshotContentName: snapcontent-2}}",
        minute(5),
        labels("snapshot").replace("T0000Z", "T0005Z"),
        complete()
    );
    put_snapshot(&mut world, &text);
    // Also when it is due anew meanwhile.
    let plan = crate::fixtures::plan(&world, "u1", minute(31 + 24 * 60));
    let runs = plan.actions.iter().filter_map(|a| match a {
        Action::StartTask(task) => match &task.work {
            plan::Work::Drill(drill) => Some((task.due.as_str(), drill.run.as_str())),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(runs.collect::<Vec<_>>(), [(storage::DUE, storage::RUN)]);
    assert!(!plan.actions.iter().any(|a| matches!(a, Action::TakeAway { .. })));
}

proptest! {
    #![proptest_config(crate::fixtures::cases(48))]

    /// F62. A copy and a drill of one run, and any of their steps lost at any time: neither deletes what the other
    /// needs, nothing goes before what needs it (the cluster sees to that), both end, and nothing is left.
    #[test]
    fn a_copy_and_a_drill_of_one_run_leave_each_other_alone(losses in prop::collection::vec(any::<bool>(), 0..120), skips in prop::collection::vec(any::<bool>(), 0..40)) {
        let mut cluster = Cluster::drilled();
        let mut losses = losses.into_iter();
        let mut said = Vec::new();
        for storage in skips {
            let before = cluster.clone();
            let turn = cluster.turn_but(minute(31), &mut || losses.next().unwrap_or(false));
            let of_drill = |s: &&String| s.contains("drill");
            let parts = |c: &Cluster| (c.content, c.central_snapshot, c.promoter);
            if turn.iter().all(|s| of_drill(&s)) {
                prop_assert_eq!(parts(&before), parts(&cluster));
            }
            if !turn.iter().any(|s| of_drill(&s)) {
                prop_assert_eq!(before.drill.map(|d| d.parts), cluster.drill.as_ref().map(|d| d.parts));
            }
            said.extend(turn);
            if storage {
                cluster.storage();
            }
        }
        said.extend(run(&mut cluster, minute(31)));
        let once = |word: &str| said.iter().filter(|s| *s == word).count();
        for word in ["Content", "Job", "record Complete None", "drill Content", "drill Job", "drill None"] {
            prop_assert_eq!(once(word), 1, "{}: {:?}", word, &said);
        }
        prop_assert!(cluster.is_clean() && cluster.drill.unwrap().status.maintenance[DESTINATION].proven.is_some());
    }
}

/// What the driver's side says counts more than a mark in the tenant's namespace, for it is our pod that would mount a
/// tenant's device.
#[test]
fn a_central_copy_is_made_of_a_device_where_the_driver_says_so() {
    let planned = |content: Option<&str>, mark: Option<&str>, promoter: Option<&str>| {
        let cluster = Cluster { content: true, central_snapshot: Some(true), ..Cluster::new() };
        let mut world = Cluster { promoter: promoter.map(|_| "Bound"), volume: promoter.is_some(), ..cluster }.world();
        let mut second = world.contents.get("", &name()).unwrap().clone();
        second.mode = content.map(|word| VolumeMode::read(Some(word)));
        world.apply(Change::Content(Seen::Put(second)));
        let mut point = world.snapshots.get("shop", "data-20261120").unwrap().clone();
        point.mode = VolumeMode::read(mark);
        world.apply(Change::Snapshot(Seen::Put(point)));
        if let Some(mode) = promoter {
            let mut claim = world.claims.get("keepers", &name()).unwrap().clone();
            claim.mode = VolumeMode::read(Some(mode));
            world.apply(Change::Claim(Seen::Put(claim)));
        }
        let plan = crate::fixtures::plan(&world, "u1", minute(1));
        let mut copies = plan.actions.into_iter().filter_map(|a| match a {
            Action::MakeCentral(made) => Some((Some(made.part), made.promoter.shape.mode.as_str())),
            Action::StartCopy(copy) => Some((None, copy.mode.as_str())),
            _ => None,
        });
        copies.next().unwrap()
    };
    let made = |mode| (Some(CentralPart::Promoter), mode);
    assert_eq!(planned(Some("Block"), Some("Block"), None), made("Block"));
    assert_eq!(planned(Some("Block"), None, None), made("Block"), "the mark was taken off");
    assert_eq!(planned(Some("Filesystem"), Some("Block"), None), made("Filesystem"), "the mark is forged");
    assert_eq!(planned(None, Some("Block"), None), made("Block"), "an old driver's side says nothing");
    assert_eq!(planned(None, None, None), made("Filesystem"));
    // The Job has what the PVC is.
    assert_eq!(planned(Some("Block"), Some("Block"), Some("Block")), (None, "Block"));
    assert_eq!(planned(Some("Block"), Some("Block"), Some("Filesystem")), (None, "Filesystem"));
}
