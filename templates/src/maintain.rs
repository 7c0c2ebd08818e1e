//! The Jobs of tasks for copies: prune, verify, drill, remove.

use model::config::{Config, Destination, PodKind, Scratch};
use model::facts::VolumeMode;
use model::maintain::Task;
use model::names::{self, Component};
use model::plan::{Drill, Maintain, Work};
use serde_json::{Value, json};

use crate::args;
use crate::check::{Kind, Pin};
use crate::disks::disk_claim_name;
use crate::engine::{Template, Templates};
use crate::error::{Fault, RenderError};
use crate::install::Install;
use crate::order::{Marks, Order, container, fail, values};
use crate::pods::{COPY_CAPABILITIES, Mount, PodRules, REMOVE_CAPABILITIES};
use crate::program::{DESTINATION_DIR, SCRATCH_DIR, SOURCE_DIR};
use crate::repository::Repository;

/// How often a task is tried again: its time comes again soon.
const RETRIES: u32 = 2;

/// The volumes of a pod with their mounts, and the rules that follow from them.
#[derive(Default)]
struct Volumes {
    all: Vec<Value>,
    mounts: Vec<Value>,
    devices: Vec<Value>,
    claims: Vec<Mount>,
    ephemeral: Option<Value>,
}

impl Volumes {
    /// What a repository needs. A drill only reads it.
    fn of(repository: &Repository<'_>, read_only: bool) -> Self {
        let (all, mounts) = repository.volumes(read_only).into_iter().unzip();
        let claims = repository.mount(read_only).into_iter().collect();
        Self { all, mounts, claims, ..Self::default() }
    }

    /// A PVC that is read and not written.
    fn read(&mut self, name: &str, claim: String, path: &'static str, sub_path: Option<String>) {
        self.add(name, Mount { claim, path, also: None, sub_path, read_only: true, device: false });
    }

    /// A folder of a PVC, to write in it. Nothing else of the volume is in the pod.
    fn write(&mut self, name: &str, claim: String, path: &'static str, folder: String) {
        self.add(name, Mount { claim, path, also: None, sub_path: Some(folder), read_only: false, device: false });
    }

    /// A PVC whose device is read and not written.
    fn device(&mut self, name: &str, claim: String, path: &'static str) {
        self.add(name, Mount { claim, path, also: None, sub_path: None, read_only: true, device: true });
    }

    fn add(&mut self, name: &str, mount: Mount) {
        let (volume, at) = mount.volume(name);
        self.all.push(volume);
        let list = if mount.device { &mut self.devices } else { &mut self.mounts };
        list.push(at);
        self.claims.push(mount);
    }

    /// Room to restore to. A volume that is made for it is nobody's source.
    fn scratch(&mut self, scratch: &Scratch) {
        let volume = match &scratch.storage_class {
            None => json!({"name": "scratch", "emptyDir": {"sizeLimit": scratch.size}}),
            Some(class) => {
                let ephemeral = json!({"volumeClaimTemplate": {
                    "metadata": {"annotations": {names::ENABLED: "false"}},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "storageClassName": class,
                        "resources": {"requests": {"storage": scratch.size}},
                    },
                }});
                self.ephemeral = Some(ephemeral.clone());
                json!({"name": "scratch", "ephemeral": ephemeral})
            }
        };
        self.all.push(volume);
        self.mounts.push(json!({"name": "scratch", "mountPath": SCRATCH_DIR}));
    }

    fn drill(&mut self, drill: &Drill) {
        let promoter = drill.promoter.clone();
        match drill.mode {
            VolumeMode::Filesystem => {
                self.read("source", promoter, SOURCE_DIR, None);
                self.scratch(&drill.scratch);
            }
            // A device is compared as it is read back: no volume is made to hold it.
            VolumeMode::Block => {
                self.device("source", promoter, SOURCE_DIR);
                self.scratch(&Scratch { storage_class: None, ..drill.scratch.clone() });
            }
        }
    }
}

pub(crate) fn job(
    templates: &Templates,
    install: &Install,
    config: &Config,
    destination: &Destination,
    task: &Maintain,
) -> Result<Value, RenderError> {
    let source = &task.source;
    let repository = Repository::new(&install.namespace, destination, source, &task.options, task.secret.as_deref());
    let mut volumes = Volumes::default();
    if let Some(repository) = &repository {
        volumes = Volumes::of(repository, task.task() == Task::Drill);
    } else {
        let disk = disk_claim_name(Template::Maintain, destination)?;
        let shelf = names::shelf(destination.host_path().is_some(), source);
        match task.work {
            Work::Remove(_) => volumes.write("destination", disk, DESTINATION_DIR, shelf),
            Work::Prune(_) | Work::Verify(_) | Work::Drill(_) => {
                volumes.read("destination", disk, DESTINATION_DIR, Some(shelf));
            }
        }
        volumes.all.push(json!({"name": "tmp", "emptyDir": {}}));
        volumes.mounts.push(json!({"name": "tmp", "mountPath": "/tmp"}));
    }
    let (args, capabilities, selinux): (_, &[&str], _) = match (&task.work, &repository) {
        (Work::Prune(prune), Some(repository)) => {
            (args::restic_prune_args(config, repository, &task.due, prune), &[], None)
        }
        (Work::Verify(part), Some(repository)) => (args::restic_verify_args(repository, *part), &[], None),
        (Work::Drill(drill), repository) => {
            volumes.drill(drill);
            let args = args::drill_args(repository.as_ref(), source, &task.due, drill);
            (args, COPY_CAPABILITIES, drill.spc_no_relabeling.then_some("spc_t"))
        }
        (Work::Remove(remove), Some(repository)) => (args::restic_remove_args(repository, remove), &[], None),
        (Work::Remove(remove), None) => {
            (args::remove_args(&destination.name, source, remove), REMOVE_CAPABILITIES, None)
        }
        (Work::Prune(_) | Work::Verify(_), None) => {
            return Err(fail(
                Template::Maintain,
                Fault::Input(format!("destination {} is not a restic repository", destination.name)),
            ));
        }
    };
    let mut values = values! {
        "backoffLimit": RETRIES,
        "activeDeadlineSeconds": config.deadlines.copy.as_secs(),
        "capabilities": capabilities,
        "selinuxType": selinux,
        "volumes": volumes.all,
        "mounts": volumes.mounts,
        "devices": volumes.devices,
        "source": json!({"namespace": source.namespace, "name": source.name, "uid": source.uid}),
        "destination": destination.name,
        "task": task.task().as_str(),
        "due": task.due.as_str(),
    };
    let pod = container(&mut values, (install, config), PodKind::Maintenance, &args);
    let mut marks = Marks::new(&install.instance, Component::Maintain).source(source).run(&task.due);
    marks.label(names::TASK, task.task().as_str());
    let namespace = repository.as_ref().map_or(source.namespace.as_str(), |r| r.namespace);
    Order {
        template: Template::Maintain,
        kind: Kind::Job,
        name: names::maintain_job(source, task.task(), &task.due, &destination.name),
        namespace: Some(namespace.to_owned()),
        marks: marks.destination(destination),
        values,
        pins: Pin::job("/spec"),
        pod: Some(PodRules {
            pointer: "/spec/template",
            root: true,
            capabilities,
            selinux_type: selinux,
            mounts: volumes.claims,
            secret: repository.as_ref().map(|r| r.secret.to_owned()),
            ephemeral: volumes.ephemeral,
            ..pod
        }),
    }
    .render(templates)
}
