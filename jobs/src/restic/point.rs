//! Which snapshot of a repository is meant, and that it is the source's own.

use std::path::PathBuf;

use model::names::{DEVICE_IMAGE, Run};
use model::reason::{Problem, Reason};

use super::args::Common;
use super::snapshots::Snapshot;

/// How many runs are named where one is not there.
const NAMED: usize = 5;
/// The fewest digits of an id that name a snapshot.
const SHORTEST: usize = 8;

/// Which restore point is asked for.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// ID of the snapshot in the repository, or at least its first 8 digits
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) snapshot: Option<String>,
    /// Run whose snapshot is used; its tags identify it
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<Run>,
}

/// Reads an id of restic's.
pub(crate) fn id(text: &str) -> Result<String, String> {
    let is_id = (SHORTEST..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_id {
        return Err("must be a snapshot ID of 8 to 64 hexadecimal digits; 'latest' is not accepted".to_owned());
    }
    Ok(text.to_lowercase())
}

/// A restore point in a repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RepositoryPoint {
    pub(crate) id: String,
    pub(crate) run: Option<Run>,
    /// The folder in it that was the volume.
    pub(crate) root: PathBuf,
    /// Whether entries are missing in it.
    pub(crate) incomplete: bool,
}

impl RepositoryPoint {
    /// restic's way to name a folder of it, relative to the volume's root.
    pub(crate) fn folder(&self, below: &std::path::Path) -> std::ffi::OsString {
        let mut text = std::ffi::OsString::from(format!("{}:", self.id));
        text.push(self.root.join(below));
        text
    }

    /// Whether it is of a raw block volume: then its root is no folder, but the image of the device.
    pub(crate) fn is_device(&self) -> bool {
        self.root.strip_prefix("/").is_ok_and(|name| name.as_os_str() == DEVICE_IMAGE)
    }

    /// What people call it.
    pub(crate) fn name(&self) -> String {
        let short = self.id.get(..SHORTEST).unwrap_or(&self.id);
        match &self.run {
            Some(run) => format!("snapshot {short} of run {run}"),
            None => format!("snapshot {short}"),
        }
    }
}

/// Finds it. Another source's is refused, whatever the repository holds.
pub(crate) fn choose(snapshots: &[Snapshot], which: &Which, args: &Common) -> Result<RepositoryPoint, Problem> {
    let snapshot = match (&which.snapshot, &which.run) {
        (Some(id), _) => by_id(snapshots, id, &args.uid)?,
        (None, Some(run)) => by_run(snapshots, run, args)?,
        (None, None) => {
            return Err(Problem::new(
                Reason::NoRestorePoint,
                "no snapshot and no run is given: use --snapshot or --run",
            ));
        }
    };
    of_source(snapshot, args)?;
    let [root] = snapshot.paths.as_slice() else {
        let text =
            format!("snapshot {} contains {} folders, but a volume is exactly one", snapshot.id, snapshot.paths.len());
        return Err(Problem::new(Reason::NoRestorePoint, text));
    };
    Ok(RepositoryPoint {
        id: snapshot.id.clone(),
        run: tag(snapshot, "run=").and_then(|run| run.parse().ok()),
        root: PathBuf::from(root),
        incomplete: snapshot.is_incomplete(),
    })
}

fn by_id<'a>(snapshots: &'a [Snapshot], id: &str, uid: &str) -> Result<&'a Snapshot, Problem> {
    let mut fits = snapshots.iter().filter(|snapshot| snapshot.is_called(id));
    let (first, second) = (fits.next(), fits.next());
    let Some(snapshot) = first else {
        let text = format!("the repository has no snapshot {id} among its {}", snapshots.len());
        return Err(Problem::new(Reason::NoRestorePoint, text));
    };
    if second.is_some() {
        let text = format!("several snapshot IDs begin with {id}: give more digits");
        return Err(Problem::new(Reason::AmbiguousRestorePoint, text));
    }
    match tag(snapshot, "uid=") {
        Some(own) if own == uid => Ok(snapshot),
        own => {
            let own = own.map_or_else(|| "it has no tag with a UID".to_owned(), |own| format!("it belongs to {own}"));
            let text = format!("snapshot {id} does not belong to the PVC with the UID {uid}: {own}");
            Err(Problem::new(Reason::NotGranted, text))
        }
    }
}

/// The last one: of several of a run it is the verdict, also where snapshots are forgotten.
fn by_run<'a>(snapshots: &'a [Snapshot], run: &Run, args: &Common) -> Result<&'a Snapshot, Problem> {
    let ours = || snapshots.iter().filter(|snapshot| tag(snapshot, "uid=") == Some(&args.uid));
    let of_run = ours().filter(|snapshot| tag(snapshot, "run=") == Some(run.as_str()));
    of_run.max_by_key(|snapshot| (snapshot.time, &snapshot.id)).ok_or_else(|| {
        let mut runs: Vec<&str> = ours().filter_map(|snapshot| tag(snapshot, "run=")).collect();
        runs.sort_unstable();
        runs.dedup();
        let newest: Vec<&str> = runs.iter().rev().take(NAMED).copied().collect();
        let there = match newest.as_slice() {
            [] => "it has none of any run".to_owned(),
            newest => format!("its newest runs are {}", newest.join(", ")),
        };
        let text = format!(
            "the repository has no snapshot of run {run} of the PVC with the UID {}: {there}. If the run found \
             nothing changed, use the snapshot of an earlier run",
            args.uid
        );
        Problem::new(Reason::NoRestorePoint, text)
    })
}

/// S5: the address may contain nothing but a UID, and who asks names the UID. So the snapshot itself says whose it is.
fn of_source(snapshot: &Snapshot, args: &Common) -> Result<(), Problem> {
    let source = format!("{}/{}", args.namespace, args.pvc);
    let own = match tag(snapshot, "source=") {
        Some(own) if own == source => return Ok(()),
        Some(_) => "its tag names another PVC",
        None => "it has no tag with a PVC",
    };
    let id = snapshot.id.get(..SHORTEST).unwrap_or(&snapshot.id);
    let text = format!("snapshot {id} does not belong to the PVC {source} with the UID {}: {own}", args.uid);
    Err(Problem::new(Reason::NotGranted, text))
}

fn tag<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a str> {
    snapshot.tags.iter().find_map(|tag| tag.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        which: Which,
    }

    /// S5: the UID of somebody else's PVC, at an address that contains nothing else.
    #[test]
    fn a_snapshot_of_another_namespace_or_pvc_is_refused() {
        let snapshot = |tags: &[&str]| -> Snapshot {
            let time = "2018-12-01T00:00:00Z";
            let id = "0123456789";
            serde_json::from_value(serde_json::json!({"id": id, "time": time, "paths": ["/source"], "tags": tags}))
                .unwrap()
        };
        let words = "x --name=s3 --repository=/r --secret-name=n/s --namespace=n --pvc=p --uid=u";
        for which in ["--run=20181201T0000Z", "--snapshot=01234567"] {
            let Cli { common, which } = Cli::parse_from(words.split(' ').chain([which]));
            for source in ["source=victim/p", "source=n/other", "source=n", "other=n/p"] {
                let all = [snapshot(&[source, "uid=u", "run=20181201T0000Z"])];
                let problem = choose(&all, &which, &common).unwrap_err();
                assert_eq!(problem.reason, Reason::NotGranted, "{problem}");
                assert!(!problem.message.contains("victim"), "{problem}");
            }
            assert!(choose(&[snapshot(&["source=n/p", "uid=u", "run=20181201T0000Z"])], &which, &common).is_ok());
        }
    }

    #[test]
    fn the_last_try_of_a_run_is_the_one_that_is_meant() {
        let snapshot = |id: &str, minute: u32, more: &[&str]| -> Snapshot {
            let tags: Vec<&str> = ["source=n/p", "uid=u", "run=20181201T0000Z"].iter().chain(more).copied().collect();
            let time = format!("2018-12-01T00:{minute:02}:00Z");
            serde_json::from_value(serde_json::json!({"id": id, "time": time, "paths": ["/source"], "tags": tags}))
                .unwrap()
        };
        let words = "x --name=s3 --repository=/r --secret-name=n/s --namespace=n --pvc=p --uid=u --run=20181201T0000Z";
        let Cli { common, which } = Cli::parse_from(words.split(' '));
        let mut all = vec![snapshot("c", 5, &["incomplete"]), snapshot("a", 0, &[]), snapshot("b", 5, &[])];
        let point = choose(&all, &which, &common).unwrap();
        assert_eq!((point.id.as_str(), point.incomplete), ("c", true));
        all.push(snapshot("0", 6, &[]));
        assert_eq!(choose(&all, &which, &common).unwrap().id, "0");
    }
}
