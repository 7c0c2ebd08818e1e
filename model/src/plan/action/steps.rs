//! All steps.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::jiff::Timestamp;

use crate::facts::{Identity, Job};
use crate::names::SourceId;
use crate::record::{HOLDERS_STALE, Holders, RestoreRecord, Status};
use crate::select::Protection;

use super::alias::AliasPart;
use super::central::{Central, CentralPart};
use super::copy::{Copy, DiskStep};
use super::ledger::{Board, LedgerWrite};
use super::restore::{Asker, Promote, Restore};
use super::task::Maintain;

/// What is asked about a Job or its pod, because no watch tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Why the volumes of a pod do not come.
    Mounts,
    /// Why a Job gets no pod.
    Pod,
    /// What the pods of a Job that ended told.
    Told,
}

/// One step. Doing it twice is the same as doing it once.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write a source's CronJob.
    ApplyCronJob {
        /// The source.
        source: SourceId,
        /// What it says.
        protection: Box<Protection>,
    },
    /// Delete a CronJob whose source is gone or not protected any more.
    DeleteCronJob(Identity),
    /// Start one run now.
    StartRun {
        /// The source.
        source: SourceId,
        /// What the run goes by.
        protection: Box<Protection>,
        /// The name of its Job: what starts the same run has the same.
        job: String,
        /// The source's CronJob, which owns the Job.
        cronjob: Identity,
    },
    /// Make a part of the way to a disk.
    MakeDisk {
        /// The part.
        step: DiskStep,
        /// The destination that is a disk.
        destination: String,
        /// The namespace that is to reach it.
        namespace: String,
    },
    /// Create a copy Job.
    StartCopy(Box<Copy>),
    /// Make a part of what a central copy or drill is made from.
    MakeCentral(Box<Central>),
    /// Delete what a central copy or drill was made from.
    TakeAway {
        /// Which part.
        part: CentralPart,
        /// The object.
        id: Identity,
        /// The source's UID.
        uid: String,
    },
    /// Create the Job of a task.
    StartTask(Box<Maintain>),
    /// Write a source's ledger, and tell about what changed in it.
    WriteLedger(Box<LedgerWrite>),
    /// Delete the ledger of a source of which nothing is left.
    DeleteLedger {
        /// The ConfigMap.
        id: Identity,
        /// The source's UID.
        uid: String,
    },
    /// Show people where the backups of a source stand.
    ShowStatus {
        /// The source.
        source: SourceId,
        /// On what.
        on: Board,
        /// Where they stand.
        status: Box<Status>,
    },
    /// Ask why a Job's pod does not start: Events say so, and nothing else.
    Ask {
        /// What is asked.
        question: Question,
        /// The namespace of what it is asked about.
        namespace: String,
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
    /// Delete a Job whose result is recorded, or that is of no use.
    DeleteJob {
        /// The Job's namespace.
        namespace: String,
        /// The Job.
        id: Identity,
    },
    /// Write the CronJob that rotates what sources that are gone left behind.
    ApplySweep {
        /// What [`crate::names::APPLIED`] says of the one that is there.
        applied: Option<String>,
    },
    /// A step of a restore.
    Restore(RestoreAction),
}

/// A step of a restore. Restores are planned together, and are no source's own.
#[derive(Debug, Clone, PartialEq)]
pub enum RestoreAction {
    /// Make the PVC of a snapshot again.
    Promote(Box<Promote>),
    /// Make a restore pod of the Deployment that asks for one.
    Prepare(Box<Restore>),
    /// Create the Job that restores.
    Start(Box<Restore>),
    /// Write what becomes of a restore on who asks for it.
    Record {
        /// Who asks.
        asker: Asker,
        /// Its namespace.
        namespace: String,
        /// What becomes of it.
        record: Box<RestoreRecord>,
        /// Whether the Deployment's pod is stopped.
        stop: bool,
    },
    /// Tell a restore pod who else holds the volume that it writes.
    TellHolders {
        /// The pod's namespace.
        namespace: String,
        /// The pod.
        pod: Identity,
        /// Who.
        holders: Holders,
    },
    /// Delete a part of what was lent for a restore. What it was lent from stays.
    TakeBack(AliasPart),
    /// Hold a snapshot while it is restored from.
    Hold {
        /// The snapshot's namespace.
        namespace: String,
        /// The snapshot.
        snapshot: Identity,
        /// When the hold ends.
        until: Timestamp,
    },
}

/// The words of steps, for metrics and logs. A step without one does not compile.
macro_rules! words {
    ($of:ident: $($name:ident => $word:literal,)* $(.. $inner:ident)?) => {
        impl $of {
            const WORDS: &'static [&'static str] = &[$($word,)*];

            /// The word for metrics and logs.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $word,)*
                    $(Self::$inner(step) => step.name(),)?
                }
            }
        }
    };
}

words! { Action:
    ApplyCronJob => "ApplyCronJob",
    DeleteCronJob => "DeleteCronJob",
    StartRun => "StartRun",
    MakeDisk => "MakeDisk",
    StartCopy => "StartCopy",
    MakeCentral => "MakeCentral",
    TakeAway => "TakeAway",
    StartTask => "StartTask",
    WriteLedger => "WriteLedger",
    DeleteLedger => "DeleteLedger",
    ShowStatus => "ShowStatus",
    Ask => "Ask",
    DeleteJob => "DeleteJob",
    ApplySweep => "ApplySweep",
    .. Restore
}

words! { RestoreAction:
    Promote => "Promote",
    Prepare => "PrepareRestore",
    Start => "StartRestore",
    Record => "RecordRestore",
    TellHolders => "TellHolders",
    TakeBack => "TakeBack",
    Hold => "Hold",
}

impl Action {
    /// Deletes a Job, unless it is being deleted.
    pub(in crate::plan) fn delete(job: &Job) -> Option<Self> {
        (!job.terminating).then(|| Self::DeleteJob { namespace: job.namespace.clone(), id: job.id.clone() })
    }

    /// The words of all steps, for documentation.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::WORDS.iter().chain(RestoreAction::WORDS).copied()
    }

    /// What tells one step from another: the same key is never under way twice.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::ApplyCronJob { source, .. } => format!("cronjob/{}", source.uid),
            Self::DeleteCronJob(id) => format!("cronjob-delete/{}", id.uid),
            Self::StartRun { job, .. } => format!("run/{job}"),
            Self::MakeDisk { step, destination, namespace } => format!("disk/{step:?}/{destination}/{namespace}"),
            Self::StartCopy(copy) => format!("copy/{}/{}/{}", copy.source.uid, copy.run, copy.destination),
            Self::MakeCentral(central) => format!("central/{}/{:?}", central.name, central.part),
            Self::TakeAway { id, .. } => format!("take-away/{}", id.uid),
            Self::StartTask(task) => {
                format!("{}/{}/{}/{}", task.task().as_str(), task.source.uid, task.due, task.destination)
            }
            Self::WriteLedger(write) => ledger_key(&write.ledger.source.uid),
            Self::DeleteLedger { id, .. } => format!("ledger-delete/{}", id.uid),
            Self::ShowStatus { source, .. } => format!("status/{}", source.uid),
            Self::Ask { uid, .. } => format!("ask/{uid}"),
            Self::DeleteJob { id, .. } => format!("job-delete/{}", id.uid),
            Self::ApplySweep { .. } => "sweep".to_owned(),
            Self::Restore(step) => step.key(),
        }
    }

    /// What the step writes, as a hash, if it writes what is known of a source: that changes all the time.
    #[must_use]
    pub fn content(&self) -> Option<u64> {
        let text = match self {
            Self::WriteLedger(write) => serde_json::to_string(&write.ledger),
            Self::ShowStatus { status, .. } => serde_json::to_string(status),
            _ => return None,
        };
        let mut hash = DefaultHasher::new();
        text.unwrap_or_default().hash(&mut hash);
        Some(hash.finish())
    }

    /// The source that the step is for, if it is for one.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        match self {
            Self::ApplyCronJob { source, .. } | Self::StartRun { source, .. } | Self::ShowStatus { source, .. } => {
                Some(&source.uid)
            }
            Self::WriteLedger(write) => Some(&write.ledger.source.uid),
            Self::StartCopy(copy) => Some(&copy.source.uid),
            Self::MakeCentral(central) => Some(&central.source.uid),
            Self::StartTask(task) => Some(&task.source.uid),
            Self::DeleteLedger { uid, .. } | Self::TakeAway { uid, .. } => Some(uid),
            Self::DeleteCronJob(_)
            | Self::Ask { .. }
            | Self::MakeDisk { .. }
            | Self::DeleteJob { .. }
            | Self::ApplySweep { .. }
            | Self::Restore(_) => None,
        }
    }
}

impl RestoreAction {
    fn key(&self) -> String {
        match self {
            Self::Promote(promote) => format!("promote/{}/{}", promote.source.namespace, promote.snapshot),
            Self::Prepare(restore) | Self::Start(restore) => {
                format!("restore/{}/{}", restore.asker.uid(), restore.text)
            }
            Self::Record { asker, .. } => format!("restore-record/{}", asker.uid()),
            // Said anew on purpose: each time is a step of its own, or it would be slowed down as one that is undone.
            Self::TellHolders { pod, holders, .. } => {
                let time = u64::try_from(holders.at.as_second()).unwrap_or(0) / (HOLDERS_STALE / 4);
                format!("holders/{}/{time}", pod.uid)
            }
            Self::TakeBack(alias) => format!("take-back/{}", alias.id().uid),
            Self::Hold { snapshot, .. } => format!("hold/{}", snapshot.uid),
        }
    }

    /// The UID of who asks for the restore that the step makes.
    #[must_use]
    pub fn asker(&self) -> Option<&str> {
        match self {
            Self::Promote(promote) => promote.asker.as_deref(),
            Self::Prepare(restore) | Self::Start(restore) => Some(restore.asker.uid()),
            Self::Record { .. } | Self::TellHolders { .. } | Self::TakeBack(_) | Self::Hold { .. } => None,
        }
    }
}

/// The key of the step that writes a source's ledger.
#[must_use]
pub fn ledger_key(uid: &str) -> String {
    format!("ledger/{uid}")
}
