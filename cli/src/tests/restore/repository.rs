//! Restores from restic repositories.

use super::*;
use crate::tests::fixture::copied;

/// A source whose copies lie on a disk and at S3, and one that is gone.
fn cluster() -> Cluster {
    let mut objects = shop();
    objects.config += "  - {name: s3, type: restic, secret: backup-s3}\n";
    let mut copy = copied("Complete", "2018-12-05T04:00:00Z");
    (copy["snapshot"], copy["kept"]) = (json!("0123abcd99"), json!(["20181101T0317Z", "20181204T0317Z"]));
    for (name, uid) in [("data", "uid-shop-data"), ("lost", "uid-lost")] {
        let point = objects.point_of(uid, ("shop", name), "20181204T0317Z", &json!({"s3": copy.clone()}));
        point["metadata"]["name"] = json!(format!("{name}-s3"));
    }
    Cluster::of(objects)
}

/// What `restore` with these words asks the controller for; the controller does not answer.
fn asked(words: &[&str]) -> String {
    let asked = std::sync::Arc::new(std::sync::Mutex::new(None));
    let told = std::sync::Arc::clone(&asked);
    let cluster = cluster().reacting(move |collection, object| {
        if collection == apps("deployments") {
            told.lock().unwrap().get_or_insert_with(|| object["metadata"]["annotations"][names::RESTORE_FROM].clone());
        }
        vec![]
    });
    let stop = restore(&cluster, &[words, &["-y", "--timeout=1s"]].concat()).unwrap_err();
    let asked = asked.lock().unwrap().take();
    asked.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_else(|| stop.text())
}

#[test]
fn a_restic_snapshot_is_asked_for_by_destination_and_date_or_by_its_id() {
    for (words, wanted) in [
        (&["data", "--date=20181204", "--from=s3"][..], "pvc=data date=20181204 from=s3"),
        (&["data", "--date=20181204", "--from=restic"], "pvc=data date=20181204 from=restic"),
        (&["data", "--snapshot=0123abcd"], "pvc=data snapshot=0123abcd"),
        (
            &["data", "--snapshot=0123abcd", "--from=s3", "--to=new", "etc"],
            "pvc=data snapshot=0123abcd from=s3 target=new",
        ),
        (&["lost", "--date=latest", "--from=restic", "--to=new"], "pvc=lost date=latest from=restic target=new"),
        // Nothing tells of that run any more: the controller knows the destination.
        (
            &["lost", "--date=20180101T0000Z", "--uid=u-0", "--from=s3", "--to=new"],
            "pvc=lost uid=u-0 date=20180101T0000Z from=s3 target=new",
        ),
    ] {
        assert_eq!(asked(words), wanted, "{words:?}");
    }
}

#[test]
fn a_restic_snapshot_that_is_not_there_is_told_with_those_that_are() {
    let problem = refused(restore(&cluster(), &["data", "--snapshot=ffffffff", "-y"]));
    assert_eq!(problem.reason, Reason::NoRestorePoint);
    assert!(problem.message.contains("20181204T0317Z (restic s3, 0123abcd)"), "{problem}");
    let problem = refused(restore(&cluster(), &["data", "--date=20181204", "--from=tape", "-y"]));
    assert!(problem.message.contains("at tape"), "{problem}");
}

/// There is nothing that could be mounted.
#[test]
fn a_repository_cannot_be_browsed_and_that_is_said_before_anything_is_made() {
    for words in [&["data", "--snapshot=0123abcd"][..], &["data", "--date=latest", "--from=restic"]] {
        let cluster = cluster();
        let result = run(async {
            let (_signal, mut session) = session(&cluster);
            let words = ["kubectl-backup", "browse"].iter().chain(words);
            let Verb::Browse(args) = Cli::try_parse_from(words).unwrap().verb else { panic!("another verb") };
            verb::browse(&mut session, &args).await
        });
        assert!(matches!(&result, Err(Stop::Usage(text)) if text.contains("cannot be mounted")), "{result:?}");
        assert_eq!(cluster.writes(), Vec::<String>::new());
    }
}

/// L2: it was refused by nobody, and deleted from the volume what the copy could not read.
#[test]
fn an_incomplete_restore_point_deletes_nothing_and_is_passed_over_by_latest() {
    let cluster = || {
        let mut objects = shop();
        objects.config += "  - {name: s3, type: restic, secret: backup-s3}\n";
        for (run, state) in [("20181203T0317Z", "Complete"), ("20181204T0317Z", "Incomplete")] {
            let mut copy = copied(state, &format!("2018-12-0{}T04:00:00Z", &run[7..8]));
            copy["kept"] = json!(["20181203T0317Z", "20181204T0317Z"]);
            let point = objects.point_of("uid-shop-data", ("shop", "data"), run, &json!({"s3": copy}));
            point["metadata"]["name"] = json!(format!("data-{run}-s3"));
        }
        Cluster::of(objects)
    };
    let incomplete = cluster();
    let words = ["data", "--date=20181204", "--from=s3", "--delete", "-y", "--timeout=1s"];
    let problem = refused(restore(&incomplete, &words));
    assert_eq!(problem.reason, Reason::RestorePointIncomplete);
    assert_eq!(incomplete.writes(), Vec::<String>::new());
    // The newest complete one gets as far as the controller, which does not answer here.
    let complete = cluster();
    let stop = restore(&complete, &["data", "--date=latest", "--from=s3", "--delete", "-y", "--timeout=1s"]);
    assert!(!matches!(stop, Err(Stop::Refused(_))), "{stop:?}");
}
