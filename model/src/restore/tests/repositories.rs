//! Restore points in restic repositories, beside those of snapshots and disks.

use super::*;
use crate::maintain::TaskState;
use crate::record::{Maintenance, TaskStatus};

const CONFIG: &str = "
destinations:
  - {name: disk, type: disk, claim: {size: 1Ti}}
  - {name: s3, type: restic, secret: backup-s3}
  - {name: far, type: restic, secret: backup-far}
";

/// The ids of two snapshots that begin alike.
const ID: &str = "0123abcd00";
const OTHER_ID: &str = "0123abcd11";

/// One snapshot: run, and by destination the rest of a copy's result.
fn with_copies(world: &mut World, uid: &str, run: &str, copies: &[(&str, serde_json::Value)]) {
    let at = run.parse::<Run>().unwrap().time();
    let result = |more: &serde_json::Value| {
        let mut result = json!({"state": "Complete", "finished": at});
        result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        result
    };
    let results: Vec<_> = copies.iter().map(|(destination, more)| (*destination, result(more))).collect();
    let name = format!("data-{uid}-{}", run.to_lowercase());
    known(world, uid, run, &name, &results);
    let object = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {
            names::MANAGED_BY: names::MANAGER, names::INSTANCE: "night", names::COMPONENT: "snapshot",
            names::SOURCE_UID: uid, names::RUN: run,
        }},
        "spec": {"source": {"persistentVolumeClaimName": "data"}},
        "status": {"readyToUse": false},
    });
    let snapshot: VolumeSnapshot = serde_json::from_value(object).unwrap();
    world.apply(Change::Snapshot(Seen::Put(Snapshot::from(&snapshot))));
}

fn empty() -> World {
    World::new("night".into(), "keepers", Arc::new(Config::parse(CONFIG).unwrap()))
}

/// Three runs at S3, the last of which changed nothing.
fn world() -> World {
    let mut world = empty();
    with_copies(
        &mut world,
        "1",
        "20181201T0000Z",
        &[("s3", json!({"snapshot": "aaaaaaaa", "kept": ["20181201T0000Z"]}))],
    );
    let kept = json!(["20181130T0000Z", "20181201T0000Z", "20181202T0000Z"]);
    with_copies(
        &mut world,
        "1",
        "20181202T0000Z",
        &[("disk", json!({"kept": ["20181202T0000Z"]})), ("s3", json!({"snapshot": ID, "kept": kept.clone()}))],
    );
    with_copies(&mut world, "1", "20181203T0000Z", &[("s3", json!({"snapshot": ID, "unchanged": true, "kept": kept}))]);
    world
}

#[test]
fn all_destinations_stand_in_one_list_and_an_unchanged_run_has_the_snapshot_that_it_shares() {
    let points = points(&world(), "shop", "data");
    assert_eq!(
        names(&points),
        [
            "20181203T0000Z (restic s3, 0123abcd)",
            "20181202T0000Z (disk disk)",
            "20181202T0000Z (restic s3, 0123abcd)",
            "20181201T0000Z (restic s3, aaaaaaaa)",
            "20181130T0000Z (restic s3)",
        ],
        "the oldest is told by no result of its own"
    );
    let place = Place::Repository { destination: "s3".into(), snapshot: Some(ID.into()) };
    assert_eq!(points[0].place, place, "the whole id");
}

#[test]
fn a_tenant_who_may_not_read_the_configuration_sees_the_same() {
    let mut blind = World::new("night".into(), "keepers", Arc::new(Config::default()));
    let world_of_all = world();
    for snapshot in world_of_all.snapshots.within("shop") {
        blind.apply(Change::Snapshot(Seen::Put(snapshot.clone())));
    }
    in_ledger(&mut blind, "1", |ledger| ledger.clone_from(world_of_all.ledger("1").unwrap()));
    assert_eq!(points(&blind, "shop", "data"), points(&world(), "shop", "data"));
}

/// The source, with what its newest prune left.
fn pruned(world: &mut World, at: &str, kept: &[&str]) {
    let finished = at.parse::<Run>().unwrap();
    let prune = TaskStatus {
        due: finished.clone(),
        state: TaskState::Done,
        finished: finished.time(),
        problem: None,
        part: None,
        run: None,
        files: 0,
        bytes: 0,
        whole: false,
    };
    let kept = kept.iter().map(|run| run.parse().unwrap()).collect();
    let done = Maintenance { prune: Some(prune), kept, ..Maintenance::default() };
    in_ledger(world, "1", |ledger| ledger.status.maintenance = [("s3".to_owned(), done)].into());
}

#[test]
fn what_a_later_prune_forgot_is_no_restore_point_any_more() {
    let mut world = world();
    pruned(&mut world, "20181203T0500Z", &["20181130T0000Z", "20181201T0000Z"]);
    let left = ["20181202T0000Z (disk disk)", "20181201T0000Z (restic s3, aaaaaaaa)", "20181130T0000Z (restic s3)"];
    assert_eq!(names(&points(&world, "shop", "data")), left, "nor is the run that shared its snapshot");
    // An earlier one knows less than the copies after it.
    let mut world = self::world();
    pruned(&mut world, "20181201T0500Z", &["20181130T0000Z"]);
    assert_eq!(points(&world, "shop", "data").len(), 5);
}

#[test]
fn a_restic_snapshot_is_meant_by_the_beginning_of_its_id() {
    let mut world = world();
    assert_eq!(chosen(&world, "pvc=data snapshot=0123abcd"), "1 20181203T0000Z (restic s3, 0123abcd)", "one snapshot");
    assert_eq!(chosen(&world, "pvc=data snapshot=aaaaaaaa from=s3"), "1 20181201T0000Z (restic s3, aaaaaaaa)");
    assert!(chosen(&world, "pvc=data snapshot=aaaaaaaa from=disk").starts_with("NoRestorePoint"));
    let answer = chosen(&world, "pvc=data snapshot=bbbbbbbb");
    assert!(
        answer.starts_with("NoRestorePoint: PVC data has no restore point for restic snapshot bbbbbbbb"),
        "{answer}"
    );
    let kept = json!(["20181202T0000Z", "20181204T0000Z"]);
    with_copies(&mut world, "1", "20181204T0000Z", &[("s3", json!({"snapshot": OTHER_ID, "kept": kept}))]);
    let answer = chosen(&world, "pvc=data snapshot=0123abcd");
    assert!(answer.starts_with("AmbiguousRestorePoint") && answer.contains("0123abcd00, 0123abcd11"), "{answer}");
    assert_eq!(chosen(&world, "pvc=data snapshot=0123abcd1"), "1 20181204T0000Z (restic s3, 0123abcd)");
}

#[test]
fn a_destination_is_meant_by_its_name_and_restic_alone_where_there_is_one_repository() {
    let mut world = world();
    for (text, found) in [
        ("pvc=data date=20181202", "1 20181202T0000Z (disk disk)"),
        ("pvc=data date=20181202 from=restic", "1 20181202T0000Z (restic s3, 0123abcd)"),
        ("pvc=data date=20181202 from=s3", "1 20181202T0000Z (restic s3, 0123abcd)"),
        ("pvc=data date=20181130 from=restic/s3", "1 20181130T0000Z (restic s3)"),
        ("pvc=data date=latest", "1 20181203T0000Z (restic s3, 0123abcd)"),
    ] {
        assert_eq!(chosen(&world, text), found, "{text}");
    }
    with_copies(&mut world, "1", "20181204T0000Z", &[("far", json!({"snapshot": "f", "kept": ["20181202T0000Z"]}))]);
    let answer = chosen(&world, "pvc=data date=20181202 from=restic");
    assert!(answer.starts_with("AmbiguousRestorePoint") && answer.ends_with("choose from=far or from=s3"), "{answer}");
    assert_eq!(chosen(&world, "pvc=data date=20181202 from=far"), "1 20181202T0000Z (restic far)");
    assert!(chosen(&world, "pvc=data date=20181202 from=tape").contains("no restore point for 20181202 at tape"));
}

/// F78: the PVC is gone, and so is its status; its snapshots tell what is at the destination.
#[test]
fn a_source_that_is_gone_has_the_restore_points_that_its_snapshots_tell() {
    let mut world = world();
    with_copies(
        &mut world,
        "0",
        "20181101T0000Z",
        &[("s3", json!({"snapshot": "cccccccc", "kept": ["20181101T0000Z"]}))],
    );
    assert_eq!(chosen(&world, "pvc=data date=20181101"), "0 20181101T0000Z (restic s3, cccccccc)");
    assert_eq!(chosen(&world, "pvc=data uid=0 date=latest from=s3"), "0 20181101T0000Z (restic s3, cccccccc)");
}
