//! `--scale`.

use super::*;

fn workload(name: &str, replicas: i32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "replicas": replicas,
            "selector": {},
            "template": {"spec": {
                "containers": [],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
            }}
        }
    })
}

fn set(name: &str, owner: Option<&str>) -> Value {
    let owners = owner.map(
        |name| json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "u", "controller": true}]),
    );
    json!({"metadata": {"name": name, "namespace": "shop", "ownerReferences": owners}, "spec": {"selector": {}}})
}

/// A Deployment `app` with three replicas of one pod each, and a set `db`, which mount PVC data.
fn populated() -> Cluster {
    let answer = controller(RestoreState::Ready, None);
    let cluster = Cluster::of(shop()).refusing(
        Method::GET,
        "/api/v1/namespaces/shop/pods/restore-",
        500,
        "InternalError",
        "no exec here",
    );
    cluster.put(&apps("deployments"), workload("app", 3));
    cluster.put(&apps("statefulsets"), workload("db", 1));
    cluster.put(&apps("replicasets"), set("app-5c9", Some("app")));
    for name in ["app-5c9-a", "app-5c9-b"] {
        cluster.put(&core("pods"), pod(name, "data", Some(("ReplicaSet", "app-5c9"))));
    }
    cluster.put(&core("pods"), pod("db-0", "data", Some(("StatefulSet", "db"))));
    cluster.reacting(move |collection, object| {
        let mut writes = answer(collection, object);
        // Pods of what has no replicas end.
        if object["spec"]["replicas"] == 0 {
            let pods: &[&str] = match object["metadata"]["name"].as_str() {
                Some("app") => &["app-5c9-a", "app-5c9-b"],
                Some("db") => &["db-0"],
                _ => &[],
            };
            for name in pods {
                let mut ended = pod(name, "data", None);
                ended["status"]["phase"] = json!("Succeeded");
                writes.push((core("pods"), ended));
            }
        }
        writes
    })
}

/// Replicas of a workload, and what is remembered on it.
fn state(cluster: &Cluster, plural: &str, name: &str) -> (Value, Value) {
    let object = cluster.get(&apps(plural), name).unwrap();
    (object["spec"]["replicas"].clone(), object["metadata"]["annotations"][names::REPLICAS_BEFORE].clone())
}

#[test]
fn what_mounts_the_volume_is_stopped_and_gets_its_replicas_back_though_the_restore_fails() {
    let cluster = populated();
    let stop = restore(&cluster, &["data", DATE, "-y", "--scale"]).unwrap_err();
    assert!(stop.text().contains("no exec here"), "{}", stop.text());
    assert_eq!(state(&cluster, "deployments", "app"), (json!(3), Value::Null));
    assert_eq!(state(&cluster, "statefulsets", "db"), (json!(1), Value::Null));
    // The number is remembered before anything is scaled, and given back once the restore pod is told to go.
    let writes = cluster.writes();
    let app = format!("PATCH {}/app", apps("deployments"));
    let of_app: Vec<&String> = writes.iter().filter(|w| w.starts_with(&app)).collect();
    assert_eq!(of_app, [&app, &format!("{app}/scale"), &format!("{app}/scale"), &app]);
    let place = |part: &str| writes.iter().position(|w| w.contains(part)).unwrap();
    let back = writes.iter().rposition(|w| *w == format!("{app}/scale")).unwrap();
    assert!(place("POST ") > place("/scale") && place("DELETE ") < back, "{writes:?}");
}

#[test]
fn a_no_stops_nothing() {
    let cluster = populated();
    for (answer, scaled) in [("\n", false), ("n\n", false), ("yes\n", true)] {
        let stop = run(async {
            let (_signal, mut session) = session(&cluster);
            session.keys = Keys::typed(answer);
            restore_in(&mut session, &["data", DATE, "--scale"]).await.unwrap_err()
        });
        assert_eq!(!cluster.writes().is_empty(), scaled, "{answer} {}", stop.text());
    }
}

#[test]
fn a_dry_run_scales_nothing() {
    let cluster = populated();
    restore(&cluster, &["data", DATE, "--scale", "--dry-run"]).unwrap_err();
    assert!(cluster.writes().iter().all(|w| !w.starts_with("PATCH")), "{:?}", cluster.writes());
}

#[test]
fn pods_that_nothing_can_scale_are_refused_by_name() {
    for (owner, part) in [
        (None, "pod odd:"),
        (Some(("DaemonSet", "agent")), "pod odd (DaemonSet agent)"),
        (Some(("Job", "import")), "pod odd (Job import)"),
        (Some(("ReplicaSet", "alone")), "pod odd (ReplicaSet alone)"),
    ] {
        let cluster = populated();
        cluster.put(&apps("replicasets"), set("alone", None));
        cluster.put(&core("pods"), pod("odd", "data", owner));
        let problem = refused(restore(&cluster, &["data", DATE, "-y", "--scale"]));
        assert!(problem.reason == Reason::TargetInUse && problem.message.contains(part), "{problem}");
        assert_eq!(cluster.writes(), Vec::<String>::new());
    }
}

/// Such as the pod of the restore before.
#[test]
fn a_pod_that_is_about_to_end_is_waited_for_and_not_scaled() {
    for others in [true, false] {
        let cluster = if others { populated() } else { Cluster::of(shop()) };
        let mut ending = pod("restore-data-old-x", "data", None);
        ending["metadata"]["deletionTimestamp"] = json!("2018-12-05T12:00:00Z");
        cluster.put(&core("pods"), ending);
        let problem = refused(restore(&cluster, &["data", DATE, "-y", "--scale", "--timeout=1s"]));
        assert!(problem.message.contains("restore-data-old-x, which did not end in time"), "{problem}");
    }
}

/// Its own Deployment is the user's to delete: somebody may be at it.
#[test]
fn another_restore_is_named_and_not_stopped() {
    for scale in [&["--scale"][..], &[]] {
        let cluster = Cluster::of(shop());
        let mut other = pod("restore-data-0a0a0-5c9-x", "data", Some(("ReplicaSet", "restore-data-0a0a0-5c9")));
        other["metadata"]["labels"] = json!({names::COMPONENT: "restore"});
        cluster.put(&core("pods"), other);
        let problem = refused(restore(&cluster, &[&["data", DATE, "-y"], scale].concat()));
        assert!(
            problem.message.contains("another restore: wait, or kubectl delete deployment restore-data-0a0a0)"),
            "{problem}"
        );
        assert_eq!(cluster.writes(), Vec::<String>::new());
    }
}

#[test]
fn what_a_killed_command_left_at_0_gets_its_replicas_back() {
    let cluster = populated();
    for name in ["app-5c9-a", "app-5c9-b", "db-0"] {
        cluster.edit(&core("pods"), name, |pod| pod["status"]["phase"] = json!("Succeeded"));
    }
    cluster.edit(&apps("deployments"), "app", |app| {
        app["spec"]["replicas"] = json!(0);
        app["metadata"]["annotations"][names::REPLICAS_BEFORE] = json!("3");
    });
    restore(&cluster, &["data", DATE, "-y", "--scale"]).unwrap_err();
    assert_eq!(state(&cluster, "deployments", "app"), (json!(3), Value::Null));
    assert_eq!(state(&cluster, "statefulsets", "db"), (json!(1), Value::Null), "it was not touched");
}

#[test]
fn a_signal_while_pods_end_gives_the_replicas_back() {
    let cluster = populated().reacting(controller(RestoreState::Ready, None));
    let stop = run(async {
        let (signal, mut session) = session(&cluster);
        let kill = async {
            while state(&cluster, "statefulsets", "db").0 != 0 {
                tokio::task::yield_now().await;
            }
            signal.send_replace(Some(2));
        };
        let (result, ()) = tokio::join!(restore_in(&mut session, &["data", DATE, "-y", "--scale"]), kill);
        result.unwrap_err()
    });
    assert_eq!(stop.code(), 130);
    assert_eq!(state(&cluster, "deployments", "app"), (json!(3), Value::Null));
    assert_eq!(state(&cluster, "statefulsets", "db"), (json!(1), Value::Null));
    assert_eq!(made(&cluster), Vec::<String>::new());
}
