//! PVCs as text: the columns of their table, and what is said about single ones below it. Pure.

use model::Timestamp;
use model::maintain::TaskState;

use super::view::{CopyView, RunAt, Volume};
use crate::age;
use crate::table::{self, Columns, Look, UNKNOWN, none, printable};

/// On a narrow terminal these are left out, the first of them first.
const DISPENSABLE: [&str; 3] = ["SINCE", "NEXT RUN", "OUTSIDE"];

/// The table.
pub(super) fn table(volumes: &[Volume], look: Look, now: Timestamp) -> String {
    table::table(columns(look), &DISPENSABLE, volumes, look, now)
}

fn columns(look: Look) -> Columns<Volume> {
    let mut columns: Columns<Volume> = Vec::new();
    if look.namespaces {
        columns.push(("NAMESPACE", |v, _| v.namespace.clone()));
    }
    columns.push(("PVC", |v, _| v.name.clone()));
    columns.push(("STATE", |v, _| format!("{:?}", v.state)));
    columns.push(("SINCE", |v, now| v.protected_since.map_or_else(none, |since| age::between(since, now))));
    columns.push(("SNAPSHOT", |v, now| run_age(v.snapshot.as_ref(), now)));
    columns.push(("COPY", copies));
    columns.push(("OUTSIDE", |v, _| outside(v).to_owned()));
    columns.push(("NEXT RUN", next_run));
    if look.wide {
        columns.push(("GOOD", |v, now| run_age(v.good.as_ref(), now)));
        columns.push(("RESTORE POINTS", |v, _| {
            v.restore_points
                .as_ref()
                .map_or_else(|| UNKNOWN.to_owned(), |p| p.iter().filter(|p| p.ready).count().to_string())
        }));
        columns.push(("NEWEST RESTORE POINT", |v, _| {
            v.restore_points.iter().flatten().rfind(|p| p.ready).map_or_else(none, |p| p.name.clone())
        }));
        columns.push(("SCHEDULE", |v, _| v.schedule.clone().unwrap_or_else(none)));
        columns.push(("TIME ZONE", |v, _| v.time_zone.clone().unwrap_or_else(none)));
        columns.push(("RETENTION", |v, _| v.retention.clone().unwrap_or_else(none)));
    }
    columns.push(("REASON", |v, _| reason(v)));
    columns
}

fn run_age(run: Option<&RunAt>, now: Timestamp) -> String {
    run.map_or_else(none, |run| age::between(run.time, now))
}

fn copies(volume: &Volume, now: Timestamp) -> String {
    if volume.copies.is_empty() {
        return none();
    }
    let copies: Vec<String> = volume.copies.iter().map(|(name, view)| format!("{name}: {}", copy(view, now))).collect();
    copies.join(", ")
}

fn copy(view: &CopyView, now: Timestamp) -> String {
    let ended = view.state.map(|state| {
        let age = view.finished.map(|at| format!(" ({})", age::between(at, now))).unwrap_or_default();
        format!("{state:?}{age}")
    });
    let under_way = view.under_way.then(|| "Copying".to_owned());
    let words: Vec<String> = [ended, under_way, proof(view, now)].into_iter().flatten().collect();
    if words.is_empty() { none() } else { words.join(" ") }
}

/// What its drills say, if there are any.
fn proof(view: &CopyView, now: Timestamp) -> Option<String> {
    let maintenance = view.maintenance.as_ref()?;
    let failed = maintenance.drill.as_ref().is_some_and(|d| d.state == TaskState::Failed);
    // U13: one that drew another sample proves nothing while the difference stands.
    let failed = failed || maintenance.findings().next().is_some();
    let proven = maintenance.proven.as_ref().map(|p| format!("proven {}", age::between(p.finished, now)));
    if failed { Some("not proven".to_owned()) } else { proven }
}

fn outside(volume: &Volume) -> &'static str {
    let anything = volume.snapshot.is_some() || volume.copies.values().any(|c| c.state.is_some());
    match volume.outside {
        Some(true) => "yes",
        Some(false) => "no",
        None if anything => UNKNOWN,
        None => "<none>",
    }
}

fn next_run(volume: &Volume, now: Timestamp) -> String {
    match volume.next_run {
        _ if volume.suspended => "<suspended>".to_owned(),
        Some(next) => age::between(now, next),
        // It counts from the end of the run that is under way.
        None if volume.after.is_some() => "<running>".to_owned(),
        None => none(),
    }
}

fn reason(volume: &Volume) -> String {
    let Some((first, rest)) = volume.findings.split_first() else { return none() };
    let more = if rest.is_empty() { String::new() } else { format!(" (+{} more)", rest.len()) };
    format!("{}: {}{more}", first.reason, first.message)
}

/// All that is to be said about each PVC, with what to do.
pub(super) fn details(volumes: &[Volume], now: Timestamp) -> String {
    let mut text = String::new();
    for volume in volumes {
        for finding in &volume.findings {
            let run = finding.run.as_ref().map(|r| format!(", run {r}")).unwrap_or_default();
            let at = finding.at.map(|at| format!(", {} ago", age::between(at, now))).unwrap_or_default();
            let head = format!("{}: {}{run}{at}", volume.name, finding.reason);
            let message = printable(&finding.message);
            let lines = ["\n", &head, "\n  ", &message, "\n  What to do: ", finding.help, "\n"];
            text.extend(lines);
        }
    }
    text
}
