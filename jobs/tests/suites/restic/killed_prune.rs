//! A prune that ends in the middle, as when its node loses its power: it removes most, and must lose nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::place::RUNS;
use crate::restic::interrupted::kill;
use crate::restic::scene::{Scene, done, texts};
use crate::restic::server::{KEY, SECRET, Server};
use crate::restic::wire::Wire;

/// What a prune changes, in its order. It is killed before it does so; what is before it in the list was done.
const POINTS: [(&str, &str, usize, &str); 8] = [
    ("DELETE", "snapshots", 1, "before the first snapshot is forgotten"),
    ("DELETE", "snapshots", 2, "with one of two snapshots forgotten"),
    ("PUT", "data", 1, "before what is still used is written anew"),
    ("PUT", "index", 1, "before the new index"),
    ("DELETE", "index", 1, "with the old index beside the new one"),
    ("DELETE", "data", 1, "with all of the old data there"),
    ("DELETE", "data", 2, "with some of the old data gone"),
    // The first lock was that of the forgetting.
    ("DELETE", "locks", 2, "with everything done but its lock"),
];

/// F42, laws 1 and 3.
#[test]
fn wherever_a_prune_is_killed_the_repository_is_whole_and_the_next_prune_finishes() {
    let server = Server::start("killed-prune", None);
    let folder = server.folder.join("backups");
    let scene = Scene::at("killed-prune", folder.to_str().unwrap());
    scene.secret("AWS_ACCESS_KEY_ID", KEY);
    scene.secret("AWS_SECRET_ACCESS_KEY", SECRET);
    // What stays lies in one pack with what goes.
    scene.write_noise("stays", 1 << 19);
    for (day, run) in RUNS[..4].iter().enumerate() {
        scene.write_noise("changes", (1 << 18) + day);
        scene.copy(run).run().complete();
    }
    let filled = scene.place.path.join("filled");
    clone(&folder, &filled);

    for (method, what, nth, point) in POINTS {
        fs::remove_dir_all(&folder).unwrap();
        clone(&filled, &folder);
        let wire = Wire::new(server.port, method, what, nth);
        scene.secret("RESTIC_REPOSITORY", &format!("s3:http://127.0.0.1:{}/backups", wire.port));
        let child = scene.prune("last=2").start();
        wire.await_cut();
        kill(child);

        assert!(fs::read_dir(scene.inside("locks")).unwrap().next().is_some(), "{point}: its lock is left behind");
        let check = scene.restic(&["check", "--no-lock", "--read-data"]);
        assert!(check.status.success(), "{point}: {check:?}");
        let there = fs::read_dir(scene.inside("snapshots")).unwrap().count();

        scene.secret("RESTIC_REPOSITORY", folder.to_str().unwrap());
        let result = done(&scene.prune("last=2").run());
        assert_eq!(texts(&result.kept), [RUNS[3], RUNS[2]], "{point}");
        assert_eq!(result.pruned.len(), there - 2, "{point}: {result:?}");
        scene.holds(&RUNS[2..4]);
        let check = scene.restic(&["check"]);
        let said = String::from_utf8_lossy(&check.stdout);
        assert!(check.status.success() && !said.contains("additional files"), "{point}: {said}");
    }
    scene.has_the_volume_in("latest");
}

fn clone(from: &Path, to: &Path) {
    let done = Command::new("cp").args(["-a", "--"]).args([from, to]).status().unwrap();
    assert!(done.success());
}
