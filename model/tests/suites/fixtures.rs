//! Facts as the API server would tell them: from short YAML, by the API's own types.

use k8s_openapi::api::core::v1::{Namespace as ApiNamespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass as ApiStorageClass;
use model::facts::{Claim, Namespace, Snapshot, SnapshotClass, StorageClass, Volume};
use model::snapshot::{VolumeSnapshot, VolumeSnapshotClass};
use model::world::{Change, Seen, World};
use proptest::prelude::ProptestConfig;
use serde::de::DeserializeOwned;

/// The namespace `shop`, the class `fast` of a driver with snapshots, and its volume `pv`.
pub(crate) fn storage(world: &mut World) {
    world.apply(Change::Namespace(Seen::Put(namespace("metadata: {name: shop}"))));
    world.apply(Change::StorageClass(Seen::Put(storage_class("metadata: {name: fast}\nprovisioner: csi"))));
    world.apply(Change::SnapshotClass(Seen::Begin));
    world.apply(Change::SnapshotClass(Seen::Put(snapshot_class("metadata: {name: snap}\ndriver: csi"))));
    world.apply(Change::SnapshotClass(Seen::End));
    world.apply(Change::SnapshotApi(true));
    let pv = "metadata: {name: pv}\nspec: {csi: {driver: csi, volumeHandle: h}}";
    world.apply(Change::Volume(Seen::Put(volume(pv))));
}

/// How many cases a property is tried on; `PROPTEST_CASES` for more.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Reads an object; `kind` and `apiVersion` may be left out.
#[track_caller]
pub(crate) fn read<T: DeserializeOwned>(yaml: &str) -> T {
    let value: serde_yaml::Value = serde_yaml::from_str(yaml).unwrap_or_else(|e| panic!("{e}:\n{yaml}"));
    serde_yaml::from_value(value).unwrap_or_else(|e| panic!("{e}:\n{yaml}"))
}

#[track_caller]
pub(crate) fn claim(yaml: &str) -> Claim {
    Claim::from(&read::<PersistentVolumeClaim>(yaml))
}

#[track_caller]
pub(crate) fn snapshot(yaml: &str) -> Snapshot {
    Snapshot::from(&read::<VolumeSnapshot>(yaml))
}

#[track_caller]
pub(crate) fn volume(yaml: &str) -> Volume {
    Volume::from(&read::<PersistentVolume>(yaml))
}

#[track_caller]
pub(crate) fn namespace(yaml: &str) -> Namespace {
    Namespace::from(&read::<ApiNamespace>(yaml).metadata)
}

#[track_caller]
pub(crate) fn storage_class(yaml: &str) -> StorageClass {
    StorageClass::from(&read::<ApiStorageClass>(yaml))
}

#[track_caller]
pub(crate) fn snapshot_class(yaml: &str) -> SnapshotClass {
    SnapshotClass::from(&read::<VolumeSnapshotClass>(yaml))
}
