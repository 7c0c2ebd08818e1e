//! Rotation deletes what the plan says, and nothing that it should not.

use model::names;

use crate::snapshot_job::support::{Before, Book, Stage, before, eventually};

const MINUTE: &str = "2026-11-20T03:00:00Z";

fn promoted(run: &'static str) -> Before {
    Before { promoter: Some("Delete"), ..before(run) }
}

/// The measure of a whole run: twelve requests, and the order in which things go (F15).
#[test]
fn the_third_run_rotates_the_first_promoter_then_volume_then_snapshot() {
    let mut stage = Stage::new("third");
    stage.set("retention", "last=2");
    stage.set("promoter-retention", "keep");
    stage.has(&[promoted("20261101T0300Z"), promoted("20261102T0300Z")]);
    let ended = stage.run_at(MINUTE);
    let whys: Vec<_> = ended.done().rotated.iter().map(|r| (r.name.as_str(), r.why.as_str())).collect();
    assert_eq!(*stage.early.borrow(), [""; 0], "a snapshot went before its promoter's volume");
    let name = "data-20261101t0300z";
    let why = "expired by retention 'last=2'";
    assert_eq!(whys, [(name, &*format!("promoter: {why}")), (name, &*format!("snapshot: {why}"))], "{}", ended.output);
    assert_eq!(stage.names("vs"), ["data-20261102t0300z", "data-20261120"]);
    assert_eq!(stage.points().1, ["data-20261102t0300z", "data-20261120"]);

    let expected = [
        "get jobs",
        "get persistentvolumeclaims",
        "list volumesnapshots",
        "list persistentvolumeclaims",
        "create volumesnapshots",
        "watch volumesnapshots",
        "create persistentvolumeclaims",
        "get configmaps",
        "list pods",
        "watch persistentvolumes",
        "delete persistentvolumeclaims",
        "delete volumesnapshots",
    ];
    assert_eq!(stage.requests(), expected, "{}", ended.output);
}

/// F77: all are too old, and the copies of the new ones fail.
#[test]
fn the_last_good_restore_point_stays_whatever_its_age() {
    let mut stage = Stage::new("floor");
    stage.destinations = vec!["disk".to_owned()];
    let copied = |run, state| Before { copy: Some(state), ..before(run) };
    stage.has(&[
        copied("20260101T0300Z", "Complete"),
        copied("20260201T0300Z", "Complete"),
        copied("20260301T0300Z", "Failed"),
    ]);
    stage.run_at(MINUTE).done();
    assert_eq!(stage.names("vs"), ["data-20260201t0300z", "data-20260301t0300z", "data-20261120"]);
}

/// A setting or a clock that slipped cannot empty a source at once.
#[test]
fn at_most_three_go_in_one_run_the_oldest_first() {
    let stage = Stage::new("brake");
    stage.has(&["20260101T0000Z", "20260102T0000Z", "20260103T0000Z", "20260104T0000Z", "20260105T0000Z"].map(before));
    assert_eq!(stage.run_at(MINUTE).done().rotated.len(), 3);
    assert_eq!(stage.names("vs"), ["data-20260104t0000z", "data-20260105t0000z", "data-20261120"]);
}

/// A hold that was there before, and one that comes after rotation has looked.
#[test]
fn a_hold_wins_even_if_it_comes_late() {
    let mut stage = Stage::new("hold");
    let hold = format!("{}=until the audit", names::HOLD);
    stage.has(&[before("20260101T0000Z"), before("20260102T0000Z")]);
    stage.kubectl(&["annotate", "volumesnapshot", "data-20260101t0000z", &hold]);
    stage.storage.ready = false;
    let running = stage.start("snapshot", &stage.job("a", MINUTE), &[]);
    eventually("the snapshot is made", || if stage.names("vs").len() == 3 { Ok(()) } else { Err("two".to_owned()) });
    stage.kubectl(&["annotate", "volumesnapshot", "data-20260102t0000z", &hold]);
    stage.storage.ready = true;
    let ended = stage.finish(running);
    assert_eq!(ended.done().rotated.len(), 0, "{}", ended.output);
    assert_eq!(ended.warned(), ["Conflict"]);
    assert_eq!(stage.names("vs").len(), 3);
}

/// F30: a pod that has ended uses nothing. One that stays does not take the place of the next.
#[test]
fn a_promoter_in_use_is_passed_over_and_the_next_goes_in_its_place() {
    let mut stage = Stage::new("in-use");
    stage.set("max-deletes", "1");
    stage.set("promoter-retention", "keep");
    stage.has(&[promoted("20260101T0000Z"), promoted("20260102T0000Z"), promoted("20260103T0000Z")]);
    stage.pod("running", "data-20260101t0000z");
    stage.pod("ended", "data-20260102t0000z");
    stage.status("pod/ended", &serde_json::json!({"phase": "Succeeded"}));
    let ended = stage.run_at(MINUTE);
    ended.done();
    assert_eq!(ended.warned(), ["InUse"], "{}", ended.output);
    assert!(ended.output.contains("the pod running uses its promoter"));
    let left = ["data-20260101t0000z", "data-20260103t0000z", "data-20261120"];
    assert_eq!(stage.names("vs"), left);
    assert_eq!(stage.points().1, left);
    let used = stage.json(&["get", "pvc", "data-20260101t0000z"]);
    assert!(used["metadata"]["deletionTimestamp"].is_null(), "a delete could not be taken back");
}

/// F14: the volume would outlive its claim, and block the snapshot's end.
#[test]
fn a_promoter_whose_volume_is_retained_stays_whole() {
    let stage = Stage::new("retain");
    stage.has(&[Before { promoter: Some("Retain"), ..before("20260101T0000Z") }]);
    let ended = stage.run_at(MINUTE);
    assert_eq!(ended.done().rotated.len(), 0, "{}", ended.output);
    assert_eq!(ended.warned(), ["VolumeRetained"]);
    assert_eq!(stage.points().1, ["data-20260101t0000z", "data-20261120"]);
}

/// Of full clones only the newest stays; one that is not copied yet is not judged.
#[test]
fn of_full_clones_only_the_newest_stays_once_their_copies_are_recorded() {
    let mut stage = Stage::new("clones");
    stage.set("retention", "1year");
    stage.destinations = vec!["disk".to_owned()];
    let point = |run, state, read_only| Before { copy: Some(state), read_only, ..promoted(run) };
    stage.has(&[
        point("20261101T0000Z", "Complete", true),
        point("20261102T0000Z", "Complete", false),
        point("20261103T0000Z", "none", false),
    ]);
    let ended = stage.run_at(MINUTE);
    assert_eq!(ended.done().rotated.len(), 1, "{}", ended.output);
    assert_eq!(stage.points().1, ["data-20261101t0000z", "data-20261103t0000z", "data-20261120"]);
    assert_eq!(stage.names("vs").len(), 4, "their snapshots stay");
}

/// A run never judges itself: its promoter has fed no copy yet.
#[test]
fn a_promoter_that_is_to_be_released_outlives_the_run_that_made_it() {
    let mut stage = Stage::new("release");
    stage.set("promoter-retention", "release");
    stage.set("retention", "1year");
    stage.has(&[promoted("20261119T0000Z")]);
    stage.run_at(MINUTE).done();
    assert_eq!(stage.points().1, ["data-20261120"]);
}

/// Law 2, F94: what another installation made, and what only bears our labels.
#[test]
fn what_is_not_ours_by_lineage_is_never_deleted() {
    let stage = Stage::new("lineage");
    let other = Before { labels: [(names::INSTANCE, "another".to_owned())].into(), ..before("20260101T0000Z") };
    stage.has(&[other, before("20260102T0000Z"), before("20260103T0000Z")]);
    // Somebody labelled his own snapshot of another PVC as ours.
    let mut forged = stage.json(&["get", "volumesnapshot", "data-20260102t0000z"]);
    forged["metadata"] =
        serde_json::json!({"name": "mine", "namespace": "lineage", "labels": forged["metadata"]["labels"]});
    forged["spec"]["source"]["persistentVolumeClaimName"] = "other".into();
    crate::snapshot_job::support::plane().apply(&forged.to_string()).unwrap();
    let ended = stage.run_at(MINUTE);
    ended.done();
    assert_eq!(ended.warned(), ["NotManaged"], "{}", ended.output);
    assert_eq!(stage.names("vs"), ["data-20260101t0000z", "data-20261120", "mine"]);
}

/// Somebody deleted snapshots and left their promoters: still something to restore from, and not for ever.
#[test]
fn a_promoter_without_its_snapshot_is_rotated_too_and_keeps_its_name() {
    let mut stage = Stage::new("left");
    stage.set("promoter-retention", "keep");
    stage.set("retention", "30days");
    stage.has(&[promoted("20260101T0000Z"), promoted("20261119T0000Z")]);
    stage.finish(stage.start("snapshot", &stage.job("first", "2026-11-20T01:00:00Z"), &["--no-rotate"])).done();
    stage.status("pvc/data-20261120", &serde_json::json!({"phase": "Bound"}));
    stage.kubectl(&["delete", "volumesnapshots", "--all"]);
    let ended = stage.run_at(MINUTE);
    // The name of the day is the promoter's of the first run, whose snapshot is gone.
    assert_eq!(ended.done().restore_point.as_deref(), Some("data-20261120-0300"), "{}", ended.output);
    assert_eq!(ended.done().rotated.len(), 1, "{}", ended.output);
    assert_eq!(stage.points().1, ["data-20261119t0000z", "data-20261120", "data-20261120-0300"]);
}

/// A rotation that cannot delete is a warning; the backup is made all the same.
#[test]
fn a_volume_that_does_not_go_keeps_its_snapshot_and_costs_no_backup() {
    let mut stage = Stage::new("stuck");
    stage.set("max-deletes", "1");
    stage.storage.deletes_volumes = false;
    stage.has(&[promoted("20260101T0000Z")]);
    stage.kubectl(&[
        "patch",
        "pvc",
        "data-20260101t0000z",
        "--type=merge",
        "-p",
        "{\"metadata\":{\"finalizers\":[\"example.org/keep\"]}}",
    ]);
    stage.kubectl(&["delete", "pvc", "data-20260101t0000z", "--wait=false"]);
    let ended = stage.run_at(MINUTE);
    assert_eq!(ended.done().restore_point.as_deref(), Some("data-20261120"));
    assert_eq!(ended.warned(), ["InUse"], "{}", ended.output);
    assert_eq!(stage.names("vs"), ["data-20260101t0000z", "data-20261120"]);
    stage.kubectl(&["patch", "pvc", "data-20260101t0000z", "--type=merge", "-p", "{\"metadata\":{\"finalizers\":[]}}"]);
}

/// Nobody knows what became of the copies: the backup is made, and nothing goes.
#[test]
fn without_a_ledger_that_can_be_read_and_is_whole_nothing_is_rotated() {
    for (namespace, book, reason, words) in [
        ("no-ledger", Book::Missing, "LedgerMissing", "does not exist"),
        ("edited", Book::Edited, "LedgerUnreadable", "somebody edited it"),
        ("rebuilt", Book::Rebuilt, "LedgerMissing", "has no answer yet from disk"),
    ] {
        let mut stage = Stage::new(namespace);
        stage.book = book;
        stage.has(&["20260101T0000Z", "20260102T0000Z", "20260103T0000Z"].map(before));
        let ended = stage.run_at(MINUTE);
        let result = ended.done();
        assert_eq!(result.restore_point.as_deref(), Some("data-20261120"), "{namespace}");
        assert_eq!((result.rotated.len(), stage.names("vs").len()), (0, 4), "{namespace}: {}", ended.output);
        assert_eq!(ended.warned(), [reason], "{namespace}");
        assert!(result.warnings[0].message.contains(words), "{namespace}: {:?}", result.warnings);
        // With the ledger they go.
        stage.book = Book::Whole;
        assert_eq!(stage.run_at("2026-11-21T03:00:00Z").done().rotated.len(), 3, "{namespace}");
    }
}

/// A run that was taken for a destination is not good before the ledger says so, whatever its snapshot says.
#[test]
fn what_a_tenant_writes_on_his_snapshots_rotates_nothing() {
    let mut stage = Stage::new("annotated");
    stage.destinations = vec!["disk".to_owned()];
    let copied = |run, state| Before { copy: Some(state), ..before(run) };
    stage.has(&[copied("20260101T0300Z", "Complete"), copied("20260201T0300Z", "Failed")]);
    let forged = r#"backup-controller.io/copy.disk={"state":"Complete","finished":"2026-02-01T04:00:00Z"}"#;
    let status = format!("{}={{\"good\":\"20260201T0300Z\"}}", names::STATUS);
    stage.kubectl(&["annotate", "volumesnapshot", "data-20260201t0300z", forged, &status]);
    assert_eq!(stage.run_at(MINUTE).done().rotated.len(), 0);
    assert_eq!(stage.names("vs"), ["data-20260101t0300z", "data-20260201t0300z", "data-20261120"]);
}
