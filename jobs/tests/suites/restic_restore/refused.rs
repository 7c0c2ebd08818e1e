//! What writes nothing, and what is told then.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use model::record::RestoreState;

use crate::compare::same;
use crate::place::{RUNS, root, which};
use crate::restic_restore::vault::Vault;
use crate::restore::scene::{Restored as _, put};

#[test]
fn another_uid_is_refused() {
    let vault = Vault::copied("uid");
    let id = vault.copy();
    let by_id = |job: crate::place::Job| job.arg(&format!("--snapshot={id}"));
    let message = by_id(vault.bare(&["--yes"])).instead("--uid=another").run().refused("NotGranted");
    assert!(message.contains("another") && message.contains("it belongs to "), "{message}");
    let message = vault.restore(&[]).instead("--uid=another").run().refused("NoRestorePoint");
    assert!(message.contains("none of any run"), "{message}");
    // Somebody made it with restic, and said of nobody whose it is.
    vault.repository.restic(&["tag", "--set", "mine", &id]);
    let snapshots: serde_json::Value =
        serde_json::from_str(&vault.repository.restic(&["snapshots", "--tag=mine"])).unwrap();
    let mine = snapshots[0]["id"].as_str().unwrap();
    let message = vault.bare(&["--yes", &format!("--snapshot={mine}")]).run().refused("NotGranted");
    assert!(message.contains("has no tag with a UID"), "{message}");
    assert_eq!(vault.list_volume().len(), 1);
}

#[test]
fn a_missing_snapshot_is_refused_and_there_is_no_latest() {
    let vault = Vault::copied("missing");
    let message = vault.bare(&["--yes", &format!("--run={}", RUNS[3])]).run().refused("NoRestorePoint");
    assert!(message.contains(RUNS[0]) && message.contains(RUNS[3]), "{message}");
    vault.bare(&["--yes", "--snapshot=0123456789"]).run().refused("NoRestorePoint");
    for wrong in [&["--snapshot=latest"][..], &["--run=latest"], &[], &["--snapshot=01234567", "--run=20181201T0000Z"]]
    {
        assert_eq!(vault.bare(&["--yes"]).args(wrong).run().code, Some(2), "{wrong:?}");
    }
    let nowhere = vault.scene.place.path.join("nowhere");
    let job = vault.restore(&[]).instead(&format!("--repository={}", nowhere.display()));
    job.run().refused("RepositoryMissing");
    assert!(!nowhere.exists());
}

/// F54.
#[test]
fn an_empty_snapshot_is_refused() {
    let vault = Vault::new("empty");
    vault.repository.copy(&vault.scene.place, RUNS[0], &["--accept-empty"]);
    put(&vault.volume("file"), "mine", 1);
    let before = vault.list_volume();
    for more in [&[][..], &["--delete"]] {
        let message = vault.restore(more).run().refused("RestorePointEmpty");
        assert!(message.contains(" is empty: choose another"), "{message}");
        same(&before, &vault.list_volume());
    }
}

/// Law 7.
#[test]
fn a_volume_that_somebody_has_or_of_which_nobody_knows_is_not_written() {
    let vault = Vault::copied("holders");
    vault.scene.held_by(&["app-0"]);
    let message = vault.restore(&[]).run().refused("TargetInUse");
    assert!(message.contains("app-0"), "{message}");
    fs::remove_file(vault.scene.holders()).unwrap();
    vault.restore(&[]).run().refused("MountStateUnknown");
    assert_eq!(vault.list_volume().len(), 1);
}

#[test]
fn a_volume_that_is_not_mounted_is_not_written() {
    let vault = Vault::copied("unmounted");
    let message = vault.restore(&[]).without("--allow-unmounted").run().refused("TargetNotReady");
    assert!(message.contains("no volume is mounted there"), "{message}");
}

#[test]
fn nothing_is_written_that_nobody_agreed_to() {
    let vault = Vault::copied("unasked");
    let ended = vault.bare(&[&format!("--run={}", RUNS[0])]).run();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.output.contains("use --yes"), "{ended:?}");
    assert_eq!(vault.list_volume().len(), 1);
}

#[test]
fn a_volume_that_is_too_small_is_refused_and_one_that_fills_up_is_told() {
    if !root("a small volume is not filled from a repository") {
        return;
    }
    let mut vault = Vault::new("small");
    vault.scene.place.write("big", &"x".repeat(4 << 20));
    vault.scene.place.write("small", "x");
    vault.copy();
    let disk = vault.volume("");
    vault.scene.place.mount(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], &disk);
    let message = vault.restore(&[]).run().refused("TargetTooSmall");
    assert!(message.contains("Restore into a larger PVC"), "{message}");
    assert_eq!(vault.list_volume().len(), 1);
    let message = vault.restore(&["--ignore-space"]).run().broke_off(3, "TargetTooSmall");
    assert!(message.starts_with("no space left on the volume") && message.contains("big"), "{message}");
}

/// L2: the tag of a snapshot counts, whatever the controller wrote down.
#[test]
fn an_incomplete_snapshot_deletes_nothing_and_ends_as_incomplete() {
    let vault = Vault::copied("incomplete");
    let id = vault.copy();
    vault.repository.restic(&["tag", "--add", "incomplete", &id]);
    put(&vault.volume("mine"), "mine", 1_600_000_000);
    let before = vault.list_volume();
    let message = vault.restore(&["--delete"]).run().refused("RestorePointIncomplete");
    assert!(message.contains("of run 20181201T0000Z is incomplete"), "{message}");
    same(&before, &vault.list_volume());
    let ended = vault.restore(&[]).run();
    assert_eq!((ended.code, ended.restored().state), (Some(3), RestoreState::Incomplete), "{ended:?}");
    assert!(vault.volume("mine").exists() && vault.volume("etc/app/app.conf").exists());
    assert!(ended.output.contains("is incomplete") && !ended.output.contains("All data is on"), "{ended:?}");
}

/// L13: after a finding all contents are compared with the repository's checksums: of files that are in the volume already,
/// though their size and time are right, and of what was written.
#[test]
fn after_a_finding_all_contents_are_compared_with_the_repositorys_checksums() {
    let vault = Vault::copied("finding");
    let status = r#"{"request":"x","state":"Ready","finding":"the drill of 2018-12-02T06:05:00Z found: file differs"}"#;
    vault.restore(&[]).run().whole();
    let path = vault.volume("etc/app/app.conf");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "[bad]").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();

    fs::write(vault.scene.place.path.join("status"), status).unwrap();
    let (bin, real) = (vault.scene.place.path.join("bin/restic"), which("restic").unwrap());
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' restore '*' --verify '*) ;; *' restore '*) exit 1;; esac\nexec {} \"$@\"\n",
        real.display()
    );
    fs::write(&bin, script).unwrap();
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).unwrap();
    let ended = vault.restore(&[]).run();
    fs::remove_file(bin).unwrap();
    assert_eq!((ended.code, ended.restored().state), (Some(3), RestoreState::Incomplete), "{ended:?}");
    let words =
        "RestoreMismatch: what was restored may be damaged: the drill of 2018-12-02T06:05:00Z found: file differs";
    assert!(ended.output.contains(words) && ended.output.contains("with the checksums of the repository"), "{ended:?}");
    assert!(!ended.output.contains("All data is on"), "{ended:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "[app]");
}
