//! Every name, label and annotation that the project writes or reads, in one place.
//!
//! Limits come from the Kubernetes API: CronJob names have at most 52 characters, Job names and
//! label values 63, other names 253. A name that has to be cut keeps a readable beginning and
//! ends in a hash of the whole, so that two sources never share one.

mod instance;
mod run;
mod task;

use std::fmt;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::schedule::Zone;

pub use instance::Instance;
pub use run::{Run, RunError};
pub use task::Task;

/// What all our labels and annotations begin with.
pub const PREFIX: &str = "backup-controller.io/";

/// The value of [`MANAGED_BY`] on all that we create.
pub const MANAGER: &str = "backup-controller";

/// Our container in every pod of a Job of ours.
pub const CONTAINER: &str = "backup";

/// The label of the Kubernetes recommendations that names the tool behind an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The label by which Velero passes an object over.
pub const NOT_FOR_VELERO: &str = "velero.io/exclude-from-backup";

/// Label: the installation an object belongs to; two installations never touch each other's objects (F94).
pub const INSTANCE: &str = "backup-controller.io/instance";
/// Label: the name of the source PVC, cut and hashed if it is longer than a label value may be.
pub const SOURCE_PVC: &str = "backup-controller.io/source-pvc";
/// Label: the UID of the source PVC.
pub const SOURCE_UID: &str = "backup-controller.io/source-uid";
/// Label: the run, `20181202T0000Z`.
pub const RUN: &str = "backup-controller.io/run";
/// Label: what an object is for, a [`Component`].
pub const COMPONENT: &str = "backup-controller.io/component";
/// Label on what lends the volume of a PVC to a restore in our own namespace, and on that restore: the PVC's UID.
pub const TARGET_UID: &str = "backup-controller.io/target-uid";
/// Annotation on the same: the PVC's namespace.
pub const TARGET_NAMESPACE: &str = "backup-controller.io/target-namespace";
/// Annotation on the same: the PVC's name.
pub const TARGET_NAME: &str = "backup-controller.io/target-name";
/// Label on copy Jobs: the destination.
pub const DESTINATION: &str = "backup-controller.io/destination";
/// Label on pods that need a repository's Secret, and on their Jobs: the destination's type. On the `NetworkPolicy` that
/// leaves those out that need the network: `disk`.
pub const DESTINATION_TYPE: &str = "backup-controller.io/destination-type";
/// The value of [`DESTINATION_TYPE`] for restic repositories that are reached over the network.
pub const RESTIC: &str = "restic";
/// The value of [`DESTINATION_TYPE`] for restic repositories on a disk.
pub const RESTIC_ON_DISK: &str = "restic-on-disk";
/// The value of [`DESTINATION_TYPE`] for disks.
pub const DISK: &str = "disk";
/// Label on Jobs that care for a destination, and on what they are made from: what they do, a [`Task`].
pub const TASK: &str = "backup-controller.io/task";
/// Label on a promoter that was made again for a drill: the minute for which that was due.
pub const DUE: &str = "backup-controller.io/due";
/// All labels above that begin with [`PREFIX`]. The guard reserves exactly these.
pub const LABELS: [&str; 10] =
    [INSTANCE, SOURCE_PVC, SOURCE_UID, RUN, COMPONENT, TARGET_UID, DESTINATION, DESTINATION_TYPE, TASK, DUE];

/// Annotation on objects in our own namespace: the namespace of the source.
pub const SOURCE_NAMESPACE: &str = "backup-controller.io/source-namespace";
/// Annotation: the full name of the source PVC, where the label had to be cut.
pub const SOURCE_NAME: &str = "backup-controller.io/source-name";
/// Annotation on a CronJob: a hash of what was applied, so that an unchanged one costs no write.
pub const APPLIED: &str = "backup-controller.io/applied";
/// On a CronJob that starts nothing by itself: how long after the end of the last run the next one starts.
pub const AFTER: &str = "backup-controller.io/after";
/// On a VolumeSnapshot: the volume mode of its source, if that is `Block`; so that a promoter can be made again
/// when the source is gone.
pub const VOLUME_MODE_TAKEN: &str = "backup-controller.io/volume-mode-taken";
/// On a promoter: `skipped` if it is mounted without its journal.
pub const JOURNAL: &str = "backup-controller.io/journal";
/// The one file that a raw block volume is in a dated tree or in a repository.
pub const DEVICE_IMAGE: &str = "device.img";

/// Annotation of users on a PVC or Namespace: `true` or `false`.
pub const ENABLED: &str = "backup-controller.io/enabled";
/// Annotation of users on a PVC or Namespace: a five-field schedule.
pub const SCHEDULE: &str = "backup-controller.io/schedule";
/// Annotation of users on a PVC or Namespace: an IANA time zone.
pub const TIME_ZONE: &str = "backup-controller.io/time-zone";
/// Annotation of users on a PVC or Namespace: an age or keep rules.
pub const RETENTION: &str = "backup-controller.io/retention";
/// Annotation of users on a PVC or Namespace: destinations, separated by commas.
pub const DESTINATION_SETTING: &str = "backup-controller.io/destinations";
/// The old spelling of that annotation: an error.
pub const OLD_DESTINATION_SETTING: &str = "backup-controller.io/destination";
/// Annotation of users on a PVC or Namespace: a [`crate::copy_options::Options`], of copies in restic repositories.
pub const COPY_OPTIONS: &str = "backup-controller.io/copy-options";
/// Annotation of users on a PVC: the class that its snapshots are made with.
pub const SNAPSHOT_CLASS: &str = "backup-controller.io/snapshot-class";
/// All annotations above that say how a PVC is backed up, and stay right for a PVC that is made again.
pub const SETTINGS: [&str; 7] =
    [ENABLED, SCHEDULE, TIME_ZONE, RETENTION, DESTINATION_SETTING, COPY_OPTIONS, SNAPSHOT_CLASS];
/// Annotation of users on a PVC: a new value starts one run.
pub const RUN_NOW: &str = "backup-controller.io/run-now";
/// Annotation of users on a PVC: a time. The newest copies are drilled then, once.
pub const DRILL_NOW: &str = "backup-controller.io/drill-now";
/// Annotation of users on a PVC: an empty volume is as it should be.
pub const ACCEPT_EMPTY: &str = "backup-controller.io/accept-empty";
/// Annotation of users on a PVC: the time of the newest finding of a verify or a drill that its prunes go on in spite
/// of.
pub const ACCEPT_FINDING: &str = "backup-controller.io/accept-finding";
/// Annotation of users on a PVC: the time up to which copies that were found to be missing at a destination are given up.
pub const ACCEPT_MISSING: &str = "backup-controller.io/accept-missing";
/// Annotation of users on a snapshot or promoter: not rotated while present.
pub const HOLD: &str = "backup-controller.io/hold";
/// Annotation of users on a PVC that is to be written, and on the Deployment of a restore pod: a
/// [`crate::restore::Request`]. A new value starts one restore.
pub const RESTORE_FROM: &str = "backup-controller.io/restore-from";
/// All annotations of users on a PVC. One with our prefix that is not among them does nothing.
pub const ON_CLAIM: [&str; 13] = [
    ENABLED,
    SCHEDULE,
    TIME_ZONE,
    RETENTION,
    DESTINATION_SETTING,
    COPY_OPTIONS,
    SNAPSHOT_CLASS,
    RUN_NOW,
    DRILL_NOW,
    ACCEPT_EMPTY,
    ACCEPT_FINDING,
    ACCEPT_MISSING,
    RESTORE_FROM,
];
/// The same on a Namespace.
pub const ON_NAMESPACE: [&str; 6] = [ENABLED, SCHEDULE, TIME_ZONE, RETENTION, DESTINATION_SETTING, COPY_OPTIONS];
/// Annotation of ours on a PVC, and on the Deployment of a restore pod: what became of its `restore-from`, a
/// [`crate::record::RestoreRecord`].
pub const RESTORE_STATUS: &str = "backup-controller.io/restore-status";
/// Annotation of ours on a restore pod: who else holds the volume that it writes, a
/// [`crate::record::Holders`].
pub const HOLDERS: &str = "backup-controller.io/holders";
/// Annotation of `kubectl backup restore --scale` on a Deployment or `StatefulSet`: how many replicas it had.
pub const REPLICAS_BEFORE: &str = "backup-controller.io/replicas-before-restore";
/// Annotation of ours on a PVC, and on the newest snapshot of one that is gone: where its backups stand, for people and
/// the plugin, a [`crate::record::Status`]. Nothing is decided by it.
pub const STATUS: &str = "backup-controller.io/status";

/// Annotation of an administrator on the ledger of a source that is gone: a [`crate::record::Word`] that removes its
/// copies. The next write of the ledger takes it away.
pub const REMOVE_COPIES: &str = "backup-controller.io/remove-copies";
/// Annotation of an administrator on the same ledger: a [`crate::record::EndWord`] that ends a removal of copies. The
/// next write takes it away too.
pub const END_REMOVAL: &str = "backup-controller.io/end-removal";

/// Annotation of Kubernetes on a Job that a CronJob made: the minute for which it was scheduled.
pub const SCHEDULED_TIMESTAMP: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// What an object of ours is for: the value of the label [`COMPONENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// The CronJob, Job and pods that take a snapshot, and the VolumeSnapshot itself.
    Snapshot,
    /// The PVC made from a snapshot.
    Promoter,
    /// The Job and pods that copy a promoter to a destination.
    Copy,
    /// A BackupDisk: the PVC (and static PV) in a tenant's namespace.
    Disk,
    /// The Job that checks a host's disk and makes a tenant's folder on it.
    Keeper,
    /// The CronJob that rotates what vanished sources left.
    Sweep,
    /// The Deployment or Job, and the pod, that restores.
    Restore,
    /// The `NetworkPolicy` of a tenant's namespace.
    Policy,
    /// The volume, and the PVC, through which a restore reads the disk of another namespace.
    Grant,
    /// The volume, and the PVC in the controller's namespace, through which a restore from a central destination writes
    /// its target.
    Target,
    /// The Job and pods that prune, verify, drill or remove what lies at a destination.
    Maintain,
    /// The snapshot's second content, the snapshot and the PVC in the controller's namespace from which a central
    /// copy or drill is made.
    Central,
    /// The ConfigMap that is a source's ledger.
    Ledger,
}

impl Component {
    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Promoter => "promoter",
            Self::Copy => "copy",
            Self::Disk => "disk",
            Self::Keeper => "keeper",
            Self::Sweep => "sweep",
            Self::Restore => "restore",
            Self::Policy => "policy",
            Self::Grant => "grant",
            Self::Target => "target",
            Self::Maintain => "maintain",
            Self::Central => "central",
            Self::Ledger => "ledger",
        }
    }

    /// Reads a label's value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        use Component::{
            Central, Copy, Disk, Grant, Keeper, Ledger, Maintain, Policy, Promoter, Restore, Snapshot, Sweep, Target,
        };
        [Snapshot, Promoter, Copy, Disk, Keeper, Sweep, Restore, Grant, Target, Policy, Maintain, Central, Ledger]
            .into_iter()
            .find(|c| c.as_str() == text)
    }
}

/// A source: the user's PVC that is protected. Another UID is another source (F78).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId {
    /// The PVC's namespace.
    pub namespace: String,
    /// The PVC's name.
    pub name: String,
    /// The PVC's UID.
    pub uid: String,
}

impl SourceId {
    /// The text that hashes and schedules are seeded with.
    #[must_use]
    pub fn seed(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.name, self.uid)
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A namespace's folder on a destination that is a host's disk. Both are plain names, and the default ones are alike: its
/// parts are named, so that they are never swapped.
#[derive(Debug, Clone, Copy)]
pub struct FolderOf<'a> {
    /// The destination.
    pub destination: &'a str,
    /// The tenant's namespace.
    pub namespace: &'a str,
}

/// The PVC through which a restore reads the disk of another namespace. Its parts are named, for the same reason.
#[derive(Debug, Clone, Copy)]
pub struct GrantClaim<'a> {
    /// The namespace that restores.
    pub namespace: &'a str,
    /// The PVC's name there.
    pub name: &'a str,
}

/// A drill, by its two minutes: they are of one type, and the wrong way round they name another drill.
#[derive(Debug, Clone, Copy)]
pub struct DrillOf<'a> {
    /// For when it is due.
    pub due: &'a Run,
    /// The run that it restores.
    pub run: &'a Run,
}

/// The first `digits` hexadecimal digits of the text's SHA-256.
#[must_use]
pub fn hash(text: &str, digits: usize) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing into a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out.truncate(digits);
    out
}

/// `text` cut to at most `room` bytes, without a separator at its end.
fn cut(text: &str, room: usize) -> &str {
    let mut end = room.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim_end_matches(['-', '.', '_'])
}

/// `text` if it fits into `max` bytes, else its beginning and a hash of the whole.
fn fit(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{}-{}", cut(text, max - 13), hash(text, 12))
}

/// A label value for a name of any length. A value that could be another name's cut form is
/// told apart by the hash.
#[must_use]
pub fn label_value(name: &str) -> String {
    fit(name, 63)
}

/// The run of a Job that the CronJob of a source made, by its name: Kubernetes ends that with the minute for which it was
/// scheduled. Nothing if somebody else named it.
#[must_use]
pub fn scheduled_run(source: &SourceId, job: &str) -> Option<Run> {
    let minute = job.strip_prefix(&cronjob(source))?.strip_prefix('-')?;
    let minute: i64 = Some(minute).filter(|m| m.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
    Timestamp::from_second(minute.checked_mul(60)?).ok().map(Run::at)
}

/// The CronJob of a source, in the controller's namespace: at most 52 characters.
#[must_use]
pub fn cronjob(source: &SourceId) -> String {
    let readable = source.name.replace('.', "-");
    format!("backup-{}-{}", cut(&readable, 32), hash(&source.seed(), 12))
}

/// What is remembered of a `run-now` value: all of it, or a mark of a long one.
#[must_use]
pub fn run_now_mark(value: &str) -> String {
    fit(value, 64)
}

/// What the names of Jobs begin with that a `run-now` value starts.
pub const RUN_NOW_PREFIX: &str = "now-";

/// The Job that a `run-now` value starts: the same value never starts two.
#[must_use]
pub fn run_now_job(source: &SourceId, value: &str) -> String {
    let readable = source.name.replace('.', "-");
    format!("{RUN_NOW_PREFIX}{}-{}", cut(&readable, 40), hash(&format!("{}/{value}", source.seed()), 16))
}

/// The Job that starts so long after the run before it, which ended at that moment: a restart never starts two.
#[must_use]
pub fn after_job(source: &SourceId, ended: Timestamp) -> String {
    let readable = source.name.replace('.', "-");
    format!("after-{}-{}", cut(&readable, 38), hash(&format!("{}/{}", source.seed(), ended.as_second()), 16))
}

/// The Job that copies a run to a destination.
#[must_use]
pub fn copy_job(source: &SourceId, run: &Run, destination: &str) -> String {
    let readable = source.name.replace('.', "-");
    let whole = format!("{}/{run}/{destination}", source.seed());
    format!(
        "copy-{}-{}-{}-{}",
        cut(&readable, 18),
        run.as_str().to_ascii_lowercase(),
        cut(destination, 12),
        hash(&whole, 10)
    )
}

/// What the names of the objects begin with from which a central copy or drill is made.
pub const CENTRAL_PREFIX: &str = "central-";

/// The name of the objects from which a central copy is made: content, snapshot and PVC. A content has no namespace,
/// so the instance is in it.
#[must_use]
pub fn central(instance: &Instance, source: &SourceId, run: &Run, destination: &str) -> String {
    let readable = source.name.replace('.', "-");
    let whole = format!("{instance}/{}/{run}/{destination}", source.seed());
    let run = run.as_str().to_ascii_lowercase();
    format!("{CENTRAL_PREFIX}{}-{run}-{}-{}", cut(&readable, 16), cut(destination, 10), hash(&whole, 12))
}

/// The same for a drill of a run that is due at a minute. Each drill has its own: they go when it has ended, whatever
/// else is made from the run at that time.
#[must_use]
pub fn central_drill(instance: &Instance, source: &SourceId, drill: DrillOf<'_>, destination: &str) -> String {
    let DrillOf { due, run } = drill;
    let readable = source.name.replace('.', "-");
    let whole = format!("{instance}/{}/{due}/{destination}/drill/{run}", source.seed());
    let due = due.as_str().to_ascii_lowercase();
    format!("{CENTRAL_PREFIX}{}-{due}-{}-{}", cut(&readable, 16), cut(destination, 10), hash(&whole, 12))
}

/// The Job that does a task for a source at a destination, of the minute for which it was due.
#[must_use]
pub fn maintain_job(source: &SourceId, task: Task, due: &Run, destination: &str) -> String {
    let readable = source.name.replace('.', "-");
    let whole = format!("{}/{due}/{destination}", source.seed());
    let (task, due) = (task.as_str(), due.as_str().to_ascii_lowercase());
    format!("{task}-{}-{due}-{}-{}", cut(&readable, 17), cut(destination, 12), hash(&whole, 10))
}

/// The Job that a value of `restore-from` starts: the same value on the same PVC never starts two.
#[must_use]
pub fn restore_job(target: &SourceId, value: &str) -> String {
    let readable = target.name.replace('.', "-");
    format!("restore-{}-{}", cut(&readable, 36), hash(&format!("{}/{value}", target.seed()), 16))
}

/// The `NetworkPolicy` that keeps our pods in a namespace off the network.
#[must_use]
pub fn network_policy(instance: &Instance) -> String {
    format!("{}-pods", cut(instance.as_str(), 200))
}

/// The PV that such a PVC is bound to.
#[must_use]
pub fn grant_volume(instance: &Instance, claim: GrantClaim<'_>) -> String {
    let GrantClaim { namespace, name } = claim;
    let readable = format!("{instance}-{namespace}-{name}");
    format!("{}-{}", cut(&readable, 240), hash(&format!("{instance}/{namespace}/{name}"), 12))
}

/// The PVC in the controller's namespace through which the restore Job of that name reads a host's disk.
#[must_use]
pub fn granted_disk(job: &str) -> String {
    format!("{job}-disk")
}

/// The alias volume of a target for the restore Job of that name in the controller's namespace; the PVC there has the
/// Job's name. PVs have no namespace, so the instance is in it.
#[must_use]
pub fn alias_volume(instance: &Instance, job: &str) -> String {
    format!("{instance}-{job}")
}

/// The restore Job for which such a PV is; `None` for a name that is none of ours.
#[must_use]
pub fn alias_job<'a>(instance: &Instance, volume: &'a str) -> Option<&'a str> {
    volume.strip_prefix(instance.as_str())?.strip_prefix('-')
}

/// Tells one try of a restore from another: a few characters that nobody foresees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(pub String);

/// The Deployment and ConfigMap of a restore that a person asks for. It is a label's value too.
#[must_use]
pub fn restore_pod(pvc: &str, Token(token): &Token) -> String {
    let readable = pvc.replace('.', "-");
    format!("restore-{}-{token}", cut(&readable, 36))
}

/// The folder of a source's dated trees or of its repository, below a disk's root. On a host's disk the root is the
/// namespace's folder already.
#[must_use]
pub fn shelf(host_disk: bool, source: &SourceId) -> String {
    let SourceId { namespace, name, uid } = source;
    if host_disk { format!("{name}/{uid}") } else { format!("{namespace}/{name}/{uid}") }
}

/// What the name of a ledger begins with.
const LEDGER_PREFIX: &str = "ledger-";

/// The ConfigMap that is the ledger of the source with a UID.
#[must_use]
pub fn ledger(uid: &str) -> String {
    format!("{LEDGER_PREFIX}{uid}")
}

/// The UID of the source whose ledger has a name.
#[must_use]
pub fn ledger_of(name: &str) -> Option<&str> {
    name.strip_prefix(LEDGER_PREFIX)
}

/// The keeper Job of such a folder.
#[must_use]
pub fn keeper_job(instance: &Instance, folder: FolderOf<'_>) -> String {
    let FolderOf { destination, namespace } = folder;
    format!("keeper-{}-{}", cut(namespace, 40), hash(&format!("{instance}/{destination}/{namespace}"), 12))
}

/// The static PV of such a folder; PVs have no namespace, so the instance is in it.
#[must_use]
pub fn disk_volume(instance: &Instance, folder: FolderOf<'_>) -> String {
    let FolderOf { destination, namespace } = folder;
    // Each part may have dashes: only the hash tells (disk, a-b) from (disk-a, b).
    let readable = format!("{instance}-{destination}-{namespace}");
    format!("{}-{}", cut(&readable, 240), hash(&format!("{instance}/{destination}/{namespace}"), 12))
}

/// The PVC through which a tenant reaches his part of a host's disk.
#[must_use]
pub fn host_disk_claim(destination: &str) -> String {
    format!("backup-disk-{destination}")
}

/// An Event about an object: the moment tells it from others.
#[must_use]
pub fn event(name: &str, at: Timestamp) -> String {
    format!("{}.{:x}", cut(name, 220), at.as_nanosecond())
}

/// The names that a run's snapshot and promoter may have, in the order in which they are tried:
/// `<pvc>-<YYYYMMDD>` with the date of the schedule's zone, and `<pvc>-<YYYYMMDD>-<HHMM>` if another run
/// has the first. The clock runs twice through one hour when summer ends: the last name says the minute in UTC.
#[must_use]
pub fn restore_points(pvc: &str, run: &Run, zone: &Zone) -> [String; 3] {
    let local = zone.civil(run.time());
    let date = format!("{:04}{:02}{:02}", local.year, local.month, local.day);
    let time = format!("{:02}{:02}", local.hour, local.minute);
    [
        fit(&format!("{pvc}-{date}"), 253),
        fit(&format!("{pvc}-{date}-{time}"), 253),
        fit(&format!("{pvc}-{}", run.as_str().to_ascii_lowercase()), 253),
    ]
}

#[cfg(test)]
mod tests;
