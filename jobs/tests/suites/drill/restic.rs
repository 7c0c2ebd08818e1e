//! A snapshot in a restic repository, restored and compared.

use std::ffi::OsString;
use std::fs;

use crate::compare::list;
use crate::corpus;
use crate::drill::scene::{Drilled as _, Scene};
use crate::place::{Job, RUNS, root, set_time};
use crate::repository::{Repository, flip, noise};

/// A drill of the run, from the repository.
fn drill(scene: &Scene, repository: &Repository, sample: &str) -> Job {
    let mut job = scene.place.job(&["drill", "--from=restic", "--allow-unmounted"]);
    for (option, path) in [("original", scene.place.source()), ("scratch", scene.place.path.join("scratch"))] {
        let mut arg = OsString::from(format!("--{option}="));
        arg.push(path);
        job = job.os_arg(arg);
    }
    repository.with(job).arg(&format!("--run={}", RUNS[0])).arg(&format!("--sample={sample}"))
}

/// A volume with a few files in folders, and its copy.
fn copied(name: &str) -> (Scene, Repository) {
    let scene = Scene::new(name);
    for i in 0..40 {
        let name = format!("folder-{}/file-{i}", i % 4);
        scene.place.write(&name, "");
        // A flipped bit is one of the content.
        fs::write(scene.place.file(&name), noise(i, 40_000)).unwrap();
    }
    let repository = Repository::new(&scene.place);
    repository.copy(&scene.place, RUNS[0], &[]);
    (scene, repository)
}

/// Law 9, F49: all but what restic does not keep by its design.
#[test]
fn an_awkward_volume_is_proven_whole_and_by_samples() {
    let claim = "a copy of an awkward volume in a repository is proven";
    if !root(claim) {
        return;
    }
    let scene = Scene::new("restic-corpus");
    corpus::fill(&scene.place.source());
    let repository = Repository::new(&scene.place);
    repository.copy(&scene.place, RUNS[0], &[]);
    let all = list(&scene.place.source()).len() as u64 - 1;
    let result = drill(&scene, &repository, "all").with_a_pods_rights(claim).run().proven();
    assert_eq!(result.files, all - 1, "every entry below the root but the socket was compared");
    assert!(result.whole && result.bytes > 72 << 20, "{result:?}");
    scene.is_tidy();
    for sample in ["300", "100000"] {
        let result = drill(&scene, &repository, sample).with_a_pods_rights(claim).run().proven();
        assert!(result.files >= 300 && result.files < all && !result.whole, "{result:?}");
        scene.is_tidy();
    }
}

#[test]
fn a_flipped_byte_in_a_repository_is_found() {
    let (scene, repository) = copied("restic-flipped");
    let result = drill(&scene, &repository, "all").run().proven();
    assert_eq!(result.files, 44);
    flip(&repository.packs()[0]);
    for sample in ["all", "40"] {
        let message = drill(&scene, &repository, sample).run().differs();
        assert!(message.contains("entries differ") && message.contains("folder-"), "{message}");
        scene.is_tidy();
    }
}

/// What is in the repository may be whole and not what the volume had.
#[test]
fn what_differs_from_the_snapshot_is_found() {
    let (scene, repository) = copied("restic-differs");
    let path = scene.place.file("folder-1/file-5");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut content = fs::read(&path).unwrap();
    content[7] ^= 1;
    fs::write(&path, content).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    for sample in ["all", "40"] {
        let message = drill(&scene, &repository, sample).run().differs();
        assert!(message.contains("1 of 44 entries differ: folder-1/file-5 (content from byte 7)"), "{message}");
    }
    fs::remove_file(path).unwrap();
    set_time(&scene.place.file("folder-1"), 1);
    let message = drill(&scene, &repository, "all").run().differs();
    assert!(message.contains("folder-1/file-5 (not in the original)"), "{message}");
}

#[test]
fn an_entry_that_the_copy_left_out_is_missed_unless_it_was_meant() {
    let scene = Scene::new("restic-exclude");
    for name in ["kept", "cache/a", "sub/cache/b", "sub/kept"] {
        scene.place.write(name, name);
    }
    fs::write(scene.place.file(std::str::from_utf8(b"cache").unwrap()).join("c"), "c").unwrap();
    let repository = Repository::new(&scene.place);
    repository.copy(&scene.place, RUNS[0], &["--exclude=cache"]);
    for sample in ["all", "10"] {
        let message = drill(&scene, &repository, sample).run().differs();
        assert!(message.contains("cache") && message.contains("missing"), "{message}");
        let result = drill(&scene, &repository, sample).arg("--exclude=cache").run().proven();
        assert_eq!(result.files, 3, "two files and a folder");
    }
}

/// The run of a volume in which nothing changed has the snapshot of an earlier one.
#[test]
fn a_snapshot_can_be_named_and_another_pvcs_is_refused() {
    let (scene, repository) = copied("restic-named");
    let snapshots: serde_json::Value = serde_json::from_str(&repository.restic(&["snapshots"])).unwrap();
    let id = snapshots[0]["id"].as_str().unwrap().to_owned();
    let run = format!("--run={}", RUNS[1]);
    let ended = drill(&scene, &repository, "5").instead(&run).run();
    assert!(ended.message.contains("NoRestorePoint") && ended.message.contains(RUNS[0]), "{ended:?}");
    assert_eq!(ended.code, Some(3));
    let ended = drill(&scene, &repository, "5").instead(&run).arg(&format!("--snapshot={}", &id[..12])).run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let other = drill(&scene, &repository, "5").arg(&format!("--snapshot={id}")).instead("--uid=another").run();
    assert!(other.disproved("NotGranted").contains("another"));
}

#[test]
fn an_empty_repository_and_an_empty_snapshot_prove_nothing() {
    let scene = Scene::new("restic-empty");
    let repository = Repository::new(&scene.place);
    let ended = drill(&scene, &repository, "all").run();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.message.contains("RepositoryMissing"), "{ended:?}");
    assert!(!scene.place.path.join("repository").exists(), "a drill makes none");
    repository.copy(&scene.place, RUNS[0], &["--accept-empty"]);
    drill(&scene, &repository, "all").run().disproved("SourceEmpty");
    drill(&scene, &repository, "all").arg("--accept-empty").run().proven();
    scene.place.write("file", "x");
    let message = drill(&scene, &repository, "10").run().differs();
    assert!(message.contains("file (missing)"), "{message}");
}

#[test]
fn without_an_address_the_command_line_is_wrong() {
    let (scene, _repository) = copied("restic-usage");
    let job = scene.place.job(&["drill", "--from=restic", "--allow-unmounted", "--sample=all"]);
    let paths = [
        format!("--original={}", scene.place.source().display()),
        format!("--scratch={}", scene.place.path.join("scratch").display()),
    ];
    let ended = job.args(&[&paths[0], &paths[1]]).arg(&format!("--run={}", RUNS[0])).run();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.output.contains("--repository"), "{ended:?}");
}

/// A drill has the disk of a repository read-only, and a lock cannot be made there.
#[test]
fn a_repository_on_a_disk_that_is_mounted_read_only_is_proven() {
    if !root("a repository on a read-only mount is proven") {
        return;
    }
    let (mut scene, repository) = copied("read-only");
    repository.read_only(&mut scene.place);
    let result = drill(&scene, &repository, "all").run().proven();
    assert_eq!((result.files, result.whole), (44, true), "{result:?}");
}
