//! A run makes one snapshot and one promoter, once, or says why not.

use model::names;
use serde_json::json;

use crate::snapshot_job::support::{OURS, Stage, before, eventually, plane};

const MINUTE: &str = "2026-11-20T03:00:00Z";

#[test]
fn a_run_makes_a_snapshot_and_its_promoter_and_asks_eight_times() {
    let stage = Stage::new("first");
    let ended = stage.run_at(MINUTE);
    let result = ended.done();
    assert_eq!(result.run.as_ref().unwrap().as_str(), "20261120T0300Z");
    assert_eq!(result.restore_point.as_deref(), Some("data-20261120"));
    assert_eq!(stage.points(), (vec!["data-20261120".into()], vec!["data-20261120".into()]));

    let snapshot = stage.json(&["get", "volumesnapshot", "data-20261120"]);
    assert_eq!(snapshot["metadata"]["labels"], stage.labels("snapshot", "20261120T0300Z"));
    assert_eq!(
        snapshot["spec"],
        json!({"volumeSnapshotClassName": "snap", "source": {"persistentVolumeClaimName": "data"}})
    );
    let promoter = stage.json(&["get", "pvc", "data-20261120"]);
    assert_eq!(promoter["spec"]["accessModes"], json!(["ReadWriteOnce"]));
    assert_eq!(promoter["spec"]["dataSource"]["name"], "data-20261120");

    let expected = [
        "get jobs",
        "get persistentvolumeclaims",
        "list volumesnapshots",
        "list persistentvolumeclaims",
        "create volumesnapshots",
        "watch volumesnapshots",
        "create persistentvolumeclaims",
        "get configmaps",
    ];
    assert_eq!(stage.requests(), expected, "{}", ended.output);
}

/// F06: a driver that tells no size. F07: a source that is larger than its snapshot.
#[test]
fn a_promoter_is_as_large_as_its_snapshot_needs_and_its_source_is() {
    for (name, told, expected) in
        [("size-absent", None, "1Gi"), ("size-zero", Some("0"), "1Gi"), ("size-larger", Some("3Gi"), "3Gi")]
    {
        let mut stage = Stage::new(name);
        stage.storage.restore_size = told;
        let more = ["--read-only", "--promoter-annotation=example.org/x=a: \"b\""];
        let running = stage.start("snapshot", &stage.job("a", MINUTE), &more);
        stage.finish(running).done();
        let promoter = stage.json(&["get", "pvc", "data-20261120"]);
        assert_eq!(promoter["spec"]["resources"]["requests"]["storage"], expected, "{name}");
        assert_eq!(promoter["spec"]["accessModes"], json!(["ReadOnlyMany"]));
        assert_eq!(promoter["metadata"]["annotations"]["example.org/x"], "a: \"b\"");
    }
}

/// The mark tells of which mode a promoter has to be when the source is gone.
#[test]
fn the_promoter_of_a_raw_block_volume_is_one_and_the_snapshot_says_so() {
    let mut stage = Stage::new("device");
    let files = stage.run_at("2026-11-19T03:00:00Z").done().restore_point.clone().unwrap();
    stage.make_device();
    let job = stage.job("a", MINUTE);
    assert_eq!(stage.run(&job).done().restore_point.as_deref(), Some("raw-20261120"));
    let mode = |name: &str| {
        let mark =
            stage.json(&["get", "volumesnapshot", name])["metadata"]["annotations"][names::VOLUME_MODE_TAKEN].clone();
        (mark, stage.json(&["get", "pvc", name])["spec"]["volumeMode"].clone())
    };
    assert_eq!(mode("raw-20261120"), (json!("Block"), json!("Block")));
    assert_eq!(mode(&files), (json!(null), json!("Filesystem")), "no mark is a filesystem's");

    // A retry adopts the snapshot, and makes the promoter as the first try would have.
    stage.kubectl(&["delete", "pvc", "raw-20261120"]);
    stage.run(&job).done();
    assert_eq!(mode("raw-20261120"), (json!("Block"), json!("Block")));
}

/// Its class mounts it without its journal: whoever restores from it is told.
#[test]
fn a_promoter_that_is_mounted_without_its_journal_says_so() {
    let stage = Stage::new("journal");
    let running = stage.start("snapshot", &stage.job("a", MINUTE), &["--read-only", "--journal=skipped"]);
    stage.finish(running).done();
    let promoter = stage.json(&["get", "pvc", "data-20261120"]);
    assert_eq!(promoter["metadata"]["annotations"][names::JOURNAL], "skipped");
}

/// F62, law 8: a pod that was killed is followed by another one of the same Job.
#[test]
fn a_retry_adopts_what_is_there_and_never_doubles() {
    let mut stage = Stage::new("retry");
    let job = stage.job("a", MINUTE);
    stage.storage.ready = false;
    let mut killed = stage.start("snapshot", &job, &[]);
    eventually("the snapshot is made", || stage.names("vs").first().cloned().ok_or_else(|| "none".into()));
    killed.child.kill().unwrap();
    let uid = stage.json(&["get", "volumesnapshot", "data-20261120"])["metadata"]["uid"].clone();

    stage.storage.ready = true;
    for _ in 0..2 {
        assert_eq!(stage.run(&job).done().restore_point.as_deref(), Some("data-20261120"));
        assert_eq!(stage.points(), (vec!["data-20261120".into()], vec!["data-20261120".into()]));
        assert_eq!(stage.json(&["get", "volumesnapshot", "data-20261120"])["metadata"]["uid"], uid);
    }
}

/// A Job that a person started has no scheduled minute: its own counts.
#[test]
fn a_run_by_hand_is_the_minute_in_which_its_job_was_made() {
    let stage = Stage::new("by-hand");
    let job = stage.job("a", MINUTE);
    plane().kubectl(&["annotate", "job", "-n", OURS, &job, &format!("{}-", names::SCHEDULED_TIMESTAMP)]).unwrap();
    let made =
        plane().kubectl(&["get", "job", "-n", OURS, &job, "-o", "jsonpath={.metadata.creationTimestamp}"]).unwrap();
    let run = stage.run(&job).done().run.clone().unwrap();
    assert_eq!(run.as_str(), made[..16].replace(['-', ':'], "") + "Z");
}

#[test]
fn a_second_run_of_a_day_takes_the_next_name() {
    let mut stage = Stage::new("names");
    // Not an age: these runs are of a fixed day, and older each day that the test runs.
    stage.set("retention", "last=3");
    for (minute, name) in [(MINUTE, "data-20261120"), ("2026-11-20T09:00:00Z", "data-20261120-0900")] {
        assert_eq!(stage.run_at(minute).done().restore_point.as_deref(), Some(name));
    }
    // Not in the lists: found by the conflict. F78: it is of the PVC that had this name before, of the same
    // minute even.
    let mut older = stage.json(&["get", "volumesnapshot", "data-20261120"]);
    older["metadata"] = json!({"name": "data-20261121", "namespace": "names", "labels": older["metadata"]["labels"]});
    older["metadata"]["labels"][names::SOURCE_UID] = "another".into();
    older["metadata"]["labels"][names::RUN] = "20261121T0300Z".into();
    older.as_object_mut().unwrap().remove("status");
    plane().apply(&older.to_string()).unwrap();
    assert_eq!(stage.run_at("2026-11-21T03:00:00Z").done().restore_point.as_deref(), Some("data-20261121-0300"));
}

/// Law 8: a stranger is never adopted, nor put away.
#[test]
fn a_name_that_a_stranger_has_is_told_and_left_alone() {
    let stage = Stage::new("taken");
    let stranger = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": "data-20261120", "namespace": "taken"},
        "spec": {"source": {"persistentVolumeClaimName": "data"}},
    });
    plane().apply(&stranger.to_string()).unwrap();
    let ended = stage.run_at(MINUTE);
    assert_eq!(ended.reason(3), "NameTaken");
    assert!(ended.with(3).problem.as_ref().unwrap().message.contains("data-20261120 in namespace taken"));
    assert_eq!(stage.points(), (vec!["data-20261120".into()], vec![]));

    // The promoter's name, which the snapshot's cannot do without.
    let mut claim = stage.json(&["get", "pvc", "data"]);
    claim["metadata"] = json!({"name": "data-20261121", "namespace": "taken"});
    claim["spec"].as_object_mut().unwrap().remove("volumeName");
    plane().apply(&claim.to_string()).unwrap();
    let ended = stage.run_at("2026-11-21T03:00:00Z");
    assert_eq!(ended.reason(3), "NameTaken");
    assert_eq!(ended.with(3).restore_point.as_deref(), Some("data-20261121"));
    let promoter = stage.json(&["get", "pvc", "data-20261121"]);
    assert_eq!(promoter["metadata"]["labels"], serde_json::Value::Null);
}

/// A label can be forged by whoever may edit the object; what it was made from cannot.
#[test]
fn labels_alone_do_not_make_a_snapshot_ours() {
    let stage = Stage::new("forged");
    let forged = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": "data-20261120", "namespace": "forged", "labels": stage.labels("snapshot", "20261120T0300Z")},
        "spec": {"source": {"persistentVolumeClaimName": "other"}},
    });
    plane().apply(&forged.to_string()).unwrap();
    assert_eq!(stage.run_at(MINUTE).reason(3), "NameTaken");
}

#[test]
fn a_run_that_is_too_close_to_another_does_nothing() {
    let mut stage = Stage::new("too-soon");
    // Not an age: these runs are of a fixed day, and older each day that the test runs.
    stage.set("retention", "last=3");
    stage.has(&[before("20261120T0230Z")]);
    let ended = stage.run_at(MINUTE);
    assert_eq!(ended.reason(0), "TooSoon");
    assert_eq!(stage.names("vs").len(), 1);
    // Exactly as far as the bound is far enough.
    stage.run_at("2026-11-20T03:30:00Z").done();
    assert_eq!(stage.names("vs").len(), 2);
}

/// One at a time, but not for ever. F61: a run from the future stops nothing.
#[test]
fn a_run_waits_for_the_snapshot_before_it_until_that_is_late() {
    let mut stage = Stage::new("not-ready");
    stage.storage.ready = false;
    stage.has(&[
        crate::snapshot_job::support::Before { ready: false, ..before("20261119T0300Z") },
        before("20361119T0300Z"),
    ]);
    let ended = stage.run_at(MINUTE);
    assert_eq!(ended.reason(0), "PreviousNotReady");
    assert!(ended.with(0).problem.as_ref().unwrap().message.contains("20261119T0300Z"));

    // Long enough for a storage that answers at once, on a busy machine.
    stage.set("snapshot-deadline", "5s");
    std::thread::sleep(std::time::Duration::from_secs(6));
    stage.storage.ready = true;
    let ended = stage.run_at("2026-11-20T05:00:00Z");
    assert_eq!(ended.done().restore_point.as_deref(), Some("data-20261120"));
}

/// F02: an error that passes. F03: one that stays. F01: none at all.
#[test]
fn an_error_of_the_driver_counts_only_at_the_deadline() {
    let mut stage = Stage::new("driver-error");
    // Not an age: these runs are of a fixed day, and older each day that the test runs.
    stage.set("retention", "last=3");
    stage.storage.error = Some("the volume is busy");
    let ended = stage.run_at(MINUTE);
    ended.done();
    assert!(ended.output.contains("the volume is busy"), "{}", ended.output);

    stage.storage.ready = false;
    stage.set("snapshot-deadline", "3s");
    let ended = stage.run_at("2026-11-21T03:00:00Z");
    assert_eq!(ended.reason(3), "SnapshotNotReady");
    assert!(ended.with(3).problem.as_ref().unwrap().message.contains("the volume is busy"));
    assert_eq!(stage.names("pvc").len(), 2, "no promoter of a snapshot that is not ready");

    // The next run finds it dead, and takes it away.
    stage.storage.ready = true;
    stage.storage.never = Some("data-20261121");
    let ended = stage.run_at("2026-11-22T03:00:00Z");
    assert_eq!(ended.done().rotated.len(), 2, "{}", ended.output);
    assert_eq!(stage.names("vs"), ["data-20261120", "data-20261122"]);
}

/// F08, F78, F93.
#[test]
fn a_source_that_is_not_the_runs_or_not_fit_is_final() {
    let mut stage = Stage::new("sources");
    let finalizer = |value: &str| {
        let patch = format!("{{\"metadata\":{{\"finalizers\":{value}}}}}");
        stage.kubectl(&["patch", "pvc", "data", "--type=merge", "-p", &patch]);
    };
    stage.status("pvc/data", &json!({"phase": "Lost"}));
    assert_eq!(stage.run_at("2026-11-20T00:00:00Z").reason(3), "VolumeLost");
    finalizer("[\"example.org/keep\"]");
    stage.kubectl(&["delete", "pvc", "data", "--wait=false"]);
    assert_eq!(stage.run_at("2026-11-20T01:00:00Z").reason(3), "Terminating");
    finalizer("[]");
    eventually("the PVC is gone", || if stage.names("pvc").is_empty() { Ok(()) } else { Err("there".to_owned()) });
    assert_eq!(stage.run_at("2026-11-20T02:00:00Z").reason(3), "SourceGone");
    stage.make_source();
    assert_eq!(stage.run_at(MINUTE).reason(3), "SourceReplaced");
    stage.set("uid", &stage.uid.clone());
    stage.status("pvc/data", &json!({"phase": "Pending"}));
    assert_eq!(stage.run_at("2026-11-20T04:00:00Z").reason(3), "NotBound");
    assert!(stage.names("vs").is_empty());
}

/// F39: a full quota is told, and does not keep rotation from making room.
#[test]
fn a_quota_is_told_and_rotation_makes_room() {
    let stage = Stage::new("quota");
    stage.has(&[before("20261101T0300Z"), before("20261102T0300Z")]);
    stage.kubectl(&["create", "quota", "few", "--hard=count/volumesnapshots.snapshot.storage.k8s.io=2"]);
    eventually("the quota counts", || {
        let quota = stage.json(&["get", "quota", "few"]);
        if quota["status"]["used"].as_object().is_some_and(|u| u.values().any(|v| v == "2")) {
            Ok(())
        } else {
            Err(quota.to_string())
        }
    });
    let job = stage.job("a", MINUTE);
    let ended = stage.run(&job);
    assert_eq!(ended.reason(1), "QuotaExceeded");
    assert_eq!(stage.names("vs"), ["data-20261102t0300z"], "the last good one stays");
    eventually("the quota has room, and a retry works", || {
        let ended = stage.run(&job);
        if ended.code == Some(0) { Ok(()) } else { Err(ended.output) }
    });
    assert_eq!(stage.names("vs"), ["data-20261120"], "the new one is good");
}

/// F92.
#[test]
fn a_missing_right_is_told_with_verb_and_resource() {
    let stage = Stage::new("forbidden");
    plane().kubectl(&["delete", "clusterrolebinding", "forbidden"]).unwrap();
    let ended = eventually("the right is gone", || {
        let ended = stage.run_at(MINUTE);
        if ended.code == Some(1) { Ok(ended) } else { Err(ended.output) }
    });
    // An API server that has just started knows no rights: another try may help.
    assert_eq!(ended.reason(1), "Forbidden");
    let message = &ended.with(1).problem.as_ref().unwrap().message;
    assert!(message.contains("cannot get resource \"persistentvolumeclaims\""), "{message}");
    assert!(message.contains("system:serviceaccount:backup:forbidden"), "{message}");
}

#[test]
fn a_command_line_without_its_job_says_how_to_start_one_by_hand() {
    let output = std::process::Command::new(crate::snapshot_job::support::program())
        .args([
            "sweep",
            "--instance=a",
            "--orphan-retention=1d",
            "--time-zone=Etc/UTC",
            "--min-keep=1",
            "--max-unconfirmed=1",
        ])
        .args(["--max-deletes=1", "--max-holds=1", "--promoter-retention=auto", "--snapshot-deadline=1m"])
        .env_remove("JOB_NAME")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("kubectl create job"));
}
