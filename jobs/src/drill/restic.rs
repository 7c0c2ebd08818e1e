//! A sample of a snapshot in a repository, by the same restic that restores one.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use model::reason::{Problem, Reason};

use super::args::Args;
use super::sample::Choice;
use super::task::TASK;
use crate::outcome::{Exit, Failure};
use crate::restic::exec::{Listener, Restic};
use crate::restic::pattern;
use crate::restic::point::{self, RepositoryPoint, Which};
use crate::restic::restore::{LEFT_OUT, listing};
use crate::restic::restore_errors::Troubles;
use crate::restic::snapshots;
use crate::restic::stderr::Error;

/// The snapshot in its repository.
pub(crate) struct RepositoryCopy {
    pub(crate) restic: Restic,
    pub(crate) point: RepositoryPoint,
}

/// The entries of a snapshot, by eight bytes each.
pub(crate) struct Seen(HashSet<u64>);

impl Seen {
    /// Whether the snapshot has an entry. Names that differ only in bytes that are no text count as one.
    pub(crate) fn has(&self, name: &Path) -> bool {
        self.0.contains(&short(&listing::listed(name.as_os_str())))
    }
}

fn short(path: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(path.trim_start_matches('/'))
}

impl RepositoryCopy {
    /// Finds the snapshot.
    pub(crate) fn open(args: &Args, stop: &Arc<AtomicBool>) -> Result<Self, Failure> {
        let Some(common) = &args.repository.0 else {
            let text = "--from restic also needs --repository, --name, --secret-name, --namespace, --pvc and --uid";
            return Err(Failure { problem: Problem::new(Reason::InvalidRequest, text), exit: Exit::Usage });
        };
        let restic = Restic::open(common, TASK.failed, Arc::clone(stop))?;
        let snapshots = snapshots::list(&restic, &|| restic.stopped())?;
        let run = args.snapshot.is_none().then(|| args.run.clone());
        let which = Which { snapshot: args.snapshot.clone(), run };
        let point = point::choose(&snapshots, &which, common).map_err(Failure::last)?;
        Ok(Self { restic, point })
    }

    /// What the snapshot has.
    pub(crate) fn seen(&self) -> Result<Seen, Failure> {
        let mut seen = HashSet::new();
        let args = ["ls".into(), "--no-lock".into(), self.point.folder(Path::new(""))];
        let ended = self.restic.run(&args, &mut |line: &str| {
            seen.extend(listing::Entry::read(line).map(|entry| short(&entry.path)));
        })?;
        if ended.code != Some(0) {
            return Err(self.restic.failure(&ended));
        }
        Ok(Seen(seen))
    }

    /// Where the volume's root is restored to.
    pub(crate) fn root(&self, into: &Path) -> PathBuf {
        into.join(self.point.root.strip_prefix("/").unwrap_or(&self.point.root))
    }

    /// Restores what was chosen, or everything. `patterns` is a file that may be written. The text says what was left
    /// out.
    pub(crate) fn fetch(
        &self,
        into: &Path,
        choice: Option<&Choice>,
        patterns: &Path,
    ) -> Result<Option<String>, Failure> {
        let mut target = OsString::from("--target=");
        target.push(into);
        let mut args = vec!["restore".into(), target, "--sparse".into()];
        args.extend(self.restic.no_lock());
        args.extend(LEFT_OUT.iter().map(|attribute| format!("--exclude-xattr={attribute}").into()));
        if let Some(choice) = choice {
            args.extend(
                self.include(choice, patterns).map_err(|error| TASK.io("writing the list of the sample", &error))?,
            );
        }
        args.push(self.point.id.clone().into());
        let mut hand = Hand::default();
        let ended = self.restic.run_locking(&args, &mut hand)?;
        if ended.code == Some(0) && hand.0.left_out(&TASK).is_none() {
            return Ok(None);
        }
        if self.restic.stopped() {
            return Err(Failure::again(Problem::new(TASK.failed, TASK.stopped)));
        }
        if let Some(failure) = hand.0.failure(&TASK) {
            return Err(failure);
        }
        match hand.0.left_out(&TASK) {
            Some(text) if matches!(ended.code, Some(0 | 1)) => Ok(Some(text)),
            _ => Err(self.restic.failure(&ended)),
        }
    }

    /// The options that name the sample.
    fn include(&self, choice: &Choice, patterns: &Path) -> std::io::Result<Vec<OsString>> {
        let below = self.point.root.strip_prefix("/").unwrap_or(&self.point.root);
        let mut file = BufWriter::new(File::create(patterns)?);
        let mut from = OsString::from("--include-file=");
        from.push(patterns);
        let mut options = vec![from];
        for name in &choice.names {
            let pattern = pattern::of(&below.join(name));
            if !pattern::write_line(&pattern, &mut file)? {
                let mut option = OsString::from("--include=");
                option.push(pattern);
                options.push(option);
            }
        }
        file.flush()?;
        Ok(options)
    }
}

/// Hears restic.
#[derive(Default)]
struct Hand(Troubles);

impl Listener for Hand {
    fn out(&mut self, _line: &str) {}

    fn entry(&mut self, error: &Error) {
        self.0.take(error);
    }
}
