//! The full cluster as tests and the demo use it: the controller installed, an application with files,
//! its backups, and a comparison of what was saved with what was there.

pub mod ansible;
mod app;
mod compare;
pub mod damage;
mod device;
pub mod leftovers;
mod place;
mod restic;
mod restore;
pub mod wait;

pub use app::{App, BACKUP_DEADLINE, Files, controller_log, controller_log_in, install, manifest, project};
pub use compare::{Comparison, Tree};
pub use place::{CONTROLLER_IMAGE, MOVER_IMAGE, Place};
pub use restic::{Keys, Stock};
pub use restore::{QUIET, Said, Tenant, restore_template};
