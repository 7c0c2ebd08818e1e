//! What a restore refuses, with nothing written.

use std::fs;
use std::path::Path;

use model::reason::Reason;
use model::record::RestoreState;

use crate::compare::same;
use crate::place::{root, wait_until};
use crate::restore::scene::{Restored as _, Scene, put};

fn scene(name: &str) -> Scene {
    let scene = Scene::new(name);
    put(&scene.point("file"), "as it was", 1_500_000_000);
    put(&scene.volume("file"), "spoilt", 1_600_000_000);
    put(&scene.volume("mine"), "mine", 1_600_000_000);
    scene
}

/// Law 7: a lost mount looks like an empty restore point.
#[test]
fn an_empty_restore_point_restores_nothing() {
    let scene = Scene::new("empty");
    put(&scene.volume("mine"), "mine", 1_600_000_000);
    let before = scene.list_volume();
    for _ in 0..2 {
        let message = scene.restore(&["--delete"]).run().refused("RestorePointEmpty");
        assert!(message.contains("is empty: choose another"), "{message}");
        // What ext4 makes itself does not count.
        let _ = fs::create_dir(scene.point("lost+found"));
    }
    same(&before, &scene.list_volume());
}

#[test]
fn what_is_not_mounted_is_neither_read_nor_written() {
    let mut scene = scene("unmounted");
    let before = scene.list_volume();
    scene.restore(&[]).without("--allow-unmounted").run().refused("RestorePointEmpty");
    scene.restore(&[]).instead("--source=/nowhere").run().refused("TargetNotReady");
    scene.restore(&[]).instead("--destination=/nowhere").run().refused("RestorePointEmpty");
    let point = format!("--source={}", scene.point("").display());
    let message = scene.restore(&[]).instead(&point).run().refused("TargetNotReady");
    assert!(message.contains("the restore point itself"), "{message}");
    if !root("a folder that is no mount, or one that is read-only, is not written") {
        return;
    }
    let (point, volume) = (scene.point(""), scene.volume(""));
    let paths = [point.display().to_string(), volume.display().to_string()];
    scene.place.mount(&["--bind", &paths[0]], &point);
    let message = scene.restore(&[]).without("--allow-unmounted").run().refused("TargetNotReady");
    assert!(message.contains("no volume is mounted"), "{message}");
    scene.place.mount(&["--bind", "-o", "ro", &paths[1]], &volume);
    let message = scene.restore(&[]).without("--allow-unmounted").run().refused("TargetNotReady");
    assert!(message.contains("read-only"), "{message}");
    same(&before, &scene.list_volume());
}

/// Law 7.
#[test]
fn a_volume_that_another_pod_has_is_not_written() {
    let scene = scene("held");
    let before = scene.list_volume();
    scene.held_by(&["app-0", "app-1"]);
    for options in [&[][..], &["--delete"], &["file"]] {
        let message = scene.restore(options).run().refused("TargetInUse");
        assert!(message.contains("app-0, app-1") && message.contains("--replicas=0"), "{message}");
    }
    same(&before, &scene.list_volume());
    // Looking is free.
    assert_eq!(scene.bare(&["--dry-run"]).run().code, Some(0));
    same(&before, &scene.list_volume());
}

/// Law 7.
#[test]
fn a_volume_of_which_nobody_knows_who_has_it_is_not_written() {
    let scene = scene("unknown");
    let before = scene.list_volume();
    scene.held_by_ago(300, &[]);
    assert!(scene.restore(&[]).run().refused("MountStateUnknown").contains("old"));
    scene.held_by_ago(-300, &[]);
    assert!(scene.restore(&[]).run().refused("MountStateUnknown").contains("ahead"));
    for text in ["", " \n", "{}", "[]", "{\"at\":\"now\",\"pods\":[]}", "{\"pods\":[]}"] {
        fs::write(scene.holders(), text).unwrap();
        scene.restore(&[]).instead("--holders-wait=0s").run().refused("MountStateUnknown");
    }
    fs::remove_file(scene.holders()).unwrap();
    let message = scene.restore(&[]).run().refused("MountStateUnknown");
    assert!(message.contains("No such file") && message.contains("backup-controller runs"), "{message}");
    same(&before, &scene.list_volume());
    // Clocks that differ a little, or a word that is some time old, are no reason.
    for ago in [100, -100] {
        scene.held_by_ago(ago, &[]);
        scene.restore(&[]).run().whole();
    }
}

#[test]
fn a_word_of_the_controller_that_comes_late_is_waited_for() {
    let scene = scene("late");
    fs::remove_file(scene.holders()).unwrap();
    let job = scene.restore(&[]).instead("--holders-wait=60s");
    let mut child = job.start();
    // It has opened both volumes by now, and waits.
    wait_until("the restore waits", || {
        fs::read_to_string(format!("/proc/{}/wchan", child.id())).is_ok_and(|at| at.contains("nanosleep"))
    });
    assert_eq!(fs::read_to_string(scene.volume("file")).unwrap(), "spoilt");
    scene.held_by(&[]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_to_string(scene.volume("file")).unwrap(), "as it was");
}

#[test]
fn a_volume_that_is_too_small_is_told_before_anything_is_written() {
    if !root("a small volume is told before anything is written") {
        return;
    }
    for (options, what) in [("size=4m", "bytes"), ("size=4m,nr_inodes=30", "files and folders")] {
        let mut scene = Scene::new(&format!("small-{}", options.len()));
        let volume = scene.volume("");
        scene.place.mount(&["-t", "tmpfs", "-o", options, "tmpfs"], &volume);
        put(&scene.volume("old"), &"o".repeat(3 << 20), 1_500_000_000);
        put(&scene.point("new"), &"n".repeat(2 << 20), 1_500_000_000);
        if what != "bytes" {
            put(&scene.point("new"), "n", 1_500_000_000);
            (0..40).for_each(|i| put(&scene.point(&format!("d/{i}")), "x", 1_500_000_000));
        }
        let before = scene.list_volume();
        let message = scene.restore(&[]).run().refused("TargetTooSmall");
        assert!(message.contains(what), "{message}");
        same(&before, &scene.list_volume());
        if what == "bytes" {
            // Deleting first makes the room.
            assert!(message.contains("--delete"), "{message}");
            scene.restore(&["--delete"]).run().whole();
            same(&scene.list_point(), &scene.list_volume());
        }
    }
}

#[test]
fn a_second_restore_is_kept_out_while_the_first_one_writes() {
    let scene = scene("second");
    let lock = fs::File::open(scene.volume("")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let ended = scene.restore(&[]).run();
    assert!(ended.broke_off(1, "TargetInUse").contains("another restore"), "{ended:?}");
    assert_eq!(fs::read_to_string(scene.volume("file")).unwrap(), "spoilt");
    drop(lock);
    scene.restore(&[]).run().whole();
}

#[test]
fn an_image_without_rsync_is_told() {
    let scene = scene("no-rsync");
    let job = scene.restore(&[]).env("PATH", scene.place.path.join("bin"));
    let message = job.run().refused("RestoreFailed");
    assert!(message.contains("no rsync"), "{message}");
}

#[test]
fn what_is_there_stays_if_the_command_line_is_wrong() {
    let scene = scene("usage");
    let before = scene.list_volume();
    for bad in [&["--output=xml"][..], &["--holders-wait=soon"], &["--no-such"], &["a/../b"]] {
        assert_eq!(scene.restore(bad).run().code, Some(2), "{bad:?}");
    }
    same(&before, &scene.list_volume());
    assert!(!Path::new("pwned").exists());
}

/// L2: a folder that could not be read that night was deleted from the volume, and "All data is on the disk" followed.
#[test]
fn an_incomplete_restore_point_deletes_nothing_and_ends_as_incomplete() {
    let scene = scene("incomplete");
    let status = r#"{"request":"x","state":"Ready","point":"disk/20181203T0000Z","incomplete":true}"#;
    fs::write(scene.place.path.join("status"), status).unwrap();
    let before = scene.list_volume();
    for options in [&["--delete"][..], &["--delete", "--dry-run"]] {
        let message = scene.restore(options).run().refused("RestorePointIncomplete");
        assert!(message.contains("restore without delete"), "{message}");
        same(&before, &scene.list_volume());
    }
    let ended = scene.restore(&[]).run();
    let result = ended.restored();
    assert_eq!((ended.code, result.state), (Some(3), RestoreState::Incomplete), "{ended:?}");
    assert_eq!(result.problem.unwrap().reason, Reason::RestorePointIncomplete);
    assert_eq!(fs::read_to_string(scene.volume("file")).unwrap(), "as it was");
    assert_eq!(fs::read_to_string(scene.volume("mine")).unwrap(), "mine");
    let warning = ended.output.find("WARNING: this restore point is incomplete").unwrap();
    assert!(warning < ended.output.find("Incomplete: ").unwrap(), "{ended:?}");
    assert!(!ended.output.contains("All data is on the disk"), "{ended:?}");
    // Nothing is left to do, and it is still not all.
    assert_eq!(scene.restore(&[]).run().code, Some(3));
}

/// L13: a restore from a damaged tree ended with "All data is on the disk", and no word of what the drill had found.
#[test]
fn what_a_drill_found_is_said_before_anything_is_written() {
    let scene = scene("finding");
    let status = r#"{"request":"x","state":"Ready","finding":"the drill of 2018-12-02T06:05:00Z found: file differs"}"#;
    fs::write(scene.place.path.join("status"), status).unwrap();
    let ended = scene.bare(&["--dry-run"]).run();
    let words = "WARNING: a check found something wrong where this restore point is stored: the drill of";
    let at = ended.stdout.find(words).unwrap_or_else(|| panic!("{ended:?}"));
    assert!(at < ended.stdout.find("To write: ").unwrap(), "{ended:?}");
    // And after it: what was written is what the tree has.
    let ended = scene.bare(&["--yes"]).run();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(!ended.stdout.contains("All data is on the disk"), "{ended:?}");
    let words =
        "RestoreMismatch: what was restored may be damaged: the drill of 2018-12-02T06:05:00Z found: file differs";
    assert!(ended.stdout.contains(words) && ended.stdout.contains("no checksums"), "{ended:?}");
}
