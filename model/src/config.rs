//! The configuration: one YAML file, read strictly and as a whole.
//!
//! Keys are in camelCase. An unknown key, a key that stands twice, a value of the wrong kind and a
//! setting that contradicts another are errors, with line, column, key and what is allowed
//! ([`ConfigError`]); then nothing of the file is taken. A key that is left out has its default, on
//! its own: `namespaces: {include: [shop]}` leaves the default `exclude` in force. An empty file is
//! the default configuration. [`EXAMPLE`] shows every key.

mod check;
mod defaults;
mod destination;
mod globs;
mod groups;
mod input;
mod parse;
mod path;
mod pods;
mod renamed;
mod resources;
mod selection;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use check::restic::restic_fault;
pub use defaults::{Defaults, PromoterRetention};
pub use destination::{
    AccessMode, All, Claim, Compression, Destination, Disk, Drill, Format, HostPath, Keeps, Orphans, PodType, Reach,
    Restic, RunIn, Sample, Scratch, Store, Times, Tool, Trees,
};
pub use globs::{Globs, glob};
pub use groups::Group;
pub use parse::{ConfigError, ConfigProblem};
pub use pods::{PodKind, PodSettings, Pods};
pub use resources::{PodResources, Resources};
pub use selection::{Mode, Selection};
pub use settings::{Bounds, ClassRule, Config, Deadlines, Grant, Limits, Metrics, Restores, Retries, Transfer};

/// A full configuration with comments: the defaults, and examples of what has none.
pub const EXAMPLE: &str = include_str!("config/example.yaml");
