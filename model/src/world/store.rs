//! All objects of one kind, kept as a watch tells of them.

use std::collections::{BTreeMap, HashSet, VecDeque};

use crate::facts::{
    Claim, Content, CronJob, Holder, Identity, Job, Namespace, Node, Pod, Policy, Restorer, Snapshot, SnapshotClass,
    StorageClass, Volume,
};
use crate::ledger::Book;

/// Namespace and name; the namespace is empty for objects of the cluster.
pub type Key = (String, String);

/// An observation of one kind of object.
#[derive(Debug, Clone)]
pub enum Seen<T> {
    /// A full list begins: what it does not name is gone.
    Begin,
    /// An object is there.
    Put(T),
    /// An object is gone: the one with this UID, as another may have its name already.
    Gone(Key, String),
    /// The full list is complete.
    End,
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
    Book: |_| "", |b| &b.uid, |b| version(&b.id);
    Job: |j| &j.namespace, |j| &j.id.name, |j| version(&j.id);
    Content: |_| "", |c| &c.id.name, |c| version(&c.id);
    Restorer: |r| &r.namespace, |r| &r.id.name, |r| version(&r.id);
    Holder: |h| &h.namespace, |h| &h.id.name, |h| version(&h.id);
    CronJob: |_| "", |c| &c.id.name, |c| version(&c.id);
    Policy: |p| &p.namespace, |p| &p.name, |_| None;
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
    pub(super) items: BTreeMap<Key, T>,
    listing: Option<HashSet<Key>>,
    pub(super) synced: bool,
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
pub(super) type Replaced<T> = Vec<(Option<T>, Option<Key>)>;

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

    pub(super) fn apply(&mut self, seen: Seen<T>) -> Replaced<T> {
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
            Seen::Gone(key, uid) => {
                let held = self.items.get(&key).and_then(Observed::version);
                if held.is_some_and(|(held, _)| held != uid) {
                    self.remember(uid);
                    return Vec::new();
                }
                self.remove(&key).map(|old| (Some(old), None)).into_iter().collect()
            }
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
            self.remember(uid.to_owned());
        }
        Some(old)
    }

    fn remember(&mut self, uid: String) {
        self.gone.push_back(uid);
        let over = self.gone.len().saturating_sub(REMEMBERED);
        self.gone.drain(..over);
    }
}

fn is_newer<T: Observed>(held: &T, seen: &T) -> bool {
    match (held.version(), seen.version()) {
        (Some((uid, held)), Some((other, seen))) => uid == other && held > seen,
        _ => false,
    }
}
