//! The writing, by restic: the same call again goes on where it was broken off.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;

use model::quantity::human;
use model::reason::{Problem, Reason};
use serde::Deserialize;

use super::node::{LEFT_OUT, Node, Tree};
use crate::no_follow::Root;
use crate::outcome::Failure;
use crate::restic::exec::{Listener, Restic};
use crate::restic::pattern;
use crate::restic::point::RepositoryPoint;
use crate::restic::restore_errors::Troubles;
use crate::restic::stderr::Error;
use crate::restore::TASK;
use crate::restore::act::{Done, ended, go_on};
use crate::restore::break_links::{self, Name};
use crate::restore::console::{Console, shown};
use crate::restore::holders::Watch;
use crate::restore::temp::{self, Temp};
use crate::volume::LOST_AND_FOUND;

/// What is written.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of restic's")]
pub(crate) struct Writing<'a> {
    pub(crate) restic: &'a Restic,
    pub(crate) point: &'a RepositoryPoint,
    /// The volume.
    pub(crate) target: &'a Path,
    /// The entries that are restored; `None`: all.
    pub(crate) names: Option<&'a [PathBuf]>,
    /// Folders above them that the volume does not have.
    pub(crate) parents: &'a [PathBuf],
    /// Names that are parted from their file.
    pub(crate) parted: &'a [Name],
    /// Folders of the volume that give way to something else.
    pub(crate) blocked: &'a [PathBuf],
    /// Whether what the snapshot does not have is deleted.
    pub(crate) delete: bool,
    /// Whether contents are compared.
    pub(crate) checksum: bool,
    /// Whether what was written is read again, and compared with the repository's checksums.
    pub(crate) verify: bool,
    /// Whether progress is told.
    pub(crate) progress: bool,
    /// Entries that are changed, entries that are deleted, and bytes that are written, as planned.
    pub(crate) planned: (u64, u64, u64),
}

impl Writing<'_> {
    /// Writes. Gives what was done, also if it ends early; the text is about entries that were left out.
    pub(crate) fn run(&mut self, watch: Watch<'_>) -> (Done, Result<Option<String>, Failure>) {
        let mut hand = Hand { progress: self.progress, planned: self.planned, ..Hand::default() };
        let ended = self.write(watch, &mut hand);
        let done = match &ended {
            Ok(_) => Done { changed: self.planned.0, deleted: self.planned.1, bytes: hand.bytes() },
            Err(_) => Done { changed: hand.last.files_restored, deleted: 0, bytes: hand.bytes() },
        };
        (done, ended)
    }

    fn write(&mut self, mut watch: Watch<'_>, hand: &mut Hand) -> Result<Option<String>, Failure> {
        let target = self.target;
        // Read first: without them nothing is begun.
        let root = match self.names {
            None => self.node(Path::new(""))?,
            Some(_) => None,
        };
        let parents: Vec<Option<Node>> =
            self.parents.iter().map(|parent| self.node(parent)).collect::<Result<_, _>>()?;
        let temp = Temp::make(None, target).map_err(|e| TASK.io("making the restore's temporary folder", &e))?;
        if temp.crashed {
            tracing::warn!("the node stopped during an earlier restore: comparing file contents");
            self.checksum = true;
        }
        let ended = self.prepare(&mut watch).and_then(|()| self.call_all(watch, hand));
        let synced = File::open(target).and_then(|root| Ok(rustix::fs::syncfs(&root)?));
        let tidied = temp.end(None);
        let left_out = ended?;
        synced.map_err(|e| TASK.io("writing to the disk", &e))?;
        tidied.map_err(|e| TASK.io("removing the restore's temporary folder", &e))?;
        // From below, each after what is in it.
        let folders = self.parents.iter().map(PathBuf::as_path).zip(parents).rev().chain([(Path::new(""), root)]);
        let volume = Root::open(target).map_err(|e| TASK.io("opening the volume", &e))?;
        for (folder, node) in folders {
            if let Some(node) = node {
                let applied = volume.folder(folder).and_then(|folder| node.apply(&folder));
                applied.map_err(|e| TASK.io("setting a folder's owner, mode and time", &e))?;
            }
        }
        Ok(left_out)
    }

    /// Makes room for what restic writes. Nobody is to get the volume meanwhile.
    fn prepare(&self, watch: &mut Watch<'_>) -> Result<(), Failure> {
        let stopped = || self.restic.stopped();
        let why = |watch: &Watch<'_>, what: &str, error: &io::Error| ended(watch, stopped(), what, error);
        let volume = Root::open(self.target).map_err(|e| TASK.io("opening the volume", &e))?;
        let parted = break_links::part(self.target, self.parted, &mut go_on(watch, &stopped));
        parted.map_err(|e| why(watch, "separating hard links", &e))?;
        for folder in self.blocked {
            let removed = volume.remove_folder(folder, &mut go_on(watch, &stopped));
            removed.map_err(|e| why(watch, "deleting folders that are in the way", &e))?;
        }
        for parent in self.parents {
            let made = go_on(watch, &stopped)().and_then(|()| volume.make_folder(parent, 0o777));
            made.map_err(|e| why(watch, "making a folder on the volume", &e))?;
        }
        Ok(())
    }

    /// What the snapshot knows of a folder.
    fn node(&self, folder: &Path) -> Result<Option<Node>, Failure> {
        let whole = self.point.root.join(folder);
        let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else { return Ok(None) };
        let mut of = OsString::from(format!("{}:", self.point.id));
        of.push(parent);
        let args = ["cat".into(), "--no-lock".into(), "tree".into(), of];
        let read = |pipe: ChildStdout| serde_json::from_reader::<_, Tree>(BufReader::new(pipe));
        let (ended, tree) = self.restic.read(&args, &|| self.restic.stopped(), read)?;
        match (ended.code, tree) {
            (Some(0), Some(Ok(tree))) => Ok(tree.folder(std::os::unix::ffi::OsStrExt::as_bytes(name)).cloned()),
            (Some(0), Some(Err(error))) => {
                let text = format!("cannot read restic's description of {}: {error}", shown(&whole));
                Err(Failure::last(Problem::new(Reason::RestoreFailed, text)))
            }
            _ => Err(self.restic.failure(&ended)),
        }
    }

    /// Calls restic for the whole volume, or for the PATHs of each folder: so the folder itself is left as it is.
    fn call_all(&self, watch: Watch<'_>, hand: &mut Hand) -> Result<Option<String>, Failure> {
        let watch = RefCell::new(watch);
        let Some(names) = self.names else {
            let ours = [LOST_AND_FOUND, temp::NAME].map(|name| format!("--exclude=/{name}").into());
            return self.call(Path::new(""), ours.into(), &watch, hand).map(|()| hand.troubles.left_out(&TASK));
        };
        let mut folders: BTreeMap<&Path, Vec<OsString>> = BTreeMap::new();
        for name in names {
            let (Some(parent), Some(last)) = (name.parent(), name.file_name()) else { continue };
            let mut option = OsString::from("--include=");
            option.push(pattern::of(Path::new(last)));
            folders.entry(parent).or_default().push(option);
        }
        for (folder, options) in folders {
            self.call(folder, options, &watch, hand)?;
        }
        Ok(hand.troubles.left_out(&TASK))
    }

    fn call(
        &self,
        folder: &Path,
        options: Vec<OsString>,
        watch: &RefCell<Watch<'_>>,
        hand: &mut Hand,
    ) -> Result<(), Failure> {
        let mut into = OsString::from("--target=");
        into.push(self.target.join(folder));
        let mut args = vec!["restore".into(), into, "--sparse".into()];
        args.extend(self.restic.no_lock());
        args.push(if self.checksum { "--overwrite=always" } else { "--overwrite=if-changed" }.into());
        args.extend(self.delete.then(|| "--delete".into()));
        args.extend(self.verify.then(|| "--verify".into()));
        args.extend(LEFT_OUT.iter().map(|attribute| format!("--exclude-xattr={attribute}").into()));
        args.extend(options);
        args.push(self.point.folder(folder));
        hand.next();
        let ended =
            self.restic.run_locking_unless(&args, hand, &|| self.restic.stopped() || watch.borrow_mut().is_over())?;
        if ended.code == Some(0) {
            return Ok(());
        }
        if let Some(problem) = watch.borrow().problem() {
            return Err(Failure::last(problem.clone()));
        }
        if self.restic.stopped() {
            return Err(Failure::again(Problem::new(TASK.failed, TASK.stopped)));
        }
        if let Some(failure) = hand.troubles.failure(&TASK) {
            return Err(failure);
        }
        // What restic says of entries is told of them; all else ended it.
        if ended.code == Some(1) && hand.troubles.left_out(&TASK).is_some() && hand.last.is_summary() {
            return Ok(());
        }
        Err(self.restic.failure(&ended))
    }
}

/// What restic says of how far it is, and at its end.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Said {
    message_type: String,
    files_restored: u64,
    bytes_restored: u64,
}

impl Said {
    fn is_summary(&self) -> bool {
        self.message_type == "summary"
    }
}

/// Hears restic.
#[derive(Debug, Default)]
struct Hand {
    progress: bool,
    planned: (u64, u64, u64),
    last: Said,
    /// Bytes of the calls before this one.
    before: u64,
    troubles: Troubles,
}

impl Hand {
    fn bytes(&self) -> u64 {
        self.before + self.last.bytes_restored
    }

    /// Another call begins.
    fn next(&mut self) {
        self.before = self.bytes();
        self.last = Said::default();
    }
}

impl Listener for Hand {
    fn out(&mut self, line: &str) {
        let Ok(said) = serde_json::from_str::<Said>(line) else { return };
        if !said.is_summary() && said.message_type != "status" {
            return;
        }
        self.last = said;
        if self.progress && !self.last.is_summary() {
            let (entries, _, size) = self.planned;
            let bytes = self.bytes();
            let percent = bytes.saturating_mul(100).checked_div(size).unwrap_or(100).min(100);
            let files = self.last.files_restored;
            Console::progress(&format!(
                "{files} of {entries} entries, {} of {}, {percent}%",
                human(bytes),
                human(size)
            ));
        }
    }

    fn entry(&mut self, error: &Error) {
        self.troubles.take(error);
    }
}
