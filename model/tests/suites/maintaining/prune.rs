//! What is forgotten, and what is left alone.

use model::duration::Span;
use model::maintain::{MaintainResult, Task};
use model::names::{self, Run};
use model::plan::Plan;
use model::reason::{Problem, Reason};
use model::world::{Change, Seen};
use serde_json::json;

use crate::maintaining::cluster::{Cluster, DRILL, NO_DRILL, S3, bad, notes, ok, pruned, tasks, time};

#[test]
fn a_prune_goes_by_the_destinations_retention_and_leaves_what_is_held() {
    let mut cluster = Cluster::new(&format!("{S3}, retention: 30days}}"));
    cluster.snapshot("2026-11-20T01:00:00Z", "Complete", true, r#"{"backup-controller.io/hold": "keep it"}"#);
    let prune = pruned(&cluster.at("2026-11-21T02:30:00Z"));
    assert_eq!(prune.retention.to_string(), "30d");
    assert_eq!(prune.holds.iter().map(Run::as_str).collect::<Vec<_>>(), ["20261120T0100Z"]);
    assert_eq!((prune.since, prune.hold_snapshots.len()), (None, 0));
}

/// L4: what is kept there whatever the annotation says has to reach the prune; and for a day all that was kept before.
#[test]
fn a_prune_of_a_central_destination_keeps_what_the_administrator_says() {
    for (destination, kept) in
        [(format!("{S3}, runIn: controller}}"), "last=1 within=7d"), (format!("{S3}}}"), "last=1")]
    {
        let mut cluster = Cluster::new(&destination);
        cluster.retention = Some("last=1");
        cluster.record();
        assert_eq!(pruned(&cluster.at("2026-11-21T02:30:00Z")).retention.to_string(), "last=1 within=7d");
        cluster.at("2026-11-22T02:30:00Z");
        cluster.look();
        assert_eq!(pruned(&cluster.plan()).retention.to_string(), kept, "{destination}");
    }
}

/// What a prune may forget is counted in the repository, in what is newer than the last prune: a clock that is days
/// ahead lets no more go than one that is right.
#[test]
fn a_prune_tells_when_the_last_one_was_due_whatever_the_clock_said() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    cluster.done(Task::Prune, "20261121T0230Z", &ok(Task::Prune));
    let since = |plan: &Plan| pruned(plan).since.map(|run| run.to_string());
    assert_eq!(since(&cluster.at("2026-11-24T12:00:00Z")).as_deref(), Some("20261121T0230Z"));
}

/// Somebody holds a run that changed nothing: its data is the snapshot of an earlier run. And what a copy that broke
/// off left in the repository is no restore point, whatever its tags say.
#[test]
fn a_prune_leaves_the_data_of_held_runs_and_knows_what_is_not_whole() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    let unchanged = |id: &str| {
        let at = "2026-11-20T01:00:00Z";
        json!({"state": "Complete", "finished": at, "files": 1, "bytes": 1, "unchanged": true, "snapshot": id})
            .to_string()
    };
    let held = json!({names::HOLD: "keep it", "backup-controller.io/copy.s3": unchanged("abc")}).to_string();
    cluster.snapshot("2026-11-20T01:00:00Z", "Complete", true, &held);
    let free = json!({"backup-controller.io/copy.s3": unchanged("def")}).to_string();
    cluster.snapshot("2026-11-20T02:00:00Z", "Complete", true, &free);
    for (at, state) in [("03", "Incomplete"), ("04", "Failed"), ("05", "Superseded")] {
        cluster.snapshot(&format!("2026-11-20T{at}:00:00Z"), state, true, "{}");
    }
    let prune = pruned(&cluster.at("2026-11-21T02:30:00Z"));
    assert_eq!(prune.hold_snapshots, ["abc"]);
    assert_eq!(prune.holds.iter().map(Run::as_str).collect::<Vec<_>>(), ["20261120T0100Z"]);
    let incomplete: Vec<&str> = prune.incomplete.iter().map(Run::as_str).collect();
    assert_eq!(incomplete, ["20261120T0300Z", "20261120T0400Z"]);
    // Law 1: the failed one may have saved all, and be what the unchanged ones stand on.
    assert_eq!(prune.complete_snapshots, ["abc", "def"]);
}

/// Law 1. What a try left that was killed before it could mark it looks good once its record is gone.
#[test]
fn a_copy_that_failed_is_told_to_a_prune_also_when_its_snapshot_is_gone() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.run("2026-11-20T13:00:00Z", "Failed");
    cluster.look();
    let gone = |cluster: &mut Cluster| {
        let name = ("shop".to_owned(), "data-20261120t1300z".to_owned());
        cluster.world.apply(Change::Snapshot(Seen::Gone(name, "s-20261120T1300Z".into())));
    };
    gone(&mut cluster);
    let told = |plan: &Plan| pruned(plan).incomplete.iter().map(|r| r.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(told(&cluster.at("2026-11-21T02:30:00Z")), ["20261120T1300Z"]);
    cluster.done(Task::Prune, "20261121T0230Z", &bad(Task::Prune, Reason::RepositoryLocked));
    assert_eq!(told(&cluster.at("2026-11-22T02:30:00Z")), ["20261120T1300Z"], "it was not marked");
    cluster.done(Task::Prune, "20261122T0230Z", &ok(Task::Prune));
    assert_eq!(told(&cluster.at("2026-11-23T02:30:00Z")), [""; 0]);
    // An outage of weeks is no record of megabytes.
    for hour in 0..80 {
        let at = Span::minutes(60 * hour).after(time("2026-11-23T03:00:00Z"));
        cluster.run(&at.to_string(), "Failed");
    }
    cluster.look();
    assert_eq!((cluster.s3().failed.len(), cluster.s3().failed.last().unwrap().as_str()), (64, "20261126T1000Z"));
}

/// Laws 1 and 3: what a damaged repository still has may be all that is left.
#[test]
fn nothing_is_forgotten_where_a_verify_found_damage_or_a_drill_a_difference() {
    for (task, at, due, reason) in [
        (Task::Verify, "2026-11-21T05:00:00Z", "20261121T0500Z", Reason::RepositoryDamaged),
        (Task::Drill, "2026-11-22T06:00:00Z", "20261122T0600Z", Reason::RestoreMismatch),
        // A damaged device ends the drill.
        (Task::Drill, "2026-11-22T06:00:00Z", "20261122T0600Z", Reason::RepositoryDamaged),
    ] {
        let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
        cluster.at("2026-11-21T02:30:00Z");
        cluster.done(Task::Prune, "20261121T0230Z", &ok(Task::Prune));
        cluster.at(at);
        cluster.done(task, due, &bad(task, reason));
        let plan = cluster.at("2026-11-23T02:30:00Z");
        assert!(tasks(&plan).iter().all(|t| !t.starts_with("prune")), "{plan:?}");
        let told = format!("! RepositoryDamaged prune of s3: prune is paused: the {}", task.as_str());
        assert!(notes(&plan).iter().any(|n| n.starts_with(&told)), "{:?}", notes(&plan));
        // The next one that finds nothing wrong ends that: of a verify, of the same part.
        let part = cluster.s3().damage.as_ref().and_then(|d| d.part);
        cluster.at(if task == Task::Drill { "2026-11-29T06:00:00Z" } else { "2026-11-23T05:00:00Z" });
        let due = if task == Task::Drill { "20261129T0600Z" } else { "20261123T0500Z" };
        cluster.done(task, due, &MaintainResult { part, ..ok(task) });
        assert!(tasks(&cluster.at("2026-11-30T02:30:00Z")).contains(&"prune 20261130T0230Z".to_owned()));
    }
}

/// Where drills were switched off, none would ever find that all is well again.
#[test]
fn a_finding_stays_until_it_is_refuted_or_a_person_accepts_it_by_its_time() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    cluster.at("2026-11-22T06:00:00Z");
    cluster.done(Task::Drill, "20261122T0600Z", &bad(Task::Drill, Reason::RestoreMismatch));
    cluster.at("2026-11-29T06:00:00Z");
    cluster.done(Task::Drill, "20261129T0600Z", &bad(Task::Drill, Reason::DestinationUnreachable));
    let pruned = |plan: &Plan| tasks(plan).iter().any(|t| t.starts_with("prune"));
    let plan = cluster.at("2026-11-30T02:30:00Z");
    assert!(!pruned(&plan), "one that could not be made refutes nothing");
    let key = names::ACCEPT_FINDING;
    let told = format!("annotating the PVC with {key}=2026-11-21T02:31:00Z");
    assert!(notes(&plan).iter().any(|n| n.contains(&told)), "{:?}", notes(&plan));
    for (day, accepted, goes) in [
        (1, "true", false),
        (2, "2026-11-21T02:30:59Z", false),
        (3, " 2026-11-21T02:31:00Z", true),
        (4, "", false),
        (5, "2026-12-05T02:30:01Z", false),
        (6, "2026-12-06T02:30:00Z", true),
    ] {
        cluster.accepted = accepted;
        cluster.record();
        assert_eq!(pruned(&cluster.at(&format!("2026-12-0{day}T02:30:00Z"))), goes, "{accepted}");
    }
}

/// Or each would be named when the other one is accepted, and prunes would never go on.
#[test]
fn who_accepts_the_newest_of_two_findings_accepts_both_and_no_later_one() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    let found = |task, at: &str, reason| {
        let problem = Problem::new(reason, "as it was found");
        MaintainResult::new(task, time(at), Some(problem))
    };
    for (task, due, at, reason) in [
        (Task::Drill, "20261122T0600Z", "2026-11-22T06:05:00Z", Reason::RestoreMismatch),
        (Task::Verify, "20261123T0500Z", "2026-11-23T05:05:00Z", Reason::RepositoryDamaged),
    ] {
        cluster.at(at);
        cluster.done(task, due, &found(task, at, reason));
    }
    assert_eq!(cluster.s3().findings().count(), 2);
    let pruned = |plan: &Plan| tasks(plan).iter().any(|t| t.starts_with("prune"));
    let plan = cluster.at("2026-11-24T02:30:00Z");
    let named = format!("{}=2026-11-23T05:05:00Z", names::ACCEPT_FINDING);
    assert!(!pruned(&plan) && notes(&plan).iter().any(|n| n.contains(&named)), "the newest: {:?}", notes(&plan));
    for (day, accepted, goes) in [(25, "2026-11-22T06:05:00Z", false), (26, "2026-11-23T05:05:00Z", true)] {
        cluster.accepted = accepted;
        cluster.record();
        assert_eq!(pruned(&cluster.at(&format!("2026-11-{day}T02:30:00Z"))), goes, "{accepted}");
    }
    let later = "2026-11-29T06:05:00Z";
    cluster.at(later);
    cluster.done(Task::Drill, "20261129T0600Z", &found(Task::Drill, later, Reason::RestoreMismatch));
    assert!(!pruned(&cluster.at("2026-11-30T02:30:00Z")), "what is found later is not accepted");
}
