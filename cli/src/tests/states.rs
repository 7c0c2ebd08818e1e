//! Which state follows from what.

use model::facts::Identity;
use model::ledger::{Book, Ledger, Words};
use model::record::Status;
use model::world::{Change, Seen};
use serde_json::{Value, json};

use super::fixture::{ALL, INSTANCE, Objects, TENANT, cluster, copied, copy_status, now, shown, source_id};
use crate::observe::{Knows, Observed};
use crate::status::{self, Question, State, Volume, Word};

const SINCE: &str = "2018-11-01T00:10:00Z";

fn reasons(volume: &Volume) -> Vec<&str> {
    volume.findings.iter().map(|f| f.reason.as_str()).collect()
}

fn snapshots_only(pvc: &mut Value) {
    pvc["metadata"]["annotations"]["backup-controller.io/destinations"] = json!("none");
}

#[test]
fn faults_alarm_and_choices_do_not() {
    let volumes = cluster().volumes(ALL);
    let alarms: Vec<(&str, State)> = volumes.iter().filter(|v| v.alarm).map(|v| (v.name.as_str(), v.state)).collect();
    assert_eq!(
        alarms,
        [
            ("forgotten", State::Unscheduled),
            ("full", State::Failing),
            ("late", State::Overdue),
            ("nfs", State::Unprotected)
        ]
    );
    let unbound = volumes.iter().find(|v| v.name == "unbound").unwrap();
    assert_eq!((unbound.state, unbound.alarm), (State::Unprotected, false), "it has no data yet");
}

#[test]
fn a_run_is_missed_once_it_had_its_time_and_not_before() {
    let overdue = |good: &str, at: &str, destination: bool| {
        let mut all = Objects::new();
        let status = json!({"protectedSince": SINCE, "snapshot": good, "good": good});
        let pvc = all.source("shop", "data", &status);
        if !destination {
            snapshots_only(pvc);
        }
        let copies = if destination { json!({"disk": copied("Complete", "2018-12-05T03:29:00Z")}) } else { json!({}) };
        all.point("shop", "data", good, &copies);
        let observed = all.observed(ALL);
        let volumes =
            status::volumes(Question { observed: &observed, names: &[], missed: 2, now: at.parse().unwrap() });
        (volumes[0].state == State::Overdue, volumes[0].missed_runs)
    };
    // Due each night at 03:17; a Job has 30 minutes, and a copy 10 minutes and 4 hours.
    assert_eq!(overdue("20181203T0317Z", "2018-12-05T03:20:00Z", false), (false, Some(1)));
    assert_eq!(overdue("20181203T0317Z", "2018-12-05T03:48:00Z", false), (true, Some(2)));
    assert_eq!(overdue("20181203T0317Z", "2018-12-05T03:48:00Z", true), (false, Some(1)));
    assert_eq!(overdue("20181203T0317Z", "2018-12-05T07:58:00Z", true), (true, Some(2)));
    assert_eq!(overdue("20181204T0317Z", "2018-12-05T23:00:00Z", false), (false, Some(1)));
    assert_eq!(
        overdue("20180101T0317Z", "2018-12-05T23:00:00Z", false),
        (true, Some(35)),
        "counted since it is protected"
    );
}

#[test]
fn a_source_that_never_was_good_is_overdue_too() {
    let mut all = Objects::new();
    all.source("shop", "data", &json!({"protectedSince": SINCE}));
    let volume = all.only("data");
    assert_eq!((volume.state, reasons(&volume)), (State::Overdue, vec!["Overdue"]));
    assert!(volume.findings[0].message.contains("no run has been good yet"), "{}", volume.findings[0].message);
    let mut all = Objects::new();
    all.source("shop", "data", &json!({"protectedSince": "2018-12-05T02:00:00Z"}));
    assert_eq!(all.only("data").state, State::Pending);
}

/// A13: three seconds after it was made, a PVC was told to be protected for 63 s.
#[test]
fn a_pvc_is_protected_since_it_was_made_at_the_earliest() {
    let mut all = Objects::new();
    let pvc = all.source("shop", "data", &json!({"protectedSince": "2018-12-05T02:00:00Z"}));
    pvc["metadata"]["creationTimestamp"] = json!("2018-12-05T02:00:57Z");
    let since = all.only("data").protected_since.map(|since| since.to_string());
    assert_eq!(since.as_deref(), Some("2018-12-05T02:00:57Z"));
}

/// The CronJobs run without the controller; what they made counts although nobody recorded it.
#[test]
fn a_snapshot_counts_before_the_controller_recorded_it() {
    let mut all = Objects::new();
    let status = json!({"protectedSince": SINCE, "snapshot": "20181201T0317Z", "good": "20181201T0317Z"});
    snapshots_only(all.source("shop", "data", &status));
    all.point("shop", "data", "20181205T0317Z", &json!({}));
    let volume = all.only("data");
    assert_eq!((volume.state, volume.good.unwrap().run.as_str()), (State::Protected, "20181205T0317Z"));
}

#[test]
fn a_record_of_what_is_gone_protects_nobody() {
    let mut all = Objects::new();
    let status = json!({"protectedSince": SINCE, "snapshot": "20181205T0317Z", "good": "20181205T0317Z"});
    snapshots_only(all.source("shop", "data", &status));
    let volume = all.only("data");
    assert_eq!((volume.state, reasons(&volume)), (State::Overdue, vec!["NothingLeft", "Overdue"]));
    assert_eq!((volume.good, volume.outside), (None, None));
    let volume = all.only_with("data", TENANT);
    assert_eq!((volume.state, reasons(&volume), volume.alarm), (State::Failing, vec!["NothingLeft"], true));
}

/// The annotation can be forged by whoever may write the PVC.
#[test]
fn what_is_computed_comes_before_what_was_recorded() {
    let mut all = Objects::new();
    let status = json!({"protectedSince": SINCE, "snapshot": "20181205T0317Z", "good": "20181205T0317Z"});
    all.source("shop", "nfs", &status);
    all.without_csi();
    let volume = all.only("nfs");
    assert_eq!((volume.state, reasons(&volume), volume.alarm), (State::Unprotected, vec!["NotCsi"], true));
    assert_eq!(volume.protected_since, None);
}

#[test]
fn a_copy_is_outside_if_its_disk_outlives_the_namespace() {
    let outside = |reclaim: &str, destination: &str| {
        let mut all = Objects::new();
        all.namespace("other");
        all.disk("other", reclaim);
        let run = "20181205T0317Z";
        let copies = json!({destination: copy_status(run, "Complete", "2018-12-05T03:29:00Z")});
        let status = json!({"protectedSince": SINCE, "snapshot": run, "good": run, "copies": copies});
        let pvc = all.source("other", "data", &status);
        pvc["metadata"]["annotations"]["backup-controller.io/destinations"] = json!(destination);
        all.point("other", "data", run, &json!({destination: copied("Complete", "2018-12-05T03:29:00Z")}));
        all.only("data").outside
    };
    assert_eq!(outside("Retain", "disk"), Some(true));
    assert_eq!(outside("Delete", "disk"), Some(false), "all eggs in one basket");
    assert_eq!(outside("Delete", "vault"), Some(true), "a host's disk");
}

/// U1: green, exit 0 and "leaves the cluster", and the second destination had no copy since its Secret broke.
#[test]
fn a_destination_whose_copies_fail_degrades_a_pvc_with_the_remedy_of_the_cause() {
    let shown = |vault: Value, knows: Knows| {
        let mut all = Objects::new();
        let (before, run) = ("20181204T0317Z", "20181205T0317Z");
        let wanted = json!({
            "disk": {"since": SINCE, "good": run},
            "vault": {"since": SINCE, "good": before, "failure": {
                "run": run, "reason": "CredentialsRefused", "message": "copy to vault: Access Denied",
                "at": "2018-12-05T03:30:00Z"
            }}
        });
        let mut status = json!({"protectedSince": SINCE, "snapshot": run, "good": run});
        if !knows.config {
            status["wanted"] = wanted;
        }
        let pvc = all.source("shop", "data", &status);
        pvc["metadata"]["annotations"]["backup-controller.io/destinations"] = json!("disk,vault");
        let disk = || copied("Complete", "2018-12-04T03:29:00Z");
        all.point("shop", "data", before, &json!({"disk": disk(), "vault": disk()}));
        all.point("shop", "data", run, &json!({"disk": copied("Complete", "2018-12-05T03:29:00Z"), "vault": vault}));
        all.only_with("data", knows)
    };
    let mut refused = copied("Failed", "2018-12-05T03:30:00Z");
    refused["reason"] = json!("CredentialsRefused");
    refused["message"] = json!("Access Denied");
    for knows in [ALL, TENANT] {
        let volume = shown(refused.clone(), knows);
        assert_eq!((volume.state, reasons(&volume), volume.alarm), (State::Degraded, vec!["CredentialsRefused"], true));
        assert_eq!(volume.findings[0].help, model::reason::Reason::CredentialsRefused.help());
        assert_ne!(volume.outside, Some(true), "{knows:?}");
    }
    let volume = shown(copied("Complete", "2018-12-05T03:30:00Z"), ALL);
    assert_eq!((volume.state, volume.alarm, volume.outside), (State::Protected, false, Some(true)));
    let volume = shown(Value::Null, ALL);
    assert_eq!((volume.state, volume.outside), (State::Protected, Some(true)), "its next copy is not late yet");
}

/// U1: `why` said "no action needed" over credentials that are refused.
#[test]
fn a_wait_for_a_destination_that_is_down_has_the_remedy_of_its_cause() {
    let mut all = Objects::new();
    let waiting = json!({"reason": "DestinationDown", "message": "s3 has been failing", "cause": "CredentialsRefused"});
    all.source("shop", "data", &json!({"protectedSince": "2018-12-05T02:00:00Z", "waiting": waiting}));
    let volume = all.only("data");
    assert_eq!(reasons(&volume), ["DestinationDown"]);
    assert_eq!(volume.findings[0].help, model::reason::Reason::CredentialsRefused.help());
}

#[test]
fn failed_copies_keep_nothing_outside() {
    let mut all = Objects::new();
    let run = "20181205T0317Z";
    let copies = json!({"disk": copy_status(run, "Failed", "2018-12-05T03:29:00Z")});
    all.source("shop", "data", &json!({"protectedSince": SINCE, "snapshot": run, "copies": copies}));
    all.point("shop", "data", run, &json!({"disk": copied("Failed", "2018-12-05T03:29:00Z")}));
    assert_eq!(all.only("data").outside, Some(false));
}

#[test]
fn a_refused_step_that_only_the_controller_knows_of_is_shown() {
    let mut all = Objects::new();
    let status = json!({
        "protectedSince": SINCE, "snapshot": "20181205T0317Z", "good": "20181205T0317Z",
        "failure": {"reason": "QuotaExceeded", "message": "create jobs: exceeded quota", "at": "2018-12-05T11:00:00Z"}
    });
    snapshots_only(all.source("shop", "data", &status));
    all.point("shop", "data", "20181205T0317Z", &json!({}));
    let volume = all.only("data");
    assert_eq!((volume.state, reasons(&volume), volume.alarm), (State::Failing, vec!["QuotaExceeded"], true));
}

#[test]
fn a_young_pvc_has_no_cronjob_yet_and_alarms_nobody() {
    let mut all = Objects::new();
    all.pvc("shop", "data")["metadata"]["creationTimestamp"] = json!("2018-12-05T11:58:00Z");
    let volume = all.only("data");
    assert_eq!((volume.state, volume.alarm), (State::Unscheduled, false));
}

#[test]
fn a_suspended_cronjob_is_told() {
    let mut all = cluster();
    for cronjob in &mut all.cronjobs {
        cronjob["spec"]["suspend"] = json!(true);
    }
    let volume = all.only("data");
    assert_eq!((volume.next_run, volume.suspended, reasons(&volume)), (None, true, vec!["Suspended"]));
}

/// Its CronJob is suspended on purpose, and the next run counts from the end of the last.
#[test]
fn a_run_after_the_end_of_the_last_one_is_told_with_its_time() {
    let mut all = Objects::new();
    let status = json!({"instance": INSTANCE, "protectedSince": "2018-12-01T00:00:00Z", "good": "20181205T0317Z"});
    all.source("shop", "data", &status);
    all.cronjobs[0]["metadata"]["annotations"] = json!({"backup-controller.io/after": "1d"});
    all.cronjobs[0]["spec"]["suspend"] = json!(true);
    all.point("shop", "data", "20181205T0317Z", &json!({"disk": copied("Complete", "2018-12-05T04:00:00Z")}));
    let volume = all.only("data");
    assert_eq!((volume.state, volume.suspended, reasons(&volume)), (State::Protected, false, vec![]));
    assert_eq!(volume.schedule.as_deref(), Some("@after 1d"));
    assert_eq!(volume.next_run, Some("2018-12-06T04:00:00Z".parse().unwrap()));
    assert_eq!(volume.missed_runs, Some(0));

    // Its copy is being made: nobody knows yet.
    all.snapshots.clear();
    all.point("shop", "data", "20181205T0817Z", &json!({"disk": null}));
    let volume = all.only("data");
    assert_eq!((volume.next_run, volume.suspended), (None, false));

    // A day, and what a run may take at most: two rounds and more have passed.
    all.snapshots.clear();
    let status = json!({"protectedSince": "2018-12-01T00:00:00Z", "good": "20181202T2200Z"});
    let status = shown("uid-shop-data", &status);
    let data = all.claims.iter_mut().find(|c| c["metadata"]["name"] == "data").unwrap();
    data["metadata"]["annotations"]["backup-controller.io/status"] = json!(status.to_string());
    all.point("shop", "data", "20181202T2200Z", &json!({"disk": copied("Complete", "2018-12-02T23:00:00Z")}));
    let volume = all.only("data");
    assert_eq!((volume.state, volume.missed_runs), (State::Overdue, Some(2)));
}

/// Its snapshots went with its namespace: only the ledger knows of the copies, for who may read it.
#[test]
fn copies_of_a_pvc_that_is_gone_are_listed_when_its_snapshots_are_gone_too() {
    let mut observed = cluster().observed(ALL);
    let source = source_id("lost", "data");
    let mut ledger = Ledger::of_shown(&source, &Status::default());
    let snapshot = Identity { name: "x".into(), uid: "x".into(), ..Identity::default() };
    ledger.begin(&"20181201T0000Z".parse().unwrap(), &snapshot, false);
    let message = |ledger: &Ledger, observed: &mut Observed| {
        let book = Book {
            id: Identity::default(),
            uid: source.uid.clone(),
            ledger: Ok(Box::new(ledger.clone())),
            words: Words::default(),
        };
        observed.world.apply(Change::Ledger(Seen::Put(book)));
        let question = Question { observed, names: &[], missed: 2, now: now() };
        let found = status::volumes(question).into_iter().find(|v| v.namespace == "lost");
        found.map(|v| (v.state, v.findings[0].message.clone()))
    };
    assert_eq!(message(&ledger, &mut observed), None, "nothing is left of it");
    let copy = serde_json::from_value(copied("Complete", "2018-12-01T00:10:00Z")).unwrap();
    ledger.runs[0].results.insert("s3".to_owned(), copy);
    let told = "the PVC is gone; copies are left on s3".to_owned();
    assert_eq!(message(&ledger, &mut observed), Some((State::Vanished, told)));
}

#[test]
fn a_source_whose_ledger_cannot_be_read_is_unknown_and_needs_attention() {
    let mut all = Objects::new();
    let status = json!({
        "protectedSince": SINCE, "good": "20181205T0317Z",
        "failure": {
            "reason": "LedgerUnreadable", "at": "2018-12-05T04:00:00Z",
            "message": "ConfigMap ledger-1: data[\"sha256\"]: is not that of the text: somebody edited it"
        }
    });
    all.source("shop", "data", &status);
    let volume = all.only("data");
    assert_eq!((volume.state, reasons(&volume)), (State::Unknown, vec!["LedgerUnreadable"]));
    assert!(volume.alarm && volume.findings[0].message.contains("ConfigMap ledger-1"));
}

#[test]
fn another_installations_objects_do_not_count() {
    let mut all = cluster();
    for object in all.cronjobs.iter_mut().chain(&mut all.snapshots) {
        object["metadata"]["labels"]["backup-controller.io/instance"] = json!("other");
    }
    let volume = all.only("data");
    assert_eq!(volume.state, State::Unscheduled);
    assert_eq!(volume.restore_points, Some(vec![]));
}

#[test]
fn a_tenant_sees_what_was_recorded_and_what_he_may_see() {
    let all = cluster();
    let one = |name: &str| all.only_with(name, TENANT);
    assert_eq!((one("data").state, one("data").computed), (State::Protected, false));
    assert_eq!(one("full").state, State::Failing);
    assert_eq!(one("forgotten").state, State::Unknown);
    assert!(!one("forgotten").alarm);
    assert_eq!((one("off").state, one("unbound").state), (State::Excluded, State::Unprotected));
    assert_eq!(one("late").missed_runs, None, "CronJobs may not be read");
    assert_eq!(one("data").outside, None);
    assert_eq!(one("data").restore_points.unwrap().len(), 2);
    let late = all.only_with("late", Knows { cronjobs: true, ..TENANT });
    assert_eq!((late.state, late.missed_runs), (State::Overdue, Some(3)));
}

#[test]
fn without_cronjobs_the_next_run_follows_from_the_settings() {
    let mut all = cluster();
    all.claims.iter_mut().filter(|c| c["metadata"]["name"] == "data").for_each(|c| {
        c["metadata"]["annotations"]["backup-controller.io/schedule"] = json!("0 4 * * *");
    });
    let volume = all.only_with("data", Knows { cronjobs: false, ..ALL });
    assert_eq!((volume.state, volume.next_run), (State::Protected, Some("2018-12-06T04:00:00Z".parse().unwrap())));
}

#[test]
fn our_own_volumes_are_shown_by_name_only() {
    let volume = cluster().only("backup-disk");
    assert_eq!((volume.state, reasons(&volume), volume.alarm), (State::Excluded, vec!["OwnVolume"], false));
}

#[test]
fn what_vanished_keeps_its_restore_points() {
    let volume = cluster().only("gone");
    assert_eq!((volume.state, reasons(&volume), volume.alarm), (State::Vanished, vec!["SourceGone"], false));
    assert_eq!(volume.restore_points.as_ref().unwrap()[0].name, "gone-20181204");
    assert_eq!(volume.outside, Some(true));
    let mut observed = cluster().observed(ALL);
    observed.selected = Some(["uid-shop-data".to_owned()].into());
    let volumes = status::volumes(Question { observed: &observed, names: &[], missed: 2, now: now() });
    assert_eq!(
        volumes.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(),
        ["data"],
        "it has no labels to be found by"
    );
}

/// The words of this program stand in the same page as the controller's.
#[test]
fn each_word_of_ours_is_in_the_troubleshooting_page() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/troubleshooting.md");
    let page = std::fs::read_to_string(path).unwrap();
    for word in Word::OWN {
        let help = word.help();
        let explained = page.lines().any(|l| l.starts_with(&format!("| `{word}` |")) && l.contains(help));
        assert!(explained, "{word} is not in {path} with: {help}");
    }
}

#[test]
fn a_copy_that_differs_alarms_and_a_proof_is_shown_with_its_age() {
    let shown = |tasks: Value| {
        let mut all = Objects::new();
        let run = "20181205T0317Z";
        let mut copies = copy_status(run, "Complete", "2018-12-05T03:29:00Z");
        copies["bytes"] = json!(1);
        let status = json!({
            "protectedSince": SINCE, "snapshot": run, "good": run, "copies": {"disk": copies},
            "maintenance": {"disk": tasks},
        });
        all.source("shop", "data", &status);
        all.point("shop", "data", run, &json!({"disk": copied("Complete", "2018-12-05T03:29:00Z")}));
        all.only("data")
    };
    let proof = json!({"due": "20181205T0600Z", "state": "Done", "finished": "2018-12-05T06:10:00Z", "files": 100});
    let proven = shown(json!({"drill": proof, "proven": proof}));
    assert_eq!((proven.state, proven.alarm, reasons(&proven)), (State::Protected, false, vec![]));
    let look = crate::table::Look { namespaces: false, wide: true, headers: true, width: None };
    let text = |volume: Volume| {
        status::output::text(&[volume], (&[], &[]), crate::flags::Output::Wide, look, false, now()).unwrap()
    };
    assert!(text(proven).contains(") proven "));

    let failed = json!({
        "due": "20181212T0600Z", "state": "Failed", "finished": "2018-12-05T07:10:00Z",
        "problem": {"reason": "RestoreMismatch", "message": "etc/app.conf differs"},
    });
    let differs = shown(json!({"drill": failed, "proven": proof}));
    assert_eq!((differs.state, differs.alarm, reasons(&differs)), (State::Degraded, true, vec!["RestoreMismatch"]));
    assert!(text(differs).contains("not proven"));
    // U13: until the next complete copy that compared contents; the older ones stay what they are.
    let healed = shown(json!({"drill": failed, "differs": failed, "proven": proof, "healed": "20181213T0317Z"}));
    assert_eq!((healed.state, healed.alarm, reasons(&healed)), (State::Protected, false, vec!["RestoreMismatch"]));
    assert!(
        healed.findings[0]
            .message
            .ends_with("the copies from run 20181213T0317Z on were made by comparing all contents")
    );
    assert!(text(healed).contains("not proven"));
    let of_run = |drill: &serde_json::Value| {
        let mut drill = drill.clone();
        drill["run"] = "20181205T0317Z".into();
        drill
    };
    let sampled = shown(json!({"drill": of_run(&proof), "differs": of_run(&failed), "proven": of_run(&proof)}));
    assert!(text(sampled).contains("not proven"), "U13: another sample does not end a finding");
    let mut earlier = failed.clone();
    earlier["problem"]["reason"] = "DrillDiffers".into();
    let earlier = shown(json!({"drill": earlier, "proven": proof}));
    assert_eq!((earlier.alarm, reasons(&earlier)), (true, vec!["UnknownReason"]), "another version's word for it");
    let locked = json!({
        "due": "20181219T0600Z", "state": "Failed", "finished": "2018-12-05T08:10:00Z",
        "problem": {"reason": "RepositoryLocked", "message": "host x"},
    });
    let later = shown(json!({"drill": locked, "differs": failed, "proven": proof}));
    assert_eq!((later.alarm, reasons(&later)), (true, vec!["RestoreMismatch", "RepositoryLocked"]), "it was found");

    let locked = json!({
        "due": "20181205T0230Z", "state": "Failed", "finished": "2018-12-05T02:31:00Z",
        "problem": {"reason": "RepositoryLocked", "message": "host x"},
    });
    let locked = shown(json!({"prune": locked}));
    assert_eq!((locked.alarm, reasons(&locked)), (false, vec!["RepositoryLocked"]));
}
