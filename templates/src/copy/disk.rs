//! Copies to a disk: dated trees.

use model::config::{Config, Destination, Trees};
use model::names;
use model::plan::Copy;
use serde_json::Value;

use super::job::{OwnOfCopy, copy_order};
use crate::args;
use crate::disks::disk_claim_name;
use crate::engine::{Template, Templates};
use crate::error::RenderError;
use crate::install::Install;
use crate::order::values;
use crate::pods::{COPY_CAPABILITIES, Mount};
use crate::program::DESTINATION_DIR;

/// The Job that copies to a disk.
pub(super) fn job(
    templates: &Templates,
    install: &Install,
    config: &Config,
    destination: &Destination,
    trees: &Trees,
    copy: &Copy,
) -> Result<Value, RenderError> {
    let source = &copy.source;
    let disk = disk_claim_name(Template::Copy, destination)?;
    // A host's disk is reached through a volume that is the namespace's folder already.
    let sub_path = names::shelf(trees.disk.is_host(), source);
    let own = OwnOfCopy {
        template: Template::Copy,
        namespace: &source.namespace,
        capabilities: COPY_CAPABILITIES,
        values: values! { "disk": disk, "destinationDir": DESTINATION_DIR, "subPath": sub_path, },
        args: args::copy_args(config, trees, copy),
    };
    let (mut order, mut rules) = copy_order(install, config, destination, copy, own);
    let sub_path = Some(sub_path);
    rules.mounts.push(Mount {
        claim: disk,
        path: DESTINATION_DIR,
        also: None,
        sub_path,
        read_only: false,
        device: false,
    });
    order.pod = Some(rules);
    order.render(templates)
}
