//! Tasks for copies: when they are due, what they wait for, what is recorded of them.

mod cluster;
mod configured;
mod drill;
mod drill_now;
mod prune;
mod verify;

use model::Timestamp;
use model::admit::{self, Admission, Rank, Slot, Waiting};
use model::breaker::{Breakers, Open};
use model::config::Limits;
use model::duration::Span;
use model::maintain::{MaintainResult, Task, TaskState};
use model::names::{self, Run};
use model::plan::{self, Action, Plan};
use model::reason::Reason;
use model::world::{Change, Seen};

use crate::fixtures::{namespace, put_claim, results, written};
use cluster::{Cluster, DRILL, NO_DRILL, S3, UID, bad, notes, ok, source, started, tasks, time};

#[test]
fn a_task_is_due_at_its_minute_and_the_source_is_looked_at_then() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    let plan = cluster.plan();
    assert_eq!(tasks(&plan), [""; 0]);
    assert_eq!(plan.wake, Some(time("2026-11-21T02:30:00Z")));
    assert_eq!(tasks(&cluster.at("2026-11-21T02:29:59Z")), [""; 0]);
    assert_eq!(tasks(&cluster.at("2026-11-21T02:30:00Z")), ["prune 20261121T0230Z"]);
}

#[test]
fn no_task_is_due_before_the_first_copy() {
    let mut cluster = Cluster::without_copies(&format!("{S3}{DRILL}"));
    assert_eq!(tasks(&cluster.at("2026-11-29T12:00:00Z")), [""; 0]);
    cluster.run("2026-11-29T11:00:00Z", "Failed");
    assert_eq!(tasks(&cluster.look()), [""; 0]);
    cluster.run("2026-11-29T11:30:00Z", "Complete");
    cluster.look();
    assert_eq!(tasks(&cluster.look()), [""; 0], "nor for minutes that passed before it");
    assert_eq!(tasks(&cluster.at("2026-11-30T02:30:00Z")), ["prune 20261130T0230Z"]);
}

#[test]
fn after_an_outage_of_days_each_task_is_done_once_and_for_the_newest_minute() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    let missed = ["prune 20261201T0230Z", "verify 20261201T0500Z", "drill 20261129T0600Z"];
    assert_eq!(tasks(&cluster.at("2026-12-01T12:00:00Z")), missed);
    for (task, due) in
        [(Task::Prune, "20261201T0230Z"), (Task::Verify, "20261201T0500Z"), (Task::Drill, "20261129T0600Z")]
    {
        cluster.done(task, due, &ok(task));
    }
    let plan = cluster.plan();
    assert_eq!(tasks(&plan), [""; 0]);
    assert_eq!(plan.wake, Some(time("2026-12-02T02:30:00Z")));
}

/// F29: what is seen twice is not done twice.
#[test]
fn while_a_task_has_a_job_there_is_no_second_one_whatever_is_due() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    cluster.start(Task::Prune, "20261121T0230Z");
    assert_eq!(tasks(&cluster.look()), [""; 0]);
    assert_eq!(tasks(&cluster.at("2026-11-23T03:00:00Z")), ["verify 20261122T0500Z"], "the prune runs for days");
    cluster.done(Task::Prune, "20261121T0230Z", &ok(Task::Prune));
    assert_eq!(tasks(&cluster.plan()), ["prune 20261123T0230Z", "verify 20261122T0500Z"]);
}

#[test]
fn an_end_is_recorded_before_its_job_goes_and_a_failure_is_told() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    cluster.finish(Task::Prune, "20261121T0230Z", &bad(Task::Prune, Reason::RepositoryLocked));
    let plan = cluster.look();
    assert!(!plan.actions.iter().any(|a| matches!(a, Action::DeleteJob { .. })), "{plan:?}");
    let notes = notes(&plan);
    assert!(notes.iter().any(|n| n.starts_with("! RepositoryLocked prune of s3: it says why")), "{notes:?}");
    assert_eq!(cluster.s3().prune.as_ref().map(|p| p.state), Some(TaskState::Failed));
    assert!(cluster.status.failure.is_none() && cluster.status.good.is_some(), "the copy is as good as before");
    let plan = cluster.plan();
    assert!(plan.actions.iter().any(|a| matches!(a, Action::DeleteJob { .. })), "{plan:?}");
    cluster.gone(Task::Prune, "20261121T0230Z");
    assert_eq!(tasks(&cluster.at("2026-11-21T04:00:00Z")), [""; 0], "it is tried again when it is due again");
    assert_eq!(tasks(&cluster.at("2026-11-22T02:30:00Z"))[0], "prune 20261122T0230Z");
}

/// S2b: what it left would be newer than every copy for years, and restores go by it.
#[test]
fn a_pod_with_a_clock_that_is_ahead_ended_no_task_later_than_now() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:32:00Z");
    let result = MaintainResult { finished: time("2036-01-01T00:00:00Z"), ..ok(Task::Prune) };
    cluster.finish(Task::Prune, "20261121T0230Z", &result);
    cluster.look();
    assert_eq!(cluster.s3().prune.as_ref().map(|p| p.finished), Some(time("2026-11-21T02:32:00Z")));
}

#[test]
fn a_job_that_ended_without_a_word_is_recorded_too() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    cluster.job(
        Task::Prune,
        "20261121T0230Z",
        "{conditions: [{type: Complete, status: 'True', lastTransitionTime: '2026-11-21T02:30:00Z'}]}",
    );
    assert!(cluster.look().wake.is_some() && cluster.s3().prune.is_none(), "its pod's end may come a little later");
    let asks = cluster.at("2026-11-21T02:31:00Z");
    let asked = asks.actions.iter().find_map(|action| match action {
        Action::Ask { namespace, name, uid, .. } => Some(((namespace.clone(), name.clone()), uid.clone())),
        _ => None,
    });
    let (job, uid) = asked.unwrap();
    cluster.world.apply(Change::PodsListed(job, uid, Vec::new()));
    cluster.look();
    let problem = cluster.s3().prune.as_ref().and_then(|p| p.problem.as_ref());
    assert_eq!(problem.map(|p| p.reason), Some(Reason::JobFailed));
}

/// A prune that fails, or waits, or runs: the copy of another repository starts, and that of its own waits for it alone.
#[test]
fn copies_come_before_tasks_and_a_repository_has_one_writer() {
    let slot = |disk: &str| Slot {
        namespace: "shop".into(),
        destination: "s3".into(),
        disk: disk.into(),
        node: None,
        breaker: None,
        begun: None,
    };
    let waiting = |rank, minute, disk| {
        let since = Span::minutes(minute).after(Timestamp::UNIX_EPOCH);
        Waiting { rank, source: source(), run: Run::at(since), since, slot: slot(disk) }
    };
    let one = Limits { cluster: 1, ..Limits::default() };
    let all = [waiting(Rank::Task, 0, "a"), waiting(Rank::Copy, 9, "b")];
    let starts = |answers: Vec<Admission>| answers.iter().map(|a| *a == Admission::Start).collect::<Vec<_>>();
    let admit = |waiting: &[Waiting], running: &[Slot], limits: &Limits| {
        admit::admit(waiting, running, limits, &Breakers::new(), Timestamp::UNIX_EPOCH)
    };
    assert_eq!(starts(admit(&all, &[], &one)), [false, true], "older, and later all the same");
    let same = [waiting(Rank::Task, 0, "a"), waiting(Rank::Copy, 9, "a"), waiting(Rank::Task, 0, "b")];
    assert_eq!(starts(admit(&same, &[], &Limits::default())), [false, true, true]);
    assert_eq!(starts(admit(&same, &[slot("a")], &Limits::default())), [false, false, true]);
}

/// One copy at a time tries whether it works again: tasks neither try nor take that copy's place.
#[test]
fn no_task_starts_at_a_destination_that_is_down() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    let plan = cluster.at("2026-11-21T02:30:00Z");
    let waiting: Vec<Waiting> = plan.ready.iter().map(|(w, _)| w.clone()).collect();
    assert_eq!(waiting.iter().map(|w| w.rank).collect::<Vec<_>>(), [Rank::Task]);
    let key = waiting[0].slot.breaker.clone().unwrap();
    let open = Open { reason: Reason::DestinationUnreachable, since: cluster.now, next: cluster.now };
    let answers = |down: &Breakers| admit::admit(&waiting, &[], &Limits::default(), down, cluster.now);
    assert!(matches!(answers(&[(key, open)].into())[0], Admission::Wait(_)));
    assert_eq!(answers(&Breakers::new())[0], Admission::Start);
    cluster.start(Task::Prune, "20261121T0230Z");
    assert_eq!(plan::running(&cluster.world, cluster.now).map(|s| s.breaker).collect::<Vec<_>>(), [None]);
}

#[test]
fn a_task_that_runs_occupies_its_repository() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    let free = plan::running(&cluster.world, cluster.now).count();
    cluster.start(Task::Prune, "20261121T0230Z");
    let running: Vec<Slot> = plan::running(&cluster.world, cluster.now).collect();
    assert_eq!((free, running.len()), (0, 1));
    let task = cluster.at("2026-11-21T05:00:00Z").ready.pop().map(|(waiting, _)| waiting.slot.disk);
    assert_eq!(task, running.into_iter().next().map(|slot| slot.disk), "prune and verify are never beside each other");
}

#[test]
fn a_task_uses_the_secret_that_its_group_names() {
    let group = "groups: [{name: gold, namespaces: [shop], destinations: [s3], secrets: {s3: gold-s3}}]";
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}\n{group}"));
    let plan = cluster.at("2026-11-22T06:00:00Z");
    let secrets: Vec<_> = started(&plan).map(|m| m.secret.as_deref()).collect();
    assert_eq!(secrets, [Some("gold-s3"); 3]);
}

/// Law 5: a restore pod may stand for days.
#[test]
fn a_restore_from_a_repository_keeps_the_tasks_of_no_other_waiting() {
    for (pvc, expected) in [("data", 0), ("other", 1)] {
        let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
        cluster.restores(pvc);
        assert_eq!(tasks(&cluster.at("2026-11-21T02:30:00Z")).len(), expected, "{pvc}");
    }
}

/// Nobody knows any more in whose bucket the copies of this source lie.
#[test]
fn a_copy_of_a_source_that_is_gone_or_not_protected_goes_into_no_other_bucket() {
    let group = "groups: [{name: gold, namespaces: [shop], destinations: [s3], secrets: {s3: gold-s3}}]";
    for (settings, expected) in [(group, Some(Reason::SecretNotAllowed)), ("selection: {mode: all}", None)] {
        let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}\n{settings}"));
        cluster.run("2026-11-20T11:30:00Z", "none yet");
        let copies = |plan: &Plan| -> Vec<Option<String>> {
            let copies =
                plan.ready.iter().filter_map(|(_, a)| if let Action::StartCopy(c) = a { Some(c) } else { None });
            copies.map(|c| c.secret.clone()).collect()
        };
        assert_eq!(copies(&cluster.plan()), [expected.map(|_| "gold-s3".to_owned())]);
        let text = format!(
            "metadata: {{name: data, namespace: shop, uid: '{UID}', annotations: {{{}: 'false'}}}}\n\
             spec: {{storageClassName: fast, volumeName: pv}}\nstatus: {{phase: Bound}}",
            names::ENABLED
        );
        put_claim(&mut cluster.world, &text);
        assert_eq!(copies(&cluster.plan()), [expected.map(|_| "gold-s3".to_owned())], "its group is known");
        let gone = Seen::Gone(("shop".to_owned(), "data".to_owned()), UID.to_owned());
        cluster.world.apply(Change::Claim(gone));
        let plan = cluster.plan();
        let recorded = results(&plan).into_iter().find_map(|(_, result)| result.reason);
        assert_eq!((recorded, copies(&plan).len()), (expected, usize::from(expected.is_none())), "{plan:?}");
    }
}

/// The runs that are there were taken for a destination that the source does not name any more.
#[test]
fn a_copy_uses_its_groups_secret_until_its_last_run_is_copied() {
    let group = "{name: gold, namespaces: [shop], destinations: [], secrets: {s3: gold-s3}}";
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}\ngroups: [{group}]"));
    cluster.run("2026-11-20T11:30:00Z", "none yet");
    let plan = cluster.plan();
    let mut copies = plan.ready.iter().filter_map(|(_, a)| if let Action::StartCopy(c) = a { Some(c) } else { None });
    assert_eq!(copies.next().unwrap().secret.as_deref(), Some("gold-s3"));
}

/// A node's clock was ahead for an hour: what was done in the future was not done.
#[test]
fn tasks_go_on_when_a_clock_that_was_ahead_is_right_again() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2027-11-21T02:30:00Z");
    cluster.done(Task::Prune, "20271121T0230Z", &ok(Task::Prune));
    assert!(tasks(&cluster.at("2026-11-21T02:30:00Z")).contains(&"prune 20261121T0230Z".to_owned()));
    cluster.done(Task::Prune, "20261121T0230Z", &ok(Task::Prune));
    assert_eq!(cluster.s3().prune.as_ref().map(|p| p.due.as_str()), Some("20261121T0230Z"));
    assert!(tasks(&cluster.plan()).iter().all(|t| !t.starts_with("prune")));
    // And a first copy that was made in the future is one all the same.
    let mut cluster = Cluster::without_copies(&format!("{S3}{NO_DRILL}"));
    cluster.run("2027-11-20T11:00:00Z", "Complete");
    cluster.look();
    assert!(tasks(&cluster.at("2026-11-21T02:30:00Z")).contains(&"prune 20261121T0230Z".to_owned()));
}

#[test]
fn what_is_left_after_a_prune_is_recorded_until_a_copy_says_it_anew() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    let kept: Vec<Run> = vec!["20261120T0000Z".parse().unwrap()];
    cluster.done(Task::Prune, "20261121T0230Z", &MaintainResult { kept: kept.clone(), ..ok(Task::Prune) });
    assert_eq!(cluster.s3().kept, kept);
    cluster.run("2026-11-22T00:00:00Z", "Complete");
    cluster.at("2026-11-22T00:10:00Z");
    assert_eq!(cluster.s3().kept, []);
}

/// A restic pod reads its Secret as root: nobody waits for a pod that is never made.
#[test]
fn a_namespace_that_refuses_the_pod_is_told_once_each_time() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    let strict = "metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}";
    cluster.world.apply(Change::Namespace(Seen::Put(namespace(strict))));
    let plan = cluster.at("2026-11-21T02:30:00Z");
    assert_eq!(tasks(&plan), [""; 0]);
    assert_eq!(notes(&plan).iter().filter(|n| n.starts_with("! PodSecurity prune of s3")).count(), 1, "{plan:?}");
    assert_eq!(notes(&cluster.look()), [""; 0]);
}

#[test]
fn a_source_that_vanished_or_is_not_protected_any_more_gets_no_task_and_keeps_no_job() {
    let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
    cluster.at("2026-11-21T02:30:00Z");
    cluster.start(Task::Prune, "20261121T0230Z");
    let gone = Seen::Gone(("shop".to_owned(), "data".to_owned()), UID.to_owned());
    cluster.world.apply(Change::Claim(gone));
    let plan = cluster.at("2026-11-29T12:00:00Z");
    let gone = written(&plan).map(|write| write.ledger.gone.unwrap().to_string());
    assert_eq!(gone.as_deref(), Some("2026-11-29T12:00:00Z"), "when that was first seen");
    assert_eq!((tasks(&plan), plan.actions.len()), (Vec::new(), 1), "what runs may end");
    cluster.finish(Task::Prune, "20261121T0230Z", &ok(Task::Prune));
    let plan = cluster.at("2026-11-29T13:00:00Z");
    let others: Vec<_> = plan.actions.iter().filter(|a| !matches!(a, Action::ShowStatus { .. })).collect();
    assert!(matches!(others[..], [Action::DeleteJob { .. }]), "{plan:?}");
}

/// F94. Each has its own ledger; the PVC shows what the one says that protected it first.
#[test]
fn what_another_installation_shows_on_a_source_stays() {
    for (since, shows) in [(Some("2026-11-20T00:00:00Z"), false), (None, true)] {
        let mut cluster = Cluster::new(&format!("{S3}{DRILL}"));
        let mut claim = cluster.world.claims.get("shop", "data").unwrap().clone();
        let other = claim.shown.as_mut().unwrap();
        (other.instance, other.protected_since) = ("other".into(), since.map(time));
        cluster.world.apply(Change::Claim(Seen::Put(claim)));
        let plan = cluster.plan();
        let shown = plan.actions.iter().any(|a| matches!(a, Action::ShowStatus { .. }));
        assert_eq!(shown, shows, "{plan:?}");
    }
}

#[test]
fn what_is_switched_off_is_never_due() {
    let never = "{name: s3, type: restic, secret: s, prune: {schedule: never}, verify: {schedule: never}}";
    let mut cluster = Cluster::new(never);
    let plan = cluster.at("2026-12-29T12:00:00Z");
    assert_eq!(tasks(&plan), [""; 0]);
    assert!(cluster.status.maintenance.is_empty());
}

/// Ten thousand sources are planned anew at each start.
#[test]
fn sources_and_tasks_have_times_of_their_own() {
    let mut cluster = Cluster::new("{name: s3, type: restic, secret: backup-s3}");
    let plan = cluster.at("2026-11-22T23:59:00Z");
    let times: std::collections::BTreeSet<String> =
        started(&plan).map(|m| m.due.as_str()["20261122T".len()..].to_owned()).collect();
    assert_eq!(times.len(), 2, "{times:?}");
}
