//! Copies of a device into dated trees.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::device::disk::{Disk, MIB, taken};
use crate::place::{Job, Place, RUNS, has, wait_until};
use crate::repository::noise;

const SIZE: u64 = 16 * MIB;

/// A copy whose source is the device.
pub(crate) fn copy(place: &Place, disk: &Disk, run: &str) -> Job {
    place.copy(run).instead(&format!("--source={}", disk.path.display())).without("--allow-unmounted")
}

pub(crate) fn image(place: &Place, run: &str) -> PathBuf {
    place.disk(run).join("device.img")
}

/// A device with noise in two places.
fn device(name: &str) -> Option<(Place, Disk)> {
    let place = Place::new(&format!("device-{name}"));
    let disk = Disk::new(&place, "volume", SIZE)?;
    disk.write(0, &noise(1, 100_000));
    disk.write(9 * MIB, &noise(2, 100_000));
    Some((place, disk))
}

#[test]
fn a_device_becomes_one_sparse_file_that_only_root_reads() {
    let Some((place, disk)) = device("sparse") else { return };
    let result = copy(&place, &disk, RUNS[0]).run().complete();
    assert_eq!((result.files, result.bytes), (1, SIZE));
    assert!(result.written >= 200_000 && result.written < MIB, "{result:?}");
    assert!(result.checksummed);
    place.holds(&RUNS[..1]);
    assert_eq!(fs::read_dir(place.disk(RUNS[0])).unwrap().count(), 1);
    let meta = fs::metadata(image(&place, RUNS[0])).unwrap();
    assert_eq!((meta.len(), meta.uid(), meta.permissions().mode() & 0o7777), (SIZE, 0, 0o600));
    assert!(taken(&image(&place, RUNS[0])) < MIB, "zeros take no room");
    assert!(fs::read(image(&place, RUNS[0])).unwrap() == disk.content());
    assert_eq!(place.manifest(RUNS[0])["volumeMode"], "Block");
}

#[test]
fn an_image_that_has_not_changed_is_the_one_before() {
    let Some((place, disk)) = device("unchanged") else { return };
    copy(&place, &disk, RUNS[0]).run().complete();
    let result = copy(&place, &disk, RUNS[1]).run().complete();
    assert_eq!((result.written, result.bytes), (0, SIZE));
    assert_eq!(place.inode(RUNS[0], "device.img"), place.inode(RUNS[1], "device.img"));
    assert_eq!(place.manifest(RUNS[1])["linked"], RUNS[0]);
}

#[test]
fn an_older_image_is_never_changed() {
    let Some((place, disk)) = device("history") else { return };
    let mut contents = Vec::new();
    for (day, run) in RUNS.iter().enumerate() {
        // The second day is as the first: its image is the same file, which the third must not touch.
        if day != 1 {
            disk.write(3 * MIB + 7, &noise(day as u64, 5000));
        }
        copy(&place, &disk, run).run().complete();
        contents.push(disk.content());
    }
    for (run, content) in RUNS.iter().zip(&contents) {
        assert!(fs::read(image(&place, run)).unwrap() == *content, "{run}");
    }
    assert_eq!(place.inode(RUNS[0], "device.img"), place.inode(RUNS[1], "device.img"));
    assert_ne!(place.inode(RUNS[1], "device.img"), place.inode(RUNS[2], "device.img"));
}

#[test]
fn where_the_disk_makes_clones_only_what_differs_is_written() {
    let Some((mut place, disk)) = device("clone") else { return };
    if !has("mkfs.btrfs", "images that share blocks (apt-get install -y btrfs-progs)") {
        return;
    }
    let Some(btrfs) = Disk::new(&place, "btrfs", 256 * MIB) else { return };
    assert!(Command::new("mkfs.btrfs").arg("-q").arg(&btrfs.path).status().unwrap().success());
    let (folder, device) = (place.path.join("disk"), btrfs.path.display().to_string());
    place.mount(&[&device], &folder);
    copy(&place, &disk, RUNS[0]).run().complete();
    let before = disk.content();
    disk.write(9 * MIB + 5000, b"changed");
    let result = copy(&place, &disk, RUNS[1]).run().complete();
    assert_eq!(result.written, 4096);
    assert!(fs::read(image(&place, RUNS[0])).unwrap() == before, "the older image is as it was");
    assert!(fs::read(image(&place, RUNS[1])).unwrap() == disk.content());
    // What becomes zeros takes no room any more.
    disk.write(9 * MIB, &vec![0; 200_000]);
    copy(&place, &disk, RUNS[2]).run().complete();
    assert!(fs::read(image(&place, RUNS[2])).unwrap() == disk.content());
    drop(place);
}

#[test]
fn a_volume_that_has_grown_is_copied_whole() {
    let Some((place, disk)) = device("grown") else { return };
    copy(&place, &disk, RUNS[0]).run().complete();
    let Some(larger) = Disk::new(&place, "larger", SIZE + 2 * MIB) else { return };
    larger.write(0, &disk.content());
    assert_eq!(copy(&place, &larger, RUNS[1]).run().complete().bytes, SIZE + 2 * MIB);
    assert!(fs::read(image(&place, RUNS[1])).unwrap() == larger.content());
    assert!(fs::read(image(&place, RUNS[0])).unwrap() == disk.content());
}

/// F47.
#[test]
fn a_device_that_is_suddenly_zeros_is_no_good_copy() {
    let Some((place, disk)) = device("zeros") else { return };
    let Some(blank) = Disk::new(&place, "blank", SIZE) else { return };
    assert_eq!(copy(&place, &blank, RUNS[0]).run().complete().files, 0);
    copy(&place, &blank, RUNS[1]).run().complete();
    copy(&place, &disk, RUNS[2]).run().complete();
    let message = copy(&place, &blank, RUNS[3]).run().failed(3, "SourceEmpty");
    assert!(message.contains(RUNS[2]), "{message}");
    place.holds(&RUNS[..3]);
    let (elsewhere, filled) = (Place::new("zeros-elsewhere"), format!("--filled={}", RUNS[2]));
    copy(&elsewhere, &blank, RUNS[3]).arg(&filled).run().failed(3, "SourceEmpty");
    assert!(elsewhere.names().is_empty());
    copy(&place, &blank, RUNS[3]).arg("--accept-empty").run().complete();
}

#[test]
fn a_device_that_cannot_be_read_is_never_good_and_the_next_try_goes_on() {
    let Some((place, disk)) = device("broken") else { return };
    disk.breaks_at(8 * MIB);
    let message = copy(&place, &disk, RUNS[0]).run().failed(1, "Unreadable");
    assert!(message.contains(&format!("at byte {}", 8 * MIB)), "{message}");
    assert!(place.names().iter().all(|name| name.starts_with(".partial-")), "{:?}", place.names());
    disk.is_mended(SIZE);
    disk.write(9 * MIB, &noise(2, 100_000));
    let result = copy(&place, &disk, RUNS[0]).run().complete();
    assert!(result.written < 150_000, "the first half was there: {result:?}");
    assert!(fs::read(image(&place, RUNS[0])).unwrap() == disk.content());
    place.holds(&RUNS[..1]);
}

/// F42.
#[test]
fn a_copy_that_is_killed_is_never_good_and_is_gone_on_with() {
    let place = Place::new("device-killed");
    let Some(disk) = Disk::new(&place, "volume", 256 * MIB) else { return };
    disk.write(0, &noise(3, 2_000_000));
    disk.write(250 * MIB, &noise(4, 2_000_000));
    copy(&place, &disk, RUNS[0]).run().complete();
    disk.write(0, &noise(5, 2_000_000));
    let kill = |run: &str| {
        // It tells every step, and nobody reads: so it stands still before its end.
        let mut child = copy(&place, &disk, run).arg("--progress-seconds=0").command();
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        rustix::pipe::fcntl_setpipe_size(child.stderr.as_ref().unwrap(), 4096).unwrap();
        let images = || {
            let partial = place.names().into_iter().find(|name| name.starts_with(&format!(".partial-{run}")));
            partial.map(|name| place.disk(&name).join("device.img")).filter(|path| path.exists())
        };
        wait_until("it writes", || images().is_some_and(|path| taken(&path) >= 2_000_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(!said.contains("copied"), "it was at its end");
    };
    kill(RUNS[1]);
    assert!(!place.disk(RUNS[1]).exists());
    let result = copy(&place, &disk, RUNS[1]).run().complete();
    assert!(result.written < 2_100_000, "the beginning was there: {result:?}");
    assert!(fs::read(image(&place, RUNS[1])).unwrap() == disk.content());
    // Also by the next run, and then nothing is left of the one that was killed.
    disk.write(0, &noise(6, 2_000_000));
    kill(RUNS[2]);
    let result = copy(&place, &disk, RUNS[3]).run().complete();
    assert!(result.written < 2_100_000, "the beginning was there: {result:?}");
    assert!(fs::read(image(&place, RUNS[3])).unwrap() == disk.content());
    place.holds(&[RUNS[0], RUNS[1], RUNS[3]]);
}

/// A try that was killed right after it linked the image before, and a device that differs by then.
#[test]
fn what_a_try_left_is_not_written_where_it_is_also_an_older_runs() {
    let Some((place, disk)) = device("linked") else { return };
    copy(&place, &disk, RUNS[0]).run().complete();
    let before = disk.content();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let partial = format!(".partial-{}-{}-pod-0", RUNS[1], model::names::hash(boot.trim(), 8));
    fs::create_dir(place.disk(&partial)).unwrap();
    fs::hard_link(image(&place, RUNS[0]), place.disk(&partial).join("device.img")).unwrap();
    disk.write(MIB, b"changed");
    copy(&place, &disk, RUNS[1]).run().complete();
    assert!(fs::read(image(&place, RUNS[0])).unwrap() == before, "the older image is as it was");
    assert!(fs::read(image(&place, RUNS[1])).unwrap() == disk.content());
}

#[test]
fn links_that_a_tenant_made_are_not_followed() {
    let Some((place, disk)) = device("tenant") else { return };
    copy(&place, &disk, RUNS[0]).run().complete();
    let precious = place.path.join("precious");
    fs::write(&precious, disk.content()).unwrap();
    fs::remove_file(image(&place, RUNS[0])).unwrap();
    std::os::unix::fs::symlink(&precious, image(&place, RUNS[0])).unwrap();
    disk.write(MIB, b"changed");
    copy(&place, &disk, RUNS[1]).run().complete();
    assert!(fs::symlink_metadata(image(&place, RUNS[1])).unwrap().is_file());
    assert!(fs::read(image(&place, RUNS[1])).unwrap() == disk.content());
    assert!(fs::read(&precious).unwrap() != disk.content());
}

#[test]
fn trees_of_a_device_are_pruned_as_others_are() {
    let Some((place, disk)) = device("pruned") else { return };
    for run in &RUNS[..3] {
        copy(&place, &disk, run).run().complete();
    }
    let result = copy(&place, &disk, RUNS[3]).args(&["--retention=last=2", "--max-deletes=9"]).run().complete();
    assert_eq!(result.pruned.len(), 2);
    place.holds(&RUNS[2..4]);
    assert!(fs::read(image(&place, RUNS[2])).unwrap() == disk.content());
}
