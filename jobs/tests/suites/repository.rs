//! A repository of restic's in a folder, and the copies in it, made by the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{Job, Place, wait_until, which};

/// The PVC's UID.
pub(crate) const UID: &str = "0b7cf2a8-7f2d-4f55-9a3e-2f4f1d1b7a10";
const PASSWORD: &str = "hf83-kd92-ab17-x";

pub(crate) struct Repository {
    folder: PathBuf,
    secret: PathBuf,
}

impl Repository {
    /// A Secret, and a place for the repository.
    pub(crate) fn new(place: &Place) -> Self {
        assert!(which("restic").is_some(), "these tests need restic 0.19");
        let secret = place.path.join("secret");
        fs::create_dir_all(&secret).unwrap();
        let folder = place.path.join("repository");
        fs::write(secret.join("RESTIC_REPOSITORY"), folder.to_str().unwrap()).unwrap();
        fs::write(secret.join("RESTIC_PASSWORD"), PASSWORD).unwrap();
        Self { folder, secret }
    }

    /// The options that every call has.
    pub(crate) fn with(&self, job: Job) -> Job {
        let secret = format!("--secret={}", self.secret.display());
        job.args(&["--name=s3", "--repository={RESTIC_REPOSITORY}", "--secret-name=shop/backup-s3", &secret]).args(&[
            "--allow-local=true",
            "--namespace=shop",
            "--pvc=data",
            &format!("--uid={UID}"),
        ])
    }

    /// As a pod that only reads has it, on a disk. Until the place goes.
    pub(crate) fn read_only(&self, place: &mut Place) {
        place.mount(&["-o", "bind,ro", self.folder.to_str().unwrap()], &self.folder);
        let locks = self.folder.join("locks/x");
        assert!(fs::write(&locks, "").is_err(), "{} can be written", locks.display());
    }

    /// Copies a volume, and gives the snapshot's id.
    pub(crate) fn copy(&self, place: &Place, run: &str, more: &[&str]) -> String {
        let source = format!("--source={}", place.source().display());
        let job = place.job(&["restic", "copy", "--allow-unmounted", &source, &format!("--run={run}")]);
        let ended = self.with(job).args(more).run();
        ended.complete().snapshot.unwrap_or_else(|| panic!("{ended:?}"))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("restic");
        command.args(args).args(["--no-cache", "--json"]).env("RESTIC_PASSWORD", PASSWORD);
        command.env("RESTIC_REPOSITORY", &self.folder);
        command
    }

    /// A prune that stands still, with its lock. Killed, it leaves it.
    pub(crate) fn prune_that_hangs(&self) -> Child {
        let child = self.command(&["prune"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("prune has its lock", || {
            // While it is written it has a longer name.
            let is_whole = |lock: fs::DirEntry| lock.file_name().len() == 64;
            fs::read_dir(self.folder.join("locks")).is_ok_and(|locks| locks.flatten().any(is_whole))
        });
        kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
        child
    }

    /// restic itself.
    pub(crate) fn restic(&self, args: &[&str]) -> String {
        let done = self.command(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Every pack of data, the largest first.
    pub(crate) fn packs(&self) -> Vec<PathBuf> {
        let mut packs = Vec::new();
        for folder in fs::read_dir(self.folder.join("data")).unwrap() {
            packs.extend(fs::read_dir(folder.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
        }
        packs.sort_by_key(|path: &PathBuf| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
        packs
    }
}

/// Bytes that no compression makes fewer.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).collect()
}

/// Flips a bit in the middle of a file.
pub(crate) fn flip(path: &Path) {
    use std::os::unix::fs::FileExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let at = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}
