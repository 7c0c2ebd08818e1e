//! Runs one suite: its processes one after the other, with their output in a file.

use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::build::{self, Built, Program};
use crate::imports;
use crate::outcome::Count;
use crate::suite::Work;

/// The longest that a suite may take: whoever waits longer waits for something that does not come.
const DEADLINE: Duration = Duration::from_mins(45);

/// What a suite needs to run.
pub(crate) struct Bench<'a> {
    pub(crate) project: &'a Path,
    /// What was compiled; nothing before `build` has run.
    pub(crate) built: &'a Built,
    /// Where its output goes.
    pub(crate) log: PathBuf,
}

/// What a suite gave: how many tests there were, and what was compiled, if that was its work.
pub(crate) type Given = (Count, Option<Built>);

impl Bench<'_> {
    /// Runs the suite. An error says what failed; the output is in the log.
    pub(crate) fn run(&self, work: Work) -> Result<Given> {
        match work {
            Work::Imports => self.imports()?,
            Work::Build => return Ok((Count::default(), Some(build::build()?))),
            Work::Command(words) => {
                let program = if words[0] == "cargo" { build::cargo() } else { words[0].into() };
                let mut command = Command::new(program);
                command.args(&words[1..]).current_dir(self.project);
                self.finish(command, words[0])?;
            }
            Work::Packages(packages) => {
                for test in packages.iter().flat_map(|package| self.built.of(package)) {
                    self.test(test, &[])?;
                }
            }
            Work::Units(packages) => {
                let all = packages.iter().flat_map(|package| self.built.of(package));
                for test in all.filter(|test| test.name != "suites") {
                    self.test(test, &[])?;
                }
            }
            Work::Suite { package, args } => {
                let suites = self.built.of(package).find(|test| test.name == "suites");
                let suites = suites.with_context(|| format!("the package {package} has no suites"))?;
                self.test(suites, args)?;
                if self.count().passed == 0 {
                    bail!("no test of {package} is called {}", args.join(" "));
                }
            }
        }
        Ok((self.count(), None))
    }

    fn imports(&self) -> Result<()> {
        let wrong = imports::check(self.project)?;
        fs::write(&self.log, wrong.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>())?;
        match wrong.len() {
            0 => Ok(()),
            found => {
                bail!("{found} circles of imports, or dependencies against the floors of ARCHITECTURE.md")
            }
        }
    }

    /// Counts the tests in the log.
    pub(crate) fn count(&self) -> Count {
        Count::of(&String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()))
    }

    fn test(&self, test: &Program, args: &[&str]) -> Result<()> {
        // Tests wait for processes of their own for a good part of their time.
        let threads = std::thread::available_parallelism().map_or(2, NonZero::get) * 2;
        let mut command = Command::new(&test.path);
        command
            .args(args)
            .current_dir(&test.folder)
            .env("BACKUP_BINARIES", &self.built.programs)
            .env("RUST_TEST_THREADS", threads.to_string());
        self.finish(command, &format!("{} ({})", test.package, test.name))
    }

    fn finish(&self, mut command: Command, what: &str) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {what}"))?;
        let end = Instant::now() + DEADLINE;
        let status: ExitStatus = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() > end {
                // What a test started hangs on a pipe of the test's, and ends with it.
                child.kill()?;
                child.wait()?;
                bail!("{what} did not end within {} min", DEADLINE.as_secs() / 60);
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        if !status.success() {
            bail!("{what}: {status}");
        }
        Ok(())
    }
}
