//! Drills of a device: the whole image is compared with the snapshot's device.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use model::maintain::{MaintainResult, TaskState};

use crate::device::disk::{Disk, MIB};
use crate::device::restic::Scene;
use crate::device::tree::{copy, image};
use crate::place::{Ended, Job, Place, RUNS};
use crate::repository::{flip, noise};

const SIZE: u64 = 16 * MIB;

fn drill(place: &Place, disk: &Disk) -> Job {
    let (tree, original) = (place.disk(RUNS[0]), &disk.path);
    // There is no scratch volume: none is needed.
    place.job(&["drill", "--from=tree", "--allow-unmounted", "--sample=5", "--scratch=/nowhere"]).args(&[
        &format!("--run={}", RUNS[0]),
        &format!("--tree={}", tree.display()),
        &format!("--original={}", original.display()),
    ])
}

fn restic_drill(scene: &Scene) -> Job {
    let job = scene.place.job(&["drill", "--from=restic", "--scratch=/nowhere", &format!("--run={}", RUNS[0])]);
    scene.repository.with(job).arg(&format!("--original={}", scene.disk.path.display()))
}

#[track_caller]
fn proven(ended: &Ended) -> MaintainResult {
    let result: MaintainResult = serde_json::from_str(&ended.message).unwrap();
    assert_eq!((ended.code, result.state), (Some(0), TaskState::Done), "{ended:?}");
    assert_eq!((result.files, result.bytes, result.whole), (1, SIZE, true), "{ended:?}");
    result
}

#[track_caller]
fn failed(ended: &Ended, code: i32, reason: &str) -> String {
    let result: MaintainResult = serde_json::from_str(&ended.message).unwrap();
    assert_eq!((ended.code, result.state), (Some(code), TaskState::Failed), "{ended:?}");
    let problem = result.problem.unwrap();
    assert_eq!(problem.reason.as_str(), reason, "{ended:?}");
    problem.message
}

fn copied(name: &str) -> Option<(Place, Disk)> {
    let place = Place::new(&format!("device-drill-{name}"));
    let disk = Disk::new(&place, "volume", SIZE)?;
    disk.write(0, &noise(1, 100_000));
    disk.write(9 * MIB, &noise(2, 100_000));
    copy(&place, &disk, RUNS[0]).run().complete();
    Some((place, disk))
}

#[test]
fn a_tree_of_a_device_is_proven_whole_and_one_flipped_bit_is_found() {
    let Some((place, disk)) = copied("tree") else { return };
    proven(&drill(&place, &disk).run());
    flip(&image(&place, RUNS[0]));
    let message = failed(&drill(&place, &disk).run(), 3, "RestoreMismatch");
    assert!(message.contains(&format!("1 block of 4 KiB differ, the first at byte {}", SIZE / 2)), "{message}");
}

#[test]
fn an_image_that_is_cut_off_or_gone_is_found() {
    let Some((place, disk)) = copied("cut") else { return };
    fs::File::options().write(true).open(image(&place, RUNS[0])).unwrap().set_len(SIZE - 512).unwrap();
    let message = failed(&drill(&place, &disk).run(), 3, "RestoreMismatch");
    assert!(message.contains(&format!("{} bytes", SIZE - 512)), "{message}");
    fs::remove_file(image(&place, RUNS[0])).unwrap();
    let message = failed(&drill(&place, &disk).run(), 3, "RestoreMismatch");
    assert!(message.contains("no device image"), "{message}");
}

#[test]
fn a_drill_that_cannot_read_the_snapshot_proves_and_disproves_nothing() {
    let Some((place, disk)) = copied("unread") else { return };
    disk.breaks_at(8 * MIB);
    failed(&drill(&place, &disk).run(), 1, "Unreadable");
}

#[test]
fn a_repository_is_proven_whole_and_one_flipped_bit_is_found() {
    let Some(scene) = Scene::new("drill") else { return };
    scene.copy(RUNS[0]).run().complete();
    proven(&restic_drill(&scene).run());
    flip(&scene.repository.packs()[0]);
    failed(&restic_drill(&scene).run(), 3, "RepositoryDamaged");
}

/// U13: a pack that is cut off or gone was a failure that another try might mend, and the proof before it stayed.
#[test]
fn a_repository_whose_pack_is_cut_off_or_gone_is_found() {
    let Some(scene) = Scene::new("drill-cut") else { return };
    scene.copy(RUNS[0]).run().complete();
    let packs = scene.repository.packs();
    let pack = packs.iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    let size = fs::metadata(pack).unwrap().len();
    // restic makes its packs read-only.
    fs::set_permissions(pack, fs::Permissions::from_mode(0o600)).unwrap();
    fs::File::options().write(true).open(pack).unwrap().set_len(size / 2).unwrap();
    failed(&restic_drill(&scene).run(), 3, "RepositoryDamaged");
    fs::remove_file(pack).unwrap();
    failed(&restic_drill(&scene).run(), 3, "RepositoryDamaged");
}

#[test]
fn a_snapshot_that_is_not_what_was_copied_is_found() {
    let Some(scene) = Scene::new("drill-differs") else { return };
    scene.copy(RUNS[0]).run().complete();
    scene.disk.write(MIB + 5, b"other");
    let message = failed(&restic_drill(&scene).run(), 3, "RestoreMismatch");
    assert!(message.contains(&format!("1 block of 4 KiB differ, the first at byte {MIB}")), "{message}");
    // A restic that gives less, and calls it well.
    scene.fake_restic(
        r#"case "$*" in *" dump "*) "$RESTIC" "$@" | head -c 2000000; exit 0;; *) exec "$RESTIC" "$@";; esac"#,
    );
    let message = failed(&restic_drill(&scene).run(), 3, "RestoreMismatch");
    assert!(message.contains("data ends after byte"), "{message}");
    // One that gives more: the snapshot is not to blame.
    for end in ["exit 0", "exit 1"] {
        scene.fake_restic(&format!(
            r#"case "$*" in *" dump "*) "$RESTIC" "$@"; echo more; {end};; *) exec "$RESTIC" "$@";; esac"#
        ));
        let message = failed(&restic_drill(&scene).run(), 3, "RestoreMismatch");
        assert!(message.contains("contains more than its"), "{message}");
    }
}
