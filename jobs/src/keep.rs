//! `backup-job keep`: checks that a host's disk is mounted, and makes a namespace's folder on it.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use model::reason::{Problem, Reason};
use model::record::KeepResult;
use rustix::fs::{Mode, OFlags};

use crate::outcome::{Exit, Outcome};

/// What `backup-job keep` is called with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory where the root of the host's disk is mounted
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Namespace to make a folder for
    #[arg(long, value_parser = dns_label)]
    namespace: String,
    /// Marker file in the disk's root: if it is missing, no disk is mounted
    #[arg(long, value_name = "NAME", default_value = ".backup-controller-disk", value_parser = file_name)]
    marker: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    match keep(args) {
        Ok(()) => {
            tracing::info!(namespace = args.namespace, "the namespace's folder exists");
            Outcome::new(Exit::Done, &KeepResult { folder: Some(args.namespace.clone()), problem: None })
        }
        Err((exit, problem)) => {
            tracing::error!(%problem, "cannot make the namespace's folder");
            Outcome::new(exit, &KeepResult { folder: None, problem: Some(problem) })
        }
    }
}

fn keep(args: &Args) -> Result<(), (Exit, Problem)> {
    let Args { root, namespace, marker } = args;
    match fs::symlink_metadata(root.join(marker)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = format!(
                "no disk is mounted at the host's path: the file {marker} is missing there. Mount the disk on the \
                 node. If the disk is mounted and new, create the file once in its root: touch {marker}"
            );
            return Err((Exit::Final, Problem::new(Reason::DiskNotMounted, text)));
        }
        Err(error) => return Err(again(marker, &error)),
    }
    make(&root.join(namespace)).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => {
            let text = format!("{namespace} on the host's disk is not a folder: move it away");
            (Exit::Final, Problem::new(Reason::NameTaken, text))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
            Exit::Final,
            Problem::new(Reason::DiskFull, format!("no space left on the host's disk for the folder {namespace}")),
        ),
        _ => again(namespace, &error),
    })
}

fn again(what: &str, error: &io::Error) -> (Exit, Problem) {
    (Exit::Again, Problem::new(Reason::DiskNotReady, format!("cannot access {what} on the host's disk: {error}")))
}

/// Makes the folder, or takes the one that is there; either way only root looks into it. A link in its
/// place is not followed.
fn make(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty())?;
    Ok(rustix::fs::fchmod(&folder, Mode::RWXU)?)
}

/// A namespace's name: RFC 1123.
fn dns_label(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let word = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let inside = bytes.iter().all(|b| word(b) || *b == b'-');
    if bytes.len() <= 63 && inside && bytes.first().is_some_and(word) && bytes.last().is_some_and(word) {
        return Ok(text.to_owned());
    }
    Err("must be 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends".to_owned())
}

fn file_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text == "." || text == ".." || text.contains(['/', '\0']) {
        return Err("must be the name of a file in the disk's root, without '/'".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_template_renders_is_understood() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let Cli { args } = <Cli as clap::Parser>::try_parse_from(templates::args::keep_args("shop")).unwrap();
        assert_eq!((args.root.to_str(), args.namespace.as_str()), (Some("/disk"), "shop"));
    }

    #[test]
    fn only_a_dns_label_names_a_folder() {
        for good in ["shop", "a", "0", "team-1"] {
            assert!(dns_label(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "../x", "-a", "a-", "A", "a.b", "a b", "é", &"a".repeat(64)] {
            assert!(dns_label(bad).is_err(), "{bad}");
        }
        for bad in ["", ".", "..", "a/b"] {
            assert!(file_name(bad).is_err(), "{bad}");
        }
    }
}
