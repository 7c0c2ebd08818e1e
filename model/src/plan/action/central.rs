//! The parts that a central copy or drill is made from.

use crate::facts::Identity;
use crate::maintain::Task;
use crate::names::{Run, SourceId};
use crate::promoter::PromoterSpec;

/// What a central copy or drill is made from, in the order in which it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CentralPart {
    /// The second VolumeSnapshotContent.
    Content,
    /// The VolumeSnapshot that names it.
    Snapshot,
    /// The PVC made from that.
    Promoter,
}

/// A part that is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Central {
    /// Which one.
    pub part: CentralPart,
    /// The name that all parts have.
    pub name: String,
    /// The source.
    pub source: SourceId,
    /// The run that is copied; of a drill the minute for which it is due.
    pub run: Run,
    /// The destination's name.
    pub destination: String,
    /// The task that it is made for; `None`: a copy.
    pub task: Option<Task>,
    /// The source's VolumeSnapshot.
    pub snapshot: Identity,
    /// The content that it is bound to.
    pub content: String,
    /// The source's PersistentVolume, if the source is still there.
    pub volume: Option<String>,
    /// What the promoter looks like.
    pub promoter: PromoterSpec,
}
