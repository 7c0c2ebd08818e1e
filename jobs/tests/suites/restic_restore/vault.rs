//! A volume that was copied into a repository, and an empty one.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::compare::{Listing, list};
use crate::place::{Job, RUNS};
use crate::repository::Repository;
use crate::restore::scene::Scene;

/// In the scene, the source is what was copied, and the disk's folder the volume that is written.
pub(crate) struct Vault {
    pub(crate) scene: Scene,
    pub(crate) repository: Repository,
}

impl Vault {
    pub(crate) fn new(name: &str) -> Self {
        let scene = Scene::new(&format!("restic-{name}"));
        let repository = Repository::new(&scene.place);
        Self { scene, repository }
    }

    /// With some files, copied.
    pub(crate) fn copied(name: &str) -> Self {
        let vault = Self::new(name);
        for i in 0..12 {
            vault.scene.place.write(&format!("folder-{}/file-{i}", i % 3), &format!("content of {i}"));
        }
        vault.scene.place.write("etc/app/app.conf", "[app]");
        vault.copy();
        vault
    }

    pub(crate) fn copy(&self) -> String {
        self.repository.copy(&self.scene.place, RUNS[0], &[])
    }

    /// A path in what was copied.
    pub(crate) fn original(&self, name: &str) -> PathBuf {
        self.scene.place.file(name)
    }

    /// A path in the volume that is written.
    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.scene.place.disk(name)
    }

    pub(crate) fn list_original(&self) -> Listing {
        list(&self.scene.place.source())
    }

    pub(crate) fn list_volume(&self) -> Listing {
        list(&self.scene.place.path.join("disk"))
    }

    /// A restore of the run without a question.
    pub(crate) fn restore(&self, args: &[&str]) -> Job {
        self.bare(&["--yes", &format!("--run={}", RUNS[0])]).args(args)
    }

    /// A restore with the options that every test has.
    pub(crate) fn bare(&self, args: &[&str]) -> Job {
        let mut job = self.scene.place.job(&["restic", "restore", "--allow-unmounted", "--holders-wait=1s"]);
        let paths = [
            ("target", self.scene.place.path.join("disk")),
            ("holders", self.scene.holders()),
            ("status", self.scene.place.path.join("status")),
        ];
        for (option, path) in paths {
            let mut arg = OsString::from(format!("--{option}="));
            arg.push(path);
            job = job.os_arg(arg);
        }
        self.repository.with(job).args(args)
    }
}
