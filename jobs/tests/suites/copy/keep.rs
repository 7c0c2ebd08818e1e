//! `backup-job keep`: the folder of a namespace on a host's disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::place::{Ended, Place};

fn keep(place: &Place, namespace: &str) -> Ended {
    let root = format!("--root={}", place.path.join("disk").display());
    place.job(&["keep", &root, &format!("--namespace={namespace}")]).run()
}

fn problem(ended: &Ended) -> serde_json::Value {
    serde_json::from_str::<serde_json::Value>(&ended.message).unwrap()["problem"]["reason"].clone()
}

#[test]
fn a_disk_without_its_marker_is_not_mounted() {
    let place = Place::new("keep-unmounted");
    let ended = keep(&place, "shop");
    assert_eq!((ended.code, problem(&ended)), (Some(3), "DiskNotMounted".into()));
    assert!(ended.message.contains("touch .backup-controller-disk"), "{}", ended.message);
    assert!(place.names().is_empty(), "nothing is written to what lies below the mount point");
}

#[test]
fn a_namespace_gets_a_folder_that_only_root_looks_into_and_keeps_it() {
    let place = Place::new("keep");
    fs::write(place.disk(".backup-controller-disk"), "").unwrap();
    for _ in 0..2 {
        let ended = keep(&place, "shop");
        assert_eq!((ended.code, ended.message.as_str()), (Some(0), r#"{"folder":"shop"}"#));
        assert_eq!(fs::metadata(place.disk("shop")).unwrap().permissions().mode() & 0o7777, 0o700);
        fs::write(place.disk("shop/kept"), "x").unwrap();
        fs::set_permissions(place.disk("shop"), fs::Permissions::from_mode(0o777)).unwrap();
    }
    assert!(place.disk("shop/kept").exists());
}

#[test]
fn what_is_no_folder_is_left_alone() {
    let place = Place::new("keep-taken");
    fs::write(place.disk(".backup-controller-disk"), "").unwrap();
    fs::create_dir(place.path.join("elsewhere")).unwrap();
    fs::set_permissions(place.path.join("elsewhere"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(place.disk("file"), "x").unwrap();
    symlink("../elsewhere", place.disk("link")).unwrap();
    for name in ["file", "link"] {
        let ended = keep(&place, name);
        assert_eq!((ended.code, problem(&ended)), (Some(3), "NameTaken".into()), "{name}");
    }
    let mode = fs::metadata(place.path.join("elsewhere")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755, "a link is not followed");
}

#[test]
fn a_namespace_that_could_be_a_path_is_refused() {
    let place = Place::new("keep-usage");
    fs::write(place.disk(".backup-controller-disk"), "").unwrap();
    for bad in ["", ".", "..", "../up", "a/b", "A", "-a", "a b"] {
        assert_eq!(keep(&place, bad).code, Some(2), "{bad}");
    }
    assert_eq!(place.names(), [".backup-controller-disk"]);
}
