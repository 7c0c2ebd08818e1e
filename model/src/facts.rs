//! What was observed: the API's objects, trimmed to what is decided upon.
//!
//! Ten thousand volumes are held in memory at once, so a fact keeps a field only if something reads it.

mod central;
mod classes;
mod labels;
mod namespaces;
mod nodes;
mod ours;
mod restore;
mod told;
mod volumes;
mod work;

pub use crate::volume::{Journal, VolumeMode};
pub use central::Content;
pub use classes::{SnapshotClass, StorageClass};
pub use labels::Labels;
pub use namespaces::{Namespace, Policy};
pub use nodes::{Node, NodeRequirement, NodeTerm, node_terms};
pub use ours::{Identity, Ours, VELERO_SNAPSHOT_CLASS, list};
pub use restore::{Holder, RestorePod, Restorer};
pub use told::{MountFailure, PodRefusal};
pub use volumes::{Claim, ClaimPhase, Snapshot, Volume};
pub use work::{CronJob, Job, JobState, Pod, Stuck, Unschedulable};
