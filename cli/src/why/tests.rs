use serde_json::{Value, json};

use super::*;
use crate::observe::Knows;
use crate::tests::fixture::{ALL, Objects, TENANT, cluster, now, source_id};
use crate::tests::server::{Server, forbidden, refusal, serve};
use crate::tests::tables::golden;
use events::Told;

fn page_with(all: &Objects, name: &str, knows: Knows, events: Result<Vec<Told>, String>) -> Page {
    Page::new(&all.observed(knows), all.only_with(name, knows), events, now())
}

fn text(all: &Objects, name: &str) -> String {
    page_with(all, name, ALL, Ok(Vec::new())).text()
}

#[test]
fn the_page_of_a_pvc_whose_copy_failed() {
    let told = Told {
        at: Some("2018-12-05T03:29:02Z".parse().unwrap()),
        warning: true,
        reason: "DiskFull".to_owned(),
        message: "run 20181205T0317Z: copy to disk: no space left on the disk".to_owned(),
    };
    golden("why.txt", &page_with(&cluster(), "full", ALL, Ok(vec![told])).text());
}

#[test]
fn a_protected_pvc_says_what_is_in_force_and_where_it_comes_from() {
    let mut all = cluster();
    let data = all.claims.iter_mut().find(|c| c["metadata"]["name"] == "data").unwrap();
    data["metadata"]["annotations"]["backup-controller.io/retention"] = json!("daily=14");
    data["metadata"]["annotations"]["backup-controller.io/time-zone"] = json!("Nowhere/No");
    all.namespaces[0]["metadata"]["annotations"] = json!({
        "backup-controller.io/schedule": "30 4 * * *", "backup-controller.io/time-zone": "Europe/Amsterdam"
    });
    let text = text(&all, "data");
    let wanted = [
        "PVC data in namespace shop is protected: the newest good run is 20181205T0317Z (8h ago).",
        "  schedule         30 4 * * *",
        "annotation backup-controller.io/schedule on the Namespace (30 4 * * *)",
        "annotation backup-controller.io/retention on the PVC (daily=14)",
        "  destinations     disk               the configuration: defaults.destinations (disk)",
        "the driver's only class",
        "InvalidSetting: backup-controller.io/time-zone: \"Nowhere/No\" on the PVC",
        "  next run         in 15h (2018-12-06T03:17:00Z)",
        "  restore points   2 in the namespace, the newest data-20181205 (Good); all: kubectl backup list data",
        "  outside          a copy outlives the namespace",
    ];
    for part in wanted {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

/// What a read-only promoter of a class with noload costs is told, with the class that is to blame.
#[test]
fn a_journal_that_is_skipped_is_told() {
    let mut all = cluster();
    all.config += "classes: {fast: {storageClass: noload, readOnly: true}}\n";
    all.storage_classes.push(json!({
        "metadata": {"name": "noload"}, "provisioner": crate::tests::fixture::DRIVER, "mountOptions": ["noload"],
    }));
    let data = all.claims.iter_mut().find(|c| c["metadata"]["name"] == "data").unwrap();
    let key = "backup-controller.io/status";
    let mut status: Value = serde_json::from_str(data["metadata"]["annotations"][key].as_str().unwrap()).unwrap();
    status["copies"]["disk"]["journal"] = json!("skipped");
    data["metadata"]["annotations"][key] = json!(status.to_string());
    let text = text(&all, "data");
    for part in ["classes.fast.storageClass; it mounts without the journal", "1.2Mi, journal skipped"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_raw_block_volume_is_told_as_one_and_its_proof_as_of_a_device() {
    let mut all = cluster();
    let data = all.claims.iter_mut().find(|c| c["metadata"]["name"] == "data").unwrap();
    data["spec"]["volumeMode"] = json!("Block");
    let key = "backup-controller.io/status";
    let mut status: Value = serde_json::from_str(data["metadata"]["annotations"][key].as_str().unwrap()).unwrap();
    let drill = json!({
        "due": "20181205T0600Z", "state": "Done", "finished": "2018-12-05T06:10:00Z", "files": 1, "bytes": 21_474_836_480_u64
    });
    status["maintenance"] = json!({"disk": {"drill": drill, "proven": drill}});
    data["metadata"]["annotations"][key] = json!(status.to_string());
    let text = text(&all, "data");
    for part in
        ["volume mode      Block", "a raw block volume is copied and restored whole", "2018-12-05: 1 device, 20Gi"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let page = serde_json::to_value(page_with(&all, "data", ALL, Ok(Vec::new()))).unwrap();
    assert_eq!(page["volumeMode"], "Block");
}

/// U13: a copy in which a drill had found a difference was told as restorable, with the drill before.
#[test]
fn a_proof_ends_with_a_finding() {
    let mut all = cluster();
    let key = "backup-controller.io/status";
    let drill = json!({"due": "20181204T0600Z", "state": "Done", "finished": "2018-12-04T06:10:00Z", "files": 9});
    let found = json!({
        "due": "20181205T0600Z", "state": "Failed", "finished": "2018-12-05T06:10:00Z",
        "problem": {"reason": "RestoreMismatch", "message": "etc/app.conf differs"},
    });
    for (maintenance, is_proven) in [
        (json!({"drill": drill, "proven": drill}), true),
        (json!({"drill": found, "differs": found, "proven": drill}), false),
    ] {
        let data = all.claims.iter_mut().find(|c| c["metadata"]["name"] == "data").unwrap();
        let mut status: Value = serde_json::from_str(data["metadata"]["annotations"][key].as_str().unwrap()).unwrap();
        status["maintenance"] = json!({"disk": maintenance});
        data["metadata"]["annotations"][key] = json!(status.to_string());
        let text = text(&all, "data");
        assert_eq!(text.contains("restorable, proven"), is_proven, "{text}");
        assert_eq!(text.contains("is backed up, but copies of it are damaged or differ"), !is_proven, "{text}");
    }
}

/// L13: the proof is of an earlier copy, and nobody said so.
#[test]
fn an_incomplete_copy_is_told_beside_the_proof_of_an_earlier_one() {
    let mut all = cluster();
    let key = "backup-controller.io/status";
    let drill = json!({"due": "20181204T0600Z", "state": "Done", "finished": "2018-12-04T06:10:00Z", "files": 9});
    let data = all.claims.iter_mut().find(|c| c["metadata"]["name"] == "data").unwrap();
    let mut status: Value = serde_json::from_str(data["metadata"]["annotations"][key].as_str().unwrap()).unwrap();
    status["maintenance"] = json!({"disk": {"drill": drill, "proven": drill}});
    status["copies"]["disk"]["state"] = json!("Incomplete");
    for run in status["runs"].as_array_mut().unwrap() {
        run["results"]["disk"] = json!({"state": "Incomplete", "finished": "2018-12-05T03:29:00Z"});
    }
    data["metadata"]["annotations"][key] = json!(status.to_string());
    let text = text(&all, "data");
    assert!(text.contains("incomplete: entries could not be read when it was made, or its disk"), "{text}");
}

/// A12: also of a copy that is complete, because somebody accepted it.
#[test]
fn what_a_disk_does_not_keep_is_told_beside_its_copy() {
    let mut all = cluster();
    let key = "backup-controller.io/status";
    let data = all.claims.iter_mut().find(|c| c["metadata"]["name"] == "data").unwrap();
    let mut status: Value = serde_json::from_str(data["metadata"]["annotations"][key].as_str().unwrap()).unwrap();
    status["copies"]["disk"]["lost"] = json!(["acls", "owners", "somebody's <b>words</b>"]);
    data["metadata"]["annotations"][key] = json!(status.to_string());
    let text = text(&all, "data");
    assert!(text.contains("the disk does not keep: owners, acls\n") && !text.contains("<b>"), "{text}");
}

#[test]
fn a_setting_of_a_group_is_told_as_that_groups() {
    let mut all = cluster();
    all.config += "deadlines: {copy: 12h}\n\
                   groups: [{name: gold, namespaceLabels: {tier: gold}, retention: 9d, schedule: '@after 12h'}]\n";
    all.namespaces[0]["metadata"]["labels"] = json!({"tier": "gold"});
    let data = all.claims.iter_mut().find(|c| c["metadata"]["name"] == "data").unwrap();
    data["metadata"]["annotations"]["backup-controller.io/schedule"] = json!("@after 36h");
    let name = model::names::cronjob(&source_id("shop", "data"));
    let cronjob = all.cronjobs.iter_mut().find(|c| c["metadata"]["name"] == name.as_str()).unwrap();
    cronjob["metadata"]["annotations"] = json!({"backup-controller.io/after": "36h"});
    // Its copy is being made.
    let data = all.claims.iter_mut().find(|c| c["metadata"]["name"] == "data").unwrap();
    let status = &mut data["metadata"]["annotations"]["backup-controller.io/status"];
    let mut told: Value = serde_json::from_str(status.as_str().unwrap()).unwrap();
    told["runs"].as_array_mut().unwrap().iter_mut().for_each(|run| run["results"] = json!({}));
    *status = told.to_string().into();
    let text = text(&all, "data");
    for part in [
        "@after 1d 12h",
        "annotation backup-controller.io/schedule on the PVC (@after 36h)",
        "the configuration: retention of the group gold (9d)",
        "the configuration: defaults.timeZone (Etc/UTC)",
        "next run         1d 12h after the end of the run that is under way",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

/// Every reason for a PVC's being left alone is told with what decided it and what to do.
#[test]
fn a_pvc_that_is_left_alone_says_who_decided_it() {
    let all = cluster();
    for (name, parts) in [
        ("nfs", ["is NOT protected", "NotCsi: ", "Decided by: the PVC itself"]),
        ("off", ["excluded by choice", "What to do: remove the annotation", "Decided by: the annotation"]),
        ("etcd", ["excluded by choice", "NamespaceExcluded", "Decided by: selection.namespaces"]),
        ("forgotten", ["no run is scheduled", "NoCronJob", "What to do: check that the controller runs"]),
        ("full", ["its newest run or step failed", "DiskFull, run 20181205T0317Z, 8h ago", "copy to disk"]),
        ("new", ["will be protected by its next run", "DiskBusy", "copy to disk"]),
        ("gone", ["is gone, but has restore points", "SourceGone", "all: kubectl backup list gone"]),
    ] {
        let text = text(&all, name);
        for part in parts {
            assert!(text.contains(part), "{name}: {part} is not in\n{text}");
        }
    }
}

#[test]
fn who_may_not_read_the_configuration_is_told_what_was_recorded() {
    let page = page_with(&cluster(), "data", TENANT, Err("you lack permission to list events".to_owned()));
    let text = page.text();
    assert!(text.contains("is protected") && !text.contains("Settings in force"), "{text}");
    assert!(text.contains("you lack permission to list events"), "{text}");
}

#[test]
fn events_of_the_controller_about_the_pvc_are_told_newest_first() {
    let event = |at: &str, reason: &str, by: &str| {
        json!({
            "metadata": {"name": reason}, "involvedObject": {}, "eventTime": format!("{at}.000000Z"), "type": "Warning",
            "reason": reason, "message": "first\nsecond", "reportingComponent": by, "reportingInstance": "x"
        })
    };
    let events: Vec<Value> = vec![
        event("2018-12-05T11:00:00", "Older", "backup-controller"),
        event("2018-12-05T11:59:00", "Newer", "backup-controller"),
        event("2018-12-05T11:59:30", "Other", "kubelet"),
    ];
    let list = json!({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": events});
    let path = "/api/v1/namespaces/shop/events";
    let server = Server::of(cluster()).refusing(path, (200, list));
    let volume = cluster().only("data");
    let told = serve(async { events::of(&server.client(), &volume).await }).unwrap();
    let text = page_with(&cluster(), "data", ALL, Ok(told)).text();
    assert!(text.contains("  60s      Warning   Newer: first second\n  60m      Warning   Older"), "{text}");
    assert!(!text.contains("Other"), "{text}");
    let asked = server.asked(path);
    assert!(asked[0].contains(&source_id("shop", "data").uid), "{asked:?}");
    let server = server.refusing(path, forbidden("list resource \"events\""));
    let refused = serve(async { events::of(&server.client(), &volume).await }).unwrap_err();
    assert!(refused.starts_with("you (me) lack permission to list events in namespace shop"), "{refused}");
    let server = server.refusing(path, refusal(500, "InternalError", "etcd is down"));
    assert!(serve(async { events::of(&server.client(), &volume).await }).unwrap_err().contains("etcd is down"));
}
