//! How much room backups take at most. Pure.
//!
//! Neither the changes between two snapshots nor the fill of a volume is known before: the PVCs' sizes are the bounds.

use std::collections::{BTreeMap, BTreeSet};

use model::config::{Config, Destination, Disk, Format, PromoterRetention, Reach, Tool};
use model::quantity;
use serde::Serialize;

use super::rows::{How, Row};

/// What takes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Snapshots,
    Promoters,
    Copies,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshots",
            Self::Promoters => "promoters",
            Self::Copies => "copies",
        }
    }
}

/// One line: one kind of room, in a StorageClass or at a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Room {
    pub(super) kind: Kind,
    /// A StorageClass, or of copies a destination.
    pub(super) place: String,
    pub(super) volumes: usize,
    /// The sum of the PVCs' sizes.
    pub(super) bytes: u64,
    /// What that bounds.
    pub(super) note: String,
}

/// The room that protected PVCs take.
pub(super) fn room(config: &Config, rows: &[Row]) -> Vec<Room> {
    let mut sums: BTreeMap<(Kind, String, String), (usize, u64)> = BTreeMap::new();
    let mut add = |kind, place: &str, note: &str, bytes: u64| {
        let (volumes, sum) = sums.entry((kind, place.to_owned(), note.to_owned())).or_default();
        *volumes += 1;
        *sum = sum.saturating_add(bytes);
    };
    for (row, how) in rows.iter().filter_map(|row| Some((row, row.how.as_ref()?))) {
        let class = row.storage_class.as_deref().unwrap_or("<none>");
        add(
            Kind::Snapshots,
            class,
            "each keeps the blocks that change after it, at most the size of its PVC",
            row.size,
        );
        let (note, full) = promoters(how);
        add(Kind::Promoters, &how.promoter_class, note, if full { row.size } else { 0 });
        for name in &how.destinations {
            let note = config.destination(name).map(|d| copies(d, rows)).unwrap_or_default();
            add(Kind::Copies, name, &note, row.size);
        }
    }
    let line = |((kind, place, note), (volumes, bytes))| Room { kind, place, volumes, bytes, note };
    sums.into_iter().map(line).collect()
}

/// What promoters take, and whether that is a whole PVC.
fn promoters(how: &How) -> (&'static str, bool) {
    match (how.promoter_read_only, how.promoter_retention) {
        (true, _) => ("read-only views of snapshots, which take nothing if the driver makes them so", false),
        (false, PromoterRetention::Auto) => ("full clones, each at most the size of its PVC; the newest stays", true),
        (false, PromoterRetention::Keep) => ("full clones, so much for each restore point that is kept", true),
        (false, PromoterRetention::Release) => ("full clones, only until they are copied", true),
    }
}

/// What copies take at a destination.
fn copies(destination: &Destination, rows: &[Row]) -> String {
    let first = match destination.format() {
        Format::Trees(_) => "the first ones take the size of the files, later ones what changed",
        Format::Repository(Tool::Restic(_)) => {
            "the first ones take the size of the files, compressed; later ones what changed"
        }
    };
    match destination.reach() {
        Reach::Network => first.to_owned(),
        Reach::Disk(Disk::HostPath(host)) => format!("{first}; the disk has {}", host.size),
        Reach::Disk(Disk::Claim(claim)) => {
            let namespaces = by_namespace(destination, rows);
            let size = quantity::parse(&claim.size).unwrap_or(u64::MAX);
            let small: Vec<&str> = namespaces.iter().filter(|(_, sum)| **sum > size).map(|(n, _)| *n).collect();
            let small = match small.len() {
                0 => String::new(),
                1..=5 => format!("; smaller than the PVCs of {}", small.join(", ")),
                more => format!("; smaller than the PVCs of {more} namespaces"),
            };
            format!("{first}; BackupDisks: {} of {}{small}", namespaces.len(), claim.size)
        }
    }
}

fn by_namespace<'a>(destination: &Destination, rows: &'a [Row]) -> BTreeMap<&'a str, u64> {
    let mut sums = BTreeMap::new();
    for row in rows {
        let copied: BTreeSet<&String> = row.how.iter().flat_map(|how| &how.destinations).collect();
        if copied.contains(&destination.name) {
            let sum: &mut u64 = sums.entry(row.namespace.as_str()).or_default();
            *sum = sum.saturating_add(row.size);
        }
    }
    sums
}
