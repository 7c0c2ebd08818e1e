//! Copies: which run is copied, which never will be; and how far a run got.

use crate::fixtures::{claim, read, record};
use model::Timestamp;
use model::config::Deadlines;
use model::facts::{Claim, ClaimPhase, Snapshot};
use model::next_copy::{Next, RunFacts, next, point_state};
use model::reason::Reason;
use model::record::{CopyState, RunRecord};
use model::rotate::PointState;
use model::snapshot::VolumeSnapshot;
use proptest::prelude::*;

/// How a run's objects stand.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
struct Case {
    /// The state of its copy to `disk`, as it is recorded.
    copy: Option<&'static str>,
    wanted: bool,
    promoter: Option<ClaimPhase>,
    copying: bool,
    snapshot_goes: bool,
    promoter_goes: bool,
}

const WAITS: Case = Case {
    copy: None,
    wanted: true,
    promoter: Some(ClaimPhase::Bound),
    copying: false,
    snapshot_goes: false,
    promoter_goes: false,
};

fn hour(n: usize) -> Timestamp {
    format!("2026-11-20T{n:02}:00:00Z").parse().unwrap()
}

fn objects(cases: &[Case]) -> Vec<(RunRecord, Snapshot, Option<Claim>, bool)> {
    let object = |n: usize, goes: bool| {
        let goes = if goes { "deletionTimestamp: 2026-11-20T12:00:00Z" } else { "generation: 1" };
        format!("{{name: data-{n}, namespace: shop, creationTimestamp: \"{}\", {goes}", hour(n))
    };
    let one = |(n, case): (usize, &Case)| {
        let copy = case.copy.map(|s| {
            format!("'backup-controller.io/copy.disk': '{{\"state\":\"{s}\",\"finished\":\"2026-11-20T12:00:00Z\"}}', ")
        });
        let taken = if case.wanted { "disk, other" } else { "other" };
        let annotations =
            format!("annotations: {{{}backup-controller.io/destinations-taken: '{taken}'}}", copy.unwrap_or_default());
        let vs: VolumeSnapshot = read(&format!(
            "metadata: {}, {annotations}}}\nstatus: {{readyToUse: true}}",
            object(n, case.snapshot_goes)
        ));
        let pvc = case.promoter.map(|phase| {
            claim(&format!("metadata: {}}}\nstatus: {{phase: {phase:?}}}", object(n, case.promoter_goes)))
        });
        (record(&vs), Snapshot::from(&vs), pvc, case.copying)
    };
    cases.iter().enumerate().map(one).collect()
}

fn decide(cases: &[Case], waits_for_consumer: bool, now: Timestamp) -> Vec<Next> {
    let objects = objects(cases);
    let runs: Vec<RunFacts<'_>> = objects
        .iter()
        .map(|(record, snapshot, promoter, copying)| RunFacts {
            run: &record.run,
            record,
            snapshot,
            promoter: promoter.as_ref(),
            copying: *copying,
            begun: false,
        })
        .collect();
    next(&runs, "disk", waits_for_consumer, &Deadlines::default(), now)
}

fn words(next: &[Next]) -> Vec<String> {
    let word = |n: &Next| match n {
        Next::Done => "done".to_owned(),
        Next::Copying => "copying".to_owned(),
        Next::Copy => "copy".to_owned(),
        Next::Retry(at) => format!("retry {at}"),
        Next::Wait(problem, _) => format!("wait {}", problem.reason),
        Next::Record(state, problem) => format!("{state:?} {}", problem.reason),
    };
    next.iter().map(word).collect()
}

#[test]
fn of_the_runs_that_wait_the_newest_is_copied_and_the_older_are_superseded() {
    assert_eq!(
        words(&decide(&[WAITS, WAITS, WAITS], false, hour(3))),
        ["Superseded Superseded", "Superseded Superseded", "copy"]
    );
}

#[test]
fn a_run_that_is_being_copied_is_left_alone_when_a_newer_one_comes() {
    let copying = Case { copying: true, ..WAITS };
    assert_eq!(words(&decide(&[copying, WAITS], false, hour(2))), ["copying", "copy"]);
}

#[test]
fn a_result_is_final_and_no_copy_is_made_twice() {
    for state in ["Complete", "Incomplete", "Failed", "Superseded"] {
        let done = Case { copy: Some(state), ..WAITS };
        assert_eq!(words(&decide(std::slice::from_ref(&done), false, hour(1))), ["done"]);
        assert_eq!(
            words(&decide(&[Case { copying: true, ..done }], false, hour(1))),
            ["done"],
            "whose Job is still there"
        );
    }
    let older = words(&decide(&[WAITS, Case { copy: Some("Complete"), ..WAITS }], false, hour(2)));
    assert_eq!(older, ["Superseded Superseded", "done"]);
}

/// Otherwise a driver whose every second promoter fails would leave a source without any copy.
#[test]
fn a_newer_run_that_could_not_be_copied_does_not_supersede_an_older_one_that_can() {
    for newer in [
        Case { copy: Some("Failed"), ..WAITS },
        Case { promoter: Some(ClaimPhase::Pending), ..WAITS },
        Case { promoter: None, ..WAITS },
        Case { snapshot_goes: true, ..WAITS },
        Case { promoter_goes: true, ..WAITS },
        Case { wanted: false, ..WAITS },
    ] {
        assert_eq!(words(&decide(&[WAITS, newer.clone()], false, hour(1)))[0], "copy", "{newer:?}");
    }
}

/// F20: a class that waits for the first consumer. F21: one that does not. F26.
#[test]
fn a_promoter_is_copied_once_it_is_bound_or_only_waits_for_its_consumer() {
    let pending = [Case { promoter: Some(ClaimPhase::Pending), ..WAITS }];
    assert_eq!(words(&decide(&pending, true, hour(0))), ["copy"]);
    assert_eq!(words(&decide(&pending, false, hour(0))), ["wait WaitingForPromoter"]);
    assert_eq!(words(&decide(&pending, false, hour(1))), ["Failed PromoterNotBound"]);
    for lost in [
        Case { promoter: Some(ClaimPhase::Lost), ..WAITS },
        Case { promoter_goes: true, ..WAITS },
        Case { snapshot_goes: true, ..WAITS },
    ] {
        assert_eq!(words(&decide(&[lost], false, hour(0))), ["Failed PromoterLost"]);
    }
    let none = [Case { promoter: None, ..WAITS }];
    assert_eq!(words(&decide(&none, false, hour(0))), ["wait WaitingForPromoter"]);
    assert_eq!(words(&decide(&none, false, hour(1))), ["Failed PromoterLost"]);
}

/// A snapshot of the run at midnight, with this status and these copies.
fn taken(destinations: &str, copies: &[(&str, &str)], ready: bool) -> (Snapshot, RunRecord) {
    let copy = |(d, s): &(&str, &str)| {
        format!("'backup-controller.io/copy.{d}': '{{\"state\":\"{s}\",\"finished\":\"2026-11-20T12:00:00Z\"}}', ")
    };
    let copies = copies.iter().map(copy).collect::<Vec<_>>().concat();
    let vs: VolumeSnapshot = read(&format!(
        "metadata: {{name: data-0, creationTimestamp: \"{}\", annotations: {{{copies}backup-controller.io/destinations-taken: '{destinations}'}}}}\n\
         status: {{readyToUse: {ready}}}",
        hour(0)
    ));
    (Snapshot::from(&vs), record(&vs))
}

fn state((snapshot, record): &(Snapshot, RunRecord), now: Timestamp) -> PointState {
    point_state(snapshot, record, &Deadlines::default(), now)
}

#[test]
fn a_run_is_good_when_it_is_ready_and_complete_somewhere() {
    use PointState::{Dead, Good, Incomplete, Unconfirmed, Unrecorded, Waiting};
    for (destinations, copies, expected) in [
        ("", &[][..], Good),
        ("disk", &[], Unrecorded),
        ("disk", &[("disk", "Complete")], Good),
        ("disk", &[("disk", "Failed")], Unconfirmed),
        ("disk", &[("disk", "Incomplete")], Incomplete),
        ("disk", &[("disk", "Superseded")], Unconfirmed),
        ("disk, s3", &[("disk", "Failed")], Unrecorded),
        ("disk, s3", &[("disk", "Failed"), ("s3", "Incomplete")], Incomplete),
        ("disk, s3", &[("disk", "Failed"), ("s3", "Complete")], Good),
        // A copy to where the run was not to go proves nothing.
        ("disk", &[("s3", "Complete")], Unrecorded),
    ] {
        assert_eq!(state(&taken(destinations, copies, true), hour(1)), expected, "{destinations}: {copies:?}");
    }
    let early = hour(0).checked_add(std::time::Duration::from_secs(599)).unwrap();
    let late = hour(0).checked_add(std::time::Duration::from_mins(10)).unwrap();
    for (now, expected) in [(hour(0), Waiting), (early, Waiting), (late, Dead), (hour(1), Dead)] {
        assert_eq!(state(&taken("disk", &[], false), now), expected);
    }
}

/// A snapshot that was copied was ready once. If its status is lost (a controller that rewrites it, objects
/// that were restored without it), it must not be taken for one that never worked, and swept away.
#[test]
fn a_snapshot_that_was_copied_is_never_dead() {
    let lost = taken("disk", &[("disk", "Complete")], false);
    assert_eq!(state(&lost, hour(5)), PointState::Good);
    let failed = taken("disk", &[("disk", "Failed")], false);
    assert_eq!(state(&failed, hour(5)), PointState::Dead);
}

/// L7: the content of a snapshot vanished. Its bound promoter, the last full clone of a source without destinations, went
/// with it.
#[test]
fn a_snapshot_that_was_ready_once_is_never_dead() {
    for destinations in ["", "disk"] {
        let (snapshot, mut record) = taken(destinations, &[], false);
        record.ready = true;
        assert_eq!(state(&(snapshot, record), hour(5)), PointState::Lost, "{destinations}");
    }
}

prop_compose! {
    fn case()(
        copy in prop::sample::select(vec![None, None, None, Some("Complete"), Some("Incomplete"), Some("Failed"), Some("Superseded")]),
        wanted in prop::bool::weighted(0.9),
        promoter in prop::sample::select(vec![None, Some(ClaimPhase::Bound), Some(ClaimPhase::Bound), Some(ClaimPhase::Pending), Some(ClaimPhase::Lost)]),
        copying in prop::bool::weighted(0.2),
        snapshot_goes in prop::bool::weighted(0.1),
        promoter_goes in prop::bool::weighted(0.1),
    ) -> Case {
        Case { copy, wanted, promoter, copying, snapshot_goes, promoter_goes }
    }
}

proptest! {
    #![proptest_config(crate::fixtures::cases(1000))]

    #[test]
    fn law_8_a_run_with_a_result_or_a_job_is_never_copied_again(cases in prop::collection::vec(case(), 0..8), late in any::<bool>()) {
        let answers = decide(&cases, late, hour(9));
        prop_assert_eq!(answers.len(), cases.len());
        for (case, answer) in cases.iter().zip(&answers) {
            let starts = *answer == Next::Copy;
            prop_assert!(!starts || (case.copy.is_none() && !case.copying && case.wanted));
            prop_assert!(case.copy.is_none() || *answer == Next::Done);
        }
        prop_assert!(answers.iter().filter(|a| **a == Next::Copy).count() <= 1);
    }

    #[test]
    fn the_copy_that_starts_is_the_newest_and_no_older_run_waits_beside_it(cases in prop::collection::vec(case(), 0..8), late in any::<bool>()) {
        let answers = decide(&cases, late, hour(9));
        let Some(started) = answers.iter().position(|a| *a == Next::Copy) else { return Ok(()) };
        for (n, answer) in answers.iter().enumerate() {
            let older_settled = matches!(answer, Next::Done | Next::Copying | Next::Record(CopyState::Superseded, _));
            prop_assert!(n >= started || older_settled, "{n}: {answer:?}");
            let copied = cases[n].wanted && cases[n].copying && cases[n].copy.is_none();
            prop_assert!(n <= started || !copied, "{n} is newer and being copied");
        }
    }

    /// Law 5: every wait has a deadline, and once it has passed nothing waits.
    #[test]
    fn law_5_no_run_waits_for_ever(cases in prop::collection::vec(case(), 0..8), late in any::<bool>(), at in 0_usize..24) {
        for (n, answer) in decide(&cases, late, hour(at)).into_iter().enumerate() {
            if let Next::Wait(problem, until) = answer {
                prop_assert_eq!(problem.reason, Reason::WaitingForPromoter);
                prop_assert!(until.is_some_and(|until| until > hour(at)));
                prop_assert!(at <= n, "run {n} still waits at {at}");
            }
        }
    }
}
