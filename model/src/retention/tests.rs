use proptest::prelude::*;

use super::*;

fn utc(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn retention(text: &str) -> Retention {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn fault(text: &str) -> String {
    text.parse::<Retention>().expect_err(text).to_string()
}

/// The points that are kept, in the order given, with their reasons.
fn kept(rules: &str, points: &[&str], now: &str, zone: &str) -> Vec<String> {
    let times: Vec<Timestamp> = points.iter().map(|p| utc(p)).collect();
    let reasons = retention(rules).judge(&times, utc(now), &zone.parse().unwrap());
    assert_eq!(reasons.len(), points.len());
    points.iter().zip(reasons).filter_map(|(point, reason)| Some(format!("{point} {}", reason?))).collect()
}

// F76: the origin's own text, `2days`, must parse.
#[test]
fn a_retention_is_an_age_or_keep_rules() {
    for (text, canonical) in [
        ("2days", "2d"),
        (" 1w 2d ", "9d"),
        ("36h", "1d 12h"),
        ("last=3", "last=3"),
        ("daily=7 last=3", "last=3 daily=7"),
        (
            "yearly=2  monthly=6\tweekly=5 daily=7 hourly=24 last=3",
            "last=3 hourly=24 daily=7 weekly=5 monthly=6 yearly=2",
        ),
        ("within=2d", "within=2d"),
        ("within=36h daily=7", "daily=7 within=1d12h"),
        ("last=0 daily=7", "daily=7"),
        ("daily=7 within=0s", "daily=7"),
    ] {
        assert_eq!(retention(text).to_string(), canonical);
        assert_eq!(retention(canonical), retention(text));
    }
}

// F76, F82, F83: what cannot be read, is empty or keeps nothing is no retention.
#[test]
fn what_is_unreadable_or_keeps_nothing_is_refused_with_what_is_allowed() {
    for (text, part) in [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("2", "neither an age nor a rule"),
        ("forever", "neither an age nor a rule"),
        ("-2days", "neither an age nor a rule"),
        ("0d", "it keeps nothing"),
        ("last=0", "it keeps nothing"),
        ("last=0 daily=0 within=0h", "it keeps nothing"),
        ("daily=7 daily=7", "the rule daily occurs twice"),
        ("last=0 last=3", "the rule last occurs twice"),
        ("within=1d within=2d", "the rule within occurs twice"),
        ("daily=-1", "\"-1\" is not a whole number"),
        ("daily=+1", "\"+1\" is not a whole number"),
        ("daily=", "\"\" is not a whole number"),
        ("daily=all", "\"all\" is not a whole number"),
        ("daily=99999999999", "is not a whole number up to 4294967295"),
        ("keep-daily=7", "unknown rule \"keep-daily\" (did you mean `daily=7`?)"),
        ("--keep-last=7", "(did you mean `last=7`?)"),
        ("Daily=7", "(did you mean `daily=7`?)"),
        ("minutely=7", "unknown rule \"minutely\""),
        ("=7", "unknown rule \"\""),
        ("daily = 7", "\"daily\" is not a rule"),
        ("2days daily=7", "write an age beside rules as `within=`"),
        ("within=1w 2d", "\"2d\" is not a rule"),
        ("within=2", "\"2\" is not a duration"),
        ("last=3,daily=7", "\"3,daily=7\" is not a whole number"),
    ] {
        let message = fault(text);
        assert!(message.contains(part), "{text}: {message}");
        assert!(message.contains("last, hourly, daily, weekly, monthly, yearly"), "{message}");
    }
    assert!(fault(&"x=".repeat(100_000)).len() < 600);
    assert!(serde_yaml::from_str::<Retention>("2").unwrap_err().to_string().contains("neither an age"));
    assert_eq!(serde_yaml::from_str::<Retention>("2days").unwrap(), Retention::age(Span::days(2)));
    assert_eq!(serde_json::to_string(&retention("daily=7")).unwrap(), "\"daily=7\"");
}

/// A11: who comes from another tool is told what he would write here.
#[test]
fn what_other_tools_write_is_refused_with_what_it_may_mean() {
    for (text, meant) in [
        ("7", "`7d` or `last=7`"),
        ("1M", "`1month`"),
        ("P1M", "`1month`"),
        ("P1Y6M", "`1y 6months`"),
        ("P2W", "`2w`"),
        ("PT36H", "`36h`"),
        ("daily=7,weekly=5", "`daily=7 weekly=5`"),
        ("daily = 7", "`daily=7`"),
        ("keep-daily 7", "`daily=7`"),
        ("--keep-daily 7 --keep-within 30d", "`daily=7 within=30d`"),
        ("keepDaily: 7, keepLast: 3", "`daily=7 last=3`"),
        (r#"{"daily": 7}"#, "`daily=7`"),
    ] {
        let message = fault(text);
        assert!(message.contains(&format!("(did you mean {meant}?)")), "{text}: {message}");
    }
    for text in
        ["P", "PT", "forever", "M", "keep", "keep-daily", "daily=7,weekly", "last=0", "P1X", "0", &"7".repeat(300)]
    {
        assert!(!fault(text).contains("did you mean"), "{text}: {}", fault(text));
    }
}

#[test]
fn an_age_keeps_what_is_younger() {
    let points = ["2026-03-01T03:00:00Z", "2026-03-01T03:00:01Z", "2026-03-03T02:59:59Z", "2026-03-03T03:00:00Z"];
    // Of a daily run, two days are two points: today's and yesterday's.
    assert_eq!(
        kept("2days", &points, "2026-03-03T03:00:00Z", "Etc/UTC"),
        [
            "2026-03-01T03:00:01Z younger than 2d",
            "2026-03-03T02:59:59Z younger than 2d",
            "2026-03-03T03:00:00Z younger than 2d",
        ]
    );
}

#[test]
fn the_newest_of_a_day_is_kept_and_days_without_a_point_do_not_count() {
    let points = [
        "2026-03-01T03:00:00Z",
        "2026-03-05T03:00:00Z",
        "2026-03-05T21:00:00Z",
        "2026-03-09T03:00:00Z",
        "2026-03-09T02:00:00Z",
    ];
    assert_eq!(
        kept("daily=2", &points, "2026-04-01T00:00:00Z", "Etc/UTC"),
        ["2026-03-05T21:00:00Z daily 2/2", "2026-03-09T03:00:00Z daily 1/2"]
    );
}

#[test]
fn one_rule_is_enough_and_all_that_keep_are_named() {
    let points = ["2026-01-20T03:00:00Z", "2026-01-31T03:00:00Z", "2026-02-28T03:00:00Z", "2026-03-01T03:00:00Z"];
    assert_eq!(
        kept("last=1 daily=2 monthly=3 within=1d", &points, "2026-03-01T12:00:00Z", "Etc/UTC"),
        [
            "2026-01-31T03:00:00Z monthly 3/3",
            "2026-02-28T03:00:00Z daily 2/2, monthly 2/3",
            "2026-03-01T03:00:00Z younger than 1d, last 1/1, daily 1/2, monthly 1/3",
        ]
    );
}

#[test]
fn a_week_is_an_iso_week_year_at_new_year() {
    // 2026-W53 lasts from Monday 28 December to Sunday 3 January.
    let points = [
        "2026-12-27T12:00:00Z",
        "2026-12-28T12:00:00Z",
        "2026-12-31T12:00:00Z",
        "2027-01-01T12:00:00Z",
        "2027-01-03T12:00:00Z",
        "2027-01-04T12:00:00Z",
    ];
    assert_eq!(
        kept("weekly=9", &points, "2027-02-01T00:00:00Z", "Etc/UTC"),
        ["2026-12-27T12:00:00Z weekly 3/9", "2027-01-03T12:00:00Z weekly 2/9", "2027-01-04T12:00:00Z weekly 1/9",]
    );
    // 2025-W01 begins in 2024: with the calendar year it would be week 1 of 2024.
    let points = ["2024-01-03T12:00:00Z", "2024-12-30T12:00:00Z", "2025-01-02T12:00:00Z"];
    assert_eq!(
        kept("weekly=9", &points, "2025-02-01T00:00:00Z", "Etc/UTC"),
        ["2024-01-03T12:00:00Z weekly 2/9", "2025-01-02T12:00:00Z weekly 1/9"]
    );
}

#[test]
fn days_and_years_are_those_of_the_zone() {
    let points = ["2026-12-31T22:30:00Z", "2026-12-31T23:30:00Z"];
    let now = "2027-01-05T00:00:00Z";
    for rules in ["daily=5", "monthly=5", "yearly=5"] {
        assert_eq!(kept(rules, &points, now, "Europe/Amsterdam").len(), 2, "{rules}");
        assert_eq!(kept(rules, &points, now, "Etc/UTC").len(), 1, "{rules}");
    }
}

// F61
#[test]
fn an_hour_that_the_clock_shows_twice_is_two_hours() {
    let points = ["2026-10-25T00:30:00Z", "2026-10-25T01:15:00Z", "2026-10-25T01:30:00Z"];
    assert_eq!(
        kept("hourly=5", &points, "2026-10-26T00:00:00Z", "Europe/Amsterdam"),
        ["2026-10-25T00:30:00Z hourly 2/5", "2026-10-25T01:30:00Z hourly 1/5"]
    );
    assert_eq!(kept("daily=5", &points, "2026-10-26T00:00:00Z", "Europe/Amsterdam").len(), 1);
}

// F61: a clock that slipped into the future and back.
#[test]
fn a_point_in_the_future_is_kept_and_takes_no_place() {
    let points = ["2030-01-01T00:00:00Z", "2026-03-01T03:00:00Z", "2026-03-02T03:00:00Z", "2031-01-01T00:00:00Z"];
    for (rules, reason) in [("last=1", "last 1/1"), ("yearly=1", "yearly 1/1"), ("1d", "younger than 1d")] {
        assert_eq!(
            kept(rules, &points, "2026-03-02T03:00:00Z", "Etc/UTC"),
            [
                "2030-01-01T00:00:00Z later than now".to_owned(),
                format!("2026-03-02T03:00:00Z {reason}"),
                "2031-01-01T00:00:00Z later than now".to_owned(),
            ]
        );
    }
}

#[test]
fn no_points_are_no_fault() {
    assert!(kept("last=3", &[], "2026-03-02T03:00:00Z", "Etc/UTC").is_empty());
}

#[test]
fn how_far_a_retention_reaches_follows_from_the_interval_too() {
    for (rules, interval, days) in [
        ("2days", 1, 2),
        ("monthly=6", 1, 186),
        ("last=3", 1, 3),
        ("last=3", 7, 21),
        ("daily=7", 7, 49),
        ("last=3 hourly=24 daily=7 weekly=5 monthly=6 yearly=2", 1, 732),
        ("last=1 within=30d", 1, 30),
    ] {
        assert_eq!(retention(rules).longest(Span::days(interval)), Span::days(days), "{rules}");
    }
    // A number that no cluster can hold does not pass as a short one.
    assert!(retention("last=4294967295").longest(Span::hours(1)) > Span::days(100_000));
    assert_eq!(retention("yearly=4294967295").longest(Span::hours(1)), Span::days(366).times(4_294_967_295));
}

fn rules() -> impl Strategy<Value = Retention> {
    let counts = prop::array::uniform6(prop_oneof![3 => Just(0u32), 2 => 1u32..9]);
    let within = prop::option::of((1u64..60).prop_map(Span::hours));
    prop_oneof![
        1 => (1u64..90).prop_map(|n| Retention::age(Span::days(n))),
        5 => (counts, within)
            .prop_filter("keeps nothing", |(counts, within)| within.is_some() || counts.iter().any(|c| *c > 0))
            .prop_map(|(counts, within)| Retention(Kind::Rules { counts, within })),
    ]
}

fn zones() -> impl Strategy<Value = Zone> {
    prop::sample::select(vec!["Etc/UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kathmandu"])
        .prop_map(|name| name.parse().expect(name))
}

const BASE: i64 = 1_790_000_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_shown_reads_back_the_same(rules in rules()) {
        prop_assert_eq!(rules.to_string().parse::<Retention>().unwrap(), rules);
    }

    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,20}|[a-z=0-9 -]{0,30}|(daily|last|within)=[0-9dh]{0,12}") {
        if let Ok(rules) = text.parse::<Retention>() {
            prop_assert!(rules.longest(Span::hours(1)) > Span::ZERO);
        }
    }

    /// In the words of the grammar: a rule keeps a point if no other point of its bucket is
    /// newer, and if fewer than its number of buckets are newer.
    #[test]
    fn kept_is_what_the_rules_say(
        rules in rules(),
        zone in zones(),
        offsets in prop::collection::btree_set(0i64..40_000_000, 0..60).prop_map(Vec::from_iter).prop_shuffle(),
        seed in any::<u64>(),
    ) {
        let mut points: Vec<Timestamp> = offsets.iter().map(|s| Timestamp::from_second(BASE - s).unwrap()).collect();
        let now = Timestamp::from_second(BASE).unwrap();
        let judged = rules.judge(&points, now, &zone);
        for (i, &point) in points.iter().enumerate() {
            let bucket = |unit: Unit, i: usize| unit.bucket(&zone.civil(points[i]), i);
            let by_rule = rules.counts().any(|(unit, count)| {
                let newer = (0..points.len()).filter(|&j| points[j] > point);
                let newer: BTreeSet<_> = newer.map(|j| bucket(unit, j)).collect();
                !newer.contains(&bucket(unit, i)) && newer.len() < count as usize
            });
            let by_age = rules.kept_age().is_some_and(|age| Span::between(point, now) < age);
            prop_assert_eq!(judged[i].is_some(), by_rule || by_age, "{} of {:?}", point, rules);
        }
        // The order in which the points are listed decides nothing.
        let by_point: std::collections::BTreeMap<_, _> = points.iter().copied().zip(judged).collect();
        let turn = usize::try_from(seed % 60).unwrap() % points.len().max(1);
        points.rotate_left(turn);
        for (point, reason) in points.iter().zip(rules.judge(&points, now, &zone)) {
            prop_assert_eq!(&by_point[point], &reason);
        }
    }

    /// Deleting what has expired after each run leaves the same as judging all runs at the end:
    /// nothing that a rule will want later is lost on the way.
    #[test]
    fn rotating_every_day_loses_nothing_that_is_wanted_later(
        rules in rules(),
        zone in zones(),
        gaps in prop::collection::vec(1i64..200, 1..120),
    ) {
        let mut now = BASE;
        let (mut all, mut rotated) = (Vec::new(), Vec::new());
        let keep = |points: &[Timestamp], now| -> Vec<Timestamp> {
            let judged = rules.judge(points, now, &zone);
            points.iter().zip(judged).filter(|(_, reason)| reason.is_some()).map(|(point, _)| *point).collect()
        };
        for gap in gaps {
            now += gap * 3600;
            let moment = Timestamp::from_second(now).unwrap();
            all.push(moment);
            rotated.push(moment);
            rotated = keep(&rotated, moment);
        }
        prop_assert_eq!(rotated, keep(&all, Timestamp::from_second(now).unwrap()));
    }
}

#[test]
fn of_two_retentions_each_keeps_what_it_keeps() {
    let read = |text: &str| text.parse::<Retention>().unwrap();
    for (a, b, both) in [
        ("2d", "3d", "3d"),
        ("last=1", "daily=7", "last=1 daily=7"),
        ("daily=7 within=1d", "daily=3 weekly=2", "daily=7 weekly=2 within=1d"),
        ("last=1", "2d", "last=1 within=2d"),
    ] {
        assert_eq!(read(a).or(&read(b)).to_string(), both);
        assert_eq!(read(b).or(&read(a)), read(a).or(&read(b)));
    }
}
