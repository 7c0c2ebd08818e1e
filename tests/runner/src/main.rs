//! `test-runner all|fast|SUITE…`: runs the suites and says how long each took.
//!
//! Everything is compiled once. Then two suites run at a time: one that computes ([`suite::Lane`]), and beside it one
//! that mostly waits for a control plane or for nodes. Each suite's output is in `target/tests/SUITE.log`, the table
//! also in `target/tests/times.json`.

mod build;
mod imports;
mod outcome;
mod run;
mod suite;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::build::Built;
use crate::outcome::{Count, Ended, State};
use crate::run::Bench;
use crate::suite::{Lane, On, Suite};

/// How much of a failed suite's output is shown; all of it is in its log.
const SHOWN: usize = 400;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("test-runner: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The suites that the command line asks for, with all that they need.
fn chosen(words: &[String]) -> Result<Vec<Suite>> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for word in words {
        match word.as_str() {
            "all" => names.extend(suite::ALL.iter().map(|s| s.name)),
            "fast" => names.extend(suite::ALL.iter().filter(|s| s.on == On::Machine).map(|s| s.name)),
            word => {
                let Some(suite) = suite::ALL.iter().find(|s| s.name == word) else {
                    let all: Vec<_> = suite::ALL.iter().map(|s| s.name).collect();
                    bail!("there is no suite {word:?}; there are all, fast, and: {}", all.join(", "));
                };
                names.insert(suite.name);
            }
        }
    }
    if names.is_empty() {
        bail!("say which suites: all, fast, or their names");
    }
    // What is needed stands before what needs it.
    for suite in suite::ALL.iter().rev() {
        if names.contains(suite.name) {
            names.extend(suite.after);
        }
    }
    Ok(suite::ALL.iter().filter(|s| names.contains(s.name)).copied().collect())
}

fn run(words: &[String]) -> Result<bool> {
    let named = std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let (mut suites, mut left_out) = (Vec::new(), Vec::new());
    for suite in chosen(words)? {
        match suite.on.impossible(named, root) {
            None => suites.push(suite),
            Some(why) => left_out.push(format!("{} is left out: {why}", suite.name)),
        }
    }
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the project's folder")?;
    let logs = project.join("target/tests");
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let begun = Instant::now();
    let session = Session { project, logs: &logs, state: Mutex::default(), changed: Condvar::new() };
    std::thread::scope(|scope| {
        for lane in Lane::ALL {
            let (session, suites) = (&session, &suites);
            scope.spawn(move || suites.iter().filter(|s| s.lane == lane).for_each(|suite| session.conduct(suite)));
        }
    });
    let mut ended = session.state.into_inner().unwrap_or_else(PoisonError::into_inner).ended;
    ended.sort_by_key(|e| suites.iter().position(|s| s.name == e.name));
    fs::write(logs.join("times.json"), format!("{:#}\n", outcome::json(&ended, begun.elapsed())))?;
    println!();
    for line in &left_out {
        println!("{line}");
    }
    let failed = ended.iter().filter(|e| e.state == State::Failed);
    let log = |e: &Ended| String::from_utf8_lossy(&fs::read(log_of(&logs, e.name)).unwrap_or_default()).into_owned();
    let causes: String = failed.map(|e| outcome::causes(&log(e))).collect();
    println!("{}", outcome::table(&ended, begun.elapsed(), &causes));
    Ok(ended.iter().all(|e| e.state == State::Passed))
}

/// What both lanes share.
struct Session<'a> {
    project: &'a Path,
    logs: &'a Path,
    state: Mutex<Shared>,
    changed: Condvar,
}

#[derive(Default)]
struct Shared {
    ended: Vec<Ended>,
    built: std::sync::Arc<Built>,
}

impl Session<'_> {
    /// Waits for what a suite needs, and runs it.
    fn conduct(&self, suite: &Suite) {
        let ready = |shared: &Shared| suite.after.iter().all(|n| shared.ended.iter().any(|e| e.name == *n));
        let shared = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Each suite that is needed stands before this one, and ends by its deadline at the latest.
        let shared = self.changed.wait_while(shared, |shared| !ready(shared)).unwrap_or_else(PoisonError::into_inner);
        let lacks = suite.after.iter().find(|n| shared.ended.iter().any(|e| e.name == **n && e.state != State::Passed));
        let lacks = lacks.copied();
        let built = std::sync::Arc::clone(&shared.built);
        drop(shared);

        let ended = match lacks {
            Some(lacks) => {
                println!("==> {} is skipped: {lacks} has not passed", suite.name);
                (Ended { name: suite.name, state: State::Skipped, count: Count::default(), took: Duration::ZERO }, None)
            }
            None => self.run(suite, &built),
        };
        let mut shared = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        shared.ended.push(ended.0);
        if let Some(built) = ended.1 {
            shared.built = std::sync::Arc::new(built);
        }
        self.changed.notify_all();
    }

    fn run(&self, suite: &Suite, built: &Built) -> (Ended, Option<Built>) {
        let log = self.log(suite);
        let _ = fs::remove_file(&log);
        println!("==> {}", suite.name);
        let begun = Instant::now();
        let bench = Bench { project: self.project, built, log };
        let result = bench.run(suite.work);
        let took = begun.elapsed();
        let (state, count, built) = match result {
            Ok((count, built)) => (State::Passed, count, built),
            Err(error) => {
                let log = fs::read(&bench.log).unwrap_or_default();
                println!("{}==> {} FAILED: {error:#}", end_of(&String::from_utf8_lossy(&log)), suite.name);
                (State::Failed, bench.count(), None)
            }
        };
        println!("    {}: {} tests, {:.1} s", suite.name, count.passed + count.failed, took.as_secs_f64());
        (Ended { name: suite.name, state, count, took }, built)
    }

    fn log(&self, suite: &Suite) -> PathBuf {
        log_of(self.logs, suite.name)
    }
}

/// Where a suite's output is.
fn log_of(logs: &Path, suite: &str) -> PathBuf {
    logs.join(format!("{suite}.log"))
}

/// The last lines of a text.
fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].iter().flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_suite_needs_stands_before_it() {
        for (at, suite) in suite::ALL.iter().enumerate() {
            for needed in suite.after {
                let before = suite::ALL.iter().position(|s| s.name == *needed);
                assert!(before.is_some_and(|before| before < at), "{} needs {needed}", suite.name);
            }
        }
    }

    #[test]
    fn what_is_asked_for_comes_with_what_it_needs() {
        let names = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            Ok::<_, anyhow::Error>(chosen(&words)?.iter().map(|s| s.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["cli"]).unwrap(), ["tools", "build", "cli"]);
        assert!(!names(&["fast"]).unwrap().iter().any(|name| name.starts_with("nodes")));
        assert_eq!(names(&["all"]).unwrap().len(), suite::ALL.len());
        assert!(names(&["clo"]).unwrap_err().to_string().contains("there is no suite \"clo\""));
        assert!(names(&[]).is_err());
    }
}
