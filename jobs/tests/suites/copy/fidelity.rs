//! What is in a tree is what was in the volume.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use model::record::CopyState;
use rustix::fs::{CWD, FileType, Mode, OFlags, lgetxattr, mkdirat, mknodat, openat};

use crate::compare::{list, same};
use crate::corpus;
use crate::place::{PROGRAM, Place, RUNS, has, root, say};

/// F49, and law 9: hostile names are data, wherever they pass.
#[test]
fn every_entry_of_an_awkward_volume_is_copied_as_it_is() {
    let claim = "every entry is copied as it is, with owners and devices";
    if !root(claim) {
        return;
    }
    let place = Place::new("fidelity");
    corpus::fill(&place.source());
    let before = list(&place.source());

    let result = place.copy(RUNS[0]).with_a_pods_rights(claim).run().complete();
    same(&before, &place.tree(RUNS[0]));
    assert_eq!(result.files, before.len() as u64 - 1, "the root is not an entry");
    assert!(result.owners_kept && result.pruned.is_empty() && !result.checksummed);
    place.holds(&RUNS[..1]);
    assert!(!Path::new("pwned").exists() && !place.disk("pwned").exists());

    // The same again, linked and by checksum: nothing differs, and nothing is written.
    for (run, every) in [(RUNS[1], "0"), (RUNS[2], "1")] {
        let again =
            place.copy(run).arg(&format!("--checksum-every={every}")).with_a_pods_rights(claim).run().complete();
        assert_eq!((again.files, again.bytes, again.written), (result.files, result.bytes, 0));
        same(&before, &place.tree(run));
    }
    same(&before, &list(&place.source()));

    // With more rights than the pod has, the same is copied: `trusted.*` is nobody's data, and on file systems
    // that list it to everybody it would cost the file.
    place.copy(RUNS[3]).run().complete();
    let file = place.disk(RUNS[3]).join("attributes/file");
    assert!(lgetxattr(&file, "trusted.overlay.opaque", &mut [0; 9]).is_err());
    same(&before, &place.tree(RUNS[3]));
}

#[test]
fn holes_stay_holes() {
    let place = Place::new("holes");
    let file = fs::File::create(place.file("disk.img")).unwrap();
    file.set_len(256 << 20).unwrap();
    place.copy(RUNS[0]).run().complete();
    let copied = fs::metadata(place.disk(RUNS[0]).join("disk.img")).unwrap();
    assert_eq!(copied.size(), 256 << 20);
    assert!(copied.blocks() < 100, "{} blocks", copied.blocks());
}

/// The folder of a tree is the volume's root: what mounts it sees the same owner, mode and time.
#[test]
fn a_volume_without_entries_keeps_what_its_root_is() {
    let place = Place::new("root-only");
    fs::set_permissions(place.source(), fs::Permissions::from_mode(0o2750)).unwrap();
    let before = list(&place.source());
    let result = place.copy(RUNS[0]).run().complete();
    assert_eq!((result.files, result.bytes, result.written), (0, 0, 0));
    same(&before, &place.tree(RUNS[0]));
}

/// Law 6. No mover gets over `PATH_MAX`; what matters is that it is not hidden.
#[test]
fn a_path_that_is_too_long_makes_the_copy_incomplete() {
    let place = Place::new("path-max");
    place.write("near", "x");
    let mut dir = fs::File::open(place.source()).unwrap().into();
    for _ in 0..25 {
        let name = "d".repeat(250);
        mkdirat(&dir, &name, Mode::RWXU).unwrap();
        dir = openat(&dir, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let ended = place.copy(RUNS[0]).run();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let result = ended.result();
    assert_eq!(result.state, CopyState::Incomplete);
    assert_eq!(result.reason.unwrap().as_str(), "Unreadable");
    assert!(result.message.contains("not in the copy") && result.message.len() <= 512, "{}", result.message);
    assert!(place.disk(RUNS[0]).join("near").exists());
    place.holds(&RUNS[..1]);
    assert_eq!(place.manifest(RUNS[0])["state"], "Incomplete");
}

/// The words that run a program as somebody who is not root, if that is possible here.
fn as_nobody(place: &Place) -> Option<[&'static str; 4]> {
    let claim = "what a mover without root cannot read or make is told";
    if !root(claim) || !has("setpriv", claim) {
        return None;
    }
    let by = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    for dir in [place.path.clone(), place.source(), place.disk(""), place.path.join("bin")] {
        std::os::unix::fs::chown(dir, Some(65534), Some(65534)).unwrap();
    }
    let looked = Command::new(by[0]).args(&by[1..]).arg("test").arg("-x").arg(PROGRAM).status().unwrap();
    if !looked.success() {
        say(&format!("SKIPPED, {PROGRAM} is closed to others: {claim}"));
        return None;
    }
    Some(by)
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_rest_is_kept() {
    let place = Place::new("unreadable");
    let Some(by) = as_nobody(&place) else { return };
    place.write("open", "x");
    place.write("secret", "y");
    fs::set_permissions(place.file("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let ended = place.copy(RUNS[0]).by(&by).run();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let result = ended.result();
    assert_eq!((result.state, result.owners_kept), (CopyState::Incomplete, false));
    assert!(result.message.contains("secret (Permission denied)"), "{}", result.message);
    assert!(place.disk(RUNS[0]).join("open").exists() && !place.disk(RUNS[0]).join("secret").exists());
}

/// rsync that is not root leaves devices out, and exits 0.
#[test]
fn a_device_that_was_left_out_is_not_success() {
    let place = Place::new("left-out");
    let Some(by) = as_nobody(&place) else { return };
    place.write("open", "x");
    mknodat(CWD, place.file("null"), FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 3)).unwrap();
    let ended = place.copy(RUNS[0]).by(&by).run();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.result().message.contains("null (not a regular file)"), "{ended:?}");
}

/// F48: what a file system check found is the user's.
#[test]
fn lost_and_found_is_copied_if_there_is_something_in_it() {
    let place = Place::new("lost");
    place.write("file", "x");
    fs::create_dir(place.file("lost+found")).unwrap();
    place.copy(RUNS[0]).run().complete();
    assert!(!place.disk(RUNS[0]).join("lost+found").exists());
    place.write("lost+found/#12", "found");
    place.copy(RUNS[1]).run().complete();
    assert!(place.disk(RUNS[1]).join("lost+found/#12").exists());
    // Only in the root it is the file system's.
    let inside: PathBuf = place.file("deeper/lost+found");
    fs::create_dir_all(inside).unwrap();
    place.copy(RUNS[2]).run().complete();
    assert!(place.disk(RUNS[2]).join("deeper/lost+found").exists());
}
