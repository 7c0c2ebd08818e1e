//! One test's corner of a control plane.

use std::fmt::{Debug, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result};
use dev_cluster::{AuditedRequest, ControlPlane, Options};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Resource, ResourceExt};
use model::names::{self, Instance, SourceId};
use model::record::Status;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::wait::{DEADLINE, wait_for};

/// One test's corner of a control plane: namespaces, classes, a driver and an installation that no other
/// test has.
pub struct Scene {
    /// The control plane.
    pub plane: &'static ControlPlane,
    /// The administrator's client.
    pub client: Client,
    /// What all names of the scene begin with; also the installation's name (`--instance`).
    pub name: String,
    /// The installation's own namespace.
    pub home: String,
    /// A tenant's namespace; [`Scene::namespace`] makes more.
    pub tenant: String,
    /// A folder for files.
    pub dir: PathBuf,
    pub(crate) logs: Mutex<Vec<PathBuf>>,
    /// Whether a controller of the scene's installation was started: it keeps the ledgers of its sources.
    pub(crate) has_controller: AtomicBool,
    begun: std::time::Instant,
    namespaces: Mutex<Vec<String>>,
}

/// The control plane that the tests of a binary share.
fn shared() -> Result<&'static ControlPlane> {
    static PLANE: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
    let plane = PLANE.get_or_init(|| {
        ControlPlane::start_with(&Options { audit: true, ..Options::default() }).map_err(|e| format!("{e:#}"))
    });
    plane.as_ref().map_err(|e| anyhow::anyhow!("no control plane: {e}"))
}

impl Scene {
    /// The installation of the scene.
    #[must_use]
    pub fn instance(&self) -> Instance {
        self.name.as_str().into()
    }

    /// A scene with classes on the control plane that the tests of a binary share.
    pub async fn new() -> Result<Self> {
        let scene = Self::on(shared()?).await?;
        scene.snapshot_class("snap", &scene.driver(), false).await?;
        Ok(scene)
    }

    /// A scene on a control plane of the test's own; without a VolumeSnapshotClass, since that API may
    /// not be there.
    pub async fn on(plane: &'static ControlPlane) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = plane.dir().join("scenes").join(&name);
        std::fs::create_dir_all(&dir)?;
        let scene = Self {
            plane,
            client: api::connect(Some(plane.kubeconfig_path())).await?,
            home: format!("{name}-home"),
            tenant: format!("{name}-shop"),
            dir,
            logs: Mutex::default(),
            has_controller: AtomicBool::new(false),
            begun: std::time::Instant::now(),
            namespaces: Mutex::default(),
            name,
        };
        scene.namespace("home").await?;
        scene.namespace("shop").await?;
        scene.storage_classes().await?;
        Ok(scene)
    }

    /// Makes another namespace, `<scene>-<suffix>`.
    pub async fn namespace(&self, suffix: &str) -> Result<String> {
        let name = format!("{}-{suffix}", self.name);
        self.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await?;
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        // Pods are refused until it is there.
        let accounts: Api<ServiceAccount> = self.api(&name);
        self.wait("the namespace's service account", async || Ok(accounts.get_opt("default").await?)).await?;
        Ok(name)
    }

    /// The scene's CSI driver.
    #[must_use]
    pub fn driver(&self) -> String {
        format!("{}.csi.example.com", self.name)
    }

    /// A client of one kind in a namespace.
    #[must_use]
    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Server-side apply of any object, as somebody who is not us.
    pub async fn apply(&self, object: &Value) -> Result<DynamicObject> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (version, kind) = (text("/apiVersion").unwrap_or_default(), text("/kind").unwrap_or_default());
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = match text("/metadata/namespace") {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let name = text("/metadata/name").unwrap_or_default();
        let params = PatchParams::apply("somebody").force();
        let written = api.patch(name, &params, &Patch::Apply(object)).await;
        written.with_context(|| format!("cannot apply {kind} {name}"))
    }

    /// Sets annotations of an object; `None` removes one.
    pub async fn annotate<K>(&self, namespace: &str, name: &str, annotations: &[(&str, Option<&str>)]) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let map: serde_json::Map<String, Value> =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let patch = Patch::Merge(json!({"metadata": {"annotations": map}}));
        Ok(self.api::<K>(namespace).patch(name, &PatchParams::default(), &patch).await?)
    }

    /// Sets annotations of a namespace; `None` removes one.
    pub async fn annotate_namespace(&self, name: &str, annotations: &[(&str, Option<&str>)]) -> Result<()> {
        let map: serde_json::Map<String, Value> =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let patch = Patch::Merge(json!({"metadata": {"annotations": map}}));
        Api::<Namespace>::all(self.client.clone()).patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Waits for [`DEADLINE`]; the error shows the scene.
    pub async fn wait<T>(&self, what: &str, ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
        wait_for(what, DEADLINE, ask, async || self.seen()).await
    }

    /// The CronJobs of a source.
    pub async fn cronjobs_of(&self, claim: &PersistentVolumeClaim) -> Result<Vec<CronJob>> {
        let label = format!("{}={}", names::SOURCE_UID, claim.uid().unwrap_or_default());
        Ok(self.api::<CronJob>(&self.home).list(&ListParams::default().labels(&label)).await?.items)
    }

    /// Waits for a source's CronJob.
    pub async fn cronjob_of(&self, claim: &PersistentVolumeClaim) -> Result<CronJob> {
        let what = format!("the CronJob of {}", claim.name_any());
        self.wait(&what, async || Ok(self.cronjobs_of(claim).await?.pop())).await
    }

    /// Waits until a source's CronJob is as `fits` says.
    pub async fn cronjob_that(
        &self,
        what: &str,
        claim: &PersistentVolumeClaim,
        fits: impl Fn(&CronJob) -> bool,
    ) -> Result<CronJob> {
        self.wait(what, async || Ok(self.cronjobs_of(claim).await?.into_iter().find(|c| fits(c)))).await
    }

    /// The record on a PVC, if it has one.
    pub async fn status(&self, claim: &PersistentVolumeClaim) -> Result<Option<Status>> {
        let claims: Api<PersistentVolumeClaim> = self.api(&claim.namespace().unwrap_or_default());
        let now = claims.get_opt(&claim.name_any()).await?;
        Ok(now.as_ref().and_then(|c| c.annotations().get(names::STATUS)).and_then(|t| Status::parse(t)))
    }

    /// Waits until the record on a PVC is as `fits` says.
    pub async fn status_that(
        &self,
        what: &str,
        claim: &PersistentVolumeClaim,
        fits: impl Fn(&Status) -> bool,
    ) -> Result<Status> {
        let what = format!("the status of {}: {what}", claim.name_any());
        self.wait(&what, async || Ok(self.status(claim).await?.filter(|s| fits(s)))).await
    }

    /// The Events about a PVC.
    pub async fn events(&self, claim: &PersistentVolumeClaim) -> Result<Vec<Event>> {
        let events: Api<Event> = self.api(&claim.namespace().unwrap_or_default());
        let all = events.list(&ListParams::default()).await?;
        let uid = claim.uid();
        let about = |e: &Event| e.regarding.as_ref().is_some_and(|r| r.uid == uid);
        // The cluster's own controllers have things to say about claims too.
        let ours = |e: &Event| e.reporting_controller.as_deref() == Some(names::MANAGER);
        Ok(all.items.into_iter().filter(|e| about(e) && ours(e)).collect())
    }

    /// Waits for an Event about a PVC, by its reason.
    pub async fn event(&self, claim: &PersistentVolumeClaim, reason: &str) -> Result<Event> {
        let what = format!("an Event {reason} on {}", claim.name_any());
        let is = |e: &Event| e.reason.as_deref() == Some(reason);
        self.wait(&what, async || Ok(self.events(claim).await?.into_iter().find(is))).await
    }

    /// The copy Jobs of a namespace.
    pub async fn copy_jobs(&self, namespace: &str) -> Result<Vec<Job>> {
        let label = format!("{}=copy,{}={}", names::COMPONENT, names::INSTANCE, self.name);
        Ok(self.api::<Job>(namespace).list(&ListParams::default().labels(&label)).await?.items)
    }

    /// The copy Job of a run.
    pub async fn find_copy(&self, claim: &PersistentVolumeClaim, run: &str, destination: &str) -> Result<Option<Job>> {
        let name = names::copy_job(&source(claim), &run.parse()?, destination);
        Ok(self.api::<Job>(&claim.namespace().unwrap_or_default()).get_opt(&name).await?)
    }

    /// Waits for the copy Job of a run.
    pub async fn copy_of(&self, claim: &PersistentVolumeClaim, run: &str, destination: &str) -> Result<Job> {
        let what = format!("the copy of run {run} of {} to {destination}", claim.name_any());
        self.wait(&what, async || self.find_copy(claim, run, destination).await).await
    }

    /// Waits until an object is gone, or another one has its name.
    pub async fn gone<K>(&self, object: &K) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = self.api(&object.namespace().unwrap_or_default());
        let what = format!("{} {} is gone", K::kind(&()), object.name_any());
        self.wait(&what, async || {
            let now = api.get_opt(&object.name_any()).await?;
            Ok((now.and_then(|o| o.uid()) != object.uid()).then_some(()))
        })
        .await
    }

    /// All requests of a user, in the order in which they were answered.
    pub fn requests(&self, user: &str) -> Result<Vec<AuditedRequest>> {
        Ok(self.plane.audit_log()?.into_iter().filter(|r| r.user == user).collect())
    }

    /// The requests of a user that write.
    pub fn writes(&self, user: &str) -> Result<Vec<AuditedRequest>> {
        let reads = |r: &AuditedRequest| matches!(r.verb.as_str(), "get" | "list" | "watch");
        Ok(self.requests(user)?.into_iter().filter(|r| !reads(r)).collect())
    }

    /// What there is to see when something did not happen.
    #[must_use]
    pub fn seen(&self) -> String {
        let mut out = String::new();
        let kubectl = |args: &[&str]| self.plane.kubectl(args).unwrap_or_else(|e| format!("{e:#}\n"));
        for namespace in self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let kinds = "pvc,jobs,pods,cronjobs";
            let columns = "custom-columns=OBJECT:.regarding.name,REASON:.reason,NOTE:.note";
            let events = kubectl(&["get", "events.events.k8s.io", "-n", namespace, "-o", columns]);
            let objects = kubectl(&["get", kinds, "-n", namespace, "-o", "yaml"]);
            let snapshots = kubectl(&["get", "volumesnapshots", "-n", namespace, "-o", "yaml"]);
            let ledger = format!("{}=ledger", names::COMPONENT);
            let ledgers = kubectl(&["get", "configmaps", "-n", namespace, "-l", &ledger, "-o", "yaml"]);
            let _ = writeln!(out, "=== {namespace}\n{objects}{snapshots}{ledgers}--- its events\n{events}");
        }
        for log in self.logs.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let text = std::fs::read(log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(60)..].join("\n");
            let _ = writeln!(out, "=== {}\n{tail}", log.display());
        }
        out
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        eprintln!("TIME {:.1} {:?}", self.begun.elapsed().as_secs_f64(), std::thread::current().name());
        // A failed assertion, unlike a wait that ran out, has shown nothing yet.
        if std::thread::panicking() {
            eprintln!("{}", self.seen());
        }
    }
}

/// The source that a PVC is.
#[must_use]
pub fn source(claim: &PersistentVolumeClaim) -> SourceId {
    SourceId {
        namespace: claim.namespace().unwrap_or_default(),
        name: claim.name_any(),
        uid: claim.uid().unwrap_or_default(),
    }
}
