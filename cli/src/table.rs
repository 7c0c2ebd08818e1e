//! Tables that fit a terminal. Pure.

use std::borrow::Cow;

use model::Timestamp;

/// As kubectl writes what is not there.
const NONE: &str = "<none>";
/// What cannot be told.
pub(crate) const UNKNOWN: &str = "<unknown>";
/// Blanks between columns.
const GAP: usize = 3;
/// The last column is never cut to less than this.
const LEAST: usize = 12;
/// With less room for the last column, others are left out, the first of these first.
const COMFORT: usize = 24;
/// A13: if that is not enough, the widest of the others are shortened, but none to less than this.
const LEAST_NAME: usize = 30;

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

/// The text of one cell, at a time.
pub(crate) type Cell<T> = fn(&T, Timestamp) -> String;

/// The columns of a table of `T`s, by name.
pub(crate) type Columns<T> = Vec<(&'static str, Cell<T>)>;

/// The table. Where the terminal is narrow, columns that are `dispensable` are left out, the first of them first.
pub(crate) fn table<T>(
    mut columns: Columns<T>,
    dispensable: &[&str],
    items: &[T],
    look: Look,
    now: Timestamp,
) -> String {
    let mut dispensable = dispensable.iter();
    loop {
        let mut rows: Vec<Vec<String>> = Vec::new();
        if look.headers {
            rows.push(columns.iter().map(|(name, _)| (*name).to_owned()).collect());
        }
        let row = |item| columns.iter().map(|(_, cell)| printable(&cell(item, now)).into_owned()).collect();
        rows.extend(items.iter().map(row));
        let widths = widths(&rows);
        let room = look.width.map(|width| width.saturating_sub(before_last(&widths)));
        if let Some(name) = room.filter(|room| *room < COMFORT).and_then(|_| dispensable.next()) {
            columns.retain(|(column, _)| column != name);
            continue;
        }
        let Some(width) = look.width else { return layout(&rows, &widths, None) };
        let widths = shorten(widths, width);
        let room = width.saturating_sub(before_last(&widths));
        return layout(&rows, &widths, Some(room.max(LEAST)));
    }
}

/// What is not there, in a cell.
pub(crate) fn none() -> String {
    NONE.to_owned()
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

/// Takes from the widest column, one character at a time, what the last one lacks.
fn shorten(mut widths: Vec<usize>, width: usize) -> Vec<usize> {
    while before_last(&widths) + COMFORT > width {
        let others = widths.len().saturating_sub(1);
        match widths.iter_mut().take(others).max() {
            Some(widest) if *widest > LEAST_NAME => *widest -= 1,
            _ => break,
        }
    }
    widths
}

/// Columns side by side. The last one is cut to `room`; in others the middle is, as names differ at both ends.
fn layout(rows: &[Vec<String>], widths: &[usize], room: Option<usize>) -> String {
    let mut text = String::new();
    for row in rows {
        let Some((last, cells)) = row.split_last() else { continue };
        for (cell, width) in cells.iter().zip(widths) {
            let cell = squeeze(cell, *width);
            let blanks = width + GAP - cell.chars().count();
            text.push_str(&cell);
            text.extend(std::iter::repeat_n(' ', blanks));
        }
        text.push_str(&cut(last, room));
        text.push('\n');
    }
    text
}

/// The two ends of a text.
fn squeeze(text: &str, width: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= width {
        return Cow::Borrowed(text);
    }
    let tail = width.saturating_sub(1) / 2;
    let head: String = text.chars().take(width.saturating_sub(1 + tail)).collect();
    let tail: String = text.chars().skip(length - tail).collect();
    Cow::Owned(format!("{head}…{tail}"))
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

/// A text of somebody else's is shown on one line, and never speaks to the terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
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
    fn the_last_column_is_cut_at_its_end() {
        let rows = rows(&[&["a-long-name", "a sentence that goes on and on"]]);
        let text = |room| layout(&rows, &widths(&rows), room);
        assert_eq!(text(Some(26)), "a-long-name   a sentence that goes on a…\n");
        assert_eq!(text(Some(16)), "a-long-name   a sentence that…\n");
        assert_eq!(text(Some(30)), "a-long-name   a sentence that goes on and on\n");
        assert_eq!(text(None), "a-long-name   a sentence that goes on and on\n");
    }

    /// A13
    #[test]
    fn long_names_leave_room_for_the_reason_on_a_terminal_only() {
        let name = format!("data-{}-0", "x".repeat(240));
        let columns: fn() -> Columns<String> =
            || vec![("PVC", |name, _| name.clone()), ("STATE", |_, _| "Failing".into()), ("REASON", |_, _| none())];
        let look = |width| Look { namespaces: false, wide: false, headers: true, width };
        let text = |width, names: &[String]| table(columns(), &[], names, look(width), Timestamp::UNIX_EPOCH);
        let names = [name.clone(), "short".to_owned()];
        let narrow = text(Some(80), &names);
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        let shown = narrow.lines().nth(1).unwrap_or_default();
        assert!(shown.starts_with("data-xxx") && shown.contains("xxx-0   Failing   <none>"), "{shown}");
        assert!(text(None, &names).contains(&name), "programs get the whole name");
        let fits = "short   Failing   <none>";
        assert!(text(Some(80), &names[1..]).contains(fits), "{}", text(Some(80), &names[1..]));
    }

    #[test]
    fn a_hostile_text_does_not_speak_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a [31mb c");
    }
}
