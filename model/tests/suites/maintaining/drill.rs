//! Drills: of which copy, from which promoter, and in whose slot.

use std::sync::Arc;

use model::admit::{self, Admission, Rank, Slot, Waiting};
use model::breaker::{Breakers, Open};
use model::config::{Config, Limits};
use model::maintain::{MaintainResult, PARTS, Part, Task, TaskState};
use model::names::{self, Run};
use model::plan::{self, Action, Plan, RestoreAction, Work};
use model::reason::{Problem, Reason};
use model::world::{Change, Seen};
use serde_json::json;

use crate::maintaining::cluster::{Cluster, DRILL, NO_DRILL, S3, UID, bad, notes, ok, started, tasks, time};

#[test]
fn a_drill_takes_the_newest_complete_copy_whose_snapshot_is_ready() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    let newest = cluster.run("2026-11-21T00:00:00Z", "Complete");
    cluster.run("2026-11-21T01:00:00Z", "Incomplete");
    cluster.snapshot("2026-11-21T02:00:00Z", "Complete", false, "{}");
    let plan = cluster.at("2026-11-22T06:00:00Z");
    let drill = started(&plan).find_map(|m| if let Work::Drill(drill) = &m.work { Some(drill.clone()) } else { None });
    let drill = drill.unwrap();
    assert_eq!((drill.run.as_str(), &drill.promoter), ("20261121T0000Z", &newest));
}

#[test]
fn a_promoter_that_is_gone_is_made_again_for_a_drill_and_held() {
    let mut cluster = Cluster::without_copies(&format!("{S3}{DRILL}"));
    let name = cluster.snapshot("2026-11-20T00:00:00Z", "Complete", true, "{}");
    cluster.look();
    let plan = cluster.at("2026-11-22T06:00:00Z");
    assert!(tasks(&plan).iter().all(|t| !t.starts_with("drill")), "{plan:?}");
    // Each is admitted as the drill itself is: thousands are due at once, and a clone is not free.
    let drills = |plan: &Plan| {
        let drills = plan
            .ready
            .iter()
            .filter(|(_, a)| matches!(a, Action::Restore(RestoreAction::Promote(_) | RestoreAction::Hold { .. })));
        drills.cloned().collect::<Vec<_>>()
    };
    let at_once = plan
        .actions
        .iter()
        .any(|a| matches!(a, Action::Restore(RestoreAction::Promote(_) | RestoreAction::Hold { .. })));
    let held = drills(&plan);
    assert!(
        !at_once
            && matches!(&held[..], [(_, Action::Restore(RestoreAction::Hold { snapshot, .. }))] if snapshot.name == name),
        "{plan:?}"
    );
    let until = format!(r#"{{"{}": "until=2026-11-22T12:00:00Z"}}"#, names::HOLD);
    cluster.snapshot("2026-11-20T00:00:00Z", "Complete", true, &until);
    let promoted = drills(&cluster.plan());
    assert!(
        matches!(&promoted[..], [(_, Action::Restore(RestoreAction::Promote(p)))] if p.snapshot == name && p.asker.is_none()),
        "{promoted:?}"
    );
    let waiting: Vec<Waiting> = held.into_iter().chain(promoted).map(|(waiting, _)| waiting).collect();
    assert!(waiting.iter().all(|w| w.rank == Rank::Task && w.slot.disk == format!("s3/shop/{UID}")));
    let open = Open { reason: Reason::DestinationUnreachable, since: cluster.now, next: cluster.now };
    let down: Breakers = [(waiting[0].slot.breaker.clone().unwrap(), open)].into();
    let answers = admit::admit(&waiting, &[], &Limits::default(), &down, cluster.now);
    assert!(answers.iter().all(|a| matches!(a, Admission::Wait(_))), "none while the destination is down");
}

/// Thousands are due at once, and a clone may cost as much as the drill: it takes the slot of its drill, which is read
/// from the promoter, and gives it to the Job.
#[test]
fn a_promoter_that_is_made_for_a_drill_has_its_slot_until_the_drill_has_ended() {
    let mut cluster = Cluster::without_copies(&format!("{S3}{DRILL}"));
    let until = format!(r#"{{"{}": "until=2026-11-22T12:00:00Z"}}"#, names::HOLD);
    cluster.snapshot("2026-11-20T00:00:00Z", "Complete", true, &until);
    cluster.look();
    let plan = cluster.at("2026-11-22T06:00:00Z");
    let promoted = plan
        .ready
        .iter()
        .find_map(|(w, a)| if let Action::Restore(RestoreAction::Promote(p)) = a { Some((w, p)) } else { None });
    let (waiting, promote) = promoted.unwrap();
    let (_, due) = promote.drill.as_ref().unwrap();
    assert_eq!(plan::running(&cluster.world, cluster.now).count(), 0);

    let made = |cluster: &mut Cluster, phase: &str| cluster.promoter("2026-11-20T00:00:00Z", phase, Some(due.as_str()));
    let slots = |cluster: &Cluster| plan::running(&cluster.world, cluster.now).collect::<Vec<_>>();
    made(&mut cluster, "Pending");
    assert_eq!(slots(&cluster), [Slot { breaker: None, ..waiting.slot.clone() }]);
    assert!(
        !cluster
            .plan()
            .ready
            .iter()
            .any(|(_, a)| matches!(a, Action::Restore(RestoreAction::Promote(_)) | Action::StartTask(_) if drills(a)))
    );
    // A newer copy, or a time at which it would be due anew, change nothing.
    made(&mut cluster, "Bound");
    cluster.snapshot("2026-11-21T00:00:00Z", "Complete", true, "{}");
    let plan = cluster.at("2026-11-29T06:00:00Z");
    let starts: Vec<_> = plan.actions.iter().filter(|a| drills(a)).map(Action::key).collect();
    assert_eq!(starts, [format!("drill/{UID}/20261122T0600Z/s3")], "in the slot that it has");
    assert!(!plan.ready.iter().any(|(_, a)| drills(a)), "{plan:?}");

    cluster.start(Task::Drill, "20261122T0600Z");
    assert_eq!(slots(&cluster).len(), 1, "now it is the Job's");
    cluster.done(Task::Drill, "20261122T0600Z", &ok(Task::Drill));
    assert_eq!(slots(&cluster), []);
    // The next one is of the newer run, and admitted as all are.
    assert!(cluster.plan().ready.iter().any(|(_, a)| matches!(a, Action::Restore(RestoreAction::Hold { .. }))));
}

fn drills(action: &Action) -> bool {
    matches!(action, Action::StartTask(task) if task.task() == Task::Drill)
}

/// What nobody wants any more takes no slot, and what a tenant writes takes none.
#[test]
fn only_a_drill_that_goes_on_takes_a_slot_for_its_promoter() {
    let slots = |change: &dyn Fn(&mut Cluster)| {
        let mut cluster = Cluster::without_copies(&format!("{S3}{DRILL}"));
        cluster.snapshot("2026-11-20T00:00:00Z", "Complete", true, "{}");
        cluster.at("2026-11-22T06:00:00Z");
        cluster.promoter("2026-11-20T00:00:00Z", "Pending", Some("20261122T0600Z"));
        change(&mut cluster);
        plan::running(&cluster.world, cluster.now).count()
    };
    let config = |cluster: &mut Cluster, text: &str| {
        let text = format!("destinations: [{text}]\ndefaults: {{destinations: [s3]}}");
        cluster.world.apply(Change::Config(Arc::new(Config::parse(&text).unwrap())));
    };
    assert_eq!(slots(&|_| ()), 1);
    assert_eq!(slots(&|c| config(c, &format!("{S3}{NO_DRILL}"))), 0, "drills were switched off");
    assert_eq!(slots(&|c| c.promoter("2026-11-20T00:00:00Z", "Pending", None)), 0, "it has no label of ours");
    let unprotected = |c: &mut Cluster| {
        c.status.protected_since = None;
        c.record();
    };
    assert_eq!(slots(&unprotected), 0);
    let gone = |c: &mut Cluster| {
        c.world.apply(Change::Claim(Seen::Gone(("shop".to_owned(), "data".to_owned()), UID.to_owned())));
    };
    assert_eq!(slots(&gone), 0);
    let elsewhere = |c: &mut Cluster| {
        let other = "{name: other, type: restic, secret: other}";
        let text = format!("destinations: [{S3}{DRILL}, {other}]\ndefaults: {{destinations: [other]}}");
        c.world.apply(Change::Config(Arc::new(Config::parse(&text).unwrap())));
    };
    assert_eq!(slots(&elsewhere), 0, "the source is copied elsewhere now: nobody would end the drill");
}

/// Law 5. Others wait for the slot of a drill that has begun: on a disk of a node, those of all namespaces.
#[test]
fn a_drill_that_cannot_go_on_ends_and_gives_its_slot_back() {
    let begun = || {
        let mut cluster = Cluster::without_copies(&format!("{S3}{DRILL}"));
        cluster.snapshot("2026-11-20T00:00:00Z", "Complete", true, "{}");
        cluster.at("2026-11-22T06:00:00Z");
        cluster.promoter("2026-11-20T00:00:00Z", "Bound", Some("20261122T0600Z"));
        assert_eq!(plan::running(&cluster.world, cluster.now).count(), 1);
        cluster
    };
    let ended = |cluster: &Cluster| {
        let drill = cluster.s3().drill.as_ref().and_then(|d| d.problem.as_ref().map(|p| (d.due.clone(), p.reason)));
        drill.map(|(due, reason)| (due.to_string(), reason, plan::running(&cluster.world, cluster.now).count()))
    };
    let end = |reason| Some(("20261122T0600Z".to_owned(), reason, 0));
    // Its run is gone; that another one could be drilled is for the next time.
    let mut cluster = begun();
    let name = ("shop".to_owned(), "data-20261120t0000z".to_owned());
    cluster.world.apply(Change::Snapshot(Seen::Gone(name, "s-20261120T0000Z".into())));
    cluster.snapshot("2026-11-21T00:00:00Z", "Complete", true, "{}");
    let plan = cluster.look();
    assert_eq!(ended(&cluster), end(Reason::SourceSnapshotLost));
    assert!(!plan.actions.iter().any(drills), "{plan:?}");
    // A restore comes first, for days: it has waited for long enough.
    let mut cluster = begun();
    cluster.restores("data");
    let plan = cluster.at("2026-11-22T09:59:00Z");
    assert_eq!((ended(&cluster), plan.wake), (None, Some(time("2026-11-22T10:00:00Z"))));
    cluster.at("2026-11-22T10:00:00Z");
    assert_eq!(ended(&cluster), end(Reason::DeadlineExceeded));
}

#[test]
fn a_drill_that_found_every_byte_proves_the_copy_and_a_later_failure_does_not_hide_that() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    cluster.at("2026-11-22T06:00:00Z");
    let run = Some("20261120T0000Z".parse().unwrap());
    let proof = MaintainResult { files: 100, bytes: 4096, run: run.clone(), ..ok(Task::Drill) };
    let plan = cluster.done(Task::Drill, "20261122T0600Z", &proof);
    let text = notes(&plan).into_iter().find(|n| n.starts_with("- Proven")).unwrap();
    assert!(text.contains("s3, run 20261120T0000Z: restorable, proven on 2026-11-21: 100 files, 4"), "{text}");
    let plan = cluster.at("2026-11-29T06:00:00Z");
    assert!(tasks(&plan).contains(&"drill 20261129T0600Z".to_owned()), "{plan:?}");
    let plan = cluster.done(Task::Drill, "20261129T0600Z", &bad(Task::Drill, Reason::RestoreMismatch));
    assert!(notes(&plan).iter().any(|n| n.starts_with("! RestoreMismatch")), "{plan:?}");
    let s3 = cluster.s3();
    assert_eq!(s3.drill.as_ref().map(|d| d.state), Some(TaskState::Failed));
    assert_eq!(s3.proven.as_ref().map(|p| p.due.as_str()), Some("20261122T0600Z"));
}

/// L13: every later run took over what the drill had found to be damaged.
#[test]
fn copies_after_a_finding_compare_contents_until_one_of_them_is_complete() {
    for (task, due, reason) in [
        (Task::Drill, "20261122T0600Z", Reason::RestoreMismatch),
        (Task::Drill, "20261122T0600Z", Reason::RepositoryDamaged),
        (Task::Verify, "20261122T0500Z", Reason::RepositoryDamaged),
    ] {
        let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
        let told = |cluster: &mut Cluster, day: u8, result: &str| {
            let at = format!("2026-11-{day}T00:00:00Z");
            let taken = |result: &str| json!({"backup-controller.io/copy.s3": result}).to_string();
            cluster.snapshot(&at, "Complete", true, &taken("{}"));
            cluster.promoter(&at, "Bound", None);
            let plan = cluster.at(&at);
            let mut copies = plan.ready.iter().filter_map(|(_, action)| match action {
                Action::StartCopy(copy) => Some(copy.after_finding),
                _ => None,
            });
            let told = copies.next().unwrap_or_else(|| panic!("{plan:?}"));
            cluster.snapshot(&at, "Complete", true, &taken(result));
            cluster.look();
            told
        };
        let ended = |state: &str, day: u8, more: &str| {
            format!(r#"{{"state": "{state}", "finished": "2026-11-{day}T01:00:00Z", "files": 1, "bytes": 1{more}}}"#)
        };
        let compared = r#", "checksummed": true"#;
        assert_eq!(told(&mut cluster, 22, &ended("Complete", 22, compared)), None);
        let found = |at: &str, run: &str, reason: Option<Reason>| {
            let problem = reason.map(|reason| Problem::new(reason, "as it was found"));
            let run = (task == Task::Drill).then(|| run.parse().unwrap());
            let part = (task == Task::Verify).then_some(Part { number: 1, of: PARTS });
            MaintainResult { run, part, ..MaintainResult::new(task, time(at), problem) }
        };
        cluster.at("2026-11-22T06:05:00Z");
        cluster.done(task, due, &found("2026-11-22T06:05:00Z", "20261122T0000Z", Some(reason)));
        assert_eq!(told(&mut cluster, 23, &ended("Failed", 23, "")), Some(task));
        assert_eq!(told(&mut cluster, 24, &ended("Incomplete", 24, compared)), Some(task));
        assert_eq!(told(&mut cluster, 25, &ended("Complete", 25, "")), Some(task), "it began before it was told");
        assert_eq!(told(&mut cluster, 26, &ended("Complete", 26, compared)), Some(task));
        assert_eq!(cluster.s3().healed.as_ref().map(Run::as_str), Some("20261126T0000Z"));
        assert_eq!(told(&mut cluster, 27, &ended("Complete", 27, "")), None, "that is enough");
        assert_eq!(cluster.s3().findings().count(), 1, "it is not proven yet");
        let next = if task == Task::Drill { ["20261129T0600Z", "20261206T0600Z"] } else { ["20261128T0500Z"; 2] };
        // Another sample of a copy that links the damaged file says nothing of it.
        if task == Task::Drill {
            cluster.at("2026-11-29T06:05:00Z");
            cluster.done(task, next[0], &found("2026-11-29T06:05:00Z", "20261125T0000Z", None));
            assert_eq!(cluster.s3().findings().count(), 1);
        }
        cluster.at("2026-12-06T06:05:00Z");
        cluster.done(task, next[1], &found("2026-12-06T06:05:00Z", "20261126T0000Z", None));
        assert_eq!((cluster.s3().findings().count(), &cluster.s3().healed), (0, &None));
    }
}
