//! A whole volume: what is in it afterwards is what the restore point has.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};

use crate::compare::{list, same};
use crate::corpus;
use crate::place::{root, set_time};
use crate::restore::scene::{Restored as _, Scene, put};

/// F49, law 9.
#[test]
fn every_entry_of_an_awkward_volume_comes_back_as_it_was() {
    let claim = "every entry comes back as it was, with owners and devices";
    if !root(claim) {
        return;
    }
    let scene = Scene::new("fidelity");
    corpus::fill(&scene.point(""));
    let wanted = scene.list_point();

    // Into an empty volume, with the rights of the restore pod.
    let result = scene.restore(&[]).with_a_pods_rights(claim).run().whole();
    same(&wanted, &scene.list_volume());
    assert!(result.changed >= wanted.len() as u64 - 1 && result.deleted == 0 && result.bytes > 0, "{result:?}");
    // Once more: there is nothing to do.
    let again = scene.restore(&[]).with_a_pods_rights(claim).run().whole();
    assert_eq!((again.changed, again.bytes), (0, 0));
    same(&wanted, &scene.list_volume());

    // Over a volume in which everything was spoilt.
    for entry in fs::read_dir(scene.volume("")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() || !path.is_dir() {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o1)).unwrap();
        }
    }
    fs::write(scene.volume("links/one"), "one for all").unwrap();
    scene.restore(&[]).with_a_pods_rights(claim).run().whole();
    same(&wanted, &scene.list_volume());
    same(&wanted, &scene.list_point());
}

#[test]
fn nothing_is_deleted_unless_it_is_asked_for() {
    let scene = Scene::new("delete");
    put(&scene.point("same"), "x", 1);
    put(&scene.point("folder/old"), "as it was", 1);
    put(&scene.volume("same"), "x", 1);
    put(&scene.volume("folder/old"), "changed since", 2);
    put(&scene.volume("folder/later"), "made since", 2);
    put(&scene.volume("other/later"), "made since", 2);
    fs::create_dir(scene.volume("lost+found")).unwrap();
    put(&scene.volume("lost+found/#12"), "found", 2);

    let result = scene.restore(&[]).run().whole();
    assert_eq!(result.deleted, 0);
    assert_eq!(fs::read_to_string(scene.volume("folder/old")).unwrap(), "as it was");
    for kept in ["folder/later", "other/later", "lost+found/#12"] {
        assert!(scene.volume(kept).exists(), "{kept}");
    }
    let found = list(&scene.volume("lost+found"));
    let result = scene.restore(&["--delete"]).run().whole();
    assert_eq!(result.deleted, 3, "two files and a folder");
    same(&found, &list(&scene.volume("lost+found")));
    fs::remove_dir_all(scene.volume("lost+found")).unwrap();
    scene.restore(&["--delete"]).run().whole();
    same(&scene.list_point(), &scene.list_volume());
}

/// F48: what a check of the file system found is the user's, but the folder is that file system's own.
#[test]
fn lost_and_found_of_the_restore_point_is_restored_by_name_only() {
    let scene = Scene::new("lost");
    put(&scene.point("file"), "x", 1);
    put(&scene.point("lost+found/#1"), "found", 1);
    let ended = scene.restore(&[]).run();
    ended.whole();
    assert!(ended.output.contains("lost+found of the restore point is not restored"), "{ended:?}");
    assert!(!scene.volume("lost+found").exists());
    scene.restore(&["lost+found/#1"]).run().whole();
    assert!(scene.volume("lost+found/#1").exists());
}

#[test]
fn files_that_are_newer_in_the_volume_are_restored_too() {
    let scene = Scene::new("newer");
    put(&scene.point("file"), "as it was", 1_500_000_000);
    put(&scene.volume("file"), "spoilt later", 1_600_000_000);
    scene.restore(&[]).run().whole();
    same(&scene.list_point(), &scene.list_volume());
}

/// Files with the right size and time are not read, unless that is asked for.
#[test]
fn contents_that_were_changed_behind_the_times_are_found_by_checksum() {
    let scene = Scene::new("checksum");
    put(&scene.point("file"), "as it was", 1_500_000_000);
    put(&scene.volume("file"), "ROTTEN!!!", 1_500_000_000);
    scene.restore(&[]).run().whole();
    assert_eq!(fs::read_to_string(scene.volume("file")).unwrap(), "ROTTEN!!!");
    assert_eq!(scene.restore(&["--checksum"]).run().whole().bytes, 9);
    same(&scene.list_point(), &scene.list_volume());
}

/// rsync alone would leave them one file, and change owner and mode of all.
#[test]
fn names_that_became_one_file_in_the_volume_are_parted_again() {
    let scene = Scene::new("parted");
    for file in ["a", "b"] {
        put(&scene.point(file), "the same", 1_500_000_000);
    }
    fs::set_permissions(scene.point("b"), fs::Permissions::from_mode(0o600)).unwrap();
    put(&scene.volume("a"), "the same", 1_500_000_000);
    fs::hard_link(scene.volume("a"), scene.volume("b")).unwrap();
    scene.restore(&[]).run().whole();
    same(&scene.list_point(), &scene.list_volume());

    // And with nothing else to do.
    fs::set_permissions(scene.point("b"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(scene.volume("b")).unwrap();
    fs::hard_link(scene.volume("a"), scene.volume("b")).unwrap();
    scene.restore(&[]).run().whole();
    same(&scene.list_point(), &scene.list_volume());
}

/// What the restore point does not have stays as it is, also if it is another name of a file that it has.
#[test]
fn another_name_that_stays_keeps_its_mode_and_content() {
    let scene = Scene::new("other-name");
    put(&scene.point("a"), "the same", 1_500_000_000);
    fs::set_permissions(scene.point("a"), fs::Permissions::from_mode(0o600)).unwrap();
    put(&scene.volume("a"), "the same", 1_500_000_000);
    fs::hard_link(scene.volume("a"), scene.volume("mine")).unwrap();
    fs::set_permissions(scene.volume("mine"), fs::Permissions::from_mode(0o666)).unwrap();
    scene.restore(&[]).run().whole();
    let mine = fs::metadata(scene.volume("mine")).unwrap();
    assert_eq!((mine.permissions().mode() & 0o777, mine.mtime()), (0o666, 1_500_000_000));
    let name = std::path::Path::new("a");
    assert_eq!(scene.list_point()[name], scene.list_volume()[name]);
}

/// A write into one name of a file must not reach the other ones, nor the restore point.
#[test]
fn hard_links_come_back_as_they_were_over_whatever_stands_there() {
    let scene = Scene::new("links");
    put(&scene.point("one"), "three names", 1_500_000_000);
    for other in ["two", "sub/three"] {
        fs::create_dir_all(scene.point("sub")).unwrap();
        fs::hard_link(scene.point("one"), scene.point(other)).unwrap();
    }
    put(&scene.volume("one"), "alone", 1_600_000_000);
    put(&scene.volume("two"), "three names", 1_500_000_000);
    symlink("one", scene.volume("sub")).unwrap();
    scene.restore(&[]).run().whole();
    same(&scene.list_point(), &scene.list_volume());
}

#[test]
fn holes_come_back_as_holes() {
    let scene = Scene::new("holes");
    fs::File::create(scene.point("disk.img")).unwrap().set_len(256 << 20).unwrap();
    scene.restore(&[]).run().whole();
    let restored = fs::metadata(scene.volume("disk.img")).unwrap();
    assert_eq!(restored.size(), 256 << 20);
    assert!(restored.blocks() < 100, "{} blocks", restored.blocks());
}

/// A page of a database may be written to twice within a second.
#[test]
fn a_change_within_the_same_second_at_the_same_size_is_undone() {
    let scene = Scene::new("nanoseconds");
    put(&scene.point("page"), "before", 1_600_000_000);
    put(&scene.volume("page"), "after!", 1_600_000_000);
    crate::place::set_time_ns(&scene.volume("page"), 1_600_000_000, 900_000_000);
    scene.restore(&[]).run().whole();
    same(&scene.list_point(), &scene.list_volume());
}

#[test]
fn a_folder_that_is_not_empty_gives_way_to_a_file_only_with_delete() {
    let scene = Scene::new("in-the-way");
    put(&scene.point("thing"), "a file", 1_500_000_000);
    put(&scene.point("rest"), "x", 1_500_000_000);
    put(&scene.volume("thing/inside"), "mine", 1_600_000_000);
    let ended = scene.restore(&[]).run();
    assert_eq!((ended.code, ended.restored().state), (Some(3), model::record::RestoreState::Incomplete), "{ended:?}");
    assert!(ended.restored().problem.unwrap().message.contains("thing"), "{ended:?}");
    assert!(scene.volume("thing/inside").exists() && scene.volume("rest").exists());
    scene.restore(&["--delete"]).run().whole();
    same(&scene.list_point(), &scene.list_volume());
}

/// Law 6.
#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_restored() {
    let scene = Scene::new("unreadable");
    put(&scene.point("file"), "x", 1_500_000_000);
    scene.place.fake_rsync(
        "\"$RSYNC\" \"$@\" || exit\n\
         echo 'rsync: [sender] send_files failed to open \"/destination/bad\": Input/output error (5)' >&2\nexit 23",
    );
    let ended = scene.restore(&[]).run();
    let result = ended.restored();
    assert_eq!((ended.code, result.state), (Some(3), model::record::RestoreState::Incomplete), "{ended:?}");
    assert_eq!(result.problem.unwrap().message, "1 entry is not restored: /destination/bad (Input/output error)");
    assert!(scene.volume("file").exists());
}

/// Holes, times and all else of a file that was only touched here and there.
#[test]
fn a_file_that_was_written_to_in_place_is_whole_again() {
    let scene = Scene::new("in-place");
    for path in [scene.point("db"), scene.volume("db")] {
        put(&path, &"0123456789abcdef".repeat(100_000), 1_500_000_000);
    }
    OpenOptions::new().write(true).open(scene.volume("db")).unwrap().write_at(b"XX", 800_000).unwrap();
    set_time(&scene.volume("db"), 1_600_000_000);
    scene.restore(&[]).run().whole();
    same(&scene.list_point(), &scene.list_volume());
}
