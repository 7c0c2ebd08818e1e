//! What `backup-job restore` is called with.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use model::duration::Span;

use crate::volume::LOST_AND_FOUND;

/// Restore a volume, or files and folders of it, from a restore point.
///
/// The restore WRITES to the volume at /volume. It only reads the restore point at /restore-point. File systems are
/// also at their older paths, /source and /destination.
///
/// The restore first shows a preview and asks for confirmation. Files of the restore point replace those of the volume,
/// even newer ones. Entries that the restore point lacks are kept unless you use --delete. No other pod may use the
/// volume. To continue an interrupted restore, run the same command again.
///
/// If /volume is a block device, the restore overwrites the whole device and accepts no PATH.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backup-job restore --dry-run              preview a restore of the whole volume
  backup-job restore                        restore the whole volume, after confirmation
  backup-job restore etc/app.conf           restore one file
  backup-job restore -- '-odd name' photos  restore two entries; after --, a name may begin with a dash
  backup-job restore --delete photos        restore a folder, and delete entries that the restore point lacks
  ls /restore-point                         list the restore point

Exit codes: 0 done, 1 failed but a retry may help, 2 wrong command line, 3 refused or incomplete: the text contains
the reason.")]
pub(crate) struct Args {
    /// How it is restored
    #[command(flatten)]
    pub(crate) how: How,
    /// Path of the volume; the restore writes to it
    #[arg(long, alias = "source", value_name = "DIR", default_value = "/volume")]
    pub(crate) volume: PathBuf,
    /// Path of the restore point; the restore only reads it
    #[arg(long, alias = "destination", value_name = "DIR", default_value = "/restore-point")]
    pub(crate) restore_point: PathBuf,
}

/// How a restore goes about it, whatever the restore point is.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct How {
    /// Files or folders to restore, relative to the volume's root [default: the whole volume]
    #[arg(value_name = "PATH", value_parser = OsStringValueParser::new().try_map(|text: OsString| relative(&text)))]
    pub(crate) paths: Vec<PathBuf>,
    /// Delete entries that the restore point lacks, in the volume or below the PATHs
    #[arg(long)]
    pub(crate) delete: bool,
    /// Show the preview and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// List every entry, not only the first 20
    #[arg(long)]
    pub(crate) itemize: bool,
    /// Compare file contents, not just size and mtime. Slow; finds changes that kept both
    #[arg(long)]
    pub(crate) checksum: bool,
    /// Show progress even without a terminal
    #[arg(long)]
    pub(crate) progress: bool,
    /// Restore even if the volume seems too small
    #[arg(long)]
    pub(crate) ignore_space: bool,
    /// Format of standard output
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) output: Output,
    /// File in which the controller lists other pods that use the volume
    #[arg(long, value_name = "FILE", default_value = "/etc/restore/holders")]
    pub(crate) holders: PathBuf,
    /// How long to wait until the controller has updated that file
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span)]
    pub(crate) holders_wait: Duration,
    /// File in which the controller describes the restore
    #[arg(long, value_name = "FILE", default_value = "/etc/restore/status", hide = true)]
    pub(crate) status: PathBuf,
    /// Accept any directories, not only mount points
    #[arg(long, hide = true)]
    pub(crate) allow_unmounted: bool,
}

/// What stands on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text for people.
    Text,
    /// The result as one line of JSON; text goes to standard error.
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
            _ => return Err("'..' is not allowed: name the entry relative to the volume's root".to_owned()),
        }
    }
    if path.as_os_str() == LOST_AND_FOUND {
        return Err(format!("{LOST_AND_FOUND} belongs to the file system: name entries in it instead"));
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
