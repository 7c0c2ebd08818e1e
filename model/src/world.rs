//! The observed state of the cluster, held in memory and indexed by source.
//!
//! Watches feed it; plans read it. Nothing in it is remembered that the objects do not say, so a restart
//! starts from the same state.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::config::Config;
use crate::facts::{
    Claim, CronJob, Identity, Job, Namespace, Node, Ours, Pod, Snapshot, SnapshotClass, StorageClass, Volume,
};
use crate::names::{Component, SourceId};
use crate::reason::Problem;
use crate::select::Classes;

/// Namespace and name; the namespace is empty for objects of the cluster.
pub type Key = (String, String);

/// An observation of one kind of object.
#[derive(Debug, Clone)]
pub enum Seen<T> {
    /// A full list begins: what it does not name is gone.
    Begin,
    /// An object is there.
    Put(T),
    /// An object is gone.
    Gone(Key),
    /// The full list is complete.
    End,
}

/// An observation.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each variant is named for its kind")]
#[allow(clippy::large_enum_variant, reason = "one at a time passes by; a box would be an allocation for each")]
pub enum Change {
    Claim(Seen<Claim>),
    Snapshot(Seen<Snapshot>),
    Volume(Seen<Volume>),
    Job(Seen<Job>),
    Pod(Seen<Pod>),
    CronJob(Seen<CronJob>),
    Namespace(Seen<Namespace>),
    Node(Seen<Node>),
    StorageClass(Seen<StorageClass>),
    SnapshotClass(Seen<SnapshotClass>),
    /// Whether the cluster has the VolumeSnapshot API.
    SnapshotApi(bool),
    /// A new configuration.
    Config(Arc<Config>),
}

/// An object that can be observed.
pub trait Observed {
    /// Where it is.
    fn key(&self) -> Key;
    /// Its version, if it is compared: an older one never replaces a newer one of the same object.
    fn version(&self) -> Option<(&str, u64)> {
        None
    }
}

fn version(id: &Identity) -> Option<(&str, u64)> {
    Some((&id.uid, id.resource_version.parse().ok()?))
}

macro_rules! observed {
    ($($kind:ty: $namespace:expr, $name:expr, $version:expr;)*) => {$(
        impl Observed for $kind {
            fn key(&self) -> Key {
                let (namespace, name): (fn(&Self) -> &str, fn(&Self) -> &str) = ($namespace, $name);
                (namespace(self).to_owned(), name(self).to_owned())
            }
            fn version(&self) -> Option<(&str, u64)> {
                let of: fn(&Self) -> Option<(&str, u64)> = $version;
                of(self)
            }
        }
    )*};
}

observed! {
    Claim: |c| &c.namespace, |c| &c.id.name, |c| version(&c.id);
    Snapshot: |s| &s.namespace, |s| &s.id.name, |s| version(&s.id);
    Job: |j| &j.namespace, |j| &j.id.name, |j| version(&j.id);
    CronJob: |_| "", |c| &c.id.name, |c| version(&c.id);
    Pod: |p| &p.namespace, |p| &p.name, |_| None;
    Volume: |_| "", |v| &v.name, |_| None;
    Namespace: |_| "", |n| &n.name, |_| None;
    Node: |_| "", |n| &n.name, |_| None;
    StorageClass: |_| "", |c| &c.name, |_| None;
    SnapshotClass: |_| "", |c| &c.name, |_| None;
}

/// All objects of one kind.
#[derive(Debug)]
pub struct Store<T> {
    items: BTreeMap<Key, T>,
    listing: Option<HashSet<Key>>,
    synced: bool,
    /// UIDs of objects that went a moment ago, the last ones: the answer to a request of ours may tell of
    /// one after its end, and nothing would ever take that back.
    gone: VecDeque<String>,
}

/// How many UIDs of vanished objects are remembered: more than requests can be under way.
const REMEMBERED: usize = 256;

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), listing: None, synced: false, gone: VecDeque::new() }
    }
}

/// What an observation did: each object before and after.
type Replaced<T> = Vec<(Option<T>, Option<Key>)>;

impl<T: Observed> Store<T> {
    /// The object at a key.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<&T> {
        self.items.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// All objects, by key.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.values()
    }

    /// The objects of a namespace.
    pub fn within<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a T> {
        self.items
            .range((namespace.to_owned(), String::new())..)
            .take_while(move |((n, _), _)| n == namespace)
            .map(|(_, item)| item)
    }

    /// Whether a full list has been seen.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.synced
    }

    fn apply(&mut self, seen: Seen<T>) -> Replaced<T> {
        match seen {
            Seen::Begin => {
                self.listing = Some(HashSet::new());
                Vec::new()
            }
            Seen::Put(item) => {
                let key = item.key();
                if let Some(listing) = &mut self.listing {
                    listing.insert(key.clone());
                } else if item.version().is_some_and(|(uid, _)| self.gone.iter().any(|g| g == uid)) {
                    return Vec::new();
                }
                if self.items.get(&key).is_some_and(|held| is_newer(held, &item)) {
                    return Vec::new();
                }
                vec![(self.items.insert(key.clone(), item), Some(key))]
            }
            Seen::Gone(key) => self.remove(&key).map(|old| (Some(old), None)).into_iter().collect(),
            Seen::End => {
                self.synced = true;
                // A watch that had to start over may have missed deletions (F63).
                let Some(listing) = self.listing.take() else { return Vec::new() };
                let gone: Vec<Key> = self.items.keys().filter(|k| !listing.contains(*k)).cloned().collect();
                gone.into_iter().filter_map(|k| self.remove(&k)).map(|old| (Some(old), None)).collect()
            }
        }
    }

    fn remove(&mut self, key: &Key) -> Option<T> {
        let old = self.items.remove(key)?;
        if let Some((uid, _)) = old.version() {
            self.gone.push_back(uid.to_owned());
            let over = self.gone.len().saturating_sub(REMEMBERED);
            self.gone.drain(..over);
        }
        Some(old)
    }
}

fn is_newer<T: Observed>(held: &T, seen: &T) -> bool {
    match (held.version(), seen.version()) {
        (Some((uid, held)), Some((other, seen))) => uid == other && held > seen,
        _ => false,
    }
}

/// Objects that belong to one source, wherever they are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Belongings {
    /// The source itself.
    pub claim: Option<Key>,
    /// Its snapshots.
    pub snapshots: BTreeSet<Key>,
    /// Its promoters.
    pub promoters: BTreeSet<Key>,
    /// Its Jobs: snapshot and copy.
    pub jobs: BTreeSet<Key>,
    /// Its CronJobs; one, unless somebody copied it.
    pub cronjobs: BTreeSet<Key>,
}

impl Belongings {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The observed state.
#[derive(Debug)]
pub struct World {
    /// The installation's name: objects of others are not ours (F94).
    pub instance: String,
    /// The controller's namespace.
    pub namespace: String,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// StorageClasses and VolumeSnapshotClasses.
    pub classes: Classes,
    /// PersistentVolumeClaims.
    pub claims: Store<Claim>,
    /// Our VolumeSnapshots.
    pub snapshots: Store<Snapshot>,
    /// PersistentVolumes.
    pub volumes: Store<Volume>,
    /// Our Jobs.
    pub jobs: Store<Job>,
    /// Our pods.
    pub pods: Store<Pod>,
    /// Our CronJobs.
    pub cronjobs: Store<CronJob>,
    /// Namespaces.
    pub namespaces: Store<Namespace>,
    /// Nodes.
    pub nodes: Store<Node>,
    storage_classes: Store<StorageClass>,
    snapshot_classes: Store<SnapshotClass>,
    snapshot_api: Option<bool>,
    subjects: HashMap<String, Belongings>,
    /// By source: the last step that the API server refused, until one succeeds.
    pub faults: HashMap<String, Problem>,
    /// By source: what admission lets its newest copy wait for.
    pub waits: HashMap<String, Problem>,
}

impl World {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(instance: &str, namespace: &str, config: Arc<Config>) -> Self {
        Self {
            instance: instance.to_owned(),
            namespace: namespace.to_owned(),
            config,
            classes: Classes::default(),
            claims: Store::default(),
            snapshots: Store::default(),
            volumes: Store::default(),
            jobs: Store::default(),
            pods: Store::default(),
            cronjobs: Store::default(),
            namespaces: Store::default(),
            nodes: Store::default(),
            storage_classes: Store::default(),
            snapshot_classes: Store::default(),
            snapshot_api: None,
            subjects: HashMap::new(),
            faults: HashMap::new(),
            waits: HashMap::new(),
        }
    }

    /// Whether every kind has been listed in full: before that, nothing is decided.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.unsynced().is_empty()
    }

    /// The kinds that have not been listed in full yet.
    #[must_use]
    pub fn unsynced(&self) -> Vec<&'static str> {
        let with_api = self.snapshot_api == Some(true);
        [
            ("persistentvolumeclaims", self.claims.synced),
            ("persistentvolumes", self.volumes.synced),
            ("jobs", self.jobs.synced),
            ("pods", self.pods.synced),
            ("cronjobs", self.cronjobs.synced),
            ("namespaces", self.namespaces.synced),
            ("nodes", self.nodes.synced),
            ("storageclasses", self.storage_classes.synced),
            ("the snapshot API", self.snapshot_api.is_some()),
            ("volumesnapshots", !with_api || self.snapshots.synced),
            ("volumesnapshotclasses", !with_api || self.snapshot_classes.synced),
        ]
        .into_iter()
        .filter_map(|(kind, synced)| (!synced).then_some(kind))
        .collect()
    }

    /// The UIDs of all sources, present and vanished.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        self.subjects.keys().map(String::as_str)
    }

    /// What belongs to a source.
    #[must_use]
    pub fn belongings(&self, uid: &str) -> Option<&Belongings> {
        self.subjects.get(uid)
    }

    /// The PVC with a UID.
    #[must_use]
    pub fn claim_of(&self, uid: &str) -> Option<&Claim> {
        let (namespace, name) = self.subjects.get(uid)?.claim.as_ref()?;
        self.claims.get(namespace, name)
    }

    /// Where the snapshots, promoters or Jobs of a source say that it is, or was.
    #[must_use]
    pub fn source_of(&self, uid: &str) -> Option<SourceId> {
        if let Some(claim) = self.claim_of(uid) {
            return Some(claim.source());
        }
        let belongings = self.subjects.get(uid)?;
        belongings.snapshots.iter().find_map(|(namespace, name)| {
            let snapshot = self.snapshots.get(namespace, name)?;
            Some(SourceId { namespace: namespace.clone(), name: snapshot.claim.clone()?, uid: uid.to_owned() })
        })
    }

    /// The pods of a Job.
    pub fn pods_of<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Pod> {
        self.pods.within(&job.namespace).filter(|p| p.job == job.id.name)
    }

    fn ours<'a>(&self, ours: Option<&'a Ours>) -> Option<&'a Ours> {
        ours.filter(|o| o.instance == self.instance)
    }

    /// Takes an observation in, and names the sources that it concerns.
    pub fn apply(&mut self, change: Change) -> HashSet<String> {
        match change {
            Change::Claim(seen) => self.apply_claims(seen),
            Change::Snapshot(seen) => {
                let replaced = self.snapshots.apply(seen);
                self.reindex(
                    replaced,
                    |b| &mut b.snapshots,
                    |w, k| {
                        let ours = w.snapshots.items.get(k)?.ours.as_ref();
                        w.ours(ours).map(|o| o.source_uid.clone())
                    },
                    |s: &Snapshot| s.ours.as_ref(),
                )
            }
            Change::Job(seen) => {
                let replaced = self.jobs.apply(seen);
                let disks: HashSet<String> = replaced
                    .iter()
                    .filter_map(|(old, new)| old.as_ref().or_else(|| self.jobs.items.get(new.as_ref()?)))
                    .filter(|j| j.ours.as_ref().is_some_and(|o| o.component == Component::Keeper))
                    .filter_map(|j| j.source_namespace.clone())
                    .collect();
                let mut dirty = self.reindex(
                    replaced,
                    |b| &mut b.jobs,
                    |w, k| {
                        let ours = w.jobs.items.get(k)?.ours.as_ref();
                        w.ours(ours).map(|o| o.source_uid.clone())
                    },
                    |j: &Job| j.ours.as_ref(),
                );
                dirty.extend(disks.iter().flat_map(|n| self.sources_in(n)));
                dirty
            }
            Change::CronJob(seen) => {
                // All are in one namespace, so their keys go without it.
                let replaced = self.cronjobs.apply(match seen {
                    Seen::Gone((_, name)) => Seen::Gone((String::new(), name)),
                    other => other,
                });
                self.reindex(
                    replaced,
                    |b| &mut b.cronjobs,
                    |w, k| {
                        let ours = w.cronjobs.items.get(k)?.ours.as_ref();
                        w.ours(ours).map(|o| o.source_uid.clone())
                    },
                    |c: &CronJob| c.ours.as_ref(),
                )
            }
            Change::Pod(seen) => {
                let replaced = self.pods.apply(seen);
                let jobs: Vec<Key> = replaced
                    .iter()
                    .filter_map(|(old, new)| old.as_ref().or_else(|| self.pods.items.get(new.as_ref()?)))
                    .map(|p| (p.namespace.clone(), p.job.clone()))
                    .collect();
                let mut dirty = HashSet::new();
                for job in jobs.iter().filter_map(|k| self.jobs.items.get(k)) {
                    match job.ours.as_ref() {
                        Some(ours) if !ours.source_uid.is_empty() => drop(dirty.insert(ours.source_uid.clone())),
                        // A keeper's.
                        _ => dirty.extend(job.source_namespace.iter().flat_map(|n| self.subjects_in(n))),
                    }
                }
                dirty
            }
            Change::Volume(seen) => {
                let replaced = self.volumes.apply(seen);
                let claims: Vec<String> = replaced
                    .iter()
                    .filter_map(|(old, new)| old.as_ref().or_else(|| self.volumes.items.get(new.as_ref()?)))
                    .filter_map(|v| v.claim_uid.clone())
                    .collect();
                claims.into_iter().filter(|u| self.subjects.contains_key(u)).collect()
            }
            Change::Namespace(seen) => {
                let replaced = self.namespaces.apply(seen);
                let names: HashSet<String> =
                    replaced.into_iter().filter_map(|(old, new)| old.map(|n| n.name).or(new.map(|k| k.1))).collect();
                names.iter().flat_map(|n| self.subjects_in(n)).collect()
            }
            Change::Node(seen) => {
                self.nodes.apply(seen);
                HashSet::new()
            }
            Change::StorageClass(seen) => {
                let changed = !self.storage_classes.apply(seen).is_empty();
                self.classes.storage = self.storage_classes.iter().map(|c| (c.name.clone(), c.clone())).collect();
                self.all_if(changed)
            }
            Change::SnapshotClass(seen) => {
                let changed = !self.snapshot_classes.apply(seen).is_empty();
                self.classes.snapshot = self.snapshot_classes.iter().map(|c| (c.name.clone(), c.clone())).collect();
                let api = self.judge_snapshot_api();
                self.all_if(changed || api)
            }
            Change::SnapshotApi(there) => {
                let first = self.snapshot_api.replace(there).is_none();
                let changed = self.judge_snapshot_api();
                self.all_if(first || changed)
            }
            Change::Config(config) => {
                self.config = config;
                self.all_if(true)
            }
        }
    }

    /// The API counts as there once its classes are known too: when it appears, no volume is told in between
    /// that it has none.
    fn judge_snapshot_api(&mut self) -> bool {
        let there = self.snapshot_api == Some(true) && self.snapshot_classes.synced;
        std::mem::replace(&mut self.classes.snapshot_api, there) != there
    }

    fn all_if(&self, changed: bool) -> HashSet<String> {
        if changed { self.subjects.keys().cloned().collect() } else { HashSet::new() }
    }

    /// The sources of a namespace, present and vanished.
    #[must_use]
    pub fn sources_in(&self, namespace: &str) -> HashSet<String> {
        let snapshots = self.snapshots.within(namespace).filter_map(|s| s.ours.as_ref().map(|o| o.source_uid.clone()));
        self.subjects_in(namespace).chain(snapshots.filter(|u| self.subjects.contains_key(u))).collect()
    }

    /// The sources of a namespace, and those that have vanished from it but left snapshots.
    fn subjects_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = String> + 'a {
        let there = self.claims.within(namespace).map(|c| &c.id.uid);
        let left = self.snapshots.within(namespace).filter_map(|s| self.ours(s.ours.as_ref())).map(|o| &o.source_uid);
        there.chain(left).filter(|u| self.subjects.contains_key(*u)).cloned()
    }

    fn apply_claims(&mut self, seen: Seen<Claim>) -> HashSet<String> {
        let replaced = self.claims.apply(seen);
        let mut dirty = HashSet::new();
        for (old, new) in replaced {
            if let Some(old) = old {
                dirty.extend(self.index_claim(&old, false));
            }
            if let Some(claim) = new.and_then(|k| self.claims.items.get(&k)).cloned() {
                dirty.extend(self.index_claim(&claim, true));
            }
        }
        dirty.retain(|uid| !uid.is_empty());
        dirty
    }

    fn index_claim(&mut self, claim: &Claim, there: bool) -> HashSet<String> {
        let key = claim.key();
        match self.ours(claim.ours.as_ref()).map(|o| (o.component, o.source_uid.clone())) {
            Some((Component::Promoter, uid)) => {
                self.index(&uid, &key, there, |b| &mut b.promoters);
                HashSet::from([uid])
            }
            Some((Component::Disk, _)) => self.sources_in(&claim.namespace),
            _ => {
                let uid = claim.id.uid.clone();
                let entry = self.subjects.entry(uid.clone()).or_default();
                if there {
                    entry.claim = Some(key);
                } else if entry.claim.as_ref() == Some(&key) {
                    entry.claim = None;
                }
                self.forget_empty(&uid);
                HashSet::from([uid])
            }
        }
    }

    fn index(&mut self, uid: &str, key: &Key, there: bool, set: impl Fn(&mut Belongings) -> &mut BTreeSet<Key>) {
        if uid.is_empty() {
            return;
        }
        let keys = set(self.subjects.entry(uid.to_owned()).or_default());
        if there {
            keys.insert(key.clone());
        } else {
            keys.remove(key);
        }
        self.forget_empty(uid);
    }

    fn forget_empty(&mut self, uid: &str) {
        if self.subjects.get(uid).is_some_and(Belongings::is_empty) {
            self.subjects.remove(uid);
            self.faults.remove(uid);
            self.waits.remove(uid);
        }
    }

    fn reindex<T: Observed>(
        &mut self,
        replaced: Replaced<T>,
        set: impl Fn(&mut Belongings) -> &mut BTreeSet<Key> + Copy,
        owner: impl Fn(&Self, &Key) -> Option<String>,
        old_owner: impl Fn(&T) -> Option<&Ours>,
    ) -> HashSet<String> {
        let mut dirty = HashSet::new();
        for (old, new) in replaced {
            if let Some(old) = old
                && let Some(uid) = self.ours(old_owner(&old)).map(|o| o.source_uid.clone())
            {
                self.index(&uid, &old.key(), false, set);
                dirty.insert(uid);
            }
            if let Some(key) = new
                && let Some(uid) = owner(self, &key)
            {
                self.index(&uid, &key, true, set);
                dirty.insert(uid);
            }
        }
        dirty.retain(|uid| !uid.is_empty());
        dirty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cronjob(uid: &str, version: &str) -> CronJob {
        let labels = [
            (crate::names::MANAGED_BY, crate::names::MANAGER),
            (crate::names::INSTANCE, "backup"),
            (crate::names::COMPONENT, "snapshot"),
            (crate::names::SOURCE_UID, "1"),
        ];
        let meta = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            name: Some("c".into()),
            namespace: Some("backup".into()),
            uid: Some(uid.into()),
            resource_version: Some(version.into()),
            labels: Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
            ..Default::default()
        };
        CronJob::from(&k8s_openapi::api::batch::v1::CronJob { metadata: meta, ..Default::default() })
    }

    fn world() -> World {
        World::new("backup", "backup", Arc::new(Config::default()))
    }

    fn dirty(of: &HashSet<String>) -> Vec<&str> {
        of.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_cronjob_that_a_watch_says_is_gone_is_gone() {
        let mut world = world();
        assert_eq!(dirty(&world.apply(Change::CronJob(Seen::Put(cronjob("a", "1"))))), ["1"]);
        let gone = world.apply(Change::CronJob(Seen::Gone(("backup".into(), "c".into()))));
        assert_eq!(dirty(&gone), ["1"]);
        assert!(world.cronjobs.get("", "c").is_none() && world.belongings("1").is_none());
    }

    #[test]
    fn an_answer_that_comes_late_brings_nothing_back() {
        let mut world = world();
        world.apply(Change::CronJob(Seen::Put(cronjob("a", "1"))));
        world.apply(Change::CronJob(Seen::Gone(("backup".into(), "c".into()))));
        assert!(world.apply(Change::CronJob(Seen::Put(cronjob("a", "2")))).is_empty());
        assert!(world.cronjobs.get("", "c").is_none());
        // Another one of that name is another one, and a full list is believed.
        world.apply(Change::CronJob(Seen::Put(cronjob("b", "3"))));
        assert!(world.cronjobs.get("", "c").is_some());
        world.apply(Change::CronJob(Seen::Gone(("backup".into(), "c".into()))));
        world.apply(Change::CronJob(Seen::Begin));
        world.apply(Change::CronJob(Seen::Put(cronjob("b", "3"))));
        world.apply(Change::CronJob(Seen::End));
        assert!(world.cronjobs.get("", "c").is_some());
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let mut world = world();
        world.apply(Change::CronJob(Seen::Put(cronjob("a", "10"))));
        assert!(world.apply(Change::CronJob(Seen::Put(cronjob("a", "9")))).is_empty());
        assert_eq!(world.cronjobs.get("", "c").map(|c| c.id.resource_version.as_str()), Some("10"));
    }

    /// F63.
    #[test]
    fn what_a_full_list_does_not_name_is_gone() {
        let mut world = world();
        world.apply(Change::CronJob(Seen::Put(cronjob("a", "1"))));
        world.apply(Change::CronJob(Seen::Begin));
        assert!(world.cronjobs.get("", "c").is_some(), "not before the list is complete");
        assert_eq!(dirty(&world.apply(Change::CronJob(Seen::End))), ["1"]);
        assert!(world.cronjobs.get("", "c").is_none());
    }

    /// F04: between the API's appearing and the list of its classes, nothing is said about classes.
    #[test]
    fn the_snapshot_api_counts_once_its_classes_are_known() {
        let mut world = world();
        world.apply(Change::SnapshotApi(false));
        assert!(!world.classes.snapshot_api && !world.unsynced().contains(&"the snapshot API"));
        world.apply(Change::SnapshotApi(true));
        assert!(!world.classes.snapshot_api);
        world.apply(Change::SnapshotClass(Seen::Begin));
        world.apply(Change::SnapshotClass(Seen::End));
        assert!(world.classes.snapshot_api);
    }
}
