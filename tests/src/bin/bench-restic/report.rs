//! The table, and what is judged in it.

use std::fmt;

use backup_controller_tests::figures::{laid_out, mebibytes, median};

use crate::pair::Pair;
use crate::store::Store;

/// What we may add: so many milliseconds, and one hundredth.
const MILLISECONDS: f64 = 50.0;
/// The memory of our process, in MiB.
const MEMORY: f64 = 8.0;

const HEAD: [&str; 10] = [
    "set",
    "repository",
    "ours s",
    "bare s",
    "difference ms",
    "least to most",
    "ratio",
    "goal ms",
    "our MiB",
    "restic MiB",
];

/// One line a set and repository.
#[derive(Default)]
pub(crate) struct Report(Vec<[String; 10]>);

impl Report {
    /// Takes the pairs of one. Differences and ratios are medians of the pairs', not those of the medians.
    pub(crate) fn add(&mut self, set: &str, store: &Store, pairs: &[Pair]) {
        let middle = |of: fn(&Pair) -> f64| median(&mut pairs.iter().map(of).collect::<Vec<_>>());
        let (ours, bare) = (middle(|p| p.ours.seconds), middle(|p| p.bare.seconds));
        let ratio = middle(|p| p.ours.seconds / p.bare.seconds);
        let mut differences: Vec<f64> = pairs.iter().map(|p| 1000.0 * (p.ours.seconds - p.bare.seconds)).collect();
        let difference = median(&mut differences);
        let [least, most] = [differences.first(), differences.last()].map(|d| d.copied().unwrap_or(0.0));
        let goal = MILLISECONDS + 10.0 * bare;
        let [ours_most, bare_most] = [|p: &Pair| p.ours.memory, |p: &Pair| p.bare.memory]
            .map(|of| mebibytes(pairs.iter().map(of).max().unwrap_or(0)));
        eprintln!("    ours {ours:.3} s, bare {bare:.3} s, difference {difference:+.0} ms");
        self.0.push([
            set.to_owned(),
            store.name.to_owned(),
            format!("{ours:.3}"),
            format!("{bare:.3}"),
            format!("{difference:+.0}"),
            format!("{least:+.0} to {most:+.0}"),
            format!("{ratio:.3}"),
            format!("<= {goal:.0} {}", verdict(difference <= goal)),
            format!("{ours_most:.1} {}", verdict(ours_most < MEMORY)),
            format!("{bare_most:.1}"),
        ]);
    }
}

fn verdict(good: bool) -> &'static str {
    if good { "ok" } else { "OVER" }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&laid_out(HEAD, &self.0))?;
        writeln!(f, "Goals: at most {MILLISECONDS} ms and 1 % of bare restic's time more; less than {MEMORY} MiB.")
    }
}
