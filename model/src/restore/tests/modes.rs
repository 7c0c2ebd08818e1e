use super::*;
use crate::facts::VolumeMode::{Block, Filesystem};

/// A world with a snapshot of each of two PVCs that are gone: the first was a raw block volume.
fn gone() -> World {
    let mut world = world(&[
        ("data-20181201", "0", "20181201T0000Z", true, &["20181130T0000Z", "20181201T0000Z"]),
        ("data-20181202", "1", "20181202T0000Z", true, &[]),
    ]);
    let mut taken = world.snapshots.get("shop", "data-20181201").cloned().unwrap();
    taken.mode = Block;
    world.apply(Change::Snapshot(Seen::Put(taken)));
    world
}

#[test]
fn what_a_pvc_was_is_told_by_its_snapshots_and_known_of_its_older_copies_too() {
    let mut world = gone();
    assert_eq!(mode(&world, "shop", "0"), Some(Block));
    assert_eq!(mode(&world, "shop", "1"), Some(Filesystem), "a snapshot that says nothing is of a filesystem");
    assert_eq!(mode(&world, "shop", "2"), None, "of which nothing tells");
    assert_eq!(mode(&world, "other", "0"), None, "another namespace's are not asked");
    // The PVC itself is believed more than what anybody could write on a snapshot.
    let claim = json!({"metadata": {"name": "data", "namespace": "shop", "uid": "0"}});
    let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
    world.apply(Change::Claim(Seen::Put(Claim::from(&claim))));
    assert_eq!(mode(&world, "shop", "0"), Some(Filesystem));
}

#[test]
fn a_device_goes_back_to_a_device_whole_and_files_to_a_filesystem() {
    let words = |point, written, paths| misfit("data", point, "target", written, paths).map(|p| p.to_string());
    for fits in [
        (Some(Block), Some(Block), false),
        (Some(Filesystem), Some(Filesystem), true),
        // What is not known is not refused here: the program in the pod sees both.
        (None, Some(Block), false),
        (None, Some(Filesystem), true),
        (Some(Filesystem), None, true),
        (Some(Block), None, false),
        (None, None, true),
    ] {
        assert_eq!(words(fits.0, fits.1, fits.2), None, "{fits:?}");
    }
    let device =
        "VolumeModeDiffers: PVC data is a raw block volume (volumeMode: Block), but PVC target has a filesystem";
    let files =
        "VolumeModeDiffers: PVC data has a filesystem, but PVC target is a raw block volume (volumeMode: Block)";
    for paths in [false, true] {
        assert_eq!(words(Some(Block), Some(Filesystem), paths).as_deref(), Some(device));
        assert_eq!(words(Some(Filesystem), Some(Block), paths).as_deref(), Some(files));
    }
    for (point, written) in [(Some(Block), Some(Block)), (Some(Block), None), (None, Some(Block))] {
        let refusal = words(point, written, true).unwrap();
        assert!(refusal.contains("has no files; restore it whole"), "{refusal}");
    }
}
