//! The steps that a plan can have, as plain data: what the planners make, and the controller carries out.
//!
//! [`steps`] has them all; what they carry is in the files below it. [`plan`] is what a planner gives.

mod alias;
mod central;
mod copy;
mod ledger;
mod plan;
mod restore;
mod steps;
mod task;

pub use alias::AliasPart;
pub use central::{Central, CentralPart};
pub use copy::{Copy, DiskStep};
pub use ledger::{About, Board, LedgerWrite, Note};
pub(super) use plan::Todo;
pub use plan::{Plan, Proof, Protected, Restores, Standing};
pub(super) use restore::point_name;
pub use restore::{Asker, GrantedDisk, Origin, Promote, Restore};
pub use steps::{Action, Question, RestoreAction, ledger_key};
pub use task::{Drill, Maintain, Prune, Remove, TaskEnd, Work};
