//! Which repository is at the address; and how one is made: once, where there is none, none was, and nothing else is
//! either.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ChildStdout;
use std::str::FromStr;
use std::time::Duration;

use model::reason::{Problem, Reason};
use serde::Deserialize;
use templates::args::ANY_REPOSITORY;

use super::exec::Restic;
use crate::outcome::Failure;

/// With one of these set restic does not ask in which region a bucket is, and thus not whether there is one.
const REGIONS: [&str; 2] = ["AWS_DEFAULT_REGION", "AWS_REGION"];
/// How old a key is that nobody is making a repository with any more.
const BROKEN_OFF: Duration = Duration::from_secs(5 * 60);
/// The folders of a repository in a folder.
const FOLDERS: [&str; 5] = ["data", "index", "keys", "locks", "snapshots"];

/// restic's code where there is no repository.
const MISSING: i32 = 10;
/// So many digits of a repository's id are told: another repository has others.
const TOLD: usize = 16;

/// The repository that earlier copies are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Some repository: no copy has told which.
    Any,
    /// The one whose id begins so.
    Id(String),
}

impl FromStr for Expect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_id = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match text {
            ANY_REPOSITORY => Ok(Self::Any),
            id if is_id => Ok(Self::Id(id.to_lowercase())),
            _ => Err(format!("must be '{ANY_REPOSITORY}' or up to 64 hexadecimal digits")),
        }
    }
}

/// A repository that can be copied to.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The beginning of its id.
    pub(crate) id: String,
    /// Whether it was made just now.
    pub(crate) is_new: bool,
}

/// What is in a repository's `config`.
#[derive(Deserialize)]
struct Identity {
    id: String,
}

/// Looks which repository is at the address, before anything is written there. Where there is none it is made, unless
/// one is expected: an emptied bucket, or an empty one behind the same address, looks like a new one (law 12, L5).
pub(crate) fn open(restic: &Restic, expected: Option<&Expect>) -> Result<Opened, Failure> {
    let missing = |text: String| Failure::last(Problem::new(Reason::RepositoryMissing, text));
    let found = match (identity(restic)?, expected) {
        (Some(id), Some(Expect::Id(known))) if !id.starts_with(known.as_str()) => {
            let at = restic.repository().shown();
            return Err(missing(format!(
                "the repository at {at} has the ID {}, but the copies of this volume are in {known}; nothing was \
                 written to it",
                told(&id)
            )));
        }
        (Some(id), _) => Opened { id: told(&id), is_new: false },
        (None, Some(_)) => {
            let at = restic.repository().shown();
            return Err(missing(format!(
                "there is no repository at {at}, but copies of this volume were in one there"
            )));
        }
        (None, None) => {
            init(restic)?;
            let id = identity(restic)?.ok_or_else(|| restic.unclear("init succeeded, but there is no repository"))?;
            Opened { id: told(&id), is_new: true }
        }
    };
    Ok(found)
}

fn told(id: &str) -> String {
    id.chars().take(TOLD).collect()
}

/// The id of the repository; `None` if there is none. It takes no lock.
fn identity(restic: &Restic) -> Result<Option<String>, Failure> {
    let args = ["cat".into(), "config".into(), "--no-lock".into()];
    let read = |pipe: ChildStdout| serde_json::from_reader::<_, Identity>(pipe);
    let (ended, read) = restic.read(&args, &|| restic.stopped(), read)?;
    match (ended.code, read) {
        (Some(0), Some(Ok(Identity { id }))) if matches!(id.parse(), Ok(Expect::Id(_))) => Ok(Some(id)),
        (Some(0), _) => Err(restic.unclear("cannot read the ID of the repository")),
        (Some(MISSING), _) if !restic.stopped() => {
            let missing = restic.failure(&ended);
            if missing.problem.reason == Reason::RepositoryMissing { Ok(None) } else { Err(missing) }
        }
        _ => Err(restic.failure(&ended)),
    }
}

/// Makes the repository, after restic has said that there is none (10).
fn init(restic: &Restic) -> Result<(), Failure> {
    restic.secret().check_new_password()?;
    if let Some(folder) = restic.folder() {
        check_folder(folder)?;
    }
    check_bucket(restic)?;
    tracing::info!("no repository exists: creating it");
    let ended = restic.run(&["init".into()], &mut |_: &str| {})?;
    match ended.code {
        Some(0) => Ok(()),
        // Somebody else was faster.
        _ if ended.heard.last_words().contains("config file already exists") => Ok(()),
        _ => Err(restic.failure(&ended)),
    }
}

/// Whether a folder is empty, or what an interrupted `init` leaves: folders, and a key that opens nothing yet. That
/// key is removed, because restic makes no repository beside one; but not another's who is at it now.
fn check_folder(folder: &Path) -> Result<(), Failure> {
    let unreadable = |error: io::Error| {
        let text = format!("cannot read the folder {}: {error}", folder.display());
        Failure::again(Problem::new(Reason::CopyFailed, text))
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(unreadable)?,
    };
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        let left_over = FOLDERS.iter().any(|folder| name == *folder);
        if !left_over || (name != "keys" && has_files(&folder.join(&name)).map_err(unreadable)?) {
            let text = format!(
                "the folder {} contains {} but no restic repository, so none is created there",
                folder.display(),
                name.display()
            );
            return Err(Failure::last(Problem::new(Reason::NotARepository, text)));
        }
    }
    let keys = match fs::read_dir(folder.join("keys")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        keys => keys.and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(unreadable)?,
    };
    for key in &keys {
        let written = key.metadata().and_then(|meta| meta.modified()).map_err(unreadable)?;
        if written.elapsed().is_ok_and(|age| age >= BROKEN_OFF) {
            continue;
        }
        let text = format!(
            "another process is creating a repository in the folder {}, or was until just now",
            folder.display()
        );
        return Err(Failure::again(Problem::new(Reason::RepositoryLocked, text)));
    }
    keys.iter().try_for_each(|key| fs::remove_file(key.path())).map_err(unreadable)
}

fn has_files(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || has_files(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// restic makes a bucket that is missing. A bucket has an owner, rules and a bill: it is not made by a slip of a name.
fn check_bucket(restic: &Restic) -> Result<(), Failure> {
    if !restic.repository().as_str().starts_with("s3:") {
        return Ok(());
    }
    // Without a region restic has to ask for it, and hears that there is no bucket. With one, it has not asked.
    let Some(asking) = restic.without(&REGIONS) else { return Ok(()) };
    let ended = asking.run(&["snapshots".into(), "--no-lock".into()], &mut |_: &str| {})?;
    if matches!(ended.code, Some(0 | 10)) {
        return Ok(());
    }
    let failure = asking.failure(&ended);
    // What else is wrong without the region was not wrong with it: the bucket has been seen.
    if failure.problem.reason == Reason::BucketMissing { Err(failure) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Exit;

    #[test]
    fn a_repository_that_another_is_making_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("restic-init-now-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("keys")).unwrap();
        old(&folder.join("keys/a"));
        fs::write(folder.join("keys/b"), "x").unwrap();
        let failure = check_folder(&folder).unwrap_err();
        assert_eq!((failure.problem.reason, failure.exit), (Reason::RepositoryLocked, Exit::Again));
        assert!(folder.join("keys/a").exists() && folder.join("keys/b").exists());
        fs::remove_dir_all(folder).unwrap();
    }

    /// A key of a quarter of an hour ago.
    fn old(path: &Path) {
        fs::write(path, "x").unwrap();
        let time = std::time::SystemTime::now() - 3 * BROKEN_OFF;
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn a_repository_is_made_in_an_empty_folder_or_where_its_making_was_broken_off() {
        let folder = std::env::temp_dir().join(format!("restic-init-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        assert_eq!(check_folder(&folder), Ok(()));
        fs::create_dir_all(folder.join("keys")).unwrap();
        fs::create_dir_all(folder.join("data/00")).unwrap();
        old(&folder.join("keys/k"));
        assert_eq!(check_folder(&folder), Ok(()));
        assert!(!folder.join("keys/k").exists());
        for stranger in ["photo.jpg", "data/00/pack", "snapshots/s"] {
            fs::create_dir_all(folder.join(stranger).parent().unwrap()).unwrap();
            fs::write(folder.join(stranger), "x").unwrap();
            old(&folder.join("keys/k"));
            let failure = check_folder(&folder).unwrap_err();
            assert_eq!(failure.problem.reason, Reason::NotARepository);
            assert!(folder.join(stranger).exists() && folder.join("keys/k").exists());
            fs::remove_file(folder.join(stranger)).unwrap();
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
