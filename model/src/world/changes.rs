//! How an observation changes the state, and which sources it concerns.

use std::collections::{BTreeSet, HashSet};

use k8s_openapi::jiff::Timestamp;

use super::store::{Key, Observed, Replaced, Seen};
use super::{Belongings, Change, World};
use crate::breaker::Results;
use crate::config::Config;
use crate::facts::{Claim, Content, CronJob, Job, MountFailure, Ours, Pod, PodRefusal, Snapshot, Volume};
use crate::ledger::{Book, Ledger};
use crate::names::{Component, Run};
use crate::record::{CopyResult, RestoreState, RunRecord};

/// The results of a source's copies to destinations that have a breaker; and when the first try failed of one that is
/// tried again.
fn results<'a>(
    config: &'a Config,
    book: &'a Book,
) -> impl Iterator<Item = (String, &'a CopyResult, Option<Timestamp>)> {
    let ledger = book.ledger.as_deref().ok();
    let of_run = |l: &'a Ledger, r: &'a RunRecord| r.results.iter().map(move |result| (l, r, result));
    let copies = ledger.into_iter().flat_map(move |l| l.runs.iter().flat_map(move |r| of_run(l, r)));
    copies.filter_map(|(ledger, record, (name, result))| {
        let destination = config.destination(name)?;
        let key = destination.breaker(&ledger.source.namespace)?;
        // What the key or the bucket of one group is refused for says nothing about those of others.
        let several = destination.is_central() && config.groups.iter().any(|g| g.secrets.contains_key(name));
        let counts = !several || result.reason.is_none_or(|r| !r.is_destinations_fault() || r.is_shared());
        counts.then_some((key, result, record.retries.get(name).map(|retry| retry.since)))
    })
}

/// The labels of a snapshot that is a restore point: those of central copies are none, wherever they are.
fn point(snapshot: &Snapshot) -> Option<&Ours> {
    snapshot.ours.as_ref().filter(|o| o.component != Component::Central)
}

impl World {
    /// Takes an observation in, and names the sources that it concerns.
    pub fn apply(&mut self, change: Change) -> HashSet<String> {
        match change {
            Change::Claim(seen) => self.apply_claims(seen),
            Change::Snapshot(seen) => self.apply_snapshots(seen),
            Change::Ledger(seen) => self.apply_ledgers(seen),
            Change::Content(seen) => self.apply_contents(seen),
            Change::Job(seen) => self.apply_jobs(seen),
            Change::CronJob(seen) => {
                // All are in one namespace, so their keys go without it.
                let replaced = self.cronjobs.apply(match seen {
                    Seen::Gone((_, name), uid) => Seen::Gone((String::new(), name), uid),
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
            Change::Pod(seen) => self.apply_pods(seen),
            Change::MountFailure(pod, uid, failure) => self.apply_mount_failure(&pod, uid, failure),
            Change::PodRefusal(job, uid, refusal) => self.apply_pod_refusal(&job, uid, refusal),
            Change::PodsListed(job, uid, pods) => self.apply_pods_listed(&job, uid, pods),
            Change::DrillRefused { uid, destination, due, problem } => {
                self.memory.refused_drills.entry(uid.clone()).or_default().insert(destination, (due, problem));
                HashSet::from([uid])
            }
            Change::CopyRefused { uid, destination, run, problem } => {
                self.memory.refused_copies.entry(uid.clone()).or_default().insert((run, destination), problem);
                HashSet::from([uid])
            }
            Change::RestoreRefused { uid, request, problem } => {
                // An answer that comes late is about nobody.
                if !self.subjects.contains_key(&uid) {
                    return HashSet::new();
                }
                self.memory.refused_restores.insert(uid.clone(), (request, problem));
                HashSet::from([uid])
            }
            Change::Volume(seen) => self.apply_volumes(seen),
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
            Change::Policy(seen) => {
                // Whoever starts a copy looks whether it is there: nobody waits for it.
                self.policies.apply(seen);
                HashSet::new()
            }
            Change::Restorer(seen) => {
                // A disk that it read is free for copies when it goes.
                let replaced = self.restorers.apply(seen);
                let gone = replaced.iter().filter(|(_, new)| new.is_none());
                for uid in gone.filter_map(|(old, _)| Some(&old.as_ref()?.id.uid)) {
                    self.memory.restore_faults.remove(uid);
                }
                let gone: Vec<String> =
                    replaced.iter().filter_map(|(old, _)| Some(old.as_ref()?.namespace.clone())).collect();
                gone.iter().flat_map(|n| self.sources_in(n)).collect()
            }
            Change::Holder(namespace, seen) => {
                self.holders.entry(namespace).or_default().apply(seen);
                HashSet::new()
            }
            Change::Config(config) => {
                self.config = config;
                self.memory.configured = None;
                // Which destinations have a breaker, and who shares one, is the configuration's to say.
                self.results = Results::default();
                for book in self.ledgers.iter() {
                    results(&self.config, book).for_each(|(k, r, since)| self.results.put(&k, r, since));
                }
                self.all_if(true)
            }
        }
    }

    /// What changed results say about their destinations.
    fn weigh(&mut self, replaced: &Replaced<Book>) {
        for (old, new) in replaced {
            for (key, result, since) in old.iter().flat_map(|b| results(&self.config, b)) {
                self.results.take(&key, result, since);
            }
            let new = new.as_ref().and_then(|k| self.ledgers.items.get(k));
            for (key, result, since) in new.into_iter().flat_map(|b| results(&self.config, b)) {
                self.results.put(&key, result, since);
            }
        }
    }

    fn apply_ledgers(&mut self, seen: Seen<Book>) -> HashSet<String> {
        let replaced = self.ledgers.apply(match seen {
            Seen::Gone((_, name), uid) => {
                let of = crate::names::ledger_of(&name).unwrap_or_default().to_owned();
                Seen::Gone((String::new(), of), uid)
            }
            other => other,
        });
        self.weigh(&replaced);
        let mut dirty = HashSet::new();
        for (old, new) in replaced {
            let there = new.is_some();
            let Some(uid) = new.map(|(_, uid)| uid).or(old.map(|book| book.uid)) else { continue };
            self.subjects.entry(uid.clone()).or_default().ledger = there;
            if let (Some(refused), Some(book)) = (self.memory.refused_copies.get_mut(&uid), self.ledgers.get("", &uid))
            {
                let runs = book.ledger.as_deref().map_or(&[][..], |ledger| &ledger.runs);
                let ended = |run: &Run, to: &str| runs.iter().any(|r| r.run == *run && r.results.contains_key(to));
                refused.retain(|(run, destination), _| !ended(run, destination));
            }
            dirty.insert(uid);
        }
        self.forget_empty(&dirty);
        dirty
    }

    fn apply_snapshots(&mut self, seen: Seen<Snapshot>) -> HashSet<String> {
        let replaced = self.snapshots.apply(seen);
        let both = |(old, new): &(Option<Snapshot>, Option<Key>)| {
            let new = new.as_ref().and_then(|k| self.snapshots.items.get(k));
            [old.as_ref(), new].map(|s| s.and_then(|s| self.central(s.ours.as_ref(), &s.key())))
        };
        let central: Vec<(String, String)> = replaced.iter().flat_map(both).flatten().collect();
        let mut dirty = self.index_central(central);
        dirty.extend(self.reindex(
            replaced,
            |b| &mut b.snapshots,
            |w, k| w.ours(point(w.snapshots.items.get(k)?)).map(|o| o.source_uid.clone()),
            |s: &Snapshot| point(s),
        ));
        self.forget_empty(&dirty);
        dirty
    }

    fn apply_contents(&mut self, seen: Seen<Content>) -> HashSet<String> {
        let replaced = self.contents.apply(seen);
        let both = |(old, new): &(Option<Content>, Option<Key>)| {
            let new = new.as_ref().and_then(|k| self.contents.items.get(k));
            [old.as_ref(), new].map(|c| c.and_then(|c| self.central(c.ours.as_ref(), &c.key())))
        };
        let central: Vec<(String, String)> = replaced.iter().flat_map(both).flatten().collect();
        let dirty = self.index_central(central);
        self.forget_empty(&dirty);
        dirty
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

    fn apply_volumes(&mut self, seen: Seen<Volume>) -> HashSet<String> {
        let replaced = self.volumes.apply(seen);
        let mut waiting: Vec<String> = Vec::new();
        for (old, new) in &replaced {
            if let Some(old) = old {
                self.grants.remove(&old.name);
            }
            let volume = new.as_ref().and_then(|k| self.volumes.items.get(k));
            let central = |v: &Volume| v.central.as_ref().filter(|c| c.0 == self.namespace).map(|c| c.1.clone());
            let (before, after) = (old.as_ref().and_then(central), volume.and_then(central));
            // A newer volume of a claim of that name stays.
            if let (Some(claim), Some(old)) = (&before, old)
                && self.central_volumes.get(claim) == Some(&old.name)
            {
                self.central_volumes.remove(claim);
            }
            if let (Some(claim), Some(volume)) = (&after, volume) {
                self.central_volumes.insert(claim.clone(), volume.name.clone());
            }
            waiting.extend([before, after].into_iter().flatten());
            let ours = volume.and_then(|v| Some((v, self.ours(v.ours.as_deref())?)));
            if let Some((volume, _)) = ours.filter(|(_, o)| matches!(o.component, Component::Grant | Component::Target))
            {
                self.grants.insert(volume.name.clone());
            }
        }
        // The claim that had it, and the one that has it now.
        let both = |(old, new): &(Option<Volume>, Option<Key>)| {
            let new = new.as_ref().and_then(|k| self.volumes.items.get(k));
            [old.as_ref(), new].map(|v| v.and_then(|v| v.claim_uid.clone()))
        };
        let claims = replaced.iter().flat_map(both).flatten();
        let mut claims: HashSet<String> = claims.filter(|u| self.subjects.contains_key(u)).collect();
        // Who made a central promoter waits for the end of its volume.
        let contents = waiting.iter().filter_map(|name| self.contents.get("", name)?.ours.as_ref());
        claims.extend(contents.map(|o| o.source_uid.clone()).filter(|u| self.subjects.contains_key(u)));
        // A disk that was given free is awaited by whoever copies to it: rare, so all may look.
        let freed = replaced.iter().any(|(old, new)| {
            let Some(old) = old else { return false };
            let disk = self.ours(old.ours.as_deref()).is_some_and(|o| o.component == Component::Disk);
            let new = new.as_ref().and_then(|k| self.volumes.items.get(k));
            disk && new.is_none_or(|v| v.claim_uid.is_none() && old.claim_uid.is_some())
        });
        if freed { self.all_if(true) } else { claims }
    }

    fn apply_jobs(&mut self, seen: Seen<Job>) -> HashSet<String> {
        let replaced = self.jobs.apply(seen);
        for (old, new) in &replaced {
            if let Some(old) = old {
                self.restores.remove(&(old.namespace.clone(), old.id.name.clone()));
                let uid = new.as_ref().and_then(|key| self.jobs.items.get(key)).map(|job| &job.id.uid);
                if uid != Some(&old.id.uid) {
                    self.memory.pod_refusals.remove(&old.id.uid);
                    self.memory.listed.remove(&old.id.uid);
                }
            }
            let ours = new.as_ref().and_then(|key| self.ours(self.jobs.items.get(key)?.ours.as_ref()));
            if let Some(key) = new.as_ref().filter(|_| ours.is_some_and(|o| o.component == Component::Restore)) {
                self.restores.insert(key.clone());
            }
        }
        let disks: HashSet<String> = replaced
            .iter()
            .filter_map(|(old, new)| old.as_ref().or_else(|| self.jobs.items.get(new.as_ref()?)))
            .filter_map(|j| match j.ours.as_ref()?.component {
                Component::Keeper => Some([j.source_namespace.clone(), None]),
                // The disk or repository that it read is free again.
                Component::Restore => Some([j.source_namespace.clone(), Some(j.namespace.clone())]),
                _ => None,
            })
            .flatten()
            .flatten()
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

    fn apply_pods(&mut self, seen: Seen<Pod>) -> HashSet<String> {
        let replaced = self.pods.apply(seen);
        for (old, new) in &replaced {
            if let Some(old) = old {
                self.index_pod(old, false);
            }
            if let Some(pod) = new.as_ref().and_then(|k| self.pods.items.get(k)).cloned() {
                self.index_pod(&pod, true);
            }
        }
        let jobs: Vec<Key> = replaced
            .iter()
            .filter_map(|(old, new)| old.as_ref().or_else(|| self.pods.items.get(new.as_ref()?)))
            .map(|p| (p.namespace.clone(), p.job.clone()))
            .collect();
        for (old, new) in &replaced {
            let uid = new.as_ref().and_then(|k| self.pods.items.get(k)).map(|p| &p.uid);
            if let Some(old) = old.as_ref().filter(|old| uid != Some(&old.uid)) {
                self.memory.mount_failures.remove(&old.uid);
            }
        }
        jobs.iter().flat_map(|job| self.concerned(job)).collect()
    }

    /// An answer that comes late is about nobody.
    fn apply_mount_failure(&mut self, pod: &Key, uid: String, failure: Option<MountFailure>) -> HashSet<String> {
        let Some(found) = self.pods.items.get(pod).filter(|p| p.uid == uid) else { return HashSet::new() };
        let job = (found.namespace.clone(), found.job.clone());
        self.memory.mount_failures.insert(uid, failure);
        self.concerned(&job)
    }

    fn apply_pod_refusal(&mut self, job: &Key, uid: String, refusal: Option<PodRefusal>) -> HashSet<String> {
        if self.jobs.items.get(job).is_none_or(|found| found.id.uid != uid) {
            return HashSet::new();
        }
        self.memory.pod_refusals.insert(uid, refusal);
        self.concerned(job)
    }

    /// The watch of pods puts what is old right when it goes on.
    fn apply_pods_listed(&mut self, job: &Key, uid: String, pods: Vec<Pod>) -> HashSet<String> {
        if self.jobs.items.get(job).is_none_or(|found| found.id.uid != uid) {
            return HashSet::new();
        }
        self.memory.listed.insert(uid);
        let mut dirty = self.concerned(job);
        for pod in pods {
            dirty.extend(self.apply_pods(Seen::Put(pod)));
        }
        dirty
    }

    /// The sources that a Job is for.
    fn concerned(&self, job: &Key) -> HashSet<String> {
        let Some(job) = self.jobs.items.get(job) else { return HashSet::new() };
        match job.ours.as_ref() {
            Some(ours) if !ours.source_uid.is_empty() => HashSet::from([ours.source_uid.clone()]),
            // A keeper's.
            _ => job.source_namespace.iter().flat_map(|n| self.subjects_in(n)).collect(),
        }
    }

    fn index_pod(&mut self, pod: &Pod, there: bool) {
        let job = (pod.namespace.clone(), pod.job.clone());
        let pods = self.job_pods.entry(job.clone()).or_default();
        if there {
            pods.insert(pod.key());
        } else {
            pods.remove(&pod.key());
        }
        if pods.is_empty() {
            self.job_pods.remove(&job);
        }
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
        self.forget_empty(&dirty);
        dirty.retain(|uid| !uid.is_empty());
        dirty
    }

    fn index_claim(&mut self, claim: &Claim, there: bool) -> HashSet<String> {
        let key = claim.key();
        if there && claim.settings.contains_key(crate::names::RESTORE_FROM) {
            self.asking.insert(key.clone());
        } else {
            self.asking.remove(&key);
        }
        if there && claim.restored.as_ref().is_some_and(|told| told.state == RestoreState::Refused) {
            self.memory.refused_restores.remove(&claim.id.uid);
        }
        let ours = self.ours(claim.ours.as_ref());
        if there && ours.is_some_and(|o| o.component == Component::Promoter && o.due.is_some()) {
            self.drill_promoters.insert(key.clone());
        } else {
            self.drill_promoters.remove(&key);
        }
        match self.ours(claim.ours.as_ref()).map(|o| (o.component, o.source_uid.clone())) {
            Some((Component::Promoter, uid)) => {
                self.index(&uid, &key, there, |b| &mut b.promoters);
                HashSet::from([uid])
            }
            Some((Component::Disk, _)) => self.sources_in(&claim.namespace),
            Some((Component::Central, uid)) if claim.namespace == self.namespace => {
                self.index_central(vec![(uid, claim.id.name.clone())])
            }
            // It is no source, and restores are planned together.
            Some((Component::Target, _)) if claim.namespace == self.namespace => HashSet::new(),
            _ => {
                let uid = claim.id.uid.clone();
                let entry = self.subjects.entry(uid.clone()).or_default();
                if there {
                    entry.claim = Some(key);
                } else if entry.claim.as_ref() == Some(&key) {
                    entry.claim = None;
                }
                HashSet::from([uid])
            }
        }
    }

    /// The source and the name of an object from which a central copy is made. They are in our own namespace, or in
    /// none: what says so elsewhere is none of ours.
    fn central(&self, ours: Option<&Ours>, key: &Key) -> Option<(String, String)> {
        let ours = self.ours(ours).filter(|o| o.component == Component::Central && !o.source_uid.is_empty())?;
        (key.0.is_empty() || key.0 == self.namespace).then(|| (ours.source_uid.clone(), key.1.clone()))
    }

    /// Content, snapshot and PVC share their name: it is known as long as one of them is there.
    fn index_central(&mut self, parts: Vec<(String, String)>) -> HashSet<String> {
        for part in &parts {
            let (uid, name) = part;
            let is = |ours: Option<&Ours>| self.central(ours, &(String::new(), name.clone())).as_ref() == Some(part);
            let there = self.contents.get("", name).is_some_and(|c| is(c.ours.as_ref()))
                || self.snapshots.get(&self.namespace, name).is_some_and(|s| is(s.ours.as_ref()))
                || self.claims.get(&self.namespace, name).is_some_and(|c| is(c.ours.as_ref()));
            let names = &mut self.subjects.entry(uid.clone()).or_default().central;
            if there {
                names.insert(name.clone());
            } else {
                names.remove(name);
            }
        }
        parts.into_iter().map(|(uid, _)| uid).collect()
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
    }

    /// Only when all of a change is taken in: in between, an object that was replaced is not there.
    fn forget_empty(&mut self, uids: &HashSet<String>) {
        for uid in uids {
            if self.subjects.get(uid).is_some_and(Belongings::is_empty) {
                self.subjects.remove(uid);
                self.memory.forget(uid);
            }
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
        self.forget_empty(&dirty);
        dirty.retain(|uid| !uid.is_empty());
        dirty
    }
}
