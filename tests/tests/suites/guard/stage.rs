//! A control plane with an installation, and who acts on it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use backup_controller_tests::binaries::project;
use dev_cluster::{ControlPlane, Options};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The words by which the refusals of our policies are known.
pub const USELESS: &str = "backup-controller never needs to do this, so it may not:";
pub const UNLABELLED: &str = "may create and delete only objects with this installation's labels";
pub const OTHERS: &str = "backup-controller may change only its own annotations on the objects of others";
pub const JOB_KINDS: &str = "backup-job may only create and delete PersistentVolumeClaims and VolumeSnapshots";
pub const NO_PROMOTER: &str = "only PersistentVolumeClaims that were made from a snapshot";
/// What both policies say where an object has our labels, and its template too.
pub const RESERVED: &str = "only backup-controller may set labels that begin with backup-controller.io/";
pub const TEMPLATES: &str =
    "only backup-controller may set labels that begin with backup-controller.io/, also in templates";
pub const BOUNDED: &str = "an object of backup-controller may have at most 256 annotations";
pub const RECORDED: &str = "only backup-controller may record the results of a run";

/// Whoever acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Our two accounts, with their tokens and the installed roles.
    Controller,
    Job,
    /// The same with every right there is: only the guard can refuse it.
    AlmightyController,
    AlmightyJob,
    /// Somebody with the cluster's role `edit`.
    Tenant,
    /// The service account of a tenant's own program, with the same rights.
    TenantsProgram,
    /// Somebody with every right in his namespace, also on subresources.
    Owner,
    /// The account of another installation's jobs.
    OtherInstallation,
    /// The cluster's own controllers, and the one account that they have where each has none of its own.
    CronJobController,
    JobController,
    ReplicaSetController,
    DeploymentController,
    EphemeralVolumeController,
    StatefulSetController,
    ControllerManager,
    /// Another account of kube-system.
    KubeSystem,
    /// `system:masters`.
    Administrator,
    /// An administrator as kubeadm and managed clouds make them.
    ClusterAdmin,
    /// The service account of a backup tool, with the role `cluster-admin`.
    Velero,
}

/// What one does to an object.
#[derive(Debug, Clone)]
pub enum Verb {
    Create,
    /// Create, without leaving anything.
    Try,
    Apply(&'static str),
    Merge(Value),
    /// A merge by way of the object's status.
    Status(Value),
    /// What a merge gives, as a whole.
    Replace(Value),
    Read,
    Delete,
}

/// The control plane of all tests.
pub struct Installed {
    plane: ControlPlane,
}

/// A namespace on it, `shop` in the fixtures.
pub struct Stage {
    installed: &'static Installed,
    pub namespace: String,
}

impl Stage {
    /// A new namespace, in which a tenant may edit.
    pub async fn new(namespace: &str) -> Result<Self> {
        static INSTALLED: OnceCell<Installed> = OnceCell::const_new();
        let installed = INSTALLED.get_or_try_init(Installed::new).await?;
        let stage = Self { installed, namespace: namespace.to_owned() };
        let rights = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "edit", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"},
                {"kind": "ServiceAccount", "name": "default", "namespace": "programs"},
            ],
        });
        let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let owner = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "owner", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "everything"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "owner"}],
        });
        for object in [space, rights, owner] {
            stage.does(Actor::Administrator, &Verb::Create, &object).await?;
        }
        // What a tenant may do follows from his binding, and on snapshots from the installed role `backup-edit`, which
        // joins `edit`. The API server learns of both a little later.
        let (claim, snapshot) = (stage.claim("rights"), stage.snapshot("rights"));
        for object in [claim, snapshot] {
            for actor in [Actor::Tenant, Actor::Owner] {
                within("the tenant has his rights", async || stage.does(actor, &Verb::Try, &object).await).await?;
            }
        }
        Ok(stage)
    }

    /// One of the templates' objects, in this namespace where it is in a tenant's.
    pub fn fixture(&self, name: &str) -> Result<Value> {
        let path = project().join("templates/fixtures").join(format!("{name}.yaml"));
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut object = serde_json::to_value(serde_yaml::from_str::<serde_yaml::Value>(&text)?)?;
        if object["metadata"]["namespace"] == "shop" {
            object["metadata"]["namespace"] = json!(self.namespace);
        }
        // One for our own namespace stays there.
        if let Some(claim) = object.pointer_mut("/spec/claimRef").filter(|c| c["namespace"] != "backup") {
            claim["namespace"] = json!(self.namespace);
            object["metadata"]["name"] = json!(format!("backup-attic-{}", self.namespace));
        }
        // A host's disk is mounted by the namespace whose folder it is.
        let is_disk = object["metadata"]["labels"]["backup-controller.io/component"] == "disk";
        if let Some(local) = object.pointer_mut("/spec/local").filter(|_| is_disk) {
            local["path"] = json!(format!("/mnt/attic/{}", self.namespace));
        }
        Ok(object)
    }

    /// A PVC as a user makes it.
    pub fn claim(&self, name: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": name, "namespace": self.namespace, "labels": {"app": "x"},
                "annotations": {"a": "b", "backup-controller.io/retention": "2days"},
            },
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        })
    }

    /// A snapshot as a user takes it.
    pub fn snapshot(&self, name: &str) -> Value {
        json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"source": {"persistentVolumeClaimName": "mypvc"}},
        })
    }

    /// Does it.
    pub async fn does(&self, actor: Actor, verb: &Verb, object: &Value) -> Result<()> {
        self.installed.does(actor, verb, object).await
    }

    /// The administrator makes it, whatever it is.
    pub async fn has(&self, object: &Value) -> Result<()> {
        self.does(Actor::Administrator, &Verb::Create, object).await
    }

    /// It is done.
    pub async fn passes(&self, what: &str, actor: Actor, verb: Verb, object: &Value) -> Result<()> {
        self.does(actor, &verb, object).await.with_context(|| format!("was refused: {what} ({actor:?})"))
    }

    /// All are made in this order, and taken away in the other.
    pub async fn come_and_go(&self, actor: Actor, parts: &[Value]) -> Result<()> {
        for part in parts {
            self.passes("made", actor, Verb::Create, part).await?;
        }
        for part in parts.iter().rev() {
            self.passes("taken away", actor, Verb::Delete, part).await?;
        }
        Ok(())
    }

    /// It is refused with these words, and the object is as it was, or not there.
    pub async fn refused(&self, what: &str, actor: Actor, verb: Verb, object: &Value, words: &str) -> Result<()> {
        let before = self.seen(object).await?;
        match self.does(actor, &verb, object).await {
            Ok(()) => bail!("was allowed: {what} ({actor:?})"),
            Err(error) if !format!("{error:#}").contains(words) => {
                bail!("{what} ({actor:?}): refused, but not with {words:?}: {error:#}")
            }
            Err(_) => {}
        }
        anyhow::ensure!(self.seen(object).await? == before, "{what} ({actor:?}): refused, and done all the same");
        Ok(())
    }

    /// What of an object is a user's; nothing if it is not there.
    async fn seen(&self, object: &Value) -> Result<Option<Value>> {
        let api = api(&self.installed.client(Actor::Administrator).await?, object);
        let Some(there) = api.get_opt(name(object)).await? else { return Ok(None) };
        let mut metadata = there.metadata;
        // The cluster's own controllers count a Deployment's revisions.
        metadata.annotations.iter_mut().for_each(|a| a.retain(|key, _| !key.starts_with("deployment.kubernetes.io/")));
        Ok(Some(json!([
            metadata.uid,
            metadata.labels,
            metadata.annotations,
            metadata.finalizers,
            metadata.owner_references,
            metadata.deletion_timestamp,
            there.data["spec"],
        ])))
    }

    /// An object as it is; nothing if it is not there.
    pub async fn object(&self, object: &Value) -> Result<Option<DynamicObject>> {
        Ok(api(&self.installed.client(Actor::Administrator).await?, object).get_opt(name(object)).await?)
    }

    /// Waits until the cluster's own controllers have done this.
    pub async fn comes<T>(&self, what: &str, does: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        within(what, does).await
    }

    /// An object's UID.
    pub async fn uid(&self, object: &Value) -> Result<String> {
        let api = api(&self.installed.client(Actor::Administrator).await?, object);
        api.get(name(object)).await?.metadata.uid.context("an object without a UID")
    }

    /// A client with an actor's rights.
    pub async fn client(&self, actor: Actor) -> Result<Client> {
        self.installed.client(actor).await
    }

    /// A client with the token of a service account of this namespace; it says that it is `other`, if that is given.
    pub async fn account(&self, name: &str, other: Option<(&str, &[&str])>) -> Result<Client> {
        self.installed.account(&self.namespace, name, other).await
    }

    /// Does it with a client.
    pub async fn acts(&self, client: &Client, verb: &Verb, object: &Value) -> Result<()> {
        self.installed.acts(client, verb, object).await
    }
}

impl Installed {
    async fn new() -> Result<Self> {
        let this = Self { plane: ControlPlane::start_with(&Options::default())? };
        let overlay = project().join("tests/install/disks").display().to_string();
        // A folder to try another guard than the one that is shipped.
        let overlay = std::env::var("BACKUP_GUARD_OVERLAY").unwrap_or(overlay);
        this.plane.kubectl(&["apply", "-k", &overlay])?;
        let group = "rbac.authorization.k8s.io";
        let role = |name: &str, groups: &[&str]| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
                "rules": [{"apiGroups": groups, "resources": ["*"], "verbs": ["*"]}],
            })
        };
        let binding = |name: &str, role: &str, subject: Value| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role}, "subjects": [subject],
            })
        };
        let account =
            |namespace: &str, name: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
        let subject = |kind: &str, name: &str| json!({"apiGroup": group, "kind": kind, "name": name});
        for object in [
            role("everything", &["*"]),
            // Every right on what we use, and none on the guard.
            role("workloads", &["", "apps", "batch", "snapshot.storage.k8s.io"]),
            binding("other", "workloads", account("other", "backup-job")),
            binding("kube-system", "workloads", account("kube-system", "an-addon")),
            binding("controllers", "workloads", subject("User", "system:kube-controller-manager")),
            binding("velero", "cluster-admin", account("velero", "velero")),
            binding("kubeadm", "cluster-admin", subject("Group", "kubeadm:cluster-admins")),
        ] {
            this.does(Actor::Administrator, &Verb::Create, &object).await?;
        }
        // A policy is in force a little after it is written.
        let stranger = |name: &str, labels: Value| {
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": "default", "labels": labels},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            })
        };
        let ours = json!({"backup-controller.io/instance": "backup"});
        for (actor, object, words) in [
            (Actor::AlmightyController, stranger("x", json!({})), UNLABELLED),
            (Actor::AlmightyJob, stranger("x", json!({})), UNLABELLED),
            (Actor::OtherInstallation, stranger("x", ours.clone()), RESERVED),
            (
                Actor::OtherInstallation,
                json!({
                    "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x", "namespace": "default"},
                    "template": {"metadata": {"labels": ours}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
                }),
                TEMPLATES,
            ),
        ] {
            within(&format!("the guard is in force for {actor:?}"), async || {
                match this.does(actor, &Verb::Try, &object).await {
                    Err(error) if format!("{error:#}").contains(words) => Ok(()),
                    other => bail!("{other:?}"),
                }
            })
            .await?;
        }
        Ok(this)
    }

    async fn client(&self, actor: Actor) -> Result<Client> {
        let almighty = &["system:masters", "system:authenticated"][..];
        let service = &["system:serviceaccounts", "system:authenticated"][..];
        let (user, groups) = match actor {
            Actor::Controller => return self.account("backup", "backup-controller", None).await,
            Actor::Job => return self.account("backup", "backup-job", None).await,
            Actor::Administrator => return Ok(api::connect(Some(self.plane.kubeconfig_path())).await?),
            Actor::AlmightyController => ("system:serviceaccount:backup:backup-controller", almighty),
            Actor::AlmightyJob => ("system:serviceaccount:backup:backup-job", almighty),
            Actor::Tenant => ("tenant", &["system:authenticated"][..]),
            Actor::TenantsProgram => ("system:serviceaccount:programs:default", service),
            Actor::OtherInstallation => ("system:serviceaccount:other:backup-job", service),
            Actor::Owner => ("owner", &["system:authenticated"][..]),
            Actor::CronJobController => ("system:serviceaccount:kube-system:cronjob-controller", service),
            Actor::JobController => ("system:serviceaccount:kube-system:job-controller", service),
            Actor::ReplicaSetController => ("system:serviceaccount:kube-system:replicaset-controller", service),
            Actor::DeploymentController => ("system:serviceaccount:kube-system:deployment-controller", service),
            Actor::EphemeralVolumeController => {
                ("system:serviceaccount:kube-system:ephemeral-volume-controller", service)
            }
            Actor::StatefulSetController => ("system:serviceaccount:kube-system:statefulset-controller", service),
            Actor::ControllerManager => ("system:kube-controller-manager", &["system:authenticated"][..]),
            Actor::KubeSystem => ("system:serviceaccount:kube-system:an-addon", service),
            Actor::ClusterAdmin => ("kubernetes-admin", &["kubeadm:cluster-admins", "system:authenticated"][..]),
            Actor::Velero => ("system:serviceaccount:velero:velero", service),
        };
        let mut config = read(self.plane.kubeconfig_path())?;
        config["users"][0]["user"]["as"] = json!(user);
        config["users"][0]["user"]["as-groups"] = json!(groups);
        let path = self.plane.dir().join(format!("{actor:?}.kubeconfig"));
        write(&path, &config.to_string())?;
        Ok(api::connect(Some(&path)).await?)
    }

    async fn account(&self, namespace: &str, name: &str, other: Option<(&str, &[&str])>) -> Result<Client> {
        static TOKENS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _one = TOKENS.lock().await;
        let mut path = self.plane.dir().join(format!("{namespace}.{name}.kubeconfig"));
        if !path.exists() {
            self.plane.service_account_kubeconfig(namespace, name)?;
        }
        if let Some((user, groups)) = other {
            let mut config = read(&path)?;
            config["users"][0]["user"]["as"] = json!(user);
            config["users"][0]["user"]["as-groups"] = json!(groups);
            path = self.plane.dir().join(format!("{namespace}.{name}.as-other.kubeconfig"));
            write(&path, &config.to_string())?;
        }
        Ok(api::connect(Some(&path)).await?)
    }

    async fn does(&self, actor: Actor, verb: &Verb, object: &Value) -> Result<()> {
        self.acts(&self.client(actor).await?, verb, object).await
    }

    async fn acts(&self, client: &Client, verb: &Verb, object: &Value) -> Result<()> {
        let api = api(client, object);
        let name = name(object);
        match verb {
            Verb::Create | Verb::Try => {
                let params = PostParams { dry_run: matches!(verb, Verb::Try), field_manager: None };
                api.create(&params, &serde_json::from_value(object.clone())?).await?;
            }
            Verb::Apply(manager) => {
                let params = PatchParams::apply(manager).force().validation_strict();
                api.patch(name, &params, &Patch::Apply(object)).await?;
            }
            Verb::Merge(patch) => {
                api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            }
            Verb::Replace(patch) => {
                let mut whole = serde_json::to_value(api.get(name).await?)?;
                merge(&mut whole, patch);
                api.replace(name, &PostParams::default(), &serde_json::from_value(whole)?).await?;
            }
            Verb::Read => drop(api.get(name).await?),
            Verb::Status(patch) => {
                api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            }
            Verb::Delete => {
                // As our programs delete: exactly what was seen.
                let seen = self::api(&self.client(Actor::Administrator).await?, object).get(name).await?;
                let preconditions = Some(Preconditions { uid: seen.metadata.uid, resource_version: None });
                api.delete(name, &DeleteParams { preconditions, ..DeleteParams::background() }).await?;
            }
        }
        Ok(())
    }
}

fn read(path: &std::path::Path) -> Result<Value> {
    Ok(serde_json::to_value(serde_yaml::from_str::<serde_yaml::Value>(&std::fs::read_to_string(path)?)?)?)
}

fn write(path: &std::path::Path, text: &str) -> Result<()> {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let new = path.with_extension(format!("{number}.new"));
    std::fs::write(&new, text)?;
    Ok(std::fs::rename(new, path)?)
}

fn merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(object.entry(key).or_insert(Value::Null), value);
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (version, kind) = (text("/apiVersion").unwrap_or_default(), text("/kind").unwrap_or_default());
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match text("/metadata/namespace") {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Tries until it works.
async fn within<T>(what: &str, mut does: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match does().await {
            Ok(done) => return Ok(done),
            Err(error) if Instant::now() > end => return Err(error.context(format!("not within 60 s: {what}"))),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
