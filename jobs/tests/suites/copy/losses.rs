//! A12: disks that do not keep what a copy is to keep. The file systems are real.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use model::record::{CopyResult, CopyState};
use rustix::fs::{XattrFlags, lgetxattr, setxattr};

use crate::place::{Ended, Place, RUNS, has, root, say, set_time};

/// The result of a copy whose disk loses something that counts.
#[track_caller]
fn lossy(ended: &Ended) -> CopyResult {
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let result = ended.result();
    assert_eq!(result.state, CopyState::Incomplete, "{ended:?}");
    assert_eq!(result.reason.unwrap().as_str(), "DiskCannotKeep", "{ended:?}");
    result
}

/// A place whose disk is a file system without attributes and ACLs; `None`: it cannot be mounted here.
fn on_ramfs(name: &str) -> Option<Place> {
    let mut place = Place::new(name);
    if !root("what a disk of ramfs loses") {
        return None;
    }
    let disk = place.disk("");
    place.mount(&["-t", "ramfs", "ramfs"], &disk);
    Some(place)
}

/// A file system of this type in a file, mounted as the disk; `None`: it cannot be made or mounted here.
fn formatted(place: &mut Place, mkfs: &[&str], options: &str) -> Option<()> {
    let claim = format!("what a disk of {} loses", mkfs.join(" "));
    if !root(&claim) || !has(mkfs[0], &claim) {
        return None;
    }
    let image = place.path.join("image");
    fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
    assert!(Command::new(mkfs[0]).args(&mkfs[1..]).arg(&image).status().unwrap().success());
    let disk = place.disk("");
    let mounted = Command::new("mount").args(["-o", options]).arg(&image).arg(&disk).output().unwrap();
    if !mounted.status.success() {
        say(&format!("SKIPPED, {}: {claim}", String::from_utf8_lossy(&mounted.stderr).trim()));
        return None;
    }
    place.unmount_later(&disk);
    let _ = fs::remove_dir(disk.join("lost+found"));
    Some(())
}

/// A12.
#[test]
fn a_disk_that_keeps_everything_loses_nothing_and_nothing_is_left_of_the_question() {
    let place = Place::new("lossless");
    place.write("file", "x");
    let result = place.copy(RUNS[0]).run().complete();
    assert!(result.lost.is_empty(), "{result:?}");
    place.holds(&RUNS[..1]);
    assert_eq!(place.manifest(RUNS[0])["probed"], true);
}

/// A12: no attributes, and no ACLs. What the disk keeps is copied all the same.
#[test]
fn what_a_disk_does_not_keep_makes_a_copy_incomplete_until_it_is_accepted() {
    let Some(place) = on_ramfs("lossy") else { return };
    place.write("file", "x");
    place.write("other", "y");
    let file = place.file("file");
    setxattr(&file, "user.mark", b"kept in the volume", XattrFlags::empty()).unwrap();
    std::os::unix::fs::chown(&file, Some(1234), Some(5678)).unwrap();
    set_time(&file, 1_500_000_000);

    let result = lossy(&place.copy(RUNS[0]).run());
    assert_eq!(result.message, "the disk does not keep: attributes, acls");
    assert!(lgetxattr(place.disk(RUNS[0]).join("file"), "user.mark", &mut [0; 32]).is_err());
    // The loss is the copy's, not the file's: rsync would have called it one that could not be read.
    let owner = fs::symlink_metadata(place.disk(RUNS[0]).join("file")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), 1234);

    let half = lossy(&place.copy(RUNS[1]).arg("--accept=acls").run());
    assert_eq!(half.message, "the disk does not keep: attributes; nor, accepted or harmless: acls");
    let accepted = ["--accept=acls", "--accept=attributes"];
    let result = place.copy(RUNS[2]).args(&accepted).run().complete();
    assert_eq!(result.lost.to_string(), "attributes, acls", "it is told all the same");
    assert_eq!(result.written, 0, "unchanged files are links: {result:?}");
    place.holds(&RUNS[..3]);

    // What was accepted is no difference to a drill.
    fs::create_dir(place.path.join("scratch")).unwrap();
    let drill = |run: &str| {
        let paths = [("tree", place.disk(run)), ("original", place.source()), ("scratch", place.path.join("scratch"))];
        let job =
            place.job(&["drill", "--from=tree", "--allow-unmounted", "--sample=all"]).arg(&format!("--run={run}"));
        paths.iter().fold(job, |job, (key, path)| job.arg(&format!("--{key}={}", path.display()))).run()
    };
    assert_eq!(drill(RUNS[2]).code, Some(0));
    let ended = drill(RUNS[0]);
    assert!(ended.code == Some(3) && ended.message.contains("attribute user.mark"), "{ended:?}");
}

/// A12: what an unreadable entry is, stays the reason.
#[test]
fn entries_that_are_missing_come_before_what_the_disk_does_not_keep() {
    let Some(place) = on_ramfs("lossy-unreadable") else { return };
    place.write("file", "x");
    place.fake_rsync(
        "\"$RSYNC\" \"$@\"; echo 'rsync: [sender] read errors mapping \"/s/bad\": Input/output error (5)' >&2; exit 23",
    );
    let result = place.copy(RUNS[0]).run().result();
    assert_eq!(result.reason.unwrap().as_str(), "Unreadable");
    assert!(result.message.contains("bad (Input/output error); the disk does not keep: attributes"), "{result:?}");
}

/// A12: inodes of 128 bytes count seconds, up to 2038.
#[test]
fn a_disk_that_counts_seconds_in_32_bits_loses_times() {
    let mut place = Place::new("lossy-times");
    if formatted(&mut place, &["mkfs.ext4", "-q", "-I", "128"], "loop").is_none() {
        return;
    }
    place.write("file", "x");
    let result = lossy(&place.copy(RUNS[0]).run());
    assert_eq!(result.message, "the disk does not keep: times, far-times");
    place.holds(&RUNS[..1]);
    let accepted = ["--accept=times", "--accept=far-times"];
    place.copy(RUNS[1]).args(&accepted).run().complete();
}

/// A12.
#[test]
fn a_disk_that_takes_upper_for_lower_case_is_found_out() {
    let mut place = Place::new("lossy-case");
    if formatted(&mut place, &["mkfs.ext4", "-q", "-O", "casefold"], "loop").is_none() {
        return;
    }
    let folded = Command::new("chattr").arg("+F").arg(place.disk("")).status().unwrap();
    if !folded.success() {
        return say("SKIPPED, chattr +F: a folder without case");
    }
    place.write("file", "x");
    let result = lossy(&place.copy(RUNS[0]).run());
    assert!(result.message.starts_with("the disk does not keep: case"), "{result:?}");
}

/// A12: as with `root_squash`, and with a pod that is not root.
#[test]
fn a_copy_that_may_not_give_files_away_says_so() {
    let place = Place::new("lossy-owners");
    let claim = "owners that a copy may not set";
    if !root(claim) || !has("setpriv", claim) {
        return;
    }
    place.write("file", "x");
    std::os::unix::fs::chown(place.file("file"), Some(1234), Some(5678)).unwrap();
    let copy = |run| place.copy(run).by(&["setpriv", "--bounding-set=-chown"]);
    let result = lossy(&copy(RUNS[0]).run());
    assert!(result.message.starts_with("the disk does not keep: owners; owners: the copy may not"), "{result:?}");
    assert!(!result.owners_kept);
    assert_eq!(copy(RUNS[1]).arg("--accept=owners").run().complete().lost.to_string(), "owners");
}

/// A12: a crash left the folder, or a tenant put something in its place.
#[test]
fn what_stands_where_the_disk_is_asked_is_removed_and_not_followed() {
    let place = Place::new("lossy-left");
    place.write("file", "x");
    let outside = place.path.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "y").unwrap();
    for (run, leave) in [
        (RUNS[0], &(|at: &Path| fs::create_dir_all(at.join("file/deep")).unwrap()) as &dyn Fn(&Path)),
        (RUNS[1], &|at| symlink(&outside, at).unwrap()),
        (RUNS[2], &|at| fs::write(at, "z").unwrap()),
    ] {
        leave(&place.disk(".partial-probe"));
        place.copy(run).arg("--checksum-every=1").run().complete();
    }
    place.holds(&RUNS[..3]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

/// A12: nobody waits for the 30th run when the disk was mended; and what was found is asked for again, not believed.
#[test]
fn a_disk_that_keeps_it_again_is_seen_at_the_next_copy() {
    let place = Place::new("lossy-mended");
    place.write("file", "x");
    place.copy(RUNS[0]).run().complete();
    let path = place.disk(&format!("{}.json", RUNS[0]));
    let mut manifest = place.manifest(RUNS[0]);
    manifest["lost"] = serde_json::json!(["acls", "case"]);
    fs::write(&path, manifest.to_string()).unwrap();
    let result = place.copy(RUNS[1]).run().complete();
    assert!(result.lost.is_empty(), "{result:?}");
}
