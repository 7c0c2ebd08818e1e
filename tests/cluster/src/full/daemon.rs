//! Processes that outlive the command that started them, and are ended by their exact identity.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::guard::tail;
use crate::plane::Launch;

/// Starts, finds and stops the processes of one cluster folder.
#[derive(Debug)]
pub(crate) struct Daemons {
    dir: PathBuf,
}

/// A process as it was started: a process id alone may be given away again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identified {
    pub(crate) name: String,
    pub(crate) pid: i32,
    /// Clock ticks after boot, field 22 of /proc/PID/stat.
    started: u64,
}

impl Daemons {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.dir.join("log").join(format!("{name}.log"))
    }

    fn record(&self, name: &str) -> PathBuf {
        self.dir.join("run").join(format!("{name}.pid"))
    }

    /// Starts a process in a session of its own, with its output in a log.
    pub(crate) fn start(&self, name: &str, launch: &Launch) -> Result<()> {
        fs::create_dir_all(self.dir.join("log"))?;
        fs::create_dir_all(self.dir.join("run"))?;
        let output = File::options().create(true).append(true).open(self.log(name))?;
        // setsid becomes the program itself: the process id stays.
        let child = Command::new("setsid")
            .arg(&launch.program)
            .args(&launch.args)
            .envs(launch.env.iter().cloned())
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", launch.program.display()))?;
        let pid = i32::try_from(child.id())?;
        let started =
            start_time(pid).with_context(|| format!("{name} ended at once: {}", tail(&self.log(name), 20)))?;
        fs::write(self.record(name), format!("{pid} {started}\n"))?;
        Ok(())
    }

    /// Everything that was started and not stopped, whether it still runs or not.
    pub(crate) fn all(&self) -> Result<Vec<Identified>> {
        let mut all = Vec::new();
        let Ok(entries) = fs::read_dir(self.dir.join("run")) else { return Ok(all) };
        for entry in entries {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".pid"))
            else {
                continue;
            };
            let text = fs::read_to_string(&path)?;
            let mut words = text.split_whitespace();
            if let (Some(Ok(pid)), Some(Ok(started))) = (words.next().map(str::parse), words.next().map(str::parse)) {
                all.push(Identified { name: name.to_owned(), pid, started });
            }
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Fails, with the end of its log, if one of the processes is no more.
    pub(crate) fn check(&self) -> Result<()> {
        for process in self.all()? {
            if !process.runs() {
                bail!("{} ended; its log ends with:\n{}", process.name, tail(&self.log(&process.name), 20));
            }
        }
        Ok(())
    }

    /// Ends the processes whose name `which` accepts, all at once, and waits for each.
    pub(crate) fn stop(&self, signal: Signal, which: impl Fn(&str) -> bool) -> Result<()> {
        let ending: Vec<Identified> = self.all()?.into_iter().filter(|process| which(&process.name)).collect();
        for process in &ending {
            process.signal(signal)?;
        }
        for process in &ending {
            process.end(Duration::from_secs(10))?;
            fs::remove_file(self.record(&process.name))?;
        }
        Ok(())
    }
}

impl Identified {
    pub(crate) fn runs(&self) -> bool {
        start_time(self.pid).is_some_and(|started| started == self.started)
    }

    /// Sends a signal to exactly this process. No effect if it ended.
    fn signal(&self, signal: Signal) -> Result<()> {
        // The descriptor holds whoever has the number now; that it is ours is checked after.
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
        if self.runs() {
            match pidfd_send_signal(&held, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error).with_context(|| format!("cannot stop {}", self.name)),
            }
        }
        Ok(())
    }

    /// Waits for its end, and after `limit` kills it.
    fn end(&self, limit: Duration) -> Result<()> {
        if !self.wait(limit)? {
            self.signal(Signal::KILL)?;
            if !self.wait(limit)? {
                bail!("{} (process {}) does not end", self.name, self.pid);
            }
        }
        Ok(())
    }

    fn wait(&self, limit: Duration) -> Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(true) };
        let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(true) };
        let deadline = Instant::now() + limit;
        while self.runs() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let left = Timespec { tv_sec: i64::try_from(left.as_secs())?, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(&held, PollFlags::IN)], Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// Kills one process of which only the number is known, if `ours` still holds once it cannot be given away.
pub(crate) fn kill_if(pid: i32, ours: impl Fn() -> bool) {
    if let Some(process) = Pid::from_raw(pid)
        && let Ok(held) = pidfd_open(process, PidfdFlags::empty())
        && ours()
    {
        let _ = pidfd_send_signal(&held, Signal::KILL);
    }
}

/// When a process started; nothing if it is no more, or only waits to be collected by its parent.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit(") ").next()?.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
