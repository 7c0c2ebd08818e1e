//! Volumes as text: the table, and what is said about single PVCs below it. Pure.

use std::borrow::Cow;

use model::Timestamp;
use model::record::CopyState;

use crate::age;
use crate::status::{CopyView, RunAt, Volume};

/// As kubectl writes what is not there.
const NONE: &str = "<none>";
const UNKNOWN: &str = "<unknown>";
/// Blanks between columns.
const GAP: usize = 3;
/// The last column is never cut to less than this.
const LEAST: usize = 12;
/// With less room for the last column, others are left out, the first of these first.
const COMFORT: usize = 24;
const DISPENSABLE: [&str; 3] = ["SINCE", "NEXT RUN", "OUTSIDE"];

/// How the table looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Look {
    /// With a column of namespaces.
    pub(crate) namespaces: bool,
    /// With more columns.
    pub(crate) wide: bool,
    /// With column names.
    pub(crate) headers: bool,
    /// The terminal's width; the last column is cut to it.
    pub(crate) width: Option<usize>,
}

/// The table.
pub(crate) fn table(volumes: &[Volume], look: Look, now: Timestamp) -> String {
    let mut columns = columns(look);
    let mut dispensable = DISPENSABLE.into_iter();
    loop {
        let mut rows: Vec<Vec<String>> = Vec::new();
        if look.headers {
            rows.push(columns.iter().map(|(name, _)| (*name).to_owned()).collect());
        }
        let row = |v| columns.iter().map(|(_, cell)| printable(&cell(v, now)).into_owned()).collect();
        rows.extend(volumes.iter().map(row));
        let widths = widths(&rows);
        let room = look.width.map(|width| width.saturating_sub(before_last(&widths)));
        match room.filter(|room| *room < COMFORT).and_then(|_| dispensable.next()) {
            Some(name) => columns.retain(|(column, _)| *column != name),
            None => return layout(&rows, &widths, room.map(|room| room.max(LEAST))),
        }
    }
}

type Cell = fn(&Volume, Timestamp) -> String;

fn columns(look: Look) -> Vec<(&'static str, Cell)> {
    let mut columns: Vec<(&'static str, Cell)> = Vec::new();
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
        columns.push(("POINTS", |v, _| {
            v.restore_points
                .as_ref()
                .map_or_else(|| UNKNOWN.to_owned(), |p| p.iter().filter(|p| p.ready).count().to_string())
        }));
        columns.push(("NEWEST POINT", |v, _| {
            v.restore_points.iter().flatten().rfind(|p| p.ready).map_or_else(none, |p| p.name.clone())
        }));
        columns.push(("SCHEDULE", |v, _| v.schedule.clone().unwrap_or_else(none)));
        columns.push(("TIME ZONE", |v, _| v.time_zone.clone().unwrap_or_else(none)));
        columns.push(("RETENTION", |v, _| v.retention.clone().unwrap_or_else(none)));
    }
    columns.push(("REASON", |v, _| reason(v)));
    columns
}

fn none() -> String {
    NONE.to_owned()
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
        let word = match state {
            CopyState::Complete => "Complete",
            CopyState::Incomplete => "Incomplete",
            CopyState::Failed => "Failed",
            CopyState::Superseded => "Superseded",
        };
        let age = view.finished.map(|at| format!(" ({})", age::between(at, now))).unwrap_or_default();
        format!("{word}{age}")
    });
    match (ended, view.under_way) {
        (Some(ended), true) => format!("{ended} Copying"),
        (Some(ended), false) => ended,
        (None, true) => "Copying".to_owned(),
        (None, false) => none(),
    }
}

fn outside(volume: &Volume) -> &'static str {
    let anything = volume.snapshot.is_some() || volume.copies.values().any(|c| c.state.is_some());
    match volume.outside {
        Some(true) => "yes",
        Some(false) => "no",
        None if anything => UNKNOWN,
        None => NONE,
    }
}

fn next_run(volume: &Volume, now: Timestamp) -> String {
    match volume.next_run {
        _ if volume.suspended => "<suspended>".to_owned(),
        Some(next) => age::between(now, next),
        None => none(),
    }
}

fn reason(volume: &Volume) -> String {
    let Some((first, rest)) = volume.findings.split_first() else { return none() };
    let more = if rest.is_empty() { String::new() } else { format!(" (+{} more)", rest.len()) };
    format!("{}: {}{more}", first.reason, first.message)
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let count = rows.first().map_or(0, Vec::len);
    let width = |i: usize| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max();
    (0..count).map(|i| width(i).unwrap_or(0)).collect()
}

/// Where the last column begins.
fn before_last(widths: &[usize]) -> usize {
    widths.iter().rev().skip(1).map(|w| w + GAP).sum()
}

/// Columns side by side. Only the last one is cut, to `room`.
fn layout(rows: &[Vec<String>], widths: &[usize], room: Option<usize>) -> String {
    let mut text = String::new();
    for row in rows {
        let Some((last, cells)) = row.split_last() else { continue };
        for (cell, width) in cells.iter().zip(widths) {
            let blanks = width + GAP - cell.chars().count();
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', blanks));
        }
        text.push_str(&cut(last, room));
        text.push('\n');
    }
    text
}

fn cut(text: &str, room: Option<usize>) -> Cow<'_, str> {
    match room {
        Some(room) if text.chars().count() > room => {
            let head: String = text.chars().take(room.saturating_sub(1)).collect();
            Cow::Owned(format!("{}…", head.trim_end()))
        }
        _ => Cow::Borrowed(text),
    }
}

/// All that is to be said about each PVC, with what to do.
pub(crate) fn details(volumes: &[Volume], now: Timestamp) -> String {
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

/// A text of somebody else's is shown on one line, and never speaks to the terminal.
fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|r| r.iter().map(|c| (*c).to_owned()).collect()).collect()
    }

    #[test]
    fn columns_stand_three_blanks_apart_and_nothing_trails() {
        let rows = rows(&[&["PVC", "STATE", "REASON"], &["data", "Ü", "why"]]);
        assert_eq!(layout(&rows, &widths(&rows), None), "PVC    STATE   REASON\ndata   Ü       why\n");
    }

    #[test]
    fn only_the_last_column_is_cut() {
        let rows = rows(&[&["a-long-name", "a sentence that goes on and on"]]);
        let text = |room| layout(&rows, &widths(&rows), room);
        assert_eq!(text(Some(26)), "a-long-name   a sentence that goes on a…\n");
        assert_eq!(text(Some(16)), "a-long-name   a sentence that…\n");
        assert_eq!(text(Some(30)), "a-long-name   a sentence that goes on and on\n");
        assert_eq!(text(None), "a-long-name   a sentence that goes on and on\n");
    }

    #[test]
    fn a_hostile_text_does_not_speak_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a [31mb c");
    }
}
