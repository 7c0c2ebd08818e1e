use serde_json::{Value, json};

use super::*;
use crate::tests::fixture::{ALL, Objects, copied, now};

const LOOK: Look = Look { namespaces: false, wide: false, headers: true, width: None };

fn cluster() -> Objects {
    let mut all = Objects::new();
    all.source("shop", "data", &json!({"protectedSince": "2018-11-01T00:10:00Z"}));
    let mut kept = copied("Complete", "2018-12-04T03:30:00Z");
    kept["kept"] = json!(["20181203T0317Z", "20181204T0317Z"]);
    all.point("shop", "data", "20181204T0317Z", &json!({"disk": kept}))["metadata"]["annotations"]
        [model::names::HOLD] = json!("until=2018-12-07T12:00:00Z x");
    all.point("shop", "data", "20181205T0317Z", &json!({"disk": null}));
    // An earlier PVC of the name left one.
    all.point_of("uid-before", ("shop", "data"), "20181101T0317Z", &json!({}));
    all
}

fn shown(output: Output, look: Look, from: &From) -> String {
    let observed = cluster().observed(ALL);
    let points = points::points(&observed, "shop", "data", from, now());
    output::text("shop", "data", &points, output, look, now()).unwrap()
}

#[test]
fn all_restore_points_stand_in_one_table_the_newest_first() {
    let text = shown(Output::Table, LOOK, &From::Any);
    assert_eq!(
        text,
        "\
RUN              AGE    WHERE                    STATE        MOUNTABLE   FILES    SIZE     HELD
20181205T0317Z   8h     snapshot data-20181205   Unrecorded   yes         <none>   <none>   <none>
20181204T0317Z   32h    snapshot data-20181204   Good         yes         3043     1.2Mi    2d (2018-12-07T12:00:00Z)
20181204T0317Z   32h    disk disk                Complete     yes         3043     1.2Mi    <none>
20181203T0317Z   2d8h   disk disk                <unknown>    yes         <none>   <none>   <none>
20181101T0317Z   34d    snapshot data-20181101   Good         yes         <none>   <none>   <none>
"
    );
    let narrow = shown(Output::Table, Look { width: Some(80), ..LOOK }, &From::Any);
    assert!(narrow.lines().all(|line| line.chars().count() <= 80) && !narrow.contains("FILES"), "{narrow}");
    let wide = shown(Output::Wide, Look { wide: true, ..LOOK }, &From::Any);
    assert!(
        wide.contains("uid-before      gone") && wide.contains("backup-disk     Filesystem   uid-shop-data   exists"),
        "{wide}"
    );
}

#[test]
fn one_kind_can_be_asked_for() {
    let lines = |from: &From| shown(Output::Table, LOOK, from).lines().count() - 1;
    assert_eq!((lines(&From::Snapshot), lines(&From::Disk(None))), (3, 2));
    assert_eq!(shown(Output::Table, LOOK, &From::Disk(Some("vault".into()))), "");
    let names = shown(Output::Name, LOOK, &From::Any);
    assert_eq!(names.lines().next(), Some("volumesnapshot.snapshot.storage.k8s.io/data-20181205"));
    let json: Value = serde_json::from_str(&shown(Output::Json, LOOK, &From::Any)).unwrap();
    assert_eq!(json["restorePoints"][1]["heldUntil"], "2018-12-07T12:00:00Z");
    assert_eq!(json["restorePoints"][4]["gone"], true);
}

#[test]
fn who_names_no_pvc_is_told_which_there_are() {
    let mut all = cluster();
    all.point("shop", "gone", "20181204T0317Z", &json!({}));
    let text = candidates(&all.observed(ALL), "shop");
    let wanted = "PVCs in namespace shop that have restore points:\n  data (5)\n  gone (1, the PVC is gone)";
    assert_eq!(text, wanted);
    assert!(candidates(&Objects::new().observed(ALL), "shop").contains("no PVC in namespace shop has"));
}

/// U12: a run that began 50 minutes after its minute was told as so much older than it is.
#[test]
fn the_age_of_a_restore_point_is_that_of_its_data() {
    let mut all = cluster();
    let snapshot = all.snapshots.iter_mut().find(|s| s["metadata"]["name"] == "data-20181205").unwrap();
    snapshot["metadata"]["creationTimestamp"] = json!("2018-12-05T04:07:00Z");
    let observed = all.observed(ALL);
    let points = points::points(&observed, "shop", "data", &From::Any, now());
    let of_run = |p: &&points::Point| p.run.as_str() == "20181205T0317Z";
    let times: Vec<String> = points.iter().filter(of_run).map(|p| p.time.to_string()).collect();
    assert_eq!(times, ["2018-12-05T04:07:00Z"]);
}

/// U12: `--from s4`.
#[test]
fn a_destination_that_does_not_exist_is_a_slip_and_one_without_copies_is_not() {
    let mut all = cluster();
    all.config += "  - {name: s3, type: restic, secret: backup-s3}\n";
    let observed = all.observed(ALL);
    let of = |name: &str, from: &str| {
        let all = places(&points::points(&observed, "shop", name, &From::Any, now()));
        unknown(&observed, name, &from.parse().unwrap(), &all)
    };
    let told = |from: &str| of("data", from);
    for fine in ["snapshot", "disk", "restic", "s3"] {
        assert_eq!(told(fine), None, "{fine}");
    }
    let text = told("s4").unwrap();
    assert!(
        text.starts_with("there is no destination s4: there are disk, vault, s3; PVC data has restore points of "),
        "{text}"
    );
    assert!(text.contains("disk") && text.ends_with("snapshot"), "{text}");
    let nothing = of("other", "s4").unwrap();
    assert!(nothing.ends_with("PVC other has no restore point"), "{nothing}");
}

/// After a lost cluster nothing records the copies: the address is what leads to them.
#[test]
fn who_finds_no_restore_point_is_led_to_the_repositories_that_may_be_there() {
    let mut all = cluster();
    all.config += "  - {name: s3, type: restic, secret: backup-s3}\n";
    let observed = all.observed(ALL);
    let led = |from: &str| unrecorded(&observed, "shop", "lost", &from.parse().unwrap());
    for from in ["s3", "restic", "restic/s3"] {
        let text = led(from);
        assert!(text.contains("{RESTIC_REPOSITORY}/shop/lost/<UID> (Secret backup-s3)"), "{text}");
        assert!(text.ends_with("kubectl backup restore lost --date RUN --from s3 --uid UID --to lost"), "{text}");
    }
    assert_eq!((led("snapshot"), led("disk"), led("vault")), (String::new(), String::new(), String::new()));
}

#[test]
fn a_restic_snapshot_stands_beside_the_others_with_its_id() {
    let mut all = cluster();
    all.config += "  - {name: s3, type: restic, secret: backup-s3}\n";
    let mut copy = copied("Complete", "2018-12-05T04:00:00Z");
    (copy["snapshot"], copy["kept"]) = (json!("0123abcd0123abcd"), json!(["20181130T0317Z", "20181202T0317Z"]));
    all.point("shop", "data", "20181202T0317Z", &json!({"disk": null, "s3": copy.clone()}));
    copy["unchanged"] = json!(true);
    all.point("shop", "data", "20181203T0317Z", &json!({"s3": copy}));
    let observed = all.observed(ALL);
    let table = |from: &str| {
        let points = points::points(&observed, "shop", "data", &from.parse().unwrap(), now());
        output::text("shop", "data", &points, Output::Table, LOOK, now()).unwrap()
    };
    assert_eq!(
        table("s3"),
        "\
RUN              AGE    WHERE                STATE       MOUNTABLE   FILES    SIZE     HELD
20181203T0317Z   2d8h   restic s3 0123abcd   Complete    no          3043     1.2Mi    <none>
20181202T0317Z   3d8h   restic s3 0123abcd   Complete    no          3043     1.2Mi    <none>
20181130T0317Z   5d8h   restic s3            <unknown>   no          <none>   <none>   <none>
"
    );
    assert_eq!(table("restic"), table("s3"));
    let everything = shown_of(&all, Output::Json);
    let of_s3: Vec<&Value> = everything.iter().filter(|p| p["repository"] == "s3").collect();
    assert_eq!((of_s3.len(), &of_s3[1]["resticSnapshot"]), (3, &json!("0123abcd0123abcd")));
    assert!(everything.iter().any(|p| p["disk"] == "disk") && everything.iter().any(|p| p["snapshot"].is_string()));
}

/// A copy of a filesystem that was mounted without its journal is complete, and yet not all that was written.
#[test]
fn a_journal_that_was_skipped_has_a_column_of_its_own() {
    let mut all = cluster();
    let mut copy = copied("Complete", "2018-12-05T04:00:00Z");
    copy["journal"] = json!("skipped");
    all.point("shop", "data", "20181205T0318Z", &json!({"disk": copy}));
    let promoter = all.claims.last_mut().unwrap();
    promoter["metadata"]["annotations"] = json!({model::names::JOURNAL: "skipped"});
    let points = points::points(&all.observed(ALL), "shop", "data", &From::Any, now());
    let text = output::text("shop", "data", &points, Output::Table, LOOK, now()).unwrap();
    let column = |line: &str| line.split_whitespace().rev().nth(1).map(str::to_owned).unwrap();
    let of = |part: &str| text.lines().find(|l| l.contains(part)).map(column).unwrap();
    assert_eq!(column(text.lines().next().unwrap()), "JOURNAL", "{text}");
    let journals: Vec<String> = text.lines().filter(|l| l.starts_with("20181205T0318Z")).map(column).collect();
    assert_eq!(journals, ["skipped", "skipped"], "{text}");
    assert_eq!(of("20181101T0317Z"), "replayed");
    let json = shown_of(&all, Output::Json);
    assert_eq!(json.iter().filter(|p| p["journal"] == "skipped").count(), 2);
    assert!(!shown(Output::Wide, Look { wide: true, ..LOOK }, &From::Any).contains("JOURNAL"));
}

fn shown_of(all: &Objects, output: Output) -> Vec<Value> {
    let points = points::points(&all.observed(ALL), "shop", "data", &From::Any, now());
    let text = output::text("shop", "data", &points, output, LOOK, now()).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["restorePoints"].as_array().unwrap().clone()
}

#[test]
fn a_raw_block_volume_is_listed_as_a_device_also_once_it_is_gone() {
    let mut all = Objects::new();
    let mut copy = copied("Complete", "2018-12-05T04:00:00Z");
    (copy["files"], copy["kept"]) = (json!(1), json!(["20181202T0317Z", "20181204T0317Z"]));
    let point = all.point_of("uid-gone", ("shop", "disk-image"), "20181204T0317Z", &json!({"disk": copy}));
    point["metadata"]["annotations"][model::names::VOLUME_MODE_TAKEN] = json!("Block");
    let points = points::points(&all.observed(ALL), "shop", "disk-image", &From::Any, now());
    let text = |output, look| output::text("shop", "disk-image", &points, output, look, now()).unwrap();
    assert_eq!(
        text(Output::Table, LOOK),
        "\
RUN              AGE    WHERE                          STATE       MOUNTABLE   FILES    SIZE     HELD
20181204T0317Z   32h    snapshot disk-image-20181204   Good        yes         device   1.2Mi    <none>
20181204T0317Z   32h    disk disk                      Complete    yes         device   1.2Mi    <none>
20181202T0317Z   3d8h   disk disk                      <unknown>   yes         device   <none>   <none>
"
    );
    assert!(text(Output::Wide, Look { wide: true, ..LOOK }).lines().skip(1).all(|line| line.contains("   Block   ")));
    let json: Value = serde_json::from_str(&text(Output::Json, LOOK)).unwrap();
    assert!(json["restorePoints"].as_array().unwrap().iter().all(|p| p["volumeMode"] == "Block"), "{json}");
}
