//! What a PVC can be restored from, as rows: `model`'s restore points with what is recorded about each. Pure.

use model::Timestamp;
use model::facts::{Claim, Journal, Snapshot, VolumeMode};
use model::hold::Hold;
use model::names::{self, Component, Run, label_value};
use model::next_copy::shown_state;
use model::record::{CopyResult, CopyState};
use model::restore::{self, From, Place, RestorePoint};
use model::world::World;
use serde::Serialize;

use crate::observe::Observed;
use crate::status::word;

/// A restore point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Point {
    pub(crate) run: Run,
    pub(crate) time: Timestamp,
    /// The name of the VolumeSnapshot, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<String>,
    /// The destination, if it is a dated tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk: Option<String>,
    /// The destination, if it is in a restic repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<String>,
    /// The id of its snapshot there, if a record tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restic_snapshot: Option<String>,
    /// How far the run got (Good, Unconfirmed, Unrecorded), or how the copy ended (Complete, Incomplete); nothing if
    /// no record of the copy is left.
    pub(crate) state: Option<&'static str>,
    /// What the PVC was: its files are restored, or its whole device.
    pub(crate) volume_mode: Option<VolumeMode>,
    /// The PVC that can be mounted to look at it: the promoter, or the BackupDisk.
    pub(crate) mount: Option<String>,
    /// Whether it is held against rotation.
    pub(crate) held: bool,
    /// When the hold ends; nothing: when somebody takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_until: Option<Timestamp>,
    /// Whether the journal was passed over when it was mounted: the last writes may be missing.
    #[serde(skip_serializing_if = "Journal::is_replayed")]
    pub(crate) journal: Journal,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    /// The UID of the PVC that was backed up.
    pub(crate) uid: String,
    /// Whether that PVC is gone. Another one may have its name now.
    pub(crate) gone: bool,
}

impl Point {
    /// The destination, unless it is a snapshot.
    pub(crate) fn destination(&self) -> Option<&str> {
        self.disk.as_deref().or(self.repository.as_deref())
    }
}

/// The restore points of the PVCs that have or had a name, newest first.
pub(crate) fn points(observed: &Observed, namespace: &str, pvc: &str, from: &From, now: Timestamp) -> Vec<Point> {
    let points = restore::points(&observed.world, namespace, pvc);
    points.into_iter().filter(|p| from.fits(&p.place)).map(|p| row(observed, namespace, p, now)).collect()
}

fn row(observed: &Observed, namespace: &str, point: RestorePoint, now: Timestamp) -> Point {
    let world = &observed.world;
    let RestorePoint { uid, run, place, incomplete, .. } = point;
    let gone = world.claim_of(&uid).is_none();
    let mut row = Point {
        time: world.taken(&uid, &run),
        snapshot: None,
        disk: None,
        repository: None,
        restic_snapshot: None,
        state: None,
        volume_mode: restore::mode(world, namespace, &uid),
        mount: None,
        held: false,
        held_until: None,
        journal: Journal::Replayed,
        files: None,
        bytes: None,
        gone,
        run,
        uid,
    };
    match place {
        Place::Snapshot { name, promoter } => {
            if let Some(snapshot) = world.snapshots.get(namespace, &name) {
                let record = world.record(snapshot);
                row.state = Some(word(shown_state(snapshot, record, &world.config.deadlines, now)));
                let holds = holds(snapshot, promoter.as_ref().and_then(|p| world.claims.get(namespace, p)), now);
                row.held = !holds.is_empty();
                // The one that lasts longest.
                row.held_until = if holds.iter().any(|h| h.until.is_none()) {
                    None
                } else {
                    holds.iter().filter_map(|h| h.until).max()
                };
                let copy = record.and_then(|record| record.results.values().find(|c| c.files > 0));
                (row.files, row.bytes) = (copy.map(|c| c.files), copy.map(|c| c.bytes));
            }
            let promoted = promoter.as_ref().and_then(|p| world.claims.get(namespace, p));
            row.journal = promoted.map(Claim::journal).unwrap_or_default();
            row.mount = promoter;
            row.snapshot = Some(name);
        }
        Place::Tree { destination } => {
            row.recorded(copy_of(world, &row, &destination), incomplete);
            let label = label_value(&destination);
            let is_disk = |c: &&Claim| {
                let ours = c.ours.as_ref().filter(|o| o.component == Component::Disk);
                ours.is_some_and(|o| o.destination.as_ref() == Some(&label))
            };
            row.mount = world.claims.within(namespace).find(is_disk).map(|c| c.id.name.clone());
            row.disk = Some(destination);
        }
        Place::Repository { destination, snapshot } => {
            row.recorded(copy_of(world, &row, &destination), incomplete);
            (row.repository, row.restic_snapshot) = (Some(destination), snapshot);
        }
    }
    row
}

/// What is recorded about the copy of a restore point's run.
fn copy_of<'a>(world: &'a World, row: &Point, destination: &str) -> Option<&'a CopyResult> {
    let record = world.ledger(&row.uid)?.runs.iter().find(|record| record.run == row.run)?;
    record.results.get(destination)
}

impl Point {
    fn recorded(&mut self, copy: Option<&CopyResult>, incomplete: bool) {
        // A later copy may have told it of one whose own record is gone.
        self.state = incomplete.then_some("Incomplete");
        let Some(copy) = copy else { return };
        self.state = match copy.state {
            CopyState::Complete => Some("Complete"),
            CopyState::Incomplete => Some("Incomplete"),
            CopyState::Failed | CopyState::Superseded => None,
        };
        (self.files, self.bytes, self.journal) = (Some(copy.files), Some(copy.bytes), copy.journal);
    }
}

/// What holds a restore point now: on the snapshot, or on its promoter.
fn holds(snapshot: &Snapshot, promoter: Option<&Claim>, now: Timestamp) -> Vec<Hold> {
    let on_promoter = promoter.and_then(|p| p.settings.get(names::HOLD)).map(|text| Hold::read(text));
    snapshot.hold.into_iter().chain(on_promoter).filter(|hold| hold.holds(now)).collect()
}
