//! The Jobs of copies.

mod disk;
mod job;
mod restic;

use model::config::{Config, Destination, Format, Tool};
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
    match destination.format() {
        Format::Trees(trees) => disk::job(templates, install, config, destination, trees, copy),
        Format::Repository(Tool::Restic(_)) => restic::job(templates, install, config, destination, copy),
    }
}
