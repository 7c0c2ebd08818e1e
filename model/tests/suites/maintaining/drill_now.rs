//! Drills that somebody asks for.

use model::maintain::{MaintainResult, Task};
use model::reason::Reason;

use crate::maintaining::cluster::{Cluster, DRILL, NO_DRILL, S3, notes, tasks, time};

fn asking(at: &'static str) -> Cluster {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    cluster.drill_now = Some(at);
    cluster.record();
    cluster
}

fn passed(at: &str) -> MaintainResult {
    MaintainResult::new(Task::Drill, time(at), None)
}

#[test]
fn a_drill_that_is_asked_for_starts_at_its_time_and_once() {
    let mut cluster = asking("2026-11-20T12:10:30Z");
    let plan = cluster.plan();
    assert_eq!((tasks(&plan), plan.wake), (vec![], Some(time("2026-11-20T12:10:30Z"))));
    assert_eq!(tasks(&cluster.at("2026-11-20T12:10:30Z")), ["drill 20261120T1210Z"]);
    cluster.start(Task::Drill, "20261120T1210Z");
    assert_eq!(tasks(&cluster.at("2026-11-20T12:11:00Z")), [""; 0]);
    cluster.done(Task::Drill, "20261120T1210Z", &passed("2026-11-20T12:11:00Z"));
    assert_eq!(tasks(&cluster.at("2026-11-20T23:00:00Z")), [""; 0]);
    assert!(cluster.s3().proven.is_some());
    // That of the schedule comes at its own time.
    assert_eq!(tasks(&cluster.at("2026-11-22T06:00:00Z"))[2..], ["drill 20261122T0600Z"]);
}

/// A person's clock is not the cluster's, and a PVC that is made again may bring an old value along.
#[test]
fn what_was_asked_before_the_first_copy_is_done_with_it() {
    let mut cluster = Cluster::without_copies(&format!("{S3}{DRILL}"));
    cluster.drill_now = Some("2026-11-20T11:50:00Z");
    cluster.record();
    assert_eq!(tasks(&cluster.look()), [""; 0]);
    cluster.run("2026-11-20T11:55:00Z", "Complete");
    cluster.look();
    assert_eq!(tasks(&cluster.plan()), ["drill 20261120T1155Z"]);
}

/// S8: new values do not make drills without end.
#[test]
fn between_two_drills_that_are_asked_for_there_is_the_pause_of_two_runs() {
    let mut cluster = asking("2026-11-20T12:00:00Z");
    cluster.look();
    cluster.start(Task::Drill, "20261120T1200Z");
    cluster.done(Task::Drill, "20261120T1200Z", &passed("2026-11-20T12:00:00Z"));
    cluster.drill_now = Some("2026-11-20T12:01:00Z");
    cluster.record();
    let plan = cluster.at("2026-11-20T12:02:00Z");
    assert_eq!((tasks(&plan), plan.wake), (vec![], Some(time("2026-11-20T13:00:00Z"))));
    assert_eq!(tasks(&cluster.at("2026-11-20T13:00:00Z")), ["drill 20261120T1300Z"]);
}

#[test]
fn a_value_that_asks_for_nothing_is_told() {
    let told = |at, destination: &str| {
        let mut cluster = Cluster::new(&format!("{S3}{destination}"));
        cluster.drill_now = Some(at);
        cluster.record();
        let plan = cluster.look();
        assert_eq!(tasks(&plan), [""; 0]);
        notes(&plan)
    };
    for (at, destination, why) in [
        ("now", DRILL, "must be a time"),
        ("1733000000", DRILL, "must be a time"),
        ("2026-11-20T12:00:00Z", NO_DRILL, "no destination of this PVC has a drill"),
    ] {
        let notes = told(at, destination);
        let begin = format!("! {} backup-controller.io/drill-now", Reason::InvalidSetting.as_str());
        assert!(notes.iter().any(|n| n.starts_with(&begin) && n.contains(why)), "{at}: {notes:?}");
    }
}
