//! A restore: who asks for it, what is written, and from what.

use crate::copy_options::Options;
use crate::facts::{Identity, VolumeMode};
use crate::names::{self, Run, SourceId};
use crate::promoter::PromoterSpec;
use crate::record::{Holders, RestoreRecord, RestoreState};
use crate::restore::{Place, Request, RestorePoint};

/// Who asks for a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// A Deployment: it becomes a restore pod.
    Deployment(Identity),
    /// The PVC that is to be written: a Job does it.
    Claim(Identity),
}

impl Asker {
    /// Name, UID, version.
    #[must_use]
    pub fn id(&self) -> &Identity {
        match self {
            Self::Deployment(id) | Self::Claim(id) => id,
        }
    }

    /// Its UID.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.id().uid
    }
}

/// A restore whose pod can be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// Who asks.
    pub asker: Asker,
    /// The namespace of both.
    pub namespace: String,
    /// What is asked for.
    pub request: Request,
    /// The text of that.
    pub text: String,
    /// The PVC that is written.
    pub target: SourceId,
    /// What its pod gets of that, and of a promoter.
    pub mode: VolumeMode,
    /// What it is written from.
    pub point: RestorePoint,
    /// How its pod gets at that.
    pub origin: Origin,
    /// Who holds the target now.
    pub holders: Holders,
    /// The node on which the target is held: a volume that only one node can have is mounted there, so that its holders
    /// are told, and not a mount that waits.
    pub node: Option<String>,
    /// Whether the pod needs the `SELinux` type `spc_t` to read the restore point.
    pub spc_no_relabeling: bool,
}

impl Restore {
    /// The PVC that was backed up.
    #[must_use]
    pub fn source(&self) -> SourceId {
        SourceId {
            namespace: self.request.namespace.as_ref().unwrap_or(&self.namespace).clone(),
            name: self.request.pvc.clone(),
            uid: self.point.uid.clone(),
        }
    }

    /// The name of its Job.
    #[must_use]
    pub fn job(&self) -> String {
        names::restore_job(&self.target, &self.text)
    }

    /// The PVC that is made for it over the disk of another namespace.
    #[must_use]
    pub fn granted_disk(&self) -> String {
        match self.origin.target_volume() {
            // The target's has the Job's name there.
            Some(_) => names::granted_disk(&self.job()),
            None => self.job(),
        }
    }

    /// What is written down when its pod is made.
    #[must_use]
    pub fn record(&self) -> RestoreRecord {
        RestoreRecord {
            point: Some(point_name(&self.point)),
            incomplete: self.point.incomplete,
            finding: self.point.finding.clone(),
            passed_over: self.point.passed_over.clone(),
            target: Some(self.target.name.clone()),
            // When its pod may be made; a Job has a time of its own.
            since: matches!(self.asker, Asker::Deployment(_)).then_some(self.holders.at),
            ..RestoreRecord::new(names::run_now_mark(&self.text), RestoreState::Ready, None)
        }
    }
}

/// How a restore's pod gets at its restore point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A PVC that is there.
    Claim {
        /// Its name.
        name: String,
        /// The folder in it; `None`: all of it.
        folder: Option<String>,
    },
    /// A PVC over the disk of another namespace, that is made for this restore alone, and has its Job's name.
    Granted {
        /// Whose disk that is.
        granted: GrantedDisk,
        /// The folder in it.
        folder: String,
    },
    /// A restic repository: with the Secret of the pod's namespace, and what the source says of its repositories.
    Repository {
        /// What the source says of its copies.
        options: Box<Options>,
        /// The Secret, if a group has one of its own.
        secret: Option<String>,
        /// Whose disk it lies on, if that is another namespace's: of that a PVC is made for this restore alone, with its
        /// Job's name.
        granted: Option<GrantedDisk>,
    },
    /// A tree on the host's disk of another namespace: the pod is in the controller's namespace. The target is lent to it,
    /// and a PVC over the disk is made for it.
    ///
    /// S1: a tenant's pod would see through such a PVC what the whole namespace has there.
    Home {
        /// Whose disk that is.
        granted: GrantedDisk,
        /// The folder in it.
        folder: String,
        /// The target's PersistentVolume.
        volume: String,
    },
    /// The same of a central destination: the pod is in the controller's namespace, and the target is lent to it.
    Central {
        /// What the source says of its copies.
        options: Box<Options>,
        /// The Secret, if a group has one of its own.
        secret: Option<String>,
        /// The target's PersistentVolume.
        volume: String,
    },
}

impl Origin {
    /// Whose disk is read, if that is another namespace's.
    #[must_use]
    pub fn granted(&self) -> Option<&GrantedDisk> {
        match self {
            Self::Granted { granted, .. }
            | Self::Home { granted, .. }
            | Self::Repository { granted: Some(granted), .. } => Some(granted),
            Self::Claim { .. } | Self::Central { .. } | Self::Repository { granted: None, .. } => None,
        }
    }

    /// The target's PersistentVolume, if the pod is in the controller's namespace and the target is lent to it.
    #[must_use]
    pub fn target_volume(&self) -> Option<&str> {
        match self {
            Self::Central { volume, .. } | Self::Home { volume, .. } => Some(volume),
            Self::Claim { .. } | Self::Granted { .. } | Self::Repository { .. } => None,
        }
    }
}

/// Another namespace whose disk is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedDisk {
    /// The namespace.
    pub namespace: String,
    /// The destination.
    pub destination: String,
    /// The volume of its disk, which is lent whole.
    pub volume: String,
}

/// What a record calls a restore point.
pub(in crate::plan) fn point_name(point: &RestorePoint) -> String {
    match &point.place {
        Place::Snapshot { name, .. } => name.clone(),
        Place::Tree { destination } | Place::Repository { destination, .. } => {
            format!("{destination}/{}", point.run)
        }
    }
}

/// A promoter that is made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promote {
    /// The UID of who asks for the restore; none does if it is for a drill.
    pub asker: Option<String>,
    /// The destination of that drill, and the minute for which it is due.
    pub drill: Option<(String, Run)>,
    /// The source of its snapshot.
    pub source: SourceId,
    /// The run.
    pub run: Run,
    /// The snapshot, which gives it its name.
    pub snapshot: String,
    /// What it looks like.
    pub spec: PromoterSpec,
}
