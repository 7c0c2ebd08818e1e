//! A drill of a raw block volume: the whole image is compared with the snapshot's device, as a stream.
//!
//! Nothing is written, so that no scratch volume is needed, and there is nothing to draw a sample from.

use std::fs::File;
use std::io::{self, Read};
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use model::quantity::human;
use model::reason::{Problem, Reason};

use super::args::From;
use super::restic::RepositoryCopy;
use super::task::TASK;
use super::{Compared, Drill, TOLD, unreadable};
use crate::device::stream::{self, Broken, Differences};
use crate::device::{Device, Reader, image};
use crate::outcome::Failure;
use crate::restic::dump::Dump;

/// How a comparison went.
type Found = Result<Differences, Broken>;

impl Drill<'_> {
    /// Compares the device with its copy.
    pub(super) fn device(&self) -> Result<Compared, Failure> {
        let device = Device::open(&self.args.original).map_err(|error| unreadable(&error))?;
        let blank = stream::is_blank(&mut reader(&device)?, device.size, &mut |_| !self.stopped());
        self.check_empty(u64::from(!blank.map_err(failure)?))?;
        tracing::info!("comparing a device of {}", human(device.size));
        let differs = match self.args.from {
            From::Tree => self.with_tree(&device)?,
            From::Restic => self.with_snapshot(&device)?,
        };
        let differs = differs.map(|what| format!("run {}: {what}", self.args.run));
        Ok(Compared { files: 1, bytes: device.size, differs })
    }

    fn with_tree(&self, device: &Device) -> Result<Option<String>, Failure> {
        let tree = self.tree()?;
        let there = image::open(&tree).and_then(|image| {
            let Some(image) = image else { return Ok(None) };
            let size = image.metadata()?.len();
            Ok(Some((image, size)))
        });
        let (image, size): (File, u64) = match there {
            Ok(Some(there)) => there,
            Ok(None) => return Ok(Some("the copy contains no device image".to_owned())),
            Err(error) => return Ok(Some(format!("cannot open the image of the copy: {error}"))),
        };
        if size != device.size {
            return Ok(Some(sizes(size, device.size)));
        }
        let mut progress = Progress::new(device.size);
        let go_on = &mut |done| progress.go_on(done, self.stop);
        match compare(&mut reader(device)?, &mut Reader::new(image, 0), size, go_on) {
            Ok(found) => Ok(told(&found)),
            Err(Broken::Into(at, error)) => {
                Ok(Some(format!("cannot read the image of the copy at byte {at}: {error}")))
            }
            Err(broken) => Err(failure(broken)),
        }
    }

    fn with_snapshot(&self, device: &Device) -> Result<Option<String>, Failure> {
        let RepositoryCopy { restic, point } = RepositoryCopy::open(self.args, self.stop)?;
        if !point.is_device() {
            let text = format!("{} contains files, but the volume is a raw block device", point.name());
            return Err(Failure::last(Problem::new(Reason::VolumeModeDiffers, text)));
        }
        let dump = Dump::open(&restic, &point)?;
        if dump.size != device.size {
            return Ok(Some(sizes(dump.size, device.size)));
        }
        let passed = Arc::new(AtomicU64::new(0));
        let (mut reader, size) = (reader(device)?, device.size);
        let (count, stop) = (Arc::clone(&passed), Arc::clone(self.stop));
        let take = move |mut pipe: ChildStdout| -> Found {
            let mut progress = Progress::new(size);
            let go_on = &mut |done| {
                count.store(done, Ordering::Relaxed);
                progress.go_on(done, &stop)
            };
            let found = compare(&mut reader, &mut pipe, size, go_on)?;
            // What comes too much is the copy's fault, and not the snapshot's.
            stream::end(&mut pipe, size).map_err(|broken| match broken {
                Broken::From(at, error) => Broken::Into(at, error),
                other => other,
            })?;
            Ok(found)
        };
        let (ended, found) = dump.pour(&|| self.stopped(), &passed, take)?;
        match (ended.code, found) {
            _ if self.stopped() => Err(failure(Broken::Stopped)),
            (_, Some(Err(broken @ Broken::From(..)))) => Err(failure(broken)),
            (Some(0), Some(Ok(found))) => Ok(told(&found)),
            // However restic took it that nobody read the rest.
            (_, Some(Err(Broken::Into(at, _)))) if at >= size => {
                Ok(Some(format!("the copy contains more than its {size} bytes")))
            }
            (Some(0), Some(Err(Broken::Into(at, _)))) => Ok(Some(format!("restic's data ends after byte {at}"))),
            // Damage, and all else that kept restic from giving it.
            _ => Err(restic.failure(&ended)),
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn failure(broken: Broken) -> Failure {
    match broken {
        Broken::From(at, error) => unreadable(&io::Error::new(error.kind(), format!("at byte {at}: {error}"))),
        Broken::Into(_, error) => TASK.io("reading the copy", &error),
        Broken::Stopped => Failure::again(Problem::new(TASK.failed, TASK.stopped)),
    }
}

fn reader(device: &Device) -> Result<Reader, Failure> {
    device.reader(0).map_err(|error| unreadable(&error))
}

fn compare(from: &mut impl Read, into: &mut impl Read, size: u64, go_on: &mut stream::GoOn<'_>) -> Found {
    stream::compare((from, into), size, true, go_on)
}

fn sizes(copy: u64, device: u64) -> String {
    format!("the copy has {copy} bytes, but the device has {device}")
}

/// What differs, in words; `None`: nothing.
fn told(found: &Differences) -> Option<String> {
    let first = found.first?;
    let blocks = if found.blocks == 1 { "1 block".to_owned() } else { format!("{} blocks", found.blocks) };
    Some(format!("{blocks} of 4 KiB differ, the first at byte {first}"))
}

/// Tells how far it is.
struct Progress {
    size: u64,
    next: Instant,
}

impl Progress {
    fn new(size: u64) -> Self {
        Self { size, next: Instant::now() + TOLD }
    }

    fn go_on(&mut self, done: u64, stop: &AtomicBool) -> bool {
        if Instant::now() >= self.next {
            self.next = Instant::now() + TOLD;
            tracing::info!("compared {} of {}", human(done), human(self.size));
        }
        !stop.load(Ordering::Relaxed)
    }
}
