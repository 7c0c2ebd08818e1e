//! Writing ledgers, and showing people where backups stand.

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::{Api, Client};
use model::facts::{self, Identity};
use model::ledger::Book;
use model::names::{self, SourceId};
use model::plan::{About, Board, LedgerWrite};
use model::record::Status;
use model::snapshot::VolumeSnapshot;
use model::world::{Change, Seen};
use serde_json::Value;

use super::event::Events;
use super::managers::Manager;
use super::refusal::Refusal;
use super::support::annotation;
use crate::settings::Settings;

/// Writes a ledger, and tells on its source what changed. It is replaced in the version that was planned from: of two
/// writers one loses, and plans anew.
pub(crate) async fn write(
    client: &Client,
    settings: &Settings,
    events: &Events<'_>,
    write: &LedgerWrite,
) -> Result<Change, Refusal> {
    let install = &settings.install;
    let mut map = templates::ledger(install, &write.ledger);
    let written = match &write.replaces {
        None => match api::create::<ConfigMap>(client, &map).await? {
            api::Created::New(made) => made,
            // Another try of ours made it, or a stranger has the name: what there is, is read like any other.
            api::Created::There(there) => there,
        },
        Some(id) => {
            map["metadata"]["uid"] = Value::from(id.uid.as_str());
            map["metadata"]["resourceVersion"] = Value::from(id.resource_version.as_str());
            api::replace::<ConfigMap>(client, &map).await?
        }
    };
    let source = write.ledger.id();
    let claim = Identity { name: source.name.clone(), uid: source.uid.clone(), ..Identity::default() };
    let ledger = Identity::of(&written.metadata);
    for note in &write.notes {
        match note.about {
            About::Source => events.publish(("v1", "PersistentVolumeClaim"), &source.namespace, &claim, note).await,
            About::Ledger => events.publish(("v1", "ConfigMap"), &install.namespace, &ledger, note).await,
        }
    }
    let name = names::ledger(&source.uid);
    let book = Book::read(&written, &install.instance);
    book.map(|book| Change::Ledger(Seen::Put(book))).ok_or_else(|| Refusal::NameTaken(name))
}

/// Deletes the ledger of a source of which nothing is left, in the version that said so.
pub(crate) async fn delete(client: &Client, namespace: &str, id: &Identity, uid: &str) -> Result<Change, Refusal> {
    api::delete::<ConfigMap>(client, namespace, id, true).await?;
    tracing::info!(ledger = id.name, "nothing is left of the source: its ledger is deleted");
    Ok(Change::Ledger(Seen::Gone((String::new(), names::ledger(uid)), id.uid.clone())))
}

/// Shows on a source, or on the newest snapshot of one that is gone, where its backups stand.
pub(crate) async fn show(client: &Client, source: &SourceId, on: &Board, status: &Status) -> Result<Change, Refusal> {
    let SourceId { namespace, name, uid } = source;
    let (manager, text) = (Manager::Status.as_str(), status.to_text());
    match on {
        Board::Source => {
            let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
            let object = annotation::<PersistentVolumeClaim>(namespace, name, uid, names::STATUS, &text);
            let written = api::apply(&api, manager, name, &object).await?;
            Ok(Change::Claim(Seen::Put(facts::Claim::from(&written))))
        }
        Board::Snapshot(id) => {
            let api: Api<VolumeSnapshot> = Api::namespaced(client.clone(), namespace);
            let object = annotation::<VolumeSnapshot>(namespace, &id.name, &id.uid, names::STATUS, &text);
            let written = api::apply(&api, manager, &id.name, &object).await?;
            Ok(Change::Snapshot(Seen::Put(facts::Snapshot::from(&written))))
        }
    }
}
