//! What to do about each source: plain data, in the order in which it is done.
//!
//! A plan is made from the observed state alone and may be made at any time: what is done already is
//! not in it. Nothing here talks to anything.

mod after;
mod central;
mod copy;
mod cronjob;
mod disk;
mod drill;
mod ended;
mod expected;
mod ledger;
mod lend;
mod maintain;
mod prospect;
mod prune;
mod resolve;
mod restore;
mod source;
mod status;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::jiff::Timestamp;

use crate::admit::Waiting;
use crate::facts::{Identity, Journal, VolumeMode};
use crate::ledger::{Finding, Ledger};
use crate::names::{Run, SourceId};
use crate::options::Options;
use crate::reason::{Problem, Reason};
use crate::record::{CopyResult, HOLDERS_STALE, Holders, RestoreRecord, Status};
use crate::retention::Retention;
use crate::schedule::Zone;
use crate::select::Protection;

pub use after::{NextRun, next_run};
pub use central::{Central, Part};
pub use copy::running;
pub use drill::Drill;
pub use expected::{Expected, Left};
pub use ledger::standing;
pub use lend::Loan;
pub use maintain::{Maintain, TaskEnd, Work, next_part};
pub use prospect::prospect;
pub use prune::Prune;
pub use restore::{Asker, Lender, Origin, Promote, Restore, Restores, any as any_restore, restores};
pub use source::{explain, from_our_snapshot, plan, verdict};
pub use status::proven;

/// One step. Doing it twice is the same as doing it once.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write a source's CronJob.
    ApplyCronJob {
        /// The source.
        source: SourceId,
        /// What it says.
        protection: Box<Protection>,
        /// What [`crate::names::APPLIED`] says afterwards.
        fingerprint: String,
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
    MakeDisk(DiskStep, String, String),
    /// Create a copy Job.
    StartCopy(Box<Copy>),
    /// Make a part of what a central copy or drill is made from.
    MakeCentral(Box<Central>),
    /// Delete what a central copy or drill was made from.
    TakeAway {
        /// Which part.
        part: Part,
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
    /// Ask why the volumes of a pod that does not start do not come.
    AskMounts {
        /// The pod's namespace.
        namespace: String,
        /// Its name.
        pod: String,
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
    TakeBack(Loan),
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

/// A ledger that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerWrite {
    /// What it says.
    pub ledger: Ledger,
    /// The ConfigMap that it takes the place of, in the version that the plan was made from; `None`: there is none.
    pub replaces: Option<Identity>,
    /// What changed.
    pub notes: Vec<Note>,
    /// The copies whose results are new in it, by destination.
    pub results: Vec<(String, CopyResult)>,
    /// The tasks whose end is new in it.
    pub tasks: Vec<TaskEnd>,
}

/// On what people are shown where the backups of a source stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Board {
    /// The source itself.
    Source,
    /// The newest snapshot of one that is gone.
    Snapshot(Identity),
}

/// A part of the way to a disk: made for a destination (first text) and a namespace (second).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskStep {
    /// The PVC from a StorageClass.
    Claim,
    /// The keeper Job that checks a host's disk and makes the namespace's folder.
    Keeper,
    /// The static PV over that folder.
    Volume,
    /// The PVC that binds to it.
    HostClaim,
}

/// A copy that can be started.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// Whether its namespace has no `NetworkPolicy` yet that keeps the pods of copies off the network.
    pub isolate: bool,
    /// The source.
    pub source: SourceId,
    /// The run.
    pub run: Run,
    /// The destination's name.
    pub destination: String,
    /// The promoter's name.
    pub promoter: String,
    /// What the pod gets of it.
    pub mode: VolumeMode,
    /// What prunes the destination; `None` prunes nothing.
    pub retention: Option<Retention>,
    /// The zone whose days the retention counts.
    pub zone: Zone,
    /// Whether the promoter is mounted without its journal.
    pub journal: Journal,
    /// Whether an empty source is as it should be.
    pub accept_empty: bool,
    /// What the records say was there before.
    pub expected: Expected,
    /// Whether the pod needs the `SELinux` type `spc_t`.
    pub spc_no_relabeling: bool,
    /// What the source says of its copies in restic repositories.
    pub options: Options,
    /// The Secret of a repository, if a group has one of its own.
    pub secret: Option<String>,
}

/// Something to tell about a source, as an Event on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether something is wrong.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// What was being done: Events are told apart by it, not by their text.
    pub action: &'static str,
    /// One sentence.
    pub text: String,
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
    AskMounts => "AskMounts",
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
            Self::MakeDisk(step, destination, namespace) => format!("disk/{step:?}/{destination}/{namespace}"),
            Self::StartCopy(copy) => format!("copy/{}/{}/{}", copy.source.uid, copy.run, copy.destination),
            Self::MakeCentral(central) => format!("central/{}/{:?}", central.name, central.part),
            Self::TakeAway { id, .. } => format!("take-away/{}", id.uid),
            Self::StartTask(task) => {
                format!("{}/{}/{}/{}", task.task().as_str(), task.source.uid, task.due, task.destination)
            }
            Self::WriteLedger(write) => ledger_key(&write.ledger.source.uid),
            Self::DeleteLedger { id, .. } => format!("ledger-delete/{}", id.uid),
            Self::ShowStatus { source, .. } => format!("status/{}", source.uid),
            Self::AskMounts { uid, .. } => format!("ask-mounts/{uid}"),
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
            | Self::AskMounts { .. }
            | Self::MakeDisk(..)
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
            Self::TakeBack(loan) => format!("take-back/{}", loan.id().uid),
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

/// Where a source stands, for the totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is protected; the newest good run and the newest failure, if there are; what its drills say.
    Protected(Option<Run>, Option<Reason>, Vec<Proof>),
    /// It is not.
    Unprotected(Reason),
    /// The source is gone, its restore points are not.
    Vanished,
}

/// What the drills of a source at a destination say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The destination.
    pub destination: String,
    /// When a copy there was last proven to be restorable.
    pub proven: Option<Timestamp>,
    /// Whether the newest drill failed.
    pub failed: bool,
}

/// What to do about one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Steps that can be taken at once.
    pub actions: Vec<Action>,
    /// Copies and tasks that may start as soon as they are admitted, as the steps that start them.
    pub ready: Vec<(Waiting, Action)>,
    /// When to look again, if nothing happens before.
    pub wake: Option<Timestamp>,
    /// Where the source stands.
    pub standing: Standing,
    /// What was found out about its runs, for the ledger.
    findings: Vec<Finding>,
}

impl Plan {
    fn new() -> Self {
        let standing = Standing::Vanished;
        Self { actions: Vec::new(), ready: Vec::new(), wake: None, standing, findings: Vec::new() }
    }

    fn wake_at(&mut self, at: Option<Timestamp>) {
        self.wake = [self.wake, at].into_iter().flatten().min();
    }
}

/// What keeps a step from being taken.
type Obstacle = Problem;
