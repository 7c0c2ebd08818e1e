//! Copies in restic repositories on an S3 server.

use backup_controller_tests::nodes::{App, BACKUP_DEADLINE, Files, Keys, Tree, wait::wait_for};
use dev_cluster::Cluster;

use crate::e2e::cluster;

/// The application in a namespace of its own, with the keys to its own folder of the server.
fn open(namespace: &str, files: Files) -> (App, Keys) {
    let app = App::create_quiet(cluster(), namespace, "shared", files).unwrap();
    let keys = Keys::of(&Cluster::existing().unwrap().s3().unwrap(), namespace);
    app.secret("backup-s3", &keys).unwrap();
    (app, keys)
}

/// A repository is restic's own: what it restores by itself, without us, is the snapshot. A run in which nothing changed
/// has that of the run before.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn stock_restic_restores_every_byte_of_a_copy() {
    let (app, keys) = open("e2e-restic", Files::Many);
    let run = app.back_up(&["s3"]).unwrap();
    let truth = app.truth(&app.restore_point(&run).unwrap()).unwrap();
    let stock = app.stock_restic(&keys).unwrap();
    stock.run(&["check", "--read-data"]).unwrap();
    let snapshots = stock.snapshots().unwrap();
    assert_eq!(snapshots.len(), 1, "{snapshots:?}");
    let tags = snapshots[0]["tags"].to_string();
    for tag in [format!("run={run}"), format!("uid={}", app.uid().unwrap()), "source=e2e-restic/data".to_owned()] {
        assert!(tags.contains(&tag), "no {tag} in {tags}");
    }

    let restored = app.restored_by(&stock, &Cluster::existing().unwrap(), "restored").unwrap();
    let found = app.compare("compare", &truth, &restored).unwrap();
    assert!(found.equal() && found.entries > 5000, "restic's own restore differs:\n{}", found.differences);

    // restic writes down the device of what has several names and of pipes, and each promoter is another one.
    app.sh(r"find /data \( -type f -links +1 -o -type p \) -delete").unwrap();
    app.scale(0).unwrap();
    app.back_up(&["s3"]).unwrap();
    let before = stock.snapshots().unwrap().len();
    app.back_up(&["s3"]).unwrap();
    assert_eq!(stock.snapshots().unwrap().len(), before, "nothing had changed");
    app.delete().unwrap();
}

/// The other way round, and without restic on anybody's machine: into a new volume, by the annotation.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_volume_comes_back_from_a_repository_when_its_source_is_gone() {
    let (app, _) = open("e2e-s3-back", Files::Some);
    let run = app.back_up(&["s3"]).unwrap();
    let truth = app.truth(&app.restore_point(&run).unwrap()).unwrap();
    app.scale(0).unwrap();
    app.kubectl(&["delete", "pvc/data", "--timeout=60s"]).unwrap();
    app.claim("again", Some(&format!("pvc=data date={run} from=s3"))).unwrap();
    let ended = ["Complete", "Incomplete", "Refused", "Failed"];
    let record = app.restore_status("pvc/again", &ended).unwrap();
    assert_eq!(record["state"], "Complete", "{record}");
    let found = app.compare("compare", &truth, &Tree::volume("again")).unwrap();
    assert!(found.equal() && found.entries > 300, "it differs:\n{}", found.differences);
    app.delete().unwrap();
}

/// F42: wherever the copy is killed, the next try has every byte, and no lock stays.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_copy_that_is_killed_goes_on_and_is_whole() {
    let (app, keys) = open("e2e-killed", Files::Many);
    app.annotate("backup-controller.io/destinations=s3").unwrap();
    app.annotate("backup-controller.io/run-now=killed").unwrap();
    let pods = ["get", "pods", "-l", "backup-controller.io/component=copy", "-o"];
    for _ in 0..2 {
        let running = "jsonpath={.items[?(@.status.phase=='Running')].metadata.name}";
        let pod = wait_for(
            "a copy that runs",
            BACKUP_DEADLINE,
            || app.seen(),
            || {
                let name = app.kubectl(&[&pods[..], &[running]].concat())?;
                Ok(name.split(' ').next().filter(|name| !name.is_empty()).map(str::to_owned))
            },
        )
        .unwrap();
        // Gone in the middle, like a node that lost its power: it has no time to say a word or to take its lock away.
        app.kubectl(&["delete", "pod", &pod, "--grace-period=0", "--force"]).unwrap();
    }
    let run = app.good_run(None).unwrap();
    let truth = app.truth(&app.restore_point(&run).unwrap()).unwrap();
    let stock = app.stock_restic(&keys).unwrap();
    stock.run(&["check", "--read-data"]).unwrap();
    let restored = app.restored_by(&stock, &Cluster::existing().unwrap(), "restored").unwrap();
    let found = app.compare("compare", &truth, &restored).unwrap();
    assert!(found.equal() && found.entries > 5000, "it differs:\n{}", found.differences);
    app.delete().unwrap();
}

/// A tenant whose namespace refuses every pod that is not restricted: the administrator's copy is made, proven and
/// restored out of his reach, and nothing of it stays.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_central_copy_is_whole_proven_and_restored_under_restricted_and_leaves_nothing() {
    let home = App::existing(cluster(), "backup");
    let keys = Keys::of(&Cluster::existing().unwrap().s3().unwrap(), "e2e-central");
    home.secret("backup-s3-central", &keys).unwrap();
    let app = App::create_quiet(cluster(), "e2e-central", "shared", Files::Some).unwrap();
    let enforce = |level: &str| {
        let label = format!("pod-security.kubernetes.io/enforce={level}");
        cluster().run(&["label", "namespace", "e2e-central", "--overwrite", &label]).unwrap();
    };
    enforce("restricted");
    let run = app.back_up(&["central"]).unwrap();

    // Into a new volume of the tenant's, to which nobody but the controller has a pod.
    app.claim("back", Some(&format!("pvc=data date={run} from=central"))).unwrap();
    let record = app.restore_status("pvc/back", &["Complete", "Incomplete", "Refused", "Failed"]).unwrap();
    assert_eq!(record["state"], "Complete", "{record}");
    let proven = || {
        let drill = app.status()?["maintenance"]["central"]["drill"].take();
        Ok((drill["run"] == run.as_str()).then_some(drill))
    };
    let drill = wait_for("a drill of the run", BACKUP_DEADLINE, || home.seen(), proven).unwrap();
    assert_eq!(drill["state"], "Done", "{drill}");
    assert!(drill["files"].as_u64().unwrap() > 50, "{drill}");

    // Without the destination no other drill comes.
    app.annotate("backup-controller.io/destinations=none").unwrap();
    let jobs = app.kubectl(&["get", "jobs,secrets", "-o", "name"]).unwrap();
    assert!(!jobs.contains("job.batch") && !jobs.contains("secret/"), "{jobs}");
    let jobs = ["get", "jobs", "-l", "backup-controller.io/component in (copy,maintain,restore)", "-o", "name"];
    let contents = ["get", "volumesnapshotcontents", "-l", "backup-controller.io/component=central", "-o", "name"];
    let at_home = "jsonpath={range .items[?(@.spec.claimRef.namespace=='backup')]}{.metadata.name} {end}";
    wait_for(
        "nothing of it is left",
        BACKUP_DEADLINE,
        || home.seen(),
        || {
            let left = home.kubectl(&jobs)?
                + &home.kubectl(&["get", "pvc,volumesnapshots", "-o", "name"])?
                + &cluster().run(&contents)?
                + &cluster().run(&["get", "pv", "-o", at_home])?;
            Ok(left.trim().is_empty().then_some(()))
        },
    )
    .unwrap();

    // The comparison's pods are ours and not his.
    enforce("baseline");
    let truth = app.truth(&app.restore_point(&run).unwrap()).unwrap();
    let stock = app.stock_restic(&keys).unwrap();
    let restored = app.restored_by(&stock, &Cluster::existing().unwrap(), "restored").unwrap();
    for (how, tree) in [("stock restic", restored), ("the controller", Tree::volume("back"))] {
        let found = app.compare("compare", &truth, &tree).unwrap();
        assert!(found.equal() && found.entries > 300, "{how}: it differs:\n{}", found.differences);
    }
    home.kubectl(&["delete", "secret/backup-s3-central"]).unwrap();
    app.delete().unwrap();
}

/// Each destination has a Job and a record of its own.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_destination_that_is_down_does_not_stop_the_others() {
    let (app, keys) = open("e2e-down", Files::Few);
    // Nobody listens there.
    let repository = "s3:http://10.97.0.1:9/backups/e2e-down".to_owned();
    app.secret("backup-s3-away", &Keys { repository, ..keys.clone() }).unwrap();
    app.annotate("backup-controller.io/destinations=away,disk,s3").unwrap();
    app.annotate("backup-controller.io/run-now=first").unwrap();
    let seen = || app.seen();
    let run = wait_for("a copy on the disk and in the repository", BACKUP_DEADLINE, seen, || {
        let copies = &app.status()?["copies"];
        let run = copies["s3"]["run"].as_str().filter(|_| copies["disk"]["run"] == copies["s3"]["run"]);
        Ok(run.map(str::to_owned))
    })
    .unwrap();
    let pods = ["get", "pods", "-l", "backup-controller.io/destination=away", "-o"];
    let said = "jsonpath={.items[*].status.containerStatuses[0].state.terminated.message}";
    wait_for("the third destination tells why not", BACKUP_DEADLINE, seen, || {
        let said = app.kubectl(&[&pods[..], &[said]].concat())?;
        Ok(said.contains("DestinationUnreachable").then_some(()))
    })
    .unwrap();
    let status = app.status().unwrap();
    assert_ne!(status["copies"]["away"]["run"], run.as_str(), "{status}");
    assert_eq!(app.stock_restic(&keys).unwrap().snapshots().unwrap().len(), 1);
    app.delete().unwrap();
}

/// A key that is refused is told at once, tried no more, and harms nothing that is there; with the right one it goes on.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_refused_key_harms_no_earlier_backup() {
    let (app, keys) = open("e2e-key", Files::Few);
    let first = app.back_up(&["s3"]).unwrap();
    let stock = app.stock_restic(&keys).unwrap();

    app.secret("backup-s3", &Keys { secret_key: "of-somebody-else".to_owned(), ..keys.clone() }).unwrap();
    app.annotate("backup-controller.io/run-now=refused").unwrap();
    let failure = wait_for(
        "the failure is recorded",
        BACKUP_DEADLINE,
        || app.seen(),
        || {
            let status = app.status()?;
            Ok(status.get("failure").cloned())
        },
    )
    .unwrap();
    assert_eq!(failure["reason"], "CredentialsRefused", "{failure}");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("backup-s3") && !message.contains("of-somebody-else"), "{message}");
    assert_eq!(app.status().unwrap()["good"], first.as_str());
    assert_eq!(stock.snapshots().unwrap().len(), 1);
    stock.run(&["check", "--read-data"]).unwrap();

    app.secret("backup-s3", &keys).unwrap();
    app.sh("echo more > /data/more; sync -f /data").unwrap();
    let next = app.run_now("again").unwrap();
    assert!(next > first);
    assert_eq!(stock.snapshots().unwrap().len(), 2);
    app.delete().unwrap();
}
