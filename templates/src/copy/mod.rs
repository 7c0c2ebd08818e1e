//! The Jobs of copies.

mod disk;
mod job;
mod restic;

use model::config::{Config, Destination};
use model::plan::Copy;
use serde_json::Value;

use crate::engine::Templates;
use crate::error::RenderError;
use crate::install::Install;

pub(crate) fn job(
    templates: &Templates,
    install: &Install,
    config: &Config,
    destination: &Destination,
    copy: &Copy,
) -> Result<Value, RenderError> {
    if destination.restic().is_some() {
        return restic::job(templates, install, config, destination, copy);
    }
    disk::job(templates, install, config, destination, copy)
}
