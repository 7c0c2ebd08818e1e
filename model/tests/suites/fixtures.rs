//! Facts as the API server would tell them: from short YAML, by the API's own types.

use k8s_openapi::api::core::v1::{Namespace as ApiNamespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass as ApiStorageClass;
use model::Timestamp;
use model::facts::{Claim, Identity, Namespace, Snapshot, SnapshotClass, StorageClass, Volume, list};
use model::ledger::{Book, Ledger, Words};
use model::names::{self, Run, SourceId};
use model::plan::{self, Action, LedgerWrite, Plan};
use model::record::{CopyResult, RunRecord, Status, Taken};
use model::snapshot::{VolumeSnapshot, VolumeSnapshotClass};
use model::world::{Change, Seen, World};
use proptest::prelude::ProptestConfig;
use serde::de::DeserializeOwned;

/// The run that tests of restores have.
pub(crate) const RUN: &str = "20261120T0000Z";

/// When they look at it.
pub(crate) fn now() -> Timestamp {
    "2026-11-20T00:10:00Z".parse().unwrap()
}

/// The PVC that is backed up, and written.
pub(crate) fn target() -> SourceId {
    SourceId { namespace: "shop".into(), name: "data".into(), uid: "u1".into() }
}

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

/// By what a CronJob is known that is as it is rendered.
pub(crate) const MARK: &str = "as-rendered";

/// The plan of a source.
pub(crate) fn plan(world: &World, uid: &str, now: Timestamp) -> Plan {
    plan::plan(world, uid, now, &mut |_, _, mark| mark == MARK)
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

/// The record of a snapshot's run, as tests write it: `destinations-taken` and `copy.<destination>` among its annotations
/// are what the ledger has of it.
pub(crate) fn record(vs: &VolumeSnapshot) -> RunRecord {
    let facts = Snapshot::from(vs);
    let annotations = vs.metadata.annotations.clone().unwrap_or_default();
    let run = facts.ours.as_ref().and_then(|o| o.run.clone()).unwrap_or_else(|| Run::at(facts.created));
    let taken = Taken::Snapshot { name: facts.id.name, uid: facts.id.uid };
    let mut record = RunRecord::new(run, taken, None);
    let key = |key: &str| format!("backup-controller.io/{key}");
    record.destinations = annotations.get(&key("destinations-taken")).map(|t| list(t)).unwrap_or_default();
    record.retention = annotations.get(&key("retention-taken")).cloned();
    for (name, text) in &annotations {
        let Some(destination) = name.strip_prefix(&key("copy.")) else { continue };
        if let Ok(result) = serde_json::from_str::<CopyResult>(text) {
            record.results.insert(destination.to_owned(), result);
        } else {
            let lost: serde_json::Value = serde_json::from_str(text).unwrap();
            let job = lost["lost"].as_str().map(str::to_owned);
            record.lost.extend(job.map(|job| (destination.to_owned(), job)));
        }
    }
    record
}

/// Changes the ledger of a source, which is begun if there is none.
pub(crate) fn in_ledger(world: &mut World, source: &SourceId, change: impl FnOnce(&mut Ledger)) {
    let mut ledger = world.ledger(&source.uid).cloned().unwrap_or_else(|| Ledger::of_shown(source, &Status::default()));
    change(&mut ledger);
    put_ledger(world, ledger);
}

/// Puts a ledger into the world, in a new version.
pub(crate) fn put_ledger(world: &mut World, ledger: Ledger) {
    let uid = ledger.source.uid.clone();
    let version = world.ledgers.get("", &uid).map_or(0, |b| b.id.resource_version.parse::<u64>().unwrap()) + 1;
    let id = Identity { name: names::ledger(&uid), uid: format!("l-{uid}"), resource_version: version.to_string() };
    world.apply(Change::Ledger(Seen::Put(Book { id, uid, ledger: Ok(Box::new(ledger)), words: Words::default() })));
}

/// Puts a snapshot into the world, and its run into the ledger of its source.
#[track_caller]
pub(crate) fn put_snapshot(world: &mut World, yaml: &str) {
    let vs = read::<VolumeSnapshot>(yaml);
    let (facts, record) = (Snapshot::from(&vs), record(&vs));
    if let (Some(ours), Some(name)) = (&facts.ours, &facts.claim) {
        let uid = ours.source_uid.clone();
        let source = SourceId { namespace: facts.namespace.clone(), name: name.clone(), uid };
        in_ledger(world, &source, |ledger| {
            ledger.runs.retain(|r| r.snapshot() != record.snapshot());
            ledger.runs.push(record);
            ledger.runs.sort_by(|a, b| a.run.cmp(&b.run));
        });
    }
    world.apply(Change::Snapshot(Seen::Put(facts)));
}

/// Puts a PVC into the world; what its annotation `status` says, into its ledger.
#[track_caller]
pub(crate) fn put_claim(world: &mut World, yaml: &str) {
    let claim = claim(yaml);
    if let Some(status) = claim.shown.clone() {
        in_ledger(world, &claim.source(), |ledger| ledger.status = status);
    }
    world.apply(Change::Claim(Seen::Put(claim)));
}

/// Does what a plan says of the ledger, as the controller does.
pub(crate) fn write_ledger(world: &mut World, plan: &Plan) {
    for action in &plan.actions {
        match action {
            Action::WriteLedger(write) => {
                let known = world.ledgers.get("", &write.ledger.source.uid).map(|book| book.id.clone());
                assert_eq!(write.replaces, known, "the version that was planned from");
                put_ledger(world, write.ledger.clone());
            }
            Action::DeleteLedger { id, uid } => {
                let key = (String::new(), names::ledger(uid));
                world.apply(Change::Ledger(Seen::Gone(key, id.uid.clone())));
            }
            _ => {}
        }
    }
}

/// The results that a plan writes down, by destination.
pub(crate) fn results(plan: &Plan) -> Vec<(String, CopyResult)> {
    written(plan).map(|write| write.results.clone()).unwrap_or_default()
}

/// Where the backups stand, by the ledger that a plan writes.
pub(crate) fn status(plan: &Plan) -> Option<Status> {
    written(plan).map(|write| write.ledger.status.clone())
}

/// The ledger that a plan writes.
pub(crate) fn written(plan: &Plan) -> Option<&LedgerWrite> {
    plan.actions.iter().find_map(|action| match action {
        Action::WriteLedger(write) => Some(&**write),
        _ => None,
    })
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
