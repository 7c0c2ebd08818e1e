//! A volume, a copy of it, and room to restore to.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use model::maintain::{MaintainResult, TaskState};

use crate::place::{Ended, Job, Place, RUNS};

pub(crate) struct Scene {
    pub(crate) place: Place,
}

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        let place = Place::new(&format!("drill-{name}"));
        fs::create_dir(place.path.join("scratch")).unwrap();
        Self { place }
    }

    /// A volume with a few files in folders, and its copy.
    pub(crate) fn copied(name: &str) -> Self {
        let scene = Self::new(name);
        for i in 0..40 {
            scene.place.write(&format!("folder-{}/file-{i}", i % 4), &format!("content of file {i}"));
        }
        scene.copy();
        scene
    }

    /// Makes the copy of the run, by the program.
    pub(crate) fn copy(&self) {
        self.place.copy(RUNS[0]).run().complete();
    }

    /// A path in the copy.
    pub(crate) fn tree(&self, name: &str) -> PathBuf {
        self.place.disk(RUNS[0]).join(name)
    }

    /// A drill of everything.
    pub(crate) fn drill(&self) -> Job {
        self.sample("all")
    }

    /// A drill of a sample.
    pub(crate) fn sample(&self, sample: &str) -> Job {
        let mut job = self.place.job(&["drill", "--from=tree", "--allow-unmounted"]);
        let paths =
            [("tree", self.tree("")), ("original", self.place.source()), ("scratch", self.place.path.join("scratch"))];
        for (option, path) in paths {
            let mut arg = OsString::from(format!("--{option}="));
            arg.push(path);
            job = job.os_arg(arg);
        }
        job.arg(&format!("--run={}", RUNS[0])).arg(&format!("--sample={sample}"))
    }

    /// Nothing is left on the scratch volume.
    #[track_caller]
    pub(crate) fn is_tidy(&self) {
        let left: Vec<_> = fs::read_dir(self.place.path.join("scratch")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// How a drill ended.
pub(crate) trait Drilled {
    fn drilled(&self) -> MaintainResult;
    fn proven(&self) -> MaintainResult;
    fn disproved(&self, reason: &str) -> String;
    fn differs(&self) -> String;
}

impl Drilled for Ended {
    #[track_caller]
    fn drilled(&self) -> MaintainResult {
        let result: MaintainResult =
            serde_json::from_str(&self.message).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert_eq!((result.task, result.run.as_ref().unwrap().as_str()), (model::maintain::Task::Drill, RUNS[0]));
        result
    }

    #[track_caller]
    fn proven(&self) -> MaintainResult {
        let result = self.drilled();
        assert_eq!((self.code, result.state), (Some(0), TaskState::Done), "{self:?}");
        assert!(result.problem.is_none(), "{self:?}");
        result
    }

    /// The message of a drill that failed for good.
    #[track_caller]
    fn disproved(&self, reason: &str) -> String {
        let result = self.drilled();
        assert_eq!((self.code, result.state), (Some(3), TaskState::Failed), "{self:?}");
        let problem = result.problem.unwrap();
        assert_eq!(problem.reason.as_str(), reason, "{self:?}");
        assert!(problem.message.len() <= 512, "{self:?}");
        problem.message
    }

    #[track_caller]
    fn differs(&self) -> String {
        self.disproved("RestoreMismatch")
    }
}
