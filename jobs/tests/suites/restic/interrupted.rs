//! A copy that stops at any point: what it leaves is never good, and the next try is right.

use std::fs;
use std::process::Child;

use model::record::CopyState;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};

use crate::place::{Job, RUNS, has, root, set_time, wait_until};
use crate::restic::copy::BLIND;
use crate::restic::scene::Scene;

/// Starts a copy that takes long, and waits until it writes.
pub(crate) fn start(scene: &Scene, job: Job) -> (Child, Job) {
    let job = job.arg("--limit-upload=200");
    let child = job.start();
    wait_until("restic writes with a lock", || {
        let full = |path: &str| fs::read_dir(scene.inside(path)).is_ok_and(|mut entries| entries.next().is_some());
        full("locks")
    });
    (child, job)
}

/// Ends a copy and all that it has started, as the end of its pod does.
pub(crate) fn kill(mut child: Child) {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    let groups: Vec<Pid> = children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect();
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    for group in &groups {
        let _ = kill_process_group(*group, Signal::KILL);
    }
    child.wait().unwrap();
    // As long as somebody has not taken leave of them, they count as alive.
    wait_until("they are gone", || groups.iter().all(|group| test_kill_process(*group).is_err()));
}

/// F42.
#[test]
fn a_killed_copy_is_no_snapshot_and_the_next_try_is_complete() {
    let scene = Scene::new("killed");
    scene.write("file", b"x");
    scene.copy(RUNS[0]).run().complete();
    scene.write_noise("noise", 6 << 20);
    let (child, _) = start(&scene, scene.copy(RUNS[1]));
    kill(child);
    scene.holds(&RUNS[..1]);
    assert!(fs::read_dir(scene.inside("locks")).unwrap().next().is_some(), "its lock is left behind");
    let result = scene.copy(RUNS[1]).run().complete();
    scene.holds(&RUNS[..2]);
    // A copy shares the repository with others: it has not looked for stale locks, and a person's check does.
    assert!(scene.restic(&["unlock"]).status.success());
    scene.has_the_volume_in(&result.snapshot.unwrap());
}

/// F42: between the snapshot and our word about it.
#[test]
fn a_snapshot_of_a_killed_try_is_this_runs_own() {
    let scene = Scene::new("killed-late");
    scene.write("file", b"x");
    scene.copy(RUNS[0]).run().complete();
    scene.write("file", b"y, and longer");
    scene.fake_restic(r#""$RESTIC" "$@"; code=$?; case "$*" in *backup*) kill -9 $PPID;; esac; exit $code"#);
    let ended = scene.copy(RUNS[1]).run();
    assert_eq!((ended.code, ended.message.as_str()), (None, ""));
    scene.real_restic();
    scene.holds(&RUNS[..2]);
    let result = scene.copy(RUNS[1]).run().complete();
    assert!(!result.unchanged, "it is this run's");
    assert_eq!(scene.snapshots()[1]["id"], result.snapshot.unwrap());
    scene.holds(&RUNS[..2]);
}

/// Law 6: also where nobody could say any more what was missing.
#[test]
fn an_incomplete_snapshot_of_a_killed_try_is_marked_by_the_next() {
    let claim = "an unmarked incomplete snapshot is marked by the next try";
    if !root(claim) || !has("setpriv", claim) {
        return;
    }
    let scene = Scene::new("killed-incomplete");
    scene.write("file", b"x");
    scene.write("locked", b"x");
    fs::set_permissions(scene.source().join("locked"), std::os::unix::fs::PermissionsExt::from_mode(0o0)).unwrap();
    scene.fake_restic(
        r#""$RESTIC" "$@"; code=$?; case "$*" in *backup*) [ $code = 3 ] && kill -9 $PPID;; esac; exit $code"#,
    );
    assert_eq!(scene.copy_by(RUNS[0], &BLIND).run().code, None);
    scene.real_restic();
    scene.holds(&RUNS[..1]);
    let ended = scene.copy_by(RUNS[0], &BLIND).run();
    assert_eq!((ended.code, ended.result().state), (Some(3), CopyState::Incomplete), "{ended:?}");
    scene.holds(&[&format!("{} incomplete", RUNS[0])]);
    assert_eq!(scene.snapshots()[0]["id"], ended.result().snapshot.unwrap());
}

/// A pod that is asked to stop has 30 seconds, and as process 1 no signal ends it by itself.
#[test]
fn a_copy_that_is_asked_to_stop_leaves_no_lock_and_says_that_a_retry_helps() {
    let scene = Scene::new("stopped");
    scene.write("file", b"x");
    scene.copy(RUNS[0]).run().complete();
    scene.write_noise("noise", 6 << 20);
    let (mut child, job) = start(&scene, scene.copy(RUNS[1]));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let code = child.wait().unwrap().code();
    let message = job.ended(code).failed(1, "CopyFailed");
    assert!(message.contains("stopped"), "{message}");
    assert!(fs::read_dir(scene.inside("locks")).unwrap().next().is_none(), "the lock is gone");
    scene.holds(&RUNS[..1]);
}

/// F43: what a crash leaves in the middle of making a repository.
#[test]
fn a_repository_whose_making_was_broken_off_is_made_again() {
    let scene = Scene::new("half-made");
    scene.write("file", b"x");
    scene.copy(RUNS[0]).run().complete();
    // As it is before the config, which restic writes last.
    fs::remove_file(scene.inside("config")).unwrap();
    for folder in ["data", "index", "snapshots"] {
        fs::remove_dir_all(scene.inside(folder)).unwrap();
        fs::create_dir(scene.inside(folder)).unwrap();
    }
    let keys: Vec<_> = fs::read_dir(scene.inside("keys")).unwrap().map(|key| key.unwrap().path()).collect();
    assert_eq!(keys.len(), 1);
    // Another may be at it right now.
    scene.copy(RUNS[1]).run().failed(1, "RepositoryLocked");
    set_time(&keys[0], 1_500_000_000);
    let result = scene.copy(RUNS[1]).run().complete();
    scene.has_the_volume_in(&result.snapshot.unwrap());
}
