//! What is decided, and nothing that talks.
//!
//! Every function here is pure: the state of the cluster comes in as plain data, `now` is an
//! argument, and what comes out is a plan with reasons. The crates that talk to the API server
//! or touch files carry such plans out; they decide nothing.
//!
//! The flow: [`facts`] and [`world`] (what was observed) -> [`select`], [`next_copy`], [`breaker`], [`admit`], [`rotate`]
//! (what follows from it) -> [`plan`] (what to do). A plan writes [`record`]s on objects, which are facts to the next plan.
//! `ARCHITECTURE.md` lists the floors, and the circles of imports that are left.

pub mod admit;
pub mod alias;
pub mod breaker;
pub mod config;
pub mod copy_options;
pub mod duration;
pub mod facts;
pub mod handle;
pub mod health;
pub mod hold;
pub mod ledger;
mod listed;
pub mod losses;
pub mod maintain;
pub mod names;
pub mod next_copy;
pub mod plan;
pub mod promoter;
pub mod quantity;
pub mod reason;
pub mod record;
pub mod restic_environment;
pub mod restic_options;
pub mod restic_retention;
pub mod restore;
pub mod retention;
pub mod roles;
pub mod rotate;
pub mod schedule;
pub mod select;
pub mod snapshot;
pub mod text;
pub mod volume;
pub mod world;

pub use k8s_openapi::jiff::Timestamp;
