//! A restore point, a volume, and what the controller says of who has it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use model::Timestamp;
use model::record::{RestoreResult, RestoreState};

use crate::compare::{Listing, list};
use crate::place::{Ended, Job, Place, set_time};

pub(crate) struct Scene {
    pub(crate) place: Place,
}

impl Scene {
    /// Two empty volumes, and nobody else who has one.
    pub(crate) fn new(name: &str) -> Self {
        let scene = Self { place: Place::new(&format!("restore-{name}")) };
        scene.held_by(&[]);
        scene
    }

    /// A path in the volume that is written. (Its name is the origin's.)
    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.place.file(name)
    }

    /// A path in the restore point.
    pub(crate) fn point(&self, name: &str) -> PathBuf {
        self.place.disk(name)
    }

    pub(crate) fn list_volume(&self) -> Listing {
        list(&self.place.source())
    }

    pub(crate) fn list_point(&self) -> Listing {
        list(&self.place.path.join("disk"))
    }

    pub(crate) fn holders(&self) -> PathBuf {
        self.place.path.join("holders")
    }

    /// The controller has just said so.
    pub(crate) fn held_by(&self, pods: &[&str]) {
        self.held_by_ago(0, pods);
    }

    pub(crate) fn held_by_ago(&self, seconds: i64, pods: &[&str]) {
        let at = Timestamp::from_second(Timestamp::now().as_second() - seconds).unwrap();
        let text = serde_json::json!({"at": at, "pods": pods}).to_string();
        // As the kubelet does it: a reader sees the old or the new.
        let draft = self.place.path.join("holders.new");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.holders()).unwrap();
    }

    /// A restore without a question.
    pub(crate) fn restore(&self, args: &[&str]) -> Job {
        self.bare(&["--yes"]).args(args)
    }

    /// A restore with the options that every test has.
    pub(crate) fn bare(&self, args: &[&str]) -> Job {
        let mut job = self.place.job(&["restore", "--allow-unmounted", "--holders-wait=1s"]);
        let paths = [
            ("source", self.place.source()),
            ("destination", self.place.path.join("disk")),
            ("holders", self.holders()),
            ("status", self.place.path.join("status")),
        ];
        for (option, path) in paths {
            let mut arg = OsString::from(format!("--{option}="));
            arg.push(path);
            job = job.os_arg(arg);
        }
        job.args(args)
    }
}

/// Writes a file whole, with a time of its own.
pub(crate) fn put(path: &Path, content: &str, time: i64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    set_time(path, time);
}

/// How a restore ended.
pub(crate) trait Restored {
    fn restored(&self) -> RestoreResult;
    fn whole(&self) -> RestoreResult;
    fn refused(&self, reason: &str) -> String;
    fn broke_off(&self, code: i32, reason: &str) -> String;
}

impl Restored for Ended {
    #[track_caller]
    fn restored(&self) -> RestoreResult {
        serde_json::from_str(&self.message).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    fn whole(&self) -> RestoreResult {
        let result = self.restored();
        assert_eq!((self.code, result.state), (Some(0), RestoreState::Complete), "{self:?}");
        assert!(result.problem.is_none(), "{self:?}");
        result
    }

    /// The message of a restore that wrote nothing.
    #[track_caller]
    fn refused(&self, reason: &str) -> String {
        let result = self.restored();
        assert_eq!((self.code, result.state, result.changed), (Some(3), RestoreState::Refused, 0), "{self:?}");
        let problem = result.problem.unwrap();
        assert_eq!(problem.reason.as_str(), reason, "{self:?}");
        assert!(self.output.contains("Nothing was written."), "{self:?}");
        problem.message
    }

    /// The message of a restore that began.
    #[track_caller]
    fn broke_off(&self, code: i32, reason: &str) -> String {
        let result = self.restored();
        assert_eq!((self.code, result.state), (Some(code), RestoreState::Failed), "{self:?}");
        let problem = result.problem.unwrap();
        assert_eq!(problem.reason.as_str(), reason, "{self:?}");
        problem.message
    }
}
