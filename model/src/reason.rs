//! Machine-readable reasons: the same word in the status, as an Event's reason and as a metric's label.
//!
//! A reason never carries a name or a number, so that metrics stay bounded; what is particular goes
//! into the message beside it.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $help:literal,)*) => {
        /// Why a source is not protected, what it waits for, or why a step failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, for documentation and metrics.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word, as it stands in Events, metrics and the status.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What the person who meets it can do.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }
        }
    };
}

reasons! {
    // Left alone by choice.
    /// An annotation on the PVC or its Namespace, or its group, says `enabled: false`.
    Disabled => "remove the annotation backup-controller.io/enabled, or set it to \"true\"",
    /// The configuration is opt-in and nothing opted in.
    NotOptedIn => "annotate the PVC or its Namespace with backup-controller.io/enabled=true",
    /// `selection.namespaces` leaves the namespace out.
    NamespaceExcluded => "ask the administrator to change selection.namespaces: no annotation overrides it",
    /// `selection.storageClasses` leaves the class out.
    ClassExcluded => "ask the administrator to change selection.storageClasses: no annotation overrides it",
    /// `selection.drivers` leaves the driver out.
    DriverExcluded => "ask the administrator to change selection.drivers: no annotation overrides it",
    /// A8: a pod owns the PVC: an ephemeral volume, or the scratch volume of an importer or a runner.
    OwnedByPod => "annotate the PVC with backup-controller.io/enabled=true; for an ephemeral volume, in volumeClaimTemplate of its pod",
    /// A promoter, a BackupDisk or another volume that backups themselves need (F28).
    OwnVolume => "no action needed: the backups themselves need this volume",

    // Cannot be protected as things are.
    /// The PVC is not bound (F93).
    NotBound => "wait until the PVC is bound: kubectl describe pvc. If its class waits for the first consumer, start a pod that mounts it",
    /// The PVC's volume is gone.
    VolumeLost => "restore into a new PVC: kubectl backup restore PVC --date DATE --to NAME",
    /// The PVC is being deleted (F08).
    Terminating => "no action needed: the PVC is being deleted",
    /// The Namespace is being deleted (F70).
    NamespaceTerminating => "no action needed: the namespace is being deleted",
    /// Not a CSI volume.
    NotCsi => "move the data to a volume of a CSI driver that makes snapshots",
    /// The cluster has no VolumeSnapshot API (F04).
    NoSnapshotApi => "install the snapshot CRDs and the snapshot controller (external-snapshotter)",
    /// No VolumeSnapshotClass has the volume's driver (F05).
    NoSnapshotClass => "create a VolumeSnapshotClass for the volume's driver",
    /// Several VolumeSnapshotClasses fit and none is the default (F05).
    AmbiguousSnapshotClass => "mark one VolumeSnapshotClass of the driver as default, or name one in classes.<class>.snapshotClass",
    /// The named VolumeSnapshotClass does not exist or is another driver's.
    WrongSnapshotClass => "name a VolumeSnapshotClass that exists and has the volume's driver, in the setting that the message names",
    /// The promoter's StorageClass does not exist or is another driver's (F22).
    WrongStorageClass => "name a StorageClass that exists and has the volume's driver in classes.<class>.storageClass; <class> is \"\" for a PVC without one",
    /// A StorageClass mounts without a journal what is written.
    UnsafeMountOptions => "remove noload and norecovery from the mountOptions of the StorageClass and its PersistentVolumes. For read-only promoters, name a separate StorageClass with these options in classes.<class>.storageClass",
    /// An annotation cannot be read (F73, F76).
    InvalidSetting => "correct the annotation. Until then the earlier setting stays in force",
    /// An annotation shortens the retention of a central destination below what the administrator allows.
    RetentionTooShort => "lengthen the annotation, or ask the administrator to set bounds.minRetention",
    /// An annotation or a label shortened the retention less than a day ago.
    RetentionShortened => "no action needed if you meant it: it holds a day after the change. Otherwise set the longer retention again",
    /// An annotation has an option of copies that only the administrator sets at a central destination.
    OptionNotAllowed => "remove the option from copy-options, or ask the administrator to set it at the destination",
    /// A destination that is not configured, or that tenants may not choose.
    UnknownDestination => "name a configured destination that bounds.destinations allows",

    // A run failed.
    /// The PVC has another UID than the run was made for.
    SourceReplaced => "no action needed: the new PVC gets runs of its own",
    /// The PVC of a run is gone.
    SourceGone => "no action needed: the PVC was deleted",
    /// The run before is younger than the minimum interval.
    TooSoon => "wait until bounds.minInterval has passed",
    /// The snapshot of the run before is not ready yet.
    PreviousNotReady => "check the VolumeSnapshot of the previous run: kubectl describe volumesnapshot",
    /// The snapshot did not become ready before its deadline (F01, F03).
    SnapshotNotReady => "check the VolumeSnapshot (kubectl describe volumesnapshot) and the CSI driver's log, or raise deadlines.snapshotReady",
    /// The promoter did not bind before its deadline (F22, F23).
    PromoterNotBound => "check the PVC: kubectl describe pvc. Set readOnly: false if its class cannot make ReadOnlyMany volumes from snapshots",
    /// The promoter or snapshot vanished before its copy was made.
    PromoterLost => "no action needed: the next run makes a new one",
    /// Another object already has the name that ours needs.
    NameTaken => "rename or delete the object that the message names. It is never overwritten",
    /// A quota refuses the object (F39).
    QuotaExceeded => "raise the namespace's ResourceQuota, or lower the retention",
    /// The API server refuses us (F92).
    Forbidden => "grant the permission that the message names to the service account that it names",
    /// The API server refuses the object as invalid, or a template renders one that is not ours.
    InvalidObject => "correct the template that the message names in the ConfigMap backup-templates",
    /// The pod or Job failed without a result.
    JobFailed => "check the pod's log and events: kubectl logs, kubectl describe pod",
    /// The pod's image cannot be pulled or its container not be made (F38).
    PodNotStarted => "check the pod's events: kubectl describe pod. Correct its image, pull secret, volumes or node selection",
    /// A3: the API server refuses the Job's pods.
    PodRefused => "change what the message names: a LimitRange, a ResourceQuota, a policy or a webhook of the namespace; or resources.copy in the configuration",
    /// A node cannot mount the pod's volumes (F38).
    MountFailed => "correct the fault that the message quotes; check the log of the CSI driver on that node",
    /// A read-only promoter has a journal that was not replayed, and is mounted without noload.
    JournalNotReplayable => "set readOnly: false in classes.<class>. Or keep readOnly: true, and name a StorageClass with mountOptions [noload] (xfs: [norecovery, nouuid]) in classes.<class>.storageClass",
    /// A15: a program that moves files did nothing for a long time, and was ended.
    NoProgress => "check the storage or the server on both sides: it does not answer. The step is tried again",
    /// The copy's deadline passed.
    DeadlineExceeded => "raise deadlines.copy or deadlines.snapshotJob, or split the volume",
    /// The API server did not answer.
    ApiUnreachable => "no action needed if it passes: the step is retried. Otherwise check the API server",

    // Rotation passed something over.
    /// A pod uses a promoter that is to go, or its volume is still going.
    InUse => "no action needed: it is deleted once no pod uses it",
    /// The PersistentVolume of a promoter that is to go has the reclaim policy Retain (F14).
    VolumeRetained => "set the PersistentVolume's reclaim policy to Delete, or use a StorageClass with reclaimPolicy Delete for promoters",
    /// Somebody changed an object after it was looked at, for instance by a late `hold`.
    Conflict => "no action needed: the next run tries again",
    /// An object has our labels, and is not what they say.
    NotManaged => "remove the labels that begin with backup-controller.io/ from it: objects that the controller did not create are never deleted",

    // The ledger.
    /// The source's ledger is not there, or its runs are not all known yet: nothing is deleted.
    LedgerMissing => "check that the controller runs: it writes the ledger again, and each destination's next copy completes it",
    /// The source's ledger cannot be read.
    LedgerUnreadable => "delete the ConfigMap that the message names if its text is lost. The controller writes a new one, and each destination's next copy completes it",

    // What a copy waits for.
    /// The limits of copies at once are reached.
    WaitingForSlot => "no action needed; raise limits if copies wait too long",
    /// The disk takes one copy at a time.
    DiskBusy => "no action needed: a disk takes one copy at a time",
    /// The BackupDisk is being made or does not bind.
    DiskNotReady => "check the BackupDisk's PVC and StorageClass: kubectl describe pvc",
    /// The promoter is not bound yet.
    WaitingForPromoter => "no action needed: the promoter is being made",

    // A copy ended.
    /// Entries could not be read, or vanished while they were read (rsync 23, 24).
    Unreadable => "find the unreadable entries in the copy's log",
    /// The source is empty and was not before (F47).
    SourceEmpty => "annotate the PVC with backup-controller.io/accept-empty=true if it is meant to be empty",
    /// The patterns of `exclude` leave nothing of a source that has something.
    EverythingExcluded => "correct `exclude` in backup-controller.io/copy-options or in the destination: its patterns leave nothing of the volume",
    /// The destination is full.
    DiskFull => "enlarge the BackupDisk or lower its retention. Nothing was deleted to make room",
    /// No disk is mounted at the host's path: its marker file is missing.
    DiskNotMounted => "mount the disk on the host, and create its marker file once",
    /// A disk has none of the dated trees that it had.
    DiskMissing => "bring the disk with the copies back. If they are lost, annotate the PVC with backup-controller.io/accept-missing and the current time: the next copy begins a new series",
    /// The BackupDisk's class does not retain its volumes.
    DiskNotRetained => "use a StorageClass with reclaimPolicy Retain, or set claim.allowDelete",
    /// No node can have both the promoter and the disk (F40).
    NodeConflict => "use a disk or a StorageClass that the promoter's nodes can reach",
    /// A newer run of the source was copied instead.
    Superseded => "no action needed: a newer run was copied",
    /// A destination has no complete copy of two runs that were due (U1).
    CopyOverdue => "check what the copies to this destination wait for, and how long they take: kubectl backup why PVC. Raise limits, or schedule fewer runs",
    /// The mover failed.
    CopyFailed => "check the copy's log: kubectl logs",
    /// A12: the disk does not keep something that belongs to files, and nobody accepted that.
    DiskCannotKeep => "use a disk whose filesystem keeps what the message names. To do without it, list it in `accept` of the destination",
    // A restic repository.
    /// The Secret is missing, or has not all that is needed.
    SecretIncomplete => "create the Secret that the message names, with the keys that it names",
    /// The password is shorter than 12 characters, or a well-known one.
    WeakPassword => "set RESTIC_PASSWORD in the Secret to a random password of at least 12 characters, and keep a copy outside the cluster",
    /// The repository has another password (restic 12).
    WrongPassword => "put the repository's own RESTIC_PASSWORD back into the Secret: nobody can read the backups without it",
    /// There is no repository where one must be (restic 10), or another one.
    RepositoryMissing => "check that `repository` and the Secret contain the address of the backups. If they are lost, annotate the PVC with backup-controller.io/accept-missing and the current time: the next copy begins a new repository",
    /// The repository's address cannot be read.
    InvalidAddress => "correct the repository's address in the Secret or in `repository`. In a user name or password, write special characters as percent codes, such as %2F for /",
    /// Something else than a restic repository is there.
    NotARepository => "set `repository` to a place of its own. The data that is there is left alone",
    /// Another restic holds a lock (restic 11).
    RepositoryLocked => "no action needed if it passes. Otherwise stop what holds the lock, or run restic unlock",
    /// The check found damage.
    RepositoryDamaged => "read the section on a damaged repository in docs/troubleshooting.md. The next run repairs the index and stores data again that is gone; packs that cannot be read need restic repair packs",
    /// A drill found a difference between a copy and its snapshot.
    RestoreMismatch => "do not rely on the copy. Check the paths that the message names, and make a new copy, which compares all contents: kubectl backup run PVC",
    /// The endpoint does not answer, or its name is unknown.
    DestinationUnreachable => "check that the endpoint runs, and that its name, port and proxy are correct",
    /// The endpoint refuses the key or the signature.
    CredentialsRefused => "correct the keys in the Secret that the message names, or the permissions of these keys",
    /// The bucket, container or share does not exist.
    BucketMissing => "create the bucket, or correct its name in `repository`",
    /// The bucket is in another region.
    WrongRegion => "set AWS_DEFAULT_REGION in the Secret to the bucket's region",
    /// The endpoint's certificate is expired, of another name, or signed by nobody known.
    CertificateRefused => "renew the endpoint's certificate, or name its certificate authority in `ca`",
    /// The SFTP server is not one that `known_hosts` of the Secret names.
    HostKeyRefused => "compare the server's host key with known_hosts in the Secret that the message names, and correct known_hosts",
    /// The destination has no room left.
    DestinationFull => "raise the bucket's quota or lower the retention. Nothing was deleted to make room",
    /// A `NetworkPolicy` of an earlier version cuts restic's pods off.
    NetworkPolicyBlocks => "delete the NetworkPolicy that the message names. The next copy to a disk creates it again without restic's pods",
    /// Copies wait until the destination works again.
    DestinationDown => "no action needed: one copy at a time probes the destination; the others resume when it succeeds",
    /// A volume of the controller's own namespace, whose Secrets are for central copies only.
    SecretNotAllowed => "use runIn: controller for volumes of the controller's own namespace. A deleted PVC whose group had its own Secret is not copied any more",
    /// The snapshot's content is another snapshot's, or of another volume than the source's.
    SnapshotMismatch => "find out who made the VolumeSnapshotContent that the message names. Nothing was read from it",
    /// The snapshot was deleted before its central copy was made, or drilled.
    SourceSnapshotLost => "no action needed: the next run makes a new one",
    // A restore.
    /// The request cannot be read, or contradicts itself.
    InvalidRequest => "correct the value of backup-controller.io/restore-from, for example: pvc=NAME date=YYYYMMDD from=disk",
    /// There is no restore point of that date.
    NoRestorePoint => "choose another restore point: kubectl backup list PVC",
    /// Several restore points fit.
    AmbiguousRestorePoint => "choose by time, run or destination: date=YYYYMMDD-HHMM, date=20181202T0000Z, from=NAME",
    /// What is asked for needs a grant of the administrator.
    NotGranted => "ask the administrator for a grant: a line in restores.grants of the configuration",
    /// A restore that only the controller can do, asked for by a Deployment.
    AskByAnnotation => "annotate the target PVC with backup-controller.io/restore-from, or use kubectl backup restore PVC --date DATE",
    /// The PVC that is to be written is not there or not bound.
    TargetNotReady => "create the target PVC, or name another one",
    /// Another pod holds the volume that is to be written.
    TargetInUse => "stop the pods that use the volume, or wait until another restore of it has ended. A StatefulSet with whenScaled: Delete loses its PVCs at 0 replicas, so check that first",
    /// At 0 replicas the application would lose data, or would not stay stopped (L1).
    ScaleUnsafe => "do what the message says, and repeat the restore",
    /// Who holds the volume is not known, or not known any more.
    MountStateUnknown => "check that the controller runs: kubectl -n backup get deployment. It reports to the restore pod which pods mount the volume",
    /// The volume that is to be written has less room than the data needs.
    TargetTooSmall => "restore into a larger PVC: kubectl backup restore PVC --date DATE --to NAME",
    /// A raw block volume goes back to one, and files to a filesystem (`volumeMode`).
    VolumeModeDiffers => "restore a raw block volume into a PVC with volumeMode: Block, and files into a PVC with a filesystem",
    /// There is nothing in the restore point.
    RestorePointEmpty => "choose another restore point: kubectl backup list PVC",
    /// Entries are missing in the restore point (L2).
    RestorePointIncomplete => "choose a complete restore point: kubectl backup list PVC. Without --delete, what the incomplete one has is restored",
    /// There is no such file or folder in the restore point.
    PathNotFound => "choose a path that exists: kubectl backup browse PVC --date DATE",
    /// The restore broke off.
    RestoreFailed => "check the restore pod's log, and repeat the restore: it continues where it stopped",
    /// A namespace that enforces Pod Security `restricted` refuses the copy pod.
    PodSecurity => "label the namespace pod-security.kubernetes.io/enforce=baseline, use a destination with runIn: controller, or exclude the namespace",
    /// Nobody who looks at the PVC sees where its backups stand (A13).
    StatusNotShown => "remove what the message names: annotations that fill the PVC, or a webhook that refuses them. Backups go on meanwhile, and kubectl backup status shows them to administrators",
    /// A record contains a reason that this version does not have.
    #[serde(other)]
    UnknownReason => "read the message beside it: another version recorded it. Then back the PVC up again: kubectl backup run PVC",
}

impl Reason {
    /// Whether somebody chose this: such a reason is shown when asked for, and is no fault.
    #[must_use]
    pub fn is_choice(self) -> bool {
        matches!(
            self,
            Self::Disabled
                | Self::NotOptedIn
                | Self::NamespaceExcluded
                | Self::ClassExcluded
                | Self::DriverExcluded
                | Self::OwnedByPod
                | Self::OwnVolume
                | Self::Terminating
                | Self::NamespaceTerminating
                | Self::SourceGone
                | Self::Superseded
        )
    }
}

impl Reason {
    /// Whether a copy that fails of it says that others to the same destination, with the same credentials, would
    /// fail too.
    #[must_use]
    pub fn is_destinations_fault(self) -> bool {
        matches!(
            self,
            Self::DestinationUnreachable
                | Self::CredentialsRefused
                | Self::BucketMissing
                | Self::WrongRegion
                | Self::CertificateRefused
                | Self::HostKeyRefused
                | Self::DestinationFull
                | Self::SecretIncomplete
        )
    }

    /// U1: whether a copy that fails of it works once somebody has mended the destination or its Secret, without another
    /// run: it is tried again.
    #[must_use]
    pub fn is_mended_at_destination(self) -> bool {
        self.is_destinations_fault()
            || matches!(
                self,
                Self::WeakPassword
                    | Self::WrongPassword
                    | Self::InvalidAddress
                    | Self::NotARepository
                    | Self::RepositoryMissing
                    | Self::RepositoryLocked
                    | Self::DiskFull
                    | Self::DiskNotMounted
                    | Self::DiskMissing
            )
    }

    /// Whether such a fault is the same for other credentials.
    #[must_use]
    pub fn is_shared(self) -> bool {
        matches!(self, Self::DestinationUnreachable | Self::CertificateRefused | Self::DestinationFull)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reason with what is particular about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The machine-readable part.
    pub reason: Reason,
    /// One sentence for a person: what, where, and the allowed values.
    pub message: String,
    /// What it comes from, if that has a remedy of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Reason>,
}

impl Problem {
    /// A reason with its message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), cause: None }
    }

    /// U1: what the person who meets it can do: about the cause, if that is known.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.cause.unwrap_or(self.reason).help()
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    /// U12: a remedy pointed at pods or a process that not each message names. Who adds a reason here has looked at all of its
    /// messages.
    #[test]
    fn a_remedy_points_at_the_message_only_where_each_message_names_it() {
        let points = |r: &&Reason| r.help().contains(" the message ") && !r.help().contains("read the message");
        let pointing: Vec<&str> = Reason::ALL.iter().filter(points).map(|r| r.as_str()).collect();
        let named = [
            "WrongSnapshotClass",
            "NameTaken",
            "Forbidden",
            "InvalidObject",
            "PodRefused",
            "MountFailed",
            "LedgerUnreadable",
            "DiskCannotKeep",
            "SecretIncomplete",
            "RestoreMismatch",
            "CredentialsRefused",
            "HostKeyRefused",
            "NetworkPolicyBlocks",
            "SnapshotMismatch",
            "ScaleUnsafe",
            "StatusNotShown",
        ];
        assert_eq!(pointing, named);
    }
}
