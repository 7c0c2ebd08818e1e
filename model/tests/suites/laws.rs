//! The laws of the design, each as a property of the plans: whatever the restore points, the settings and
//! the clock.

use std::collections::BTreeSet;

use model::Timestamp;
use model::config::PromoterRetention;
use model::duration::Span;
use model::facts::Identity;
use model::names::Run;
use model::retention::Retention;
use model::rotate::{Decision, Loss, Point, PointState, PromoterPoint, Rules, Verdict, plan};
use model::schedule::Zone;
use proptest::prelude::*;

/// Settings for which any value must be safe.
#[derive(Debug, Clone)]
struct Settings {
    retention: Retention,
    zone: Zone,
    now: Timestamp,
    current: Option<Run>,
    min_keep: usize,
    max_unconfirmed: usize,
    max_deletes: usize,
    max_holds: usize,
    promoters: PromoterRetention,
}

impl Settings {
    fn rules(&self) -> Rules<'_> {
        Rules {
            retention: &self.retention,
            zone: &self.zone,
            now: self.now,
            current: self.current.as_ref(),
            min_keep: self.min_keep,
            max_unconfirmed: self.max_unconfirmed,
            max_deletes: self.max_deletes,
            max_holds: self.max_holds,
            promoters: self.promoters,
        }
    }

    fn judges(&self, point: &Point) -> bool {
        self.current.as_ref().is_none_or(|current| point.run < *current) && !point.terminating
    }
}

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// The times of runs, of which there are four a day: few, so that the current run is often one of the points.
const TIMES: u64 = 4 * 40;

fn run_at(time: u64) -> Run {
    Run::at(Span::hours(6 * time).after(start()))
}

prop_compose! {
    fn promoter()(read_only: bool, awaited: bool, held in prop::bool::weighted(0.1), terminating in prop::bool::weighted(0.1)) -> PromoterPoint {
        let id = Identity { name: "p".into(), uid: "p".into(), resource_version: "1".into() };
        PromoterPoint { id, read_only, awaited, held, terminating }
    }
}

fn state() -> impl Strategy<Value = PointState> {
    use PointState::{Dead, Good, Incomplete, Lost, Unconfirmed, Unrecorded, Unsure, Waiting};
    prop::sample::select(vec![
        Good,
        Good,
        Good,
        Incomplete,
        Incomplete,
        Lost,
        Unconfirmed,
        Unconfirmed,
        Unsure,
        Unsure,
        Unrecorded,
        Unrecorded,
        Waiting,
        Dead,
    ])
}

prop_compose! {
    fn point(time: u64)(
        state in state(),
        held in prop::bool::weighted(0.15),
        terminating in prop::bool::weighted(0.1),
        promoter in prop::option::of(promoter()),
    ) -> Point {
        let name = format!("data-{time}");
        let id = Identity { name: name.clone(), uid: name, resource_version: "1".into() };
        Point { run: run_at(time), id, state, held, terminating, promoter }
    }
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    let times = prop::collection::btree_set(0..TIMES, 0..14);
    times.prop_flat_map(|times| times.into_iter().map(point).collect::<Vec<_>>())
}

prop_compose! {
    fn settings()(
        retention in prop::sample::select(vec!["1h", "2days", "1year", "last=1", "last=3", "daily=3 weekly=2", "hourly=2 within=1d"]),
        zone in prop::sample::select(vec!["Etc/UTC", "Europe/Amsterdam", "Pacific/Auckland"]),
        // Also a clock that is behind the runs (F61).
        now in 0_u64..24 * 60,
        current in prop::option::of(0..=TIMES),
        min_keep in 1_usize..4,
        max_unconfirmed in 0_usize..4,
        max_deletes in 0_usize..5,
        max_holds in 0_usize..4,
        promoters in prop::sample::select(vec![PromoterRetention::Auto, PromoterRetention::Keep, PromoterRetention::Release]),
    ) -> Settings {
        Settings {
            retention: retention.parse().unwrap(),
            zone: zone.parse().unwrap(),
            now: Span::hours(now).after(start()),
            current: current.map(run_at),
            min_keep, max_unconfirmed, max_deletes, max_holds, promoters,
        }
    }
}

fn is_good(point: &Point) -> bool {
    point.state == PointState::Good && !point.terminating
}

fn is_restorable(point: &Point) -> bool {
    !matches!(point.state, PointState::Waiting | PointState::Dead)
}

/// What is there after a plan was carried out.
fn after(decisions: &[Decision]) -> Vec<Point> {
    let left = decisions.iter().filter(|d| !d.snapshot.deletes());
    left.map(|d| {
        let mut point = d.point.clone();
        if d.promoter.as_ref().is_some_and(Verdict::deletes) {
            point.promoter = None;
        }
        point
    })
    .collect()
}

/// What is there when run after run has rotated, with no new points.
fn in_the_end(points: &[Point], settings: &Settings) -> Vec<Point> {
    let mut points = points.to_vec();
    for _ in 0..40 {
        let decisions = plan(&points, &settings.rules());
        let left = after(&decisions);
        if left == points {
            break;
        }
        points = left;
    }
    points
}

/// The points that are newer than the newest good one.
fn newer_than_good(points: &[Point]) -> impl Iterator<Item = &Point> {
    let newest = points.iter().filter(|p| is_good(p)).map(|p| p.run.clone()).max();
    points.iter().filter(move |p| newest.as_ref().is_none_or(|n| p.run > *n))
}

fn lost(decisions: &[Decision]) -> impl Iterator<Item = &Decision> {
    decisions.iter().filter(|d| d.loss().is_some())
}

/// The points whose holds count: the oldest, up to the bound.
fn honoured<'a>(points: &'a [Point], settings: &Settings) -> BTreeSet<&'a Run> {
    let held = points.iter().filter(|p| p.held || p.promoter.as_ref().is_some_and(|p| p.held)).map(|p| &p.run);
    held.collect::<BTreeSet<_>>().into_iter().take(settings.max_holds).collect()
}

proptest! {
    #![proptest_config(crate::fixtures::cases(2000))]

    /// F77.
    #[test]
    fn law_1_the_last_good_point_is_never_deleted(points in points(), settings in settings()) {
        let newest = points.iter().filter(|p| is_good(p)).map(|p| &p.run).max();
        let left = in_the_end(&points, &settings);
        if let Some(newest) = newest {
            prop_assert!(left.iter().any(|p| p.run == *newest), "{newest} is gone");
        }
    }

    #[test]
    fn law_1_min_keep_good_points_stay_whatever_their_age(points in points(), settings in settings()) {
        let good = |points: &[Point]| points.iter().filter(|p| is_good(p)).count();
        let left = in_the_end(&points, &settings);
        prop_assert!(good(&left) >= good(&points).min(settings.min_keep));
    }

    #[test]
    fn law_1_copies_that_keep_failing_do_not_fill_the_pool(points in points(), settings in settings()) {
        let settings = Settings { max_deletes: 3, max_holds: 0, ..settings };
        let left = in_the_end(&points, &settings);
        let beside = |states: &[PointState]| {
            newer_than_good(&left).filter(|p| states.contains(&p.state) && settings.judges(p)).count()
        };
        let (failed, all) = (beside(&[PointState::Unconfirmed]), beside(&[PointState::Unconfirmed, PointState::Unsure]));
        prop_assert!(failed <= settings.max_unconfirmed, "{failed}");
        // L20: as many again that may have a copy.
        prop_assert!(all <= 2 * settings.max_unconfirmed, "{all}");
    }

    /// L8, L7: what is incomplete, or was ready once, goes only where a good one would go too.
    #[test]
    fn law_1_incomplete_points_stay_as_long_as_good_ones_would(points in points(), settings in settings()) {
        let settings = Settings { min_keep: 1, max_unconfirmed: settings.max_unconfirmed.max(1), max_holds: 0, ..settings };
        let poor = |p: &Point| matches!(p.state, PointState::Incomplete | PointState::Lost);
        let mut better = points.clone();
        for point in better.iter_mut().filter(|p| poor(p)) {
            point.state = PointState::Good;
        }
        for (poor, good) in plan(&points, &settings.rules()).iter().zip(plan(&better, &settings.rules())) {
            if good.point.state == PointState::Good {
                prop_assert!(poor.snapshot.stays() || !good.snapshot.stays(), "{}", good.point.run);
            }
        }
    }

    /// Law 3: beside them a good one stays as if they were not there.
    #[test]
    fn law_3_incomplete_points_cost_no_good_one_its_place(points in points(), settings in settings()) {
        let settings = Settings { max_holds: 0, max_deletes: 100, ..settings };
        let good: Vec<Point> = points.iter().filter(|p| p.state == PointState::Good).cloned().collect();
        let alone = plan(&good, &settings.rules());
        let beside = plan(&points, &settings.rules());
        for (alone, beside) in alone.iter().zip(beside.iter().filter(|d| d.point.state == PointState::Good)) {
            prop_assert_eq!(alone.snapshot.stays(), beside.snapshot.stays());
        }
    }

    /// L20: its copy may be under way, or made, and the ledger an older one. A copy that takes longer than the time between
    /// runs would else never end well.
    #[test]
    fn law_1_a_point_of_which_the_ledger_has_no_word_stays(points in points(), settings in settings()) {
        for decision in plan(&points, &settings.rules()) {
            prop_assert!(decision.point.state != PointState::Unrecorded || decision.snapshot.stays());
        }
    }

    #[test]
    fn law_3_only_earlier_recorded_runs_are_judged(points in points(), settings in settings()) {
        for decision in lost(&plan(&points, &settings.rules())) {
            let point = &decision.point;
            prop_assert!(settings.judges(point) || point.terminating, "{} is not earlier", point.run);
            prop_assert!(point.state != PointState::Waiting);
        }
    }

    #[test]
    fn law_3_a_promoter_stays_until_its_copy_is_recorded(points in points(), settings in settings()) {
        // Of those that wait for their copies while the controller is away, the newest keep theirs: its snapshot can make
        // it again.
        let waiting: BTreeSet<Run> = newer_than_good(&points)
            .filter(|p| p.state == PointState::Unrecorded && !p.terminating).map(|p| p.run.clone()).collect();
        let crowded: BTreeSet<&Run> = waiting.iter().rev().skip(settings.max_unconfirmed).collect();
        for decision in plan(&points, &settings.rules()) {
            if decision.loss() == Some(Loss::Promoter) && !crowded.contains(&decision.point.run) {
                prop_assert!(matches!(decision.point.state, PointState::Good | PointState::Incomplete | PointState::Unconfirmed | PointState::Unsure | PointState::Dead));
                // Good by one copy, and another is not made yet: a destination that is down keeps its chance.
                prop_assert!(decision.point.promoter.as_ref().is_some_and(|p| !p.awaited));
            }
        }
    }

    /// A slip of a setting or a clock cannot empty a source at once.
    #[test]
    fn the_brake_lets_only_so_many_go_and_the_oldest_first(points in points(), settings in settings()) {
        let decisions = plan(&points, &settings.rules());
        for loss in [Loss::Point, Loss::Promoter] {
            let goes: Vec<&Decision> = decisions.iter().filter(|d| d.loss() == Some(loss)).collect();
            let now = goes.iter().filter(|d| !d.waits()).count();
            prop_assert_eq!(now, goes.len().min(settings.max_deletes));
            prop_assert!(goes.iter().skip(now).all(|d| d.waits()), "one that waits is older");
        }
    }

    #[test]
    fn the_brake_changes_when_things_go_and_not_which(points in points(), settings in settings()) {
        let at_once = after(&plan(&points, &Settings { max_deletes: 100, ..settings.clone() }.rules()));
        let slowly = in_the_end(&points, &Settings { max_deletes: 1, ..settings });
        prop_assert_eq!(at_once, slowly);
    }

    #[test]
    fn what_a_user_holds_stays_up_to_the_bound(points in points(), settings in settings()) {
        let honoured = honoured(&points, &settings);
        for decision in lost(&plan(&points, &settings.rules())) {
            prop_assert!(!honoured.contains(&decision.point.run), "{}", decision.point.run);
        }
    }

    #[test]
    fn a_hold_costs_no_other_point_its_snapshot(points in points(), settings in settings()) {
        let settings = Settings { max_holds: 100, max_deletes: 100, ..settings };
        let mut free = points.clone();
        for point in &mut free {
            point.held = false;
            point.promoter.iter_mut().for_each(|p| p.held = false);
        }
        let honoured = honoured(&points, &settings);
        for (held, free) in plan(&points, &settings.rules()).iter().zip(plan(&free, &settings.rules())) {
            prop_assert!(honoured.contains(&held.point.run) || held.snapshot.stays() == free.snapshot.stays());
        }
    }

    #[test]
    fn what_is_being_deleted_is_not_deleted_again(points in points(), settings in settings()) {
        for decision in plan(&points, &settings.rules()) {
            prop_assert!(!decision.point.terminating || decision.snapshot == Verdict::Keep("being deleted already".into()));
            let promoter = decision.point.promoter.as_ref().zip(decision.promoter.as_ref());
            prop_assert!(promoter.is_none_or(|(p, verdict)| !p.terminating || verdict.stays()));
        }
    }

    /// F15: never the snapshot alone.
    #[test]
    fn a_promoter_goes_with_its_snapshot(points in points(), settings in settings()) {
        for decision in plan(&points, &settings.rules()) {
            let Some((promoter, verdict)) = decision.point.promoter.as_ref().zip(decision.promoter.as_ref()) else { continue };
            if !promoter.terminating && !decision.snapshot.stays() {
                prop_assert_eq!(verdict.deletes(), decision.snapshot.deletes());
                prop_assert!(!verdict.stays());
            }
        }
    }

    /// As long as a point stays that could be mounted, one that stays can be.
    #[test]
    fn of_full_clones_the_newest_that_stays_can_be_mounted(points in points(), settings in settings()) {
        let settings = Settings { promoters: PromoterRetention::Auto, ..settings };
        let mounts = |p: &Point| is_restorable(p) && !p.terminating && p.promoter.as_ref().is_some_and(|p| !p.terminating);
        let decisions = plan(&points, &settings.rules());
        let could = decisions.iter().any(|d| d.snapshot.stays() && mounts(&d.point));
        prop_assert!(!could || after(&decisions).iter().any(mounts));
    }

    #[test]
    fn law_8_the_same_state_gives_the_same_plan_in_any_order(points in points(), settings in settings()) {
        let mut turned = points.clone();
        turned.reverse();
        prop_assert_eq!(plan(&points, &settings.rules()), plan(&turned, &settings.rules()));
    }

    /// Law 10: every point has a decision, and every decision a reason.
    #[test]
    fn law_10_every_point_is_in_the_plan_with_a_reason(points in points(), settings in settings()) {
        let decisions = plan(&points, &settings.rules());
        prop_assert_eq!(decisions.len(), points.len());
        for decision in decisions {
            prop_assert_eq!(decision.promoter.is_some(), decision.point.promoter.is_some());
            prop_assert!(std::iter::once(&decision.snapshot).chain(&decision.promoter).all(|v| !v.why().is_empty()));
        }
    }

    /// After the grace of a vanished source its floor ends, and nothing is left behind.
    #[test]
    fn without_a_floor_all_that_is_recorded_goes_in_the_end(points in points(), settings in settings()) {
        let settings = Settings {
            current: None, min_keep: 0, max_unconfirmed: 0, max_holds: 0, max_deletes: 3,
            now: Span::days(4000).after(start()), retention: "30d".parse().unwrap(), ..settings
        };
        for point in in_the_end(&points, &settings) {
            prop_assert!(point.terminating || matches!(point.state, PointState::Waiting | PointState::Unrecorded), "{point:?}");
        }
    }
}

/// L8: every copy is incomplete for one file that can never be read, and what was kept was one old good point and the last
/// three.
#[test]
fn one_file_that_can_never_be_read_leaves_the_history_as_long_as_the_retention_says() {
    let point = |day: u64| Point {
        run: run_at(4 * day),
        id: Identity::default(),
        state: if day == 0 { PointState::Good } else { PointState::Incomplete },
        held: false,
        terminating: false,
        promoter: None,
    };
    let points: Vec<Point> = (0..40).map(point).collect();
    for retention in ["30days", "daily=30", "last=30"] {
        let settings = Settings {
            retention: retention.parse().unwrap(),
            zone: Zone::utc(),
            now: Span::hours(1).after(run_at(4 * 39).time()),
            current: None,
            min_keep: 1,
            max_unconfirmed: 3,
            max_deletes: 100,
            max_holds: 0,
            promoters: PromoterRetention::Auto,
        };
        let left = in_the_end(&points, &settings);
        assert_eq!((left.len(), left[0].state), (31, PointState::Good), "{retention}");
    }
}

/// L7: the snapshots of a source without destinations lose their contents. What was made of them stays.
#[test]
fn promoters_of_snapshots_that_were_ready_once_stay() {
    let point = |day: u64| Point {
        run: run_at(4 * day),
        id: Identity::default(),
        state: if day < 5 { PointState::Lost } else { PointState::Dead },
        held: false,
        terminating: false,
        promoter: Some(PromoterPoint {
            id: Identity::default(),
            read_only: false,
            awaited: false,
            held: false,
            terminating: false,
        }),
    };
    let points: Vec<Point> = (0..8).map(point).collect();
    for promoters in [PromoterRetention::Auto, PromoterRetention::Keep, PromoterRetention::Release] {
        let settings = Settings {
            retention: "10days".parse().unwrap(),
            zone: Zone::utc(),
            now: run_at(4 * 9).time(),
            current: None,
            min_keep: 1,
            max_unconfirmed: 3,
            max_deletes: 100,
            max_holds: 0,
            promoters,
        };
        let left = in_the_end(&points, &settings);
        assert!(left.iter().all(|p| p.state == PointState::Lost && p.promoter.is_some()), "{promoters:?}");
        assert_eq!(left.len(), 5, "{promoters:?}: those that never were ready go");
    }
}
