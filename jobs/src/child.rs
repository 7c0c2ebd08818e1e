//! Another program that moves files: started, listened to line by line, and stopped in good time.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How often a signal is looked for while the program says nothing.
const TICK: Duration = Duration::from_millis(200);
/// Longer lines are cut: no name is that long, even escaped.
const LINE: usize = 20 * 1024;

/// How long a program may do nothing before it is ended: no line, and none of its processes has worked. What waits for a
/// disk or a server does little, and this long nothing only if that will not answer.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(30);

/// Who hears what a program says.
pub(crate) trait Ear {
    /// Takes a line of standard output.
    fn out(&mut self, line: &str);
    /// Takes a line of standard error.
    fn error(&mut self, line: &str);
    /// Whether the program is to end now. Asked after every line and [`TICK`].
    fn stop(&mut self) -> bool;
}

/// Where programs are looked for.
pub(crate) fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

/// Runs a program to its end, or until the ear wants it to stop: then it has `grace` to end by itself.
pub(crate) fn run(command: &mut Command, grace: Duration, ear: &mut impl Ear) -> io::Result<ExitStatus> {
    let mut child = spawn(command)?;
    let (sender, said) = sync_channel(64);
    if let Some(pipe) = child.stdout.take() {
        let sender = sender.clone();
        listen(pipe, move |line| send(&sender, Said::Out(line)))?;
    }
    errors(&mut child, sender)?;
    attend(&mut child, &said, grace, ear)
}

/// The same for a program whose standard output is not lines: `read` makes something of it, and has some time left
/// when the program has ended.
pub(crate) fn run_reading<T: Send + 'static>(
    command: &mut Command,
    (grace, left): (Duration, Duration),
    ear: &mut impl Ear,
    read: impl FnOnce(ChildStdout) -> T + Send + 'static,
) -> io::Result<(ExitStatus, Option<T>)> {
    let mut child = spawn(command)?;
    let (sender, said) = sync_channel(64);
    let (give, take) = sync_channel(1);
    if let Some(pipe) = child.stdout.take() {
        // Holds the channel open until all is read.
        let sender = sender.clone();
        thread(move || {
            let _ = give.send(read(pipe));
            drop(sender);
        })?;
    }
    errors(&mut child, sender)?;
    let status = attend(&mut child, &said, grace, ear)?;
    // All was said; what is made of it may need a moment. A process that was left behind may hold the pipe open.
    Ok((status, take.recv_timeout(left).ok()))
}

fn spawn(command: &mut Command) -> io::Result<Child> {
    // A program may be several processes: they get signals together.
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()
}

/// A line that a program said.
enum Said {
    Out(String),
    Error(String),
}

fn errors(child: &mut Child, sender: SyncSender<Said>) -> io::Result<()> {
    match child.stderr.take() {
        Some(pipe) => listen(pipe, move |line| send(&sender, Said::Error(line))),
        None => Ok(()),
    }
}

fn attend(child: &mut Child, said: &Receiver<Said>, grace: Duration, ear: &mut impl Ear) -> io::Result<ExitStatus> {
    attend_within(child, said, (grace, IDLE, LOOK), ear)
}

fn attend_within(
    child: &mut Child,
    said: &Receiver<Said>,
    (grace, idle, look): (Duration, Duration, Duration),
    ear: &mut impl Ear,
) -> io::Result<ExitStatus> {
    let mut asked: Option<Instant> = None;
    let mut ended = None;
    let mut work = Work::new(child.id());
    let mut next = Instant::now() + look;
    let mut idles = false;
    loop {
        match said.recv_timeout(TICK) {
            Ok(Said::Out(line)) => {
                work.seen();
                ear.out(&line);
            }
            Ok(Said::Error(line)) => {
                work.seen();
                ear.error(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            // A process that the program left behind may hold the pipes open for ever.
            Err(RecvTimeoutError::Timeout) if ended.is_some() => break,
            Err(RecvTimeoutError::Timeout) => ended = child.try_wait()?,
        }
        if asked.is_none() && Instant::now() >= next {
            next = Instant::now() + look;
            idles = work.idles(idle);
        }
        match asked {
            None if idles || ear.stop() => {
                tracing::debug!("asking the program to stop");
                signal(child, Signal::TERM);
                asked = Some(Instant::now());
            }
            Some(at) if at.elapsed() > grace => signal(child, Signal::KILL),
            _ => {}
        }
    }
    let status = child.wait()?;
    if idles {
        let minutes = idle.as_secs() / 60;
        let text = format!("it moved nothing and did nothing for {minutes} minutes, and was ended");
        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
    }
    Ok(status)
}

/// A15: whether a program still does something: some programs wait for each other for ever.
struct Work {
    group: u32,
    /// The processor time of its processes, in ticks.
    ticks: u64,
    since: Instant,
}

impl Work {
    fn new(group: u32) -> Self {
        Self { group, ticks: 0, since: Instant::now() }
    }

    fn seen(&mut self) {
        self.since = Instant::now();
    }

    /// Whether it has done nothing for that long.
    fn idles(&mut self, limit: Duration) -> bool {
        let ticks = ticks(self.group);
        if ticks != self.ticks {
            self.ticks = ticks;
            self.seen();
        }
        self.since.elapsed() >= limit
    }
}

/// The processor time of all processes of a group: proc(5), the fields `pgrp`, `utime` and `stime` of `stat`.
fn ticks(group: u32) -> u64 {
    let of = |stat: &str| -> Option<u64> {
        // The name of the program may have blanks and parentheses.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        (number(2)? == u64::from(group)).then(|| Some(number(11)? + number(12)?))?
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter_map(|stat| of(&stat)).sum()
}

fn signal(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process_group(group, signal);
    }
}

fn send(sender: &SyncSender<Said>, said: Said) {
    // Nobody listens any more once the program has ended.
    let _ = sender.send(said);
}

fn listen(pipe: impl Read + Send + 'static, mut take: impl FnMut(String) + Send + 'static) -> io::Result<()> {
    thread(move || {
        if let Err(error) = lines(pipe, &mut take) {
            tracing::warn!(%error, "cannot read the program's output");
        }
    })
}

fn thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().stack_size(128 * 1024).spawn(work).map(drop)
}

/// Reads lines; progress may end in a carriage return. What is too long is cut, and what is not text replaced.
fn lines(mut pipe: impl Read, take: &mut impl FnMut(String)) -> io::Result<()> {
    let mut chunk = [0; 4096];
    let mut line = Vec::new();
    loop {
        let n = match pipe.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        for &byte in &chunk[..n] {
            if byte != b'\n' && byte != b'\r' {
                if line.len() < LINE {
                    line.push(byte);
                }
            } else if !line.is_empty() {
                take(String::from_utf8_lossy(&line).into_owned());
                line.clear();
            }
        }
        if n == 0 {
            if !line.is_empty() {
                take(String::from_utf8_lossy(&line).into_owned());
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Deaf;

    impl Ear for Deaf {
        fn out(&mut self, _line: &str) {}
        fn error(&mut self, _line: &str) {}
        fn stop(&mut self) -> bool {
            false
        }
    }

    #[test]
    fn what_a_program_said_is_waited_for_until_it_is_read() {
        let slow = |mut pipe: ChildStdout| {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            thread::sleep(5 * TICK);
            text
        };
        let (status, text) =
            run_reading(Command::new("echo").arg("said"), (TICK, Duration::from_secs(10)), &mut Deaf, slow).unwrap();
        assert!(status.success());
        assert_eq!(text.as_deref(), Some("said\n"));
    }

    /// Stops after a while.
    struct Patient(Instant);

    impl Ear for Patient {
        fn out(&mut self, _line: &str) {}
        fn error(&mut self, _line: &str) {}
        fn stop(&mut self) -> bool {
            self.0.elapsed() > Duration::from_secs(2)
        }
    }

    /// A15: rsync's three processes wait for each other.
    #[test]
    fn a_program_that_does_nothing_is_ended_and_one_that_works_without_a_word_is_not() {
        let ended = |program: &str| {
            let mut child = spawn(Command::new("sh").args(["-c", program])).unwrap();
            let (sender, said) = sync_channel(64);
            errors(&mut child, sender).unwrap();
            let limits = (TICK, Duration::from_secs(1), TICK);
            attend_within(&mut child, &said, limits, &mut Patient(Instant::now()))
        };
        let error = ended("sleep 600 & sleep 600").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert!(!ended("while :; do :; done").unwrap().success(), "it was stopped");
        assert!(!ended("while :; do echo x >&2; sleep 0.1; done").unwrap().success());
    }

    #[test]
    fn lines_are_lines_whatever_is_in_them() {
        let mut seen = Vec::new();
        lines(&b" 1 0%\r 2 5%\rdone\n\n\xff\xfe x\nno end"[..], &mut |line| seen.push(line)).unwrap();
        assert_eq!(seen, [" 1 0%", " 2 5%", "done", "\u{fffd}\u{fffd} x", "no end"]);
        let mut longest = 0;
        lines(&vec![b'x'; 3 * LINE][..], &mut |line| longest = line.len()).unwrap();
        assert_eq!(longest, LINE);
    }
}
