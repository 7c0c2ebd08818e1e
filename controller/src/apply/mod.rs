//! Carrying steps out: one arm for each action. This folder is all of this crate that writes to the API server.
//!
//! Each step answers with what it saw, so that the next plan is made from it without waiting for a watch.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::{Api, Client};
use model::config::Destination;
use model::facts;
use model::names::SourceId;
use model::plan::{Action, Copy, DiskStep, Maintain};
use model::select::Protection;
use model::world::{Change, Seen};
use serde_json::Value;

use crate::settings::Settings;

use self::event::Events;
use self::managers::Manager;
use self::support::configured;

mod alias;
mod ask;
mod central;
mod event;
mod ledger;
mod managers;
mod refusal;
mod restore;
mod support;

pub(crate) use event::Clock;
pub(crate) use refusal::Refusal;

/// What takes steps: the API server, or what a test puts in its place.
pub(crate) trait Take: Clone + 'static {
    /// Takes one step, and answers with what it saw.
    async fn take(&self, action: &Action, settings: &Settings) -> Result<Option<Change>, Refusal>;
}

/// What carries steps out.
#[derive(Clone)]
pub(crate) struct Applier {
    client: Client,
    clock: Clock,
}

impl Applier {
    /// With a client, and with a clock for what is told.
    pub(crate) fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock }
    }
}

impl Take for Applier {
    async fn take(&self, action: &Action, settings: &Settings) -> Result<Option<Change>, Refusal> {
        let events = Events { client: &self.client, instance: &settings.install.instance, clock: self.clock };
        match action {
            Action::ApplyCronJob { source, protection } => {
                self.apply_cronjob(settings, source, protection).await.map(Some)
            }
            Action::DeleteCronJob(id) => {
                api::delete::<CronJob>(&self.client, &settings.install.namespace, id, false).await?;
                Ok(Some(Change::CronJob(Seen::Gone((String::new(), id.name.clone()), id.uid.clone()))))
            }
            Action::StartRun { source, protection, job, cronjob } => {
                let rendered = settings.snapshot_cronjob(source, protection)?;
                tracing::info!(namespace = source.namespace, pvc = source.name, job, "run started");
                let job = settings.templates.run_job(&rendered, &cronjob.uid, job)?;
                self.create_job(&job).await.map(Some)
            }
            Action::MakeDisk { step, destination, namespace } => {
                let destination = configured(settings, destination)?;
                self.make_disk(settings, *step, destination, namespace).await.map(Some)
            }
            Action::StartCopy(copy) => self.start_copy(settings, copy).await.map(Some),
            Action::MakeCentral(part) => central::make(&self.client, settings, part).await.map(Some),
            Action::StartTask(task) => self.start_task(settings, task).await.map(Some),
            Action::TakeAway { part, id, .. } => {
                central::take_away(&self.client, &settings.install.namespace, *part, id).await?;
                Ok(None)
            }
            Action::WriteLedger(write) => ledger::write(&self.client, settings, &events, write).await.map(Some),
            Action::DeleteLedger { id, uid } => {
                ledger::delete(&self.client, &settings.install.namespace, id, uid).await.map(Some)
            }
            Action::ShowStatus { source, on, status } => ledger::show(&self.client, source, on, status).await.map(Some),
            Action::Ask { question, namespace, name, uid } => {
                Ok(Some(ask::ask(&self.client, *question, namespace, name, uid).await))
            }
            Action::DeleteJob { namespace, id } => {
                api::delete::<Job>(&self.client, namespace, id, false).await?;
                Ok(None)
            }
            Action::ApplySweep { applied } => self.apply_sweep(settings, applied.as_deref()).await,
            Action::Restore(step) => restore::take(&self.client, settings, &events, step).await,
        }
    }
}

impl Applier {
    /// Writes the CronJob that rotates what vanished sources left, unless `applied` says that it is in force.
    async fn apply_sweep(&self, settings: &Settings, applied: Option<&str>) -> Result<Option<Change>, Refusal> {
        let rendered = settings.templates.sweep_cronjob(&settings.install, &settings.config)?;
        if applied.is_some() && templates::mark(&rendered) == applied {
            return Ok(None);
        }
        self.apply_rendered_cronjob(settings, &rendered).await.map(Some)
    }

    async fn apply_cronjob(
        &self,
        settings: &Settings,
        source: &SourceId,
        protection: &Protection,
    ) -> Result<Change, Refusal> {
        let rendered = settings.snapshot_cronjob(source, protection)?;
        let change = self.apply_rendered_cronjob(settings, &rendered).await?;
        tracing::info!(
            namespace = source.namespace,
            pvc = source.name,
            schedule = protection.due.text(),
            zone = protection.zone.name(),
            retention = %protection.retention,
            destinations = protection.destinations.join(","),
            snapshot_class = protection.snapshot_class.0,
            chosen = protection.snapshot_class.1.as_str(),
            "CronJob applied"
        );
        Ok(change)
    }

    async fn apply_rendered_cronjob(&self, settings: &Settings, rendered: &Value) -> Result<Change, Refusal> {
        let api: Api<CronJob> = Api::namespaced(self.client.clone(), &settings.install.namespace);
        let name = rendered["metadata"]["name"].as_str().unwrap_or_default();
        let written = api::apply(&api, Manager::Whole.as_str(), name, rendered).await?;
        Ok(Change::CronJob(Seen::Put(facts::CronJob::from(&written))))
    }

    async fn create_job(&self, job: &Value) -> Result<Change, Refusal> {
        let made: Job = api::ensure(&self.client, job).await?;
        Ok(Change::Job(Seen::Put(facts::Job::from(&made))))
    }

    async fn create_claim(&self, claim: &Value) -> Result<Change, Refusal> {
        let made: PersistentVolumeClaim = api::ensure(&self.client, claim).await?;
        Ok(Change::Claim(Seen::Put(facts::Claim::from(&made))))
    }

    async fn start_copy(&self, settings: &Settings, copy: &Copy) -> Result<Change, Refusal> {
        if copy.isolate {
            self.isolate(settings, &copy.source.namespace).await?;
        }
        let destination = configured(settings, &copy.destination)?;
        let job = settings.templates.copy_job(&settings.install, &settings.config, destination, copy)?;
        let change = self.create_job(&job).await?;
        tracing::info!(
            namespace = copy.source.namespace,
            pvc = copy.source.name,
            run = %copy.run,
            destination = copy.destination,
            "copy started"
        );
        Ok(change)
    }

    /// Keeps the pods of a namespace that need no network off it.
    async fn isolate(&self, settings: &Settings, namespace: &str) -> Result<(), Refusal> {
        let policy = settings.templates.network_policy(&settings.install, namespace)?;
        api::ensure::<NetworkPolicy>(&self.client, &policy).await?;
        Ok(())
    }

    async fn start_task(&self, settings: &Settings, task: &Maintain) -> Result<Change, Refusal> {
        if task.isolate {
            self.isolate(settings, &task.source.namespace).await?;
        }
        let destination = configured(settings, &task.destination)?;
        let job = settings.templates.maintain_job(&settings.install, &settings.config, destination, task)?;
        let change = self.create_job(&job).await?;
        tracing::info!(
            namespace = task.source.namespace,
            pvc = task.source.name,
            task = task.task().as_str(),
            due = %task.due,
            destination = task.destination,
            "maintenance started"
        );
        Ok(change)
    }

    async fn make_disk(
        &self,
        settings: &Settings,
        step: DiskStep,
        destination: &Destination,
        namespace: &str,
    ) -> Result<Change, Refusal> {
        let Settings { install, config, templates, .. } = settings;
        let change = match step {
            DiskStep::Keeper => {
                let job = templates.keeper_job(install, config, destination, namespace)?;
                self.create_job(&job).await?
            }
            DiskStep::Volume => {
                let volume = templates.disk_volume(install, destination, namespace)?;
                let made: PersistentVolume = api::ensure(&self.client, &volume).await?;
                Change::Volume(Seen::Put(facts::Volume::from(&made)))
            }
            DiskStep::Claim => self.create_claim(&templates.disk_claim(install, destination, namespace)?).await?,
            DiskStep::HostClaim => {
                self.create_claim(&templates.host_disk_claim(install, destination, namespace)?).await?
            }
        };
        tracing::info!(namespace, destination = destination.name, step = ?step, "BackupDisk prepared");
        Ok(change)
    }
}
