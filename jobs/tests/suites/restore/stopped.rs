//! A restore that stops at any point: what was written stays, and the same command goes on.

use std::fs;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::compare::same;
use crate::place::{Job, root, set_time, wait_until};
use crate::restore::scene::{Restored as _, Scene, put};

/// rsync so slow that a test can catch it in the middle of a file, but not when it only looks.
const SLOW: &str = r#"case "$*" in *--dry-run*) ;; *) set -- --bwlimit=300 "$@" ;; esac; exec "$RSYNC" "$@""#;
const TEMP: &str = ".backup-controller-restore";

/// A volume that takes [`SLOW`] some seconds.
fn scene(name: &str) -> Scene {
    let scene = Scene::new(name);
    put(&scene.point("a"), "first", 1_500_000_000);
    put(&scene.point("b"), &"0123456789abcde\n".repeat(100_000), 1_500_000_000);
    put(&scene.point("c"), "last", 1_500_000_000);
    put(&scene.volume("b"), "spoilt", 1_600_000_000);
    put(&scene.volume("c"), "spoilt", 1_600_000_000);
    put(&scene.volume("mine"), "mine", 1_600_000_000);
    crate::place::set_time(&scene.point(""), 1_400_000_000);
    scene
}

fn start(scene: &Scene, job: &Job) -> Child {
    scene.place.fake_rsync(SLOW);
    let child = job.start();
    wait_until("rsync writes a file", || !parts(scene).is_empty());
    child
}

/// The files that rsync is making.
fn parts(scene: &Scene) -> Vec<String> {
    let names = fs::read_dir(scene.volume("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".b.")).collect()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// After the same command again, the volume is as if nothing had happened, and nothing is left behind.
#[track_caller]
fn goes_on(scene: &Scene) {
    scene.place.real_rsync();
    let mut ended = scene.restore(&[]).run();
    wait_until("rsync has ended", || {
        let busy = ended.code == Some(1);
        if busy {
            ended.broke_off(1, "TargetInUse");
            ended = scene.restore(&[]).run();
        }
        !busy
    });
    ended.whole();
    assert_eq!(fs::read_to_string(scene.volume("mine")).unwrap(), "mine");
    fs::remove_file(scene.volume("mine")).unwrap();
    set_time(&scene.volume(""), 1_400_000_000);
    same(&scene.list_point(), &scene.list_volume());
}

#[test]
fn a_restore_that_is_asked_to_stop_leaves_nothing_half_and_goes_on() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let scene = scene(&format!("asked-{}", signal.as_raw()));
        let job = scene.restore(&[]);
        let mut child = start(&scene, &job);
        send(&child, signal);
        let code = child.wait().unwrap().code();
        let result = job.ended(code).broke_off(1, "RestoreFailed");
        assert!(result.contains("stopped"), "{result}");
        // The old file is still whole, and what rsync was making is gone.
        assert_eq!(fs::read_to_string(scene.volume("b")).unwrap(), "spoilt");
        assert!(!scene.volume(TEMP).exists() && parts(&scene).is_empty());
        goes_on(&scene);
    }
}

#[test]
fn a_restore_that_is_killed_goes_on_and_nothing_of_it_stays() {
    let scene = scene("killed");
    let mut child = start(&scene, &scene.restore(&[]));
    send(&child, Signal::KILL);
    child.wait().unwrap();
    assert_eq!(fs::read_to_string(scene.volume("b")).unwrap(), "spoilt");
    goes_on(&scene);
}

/// Law 7, while it writes.
#[test]
fn a_pod_that_comes_while_the_volume_is_written_ends_the_restore() {
    let scene = scene("comes");
    let job = scene.restore(&[]);
    let mut child = start(&scene, &job);
    scene.held_by(&["app-0"]);
    let code = child.wait().unwrap().code();
    let message = job.ended(code).broke_off(3, "TargetInUse");
    assert!(message.contains("app-0"), "{message}");
    assert_eq!(fs::read_to_string(scene.volume("b")).unwrap(), "spoilt");
    scene.restore(&[]).run().refused("TargetInUse");
    scene.held_by(&[]);
    goes_on(&scene);
}

/// The controller says it anew every 30 s. If it does not, a pod may have come.
#[test]
fn a_controller_that_falls_silent_ends_the_restore() {
    let scene = scene("silent");
    scene.held_by_ago(112, &[]);
    scene.place.fake_rsync(r#"case "$*" in *--dry-run*) exec "$RSYNC" "$@" ;; esac; exec sleep 300"#);
    scene.restore(&[]).run().broke_off(3, "MountStateUnknown");
    scene.held_by(&[]);
    goes_on(&scene);
}

/// A file that the kubelet is just writing is not a controller that is gone.
#[test]
fn a_file_that_is_gone_for_a_moment_ends_nothing() {
    let scene = scene("moment");
    let job = scene.restore(&[]);
    let mut child = start(&scene, &job);
    fs::remove_file(scene.holders()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    job.ended(Some(0)).whole();
}

/// A machine that crashed may have lost bytes of files whose size and time are right.
#[test]
fn after_a_crash_of_the_machine_contents_are_compared() {
    let scene = scene("crash");
    scene.restore(&[]).run().whole();
    fs::write(scene.volume("a"), "\0".repeat(5)).unwrap();
    set_time(&scene.volume("a"), 1_500_000_000);
    // On this start of the machine they are believed.
    fs::create_dir_all(scene.volume(TEMP).join(boot())).unwrap();
    scene.restore(&[]).run().whole();
    assert_eq!(fs::read(scene.volume("a")).unwrap(), [0; 5]);
    assert!(!scene.volume(TEMP).exists());
    fs::create_dir_all(scene.volume(TEMP).join("00000000")).unwrap();
    let ended = scene.restore(&[]).run();
    ended.whole();
    assert!(ended.output.contains("comparing file contents"), "{ended:?}");
    assert_eq!(fs::read_to_string(scene.volume("a")).unwrap(), "first");
    assert!(!scene.volume(TEMP).exists());
}

/// Killed together with rsync, as a container is: nobody tidies up.
#[test]
fn what_rsync_was_making_goes_and_what_only_looks_like_it_stays() {
    let scene = scene("tidy");
    put(&scene.volume(".b.backup"), "the user's, from before", 1);
    put(&scene.point(".b.wanted"), "of the restore point", 1);
    put(&scene.point("sub/.rc"), "x", 1);
    wait_until("the clock of the file system goes on", || {
        let time = |name: &str| fs::metadata(scene.volume(name)).unwrap().modified().unwrap();
        fs::write(scene.volume("clock"), "x").unwrap();
        time("clock") > fs::metadata(scene.volume("")).unwrap().modified().unwrap()
    });
    fs::create_dir_all(scene.volume(TEMP).join(boot())).unwrap();
    for left in [".b.x1Y2z3", "sub/.rc.AbCdEf", ".other.AbCdEf", ".b.wanted"] {
        put(&scene.volume(left), "half", 1);
    }
    scene.restore(&[]).run().whole();
    for gone in [".b.x1Y2z3", "sub/.rc.AbCdEf", TEMP] {
        assert!(!scene.volume(gone).exists(), "{gone}");
    }
    for stays in [".b.backup", ".other.AbCdEf", "mine"] {
        assert!(scene.volume(stays).exists(), "{stays}");
    }
    assert_eq!(fs::read_to_string(scene.volume(".b.wanted")).unwrap(), "of the restore point");
}

/// A tenant can write to his volume, and the restore is root.
#[test]
fn a_link_in_the_place_of_our_folder_is_not_followed() {
    let scene = scene("planted");
    let outside = scene.place.path.join("outside");
    put(&outside.join("precious"), "x", 1);
    std::os::unix::fs::symlink(&outside, scene.volume(TEMP)).unwrap();
    scene.restore(&[]).run().whole();
    assert!(outside.join("precious").exists() && !scene.volume(TEMP).exists());
}

/// F51, and what was counted may be wrong.
#[test]
fn a_volume_that_fills_up_is_told_and_goes_on_once_there_is_room() {
    if !root("a volume that fills up is told") {
        return;
    }
    let mut scene = scene("full");
    let volume = scene.volume("");
    fs::remove_dir_all(scene.volume("")).unwrap();
    fs::create_dir(scene.volume("")).unwrap();
    scene.place.mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], &volume);
    let ended = scene.restore(&["--ignore-space"]).run();
    let message = ended.broke_off(3, "TargetTooSmall");
    assert!(message.starts_with("no space left on the volume"), "{message}");
    assert!(ended.output.contains("Written data is kept; run the same command again"), "{ended:?}");
    assert!(!scene.volume(TEMP).exists() && !scene.volume("b").exists());
    let args = ["-o", "remount,size=9m"];
    assert!(std::process::Command::new("mount").args(args).arg(&volume).status().unwrap().success());
    scene.restore(&[]).run().whole();
    same(&scene.list_point(), &scene.list_volume());
}

/// This start of the machine, as our folder's name has it.
fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    model::names::hash(id.trim(), 8)
}
