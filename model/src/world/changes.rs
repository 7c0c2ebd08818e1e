//! How an observation changes the state, and which sources it concerns.

use std::collections::{BTreeSet, HashSet};

use super::store::{Observed, Replaced};
use super::{Belongings, Change, Key, Seen, World};
use crate::breaker::{self, Results};
use crate::config::Config;
use crate::facts::{Claim, CronJob, Job, Ours, Pod, Snapshot, Volume};
use crate::names::Component;
use crate::record::CopyResult;

/// The results of a snapshot's copies to destinations that have a breaker.
fn results<'a>(
    config: &'a Config,
    instance: &'a str,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = (String, &'a CopyResult)> {
    let ours = snapshot.ours.as_ref().is_some_and(|o| o.instance == instance);
    let copies = snapshot.copies.iter().filter(move |_| ours);
    copies.filter_map(|(name, result)| Some((breaker::key(config.destination(name)?, &snapshot.namespace)?, result)))
}

impl World {
    /// Takes an observation in, and names the sources that it concerns.
    pub fn apply(&mut self, change: Change) -> HashSet<String> {
        match change {
            Change::Claim(seen) => self.apply_claims(seen),
            Change::Snapshot(seen) => {
                let replaced = self.snapshots.apply(seen);
                self.weigh(&replaced);
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
                    self.restore_faults.remove(uid);
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
                // Which destinations have a breaker, and who shares one, is the configuration's to say.
                self.results = Results::default();
                for snapshot in self.snapshots.iter() {
                    results(&self.config, &self.instance, snapshot).for_each(|(k, r)| self.results.put(&k, r));
                }
                self.all_if(true)
            }
        }
    }

    /// What changed results say about their destinations.
    fn weigh(&mut self, replaced: &Replaced<Snapshot>) {
        for (old, new) in replaced {
            for (key, result) in old.iter().flat_map(|s| results(&self.config, &self.instance, s)) {
                self.results.take(&key, result);
            }
            let new = new.as_ref().and_then(|k| self.snapshots.items.get(k));
            for (key, result) in new.into_iter().flat_map(|s| results(&self.config, &self.instance, s)) {
                self.results.put(&key, result);
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

    fn apply_volumes(&mut self, seen: Seen<Volume>) -> HashSet<String> {
        let replaced = self.volumes.apply(seen);
        for (old, new) in &replaced {
            if let Some(old) = old {
                self.grants.remove(&old.name);
            }
            let volume = new.as_ref().and_then(|k| self.volumes.items.get(k));
            let ours = volume.and_then(|v| Some((v, self.ours(v.ours.as_deref())?)));
            if let Some((volume, _)) = ours.filter(|(_, o)| o.component == Component::Grant) {
                self.grants.insert(volume.name.clone());
            }
        }
        // The claim that had it, and the one that has it now.
        let both = |(old, new): &(Option<Volume>, Option<Key>)| {
            let new = new.as_ref().and_then(|k| self.volumes.items.get(k));
            [old.as_ref(), new].map(|v| v.and_then(|v| v.claim_uid.clone()))
        };
        let claims = replaced.iter().flat_map(both).flatten();
        let claims: HashSet<String> = claims.filter(|u| self.subjects.contains_key(u)).collect();
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
        let disks: HashSet<String> = replaced
            .iter()
            .filter_map(|(old, new)| old.as_ref().or_else(|| self.jobs.items.get(new.as_ref()?)))
            .filter_map(|j| match j.ours.as_ref()?.component {
                Component::Keeper => j.source_namespace.clone(),
                // The disk that it read is free for copies.
                Component::Restore => Some(j.namespace.clone()),
                _ => None,
            })
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
    }

    /// Only when all of a change is taken in: in between, an object that was replaced is not there.
    fn forget_empty(&mut self, uids: &HashSet<String>) {
        for uid in uids {
            if self.subjects.get(uid).is_some_and(Belongings::is_empty) {
                self.subjects.remove(uid);
                self.faults.remove(uid);
                self.waits.remove(uid);
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
