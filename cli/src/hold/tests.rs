use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::args::{Cli, Verb};
use crate::tests::fixture::{ALL, Objects, TENANT, now};
use crate::tests::server::{SNAPSHOTS, Server, forbidden, serve};

fn args(words: &[&str]) -> Args {
    match Cli::try_parse_from(["kubectl-backup", "hold"].iter().chain(words)).unwrap().verb {
        Verb::Hold(args) => args,
        other => panic!("{other:?}"),
    }
}

fn cluster(points: usize) -> Objects {
    let mut all = Objects::new();
    all.source("shop", "data", &json!({"protectedSince": "2018-11-01T00:10:00Z"}));
    for day in 1..=points {
        all.point("shop", "data", &format!("2018120{day}T0317Z"), &json!({}));
    }
    all
}

#[test]
fn a_hold_says_when_it_ends_or_that_it_does_not() {
    let text = |words: &[&str]| args(words).text(now()).map_err(|e| e.to_string());
    assert_eq!(text(&["p", "--for", "7d"]).unwrap(), "until=2018-12-12T12:00:00Z by kubectl backup hold");
    assert_eq!(
        text(&["p", "--until", "2018-12-06T00:00:00Z", "--reason", "x y"]).unwrap(),
        "until=2018-12-06T00:00:00Z x y"
    );
    assert_eq!(text(&["p", "--reason", "restoring"]).unwrap(), "restoring");
    assert!(
        text(&["p", "--until", "2018-12-05T11:59:59Z"])
            .unwrap_err()
            .contains("--until 2018-12-05T11:59:59Z is in the past")
    );
    assert!(text(&["p", "--reason", "until=2019-01-01T00:00:00Z"]).unwrap_err().contains("use --until"));
    assert!(text(&["p", "--reason", "a\nb"]).unwrap_err().contains("one line"));
}

#[test]
fn a_restore_point_is_found_by_its_name_or_by_date() {
    let observed = cluster(3).observed(ALL);
    let found = |words: &[&str]| find(&observed, "shop", &args(words)).map(|s| s.id.name.as_str());
    assert_eq!(found(&["data-20181202"]).unwrap(), "data-20181202");
    assert_eq!(found(&["data", "--date", "20181202"]).unwrap(), "data-20181202");
    assert_eq!(found(&["data", "--date", "latest"]).unwrap(), "data-20181203");
    let error = |words: &[&str]| find(&observed, "shop", &args(words)).unwrap_err().to_string();
    assert!(error(&["data"]).contains("data is a PVC: hold one of its restore points (data-20181203, "));
    let listed = error(&["data-20190101"]);
    assert!(listed.contains("has no restore point data-20190101") && listed.contains("data (3)"), "{listed}");
    let none = error(&["data", "--date", "20190101"]);
    assert!(none.contains("NoRestorePoint") && none.contains("20181203T0317Z (snapshot data-20181203)"), "{none}");
}

/// The oldest holds count.
#[test]
fn a_hold_that_does_not_count_is_said() {
    let mut all = cluster(7);
    for snapshot in &mut all.snapshots[..5] {
        snapshot["metadata"]["annotations"][names::HOLD] = json!("x");
    }
    let lines = |name: &str, knows| {
        let observed = all.observed(knows);
        let snapshot = observed.world.snapshots.get("shop", name).unwrap();
        effect(&observed, snapshot, Some("x"), now()).join("\n")
    };
    let beyond = lines("data-20181206", ALL);
    assert!(beyond.contains("held restore points of PVC data: 6; bounds.maxHolds allows 5"), "{beyond}");
    assert!(beyond.contains("NO effect, because 5 older restore points are held (data-20181201, "), "{beyond}");
    assert!(!lines("data-20181203", ALL).contains("warning"));
    assert!(!lines("data-20181206", TENANT).contains("maxHolds"), "the tenant may not read it");
}

/// U12: the time of the API server has parts of a second, and the end of a hold has none.
#[test]
fn a_hold_for_seven_days_is_told_as_seven_days() {
    let observed = cluster(1).observed(ALL);
    let snapshot = observed.world.snapshots.get("shop", "data-20181201").unwrap();
    let now = Timestamp::from_millisecond(now().as_millisecond() + 700).unwrap();
    let text = args(&["data-20181201", "--for", "7d"]).text(now).unwrap();
    let lines = effect(&observed, snapshot, Some(&text), now).join("\n");
    assert!(lines.contains("is held until 2018-12-12T12:00:00Z, for 7d\n"), "{lines}");
}

#[test]
fn only_the_annotation_of_the_snapshot_that_was_seen_is_written() {
    let server = Server::of(cluster(1));
    let observed = cluster(1).observed(ALL);
    let snapshot = observed.world.snapshots.get("shop", "data-20181201").unwrap();
    let path = format!("{SNAPSHOTS}/data-20181201");
    let server = server.refusing(&path, (200, json!({"kind": "PartialObjectMetadata", "metadata": {}})));
    serve(async { annotate(&server.client(), snapshot, Some("x")).await }).unwrap();
    serve(async { annotate(&server.client(), snapshot, None).await }).unwrap();
    let uid = "vs-data-20181201";
    assert_eq!(
        server.written(),
        [
            json!({"metadata": {"uid": uid, "annotations": {names::HOLD: "x"}}}),
            json!({"metadata": {"uid": uid, "annotations": {names::HOLD: null}}})
        ]
    );
    let server = server.refusing(&path, forbidden("patch resource \"volumesnapshots\""));
    let error = serve(async { annotate(&server.client(), snapshot, None).await }).unwrap_err().to_string();
    let right = "you (me) lack permission to patch volumesnapshots.snapshot.storage.k8s.io in namespace shop. An admin";
    assert!(error.starts_with(right), "{error}");
}
