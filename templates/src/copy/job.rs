//! What the Jobs of copies have in common, whatever they copy to.

use model::config::{Config, Destination, PodKind};
use model::names::{self, Component};
use model::plan::Copy;
use serde_json::{Map, Value, json};

use crate::check::{Kind, Pin};
use crate::engine::Template;
use crate::install::Install;
use crate::order::{Marks, Order, container, values};
use crate::pods::{Mount, PodRules};
use crate::program::SOURCE_DIR;

/// What copies to different types of destinations do not have in common.
pub(super) struct OwnOfCopy<'a> {
    pub(super) template: Template,
    pub(super) namespace: &'a str,
    pub(super) capabilities: &'static [&'static str],
    pub(super) values: Map<String, Value>,
    pub(super) args: Vec<String>,
}

/// The Job of a copy, and the rules for its pod, which has the promoter so far.
pub(super) fn copy_order(
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
    let pod = container(&mut values, (install, config), PodKind::Copy, &own.args);
    let order = Order {
        template: own.template,
        kind: Kind::Job,
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
