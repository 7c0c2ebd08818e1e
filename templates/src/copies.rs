//! The Jobs of copies: to a disk, and what those to any destination have in common.

use model::config::{Config, Destination, Disk};
use model::names::{self, Component};
use model::plan::Copy;
use serde_json::{Map, Value, json};

use crate::args::{self, DESTINATION_DIR, SOURCE_DIR};
use crate::check::Pin;
use crate::disks::disk_claim_name;
use crate::engine::{Template, Templates};
use crate::error::RenderError;
use crate::order::{Marks, Order, program, values};
use crate::pods::{Mount, PodRules};
use crate::{Install, restic};

/// What a copy may do as root: read and write whatever there is, and keep owners, modes, capabilities
/// and devices. All of it is within Pod Security `baseline`.
pub(crate) const COPY_CAPABILITIES: &[&str] = &["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"];

pub(crate) fn copy_job(
    templates: &Templates,
    install: &Install,
    config: &Config,
    destination: &Destination,
    copy: &Copy,
) -> Result<Value, RenderError> {
    let source = &copy.source;
    if destination.restic().is_some() {
        return restic::copy_job(templates, install, config, destination, copy);
    }
    let disk = disk_claim_name(Template::Copy, destination)?;
    // A host's disk is reached through a volume that is the namespace's folder already.
    let host_disk = destination.disk().is_some_and(Disk::is_host);
    let sub_path = names::shelf(host_disk, &source.namespace, &source.name, &source.uid);
    let own = OwnOfCopy {
        template: Template::Copy,
        namespace: &source.namespace,
        capabilities: COPY_CAPABILITIES,
        values: values! { "disk": disk, "destinationDir": DESTINATION_DIR, "subPath": sub_path, },
        args: args::copy_args(config, destination, copy),
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

/// What copies to different types of destinations do not have in common.
pub(crate) struct OwnOfCopy<'a> {
    pub(crate) template: Template,
    pub(crate) namespace: &'a str,
    pub(crate) capabilities: &'static [&'static str],
    pub(crate) values: Map<String, Value>,
    pub(crate) args: Vec<String>,
}

/// The Job of a copy, and the rules for its pod, which has the promoter so far.
pub(crate) fn copy_order(
    install: &Install,
    config: &Config,
    destination: &Destination,
    copy: &Copy,
    own: OwnOfCopy<'_>,
) -> (Order, PodRules) {
    let source = &copy.source;
    let selinux = copy.spc_no_relabeling.then_some("spc_t");
    let mut values = values! {
        "backoffLimit": config.retries.copy,
        "activeDeadlineSeconds": config.deadlines.copy.as_secs(),
        "promoter": copy.promoter,
        "block": copy.mode.is_block(),
        "sourceDir": SOURCE_DIR,
        "capabilities": own.capabilities,
        "selinuxType": selinux,
        "source": json!({"namespace": source.namespace, "name": source.name, "uid": source.uid}),
        "destination": destination.name,
        "run": copy.run.as_str(),
    };
    values.extend(own.values);
    let pod = program(&mut values, install, &install.mover_image, &own.args, &config.resources.copy);
    let order = Order {
        template: own.template,
        kind: ("batch/v1", "Job"),
        name: names::copy_job(source, &copy.run, &destination.name),
        namespace: Some(own.namespace.to_owned()),
        marks: Marks::new(&install.instance, Component::Copy).source(source).run(&copy.run).destination(destination),
        values,
        pins: Pin::job("/spec"),
        pod: None,
    };
    let claim = copy.promoter.clone();
    let promoter =
        Mount { claim, path: SOURCE_DIR, also: None, sub_path: None, read_only: true, device: copy.mode.is_block() };
    let rules = PodRules {
        pointer: "/spec/template",
        root: true,
        capabilities: own.capabilities,
        selinux_type: selinux,
        mounts: vec![promoter],
        ..pod
    };
    (order, rules)
}
