//! Lending volumes for restores, and taking them back.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{Api, Client};
use model::config::{Disk, Reach};
use model::names::GrantClaim;
use model::plan::{self, GrantedDisk, Restore};
use model::reason::{Problem, Reason};
use serde_json::json;
use templates::{Alias, Grant, Medium};

use super::refusal::Refusal;
use super::support::configured;
use crate::settings::Settings;

/// Makes the volume and the claim through which the Job reads another namespace's disk. The claim goes with the Job,
/// and the volume when the restore has ended.
pub(crate) async fn disk(
    client: &Client,
    settings: &Settings,
    restore: &Restore,
    granted: &GrantedDisk,
    job: &str,
) -> Result<(), Refusal> {
    let destination = configured(settings, &granted.destination)?;
    let (source, name) = (restore.source(), restore.job());
    let disk = restore.granted_disk();
    let namespace = match restore.origin.target_volume() {
        Some(_) => &settings.install.namespace,
        None => &restore.namespace,
    };
    let (csi, affinity);
    let (size, medium) = match destination.reach() {
        Reach::Disk(Disk::HostPath(host)) => (host.size.as_str(), Medium::Host(host)),
        Reach::Disk(Disk::Claim(claim)) => {
            let volumes: Api<PersistentVolume> = Api::all(client.clone());
            let what = || format!("get persistentvolumes {}", granted.volume);
            let spec = api::bounded(what, volumes.get(&granted.volume)).await?.spec.unwrap_or_default();
            csi = serde_json::to_value(spec.csi).unwrap_or_default();
            affinity = serde_json::to_value(spec.node_affinity).unwrap_or_default();
            (claim.size.as_str(), Medium::Csi { source: &csi, node_affinity: &affinity })
        }
        // The plan lends disks alone.
        Reach::Network => return Ok(()),
    };
    let instance = &settings.install.instance;
    let claim = GrantClaim { namespace, name: &disk };
    let grant = Grant { instance, claim, source: &source, size, medium };
    let volume = settings.templates.grant_volume(&grant)?;
    let mut claim = settings.templates.grant_claim(&grant)?;
    claim["metadata"]["ownerReferences"] = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job}]);
    api::ensure::<PersistentVolume>(client, &volume).await?;
    api::ensure::<PersistentVolumeClaim>(client, &claim).await?;
    Ok(())
}

/// Makes the volume and the claim through which the Job in our own namespace writes a target. The inner error is why
/// it cannot be lent: only who looked at the volume knows it.
pub(crate) async fn lend(
    client: &Client,
    settings: &Settings,
    restore: &Restore,
    volume: &str,
) -> Result<Result<(), Problem>, Refusal> {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let Some(found) = api::bounded(|| format!("get persistentvolumes {volume}"), volumes.get_opt(volume)).await? else {
        return Ok(Err(Problem::new(Reason::TargetNotReady, format!("PersistentVolume {volume} is gone"))));
    };
    let original = match model::alias::take(&found, &restore.target) {
        Ok(original) => original,
        Err(problem) => return Ok(Err(problem)),
    };
    let Settings { install, templates, .. } = settings;
    let alias = Alias { install, target: &restore.target, job: &restore.job(), original: &original };
    let (volume, claim) = (templates.alias_volume(&alias)?, templates.alias_claim(&alias)?);
    api::ensure::<PersistentVolume>(client, &volume).await?;
    api::ensure::<PersistentVolumeClaim>(client, &claim).await?;
    tracing::info!(namespace = restore.namespace, pvc = restore.target.name, "alias volume made for a restore");
    Ok(Ok(()))
}

/// Deletes a part of what was lent. A volume's reclaim policy is Retain: the storage stays as it is.
pub(crate) async fn take_back(client: &Client, home: &str, alias: &plan::AliasPart) -> Result<(), Refusal> {
    match alias {
        plan::AliasPart::Claim(id) => api::delete::<PersistentVolumeClaim>(client, home, id, false).await?,
        plan::AliasPart::Volume(id) => api::delete::<PersistentVolume>(client, "", id, false).await?,
    };
    Ok(())
}
