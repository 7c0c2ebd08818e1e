//! A process of ours that cannot outlive the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A shell holds the process and reads from a pipe of which the test has the only other end. When that
/// closes, however the test ended, it kills the process, but only while that is its own child.
const GUARD: &str = r#"
trap '' HUP INT QUIT TERM
file=$1; shift
"$@" </dev/null &
child=$!
echo "$child" >"$file"
exec >/dev/null 2>&1
cat >/dev/null
grep -q "^PPid:[^0-9]*$$\$" "/proc/$child/status" && kill -KILL "$child"
wait "$child"
"#;

/// A running process, with its output in a file. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    shell: Child,
    log: PathBuf,
    pid: u32,
}

impl Process {
    /// Starts a program; its output is appended to `log`.
    pub fn start(program: &Path, args: &[String], env: &[(&str, &str)], log: &Path) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let pid_file = log.with_extension("pid");
        let _ = std::fs::remove_file(&pid_file);
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GUARD, "test-guard"]).arg(&pid_file).arg(program).args(args);
        // What somebody has in his environment must not change what a test does.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(env.iter().copied());
        let mut shell = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .context("cannot start /bin/sh")?;
        let end = Instant::now() + Duration::from_secs(10);
        let pid = loop {
            if let Ok(pid) = std::fs::read_to_string(&pid_file).unwrap_or_default().trim().parse() {
                break pid;
            }
            if Instant::now() > end || shell.try_wait()?.is_some() {
                bail!("{} was not started", program.display());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ok(Self { shell, log: log.to_owned(), pid })
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if !self.runs() {
            bail!("the process has ended");
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("not a process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it (SIGKILL), and returns when it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// What it has written.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn end(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
