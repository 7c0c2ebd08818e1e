//! `backup-job drill`: whether a copy can be restored, found out by restoring it.
//!
//! This file is the order of the steps. [`sample`] says what is restored, [`tree`] or [`restic`] restores it to the
//! scratch volume, and [`compare`] looks at every byte of it beside the snapshot that was copied. Of a raw block
//! volume, [`device`] compares all.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::maintain::{self, MaintainResult};
use model::reason::{Problem, Reason};
use model::restore::LACKS;
use model::text::sentence;
use rustix::process::geteuid;

use self::compare::{Compare, Rules};
use self::restic::{RepositoryCopy, Seen};
use self::sample::{Choice, Sample};
use self::task::TASK;
use crate::device::is_device;
use crate::outcome::{Exit, Failure, Outcome, now};
use crate::process::{allow_deep_trees, stop_flag};
use crate::restore::console::shown;
use crate::restore::{preflight, room};
use crate::volume::is_mount;

mod args;
mod attributes;
mod compare;
mod device;
mod restic;
mod sample;
mod task;
mod tree;
mod walk;

pub(crate) use args::Args;
use args::From;

/// The folder of ours on the scratch volume.
const FOLDER: &str = "drill";
/// How often the log says how far it is.
const TOLD: Duration = Duration::from_secs(60);

/// What was compared.
#[derive(Debug, Default)]
struct Compared {
    files: u64,
    bytes: u64,
    differs: Option<String>,
}

/// Whether an entry of the snapshot comes back from a kind of copy at all.
type Counts<'a> = dyn Fn(&Path, &fs::Metadata) -> bool + 'a;

pub(crate) fn run(args: &Args) -> Outcome {
    let started = Instant::now();
    let stop = stop_flag();
    allow_deep_trees();
    let drill = Drill { args, stop: &stop };
    let device = is_device(&args.original);
    let ended = if device { drill.device() } else { drill.run() };
    let (exit, compared, problem) = match ended {
        Ok(compared) => {
            let problem = compared.differs.as_ref().map(|what| Problem::new(Reason::RestoreMismatch, what.clone()));
            (if problem.is_some() { Exit::Final } else { Exit::Done }, compared, problem)
        }
        Err(Failure { problem, exit }) => (exit, Compared::default(), Some(problem)),
    };
    let problem = problem.map(|Problem { reason, message, .. }| Problem::new(reason, sentence(&message)));
    let (files, bytes) = (compared.files, compared.bytes);
    if let Some(problem) = &problem {
        tracing::error!("{problem}");
    } else if device {
        tracing::info!("drill passed: 1 device of {bytes} bytes, no differences");
    } else {
        tracing::info!("drill passed: {files} entries with {bytes} bytes, no differences");
    }
    let result = MaintainResult {
        seconds: started.elapsed().as_secs(),
        run: Some(args.run.clone()),
        files,
        bytes,
        // Of a device there are no samples.
        whole: device || args.sample == Sample::All,
        ..MaintainResult::new(maintain::Task::Drill, now(), problem)
    };
    Outcome::new(exit, &result)
}

struct Drill<'a> {
    args: &'a Args,
    stop: &'a Arc<AtomicBool>,
}

impl Drill<'_> {
    fn run(&self) -> Result<Compared, Failure> {
        let args = self.args;
        let original = self.folder(&args.original, "the snapshot", Reason::Unreadable)?;
        let scratch = self.folder(&args.scratch, "the scratch volume", Reason::TargetNotReady)?;
        let place = scratch.join(FOLDER);
        remove(&place)?;
        let into = place.join("restored");
        fs::create_dir_all(&into).map_err(|error| TASK.io("making a folder on the scratch volume", &error))?;
        let compared = self.prove(&original, &into);
        // What cannot be removed changes no verdict: the next drill tries again.
        if let Err(failure) = remove(&place) {
            tracing::warn!("{}", failure.problem);
        }
        compared
    }

    /// A folder in which a volume is mounted.
    fn folder(&self, path: &Path, what: &str, reason: Reason) -> Result<PathBuf, Failure> {
        preflight::folder(path, self.args.allow_unmounted).map_err(|why| {
            Failure::again(Problem::new(reason, format!("{what} is not available at {}: {why}", shown(path))))
        })
    }

    /// The tree: where a volume is mounted, or in it.
    fn tree(&self) -> Result<PathBuf, Failure> {
        let tree = self.args.tree.as_deref().unwrap_or(Path::new(""));
        let mounted = |folder: &Path| folder.parent().is_some() && is_mount(folder).unwrap_or(false);
        if !self.args.allow_unmounted && !tree.ancestors().any(mounted) {
            let text = format!("no disk is mounted at {} or at a folder above it", shown(tree));
            return Err(Failure::again(Problem::new(Reason::RestorePointEmpty, text)));
        }
        let there = preflight::folder(tree, true);
        there.map_err(|why| {
            let text = format!("the run's copy is not available at {}: {why}", shown(tree));
            Failure::last(Problem::new(Reason::RestorePointEmpty, text))
        })
    }

    fn prove(&self, original: &Path, into: &Path) -> Result<Compared, Failure> {
        let nanoseconds = preflight::keeps_nanoseconds(into).unwrap_or(true);
        let rules = Rules { owners: geteuid().is_root(), nanoseconds, ..self.rules() };
        let counts = |meta: &fs::Metadata| rules.sockets || !meta.file_type().is_socket();
        match self.args.from {
            From::Tree => {
                let tree = self.tree()?;
                let counts = |_: &Path, meta: &fs::Metadata| counts(meta);
                let choice = self.choose(original, into, &counts)?;
                let left_out = tree::fetch(&tree, into, choice.as_ref(), nanoseconds, self.stop)?;
                let (incomplete, lost) = tree::told(&tree, &self.args.run);
                let compare = Compare::new(original, into, rules).without(lost);
                self.judge(compare, choice.as_ref(), &counts, (left_out, incomplete))
            }
            From::Restic => {
                let source = RepositoryCopy::open(self.args, self.stop)?;
                if source.point.is_device() {
                    let text =
                        format!("{} contains a device image, but the volume has a file system", source.point.name());
                    return Err(Failure::last(Problem::new(Reason::VolumeModeDiffers, text)));
                }
                // What was excluded is not in the snapshot; nobody but restic knows its patterns.
                let seen = (!self.args.exclude.is_empty()).then(|| source.seen()).transpose()?;
                let has =
                    |name: &Path| name.as_os_str().is_empty() || seen.as_ref().is_none_or(|seen: &Seen| seen.has(name));
                let counts = |name: &Path, meta: &fs::Metadata| counts(meta) && has(name);
                let choice = self.choose(original, into, &counts)?;
                let left_out = source.fetch(into, choice.as_ref(), &into.with_file_name("patterns"))?;
                let root = source.root(into);
                let compare = Compare::new(original, &root, rules);
                self.judge(compare, choice.as_ref(), &counts, (left_out, source.point.incomplete))
            }
        }
    }

    /// Compares what was restored.
    fn judge(
        &self,
        mut compare: Compare<'_>,
        choice: Option<&Choice>,
        counts: &Counts<'_>,
        (left_out, incomplete): (Option<String>, bool),
    ) -> Result<Compared, Failure> {
        if incomplete {
            tracing::warn!("the copy of run {} is incomplete: {LACKS}", self.args.run);
        }
        let files = self.compare(&mut compare, choice, counts).map_err(|error| unreadable(&error))?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(Failure::again(Problem::new(TASK.failed, TASK.stopped)));
        }
        Ok(Compared { files, bytes: compare.bytes, differs: self.verdict(&compare, files, left_out, incomplete) })
    }

    fn rules(&self) -> Rules {
        let all = self.args.from == From::Tree;
        Rules { owners: true, nanoseconds: true, sockets: all, far_times: all, special_links: all }
    }

    /// What is restored; `None`: everything.
    fn choose(&self, original: &Path, into: &Path, counts: &Counts<'_>) -> Result<Option<Choice>, Failure> {
        let mut room =
            room::look(into).map_err(|error| TASK.io("measuring free space on the scratch volume", &error))?;
        // A node's own disk has more room than the pod may fill.
        room.bytes = room.bytes.min(self.args.room.unwrap_or(u64::MAX));
        let room = room.with_reserve();
        let choice = match self.args.sample {
            Sample::All => {
                let entries = sample::measure(original, room, counts).map_err(|error| unreadable(&error))?;
                let entries = entries.map_err(|problem| {
                    let text = format!(
                        "{}. Raise drill.scratch.size of the destination, or set drill.sample to a number",
                        problem.message
                    );
                    Failure::last(Problem::new(problem.reason, text))
                })?;
                self.check_empty(entries)?;
                tracing::info!("restoring all {entries} entries");
                return Ok(None);
            }
            Sample::Files(count) => {
                sample::draw(original, count, &self.args.seed(), room, counts).map_err(|error| unreadable(&error))?
            }
        };
        let drawn = choice.names.len() as u64;
        self.check_empty(drawn + choice.left_out)?;
        if drawn == 0 && choice.left_out > 0 {
            let text = "no file of the sample fits on the scratch volume: raise drill.scratch.size of the destination";
            return Err(Failure::last(Problem::new(Reason::TargetTooSmall, text)));
        }
        tracing::info!("restoring {drawn} entries and the {} folders above them", choice.parents.len());
        if choice.left_out > 0 {
            tracing::warn!(
                "{} entries of the sample do not fit on the scratch volume and are left out",
                choice.left_out
            );
        }
        Ok(Some(choice))
    }

    /// A drill of nothing proves nothing (law 6).
    fn check_empty(&self, entries: u64) -> Result<(), Failure> {
        if entries > 0 || self.args.accept_empty {
            return Ok(());
        }
        let text = "the snapshot is empty, so the drill proves nothing";
        Err(Failure::last(Problem::new(Reason::SourceEmpty, text)))
    }

    /// Compares what was to be restored. Gives the number of entries.
    fn compare(&self, compare: &mut Compare<'_>, choice: Option<&Choice>, counts: &Counts<'_>) -> io::Result<u64> {
        let mut count = Count { entries: 0, next: Instant::now() + TOLD };
        let stopped = || self.stop.load(Ordering::Relaxed);
        if let Some(choice) = choice {
            for name in choice.all() {
                if stopped() {
                    break;
                }
                compare.entry(name)?;
                count.one(compare.bytes);
            }
            return Ok(count.entries);
        }
        walk::walk(compare.original, &mut |name, meta| {
            if !stopped() && counts(name, meta) {
                compare.entry(name)?;
                if !name.as_os_str().is_empty() {
                    count.one(compare.bytes);
                }
            }
            Ok(())
        })?;
        compare.extra()?;
        Ok(count.entries)
    }

    /// What is wrong, in words; `None`: nothing.
    fn verdict(&self, compare: &Compare<'_>, files: u64, left_out: Option<String>, incomplete: bool) -> Option<String> {
        // L13: what is missing in it is no damage, and whoever reads of a difference has to know.
        let lacks = if incomplete { format!(", whose copy is incomplete ({LACKS})") } else { String::new() };
        let run = format!("{}{lacks}", self.args.run);
        match (compare.told(), left_out) {
            (None, None) => None,
            (Some(what), more) => {
                let more = more.map(|text| format!(". {text}")).unwrap_or_default();
                Some(format!("run {run}: {} of {files} entries differ: {what}{more}", compare.differences))
            }
            // It is all there, but restoring it said otherwise: whoever restores will read the same words.
            (None, Some(text)) => Some(format!("run {run}: {text}")),
        }
    }
}

/// Counts, and tells how far it is.
struct Count {
    entries: u64,
    next: Instant,
}

impl Count {
    fn one(&mut self, bytes: u64) {
        self.entries += 1;
        if Instant::now() >= self.next {
            self.next = Instant::now() + TOLD;
            tracing::info!("compared {} entries, {bytes} bytes", self.entries);
        }
    }
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::again(Problem::new(Reason::Unreadable, format!("cannot read the snapshot: {error}")))
}

fn remove(place: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(place) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(TASK.io("cleaning up the scratch volume", &error)),
    }
}
