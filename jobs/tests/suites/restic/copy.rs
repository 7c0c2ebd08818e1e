//! Copies that go well, and those in which entries are missing.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use model::record::CopyState;

use crate::place::{RUNS, has, root};
use crate::restic::scene::{Scene, done, texts};

#[test]
fn a_copy_is_a_snapshot_that_stock_restic_restores() {
    let scene = Scene::new("stock");
    scene.write("file", b"x");
    scene.write_noise("folder/noise", 3 << 20);
    symlink("file", scene.source().join("link")).unwrap();
    let result = scene.copy(RUNS[0]).run().complete();
    // restic counts files and folders, and no links.
    assert_eq!((result.files, result.bytes), (3, (3 << 20) + 1));
    assert!(result.written >= result.bytes && !result.unchanged);
    assert_eq!(texts(&result.kept), [RUNS[0]]);
    let id = result.snapshot.unwrap();
    let snapshots = scene.snapshots();
    assert_eq!((snapshots.len(), &snapshots[0]["id"], &snapshots[0]["hostname"]), (1, &id.into(), &"shop".into()));
    assert_eq!(snapshots[0]["tags"], serde_json::json!(["source=shop/data", "uid=uid-1", &format!("run={}", RUNS[0])]));
    scene.has_the_volume_in("latest");
}

#[test]
fn the_second_copy_writes_what_changed_and_an_unchanged_one_makes_no_snapshot() {
    if !root("an unchanged run makes no snapshot") {
        return;
    }
    let scene = Scene::new("second");
    scene.write_noise("noise", 3 << 20);
    let first = scene.copy(RUNS[0]).run().complete();
    let unchanged = scene.copy(RUNS[1]).run().complete();
    assert_eq!((unchanged.unchanged, unchanged.written, unchanged.files), (true, 0, 1));
    assert_eq!(unchanged.snapshot, first.snapshot, "it is where the first one is");
    assert_eq!(texts(&unchanged.kept), [RUNS[0]]);
    scene.write("new", b"x");
    let changed = scene.copy(RUNS[2]).run().complete();
    assert!(!changed.unchanged && changed.written < 1 << 16, "{changed:?}");
    assert_eq!(texts(&changed.kept), [RUNS[2], RUNS[0]]);
    scene.has_the_volume_in(&changed.snapshot.unwrap());
    // Where that is not wanted, each run has its own.
    let own = scene.copy(RUNS[3]).without("--skip-unchanged").run().complete();
    assert!(!own.unchanged);
    scene.holds(&[RUNS[0], RUNS[2], RUNS[3]]);
}

#[test]
fn what_is_excluded_is_not_copied() {
    let scene = Scene::new("exclude");
    for name in ["keep", "cache/x", "deep/cache/x", "a.tmp"] {
        scene.write(name, b"x");
    }
    fs::create_dir(scene.source().join("lost+found")).unwrap();
    let result = scene.copy(RUNS[0]).args(&["--exclude=/cache", "--exclude=*.tmp"]).run().complete();
    // keep, deep, deep/cache, deep/cache/x
    assert_eq!(result.files, 4);
}

/// Without the rights of root to read everything.
pub(crate) const BLIND: [&str; 2] = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];

fn lock_up(scene: &Scene, mode: u32) {
    fs::set_permissions(scene.source().join("locked"), fs::Permissions::from_mode(mode)).unwrap();
}

/// Law 6. restic's exit code 3.
#[test]
fn an_incomplete_copy_is_kept_marked_and_never_good() {
    let claim = "an entry that cannot be read makes the copy incomplete";
    if !root(claim) || !has("setpriv", claim) {
        return;
    }
    let scene = Scene::new("incomplete");
    scene.write("file", b"x");
    scene.write("locked", b"x");
    lock_up(&scene, 0);
    let mut ids = Vec::new();
    for (run, unchanged) in [(RUNS[0], false), (RUNS[1], true)] {
        let ended = scene.copy_by(run, &BLIND).run();
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let result = ended.result();
        assert_eq!((result.state, result.files, result.unchanged), (CopyState::Incomplete, 1, unchanged), "{run}");
        assert_eq!(result.reason.unwrap().as_str(), "Unreadable");
        let wanted =
            format!("1 entry is not in the copy: {} (permission denied)", scene.seen().join("locked").display());
        assert_eq!(result.message, wanted);
        ids.extend(result.snapshot);
    }
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    assert_eq!(scene.snapshots()[0]["id"], ids[0], "the id after it was marked");
    scene.holds(&[&format!("{} incomplete", RUNS[0])]);

    // What could not be read is gone: nothing differs from the incomplete snapshot, and this run is complete.
    fs::remove_file(scene.source().join("locked")).unwrap();
    let result = scene.copy_by(RUNS[2], &BLIND).run().complete();
    assert!(!result.unchanged);
    assert_ne!(result.snapshot.as_ref(), Some(&ids[0]));
    assert_eq!(texts(&result.kept), [RUNS[2], RUNS[0]]);
    scene.has_the_volume_in(&result.snapshot.unwrap());
}

/// Laws 1 and 6: a failed copy is a snapshot too, as soon as restic has made one.
#[test]
fn a_copy_of_which_nothing_could_be_read_is_marked_and_takes_no_good_ones_place() {
    let claim = "a copy of which nothing could be read never counts as good";
    if !root(claim) || !has("setpriv", claim) {
        return;
    }
    let scene = Scene::new("nothing-read");
    scene.write("locked", b"x");
    scene.copy(RUNS[0]).run().complete();
    lock_up(&scene, 0);
    for run in &RUNS[1..3] {
        scene.copy_by(run, &BLIND).run().failed(3, "Unreadable");
    }
    scene.holds(&[RUNS[0], &format!("{} incomplete", RUNS[1])]);
    assert!(!done(&scene.prune("last=1").run()).pruned.iter().any(|run| run.as_str() == RUNS[0]));
    lock_up(&scene, 0o644);
    scene.has_the_volume_in(scene.snapshots()[0]["id"].as_str().unwrap());
}

/// Law 6: restic marks with a lock of its own, and the pod may be told to end meanwhile.
#[test]
fn an_incomplete_copy_is_marked_though_another_has_the_lock_and_the_pod_ends() {
    let claim = "an incomplete copy is marked though the repository is locked";
    if !root(claim) || !has("setpriv", claim) {
        return;
    }
    let scene = Scene::new("mark-locked");
    scene.write("file", b"x");
    scene.write("locked", b"x");
    lock_up(&scene, 0);
    let once = scene.place.path.join("once").display().to_string();
    scene.fake_restic(&format!(
        r#"case "$*" in
        *tag*--add*) [ -e {once} ] || {{ touch {once}; kill -TERM $PPID; echo '{{"message_type":"exit_error","code":11,"message":"repository is already locked by PID 7 on other"}}' >&2; exit 11; }};;
        *unlock*) sleep 1;;
        esac
        exec "$RESTIC" "$@""#
    ));
    let ended = scene.copy_by(RUNS[0], &BLIND).run();
    scene.real_restic();
    scene.holds(&[&format!("{} incomplete", RUNS[0])]);
    assert_eq!((ended.code, ended.result().state), (Some(3), CopyState::Incomplete), "{ended:?}");
}

/// F47, F48, law 6.
#[test]
fn an_empty_source_is_good_only_if_it_always_was_or_is_accepted() {
    let scene = Scene::new("empty");
    fs::create_dir(scene.source().join("lost+found")).unwrap();
    assert_eq!(scene.copy(RUNS[0]).run().complete().files, 0);
    scene.write("file", b"x");
    scene.copy(RUNS[1]).run().complete();
    fs::remove_file(scene.source().join("file")).unwrap();
    let message = scene.copy(RUNS[2]).run().failed(3, "SourceEmpty");
    assert!(message.contains(RUNS[1]) && message.contains("1 entries"), "{message}");
    scene.holds(&RUNS[..2]);
    scene.copy(RUNS[2]).arg("--accept-empty").run().complete();
}
