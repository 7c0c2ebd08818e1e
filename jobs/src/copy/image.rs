//! The making of one tree of a device: its image, compared with the one before.
//!
//! An image that has not changed is the one before, under one more name. Otherwise it is a clone of that one where
//! the disk makes clones, and only what differs is written; or it is written anew, without its zeros. What a try
//! left is gone on with: contents are compared, so it does not matter which of them the disk had kept.

use std::fs::{self, File};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use model::facts::VolumeMode;
use model::names::Run;
use model::quantity::human;
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState};

use super::args::Args;
use super::commit;
use super::layout::{Partial, Shelf, Tree};
use super::manifest::Manifest;
use super::partial::{self, Start};
use super::source::{self, Source};
use super::task::TASK;
use crate::device::stream::{self, Broken, Target};
use crate::device::{Device, Reader, image};
use crate::outcome::{Failure, now};

/// What a tree of a device is made of.
pub(crate) struct Imaging<'a> {
    /// What was asked for.
    pub(crate) args: &'a Args,
    /// Where the tree goes.
    pub(crate) shelf: &'a Shelf,
    /// The trees before.
    pub(crate) trees: &'a [Tree],
    /// Whether somebody wants this to end.
    pub(crate) stop: &'a AtomicBool,
    /// When it began.
    pub(crate) started: Instant,
}

/// The newest image before.
struct Before {
    run: Run,
    file: File,
    size: u64,
}

/// What became of the image.
struct Made {
    written: u64,
    linked: Option<Run>,
}

/// Whether there is nothing but zeros on a device.
pub(crate) fn is_blank(device: &Device, stopped: &dyn Fn() -> bool) -> Result<bool, Failure> {
    let mut from = device.reader(0).map_err(|error| unreadable(&error))?;
    stream::is_blank(&mut from, device.size, &mut |_| !stopped()).map_err(broken)
}

/// The device cannot be read. Another try may help: it may only now be attached.
pub(crate) fn unreadable(error: &io::Error) -> Failure {
    Failure::again(Problem::new(Reason::Unreadable, format!("cannot read the device: {error}")))
}

fn broken(broken: Broken) -> Failure {
    match broken {
        Broken::From(at, error) => {
            let text = format!("cannot read the device at byte {at}: {error}");
            Failure::again(Problem::new(Reason::Unreadable, text))
        }
        Broken::Into(_, error) => TASK.io("writing the image", &error),
        Broken::Stopped => {
            let text = "the copy was stopped before it finished; the next attempt continues it";
            Failure::again(Problem::new(Reason::CopyFailed, text))
        }
    }
}

impl Imaging<'_> {
    /// Makes the tree of the run, from what is left of the tries before.
    pub(crate) fn run(&self, left: Vec<Partial>) -> Result<Manifest, Failure> {
        let device = Device::open(&self.args.source).map_err(|error| unreadable(&error))?;
        let copies = self.trees.iter().map(|tree| (&tree.run, tree.manifest.result.files));
        let blank = is_blank(&device, &|| self.stop.load(Ordering::Relaxed))?;
        // Law 6: a device of zeros is an empty volume.
        let source = Source { empty: blank, leave_lost_and_found: false };
        source::check_empty(source, self.args.accept_empty, self.args.filled.as_ref(), copies)?;
        let start = partial::begin(self.shelf, &self.args.run, &self.args.attempt, left)?;
        tracing::info!(run = %self.args.run, "copying a device of {}", human(device.size));
        let made = self.make(&device, &start).inspect_err(|failure| self.give_room(&start, failure))?;
        let written_down = || self.written_down(&device, blank, made);
        let manifest = commit::commit(self.shelf, &start.partial, written_down)
            .map_err(|error| TASK.io("completing the copy", &error))?;
        if let Some(other) = &start.other {
            partial::discard(self.shelf, other);
        }
        Ok(manifest)
    }

    fn make(&self, device: &Device, start: &Start) -> Result<Made, Failure> {
        let writing = |error: io::Error| TASK.io("writing the image", &error);
        let tree = self.shelf.at(&start.partial.name());
        let before = self.before();
        // What an earlier try of this run wrote is known to differ from the image before.
        let left = image::open_own(&tree).map_err(writing)?;
        let (mut target, from) = if let Some(file) = left {
            (Target::over(file), 0)
        } else {
            // It may be a link to an image of another run, made by a try that ended right then.
            image::remove(&tree).map_err(writing)?;
            let differ = before.as_ref().map(|before| self.differ(device, before)).transpose()?.flatten();
            if let (Some(before), None) = (&before, differ)
                && image::link(&before.file, &self.shelf.at(before.run.as_str()), &tree).map_err(writing)?
            {
                return Ok(Made { written: 0, linked: Some(before.run.clone()) });
            }
            self.begin(start, before.as_ref(), differ).map_err(writing)?
        };
        target.resize(device.size).map_err(writing)?;
        let mut reader = device.reader(from).map_err(|error| unreadable(&error))?;
        stream::write(&mut reader, (from, device.size), &mut target, &mut self.told("copying", device))
            .map_err(broken)?;
        target.sync().map_err(writing)?;
        Ok(Made { written: target.written, linked: None })
    }

    /// The image to write, and the byte up to which it is what the device is.
    fn begin(&self, start: &Start, before: Option<&Before>, differ: Option<u64>) -> io::Result<(Target, u64)> {
        let tree = self.shelf.at(&start.partial.name());
        if let Some(other) = start.other.as_ref().map(|other| self.shelf.at(&other.name()))
            && let Some(file) = image::open_own(&other)?
        {
            tracing::info!("continuing the unfinished image of an earlier run");
            fs::rename(image::path(&other), image::path(&tree))?;
            return Ok((Target::over(file), 0));
        }
        let file = image::make(&tree)?;
        if let Some(before) = before
            && image::clone(&before.file, &file)?
        {
            tracing::info!(run = %before.run, "the new image shares unchanged blocks with that of an earlier run");
            return Ok((Target::over(file), differ.unwrap_or(0)));
        }
        Ok((Target::blank(file), 0))
    }

    /// The newest image that a tree has.
    fn before(&self) -> Option<Before> {
        let is_block = |tree: &&Tree| tree.manifest.volume_mode == VolumeMode::Block;
        let tree = self.trees.iter().rev().find(is_block)?;
        match image::open(&self.shelf.at(tree.run.as_str())) {
            Ok(file) => {
                let file = file?;
                let size = file.metadata().ok()?.len();
                Some(Before { run: tree.run.clone(), file, size })
            }
            Err(error) => {
                tracing::warn!(%error, run = %tree.run, "cannot open the previous image: copying without it");
                None
            }
        }
    }

    /// Where a device first differs from an image.
    fn differ(&self, device: &Device, before: &Before) -> Result<Option<u64>, Failure> {
        if before.size != device.size {
            return Ok(Some(0));
        }
        let mut from = device.reader(0).map_err(|error| unreadable(&error))?;
        let into = before.file.try_clone().map_err(|error| TASK.io("reading the previous image", &error))?;
        let mut into = Reader::new(into, 0);
        let found = stream::compare((&mut from, &mut into), device.size, false, &mut self.told("comparing", device));
        match found {
            Ok(found) => Ok(found.first),
            Err(Broken::Into(at, error)) => {
                tracing::warn!(%error, at, run = %before.run, "cannot read the previous image: not linking to it");
                Ok(Some(at))
            }
            Err(other) => Err(broken(other)),
        }
    }

    /// Tells how far it is, and whether to go on.
    fn told(&self, what: &'static str, device: &Device) -> impl FnMut(u64) -> bool + '_ {
        let (every, size, mut next) = (self.args.progress_seconds, device.size, Instant::now());
        next += every;
        move |done| {
            if Instant::now() >= next {
                next = Instant::now() + every;
                tracing::info!("{what}: {} of {}", human(done), human(size));
            }
            !self.stop.load(Ordering::Relaxed)
        }
    }

    fn written_down(&self, device: &Device, blank: bool, made: Made) -> Manifest {
        Manifest {
            run: self.args.run.clone(),
            destination: self.args.name.clone(),
            of: self.args.of.clone(),
            volume_mode: VolumeMode::Block,
            since_checksum: 0,
            linked: made.linked,
            hard_links: Some(0),
            // An image needs nothing that a disk could not keep, but holes.
            probed: false,
            result: CopyResult {
                // A device without anything on it has no entry, as an empty volume has none.
                files: u64::from(!blank),
                bytes: device.size,
                written: made.written,
                seconds: self.started.elapsed().as_secs(),
                checksummed: true,
                ..CopyResult::new(CopyState::Complete, now())
            },
        }
    }

    /// Removes what would only keep the disk full for others. Trees are not touched.
    fn give_room(&self, start: &Start, failure: &Failure) {
        if failure.problem.reason == Reason::DiskFull {
            [Some(&start.partial), start.other.as_ref()].into_iter().flatten().for_each(|left| {
                partial::discard(self.shelf, left);
            });
        }
    }
}
