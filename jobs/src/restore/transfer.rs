//! How rsync is called for a restore.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::MemfdFlags;

use super::temp;
use crate::rsync;
use crate::volume::LOST_AND_FOUND;

/// What is deleted, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delete {
    /// Nothing.
    No,
    /// What the restore point does not have, folder by folder.
    During,
    /// The same before anything is written, where its room is needed.
    Before,
}

/// One call of rsync.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "options of rsync's, each on or off")]
pub(crate) struct Transfer<'a> {
    /// The restore point.
    pub(crate) from: &'a Path,
    /// The volume.
    pub(crate) into: &'a Path,
    /// The entries that are meant; `None`: all.
    pub(crate) names: Option<&'a [PathBuf]>,
    /// Whether what is in the named folders is meant too.
    pub(crate) deep: bool,
    /// What is deleted.
    pub(crate) delete: Delete,
    /// Whether contents are compared.
    pub(crate) checksum: bool,
    /// Whether the volume keeps times to the nanosecond.
    pub(crate) nanoseconds: bool,
    /// Whether we are root.
    pub(crate) root: bool,
    /// Whether it only looks.
    pub(crate) dry: bool,
}

/// What a line about an entry begins with.
pub(crate) const MARK: char = '=';

impl Transfer<'_> {
    /// rsync's arguments. Names come on standard input only.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut args = rsync::as_it_is(self.root, self.nanoseconds);
        args.push(format!("--exclude=/{}", temp::NAME).into());
        if self.names.is_some() {
            // Parents are neither made nor changed by this call.
            args.extend(["--from0", "--files-from=-", "--no-implied-dirs"].map(Into::into));
            args.push(if self.deep { "--recursive" } else { "--dirs" }.into());
        } else {
            args.push(format!("--exclude=/{LOST_AND_FOUND}").into());
        }
        match self.delete {
            Delete::No => {}
            Delete::During => args.push("--delete".into()),
            Delete::Before => args.push("--delete-before".into()),
        }
        if self.checksum {
            args.push("--checksum".into());
        }
        if self.dry {
            args.extend(["--dry-run".into(), format!("--out-format={MARK}%i %n").into()]);
        } else {
            args.push(format!("--out-format={MARK}%i").into());
        }
        args.extend(rsync::TELL.map(Into::into));
        args.push("--".into());
        for path in [self.from, self.into] {
            // With a slash: what is in it, and its own attributes.
            let mut path = path.as_os_str().to_owned();
            path.push("/");
            args.push(path);
        }
        args
    }

    /// rsync's standard input: the names, each ended by a zero.
    pub(crate) fn input(&self) -> io::Result<File> {
        let Some(names) = self.names else { return File::open("/dev/null") };
        let mut file = File::from(rustix::fs::memfd_create("names", MemfdFlags::CLOEXEC)?);
        for name in names {
            // rsync takes a name that begins with # or ; for a comment, and says nothing.
            file.write_all(b"./")?;
            file.write_all(name.as_os_str().as_bytes())?;
            file.write_all(&[0])?;
        }
        file.rewind()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(transfer: &Transfer<'_>) -> Vec<String> {
        transfer.arguments().into_iter().map(|arg| arg.into_string().unwrap()).collect()
    }

    #[test]
    fn nothing_is_deleted_unless_it_was_asked_for_and_names_are_no_arguments() {
        let names = [PathBuf::from("--delete")];
        let whole = Transfer {
            from: Path::new("/restore-point"),
            into: Path::new("/volume"),
            names: None,
            deep: true,
            delete: Delete::No,
            checksum: false,
            nanoseconds: true,
            root: true,
            dry: false,
        };
        for transfer in [whole.clone(), Transfer { names: Some(&names), ..whole.clone() }] {
            let words = words(&transfer);
            assert!(!words.iter().any(|w| w.starts_with("--delete") || w == "--dry-run" || w == "-n"), "{words:?}");
            assert_eq!(words[words.len() - 3..], ["--", "/restore-point/", "/volume/"]);
        }
        assert!(words(&Transfer { dry: true, ..whole.clone() }).contains(&"--dry-run".to_owned()));
        assert!(words(&Transfer { delete: Delete::Before, ..whole }).contains(&"--delete-before".to_owned()));
    }
}
