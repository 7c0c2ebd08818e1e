//! The figures, as a table, as JSON, and beside what they may be.

use std::fmt;

use anyhow::Result;
use backup_controller_tests::figures::laid_out;
use serde::Serialize;

use crate::cost::{Row, mebibytes};

/// All figures of one number of PVCs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    claims: usize,
    /// By a short name, in the order in which they were taken.
    rows: Vec<(String, Row)>,
    /// PVCs that were made besides.
    new: usize,
    /// Seconds from a bound PVC to its CronJob: half of them, and 99 of 100, took at most this.
    new_median: f64,
    new_slowest: f64,
    /// Of etcd, at the end.
    database_bytes: u64,
    revision: u64,
}

impl Report {
    pub(crate) fn new(claims: usize) -> Self {
        Self { claims, rows: Vec::new(), new: 0, new_median: 0.0, new_slowest: 0.0, database_bytes: 0, revision: 0 }
    }

    /// Takes a row, and shows it at once.
    pub(crate) fn take(&mut self, name: &str, row: Row) {
        let Row { what, wall, cpu, memory, peak, .. } = &row;
        let (count, writes) = (row.count(), row.writes());
        eprintln!(
            "    {what}: {wall:.1} s, {cpu:.2} s CPU, {memory:.1} MiB, at most {peak:.1}, {count} requests, {writes} of \
             them writes"
        );
        self.rows.push((name.to_owned(), row));
    }

    pub(crate) fn delays(&mut self, mut delays: Vec<f64>) {
        self.new = delays.len();
        delays.sort_by(f64::total_cmp);
        let at = |part: usize| delays.get((delays.len() * part / 100).min(delays.len().saturating_sub(1))).copied();
        (self.new_median, self.new_slowest) = (at(50).unwrap_or(0.0), at(99).unwrap_or(0.0));
        eprintln!(
            "    a CronJob after {:.0} ms, 99 of 100 after {:.0} ms",
            self.new_median * 1e3,
            self.new_slowest * 1e3
        );
    }

    pub(crate) fn etcd(&mut self, (bytes, revision): (u64, u64)) {
        (self.database_bytes, self.revision) = (bytes, revision);
    }

    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Where there were more requests than there may be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let row = |name: &str| self.rows.iter().find(|(known, _)| known == name).map(|(_, row)| row);
        let writes = |name: &str, most: usize| {
            let row = row(name)?;
            let number = row.writes();
            (number > most).then(|| format!("{}: {number} writes, at most {most}: {:?}", row.what, row.requests))
        };
        [
            // CronJob, ledger and status of each, and the sweeper's CronJob.
            writes("first start", 3 * self.claims + 1),
            writes("restart", 0),
            writes("steady", 0),
            writes("none change", 0),
            writes("all change", 3 * (self.claims + self.new) + 1),
            writes("away", 0),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 8]> = self
            .rows
            .iter()
            .map(|(_, row)| {
                [
                    row.what.clone(),
                    format!("{:.1}", row.wall),
                    format!("{:.2}", row.cpu),
                    format!("{:.1}", row.memory),
                    format!("{:.1}", row.peak),
                    format!("{:.1}", mebibytes(row.received)),
                    row.count().to_string(),
                    row.writes().to_string(),
                ]
            })
            .collect();
        let head = ["PVCs", "wall s", "CPU s", "MiB", "peak MiB", "received MiB", "requests", "writes"];
        let mut head = head.map(str::to_owned);
        head[0] = format!("{} PVCs", self.claims);
        f.write_str(&laid_out(head.each_ref().map(String::as_str), &rows))?;
        writeln!(f)?;
        writeln!(
            f,
            "A new PVC has its CronJob after {:.0} ms (half of them), 99 of 100 after {:.0} ms.",
            self.new_median * 1e3,
            self.new_slowest * 1e3
        )?;
        let mebibytes = mebibytes(self.database_bytes);
        writeln!(f, "etcd has {mebibytes:.0} MiB at revision {}.", self.revision)?;
        for (_, row) in &self.rows {
            let kinds: Vec<String> = row.requests.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
            writeln!(f, "{}: {}", row.what, kinds.join(", "))?;
        }
        Ok(())
    }
}
