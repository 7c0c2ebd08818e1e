//! Restores that the controller does in a tenant's place: by the annotation `restore-from` on the PVC that is written.

use std::path::Path;
use std::time::Duration;

use backup_controller_tests::nodes::{App, Files, Tree, manifest, restore_template, wait::wait_for};
use model::names::{GrantClaim, SourceId, alias_volume, grant_volume, restore_job};
use serde_json::Value;

use crate::e2e::{cluster, prepare_vault};

/// A namespace with nothing in it.
fn empty(namespace: &str) -> App {
    cluster().run(&["create", "namespace", namespace]).unwrap();
    cluster().run(&["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline"]).unwrap();
    App::existing(cluster(), namespace)
}

#[track_caller]
fn complete(app: &App, claim: &str, truth: &Tree) {
    let record = app.restore_status(&format!("pvc/{claim}"), &["Complete", "Incomplete", "Refused", "Failed"]).unwrap();
    assert_eq!(record["state"], "Complete", "{claim}: {record}");
    let found = app.compare("compare", truth, &Tree::volume(claim)).unwrap();
    assert!(found.equal() && found.entries > 300, "{claim} differs:\n{}", found.differences);
}

#[track_caller]
fn not_granted(record: &Value) {
    assert_eq!((&record["state"], &record["problem"]["reason"]), (&"Refused".into(), &"NotGranted".into()), "{record}");
}

#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn who_has_a_grant_gets_a_restore_that_he_cannot_do_himself() {
    prepare_vault();
    let given = App::create_quiet(cluster(), "e2e-given", "shared", Files::Some).unwrap();
    let run = given.back_up(&["disk", "vault"]).unwrap();
    let point = given.restore_point(&run).unwrap();
    let truth = given.truth(&point).unwrap();
    let uid = given.uid().unwrap();

    into_another_namespace(&given, &run, &point);
    only_what_was_granted(&given, &run, &point, &uid);
    no_link_leads_out_of_the_disk(&given, &run, &uid);
    after_the_source(&given, &run, &truth);
    cluster().run(&["delete", "namespace", "e2e-given", "e2e-friend", "e2e-guest", "--timeout=120s"]).unwrap();
}

/// The whole disk is granted: it is a volume of the other namespace's.
fn into_another_namespace(given: &App, run: &str, point: &str) {
    let friend = empty("e2e-friend");
    let request = format!("pvc={}/data date={run} from=disk/disk", given.namespace);
    friend.claim("mine", Some(&request)).unwrap();
    complete(&friend, "mine", &given.truth_in(&friend, point).unwrap());
    given.forget_truth_in(&friend, point).unwrap();

    // The same without the controller's help: a tenant has what is his.
    let tenant = friend.tenant(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let said = tenant.backup_in(&given.namespace, &["restore", "data", "--date", run, "--to=stolen", "--yes"]).unwrap();
    assert!(said.code != 0 && said.text.contains("lack permission"), "{said:?}");
    friend.claim("data", None).unwrap();
    let template = restore_template(&["NAME=data", &format!("DATE={run}"), "FROM=disk/disk"]).unwrap();
    let theirs = template.replace("pvc=data", &format!("pvc={}/data", given.namespace));
    assert_ne!(theirs, template);
    let said = tenant.kubectl(&["apply", "-f", "-"], &theirs).unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    not_granted(&friend.restore_status("deployment/restore-data", &["Refused", "Ready"]).unwrap());
    let replicas = friend.kubectl(&["get", "deployment/restore-data", "-o", "jsonpath={.spec.replicas}"]).unwrap();
    assert_eq!(replicas, "0");
}

/// One PVC is granted: its trees on the host's disk are restored from in the controller's namespace, and no pod of the
/// tenant ever mounts them (S1).
fn only_what_was_granted(given: &App, run: &str, point: &str, uid: &str) {
    let guest = empty("e2e-guest");
    let request = |from: &str| format!("pvc={}/data date={run} from={from}", given.namespace);
    guest.claim("whole", Some(&request("disk/disk"))).unwrap();
    not_granted(&guest.restore_status("pvc/whole", &["Refused", "Complete"]).unwrap());
    guest.claim("snapshot", Some(&request("snapshot"))).unwrap();
    not_granted(&guest.restore_status("pvc/snapshot", &["Refused", "Complete"]).unwrap());

    // Somebody waits for a claim that leads to them.
    guest.claim("mine", None).unwrap();
    let target = guest.kubectl(&["get", "pvc/mine", "-o", "jsonpath={.metadata.uid}"]).unwrap();
    let target = SourceId { namespace: guest.namespace.clone(), name: "mine".into(), uid: target };
    let loan = restore_job(&target, &request("disk/vault"));
    let words = [
        ("NAMESPACE", guest.namespace.as_str()),
        ("NAME", "spy"),
        ("CLAIM", &loan),
        ("readOnly: true", "readOnly: false"),
    ];
    guest.apply(&manifest("shell.yaml", &words).unwrap()).unwrap();
    guest
        .kubectl(&["annotate", "pvc/mine", &format!("backup-controller.io/restore-from={}", request("disk/vault"))])
        .unwrap();
    complete(&guest, "mine", &given.truth_in(&guest, point).unwrap());
    given.forget_truth_in(&guest, point).unwrap();
    let phase = guest.kubectl(&["get", "pod/spy", "-o", "jsonpath={.status.phase}"]).unwrap();
    let claim = guest.kubectl(&["get", "pvc", &loan, "--ignore-not-found", "-o", "name"]).unwrap();
    assert_eq!((phase.as_str(), claim.as_str()), ("Pending", ""), "nothing leads to the trees of PVC {uid}");
    guest.kubectl(&["delete", "pod/spy", "--wait=true"]).unwrap();
    let claim = GrantClaim { namespace: &guest.namespace, name: &loan };
    let volumes = [grant_volume(&"backup".into(), claim), alias_volume(&"backup".into(), &loan)];
    let left = || {
        let words = ["get", "pv", "--ignore-not-found", "-o", "name"];
        cluster().run(&words.iter().copied().chain(volumes.iter().map(String::as_str)).collect::<Vec<_>>())
    };
    wait_for(
        "the lent volume is taken back",
        Duration::from_secs(30),
        || guest.seen(),
        || Ok(left()?.is_empty().then_some(())),
    )
    .unwrap();
}

/// S1: a tenant who may write his folder of the host's disk puts a link in the place of a tree. The pod that reads it is in
/// the controller's namespace, where nobody of his namespace could look into the node.
fn no_link_leads_out_of_the_disk(given: &App, run: &str, uid: &str) {
    let guest = App::existing(cluster(), "e2e-guest");
    let words = [
        ("NAMESPACE", given.namespace.as_str()),
        ("NAME", "forger"),
        ("CLAIM", "backup-disk-vault"),
        ("readOnly: true", "readOnly: false"),
    ];
    given.apply(&manifest("shell.yaml", &words).unwrap()).unwrap();
    given.kubectl(&["wait", "--for=condition=Ready", "pod/forger", "--timeout=90s"]).unwrap();
    let sh = |script: &str| given.kubectl(&["exec", "forger", "--", "/bin/bash", "-uec", script]).unwrap();
    let trees = format!("cd /volume/data/{uid}");
    sh(&format!("{trees}; mv {run} aside; ln -s /etc {run}; ls {run}/passwd"));

    let request = format!("pvc={}/data date={run} from=disk/vault", given.namespace);
    guest.claim("stolen", Some(&request)).unwrap();
    let target = guest.kubectl(&["get", "pvc/stolen", "-o", "jsonpath={.metadata.uid}"]).unwrap();
    let target = SourceId { namespace: guest.namespace.clone(), name: "stolen".into(), uid: target };
    let label = format!("batch.kubernetes.io/job-name={}", restore_job(&target, &request));
    let state = "jsonpath={.items[*].status.containerStatuses[*].state}";
    let pod = || cluster().run(&["-n", "backup", "get", "pods", "-l", &label, "-o", state]);
    let seen = || format!("{:?}\n{}", pod(), guest.seen());
    wait_for("the kubelet refuses the link", Duration::from_mins(2), seen, || {
        let state = pod()?;
        assert!(!state.contains("running") && !state.contains("terminated"), "the pod started: {state}");
        Ok((state.contains("CreateContainerConfigError") && state.contains("subPath")).then_some(()))
    })
    .unwrap();
    guest.kubectl(&["annotate", "pvc/stolen", "backup-controller.io/restore-from-"]).unwrap();
    sh(&format!("{trees}; rm {run}; mv aside {run}"));
    given.kubectl(&["delete", "pod/forger", "--wait=true"]).unwrap();
}

/// The PVC is gone; its snapshot and its trees are not.
fn after_the_source(given: &App, run: &str, truth: &Tree) {
    given.kubectl(&["delete", "deployment/app", "--wait=true"]).unwrap();
    given.kubectl(&["delete", "pvc/data", "--wait=true", "--timeout=90s"]).unwrap();
    given.claim("again", Some(&format!("pvc=data date={run} from=snapshot"))).unwrap();
    // Another PVC of that name is another source, and gets the earlier one's tree by the grant.
    given.claim("data", Some(&format!("pvc=data date={run} from=disk/disk"))).unwrap();
    complete(given, "again", truth);
    complete(given, "data", truth);
}
