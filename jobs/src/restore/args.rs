//! What `backup-job restore` is called with.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use model::duration::Span;

use crate::volume::LOST_AND_FOUND;

/// Restores a volume, or files and folders of it, from a restore point.
///
/// The volume is at /volume: it is WRITTEN. The restore point is at /restore-point: it is only read. File systems are
/// also at /source and /destination, their names when the backup was made. What would be done is shown first, and
/// asked about. Files that the restore point has are made as they were, also if they are newer in the volume. What it
/// does not have stays, unless you say --delete. No other pod may have the volume mounted. A restore that broke off
/// goes on if it is called again.
/// Where /volume is a block device, all of it is made what it was, and no PATH can be named.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backup-job restore --dry-run              what a restore of the whole volume would do
  backup-job restore                        the whole volume; asks first
  backup-job restore etc/app.conf           one file
  backup-job restore -- '-odd name' photos  two entries; after -- a name may begin with a dash
  backup-job restore --delete photos        the folder as it was: newer files in it are deleted
  ls /restore-point                         look at what there is in the restore point

Exit codes: 0 done, 1 another try may help, 2 wrong command line, 3 refused or not wholly done: the text says why.")]
pub(crate) struct Args {
    /// How it is restored
    #[command(flatten)]
    pub(crate) how: How,
    /// Where the volume is mounted: it is written
    #[arg(long, alias = "source", value_name = "DIR", default_value = "/volume")]
    pub(crate) volume: PathBuf,
    /// Where the restore point is mounted: it is read
    #[arg(long, alias = "destination", value_name = "DIR", default_value = "/restore-point")]
    pub(crate) restore_point: PathBuf,
}

/// How a restore goes about it, whatever the restore point is.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct How {
    /// Files or folders, relative to the volume's root [default: the whole volume]
    #[arg(value_name = "PATH", value_parser = OsStringValueParser::new().try_map(|text: OsString| relative(&text)))]
    pub(crate) paths: Vec<PathBuf>,
    /// Deletes what the restore point does not have: in the volume, or below the PATHs
    #[arg(long)]
    pub(crate) delete: bool,
    /// Shows what would be done, and ends
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Does not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Names every entry, not only the first ones
    #[arg(long)]
    pub(crate) itemize: bool,
    /// Compares contents, not only sizes and times: slow, and finds what was changed behind their back
    #[arg(long)]
    pub(crate) checksum: bool,
    /// Tells how far it is also if nobody looks
    #[arg(long)]
    pub(crate) progress: bool,
    /// Does not refuse a volume that looks too small
    #[arg(long)]
    pub(crate) ignore_space: bool,
    /// What stands on standard output
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) output: Output,
    /// Where the controller says which other pods have the volume
    #[arg(long, value_name = "FILE", default_value = "/etc/restore/holders")]
    pub(crate) holders: PathBuf,
    /// How long to wait for the controller to say that
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span)]
    pub(crate) holders_wait: Duration,
    /// Where the controller says what is restored
    #[arg(long, value_name = "FILE", default_value = "/etc/restore/status", hide = true)]
    pub(crate) status: PathBuf,
    /// Takes any folders, not only mounts
    #[arg(long, hide = true)]
    pub(crate) allow_unmounted: bool,
}

/// What stands on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text for people.
    Text,
    /// The result as one line of JSON; the text goes to standard error.
    Json,
}

fn span(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(|span| Duration::from_secs(span.as_secs())).map_err(|error| error.to_string())
}

/// A PATH as it is below the volume's root; the root itself is the empty path.
fn relative(text: &OsStr) -> Result<PathBuf, String> {
    let mut path = PathBuf::new();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::CurDir => {}
            _ => return Err("'..' leads out of what is named: name the entry from the volume's root".to_owned()),
        }
    }
    if path.as_os_str() == LOST_AND_FOUND {
        return Err(format!("{LOST_AND_FOUND} belongs to the file system: name what is in it"));
    }
    Ok(path)
}

impl How {
    /// The PATHs without those below others, sorted; `None`: the whole volume.
    pub(crate) fn scope(&self) -> Option<Vec<PathBuf>> {
        if self.paths.is_empty() || self.paths.iter().any(|path| path.as_os_str().is_empty()) {
            return None;
        }
        let mut sorted = self.paths.clone();
        sorted.sort();
        let mut scope: Vec<PathBuf> = Vec::new();
        for path in sorted {
            if !scope.iter().any(|above| path.starts_with(above)) {
                scope.push(path);
            }
        }
        Some(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"restore").chain(words)).map(|cli| cli.args)
    }

    #[test]
    fn a_path_is_below_the_volumes_root_however_it_is_written() {
        let scope = |words: &[&str]| parse(words).unwrap().how.scope();
        assert_eq!(scope(&["/a/./b//c/"]), Some(vec![PathBuf::from("a/b/c")]));
        assert_eq!(scope(&["--", "-rf", "a/b", "a", "a-b"]), Some(["-rf", "a", "a-b"].map(PathBuf::from).to_vec()));
        for whole in [&[][..], &["/"], &["."], &["a", "/"]] {
            assert_eq!(scope(whole), None, "{whole:?}");
        }
        for bad in ["..", "../x", "a/../../x", "lost+found", "/lost+found/"] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
        assert!(parse(&["lost+found/#12", "a/lost+found"]).is_ok());
    }

    #[test]
    fn the_paths_of_a_restore_pod_are_the_defaults() {
        let args = parse(&[]).unwrap();
        assert_eq!((args.volume.to_str(), args.restore_point.to_str()), (Some("/volume"), Some("/restore-point")));
        let args = parse(&["--source=/source", "--destination=/destination"]).unwrap();
        assert_eq!((args.volume.to_str(), args.restore_point.to_str()), (Some("/source"), Some("/destination")));
        let args = parse(&[]).unwrap();
        assert_eq!((args.how.holders.to_str(), args.how.holders_wait.as_secs()), (Some("/etc/restore/holders"), 30));
        let how = args.how;
        assert!(!how.delete && !how.yes && !how.dry_run && !how.allow_unmounted);
    }
}
