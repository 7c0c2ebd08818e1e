//! What `restore` and `browse` are called with.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use model::duration::Span;
use model::facts::VolumeMode;
use model::restore::{From, Request, When};

/// The two forms of a restore's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people (default)
    Text,
    /// One line of JSON at the end
    Json,
}

/// Which restore point.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Point {
    /// The PVC that was backed up; it may be gone
    #[arg(value_name = "PVC", value_parser = object_name)]
    pub(crate) pvc: String,
    /// Which restore point: YYYYMMDD, YYYYMMDD-HHMM, a run such as 20181202T0000Z, or latest
    #[arg(long, value_name = "DATE", required_unless_present = "snapshot", conflicts_with = "snapshot")]
    pub(crate) date: Option<When>,
    /// Which snapshot of a restic repository: its id, or the beginning of it
    #[arg(long, value_name = "ID", value_parser = snapshot)]
    pub(crate) snapshot: Option<When>,
    /// From where: snapshot, disk, restic, or the name of a destination [default: a snapshot if there is one, else a
    /// disk, else a repository]
    #[arg(long, value_name = "WHERE", default_value = "", hide_default_value = true, value_parser = place)]
    pub(crate) from: From,
    /// The UID of a PVC that is gone, where several had this name
    #[arg(long, value_name = "UID", value_parser = object_name)]
    pub(crate) uid: Option<String>,
    /// The longest time until the restore pod runs
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub(crate) timeout: Span,
}

impl Point {
    /// The request that is written on the Deployment.
    pub(crate) fn request(&self, target: Option<&str>) -> Request {
        Request {
            namespace: None,
            pvc: self.pvc.clone(),
            uid: self.uid.clone(),
            when: self.date.as_ref().or(self.snapshot.as_ref()).cloned().unwrap_or(When::Latest),
            from: self.from.clone(),
            target: target.filter(|t| *t != self.pvc).map(str::to_owned),
            delete: false,
            path: None,
        }
    }
}

/// `kubectl backup restore`.
#[derive(Debug, Clone, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) point: Point,
    /// Only these files and folders, from the volume's root [default: all]
    #[arg(value_name = "PATH", value_parser = below_root)]
    pub(crate) paths: Vec<String>,
    /// The same, where a name begins with a dash
    #[arg(long = "path", value_name = "PATH", value_parser = below_root, allow_hyphen_values = true)]
    pub(crate) more_paths: Vec<String>,
    /// Restore into this PVC; it is made if it is not there [default: the PVC itself]
    #[arg(long, value_name = "PVC", value_parser = object_name)]
    pub(crate) to: Option<String>,
    /// Restore into the PVC itself: the default, said aloud
    #[arg(long, conflicts_with = "to")]
    pub(crate) in_place: bool,
    /// The size of a PVC that is made, such as 20Gi [default: that of the PVC, or what the snapshot needs]
    #[arg(long, value_name = "SIZE", requires = "to", value_parser = quantity)]
    pub(crate) size: Option<u64>,
    /// The StorageClass of a PVC that is made [default: that of the PVC]
    #[arg(long, value_name = "NAME", requires = "to")]
    pub(crate) storage_class: Option<String>,
    /// What pods get of a PVC that is made [default: what they got of the PVC, as far as anything tells that]
    #[arg(long, value_name = "MODE", requires = "to", ignore_case = true, value_parser = volume_mode())]
    pub(crate) volume_mode: Option<VolumeMode>,
    /// Also delete from the volume what the restore point does not have
    #[arg(long)]
    pub(crate) delete: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Scale what mounts the volume to 0 before, and back after
    #[arg(long)]
    pub(crate) scale: bool,
    /// How the result is told
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT", hide_default_value = true)]
    pub(crate) output: Output,
}

impl Restore {
    /// Every PATH.
    pub(crate) fn all_paths(&self) -> impl Iterator<Item = &String> {
        self.paths.iter().chain(&self.more_paths)
    }

    /// Whether PATHs are named.
    pub(crate) fn parts(&self) -> bool {
        self.all_paths().next().is_some()
    }

    /// The PVC that is written.
    pub(crate) fn target(&self) -> &str {
        self.to.as_deref().unwrap_or(&self.point.pvc)
    }

    /// What cannot be, whatever the cluster looks like. `terminal`: whether there is somebody to ask.
    pub(crate) fn contradiction(&self, terminal: bool) -> Option<String> {
        if self.dry_run || self.yes {
            return None;
        }
        if self.output == Output::Json {
            return Some("-o json asks nothing: add --yes, or --dry-run to see what would be done".to_owned());
        }
        (!terminal)
            .then(|| "there is no terminal to ask on: add --yes, or --dry-run to see what would be done".to_owned())
    }

    /// What is executed in the restore pod; `ask`: whether it may ask.
    pub(crate) fn command(&self, ask: bool) -> Vec<String> {
        let mut command = vec!["/usr/local/bin/restore.sh".to_owned()];
        let flags = [
            (self.delete, "--delete"),
            (self.dry_run, "--dry-run"),
            (!ask && !self.dry_run, "--yes"),
            (self.output == Output::Json, "--output=json"),
        ];
        command.extend(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| (*flag).to_owned()));
        if self.parts() {
            command.push("--".to_owned());
            command.extend(self.all_paths().cloned());
        }
        command
    }
}

/// `kubectl backup browse`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Browse {
    #[command(flatten)]
    pub(crate) point: Point,
    /// The PVC that the pod mounts beside it, where the PVC is gone [default: the PVC itself]
    #[arg(long, value_name = "PVC", value_parser = object_name)]
    pub(crate) to: Option<String>,
}

fn place(text: &str) -> Result<From, String> {
    if text.is_empty() {
        return Ok(From::Any);
    }
    text.parse().map_err(|_| format!("'{text}' is not snapshot, disk, restic or the name of a destination"))
}

fn snapshot(text: &str) -> Result<When, String> {
    When::snapshot(text).map_err(|_| format!("'{text}' is not the beginning of an id: at least 8 of 0-9 and a-f"))
}

/// Names and UIDs: a request is one line of words, and these are two of them.
fn object_name(text: &str) -> Result<String, String> {
    let request = format!("pvc={text} date=latest").parse::<Request>();
    match request {
        Ok(request) if request.namespace.is_none() && request.pvc == text => Ok(text.to_owned()),
        _ => Err(format!("'{text}' is not a name in Kubernetes (a-z, 0-9, '-' and '.')")),
    }
}

fn below_root(text: &str) -> Result<String, String> {
    let path = text.trim_start_matches('/');
    if path.is_empty() || path.split('/').any(|part| part == "..") || path.chars().any(char::is_control) {
        return Err(format!("'{text}' is not a path below the volume's root"));
    }
    Ok(path.to_owned())
}

/// The words of the API, however they are written.
fn volume_mode() -> impl TypedValueParser<Value = VolumeMode> {
    let [files, block] = [VolumeMode::Filesystem, VolumeMode::Block];
    let words = PossibleValuesParser::new([files.as_str(), block.as_str()]);
    words.map(move |word| if word.eq_ignore_ascii_case(block.as_str()) { block } else { files })
}

fn quantity(text: &str) -> Result<u64, String> {
    model::quantity::parse(text).map_err(|e| e.to_string()).and_then(|bytes| match bytes {
        0 => Err("a volume has some size".to_owned()),
        bytes => Ok(bytes),
    })
}

/// What follows the flags of `restore --help`.
pub(crate) const RESTORE_HELP: &str = "\
What it does:
  It looks what there is, makes a restore pod (a ConfigMap and a Deployment that the controller completes),
  runs restore.sh in it, which shows what it will do and asks, and takes the pod away again, whatever happens.
  With --to NEW, from a snapshot and without PATH the storage makes the new volume of the snapshot: no pod.
  A PVC that was made by --to stays.
  A raw block volume (volumeMode: Block) is restored whole, into a PVC that is one too: only the blocks that differ
  are written. What is made by --to is what the PVC was; --volume-mode says it where nothing tells that any more.

Nothing is written while another pod mounts the volume. --scale scales Deployments and StatefulSets that do
to 0, remembers their number on them, and gives it back at the end, also after a failure. If this command is
killed, the next restore with --scale gives it back.

Exit codes:
  0  done
  1  not done, and another try may help; what was written stays, and asking again goes on with it
  2  the command line is wrong
  3  refused: something must change first
  130, 143  interrupted; what was made is taken back";

/// What follows the flags of `browse --help`.
pub(crate) const BROWSE_HELP: &str = "\
A shell in a pod that has the restore point at /restore-point, read-only. Its end takes the pod away.
What lies in a restic repository is not mounted: restore a PATH of it, or all of it to a new PVC.
A raw block volume has no files to look at: restore it to a new PVC.";
