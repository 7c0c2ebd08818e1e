//! What to do about each source: plain data, in the order in which it is done.
//!
//! A plan is made from the observed state alone and may be made at any time: what is done already is
//! not in it. Nothing here talks to anything.

mod access;
mod action;
mod after;
mod central;
mod copy;
mod cronjob;
mod disk;
mod drill;
mod ended;
mod expected;
mod hold;
mod ledger;
mod maintain;
mod placement;
mod prospect;
mod prune;
mod restore;
mod source;
mod status;
mod subject;

pub use action::{
    Action, Asker, Board, Central, Copy, DiskStep, Drill, LedgerWrite, Lender, Loan, Maintain, Note, Origin, Part,
    Plan, Promote, Proof, Prune, Restore, RestoreAction, Restores, Standing, TaskEnd, Work, ledger_key,
};
pub use after::{NextRun, next_run};
pub use copy::running;
pub use expected::{Expected, Left};
pub use ledger::standing;
pub use maintain::next_part;
pub use prospect::prospect;
pub use restore::{any as any_restore, restores};
pub use source::plan;
pub use status::proven;
pub use subject::{explain, from_our_snapshot, verdict};
