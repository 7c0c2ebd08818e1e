//! What a sample is.

use std::collections::BTreeSet;
use std::fs;

use crate::drill::scene::{Drilled as _, Scene};
use crate::place::root;

/// The files of a sample: those that a copy without any file lacks.
fn drawn(scene: &Scene, sample: &str, seed: &str) -> BTreeSet<String> {
    let args = scene.place.path.join("names");
    scene.place.fake_rsync(&format!("tr '\\0' '\\n' > {}\nexit 23", args.display()));
    scene.sample(sample).arg(&format!("--seed={seed}")).run().drilled();
    scene.place.real_rsync();
    let names = fs::read_to_string(args).unwrap();
    names.lines().filter(|name| name.contains("file-")).map(ToOwned::to_owned).collect()
}

#[test]
fn a_sample_is_the_same_for_the_same_seed() {
    let scene = Scene::copied("seed");
    let first = drawn(&scene, "8", "monday");
    assert_eq!(first.len(), 8);
    assert_eq!(drawn(&scene, "8", "monday"), first);
    // In whatever order the folder tells its names.
    for i in (0..40).rev() {
        let path = scene.place.file(&format!("folder-{}/file-{i}", i % 4));
        let away = path.with_file_name("away");
        fs::rename(&path, &away).unwrap();
        fs::rename(&away, &path).unwrap();
    }
    assert_eq!(drawn(&scene, "8", "monday"), first);
    assert_ne!(drawn(&scene, "8", "tuesday"), first);
    assert!(drawn(&scene, "9", "monday").is_superset(&first), "one more is one more");
}

/// A folder with few files is not looked at more than its share, nor are the first names of a listing.
#[test]
fn over_the_days_every_file_is_drawn() {
    let scene = Scene::copied("share");
    let mut seen = BTreeSet::new();
    for day in 0..40 {
        seen.extend(drawn(&scene, "8", &format!("day {day}")));
    }
    assert_eq!(seen.len(), 40, "{seen:?}");
}

#[test]
fn without_a_seed_the_time_that_it_was_due_draws() {
    let scene = Scene::copied("due");
    let names = |args: &[&str]| {
        let file = scene.place.path.join("names");
        scene.place.fake_rsync(&format!("cat > {}\nexit 23", file.display()));
        scene.sample("8").args(args).run().drilled();
        fs::read(file).unwrap()
    };
    let monday = names(&["--now=2018-12-03T00:00:00Z"]);
    assert_eq!(names(&["--seed=2018-12-03T00:00:00Z"]), monday);
    assert_ne!(names(&["--now=2018-12-04T00:00:00Z"]), monday);
}

/// Room on a node's own disk is not all that the disk has: a pod that fills more of it is thrown out.
#[test]
fn no_more_is_restored_than_the_drill_may_fill() {
    let scene = Scene::new("may-fill");
    for i in 0..40 {
        scene.place.write(&format!("folder/file-{i}"), &"x".repeat(100 << 10));
    }
    scene.copy();
    let room = format!("--room={}", 2 << 20);
    let ended = scene.sample("40").arg(&room).run();
    let result = ended.proven();
    assert!((10..=20).contains(&result.files), "{result:?}");
    assert!(ended.output.contains("entries of the sample do not fit on the scratch volume"), "{ended:?}");
    scene.drill().arg(&room).run().disproved("TargetTooSmall");
    scene.is_tidy();
    scene.drill().arg(&format!("--room={}", 1_u64 << 40)).run().proven();
}

/// A sample gives way to the room that there is; everything does not.
#[test]
fn a_sample_is_what_there_is_room_for_and_all_refuses() {
    if !root("a small scratch volume is not filled") {
        return;
    }
    let mut scene = Scene::new("room");
    for i in 0..40 {
        scene.place.write(&format!("folder/file-{i}"), &"x".repeat(100 << 10));
    }
    scene.place.write("big", &"x".repeat(8 << 20));
    scene.copy();
    let scratch = scene.place.path.join("scratch");
    scene.place.mount(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], &scratch);
    let ended = scene.sample("41").run();
    let result = ended.proven();
    assert!((10..=20).contains(&result.files), "{result:?}");
    assert!(ended.output.contains("entries of the sample do not fit on the scratch volume"), "{ended:?}");
    let message = scene.drill().run().disproved("TargetTooSmall");
    assert!(message.contains("or set drill.sample to a number"), "{message}");
    scene.is_tidy();
    for i in 0..40 {
        fs::remove_file(scene.place.file(&format!("folder/file-{i}"))).unwrap();
    }
    let message = scene.sample("1").run().disproved("TargetTooSmall");
    assert!(message.contains("no file of the sample fits"), "{message}");
}
