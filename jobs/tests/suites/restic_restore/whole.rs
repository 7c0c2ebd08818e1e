//! A whole volume: what is in it afterwards is what the snapshot has.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use crate::compare::{Listing, list, same};
use crate::corpus;
use crate::place::{root, set_time, set_time_ns};
use crate::restic_restore::vault::Vault;
use crate::restore::scene::{Restored as _, put};

/// What restic does not keep by its design (`docs/safety.md`).
fn kept(mut listing: Listing) -> Listing {
    for gone in ["specials/socket", "times/file 13569465600"] {
        listing.remove(Path::new(gone)).unwrap();
    }
    listing
}

/// F49, law 9.
#[test]
fn every_entry_of_an_awkward_volume_comes_back_as_it_was() {
    let claim = "every entry comes back from a repository as it was, with owners and devices";
    if !root(claim) {
        return;
    }
    let vault = Vault::new("fidelity");
    corpus::fill(&vault.original(""));
    vault.copy();
    let wanted = vault.list_original();
    let came_back = |vault: &Vault| {
        let mut found = vault.list_volume();
        assert!(found.remove(Path::new("times/file 13569465600")).is_some());
        let mut wanted = kept(wanted.clone());
        // Of links, restic parts the names.
        for name in ["links/dangling", "links/dangling too"] {
            assert_eq!(fs::read_link(vault.volume(name)).unwrap(), Path::new("no/such/file"));
            wanted.remove(Path::new(name)).unwrap();
            found.remove(Path::new(name)).unwrap();
        }
        same(&wanted, &found);
    };
    let result = vault.restore(&[]).with_a_pods_rights(claim).run().whole();
    came_back(&vault);
    assert!(result.changed >= wanted.len() as u64 - 3 && result.deleted == 0 && result.bytes > 0, "{result:?}");
    // Once more: no content is written.
    let again = vault.restore(&[]).with_a_pods_rights(claim).run().whole();
    assert_eq!(again.bytes, 0, "{again:?}");
    came_back(&vault);

    // Over a volume in which everything was spoilt.
    for entry in fs::read_dir(vault.volume("")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() || !path.is_dir() {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o1)).unwrap();
        }
    }
    fs::write(vault.volume("links/one"), "one for all").unwrap();
    vault.restore(&[]).with_a_pods_rights(claim).run().whole();
    came_back(&vault);
}

#[test]
fn nothing_is_deleted_unless_it_is_asked_for() {
    let vault = Vault::copied("delete");
    let before = vault.list_original();
    put(&vault.volume("folder-1/file-4"), "changed since", 2);
    put(&vault.volume("folder-1/later"), "made since", 2);
    put(&vault.volume("other/later"), "made since", 2);
    put(&vault.volume("lost+found/#12"), "found", 2);

    let ended = vault.restore(&["--dry-run"]).run();
    assert!(ended.output.contains("Not in the restore point: 3. These entries are kept"), "{ended:?}");
    let result = vault.restore(&[]).run().whole();
    assert_eq!(result.deleted, 0);
    assert_eq!(fs::read_to_string(vault.volume("folder-1/file-4")).unwrap(), "content of 4");
    for there in ["folder-1/later", "other/later", "lost+found/#12"] {
        assert!(vault.volume(there).exists(), "{there}");
    }
    let found = list(&vault.volume("lost+found"));
    let ended = vault.restore(&["--delete", "--dry-run"]).run();
    assert!(ended.output.contains("DELETED: 3.") && ended.output.contains("delete  other/later"), "{ended:?}");
    assert_eq!(vault.restore(&["--delete"]).run().whole().deleted, 3, "two files and a folder");
    same(&found, &list(&vault.volume("lost+found")));
    fs::remove_dir_all(vault.volume("lost+found")).unwrap();
    vault.restore(&["--delete"]).run().whole();
    same(&before, &vault.list_volume());
}

/// Neither what stands in a volume's way, nor what a link in it leads to, is written.
#[test]
fn what_stands_in_the_way_gives_way_and_links_are_not_followed() {
    let vault = Vault::copied("in-the-way");
    put(&vault.scene.place.path.join("precious/file-1"), "mine", 1);
    symlink(vault.scene.place.path.join("precious"), vault.volume("folder-1")).unwrap();
    fs::create_dir(vault.volume("folder-0")).unwrap();
    symlink(vault.scene.place.path.join("precious/file-1"), vault.volume("folder-0/file-0")).unwrap();
    put(&vault.volume("folder-2"), "a file", 1);
    vault.restore(&[]).run().whole();
    same(&vault.list_original(), &vault.list_volume());
    assert_eq!(fs::read_to_string(vault.scene.place.path.join("precious/file-1")).unwrap(), "mine");
    assert_eq!(fs::read_dir(vault.scene.place.path.join("precious")).unwrap().count(), 1);
}

#[test]
fn a_folder_that_is_not_empty_gives_way_to_a_file_only_with_delete() {
    let vault = Vault::copied("full-folder");
    put(&vault.volume("folder-1/file-4/inside"), "mine", 1);
    let ended = vault.restore(&[]).run();
    assert_eq!((ended.code, ended.restored().state), (Some(3), model::record::RestoreState::Incomplete), "{ended:?}");
    assert!(ended.restored().problem.unwrap().message.contains("folder-1/file-4"), "{ended:?}");
    assert!(vault.volume("folder-1/file-4/inside").exists() && vault.volume("folder-1/file-7").exists());
    vault.restore(&["--delete"]).run().whole();
    same(&vault.list_original(), &vault.list_volume());
}

/// What the snapshot does not have stays as it is, also if it is another name of a file that it has.
#[test]
fn another_name_that_stays_keeps_its_mode_and_content() {
    let vault = Vault::copied("other-name");
    vault.restore(&[]).run().whole();
    for (name, mine) in [("folder-0/file-0", "mine-0"), ("folder-1/file-1", "mine-1")] {
        fs::hard_link(vault.volume(name), vault.volume(mine)).unwrap();
    }
    fs::set_permissions(vault.volume("mine-0"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::write(vault.volume("mine-1"), "written to since").unwrap();
    let before = list(&vault.volume("")).into_iter().filter(|(path, _)| path.starts_with("mine-0")).collect::<Vec<_>>();
    vault.restore(&[]).run().whole();
    let mode = fs::metadata(vault.volume("mine-0")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "{before:?}");
    assert_eq!(fs::read_to_string(vault.volume("mine-1")).unwrap(), "written to since");
    for mine in ["mine-0", "mine-1"] {
        fs::remove_file(vault.volume(mine)).unwrap();
    }
    vault.restore(&[]).run().whole();
    same(&vault.list_original(), &vault.list_volume());
}

#[test]
fn names_that_became_one_file_in_the_volume_are_parted_again() {
    let vault = Vault::new("parted");
    for name in ["a", "b"] {
        vault.scene.place.write(name, "the same");
    }
    fs::set_permissions(vault.original("b"), fs::Permissions::from_mode(0o600)).unwrap();
    vault.copy();
    put(&vault.volume("a"), "the same", 1_500_000_008);
    fs::hard_link(vault.volume("a"), vault.volume("b")).unwrap();
    vault.restore(&[]).run().whole();
    same(&vault.list_original(), &vault.list_volume());
}

#[test]
fn holes_come_back_as_holes() {
    let vault = Vault::new("holes");
    fs::File::create(vault.original("disk.img")).unwrap().set_len(256 << 20).unwrap();
    vault.copy();
    vault.restore(&[]).run().whole();
    let restored = fs::metadata(vault.volume("disk.img")).unwrap();
    assert_eq!(restored.size(), 256 << 20);
    assert!(restored.blocks() < 100, "{} blocks", restored.blocks());
}

#[test]
fn a_change_within_the_same_second_at_the_same_size_is_undone() {
    let vault = Vault::copied("nanoseconds");
    put(&vault.volume("folder-0/file-0"), "CONTENT OF 0", 1_500_000_012);
    set_time_ns(&vault.volume("folder-0/file-0"), 1_500_000_012, 900_000_000);
    vault.restore(&[]).run().whole();
    same(&vault.list_original(), &vault.list_volume());
}

/// Files with the right size and time are not read, unless that is asked for.
#[test]
fn contents_that_were_changed_behind_the_times_are_found_by_checksum() {
    let vault = Vault::copied("checksum");
    vault.restore(&[]).run().whole();
    let path = vault.volume("folder-0/file-0");
    OpenOptions::new().write(true).open(&path).unwrap().write_at(b"X", 3).unwrap();
    set_time(&path, 1_500_000_012);
    vault.restore(&[]).run().whole();
    assert_eq!(fs::read_to_string(&path).unwrap(), "conXent of 0");
    assert_eq!(vault.restore(&["--checksum"]).run().whole().bytes, 12);
    same(&vault.list_original(), &vault.list_volume());
}

/// The result is read by programs, and the preview by people.
#[test]
fn a_dry_run_tells_what_would_be_done_and_writes_nothing() {
    let vault = Vault::copied("dry");
    put(&vault.volume("folder-0/file-0"), "newer", 1_700_000_000);
    let before = vault.list_volume();
    let ended = vault.bare(&["--dry-run", "--run=20181201T0000Z", "--itemize", "--output=json"]).run();
    same(&before, &vault.list_volume());
    let result = ended.restored();
    assert_eq!((ended.code, result.state), (Some(0), model::record::RestoreState::Ready), "{ended:?}");
    assert_eq!(result.changed, 17 + 1, "every entry but one folder, of which the time differs: {ended:?}");
    for words in
        ["From snapshot ", "new     etc/app/app.conf", "change  folder-0/file-0 (content, time, newer in the volume)"]
    {
        assert!(ended.output.contains(words), "{words}: {ended:?}");
    }
    assert!(ended.stdout.trim_start().starts_with('{'), "{ended:?}");
}

/// restic gives a snapshot another id with each tag, and records have the first.
#[test]
fn a_snapshot_that_was_held_since_is_found_by_the_id_that_its_copy_told() {
    let vault = Vault::copied("tagged");
    let id = vault.copy();
    vault.repository.restic(&["tag", "--add", "hold", &id]);
    assert!(!vault.repository.restic(&["snapshots"]).contains(&format!("\"id\":\"{id}\"")), "it has another now");
    vault.bare(&["--yes", &format!("--snapshot={id}")]).run().whole();
    same(&vault.list_original(), &vault.list_volume());
}

/// A pod that restores has the disk of a repository read-only, and a lock cannot be made there.
#[test]
fn a_repository_on_a_disk_that_is_mounted_read_only_comes_back() {
    if !root("a repository on a read-only mount is restored") {
        return;
    }
    let mut vault = Vault::copied("read-only");
    vault.repository.read_only(&mut vault.scene.place);
    vault.restore(&[]).run().whole();
    same(&vault.list_original(), &vault.list_volume());
}
