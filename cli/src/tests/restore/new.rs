//! Restores into a new PVC.

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
        let claim = cluster.get(&claims(), "fresh").unwrap();
        assert!(claim["spec"]["dataSource"].is_null(), "{claim}");
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
    }
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
