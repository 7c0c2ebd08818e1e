//! Block storage: file systems whose snapshots have a journal to replay, and raw devices (`volumeMode: Block`).

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use backup_controller_tests::nodes::{App, BACKUP_DEADLINE, Files, Tree, wait::wait_for};
use dev_cluster::Cluster;
use model::record::Status;

use crate::e2e::cluster;

/// As the cluster's class `ext4`; but this one's promoters are read-only and mounted with their journal.
const STRICT: &str = "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: e2e-strict}, \
                      provisioner: dev.csi.backup-controller.io, parameters: {kind: shared, \
                      csi.storage.k8s.io/fstype: ext4}}";

/// Of the raw device.
const SIZE: u64 = 64 << 20;

#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn file_systems_with_a_journal_and_raw_devices_are_saved() {
    // It takes a while until a mount that fails is one that never comes.
    let strict = a_volume_whose_journal_cannot_be_replayed();
    a_journal_that_is_passed_over_is_told();
    a_raw_device_is_saved_proven_and_comes_back();
    what_to_do_is_told_in_the_kubelets_words(&strict);
}

fn a_volume_whose_journal_cannot_be_replayed() -> App {
    cluster().run_with_input(&["apply", "-f", "-"], STRICT).unwrap();
    let app = App::create_quiet(cluster(), "e2e-strict", "e2e-strict", Files::Few).unwrap();
    app.annotate("backup-controller.io/run-now=refused").unwrap();
    app
}

/// A promoter of a class with `noload`: the copy is whole, and it is told that the journal is not in it.
fn a_journal_that_is_passed_over_is_told() {
    let app = App::create_quiet(cluster(), "e2e-journal", "ext4", Files::Few).unwrap();
    let run = app.back_up(&["disk"]).unwrap();
    let point = app.restore_point(&run).unwrap();
    let promoter = app.json(&["get", "pvc", &point]).unwrap();
    assert_eq!(promoter["metadata"]["annotations"]["backup-controller.io/journal"], "skipped", "{promoter}");
    assert_eq!(promoter["spec"]["storageClassName"], "ext4-noload", "{promoter}");
    let status = app.status().unwrap();
    assert_eq!(status["copies"]["disk"]["journal"], "skipped", "{status}");
    let disk = Tree { claim: "backup-disk".into(), path: format!("e2e-journal/data/{}/{run}", app.uid().unwrap()) };
    let found = app.compare("compare", &Tree::volume(&point), &disk).unwrap();
    // The folder of the file system's own is not copied.
    let differs: Vec<&str> = found.differences.lines().filter(|line| !line.contains("lost+found")).collect();
    assert!(differs.is_empty() && found.entries > 20, "the tree differs from the promoter:\n{}", found.differences);
    let tenant = app.tenant(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let said = tenant.backup(&["list", "data"]).unwrap();
    assert!(said.code == 0 && said.text.contains("JOURNAL") && said.text.contains("skipped"), "{said:?}");
    app.delete().unwrap();
}

/// To a disk, as a sparse file, and to a repository, which lies on a disk too; back into new volumes; and proven by
/// drills.
fn a_raw_device_is_saved_proven_and_comes_back() {
    let app = App::create_quiet(cluster(), "e2e-device", "ext4", Files::Device).unwrap();
    // A repository on a disk has no address and no key.
    let password = "--from-literal=RESTIC_PASSWORD=only for tests, and long";
    app.kubectl(&["create", "secret", "generic", "backup-s3-shelf", password]).unwrap();
    let first = app.back_up(&["tree", "shelf"]).unwrap();
    let truth = app.device_truth(&app.restore_point(&first).unwrap()).unwrap();
    let disk = Cluster::existing().unwrap().volume_path("e2e-device", "backup-disk-tree").unwrap();
    let trees: PathBuf = disk.join("e2e-device/data").join(app.uid().unwrap());
    let meta = std::fs::metadata(trees.join(&first).join("device.img")).unwrap();
    assert!(meta.len() == SIZE && meta.blocks() * 512 < SIZE / 4, "not sparse: {meta:?}");

    // Another run leaves what the earlier one saved as it is.
    app.sh("echo other | dd of=/dev/data bs=512 seek=40960 conv=sync,fsync").unwrap();
    let second = app.back_up(&["tree", "shelf"]).unwrap();
    for (name, from) in [("by-tree", "disk/tree"), ("by-shelf", "shelf"), ("by-snapshot", "snapshot")] {
        app.device_claim(name, &format!("pvc=data date={first} from={from}")).unwrap();
        let ended = ["Complete", "Incomplete", "Refused", "Failed"];
        let record = app.restore_status(&format!("pvc/{name}"), &ended).unwrap();
        assert_eq!(record["state"], "Complete", "{name}: {record}");
        let found = app.compare_devices("compare", &truth, name).unwrap();
        assert!(found.equal() && found.bytes == SIZE, "{name}: {found:?}");
    }
    let found = app.compare_devices("compare", "by-tree", &app.restore_point(&second).unwrap()).unwrap();
    assert!(found.differences.contains(" 20971521,"), "the second run has what is new: {found:?}");

    for destination in ["tree", "shelf"] {
        let drilled = |status: Status| {
            let drill = status.maintenance.get(destination)?.drill.clone()?;
            drill.run.as_ref().is_some_and(|run| run.as_str() == second).then_some(drill)
        };
        let read = || Ok(drilled(serde_json::from_value(app.status()?)?));
        let drill = wait_for("a drill of the second run", BACKUP_DEADLINE, || app.seen(), read).unwrap();
        assert!(drill.problem.is_none() && drill.bytes == SIZE, "{drill:?}");
    }
    app.delete().unwrap();
}

fn what_to_do_is_told_in_the_kubelets_words(strict: &App) {
    let failure = || Ok(strict.status()?.get("failure").cloned());
    let failure = wait_for("the failure is told", BACKUP_DEADLINE, || strict.seen(), failure).unwrap();
    assert_eq!(failure["reason"], "JournalNotReplayable", "{failure}");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("MountVolume") && message.contains("read-only"), "not the kubelet's words: {message}");
    let events =
        strict.kubectl(&["get", "events", "--field-selector=reason=JournalNotReplayable,type=Warning"]).unwrap();
    assert!(events.contains("noload"), "{events}");
    strict.delete().unwrap();
    cluster().run(&["delete", "storageclass", "e2e-strict"]).unwrap();
}
