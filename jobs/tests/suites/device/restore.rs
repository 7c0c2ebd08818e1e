//! Restores of a device: from a promoter, from a disk, and from a repository.

use std::fs;
use std::path::Path;
use std::process::Command;

use model::Timestamp;
use model::record::{RestoreResult, RestoreState};

use crate::device::disk::{Disk, MIB};
use crate::device::restic::Scene;
use crate::device::tree::copy;
use crate::place::{Ended, Job, Place, RUNS, has};
use crate::repository::noise;

const SIZE: u64 = 16 * MIB;

/// A restore of what lies at `point` to what stands at `target`, without a question.
fn restore(place: &Place, point: &Path, target: &Path) -> Job {
    with_session(place, place.job(&["restore", "--allow-unmounted", "--yes"]))
        .arg(&format!("--destination={}", point.display()))
        .arg(&format!("--source={}", target.display()))
}

fn restic_restore(scene: &Scene, run: &str, target: &Path) -> Job {
    let job = with_session(&scene.place, scene.place.job(&["restic", "restore", "--allow-unmounted", "--yes"]));
    scene.repository.with(job).arg(&format!("--run={run}")).arg(&format!("--target={}", target.display()))
}

/// Nobody else has the volume.
fn with_session(place: &Place, job: Job) -> Job {
    held_by(place, &[]);
    job.arg("--holders-wait=1s").arg(&format!("--holders={}", place.path.join("holders").display()))
}

fn held_by(place: &Place, pods: &[&str]) {
    let text = serde_json::json!({"at": Timestamp::now(), "pods": pods}).to_string();
    fs::write(place.path.join("holders"), text).unwrap();
}

#[track_caller]
fn result(ended: &Ended) -> RestoreResult {
    serde_json::from_str(&ended.message).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[track_caller]
fn whole(ended: &Ended) -> RestoreResult {
    let result = result(ended);
    assert_eq!((ended.code, result.state), (Some(0), RestoreState::Complete), "{ended:?}");
    result
}

#[track_caller]
fn ended_as(ended: &Ended, code: i32, state: RestoreState, reason: &str) -> String {
    let result = result(ended);
    assert_eq!((ended.code, result.state), (Some(code), state), "{ended:?}");
    let problem = result.problem.unwrap();
    assert_eq!(problem.reason.as_str(), reason, "{ended:?}");
    problem.message
}

#[track_caller]
fn refused(ended: &Ended, reason: &str) -> String {
    assert!(ended.output.contains("Nothing was written"), "{ended:?}");
    ended_as(ended, 3, RestoreState::Refused, reason)
}

/// A device that was copied to a disk, and one that is restored to.
fn copied(name: &str) -> Option<(Place, Disk, Disk)> {
    let place = Place::new(&format!("device-restore-{name}"));
    let disk = Disk::new(&place, "volume", SIZE)?;
    disk.write(0, &noise(1, 100_000));
    disk.write(9 * MIB, &noise(2, 100_000));
    copy(&place, &disk, RUNS[0]).run().complete();
    let target = Disk::new(&place, "target", SIZE)?;
    Some((place, disk, target))
}

#[test]
fn a_device_is_restored_from_its_image_and_only_what_differs_is_written() {
    let Some((place, disk, target)) = copied("tree") else { return };
    target.write(4 * MIB, &noise(7, 2_000_000));
    let ended = restore(&place, &place.disk(RUNS[0]), &target.path).run();
    let first = whole(&ended);
    assert!(target.content() == disk.content());
    assert_eq!(first.changed, 1);
    assert!(ended.output.contains("1 device, ") && ended.output.contains("All data is on the disk"), "{ended:?}");
    assert!(target.takes() < MIB, "zeros take no room: {}", target.takes());
    assert_eq!(whole(&restore(&place, &place.disk(RUNS[0]), &target.path).run()).bytes, 0);
    target.write(9 * MIB + 100, b"spoilt");
    assert_eq!(whole(&restore(&place, &place.disk(RUNS[0]), &target.path).run()).bytes, 4096);
    assert!(target.content() == disk.content());
}

#[test]
fn a_device_is_restored_from_its_promoter() {
    let Some((place, disk, target)) = copied("promoter") else { return };
    target.write(4 * MIB, &noise(7, 2_000_000));
    whole(&restore(&place, &disk.path, &target.path).run());
    assert!(target.content() == disk.content());
}

#[test]
fn a_restore_shows_what_it_will_do_and_a_dry_run_writes_nothing() {
    let Some((place, _disk, target)) = copied("shown") else { return };
    let before = target.content();
    let ended = restore(&place, &place.disk(RUNS[0]), &target.path).arg("--dry-run").run();
    let result = result(&ended);
    assert_eq!((ended.code, result.state, result.bytes), (Some(0), RestoreState::Ready, SIZE));
    assert!(ended.stdout.contains("the whole device (16Mi)") && ended.stdout.contains("LOST"), "{ended:?}");
    // Without a yes, and nobody there to give it.
    let ended = restore(&place, &place.disk(RUNS[0]), &target.path).without("--yes").run();
    assert_eq!((ended.code, self::result(&ended).state), (Some(2), RestoreState::Refused), "{ended:?}");
    assert!(target.content() == before);
}

#[test]
fn a_volume_that_is_larger_keeps_its_end_and_one_that_is_smaller_is_refused() {
    let Some((place, disk, _)) = copied("sizes") else { return };
    let Some(larger) = Disk::new(&place, "larger", SIZE + 2 * MIB) else { return };
    larger.write(SIZE, b"stays");
    let ended = restore(&place, &place.disk(RUNS[0]), &larger.path).arg("--dry-run").run();
    assert!(ended.stdout.contains("its last 2Mi are not changed"), "{ended:?}");
    whole(&restore(&place, &place.disk(RUNS[0]), &larger.path).run());
    let content = larger.content();
    let (start, end) = content.split_at(usize::try_from(SIZE).unwrap());
    assert!(start == disk.content() && end.starts_with(b"stays"));
    let Some(smaller) = Disk::new(&place, "smaller", SIZE - MIB) else { return };
    smaller.write(0, b"mine");
    let before = smaller.content();
    for point in [place.disk(RUNS[0]), disk.path.clone()] {
        let message = refused(&restore(&place, &point, &smaller.path).run(), "TargetTooSmall");
        assert!(message.contains("16Mi") && message.contains("15Mi"), "{message}");
    }
    assert!(smaller.content() == before);
}

#[test]
fn devices_and_files_are_never_restored_into_one_another() {
    let Some((place, disk, target)) = copied("modes") else { return };
    let (folder, files) = (place.path.join("volume-with-files"), place.path.join("files"));
    fs::create_dir(&folder).unwrap();
    fs::create_dir(&files).unwrap();
    fs::write(files.join("a"), "a").unwrap();
    let before = target.content();
    for (point, to) in [(&place.disk(RUNS[0]), &folder), (&disk.path, &folder), (&files, &target.path)] {
        refused(&restore(&place, point, to).run(), "VolumeModeDiffers");
    }
    // No part of a device can be named.
    for path in ["device.img", "etc/app.conf"] {
        let ended = restore(&place, &place.disk(RUNS[0]), &target.path).arg(path).run();
        assert!(refused(&ended, "VolumeModeDiffers").contains("contains no files"), "{ended:?}");
    }
    assert!(target.content() == before);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    // Whoever names the image means the file.
    whole(&restore(&place, &place.disk(RUNS[0]), &folder).arg("device.img").run());
    assert!(fs::read(folder.join("device.img")).unwrap() == disk.content());
    // A volume with files may have one of that name.
    fs::write(files.join("device.img"), "a file").unwrap();
    refused(&restore(&place, &files, &target.path).run(), "VolumeModeDiffers");
    assert!(target.content() == before);
    whole(&restore(&place, &files, &folder).run());
    assert_eq!(fs::read(folder.join("device.img")).unwrap(), b"a file");
}

/// Law 7.
#[test]
fn a_device_that_somebody_has_is_not_written() {
    let Some((place, _disk, target)) = copied("held") else { return };
    let before = target.content();
    let job = restore(&place, &place.disk(RUNS[0]), &target.path);
    held_by(&place, &["web-0"]);
    let message = refused(&job.run(), "TargetInUse");
    assert!(message.contains("web-0"), "{message}");
    // On this node somebody has it for himself, as a mounted file system does.
    held_by(&place, &[]);
    let other = Disk::new(&place, "other", SIZE).unwrap();
    if has("mkfs.ext4", "a device that is mounted is not written") {
        let mut place = place;
        assert!(Command::new("mkfs.ext4").arg("-q").arg(&other.path).status().unwrap().success());
        let mounted = place.path.join("mounted");
        fs::create_dir(&mounted).unwrap();
        place.mount(&[&other.path.display().to_string()], &mounted);
        let message = refused(&restore(&place, &place.disk(RUNS[0]), &other.path).run(), "TargetInUse");
        assert!(message.contains("mounted"), "{message}");
        drop(place);
    }
    assert!(target.content() == before);
}

#[test]
fn a_device_that_cannot_be_written_is_refused() {
    let Some((place, _disk, target)) = copied("read-only") else { return };
    target.is_read_only();
    refused(&restore(&place, &place.disk(RUNS[0]), &target.path).run(), "TargetNotReady");
}

#[test]
fn a_device_is_restored_from_a_repository() {
    let Some(scene) = Scene::new("restore") else { return };
    let target = Disk::new(&scene.place, "target", SIZE).unwrap();
    scene.copy(RUNS[0]).run().complete();
    let was = scene.disk.content();
    scene.disk.write(3 * MIB, b"later");
    scene.copy(RUNS[1]).run().complete();
    target.write(4 * MIB, &noise(7, 2_000_000));
    let ended = restic_restore(&scene, RUNS[0], &target.path).run();
    assert_eq!(whole(&ended).changed, 1);
    assert!(target.content() == was);
    assert!(target.takes() < 7 * MIB, "zeros take no room: {}", target.takes());
    assert_eq!(whole(&restic_restore(&scene, RUNS[1], &target.path).run()).bytes, 4096);
    assert!(target.content() == scene.disk.content());
    let ended = restic_restore(&scene, RUNS[0], &target.path).arg("--dry-run").run();
    assert!(ended.stdout.contains(&format!("of run {}", RUNS[0])) && ended.stdout.contains("LOST"), "{ended:?}");
    // The repository was only read.
    assert_eq!(fs::read_dir(scene.place.path.join("repository/locks")).unwrap().count(), 0);
}

#[test]
fn what_a_repository_has_is_refused_where_it_does_not_fit() {
    let Some(scene) = Scene::new("refused") else { return };
    scene.copy(RUNS[0]).run().complete();
    let smaller = Disk::new(&scene.place, "smaller", SIZE - MIB).unwrap();
    refused(&restic_restore(&scene, RUNS[0], &smaller.path).run(), "TargetTooSmall");
    let folder = scene.place.path.join("volume-with-files");
    fs::create_dir(&folder).unwrap();
    refused(&restic_restore(&scene, RUNS[0], &folder).run(), "VolumeModeDiffers");
    refused(&restic_restore(&scene, RUNS[0], &scene.disk.path).arg("a").run(), "VolumeModeDiffers");
    scene.place.write("a", "a");
    scene.repository.copy(&scene.place, RUNS[1], &[]);
    refused(&restic_restore(&scene, RUNS[1], &scene.disk.path).run(), "VolumeModeDiffers");
}

/// F45.
#[test]
fn a_stream_that_ends_early_is_a_failed_restore_and_the_next_one_finishes_it() {
    let Some(scene) = Scene::new("early") else { return };
    let target = Disk::new(&scene.place, "target", SIZE).unwrap();
    scene.copy(RUNS[0]).run().complete();
    for (end, words) in [("exit 0", "ends too early"), ("exit 1", "restic ended with exit code 1")] {
        scene.fake_restic(&format!(
            r#"case "$*" in *" dump "*) "$RESTIC" "$@" | head -c 2000000; {end};; *) exec "$RESTIC" "$@";; esac"#
        ));
        target.write(0, &[1; 10_000]);
        let ended = restic_restore(&scene, RUNS[0], &target.path).run();
        let message = ended_as(&ended, 1, RestoreState::Failed, "RestoreFailed");
        assert!(message.contains(words) && message.contains("MIXTURE"), "{message}");
        assert!(target.content() != scene.disk.content());
        scene.real_restic();
    }
    // All bytes, and no good end: restic checks what it gives while it gives it.
    scene.fake_restic(r#"case "$*" in *" dump "*) "$RESTIC" "$@"; exit 1;; *) exec "$RESTIC" "$@";; esac"#);
    ended_as(&restic_restore(&scene, RUNS[0], &target.path).run(), 1, RestoreState::Failed, "RestoreFailed");
    scene.real_restic();
    whole(&restic_restore(&scene, RUNS[0], &target.path).run());
    assert!(target.content() == scene.disk.content());
}

#[test]
fn an_image_that_cannot_be_read_is_a_failed_restore() {
    let Some((place, disk, target)) = copied("unread") else { return };
    disk.breaks_at(8 * MIB);
    let ended = restore(&place, &disk.path, &target.path).run();
    let message = ended_as(&ended, 1, RestoreState::Failed, "RestoreFailed");
    assert!(message.contains(&format!("at byte {}", 8 * MIB)) && message.contains("MIXTURE"), "{message}");
}

/// Law 7, in the middle: while it is written, a pod comes.
#[test]
fn a_restore_ends_when_somebody_gets_the_device() {
    let Some(scene) = Scene::new("comes") else { return };
    let target = Disk::new(&scene.place, "target", SIZE).unwrap();
    scene.copy(RUNS[0]).run().complete();
    let (holders, came) = (scene.place.path.join("holders"), scene.place.path.join("came"));
    fs::write(&came, serde_json::json!({"at": Timestamp::now(), "pods": ["web-0"]}).to_string()).unwrap();
    scene.fake_restic(&format!(
        r#"case "$*" in *" dump "*) "$RESTIC" "$@" | (head -c 2000000; cp {} {}; sleep 20; cat);; *) exec "$RESTIC" "$@";; esac"#,
        came.display(),
        holders.display()
    ));
    let message =
        ended_as(&restic_restore(&scene, RUNS[0], &target.path).run(), 3, RestoreState::Failed, "TargetInUse");
    assert!(message.contains("web-0") && message.contains("MIXTURE"), "{message}");
}

/// Law 7, also where restic does not end at once.
#[test]
fn nothing_more_is_written_when_somebody_gets_the_device_though_restic_goes_on() {
    let Some(scene) = Scene::new("goes-on") else { return };
    let target = Disk::new(&scene.place, "target", SIZE).unwrap();
    scene.copy(RUNS[0]).run().complete();
    let [holders, came, asked] = ["holders", "came", "asked"].map(|name| scene.place.path.join(name));
    fs::write(&came, serde_json::json!({"at": Timestamp::now(), "pods": ["web-0"]}).to_string()).unwrap();
    // Asked to end, it gives all the rest first.
    let script = format!(
        r#"case "$*" in *" dump "*) "$RESTIC" "$@" > all.$$; head -c 2000000 all.$$; cp {} {}
        rest() {{ touch {}; tail -c +2000001 all.$$; }}
        trap 'rest; exit 1' TERM; while :; do sleep 0.1; done;; *) exec "$RESTIC" "$@";; esac"#,
        came.display(),
        holders.display(),
        asked.display()
    );
    let all = scene.place.path.join("all").display().to_string();
    scene.fake_restic(&script.replace("all.", &format!("{all}.")));
    let message =
        ended_as(&restic_restore(&scene, RUNS[0], &target.path).run(), 3, RestoreState::Failed, "TargetInUse");
    assert!(asked.exists() && message.contains("web-0"), "{message}");
    let (was, is) = (scene.disk.content(), target.content());
    let end = usize::try_from(3 * MIB).unwrap();
    assert!(was[..1_000_000] == is[..1_000_000], "it had begun");
    assert!(was[end..] != is[end..] && is[end..].iter().all(|byte| *byte == 0), "nothing more came");
}

/// F42: a Job tries again in another pod, which knows nothing of the one before.
#[test]
fn a_try_that_writes_nothing_does_not_say_that_the_device_is_what_it_was() {
    let Some(scene) = Scene::new("mixture") else { return };
    let target = Disk::new(&scene.place, "target", SIZE).unwrap();
    scene.copy(RUNS[0]).run().complete();
    let broken = r#"case "$*" in *" dump "*) "$RESTIC" "$@" | head -c 2000000;; *) exec "$RESTIC" "$@";; esac"#;
    scene.fake_restic(broken);
    let first = restic_restore(&scene, RUNS[0], &target.path).run();
    assert!(ended_as(&first, 1, RestoreState::Failed, "RestoreFailed").contains("NOW HOLDS A MIXTURE"), "{first:?}");
    // What is the same is not written again, and it does not come further.
    let second = restic_restore(&scene, RUNS[0], &target.path).run();
    assert_eq!(result(&second).bytes, 0);
    assert!(ended_as(&second, 1, RestoreState::Failed, "RestoreFailed").contains("MAY HOLD A MIXTURE"), "{second:?}");
    let job = restic_restore(&scene, RUNS[0], &target.path);
    held_by(&scene.place, &["web-0"]);
    let third = job.run();
    assert!(refused(&third, "TargetInUse").contains("MAY HOLD A MIXTURE"), "{third:?}");
    assert!(third.output.contains("Nothing was written by this attempt."), "{third:?}");
    // The repository is away before anything is looked at.
    scene.fake_restic("exit 1");
    let fourth = restic_restore(&scene, RUNS[0], &target.path).run();
    assert!(result(&fourth).problem.unwrap().message.contains("MAY HOLD A MIXTURE"), "{fourth:?}");
    scene.real_restic();
    whole(&restic_restore(&scene, RUNS[0], &target.path).run());
}
