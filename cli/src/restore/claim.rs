//! A new PVC: made of a snapshot by the storage, or empty, to be written by a restore pod.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim};
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watch_object, watcher};
use kube::{Api, ResourceExt as _};
use model::facts::{Claim, ClaimPhase, VolumeMode};
use model::quantity;
use model::reason::Reason;
use model::record::Volume;
use model::snapshot::GROUP;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::session::Session;
use super::stop::Stop;
use super::target;
use crate::rights::Deed;
use crate::terminal::say;

/// What a new PVC is made of.
#[derive(Debug)]
pub(crate) struct New<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// What the PVC is or was that was backed up, as far as it is known.
    pub(crate) like: Option<&'a Volume>,
    /// Whether it is that PVC, made again.
    pub(crate) again: bool,
    /// The snapshot that the storage makes it of.
    pub(crate) snapshot: Option<&'a str>,
    /// The bytes that it must have at least; 0: not known.
    pub(crate) needed: u64,
    /// What pods get of it.
    pub(crate) mode: VolumeMode,
    pub(crate) size: Option<u64>,
    pub(crate) class: Option<&'a str>,
}

impl New<'_> {
    /// The PVC.
    pub(crate) fn object(&self) -> Result<Value, Stop> {
        let class = self.class.or_else(|| self.like.and_then(|like| like.storage_class.as_deref()));
        let mut modes: Vec<&str> = self.like.into_iter().flat_map(|like| like.access_modes.words()).collect();
        if modes.is_empty() {
            modes.push("ReadWriteOnce");
        }
        if class == Some("") {
            let text =
                "the PVC had no StorageClass, so nothing makes a volume like it: name a class with --storage-class";
            return Err(Stop::Usage(text.to_owned()));
        }
        let mut wanted = json!({
            "accessModes": modes,
            "volumeMode": self.mode.as_str(),
            "resources": {"requests": {"storage": quantity::text(self.bytes()?)}}
        });
        if let Some(snapshot) = self.snapshot {
            if class.is_none() {
                let text = "the PVC is gone, and nothing that you can read records its StorageClass: name a class of the \
                            snapshot's CSI driver with --storage-class";
                return Err(Stop::Usage(text.to_owned()));
            }
            if snapshot == self.name {
                let text = format!(
                    "--to {snapshot}: a PVC with the name of its snapshot counts as a restore point; choose another \
                     name"
                );
                return Err(Stop::Usage(text));
            }
            wanted["dataSource"] = json!({"apiGroup": GROUP, "kind": "VolumeSnapshot", "name": snapshot});
        }
        if let Some(class) = class {
            wanted["storageClassName"] = json!(class);
        }
        let mut metadata = json!({"name": self.name, "namespace": self.namespace});
        // U4: it comes back as it was. A PVC of another name is not the application's: with its labels, a tool that
        // tracks the application by them would remove it.
        if let Some(like) = self.like.filter(|_| self.again) {
            metadata["labels"] = json!(like.labels);
            metadata["annotations"] = json!(like.settings().collect::<BTreeMap<_, _>>());
        }
        Ok(json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": wanted
        }))
    }

    fn bytes(&self) -> Result<u64, Stop> {
        let needed = self.needed;
        if let Some(size) = self.size {
            if size < needed {
                let (size, needed) = (quantity::human(size), quantity::human(needed));
                let message = format!("--size {size} is less than the {needed} that the restore point needs");
                return Err(Stop::refused(Reason::TargetTooSmall, message));
            }
            return Ok(size);
        }
        let like = self.like.map_or(0, |like| like.bytes);
        match like.max(needed) {
            0 => Err(Stop::Usage("the size of the PVC is not recorded: set it, for example --size 20Gi".to_owned())),
            bytes => Ok(bytes),
        }
    }
}

/// What it takes to make a PVC, and to see that it is bound.
pub(crate) fn rights(session: &Session) -> Vec<Deed<'_>> {
    ["create", "list", "watch"].map(|verb| session.deed(verb, "persistentvolumeclaims")).into()
}

/// Makes the PVC, and gives its UID; `dry_run`: the API server only says whether it would.
pub(crate) async fn create(session: &Session, object: &Value, dry_run: bool) -> Result<String, Stop> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let claim: PersistentVolumeClaim =
        serde_json::from_value(object.clone()).map_err(|e| Stop::Failed(anyhow::Error::new(e)))?;
    let api: Api<PersistentVolumeClaim> = session.api();
    let params = kube::api::PostParams { dry_run, field_manager: None };
    let made = api::bounded(|| format!("create persistentvolumeclaims {name}"), api.create(&params, &claim)).await;
    let made = made.map_err(|error| Stop::asked(session.deed("create", "persistentvolumeclaims"), &error))?;
    Ok(made.metadata.uid.unwrap_or_default())
}

/// Deletes the PVC that the command made, and no other one of its name. One that a pod uses by now is that pod's.
pub(crate) async fn delete(session: &Session, name: &str, uid: &str) -> Result<(), Stop> {
    match target::holders(session, name).await {
        Ok(Some(pods)) if pods.is_empty() => {}
        Ok(Some(_)) => {
            say(&format!("PVC {name} stays: a pod uses it"));
            return Ok(());
        }
        Ok(None) | Err(_) => {
            say(&format!("PVC {name} stays: you lack permission to see whether a pod uses it"));
            return Ok(());
        }
    }
    let api: Api<PersistentVolumeClaim> = session.api();
    let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
    let params = DeleteParams { preconditions, ..DeleteParams::default() };
    match api::bounded(|| format!("delete persistentvolumeclaims {name}"), api.delete(name, &params)).await {
        Ok(_) => say(&format!("deleted PVC {name}: nothing was written into it")),
        Err(error) if error.is_not_found() || error.is_conflict() => {}
        Err(error) => return Err(Stop::asked(session.deed("delete", "persistentvolumeclaims"), &error)),
    }
    Ok(())
}

/// How a new PVC stands once there is nothing more to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// It has its volume.
    Bound,
    /// Its volume is made at its first use.
    AtFirstUse,
}

/// What was seen of it.
enum News {
    Claim(Option<Box<PersistentVolumeClaim>>),
    Event(Box<Event>),
    Lost(Box<watcher::Error>),
}

/// Waits until it is bound, or waits itself for its first use.
pub(crate) async fn bound(session: &Session, name: &str, deadline: Instant) -> Result<Made, Stop> {
    let mut seen = "no event gives a reason".to_owned();
    let wait = session.interrupt.during(tokio::time::timeout_at(deadline, watch(session, name, &mut seen)));
    match wait.await? {
        Ok(end) => end,
        Err(_) => Err(Stop::Failed(anyhow::anyhow!("PVC {name} was not bound in time (--timeout): {seen}"))),
    }
}

async fn watch(session: &Session, name: &str, seen: &mut String) -> Result<Made, Stop> {
    let claims = watch_object(session.api::<PersistentVolumeClaim>(), name).default_backoff();
    let fields = format!("involvedObject.kind=PersistentVolumeClaim,involvedObject.name={name}");
    let events = watcher(session.api::<Event>(), watcher::Config::default().fields(&fields)).default_backoff();
    let events = events.applied_objects().filter_map(async |event| event.ok());
    let mut news = futures::stream::select(
        claims
            .map(|claim| match claim {
                Ok(claim) => News::Claim(claim.map(Box::new)),
                Err(error) => News::Lost(Box::new(error)),
            })
            .boxed(),
        events.map(|event| News::Event(Box::new(event))).boxed(),
    );
    while let Some(item) = news.next().await {
        match item {
            News::Claim(None) => return Err(Stop::Failed(anyhow::anyhow!("PVC {name} was deleted"))),
            News::Claim(Some(claim)) => {
                let facts = Claim::from(&*claim);
                match facts.phase {
                    ClaimPhase::Bound => return Ok(Made::Bound),
                    ClaimPhase::Lost => {
                        return Err(Stop::Failed(anyhow::anyhow!(
                            "the volume of PVC {name} is lost: delete the PVC, and run the command again"
                        )));
                    }
                    ClaimPhase::Pending => {}
                }
            }
            News::Event(event) if event.reason.as_deref() == Some("WaitForFirstConsumer") => {
                return Ok(Made::AtFirstUse);
            }
            News::Event(event) => {
                let text = event.message.clone().unwrap_or_default();
                if *seen != text && event.type_.as_deref() == Some("Warning") {
                    say(&format!(
                        "PVC {}: {text}",
                        event.involved_object.name.clone().unwrap_or_else(|| event.name_any())
                    ));
                    *seen = text;
                }
            }
            News::Lost(error) => session.lost(&error, "persistentvolumeclaims", seen)?,
        }
    }
    Err(Stop::Failed(anyhow::anyhow!("the watch of PVC {name} ended: run the command again")))
}
