//! The observed state of the cluster, held in memory and indexed by source.
//!
//! Watches feed it; plans read it. A restart finds the same objects again, and loses the [`Memory`] beside them.

mod changes;
mod memory;
mod store;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use crate::breaker::{self, Breakers};
use crate::config::Config;
use crate::facts::{
    Claim, Content, CronJob, Holder, Job, MountFailure, Namespace, Node, Ours, Pod, PodRefusal, Policy, Restorer,
    Snapshot, SnapshotClass, StorageClass, Volume,
};
use crate::ledger::{Book, Ledger, Words};
use crate::names::{Instance, Run, SourceId};
use crate::reason::Problem;
use crate::record::{RunRecord, Status};
use crate::select::Classes;

pub use memory::Memory;
pub use store::{Key, Observed, Seen, Store};

/// An observation.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each variant is named for its kind")]
#[allow(clippy::large_enum_variant, reason = "one at a time passes by; a box would be an allocation for each")]
pub enum Change {
    Claim(Seen<Claim>),
    Snapshot(Seen<Snapshot>),
    /// A source's ledger.
    Ledger(Seen<Book>),
    /// A VolumeSnapshotContent of ours.
    Content(Seen<Content>),
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
    /// A `NetworkPolicy` of ours.
    Policy(Seen<Policy>),
    /// A Deployment that asks for a restore pod.
    Restorer(Seen<Restorer>),
    /// What is said about the volumes of a pod with that UID.
    MountFailure(Key, String, Option<MountFailure>),
    /// What is said about why a Job (its UID) gets no pod.
    PodRefusal(Key, String, Option<PodRefusal>),
    /// The pods of a Job (its UID), as they were listed.
    PodsListed(Key, String, Vec<Pod>),
    /// Of a source (its UID) and a destination: why the content that the drill of that minute needs is not read.
    DrillRefused {
        uid: String,
        destination: String,
        due: Run,
        problem: Problem,
    },
    /// The same of the copy of a run.
    CopyRefused {
        uid: String,
        destination: String,
        run: Run,
        problem: Problem,
    },
    /// Of a PVC that asks for a restore (its UID) and what it asks for: why its volume cannot be lent.
    RestoreRefused {
        uid: String,
        request: String,
        problem: Problem,
    },
    /// A pod of a namespace in which a restore is asked for.
    Holder(String, Seen<Holder>),
    /// A new configuration.
    Config(Arc<Config>),
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
    /// From what its central copies are made: the names that content, snapshot and PVC share.
    pub central: BTreeSet<String>,
    /// Whether it has a ledger.
    pub ledger: bool,
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
    pub instance: Instance,
    /// The controller's namespace.
    pub namespace: String,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// StorageClasses and VolumeSnapshotClasses.
    pub classes: Classes,
    /// PersistentVolumeClaims.
    pub claims: Store<Claim>,
    /// The ledgers, by the UIDs of their sources.
    pub ledgers: Store<Book>,
    /// Our VolumeSnapshots.
    pub snapshots: Store<Snapshot>,
    /// Our `VolumeSnapshotContents`, of central copies.
    pub contents: Store<Content>,
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
    /// Our `NetworkPolicies`.
    pub policies: Store<Policy>,
    /// Deployments that ask for restore pods.
    pub restorers: Store<Restorer>,
    /// By namespace in which a restore is asked for: all of its pods.
    pub holders: HashMap<String, Store<Holder>>,
    /// PVCs that ask for a restore.
    pub(crate) asking: BTreeSet<Key>,
    /// Promoters that were made again for drills.
    pub(crate) drill_promoters: BTreeSet<Key>,
    /// Volumes that are lent for restores: of disks that are read, of targets that are written.
    pub(crate) grants: BTreeSet<String>,
    /// Jobs of ours that restore.
    pub(crate) restores: BTreeSet<Key>,
    /// By name of a central promoter in our namespace: its volume.
    pub(crate) central_volumes: HashMap<String, String>,
    /// By Job: its pods. Our own namespace has those of thousands of Jobs.
    pub(crate) job_pods: HashMap<Key, BTreeSet<Key>>,
    /// What the copies' results say about destinations that can be down.
    results: breaker::Results,
    /// What no watch tells.
    pub memory: Memory,
}

impl World {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(instance: Instance, namespace: &str, config: Arc<Config>) -> Self {
        Self {
            instance,
            namespace: namespace.to_owned(),
            config,
            classes: Classes::default(),
            claims: Store::default(),
            ledgers: Store::default(),
            snapshots: Store::default(),
            contents: Store::default(),
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
            policies: Store::default(),
            restorers: Store::default(),
            holders: HashMap::new(),
            asking: BTreeSet::new(),
            drill_promoters: BTreeSet::new(),
            grants: BTreeSet::new(),
            restores: BTreeSet::new(),
            central_volumes: HashMap::new(),
            job_pods: HashMap::new(),
            results: breaker::Results::default(),
            memory: Memory::default(),
        }
    }

    /// Whether every kind has been listed in full: before that, nothing is decided.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.unsynced().is_empty()
    }

    /// From now on the pods of these namespaces are to be known, and of no others.
    pub fn await_pods(&mut self, namespaces: &BTreeSet<String>, now: Timestamp) {
        let listed = |namespace: &String| self.holders.get(namespace).is_some_and(Store::synced);
        let awaited = namespaces.iter().filter(|namespace| !listed(namespace));
        let before = std::mem::take(&mut self.memory.unlisted);
        self.memory.unlisted = awaited.map(|n| (n.clone(), before.get(n).copied().unwrap_or(now))).collect();
    }

    /// The newest version of an object that is held, as the API server counts them.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        let claims = self.claims.iter().map(|c| &c.id);
        let snapshots = self.snapshots.iter().map(|s| &s.id);
        let jobs = self.jobs.iter().map(|j| &j.id);
        let ledgers = self.ledgers.iter().map(|b| &b.id);
        let all = claims.chain(snapshots).chain(jobs).chain(ledgers);
        all.filter_map(|id| id.resource_version.parse().ok()).max()
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
            ("configmaps", self.ledgers.synced),
            ("namespaces", self.namespaces.synced),
            ("nodes", self.nodes.synced),
            ("storageclasses", self.storage_classes.synced),
            ("networkpolicies", self.policies.synced),
            ("deployments", self.restorers.synced),
            ("the snapshot API", self.snapshot_api.is_some()),
            ("volumesnapshots", !with_api || self.snapshots.synced),
            ("volumesnapshotcontents", !with_api || self.contents.synced),
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

    /// The ledger of a source, if there is one that can be read.
    #[must_use]
    pub fn ledger(&self, uid: &str) -> Option<&Ledger> {
        self.ledgers.get("", uid)?.ledger.as_deref().ok()
    }

    /// Why the ledger of a source cannot be read.
    #[must_use]
    pub fn unreadable(&self, uid: &str) -> Option<&Problem> {
        self.ledgers.get("", uid)?.ledger.as_ref().err()
    }

    /// Where the backups of a source stand, by its ledger.
    #[must_use]
    pub fn status(&self, uid: &str) -> Option<&Status> {
        self.ledger(uid).map(|ledger| &ledger.status)
    }

    /// Takes what people are shown for the ledgers, where these may not be read: for the plugin. It may be called again
    /// when something changed.
    pub fn believe_shown(&mut self) {
        let mut books: Vec<Book> = Vec::new();
        let book = |source: &SourceId, shown: &Status| Book {
            id: crate::facts::Identity::default(),
            uid: source.uid.clone(),
            ledger: Ok(Box::new(Ledger::of_shown(source, shown))),
            words: Words::default(),
        };
        let ours = |status: &&Status| status.instance == self.instance;
        for claim in self.claims.iter().filter(|c| c.ours.is_none()) {
            books.extend(claim.told().filter(ours).map(|shown| book(&claim.source(), shown)));
        }
        // Of a source that is gone, its newest snapshot shows it.
        for (uid, belongings) in self.subjects.iter().filter(|(_, b)| b.claim.is_none()) {
            let snapshots = belongings.snapshots.iter().filter_map(|(n, name)| self.snapshots.get(n, name));
            let shown = snapshots.filter_map(|s| {
                let shown = s.shown.as_ref().filter(|shown| shown.uid == *uid).filter(ours)?;
                Some((s.ours.as_ref()?.run.as_ref()?, s, shown))
            });
            if let Some((_, snapshot, shown)) = shown.max_by_key(|(run, ..)| *run) {
                let name = snapshot.claim.clone().unwrap_or_default();
                let source = SourceId { namespace: snapshot.namespace.clone(), name, uid: uid.clone() };
                books.push(book(&source, shown));
            }
        }
        for book in books {
            if self.ledgers.get("", &book.uid).is_none_or(|known| known.id.uid.is_empty()) {
                self.apply(Change::Ledger(Seen::Put(book)));
            }
        }
    }

    /// What the ledger has of a snapshot's run.
    #[must_use]
    pub fn record(&self, snapshot: &Snapshot) -> Option<&RunRecord> {
        let ours = self.ours(snapshot.ours.as_ref())?;
        self.ledger(&ours.source_uid)?.run(ours.run.as_ref()?, &snapshot.id)
    }

    /// When the snapshot of a run was taken, if it is there; else the minute of the run, which may be up to an hour earlier.
    #[must_use]
    pub fn taken(&self, uid: &str, run: &Run) -> Timestamp {
        let keys = self.belongings(uid).into_iter().flat_map(|b| &b.snapshots);
        let snapshots = keys.filter_map(|(namespace, name)| self.snapshots.get(namespace, name));
        let of_run = snapshots.filter(|s| s.ours.as_ref().and_then(|o| o.run.as_ref()) == Some(run));
        of_run.map(|s| s.created).min().unwrap_or_else(|| run.time())
    }

    /// Where the snapshots, promoters or Jobs of a source say that it is, or was.
    #[must_use]
    pub fn source_of(&self, uid: &str) -> Option<SourceId> {
        if let Some(claim) = self.claim_of(uid) {
            return Some(claim.source());
        }
        if let Some(ledger) = self.ledger(uid) {
            return Some(ledger.id());
        }
        let belongings = self.subjects.get(uid)?;
        belongings.snapshots.iter().find_map(|(namespace, name)| {
            let snapshot = self.snapshots.get(namespace, name)?;
            Some(SourceId { namespace: namespace.clone(), name: snapshot.claim.clone()?, uid: uid.to_owned() })
        })
    }

    /// The destinations that are down at the time `now`.
    #[must_use]
    pub fn down(&self, now: Timestamp) -> Breakers {
        self.results.open(now)
    }

    /// The pods of a Job: those that [`Job::has`].
    pub fn pods_of<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Pod> {
        let names = self.job_pods.get(&(job.namespace.clone(), job.id.name.clone()));
        names.into_iter().flatten().filter_map(|key| self.pods.items.get(key)).filter(|pod| job.has(pod))
    }

    fn ours<'a>(&self, ours: Option<&'a Ours>) -> Option<&'a Ours> {
        ours.filter(|o| o.instance == self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cronjob(uid: &str, version: &str) -> CronJob {
        let labels = [
            (crate::names::MANAGED_BY, crate::names::MANAGER),
            (crate::names::INSTANCE, "night"),
            (crate::names::COMPONENT, "snapshot"),
            (crate::names::SOURCE_UID, "1"),
        ];
        let meta = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            name: Some("c".into()),
            namespace: Some("keepers".into()),
            uid: Some(uid.into()),
            resource_version: Some(version.into()),
            labels: Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
            ..Default::default()
        };
        CronJob::from(&k8s_openapi::api::batch::v1::CronJob { metadata: meta, ..Default::default() })
    }

    fn job(name: &str) -> Job {
        let text = serde_json::json!({"metadata": {
            "name": name, "namespace": "keepers", "uid": format!("uid-{name}"), "labels": {
                crate::names::MANAGED_BY: crate::names::MANAGER, crate::names::INSTANCE: "night",
                crate::names::COMPONENT: "copy", crate::names::SOURCE_UID: "1", crate::names::RUN: "20181202T0000Z",
            },
        }});
        Job::from(&serde_json::from_value::<k8s_openapi::api::batch::v1::Job>(text).unwrap())
    }

    /// A pod as the Job controller makes it, with other labels or another owner.
    fn changed_pod(name: &str, job: &str, labels: &serde_json::Value, owner: &serde_json::Value) -> Pod {
        let mut pod = serde_json::json!({"metadata": {
            "name": name, "namespace": "keepers", "uid": name,
            "labels": {
                "batch.kubernetes.io/job-name": job, "batch.kubernetes.io/controller-uid": format!("uid-{job}"),
                crate::names::MANAGED_BY: crate::names::MANAGER, crate::names::INSTANCE: "night",
                crate::names::COMPONENT: "copy", crate::names::SOURCE_UID: "1", crate::names::RUN: "20181202T0000Z",
            },
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": format!("uid-{job}"), "controller": true,
            }],
        }});
        for (place, changes) in [("/metadata/labels", labels), ("/metadata/ownerReferences/0", owner)] {
            for (key, value) in changes.as_object().unwrap() {
                pod.pointer_mut(place).unwrap()[key] = value.clone();
            }
        }
        Pod::from(&serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(pod).unwrap())
    }

    fn pod(name: &str, job: &str) -> Pod {
        changed_pod(name, job, &serde_json::json!({}), &serde_json::json!({}))
    }

    /// S2b: a tenant can make a pod with the labels that the Job controller selects, and it then adopts the pod.
    #[test]
    fn a_pod_counts_only_with_its_jobs_uid_and_our_labels() {
        let (none, job) = (serde_json::json!({}), job("a"));
        let found = |labels: &serde_json::Value, owner: &serde_json::Value| {
            let mut world = world();
            world.apply(Change::Pod(Seen::Put(changed_pod("x", "a", labels, owner))));
            world.pods_of(&job).count()
        };
        assert_eq!(found(&none, &none), 1);
        for labels in [
            serde_json::json!({crate::names::MANAGED_BY: "Helm"}),
            serde_json::json!({crate::names::INSTANCE: "other"}),
            serde_json::json!({crate::names::COMPONENT: "restore"}),
            serde_json::json!({crate::names::SOURCE_UID: "2"}),
            serde_json::json!({crate::names::RUN: "20181203T0000Z"}),
        ] {
            assert_eq!(found(&labels, &none), 0, "{labels}");
        }
        for owner in [
            // An earlier Job of that name.
            serde_json::json!({"uid": "uid-before"}),
            serde_json::json!({"controller": false}),
            serde_json::json!({"kind": "ReplicaSet"}),
        ] {
            assert_eq!(found(&none, &owner), 0, "{owner}");
        }
    }

    #[test]
    fn a_job_has_the_pods_that_are_there_now_and_no_others() {
        let mut world = world();
        let of =
            |world: &World, name: &str| world.pods_of(&job(name)).map(|p| p.name.clone()).collect::<Vec<_>>().join(" ");
        for (name, job) in [("x", "a"), ("y", "a"), ("z", "b"), ("y", "a")] {
            world.apply(Change::Pod(Seen::Put(pod(name, job))));
        }
        assert_eq!((of(&world, "a"), of(&world, "b"), of(&world, "c")), ("x y".into(), "z".into(), String::new()));
        world.apply(Change::Pod(Seen::Gone(("keepers".into(), "x".into()), "x".into())));
        assert_eq!(of(&world, "a"), "y");
        // Another pod of that name may be another Job's; and a full list is believed.
        world.apply(Change::Pod(Seen::Put(pod("y", "b"))));
        assert_eq!((of(&world, "a"), of(&world, "b")), (String::new(), "y z".into()));
        world.apply(Change::Pod(Seen::Begin));
        world.apply(Change::Pod(Seen::Put(pod("z", "b"))));
        world.apply(Change::Pod(Seen::End));
        assert_eq!(of(&world, "b"), "z");
        world.apply(Change::Pod(Seen::Gone(("keepers".into(), "z".into()), "z".into())));
        assert!(world.job_pods.is_empty(), "what has ended is forgotten");
    }

    fn world() -> World {
        World::new("night".into(), "keepers", Arc::new(Config::default()))
    }

    fn dirty(of: &std::collections::HashSet<String>) -> Vec<&str> {
        of.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_cronjob_that_a_watch_says_is_gone_is_gone() {
        let mut world = world();
        assert_eq!(dirty(&world.apply(Change::CronJob(Seen::Put(cronjob("a", "1"))))), ["1"]);
        let gone = world.apply(Change::CronJob(Seen::Gone(("keepers".into(), "c".into()), "a".into())));
        assert_eq!(dirty(&gone), ["1"]);
        assert!(world.cronjobs.get("", "c").is_none() && world.belongings("1").is_none());
    }

    /// A fault lives as long as its source, not as long as the version of it that was seen.
    #[test]
    fn a_source_that_changes_keeps_its_fault_and_one_that_goes_does_not() {
        let claim = |version: &str| {
            let meta = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                name: Some("data".into()),
                namespace: Some("shop".into()),
                uid: Some("1".into()),
                resource_version: Some(version.into()),
                ..Default::default()
            };
            let claim = k8s_openapi::api::core::v1::PersistentVolumeClaim { metadata: meta, ..Default::default() };
            crate::facts::Claim::from(&claim)
        };
        let mut world = world();
        world.apply(Change::Claim(Seen::Put(claim("1"))));
        world.memory.faults.insert("1".into(), Problem::new(crate::reason::Reason::QuotaExceeded, "x"));
        world.apply(Change::Claim(Seen::Put(claim("2"))));
        assert!(world.memory.faults.contains_key("1"));
        world.apply(Change::Claim(Seen::Gone(("shop".into(), "data".into()), "1".into())));
        assert!(world.memory.faults.is_empty() && world.belongings("1").is_none());
    }

    #[test]
    fn an_answer_that_comes_late_brings_nothing_back() {
        let mut world = world();
        world.apply(Change::CronJob(Seen::Put(cronjob("a", "1"))));
        world.apply(Change::CronJob(Seen::Gone(("keepers".into(), "c".into()), "a".into())));
        assert!(world.apply(Change::CronJob(Seen::Put(cronjob("a", "2")))).is_empty());
        assert!(world.cronjobs.get("", "c").is_none());
        // Another one of that name is another one, and a full list is believed.
        world.apply(Change::CronJob(Seen::Put(cronjob("b", "3"))));
        assert!(world.cronjobs.get("", "c").is_some());
        world.apply(Change::CronJob(Seen::Gone(("keepers".into(), "c".into()), "b".into())));
        world.apply(Change::CronJob(Seen::Begin));
        world.apply(Change::CronJob(Seen::Put(cronjob("b", "3"))));
        world.apply(Change::CronJob(Seen::End));
        assert!(world.cronjobs.get("", "c").is_some());
    }

    /// The answer to a request of ours may overtake the watch: we made it anew before the watch tells of the
    /// old one's end.
    #[test]
    fn the_end_of_an_object_is_not_that_of_its_namesake() {
        let mut world = world();
        world.apply(Change::CronJob(Seen::Put(cronjob("a", "1"))));
        world.apply(Change::CronJob(Seen::Put(cronjob("b", "3"))));
        let gone = Seen::Gone(("keepers".into(), "c".into()), "a".into());
        assert!(world.apply(Change::CronJob(gone)).is_empty());
        world.apply(Change::CronJob(Seen::Put(cronjob("b", "4"))));
        assert_eq!(world.cronjobs.get("", "c").map(|c| c.id.resource_version.as_str()), Some("4"));
        assert_eq!(world.belongings("1").map(|b| b.cronjobs.len()), Some(1));
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let mut world = world();
        world.apply(Change::CronJob(Seen::Put(cronjob("a", "10"))));
        assert!(world.apply(Change::CronJob(Seen::Put(cronjob("a", "9")))).is_empty());
        assert_eq!(world.cronjobs.get("", "c").map(|c| c.id.resource_version.as_str()), Some("10"));
    }

    /// Somebody did what the message about a disk without its claim asks for.
    #[test]
    fn sources_hear_of_a_disk_that_was_given_free() {
        let volume = |claim: Option<&str>| {
            let text = serde_json::json!({
                "metadata": {"name": "disk", "labels": {
                    crate::names::MANAGED_BY: crate::names::MANAGER, crate::names::INSTANCE: "night",
                    crate::names::COMPONENT: "disk", crate::names::DESTINATION: "attic",
                }},
                "spec": {"claimRef": {"namespace": "shop", "name": "backup-disk-attic", "uid": claim}},
            });
            let volume: k8s_openapi::api::core::v1::PersistentVolume = serde_json::from_value(text).unwrap();
            Change::Volume(Seen::Put(Volume::from(&volume)))
        };
        let mut world = world();
        world.apply(Change::CronJob(Seen::Put(cronjob("a", "1"))));
        assert!(world.apply(volume(Some("old"))).is_empty(), "a claim that nobody here protects");
        assert_eq!(dirty(&world.apply(volume(None))), ["1"]);
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
