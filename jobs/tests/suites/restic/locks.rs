//! Locks: those that are left behind are removed, those in use are waited for.

use std::fs;
use std::process::Stdio;

use crate::place::{RUNS, wait_until};
use crate::restic::interrupted::{kill, start};
use crate::restic::scene::{Scene, done, failed, texts};

/// F42: restic knows that the process is dead, since it was on this host.
#[test]
fn a_lock_that_is_left_behind_is_removed() {
    let scene = Scene::new("lock-left");
    scene.write("file", b"x");
    scene.copy(RUNS[0]).run().complete();
    scene.write_noise("noise", 6 << 20);
    let (child, _) = start(&scene, scene.copy(RUNS[1]));
    kill(child);
    assert!(fs::read_dir(scene.inside("locks")).unwrap().next().is_some());
    done(&scene.prune("last=1").run());
    scene.copy(RUNS[1]).run().complete();
}

/// Of another host's lock restic cannot know that its process is dead: it is removed once it is stale, and never by
/// force.
#[test]
fn a_locked_repository_is_looked_at_for_stale_locks_and_tried_again() {
    let scene = Scene::new("lock-stale");
    scene.write("file", b"x");
    scene.copy(RUNS[0]).run().complete();
    let [calls, once] = ["calls", "once"].map(|name| scene.place.path.join(name).display().to_string());
    scene.fake_restic(&format!(
        r#"echo "$@" >> {calls}
        case "$*" in *check*) [ -e {once} ] || {{ touch {once}; echo '{{"message_type":"exit_error","code":11,"message":"repository is already locked by PID 7 on other"}}' >&2; exit 11; }};; esac
        exec "$RESTIC" "$@""#
    ));
    let ended = scene.verify("1/1").run();
    done(&ended);
    assert!(ended.output.contains("locked by PID 7 on other"), "{}", ended.output);
    let calls = fs::read_to_string(calls).unwrap();
    let verbs: Vec<&str> = calls.lines().map(|line| line.trim_start_matches("--json --no-cache ")).collect();
    assert_eq!(verbs, ["check --read-data-subset=1/1", "unlock", "check --retry-lock=60s --read-data-subset=1/1"]);
}

/// Prune beside copy: it waits, is told who holds the lock, and harms nobody.
#[test]
fn a_lock_in_use_is_waited_for_and_never_removed() {
    let scene = Scene::new("lock-used");
    scene.write("file", b"x");
    scene.copy(RUNS[0]).run().complete();
    scene.write_noise("noise", 3 << 20);
    let (mut child, _) = start(&scene, scene.copy(RUNS[1]));
    // A person's short wait, in place of the 35 minutes.
    scene.fake_restic(r#"exec "$RESTIC" $(echo "$@" | sed s/retry-lock=1m/retry-lock=1s/)"#);
    let message = failed(&scene.prune("last=1").arg("--lock-seconds=1").run(), 1, "RepositoryLocked");
    assert!(message.contains("PID"), "{message}");
    assert!(fs::read_dir(scene.inside("locks")).unwrap().next().is_some(), "the copy's lock is there");
    scene.real_restic();
    let pruned = scene.prune("last=1").run();
    assert_eq!(child.wait().unwrap().code(), Some(0), "the copy went on");
    // What was planned before the copy ended touches nothing of it.
    assert_eq!(texts(&done(&pruned).kept), [RUNS[1], RUNS[0]]);
    scene.holds(&RUNS[..2]);
    scene.has_the_volume_in("latest");
}

/// A check has the repository for itself: the copy waits for it, and copies nothing but the volume.
#[test]
fn a_copy_that_waits_for_a_lock_is_complete() {
    let scene = Scene::new("lock-copy");
    scene.write_noise("noise", 6 << 20);
    scene.copy(RUNS[0]).run().complete();
    scene.write("new", b"x");
    let mut check = scene.stock(&["check", "--read-data", "--limit-download=100"]);
    let mut check = check.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the check has its lock", || fs::read_dir(scene.inside("locks")).unwrap().next().is_some());
    // It is over once the copy has met it.
    scene.fake_restic(&format!(r#"case "$*" in *unlock*) kill -INT {};; esac; exec "$RESTIC" "$@""#, check.id()));
    let ended = scene.copy(RUNS[1]).run();
    check.wait().unwrap();
    assert!(ended.output.contains("the repository is locked exclusively by PID"), "{}", ended.output);
    let result = ended.complete();
    assert_eq!((result.files, texts(&result.kept)), (2, vec![RUNS[1], RUNS[0]]));
    scene.real_restic();
    scene.has_the_volume_in(&result.snapshot.unwrap());
}
