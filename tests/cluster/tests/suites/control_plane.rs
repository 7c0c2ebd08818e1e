//! The control plane by itself: it starts, does what a cluster does, fails on command, and leaves nothing.

use std::time::{Duration, Instant};

use dev_cluster::{ControlPlane, Options};

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Processes whose command line has `text`.
fn processes_with(text: &str) -> usize {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|command| String::from_utf8_lossy(command).contains(text))
        .count()
}

const CRON_JOB: &str = r#"
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick, namespace: default}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: one, image: none}]
"#;

#[test]
fn runs_the_real_controllers_and_leaves_nothing() {
    let begun = Instant::now();
    let plane = ControlPlane::start().unwrap();
    println!("started in {:?}", begun.elapsed());
    assert!(plane.kubectl(&["get", "crd"]).unwrap().contains("volumesnapshots.snapshot.storage.k8s.io"));

    plane.apply(CRON_JOB).unwrap();
    plane.kubectl(&["create", "job", "now", "--from=cronjob/tick"]).unwrap();
    eventually("the Job has a pod", || plane.kubectl(&["get", "pods", "-o", "name"]).unwrap().contains("pod/now-"));
    plane.kubectl(&["delete", "cronjob", "tick"]).unwrap();
    eventually("the garbage collector takes the Job", || {
        !plane.kubectl(&["get", "jobs", "-o", "name"]).unwrap().contains("now")
    });

    let dir = plane.dir().to_owned();
    drop(plane);
    assert!(!dir.exists());
    assert_eq!(processes_with(dir.to_str().unwrap()), 0);
}

#[test]
fn faults_audit_and_service_accounts() {
    let plane = ControlPlane::start_with(&Options {
        audit: true,
        disabled_controllers: vec!["persistentvolume-binder-controller".into()],
        ..Options::default()
    })
    .unwrap();
    plane.kubectl(&["create", "serviceaccount", "someone"]).unwrap();
    let kubeconfig = plane.service_account_kubeconfig("default", "someone").unwrap();
    let someone = dev_cluster::Kubectl::new(plane.kubectl_tool().program(), kubeconfig);
    let refused = someone.run(&["get", "secrets"]).unwrap_err().to_string();
    assert!(refused.contains("system:serviceaccount:default:someone"), "{refused}");
    let recorded = plane.audit_log().unwrap();
    let request = recorded
        .iter()
        .find(|request| request.user == "system:serviceaccount:default:someone" && request.resource == "secrets");
    assert_eq!(request.map(|request| (request.verb.as_str(), request.code)), Some(("list", 403)));

    plane.stop_apiserver().unwrap();
    assert!(plane.kubectl(&["get", "namespaces"]).is_err());
    plane.start_apiserver().unwrap();
    plane.freeze_apiserver(true).unwrap();
    assert!(plane.kubectl(&["get", "namespaces", "--request-timeout=1s"]).is_err());
    plane.freeze_apiserver(false).unwrap();
    assert!(plane.kubectl(&["get", "serviceaccounts"]).unwrap().contains("someone"));
}
