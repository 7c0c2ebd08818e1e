//! Carrying steps out: one arm for each action. It and its helpers [`central`], [`ledger`], [`lend`]
//! and [`restore`] are all of this
//! crate that writes to the API server.
//!
//! Each step answers with what it saw, so that the next plan is made from it without waiting for a watch.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Api, Client};
use model::Timestamp;
use model::config::Destination;
use model::facts::{self, Identity};
use model::names::{self, SourceId};
use model::plan::{Action, Copy, DiskStep, Maintain, Note};
use model::reason::{Problem, Reason};
use model::record::clip;
use model::select::Protection;
use model::world::{Change, Seen};
use serde_json::{Value, json};
use templates::{CopyJob, RenderError};

use crate::settings::Settings;

mod central;
mod ledger;
mod lend;
mod mounts;
mod restore;

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The API server refused it, or did not answer.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// A template does not render what it must.
    #[error(transparent)]
    Template(#[from] RenderError),
    /// Somebody else's object has the name that ours needs.
    #[error("ConfigMap {0}: another object has this name")]
    NameTaken(String),
    /// The configuration changed meanwhile; the next plan knows.
    #[error("destination {0} is no longer configured")]
    NoDestination(String),
}

impl Refusal {
    /// For people and metrics.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Api(error) => error.problem(),
            Self::Template(error) => Problem::new(Reason::InvalidObject, error.to_string()),
            Self::NameTaken(_) => Problem::new(Reason::NameTaken, self.to_string()),
            Self::NoDestination(_) => Problem::new(Reason::UnknownDestination, self.to_string()),
        }
    }

    /// Whether it may pass by itself.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Api(error) if error.retry() == api::Retry::Transient)
    }

    /// Whether the object that the step is about is gone or was changed: the next plan sees that.
    pub(crate) fn is_overtaken(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_not_found() || error.is_conflict() || error.is_namespace_terminating())
    }
}

/// What carries steps out.
#[derive(Clone)]
pub(crate) struct Applier {
    pub(crate) client: Client,
}

impl Applier {
    /// With a client.
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Takes one step.
    pub(crate) async fn take(&self, action: &Action, settings: &Settings) -> Result<Option<Change>, Refusal> {
        match action {
            Action::ApplyCronJob { source, protection, fingerprint } => {
                self.apply_cronjob(settings, source, protection, fingerprint).await.map(Some)
            }
            Action::DeleteCronJob(id) => {
                api::delete::<CronJob>(&self.client, &settings.install.namespace, id, false).await?;
                Ok(Some(Change::CronJob(Seen::Gone((String::new(), id.name.clone()), id.uid.clone()))))
            }
            Action::StartRun { source, protection, job, cronjob } => {
                let Settings { install, config, templates, .. } = settings;
                let rendered =
                    templates.snapshot_cronjob(install, config, source, protection, !protection.unreadable)?;
                tracing::info!(namespace = source.namespace, pvc = source.name, job, "run started");
                let job = templates.run_job(&rendered, &cronjob.uid, job)?;
                self.create_job(&job).await.map(Some)
            }
            Action::MakeDisk(step, destination, namespace) => {
                let destination = configured(settings, destination)?;
                self.make_disk(settings, *step, destination, namespace).await.map(Some)
            }
            Action::StartCopy(copy) => self.start_copy(settings, copy).await.map(Some),
            Action::MakeCentral(part) => central::make(self, settings, part).await.map(Some),
            Action::StartTask(task) => self.start_task(settings, task).await.map(Some),
            Action::TakeAway { part, id, .. } => {
                central::take_away(&self.client, &settings.install.namespace, *part, id).await?;
                Ok(None)
            }
            Action::WriteLedger(write) => ledger::write(&self.client, settings, write).await.map(Some),
            Action::DeleteLedger { id, uid } => {
                ledger::delete(&self.client, &settings.install.namespace, id, uid).await.map(Some)
            }
            Action::ShowStatus { source, on, status } => ledger::show(&self.client, source, on, status).await.map(Some),
            Action::AskMounts { namespace, pod, uid } => Ok(Some(mounts::ask(&self.client, namespace, pod, uid).await)),
            Action::DeleteJob { namespace, id } => {
                api::delete::<Job>(&self.client, namespace, id, false).await?;
                Ok(None)
            }
            Action::ApplySweep { applied } => self.apply_sweep(settings, applied.as_deref()).await,
            Action::Restore(step) => restore::take(&self.client, settings, step).await,
        }
    }

    /// Writes the CronJob that rotates what vanished sources left, unless `applied` says that it is in force.
    async fn apply_sweep(&self, settings: &Settings, applied: Option<&str>) -> Result<Option<Change>, Refusal> {
        let rendered = settings.templates.sweep_cronjob(&settings.install, &settings.config)?;
        if applied.is_some() && rendered["metadata"]["annotations"][names::APPLIED].as_str() == applied {
            return Ok(None);
        }
        self.apply_rendered_cronjob(settings, &rendered).await.map(Some)
    }

    async fn apply_cronjob(
        &self,
        settings: &Settings,
        source: &SourceId,
        protection: &Protection,
        fingerprint: &str,
    ) -> Result<Change, Refusal> {
        let Settings { install, config, templates, .. } = settings;
        let mut rendered = templates.snapshot_cronjob(install, config, source, protection, !protection.unreadable)?;
        rendered["metadata"]["annotations"][names::APPLIED] = Value::from(fingerprint);
        let change = self.apply_rendered_cronjob(settings, &rendered).await?;
        tracing::info!(
            namespace = source.namespace,
            pvc = source.name,
            schedule = protection.schedule,
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
        let written = api::apply(&api, names::MANAGER, name, rendered).await?;
        Ok(Change::CronJob(Seen::Put(facts::CronJob::from(&written))))
    }

    async fn create_job(&self, job: &Value) -> Result<Change, Refusal> {
        let made: Job = api::ensure(&self.client, job).await?;
        Ok(Change::Job(Seen::Put(facts::Job::from(&made))))
    }

    async fn start_copy(&self, settings: &Settings, copy: &Copy) -> Result<Change, Refusal> {
        if copy.isolate {
            self.isolate(settings, &copy.source.namespace).await?;
        }
        let job = settings.templates.copy_job(
            &settings.install,
            &settings.config,
            &CopyJob {
                source: &copy.source,
                run: &copy.run,
                destination: configured(settings, &copy.destination)?,
                promoter: &copy.promoter,
                mode: copy.mode,
                retention: copy.retention.as_ref(),
                zone: &copy.zone,
                journal: copy.journal,
                accept_empty: copy.accept_empty,
                expected: &copy.expected,
                spc_no_relabeling: copy.spc_no_relabeling,
                options: &copy.options,
                secret: copy.secret.as_deref(),
            },
        )?;
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
            DiskStep::Claim | DiskStep::HostClaim => {
                let claim = match step {
                    DiskStep::Claim => templates.disk_claim(install, destination, namespace)?,
                    _ => templates.host_disk_claim(install, destination, namespace)?,
                };
                let made: PersistentVolumeClaim = api::ensure(&self.client, &claim).await?;
                Change::Claim(Seen::Put(facts::Claim::from(&made)))
            }
        };
        tracing::info!(namespace, destination = destination.name, step = ?step, "BackupDisk prepared");
        Ok(change)
    }
}

/// Each transition is an Event of its own: joined ones keep the words of the first. One that cannot be
/// written harms nothing: it is told in the log.
pub(crate) async fn publish(
    client: &Client,
    (api_version, kind): (&str, &str),
    namespace: &str,
    about: &Identity,
    instance: &str,
    note: &Note,
) {
    let name = &about.name;
    if note.warning {
        tracing::warn!(namespace, kind, name, reason = note.reason, "{}", note.text);
    } else {
        tracing::info!(namespace, kind, name, reason = note.reason, "{}", note.text);
    }
    let now = Timestamp::now();
    let event = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": namespace, "name": names::event(name, now)},
        "eventTime": MicroTime(now),
        "type": if note.warning { "Warning" } else { "Normal" },
        "reason": note.reason,
        "action": note.action,
        "note": clip(&note.text, 1000),
        "reportingController": names::MANAGER,
        "reportingInstance": clip(instance, 120),
        "regarding": {
            "apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "uid": about.uid,
        },
    });
    if let Err(error) = api::create::<Event>(client, &event).await {
        tracing::warn!(namespace, kind, name, error = api::chain(&error), "an Event could not be written");
    }
}

pub(crate) fn configured<'a>(settings: &'a Settings, destination: &str) -> Result<&'a Destination, Refusal> {
    settings.config.destination(destination).ok_or_else(|| Refusal::NoDestination(destination.to_owned()))
}

/// One annotation of ours for server-side apply. The UID makes sure that it never creates an object, and
/// never reaches a namesake.
pub(crate) fn annotation<K: kube::Resource<DynamicType = ()>>(
    namespace: &str,
    name: &str,
    uid: &str,
    key: &str,
    text: &str,
) -> Value {
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"namespace": namespace, "name": name, "uid": uid, "annotations": {key: text}},
    })
}
