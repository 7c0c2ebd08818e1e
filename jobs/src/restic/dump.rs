//! A device out of a repository: restic gives its image as one stream.

use std::path::Path;
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use model::reason::{Problem, Reason};

use super::exec::{Ended, Restic};
use super::point::RepositoryPoint;
use super::restore::listing::Entry;
use crate::outcome::Failure;

/// What the pipe may hold: restic writes whole blobs.
const PIPE: usize = 1 << 20;

/// The image that a snapshot has.
pub(crate) struct Dump<'a> {
    restic: &'a Restic,
    point: &'a RepositoryPoint,
    /// Its size in bytes: so many have to come.
    pub(crate) size: u64,
}

impl<'a> Dump<'a> {
    /// Asks how large the image is.
    pub(crate) fn open(restic: &'a Restic, point: &'a RepositoryPoint) -> Result<Self, Failure> {
        let mut size = None;
        let args = ["ls".into(), "--no-lock".into(), point.id.clone().into()];
        let ended = restic.run(&args, &mut |line: &str| {
            let image = Entry::read(line).filter(|entry| entry.is_file() && Path::new(&entry.path) == point.root);
            size = size.or(image.map(|image| image.size));
        })?;
        match (ended.code, size) {
            (Some(0), Some(size)) if size > 0 => Ok(Self { restic, point, size }),
            (Some(0), _) => {
                let text = format!("{} contains no device image", point.name());
                Err(Failure::last(Problem::new(Reason::RestorePointEmpty, text)))
            }
            _ => Err(restic.failure(&ended)),
        }
    }

    /// Hands the stream to `take`, which counts in `passed` what has come. `stop` ends it early. None: `take` came to
    /// no end. Whether all of it came is known only if restic ended well, too.
    pub(crate) fn pour<T: Send + 'static>(
        &self,
        stop: &dyn Fn() -> bool,
        passed: &Arc<AtomicU64>,
        take: impl FnOnce(ChildStdout) -> T + Send + 'static,
    ) -> Result<(Ended, Option<T>), Failure> {
        let args = ["dump".into(), "--no-lock".into(), self.point.id.clone().into(), self.point.root.clone().into()];
        self.restic.stream(&args, stop, passed, |pipe| {
            // A small pipe only costs time.
            let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE);
            take(pipe)
        })
    }
}
