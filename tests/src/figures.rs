//! What the benchmarks share: figures, and tables of them beside their goals.

use std::collections::BTreeMap;
use std::fmt;

use dev_cluster::AuditedRequest;

/// One line: what, measured, goal, and what that says.
#[derive(Debug, Default)]
pub struct Table(Vec<[String; 4]>);

impl Table {
    /// A figure without a goal.
    pub fn tell(&mut self, figure: &str, measured: String) {
        self.0.push([figure.to_owned(), measured, String::new(), String::new()]);
    }

    /// A figure that is to stay below its goal, or `at_most` that.
    pub fn judge(&mut self, figure: &str, measured: f64, goal: f64, unit: &str, at_most: bool) {
        let good = measured < goal || (at_most && measured <= goal);
        let digits = usize::from(measured.fract() > 0.0);
        let sign = if at_most { "<=" } else { "<" };
        self.0.push([
            figure.to_owned(),
            format!("{measured:.digits$} {unit}"),
            format!("{sign} {goal} {unit}"),
            format!("{} ({:.0} %)", if good { "ok" } else { "OVER" }, 100.0 * measured / goal),
        ]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&laid_out(["figure", "measured", "goal", "of the goal"], &self.0))
    }
}

/// A table in Markdown, which is also read well as it is.
#[must_use]
pub fn laid_out<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let rows: Vec<&[String; N]> = std::iter::once(&head).chain(rows).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut lines: Vec<String> = rows.into_iter().map(line).collect();
    lines.insert(1, format!("|{}|\n", widths.map(|w| "-".repeat(w + 2)).join("|")));
    lines.concat()
}

/// Whether a request counts: a watch is recorded when it begins and when it ends, and once is enough.
#[must_use]
pub fn counts(request: &AuditedRequest) -> bool {
    request.verb != "watch" || request.stage == "ResponseStarted"
}

/// How many requests of those that count there are of each kind, such as `get pods`.
pub fn by_kind<'a>(requests: impl IntoIterator<Item = &'a AuditedRequest>) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for request in requests.into_iter().filter(|request| counts(request)) {
        let failed = if request.code < 400 { String::new() } else { format!(" (answer {})", request.code) };
        *kinds.entry(format!("{} {}{failed}", request.verb, request.resource)).or_default() += 1;
    }
    kinds
}

/// Sorts, and returns the median.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A line of `/proc/<pid>/status`, in KiB; nothing when the process has ended.
#[must_use]
pub fn resident(pid: u32, key: &str) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':')?.trim().strip_suffix(" kB")?.parse().ok())
}

/// KiB as MiB.
#[must_use]
pub fn mebibytes(kibibytes: u32) -> f64 {
    f64::from(kibibytes) / 1024.0
}
