//! What is called, what is seen, and how it is told: without an API server.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;

use super::*;
use crate::restore::args::Restore;
use crate::restore::exec::exit_code;
use crate::restore::objects::objects;
use crate::restore::stage::{Stage, stage};
use crate::restore::undo::Undo;
use crate::restore::workload::{Kind, Workload};

fn args(words: &[&str]) -> Restore {
    let words = ["kubectl-backup", "restore", "data", DATE].iter().chain(words);
    let Verb::Restore(args) = Cli::try_parse_from(words).unwrap().verb else { panic!("another verb") };
    args
}

#[test]
fn restore_sh_gets_the_flags_and_the_paths() {
    let command = |words: &[&str], ask: bool| args(words).command(ask).join(" ");
    assert_eq!(command(&[], true), "/usr/local/bin/restore.sh");
    assert_eq!(command(&[], false), "/usr/local/bin/restore.sh --yes");
    assert_eq!(command(&["--dry-run"], false), "/usr/local/bin/restore.sh --dry-run");
    assert_eq!(
        command(&["--delete", "-y", "-o=json", "/etc/app.conf", "--path=-rf"], false),
        "/usr/local/bin/restore.sh --delete --yes --output=json -- etc/app.conf -rf"
    );
}

/// Nobody who can answer is there: nothing is overwritten without a word.
#[test]
fn without_a_terminal_it_has_to_be_told_yes() {
    assert!(args(&[]).contradiction(true).is_none());
    for words in [&["-y"][..], &["--dry-run"], &["-y", "-o=json"]] {
        assert!(args(words).contradiction(false).is_none(), "{words:?}");
    }
    assert!(args(&[]).contradiction(false).unwrap().contains("--yes"));
    assert!(args(&["-o=json"]).contradiction(true).unwrap().contains("--yes"));
}

#[test]
fn names_fit_and_are_told_apart() {
    let long = "p".repeat(253);
    for pvc in ["data", "data.with.dots", &long] {
        let name = names::restore_pod(pvc, &names::Token("abcde".to_owned()));
        assert!(name.len() <= 63 && !name.contains('.') && name.ends_with("-abcde"), "{name}");
    }
    let request = args(&[]).point.request(Some("data"));
    assert_eq!(request.target, None, "the PVC itself is no other target");
    let [script, deployment] = objects(&"other".into(), "shop", "restore-data-abcde", &request).unwrap();
    assert_eq!(script["metadata"]["name"], deployment["metadata"]["name"]);
    assert_eq!(deployment["metadata"]["labels"][names::INSTANCE], "other");
    assert_eq!(deployment["metadata"]["annotations"][names::RESTORE_FROM], "pvc=data date=20181205");
    assert_eq!(
        deployment["spec"]["template"]["metadata"]["labels"]["restore"],
        deployment["spec"]["selector"]["matchLabels"]["restore"]
    );
}

fn deployment(state: &str, request: &str) -> Deployment {
    let record = json!({
        "request": request, "state": state, "point": "data-20181205",
        "problem": {"reason": "WaitingForPromoter", "message": "it is made again"}
    });
    serde_json::from_value(json!({"metadata": {"annotations": {names::RESTORE_STATUS: record.to_string()}}})).unwrap()
}

#[test]
fn how_far_a_restore_pod_is_follows_from_what_is_seen() {
    let of = |deployment: &Deployment, pods: Value| {
        let pods: Vec<Pod> = serde_json::from_value(pods).unwrap();
        stage(deployment, pods.iter(), "pvc=data date=latest")
    };
    let ready = deployment("Ready", "pvc=data date=latest");
    assert_eq!(of(&Deployment::default(), json!([])), Stage::Unanswered);
    assert_eq!(of(&deployment("Ready", "an older request"), json!([])), Stage::Unanswered);
    assert!(matches!(of(&deployment("Refused", "pvc=data date=latest"), json!([])), Stage::Refused(_)));
    let text = |pods: Value| of(&ready, pods).text();
    let pod = |status: Value| json!([{"metadata": {"name": "p"}, "status": status}]);
    let container = |state: Value| {
        pod(
            json!({"containerStatuses": [{"name": "backup", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}),
        )
    };
    assert!(of(&deployment("Waiting", "pvc=data date=latest"), json!([])).text().contains("it is made again"));
    assert!(text(json!([])).contains("waiting for the pod"));
    let scheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}]});
    assert!(text(pod(scheduled)).contains("0/2 nodes"));
    let pull = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
    assert!(text(container(pull)).contains("ImagePullBackOff: no such image"));
    assert!(text(container(json!({"waiting": {"reason": "ContainerCreating"}}))).contains("volumes are being mounted"));
    let conditions = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    assert_eq!(of(&ready, pod(conditions.clone())), Stage::Ready { pod: "p".into(), point: "data-20181205".into() });
    // One that is on its way out is not the one.
    let mut going = pod(conditions);
    going[0]["metadata"]["deletionTimestamp"] = json!("2018-12-05T12:00:00Z");
    assert!(matches!(of(&ready, going), Stage::Waiting(_)));
    let mut quota = ready.clone();
    quota.status = serde_json::from_value(json!({
        "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}]
    }))
    .unwrap();
    assert!(of(&quota, json!([])).text().contains("exceeded quota"));
}

#[test]
fn the_exit_code_is_that_of_the_command_in_the_pod() {
    let status = |value: Value| serde_json::from_value(value).unwrap();
    assert_eq!(exit_code(&status(json!({"status": "Success"}))), 0);
    let failed = |code: &str| json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": code}]}});
    assert_eq!(exit_code(&status(failed("3"))), 3);
    assert_eq!(exit_code(&status(json!({"status": "Failure", "message": "no such container"}))), 1);
}

#[test]
fn what_is_left_is_told_with_the_commands_that_take_it_back() {
    let left = Left::new("shop");
    left.add(Undo::Scale { workload: Workload { kind: Kind::StatefulSet, name: "db".into() }, replicas: 2 });
    left.add(Undo::Delete { resource: "deployments.apps", name: "restore-data-abcde".into() });
    assert_eq!(
        left.lines()[1..],
        [
            "  kubectl delete deployments.apps restore-data-abcde -n shop",
            "  kubectl scale statefulset/db --replicas=2 -n shop && kubectl annotate statefulset/db \
             backup-controller.io/replicas-before-restore- -n shop"
        ]
    );
    // L10: what a second signal leaves is not scaled back without a thought.
    left.set_mixture(true);
    let lines = left.lines();
    assert_eq!(lines[1], "  kubectl delete deployments.apps restore-data-abcde -n shop");
    assert!(lines[2].contains("MIXTURE") && lines.last().unwrap().contains("statefulset/db"), "{lines:?}");
}

#[test]
fn a_refusal_is_one_line_of_json_too() {
    let stop = Stop::refused(Reason::TargetInUse, "PVC data is mounted by pod app");
    let line = serde_json::to_value(stop.result("2018-12-05T12:00:00Z".parse().unwrap())).unwrap();
    assert_eq!((&line["state"], &line["problem"]["reason"]), (&json!("Refused"), &json!("TargetInUse")));
}
