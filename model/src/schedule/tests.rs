use std::fmt::Write as _;

use chrono::{Datelike as _, NaiveDate};
use proptest::prelude::*;

use k8s_openapi::jiff::Timestamp;

use super::fields::values;
use super::*;
use crate::duration::Span;

fn utc(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn schedule(text: &str) -> Schedule {
    Schedule::parse(text, "seed").unwrap_or_else(|e| panic!("{e}"))
}

fn fault(text: &str) -> String {
    Schedule::parse(text, "seed").expect_err(text).to_string()
}

/// As the zone's clock shows it, with the hours east of UTC: `2026-01-05T03:00+00`.
fn shown_in(zone: &Zone, moment: Timestamp) -> String {
    let c = zone.civil(moment);
    format!("{}-{:02}-{:02}T{:02}:{:02}{:+03}", c.year, c.month, c.day, c.hour, c.minute, c.utc_offset / 3600)
}

/// Zone, schedule, moment, and the runs that follow it. Each row was run with the parser and the
/// `Next` of Kubernetes' CronJob controller (robfig/cron 3.0.1); so were 300,000 more, by hand.
const VECTORS: &[(&str, &str, &str, &str)] = &[
    // weekdays count from Sunday as 0
    ("Etc/UTC", "0 3 * * 1", "2026-01-01T00:00:00Z", "2026-01-05T03:00+00 2026-01-12T03:00+00"),
    ("Etc/UTC", "0 3 * * 0", "2026-01-01T00:00:00Z", "2026-01-04T03:00+00 2026-01-11T03:00+00"),
    ("Etc/UTC", "0 3 * * 6", "2026-01-01T00:00:00Z", "2026-01-03T03:00+00"),
    ("Etc/UTC", "0 3 * * MON-fri", "2026-01-02T03:00:00Z", "2026-01-05T03:00+00 2026-01-06T03:00+00"),
    (
        "Etc/UTC",
        "0 3 * * Sun,wed",
        "2026-01-02T03:00:00Z",
        "2026-01-04T03:00+00 2026-01-07T03:00+00 2026-01-11T03:00+00",
    ),
    ("Etc/UTC", "0 3 * * 1-5/2", "2026-01-02T03:00:00Z", "2026-01-05T03:00+00 2026-01-07T03:00+00 2026-01-09T03:00+00"),
    ("Etc/UTC", "0 3 * * Mon/2", "2026-01-02T03:00:00Z", "2026-01-05T03:00+00 2026-01-07T03:00+00 2026-01-09T03:00+00"),
    // day of month OR weekday
    (
        "Etc/UTC",
        "0 0 13 * 5",
        "2026-02-01T00:00:00Z",
        "2026-02-06T00:00+00 2026-02-13T00:00+00 2026-02-20T00:00+00 2026-02-27T00:00+00 2026-03-06T00:00+00",
    ),
    (
        "Etc/UTC",
        "0 0 1,15 * Sun",
        "2026-06-30T00:00:00Z",
        "2026-07-01T00:00+00 2026-07-05T00:00+00 2026-07-12T00:00+00 2026-07-15T00:00+00",
    ),
    (
        "Etc/UTC",
        "0 0 */10 * Sun",
        "2026-07-11T00:00:00Z",
        "2026-07-12T00:00+00 2026-07-19T00:00+00 2026-07-21T00:00+00 2026-07-26T00:00+00",
    ),
    (
        "Etc/UTC",
        "0 0 */2 * 3",
        "2026-07-01T00:00:00Z",
        "2026-07-03T00:00+00 2026-07-05T00:00+00 2026-07-07T00:00+00 2026-07-08T00:00+00",
    ),
    (
        "Etc/UTC",
        "0 0 13 * */2",
        "2026-02-10T00:00:00Z",
        "2026-02-12T00:00+00 2026-02-13T00:00+00 2026-02-14T00:00+00 2026-02-15T00:00+00",
    ),
    // a star on either side: both must match
    ("Etc/UTC", "0 0 13 * *", "2026-02-01T00:00:00Z", "2026-02-13T00:00+00 2026-03-13T00:00+00"),
    ("Etc/UTC", "0 0 ? * 5", "2026-02-01T00:00:00Z", "2026-02-06T00:00+00 2026-02-13T00:00+00"),
    ("Etc/UTC", "0 0 */1 * 5", "2026-02-01T00:00:00Z", "2026-02-06T00:00+00 2026-02-13T00:00+00"),
    ("Etc/UTC", "0 0 13 * 5,*", "2026-02-01T00:00:00Z", "2026-02-13T00:00+00 2026-03-13T00:00+00"),
    // months, names, steps
    ("Etc/UTC", "30 8 15 Jul ?", "2026-01-01T00:00:00Z", "2026-07-15T08:30+00 2027-07-15T08:30+00"),
    (
        "Etc/UTC",
        "0 0 9 APR-oct *",
        "2026-07-09T23:35:00Z",
        "2026-08-09T00:00+00 2026-09-09T00:00+00 2026-10-09T00:00+00 2027-04-09T00:00+00",
    ),
    ("Etc/UTC", "0 0 1 1/5 *", "2026-01-01T00:00:00Z", "2026-06-01T00:00+00 2026-11-01T00:00+00 2027-01-01T00:00+00"),
    ("Etc/UTC", "5/15 * * * *", "2026-01-01T00:50:00Z", "2026-01-01T01:05+00 2026-01-01T01:20+00"),
    (
        "Etc/UTC",
        "20-35/15 * * * *",
        "2026-01-01T23:46:00Z",
        "2026-01-02T00:20+00 2026-01-02T00:35+00 2026-01-02T01:20+00",
    ),
    ("Etc/UTC", "*/7 0 * * *", "2026-01-01T00:50:00Z", "2026-01-01T00:56+00 2026-01-02T00:00+00"),
    ("Etc/UTC", "*/90 * * * *", "2026-01-01T00:50:00Z", "2026-01-01T01:00+00 2026-01-01T02:00+00"),
    ("Etc/UTC", "* * * * *", "2025-12-31T23:59:59Z", "2026-01-01T00:00+00 2026-01-01T00:01+00"),
    ("Etc/UTC", "* * * * *", "2025-12-31T23:59:00Z", "2026-01-01T00:00+00"),
    // macros
    ("Etc/UTC", "@yearly", "2026-03-05T10:20:30Z", "2027-01-01T00:00+00 2028-01-01T00:00+00"),
    ("Etc/UTC", "@annually", "2026-03-05T10:20:30Z", "2027-01-01T00:00+00"),
    ("Etc/UTC", "@monthly", "2026-03-05T10:20:30Z", "2026-04-01T00:00+00 2026-05-01T00:00+00"),
    ("Etc/UTC", "@weekly", "2026-03-05T10:20:30Z", "2026-03-08T00:00+00 2026-03-15T00:00+00"),
    ("Etc/UTC", "@daily", "2026-03-05T10:20:30Z", "2026-03-06T00:00+00 2026-03-07T00:00+00"),
    ("Etc/UTC", "@midnight", "2026-03-05T10:20:30Z", "2026-03-06T00:00+00"),
    ("Etc/UTC", "@hourly", "2026-03-05T10:20:30Z", "2026-03-05T11:00+00 2026-03-05T12:00+00"),
    // leap days
    ("Etc/UTC", "0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00+00 2032-02-29T00:00+00"),
    ("Etc/UTC", "0 0 29 2 1", "2028-02-25T00:00:00Z", "2028-02-28T00:00+00 2028-02-29T00:00+00"),
    ("Etc/UTC", "0 0 29 * *", "2027-01-30T00:00:00Z", "2027-03-29T00:00+00 2027-04-29T00:00+00"),
    ("Etc/UTC", "0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00+00 2026-05-31T00:00+00 2026-07-31T00:00+00"),
    ("Etc/UTC", "59 23 28-31 * *", "2026-02-27T00:00:00Z", "2026-02-28T23:59+00 2026-03-28T23:59+00"),
    // the clock goes forward
    ("Europe/Amsterdam", "30 2 * * *", "2026-03-28T00:00:00Z", "2026-03-28T02:30+01 2026-03-30T02:30+02"),
    ("Europe/Amsterdam", "0 3 * * *", "2026-03-28T12:00:00Z", "2026-03-29T03:00+02 2026-03-30T03:00+02"),
    ("Europe/Amsterdam", "0 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T02:00+02"),
    ("Europe/Amsterdam", "0 * * * *", "2026-03-29T00:00:00Z", "2026-03-29T03:00+02 2026-03-29T04:00+02"),
    (
        "Europe/Amsterdam",
        "*/30 1-3 * * *",
        "2026-03-29T00:00:00Z",
        "2026-03-29T01:30+01 2026-03-29T03:00+02 2026-03-29T03:30+02 2026-03-30T01:00+02",
    ),
    ("Europe/Amsterdam", "30 2 29 3 *", "2026-01-01T00:00:00Z", "2027-03-29T02:30+02"),
    ("Europe/Amsterdam", "0 0 * * 0", "2026-03-28T12:00:00Z", "2026-03-29T00:00+01 2026-04-05T00:00+02"),
    ("America/New_York", "0 1 * * *", "2026-03-08T05:00:00Z", "2026-03-08T01:00-05 2026-03-09T01:00-04"),
    ("America/New_York", "0 2 * * *", "2026-03-08T05:00:00Z", "2026-03-09T02:00-04"),
    ("America/New_York", "30 2 8 Mar ?", "2026-03-08T05:00:00Z", "2027-03-08T02:30-05"),
    // the clock goes back
    (
        "Europe/Amsterdam",
        "30 2 * * *",
        "2026-10-24T12:00:00Z",
        "2026-10-25T02:30+02 2026-10-25T02:30+01 2026-10-26T02:30+01",
    ),
    (
        "Europe/Amsterdam",
        "0 * * * *",
        "2026-10-24T23:00:00Z",
        "2026-10-25T02:00+02 2026-10-25T02:00+01 2026-10-25T03:00+01 2026-10-25T04:00+01",
    ),
    (
        "Europe/Amsterdam",
        "*/20 2 * * *",
        "2026-10-24T23:00:00Z",
        "2026-10-25T02:00+02 2026-10-25T02:20+02 2026-10-25T02:40+02 2026-10-25T02:00+01 2026-10-25T02:20+01 2026-10-25T02:40+01 2026-10-26T02:00+01",
    ),
    ("Europe/Amsterdam", "0 3 * * *", "2026-10-24T12:00:00Z", "2026-10-25T03:00+01 2026-10-26T03:00+01"),
    ("Europe/Amsterdam", "59 1 * * *", "2026-10-24T12:00:00Z", "2026-10-25T01:59+02 2026-10-26T01:59+01"),
    (
        "Europe/Amsterdam",
        "30 2 * * 0",
        "2026-10-24T12:00:00Z",
        "2026-10-25T02:30+02 2026-10-25T02:30+01 2026-11-01T02:30+01",
    ),
    (
        "America/New_York",
        "0 1 * * *",
        "2026-11-01T04:00:00Z",
        "2026-11-01T01:00-04 2026-11-01T01:00-05 2026-11-02T01:00-05",
    ),
    ("America/New_York", "30 1 1 11 ?", "2026-11-01T05:45:00Z", "2026-11-01T01:30-05 2027-11-01T01:30-04"),
    ("America/New_York", "0 2 * * *", "2026-11-01T04:00:00Z", "2026-11-01T02:00-05 2026-11-02T02:00-05"),
    // zones without whole hours, and a day that never was
    ("Asia/Kathmandu", "0 3 * * *", "2026-01-01T00:00:00Z", "2026-01-02T03:00+05"),
    ("Pacific/Apia", "0 12 * * *", "2011-12-29T23:00:00Z", "2011-12-31T12:00+14 2012-01-01T12:00+14"),
];

// F61
#[test]
fn runs_are_due_when_kubernetes_starts_them() {
    for (zone, text, from, runs) in VECTORS {
        let zone: Zone = zone.parse().unwrap();
        let schedule = schedule(text);
        let mut moment = utc(from);
        for run in runs.split(' ') {
            let next = schedule.next_after(moment, &zone).expect(text);
            assert_eq!(shown_in(&zone, next), run, "{text} in {zone} after {moment}");
            assert_eq!(schedule.previous_at_or_before(next, &zone), Some(next), "{text}");
            let before = schedule.previous_at_or_before(Span::from_secs(1).before(next), &zone).expect(text);
            assert!(before <= moment, "{text} in {zone}: {before} lies between {moment} and {next}");
            assert_eq!(schedule.next_after(before, &zone), Some(next), "{text} in {zone}");
            moment = next;
        }
    }
}

#[test]
fn what_kubernetes_refuses_is_refused_with_the_field_and_what_is_allowed() {
    for (text, parts) in [
        ("", ["it is empty", "@daily"]),
        ("* * * *", ["it needs five fields", "but has 4"]),
        ("0 0 3 * * *", ["but has 6", "no field for seconds"]),
        ("60 * * * *", ["minute \"60\": 60 is above 59", "use 0-59"]),
        ("0 24 * * *", ["hour \"24\": 24 is above 23", "use 0-23"]),
        ("0 0 0 * *", ["day of month \"0\": 0 is below 1", "use 1-31"]),
        ("0 0 32 * *", ["32 is above 31", "use 1-31"]),
        ("0 0 1 13 *", ["month \"13\": 13 is above 12", "JAN-DEC"]),
        ("0 0 1 FOO *", ["\"FOO\" is not a number", "JAN-DEC"]),
        ("0 0 1 January *", ["\"January\" is not a number", "JAN-DEC"]),
        ("0 0 * * 7", ["7 is above 6 (Sunday is 0)", "SUN-SAT"]),
        ("0 0 * * 5-7", ["7 is above 6 (Sunday is 0)", "SUN-SAT"]),
        ("0 0 L * *", ["`L`, `W` and `#` are not supported", "use 1-31"]),
        ("0 0 15W * *", ["`L`, `W` and `#` are not supported", "use 1-31"]),
        ("0 0 * * 5#2", ["`L`, `W` and `#` are not supported", "SUN-SAT"]),
        ("0 22-2 * * *", ["the range ends before it begins", "write 22-23,0-2"]),
        ("0 0 * * FRI-MON", ["write FRI-6,0-MON", "SUN-SAT"]),
        ("*/0 * * * *", ["the step must be at least 1", "use 0-59"]),
        ("*/x * * * *", ["the step \"x\" is not a number", "minute"]),
        ("1/2/3 * * * *", ["the step \"2/3\" is not a number", "minute"]),
        ("1-2-3 * * * *", ["\"2-3\" is not a number", "minute"]),
        ("1,,2 * * * *", ["an item is empty", "minute"]),
        (", * * * *", ["an item is empty", "minute"]),
        ("*-5 * * * *", ["\"*\" must stand alone", "minute"]),
        ("-5 * * * *", ["a number is missing", "minute"]),
        ("+5 * * * *", ["\"+5\" is not a number", "minute"]),
        ("99999999999 * * * *", ["is not a number", "minute"]),
        ("TZ=UTC 0 3 * * *", ["a schedule cannot contain a time zone", "time-zone"]),
        ("CRON_TZ=Asia/Tokyo @daily", ["a schedule cannot contain a time zone", "timeZone"]),
        ("@reboot", ["the macros are", "@midnight"]),
        ("@Daily", ["the macros are", "lower case"]),
        ("@every 1h", ["`@every` is not supported", "H H/6"]),
        ("0 0 31 2 *", ["never fires", "day 31 does not occur in month 2"]),
        ("0 0 30,31 FEB *", ["never fires", "30,31"]),
        ("0 0 31 4,6,9,11 *", ["never fires", "4,6,9,11"]),
    ] {
        let message = fault(text);
        for part in parts {
            assert!(message.contains(part), "{text}: {message}");
        }
        assert!(message.starts_with('"'), "{message}");
    }
    // A day that never comes and a weekday that does: either is enough.
    schedule("0 0 31 2 1");
    schedule("0 0 29 2 *");
}

#[test]
fn a_hostile_text_is_refused_briefly() {
    for text in ["1,".repeat(100_000), "\u{1b}[2J * * * *".into(), "H(".repeat(50)] {
        let message = fault(&text);
        assert!(message.len() < 500, "{}", message.len());
        assert!(!message.contains('\u{1b}'), "{message}");
    }
}

#[test]
fn what_kubernetes_gets_has_five_fields_or_a_macro() {
    for (text, kubernetes) in [
        ("  0   3 * *\t1 ", "0 3 * * 1"),
        ("@daily", "@daily"),
        (" @weekly ", "@weekly"),
        ("5/15 8-18/2 1,15 jan-JUN ?", "5/15 8-18/2 1,15 jan-JUN ?"),
    ] {
        assert_eq!(schedule(text).kubernetes(), kubernetes);
    }
}

// A release that gives other values moves every run of every volume.
#[test]
fn h_comes_to_the_same_for_ever() {
    let resolve = |text: &str, seed: &str| Schedule::parse(text, seed).unwrap().kubernetes().to_owned();
    let one = "shop/data/6f9c2c1e";
    assert_eq!(resolve("H H(0-5) * * *", one), "14 4 * * *");
    assert_eq!(resolve("H H H H H", one), "14 16 26 5 1");
    assert_eq!(resolve("H/15 H(8-18)/4 H(1-28)/7 * H(MON-FRI)", one), "14-59/15 8-18/4 5-28/7 * 2");
    assert_eq!(resolve("H,H(0-29) H/23 * * *", one), "14,27 8 * * *");
    assert_eq!(resolve("H H(0-5) * * *", "shop/data/7a"), "48 5 * * *");
}

#[test]
fn h_has_its_own_rules() {
    for (text, part) in [
        ("h * * * *", "`H` must be a capital letter"),
        ("H(5) * * * *", "for example `H(0-5)`"),
        ("H(0-5 * * * *", "for example `H(0-5)`"),
        ("H5 * * * *", "for example `H(0-5)`"),
        ("H(5-0) * * * *", "the range ends before it begins"),
        ("H(0-60) * * * *", "60 is above 59"),
        ("H(0-5)/7 * * * *", "the step 7 is larger than its range"),
        ("H/61 * * * *", "the step 61 is larger"),
        ("H/0 * * * *", "the step must be at least 1"),
        ("0 0 H(1-31) * *", "`H` must stay within 1-28"),
        // One source in twelve would never be backed up.
        ("0 0 30 H *", "the month that `H` selects may not have that day"),
        ("0 0 29-31 H(1-3) *", "may not have that day"),
    ] {
        let message = fault(text);
        assert!(message.contains(part), "{text}: {message}");
    }
    schedule("0 0 28-31 H *");
    schedule("0 0 30 H 1");
}

#[test]
fn ten_thousand_volumes_spread_over_the_six_hours() {
    let mut starts = std::collections::BTreeMap::<String, u32>::new();
    for n in 0..10_000 {
        let schedule = Schedule::parse("H H(0-5) * * *", &format!("ns/pvc-{n}/uid-{n}")).unwrap();
        *starts.entry(schedule.kubernetes().to_owned()).or_default() += 1;
    }
    // 28 a minute if it were even.
    assert_eq!(starts.len(), 360);
    let most = starts.values().max().copied().unwrap_or(0);
    assert!(most < 60, "{most} in one minute");
}

#[test]
fn the_shortest_interval_is_the_smallest_distance_of_two_runs() {
    for (text, interval) in [
        ("* * * * *", "1m"),
        ("*/15 * * * *", "15m"),
        ("*/7 * * * *", "4m"),
        ("0,59 * * * *", "1m"),
        ("5 * * * *", "1h"),
        ("0 */5 * * *", "4h"),
        ("0 0,23 * * *", "1h"),
        ("59,0 0 * * *", "59m"),
        ("59 23 * * *", "1d"),
        ("0 0,23 * * 1", "23h"),
        ("0 1,3 1 * *", "2h"),
        ("@hourly", "1h"),
        ("@daily", "1d"),
        ("@weekly", "7d"),
        ("@monthly", "28d"),
        ("@yearly", "365d"),
        ("0 3 * * 1-5", "1d"),
        ("0 3 * * 1,4", "3d"),
        ("0 3 * * 6,0", "1d"),
        ("0 3 31 * *", "31d"),
        ("0 3 30 * *", "30d"),
        ("0 3 29 2 *", "1461d"),
        ("0 3 1,15 * *", "14d"),
        ("0 3 31 12 1", "1d"),
        ("0 3 1-31/10 * *", "1d"),
        ("0 23 31 12 *", "365d"),
        ("0 0 1 1,12 *", "31d"),
        ("30 2 * * *", "1d"),
    ] {
        assert_eq!(schedule(text).shortest_interval().to_string(), interval, "{text}");
    }
}

#[test]
fn a_schedule_ends_with_the_table_of_years_and_not_with_a_panic() {
    let zone: Zone = "Europe/Amsterdam".parse().unwrap();
    let daily = schedule("0 3 * * *");
    assert_eq!(daily.next_after(utc("2101-01-01T00:00:00Z"), &zone), None);
    assert_eq!(daily.next_after(Timestamp::MAX, &zone), None);
    assert_eq!(daily.previous_at_or_before(utc("1969-01-01T00:00:00Z"), &zone), None);
    assert_eq!(daily.previous_at_or_before(Timestamp::MIN, &zone), None);
    assert!(daily.next_after(Timestamp::MIN, &zone).is_none_or(|t| t >= utc("1969-12-31T00:00:00Z")));
    assert!(zone.civil(Timestamp::MAX).year >= 9999);
    assert_eq!(zone.civil(Timestamp::MIN).year, -9999);
}

// F74: the zones are compiled in.
#[test]
fn a_time_zone_is_known_by_its_name() {
    assert_eq!("Europe/Amsterdam".parse::<Zone>().unwrap().name(), "Europe/Amsterdam");
    assert_eq!(" UTC ".parse::<Zone>().unwrap().to_string(), "UTC");
    assert_eq!(Zone::utc().name(), "Etc/UTC");
    for (text, part) in [
        ("", "such as Etc/UTC"),
        ("CET+1", "such as Etc/UTC"),
        ("Local", "such as Etc/UTC"),
        ("europe/amsterdam", "did you mean Europe/Amsterdam?"),
        ("Amsterdam", "did you mean Europe/Amsterdam?"),
        ("new york", "did you mean America/New_York?"),
    ] {
        let message = text.parse::<Zone>().expect_err(text).to_string();
        assert!(message.contains(part), "{message}");
    }
    let zone: Zone = serde_yaml::from_str("America/New_York").unwrap();
    assert_eq!(serde_json::to_string(&zone).unwrap(), "\"America/New_York\"");
    assert!(serde_yaml::from_str::<Zone>("Mars/Base").is_err());
}

#[test]
fn the_clock_of_a_zone_knows_iso_weeks_and_its_offset() {
    let zone: Zone = "Europe/Amsterdam".parse().unwrap();
    let c = zone.civil(utc("2026-12-31T23:30:00Z"));
    assert_eq!((c.year, c.month, c.day, c.hour, c.minute), (2027, 1, 1, 0, 30));
    assert_eq!((c.iso_year, c.iso_week, c.utc_offset), (2026, 53, 3600));
    let (first, second) = (utc("2026-10-25T00:30:00Z"), utc("2026-10-25T01:30:00Z"));
    let (first, second) = (zone.civil(first), zone.civil(second));
    assert_eq!((first.hour, second.hour), (2, 2));
    assert_ne!(first, second);
}

/// A field as text, and the values that it stands for.
fn field(min: u32, max: u32) -> impl Strategy<Value = (String, Vec<u32>)> {
    prop_oneof![
        2 => Just(("*".to_owned(), (min..=max).collect())),
        2 => (min..=max).prop_map(|n| (n.to_string(), vec![n])),
        1 => (min..=max, min..=max).prop_map(|(a, b)| {
            let (a, b) = (a.min(b), a.max(b));
            (format!("{a}-{b}"), (a..=b).collect())
        }),
        1 => (min..=max, 1..=max).prop_map(move |(a, n)| {
            (format!("{a}/{n}"), (a..=max).step_by(n as usize).collect())
        }),
        1 => (min..=max, min..=max).prop_map(|(a, b)| (format!("{a},{b}"), vec![a, b])),
    ]
}

fn zones() -> impl Strategy<Value = Zone> {
    prop::sample::select(vec![
        "Etc/UTC",
        "Europe/Amsterdam",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "Antarctica/Troll",
        "Asia/Kolkata",
    ])
    .prop_map(|name| name.parse().expect(name))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Against the plainest way: look at each minute of ten days.
    #[test]
    fn the_next_run_is_the_first_minute_that_matches(
        minute in field(0, 59),
        hour in field(0, 23),
        day in field(1, 31),
        month in field(1, 12),
        weekday in field(0, 6),
        zone in zones(),
        // Around the changes of the clock too: any second of three years.
        second in 1_767_225_600i64..1_861_920_000,
    ) {
        let mut text = String::new();
        for (part, _) in [&minute, &hour, &day, &month, &weekday] {
            write!(text, "{part} ").unwrap();
        }
        let Ok(schedule) = Schedule::parse(&text, "") else {
            return Ok(());
        };
        let moment = Timestamp::from_second(second).unwrap();
        let star = |text: &str| text == "*";
        let matches = |moment: Timestamp| {
            let c = zone.civil(moment);
            let date = NaiveDate::from_ymd_opt(c.year, c.month, c.day).unwrap();
            let on_day = day.1.contains(&c.day);
            let on_weekday = weekday.1.contains(&date.weekday().num_days_from_sunday());
            let today = if star(&day.0) || star(&weekday.0) { on_day && on_weekday } else { on_day || on_weekday };
            today && month.1.contains(&c.month) && hour.1.contains(&c.hour) && minute.1.contains(&c.minute)
        };
        let minutes = (second.div_euclid(60) + 1..).take(10 * 24 * 60);
        let expected = minutes
            .map(|minute| Timestamp::from_second(minute * 60).unwrap())
            .find(|minute| matches(*minute));
        let next = schedule.next_after(moment, &zone);
        match expected {
            Some(expected) => prop_assert_eq!(next, Some(expected), "{} in {}", text, zone),
            None => prop_assert!(next.is_none_or(|n| matches(n) && Span::between(moment, n) > Span::days(9))),
        }
        if let Some(next) = next {
            prop_assert!(next > moment);
            prop_assert_eq!(schedule.previous_at_or_before(next, &zone), Some(next));
            let earlier = schedule.previous_at_or_before(moment, &zone).unwrap();
            prop_assert!(earlier <= moment && matches(earlier));
            prop_assert_eq!(schedule.next_after(earlier, &zone), Some(next));
        }
    }

    /// What is told as the shortest interval is one, and none is shorter, where no clock changes.
    #[test]
    fn no_two_runs_are_closer_than_the_shortest_interval(
        minute in field(0, 59),
        hour in field(0, 23),
        day in field(1, 31),
        weekday in field(0, 6),
        second in 1_767_225_600i64..1_861_920_000,
    ) {
        let text = format!("{} {} {} * {}", minute.0, hour.0, day.0, weekday.0);
        let schedule = schedule(&text);
        let shortest = schedule.shortest_interval();
        let mut seen = false;
        let mut moment = schedule
            .next_after(Timestamp::from_second(second).unwrap(), &Zone::utc())
            .unwrap();
        for _ in 0..400 {
            let next = schedule.next_after(moment, &Zone::utc()).unwrap();
            prop_assert!(Span::between(moment, next) >= shortest, "{}", text);
            seen |= Span::between(moment, next) == shortest;
            moment = next;
        }
        // 400 runs of a day or less are enough to see it; of a month, the calendar's end is.
        prop_assert!(seen || shortest > Span::days(1) || minute.1.len() > 6, "{text}: {shortest}");
    }

    #[test]
    fn h_stays_in_its_range_and_is_stable(seed in "\\PC{0,40}", a in 0u32..60, b in 0u32..60, n in 1u32..60) {
        let (low, high) = (a.min(b), a.max(b));
        let step = n.min(high - low + 1);
        let text = format!("H({low}-{high})/{step} H H * H");
        let schedule = Schedule::parse(&text, &seed).unwrap();
        let again = Schedule::parse(&text, &seed).unwrap();
        prop_assert_eq!(schedule.kubernetes(), again.kubernetes());
        prop_assert!(!schedule.kubernetes().contains('H'));
        let minutes: Vec<u32> = values(schedule.fields.minutes).collect();
        prop_assert!(minutes[0] >= low && minutes[0] < low + step);
        prop_assert!(minutes.iter().all(|m| *m <= high));
        prop_assert!(minutes.windows(2).all(|w| w[1] - w[0] == step));
        prop_assert!(minutes[minutes.len() - 1] + step > high);
        prop_assert!(values(schedule.fields.days).all(|d| (1..=28).contains(&d)));
        // What Kubernetes gets reads back to the same times.
        let plain = Schedule::parse(schedule.kubernetes(), "another").unwrap();
        prop_assert_eq!(plain.fields, schedule.fields);
    }

    #[test]
    fn no_text_breaks_the_parser(text in "[0-9H*?/,()a-zA-Z@ -]{0,30}|\\PC{0,20}|[0-9*/H,-]{1,4}( [0-9*/H,-]{1,4}){4}") {
        if let Ok(schedule) = Schedule::parse(&text, "seed") {
            prop_assert!(schedule.next_after(utc("2026-01-01T00:00:00Z"), &Zone::utc()).is_some(), "{}", text);
            prop_assert!(schedule.shortest_interval() >= Span::minutes(1));
        }
    }
}
