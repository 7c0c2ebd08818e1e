//! What `restore` and `browse` are called with.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use model::duration::Span;
use model::facts::VolumeMode;
use model::restore::{From, Request, When};

/// The two forms of a restore's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text to read (default)
    Text,
    /// One line of JSON at the end
    Json,
}

/// Which restore point.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PointArgs {
    /// PVC that was backed up; it may be gone
    #[arg(value_name = "PVC", value_parser = object_name)]
    pub(crate) pvc: String,
    /// Date of the restore point: YYYYMMDD, YYYYMMDD-HHMM, a run such as 20181202T0000Z, or latest
    #[arg(long, value_name = "DATE", required_unless_present = "snapshot", conflicts_with = "snapshot")]
    pub(crate) date: Option<When>,
    /// Snapshot of a restic repository: its id, or at least the first 8 digits of the id
    #[arg(long, value_name = "ID", value_parser = snapshot)]
    pub(crate) snapshot: Option<When>,
    /// Kind: snapshot, disk, restic, or the name of a destination [default: snapshot, else disk, else restic]
    #[arg(long, value_name = "WHERE", default_value = "", hide_default_value = true, value_parser = place)]
    pub(crate) from: From,
    /// UID of the PVC that was backed up, if several PVCs had the name
    #[arg(long, value_name = "UID", value_parser = object_name)]
    pub(crate) uid: Option<String>,
    /// Longest time until the restore pod runs
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub(crate) timeout: Span,
}

impl PointArgs {
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
    pub(crate) point: PointArgs,
    /// Restore only these files and folders, named from the root of the volume [default: all]
    #[arg(value_name = "PATH", value_parser = below_root)]
    pub(crate) paths: Vec<String>,
    /// Like PATH, for a name that begins with a dash
    #[arg(long = "path", value_name = "PATH", value_parser = below_root, allow_hyphen_values = true)]
    pub(crate) more_paths: Vec<String>,
    /// Restore into this PVC; it is created if it does not exist [default: the PVC that was backed up]
    #[arg(long, value_name = "PVC", value_parser = object_name)]
    pub(crate) to: Option<String>,
    /// Restore into the PVC that was backed up: the default
    #[arg(long, conflicts_with = "to")]
    pub(crate) in_place: bool,
    /// Size of a new PVC, such as 20Gi [default: size of the PVC that was backed up, or more if a snapshot needs it]
    #[arg(long, value_name = "SIZE", requires = "to", value_parser = quantity)]
    pub(crate) size: Option<u64>,
    /// StorageClass of a new PVC [default: class of the PVC that was backed up]
    #[arg(long, value_name = "NAME", requires = "to")]
    pub(crate) storage_class: Option<String>,
    /// Volume mode of a new PVC [default: mode of the PVC that was backed up, if it is known]
    #[arg(long, value_name = "MODE", requires = "to", ignore_case = true, value_parser = volume_mode())]
    pub(crate) volume_mode: Option<VolumeMode>,
    /// Also delete files in the volume, or below PATH, that the restore point does not have
    #[arg(long)]
    pub(crate) delete: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Show the changes, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Scale the workloads that mount the volume to 0 after the preview, and back after the restore
    #[arg(long)]
    pub(crate) scale: bool,
    /// Format of the result
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
            return Some("-o json cannot ask for confirmation: add --yes, or --dry-run to show the changes".to_owned());
        }
        let text = "the confirmation needs a terminal: add --yes, or --dry-run to show the changes";
        (!terminal).then(|| text.to_owned())
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

/// How `--scale` calls restore.sh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Shows what would change. The application may run.
    Preview,
    /// Writes. The application was stopped a moment ago.
    Write {
        /// Whether somebody looks at how far it is.
        progress: bool,
    },
}

/// Seconds after which the controller and the kubelet have told the pod that the application's pods are gone.
const TOLD: u32 = 90;

impl Restore {
    /// What is executed in the restore pod by `--scale`, which asks by itself. Whatever ends it tells its result as JSON.
    pub(crate) fn step(&self, step: Step) -> Vec<String> {
        let (first, flags): (Vec<String>, Vec<&str>) = match step {
            Step::Preview => (vec![], vec!["--dry-run", "--output=json"]),
            Step::Write { progress } => {
                // restore.sh refuses at once while a pod has the volume; the word that it has ended comes by a file.
                let wait = format!(
                    "i=0; while read -r said 2> /dev/null < {HOLDERS} || :; do case $said in *'\"pods\":[]'*) break ;; esac; \
                     [ $i -lt {TOLD} ] || break; i=$((i + 1)); sleep 1; done; exec \"$@\""
                );
                let shell = ["/bin/sh", "-c", &wait, "sh"].map(str::to_owned).to_vec();
                let flags = [Some("--yes"), Some("--output=json"), progress.then_some("--progress")];
                (shell, flags.into_iter().flatten().collect())
            }
        };
        let mut command = first;
        command.push("/usr/local/bin/restore.sh".to_owned());
        command.extend(self.delete.then_some("--delete").into_iter().chain(flags).map(str::to_owned));
        if self.parts() {
            command.push("--".to_owned());
            command.extend(self.all_paths().cloned());
        }
        command
    }
}

/// Where a restore pod reads which other pods have the volume.
const HOLDERS: &str = "/etc/restore/holders";

/// `kubectl backup browse`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Browse {
    #[command(flatten)]
    pub(crate) point: PointArgs,
    /// PVC that the pod mounts beside the restore point [default: the PVC that was backed up]
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
    When::snapshot(text).map_err(|_| {
        format!("'{text}' is not a restic snapshot: write at least the first 8 digits (0-9, a-f) of its id")
    })
}

/// Names and UIDs: a request is one line of words, and these are two of them.
fn object_name(text: &str) -> Result<String, String> {
    let request = format!("pvc={text} date=latest").parse::<Request>();
    match request {
        Ok(request) if request.namespace.is_none() && request.pvc == text => Ok(text.to_owned()),
        _ => Err(format!("'{text}' is not a valid name in Kubernetes (a-z, 0-9, '-' and '.')")),
    }
}

fn below_root(text: &str) -> Result<String, String> {
    let path = text.trim_start_matches('/');
    if path.is_empty() || path.split('/').any(|part| part == "..") || path.chars().any(char::is_control) {
        return Err(format!("'{text}' is not a path below the root of the volume, such as etc/app.conf"));
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
        0 => Err("must be more than 0".to_owned()),
        bytes => Ok(bytes),
    })
}

/// What follows the flags of `restore --help`.
pub(crate) const RESTORE_HELP: &str = "\
Steps:
  1. The command checks first, with your own permissions, and fails immediately if the restore is impossible.
  2. It creates a ConfigMap and a Deployment. The controller completes them, and a restore pod starts.
  3. The pod runs restore.sh, which shows the changes and asks for confirmation.
  4. The command deletes the ConfigMap and the Deployment, also after a failure.

The pod reads a snapshot through its promoter: the PVC that is made from the snapshot. If the promoter is gone, it is
created again.

With --to, a snapshot and no PATH, the storage creates the new volume from the snapshot, without a pod. A PVC that --to
creates is kept, unless nothing was written into it.

A raw block volume is restored whole, into a PVC with volumeMode Block. Only the blocks that differ are written.

At a central destination, copies run in the controller's namespace. The controller restores from it, without a preview,
and takes at most one PATH.

A restore never writes to a volume that another pod has mounted. With --scale, the Deployments and StatefulSets that
mount it are scaled to 0, once the changes are shown and you said yes. An annotation records their replicas. At the end
they are scaled back if nothing was written, or all of it. After a restore that broke off they stay stopped, with exit
code 3. The next restore with --scale that succeeds starts them.

Examples:
  kubectl backup restore data etc/app.conf --date 20181202 --dry-run
  kubectl backup restore data --date latest --delete --scale
  kubectl backup restore data --date 20181202 --from s3 --to data-copy

Exit codes:
  0         restored; with --dry-run: changes shown
  1         failed, and another try may help; files written so far stay, and the same command continues
  2         the command line is wrong, or there is no terminal to ask on
  3         refused, not restored completely, or you answered no
  130, 143  interrupted by Ctrl-C or SIGTERM; the created objects are deleted";

/// What follows the flags of `browse --help`.
pub(crate) const BROWSE_HELP: &str = "\
Opens a shell in a pod that mounts the restore point at /restore-point, read-only, and the PVC at /volume. The end of
the shell deletes the pod. A snapshot is mounted through its promoter: the PVC that is made from the snapshot.

A restic repository cannot be mounted: restore a PATH of it, or all of it into a new PVC.
A raw block volume has no files to look at: restore it into a new PVC.

Examples:
  kubectl backup browse data --date 20181202
  kubectl backup browse data --date latest --from disk

Exit codes:
  0         the shell has ended, with any exit code
  1         failed, and another try may help
  2         the command line is wrong, there is no terminal, or the restore point cannot be browsed
  3         refused: something must change first
  130, 143  interrupted by Ctrl-C or SIGTERM; the created objects are deleted";
