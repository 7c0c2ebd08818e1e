//! Restores into a new PVC.

use std::sync::Arc;

use model::ledger::Ledger;
use model::names::SourceId;
use model::record::Status;

use super::super::fixture::{copied, labels, source_id};
use super::*;

fn claims() -> String {
    core("persistentvolumeclaims")
}

/// The provisioner: binds a PVC that is made, or says that it waits for its first use.
fn provisioner(at_once: bool) -> impl Fn(&str, &Value) -> Vec<(String, Value)> {
    move |collection, object| {
        if collection != claims() || !object["status"]["phase"].is_null() {
            return vec![];
        }
        if at_once {
            let mut bound = object.clone();
            bound["status"]["phase"] = json!("Bound");
            return vec![(claims(), bound)];
        }
        let event = json!({
            "metadata": {"name": "new.1", "namespace": "shop"},
            "involvedObject": {"kind": "PersistentVolumeClaim", "name": object["metadata"]["name"]},
            "type": "Normal", "reason": "WaitForFirstConsumer", "message": "waiting for first consumer"
        });
        vec![(core("events"), event)]
    }
}

fn sized() -> Objects {
    let mut objects = shop();
    for snapshot in &mut objects.snapshots {
        snapshot["status"]["restoreSize"] = json!("3Gi");
    }
    objects
}

#[test]
fn the_storage_makes_a_new_volume_of_a_snapshot_without_a_pod() {
    for (at_once, waiting) in [(true, false), (false, true)] {
        let cluster = Cluster::of(sized()).reacting(provisioner(at_once));
        let done = restore(&cluster, &["data", DATE, "--to=fresh", "-y"]).unwrap();
        assert!(matches!(&done, Done::Here(text, w) if *w == waiting && text.contains("fresh")), "{done:?}");
        let claim = cluster.get(&claims(), "fresh").unwrap();
        let source = json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "data-20181205"});
        assert_eq!(claim["spec"]["dataSource"], source);
        assert_eq!(claim["spec"]["storageClassName"], "fast");
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "3Gi");
        assert_eq!(cluster.writes(), [format!("POST {}", claims())]);
    }
}

#[test]
fn from_a_disk_an_empty_volume_is_made_and_written_by_a_pod() {
    for words in [&["--from=disk"][..], &["etc/app.conf"]] {
        let cluster = Cluster::of(sized()).reacting(provisioner(true));
        let words = [&["data", DATE, "--to=fresh", "-y", "--timeout=1s"], words].concat();
        let stop = restore(&cluster, &words).unwrap_err();
        assert!(stop.text().contains("the controller's answer"), "{}", stop.text());
        let claim = cluster.seen(&claims(), "fresh").unwrap();
        assert!(claim["spec"]["dataSource"].is_null(), "{claim}");
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
    }
}

/// U12: an empty PVC stayed, and was backed up from then on.
#[test]
fn a_pvc_into_which_nothing_was_written_goes_again() {
    let words = ["data", DATE, "--from=disk", "--to=fresh", "-y", "--timeout=1s"];
    let refused = || Some(Problem::new(Reason::NoRestorePoint, "there is none"));
    for (state, problem) in [(RestoreState::Refused, refused()), (RestoreState::Waiting, None)] {
        let (bind, answers) = (provisioner(true), controller(state, problem));
        let cluster = Cluster::of(sized())
            .reacting(move |collection, object| [bind(collection, object), answers(collection, object)].concat());
        restore(&cluster, &words).unwrap_err();
        let deleted = cluster.writes().iter().any(|write| *write == format!("DELETE {}/fresh", claims()));
        assert!(deleted && cluster.get(&claims(), "fresh").is_none(), "{state:?}: {:?}", cluster.writes());
    }
    // What the command in the pod did, the volume alone tells.
    for (code, seen, stays) in [(3, "empty\n", false), (0, "empty\n", false), (3, "", true), (0, "", true)] {
        let (bind, answers) = (provisioner(true), controller(RestoreState::Ready, None));
        let cluster = Cluster::of(sized())
            .reacting(move |collection, object| [bind(collection, object), answers(collection, object)].concat());
        run(async {
            let (_signal, mut session) = session(&cluster);
            session.executor = Executor::Test(Arc::new(move |command| {
                let looks = command.iter().any(|word| word.contains("echo empty"));
                Ok(if looks { (0, seen.to_owned()) } else { (code, String::new()) })
            }));
            restore_in(&mut session, &words).await.unwrap();
        });
        assert_eq!(cluster.get(&claims(), "fresh").is_some(), stays, "{code} {seen:?}");
    }
}

/// Its application came meanwhile, as a `StatefulSet`'s does, and may have written.
#[test]
fn a_pvc_that_a_pod_uses_meanwhile_stays() {
    let bind = provisioner(true);
    let cluster = Cluster::of(sized()).reacting(move |collection, object| {
        let app = (collection == claims()).then(|| (core("pods"), pod("app-0", "fresh", None)));
        [bind(collection, object), app.into_iter().collect()].concat()
    });
    restore(&cluster, &["data", DATE, "--from=disk", "--to=fresh", "-y", "--timeout=1s"]).unwrap_err();
    assert!(cluster.get(&claims(), "fresh").is_some());
}

/// U12: nobody knows how far it came, so what may be there stays.
#[test]
fn a_pvc_that_may_have_been_written_stays() {
    let (bind, answers) = (provisioner(true), controller(RestoreState::Ready, None));
    let cluster = Cluster::of(sized())
        .reacting(move |collection, object| [bind(collection, object), answers(collection, object)].concat());
    run(async {
        let (_signal, mut session) = session(&cluster);
        session.executor = Executor::Test(Arc::new(|_| Err(Stop::Failed(anyhow::anyhow!("lost")))));
        restore_in(&mut session, &["data", DATE, "--from=disk", "--to=fresh", "-y"]).await.unwrap_err();
    });
    assert!(cluster.get(&claims(), "fresh").is_some());
}

#[test]
fn what_the_new_volume_is_like_can_be_said() {
    let cluster = Cluster::of(sized()).reacting(provisioner(true));
    restore(&cluster, &["data", DATE, "--to=fresh", "--size=5Gi", "--storage-class=retain", "-y"]).unwrap();
    let spec = &cluster.get(&claims(), "fresh").unwrap()["spec"];
    assert_eq!(
        (&spec["storageClassName"], &spec["resources"]["requests"]["storage"]),
        (&json!("retain"), &json!("5Gi"))
    );

    let problem = refused(restore(&cluster, &["data", DATE, "--to=small", "--size=1Gi", "-y"]));
    assert!(problem.reason == Reason::TargetTooSmall && problem.message.contains("3Gi"), "{problem}");
    for (words, part) in [
        (&["data", DATE, "--to=new", "--size=5Gi", "-y"][..], "remove --size, --storage-class and --volume-mode"),
        (&["gone", "--date=20181204", "--to=gone", "-y"], "--storage-class"),
        (&["gone", "--date=20181204", "--from=disk", "--to=gone", "-y"], "--size"),
    ] {
        let stop = restore(&cluster, words).unwrap_err();
        assert!(stop.code() == 2 && stop.text().contains(part), "{}", stop.text());
    }
    assert!(cluster.get(&claims(), "small").is_none() && cluster.get(&claims(), "gone").is_none());
}

/// Such a PVC would be taken for a restore point, and rotated away.
#[test]
fn a_new_volume_never_has_its_snapshots_name() {
    let cluster = Cluster::of(sized());
    let mut objects = sized();
    objects.claims.retain(|c| c["metadata"]["name"] != "data-20181205");
    let without_promoter = Cluster::of(objects);
    assert!(cluster.get(&claims(), "data-20181205").is_some());
    let stop = restore(&without_promoter, &["data", DATE, "--to=data-20181205", "-y"]).unwrap_err();
    assert!(stop.text().contains("choose another"), "{}", stop.text());
    assert_eq!(without_promoter.writes(), Vec::<String>::new());
}

/// What the controller shows of the PVC `gone`, on its newest snapshot.
fn volume() -> Value {
    json!({
        "storageClass": "fast", "mode": "Filesystem", "bytes": 2_147_483_648_u64, "accessModes": ["ReadWriteMany"],
        "labels": {"app": "shop"},
        "annotations": {
            "backup-controller.io/destinations": "disk", "backup-controller.io/enabled": "true",
            "backup-controller.io/accept-finding": "2018-12-04T00:00:00Z", "example.com/other": "x"
        }
    })
}

fn with_volume() -> Objects {
    let mut objects = sized();
    for snapshot in objects.snapshots.iter_mut().filter(|s| s["metadata"]["name"] == "gone-20181204") {
        snapshot["status"]["restoreSize"] = json!("1Gi");
        let text = snapshot["metadata"]["annotations"][names::STATUS].as_str().unwrap();
        let mut status: Value = serde_json::from_str(text).unwrap();
        status["volume"] = volume();
        snapshot["metadata"]["annotations"][names::STATUS] = json!(status.to_string());
    }
    objects
}

/// U4: class and size were to be known by heart, and it came back without labels and annotations: copied to fewer
/// places or to none.
#[test]
fn a_pvc_that_is_gone_comes_back_as_it_was() {
    for from in [&[][..], &["--from=disk", "--timeout=1s"]] {
        let cluster = Cluster::of(with_volume()).reacting(provisioner(true));
        let result = restore(&cluster, &[&["gone", "--date=20181204", "--to=gone", "-y"], from].concat());
        assert_eq!(result.is_ok(), from.is_empty(), "no pod comes here: {result:?}");
        let claim = cluster.seen(&claims(), "gone").unwrap();
        assert_eq!(claim["spec"]["storageClassName"], "fast");
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "2Gi");
        assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteMany"]));
        assert_eq!(claim["metadata"]["labels"], json!({"app": "shop"}));
        let settings = json!({"backup-controller.io/destinations": "disk", "backup-controller.io/enabled": "true"});
        assert_eq!(claim["metadata"]["annotations"], settings, "what was accepted of the old one stays with it");
    }
}

/// A tool that tracks the application by its labels would remove a PVC that it does not expect.
#[test]
fn beside_a_pvc_that_is_gone_another_one_has_its_size_and_class_and_not_its_labels() {
    let cluster = Cluster::of(with_volume()).reacting(provisioner(true));
    restore(&cluster, &["gone", "--date=20181204", "--to=beside", "--size=3Gi", "-y"]).unwrap();
    let claim = cluster.get(&claims(), "beside").unwrap();
    assert_eq!((&claim["spec"]["storageClassName"], &claim["metadata"]["labels"]), (&json!("fast"), &Value::Null));
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "3Gi");
}

/// The last restore points of a PVC may be copies alone: only its ledger tells of them.
#[test]
fn an_administrator_makes_a_pvc_again_that_has_no_snapshot_any_more() {
    let source = source_id("shop", "lost");
    let status = json!({
        "instance": "night", "uid": source.uid,
        "runs": [{
            "run": "20181204T0317Z", "taken": {"snapshot": {"name": "lost-20181204", "uid": "vs"}},
            "destinations": ["disk"], "results": {"disk": copied("Complete", "2018-12-04T03:30:00Z")}
        }],
        "volume": volume(),
    });
    let labels = labels("ledger", &[("source-pvc", "lost"), ("source-uid", &source.uid)]);
    let words = ["lost", "--date=latest", "--to=lost", "-y", "--timeout=1s"];
    for (namespace, found) in [("shop", true), ("other", false)] {
        let source = SourceId { namespace: namespace.to_owned(), ..source.clone() };
        let ledger = Ledger::of_shown(&source, &Status::parse(&status.to_string()).unwrap());
        let name = names::ledger(&source.uid);
        let map = json!({"metadata": {"name": name, "labels": labels}, "data": ledger.to_data()});
        let cluster = Cluster::of(sized()).reacting(provisioner(true));
        cluster.put("/api/v1/namespaces/keepers/configmaps", map);
        let stop = restore(&cluster, &words).unwrap_err();
        let made = cluster.seen(&claims(), "lost");
        assert_eq!(made.is_some(), found, "{}", stop.text());
        assert!(made.is_none_or(|claim| claim["spec"]["resources"]["requests"]["storage"] == "2Gi"));
    }
}

/// Nothing makes a volume like it.
#[test]
fn a_pvc_without_a_class_needs_one_when_it_is_made_again() {
    let mut objects = with_volume();
    for snapshot in objects.snapshots.iter_mut().filter(|s| s["metadata"]["name"] == "gone-20181204") {
        let text = snapshot["metadata"]["annotations"][names::STATUS].as_str().unwrap();
        snapshot["metadata"]["annotations"][names::STATUS] = json!(text.replace("\"fast\"", "\"\""));
    }
    let cluster = Cluster::of(objects);
    let stop = restore(&cluster, &["gone", "--date=20181204", "--to=gone", "-y"]).unwrap_err();
    assert!(stop.code() == 2 && stop.text().contains("--storage-class"), "{}", stop.text());
    assert_eq!(cluster.writes(), Vec::<String>::new());
}

#[test]
fn a_dry_run_makes_nothing() {
    let cluster = Cluster::of(sized());
    let done = restore(&cluster, &["data", DATE, "--to=fresh", "--dry-run"]).unwrap();
    assert!(matches!(&done, Done::Here(text, false) if text.contains("would be created")), "{done:?}");
    assert!(cluster.get(&claims(), "fresh").is_none());
}

#[test]
fn a_volume_that_does_not_bind_is_told_with_why() {
    let cluster = Cluster::of(sized()).reacting(|collection, object| {
        if collection != claims() {
            return vec![];
        }
        let event = json!({
            "metadata": {"name": "new.1", "namespace": "shop"},
            "involvedObject": {"kind": "PersistentVolumeClaim", "name": object["metadata"]["name"]},
            "type": "Warning", "reason": "ProvisioningFailed", "message": "the pool is full"
        });
        vec![(core("events"), event)]
    });
    let stop = restore(&cluster, &["data", DATE, "--to=fresh", "-y", "--timeout=1s"]).unwrap_err();
    assert!(stop.code() == 1 && stop.text().contains("the pool is full"), "{}", stop.text());
    assert!(cluster.get(&claims(), "fresh").is_some(), "it stays");
}
