//! Files and folders by name.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use crate::compare::{list, same};
use crate::corpus;
use crate::place::{root, set_time};
use crate::restic_restore::vault::Vault;
use crate::restore::scene::{Restored as _, put};

#[test]
fn one_path_comes_back_and_nothing_else_is_touched() {
    let vault = Vault::copied("one");
    put(&vault.volume("folder-1/file-4"), "changed since", 2);
    put(&vault.volume("folder-1/file-7"), "changed since", 2);
    fs::set_permissions(vault.volume("folder-1"), fs::Permissions::from_mode(0o700)).unwrap();
    vault.restore(&["folder-1/file-4"]).run().whole();
    let (wanted, found) = (vault.list_original(), vault.list_volume());
    let name = Path::new("folder-1/file-4");
    assert_eq!(wanted[name], found[name]);
    assert_eq!(fs::read_to_string(vault.volume("folder-1/file-7")).unwrap(), "changed since");
    assert_eq!(fs::metadata(vault.volume("folder-1")).unwrap().mode() & 0o777, 0o700, "nobody named the folder");
    assert!(!vault.volume("folder-0").exists() && !vault.volume("folder-1/file-1").exists());
}

#[test]
fn a_folder_comes_back_with_all_that_is_in_it_and_so_do_the_folders_above() {
    let vault = Vault::copied("folder");
    for (folder, mode) in [("etc", 0o2711), ("etc/app", 0o750)] {
        fs::set_permissions(vault.original(folder), fs::Permissions::from_mode(mode)).unwrap();
        set_time(&vault.original(folder), 1_234_567_890);
    }
    vault.copy();
    let run = "--run=20181201T0000Z";
    put(&vault.volume("folder-1/later"), "made since", 2);
    vault.bare(&["--yes", run, "etc/app/app.conf", "folder-1", "--delete"]).run().whole();
    let wanted = vault.list_original();
    let found = vault.list_volume();
    for (path, entry) in wanted.iter().filter(|(path, _)| path.starts_with("etc") || path.starts_with("folder-1")) {
        assert_eq!(found.get(path), Some(entry), "{path:?}");
    }
    assert_eq!(found.len(), 1 + 3 + 5, "the root, etc/app/app.conf, and folder-1 with its files: {:?}", found.keys());
}

/// Names that a shell, a pattern or an option parser would take for something else.
#[test]
fn odd_names_are_restored_by_name() {
    if !root("odd names are restored by name from a repository") {
        return;
    }
    let vault = Vault::new("odd");
    let names: Vec<&[u8]> = corpus::NAMES.iter().copied().filter(|name| !name.starts_with(b".backup")).collect();
    for name in &names {
        fs::create_dir_all(vault.original("d")).unwrap();
        fs::write(vault.original("d").join(OsStr::from_bytes(name)), name).unwrap();
    }
    for decoy in ["xa", "a", "file", "d"] {
        fs::write(vault.original("d").join(decoy), "decoy").unwrap();
    }
    vault.copy();
    let mut job = vault.restore(&["--"]);
    for name in &names {
        let mut path = OsString::from("d/");
        path.push(OsStr::from_bytes(name));
        job = job.os_arg(path);
    }
    job.run().whole();
    let mut wanted = list(&vault.original("d"));
    for decoy in ["xa", "a", "file", "d"] {
        wanted.remove(Path::new(decoy)).unwrap();
    }
    same(&wanted, &list(&vault.volume("d")));
}

#[test]
fn a_path_that_is_not_there_is_refused_and_what_is_like_it_is_named() {
    let vault = Vault::copied("no-path");
    symlink("app", vault.original("etc/link")).unwrap();
    vault.copy();
    for (path, words) in [
        ("etc/ap/app.conf", "the restore point has no etc/ap/app.conf: similar names in the folder etc: app"),
        ("etc/app/app.cnf", "similar names in the folder etc/app: app.conf"),
        ("folder-9", "similar names in the root: folder-"),
        ("etc/app/app.conf/x", "etc/app/app.conf is not a folder"),
        ("etc/link/app.conf", "etc/link is a symbolic link"),
    ] {
        let message = vault.restore(&["folder-0", path]).run().refused("PathNotFound");
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(vault.list_volume().len(), 1, "nothing was written");
}

#[test]
fn nothing_is_written_through_a_link_in_the_volume() {
    let vault = Vault::copied("through");
    let elsewhere = vault.scene.place.path.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, vault.volume("etc")).unwrap();
    let message = vault.restore(&["etc/app/app.conf"]).run().refused("NameTaken");
    assert!(message.contains("a symbolic link"), "{message}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

/// A folder of the snapshot that is a link in the volume is replaced; what lies behind the link is nobody's business.
#[test]
fn nothing_is_deleted_through_a_link_in_the_volume() {
    let vault = Vault::new("behind");
    vault.scene.place.write("d/x", "a file");
    vault.scene.place.write("d/y", "a file");
    vault.copy();
    for path in [&["d"][..], &[]] {
        let _ = fs::remove_dir_all(vault.volume("d"));
        put(&vault.volume("other/x/precious"), "precious", 1);
        put(&vault.volume("other/y"), "precious", 1);
        fs::hard_link(vault.volume("other/y"), vault.volume("twin")).unwrap();
        symlink("other", vault.volume("d")).unwrap();
        let before = list(&vault.volume("other"));
        // With the whole volume, `other` itself is not in the snapshot.
        let delete: &[&str] = if path.is_empty() { &[] } else { &["--delete"] };
        let result = vault.restore(delete).args(path).run().whole();
        assert_eq!(result.changed, 3, "the folder and two files");
        same(&before, &list(&vault.volume("other")));
        same(&list(&vault.original("d")), &list(&vault.volume("d")));
        fs::remove_file(vault.volume("twin")).unwrap();
    }
}
