//! Forgetting, pruning and checking.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::place::RUNS;
use crate::restic::scene::{Scene, done, failed, texts};

/// A repository with a snapshot of each of the runs.
fn filled(name: &str, runs: &[&str]) -> Scene {
    let scene = Scene::new(name);
    for run in runs {
        scene.write_noise(&format!("noise-{run}"), 1 << 18);
        scene.copy(run).run().complete();
        fs::remove_file(scene.source().join(format!("noise-{run}"))).unwrap();
    }
    scene
}

#[test]
fn what_expired_is_forgotten_and_its_data_removed() {
    let scene = filled("prune", &RUNS[..4]);
    let result = done(&scene.prune("last=2").run());
    assert_eq!((texts(&result.pruned), texts(&result.kept)), (RUNS[..2].to_vec(), vec![RUNS[3], RUNS[2]]));
    assert!(result.bytes > 2 << 18, "{result:?}");
    scene.holds(&RUNS[2..4]);
    assert!(scene.restic(&["check", "--read-data"]).status.success());
    let again = done(&scene.prune("last=2").run());
    assert!(again.pruned.is_empty() && again.bytes == 0, "{again:?}");
}

/// Laws 1 and 4, F77, F83.
#[test]
fn the_floor_the_holds_and_the_brake_hold_and_what_cannot_be_read_deletes_nothing() {
    let scene = filled("floor", &RUNS[..4]);
    for bad in ["", "last=0", "2 fortnights"] {
        failed(&scene.prune(bad).run(), 3, "InvalidSetting");
    }
    scene.holds(&RUNS[..4]);
    let first = scene.snapshots()[0]["id"].as_str().unwrap().to_owned();
    assert!(scene.restic(&["tag", "--add", "hold", &first]).status.success());
    let hold = format!("--hold={}", RUNS[1]);
    assert!(done(&scene.prune("1h").args(&[&hold, "--max-deletes=1", "--min-keep=2"]).run()).pruned.is_empty());
    let result = done(&scene.prune("1h").args(&[&hold, "--max-deletes=1"]).run());
    // Nothing is younger than an hour: the newest stays as the floor.
    assert_eq!(texts(&result.pruned), [RUNS[2]]);
    scene.holds(&[&format!("{} hold", RUNS[0]), RUNS[1], RUNS[3]]);
}

/// F77: the hold of a run that changed nothing is one of the snapshot that has its data.
#[test]
fn a_snapshot_that_is_held_by_its_id_stays() {
    let scene = filled("hold-id", &RUNS[..3]);
    let id = scene.snapshots()[0]["id"].as_str().unwrap().to_owned();
    let result = done(&scene.prune("last=1").arg(&format!("--hold-snapshot={}", &id[..8])).run());
    assert_eq!(texts(&result.pruned), [RUNS[1]]);
    // Also by the id that it had before it was tagged.
    assert!(scene.restic(&["tag", "--add", "mine", &id]).status.success());
    assert!(done(&scene.prune("last=1").arg(&format!("--hold-snapshot={id}")).run()).pruned.is_empty());
    assert_eq!(texts(&done(&scene.prune("last=1").run()).pruned), [RUNS[0]]);
}

/// Law 1: the record's word counts too; a good run is not forgotten for one that is not. It counts also when the record
/// is gone, with the snapshot that it stood on: a try that was killed before it could mark what it left is marked here.
#[test]
fn a_run_whose_record_says_incomplete_takes_no_good_ones_place() {
    let scene = filled("record", &RUNS[..3]);
    let incomplete: Vec<String> = RUNS[1..3].iter().map(|run| format!("--incomplete={run}")).collect();
    let incomplete: Vec<&str> = incomplete.iter().map(String::as_str).collect();
    assert!(done(&scene.prune("last=1").args(&incomplete).run()).pruned.is_empty());
    let [first, second, third] = [0, 1, 2].map(|n| RUNS[n]);
    scene.holds(&[first, &format!("{second} incomplete"), &format!("{third} incomplete")]);
    assert_eq!(texts(&done(&scene.prune("last=1").run()).pruned), [""; 0]);
    // Of those a few stay; what is marked is marked once.
    let ids = |scene: &Scene| scene.snapshots().iter().map(|s| s["id"].to_string()).collect::<Vec<_>>();
    let before = ids(&scene);
    done(&scene.prune("last=1").args(&incomplete).run());
    assert_eq!(ids(&scene), before);
}

/// Law 1: what failed after restic had saved everything is whole, once a copy that changed nothing stands on it; else
/// incomplete runs would push the newest good copy out.
#[test]
fn what_a_complete_copy_stands_on_is_good_whatever_the_record_of_its_run_says() {
    let [good, newer @ ..] = RUNS.first_chunk::<4>().unwrap();
    let prune = |scene: &Scene, proven: &[&str]| {
        let ids: Vec<String> = proven.iter().map(|id| format!("--complete-snapshot={id}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let poor: Vec<String> = RUNS[..4].iter().map(|run| format!("--incomplete={run}")).collect();
        let poor: Vec<&str> = poor.iter().map(String::as_str).collect();
        let job = scene.prune("last=1").args(&["--max-unconfirmed=3", "--max-deletes=9"]);
        done(&job.args(&poor).args(&ids).run())
    };
    let scene = filled("stood-on", &RUNS[..4]);
    let id = scene.snapshots()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(texts(&prune(&scene, &[&id]).pruned), [""; 0]);
    let [second, third, fourth] = newer.map(|run| format!("{run} incomplete"));
    scene.holds(&[good, &second, &third, &fourth]);
    // Also by the id that it had before it was tagged.
    assert!(scene.restic(&["tag", "--add", "mine", &id]).status.success());
    assert_eq!(texts(&prune(&scene, &[&id]).pruned), [""; 0]);
    assert_eq!(texts(&prune(&scene, &[]).pruned), [*good], "it is the oldest of four that prove nothing");
}

/// The source is gone, and an administrator wants its copies gone. What else is in the repository is not ours.
#[test]
fn a_removal_forgets_all_snapshots_of_the_source_and_no_others_unless_one_is_held() {
    let scene = filled("remove", &RUNS[..2]);
    let run = format!("run={}", RUNS[0]);
    scene.write("other", b"another PVC's");
    let tags = ["--tag", "uid=another", "--tag", "source=shop/data", "--tag", &run];
    let source = scene.source().display().to_string();
    let args = [&["backup", "--host=shop"][..], &tags, &[&source]].concat();
    assert!(scene.restic(&args).status.success());
    let ids = || scene.snapshots().iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let all = ids();
    assert!(scene.restic(&["tag", "--add", "hold", &all[0]]).status.success());
    let message = failed(&scene.remove().run(), 3, "InUse");
    assert!(message.contains(RUNS[0]) && ids().len() == 3, "{message}");
    let held = scene.snapshots().iter().find(|s| s.to_string().contains("\"hold\"")).unwrap()["id"].clone();
    assert!(scene.restic(&["tag", "--remove", "hold", held.as_str().unwrap()]).status.success());
    let result = done(&scene.remove().arg("--expect-copies").run());
    assert_eq!((texts(&result.pruned), result.files), (vec![RUNS[1], RUNS[0]], 2));
    assert!(result.bytes > 1 << 18, "{result:?}");
    assert_eq!(ids(), all[2..], "another source's stays");
    assert!(scene.restic(&["check", "--read-data"]).status.success());
    assert_eq!(done(&scene.remove().run()).files, 0, "twice is the same as once");
    // Law 12: where copies were made, none is another repository behind the same address, and no removal.
    let message = failed(&scene.remove().arg("--expect-copies").run(), 3, "RepositoryMissing");
    assert!(message.contains("no snapshot of this PVC") && ids().len() == 1, "{message}");
}

/// F83: as many for each snapshot that came since; and never less than for one.
#[test]
fn the_brake_counts_the_snapshots_since_the_last_prune() {
    let scene = filled("since", &RUNS[..5]);
    for (since, pruned) in [(RUNS[4], &RUNS[..1]), (RUNS[2], &RUNS[1..3])] {
        let result = done(&scene.prune("last=1").args(&["--max-deletes=1", &format!("--since={since}")]).run());
        assert_eq!(texts(&result.pruned), pruned, "{since}");
    }
}

/// restic gives a snapshot another id with each tag.
#[test]
fn what_somebody_tagged_meanwhile_stays_and_is_not_told_as_pruned() {
    let scene = filled("tagged", &RUNS[..3]);
    let id = scene.snapshots()[0]["id"].as_str().unwrap().to_owned();
    scene.fake_restic(&format!(
        r#"case "$*" in *forget*) "$RESTIC" --no-cache tag --add hold {id} >&2;; esac; exec "$RESTIC" "$@""#
    ));
    let result = done(&scene.prune("last=1").run());
    scene.real_restic();
    assert_eq!((texts(&result.pruned), texts(&result.kept)), (vec![RUNS[1]], vec![RUNS[2], RUNS[0]]));
    scene.holds(&[&format!("{} hold", RUNS[0]), RUNS[2]]);
}

/// F81: not by host and path, but by what we have made.
#[test]
fn snapshots_that_are_not_ours_are_not_counted_and_not_touched() {
    let scene = filled("strangers", &RUNS[..2]);
    let source = scene.source().display().to_string();
    let run = format!("run={}", RUNS[0]);
    for tags in [&["--tag", "by-hand"][..], &["--tag", "uid=another", "--tag", "source=shop/data", "--tag", &run], &[]]
    {
        scene.write_noise("by-hand", 1 << 16);
        let words: Vec<&str> = ["backup", "--host", "shop", &source].into_iter().chain(tags.iter().copied()).collect();
        assert!(scene.restic(&words).status.success());
    }
    let result = done(&scene.prune("last=1").run());
    assert_eq!((texts(&result.pruned), texts(&result.kept)), (vec![RUNS[0]], vec![RUNS[1]]));
    assert_eq!(scene.snapshots().len(), 4);
    // Nor does an unchanged run rest on one of them: a person may remove it.
    let copied = scene.copy(RUNS[2]).run().complete();
    assert!(!copied.unchanged);
    assert_eq!(texts(&copied.kept), [RUNS[2], RUNS[1]]);
}

#[test]
fn a_check_reads_a_part_and_finds_a_flipped_byte() {
    let scene = filled("check", &RUNS[..2]);
    for part in ["1/2", "2/2"] {
        assert_eq!(done(&scene.verify(part).run()).part.unwrap().to_string(), part);
    }
    flip(&largest(&scene.inside("data")));
    let message = failed(&scene.verify("1/1").run(), 3, "RepositoryDamaged");
    assert!(message.contains("pack ") && message.contains("ciphertext verification failed"), "{message}");
}

#[test]
fn data_that_is_gone_is_damage_without_reading_it() {
    let scene = filled("gone", &RUNS[..1]);
    fs::remove_file(largest(&scene.inside("data"))).unwrap();
    let message = failed(&scene.verify("1/30").run(), 3, "RepositoryDamaged");
    assert!(message.contains("does not exist"), "{message}");
}

/// A volume that has still what its copy had.
fn whole(name: &str) -> Scene {
    let scene = Scene::new(name);
    scene.write_noise("noise", 1 << 18);
    scene.copy(RUNS[0]).run().complete();
    scene
}

/// L13: the index still named the data that was gone, so no later run stored it again.
#[test]
fn the_copy_after_a_verify_that_missed_data_stores_it_again() {
    let scene = whole("healed");
    fs::remove_file(largest(&scene.inside("data"))).unwrap();
    failed(&scene.verify("1/1").run(), 3, "RepositoryDamaged");
    scene.copy(RUNS[1]).run().complete();
    failed(&scene.verify("1/1").run(), 3, "RepositoryDamaged");
    let result = scene.copy(RUNS[2]).args(&["--after-finding", "--repair-index"]).run().complete();
    assert!(result.checksummed && result.written >= 1 << 18, "{result:?}");
    done(&scene.verify("1/1").run());
    assert!(!scene.copy(RUNS[3]).run().complete().checksummed);
}

/// L13: what cannot be read is a person's: restic's own guide wants a copy of the repository first. After `restic repair
/// packs` any run stores again what was lost.
#[test]
fn a_flipped_byte_in_a_pack_is_mended_by_a_person_and_the_next_copy() {
    let scene = whole("flipped");
    let pack = largest(&scene.inside("data"));
    flip(&pack);
    failed(&scene.verify("1/1").run(), 3, "RepositoryDamaged");
    scene.copy(RUNS[1]).args(&["--after-finding", "--repair-index"]).run().complete();
    assert!(pack.exists(), "nothing is deleted that a person may still need");
    failed(&scene.verify("1/1").run(), 3, "RepositoryDamaged");
    let id = pack.file_name().unwrap().to_str().unwrap().to_owned();
    let repaired = scene.restic(&["repair", "packs", &id]);
    assert!(repaired.status.success(), "{repaired:?}");
    scene.copy(RUNS[2]).run().complete();
    done(&scene.verify("1/1").run());
}

/// L13: also if the repair is refused, because something else has the repository.
#[test]
fn an_index_that_cannot_be_repaired_stops_no_copy() {
    let scene = whole("unrepaired");
    scene.fake_restic(r#"case "$*" in *repair*) echo "Fatal: no" >&2; exit 1;; esac; exec "$RESTIC" "$@""#);
    let result = scene.copy(RUNS[1]).args(&["--after-finding", "--repair-index"]).run().complete();
    scene.real_restic();
    assert!(result.checksummed, "{result:?}");
}

/// Only a copy makes a repository.
#[test]
fn maintenance_makes_no_repository() {
    let scene = Scene::new("no-repository");
    failed(&scene.prune("last=1").run(), 3, "RepositoryMissing");
    failed(&scene.verify("1/30").run(), 3, "RepositoryMissing");
    assert!(!scene.inside("").exists());
}

/// The largest file below a folder: a pack with data.
fn largest(folder: &Path) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                files.push((meta.len(), entry.path()));
            }
        }
    }
    files.into_iter().max().unwrap().1
}

/// Changes one byte, as a disk does.
fn flip(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(1000)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(1000)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
}
