//! Making what a central copy or drill is made from, and taking it away.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{Api, Client};
use model::facts::{self, Identity};
use model::handle::{self, Handle, Lineage};
use model::plan::{Central, CentralPart};
use model::reason::{Problem, Reason};
use model::snapshot::{VolumeSnapshot, VolumeSnapshotContent};
use model::world::{Change, Seen};

use super::refusal::Refusal;
use super::support::configured;
use crate::settings::Settings;

pub(crate) async fn make(client: &Client, settings: &Settings, part: &Central) -> Result<Change, Refusal> {
    let Settings { install, templates, .. } = settings;
    let Central { source, run, task, name, .. } = part;
    let destination = configured(settings, &part.destination)?;
    let change = match part.part {
        CentralPart::Content => match handle(client, part).await? {
            Ok(handle) => {
                let object = templates.central_content(install, destination, part, &handle)?;
                let made: VolumeSnapshotContent = api::ensure(client, &object).await?;
                Change::Content(Seen::Put(facts::Content::from(&made)))
            }
            // It is final, and only who looked at the content knows it. It is the end of one drill: it may be another
            // content next time, or another run.
            Err(problem) => {
                let (uid, destination, run) = (source.uid.clone(), part.destination.clone(), run.clone());
                match task {
                    Some(_) => Change::DrillRefused { uid, destination, due: run, problem },
                    None => Change::CopyRefused { uid, destination, run, problem },
                }
            }
        },
        CentralPart::Snapshot => {
            let object = templates.central_snapshot(install, destination, part)?;
            let made: VolumeSnapshot = api::ensure(client, &object).await?;
            Change::Snapshot(Seen::Put(facts::Snapshot::from(&made)))
        }
        CentralPart::Promoter => {
            let object = templates.central_promoter(install, destination, part)?;
            let made: PersistentVolumeClaim = api::ensure(client, &object).await?;
            Change::Claim(Seen::Put(facts::Claim::from(&made)))
        }
    };
    tracing::info!(
        namespace = source.namespace,
        pvc = source.name,
        %run,
        destination = part.destination,
        task = task.map(model::maintain::Task::as_str),
        part = ?part.part,
        name,
        "central copy or drill prepared"
    );
    Ok(change)
}

/// The handle of the source's snapshot, from the content that is bound to it and to nothing else. The inner error
/// is why it is not read.
async fn handle(client: &Client, part: &Central) -> Result<Result<Handle, Problem>, Refusal> {
    let volume = match &part.volume {
        Some(name) => {
            let api: Api<PersistentVolume> = Api::all(client.clone());
            let found = api::bounded(|| format!("get persistentvolumes {name}"), api.get_opt(name)).await?;
            found.and_then(|v| v.spec?.csi)
        }
        None => None,
    };
    let api: Api<VolumeSnapshotContent> = Api::all(client.clone());
    let what = || format!("get volumesnapshotcontents {}", part.content);
    let Some(content) = api::bounded(what, api.get_opt(&part.content)).await? else {
        let message =
            format!("VolumeSnapshotContent {} of VolumeSnapshot {} is gone", part.content, part.snapshot.name);
        return Ok(Err(Problem::new(Reason::SourceSnapshotLost, message)));
    };
    let lineage = Lineage {
        source: &part.source,
        snapshot: &part.snapshot.name,
        uid: &part.snapshot.uid,
        volume: volume.as_ref().map(|v| (v.driver.as_str(), v.volume_handle.as_str())),
    };
    Ok(handle::take(&content, lineage))
}

/// Deletes one part. The content is retained, so the snapshot stays as it is.
pub(crate) async fn take_away(client: &Client, home: &str, part: CentralPart, id: &Identity) -> Result<(), Refusal> {
    match part {
        CentralPart::Content => api::delete::<VolumeSnapshotContent>(client, "", id, false).await?,
        CentralPart::Snapshot => api::delete::<VolumeSnapshot>(client, home, id, false).await?,
        CentralPart::Promoter => api::delete::<PersistentVolumeClaim>(client, home, id, false).await?,
    };
    Ok(())
}
