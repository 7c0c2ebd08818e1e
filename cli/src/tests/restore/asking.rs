//! What is answered at once, and what the controller answers.

use super::*;

fn nothing_was_written(cluster: &Cluster) {
    assert_eq!(cluster.writes(), Vec::<String>::new());
}

#[test]
fn a_date_that_is_not_there_is_told_with_those_that_are() {
    let cluster = working();
    let problem = refused(restore(&cluster, &["data", "--date=20181202", "-y"]));
    assert_eq!(problem.reason, Reason::NoRestorePoint);
    for there in ["20181205T0317Z (snapshot data-20181205)", "20181204T0317Z (disk disk)"] {
        assert!(problem.message.contains(there), "{problem}");
    }
    let problem = refused(restore(&cluster, &["dta", DATE, "-y"]));
    assert_eq!(problem.message, "namespace shop has no PVC dta and no restore point of such a PVC");
    nothing_was_written(&cluster);
}

#[test]
fn a_pvc_that_is_gone_needs_another_to_restore_into() {
    let cluster = working();
    let problem = refused(restore(&cluster, &["gone", "--date=20181204", "-y"]));
    assert!(problem.message.contains("--to gone"), "{problem}");
    nothing_was_written(&cluster);
}

#[test]
fn a_volume_that_cannot_be_written_is_refused_with_why() {
    type Fault = (&'static str, fn(&mut Value));
    let bad: [Fault; 4] = [
        ("being deleted", |c| c["metadata"]["deletionTimestamp"] = json!("2018-12-05T12:00:00Z")),
        ("read-only", |c| c["spec"]["accessModes"] = json!(["ReadOnlyMany"])),
        ("volume is gone", |c| c["status"]["phase"] = json!("Lost")),
        ("not bound", |c| c["status"]["phase"] = json!("Pending")),
    ];
    for (why, make) in bad {
        let cluster = working();
        cluster.edit(&core("persistentvolumeclaims"), "data", make);
        let problem = refused(restore(&cluster, &["data", DATE, "-y"]));
        assert!(problem.reason == Reason::TargetNotReady && problem.message.contains(why), "{problem}");
        nothing_was_written(&cluster);
    }
    for own in ["data-20181205", "backup-disk"] {
        let problem = refused(restore(&working(), &["data", DATE, "-y", "--to", own]));
        assert!(problem.message.contains("itself a restore point or a BackupDisk"), "{problem}");
    }
}

#[test]
fn a_volume_smaller_than_the_data_is_refused() {
    let cluster = working();
    cluster
        .edit(&core("persistentvolumeclaims"), "new", |c| c["spec"]["resources"]["requests"]["storage"] = json!("1Mi"));
    let problem = refused(restore(&cluster, &["data", DATE, "-y", "--to", "new"]));
    assert_eq!(problem.reason, Reason::TargetTooSmall);
    assert_eq!(problem.message, "the restore point has 1.2Mi of data, but PVC new has room for 1Mi");
    nothing_was_written(&cluster);
}

#[test]
fn a_volume_in_use_is_refused_with_who_uses_it() {
    let cluster = working();
    cluster.put(&core("pods"), pod("app-1", "data", Some(("ReplicaSet", "app"))));
    cluster.put(&core("pods"), pod("bare", "data", None));
    cluster.put(&core("pods"), pod("other", "logs", None));
    let mut ended = pod("ended", "data", None);
    ended["status"]["phase"] = json!("Succeeded");
    cluster.put(&core("pods"), ended);
    let problem = refused(restore(&cluster, &["data", DATE, "-y"]));
    let words = "PVC data is mounted by pod app-1 (ReplicaSet app), pod bare: add --scale";
    assert!(problem.reason == Reason::TargetInUse && problem.message.starts_with(words), "{problem}");
    nothing_was_written(&cluster);
}

/// Such as the pod of the restore before.
#[test]
fn a_pod_that_is_about_to_end_is_waited_for() {
    let cluster = working();
    let mut ending = pod("restore-data-old-x", "data", None);
    ending["metadata"]["deletionTimestamp"] = json!("2018-12-05T12:00:00Z");
    cluster.put(&core("pods"), ending);
    let problem = refused(restore(&cluster, &["data", DATE, "-y", "--timeout=1s"]));
    assert!(problem.message.contains("restore-data-old-x, which did not end in time"), "{problem}");
    assert_eq!(cluster.writes(), Vec::<String>::new());
    let stop = run(async {
        let (_signal, mut session) = session(&cluster);
        let end = async {
            tokio::task::yield_now().await;
            cluster.edit(&core("pods"), "restore-data-old-x", |pod| pod["status"]["phase"] = json!("Succeeded"));
        };
        let (result, ()) = tokio::join!(restore_in(&mut session, &["data", DATE, "-y"]), end);
        result.unwrap_err()
    });
    assert!(stop.text().contains("no exec here"), "{}", stop.text());
}

#[test]
fn what_was_made_is_taken_away_when_the_restore_fails() {
    let cluster = working();
    let stop = restore(&cluster, &["data", DATE, "-y"]).unwrap_err();
    assert!(stop.code() == 1 && stop.text().contains("no exec here"), "{}", stop.text());
    assert!(stop.text().contains("the same command continues"), "{}", stop.text());
    let writes = cluster.writes();
    let kinds: Vec<&str> = writes.iter().map(|w| w.split("/restore-").next().unwrap()).collect();
    let (script, deployment) = (core("configmaps"), apps("deployments"));
    assert_eq!(
        kinds,
        [
            format!("POST {script}"),
            format!("POST {deployment}"),
            format!("DELETE {deployment}"),
            format!("DELETE {script}")
        ]
    );
    assert_eq!(made(&cluster), Vec::<String>::new());
}

#[test]
fn what_the_controller_refuses_is_told_in_its_words() {
    let problem = Problem::new(Reason::NotGranted, "restore points of namespace shop are not for you");
    let cluster = Cluster::of(shop()).reacting(controller(RestoreState::Refused, Some(problem.clone())));
    let stop = restore(&cluster, &["data", DATE, "-y"]).unwrap_err();
    assert!(stop.code() == 3 && stop.text().contains(&problem.message), "{}", stop.text());
    assert!(stop.text().contains(problem.reason.help()), "{}", stop.text());
    assert_eq!(made(&cluster), Vec::<String>::new());
}

#[test]
fn a_wait_ends_in_time_with_what_was_seen() {
    let problem = Problem::new(Reason::WaitingForPromoter, "PVC data-20181205 is made again");
    let cluster = Cluster::of(shop()).reacting(controller(RestoreState::Waiting, Some(problem)));
    let stop = restore(&cluster, &["data", DATE, "-y", "--timeout=1s"]).unwrap_err();
    assert!(stop.code() == 1 && stop.text().contains("PVC data-20181205 is made again"), "{}", stop.text());
    let stop = restore(&Cluster::of(shop()), &["data", DATE, "-y", "--timeout=1s"]).unwrap_err();
    assert!(stop.text().contains("the controller's answer"), "{}", stop.text());
    assert_eq!(made(&cluster), Vec::<String>::new());
}

#[test]
fn a_signal_while_it_waits_takes_everything_away() {
    let cluster = Cluster::of(shop());
    let stop = run(async {
        let (signal, mut session) = session(&cluster);
        let kill = async {
            while made(&cluster).len() < 2 {
                tokio::task::yield_now().await;
            }
            signal.send_replace(Some(15));
        };
        let (result, ()) = tokio::join!(restore_in(&mut session, &["data", DATE, "-y"]), kill);
        result.unwrap_err()
    });
    assert_eq!(stop.code(), 143);
    assert_eq!(made(&cluster), Vec::<String>::new());
    assert_eq!(cluster.writes().len(), 4, "{:?}", cluster.writes());
}

#[test]
fn a_missing_right_is_named_with_who_grants_it_and_leaves_nothing() {
    let said = "deployments.apps is forbidden: User \"jane\" cannot create resource";
    let cluster = working().refusing(Method::POST, &apps("deployments"), 403, "Forbidden", said);
    let problem = refused(restore(&cluster, &["data", DATE, "-y"]));
    assert!(
        problem
            .message
            .starts_with("you (jane) lack permission to create deployments.apps in namespace shop. An admin"),
        "{problem}"
    );
    assert_eq!(made(&cluster), Vec::<String>::new());
    let said = "pods is forbidden: User \"jane\" cannot list resource";
    let cluster = working().refusing(Method::GET, &core("pods"), 403, "Forbidden", said);
    let problem = refused(restore(&cluster, &["data", DATE, "-y"]));
    assert!(problem.message.contains("lack permission to watch pods"), "{problem}");
    assert_eq!(made(&cluster), Vec::<String>::new());
}

/// Another namespace's restore points: no other try helps.
#[test]
fn who_may_see_no_pvcs_is_refused() {
    let said = "User \"jane\" cannot list resource";
    let cluster = working().refusing(Method::GET, &core("persistentvolumeclaims"), 403, "Forbidden", said);
    let problem = refused(restore(&cluster, &["data", DATE, "-y"]));
    assert!(problem.message.starts_with("you (jane) lack permission to list persistentvolumeclaims"), "{problem}");
    assert_eq!(problem.reason, Reason::Forbidden);
}

/// Without the configuration the zone of dates is not known: only dates that no zone makes right are refused here.
#[test]
fn a_date_that_is_wrong_in_every_zone_needs_no_controller() {
    let cluster = || {
        working().refusing(Method::GET, "/api/v1/namespaces/keepers", 403, "Forbidden", "User \"jane\" cannot get it")
    };
    let problem = refused(restore(&cluster(), &["data", "--date=20181202", "-y"]));
    assert_eq!(problem.reason, Reason::NoRestorePoint);
    let stop = restore(&cluster(), &["here-only", "--date=20181204", "-y"]).unwrap_err();
    assert!(stop.text().contains("no exec here"), "{}", stop.text());
}

/// The controller is the judge: it sees what a tenant may not.
#[test]
fn who_may_see_little_gets_as_far_as_the_controller() {
    let snapshots = "/apis/snapshot.storage.k8s.io/v1/namespaces/shop/volumesnapshots";
    let cluster = working()
        .refusing(Method::GET, snapshots, 403, "Forbidden", "User \"jane\" cannot list resource")
        .refusing(Method::GET, "/api/v1/namespaces/keepers", 403, "Forbidden", "User \"jane\" cannot get resource");
    let stop = restore(&cluster, &["data", "--date=20001231", "-y"]).unwrap_err();
    assert!(stop.text().contains("no exec here"), "{}", stop.text());
}

#[test]
fn what_is_asked_for_stands_on_the_deployment() {
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = std::sync::Arc::clone(&asked);
    let cluster = Cluster::of(shop()).reacting(move |collection, object| {
        if collection == apps("deployments") {
            told.lock().unwrap().push(object.clone());
        }
        vec![]
    });
    let words = ["data", "--date=20181204", "--from=disk", "--to=new", "--uid=uid-shop-data", "-y", "--timeout=1s"];
    restore(&cluster, &words).unwrap_err();
    let asked = asked.lock().unwrap();
    let annotations = &asked[0]["metadata"]["annotations"];
    assert_eq!(annotations[names::RESTORE_FROM], "pvc=data uid=uid-shop-data date=20181204 from=disk target=new");
    assert_eq!(asked[0]["spec"]["replicas"], 0);
    assert_eq!(asked[0]["spec"]["selector"]["matchLabels"]["restore"], asked[0]["metadata"]["name"]);
    assert_eq!(asked[0]["metadata"]["labels"][names::INSTANCE], INSTANCE);
}

/// U11: it made a PVC or a pod first, and then named one right after the other.
#[test]
fn all_rights_that_are_missing_are_named_in_one_sentence_before_anything_is_made() {
    let pod = [("create", "configmaps"), ("create", "deployments"), ("delete", "deployments"), ("create", "pods/exec")];
    let cluster = working().denying(&pod);
    let problem = refused(restore(&cluster, &["data", DATE, "-y"]));
    assert_eq!(
        problem.message,
        "nothing was changed: you (jane) lack permission to create configmaps, create and delete deployments.apps, create \
         pods/exec in namespace shop. An administrator of the namespace can grant them: kubectl create rolebinding \
         edit-jane --clusterrole=edit --user=jane -n shop"
    );
    nothing_was_written(&cluster);
    // An empty PVC stayed behind.
    let cluster = working().denying(&[("create", "deployments")]);
    let problem = refused(restore(&cluster, &["data", DATE, "--to=fresh", "etc/app.conf", "-y"]));
    assert!(problem.message.contains("lack permission to create deployments.apps in namespace shop"), "{problem}");
    nothing_was_written(&cluster);
}

/// U11: what only another way of restoring takes is no reason to refuse.
#[test]
fn a_right_that_is_not_needed_may_be_missing() {
    let storage = [("create", "deployments"), ("create", "pods/exec"), ("patch", "persistentvolumeclaims")];
    let cluster = working().denying(&storage);
    let stop = restore(&cluster, &["data", DATE, "--to=fresh", "-y", "--timeout=1s"]).unwrap_err();
    assert!(stop.text().contains("PVC fresh was not bound in time"), "{}", stop.text());
}

/// U11: the request itself tells then.
#[test]
fn a_cluster_that_answers_no_question_about_rights_is_no_error() {
    for code in [403, 404, 500] {
        let cluster =
            working().refusing(Method::POST, "/apis/authorization.k8s.io", code, "Forbidden", "User \"jane\" cannot");
        let stop = restore(&cluster, &["data", DATE, "-y"]).unwrap_err();
        assert!(stop.text().contains("no exec here"), "{}", stop.text());
    }
}
