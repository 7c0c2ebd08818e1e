//! How restic is run: with its address and credentials in its environment alone, its words heard line by line, and
//! its patience bounded.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::Timestamp;
use model::reason::{Problem, Reason};
use rustix::fs::StatVfsMountFlags;

use super::address::Address;
use super::args::Common;
use super::classify::At;
use super::secret::Secret;
use super::ssh::{SCHEME as SFTP, Ssh};
use super::stderr::{Error, Heard};
use crate::child::{self, Ear};
use crate::outcome::Failure;
use crate::redact::Struck;

/// How long restic has to remove its lock after it was asked to end; a pod has 30 seconds in all.
const GRACE: Duration = Duration::from_secs(20);
/// How long what restic gave may still be read after its end.
const READ: Duration = Duration::from_secs(10);
/// The same of a stream that is written to a disk, which may be slow.
const POURED: Duration = Duration::from_secs(600);
/// How long restic itself waits for a lock before we look for stale ones again.
const RETRY_LOCK: Duration = Duration::from_secs(60);
/// restic's code for a repository that is locked.
const LOCKED: i32 = 11;
/// restic's code for a password that does not fit.
const PASSWORD: i32 = 12;

/// restic, with all that is the same in every call.
#[derive(Clone)]
pub(crate) struct Restic {
    repository: Address,
    secret: Secret,
    struck: Arc<Struck>,
    environment: Vec<(OsString, OsString)>,
    options: Vec<OsString>,
    ssh: Option<Arc<Ssh>>,
    /// What it reads on standard input, from the beginning in each call.
    input: Option<PathBuf>,
    patience: Duration,
    lock_wait: Duration,
    failed: Reason,
    stop: Arc<AtomicBool>,
}

/// Who hears restic's own words. What concerns the repository was heard already.
pub(crate) trait Listener {
    /// Takes a line of standard output.
    fn out(&mut self, line: &str);
    /// Takes an error about one entry.
    fn entry(&mut self, _error: &Error) {}
}

impl<F: FnMut(&str)> Listener for F {
    fn out(&mut self, line: &str) {
        self(line);
    }
}

/// How restic ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; `None` if it was killed.
    pub(crate) code: Option<i32>,
    /// What it said on the way.
    pub(crate) heard: Heard,
    /// The moment before it was started, by this node's clock; of several calls, the last.
    pub(crate) started: Timestamp,
    /// Whether the repository was locked by others at first.
    pub(crate) waited: bool,
}

impl Restic {
    /// Reads the Secret. `failed` is the reason of failures that have no other; `stop` ends whatever runs.
    pub(crate) fn open(args: &Common, failed: Reason, stop: Arc<AtomicBool>) -> Result<Self, Failure> {
        let secret = Secret::read(&args.secret, &args.secret_name)?;
        let repository = secret.address(&args.repository)?;
        // L15: only a disk's folder is a volume; its path is not the Secret's to say.
        if repository.is_local() && !args.repository.starts_with('/') && !args.allow_local {
            let text = format!(
                "the address in the Secret {} is a path in the pod, {}: what is written there is lost when the pod ends. Write \
                 the address of a server, or configure the destination with claim or hostPath",
                args.secret_name,
                repository.shown()
            );
            return Err(Failure::last(Problem::new(Reason::InvalidAddress, text)));
        }
        secret.check_password()?;
        let given = secret.environment(&args.secret, &args.env, repository.as_str().starts_with(SFTP))?;
        let struck = Arc::new(secret.struck(&args.repository, &repository, &given));
        // Before anything is said of it.
        struck.keep();
        let ssh = Ssh::open(&repository, &secret)?.map(Arc::new);
        let mut environment: Vec<(OsString, OsString)> = vec![("PATH".into(), child::path())];
        environment.extend(std::env::var_os("TMPDIR").map(|dir| ("TMPDIR".into(), dir)));
        environment.extend(given.into_iter().map(|(key, value)| (key.into(), value.into())));
        environment.push(("RESTIC_REPOSITORY".into(), repository.as_str().into()));
        // Also how often it says how far it is: every five seconds.
        environment.push(("RESTIC_PROGRESS_FPS".into(), "0.2".into()));
        // Each promoter is another device: restic would write every folder anew, and nothing would ever be unchanged.
        environment.push(("RESTIC_FEATURES".into(), "device-id-for-hardlinks=true".into()));
        Ok(Self {
            options: options(args, ssh.as_deref()),
            ssh,
            input: None,
            repository,
            secret,
            struck,
            environment,
            patience: args.patience_seconds,
            lock_wait: args.lock_seconds,
            failed,
            stop,
        })
    }

    pub(crate) fn repository(&self) -> &Address {
        &self.repository
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Whether somebody wants us to end.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The moment before a call, and how much ssh has said until then.
    fn begin(&self) -> (Timestamp, u64) {
        (Timestamp::now(), self.ssh.as_ref().map_or(0, |ssh| ssh.mark()))
    }

    fn end(&self, (started, mark): (Timestamp, u64), status: ExitStatus, mut heard: Heard) -> Ended {
        heard.helper(self.ssh.as_ref().filter(|_| !status.success()).and_then(|ssh| ssh.said(mark)));
        Ended { code: status.code(), heard, started, waited: false }
    }

    /// Runs restic to its end. It is ended early when we are.
    pub(crate) fn run(&self, args: &[OsString], listener: &mut impl Listener) -> Result<Ended, Failure> {
        self.run_unless(args, listener, &|| self.stopped())
    }

    /// The same, ended early when `stop` says so and not when we are to end.
    pub(crate) fn run_unless(
        &self,
        args: &[OsString],
        listener: &mut impl Listener,
        stop: &dyn Fn() -> bool,
    ) -> Result<Ended, Failure> {
        let begun = self.begin();
        let mut ear = Words { heard: Heard::new(self.patience, Arc::clone(&self.struck)), listener, stop };
        let status = self
            .command(args)
            .and_then(|mut command| child::run(&mut command, GRACE, &mut ear))
            .map_err(|error| self.no_start(&error))?;
        Ok(self.end(begun, status, ear.heard))
    }

    /// Runs restic and makes something of its standard output as a whole.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        args: &[OsString],
        stop: &dyn Fn() -> bool,
        read: impl FnOnce(ChildStdout) -> T + Send + 'static,
    ) -> Result<(Ended, Option<T>), Failure> {
        let begun = self.begin();
        let mut ear =
            Words { heard: Heard::new(self.patience, Arc::clone(&self.struck)), listener: &mut |_: &str| {}, stop };
        let (status, read) = self
            .command(args)
            .and_then(|mut command| child::run_reading(&mut command, (GRACE, READ), &mut ear, read))
            .map_err(|error| self.no_start(&error))?;
        Ok((self.end(begun, status, ear.heard), read))
    }

    /// The same for a long stream, of which `read` counts in `passed` what has come.
    pub(crate) fn stream<T: Send + 'static>(
        &self,
        args: &[OsString],
        stop: &dyn Fn() -> bool,
        passed: &AtomicU64,
        read: impl FnOnce(ChildStdout) -> T + Send + 'static,
    ) -> Result<(Ended, Option<T>), Failure> {
        let begun = self.begin();
        let mut ear = Flow { heard: Heard::new(self.patience, Arc::clone(&self.struck)), stop, passed, seen: 0 };
        let (status, read) = self
            .command(args)
            .and_then(|mut command| child::run_reading(&mut command, (GRACE, POURED), &mut ear, read))
            .map_err(|error| self.no_start(&error))?;
        Ok((self.end(begun, status, ear.heard), read))
    }

    /// Runs a command that locks the repository. While it is locked, stale locks are looked for and removed: restic
    /// takes a lock for stale after 30 minutes, or if its process is known to be dead. Never one that is in use.
    pub(crate) fn run_locking(&self, args: &[OsString], listener: &mut impl Listener) -> Result<Ended, Failure> {
        self.run_locking_unless(args, listener, &|| self.stopped())
    }

    /// The same, ended early when `stop` says so.
    pub(crate) fn run_locking_unless(
        &self,
        args: &[OsString],
        listener: &mut impl Listener,
        stop: &dyn Fn() -> bool,
    ) -> Result<Ended, Failure> {
        let end = Instant::now() + self.lock_wait;
        let mut args = args.to_vec();
        let mut waited = false;
        loop {
            let ended = Ended { waited, ..self.run_unless(&args, listener, stop)? };
            if ended.code != Some(LOCKED) || stop() || (waited && Instant::now() >= end) {
                return Ok(ended);
            }
            let locked = self.failure(&ended).problem;
            tracing::warn!("{}; waiting for it, and removing stale locks", locked.message);
            let unlocked = self.run_unless(&["unlock".into()], &mut |_: &str| {}, stop)?;
            if unlocked.code != Some(0) {
                return Err(self.failure(&unlocked));
            }
            if !waited {
                // After the verb: behind `--` it would be the name of a file.
                args.insert(1, format!("--retry-lock={}s", self.lock_wait.min(RETRY_LOCK).as_secs()).into());
                waited = true;
            }
        }
    }

    /// Why restic ended as it did, for a code that is none of the caller's.
    pub(crate) fn failure(&self, ended: &Ended) -> Failure {
        if self.stopped() {
            return Failure::again(Problem::new(self.failed, "restic was stopped before it finished"));
        }
        let at = At { repository: self.repository.shown(), secret: self.secret.name() };
        if ended.code == Some(PASSWORD) && self.is_foreign_folder() {
            let text =
                format!("the folder {} contains no restic keys, so it is not a restic repository", at.repository);
            return Failure::last(Problem::new(Reason::NotARepository, text));
        }
        at.failure(ended.code, &ended.heard.last_words(), self.failed)
    }

    /// The same of words of restic's that tell more than its last ones.
    pub(crate) fn because(&self, said: &str) -> Failure {
        At { repository: self.repository.shown(), secret: self.secret.name() }.failure(Some(1), said, self.failed)
    }

    /// restic did what it was asked to do, and what it said is not understood.
    pub(crate) fn unclear(&self, text: &str) -> Failure {
        Failure::again(Problem::new(self.failed, format!("restic: {text}")))
    }

    /// Whether a repository in a folder has no keys: then no password is wrong.
    fn is_foreign_folder(&self) -> bool {
        self.folder().is_some_and(|folder| !folder.join("keys").is_dir())
    }

    /// Where the repository lies, if that is a folder here.
    pub(crate) fn folder(&self) -> Option<&Path> {
        let address = self.repository.as_str();
        let path = address.strip_prefix("local:").unwrap_or(address);
        path.starts_with('/').then(|| path.as_ref())
    }

    /// What a command that only reads says where nobody can lock: on a disk that this pod has read-only. Until it has
    /// ended, nothing is started that writes to the disk.
    pub(crate) fn no_lock(&self) -> Option<OsString> {
        let read_only =
            |folder| rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY));
        self.folder().is_some_and(read_only).then(|| "--no-lock".into())
    }

    /// The same restic without some variables; `None` if it has none of them.
    pub(crate) fn without(&self, variables: &[&str]) -> Option<Self> {
        let is = |name: &OsString| variables.iter().any(|variable| name == variable);
        let environment: Vec<_> = self.environment.iter().filter(|(name, _)| !is(name)).cloned().collect();
        (environment.len() < self.environment.len()).then(|| Self { environment, ..self.clone() })
    }

    /// The same restic with a device, or a file, as its standard input.
    pub(crate) fn reading(&self, input: &Path) -> Self {
        Self { input: Some(input.to_owned()), ..self.clone() }
    }

    fn command(&self, args: &[OsString]) -> io::Result<Command> {
        let mut command = Command::new("restic");
        // A password never stands on a command line, and nothing of our own environment leads restic astray.
        // The options first: after `--` they would be names of files.
        command.args(&self.options).args(args).env_clear().envs(self.environment.iter().cloned());
        let input = match &self.input {
            Some(path) => Stdio::from(File::open(path)?),
            None => Stdio::null(),
        };
        command.env("LC_ALL", "C").current_dir("/").stdin(input);
        Ok(command)
    }

    fn no_start(&self, error: &io::Error) -> Failure {
        let problem = |text: String| Problem::new(self.failed, text);
        match error.kind() {
            io::ErrorKind::NotFound => {
                Failure::last(problem("the image has no restic: use the image backup-mover".to_owned()))
            }
            io::ErrorKind::TimedOut => {
                Failure::again(Problem::new(Reason::NoProgress, format!("restic is not done: {error}")))
            }
            _ => Failure::again(problem(format!("cannot run restic: {error}"))),
        }
    }
}

/// The options that every call has.
fn options(args: &Common, ssh: Option<&Ssh>) -> Vec<OsString> {
    let mut options: Vec<OsString> = vec!["--json".into()];
    match &args.cache {
        Some(folder) => options.extend(["--cache-dir".into(), folder.into()]),
        None => options.push("--no-cache".into()),
    }
    if let Some(ca) = args.ca.as_ref().filter(|ca| ca.exists()) {
        options.extend(["--cacert".into(), ca.into()]);
    }
    if let Some(ssh) = ssh {
        options.extend(["-o".into(), ssh.option().into()]);
    }
    options.extend(args.backend_option.iter().flat_map(|option| ["-o".into(), option.into()]));
    for (option, limit) in [("--limit-upload", args.limit_upload), ("--limit-download", args.limit_download)] {
        options.extend(limit.map(|kib| format!("{option}={kib}").into()));
    }
    options
}

/// The ear of every call: it hears what concerns the repository, and passes the rest on.
struct Words<'a, L> {
    heard: Heard,
    listener: &'a mut L,
    stop: &'a dyn Fn() -> bool,
}

impl<L: Listener> Ear for Words<'_, L> {
    fn out(&mut self, line: &str) {
        self.heard.contact();
        self.listener.out(line);
    }

    fn error(&mut self, line: &str) {
        if let Some(error) = self.heard.error(line, Instant::now()) {
            self.listener.entry(&error);
        }
    }

    fn stop(&mut self) -> bool {
        (self.stop)() || self.heard.gives_up(Instant::now())
    }
}

/// The ear of a call that gives a stream: as long as more of it comes, the repository answers.
struct Flow<'a> {
    heard: Heard,
    stop: &'a dyn Fn() -> bool,
    passed: &'a AtomicU64,
    seen: u64,
}

impl Ear for Flow<'_> {
    fn out(&mut self, _line: &str) {}

    fn error(&mut self, line: &str) {
        self.heard.error(line, Instant::now());
    }

    fn stop(&mut self) -> bool {
        let passed = self.passed.load(Ordering::Relaxed);
        if passed > self.seen {
            self.seen = passed;
            self.heard.contact();
        }
        (self.stop)() || self.heard.gives_up(Instant::now())
    }
}
