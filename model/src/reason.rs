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
    NamespaceExcluded => "the administrator's selection.namespaces leaves this namespace out",
    /// `selection.storageClasses` leaves the class out.
    ClassExcluded => "the administrator's selection.storageClasses leaves this class out",
    /// `selection.drivers` leaves the driver out.
    DriverExcluded => "the administrator's selection.drivers leaves this driver out",
    /// A promoter, a BackupDisk or another volume that backups themselves need (F28).
    OwnVolume => "nothing to do: this volume belongs to the backups themselves",

    // Cannot be protected as things are.
    /// The PVC is not bound (F93).
    NotBound => "wait for the PVC to bind, or mount it if its class waits for the first consumer",
    /// The PVC's volume is gone.
    VolumeLost => "the PVC's volume is gone: restore into a new PVC",
    /// The PVC is being deleted (F08).
    Terminating => "nothing to do: the PVC is being deleted",
    /// The Namespace is being deleted (F70).
    NamespaceTerminating => "nothing to do: the namespace is being deleted",
    /// Not a CSI volume.
    NotCsi => "the volume has no CSI driver, so it has no snapshots",
    /// The cluster has no VolumeSnapshot API (F04).
    NoSnapshotApi => "install the snapshot CRDs and controller (external-snapshotter)",
    /// No VolumeSnapshotClass has the volume's driver (F05).
    NoSnapshotClass => "create a VolumeSnapshotClass for the volume's driver",
    /// Several VolumeSnapshotClasses fit and none is the default (F05).
    AmbiguousSnapshotClass => "mark one VolumeSnapshotClass of the driver as default, or name one in classes.<class>.snapshotClass",
    /// The named VolumeSnapshotClass does not exist or is another driver's.
    WrongSnapshotClass => "name a VolumeSnapshotClass that exists and has the volume's driver",
    /// The promoter's StorageClass does not exist or is another driver's (F22).
    WrongStorageClass => "name a StorageClass that exists and has the volume's driver in classes.<class>.storageClass",
    /// A StorageClass mounts without a journal what is written.
    UnsafeMountOptions => "take noload and norecovery out of the mountOptions of the StorageClass and of its PersistentVolumes: only read-only promoters may do without a journal, by a class of their own",
    /// An annotation cannot be read (F73, F76).
    InvalidSetting => "correct the annotation; until then what was in force before stays in force",
    /// A destination that is not configured, or that tenants may not choose.
    UnknownDestination => "name a destination of the configuration that bounds.destinations allows",

    // A run failed.
    /// The PVC has another UID than the run was made for.
    SourceReplaced => "nothing to do: the new PVC gets runs of its own",
    /// The PVC of a run is gone.
    SourceGone => "nothing to do: the source was deleted",
    /// The run before is younger than the minimum interval.
    TooSoon => "wait for bounds.minInterval to pass",
    /// The snapshot of the run before is not ready yet.
    PreviousNotReady => "look at the VolumeSnapshot of the run before: kubectl describe volumesnapshot",
    /// The snapshot did not become ready before its deadline (F01, F03).
    SnapshotNotReady => "look at the VolumeSnapshot's events and the CSI driver's log, or raise deadlines.snapshotReady",
    /// The promoter did not bind before its deadline (F22, F23).
    PromoterNotBound => "look at the PVC's events; the class may not support ReadOnlyMany from a snapshot",
    /// The promoter or snapshot vanished before its copy was made.
    PromoterLost => "nothing to do: the next run makes another",
    /// Another object already has the name that ours needs.
    NameTaken => "rename or delete the object that has the name; ours is never put over it",
    /// A quota refuses the object (F39).
    QuotaExceeded => "raise the namespace's ResourceQuota, or lower retention",
    /// The API server refuses us (F92).
    Forbidden => "grant the verb that the message names to the service account that it names",
    /// The API server refuses the object as invalid, or a template renders one that is not ours.
    InvalidObject => "correct the template that renders it",
    /// The pod or Job failed without a result.
    JobFailed => "look at the pod's log and events: kubectl logs, kubectl describe pod",
    /// The pod's image cannot be pulled or its container not be made (F38).
    PodNotStarted => "look at the pod's events; image, pull secret and mounts must be right",
    /// A node cannot mount the pod's volumes (F38).
    MountFailed => "look at what the message quotes, and at the log of the CSI driver on that node",
    /// A read-only promoter has a journal that was not replayed, and is mounted without noload.
    JournalNotReplayable => "name a StorageClass with mountOptions [noload] (xfs: [norecovery, nouuid]) in classes.<class>.storageClass, with readOnly: true; or set readOnly: false: a clone replays its journal",
    /// The copy's deadline passed.
    DeadlineExceeded => "raise deadlines.copy, or split the volume",
    /// The API server did not answer.
    ApiUnreachable => "nothing to do if it passes: the step is tried again",

    // Rotation passed something over.
    /// A pod uses a promoter that is to go, or its volume is still going.
    InUse => "nothing to do: it goes once no pod uses it",
    /// The PersistentVolume of a promoter that is to go has the reclaim policy Retain (F14).
    VolumeRetained => "set the PersistentVolume's reclaim policy to Delete, or use a StorageClass that deletes for promoters",
    /// Somebody changed an object after it was looked at, for instance by a late `hold`.
    Conflict => "nothing to do: the next run looks again",
    /// An object has our labels, and is not what they say.
    NotManaged => "remove our labels from it: what we did not create is never deleted",

    // What a copy waits for.
    /// The limits of copies at once are reached.
    WaitingForSlot => "nothing to do, or raise limits",
    /// The disk takes one copy at a time.
    DiskBusy => "nothing to do: the disk takes one copy at a time",
    /// The BackupDisk is being made or does not bind.
    DiskNotReady => "look at the BackupDisk's PVC and its StorageClass",
    /// The promoter is not bound yet.
    WaitingForPromoter => "nothing to do: the promoter is being made",

    // A copy ended.
    /// Entries could not be read, or vanished while they were read (rsync 23, 24).
    Unreadable => "look at the copy's log for the entries that could not be read",
    /// The source is empty and was not before (F47).
    SourceEmpty => "annotate the PVC with backup-controller.io/accept-empty=true if it is meant to be empty",
    /// The destination is full.
    DiskFull => "grow the BackupDisk or lower its retention; a full disk deletes nothing",
    /// No disk is mounted at the host's path: its marker file is missing.
    DiskNotMounted => "mount the disk on the host, and create its marker file once",
    /// The BackupDisk's class does not retain its volumes.
    DiskNotRetained => "use a StorageClass with reclaimPolicy Retain, or set claim.allowDelete",
    /// No node can have both the promoter and the disk (F40).
    NodeConflict => "use a disk or a class that the promoter's nodes can reach",
    /// A newer run of the source was copied instead.
    Superseded => "nothing to do: a newer run was copied",
    /// The mover failed.
    CopyFailed => "look at the copy's log",
    // A restic repository.
    /// The Secret is missing, or has not all that is needed.
    SecretIncomplete => "create the Secret that the message names, with the keys that it names",
    /// The password is shorter than 12 characters, or a well-known one.
    WeakPassword => "set RESTIC_PASSWORD in the Secret to a random one of at least 12 characters, and keep a copy elsewhere",
    /// The repository has another password (restic 12).
    WrongPassword => "put the repository's own RESTIC_PASSWORD back into the Secret: without it nobody reads the backups",
    /// There is no repository where one must be (restic 10).
    RepositoryMissing => "see that the address in the configuration is the one of the backups; nothing was changed there",
    /// Something else than a restic repository is there.
    NotARepository => "give the repository a place of its own: what lies there is left alone",
    /// Another restic holds a lock (restic 11).
    RepositoryLocked => "nothing to do if it passes; look for the process that the message names, or run restic unlock",
    /// The check found damage.
    RepositoryDamaged => "run restic check and restic repair, see its guide to troubleshooting; later runs copy again what is missing",
    /// A drill found a difference between a copy and its snapshot.
    RestoreMismatch => "do not rely on the copy: look at the paths that the message names, and make a new copy",
    /// The endpoint does not answer, or its name is unknown.
    DestinationUnreachable => "see that the endpoint runs, and that its name, port and proxy are right",
    /// The endpoint refuses the key or the signature.
    CredentialsRefused => "correct the keys of the Secret that the message names, or their rights",
    /// The bucket, container or share does not exist.
    BucketMissing => "create the bucket, or correct its name in `repository`",
    /// The bucket is in another region.
    WrongRegion => "set AWS_DEFAULT_REGION in the Secret to the bucket's region",
    /// The endpoint's certificate is expired, of another name, or signed by nobody known.
    CertificateRefused => "renew the endpoint's certificate, or name its authority in `ca`",
    /// The SFTP server is not one that `known_hosts` of the Secret names.
    HostKeyRefused => "compare the server's host key with known_hosts of the Secret that the message names, and put the right one there",
    /// The destination has no room left.
    DestinationFull => "make room: raise the bucket's quota or lower the retention; nothing was deleted",
    /// A `NetworkPolicy` of an earlier version cuts restic's pods off.
    NetworkPolicyBlocks => "delete the NetworkPolicy that the message names: the next copy to a disk makes it anew, and leaves restic out",
    /// Copies wait until the destination works again.
    DestinationDown => "nothing to do: one copy at a time tries, and all go on when it succeeds",
    /// A volume of the controller's own namespace, whose Secrets are for central copies only.
    SecretNotAllowed => "use runIn: controller for volumes of the controller's own namespace; of a source that is gone, and whose group had a Secret, nothing more is copied",
    /// The snapshot's content is another snapshot's, or of another volume than the source's.
    SnapshotMismatch => "look who made the VolumeSnapshotContent that the message names; nothing of it was read",
    /// The snapshot was deleted before its central copy was made, or drilled.
    SourceSnapshotLost => "nothing to do: the next run makes another",
    // A restore.
    /// The request cannot be read, or contradicts itself.
    InvalidRequest => "correct the value of backup-controller.io/restore-from: pvc=NAME date=YYYYMMDD from=disk",
    /// There is no restore point of that date.
    NoRestorePoint => "choose one of those that the message names: kubectl backup list PVC",
    /// Several restore points fit.
    AmbiguousRestorePoint => "choose by time, run or destination: date=YYYYMMDD-HHMM, date=20181202T0000Z, from=NAME",
    /// What is asked for needs a grant of the administrator.
    NotGranted => "ask the administrator for a line in restores.grants of the configuration",
    /// A restore that only the controller can do, asked for by a Deployment.
    AskByAnnotation => "annotate the PVC that is to be written with backup-controller.io/restore-from; kubectl backup restore does so by itself",
    /// The PVC that is to be written is not there or not bound.
    TargetNotReady => "create the PVC that is to be written, or name another one",
    /// Another pod holds the volume that is to be written.
    TargetInUse => "stop the pods that the message names: kubectl scale --replicas=0",
    /// Who holds the volume is not known, or not known any more.
    MountStateUnknown => "see that the controller runs: it tells the restore pod who holds the volume",
    /// The volume that is to be written has less room than the data needs.
    TargetTooSmall => "restore into a larger PVC",
    /// A raw block volume goes back to one, and files to a filesystem (`volumeMode`).
    VolumeModeDiffers => "restore a raw block volume into a PVC with volumeMode Block, and files into one with a filesystem",
    /// There is nothing in the restore point.
    RestorePointEmpty => "choose another restore point: an empty one restores nothing",
    /// There is no such file or folder in the restore point.
    PathNotFound => "look at what there is: kubectl backup browse PVC",
    /// The restore broke off.
    RestoreFailed => "look at the restore pod's log; asking again goes on where it broke off",
    /// A namespace that enforces Pod Security `restricted` refuses the copy pod.
    PodSecurity => "the copy needs Pod Security baseline: label the namespace so, or leave it out",
    /// A record contains a reason that this version does not have.
    #[serde(other)]
    UnknownReason => "no action needed: another version recorded it; the message beside it describes the cause",
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
}

impl Problem {
    /// A reason with its message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

impl std::error::Error for Problem {}
