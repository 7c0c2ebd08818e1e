//! A volume, a Secret and a repository, and the program between them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use model::maintain::{MaintainResult, TaskState};
use model::record::Holders;
use serde_json::Value;

use crate::compare::{list, same};
use crate::place::{Ended, Job, Place, which};

pub(crate) const PASSWORD: &str = "hf83-kd92-ab17";

/// One test's world, removed afterwards.
pub(crate) struct Scene {
    pub(crate) place: Place,
    /// The address without what is added for a source.
    address: String,
}

impl Scene {
    /// With a repository in a folder; `name` is the test's.
    pub(crate) fn new(name: &str) -> Self {
        let place = Place::new(&format!("restic-{name}"));
        let address = place.path.join("repositories").display().to_string();
        Self::with(place, address)
    }

    /// With a repository anywhere.
    pub(crate) fn at(name: &str, address: &str) -> Self {
        Self::with(Place::new(&format!("restic-{name}")), address.to_owned())
    }

    fn with(place: Place, address: String) -> Self {
        assert!(which("restic").is_some(), "these tests need restic: make mover-tools");
        fs::create_dir(place.path.join("secret")).unwrap();
        let scene = Self { place, address };
        scene.secret("RESTIC_PASSWORD", PASSWORD);
        scene.secret("RESTIC_REPOSITORY", &scene.address);
        scene
    }

    /// The volume.
    pub(crate) fn source(&self) -> PathBuf {
        self.place.source()
    }

    /// Where a copy sees the volume: mounted below the root, as in a pod. restic keeps the folders above it too, and
    /// elsewhere their times change.
    pub(crate) fn seen(&self) -> PathBuf {
        if is_root() { "/mnt".into() } else { self.source() }
    }

    /// Writes a file of the volume.
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.source().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes bytes that do not get smaller and are not in the repository yet.
    pub(crate) fn write_noise(&self, name: &str, bytes: usize) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::try_from(bytes).unwrap();
        for byte in name.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let noise: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| next()).collect();
        self.write(name, &noise);
    }

    /// Sets a key of the Secret.
    pub(crate) fn secret(&self, key: &str, value: &str) {
        fs::write(self.place.path.join("secret").join(key), value).unwrap();
    }

    /// Removes a key of the Secret.
    pub(crate) fn no_secret(&self, key: &str) {
        fs::remove_file(self.place.path.join("secret").join(key)).unwrap();
    }

    /// The repository's address.
    pub(crate) fn repository(&self) -> String {
        format!("{}/shop/data/uid-1", self.address)
    }

    /// A path in the repository, if it is a folder.
    pub(crate) fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(self.repository()).join(path)
    }

    fn verb(&self, verb: &str) -> Job {
        let secret = format!("--secret={}", self.place.path.join("secret").display());
        self.place.job(&["restic", verb]).arg(&secret).args(&[
            "--name=s3",
            "--repository={RESTIC_REPOSITORY}/shop/data/uid-1",
            "--secret-name=shop/backup-s3",
            "--namespace=shop",
            "--pvc=data",
            "--uid=uid-1",
            "--patience-seconds=2",
            "--allow-local=true",
        ])
    }

    /// The copy of a run.
    pub(crate) fn copy(&self, run: &str) -> Job {
        self.copy_by(run, &[])
    }

    /// The same by way of another program.
    pub(crate) fn copy_by(&self, run: &str, by: &[&str]) -> Job {
        let (run, source) = (format!("--run={run}"), format!("--source={}", self.seen().display()));
        let job = self.verb("copy").args(&[&run, &source, "--skip-unchanged"]);
        if !is_root() {
            return job.arg("--allow-unmounted").by(by);
        }
        let mount = format!("mount --bind '{}' /mnt && exec \"$@\"", self.source().display());
        let all: Vec<&str> = ["unshare", "--mount", "sh", "-c", &mount, "sh"].iter().chain(by).copied().collect();
        job.by(&all)
    }

    /// A prune on the sixth day.
    pub(crate) fn prune(&self, retention: &str) -> Job {
        self.verb("prune").args(&["--now=2018-12-06T00:00:00Z", &format!("--retention={retention}")])
    }

    /// The removal of all that is there of the source.
    pub(crate) fn remove(&self) -> Job {
        self.verb("remove")
    }

    /// A check of a part.
    pub(crate) fn verify(&self, part: &str) -> Job {
        self.verb("verify").arg(&format!("--subset={part}"))
    }

    /// A restore of a run into a folder, without a question.
    pub(crate) fn restore(&self, run: &str, target: &Path) -> Job {
        let holders = self.place.path.join("holders");
        let nobody = Holders { at: model::Timestamp::now(), pods: Vec::new() };
        fs::write(&holders, serde_json::to_string(&nobody).unwrap()).unwrap();
        let paths = [("target", target), ("holders", &holders), ("status", &self.place.path.join("status"))];
        let job = self.verb("restore").args(&["--allow-unmounted", "--holders-wait=1s", "--yes"]);
        let job = paths.iter().fold(job, |job, (option, path)| job.arg(&format!("--{option}={}", path.display())));
        job.arg(&format!("--run={run}"))
    }

    /// Stock restic, as a person runs it.
    pub(crate) fn restic(&self, args: &[&str]) -> Output {
        self.stock(args).output().unwrap()
    }

    /// The same, to be started.
    pub(crate) fn stock(&self, args: &[&str]) -> Command {
        let mut command = Command::new("restic");
        command.env("RESTIC_PASSWORD", PASSWORD).args(["--no-cache", "-r", &self.repository()]).args(args);
        // `repair packs` leaves what it removes where it is called.
        command.current_dir(&self.place.path);
        command
    }

    /// What stock restic says, as JSON.
    #[track_caller]
    pub(crate) fn snapshots(&self) -> Vec<Value> {
        let out = self.restic(&["snapshots", "--json"]);
        assert!(out.status.success(), "{out:?}");
        serde_json::from_slice(&out.stdout).unwrap()
    }

    /// The runs of the snapshots, oldest first, with their other tags.
    #[track_caller]
    pub(crate) fn holds(&self, runs: &[&str]) {
        let run = |snapshot: &Value| {
            let tags: Vec<&str> =
                snapshot["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
            let ours = |tag: &&&str| !tag.starts_with("source=") && !tag.starts_with("uid=");
            tags.iter().filter(ours).map(|tag| tag.trim_start_matches("run=")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(self.snapshots().iter().map(run).collect::<Vec<_>>(), runs);
    }

    /// Stock restic finds nothing wrong, and brings a snapshot back as the volume is.
    #[track_caller]
    pub(crate) fn has_the_volume_in(&self, snapshot: &str) {
        let out = self.restic(&["check", "--read-data"]);
        assert!(out.status.success(), "{out:?}");
        let target = self.place.path.join("back");
        let _ = fs::remove_dir_all(&target);
        let path = format!("{snapshot}:{}", self.seen().display());
        let out = self.restic(&["restore", &path, "--target", target.to_str().unwrap()]);
        assert!(out.status.success(), "{out:?}");
        let [mut wanted, mut found] = [list(&self.source()), list(&target)];
        // The folder that was restored into is not restored itself.
        wanted.remove(std::path::Path::new(""));
        found.remove(std::path::Path::new(""));
        same(&wanted, &found);
    }

    /// Puts a script in restic's place. `$RESTIC` in it is the real one.
    pub(crate) fn fake_restic(&self, script: &str) {
        let real = which("restic").unwrap();
        self.program("restic", &format!("RESTIC={}\n{script}", real.display()));
    }

    /// Puts a script in a program's place.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.place.path.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn real_restic(&self) {
        fs::remove_file(self.place.path.join("bin/restic")).unwrap();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The result of a task that is done.
#[track_caller]
pub(crate) fn done(ended: &Ended) -> MaintainResult {
    let result = task(ended);
    assert_eq!((ended.code, result.state), (Some(0), TaskState::Done), "{ended:?}");
    result
}

/// The message of a task that failed in this way.
#[track_caller]
pub(crate) fn failed(ended: &Ended, code: i32, reason: &str) -> String {
    let result = task(ended);
    assert_eq!((ended.code, result.state), (Some(code), TaskState::Failed), "{ended:?}");
    let problem = result.problem.unwrap();
    assert_eq!(problem.reason.as_str(), reason, "{ended:?}");
    problem.message
}

#[track_caller]
fn task(ended: &Ended) -> MaintainResult {
    serde_json::from_str(&ended.message).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// Runs as text.
pub(crate) fn texts(runs: &[model::names::Run]) -> Vec<&str> {
    runs.iter().map(model::names::Run::as_str).collect()
}
