//! The sweeper rotates what vanished sources left, and touches no source that is there.

use model::duration::Span;

use crate::snapshot_job::support::{Before, Book, Ended, Stage, before, eventually, plane};

fn sweep(stage: &Stage, name: &str, grace: &str) -> Ended {
    let job = stage.job(name, "2026-11-20T03:00:00Z");
    stage.finish(stage.start("sweep", &job, &[&format!("--orphan-retention={grace}")]))
}

/// The source goes, and the controller has seen that 60 days ago.
fn vanish(stage: &Stage) {
    vanished_since(stage, Span::days(60));
}

fn vanished_since(stage: &Stage, ago: Span) {
    stage.kubectl(&["delete", "pvc", "data"]);
    stage.gone.set(Some(ago.before(model::Timestamp::now())));
}

const OLD: [&str; 3] = ["20260101T0000Z", "20260102T0000Z", "20260103T0000Z"];

#[test]
fn a_source_that_is_there_is_not_swept() {
    let stage = Stage::new("sweep-live");
    stage.has(&OLD.map(before));
    assert_eq!(sweep(&stage, "a", "1d").done().rotated.len(), 0);
    assert_eq!(stage.names("vs").len(), 3);
    let asked = stage.requests();
    assert_eq!(asked, ["get jobs", "list volumesnapshots", "list persistentvolumeclaims"]);
}

/// Law 1 holds for vanished sources too, until the grace has passed.
#[test]
fn within_the_grace_the_last_good_one_stays_and_after_it_none() {
    let stage = Stage::new("sweep-grace");
    stage.has(&OLD.map(|run| Before { promoter: Some("Delete"), ..before(run) }));
    vanish(&stage);
    let ended = sweep(&stage, "a", "3years");
    assert_eq!(ended.done().rotated.len(), 4, "{}", ended.output);
    assert_eq!(stage.names("vs"), ["data-20260103t0000z"]);
    assert_eq!(sweep(&stage, "b", "30d").done().rotated.len(), 2);
    assert!(stage.names("vs").is_empty() && stage.names("pvc").is_empty());
}

/// How old its runs are says nothing about how long it has been gone. As long as nobody has seen that it is gone, the
/// grace has not begun.
#[test]
fn the_grace_counts_from_when_the_source_was_seen_to_be_gone() {
    for (namespace, gone) in [("sweep-hour", Some(Span::hours(1))), ("sweep-unseen", None)] {
        let stage = Stage::new(namespace);
        stage.has(&OLD.map(before));
        vanish(&stage);
        stage.gone.set(gone.map(|ago| ago.before(model::Timestamp::now())));
        let ended = sweep(&stage, "a", "30d");
        assert_eq!(ended.done().rotated.len(), 2, "{namespace}: {}", ended.output);
        assert_eq!(stage.names("vs"), ["data-20260103t0000z"], "the newest good one stays");
    }
}

/// A rule of twelve reaches back a year where a run is made each month.
#[test]
fn twelve_monthly_runs_outlive_their_source_by_more_than_the_grace() {
    const MONTHS: [&str; 12] = [
        "20250101T0000Z",
        "20250201T0000Z",
        "20250301T0000Z",
        "20250401T0000Z",
        "20250501T0000Z",
        "20250601T0000Z",
        "20250701T0000Z",
        "20250801T0000Z",
        "20250901T0000Z",
        "20251001T0000Z",
        "20251101T0000Z",
        "20251201T0000Z",
    ];
    let mut stage = Stage::new("sweep-monthly");
    stage.set("retention", "last=12");
    stage.has(&MONTHS.map(before));
    vanish(&stage);
    let ended = sweep(&stage, "a", "30d");
    assert_eq!(ended.done().rotated.len(), 0, "{}", ended.output);
    // After the year they go.
    stage.gone.set(Some(Span::days(400).before(model::Timestamp::now())));
    assert_eq!(sweep(&stage, "b", "30d").done().rotated.len(), 3);
}

/// What nobody has written down is not judged, and does not keep the others waiting.
#[test]
fn a_vanished_source_without_its_ledger_is_kept_and_told() {
    let mut stage = Stage::new("sweep-unkept");
    stage.book = Book::Missing;
    stage.has(&OLD.map(before));
    vanish(&stage);
    let mut other = Stage::new("sweep-kept");
    other.set("instance", "of-sweep-unkept");
    other.has(&OLD.map(before));
    vanish(&other);
    let ended = sweep(&stage, "a", "3years");
    assert_eq!(ended.done().rotated.len(), 2, "{}", ended.output);
    assert_eq!(ended.warned(), ["LedgerMissing"]);
    assert_eq!((stage.names("vs").len(), other.names("vs").len()), (3, 1));
}

/// Keep rules count points, not time: without an end they would keep a vanished source's for ever.
#[test]
fn keep_rules_end_where_they_reach_back_to() {
    let mut stage = Stage::new("sweep-rules");
    stage.set("retention", "last=3");
    stage.has(&OLD.map(before));
    vanish(&stage);
    assert_eq!(sweep(&stage, "a", "3years").done().rotated.len(), 0);
    assert_eq!(sweep(&stage, "b", "30d").done().rotated.len(), 3);
}

/// Law 4, F76; and one source that cannot be swept does not keep the others waiting.
#[test]
fn a_retention_that_cannot_be_read_deletes_nothing_and_is_told() {
    let mut stage = Stage::new("sweep-unread");
    stage.has(&OLD.map(before));
    stage.set("retention", "soon");
    vanish(&stage);
    let mut other = Stage::new("sweep-other");
    other.set("instance", "of-sweep-unread");
    other.has(&OLD.map(before));
    vanish(&other);
    let ended = sweep(&stage, "a", "3years");
    assert_eq!(ended.done().rotated.len(), 2, "{}", ended.output);
    assert_eq!(ended.warned(), ["InvalidSetting"]);
    assert_eq!((stage.names("vs").len(), other.names("vs").len()), (3, 1));
}

/// F94: another installation's are not ours to sweep, though their sources are gone.
#[test]
fn another_installations_points_are_left_alone() {
    let mut stage = Stage::new("sweep-instance");
    stage.has(&OLD.map(before));
    vanish(&stage);
    stage.set("instance", "another");
    assert_eq!(sweep(&stage, "a", "1d").done().rotated.len(), 0);
    assert_eq!(stage.names("vs").len(), 3);
}

/// F09: a snapshot that never became ready holds the PVC that its user deleted.
#[test]
fn a_source_that_is_being_deleted_is_freed_of_its_dead_snapshots() {
    let mut stage = Stage::new("sweep-stuck");
    stage.set("snapshot-deadline", "1s");
    stage.storage.ready = false;
    stage.has(&[before("20260101T0000Z"), Before { ready: false, ..before("20260102T0000Z") }]);
    stage.kubectl(&[
        "patch",
        "pvc",
        "data",
        "--type=merge",
        "-p",
        "{\"metadata\":{\"finalizers\":[\"snapshot.storage.kubernetes.io/pvc-as-source-protection\"]}}",
    ]);
    stage.kubectl(&["delete", "pvc", "data", "--wait=false"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let ended = sweep(&stage, "a", "3years");
    assert_eq!(ended.done().rotated.len(), 1, "{}", ended.output);
    assert_eq!(stage.names("vs"), ["data-20260101t0000z"]);
    stage.kubectl(&["patch", "pvc", "data", "--type=merge", "-p", "{\"metadata\":{\"finalizers\":[]}}"]);
}

/// Partial failures: told, tried again, and no reason to stop.
#[test]
fn what_the_api_server_refuses_for_one_source_is_told_at_the_end() {
    let stage = Stage::new("sweep-refused");
    let other = {
        let mut other = Stage::new("sweep-refused-b");
        other.set("instance", "of-sweep-refused");
        other
    };
    for s in [&stage, &other] {
        s.has(&OLD.map(before));
        vanish(s);
    }
    // Nobody may delete snapshots in the first namespace.
    let policy = POLICY.replace("NAME", "sweep-refused");
    plane().apply(&policy).unwrap();
    eventually("the policy is in force", || {
        match stage.try_kubectl(&["delete", "volumesnapshot", "data-20260103t0000z", "--dry-run=server"]) {
            Ok(text) => Err(text),
            Err(_) => Ok(()),
        }
    });
    let ended = sweep(&stage, "a", "3years");
    ended.with(1);
    assert_eq!(ended.with(1).rotated.len(), 2, "{}", ended.output);
    assert_eq!((stage.names("vs").len(), other.names("vs").len()), (3, 1));
    plane().kubectl(&["delete", "validatingadmissionpolicybinding", "sweep-refused"]).unwrap();
}

const POLICY: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAME}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [snapshot.storage.k8s.io], apiVersions: ['*'], operations: [DELETE], resources: [volumesnapshots]}
  validations:
  - {expression: 'oldObject.metadata.namespace != \"NAME\"', message: 'not here'}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAME}
spec: {policyName: NAME, validationActions: [Deny]}
";
