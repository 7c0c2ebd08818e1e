//! Names: limits, and that no two meet.

use super::*;

fn source(name: &str, uid: &str) -> SourceId {
    SourceId { namespace: "shop".into(), name: name.into(), uid: uid.into() }
}

#[test]
fn a_run_is_its_minute_in_utc_and_sorts_by_time() {
    let run = Run::at("2018-12-02T00:00:59Z".parse().unwrap());
    assert_eq!(run.as_str(), "20181202T0000Z");
    assert_eq!(run.time(), "2018-12-02T00:00:00Z".parse::<Timestamp>().unwrap());
    assert!(run < "20181202T0001Z".parse().unwrap());
    for bad in ["", "20181202", "20181302T0000Z", "20181202t0000z", "20181202T0000Z/..", "2018-12-02T0Z"] {
        assert!(bad.parse::<Run>().is_err(), "{bad}");
    }
}

#[test]
fn the_job_of_a_cronjob_tells_its_run_by_its_name() {
    let source = source("data", "1");
    let run = |end: &str| scheduled_run(&source, &format!("{}{end}", cronjob(&source))).map(|run| run.to_string());
    assert_eq!(run("-29087997"), Some("20250421T2357Z".to_owned()));
    for other in ["", "-", "-+5", "-5x", "-99999999999999999999", "-9999999999999999"] {
        assert_eq!(run(other), None, "{other}");
    }
    assert_eq!(scheduled_run(&source, "x-29087997"), None);
}

/// F58, F59: limits of the API, and two names that differ only after the cut.
#[test]
fn long_names_fit_and_never_meet() {
    let long = "a".repeat(253);
    let other = format!("{}b", "a".repeat(252));
    let run: Run = "20181202T0000Z".parse().unwrap();
    let (a, b) = (source(&long, "1"), source(&other, "1"));
    assert!(cronjob(&a).len() <= 52 && copy_job(&a, &run, &"d".repeat(40)).len() <= 63);
    assert!(event(&a.name, Timestamp::MAX).len() <= 253);
    assert!(after_job(&a, Timestamp::MAX).len() <= 63);
    assert!(maintain_job(&a, Task::Verify, &run, &"d".repeat(40)).len() <= 63);
    assert!(central(&"i".into(), &a, &run, &"d".repeat(40)).len() <= 63);
    assert_ne!(
        central(&"i".into(), &a, &run, "s3"),
        central(&"j".into(), &a, &run, "s3"),
        "two installations in one cluster"
    );
    let drill = |due: &Run, run: &Run, to: &str| central_drill(&"i".into(), &a, DrillOf { due, run }, to);
    let later: Run = "20181203T0000Z".parse().unwrap();
    assert!(drill(&later, &run, &"d".repeat(40)).len() <= 63 && drill(&run, &run, "s3").starts_with(CENTRAL_PREFIX));
    let all = [
        drill(&run, &run, "s3"),
        drill(&later, &run, "s3"),
        drill(&run, &later, "s3"),
        central(&"i".into(), &a, &run, "s3"),
    ];
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "a drill's are nobody else's");
    assert!(after_job(&a, Timestamp::MAX).len() <= 63);
    assert!(
        run_now_job(&a, "x").len() <= 63
            && keeper_job(&"i".into(), FolderOf { destination: "d", namespace: &long }).len() <= 63
    );
    assert_ne!(cronjob(&a), cronjob(&b));
    assert_ne!(copy_job(&a, &run, "disk"), copy_job(&b, &run, "disk"));
    assert_ne!(label_value(&long), label_value(&other));
    assert!(label_value(&long).len() <= 63);
    for name in restore_points(&long, &run, &Zone::utc()) {
        assert!(name.len() <= 253, "{name}");
    }
}

/// F78.
#[test]
fn another_uid_is_another_source() {
    assert_ne!(cronjob(&source("data", "1")), cronjob(&source("data", "2")));
}

#[test]
fn restore_points_carry_the_date_of_the_zone() {
    let run = Run::at("2018-12-02T23:30:00Z".parse().unwrap());
    let zone: Zone = "Europe/Amsterdam".parse().unwrap();
    assert_eq!(restore_points("mypvc", &run, &zone), ["mypvc-20181203", "mypvc-20181203-0030", "mypvc-20181202t2330z"]);
}

#[test]
fn a_cut_name_does_not_end_in_a_separator() {
    assert_eq!(cut("abc-.def", 5), "abc");
    assert_eq!(cut("abcdef", 3), "abc");
}
