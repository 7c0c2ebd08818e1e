//! What settings must be, and how they must fit each other.

pub(super) mod restic;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use super::path::Path;
use super::{
    Bounds, ClassRule, Config, Deadlines, Defaults, Destination, Disk, Globs, Group, HostPath, Limits, PodKind,
    PodResources, PodSettings, Reach, Store,
};
use crate::duration::{Span, shown};
use crate::names;
use crate::quantity;
use crate::retention::Retention;
use crate::schedule::Due;
use words::{Faults, at_least_one, class_name, is_label, is_label_value, is_qualified, is_subdomain, size};

/// Beyond this a retry is a loop.
const MOST_RETRIES: u32 = 100;
const MOST_NAME: usize = 40;
/// What a tenant writes to have no destination.
const RESERVED_NAME: &str = "none";

/// All faults of the settings.
pub(super) fn check(config: &Config) -> Faults {
    let mut faults = Faults::new();
    let top = |key| Path::default().key(key);
    let selection = &config.selection;
    for (key, list) in [
        ("namespaces", &selection.namespaces),
        ("storageClasses", &selection.storage_classes),
        ("drivers", &selection.drivers),
    ] {
        globs(&top("selection").key(key), list, &mut faults);
    }
    let interval = defaults(&top("defaults"), config, &mut faults);
    groups(&top("groups"), config, &mut faults);
    bounds(&top("bounds"), config, &mut faults);
    for (name, rule) in &config.classes {
        class(&top("classes").key(name), name, rule, &mut faults);
    }
    destinations(&top("destinations"), config, interval, &mut faults);
    limits(&top("limits"), &config.limits, &mut faults);
    some_time(&top("restores").key("maxAge"), config.restores.max_age, &mut faults);
    at_least_one(&top("restores").key("maxPerNamespace"), config.restores.max_per_namespace, &mut faults);
    for (number, grant) in config.restores.grants.iter().enumerate() {
        let at = top("restores").key("grants").item(number);
        patterns(&at.key("from"), std::slice::from_ref(&grant.from), &mut faults);
        patterns(&at.key("to"), std::slice::from_ref(&grant.to), &mut faults);
        if !grant.from.contains('/') {
            faults.push((
                at.key("from"),
                format!("{} contains no PVC; write namespace/pvc, for example `shop/*`", shown(&grant.from)),
            ));
        }
    }
    deadlines(&top("deadlines"), &config.deadlines, &mut faults);
    for (key, retries) in [("snapshot", config.retries.snapshot), ("copy", config.retries.copy)] {
        if retries > MOST_RETRIES {
            faults.push((top("retries").key(key), format!("{retries} is too high; use 0 to {MOST_RETRIES}")));
        }
    }
    for (key, pod) in [("snapshotJob", &config.resources.snapshot_job), ("copy", &config.resources.copy)] {
        resources(&top("resources").key(key), pod, &mut faults);
    }
    pods(&top("pods").key("all"), &config.pods.all, &mut faults);
    for kind in PodKind::ALL {
        pods(&top("pods").key(kind.key()), config.pods.own(kind), &mut faults);
    }
    faults
}

/// A6: what the API server would refuse in each pod, and what is ours to say.
fn pods(path: &Path, pod: &PodSettings, faults: &mut Faults) {
    for (field, map) in [("nodeSelector", &pod.node_selector), ("labels", &pod.labels)] {
        for (key, value) in map.iter().filter(|(key, value)| !is_qualified(key) || !is_label_value(value)) {
            faults.push((path.key(field).key(key), format!("{}: {} is not a valid label", shown(key), shown(value))));
        }
    }
    for key in pod.annotations.keys().filter(|key| !is_qualified(key)) {
        faults.push((path.key("annotations").key(key), format!("{} is not a valid annotation", shown(key))));
    }
    for (field, map) in [("labels", &pod.labels), ("annotations", &pod.annotations)] {
        for key in map.keys().filter(|key| is_reserved(key)) {
            faults.push((path.key(field).key(key), "is set by the controller, and by nobody else".to_owned()));
        }
    }
    for (field, name) in
        [("priorityClassName", &pod.priority_class_name), ("runtimeClassName", &pod.runtime_class_name)]
    {
        class_name(&path.key(field), name.as_deref(), faults);
    }
    for (number, secret) in pod.image_pull_secrets.iter().enumerate().filter(|(_, secret)| !is_subdomain(&secret.name))
    {
        let fault = format!("{} is not a valid name of a Secret", shown(&secret.name));
        faults.push((path.key("imagePullSecrets").item(number).key("name"), fault));
    }
}

/// By which we, the Job controller and Helm know what is theirs.
fn is_reserved(key: &str) -> bool {
    let domain = key.split_once('/').map(|(domain, _)| domain);
    domain == Some("batch.kubernetes.io") || key.starts_with(names::PREFIX) || key == names::MANAGED_BY
}

fn globs(path: &Path, globs: &Globs, faults: &mut Faults) {
    if globs.include.is_empty() {
        let fault = "must not be empty: nothing would be backed up; write patterns, `[\"*\"]` for all";
        faults.push((path.key("include"), fault.to_owned()));
    }
    patterns(&path.key("include"), &globs.include, faults);
    patterns(&path.key("exclude"), &globs.exclude, faults);
}

fn patterns(path: &Path, patterns: &[String], faults: &mut Faults) {
    for (number, pattern) in patterns.iter().enumerate() {
        if pattern.trim() != pattern || pattern.is_empty() {
            let fault = format!("{} can match no name; write a name, with `*` and `?` as wildcards", shown(pattern));
            faults.push((path.item(number), fault));
        }
    }
}

/// Returns the interval that rules of a retention count in.
fn defaults(path: &Path, config: &Config, faults: &mut Faults) -> Span {
    let Defaults { schedule: text, retention, destinations, .. } = &config.defaults;
    let interval = schedule(&path.key("schedule"), text, config, faults);
    reach(&path.key("retention"), retention, interval, &config.bounds, faults);
    chosen(&path.key("destinations"), destinations, config, faults);
    interval
}

/// Returns its shortest interval.
fn schedule(path: &Path, text: &str, config: &Config, faults: &mut Faults) -> Span {
    let shortest = config.bounds.min_interval;
    // Each source has its own times; what may be written is the same for all.
    let interval = match Due::parse(text, "") {
        Ok(due) => due.shortest_interval(),
        Err(fault) => {
            faults.push((path.clone(), fault.to_string()));
            Span::days(1)
        }
    };
    if interval < shortest {
        let fault = format!(
            "runs would be {interval} apart, less than bounds.minInterval ({shortest}); use longer intervals or lower \
             bounds.minInterval"
        );
        faults.push((path.clone(), fault));
    }
    interval
}

fn chosen(path: &Path, destinations: &[String], config: &Config, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (number, name) in destinations.iter().enumerate() {
        if config.destination(name).is_none() {
            faults.push((path.item(number), unknown_destination(config, name)));
        } else if !seen.insert(name) {
            faults.push((path.item(number), format!("{name} is listed twice; remove one")));
        }
    }
}

fn groups(path: &Path, config: &Config, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (number, group) in config.groups.iter().enumerate() {
        let path = path.item(number);
        let name = group.name.as_str();
        if !is_label(name) || name.len() > MOST_NAME {
            let fault = format!(
                "{} is not a valid group name; use at most {MOST_NAME} of a-z, 0-9 and `-`, with a letter or digit at \
                 both ends",
                shown(name)
            );
            faults.push((path.key("name"), fault));
        }
        if !seen.insert(name) {
            faults.push((path.key("name"), format!("two groups have the name {name}; rename one")));
        }
        if group.namespaces.is_empty() && group.namespace_labels.is_empty() && group.pvc_labels.is_empty() {
            let fault = "the group selects nothing; set namespaces, namespaceLabels or pvcLabels. Settings for all PVCs \
                         belong in `defaults`";
            faults.push((path.clone(), fault.to_owned()));
        }
        patterns(&path.key("namespaces"), &group.namespaces, faults);
        for (key, labels) in [("namespaceLabels", &group.namespace_labels), ("pvcLabels", &group.pvc_labels)] {
            for (label, value) in labels.iter().filter(|(l, v)| !is_qualified(l) || !is_label_value(v)) {
                let fault = format!("{}: {} is not a valid label", shown(label), shown(value));
                faults.push((path.key(key).key(label), fault));
            }
        }
        let text = group.schedule.as_ref();
        let interval = text.map(|text| schedule(&path.key("schedule"), text, config, faults)).or_else(|| {
            // A fault of the default one is told there.
            Due::parse(&config.defaults.schedule, "").ok().map(|due| due.shortest_interval())
        });
        if let Some(retention) = &group.retention {
            let interval = interval.unwrap_or(Span::days(1));
            reach(&path.key("retention"), retention, interval, &config.bounds, faults);
        }
        chosen(&path.key("destinations"), group.destinations.as_deref().unwrap_or_default(), config, faults);
        for (destination, secret) in &group.secrets {
            if let Some(fault) = secret_fault(config, group, destination, secret) {
                faults.push((path.key("secrets").key(destination), fault));
            }
        }
    }
}

/// What is wrong with a group's Secret for a destination.
fn secret_fault(config: &Config, group: &Group, destination: &str, secret: &str) -> Option<String> {
    let Some(its) = config.destination(destination) else { return Some(unknown_destination(config, destination)) };
    if its.secret().is_none() {
        return Some(format!("destination {destination} is a disk and needs no Secret; remove the entry"));
    }
    if !is_subdomain(secret) {
        return Some(format!("{} is not a valid Secret name", shown(secret)));
    }
    let tenants_choice = group.namespaces.is_empty() && group.namespace_labels.is_empty();
    (its.is_central() && tenants_choice).then(|| {
        "anyone who can label a PVC could choose this Secret of the controller's namespace; also set namespaces or \
         namespaceLabels"
            .to_owned()
    })
}

fn unknown_destination(config: &Config, name: &str) -> String {
    let names: Vec<&str> = config.destinations.iter().map(|d| d.name.as_str()).collect();
    let known = if names.is_empty() { "is empty".to_owned() } else { format!("contains {}", names.join(", ")) };
    format!("there is no destination {}; `destinations` {known}", shown(name))
}

fn reach(path: &Path, retention: &Retention, interval: Span, bounds: &Bounds, faults: &mut Faults) {
    let (reach, most) = (retention.longest(interval), bounds.max_retention);
    if reach > most {
        let fault = format!(
            "{retention} reaches back {reach}, more than bounds.maxRetention ({most}); shorten it or raise \
             bounds.maxRetention"
        );
        faults.push((path.clone(), fault));
    }
}

fn bounds(path: &Path, config: &Config, faults: &mut Faults) {
    let bounds = &config.bounds;
    if bounds.min_interval < Span::minutes(1) {
        let fault = format!("{} is too short; must be at least 1m", bounds.min_interval);
        faults.push((path.key("minInterval"), fault));
    }
    for (key, span) in [("maxRetention", bounds.max_retention), ("orphanRetention", bounds.orphan_retention)] {
        some_time(&path.key(key), span, faults);
    }
    if let Some(least) = &bounds.min_retention {
        reach(&path.key("minRetention"), least, bounds.min_interval, bounds, faults);
    }
    for (key, number) in [
        ("maxRunNow", bounds.max_run_now),
        ("minKeep", bounds.min_keep),
        ("maxUnconfirmed", bounds.max_unconfirmed),
        ("maxDeletesPerRun", bounds.max_deletes_per_run),
    ] {
        at_least_one(&path.key(key), number, faults);
    }
    let list = path.key("destinations");
    patterns(&list, &bounds.destinations, faults);
    for (number, name) in bounds.destinations.iter().enumerate() {
        let plain = !name.contains(['*', '?']) && !name.trim().is_empty();
        if plain && config.destination(name).is_none() {
            faults.push((list.item(number), unknown_destination(config, name)));
        }
    }
}

fn some_time(path: &Path, span: Span, faults: &mut Faults) {
    if span.is_zero() {
        faults.push((path.clone(), "must be at least 1s".to_owned()));
    }
}

fn class(path: &Path, name: &str, rule: &ClassRule, faults: &mut Faults) {
    // A10: the rule of volumes without a class has the empty name.
    let own = Some(name).filter(|name| !name.is_empty());
    let named = [(path.clone(), own), (path.key("snapshotClass"), rule.snapshot_class.as_deref())];
    for (path, name) in named.into_iter().chain([(path.key("storageClass"), rule.storage_class.as_deref())]) {
        class_name(&path, name, faults);
    }
    if rule.spc_no_relabeling && !rule.read_only {
        faults.push((
            path.key("spcNoRelabeling"),
            "applies only to read-only promoters; set readOnly: true too".to_owned(),
        ));
    }
    for key in rule.annotations.keys() {
        let fault = if key.starts_with(names::PREFIX) {
            format!("annotations that begin with {} are reserved; use another name", names::PREFIX)
        } else if is_qualified(key) {
            continue;
        } else {
            format!("{} is not a valid annotation name", shown(key))
        };
        faults.push((path.key("annotations").key(key), fault));
    }
}

fn destinations(path: &Path, config: &Config, interval: Span, faults: &mut Faults) {
    let (mut seen, mut claims) = (BTreeSet::new(), BTreeMap::new());
    for (number, destination) in config.destinations.iter().enumerate() {
        let (path, name) = (path.item(number), destination.name.as_str());
        if !is_label(name) || name.len() > MOST_NAME || name == RESERVED_NAME {
            let fault = format!(
                "{} is not a valid destination name; use at most {MOST_NAME} of a-z, 0-9 and `-`, with a letter or digit \
                 at both ends, and not `{RESERVED_NAME}`",
                shown(name)
            );
            faults.push((path.key("name"), fault));
        }
        if !seen.insert(name) {
            faults.push((path.key("name"), format!("two destinations have the name {name}; rename one")));
        } else if let Some(claim) = destination.disk_claim()
            && let Some(other) = claims.insert(claim.clone(), name)
        {
            let fault = format!("destination {other} has the same PVC {claim}; set another claim.name for one of them");
            faults.push((path.clone(), fault));
        }
        match destination.reach() {
            Reach::Disk(Disk::Claim(claim)) => {
                let path = path.key("claim");
                size(&path.key("size"), &claim.size, faults);
                class_name(&path.key("storageClass"), claim.storage_class.as_deref(), faults);
                if !is_label(&claim.name) {
                    let fault = format!("{} is not a valid PVC name here; use a DNS label", shown(&claim.name));
                    faults.push((path.key("name"), fault));
                }
            }
            Reach::Disk(Disk::HostPath(host)) => {
                host_path(&path.key("hostPath"), host, &config.destinations[..number], faults);
            }
            Reach::Network => {}
        }
        match &destination.store {
            Store::Disk(its) => at_least_one(&path.key("checksumEvery"), its.checksum_every, faults),
            Store::Restic(its) => restic::check(&path, its, faults),
        }
        if let Some(drill) = &destination.drill {
            restic::drill(&path.key("drill"), drill, faults);
        }
        if let Some(retention) = &destination.retention {
            reach(&path.key("retention"), retention, interval, &config.bounds, faults);
        }
    }
}

fn host_path(path: &Path, host: &HostPath, before: &[Destination], faults: &mut Faults) {
    let mut steps = host.path.strip_prefix('/').unwrap_or("..").split('/');
    // The guard's list of disks has commas, and is a text in quotes.
    let odd = |c: char| c.is_control() || matches!(c, ',' | '\'' | '\\');
    if steps.any(|step| matches!(step, "" | "." | "..") || step.contains(odd)) {
        let fault = format!(
            "{} is not a valid folder path; write an absolute path without `.`, `..`, a final `/`, commas and quotes",
            shown(&host.path)
        );
        faults.push((path.key("path"), fault));
    }
    size(&path.key("size"), &host.size, faults);
    if host.node_selector.is_empty() {
        let fault =
            "must not be empty; write the labels of the node that has the disk, for example kubernetes.io/hostname";
        faults.push((path.key("nodeSelector"), fault.to_owned()));
    }
    for (key, value) in &host.node_selector {
        if !is_qualified(key) || !is_label_value(value) {
            let fault = format!("{}: {} is not a valid node label", shown(key), shown(value));
            faults.push((path.key("nodeSelector").key(key), fault));
        }
    }
    for (other, its) in before.iter().filter_map(|other| Some((other, other.host_path()?))) {
        if !exclude(&its.node_selector, &host.node_selector)
            && (within(&its.path, &host.path) || within(&host.path, &its.path))
        {
            let fault = format!(
                "overlaps with the folder of destination {}, and a node may have the labels of both; use another folder, \
                 or one label with different values",
                other.name
            );
            faults.push((path.key("path"), fault));
        }
    }
}

/// Whether no node can have the labels of both: one label has two values. Two destinations that share a folder would prune
/// each other's trees, and one copy would count as two (L14).
fn exclude(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> bool {
    one.iter().any(|(key, value)| other.get(key).is_some_and(|its| its != value))
}

fn within(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn limits(path: &Path, limits: &Limits, faults: &mut Faults) {
    for (key, number) in [
        ("cluster", limits.cluster),
        ("namespace", limits.namespace),
        ("node", limits.node),
        ("destination", limits.destination),
    ] {
        at_least_one(&path.key(key), number, faults);
    }
}

fn deadlines(path: &Path, deadlines: &Deadlines, faults: &mut Faults) {
    for (key, span) in [
        ("snapshotReady", deadlines.snapshot_ready),
        ("promoterBound", deadlines.promoter_bound),
        ("copyStart", deadlines.copy_start),
        ("copy", deadlines.copy),
        ("snapshotJob", deadlines.snapshot_job),
    ] {
        some_time(&path.key(key), span, faults);
    }
    if deadlines.snapshot_job <= deadlines.snapshot_ready {
        let fault = format!(
            "{} is too short; must be longer than deadlines.snapshotReady ({}), so that the Job can report what it waited for",
            deadlines.snapshot_job, deadlines.snapshot_ready
        );
        faults.push((path.key("snapshotJob"), fault));
    }
}

fn resources(path: &Path, pod: &PodResources, faults: &mut Faults) {
    let mut amounts = |key: &str, map: &BTreeMap<String, String>| -> BTreeMap<String, u128> {
        let mut amounts = BTreeMap::new();
        for (name, text) in map {
            let path = path.key(key).key(name);
            if !is_qualified(name) {
                faults.push((path, format!("{} is not a valid resource name", shown(name))));
                continue;
            }
            match quantity::nanos(text) {
                Ok(amount) => drop(amounts.insert(name.clone(), amount)),
                Err(fault) => faults.push((path, fault.to_string())),
            }
        }
        amounts
    };
    let (requests, limits) = (amounts("requests", &pod.requests), amounts("limits", &pod.limits));
    for (name, request) in requests {
        if limits.get(&name).is_some_and(|limit| request > *limit) {
            let fault = format!(
                "{} is more than the limit ({}); lower the request or raise the limit",
                pod.requests[&name], pod.limits[&name]
            );
            faults.push((path.key("requests").key(&name), fault));
        }
    }
}
