//! The state of the cluster for verbs that show it: listed once, page by page, and trimmed to facts as it arrives.
//!
//! Verbs that change something or wait (`restore`, `run`, `drill`, `hold`) send further requests from their own modules.
//!
//! What somebody may not read is a [`Gap`]: told, and done without.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::sync::Arc;

use anyhow::anyhow;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::ListParams;
use kube::core::{DeserializeGuard, ObjectMeta, PartialObjectMeta};
use kube::{Api, Client, Resource};
use model::config::Config;
use model::facts;
use model::ledger::Book;
use model::names::{self, Component, Instance};
use model::snapshot::{VolumeSnapshot, VolumeSnapshotClass};
use model::world::{Change, Seen, World};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::asked::{Asked, kind};
use crate::flags::Cluster;
use crate::rights::{Deed, Missing};

/// Objects a page: kubectl's number.
const PAGE: u32 = 500;
/// Sources that fit into one label selector; a URL has no room for more.
const CHUNK: usize = 100;
/// The controller's configuration, in its own namespace.
pub(crate) const CONFIG_MAP: &str = "backup-controller";
pub(crate) const CONFIG_KEY: &str = "config.yaml";

/// What to look at.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The namespace; `None`: all.
    pub(crate) namespace: Option<String>,
    /// The PVCs; empty: all.
    pub(crate) names: Vec<String>,
    /// Labels of PVCs.
    pub(crate) selector: Option<String>,
    /// Where the controller is.
    pub(crate) backup_namespace: String,
    /// Whose objects count.
    pub(crate) instance: Instance,
}

impl Scope {
    /// PVCs of one namespace, by their names; none: all of them.
    pub(crate) fn of(cluster: &Cluster, namespace: &str, names: &[String]) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            names: names.to_vec(),
            selector: None,
            backup_namespace: cluster.backup_namespace.clone(),
            instance: cluster.instance.clone(),
        }
    }
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Gap {
    /// The verb that is missing.
    pub(crate) verb: &'static str,
    /// On what, and where.
    pub(crate) resource: Asked,
    /// What was answered.
    pub(crate) answer: String,
    /// Whether it is a right that is missing.
    #[serde(skip)]
    pub(crate) refused: bool,
}

/// What could be read. What has no flag is read, or the whole command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(crate) struct Knows {
    /// The configuration in force.
    pub(crate) config: bool,
    pub(crate) namespaces: bool,
    pub(crate) volumes: bool,
    /// StorageClasses and VolumeSnapshotClasses.
    pub(crate) classes: bool,
    pub(crate) snapshots: bool,
    /// Copies under way.
    pub(crate) copies: bool,
    pub(crate) cronjobs: bool,
}

impl Knows {
    /// Whether PVCs can be judged as the controller judges them.
    pub(crate) fn verdicts(self) -> bool {
        self.config && self.namespaces && self.volumes && self.classes
    }
}

/// The cluster, as far as it could be seen.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) world: World,
    /// What could be read.
    pub(crate) knows: Knows,
    /// What could not.
    pub(crate) gaps: Vec<Gap>,
    /// The UIDs of PVCs with the labels that were asked for.
    pub(crate) selected: Option<HashSet<String>>,
}

impl Observed {
    /// Where nothing can be said without snapshots: an error that names the missing right.
    pub(crate) fn need_snapshots(&self, namespace: &str) -> anyhow::Result<()> {
        match self.gaps.iter().find(|gap| gap.resource.is::<VolumeSnapshot>()) {
            None => Ok(()),
            Some(gap) => {
                let resource = kind::<VolumeSnapshot>();
                let deed = Deed::new(gap.verb, &resource, Some(namespace));
                Err(Missing(deed.missing(&gap.answer)).into())
            }
        }
    }
}

/// An answer: what was asked for, or why not.
pub(crate) enum Answer<T> {
    Is(T),
    /// There is no such kind, or no such object.
    Absent,
    /// You may not.
    Refused(Gap),
}

impl<T> Answer<T> {
    fn gap(&self) -> Option<Gap> {
        match self {
            Self::Refused(gap) => Some(gap.clone()),
            Self::Is(_) | Self::Absent => None,
        }
    }

    /// Whether it was answered, if only by there being nothing.
    fn is_known(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    fn there(self) -> Option<T> {
        match self {
            Self::Is(it) => Some(it),
            Self::Absent | Self::Refused(_) => None,
        }
    }
}

/// Looks at the cluster.
pub(crate) async fn observe(client: &Client, scope: &Scope) -> anyhow::Result<Observed> {
    let ours = format!("{}={},{}={}", names::MANAGED_BY, names::MANAGER, names::INSTANCE, scope.instance);
    let copies = format!("{ours},{}={}", names::COMPONENT, Component::Copy.as_str());
    let look = Look { client, scope };
    let (config, claims, selected, namespaces, volumes, storage, classes, snapshots, jobs) = tokio::try_join!(
        look.config(),
        look.list::<PersistentVolumeClaim, _>("", |o| facts::Claim::from(o)),
        look.selected(),
        look.namespaces(),
        look.list_cluster::<PersistentVolume, _>(|o| facts::Volume::from(o)),
        look.list_cluster::<StorageClass, _>(|o| facts::StorageClass::from(o)),
        look.list_cluster::<VolumeSnapshotClass, _>(|o| facts::SnapshotClass::from(o)),
        look.list::<VolumeSnapshot, _>(&ours, |o| facts::Snapshot::from(o)),
        look.list::<Job, _>(&copies, |o| facts::Job::from(o)),
    )?;
    let claims = match claims {
        Answer::Is(claims) => claims,
        Answer::Absent => {
            return Err(anyhow!("the API server has no PersistentVolumeClaims: check --kubeconfig and --context"));
        }
        Answer::Refused(gap) => {
            let deed = Deed::new(gap.verb, "persistentvolumeclaims", scope.namespace.as_deref());
            return Err(Missing(deed.missing(&gap.answer)).into());
        }
    };
    let sources = sources(scope, &claims);
    let (cronjobs, ledgers) =
        tokio::try_join!(look.cronjobs(&ours, sources.as_ref()), look.ledgers(&ours, books(scope, &claims)))?;

    let knows = Knows {
        config: config.is_known(),
        namespaces: namespaces.is_known(),
        volumes: volumes.is_known(),
        classes: storage.is_known() && classes.is_known(),
        snapshots: snapshots.is_known(),
        copies: jobs.is_known(),
        cronjobs: cronjobs.is_known(),
    };
    let gaps = [
        config.gap(),
        namespaces.gap(),
        volumes.gap(),
        storage.gap(),
        classes.gap(),
        snapshots.gap(),
        jobs.gap(),
        cronjobs.gap(),
    ];
    // Where only one of the two kinds may be read, that one tells whether there is an API.
    let api = match &snapshots {
        Answer::Is(_) => true,
        Answer::Absent => false,
        Answer::Refused(_) => !matches!(classes, Answer::Absent),
    };
    let config = config.there().unwrap_or_default();
    let mut world = World::new(scope.instance.clone(), &scope.backup_namespace, Arc::new(config));
    world.apply(Change::SnapshotApi(api));
    // A namespace that may not be looked at is there all the same: it has PVCs.
    let namespaces = namespaces.there().unwrap_or_else(|| claims.iter().map(namespace_of).collect());
    tell(&mut world, Change::Claim, claims);
    tell(&mut world, Change::Snapshot, snapshots.there().unwrap_or_default());
    tell(&mut world, Change::Volume, volumes.there().unwrap_or_default());
    tell(&mut world, Change::StorageClass, storage.there().unwrap_or_default());
    tell(&mut world, Change::SnapshotClass, classes.there().unwrap_or_default());
    tell(&mut world, Change::Namespace, namespaces);
    tell(&mut world, Change::Job, jobs.there().unwrap_or_default());
    tell(&mut world, Change::CronJob, cronjobs.there().unwrap_or_default());
    tell(&mut world, Change::Ledger, ledgers.into_iter().flatten().collect());
    world.believe_shown();
    Ok(Observed { world, knows, gaps: gaps.into_iter().flatten().collect(), selected })
}

fn namespace_of(claim: &facts::Claim) -> facts::Namespace {
    let meta = ObjectMeta { name: Some(claim.namespace.clone()), ..ObjectMeta::default() };
    facts::Namespace::from(&meta)
}

/// Puts a full list into the world.
pub(crate) fn tell<T>(world: &mut World, change: fn(Seen<T>) -> Change, items: Vec<T>) {
    world.apply(change(Seen::Begin));
    for item in items {
        world.apply(change(Seen::Put(item)));
    }
    world.apply(change(Seen::End));
}

/// The sources whose CronJobs matter; `None`: all.
fn sources(scope: &Scope, claims: &[facts::Claim]) -> Option<BTreeSet<String>> {
    scope.namespace.as_ref()?;
    let wanted = |c: &&facts::Claim| c.ours.is_none() && (scope.names.is_empty() || scope.names.contains(&c.id.name));
    Some(claims.iter().filter(wanted).map(|c| c.id.uid.clone()).collect())
}

/// Whose ledgers are asked for.
enum Books {
    All,
    /// Of PVCs that are gone: their names. The last of their restore points are shown by nothing else.
    Of(Vec<String>),
}

/// The PVCs of the namespace show what their ledgers say, to those who may not read ledgers too.
fn books(scope: &Scope, claims: &[facts::Claim]) -> Books {
    if scope.namespace.is_none() {
        return Books::All;
    }
    let there = |name: &String| claims.iter().any(|c| c.ours.is_none() && c.id.name == *name);
    Books::Of(scope.names.iter().filter(|name| !there(name)).cloned().collect())
}

/// How the cluster is looked at.
struct Look<'a> {
    client: &'a Client,
    scope: &'a Scope,
}

impl Look<'_> {
    fn listing<'a>(&'a self, resource: &'a str) -> Deed<'a> {
        Deed::new("list", resource, self.scope.namespace.as_deref())
    }

    /// The configuration. One that cannot be read by us is not in force as it stands, so it is not gone by.
    async fn config(&self) -> anyhow::Result<Answer<Config>> {
        let namespace = &self.scope.backup_namespace;
        let resource = Asked::of::<ConfigMap>().named(CONFIG_MAP).within(Some(namespace));
        let gap =
            |answer: String| Answer::Refused(Gap { verb: "get", resource: resource.clone(), answer, refused: false });
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let what = || format!("get {resource}");
        let map = match answer(api::bounded(what, api.get(CONFIG_MAP)).await, "get", &resource)? {
            Answer::Is(map) => map,
            Answer::Absent => {
                let hint =
                    "it does not exist: the controller is in another namespace (--backup-namespace), or not installed";
                return Ok(gap(hint.to_owned()));
            }
            Answer::Refused(gap) => return Ok(Answer::Refused(gap)),
        };
        let Some(text) = map.data.as_ref().and_then(|d| d.get(CONFIG_KEY)) else {
            return Ok(gap(format!("it has no key {CONFIG_KEY}")));
        };
        Ok(match Config::parse(text) {
            Ok(config) => Answer::Is(config),
            Err(error) => gap(format!("the controller rejects it and continues with the previous one: {error}")),
        })
    }

    /// Only the UIDs of PVCs with the labels that were asked for.
    async fn selected(&self) -> anyhow::Result<Option<HashSet<String>>> {
        let Some(selector) = &self.scope.selector else { return Ok(None) };
        let api: Api<PartialObjectMeta<PersistentVolumeClaim>> = match &self.scope.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let what = self.place::<PersistentVolumeClaim>();
        let uids = pages(&api, selector, &what, |o| o.metadata.uid.clone().unwrap_or_default()).await;
        Ok(Some(uids.map_err(|error| self.listing("persistentvolumeclaims").failed(&error))?.into_iter().collect()))
    }

    async fn namespaces(&self) -> anyhow::Result<Answer<Vec<facts::Namespace>>> {
        let trim = |meta: &ObjectMeta| facts::Namespace::from(meta);
        let Some(name) = &self.scope.namespace else {
            let api: Api<PartialObjectMeta<Namespace>> = Api::all(self.client.clone());
            let resource = Asked::of::<Namespace>();
            let listed = pages(&api, "", &resource, |o| trim(&o.metadata)).await;
            return answer(listed, "list", &resource);
        };
        let api: Api<Namespace> = Api::all(self.client.clone());
        let resource = Asked::of::<Namespace>().named(name);
        let got = api::bounded(|| format!("get {resource}"), api.get_metadata(name)).await;
        Ok(match answer(got, "get", &resource)? {
            Answer::Is(object) => Answer::Is(vec![trim(&object.metadata)]),
            Answer::Absent => {
                return Err(anyhow!(
                    "namespace {name} does not exist. To list the namespaces, run: kubectl get namespaces"
                ));
            }
            Answer::Refused(gap) => Answer::Refused(gap),
        })
    }

    /// The CronJobs of these sources, or all.
    async fn cronjobs(
        &self,
        ours: &str,
        uids: Option<&BTreeSet<String>>,
    ) -> anyhow::Result<Answer<Vec<facts::CronJob>>> {
        let namespace = &self.scope.backup_namespace;
        let api: Api<CronJob> = Api::namespaced(self.client.clone(), namespace);
        let resource = Asked::of::<CronJob>().within(Some(namespace));
        let selectors = match uids {
            None => vec![ours.to_owned()],
            Some(uids) => {
                let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
                uids.chunks(CHUNK)
                    .map(|chunk| format!("{ours},{} in ({})", names::SOURCE_UID, chunk.join(",")))
                    .collect()
            }
        };
        let mut all = Vec::new();
        for selector in selectors {
            match answer(pages(&api, &selector, &resource, |o| facts::CronJob::from(o)).await, "list", &resource)? {
                Answer::Is(cronjobs) => all.extend(cronjobs),
                other => return Ok(other),
            }
        }
        Ok(Answer::Is(all))
    }

    /// The ledgers. Who may not read them has what the PVCs, and the snapshots of those that are gone, show.
    async fn ledgers(&self, ours: &str, wanted: Books) -> anyhow::Result<Option<Vec<Book>>> {
        let values: Vec<String> = match wanted {
            Books::Of(of) if of.is_empty() => return Ok(None),
            Books::Of(of) => of.iter().map(|name| names::label_value(name)).collect(),
            Books::All => Vec::new(),
        };
        let namespace = &self.scope.backup_namespace;
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let mut labels = format!("{ours},{}={}", names::COMPONENT, Component::Ledger.as_str());
        if !values.is_empty() {
            labels = format!("{labels},{} in ({})", names::SOURCE_PVC, values.join(","));
        }
        let resource = Asked::of::<ConfigMap>().within(Some(namespace));
        let read = |map: &ConfigMap| Book::read(map, &self.scope.instance);
        let listed = answer(pages(&api, &labels, &resource, read).await, "list", &resource)?;
        let here = |book: &Book| match (&self.scope.namespace, &book.ledger) {
            (Some(namespace), Ok(ledger)) => ledger.source.namespace == *namespace,
            // An unreadable one does not tell whose it is.
            (Some(_), Err(_)) => false,
            (None, _) => true,
        };
        Ok(listed.there().map(|books| books.into_iter().flatten().filter(here).collect()))
    }

    /// One kind, in the namespace or in all.
    async fn list<K, T>(&self, labels: &str, trim: fn(&K) -> T) -> anyhow::Result<Answer<Vec<T>>>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
    {
        let api: Api<DeserializeGuard<K>> = match &self.scope.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        self.guarded(api, &self.place::<K>(), labels, trim).await
    }

    /// One kind that has no namespaces.
    async fn list_cluster<K, T>(&self, trim: fn(&K) -> T) -> anyhow::Result<Answer<Vec<T>>>
    where
        K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope> + DeserializeOwned + Clone + Debug,
    {
        self.guarded(Api::all(self.client.clone()), &Asked::of::<K>(), "", trim).await
    }

    /// An object that cannot be read is passed over, as the controller does: it must not hide the others.
    async fn guarded<K, T>(
        &self,
        api: Api<DeserializeGuard<K>>,
        resource: &Asked,
        labels: &str,
        trim: fn(&K) -> T,
    ) -> anyhow::Result<Answer<Vec<T>>>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
    {
        let listed = pages(&api, labels, resource, |o| o.0.as_ref().ok().map(trim)).await;
        Ok(match answer(listed, "list", resource)? {
            Answer::Is(items) => Answer::Is(items.into_iter().flatten().collect()),
            Answer::Absent => Answer::Absent,
            Answer::Refused(gap) => Answer::Refused(gap),
        })
    }

    fn place<K: Resource<DynamicType = ()>>(&self) -> Asked {
        Asked::of::<K>().within(self.scope.namespace.as_deref())
    }
}

/// All objects of one kind, page by page. Pages that lie too far apart in time are asked for again, as one.
async fn pages<K, T>(api: &Api<K>, labels: &str, resource: &Asked, trim: impl Fn(&K) -> T) -> Result<Vec<T>, api::Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut params = ListParams::default().limit(PAGE);
    if !labels.is_empty() {
        params = params.labels(labels);
    }
    let mut items = Vec::new();
    loop {
        match api::bounded(|| format!("list {resource}"), api.list(&params)).await {
            Ok(page) => {
                items.extend(page.items.iter().map(&trim));
                match page.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => params.continue_token = Some(token),
                    None => return Ok(items),
                }
            }
            Err(error) if params.continue_token.is_some() && code(&error) == 410 => {
                items.clear();
                params.continue_token = None;
                params.limit = None;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The code tells more than the reason: who asks for a kind that does not exist gets a plain text.
fn code(error: &api::Error) -> u16 {
    error.status().map_or(0, |s| s.code)
}

/// A refusal is an answer, and so is that there is no such thing. All else is an error of the command.
/// What a question was answered; any other failure than an absent object or a missing permission is an error.
pub(crate) fn answer<T>(
    result: Result<T, api::Error>,
    verb: &'static str,
    resource: &Asked,
) -> anyhow::Result<Answer<T>> {
    let error = match result {
        Ok(it) => return Ok(Answer::Is(it)),
        Err(error) => error,
    };
    let said = error.status().map(|s| s.message.clone());
    match code(&error) {
        404 => Ok(Answer::Absent),
        403 => {
            let answer = said.unwrap_or_default();
            Ok(Answer::Refused(Gap { verb, resource: resource.clone(), answer, refused: true }))
        }
        _ => Err(failure(&error)),
    }
}

fn failure(error: &api::Error) -> anyhow::Error {
    match error.status() {
        Some(status) => anyhow!("cannot {error}: {}", status.message),
        None => anyhow!("cannot {}", api::chain(error)),
    }
}
