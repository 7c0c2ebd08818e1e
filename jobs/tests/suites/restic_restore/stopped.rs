//! Restores that end early, and go on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::compare::same;
use crate::place::{RUNS, wait_until, which};
use crate::repository::{flip, noise};
use crate::restic_restore::vault::Vault;
use crate::restore::scene::{Restored as _, put};

/// Many files, and a brake that makes their restore take a while.
fn vault(name: &str) -> Vault {
    let vault = Vault::new(name);
    for i in 0..60 {
        let name = format!("folder-{}/file-{i}", i % 3);
        vault.scene.place.write(&name, "");
        fs::write(vault.original(&name), noise(i, 400_000)).unwrap();
    }
    vault.repository.copy(&vault.scene.place, RUNS[0], &["--pack-size=4"]);
    vault
}

/// Six packs of data, and half a second for each.
const SLOW: &str = "--limit-download=6000";

/// F42.
#[test]
fn a_killed_restore_goes_on() {
    let vault = vault("killed");
    put(&vault.volume("mine"), "mine", 1);
    let job = vault.restore(&[SLOW]);
    let mut child = job.start();
    wait_until("files are written", || fs::read_dir(vault.volume("folder-0")).is_ok_and(|all| all.count() > 2));
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    // restic goes on by itself, as nobody tells it to end, until the volume is its own again.
    let ours = vault.volume(".backup-controller-restore");
    assert!(ours.exists(), "what tells that it did not come to its end");
    wait_until("the volume is free", || {
        let ended = vault.restore(&[]).run();
        ended.code == Some(0) || !ended.message.contains("TargetInUse")
    });
    vault.restore(&[]).run().whole();
    assert!(!ours.exists());
    assert_eq!(fs::read_to_string(vault.volume("mine")).unwrap(), "mine");
    fs::remove_file(vault.volume("mine")).unwrap();
    vault.restore(&[]).run().whole();
    same(&vault.list_original(), &vault.list_volume());
}

#[test]
fn a_stopped_restore_says_so_and_goes_on() {
    let vault = vault("stopped");
    let job = vault.restore(&[SLOW]);
    let mut child = job.start();
    wait_until("files are written", || fs::read_dir(vault.volume("folder-0")).is_ok_and(|all| all.count() > 2));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let message = job.ended(child.wait().unwrap().code()).broke_off(1, "RestoreFailed");
    assert!(message.contains("stopped"), "{message}");
    vault.restore(&[]).run().whole();
    same(&vault.list_original(), &vault.list_volume());
    let locks = vault.repository.restic(&["list", "locks", "--no-lock"]);
    assert_eq!(locks.trim(), "", "no lock is left");
}

/// Law 7: also while it is written.
#[test]
fn a_pod_that_comes_meanwhile_ends_it() {
    let vault = vault("pod-comes");
    let job = vault.restore(&[SLOW]);
    let mut child = job.start();
    wait_until("files are written", || fs::read_dir(vault.volume("folder-0")).is_ok_and(|all| all.count() > 2));
    vault.scene.held_by(&["app-0"]);
    let message = job.ended(child.wait().unwrap().code()).broke_off(3, "TargetInUse");
    assert!(message.contains("app-0"), "{message}");
    vault.scene.held_by(&[]);
    vault.restore(&[]).run().whole();
    same(&vault.list_original(), &vault.list_volume());
}

/// Somebody changes the volume between the look at it and the first change to it.
#[test]
fn a_link_that_is_put_in_a_files_place_meanwhile_is_not_followed() {
    for swap in ["rm h/b && ln -s ../../secret/b h/b", "mv h away && ln -s ../secret h"] {
        let vault = Vault::new("swapped");
        for name in ["h/a", "h/b"] {
            put(&vault.original(name), "content", 1_500_000_000);
        }
        vault.copy();
        put(&vault.volume("h/a"), "content", 1_500_000_000);
        fs::hard_link(vault.volume("h/a"), vault.volume("h/b")).unwrap();
        let secret = vault.scene.place.path.join("secret");
        for name in ["a", "b"] {
            put(&secret.join(name), "the key", 1_500_000_000);
        }
        // It asks restic for what it knows of the root after it has planned, and before it writes.
        let (bin, volume) = (vault.scene.place.path.join("bin/restic"), vault.volume(""));
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *'cat --no-lock tree'*) (cd {} && {swap}) >&2;; esac\nexec {} \"$@\"\n",
            volume.display(),
            which("restic").unwrap().display()
        );
        fs::write(&bin, script).unwrap();
        fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).unwrap();
        let message = vault.restore(&[]).run().broke_off(1, "RestoreFailed");
        assert!(message.contains("another process writes to the volume"), "{message}");
        let key = Command::new("grep").arg("-r").arg("the key").arg(&volume).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&key.stdout), "", "{swap}");
        assert_eq!(fs::read_to_string(secret.join("b")).unwrap(), "the key");
        fs::remove_file(bin).unwrap();
    }
}

/// Law 6.
#[test]
fn what_is_damaged_is_named_and_the_rest_is_restored() {
    let vault = vault("damaged");
    flip(&vault.repository.packs()[0]);
    let ended = vault.bare(&["--yes", &format!("--run={}", RUNS[0])]).run();
    let result = ended.restored();
    assert_eq!((ended.code, result.state), (Some(3), model::record::RestoreState::Incomplete), "{ended:?}");
    assert!(result.problem.unwrap().message.contains("folder-"), "{ended:?}");
    let there = vault.list_volume().len();
    assert!(there > 30, "{there}");
}

/// F42: what a killed prune left does not keep anybody from his data for half an hour.
#[test]
fn a_lock_of_a_dead_process_is_removed_and_one_in_use_is_waited_for() {
    let vault = Vault::copied("locked");
    let mut prune = vault.repository.prune_that_hangs();
    let ended = vault.restore(&["--lock-seconds=0"]).run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.message.contains("RepositoryLocked"), "{ended:?}");
    prune.kill().unwrap();
    prune.wait().unwrap();
    vault.restore(&[]).run().whole();
    same(&vault.list_original(), &vault.list_volume());
}
