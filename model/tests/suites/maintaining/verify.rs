//! The walk through a repository, part by part.

use model::maintain::{MaintainResult, PARTS, Part, Task, TaskState};
use model::names::Run;
use model::plan::{Work, next_part};
use model::reason::{Problem, Reason};
use model::record::TaskStatus;

use crate::maintaining::cluster::{Cluster, NO_DRILL, S3, bad, ok, started, time};

#[test]
fn thirty_verifies_that_find_nothing_read_all_parts() {
    let mut seen = std::collections::BTreeSet::new();
    let mut before: Option<TaskStatus> = None;
    for _ in 0..PARTS {
        let part = next_part(before.as_ref());
        seen.insert(part.number);
        before = Some(verified(part, None));
    }
    assert_eq!(seen, (1..=PARTS).collect());
    assert_eq!(next_part(before.as_ref()).number, 1, "and then from the beginning");
}

fn verified(part: Part, problem: Option<Reason>) -> TaskStatus {
    TaskStatus {
        due: "20261121T0500Z".parse().unwrap(),
        state: if problem.is_some() { TaskState::Failed } else { TaskState::Done },
        finished: time("2026-11-21T05:00:00Z"),
        problem: problem.map(|r| Problem::new(r, "x")),
        part: Some(part),
        run: None,
        files: 0,
        bytes: 0,
        whole: false,
    }
}

#[test]
fn a_part_that_could_not_be_read_comes_again_and_one_that_is_damaged_does_not_stop_the_walk() {
    let part: Part = "7/30".parse().unwrap();
    let next = |problem| next_part(Some(&verified(part, Some(problem)))).number;
    assert_eq!((next(Reason::DestinationUnreachable), next(Reason::RepositoryDamaged)), (7, 8));
    let other = Part { number: 7, of: 12 };
    assert_eq!(next_part(Some(&verified(other, None))).number, 1, "parts of another size are other parts");
}

#[test]
fn damage_is_shown_until_its_part_is_clean_again() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    let mut days = (21..=30).map(|d| format!("202611{d}")).chain((1..=31).map(|d| format!("202612{d:02}")));
    let mut verify = |cluster: &mut Cluster, problem: Option<Reason>| {
        let due = format!("{}T0500Z", days.next().unwrap());
        cluster.now = due.parse::<Run>().unwrap().time();
        let plan = cluster.plan();
        let part = started(&plan).find_map(|m| if let Work::Verify(part) = m.work { Some(part) } else { None });
        let result = problem.map_or_else(|| ok(Task::Verify), |r| bad(Task::Verify, r));
        cluster.done(Task::Verify, &due, &MaintainResult { part, ..result });
        part.unwrap().number
    };
    assert_eq!(verify(&mut cluster, Some(Reason::RepositoryDamaged)), 1);
    for _ in 2..=PARTS {
        verify(&mut cluster, None);
        assert_eq!(cluster.s3().damage.as_ref().and_then(|d| d.part).map(|p| p.number), Some(1));
    }
    assert_eq!(verify(&mut cluster, Some(Reason::DestinationUnreachable)), 1);
    assert!(cluster.s3().damage.is_some(), "it was not read");
    assert_eq!(verify(&mut cluster, None), 1);
    assert_eq!(cluster.s3().damage, None);
}
