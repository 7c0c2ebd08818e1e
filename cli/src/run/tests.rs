use model::reason::Reason;
use serde_json::{Value, json};

use super::follow::{End, Follow, Until};
use super::watch::Watching;
use super::*;
use crate::exit::ATTENTION;
use crate::tests::fixture::{ALL, Objects, claim, cluster, copied, now, source_id};
use crate::tests::server::{PVCS, SNAPSHOTS, Server, forbidden, serve};

const VALUE: &str = "kubectl backup run x";
const RUN: &str = "20181205T1200Z";

fn protected(status: &Value) -> Objects {
    let mut all = Objects::new();
    all.source("shop", "data", status);
    all.point("shop", "data", "20181205T0317Z", &json!({"disk": copied("Complete", "2018-12-05T03:29:00Z")}));
    all
}

fn since() -> Value {
    json!({"protectedSince": "2018-11-01T00:10:00Z"})
}

fn followed(all: &Objects) -> Follow {
    Follow::new(&all.observed(ALL), &all.only("data"), VALUE, Until::All, now())
}

/// What is told of each of these states of the cluster in turn, and how it ends.
fn told(states: &[Objects]) -> (Vec<String>, Option<End>) {
    let mut follow = followed(&protected(&since()));
    let lines = states.iter().flat_map(|all| follow.step(&all.observed(ALL).world, now())).collect();
    (lines, follow.end)
}

/// U12: a short copy was told as one "in 0 s".
#[test]
fn a_run_is_told_step_by_step_until_it_is_good() {
    let started = protected(&json!({"protectedSince": "2018-11-01T00:10:00Z", "runNow": VALUE}));
    let mut taken = protected(&since());
    taken.point("shop", "data", RUN, &json!({"disk": null}))["status"] = json!({});
    let mut copying = protected(&since());
    copying.point("shop", "data", RUN, &json!({"disk": null}));
    copying.copying("shop", "data", RUN);
    let mut good = protected(&since());
    good.point("shop", "data", RUN, &json!({"disk": copied("Complete", "2018-12-05T12:01:00Z")}));
    let (lines, end) = told(&[protected(&since()), started.clone(), started, taken, copying, good]);
    assert_eq!(
        lines,
        [
            "data: the run has started",
            "data: run 20181205T1200Z: snapshot data-20181205 is being taken",
            "data: PVC data-20181205 is made from the snapshot: mount it to look into the restore point",
            "data: snapshot data-20181205 is ready",
            "data: the copy to disk has started",
            "data: the copy to disk is complete: 3043 entries, 1.2Mi in less than 1 s",
            "data: run 20181205T1200Z is good",
        ]
    );
    assert_eq!(end, Some(End::Good));
}

/// U1: it ended with 0 at the first complete copy, a second before the other one failed.
#[test]
fn waiting_for_all_ends_when_each_copy_has_ended_and_names_the_one_that_failed() {
    let state = |s3: Value| {
        let mut all = protected(&since());
        all.point("shop", "data", RUN, &json!({"disk": copied("Complete", "2018-12-05T12:01:00Z"), "s3": s3}));
        all
    };
    let mut refused = copied("Failed", "2018-12-05T12:02:00Z");
    refused["reason"] = json!("CredentialsRefused");
    let states = [state(Value::Null), state(refused.clone())];
    let ended = |until: Until, states: &[Objects]| {
        let all = protected(&since());
        let mut follow = Follow::new(&all.observed(ALL), &all.only("data"), VALUE, until, now());
        let lines: Vec<String> = states.iter().flat_map(|all| follow.step(&all.observed(ALL).world, now())).collect();
        (lines.last().cloned().unwrap_or_default(), follow.end)
    };
    assert_eq!(ended(Until::All, &states[..1]).1, None, "s3 is not done");
    let (last, end) = ended(Until::All, &states);
    assert!(last.contains("s3 (CredentialsRefused)") && last.contains("kubectl backup why data"), "{last}");
    assert_eq!(end, Some(End::Failed));
    assert_eq!(ended(Until::Any, &states[..1]), ("data: run 20181205T1200Z is good".to_owned(), Some(End::Good)));
    let good = [state(copied("Complete", "2018-12-05T12:02:00Z"))];
    assert_eq!(ended(Until::All, &good).1, Some(End::Good));
}

/// As kubectl's: `--wait any` names a PVC.
#[test]
fn the_value_of_wait_is_optional_and_comes_after_an_equals_sign() {
    use clap::Parser as _;
    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    let read = |words: &[&str]| Line::try_parse_from([&["run"], words].concat()).map(|l| (l.args.wait, l.args.names));
    let data = || vec!["data".to_owned()];
    assert_eq!(read(&["data"]).unwrap(), (None, data()));
    assert_eq!(read(&["--wait", "data"]).unwrap(), (Some(Until::All), data()));
    assert_eq!(read(&["data", "--wait=all"]).unwrap(), (Some(Until::All), data()));
    assert_eq!(read(&["data", "--wait=any", "--timeout=1h"]).unwrap(), (Some(Until::Any), data()));
    assert!(read(&["data", "--wait=some"]).is_err() && read(&["data", "--timeout=1h"]).is_err());
}

#[test]
fn a_run_whose_copy_failed_is_not_good() {
    let mut failed = protected(&since());
    let mut copy = copied("Failed", "2018-12-05T12:01:00Z");
    copy["reason"] = json!("DiskFull");
    copy["message"] = json!("no space left");
    failed.point("shop", "data", RUN, &json!({"disk": copy}));
    let (lines, end) = told(&[failed]);
    let help = Reason::DiskFull.help();
    assert!(
        lines.iter().any(|l| l.contains(&format!("the copy to disk failed: no space left. What to do: {help}"))),
        "{lines:?}"
    );
    assert_eq!(end, Some(End::Failed));
}

/// A Job that fails makes no snapshot; an old failure is not this run's.
#[test]
fn a_run_that_fails_before_its_snapshot_is_told_with_what_to_do() {
    let failure = |run: &str| {
        let failure =
            json!({"run": run, "reason": "QuotaExceeded", "message": "no room", "at": "2018-12-05T12:00:30Z"});
        protected(&json!({"protectedSince": "2018-11-01T00:10:00Z", "failure": failure}))
    };
    let (lines, end) = told(&[failure(RUN)]);
    assert_eq!(lines, [format!("data: QuotaExceeded: no room. What to do: {}", Reason::QuotaExceeded.help())]);
    assert_eq!(end, Some(End::Failed));
    assert_eq!(told(&[failure("20181204T0317Z")]).1, None);
    let mut gone = protected(&since());
    gone.claims.retain(|c| c["metadata"]["name"] != "data");
    assert_eq!(told(&[protected(&since()), gone]).1, Some(End::Failed));
}

#[test]
fn what_is_not_backed_up_is_refused_before_anything_is_written() {
    let checked = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        live(&names, cluster().volumes(ALL), "shop").map_err(|e| e.to_string())
    };
    assert!(checked(&["data", "full", "late", "new"]).is_ok());
    let fault = checked(&["data", "nfs", "nothing", "gone"]).unwrap_err();
    assert!(fault.contains("PVC nfs is not backed up: NotCsi: "), "{fault}");
    assert!(fault.contains(&format!("What to do: {}", Reason::NotCsi.help())), "{fault}");
    assert!(fault.contains("shop has no PVC nothing") && fault.contains("shop has no PVC gone"), "{fault}");
    assert!(checked(&["off"]).unwrap_err().contains("Disabled"));
}

/// U3: a PVC that is gone had the name of one that is there, and its restore points are left.
#[test]
fn only_the_pvc_that_is_there_is_asked_for_and_not_one_that_had_its_name() {
    let mut all = protected(&since());
    all.point_of("uid-before", ("shop", "data"), "20181203T0317Z", &json!({}));
    let volumes = all.volumes(ALL);
    let named = volumes.iter().filter(|v| v.name == "data").count();
    let live = live(&["data".to_owned()], volumes, "shop").unwrap();
    let of_name: Vec<&str> = live.iter().filter(|v| v.name == "data").map(|v| v.uid.as_str()).collect();
    assert_eq!((named, of_name), (2, vec!["uid-shop-data"]));
}

#[test]
fn a_run_that_comes_too_soon_says_when_it_starts() {
    let mut all = protected(&since());
    assert_eq!(note(&all.observed(ALL), &all.only("data"), now()), None);
    all.point("shop", "data", "20181205T1130Z", &json!({"disk": null}));
    let told = note(&all.observed(ALL), &all.only("data"), now()).unwrap();
    assert!(told.contains("TooSoon: the run starts in 30m: run 20181205T1130Z"), "{told}");
}

/// S8: a run that made no snapshot has its pause too.
#[test]
fn a_run_that_follows_a_failed_one_says_when_it_starts() {
    let all = protected(&json!({"protectedSince": "2018-11-01T00:10:00Z", "runNowAt": "2018-12-05T11:56:00Z"}));
    let told = note(&all.observed(ALL), &all.only("data"), now()).unwrap();
    assert!(told.contains("TooSoon: the run starts in 6m: the newest run by run-now started 4m ago"), "{told}");
}

#[test]
fn only_the_annotation_of_the_pvc_that_was_seen_is_written() {
    let path = format!("{PVCS}/data");
    let answer = json!({"kind": "PartialObjectMetadata", "metadata": {}});
    let server = Server::of(protected(&since())).refusing(&path, (200, answer));
    let volume = protected(&since()).only("data");
    serve(async { annotate(&server.client(), &volume, names::RUN_NOW, VALUE).await }).unwrap();
    let uid = source_id("shop", "data").uid;
    assert_eq!(claim("shop", "data")["metadata"]["uid"], uid);
    assert_eq!(server.written(), [json!({"metadata": {"uid": uid, "annotations": {names::RUN_NOW: VALUE}}})]);
    let server = server.refusing(&path, forbidden("patch resource \"persistentvolumeclaims\""));
    let error =
        serve(async { annotate(&server.client(), &volume, names::RUN_NOW, VALUE).await }).unwrap_err().to_string();
    assert!(error.starts_with("you (me) lack permission to patch persistentvolumeclaims in namespace shop"), "{error}");
}

/// What `--wait` ends with, if these objects are there once it looks.
fn waited(server: &Server, timeout: &str) -> Result<ExitCode, String> {
    let before = protected(&since());
    let (observed, follow) = (before.observed(ALL), followed(&before));
    let ended = serve(async {
        let client = server.client();
        let watching = Watching { client: &client, namespace: "shop", observed: &observed };
        watching.until_done(vec![follow], timeout.parse().unwrap()).await
    });
    ended.map_err(|e| e.to_string())
}

#[test]
fn waiting_ends_with_the_run() {
    let mut good = protected(&since());
    good.point("shop", "data", RUN, &json!({"disk": copied("Complete", "2018-12-05T12:01:00Z")}));
    assert_eq!(waited(&Server::of(good), "20s"), Ok(ExitCode::SUCCESS));
    let mut failed = protected(&since());
    failed.point("shop", "data", RUN, &json!({"disk": copied("Failed", "2018-12-05T12:01:00Z")}));
    assert_eq!(waited(&Server::of(failed), "20s"), Ok(ExitCode::from(ATTENTION)));
}

#[test]
fn waiting_is_bounded_and_needs_the_right_to_watch() {
    assert_eq!(waited(&Server::of(protected(&since())), "0s"), Ok(ExitCode::from(ATTENTION)));
    let jobs = "/apis/batch/v1/namespaces/shop/jobs";
    let refused = [PVCS, SNAPSHOTS, jobs]
        .into_iter()
        .fold(Server::of(protected(&since())), |server, path| server.refusing(path, forbidden("watch")));
    assert!(
        waited(&refused, "20s").unwrap_err().contains("cannot follow the run without these permissions. It continues")
    );
}

/// U11: the first of two PVCs was annotated before the second was refused, and `--wait` could not see what it waited for.
#[test]
fn rights_on_each_pvc_and_on_what_is_waited_for_are_asked_for_first() {
    let mut all = protected(&since());
    all.source("shop", "orders", &since());
    let volumes = [all.only("data"), all.only("orders")];
    let named = |follows| rights(&volumes, follows).iter().map(|d| (d.verb, d.name)).collect::<Vec<_>>();
    let patches = [("patch", Some("data")), ("patch", Some("orders"))];
    assert_eq!(named(false), patches);
    assert_eq!(named(true), [&patches[..], &[("watch", None)]].concat());
}
