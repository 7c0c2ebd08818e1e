mod modes;
mod repositories;

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::json;

use super::*;
use crate::config::Config;
use crate::facts::{Claim, Identity, Snapshot};
use crate::ledger::{Book, Ledger, Words};
use crate::names::SourceId;
use crate::record::Status;
use crate::snapshot::VolumeSnapshot;
use crate::world::{Change, Seen, World};

fn read(text: &str) -> Request {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn a_request_says_the_same_when_it_is_written_and_read_again() {
    for text in [
        "pvc=data date=20181202",
        "pvc=shop/data uid=0a-1 date=20181202-1830 from=disk/vault target=other delete=true path=etc/a b.conf",
        "pvc=data date=20181202T0000Z from=disk",
        "pvc=data date=latest from=snapshot path=x=y",
        "pvc=data date=latest from=restic",
        "pvc=data date=20181202 from=restic/s3",
        "pvc=data uid=0a-1 snapshot=0123abcd from=s3 path=etc",
    ] {
        assert_eq!(read(text).to_string(), text);
    }
}

/// As the OpenShift Template writes it.
#[test]
fn what_is_empty_is_left_out() {
    let request = read("pvc=mypvc date=20181202 from= target= uid=");
    assert_eq!(request, read("pvc=mypvc date=20181202"));
    assert_eq!((request.from, request.target), (From::Any, None));
}

#[test]
fn what_is_no_request_is_refused_with_what_is_wrong() {
    for (text, words) in [
        ("", "pvc is missing"),
        ("pvc=data", "date is missing"),
        ("pvc=data date=", "date is missing"),
        ("pvc=data date=20181302", "date=20181302 is not a date"),
        ("pvc=data date=20181202-183", "is not a date"),
        ("pvc=data date=20181202-2460", "is not a date"),
        ("pvc=$(id) date=20181202", "pvc=$(id) is not a valid Kubernetes name"),
        ("pvc=`id` date=20181202", "is not a valid Kubernetes name"),
        ("pvc=${{X}} date=20181202", "is not a valid Kubernetes name"),
        ("pvc=data;id date=20181202", "is not a valid Kubernetes name"),
        ("pvc=a/b/c date=20181202", "is not a valid Kubernetes name"),
        ("pvc=data pvc=other date=20181202", "pvc occurs twice"),
        ("pvc=data date=20181202 colour=red", "unknown key colour"),
        ("pvc=data date=20181202 red", "'red' has no '='"),
        ("pvc=data date=20181202 from=tape/s3", "from=tape/s3 is unknown"),
        ("pvc=data date=20181202 from=S3", "from=S3 is not a valid Kubernetes name"),
        ("pvc=data snapshot=0123abc", "snapshot=0123abc is not the ID"),
        ("pvc=data snapshot=0123abcg", "is not the ID"),
        ("pvc=data snapshot=", "date is missing"),
        ("pvc=data date=20181202 snapshot=0123abcd", "remove one"),
        ("pvc=data date=20181202 delete=yes", "delete=yes must be true or false"),
        ("pvc=data date=20181202 path=../../etc", "not a path below"),
        ("pvc=data date=20181202 path=/", "not a path below"),
        ("pvc=data date=20181202 target=../x", "is not a valid Kubernetes name"),
    ] {
        let error = text.parse::<Request>().unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

/// Changes the ledger of a PVC `data`, which is begun if there is none.
fn in_ledger(world: &mut World, uid: &str, change: impl FnOnce(&mut Ledger)) {
    let source = SourceId { namespace: "shop".into(), name: "data".into(), uid: uid.into() };
    let mut ledger = world.ledger(uid).cloned().unwrap_or_else(|| Ledger::of_shown(&source, &Status::default()));
    change(&mut ledger);
    let book = Book { id: Identity::default(), uid: uid.into(), ledger: Ok(Box::new(ledger)), words: Words::default() };
    world.apply(Change::Ledger(Seen::Put(book)));
}

/// The ledger of a PVC knows a run, and these results of its copies.
fn known(world: &mut World, uid: &str, run: &str, snapshot: &str, results: &[(&str, serde_json::Value)]) {
    let snapshot = Identity { name: snapshot.into(), uid: snapshot.into(), ..Identity::default() };
    in_ledger(world, uid, |ledger| {
        ledger.begin(&run.parse().unwrap(), &snapshot, false);
        let record = ledger.runs.iter_mut().find(|r| r.run.as_str() == run).unwrap();
        for (destination, result) in results {
            record.results.insert((*destination).to_owned(), serde_json::from_value(result.clone()).unwrap());
        }
    });
}

/// A namespace with snapshots: name, UID of the source, run, ready, and a copy's `kept`.
fn world(snapshots: &[(&str, &str, &str, bool, &[&str])]) -> World {
    let mut world = World::new("night".into(), "keepers", Arc::new(Config::default()));
    for (name, uid, run, ready, kept) in snapshots {
        if !kept.is_empty() {
            let at = run.parse::<Run>().unwrap().time();
            let result = json!({"state": "Complete", "finished": at, "kept": kept});
            known(&mut world, uid, run, name, &[("disk", result)]);
        }
        let object = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
            "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {
                names::MANAGED_BY: names::MANAGER, names::INSTANCE: "night", names::COMPONENT: "snapshot",
                names::SOURCE_UID: uid, names::RUN: run,
            }},
            "spec": {"source": {"persistentVolumeClaimName": "data"}},
            "status": {"readyToUse": ready},
        });
        let snapshot: VolumeSnapshot = serde_json::from_value(object).unwrap();
        world.apply(Change::Snapshot(Seen::Put(Snapshot::from(&snapshot))));
    }
    world
}

fn with_promoter(mut world: World, name: &str) -> World {
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": name}},
    }))
    .unwrap();
    world.apply(Change::Claim(Seen::Put(Claim::from(&claim))));
    world
}

fn names(points: &[RestorePoint]) -> Vec<String> {
    points.iter().map(ToString::to_string).collect()
}

#[test]
fn restore_points_are_the_ready_snapshots_and_the_trees_that_were_kept() {
    let world = with_promoter(
        world(&[
            ("data-20181201", "1", "20181201T0000Z", true, &["20181130T0000Z", "20181201T0000Z"]),
            ("data-20181202", "1", "20181202T0000Z", true, &["20181201T0000Z", "20181202T0000Z"]),
            ("data-20181203", "1", "20181203T0000Z", false, &[]),
        ]),
        "data-20181202",
    );
    let points = points(&world, "shop", "data");
    assert_eq!(
        names(&points),
        [
            "20181202T0000Z (snapshot data-20181202)",
            "20181202T0000Z (disk disk)",
            "20181201T0000Z (snapshot data-20181201)",
            "20181201T0000Z (disk disk)",
        ],
        "the newest result says what is kept, and a snapshot that is not ready is none"
    );
    let promoter = |p: &RestorePoint| match &p.place {
        Place::Snapshot { promoter, .. } => promoter.clone(),
        Place::Tree { .. } | Place::Repository { .. } => None,
    };
    assert_eq!((promoter(&points[0]), promoter(&points[2])), (Some("data-20181202".into()), None));
    assert!(super::points(&world, "shop", "other").is_empty() && super::points(&world, "else", "data").is_empty());
}

fn chosen(world: &World, text: &str) -> String {
    let points = points(world, "shop", "data");
    match choose(&points, &read(text), Some("1"), &Zone::utc()) {
        Ok(point) => format!("{} {point}", point.uid),
        Err(problem) => problem.to_string(),
    }
}

#[test]
fn a_date_is_the_run_of_that_day_and_a_snapshot_comes_before_a_disk() {
    let kept: &[&str] = &["20181130T0000Z", "20181202T0000Z"];
    let world = world(&[("data-20181202", "1", "20181202T0000Z", true, kept)]);
    for (text, found) in [
        ("pvc=data date=20181202", "1 20181202T0000Z (snapshot data-20181202)"),
        ("pvc=data date=latest", "1 20181202T0000Z (snapshot data-20181202)"),
        ("pvc=data date=20181202 from=disk", "1 20181202T0000Z (disk disk)"),
        ("pvc=data date=20181202-0000 from=disk/disk", "1 20181202T0000Z (disk disk)"),
        ("pvc=data date=20181130", "1 20181130T0000Z (disk disk)"),
        ("pvc=data date=20181130T0000Z", "1 20181130T0000Z (disk disk)"),
    ] {
        assert_eq!(chosen(&world, text), found, "{text}");
    }
}

#[test]
fn a_date_without_a_restore_point_is_answered_with_those_that_there_are() {
    let world = world(&[("data-20181202", "1", "20181202T0000Z", true, &["20181202T0000Z"])]);
    let answer = chosen(&world, "pvc=data date=20181203");
    assert_eq!(
        answer,
        "NoRestorePoint: PVC data has no restore point for 20181203; there are 20181202T0000Z (snapshot data-20181202), \
         20181202T0000Z (disk disk)"
    );
    assert!(
        chosen(&world, "pvc=data date=20181202 from=disk/vault")
            .ends_with("20181202 on disk vault; it has none on disk vault")
    );
}

#[test]
fn of_several_runs_on_a_day_the_one_is_meant_that_has_the_day_as_its_name() {
    let world = world(&[
        ("data-20181202", "1", "20181202T0100Z", true, &[]),
        ("data-20181202-1830", "1", "20181202T1830Z", true, &["20181202T0100Z", "20181202T1830Z"]),
    ]);
    assert_eq!(chosen(&world, "pvc=data date=20181202"), "1 20181202T0100Z (snapshot data-20181202)");
    assert_eq!(chosen(&world, "pvc=data date=20181202-1830"), "1 20181202T1830Z (snapshot data-20181202-1830)");
    // No tree has a name.
    let answer = chosen(&world, "pvc=data date=20181202 from=disk");
    assert!(answer.starts_with("AmbiguousRestorePoint") && answer.contains("20181202T1830Z (disk disk)"), "{answer}");
}

/// F78: another UID is another source, and a PVC that was deleted by mistake and made again has a new one.
#[test]
fn an_earlier_pvc_of_that_name_is_found_where_the_new_one_has_nothing() {
    let world = world(&[
        ("data-20181201", "0", "20181201T0000Z", true, &[]),
        ("data-20181202", "1", "20181202T0000Z", true, &[]),
        ("data-20181202-0100", "0", "20181202T0100Z", true, &[]),
    ]);
    assert_eq!(chosen(&world, "pvc=data date=20181201"), "0 20181201T0000Z (snapshot data-20181201)");
    assert_eq!(chosen(&world, "pvc=data date=latest"), "1 20181202T0000Z (snapshot data-20181202)");
    assert_eq!(chosen(&world, "pvc=data date=20181202"), "1 20181202T0000Z (snapshot data-20181202)");
    assert_eq!(chosen(&world, "pvc=data uid=0 date=latest"), "0 20181202T0100Z (snapshot data-20181202-0100)");
}

/// A copy's result of a run at the disk: how it ended, and what is there.
fn copied(world: &mut World, run: &str, state: &str, kept: &[&str], incomplete: &[&str]) {
    let at = run.parse::<Run>().unwrap().time();
    let result = json!({"state": state, "finished": at, "kept": kept, "incomplete": incomplete});
    known(world, "1", run, &format!("s-{run}"), &[("disk", result)]);
}

const NIGHTS: [&str; 3] = ["20181201T0000Z", "20181202T0000Z", "20181203T0000Z"];

/// Two nights were copied whole; in the third a folder could not be read.
fn third_incomplete() -> World {
    let mut world = world(&[]);
    copied(&mut world, NIGHTS[0], "Complete", &NIGHTS[..1], &[]);
    copied(&mut world, NIGHTS[1], "Complete", &NIGHTS[..2], &[]);
    copied(&mut world, NIGHTS[2], "Incomplete", &NIGHTS, &NIGHTS[2..]);
    world
}

/// L2: `latest` named the incomplete copy, and a restore with `--delete` deleted from the volume what it lacked.
#[test]
fn latest_is_the_newest_complete_restore_point_and_an_incomplete_one_has_to_be_asked_for() {
    let world = third_incomplete();
    for (text, found) in [
        ("pvc=data date=latest from=disk", "1 20181202T0000Z (disk disk)"),
        ("pvc=data date=latest", "1 20181202T0000Z (disk disk)"),
        ("pvc=data date=20181203 from=disk", "1 20181203T0000Z (disk disk)"),
        ("pvc=data date=20181203T0000Z", "1 20181203T0000Z (disk disk)"),
    ] {
        assert_eq!(chosen(&world, text), found, "{text}");
    }
    let states: Vec<bool> = points(&world, "shop", "data").iter().map(|p| p.incomplete).collect();
    assert_eq!(states, [true, false, false]);
    let all = points(&world, "shop", "data");
    let over = |text: &str| choose(&all, &read(text), Some("1"), &Zone::utc()).unwrap().passed_over;
    assert_eq!(
        over("pvc=data date=latest").as_deref(),
        Some(
            "later copies are incomplete and were passed over: 20181203T0000Z (disk disk). To restore one, ask for date \
             20181203T0000Z from disk"
        )
    );
    assert_eq!([over("pvc=data date=20181203"), over("pvc=data date=20181202")], [None, None], "it was asked for");
    // Where there is no other one, it is better than none.
    let mut world = super::tests::world(&[]);
    copied(&mut world, NIGHTS[0], "Incomplete", &NIGHTS[..1], &NIGHTS[..1]);
    assert_eq!(chosen(&world, "pvc=data date=latest"), "1 20181201T0000Z (disk disk)");
}

/// L2: a snapshot is whole, whatever became of its copies; and of one run's copies the whole one comes first.
#[test]
fn a_snapshot_and_another_destinations_copy_are_complete_beside_an_incomplete_one() {
    let mut world = world(&[("s-20181203", "1", NIGHTS[2], true, &[])]);
    copied(&mut world, NIGHTS[2], "Incomplete", &NIGHTS[2..], &NIGHTS[2..]);
    assert_eq!(chosen(&world, "pvc=data date=latest"), "1 20181203T0000Z (snapshot s-20181203)");
    let mut world = super::tests::world(&[]);
    let at = NIGHTS[2].parse::<Run>().unwrap().time();
    let result = |state: &str| json!({"state": state, "finished": at, "kept": &NIGHTS[2..]});
    let results = [("a", result("Incomplete")), ("b", result("Complete"))];
    known(&mut world, "1", NIGHTS[2], "s", &results);
    for text in ["pvc=data date=latest", "pvc=data date=20181203"] {
        assert_eq!(chosen(&world, text), "1 20181203T0000Z (disk b)", "{text}");
    }
}

/// L2: only the record of a later copy is left of it.
#[test]
fn a_restore_point_without_a_record_of_its_own_is_incomplete_if_a_later_copy_says_so() {
    let mut world = world(&[]);
    copied(&mut world, NIGHTS[1], "Complete", &NIGHTS[..2], &NIGHTS[..1]);
    let states: Vec<bool> = points(&world, "shop", "data").iter().map(|p| p.incomplete).collect();
    assert_eq!(states, [false, true]);
}

/// L2.
#[test]
fn an_incomplete_restore_point_deletes_nothing() {
    let world = third_incomplete();
    let points = points(&world, "shop", "data");
    let problem = points[0].may_delete().unwrap_err();
    assert_eq!(problem.reason, Reason::RestorePointIncomplete);
    assert!(problem.message.contains("20181203T0000Z (disk disk) is incomplete"), "{problem}");
    assert!(points[1].may_delete().is_ok());
}

/// L13: a restore from a tree that a drill found to be damaged had no word of it.
#[test]
fn a_restore_point_with_a_finding_says_so_until_a_newer_copy_has_compared_contents() {
    let mut world = third_incomplete();
    let found =
        |world: &World| -> Vec<bool> { points(world, "shop", "data").iter().map(|p| p.finding.is_some()).collect() };
    assert_eq!(found(&world), [false; 3]);
    let drill = json!({
        "due": "20181202T0600Z", "state": "Failed", "finished": "2018-12-02T06:05:00Z",
        "problem": {"reason": "RestoreMismatch", "message": "etc/app.conf differs"}, "run": NIGHTS[1],
    });
    let done = json!({"drill": drill, "differs": drill});
    let mark = |world: &mut World, done: &serde_json::Value| {
        in_ledger(world, "1", |ledger| {
            ledger.status.maintenance = [("disk".to_owned(), serde_json::from_value(done.clone()).unwrap())].into();
        });
    };
    mark(&mut world, &done);
    assert_eq!(found(&world), [true; 3]);
    let words = points(&world, "shop", "data")[1].finding.clone().unwrap();
    assert_eq!(words, "the drill of 2018-12-02T06:05:00Z found: etc/app.conf differs");
    let mut healed = done;
    healed["healed"] = json!(NIGHTS[2]);
    mark(&mut world, &healed);
    assert_eq!(found(&world), [false, true, true]);
}
