//! A run that changed nothing names the snapshot that restic has compared with, and no other.

use crate::place::{RUNS, root};
use crate::restic::scene::{Scene, texts};

/// The tags that a run's snapshot has, for stock restic.
fn tags(run: &str) -> String {
    format!("--host=shop --tag=source=shop/data --tag=uid=uid-1 --tag=run={run}")
}

/// restic compares with nothing that is newer than its own clock.
#[test]
fn a_snapshot_of_a_clock_that_is_ahead_does_not_stand_for_an_unchanged_run() {
    if !root("an unchanged run does not rest on a snapshot of the future") {
        return;
    }
    let scene = Scene::new("ahead");
    scene.write("file", b"x");
    scene.write("other", b"x");
    let first = scene.copy(RUNS[0]).run().complete();
    // Of another node, and with other content.
    let ahead = "--time='2099-01-01 00:00:00' --exclude=other";
    scene.fake_restic(&format!(
        r#"case "$*" in *backup*) exec "$RESTIC" backup --json --no-cache {} {ahead} /mnt;; esac; exec "$RESTIC" "$@""#,
        tags(RUNS[1])
    ));
    scene.copy(RUNS[1]).run();
    scene.real_restic();
    scene.holds(&RUNS[..2]);
    let unchanged = scene.copy(RUNS[2]).run().complete();
    assert!(unchanged.unchanged);
    assert_eq!(unchanged.snapshot, first.snapshot);
    scene.has_the_volume_in(&unchanged.snapshot.unwrap());
}

/// What was there before is what was there when the wait was over.
#[test]
fn an_unchanged_run_that_has_waited_names_what_was_copied_meanwhile() {
    if !root("an unchanged run that has waited names what was copied meanwhile") {
        return;
    }
    let scene = Scene::new("meanwhile");
    scene.write("file", b"x");
    let first = scene.copy(RUNS[0]).run().complete();
    scene.write("new", b"x");
    let [listed, once] = ["listed", "once"].map(|name| scene.place.path.join(name).display().to_string());
    scene.fake_restic(&format!(
        r#"case "$*" in
        *snapshots*) "$RESTIC" "$@"; code=$?; touch {listed}; exit $code;;
        *backup*) [ -e {once} ] || {{
            while [ ! -e {listed} ]; do sleep 0.1; done
            touch {once}
            "$RESTIC" backup --quiet --no-cache {} /mnt >&2
            echo '{{"message_type":"exit_error","code":11,"message":"repository is already locked by PID 7 on other"}}' >&2
            exit 11
        }};;
        esac
        exec "$RESTIC" "$@""#,
        tags(RUNS[1])
    ));
    let result = scene.copy(RUNS[2]).run().complete();
    scene.real_restic();
    scene.holds(&RUNS[..2]);
    assert!(result.unchanged && result.snapshot != first.snapshot, "{result:?}");
    assert_eq!(texts(&result.kept), [RUNS[1], RUNS[0]]);
    scene.has_the_volume_in(&result.snapshot.unwrap());
}
