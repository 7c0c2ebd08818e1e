//! How suites ended: the table, and the file by which growth shows.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

/// How many tests did what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Count {
    /// Adds up the last lines of test programs: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    pub(crate) fn of(output: &str) -> Self {
        let mut sum = Self::default();
        for line in output.lines().filter(|line| line.starts_with("test result: ")) {
            let number = |word: &str| {
                let (before, _) = line.split_once(word)?;
                before.trim_end().rsplit(' ').next()?.parse::<u64>().ok()
            };
            sum.passed += number("passed").unwrap_or(0);
            sum.failed += number("failed").unwrap_or(0);
            sum.ignored += number("ignored").unwrap_or(0);
        }
        sum
    }
}

/// How a suite ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Passed,
    Failed,
    /// Not run, since another suite failed that it needs.
    Skipped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

/// A suite that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) name: &'static str,
    pub(crate) state: State,
    pub(crate) count: Count,
    pub(crate) took: Duration,
}

/// Why the first tests of a failed suite failed, in a few lines: whoever sees only the end of a run sees the cause too.
pub(crate) fn causes(log: &str) -> String {
    const TESTS: usize = 3;
    const LINES: usize = 4;
    const WIDTH: usize = 240;
    let lines: Vec<&str> = log.lines().collect();
    let panics = lines.iter().enumerate().filter(|(_, line)| line.contains(" panicked at ")).take(TESTS);
    let shown = panics.flat_map(|(at, _)| lines[at..].iter().take(LINES));
    shown.flat_map(|line| line.chars().take(WIDTH).chain(['\n'])).collect()
}

/// The table and `causes`, with the plain line at its end that says how many tests there were.
pub(crate) fn table(ended: &[Ended], took: Duration, causes: &str) -> String {
    let mut text = format!("{:<20} {:>6} {:>8}  RESULT\n", "SUITE", "TESTS", "SECONDS");
    let mut sum = Count::default();
    for Ended { name, state, count, took } in ended {
        let tests = match count.passed + count.failed {
            0 => "-".to_owned(),
            tests => tests.to_string(),
        };
        let _ = writeln!(text, "{name:<20} {tests:>6} {:>8.1}  {}", took.as_secs_f64(), state.word());
        sum.passed += count.passed;
        sum.failed += count.failed;
    }
    let tests = sum.passed + sum.failed;
    let _ = writeln!(text, "{:<20} {tests:>6} {:>8.1}  two side by side", "all", took.as_secs_f64());
    let _ = writeln!(text, "\n{causes}{} passed, {} failed", sum.passed, sum.failed);
    text
}

/// The same for programs.
pub(crate) fn json(ended: &[Ended], took: Duration) -> Value {
    let tenths = |took: Duration| (took.as_secs_f64() * 10.0).round() / 10.0;
    let suite = |e: &Ended| {
        let Count { passed, failed, ignored } = e.count;
        json!({
            "suite": e.name, "result": e.state.word().to_lowercase(), "seconds": tenths(e.took),
            "passed": passed, "failed": failed, "ignored": ignored,
        })
    };
    json!({"seconds": tenths(took), "suites": ended.iter().map(suite).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "running 3 tests\ntest a ... ok\n\n\
        test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s\n\
        test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";

    #[test]
    fn tests_are_counted_over_all_programs_of_a_suite() {
        assert_eq!(Count::of(OUTPUT), Count { passed: 13, failed: 2, ignored: 1 });
        assert_eq!(Count::of("nothing ran"), Count::default());
    }

    #[test]
    fn the_table_ends_with_a_plain_count() {
        let count = Count::of(OUTPUT);
        let took = Duration::from_millis(1260);
        let ended = [
            Ended { name: "jobs", state: State::Failed, count, took },
            Ended { name: "format", state: State::Passed, count: Count::default(), took },
        ];
        let text = table(&ended, took, &causes("x\nthread 'a' (1) panicked at a.rs:1:2:\nno such file\n"));
        assert!(text.contains("\n\nthread 'a' (1) panicked at a.rs:1:2:\nno such file\n13 passed"), "{text}");
        assert!(text.ends_with("\n13 passed, 2 failed\n"), "{text}");
        assert!(text.contains("jobs                     15      1.3  FAILED"), "{text}");
        assert!(text.contains("format                    -      1.3  passed"), "{text}");
        assert_eq!(json(&ended, took)["suites"][0]["failed"], 2);
    }
}
