//! Copies to a restic repository.

use model::config::{Config, Destination};
use model::plan::Copy;
use serde_json::{Map, Value};

use super::job::{OwnOfCopy, copy_order};
use crate::args;
use crate::engine::{Template, Templates};
use crate::error::{Fault, RenderError};
use crate::install::Install;
use crate::order::fail;
use crate::repository::Repository;

/// To read every file, whoever owns it. It is within Pod Security `baseline`.
const READ_CAPABILITIES: &[&str] = &["DAC_OVERRIDE"];

/// The Job that copies to a repository.
pub(super) fn job(
    templates: &Templates,
    install: &Install,
    config: &Config,
    destination: &Destination,
    copy: &Copy,
) -> Result<Value, RenderError> {
    let secret = copy.secret.as_deref();
    let repository = Repository::new(&install.namespace, destination, &copy.source, &copy.options, secret);
    let repository = repository.ok_or_else(|| {
        let why = format!("destination {} is not a restic repository", destination.name);
        fail(Template::CopyRestic, Fault::Input(why))
    })?;
    let own = OwnOfCopy {
        template: Template::CopyRestic,
        namespace: repository.namespace,
        capabilities: READ_CAPABILITIES,
        values: Map::new(),
        args: args::restic_copy_args(copy, &repository),
    };
    let (mut order, rules) = copy_order(install, config, destination, copy, own);
    order.pod = Some(repository.pod(&mut order.values, rules, false));
    order.render(templates)
}
