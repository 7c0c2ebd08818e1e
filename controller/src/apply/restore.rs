//! Carrying out the steps of restores.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{Api, Client};
use model::Timestamp;
use model::config::Destination;
use model::facts::{self, Identity};
use model::hold::Hold;
use model::names;
use model::plan::{About, Asker, Note, Promote, Restore, RestoreAction};
use model::record::{Holders, RestoreRecord, RestoreState};
use model::restore::Place;
use model::snapshot::VolumeSnapshot;
use model::world::{Change, Seen};
use serde_json::json;
use templates::Promoter;

use super::alias;
use super::event::Events;
use super::managers::Manager;
use super::refusal::Refusal;
use super::support::{annotation, configured, text};
use crate::settings::Settings;

/// Takes one step of a restore.
pub(crate) async fn take(
    client: &Client,
    settings: &Settings,
    events: &Events<'_>,
    step: &RestoreAction,
) -> Result<Option<Change>, Refusal> {
    match step {
        RestoreAction::Promote(wanted) => promote(client, settings, wanted).await.map(Some),
        RestoreAction::Prepare(wanted) => prepare(client, settings, events, wanted).await.map(Some),
        RestoreAction::Start(wanted) => start(client, settings, wanted).await.map(Some),
        RestoreAction::Record { asker, namespace, record, stop } => {
            self::record(client, events, asker, namespace, record, *stop).await.map(Some)
        }
        RestoreAction::TellHolders { namespace, pod, holders } => {
            self::holders(client, namespace, pod, holders).await.map(Some)
        }
        RestoreAction::TakeBack(alias) => {
            alias::take_back(client, &settings.install.namespace, alias).await?;
            Ok(None)
        }
        RestoreAction::Hold { namespace, snapshot, until } => hold(client, namespace, snapshot, *until).await.map(Some),
    }
}

/// Makes the PVC of a snapshot again.
async fn promote(client: &Client, settings: &Settings, promote: &Promote) -> Result<Change, Refusal> {
    let promoter = Promoter {
        instance: &settings.install.instance,
        source: &promote.source,
        run: &promote.run,
        snapshot: &promote.snapshot,
        spec: &promote.spec,
    };
    let object = match &promote.drill {
        None => settings.templates.promoter(&promoter)?,
        Some((destination, due)) => {
            settings.templates.drill_promoter(&promoter, configured(settings, destination)?, due)?
        }
    };
    let made: PersistentVolumeClaim = api::ensure(client, &object).await?;
    let what = if promote.drill.is_some() { "a drill" } else { "a restore" };
    tracing::info!(namespace = promote.source.namespace, promoter = promote.snapshot, "promoter made again for {what}");
    Ok(Change::Claim(Seen::Put(facts::Claim::from(&made))))
}

/// Makes a restore pod of the Deployment that asks for one.
async fn prepare(
    client: &Client,
    settings: &Settings,
    events: &Events<'_>,
    restore: &Restore,
) -> Result<Change, Refusal> {
    let record = restore.record();
    let Settings { install, config, templates } = settings;
    let mut object = templates.restore_deployment(install, config, repository(settings, restore)?, restore)?;
    // It must be there, and be this one: applying never creates.
    object["metadata"]["uid"] = json!(restore.asker.uid());
    let api: Api<Deployment> = Api::namespaced(client.clone(), &restore.namespace);
    let written = api::apply(&api, Manager::RestorePod.as_str(), &restore.asker.id().name, &object).await?;
    tell(events, &restore.asker, &restore.namespace, &record).await;
    Ok(Change::Restorer(Seen::Put(facts::Restorer::from(&written))))
}

/// Creates the Job that restores, and before it what lends it the target.
async fn start(client: &Client, settings: &Settings, restore: &Restore) -> Result<Change, Refusal> {
    if let Some(volume) = restore.origin.target_volume()
        && let Err(problem) = alias::lend(client, settings, restore, volume).await?
    {
        let (uid, request) = (restore.asker.uid().to_owned(), restore.text.clone());
        return Ok(Change::RestoreRefused { uid, request, problem });
    }
    let Settings { install, config, templates } = settings;
    let job = templates.restore_job(install, config, repository(settings, restore)?, restore)?;
    let made: Job = api::ensure(client, &job).await?;
    if let Some(granted) = restore.origin.granted() {
        alias::disk(client, settings, restore, granted, made.metadata.uid.as_deref().unwrap_or_default()).await?;
    }
    tracing::info!(namespace = restore.namespace, pvc = restore.target.name, request = restore.text, "restore started");
    Ok(Change::Job(Seen::Put(facts::Job::from(&made))))
}

/// The destination of a restore point that is in a repository.
fn repository<'a>(settings: &'a Settings, restore: &Restore) -> Result<Option<&'a Destination>, Refusal> {
    match &restore.point.place {
        Place::Repository { destination, .. } => configured(settings, destination).map(Some),
        Place::Snapshot { .. } | Place::Tree { .. } => Ok(None),
    }
}

/// Writes what becomes of a restore on who asks for it.
async fn record(
    client: &Client,
    events: &Events<'_>,
    asker: &Asker,
    namespace: &str,
    record: &RestoreRecord,
    stop: bool,
) -> Result<Change, Refusal> {
    let Identity { name, uid, .. } = asker.id();
    let change = match asker {
        Asker::Deployment(_) => {
            let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
            let mut object = annotation::<Deployment>(namespace, name, uid, names::RESTORE_STATUS, &text(record));
            if stop {
                object["spec"] = json!({"replicas": 0});
            }
            let written = api::apply(&api, Manager::RestoreStatus.as_str(), name, &object).await?;
            Change::Restorer(Seen::Put(facts::Restorer::from(&written)))
        }
        Asker::Claim(_) => {
            let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
            let object =
                annotation::<PersistentVolumeClaim>(namespace, name, uid, names::RESTORE_STATUS, &text(record));
            let written = api::apply(&api, Manager::RestoreStatus.as_str(), name, &object).await?;
            Change::Claim(Seen::Put(facts::Claim::from(&written)))
        }
    };
    tell(events, asker, namespace, record).await;
    Ok(change)
}

/// An Event on who asked.
async fn tell(events: &Events<'_>, asker: &Asker, namespace: &str, record: &RestoreRecord) {
    let from = record.point.as_deref().unwrap_or_default();
    let (reason, said) = match record.state {
        RestoreState::Waiting => ("RestoreWaiting", "the restore waits".to_owned()),
        RestoreState::Ready => {
            let over = record.passed_over.as_ref().map(|over| format!("; {over}")).unwrap_or_default();
            ("RestoreReady", format!("ready to restore from {from}{over}"))
        }
        RestoreState::Complete => ("RestoreComplete", format!("restored from {from}")),
        RestoreState::Incomplete => ("RestoreIncomplete", format!("restored from {from}, but not completely")),
        RestoreState::Refused => ("RestoreRefused", "nothing was restored".to_owned()),
        RestoreState::Failed => ("RestoreFailed", "the restore failed".to_owned()),
    };
    let problem = record.problem.as_ref();
    let text = problem.map_or_else(
        || said.clone(),
        |p| format!("{said}: {}. What to do: {}", p.to_string().trim_end_matches(['.', ' ']), p.reason.help()),
    );
    let warning = !matches!(record.state, RestoreState::Waiting | RestoreState::Ready | RestoreState::Complete);
    let kind = match asker {
        Asker::Deployment(_) => ("apps/v1", "Deployment"),
        Asker::Claim(_) => ("v1", "PersistentVolumeClaim"),
    };
    let note = Note { warning, about: About::Source, reason, action: "Restore", text };
    events.publish(kind, namespace, asker.id(), &note).await;
}

/// Tells a restore pod who else holds the volume that it writes.
async fn holders(client: &Client, namespace: &str, pod: &Identity, holders: &Holders) -> Result<Change, Refusal> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let object = annotation::<Pod>(namespace, &pod.name, &pod.uid, names::HOLDERS, &text(holders));
    let written = api::apply(&api, Manager::Holders.as_str(), &pod.name, &object).await?;
    Ok(Change::Holder(namespace.to_owned(), Seen::Put(facts::Holder::from(&written))))
}

/// Holds a snapshot while it is restored from.
async fn hold(client: &Client, namespace: &str, snapshot: &Identity, until: Timestamp) -> Result<Change, Refusal> {
    let api: Api<VolumeSnapshot> = Api::namespaced(client.clone(), namespace);
    let text = Hold::text(until, "a restore is reading it");
    let object = annotation::<VolumeSnapshot>(namespace, &snapshot.name, &snapshot.uid, names::HOLD, &text);
    let written = api::apply(&api, Manager::Hold.as_str(), &snapshot.name, &object).await?;
    Ok(Change::Snapshot(Seen::Put(facts::Snapshot::from(&written))))
}
