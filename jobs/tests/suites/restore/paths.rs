//! Single files and folders.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::compare::{list, same};
use crate::corpus::NAMES;
use crate::restore::scene::{Restored as _, Scene, put};

/// A restore point with some folders, and a volume that lost most of it.
fn scene(name: &str) -> Scene {
    let scene = Scene::new(name);
    for file in ["etc/app.conf", "etc/app.d/one", "photos/2018/a.jpg", "photos/2018/b.jpg", "photos/old.jpg"] {
        put(&scene.point(file), file, 1_500_000_000);
    }
    fs::set_permissions(scene.point("photos"), fs::Permissions::from_mode(0o2750)).unwrap();
    crate::place::set_time(&scene.point("photos/2018"), 1_400_000_000);
    crate::place::set_time(&scene.point("photos"), 1_400_000_001);
    put(&scene.volume("etc/app.conf"), "spoilt", 1_600_000_000);
    put(&scene.volume("etc/mine"), "mine", 1_600_000_000);
    scene
}

#[test]
fn one_file_is_restored_and_nothing_else() {
    let scene = scene("one-file");
    let mut before = scene.list_volume();
    fs::set_permissions(scene.point("etc"), fs::Permissions::from_mode(0o700)).unwrap();
    let result = scene.restore(&["/etc/app.conf"]).run().whole();
    assert_eq!((result.changed, result.bytes), (1, 12));
    let after = scene.list_volume();
    let name = std::path::Path::new("etc/app.conf");
    assert_eq!(after[name], scene.list_point()[name]);
    // The folder has another time, as after any change in it; its mode is not touched.
    before.insert(name.into(), after[name].clone());
    before.insert("etc".into(), after[std::path::Path::new("etc")].clone());
    same(&before, &after);
    assert_eq!(fs::metadata(scene.volume("etc")).unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn a_folder_comes_back_with_what_leads_to_it() {
    let scene = scene("folder");
    scene.restore(&["photos/2018"]).run().whole();
    same(&list(&scene.point("photos/2018")), &list(&scene.volume("photos/2018")));
    let (wanted, found) = (scene.list_point(), scene.list_volume());
    let photos = std::path::Path::new("photos");
    assert_eq!(wanted[photos], found[photos], "mode, owner and time of the folder above it");
    assert!(!scene.volume("photos/old.jpg").exists() && !scene.volume("etc/app.d").exists());
    assert_eq!(fs::read_to_string(scene.volume("etc/app.conf")).unwrap(), "spoilt");
}

#[test]
fn several_are_restored_at_once_and_hard_links_between_them_stay() {
    let scene = scene("several");
    fs::hard_link(scene.point("etc/app.conf"), scene.point("photos/2018/conf")).unwrap();
    scene.restore(&["photos/2018", "etc/app.conf", "etc/app.d/"]).run().whole();
    let (wanted, found) = (scene.list_point(), scene.list_volume());
    for name in ["etc/app.conf", "photos/2018/conf", "etc/app.d", "etc/app.d/one", "photos/2018"] {
        let name = std::path::Path::new(name);
        assert_eq!(wanted[name], found[name], "{name:?}");
    }
    assert!(scene.volume("etc/mine").exists());
}

#[test]
fn deleting_stays_below_what_is_named() {
    let scene = scene("delete-below");
    put(&scene.volume("photos/2018/later.jpg"), "later", 1_600_000_000);
    put(&scene.volume("photos/later.jpg"), "later", 1_600_000_000);
    let result = scene.restore(&["--delete", "photos/2018"]).run().whole();
    assert_eq!(result.deleted, 1);
    assert!(!scene.volume("photos/2018/later.jpg").exists());
    assert!(scene.volume("photos/later.jpg").exists() && scene.volume("etc/mine").exists());
}

/// Law 9.
#[test]
fn a_hostile_name_is_a_name() {
    let scene = Scene::new("names");
    for name in NAMES {
        put(&scene.point("d").join(OsStr::from_bytes(name)), "x", 1_500_000_000);
    }
    for name in NAMES {
        let mut job = scene.restore(&["--"]);
        job = job.os_arg(std::path::Path::new("d").join(OsStr::from_bytes(name)).into_os_string());
        assert_eq!(job.run().whole().bytes, 1, "{}", name.escape_ascii());
    }
    // The folder's own time is that of the last change in it.
    let within = |folder| list(folder).into_iter().filter(|(path, _)| !path.as_os_str().is_empty()).collect();
    same(&within(&scene.point("d")), &within(&scene.volume("d")));
    // And in the root, where one could pass for an option.
    for name in NAMES {
        put(&scene.point("").join(OsStr::from_bytes(name)), "y", 1_500_000_000);
    }
    let mut job = scene.restore(&["--"]);
    for name in NAMES {
        job = job.os_arg(OsStr::from_bytes(name).to_owned());
    }
    assert_eq!(job.run().whole().bytes, NAMES.len() as u64);
    for name in NAMES {
        assert!(scene.volume("").join(OsStr::from_bytes(name)).exists(), "{}", name.escape_ascii());
    }
    assert!(!std::path::Path::new("pwned").exists());
}

/// The volume is its user's: a link in it may lead anywhere.
#[test]
fn a_link_in_the_volume_leads_no_write_to_another_place() {
    let scene = scene("link-in-volume");
    let outside = scene.place.path.join("outside");
    put(&outside.join("app.conf"), "precious", 1_600_000_000);
    put(&outside.join("app.d/one"), "precious", 1_600_000_000);
    fs::remove_dir_all(scene.volume("etc")).unwrap();
    symlink(&outside, scene.volume("etc")).unwrap();
    let before = (list(&outside), scene.list_volume());
    for path in ["etc/app.conf", "etc/app.d", "etc/app.d/one"] {
        for options in [&[path][..], &["--delete", path]] {
            let message = scene.restore(options).run().refused("NameTaken");
            assert!(message.contains("etc is a symbolic link"), "{message}");
        }
    }
    same(&before.1, &scene.list_volume());
    // The folder itself takes the link's place; what it led to stays.
    scene.restore(&["--delete", "etc"]).run().whole();
    same(&list(&scene.point("etc")), &list(&scene.volume("etc")));
    same(&before.0, &list(&outside));
    // So does the whole volume, also where the link stays within it.
    fs::remove_dir_all(scene.volume("etc")).unwrap();
    put(&scene.volume("within/app.conf"), "mine", 1_600_000_000);
    symlink("within", scene.volume("etc")).unwrap();
    scene.restore(&[]).run().whole();
    assert_eq!(fs::read_to_string(scene.volume("within/app.conf")).unwrap(), "mine");
    same(&list(&scene.point("etc")), &list(&scene.volume("etc")));
}

#[test]
fn a_link_in_the_restore_point_is_restored_and_not_followed() {
    let scene = scene("link-in-point");
    symlink("/etc", scene.point("out")).unwrap();
    scene.restore(&["out"]).run().whole();
    assert_eq!(fs::read_link(scene.volume("out")).unwrap(), std::path::Path::new("/etc"));
    let message = scene.restore(&["out/passwd"]).run().refused("PathNotFound");
    assert!(message.contains("out is a symbolic link to /etc"), "{message}");
}

#[test]
fn a_path_that_is_not_there_is_told_with_what_is_there() {
    let scene = scene("not-found");
    let before = scene.list_volume();
    for (path, words) in [
        ("etc/app.cnof", "similar names in the folder etc: app.conf"),
        ("Photos", "similar names in the root: photos"),
        ("photos/2019/a.jpg", "similar names in the folder photos: 2018"),
        ("photos/old.jpg/x", "photos/old.jpg is not a folder"),
        ("nothing\nlike it", "nothing\\nlike it"),
    ] {
        let message = scene.restore(&["etc/app.conf", path]).run().refused("PathNotFound");
        assert!(message.contains(words), "{message}");
    }
    same(&before, &scene.list_volume());
    for bad in ["..", "../x", "etc/../../x", "lost+found"] {
        assert_eq!(scene.restore(&[bad]).run().code, Some(2), "{bad}");
    }
}

/// A folder of the restore point that is a link in the volume is replaced; what lies behind the link is nobody's
/// business, and stands in nothing's way.
#[test]
fn nothing_is_looked_at_or_deleted_through_a_link_in_the_volume() {
    let scene = Scene::new("behind");
    put(&scene.point("d/x"), "a file", 1_500_000_000);
    put(&scene.point("d/y"), "a file", 1_500_000_000);
    for args in [&["d"][..], &["--delete", "d"], &[]] {
        let _ = fs::remove_dir_all(scene.volume("d"));
        put(&scene.volume("other/x/precious"), "precious", 1);
        put(&scene.volume("other/y"), "precious", 1);
        symlink("other", scene.volume("d")).unwrap();
        let before = list(&scene.volume("other"));
        let told = scene.bare(args).arg("--dry-run").run();
        assert!(told.code == Some(0) && told.stdout.contains("  new     d/x\n"), "{told:?}");
        scene.restore(args).run().whole();
        same(&before, &list(&scene.volume("other")));
        same(&list(&scene.point("d")), &list(&scene.volume("d")));
    }
}
