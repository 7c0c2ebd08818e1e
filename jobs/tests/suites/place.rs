//! A source, a destination, and the program between them.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use model::record::CopyResult;

use crate::compare::{Listing, list};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_backup-job");

/// Runs of three days.
pub(crate) const RUNS: [&str; 5] =
    ["20181201T0000Z", "20181202T0000Z", "20181203T0000Z", "20181204T0000Z", "20181205T0000Z"];

/// Whether the test may do what root may; if not, says which claim was not checked.
pub(crate) fn root(claim: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        say(&format!("SKIPPED, not root: {claim}"));
    }
    root
}

/// Whether a tool is here; if not, says which claim was not checked.
pub(crate) fn has(tool: &str, claim: &str) -> bool {
    let found = which(tool).is_some();
    if !found {
        say(&format!("SKIPPED, no {tool} (apt-get install -y acl attr util-linux): {claim}"));
    }
    found
}

/// Says something past the harness, which captures only the macros.
pub(crate) fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

pub(crate) fn which(tool: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(tool)).find(|path| path.is_file())
}

/// Folders of one test, removed afterwards.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    mounts: Vec<PathBuf>,
}

impl Place {
    /// `name` is the test's.
    pub(crate) fn new(name: &str) -> Self {
        assert!(which("rsync").is_some(), "these tests need rsync: apt-get install -y rsync acl attr");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for dir in ["source", "disk", "bin"] {
            fs::create_dir_all(path.join(dir)).unwrap();
        }
        Self { path, mounts: Vec::new() }
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.path.join("source")
    }

    /// A path in the source.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.source().join(name)
    }

    /// A path in the destination.
    pub(crate) fn disk(&self, name: &str) -> PathBuf {
        self.path.join("disk").join(name)
    }

    /// Writes a file of the source, whole and with a fixed time.
    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        set_time(&path, 1_500_000_000 + i64::try_from(content.len()).unwrap());
    }

    /// What lies in the destination, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path.join("disk")).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The trees and manifests that a healthy destination has for these runs, sorted, and nothing else.
    #[track_caller]
    pub(crate) fn holds(&self, runs: &[&str]) {
        let wanted: Vec<String> = runs.iter().flat_map(|run| [(*run).to_owned(), format!("{run}.json")]).collect();
        assert_eq!(self.names(), wanted);
    }

    pub(crate) fn tree(&self, run: &str) -> Listing {
        list(&self.disk(run))
    }

    pub(crate) fn manifest(&self, run: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.disk(&format!("{run}.json"))).unwrap()).unwrap()
    }

    pub(crate) fn inode(&self, run: &str, file: &str) -> u64 {
        fs::symlink_metadata(self.disk(run).join(file)).unwrap().ino()
    }

    /// Puts a script in rsync's place. `$RSYNC` in it is the real one.
    pub(crate) fn fake_rsync(&self, script: &str) {
        let path = self.path.join("bin/rsync");
        let real = which("rsync").unwrap();
        fs::write(&path, format!("#!/bin/sh\nRSYNC={}\n{script}\n", real.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn real_rsync(&self) {
        fs::remove_file(self.path.join("bin/rsync")).unwrap();
    }

    /// Mounts something, until the test's end.
    pub(crate) fn mount(&mut self, args: &[&str], at: &Path) {
        let done = Command::new("mount").args(args).arg(at).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        self.unmount_later(at);
    }

    /// What a test mounted itself is unmounted at its end.
    pub(crate) fn unmount_later(&mut self, at: &Path) {
        self.mounts.push(at.to_owned());
    }

    /// The copy of a run, with the options that every test has.
    pub(crate) fn copy(&self, run: &str) -> Job {
        let mut job = self.job(&["copy", "--name=disk", "--allow-unmounted"]);
        job.args.push(format!("--run={run}").into());
        for (option, path) in [("source", self.source()), ("destination", self.path.join("disk"))] {
            let mut arg = OsString::from(format!("--{option}="));
            arg.push(path);
            job.args.push(arg);
        }
        // Whoever is not root keeps no owners.
        if rustix::process::geteuid().is_root() { job } else { job.arg("--accept=owners") }
    }

    pub(crate) fn job(&self, args: &[&str]) -> Job {
        Job {
            args: args.iter().map(Into::into).collect(),
            log: self.path.join("termination-log"),
            bin: self.path.join("bin"),
            env: Vec::new(),
            before: Vec::new(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for mount in &self.mounts {
            let _ = Command::new("umount").arg(mount).status();
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// One call of the program.
pub(crate) struct Job {
    args: Vec<OsString>,
    log: PathBuf,
    bin: PathBuf,
    env: Vec<(&'static str, OsString)>,
    before: Vec<String>,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// The termination message.
    pub(crate) message: String,
    /// Standard output, then standard error.
    pub(crate) output: String,
    #[allow(dead_code, reason = "of the restore's tests")]
    pub(crate) stdout: String,
}

impl Ended {
    /// The message as a copy's result.
    #[track_caller]
    pub(crate) fn result(&self) -> CopyResult {
        serde_json::from_str(&self.message).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The result of a copy that is complete.
    #[track_caller]
    pub(crate) fn complete(&self) -> CopyResult {
        assert_eq!(self.code, Some(0), "{self:?}");
        let result = self.result();
        assert_eq!(result.state, model::record::CopyState::Complete, "{self:?}");
        assert!(result.reason.is_none() && result.message.is_empty(), "{self:?}");
        result
    }

    /// The message of a copy that ended in this way.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, reason: &str) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        let result = self.result();
        assert_eq!(result.state, model::record::CopyState::Failed, "{self:?}");
        assert_eq!(result.reason.unwrap().as_str(), reason, "{self:?}");
        result.message
    }
}

impl Job {
    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    #[allow(dead_code, reason = "of the restore's tests")]
    pub(crate) fn os_arg(mut self, arg: OsString) -> Self {
        self.args.push(arg);
        self
    }

    pub(crate) fn args(self, args: &[&str]) -> Self {
        args.iter().fold(self, |job, arg| job.arg(arg))
    }

    /// Without an option that every test has.
    pub(crate) fn without(mut self, arg: &str) -> Self {
        self.args.retain(|old| old != arg);
        self
    }

    /// Gives an option another value.
    pub(crate) fn instead(mut self, arg: &str) -> Self {
        let option = arg.split_inclusive('=').next().unwrap();
        self.args.retain(|old| !old.to_string_lossy().starts_with(option));
        self.arg(arg)
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Runs the program by way of another one.
    pub(crate) fn by(mut self, command: &[&str]) -> Self {
        self.before = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// With the rights of the copy pod: uid 0 and six capabilities.
    pub(crate) fn with_a_pods_rights(self, claim: &str) -> Self {
        if !has("setpriv", &format!("(only with the pod's few capabilities) {claim}")) {
            return self;
        }
        self.by(&["setpriv", "--bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+setfcap,+mknod"])
    }

    pub(crate) fn command(&self) -> Command {
        let mut words: Vec<OsString> = self.before.iter().map(Into::into).collect();
        words.push(PROGRAM.into());
        let mut command = Command::new(&words[0]);
        let mut path = self.bin.as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let mut log = OsString::from("--termination-log=");
        log.push(&self.log);
        command.args(&words[1..]).arg(log).args(&self.args).env("PATH", path).env("POD_UID", "pod-1");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Ended {
        let _ = fs::remove_file(&self.log);
        let Output { status, stdout, stderr } = self.command().output().unwrap();
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        let output = stdout.clone() + &String::from_utf8_lossy(&stderr);
        Ended { code: status.code(), message: fs::read_to_string(&self.log).unwrap_or_default(), output, stdout }
    }

    /// What a call that was started left, once it ended.
    pub(crate) fn ended(&self, code: Option<i32>) -> Ended {
        Ended {
            code,
            message: fs::read_to_string(&self.log).unwrap_or_default(),
            output: String::new(),
            stdout: String::new(),
        }
    }

    /// Starts it.
    pub(crate) fn start(&self) -> Child {
        let _ = fs::remove_file(&self.log);
        self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sets a file's (or link's own) time.
pub(crate) fn set_time(path: &Path, seconds: i64) {
    set_time_ns(path, seconds, 123_456_789);
}

pub(crate) fn set_time_ns(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
