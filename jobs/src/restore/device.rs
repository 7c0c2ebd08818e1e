//! Restores of a raw block volume: the device is made what it was, byte by byte.
//!
//! Only blocks that differ are written, so the same call again goes on where it was broken off. Until it has come to
//! its end, the volume holds a mixture of old and new, and the words of every failure say so: also those of a try that
//! wrote nothing itself, as nothing tells a pod whether it is the first one.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::quantity::human;
use model::reason::{Problem, Reason};
use model::text::clip;
use rustix::io::Errno;

use super::args::Args;
use super::console::{Console, shown};
use super::holders::Watch;
use super::plan::Plan;
use super::preflight;
use super::session::{Ended, Next, Session};
use super::task::TASK;
use crate::device::stream::{self, Broken, Target};
use crate::device::{Device, Reader, image, is_device};
use crate::outcome::Failure;

/// How often progress is told.
const TOLD: Duration = Duration::from_secs(5);
/// The longest text of a failure, so that the words about the device's state have room behind it.
const MESSAGE: usize = 320;

/// What each side of a restore is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Modes {
    /// Whether the restore point is of a device.
    pub(crate) point: bool,
    /// Whether the volume that is written is a device.
    pub(crate) target: bool,
    /// Whether PATHs are named.
    pub(crate) paths: bool,
}

impl Modes {
    /// Refuses what does not fit together. Otherwise tells whether devices are what it is about.
    pub(crate) fn check(self) -> Result<bool, Failure> {
        let text = match self {
            Self { point: false, target: false, .. } => return Ok(false),
            Self { point: true, target: true, paths: false } => return Ok(true),
            Self { point: true, target: true, paths: true } => {
                "the restore point is a raw block volume and contains no files: restore the whole device, without \
                 a PATH"
            }
            Self { point: true, target: false, .. } => {
                "the restore point is a raw block volume, but the volume to write has a file system: restore into a \
                 PVC with volumeMode Block. (If device.img is an ordinary file of the source, name it as a PATH)"
            }
            Self { point: false, target: true, .. } => {
                "the restore point contains files, but the volume to write is a raw block device: restore into a PVC \
                 with volumeMode Filesystem"
            }
        };
        Err(Failure::last(Problem::new(Reason::VolumeModeDiffers, text)))
    }
}

/// Looks at both sides of a restore from a promoter or a disk.
pub(super) fn modes(args: &Args) -> Modes {
    let (target, paths) = (is_device(&args.volume), args.how.scope().is_some());
    // A volume with files may have one that is called so: whoever means it as a file names it as a PATH.
    let holds = |tree: &Path| if target { image::is_alone(tree) } else { !paths && image::is_tree(tree) };
    let point = is_device(&args.restore_point) || holds(&args.restore_point);
    Modes { point, target, paths }
}

/// Restores a device from a promoter or a disk.
pub(super) fn restore(args: &Args, session: &mut Session<'_>) -> Result<Ended, Failure> {
    let at = &args.restore_point;
    let unreadable = |error: io::Error| {
        let text = format!("cannot read the restore point: {error}");
        Failure::again(Problem::new(Reason::RestoreFailed, text))
    };
    let (mut reader, size) = if is_device(at) {
        let device = Device::open(at).map_err(unreadable)?;
        (device.reader(0).map_err(unreadable)?, device.size)
    } else {
        let image = open_image(at, args.how.allow_unmounted)?;
        let size = image.metadata().map_err(unreadable)?.len();
        (Reader::new(image, 0), size)
    };
    overwrite(session, &shown(at), (size, &args.volume), |pouring, watch, mut target| {
        let wrote = stream::write(&mut reader, (0, size), &mut target, &mut |done| pouring.go_on(done, watch));
        let ended = wrote.map_err(|broken| match broken {
            Broken::From(at, error) => {
                let text = format!("cannot read the restore point at byte {at}: {error}");
                Failure::again(Problem::new(Reason::RestoreFailed, text))
            }
            other => pouring.failure(other, watch),
        });
        (Some(target.written), ended)
    })
}

fn open_image(tree: &Path, allow_unmounted: bool) -> Result<File, Failure> {
    let none = |why: String| {
        let text = format!("the restore point is not available at {}: {why}", shown(tree));
        Failure::last(Problem::new(Reason::RestorePointEmpty, text))
    };
    let tree = preflight::folder(tree, allow_unmounted).map_err(none)?;
    let image = image::open(&tree).map_err(|error| none(error.to_string()))?;
    image.ok_or_else(|| none("it contains no device image".to_owned()))
}

/// What watches over the writing of a device.
pub(crate) struct Pouring {
    size: u64,
    /// Whether progress is told.
    progress: bool,
    next: Instant,
    stop: Arc<AtomicBool>,
}

impl Pouring {
    /// Tells how far it is, and whether to go on.
    pub(crate) fn go_on(&mut self, done: u64, watch: &mut Watch<'_>) -> bool {
        if self.progress && Instant::now() >= self.next {
            self.next = Instant::now() + TOLD;
            let percent = done.saturating_mul(100).checked_div(self.size).unwrap_or(100);
            Console::progress(&format!("{} of {}, {percent}%", human(done), human(self.size)));
        }
        !self.stop.load(Ordering::Relaxed) && !watch.is_over()
    }

    /// Why it was ended from outside, or what the device did not take.
    pub(crate) fn failure(&self, broken: Broken, watch: &Watch<'_>) -> Failure {
        match (broken, watch.problem()) {
            (Broken::Into(at, error), _) => TASK.io(&format!("writing to the device at byte {at}"), &error),
            (_, Some(problem)) => Failure::last(problem.clone()),
            (Broken::From(at, error), None) if error.kind() == io::ErrorKind::UnexpectedEof => {
                TASK.failed(format!("the restore point ends too early: at byte {at} of {}", self.size))
            }
            (Broken::From(at, error), None) => TASK.io(&format!("reading the restore point at byte {at}"), &error),
            (Broken::Stopped, None) => Failure::again(Problem::new(Reason::RestoreFailed, TASK.stopped)),
        }
    }
}

/// Restores `size` bytes to the device at `to`. `pour` writes them, and gives how many it wrote, also if it failed;
/// none, if nobody knows.
pub(crate) fn overwrite(
    session: &mut Session<'_>,
    from: &str,
    (size, to): (u64, &Path),
    pour: impl FnOnce(&mut Pouring, &mut Watch<'_>, Target) -> (Option<u64>, Result<(), Failure>),
) -> Result<Ended, Failure> {
    session.warn(from)?;
    let has = Device::open(to).map_err(|error| not_ready(to, &error))?.size;
    if size > has {
        let text = format!(
            "the restored device has {}, but the volume has only {} ({size} and {has} bytes): restore into a PVC of \
             at least that size",
            human(size),
            human(has)
        );
        return Err(Failure::last(Problem::new(Reason::TargetTooSmall, text)));
    }
    if !session.how.dry_run {
        session.ask_holders()?;
    }
    if session.looks() {
        show(session, from, size, has);
    }
    match session.consent(Plan { changed: 1, bytes: size, ..Plan::default() }) {
        Next::End(ended) => return Ok(ended),
        Next::Write { .. } => {}
    }
    // Open until the end: nobody on this node mounts the device, or restores to it, meanwhile.
    let device = Device::open_alone(to).map_err(|error| not_ready(to, &error))?;
    let target = device.target().map_err(|error| not_ready(to, &error))?;
    let mut pouring =
        Pouring { size, progress: session.progress(), next: Instant::now() + TOLD, stop: Arc::clone(session.stop) };
    let (written, ended) = {
        let (_lock, mut watch) = session.begin(to)?;
        pour(&mut pouring, &mut watch, target)
    };
    let synced = device.sync().map_err(|error| TASK.io("writing to the device", &error));
    session.done.bytes = written.unwrap_or(0);
    session.done.changed = u64::from(written != Some(0));
    ended.and(synced).map(|()| Ended::Complete)
}

fn show(session: &Session<'_>, from: &str, size: u64, has: u64) {
    let say = |line: &str| session.console.say(line);
    say(&session.headline(from));
    let size_of = human(size);
    say(&format!(
        "The restore overwrites the whole device ({size_of}). Data that differs from the restore point is LOST."
    ));
    if has > size {
        say(&format!("The volume is larger: its last {} are not changed.", human(has - size)));
    }
}

/// The same problem of a restore to a device, and what the device holds now. `wrote`: this try has written to it.
pub(super) fn told(problem: Problem, wrote: bool) -> Problem {
    let Problem { reason, message, .. } = problem;
    let text = match reason {
        // No try before this one has come any further.
        Reason::VolumeModeDiffers | Reason::TargetTooSmall if !wrote => return Problem::new(reason, message),
        _ if wrote => {
            "THE DEVICE NOW HOLDS A MIXTURE of old data and the restore point. Do not use it. Run the same restore \
             again to finish it"
        }
        _ => {
            "If an earlier attempt of this restore has written, THE DEVICE MAY HOLD A MIXTURE of old data and the \
             restore point. Then do not use it. Run the same restore again to finish it"
        }
    };
    Problem::new(reason, format!("{}. {text}", clip(message.trim_end_matches('.'), MESSAGE)))
}

fn not_ready(target: &Path, error: &io::Error) -> Failure {
    let at = shown(target);
    let problem = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::BUSY) => {
            let text = format!(
                "the device at {at} is in use on this node: its file system is mounted, or another restore writes to it"
            );
            Problem::new(Reason::TargetInUse, text)
        }
        Some(Errno::ACCESS | Errno::ROFS | Errno::PERM) => {
            Problem::new(Reason::TargetNotReady, format!("cannot write to the device at {at}: {error}"))
        }
        _ => Problem::new(Reason::TargetNotReady, format!("cannot open the device at {at}: {error}")),
    };
    Failure::last(problem)
}
