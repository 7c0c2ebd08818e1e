//! kubectl as a function.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A kubectl that talks to one cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// `program` talks to the cluster that `kubeconfig` names.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, kubeconfig: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), kubeconfig: kubeconfig.into() }
    }

    /// Where the program is.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The kubeconfig that it uses.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl and returns what it prints. An exit code other than 0 is an error with its stderr.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        self.run_with_input(args, "")
    }

    /// As [`Kubectl::run`], with something to read: `run_with_input(&["apply", "-f", "-"], yaml)`.
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(&self.program)
            .env("KUBECONFIG", &self.kubeconfig)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // If kubectl ends without reading all, its own message says more than ours.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("`kubectl {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs kubectl with `-o json` and reads what it prints.
    pub fn json(&self, args: &[&str]) -> Result<serde_json::Value> {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        serde_json::from_str(&self.run(&args)?).context("kubectl printed no JSON")
    }

    /// Waits until the API server says that it is ready. `alive` is asked between tries, so that a dead
    /// server ends the wait.
    pub(crate) fn wait_ready(&self, limit: Duration, alive: impl Fn() -> Result<()>) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            match self.run(&["get", "--raw=/readyz", "--request-timeout=2s"]) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!("the API server was not ready within {} s", limit.as_secs())));
                }
                Err(_) => alive()?,
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
