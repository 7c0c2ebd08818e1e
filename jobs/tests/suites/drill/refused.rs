//! What proves nothing, and what is told then.

use std::fs;

use model::maintain::TaskState;

use crate::drill::scene::{Drilled as _, Scene};
use crate::place::{RUNS, root, wait_until};

/// F47, law 6: a lost mount and an emptied volume look like an empty one.
#[test]
fn a_drill_of_nothing_proves_nothing() {
    let scene = Scene::new("nothing");
    fs::create_dir(scene.place.file("lost+found")).unwrap();
    scene.copy();
    for sample in ["all", "10"] {
        let message = scene.sample(sample).run().disproved("SourceEmpty");
        assert!(message.contains("proves nothing"), "{message}");
        let result = scene.sample(sample).arg("--accept-empty").run().proven();
        assert_eq!((result.files, result.bytes), (0, 0));
    }
    // An empty snapshot of a copy that has something is no empty copy.
    fs::write(scene.tree("file"), "x").unwrap();
    let message = scene.drill().arg("--accept-empty").run().differs();
    assert!(message.contains("file (not in the original)"), "{message}");
}

#[test]
fn folders_without_files_are_compared_too() {
    let scene = Scene::new("folders");
    fs::create_dir_all(scene.place.file("a/b")).unwrap();
    scene.copy();
    for sample in ["all", "10"] {
        assert_eq!(scene.sample(sample).run().proven().files, 2);
    }
    fs::remove_dir(scene.tree("a/b")).unwrap();
    for sample in ["all", "10"] {
        assert!(scene.sample(sample).run().differs().contains("a/b (missing)"));
    }
}

#[test]
fn volumes_that_are_not_mounted_are_not_compared() {
    let scene = Scene::copied("unmounted");
    let ended = scene.drill().without("--allow-unmounted").run();
    assert_eq!((ended.code, ended.drilled().state), (Some(1), TaskState::Failed), "{ended:?}");
    assert!(ended.drilled().problem.unwrap().message.contains("no volume is mounted"), "{ended:?}");
    let gone = scene.place.path.join("gone");
    let message = scene.drill().instead(&format!("--tree={}", gone.display())).run().disproved("RestorePointEmpty");
    assert!(message.contains("the run's copy is not available at"), "{message}");
    for option in ["original", "scratch"] {
        let ended = scene.drill().instead(&format!("--{option}={}", gone.display())).run();
        assert_eq!((ended.code, ended.drilled().files), (Some(1), 0), "{ended:?}");
        assert!(!gone.exists());
    }
}

/// As the drill's pod has them: the disk is one mount, with trees of many runs in it.
#[test]
fn a_tree_in_a_mounted_disk_is_compared() {
    if !root("a tree in a mounted disk is compared") {
        return;
    }
    let mut scene = Scene::copied("mounted");
    let mut options = Vec::new();
    for (option, folder) in [("original", "source"), ("scratch", "scratch"), ("tree", "disk")] {
        let (from, at) = (scene.place.path.join(folder), scene.place.path.join(format!("mounted-{folder}")));
        fs::create_dir(&at).unwrap();
        scene.place.mount(&["--bind", from.to_str().unwrap()], &at);
        let at = if option == "tree" { at.join(RUNS[0]) } else { at };
        options.push(format!("--{option}={}", at.display()));
    }
    let job = scene.drill().without("--allow-unmounted");
    options.iter().fold(job, |job, option| job.instead(option)).run().proven();
}

#[test]
fn what_a_killed_drill_left_is_removed_and_a_stopped_one_is_tried_again() {
    let scene = Scene::copied("killed");
    let left = scene.place.path.join("scratch/drill/restored/planted");
    fs::create_dir_all(&left).unwrap();
    scene.drill().run().proven();
    scene.is_tidy();

    let began = scene.place.path.join("began");
    scene.place.fake_rsync(&format!("touch {}; sleep 60 & wait", began.display()));
    let job = scene.drill();
    let mut child = job.start();
    wait_until("rsync runs", || began.exists());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = job.ended(child.wait().unwrap().code());
    assert_eq!((ended.code, ended.drilled().state), (Some(1), TaskState::Failed), "{ended:?}");
    assert!(ended.drilled().problem.unwrap().message.contains("stopped"), "{ended:?}");
    scene.is_tidy();
}

#[test]
fn a_scratch_volume_that_fills_up_is_told() {
    if !root("a scratch volume that fills up is told") {
        return;
    }
    let scene = Scene::copied("full");
    scene
        .place
        .fake_rsync("echo 'rsync: [receiver] write failed on \"/d/x\": No space left on device (28)' >&2; exit 11");
    let message = scene.sample("10").run().disproved("TargetTooSmall");
    assert!(message.starts_with("no space left on the scratch volume"), "{message}");
}

#[test]
fn a_wrong_command_line_is_2() {
    let scene = Scene::copied("usage");
    let bare = || scene.place.job(&["drill", "--from=tree"]).arg(&format!("--run={}", RUNS[0]));
    for job in [bare(), scene.sample("0"), scene.sample("some"), scene.drill().instead("--run=../x")] {
        assert_eq!(job.run().code, Some(2));
    }
}
