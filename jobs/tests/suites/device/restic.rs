//! Copies of a device into a repository.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use model::record::CopyResult;

use crate::device::disk::{Disk, MIB};
use crate::place::{Job, Place, RUNS, which};
use crate::repository::{Repository, noise};

const SIZE: u64 = 16 * MIB;

/// A device, and a repository.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) disk: Disk,
    pub(crate) repository: Repository,
}

impl Scene {
    /// With noise in two places.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let place = Place::new(&format!("device-restic-{name}"));
        let disk = Disk::new(&place, "volume", SIZE)?;
        disk.write(0, &noise(1, 3_000_000));
        disk.write(9 * MIB, &noise(2, 3_000_000));
        let repository = Repository::new(&place);
        Some(Self { place, disk, repository })
    }

    pub(crate) fn copy(&self, run: &str) -> Job {
        self.copy_of(&self.disk, run)
    }

    fn copy_of(&self, disk: &Disk, run: &str) -> Job {
        let source = format!("--source={}", disk.path.display());
        let job = self.place.job(&["restic", "copy", "--skip-unchanged", &source, &format!("--run={run}")]);
        self.repository.with(job)
    }

    /// What stock restic gives back.
    fn dump(&self, result: &CopyResult) -> Vec<u8> {
        let file = self.place.path.join("dump");
        let id = result.snapshot.as_deref().unwrap();
        self.repository.restic(&["dump", "--target", file.to_str().unwrap(), id, "/device.img"]);
        fs::read(file).unwrap()
    }

    /// Puts a script in restic's place. `$RESTIC` in it is the real one.
    pub(crate) fn fake_restic(&self, script: &str) {
        let path = self.place.path.join("bin/restic");
        let real = which("restic").unwrap();
        fs::write(&path, format!("#!/bin/sh\nRESTIC={}\n{script}\n", real.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn real_restic(&self) {
        fs::remove_file(self.place.path.join("bin/restic")).unwrap();
    }
}

#[test]
fn stock_restic_brings_a_device_back() {
    let Some(scene) = Scene::new("dump") else { return };
    let result = scene.copy(RUNS[0]).run().complete();
    assert_eq!((result.files, result.bytes), (1, SIZE));
    assert!(result.snapshot.is_some() && !result.unchanged);
    assert!(scene.dump(&result) == scene.disk.content());
    let snapshots = scene.repository.restic(&["snapshots"]);
    assert!(snapshots.contains("[\"/device.img\"]") && snapshots.contains("source=shop/data"), "{snapshots}");
}

#[test]
fn each_run_has_its_snapshot_and_data_is_stored_once() {
    let Some(scene) = Scene::new("again") else { return };
    scene.copy(RUNS[0]).run().complete();
    let result = scene.copy(RUNS[1]).run().complete();
    assert!(!result.unchanged && result.written < 100_000, "{result:?}");
    scene.disk.write(5 * MIB, b"changed");
    let result = scene.copy(RUNS[2]).run().complete();
    assert!(result.written < 9_000_000, "{result:?}");
    assert!(scene.dump(&result) == scene.disk.content());
    assert_eq!(result.kept.iter().map(model::names::Run::as_str).collect::<Vec<_>>(), [RUNS[2], RUNS[1], RUNS[0]]);
}

#[test]
fn a_device_that_was_not_read_to_its_end_is_no_good_copy() {
    let Some(scene) = Scene::new("short") else { return };
    scene.fake_restic(r#"case "$*" in *--stdin*) head -c 1000000 | "$RESTIC" "$@";; *) exec "$RESTIC" "$@";; esac"#);
    let message = scene.copy(RUNS[0]).run().failed(1, "Unreadable");
    assert!(message.contains(&format!("1000000 of {SIZE} bytes")), "{message}");
    scene.real_restic();
    let snapshots = scene.repository.restic(&["snapshots"]);
    assert!(snapshots.contains("incomplete"), "{snapshots}");
    // What cannot be read, restic says itself.
    scene.disk.breaks_at(8 * MIB);
    let message = scene.copy(RUNS[1]).run().failed(1, "Unreadable");
    assert!(message.contains("input/output error"), "{message}");
    let snapshots: Vec<serde_json::Value> = serde_json::from_str(&scene.repository.restic(&["snapshots"])).unwrap();
    assert!(snapshots.iter().all(|snapshot| snapshot["tags"].to_string().contains("incomplete")), "{snapshots:?}");
    scene.disk.is_mended(SIZE);
    let result = scene.copy(RUNS[1]).run().complete();
    assert!(scene.dump(&result) == scene.disk.content());
}

/// restic 0.19.1 does so now and then when its input breaks off: it goes on saving to what it has closed.
#[test]
fn a_restic_that_breaks_down_over_what_it_could_not_read_does_not_hide_that() {
    let Some(scene) = Scene::new("panic") else { return };
    scene.fake_restic(
        r#"case "$*" in *--stdin*) cat >/dev/null
            echo '{"message_type":"error","error":{"message":"read /dev/stdin: input/output error"},"during":"archival","item":"/device.img"}' >&2
            echo 'panic: runtime error: invalid memory address or nil pointer dereference' >&2; exit 2;; esac
        exec "$RESTIC" "$@""#,
    );
    let message = scene.copy(RUNS[0]).run().failed(1, "Unreadable");
    assert_eq!(message, "1 entry is not in the copy: /device.img (input/output error)");
    scene.real_restic();
    scene.copy(RUNS[0]).run().complete();
}

/// F47.
#[test]
fn a_device_that_is_suddenly_zeros_is_no_good_copy() {
    let Some(scene) = Scene::new("zeros") else { return };
    let Some(blank) = Disk::new(&scene.place, "blank", SIZE) else { return };
    assert_eq!(scene.copy_of(&blank, RUNS[0]).run().complete().files, 0);
    scene.copy_of(&blank, RUNS[1]).run().complete();
    scene.copy(RUNS[2]).run().complete();
    let message = scene.copy_of(&blank, RUNS[3]).run().failed(3, "SourceEmpty");
    assert!(message.contains(RUNS[2]), "{message}");
    scene.copy_of(&blank, RUNS[3]).arg("--accept-empty").run().complete();
}

/// Law 12, L5 and L6.
#[test]
fn what_is_known_of_a_device_is_expected_of_its_next_copy() {
    let Some(scene) = Scene::new("expected") else { return };
    let Some(blank) = Disk::new(&scene.place, "blank", SIZE) else { return };
    let id = scene.copy(RUNS[0]).run().complete().repository.unwrap();
    let expect = format!("--expect-repository={id}");
    assert_eq!(scene.copy(RUNS[1]).arg(&expect).run().complete().repository, Some(id));
    let folder = scene.place.path.join("repository");
    fs::remove_dir_all(&folder).unwrap();
    scene.copy(RUNS[2]).arg(&expect).run().failed(3, "RepositoryMissing");
    scene.copy_of(&blank, RUNS[2]).arg(&format!("--filled={}", RUNS[1])).run().failed(3, "SourceEmpty");
    assert!(!folder.exists());
}
