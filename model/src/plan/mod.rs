//! What to do about each source: plain data, in the order in which it is done.
//!
//! A plan is made from the observed state alone and may be made at any time: what is done already is
//! not in it. Nothing here talks to anything.
//!
//! Floors, from the ground up. A file imports only from floors below its own, and from files of its own floor that do
//! not import it.

// The steps, and what they carry.
mod action;
mod expected;

// Questions to the world: about a source, about nodes and networks, about a Job.
mod access;
mod ended;
mod health;
mod placement;
mod shortened;
mod subject;

// What is there already, and what it stops.
mod central_parts;
mod hold;
mod prepared;
mod task_record;
mod task_source;

// Single ways: to a disk, to a central promoter, to a drill or a prune, to the next run.
mod after;
mod central;
mod disk;
mod drill;
mod drill_now;
mod prune;
mod run_now;

// Restores. Copies and tasks wait for what they read.
mod restore;

// What concerns one source.
mod copy;
mod cronjob;
mod ledger;
mod maintain;
mod orphans;
mod removal;
mod status;

// The entries.
mod occupied;
mod prospect;
mod source;

pub use action::{
    About, Action, AliasPart, Asker, Board, Central, CentralPart, Copy, DiskStep, Drill, GrantedDisk, LedgerWrite,
    Maintain, Note, Origin, Plan, Promote, Proof, Protected, Prune, Question, Remove, Restore, RestoreAction, Restores,
    Standing, TaskEnd, Work, ledger_key,
};
pub use after::{NextRun, next_run};
pub use cronjob::IsRendered;
pub use expected::{Expected, Left};
pub use ledger::standing;
pub use occupied::{frees, running};
pub use prospect::prospect;
pub use restore::{any as any_restore, restores};
pub use source::plan;
pub use status::proven;
pub use subject::{explain, from_our_snapshot, verdict};
pub use task_record::next_part;
