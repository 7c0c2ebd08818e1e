//! Figures beside their goals.

use std::fmt;

/// One line: what, measured, goal, and what that says.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 4]>);

impl Table {
    /// A figure without a goal.
    pub(crate) fn tell(&mut self, figure: &str, measured: String) {
        self.0.push([figure.to_owned(), measured, String::new(), String::new()]);
    }

    /// A figure that is to stay below its goal, or `at_most` that.
    pub(crate) fn judge(&mut self, figure: &str, measured: f64, goal: f64, unit: &str, at_most: bool) {
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
        let head = ["figure", "measured", "goal", "of the goal"].map(str::to_owned);
        let rows: Vec<&[String; 4]> = std::iter::once(&head).chain(&self.0).collect();
        let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3].map(width);
        for (number, row) in rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "| {} |", cells.join(" | "))?;
            if number == 0 {
                writeln!(f, "|{}|", widths.map(|w| "-".repeat(w + 2)).join("|"))?;
            }
        }
        Ok(())
    }
}
