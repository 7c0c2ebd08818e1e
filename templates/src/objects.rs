//! Each object: the values that its template gets, and what must come out.

use std::collections::BTreeMap;

use model::config::{Config, Destination, HostPath, PodResources, Store};
use model::names::{self, Component, Run, SourceId};
use model::quantity;
use model::schedule::Schedule;
use model::select::Protection;
use serde_json::{Map, Value, json};

use crate::args::{self, COMMAND, DESTINATION_DIR, KEEPER_DIR, SOURCE_DIR};
use crate::check::{self, Expected, Pin};
use crate::engine::{Template, Templates};
use crate::error::{Fault, RenderError};
use crate::pods::{Mount, PodRules};
use crate::{CopyJob, Install, Point, Promoter, TEMPLATES_DIR, restic};

/// What a copy may do as root: read and write whatever there is, and keep owners, modes, capabilities
/// and devices. All of it is within Pod Security `baseline`.
pub(crate) const COPY_CAPABILITIES: &[&str] = &["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"];
/// A keeper makes one folder on a disk whose root may have any owner.
const KEEPER_CAPABILITIES: &[&str] = &["DAC_OVERRIDE"];

/// The sweeper's CronJob.
#[must_use]
pub fn sweep_name(instance: &str) -> String {
    if instance.len() <= 40 { format!("{instance}-sweep") } else { format!("sweep-{}", names::hash(instance, 12)) }
}

/// Labels and annotations, as they grow.
#[derive(Default)]
pub(crate) struct Marks {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Marks {
    pub(crate) fn new(instance: &str, component: Component) -> Self {
        let mut marks = Self::default();
        marks.label(names::MANAGED_BY, names::MANAGER);
        marks.label(names::INSTANCE, instance);
        marks.label(names::COMPONENT, component.as_str());
        marks
    }

    pub(crate) fn label(&mut self, key: &str, value: &str) {
        self.labels.insert(key.to_owned(), value.to_owned());
    }

    pub(crate) fn annotate(&mut self, key: &str, value: &str) {
        self.annotations.insert(key.to_owned(), value.to_owned());
    }

    pub(crate) fn source(mut self, source: &SourceId) -> Self {
        self.label(names::SOURCE_PVC, &names::label_value(&source.name));
        self.label(names::SOURCE_UID, &source.uid);
        self.annotate(names::SOURCE_NAMESPACE, &source.namespace);
        self.annotate(names::SOURCE_NAME, &source.name);
        self
    }

    pub(crate) fn run(mut self, run: &Run) -> Self {
        self.label(names::RUN, run.as_str());
        self
    }

    pub(crate) fn destination(mut self, destination: &Destination) -> Self {
        self.label(names::DESTINATION, &names::label_value(&destination.name));
        if destination.restic().is_some() {
            self.label(names::DESTINATION_TYPE, names::RESTIC);
        }
        self
    }
}

/// One object that is asked for.
pub(crate) struct Order {
    pub(crate) template: Template,
    pub(crate) kind: (&'static str, &'static str),
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) marks: Marks,
    /// What the template gets beside name, namespace, labels and annotations.
    pub(crate) values: Map<String, Value>,
    pub(crate) pins: Vec<Pin>,
    pub(crate) pod: Option<PodRules>,
}

impl Order {
    pub(crate) fn render(self, templates: &Templates) -> Result<Value, RenderError> {
        let mut values = self.values;
        values.insert("name".to_owned(), json!(self.name));
        values.insert("labels".to_owned(), json!(self.marks.labels));
        values.insert("annotations".to_owned(), json!(self.marks.annotations));
        if let Some(namespace) = &self.namespace {
            values.insert("namespace".to_owned(), json!(namespace));
        }
        let text = templates.text(self.template, &Value::Object(values))?;
        let object = crate::yaml::parse_document(self.template.file(), &text)?;
        let expected = Expected {
            api_version: self.kind.0,
            kind: self.kind.1,
            name: self.name,
            namespace: self.namespace,
            labels: self.marks.labels,
            annotations: self.marks.annotations,
            pins: self.pins,
            pod: self.pod,
        };
        check::object(&expected, &object).map_err(|fault| fail(self.template, fault))?;
        Ok(object)
    }
}

pub(crate) fn fail(template: Template, fault: Fault) -> RenderError {
    RenderError { template: template.file(), place: None, fault }
}

/// A map of the values that a template gets.
macro_rules! values {
    ($($key:literal: $value:expr,)*) => { serde_json::Map::from_iter([$(($key.to_owned(), serde_json::json!($value)),)*]) };
}
pub(crate) use values;

fn escaped(args: &[String]) -> Vec<String> {
    args.iter().map(|a| args::escape(a)).collect()
}

fn resources(pod: &PodResources) -> Value {
    json!({"requests": pod.requests, "limits": pod.limits})
}

/// The values of a container that runs our program, and the rules for its pod that follow from them.
pub(crate) fn program(
    values: &mut Map<String, Value>,
    install: &Install,
    image: &str,
    args: &[String],
    pod: &PodResources,
) -> PodRules {
    let args = escaped(args);
    values.extend(values! {
        "instance": install.instance,
        "image": image,
        "imagePullPolicy": install.image_pull_policy,
        "command": [COMMAND],
        "args": args,
        "resources": resources(pod),
    });
    PodRules { image: image.to_owned(), command: COMMAND, args, ..PodRules::default() }
}

/// A CronJob whose pods call the API as the job's service account.
fn cronjob(
    template: Template,
    install: &Install,
    config: &Config,
    name: String,
    marks: Marks,
    args: &[String],
    when: (&str, &str, u64),
) -> Order {
    let (schedule, zone, starting_deadline) = when;
    let mut values = values! {
        "schedule": schedule,
        "timeZone": zone,
        "startingDeadlineSeconds": starting_deadline,
        "backoffLimit": config.retries.snapshot,
        "activeDeadlineSeconds": config.deadlines.job.as_secs(),
        "serviceAccount": install.job_service_account,
    };
    let pod = program(&mut values, install, &install.controller_image, args, &config.resources.job);
    let mut pins = vec![
        Pin::exactly("/spec/schedule", schedule),
        Pin::exactly("/spec/timeZone", zone),
        Pin::exactly("/spec/concurrencyPolicy", "Forbid"),
        Pin::exactly("/spec/startingDeadlineSeconds", starting_deadline),
        Pin::at_most("/spec/suspend", false),
    ];
    pins.extend(Pin::job("/spec/jobTemplate/spec"));
    Order {
        template,
        kind: ("batch/v1", "CronJob"),
        name,
        namespace: Some(install.namespace.clone()),
        marks,
        values,
        pins,
        pod: Some(PodRules {
            pointer: "/spec/jobTemplate/spec/template",
            service_account: Some(install.job_service_account.clone()),
            token: true,
            ..pod
        }),
    }
}

/// Suspended or not, and said so: what is left out of an applied object is not put back if somebody edits it.
fn suspended(mut object: Value, suspended: bool) -> Value {
    object["spec"]["suspend"] = Value::Bool(suspended);
    object
}

/// With a hash of itself, by which an unchanged CronJob is known.
fn with_hash(mut object: Value) -> Value {
    let hash = names::hash(&canonical(&object), 16);
    object["metadata"]["annotations"][names::APPLIED] = Value::String(hash);
    object
}

/// The same text for the same value, in whatever order its maps are.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, String> = map.iter().map(|(k, v)| (k, canonical(v))).collect();
            format!("{sorted:?}")
        }
        Value::Array(items) => format!("{:?}", items.iter().map(canonical).collect::<Vec<_>>()),
        scalar => scalar.to_string(),
    }
}

pub(crate) fn snapshot_cronjob(
    templates: &Templates,
    install: &Install,
    config: &Config,
    source: &SourceId,
    protection: &Protection,
    rotate: bool,
) -> Result<Value, RenderError> {
    let args = args::snapshot_args(install, config, source, protection, rotate);
    let (schedule, suspend) = protection.cron();
    let mut marks = Marks::new(&install.instance, Component::Snapshot).source(source);
    if let Some(after) = protection.after {
        marks.annotate(names::AFTER, &after.to_string());
    }
    let mut order = cronjob(
        Template::Cronjob,
        install,
        config,
        names::cronjob(source),
        marks,
        &args,
        (schedule, protection.zone.name(), protection.starting_deadline.as_secs()),
    );
    order.values.extend(values! {
        "templatesConfigMap": install.templates_config_map,
        "templatesDir": TEMPLATES_DIR,
        "source": json!({"namespace": source.namespace, "name": source.name, "uid": source.uid}),
    });
    order.render(templates).map(|object| suspended(object, suspend)).map(with_hash)
}

pub(crate) fn run_job(cronjob: &Value, cronjob_uid: &str, job: &str) -> Result<Value, RenderError> {
    let missing =
        |what: &str| fail(Template::Cronjob, Fault::Input(format!("no Job can be made from a CronJob without {what}")));
    let text = |pointer: &str| cronjob.pointer(pointer).and_then(Value::as_str);
    let name = text("/metadata/name").ok_or_else(|| missing("metadata.name"))?;
    let namespace = text("/metadata/namespace").ok_or_else(|| missing("metadata.namespace"))?;
    let template = |field: &str| cronjob.pointer(&format!("/spec/jobTemplate/{field}")).filter(|v| v.is_object());
    let metadata = template("metadata").ok_or_else(|| missing("spec.jobTemplate.metadata"))?;
    let spec = template("spec").ok_or_else(|| missing("spec.jobTemplate.spec"))?;
    let mut annotations = metadata["annotations"].as_object().cloned().unwrap_or_default();
    annotations.insert("cronjob.kubernetes.io/instantiate".to_owned(), json!("manual"));
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job,
            "namespace": namespace,
            "labels": metadata["labels"],
            "annotations": annotations,
            // As kubectl makes it: without blockOwnerDeletion, which would need a right on cronjobs/finalizers.
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": cronjob_uid, "controller": true},
            ],
        },
        "spec": spec,
    }))
}

pub(crate) fn sweep_cronjob(templates: &Templates, install: &Install, config: &Config) -> Result<Value, RenderError> {
    // After the night's snapshots, and not in all clusters at the same minute.
    let schedule = Schedule::parse("H 6 * * *", &install.instance);
    let schedule = schedule.as_ref().map_or("0 6 * * *", Schedule::kubernetes);
    cronjob(
        Template::Sweep,
        install,
        config,
        sweep_name(&install.instance),
        Marks::new(&install.instance, Component::Sweep),
        &args::sweep_args(install, config),
        (schedule, config.defaults.time_zone.name(), 3600),
    )
    .render(templates)
    .map(with_hash)
}

pub(crate) fn copy_job(
    templates: &Templates,
    install: &Install,
    config: &Config,
    copy: &CopyJob<'_>,
) -> Result<Value, RenderError> {
    let (source, destination) = (copy.source, copy.destination);
    if destination.restic().is_some() {
        return restic::copy_job(templates, install, config, copy);
    }
    let disk = disk_claim_name(Template::Copy, destination)?;
    // A host's disk is reached through a volume that is the namespace's folder already.
    let host_disk = matches!(destination.store, Store::HostPath(_));
    let sub_path = names::shelf(host_disk, &source.namespace, &source.name, &source.uid);
    let own = OwnOfCopy {
        template: Template::Copy,
        namespace: &source.namespace,
        capabilities: COPY_CAPABILITIES,
        values: values! { "disk": disk, "destinationDir": DESTINATION_DIR, "subPath": sub_path, },
        args: args::copy_args(config, copy),
    };
    let (mut order, mut rules) = copy_order(install, config, copy, own);
    rules.mounts.push(Mount { claim: disk, path: DESTINATION_DIR, sub_path: Some(sub_path), read_only: false });
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

/// The Job of a copy, and the rules for its pod, which mounts the promoter so far.
pub(crate) fn copy_order(
    install: &Install,
    config: &Config,
    copy: &CopyJob<'_>,
    own: OwnOfCopy<'_>,
) -> (Order, PodRules) {
    let (source, destination) = (copy.source, copy.destination);
    let selinux = copy.spc_no_relabeling.then_some("spc_t");
    let mut values = values! {
        "backoffLimit": config.retries.copy,
        "activeDeadlineSeconds": config.deadlines.copy.as_secs(),
        "promoter": copy.promoter,
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
        name: names::copy_job(source, copy.run, &destination.name),
        namespace: Some(own.namespace.to_owned()),
        marks: Marks::new(&install.instance, Component::Copy).source(source).run(copy.run).destination(destination),
        values,
        pins: Pin::job("/spec"),
        pod: None,
    };
    let rules = PodRules {
        pointer: "/spec/template",
        root: true,
        capabilities: own.capabilities,
        selinux_type: selinux,
        mounts: vec![Mount { claim: copy.promoter.to_owned(), path: SOURCE_DIR, sub_path: None, read_only: true }],
        ..pod
    };
    (order, rules)
}

pub(crate) fn disk_claim(
    templates: &Templates,
    install: &Install,
    destination: &Destination,
    namespace: &str,
) -> Result<Value, RenderError> {
    let Store::Claim(claim) = &destination.store else {
        let why = format!("the destination {} is no claim", destination.name);
        return Err(fail(Template::DiskClaim, Fault::Input(why)));
    };
    let access_mode = claim.access_mode.as_str();
    Order {
        template: Template::DiskClaim,
        kind: ("v1", "PersistentVolumeClaim"),
        name: claim.name.clone(),
        namespace: Some(namespace.to_owned()),
        marks: Marks::new(&install.instance, Component::Disk).destination(destination),
        values: values! {
            "instance": install.instance,
            "destination": destination.name,
            "storageClass": claim.storage_class,
            "accessModes": [access_mode],
            "size": claim.size,
        },
        pins: vec![
            Pin::exactly("/spec/accessModes", json!([access_mode])),
            Pin::exactly("/spec/resources/requests/storage", claim.size.as_str()),
            claim.storage_class.as_ref().map_or(Pin::absent("/spec/storageClassName"), |class| {
                Pin::exactly("/spec/storageClassName", class.as_str())
            }),
            Pin::at_most("/spec/volumeMode", "Filesystem"),
        ],
        pod: None,
    }
    .render(templates)
}

/// The PVC of a destination that is a disk.
pub(crate) fn disk_claim_name(template: Template, destination: &Destination) -> Result<String, RenderError> {
    names::disk_claim(destination)
        .ok_or_else(|| fail(template, Fault::Input(format!("the destination {} is no disk", destination.name))))
}

/// A destination on a host's disk, and how a node that has it is known.
fn host_path(template: Template, destination: &Destination) -> Result<&HostPath, RenderError> {
    match &destination.store {
        Store::HostPath(host) if host.node_selector.is_empty() => {
            let why =
                format!("the destination {} needs a nodeSelector: the nodes that have the disk", destination.name);
            Err(fail(template, Fault::Input(why)))
        }
        Store::HostPath(host) => Ok(host),
        Store::Claim(_) | Store::Restic(_) => {
            let why = format!("the destination {} is no host's disk", destination.name);
            Err(fail(template, Fault::Input(why)))
        }
    }
}

pub(crate) fn keeper_job(
    templates: &Templates,
    install: &Install,
    config: &Config,
    destination: &Destination,
    namespace: &str,
) -> Result<Value, RenderError> {
    let host = host_path(Template::Keeper, destination)?;
    let mut values = values! {
        "backoffLimit": config.retries.snapshot,
        "activeDeadlineSeconds": config.deadlines.job.as_secs(),
        "destination": destination.name,
        "path": host.path,
        "keeperDir": KEEPER_DIR,
        "nodeSelector": host.node_selector,
        "capabilities": KEEPER_CAPABILITIES,
    };
    let args = args::keep_args(namespace);
    let pod = program(&mut values, install, &install.controller_image, &args, &config.resources.job);
    let mut marks = Marks::new(&install.instance, Component::Keeper).destination(destination);
    marks.annotate(names::SOURCE_NAMESPACE, namespace);
    let mut pins = Pin::job("/spec");
    pins.push(Pin::exactly("/spec/template/spec/nodeSelector", json!(host.node_selector)));
    Order {
        template: Template::Keeper,
        kind: ("batch/v1", "Job"),
        name: names::keeper_job(&install.instance, &destination.name, namespace),
        namespace: Some(install.namespace.clone()),
        marks,
        values,
        pins,
        pod: Some(PodRules {
            pointer: "/spec/template",
            root: true,
            capabilities: KEEPER_CAPABILITIES,
            host_path: Some((host.path.clone(), KEEPER_DIR)),
            ..pod
        }),
    }
    .render(templates)
}

pub(crate) fn disk_volume(
    templates: &Templates,
    install: &Install,
    destination: &Destination,
    namespace: &str,
) -> Result<Value, RenderError> {
    let host = host_path(Template::DiskVolume, destination)?;
    let path = format!("{}/{namespace}", host.path.trim_end_matches('/'));
    let claim = names::host_disk_claim(&destination.name);
    let requirements: Vec<Value> = host
        .node_selector
        .iter()
        .map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}))
        .collect();
    let mut marks = Marks::new(&install.instance, Component::Disk).destination(destination);
    marks.annotate(names::SOURCE_NAMESPACE, namespace);
    Order {
        template: Template::DiskVolume,
        kind: ("v1", "PersistentVolume"),
        name: names::disk_volume(&install.instance, &destination.name, namespace),
        namespace: None,
        marks,
        values: values! {
            "instance": install.instance,
            "destination": destination.name,
            "claimNamespace": namespace,
            "claimName": claim,
            "path": path,
            "size": host.size,
            "nodeRequirements": requirements,
        },
        pins: vec![
            Pin::exactly("/spec/local/path", path),
            Pin::exactly("/spec/claimRef/namespace", namespace),
            Pin::exactly("/spec/claimRef/name", claim),
            Pin::exactly("/spec/persistentVolumeReclaimPolicy", "Retain"),
            Pin::exactly("/spec/storageClassName", ""),
            Pin::exactly("/spec/nodeAffinity/required/nodeSelectorTerms", json!([{"matchExpressions": requirements}])),
            Pin::at_most("/spec/volumeMode", "Filesystem"),
        ],
        pod: None,
    }
    .render(templates)
}

pub(crate) fn host_disk_claim(
    templates: &Templates,
    install: &Install,
    destination: &Destination,
    namespace: &str,
) -> Result<Value, RenderError> {
    let host = host_path(Template::HostDiskClaim, destination)?;
    let volume = names::disk_volume(&install.instance, &destination.name, namespace);
    Order {
        template: Template::HostDiskClaim,
        kind: ("v1", "PersistentVolumeClaim"),
        name: names::host_disk_claim(&destination.name),
        namespace: Some(namespace.to_owned()),
        marks: Marks::new(&install.instance, Component::Disk).destination(destination),
        values: values! {
            "instance": install.instance,
            "destination": destination.name,
            "volume": volume,
            "size": host.size,
        },
        pins: vec![
            Pin::exactly("/spec/volumeName", volume),
            Pin::exactly("/spec/storageClassName", ""),
            Pin::exactly("/spec/resources/requests/storage", host.size.as_str()),
            Pin::at_most("/spec/volumeMode", "Filesystem"),
        ],
        pod: None,
    }
    .render(templates)
}

pub(crate) fn volume_snapshot(templates: &Templates, point: &Point<'_>) -> Result<Value, RenderError> {
    let source = point.source;
    let mut marks = Marks::new(point.instance, Component::Snapshot).source(source).run(point.run);
    marks.annotate(names::RETENTION_TAKEN, &point.retention.to_string());
    marks.annotate(names::DESTINATIONS_TAKEN, &point.destinations.join(","));
    Order {
        template: Template::Snapshot,
        kind: ("snapshot.storage.k8s.io/v1", "VolumeSnapshot"),
        name: point.name.to_owned(),
        namespace: Some(source.namespace.clone()),
        marks,
        values: values! {
            "instance": point.instance,
            "run": point.run.as_str(),
            "source": json!({"namespace": source.namespace, "name": source.name, "uid": source.uid}),
            "class": point.class,
        },
        pins: vec![
            Pin::exactly("/spec/source", json!({"persistentVolumeClaimName": source.name})),
            Pin::exactly("/spec/volumeSnapshotClassName", point.class),
        ],
        pod: None,
    }
    .render(templates)
}

pub(crate) fn promoter(templates: &Templates, promoter: &Promoter<'_>) -> Result<Value, RenderError> {
    let marks = Marks::new(promoter.instance, Component::Promoter).source(promoter.source).run(promoter.run);
    promoter_in(templates, promoter, &promoter.source.namespace, marks)
}

/// The same in any namespace, with the marks that it has there.
pub(crate) fn promoter_in(
    templates: &Templates,
    promoter: &Promoter<'_>,
    namespace: &str,
    mut marks: Marks,
) -> Result<Value, RenderError> {
    let source = promoter.source;
    for (key, value) in promoter.annotations {
        // Ours are ours, whatever the class's annotations say.
        if !key.starts_with(names::PREFIX) {
            marks.annotate(key, value);
        }
    }
    let access_mode = if promoter.read_only { "ReadOnlyMany" } else { "ReadWriteOnce" };
    let size = quantity::text(promoter.bytes);
    let data_source = json!(model::snapshot::reference(promoter.snapshot));
    Order {
        template: Template::Promoter,
        kind: ("v1", "PersistentVolumeClaim"),
        name: promoter.name.to_owned(),
        namespace: Some(namespace.to_owned()),
        marks,
        values: values! {
            "instance": promoter.instance,
            "run": promoter.run.as_str(),
            "source": json!({"namespace": source.namespace, "name": source.name, "uid": source.uid}),
            "storageClass": promoter.storage_class,
            "accessModes": [access_mode],
            "size": size,
            "snapshot": promoter.snapshot,
        },
        pins: vec![
            Pin::exactly("/spec/dataSource", data_source),
            Pin::absent("/spec/dataSourceRef"),
            Pin::absent("/spec/volumeName"),
            Pin::exactly("/spec/storageClassName", promoter.storage_class),
            Pin::exactly("/spec/accessModes", json!([access_mode])),
            Pin::exactly("/spec/resources/requests/storage", size),
            Pin::at_most("/spec/volumeMode", "Filesystem"),
        ],
        pod: None,
    }
    .render(templates)
}
