//! A repository on a mounted disk: what a pod has there is its source's folder, and no address.

use std::fs;
use std::path::Path;

use crate::place::{Job, RUNS, root};
use crate::restic::scene::{Scene, done, failed};

/// A Secret without an address, and the folder as the node makes it: there, and empty.
fn on_disk(name: &str) -> Scene {
    let scene = Scene::new(name);
    scene.no_secret("RESTIC_REPOSITORY");
    fs::create_dir_all(scene.inside("")).unwrap();
    scene.write("file", b"x");
    scene
}

fn at(scene: &Scene, job: Job) -> Job {
    job.instead(&format!("--repository={}", scene.repository()))
}

#[test]
fn a_password_is_all_that_a_repository_on_a_disk_needs() {
    let scene = on_disk("on-disk");
    for run in &RUNS[..3] {
        scene.write_noise(run, 1 << 16);
        at(&scene, scene.copy(run)).run().complete();
    }
    done(&at(&scene, scene.verify("1/30")).run());
    done(&at(&scene, scene.prune("last=2")).run());
    scene.holds(&RUNS[1..3]);
    let last = scene.snapshots().pop().unwrap();
    scene.has_the_volume_in(last["id"].as_str().unwrap());
}

/// A destination that was of type disk before has trees there, and they stay.
#[test]
fn a_folder_with_dated_trees_is_left_as_it_is() {
    let scene = on_disk("over-trees");
    let file = scene.inside(RUNS[0]).join("file");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "kept").unwrap();
    let message = at(&scene, scene.copy(RUNS[1])).run().failed(3, "NotARepository");
    assert!(message.contains(RUNS[0]), "{message}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(fs::read_dir(scene.inside("")).unwrap().count(), 1);
}

fn remount(scene: &Scene, how: &str) {
    let disk = scene.place.path.join("repositories");
    mount(&["-o", &format!("remount,{how}")], &disk);
}

fn mount(options: &[&str], at: &Path) {
    let status = std::process::Command::new("mount").args(options).arg(at).status().unwrap();
    assert!(status.success(), "{options:?}");
}

/// A file system that its kernel made read-only. restic alone would try for a quarter of an hour.
#[test]
fn a_read_only_disk_is_told_and_is_no_repository_less() {
    if !root("a repository on a read-only disk is told") {
        return;
    }
    let mut scene = Scene::new("read-only");
    let disk = scene.place.path.join("repositories");
    fs::create_dir(&disk).unwrap();
    scene.place.mount(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"], &disk);
    scene.no_secret("RESTIC_REPOSITORY");
    scene.write("file", b"x");
    at(&scene, scene.copy(RUNS[0])).run().complete();
    remount(&scene, "ro");
    scene.write("file", b"y");
    let message = at(&scene, scene.copy(RUNS[1])).run().failed(1, "CopyFailed");
    assert!(message.starts_with("the disk is unavailable, read-only or failing: "), "{message}");
    failed(&at(&scene, scene.prune("last=1")).run(), 1, "CopyFailed");
    let out = scene.restic(&["snapshots", "--no-lock"]);
    assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("1 snapshots"), "{out:?}");
    remount(&scene, "rw");
    at(&scene, scene.copy(RUNS[1])).run().complete();
    scene.holds(&RUNS[..2]);
}
