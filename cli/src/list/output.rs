//! Restore points as text. Pure.

use model::facts::VolumeMode;
use model::restore::short;
use model::{Timestamp, quantity};
use serde::Serialize;

use crate::age;
use crate::flags::Output;
use crate::points::Point;
use crate::table::{self, Columns, Look, UNKNOWN, none};

/// On a narrow terminal these are left out, the first of them first.
const DISPENSABLE: [&str; 3] = ["FILES", "SIZE", "AGE"];

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    /// When this was true.
    at: Timestamp,
    namespace: &'a str,
    name: &'a str,
    restore_points: &'a [Point],
}

/// The text for standard output.
pub(super) fn text(
    namespace: &str,
    name: &str,
    points: &[Point],
    output: Output,
    look: Look,
    now: Timestamp,
) -> anyhow::Result<String> {
    let whole = || Whole { at: now, namespace, name, restore_points: points };
    Ok(match output {
        Output::Json => serde_json::to_string_pretty(&whole())? + "\n",
        Output::Yaml => serde_yaml::to_string(&whole())?,
        Output::Name => {
            let snapshots = points.iter().filter_map(|p| p.snapshot.as_deref());
            snapshots.flat_map(|name| ["volumesnapshot.snapshot.storage.k8s.io/", name, "\n"]).collect()
        }
        Output::Table | Output::Wide if points.is_empty() => String::new(),
        Output::Table | Output::Wide => table::table(columns(look, points), &DISPENSABLE, points, look, now),
    })
}

fn columns(look: Look, points: &[Point]) -> Columns<Point> {
    let mut columns: Columns<Point> = vec![
        ("RUN", |p, _| p.run.to_string()),
        ("AGE", |p, now| age::between(p.time, now)),
        ("WHERE", |p, _| place(p)),
        ("STATE", |p, _| p.state.unwrap_or(UNKNOWN).to_owned()),
        ("MOUNTABLE", |p, _| if p.mount.is_some() { "yes" } else { "no" }.to_owned()),
        ("FILES", files),
        ("SIZE", |p, _| p.bytes.map_or_else(none, quantity::human)),
    ];
    // Of most clusters no restore point has something to say there.
    if points.iter().any(|p| p.journal.is_skipped()) {
        columns.push(("JOURNAL", |p, _| p.journal.as_str().to_owned()));
    }
    if look.wide {
        columns.push(("MOUNT", |p, _| p.mount.clone().unwrap_or_else(none)));
        columns.push(("VOLUMEMODE", |p, _| p.volume_mode.map_or(UNKNOWN, VolumeMode::as_str).to_owned()));
        columns.push(("UID", |p, _| p.uid.clone()));
        columns.push(("SOURCE PVC", |p, _| if p.gone { "gone" } else { "exists" }.to_owned()));
    }
    columns.push(("HELD", held));
    columns
}

/// Where a restore point is, in words.
pub(crate) fn place(point: &Point) -> String {
    match (&point.snapshot, &point.disk, &point.repository) {
        (Some(name), ..) => format!("snapshot {name}"),
        (None, Some(name), _) => format!("disk {name}"),
        (None, None, Some(name)) => match &point.restic_snapshot {
            Some(id) => format!("restic {name} {}", short(id)),
            None => format!("restic {name}"),
        },
        (None, None, None) => none(),
    }
}

/// How many there are; a raw block volume has none.
fn files(point: &Point, _now: Timestamp) -> String {
    if point.volume_mode.is_some_and(VolumeMode::is_block) {
        return "device".to_owned();
    }
    point.files.map_or_else(none, |n| n.to_string())
}

fn held(point: &Point, now: Timestamp) -> String {
    match point.held_until {
        _ if !point.held => none(),
        Some(until) => format!("{} ({until})", age::between(now, until)),
        None => "until released".to_owned(),
    }
}
