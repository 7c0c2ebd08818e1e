//! Restores of raw block volumes.

use super::*;
use crate::tests::fixture::copied;

fn claims() -> String {
    core("persistentvolumeclaims")
}

/// Two raw block volumes, `disk-image` and one that is gone, with a snapshot and a copy each; and `empty`, one without.
fn objects() -> Objects {
    let mut objects = shop();
    objects.pvc("shop", "disk-image")["spec"]["volumeMode"] = json!("Block");
    objects.pvc("shop", "empty")["spec"]["volumeMode"] = json!("Block");
    let mut copy = copied("Complete", "2018-12-05T04:00:00Z");
    (copy["files"], copy["bytes"]) = (json!(1), json!(6_u64 << 30));
    copy["kept"] = json!(["20181201T0317Z", "20181205T0317Z"]);
    for (name, uid) in [("disk-image", "uid-shop-disk-image"), ("lost", "uid-lost")] {
        let point = objects.point_of(uid, ("shop", name), "20181205T0317Z", &json!({"disk": copy.clone()}));
        point["metadata"]["annotations"][names::VOLUME_MODE_TAKEN] = json!("Block");
        point["status"]["restoreSize"] = json!("5Gi");
    }
    objects
}

/// Such a cluster, in which a PVC that is made is bound.
fn cluster() -> Cluster {
    Cluster::of(objects()).reacting(move |collection, object| {
        if collection != claims() || !object["status"]["phase"].is_null() {
            return vec![];
        }
        let mut bound = object.clone();
        bound["status"]["phase"] = json!("Bound");
        vec![(claims(), bound)]
    })
}

/// What `restore` made of `--to fresh`.
fn made_by(words: &[&str]) -> Value {
    let cluster = cluster();
    let words = [words, &["--to=fresh", "-y", "--timeout=1s"]].concat();
    let result = restore(&cluster, &words);
    let claim = cluster.seen(&claims(), "fresh");
    claim.unwrap_or_else(|| panic!("{words:?}: {result:?}"))["spec"].clone()
}

#[test]
fn what_is_made_for_a_device_is_one_with_room_for_all_of_it() {
    let of_snapshot = made_by(&["disk-image", DATE]);
    assert_eq!(
        (&of_snapshot["volumeMode"], &of_snapshot["dataSource"]["kind"]),
        (&json!("Block"), &json!("VolumeSnapshot"))
    );
    assert_eq!(of_snapshot["resources"]["requests"]["storage"], "5Gi", "what the snapshot needs");
    let of_disk = made_by(&["disk-image", DATE, "--from=disk"]);
    assert_eq!((&of_disk["volumeMode"], &of_disk["dataSource"]), (&json!("Block"), &Value::Null));
    assert_eq!(of_disk["resources"]["requests"]["storage"], "6Gi", "the image, which is more than the PVC says");
    // The PVC is gone: its snapshots tell what it was.
    let lost = made_by(&["lost", "--date=20181201", "--from=disk", "--size=9Gi"]);
    assert_eq!((&lost["volumeMode"], &lost["resources"]["requests"]["storage"]), (&json!("Block"), &json!("9Gi")));
    // Files need no such thing.
    assert_eq!(made_by(&["data", DATE, "--from=disk"])["volumeMode"], "Filesystem");
}

/// Nothing is left in the cluster that tells it, and the repository is not asked.
#[test]
fn where_nothing_tells_what_a_pvc_was_it_can_be_said() {
    let run = ["nobody-knows", "--date=20180101T0000Z", "--uid=u-0", "--from=disk", "--size=1Gi"];
    assert_eq!(made_by(&run)["volumeMode"], "Filesystem");
    for word in ["Block", "block"] {
        let flag = format!("--volume-mode={word}");
        assert_eq!(made_by(&[&run[..], &[&flag]].concat())["volumeMode"], "Block");
    }
    let asked = Cli::try_parse_from(["kubectl-backup", "restore", "data", DATE, "--to=x", "--volume-mode=Raw"]);
    assert!(asked.is_err_and(|e| e.to_string().contains("[possible values: Filesystem, Block]")));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_made() {
    let mixed = "has a filesystem";
    let whole = "has no files";
    for (words, why) in [
        (&["disk-image", DATE, "--to=new"][..], mixed),
        (&["data", DATE, "--to=empty"], mixed),
        (&["data", DATE, "--to=fresh", "--volume-mode=Block"], mixed),
        (&["lost", DATE, "--to=fresh", "--volume-mode=Filesystem"], mixed),
        (&["disk-image", DATE, "etc/passwd"], whole),
        (&["lost", DATE, "--to=fresh", "--storage-class=fast", "etc"], whole),
        (&["nobody-knows", "--date=20180101T0000Z", "--uid=u-0", "--from=disk", "--to=empty", "etc"], whole),
    ] {
        let cluster = cluster();
        let problem = refused(restore(&cluster, &[words, &["-y"]].concat()));
        assert!(problem.reason == Reason::VolumeModeDiffers && problem.message.contains(why), "{words:?}: {problem}");
        assert_eq!(cluster.writes(), Vec::<String>::new(), "{words:?}");
    }
    let problem = refused(restore(&cluster(), &["disk-image", DATE, "--from=disk", "--to=small", "--size=4Gi", "-y"]));
    assert_eq!(problem.message, "--size 4Gi is less than the 6Gi that the restore point needs");
    let stop = restore(&cluster(), &["disk-image", DATE, "--to=empty", "--volume-mode=Block", "-y"]).unwrap_err();
    assert!(stop.code() == 2 && stop.text().contains("which are for a new PVC"), "{}", stop.text());
}

#[test]
fn a_device_goes_back_into_itself_and_into_another_by_a_restore_pod() {
    for words in [&["disk-image", DATE][..], &["lost", DATE, "--to=empty"], &["disk-image", DATE, "--delete"]] {
        let cluster = Cluster::of(objects()).reacting(controller(RestoreState::Ready, None)).refusing(
            Method::GET,
            "/api/v1/namespaces/shop/pods/restore-",
            500,
            "InternalError",
            "no exec here",
        );
        cluster.edit(&claims(), "disk-image", |c| c["spec"]["resources"]["requests"]["storage"] = json!("6Gi"));
        cluster.edit(&claims(), "empty", |c| c["spec"]["resources"]["requests"]["storage"] = json!("6Gi"));
        let stop = restore(&cluster, &[words, &["-y"]].concat()).unwrap_err();
        assert!(stop.text().contains("no exec here"), "{words:?}: {}", stop.text());
    }
}

#[test]
fn a_dry_run_says_what_would_be_made() {
    let cluster = cluster();
    let done = restore(&cluster, &["disk-image", DATE, "--to=fresh", "--dry-run"]).unwrap();
    let text = "PVC fresh would be created (5Gi, volumeMode Block, StorageClass fast) and filled from 20181205T0317Z (snapshot \
                disk-image-20181205); nothing was changed";
    assert_eq!(done, Done::Here(text.to_owned(), false));
    assert!(cluster.get(&claims(), "fresh").is_none());
}

#[test]
fn a_device_is_not_browsed() {
    for words in [&["disk-image", DATE][..], &["lost", DATE, "--to=empty"], &["lost", DATE]] {
        let cluster = cluster();
        let result = run(async {
            let (_signal, mut session) = session(&cluster);
            let words = ["kubectl-backup", "browse"].iter().chain(words);
            let Verb::Browse(args) = Cli::try_parse_from(words).unwrap().verb else { panic!("another verb") };
            verb::browse(&mut session, &args).await
        });
        assert!(
            matches!(&result, Err(Stop::Usage(text)) if text.contains("a raw block volume has none")),
            "{result:?}"
        );
        assert_eq!(cluster.writes(), Vec::<String>::new());
    }
}
