//! `--scale`.

use std::sync::{Arc, Mutex};

use super::*;

fn workload(name: &str, replicas: i32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "replicas": replicas,
            "selector": {}, "serviceName": name,
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
    let cluster = applications();
    let answer = controller(RestoreState::Ready, None);
    cluster.reacting(move |collection, object| [answer(collection, object), kubelet(collection, object)].concat())
}

fn applications() -> Cluster {
    let cluster = Cluster::of(shop());
    cluster.put(&apps("deployments"), workload("app", 3));
    cluster.put(&apps("statefulsets"), workload("db", 1));
    cluster.put(&apps("replicasets"), set("app-5c9", Some("app")));
    for name in ["app-5c9-a", "app-5c9-b"] {
        cluster.put(&core("pods"), pod(name, "data", Some(("ReplicaSet", "app-5c9"))));
    }
    cluster.put(&core("pods"), pod("db-0", "data", Some(("StatefulSet", "db"))));
    cluster
}

/// Pods of what has no replicas end, and those of what has some are ready.
fn kubelet(collection: &str, object: &Value) -> Vec<(String, Value)> {
    let replicas = &object["spec"]["replicas"];
    let ready = &object["status"]["readyReplicas"];
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let pods: &[&str] = match name {
        "app" => &["app-5c9-a", "app-5c9-b"],
        "db" => &["db-0"],
        _ => return vec![],
    };
    if replicas == ready || !collection.starts_with("/apis/apps/") {
        return vec![];
    }
    let mut run = object.clone();
    run["status"] = json!({"readyReplicas": replicas, "replicas": replicas});
    let mut writes = vec![(collection.to_owned(), run)];
    if replicas == 0 {
        for name in pods {
            let mut ended = pod(name, "data", None);
            ended["status"]["phase"] = json!("Succeeded");
            writes.push((core("pods"), ended));
        }
    }
    writes
}

/// A result of restore.sh.
fn ends(state: &str, wrote: Option<bool>) -> String {
    json!({"state": state, "finished": "2018-12-05T12:00:00Z", "wrote": wrote}).to_string()
}

/// What restore.sh does: its preview ends well, and the writing so.
fn script(session: &mut Session, cluster: &Cluster, preview: (i32, String), write: (i32, String)) -> Heard {
    let heard = Heard::default();
    let (told, cluster) = (heard.clone(), cluster.clone());
    session.executor = Executor::Test(Arc::new(move |command| {
        let running = state(&cluster, "deployments", "app").0 != 0;
        let shown = command.contains(&"--dry-run".to_owned());
        told.0.lock().unwrap().push((command.join(" "), running));
        Ok(if shown { preview.clone() } else { write.clone() })
    }));
    heard
}

/// The commands that were executed, and whether the application ran meanwhile.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, bool)>>>);

impl Heard {
    fn all(&self) -> Vec<(String, bool)> {
        self.0.lock().unwrap().clone()
    }
}

fn shown() -> (i32, String) {
    (0, ends("Ready", Some(false)))
}

fn whole() -> (i32, String) {
    (0, ends("Complete", Some(true)))
}

/// `restore data --scale`, of which the writing ends so.
fn scaled(cluster: &Cluster, words: &[&str], write: (i32, String)) -> (Result<Done, Stop>, Heard) {
    run(async {
        let (_signal, mut session) = session(cluster);
        let heard = script(&mut session, cluster, shown(), write);
        let words = [&["data", DATE, "--scale"], words].concat();
        (restore_in(&mut session, &words).await, heard)
    })
}

fn code(result: &Result<Done, Stop>) -> i32 {
    match result {
        Ok(Done::Ran(code, _) | Done::Told(code)) => *code,
        Err(stop) => i32::from(stop.code()),
        other => panic!("{other:?}"),
    }
}

fn is_running(cluster: &Cluster) -> bool {
    let both = [state(cluster, "deployments", "app"), state(cluster, "statefulsets", "db")];
    both == [(json!(3), Value::Null), (json!(1), Value::Null)]
}

/// Replicas of a workload, and what is remembered on it.
fn state(cluster: &Cluster, plural: &str, name: &str) -> (Value, Value) {
    let object = cluster.get(&apps(plural), name).unwrap();
    (object["spec"]["replicas"].clone(), object["metadata"]["annotations"][names::REPLICAS_BEFORE].clone())
}

#[test]
fn what_mounts_the_volume_is_stopped_and_gets_its_replicas_back() {
    let cluster = populated();
    let (result, heard) = scaled(&cluster, &["-y", "etc/app.conf"], whole());
    assert_eq!(code(&result), 0);
    assert!(is_running(&cluster));
    // The number is remembered before anything is scaled, and given back once the restore pod is gone.
    let writes = cluster.writes();
    let app = format!("PATCH {}/app", apps("deployments"));
    let of_app: Vec<&String> = writes.iter().filter(|w| w.starts_with(&app)).collect();
    assert_eq!(of_app, [&app, &format!("{app}/scale"), &format!("{app}/scale"), &app]);
    let place = |part: &str| writes.iter().position(|w| w.contains(part)).unwrap();
    let back = writes.iter().rposition(|w| *w == format!("{app}/scale")).unwrap();
    assert!(place("DELETE ") < back, "{writes:?}");
    let heard = heard.all();
    assert!(heard[0].0.ends_with("restore.sh --dry-run --output=json -- etc/app.conf"), "{heard:?}");
    assert!(heard[1].0.contains("restore.sh --yes --output=json"), "{heard:?}");
    assert!(heard[1].0.contains("/etc/restore/holders"), "{heard:?}");
}

/// U5: a mistyped PATH costs no downtime. The preview runs beside the application, and the writing does not.
#[test]
fn the_application_is_stopped_last() {
    let cluster = populated();
    let (_, heard) = scaled(&cluster, &["-y"], whole());
    let running: Vec<bool> = heard.all().into_iter().map(|(_, running)| running).collect();
    assert_eq!(running, [true, false]);
    let result = run(async {
        let (_signal, mut session) = session(&cluster);
        let refused = json!({
            "state": "Refused", "finished": "2018-12-05T12:00:00Z", "wrote": false,
            "problem": {"reason": "PathNotFound", "message": "no such file"}
        });
        script(&mut session, &cluster, (3, refused.to_string()), whole());
        let before = cluster.writes().len();
        let result = restore_in(&mut session, &["data", DATE, "--scale", "-y", "etc/pasword"]).await;
        assert!(cluster.writes()[before..].iter().all(|w| !w.starts_with("PATCH")), "{:?}", cluster.writes());
        result
    });
    assert_eq!(code(&result), 3);
    assert!(matches!(result, Ok(Done::Ran(_, Some(told))) if told.problem.is_some()));
}

/// U5: it asks when the changes were shown, and stops nothing before a yes.
#[test]
fn a_no_stops_nothing() {
    for (answer, scaled) in [("\n", false), ("n\n", false), ("yes\n", true)] {
        let cluster = populated();
        let (result, heard) = run(async {
            let (_signal, mut session) = session(&cluster);
            session.keys = Keys::typed(answer);
            let heard = script(&mut session, &cluster, shown(), whole());
            (restore_in(&mut session, &["data", DATE, "--scale"]).await, heard)
        });
        assert_eq!(cluster.writes().iter().any(|w| w.starts_with("PATCH")), scaled, "{answer}");
        assert_eq!(heard.all().len(), 1 + usize::from(scaled), "{answer}");
        assert_eq!(code(&result), if scaled { 0 } else { 3 }, "{answer}");
    }
}

/// U5: no second pod can mount such a volume, so there is nothing to look at before.
#[test]
fn a_volume_for_one_pod_is_stopped_first_and_asked_about_twice() {
    for (answers, restored) in [("y\nn\n", false), ("y\ny\n", true)] {
        let cluster = populated();
        cluster
            .edit(&core("persistentvolumeclaims"), "data", |c| c["spec"]["accessModes"] = json!(["ReadWriteOncePod"]));
        let (result, heard) = run(async {
            let (_signal, mut session) = session(&cluster);
            session.keys = Keys::lines(answers);
            let heard = script(&mut session, &cluster, shown(), whole());
            (restore_in(&mut session, &["data", DATE, "--scale"]).await, heard)
        });
        assert!(heard.all().iter().all(|(_, running)| !running), "{:?}", heard.all());
        assert_eq!(heard.all().len(), 1 + usize::from(restored));
        assert_eq!(code(&result), if restored { 0 } else { 3 });
        assert!(is_running(&cluster));
    }
}

/// U5: on another node, or without any, the restore pod waits for the end of the application.
#[test]
fn a_restore_pod_that_cannot_be_beside_the_application_is_not_waited_for() {
    for (spec, status) in [
        (json!({"nodeName": "b"}), json!({"phase": "Pending"})),
        (json!({}), json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}]})),
    ] {
        let cluster = applications();
        for name in ["app-5c9-a", "app-5c9-b", "db-0"] {
            cluster.edit(&core("pods"), name, |pod| pod["spec"]["nodeName"] = json!("a"));
        }
        let answer = controller(RestoreState::Ready, None);
        let at = Mutex::new(None::<Value>);
        let cluster = cluster.reacting(move |collection, object| {
            let mut writes = answer(collection, object);
            for (_, pod) in writes.iter_mut().filter(|(c, _)| *c == core("pods")) {
                *at.lock().unwrap() = Some(pod.clone());
                pod["spec"] = spec.clone();
                pod["spec"]["containers"] = json!([]);
                pod["status"] = status.clone();
            }
            writes.extend(kubelet(collection, object));
            // Its volume is free.
            if object["metadata"]["name"] == "db" && object["spec"]["replicas"] == 0 {
                writes.extend(at.lock().unwrap().take().map(|pod| (core("pods"), pod)));
            }
            writes
        });
        let (result, heard) = scaled(&cluster, &["-y"], whole());
        assert_eq!(code(&result), 0, "{result:?}");
        assert_eq!(heard.all().len(), 1, "it only writes");
        assert!(is_running(&cluster));
    }
}

#[test]
fn a_dry_run_scales_nothing() {
    let cluster = populated();
    run(async {
        let (_signal, mut session) = session(&cluster);
        script(&mut session, &cluster, shown(), whole());
        restore_in(&mut session, &["data", DATE, "--scale", "--dry-run"]).await.unwrap();
    });
    assert!(cluster.writes().iter().all(|w| !w.starts_with("PATCH")), "{:?}", cluster.writes());
}

/// L10: the application does not start on a volume that may hold a mixture, and the exit code is 3.
#[test]
fn after_a_restore_that_broke_off_the_application_stays_stopped() {
    for write in [
        (1, ends("Failed", Some(true))),
        (1, ends("Failed", None)),
        (3, ends("Incomplete", Some(true))),
        (137, String::new()),
        (1, "no result".to_owned()),
    ] {
        let cluster = populated();
        let (result, _) = scaled(&cluster, &["-y"], write.clone());
        assert_eq!(code(&result), 3, "{write:?}");
        assert_eq!(state(&cluster, "deployments", "app"), (json!(0), json!("3")), "{write:?}");
        assert_eq!(state(&cluster, "statefulsets", "db"), (json!(0), json!("1")), "{write:?}");
        assert_eq!(made(&cluster), Vec::<String>::new());
        // The next one finishes it, and starts the application.
        let (result, heard) = scaled(&cluster, &["-y"], (3, ends("Refused", Some(false))));
        assert_eq!((code(&result), heard.all().len()), (3, 2));
        assert_eq!(state(&cluster, "deployments", "app"), (json!(0), json!("3")), "that wrote nothing mends nothing");
        assert_eq!(code(&scaled(&cluster, &["-y"], whole()).0), 0);
        assert!(is_running(&cluster));
    }
}

/// L10: nothing was written, or all of it.
#[test]
fn a_volume_that_is_whole_or_as_before_is_started() {
    for write in [
        whole(),
        (3, ends("Refused", Some(false))),
        (3, ends("Refused", None)),
        (1, ends("Failed", Some(false))),
        (2, String::new()),
    ] {
        let cluster = populated();
        let (result, _) = scaled(&cluster, &["-y"], write.clone());
        assert_eq!(code(&result), write.0, "{write:?}");
        assert!(is_running(&cluster), "{write:?}");
    }
}

/// L10: what breaks the connection says nothing of what was written.
#[test]
fn after_a_lost_connection_the_application_stays_stopped() {
    for (signal, number) in [(None, 3), (Some(2), 130)] {
        let cluster = populated();
        let stop = run(async {
            let (_signal, mut session) = session(&cluster);
            session.executor = Executor::Test(Arc::new(move |command| {
                if command.contains(&"--dry-run".to_owned()) {
                    return Ok(shown());
                }
                Err(signal.map_or_else(|| Stop::Failed(anyhow::anyhow!("lost")), Stop::Signal))
            }));
            restore_in(&mut session, &["data", DATE, "-y", "--scale"]).await.unwrap_err()
        });
        assert_eq!(stop.code(), number);
        assert_eq!(state(&cluster, "deployments", "app"), (json!(0), json!("3")));
        assert_eq!(made(&cluster), Vec::<String>::new());
    }
}

/// U8: the pods of the application that a restore before started are not there yet.
#[test]
fn an_application_without_pods_is_stopped_too() {
    let cluster = populated();
    for name in ["app-5c9-a", "app-5c9-b", "db-0"] {
        cluster.edit(&core("pods"), name, |pod| pod["status"]["phase"] = json!("Succeeded"));
    }
    let (result, heard) = scaled(&cluster, &["-y"], whole());
    assert_eq!(code(&result), 0);
    assert_eq!(heard.all().last().map(|(_, running)| *running), Some(false));
    assert!(is_running(&cluster));
}

/// U8: its end is that of what it made. A next restore meets no pod of this one, and the application runs.
#[test]
fn a_command_ends_when_its_pod_is_gone_and_the_application_is_back() {
    let cluster = populated();
    let (result, _) = scaled(&cluster, &["-y"], whole());
    assert_eq!(code(&result), 0);
    let pods = cluster.names(&core("pods"));
    assert!(!pods.iter().any(|name| name.starts_with("restore-")), "{pods:?}");
    let ready = |plural: &str, name: &str| cluster.get(&apps(plural), name).unwrap()["status"]["readyReplicas"].clone();
    assert_eq!((ready("deployments", "app"), ready("statefulsets", "db")), (json!(3), json!(1)));
}

/// U8: what comes next is not refused by the pod of a dry run.
#[test]
fn the_pod_of_a_dry_run_is_gone_at_its_end() {
    let cluster = Cluster::of(shop()).reacting(controller(RestoreState::Ready, None)).lingering();
    run(async {
        let (_signal, mut session) = session(&cluster);
        session.executor = Executor::Test(Arc::new(|_| Ok((0, String::new()))));
        session.patience = Duration::from_secs(30);
        let end = async {
            let ends = || {
                cluster
                    .names(&core("pods"))
                    .into_iter()
                    .next()
                    .filter(|_| cluster.names(&apps("deployments")).is_empty())
            };
            let pod = loop {
                // All is asked for, and then taken away.
                match ends() {
                    Some(pod) => break pod,
                    None => tokio::task::yield_now().await,
                }
            };
            tokio::time::sleep(Duration::from_millis(50)).await;
            cluster.remove(&core("pods"), &pod);
        };
        let all = async {
            let result = restore_in(&mut session, &["data", DATE, "--dry-run"]).await;
            assert_eq!(cluster.names(&core("pods")), Vec::<String>::new(), "it ended before its pod");
            result
        };
        let (result, ()) = tokio::join!(all, end);
        result.unwrap();
    });
}

/// L1: the input, and what is named.
#[test]
fn what_would_lose_data_or_not_stay_stopped_is_refused_before_anything_is_made() {
    type Edit = fn(&Cluster);
    let cases: [(&str, Edit); 8] = [
        ("whenScaled: Delete", |cluster| {
            cluster.edit(&apps("statefulsets"), "db", |set| {
                set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": "Delete"});
                set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "other"}, "spec": {}}]);
            });
        }),
        ("belongs to Postgres main", |cluster| {
            cluster.edit(&apps("statefulsets"), "db", |set| {
                let owner =
                    json!({"apiVersion": "x/v1", "kind": "Postgres", "name": "main", "uid": "u", "controller": true});
                set["metadata"]["ownerReferences"] = json!([owner]);
            });
        }),
        ("scaledobject shop autoscaling.keda.sh/paused", |cluster| {
            cluster.edit(&apps("deployments"), "app", |app| {
                app["metadata"]["labels"]["scaledobject.keda.sh/name"] = json!("shop");
            });
        }),
        ("scaledobject orders autoscaling.keda.sh/paused", |cluster| {
            cluster.put(&autoscalers(), autoscaler("keda-hpa-orders", 1));
        }),
        ("minReplicas: 0", |cluster| cluster.put(&autoscalers(), autoscaler("idle", 0))),
        ("Flux Kustomization shop", |cluster| {
            cluster.edit(&apps("deployments"), "app", |app| {
                app["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = json!("shop");
            });
        }),
        ("PVC logs is being deleted", |cluster| {
            let mut claim = cluster.get(&core("persistentvolumeclaims"), "new").unwrap();
            claim["metadata"]["name"] = json!("logs");
            claim["metadata"]["deletionTimestamp"] = json!("2018-12-05T12:00:00Z");
            cluster.put(&core("persistentvolumeclaims"), claim);
            // Another replica has it.
            cluster.put(&core("pods"), pod("app-5c9-c", "logs", Some(("ReplicaSet", "app-5c9"))));
        }),
        ("PVC data belongs to pod db-0", |cluster| {
            cluster.edit(&core("persistentvolumeclaims"), "data", |claim| {
                let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "db-0", "uid": "u"});
                claim["metadata"]["ownerReferences"] = json!([owner]);
            });
        }),
    ];
    for (named, edit) in cases {
        let cluster = populated();
        edit(&cluster);
        let (result, heard) = scaled(&cluster, &["-y"], whole());
        let problem = refused(result);
        assert!(problem.reason == Reason::ScaleUnsafe && problem.message.contains(named), "{named}: {problem}");
        assert!(!problem.reason.help().contains("--replicas=0"), "{problem}");
        assert_eq!((cluster.writes(), heard.all().len()), (vec![], 0), "{named}");
    }
}

/// L1: a policy about PVCs that the set does not make, an ordinary autoscaler, or what does not set the replicas.
#[test]
fn what_stays_stopped_is_no_reason_to_refuse() {
    type Edit = fn(&Cluster);
    let cases: [Edit; 5] = [
        |cluster| {
            cluster.edit(&apps("statefulsets"), "db", |set| {
                set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": "Delete"});
            });
        },
        |cluster| cluster.put(&autoscalers(), autoscaler("busy", 2)),
        |cluster| {
            cluster.edit(&apps("deployments"), "app", |app| {
                app["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = json!("shop");
                app["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/reconcile"] = json!("disabled");
            });
        },
        |cluster| {
            cluster.edit(&apps("deployments"), "app", |app| {
                app["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = json!("shop");
                let fields = json!({"f:spec": {"f:template": {}}});
                let by = json!({"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": fields});
                app["metadata"]["managedFields"] = json!([by]);
            });
        },
        |cluster| {
            cluster.edit(&apps("deployments"), "app", |app| {
                app["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
                    json!("shop:apps/Deployment:shop/app");
            });
        },
    ];
    for edit in cases {
        let cluster = populated();
        edit(&cluster);
        assert_eq!(code(&scaled(&cluster, &["-y"], whole()).0), 0);
        let app = state(&cluster, "deployments", "app");
        assert_eq!(app, (json!(3), Value::Null));
    }
}

fn autoscalers() -> String {
    "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers".to_owned()
}

fn autoscaler(name: &str, least: i32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
            "minReplicas": least, "maxReplicas": 9
        }
    })
}

/// A set makes a PVC for each of its replicas, and not more.
#[test]
fn a_set_is_stopped_for_the_pvcs_of_its_replicas() {
    for (replicas, stopped) in [(1, false), (2, true)] {
        let cluster = populated();
        cluster.edit(&apps("statefulsets"), "db", |set| {
            set["spec"]["replicas"] = json!(replicas);
            set["spec"]["template"]["spec"]["volumes"] = json!([]);
            set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {}}]);
        });
        let mut claim = cluster.get(&core("persistentvolumeclaims"), "new").unwrap();
        claim["metadata"]["name"] = json!("data-db-1");
        cluster.put(&core("persistentvolumeclaims"), claim);
        let (result, _) = scaled(&cluster, &["-y", "--to=data-db-1"], whole());
        assert_eq!(code(&result), 0, "{result:?}");
        let patched = cluster.writes().iter().any(|w| w.starts_with("PATCH") && w.ends_with("/db/scale"));
        assert_eq!(patched, stopped);
    }
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
        let problem = refused(scaled(&cluster, &["-y", "--timeout=1s"], whole()).0);
        assert!(!others || is_running(&cluster));
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
    assert_eq!(code(&scaled(&cluster, &["-y"], whole()).0), 0);
    assert!(is_running(&cluster));
}

#[test]
fn a_signal_while_pods_end_gives_the_replicas_back() {
    let cluster = populated().reacting(controller(RestoreState::Ready, None));
    let stop = run(async {
        let (signal, mut session) = session(&cluster);
        script(&mut session, &cluster, shown(), whole());
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

/// What is restored from a central destination: the controller answers the Deployment that it has to be asked on the PVC,
/// and tells this of the request that it finds there.
fn central(told: Option<(RestoreState, Option<&'static str>)>, signal: Option<watch::Sender<Option<u8>>>) -> Cluster {
    let answer = controller(RestoreState::Refused, Some(Problem::new(Reason::AskByAnnotation, "annotate the PVC")));
    applications().reacting(move |collection, object| {
        let mut writes = [answer(collection, object), kubelet(collection, object)].concat();
        let annotations = &object["metadata"]["annotations"];
        let asked = annotations[names::RESTORE_FROM].as_str().filter(|_| object["metadata"]["name"] == "data");
        if let Some(asked) = asked.filter(|_| annotations[names::RESTORE_STATUS].is_null()) {
            if let Some(signal) = &signal {
                signal.send_replace(Some(2));
            }
            writes.extend(told.map(|(state, point)| (collection.to_owned(), tells(object, asked, state, point))));
        }
        writes
    })
}

/// The PVC with what the controller tells of a request.
fn tells(claim: &Value, asked: &str, state: RestoreState, point: Option<&str>) -> Value {
    let problem =
        (state != RestoreState::Ready).then(|| json!({"reason": "WaitingForSlot", "message": "5 restores run"}));
    let record = json!({"request": names::run_now_mark(asked), "state": state, "point": point, "problem": problem});
    let mut told = claim.clone();
    told["metadata"]["annotations"][names::RESTORE_STATUS] = json!(record.to_string());
    told
}

/// What is asked for on the PVC.
fn asked(cluster: &Cluster) -> Value {
    cluster.get(&core("persistentvolumeclaims"), "data").unwrap()["metadata"]["annotations"][names::RESTORE_FROM]
        .clone()
}

/// L10: it was started beside the controller's restore that had just begun: nobody had heard of that here.
#[test]
fn after_an_interrupt_the_application_starts_only_if_the_controllers_restore_never_begins() {
    let ready = Some((RestoreState::Ready, Some("s3/20181204T0317Z")));
    let decided = Some((RestoreState::Waiting, Some("s3/20181204T0317Z")));
    for (told, running) in [(ready, false), (decided, false), (Some((RestoreState::Waiting, None)), true), (None, true)]
    {
        let (cluster, stop) = run(async {
            let (signal, interrupt) = Interrupt::by_hand();
            let cluster = central(told, Some(signal.clone()));
            let (_other, mut session) = session(&cluster);
            session.interrupt = interrupt;
            let stop = restore_in(&mut session, &["data", DATE, "-y", "--scale"]).await.unwrap_err();
            (cluster, stop)
        });
        assert_eq!(stop.code(), 130, "{told:?}");
        assert_eq!(is_running(&cluster), running, "{told:?}");
        assert_eq!(asked(&cluster), Value::Null, "{told:?}");
    }
}

/// L10: the controller's word that it begins may come between the look and the withdrawal.
#[test]
fn a_request_that_begins_while_it_is_taken_back_keeps_the_application_stopped() {
    for (state, running) in [(RestoreState::Ready, false), (RestoreState::Waiting, true)] {
        let cluster = central(None, None);
        let stop = run(async {
            let (_signal, mut session) = session(&cluster);
            let begins = async {
                while asked(&cluster).is_null() {
                    tokio::task::yield_now().await;
                }
                let claim = cluster.get(&core("persistentvolumeclaims"), "data").unwrap();
                let text = asked(&cluster).as_str().unwrap().to_owned();
                let point = (state == RestoreState::Ready).then_some("s3/20181204T0317Z");
                cluster.put_ahead(&core("persistentvolumeclaims"), tells(&claim, &text, state, point));
            };
            let words = ["data", DATE, "-y", "--scale", "--timeout=1s"];
            tokio::join!(restore_in(&mut session, &words), begins).0.unwrap_err()
        });
        assert_eq!(stop.code(), if running { 1 } else { 3 }, "{stop:?}");
        assert_eq!((is_running(&cluster), asked(&cluster)), (running, Value::Null), "{state:?}");
    }
}

/// The request of somebody else is not taken back.
#[test]
fn another_request_on_the_pvc_stays() {
    let cluster = central(None, None);
    let stop = run(async {
        let (_signal, mut session) = session(&cluster);
        let other = async {
            while asked(&cluster).is_null() {
                tokio::task::yield_now().await;
            }
            cluster.edit(&core("persistentvolumeclaims"), "data", |claim| {
                claim["metadata"]["annotations"][names::RESTORE_FROM] = json!("pvc=data date=20181203");
            });
        };
        tokio::join!(restore_in(&mut session, &["data", DATE, "-y", "--scale"]), other).0.unwrap_err()
    });
    assert!(stop.text().contains("somebody else requested another restore"), "{}", stop.text());
    assert_eq!(asked(&cluster), json!("pvc=data date=20181203"));
    assert!(!is_running(&cluster), "the first one may have begun");
}

/// U11: nothing is made for a preview, and nothing stopped, if the application could not be started again.
#[test]
fn who_may_not_scale_is_told_before_anything_is_made() {
    let cluster = populated().denying(&[("patch", "deployments/scale"), ("patch", "statefulsets")]);
    let problem = refused(scaled(&cluster, &["-y"], whole()).0);
    let rights =
        "nothing was changed: you (jane) lack permission to patch deployments.apps/scale, patch statefulsets.apps in";
    assert!(problem.message.starts_with(rights), "{problem}");
    assert_eq!(cluster.writes(), Vec::<String>::new());
    // A preview stops nothing.
    let result = scaled(&cluster, &["--dry-run"], whole()).0;
    assert!(matches!(result, Ok(Done::Told(0))), "{result:?}");
}

/// U11: it said that the cleanup is not complete, and that the application has to stay stopped, where nothing was changed.
#[test]
fn what_was_refused_is_not_to_be_taken_back() {
    let said = "User \"jane\" cannot patch resource";
    let unanswered = |cluster: Cluster, path: &str| {
        let questions = "/apis/authorization.k8s.io";
        let cluster = cluster.refusing(Method::POST, questions, 403, "Forbidden", "no questions");
        cluster.refusing(Method::PATCH, path, 403, "Forbidden", said)
    };
    let cluster = unanswered(populated(), &apps("deployments"));
    let stop = scaled(&cluster, &["-y"], whole()).0.unwrap_err();
    assert!(stop.text().contains("lack permission to patch deployments.apps "), "{}", stop.text());
    assert!(is_running(&cluster));

    let cluster = unanswered(central(None, None), &core("persistentvolumeclaims"));
    let stop = run(async {
        let (_signal, mut session) = session(&cluster);
        restore_in(&mut session, &["data", DATE, "-y", "--scale"]).await.unwrap_err()
    });
    assert!(stop.text().contains("lack permission to patch persistentvolumeclaims"), "{}", stop.text());
    assert!(is_running(&cluster));
}
