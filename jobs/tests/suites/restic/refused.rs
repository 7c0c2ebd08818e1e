//! Bad input: each its own reason, which names what to change, and nothing is harmed.

use std::fs;

use crate::place::{RUNS, root};
use crate::restic::scene::{PASSWORD, Scene};

#[test]
fn a_secret_that_lacks_a_key_is_told() {
    let scene = Scene::new("secret");
    scene.write("file", b"x");
    for key in ["RESTIC_PASSWORD", "RESTIC_REPOSITORY"] {
        let value = fs::read_to_string(scene.place.path.join("secret").join(key)).unwrap();
        scene.no_secret(key);
        let message = scene.copy(RUNS[0]).run().failed(3, "SecretIncomplete");
        assert_eq!(message, format!("the Secret shop/backup-s3 has no key {key}, or the key is empty"));
        scene.secret(key, &value);
    }
    let message = scene.copy(RUNS[0]).instead("--secret=/nowhere").run().failed(3, "SecretIncomplete");
    assert!(message.contains("does not exist or is empty"), "{message}");
    assert!(!scene.inside("").exists());
}

#[test]
fn a_weak_password_makes_no_repository_and_opens_one_that_is_there() {
    let scene = Scene::new("weak");
    scene.write("file", b"x");
    for weak in ["short", "password1234"] {
        scene.secret("RESTIC_PASSWORD", weak);
        let message = scene.copy(RUNS[0]).run().failed(3, "WeakPassword");
        assert!(message.contains("shop/backup-s3") && !message.contains(weak), "{message}");
        assert!(!scene.inside("").exists());
    }
    let out = scene.stock(&["init"]).env("RESTIC_PASSWORD", "short").output().unwrap();
    assert!(out.status.success(), "{out:?}");
    scene.secret("RESTIC_PASSWORD", "short");
    scene.copy(RUNS[0]).run().complete();
}

/// F44.
#[test]
fn a_password_that_was_changed_is_told_and_makes_no_other_repository() {
    let scene = Scene::new("password");
    scene.write("file", b"x");
    scene.copy(RUNS[0]).run().complete();
    let keys = || fs::read_dir(scene.inside("keys")).unwrap().count();
    scene.secret("RESTIC_PASSWORD", "another one of ours");
    let message = scene.copy(RUNS[1]).run().failed(3, "WrongPassword");
    assert!(message.contains("RESTIC_PASSWORD of the Secret shop/backup-s3"), "{message}");
    assert_eq!(keys(), 1);
    scene.secret("RESTIC_PASSWORD", PASSWORD);
    scene.holds(&RUNS[..1]);
}

#[test]
fn what_is_no_repository_is_left_alone() {
    let scene = Scene::new("stranger");
    scene.write("file", b"x");
    fs::create_dir_all(scene.inside("objects")).unwrap();
    fs::write(scene.inside("HEAD"), "ref: refs/heads/main\n").unwrap();
    scene.copy(RUNS[0]).run().failed(3, "NotARepository");
    // Another tool's `config` too.
    fs::write(scene.inside("config"), "[core]\n").unwrap();
    scene.copy(RUNS[0]).run().failed(3, "NotARepository");
    let mut names: Vec<_> = fs::read_dir(scene.inside("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["HEAD", "config", "objects"]);
}

/// F51.
#[test]
fn a_full_disk_is_told_and_the_copies_on_it_stay() {
    if !root("a repository on a full disk stays as it is") {
        return;
    }
    let mut scene = Scene::new("full");
    let disk = scene.place.path.join("repositories");
    fs::create_dir(&disk).unwrap();
    scene.place.mount(&["-t", "tmpfs", "-o", "size=3m", "tmpfs"], &disk);
    scene.write_noise("first", 1 << 20);
    let first = scene.copy(RUNS[0]).run().complete();
    scene.write_noise("second", 8 << 20);
    let message = scene.copy(RUNS[1]).run().failed(3, "DiskFull");
    assert!(message.starts_with("no space left on the disk: "), "{message}");
    scene.holds(&RUNS[..1]);
    assert!(fs::read_dir(scene.inside("locks")).unwrap().next().is_none(), "no lock is left");
    fs::remove_file(scene.source().join("second")).unwrap();
    scene.copy(RUNS[2]).run().complete();
    assert!(first.snapshot.is_some());
}

/// F47: an empty mount point looks like an empty volume.
#[test]
fn a_source_that_is_not_mounted_is_not_copied() {
    let scene = Scene::new("unmounted");
    scene.write("file", b"x");
    let source = format!("--source={}", scene.source().display());
    let message = scene.copy(RUNS[0]).instead(&source).without("--allow-unmounted").run().failed(1, "CopyFailed");
    assert!(message.contains("no volume is mounted"), "{message}");
}

#[test]
fn an_image_without_restic_is_told() {
    let scene = Scene::new("no-restic");
    scene.write("file", b"x");
    let message =
        scene.copy(RUNS[0]).by(&[]).arg("--allow-unmounted").env("PATH", "/nowhere").run().failed(3, "CopyFailed");
    assert!(message.contains("no restic"), "{message}");
}

/// What a tenant's Secret or an image sets outside of our arguments changes nothing.
#[test]
fn only_credentials_reach_restic() {
    let scene = Scene::new("environment");
    scene.write("file", b"x");
    let command = format!("touch {}", scene.place.path.join("ran").display());
    for (key, value) in
        [("RESTIC_PASSWORD_COMMAND", command.as_str()), ("RESTIC_REPOSITORY_FILE", "/nowhere"), ("PATH", "/")]
    {
        scene.secret(key, value);
    }
    scene.copy(RUNS[0]).env("RESTIC_REPOSITORY_FILE", "/nowhere").env("RESTIC_HOST", "other").run().complete();
    assert!(!scene.place.path.join("ran").exists());
    scene.holds(&RUNS[..1]);
}

/// L15: `RESTIC_REPOSITORY: /backups` was a folder of the pod. The copy was complete and good, and went with the pod.
#[test]
fn a_path_of_the_pod_is_no_repository() {
    let scene = Scene::new("local");
    scene.write("file", b"x");
    let folder = scene.place.path.join("backups");
    for address in [folder.display().to_string(), format!("local:{}", folder.display()), "backups".to_owned()] {
        scene.secret("RESTIC_REPOSITORY", &address);
        let message = scene.copy(RUNS[0]).instead("--allow-local=false").run().failed(3, "InvalidAddress");
        assert!(message.contains("is a path in the pod") && message.contains("claim or hostPath"), "{message}");
    }
    assert!(!folder.exists());
}
