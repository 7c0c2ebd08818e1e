//! A process that cannot outlive the test that started it.
//!
//! A shell holds it: the shell reads from a pipe of which the test has the only other end. When the test
//! drops the guard, or is killed, the pipe closes and the shell kills the process. (The kernel's "parent
//! death signal" would not do: it fires when the *thread* that started the process ends.)

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::plane::Launch;

/// `$1` is the file for the process id, the rest the command. A process is only killed while it is this
/// shell's child, so a number that was given away again is never hit.
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

/// Removes a folder when the pipe closes; for the case that nobody was left to do it properly.
const JANITOR: &str = r#"
trap '' HUP INT QUIT TERM
exec >/dev/null 2>&1
cat >/dev/null
for try in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf -- "$1"
  [ -e "$1" ] || exit 0
  sleep 0.2
done
"#;

fn shell(script: &str) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new("/bin/sh");
    // A group of its own: Ctrl-C goes to the test alone, which then closes the pipe.
    command.args(["-c", script, "dev-cluster-guard"]).stdin(Stdio::piped()).process_group(0);
    command
}

/// A running process with its guard.
#[derive(Debug)]
pub(crate) struct Guarded {
    name: &'static str,
    shell: Child,
    log: PathBuf,
    pid: u32,
}

impl Guarded {
    pub(crate) fn start(launch: &Launch, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{}.log", launch.name));
        let pid_file = dir.join(format!("{}.pid", launch.name));
        let _ = fs::remove_file(&pid_file);
        let output = File::options().create(true).append(true).open(&log)?;
        let mut shell = shell(GUARD)
            .arg(&pid_file)
            .arg(&launch.program)
            .args(&launch.args)
            .envs(launch.env.iter().cloned())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start /bin/sh")?;
        let deadline = Instant::now() + Duration::from_secs(10);
        let pid = loop {
            if let Ok(pid) = fs::read_to_string(&pid_file).unwrap_or_default().trim().parse() {
                break pid;
            }
            if Instant::now() > deadline || shell.try_wait()?.is_some() {
                bail!("{} was not started: {}", launch.name, tail(&log, 5));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ok(Self { name: launch.name, shell, log, pid })
    }

    /// Fails, with the end of the log, if the process is no more.
    pub(crate) fn check(&self) -> Result<()> {
        if self.runs() {
            return Ok(());
        }
        bail!("{} ended early; its log ends with:\n{}", self.name, tail(&self.log, 20))
    }

    fn runs(&self) -> bool {
        // Its state comes after the program's name in parentheses; "Z" is dead already.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
    }

    /// Stops the process's clock (SIGSTOP) or lets it go on (SIGCONT).
    pub(crate) fn freeze(&self, frozen: bool) -> Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        self.check()?;
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("not a process id")?;
        kill_process(pid, if frozen { Signal::STOP } else { Signal::CONT })?;
        Ok(())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A folder that goes when this is dropped, or when the process that made it is killed.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    janitor: Child,
}

impl Folder {
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let janitor = shell(JANITOR).arg(&path).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { path, janitor })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
