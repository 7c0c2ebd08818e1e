//! Whose pods are watched: those of namespaces in which something is restored, and no others.

use std::collections::{BTreeSet, HashMap};

use futures::stream::{BoxStream, SelectAll};
use kube::Client;
use model::world::{Change, World};
use tokio::sync::oneshot;

use crate::watch;

/// The watches on pods of namespaces.
pub(crate) struct Holders {
    client: Client,
    /// The namespaces that have to be watched.
    pub(crate) wanted: BTreeSet<String>,
    /// Those that are; what is dropped ends its watch.
    watched: HashMap<String, oneshot::Sender<()>>,
}

impl Holders {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, wanted: BTreeSet::new(), watched: HashMap::new() }
    }

    /// Whether there is something to watch, or to stop watching.
    pub(crate) fn is_idle(&self) -> bool {
        self.wanted.is_empty() && self.watched.is_empty()
    }

    /// Begins and ends watches.
    pub(crate) fn follow(&mut self, world: &mut World, changes: &mut SelectAll<BoxStream<'static, Change>>) {
        if self.is_idle() {
            return;
        }
        self.watched.retain(|namespace, _| self.wanted.contains(namespace));
        world.holders.retain(|namespace, _| self.wanted.contains(namespace));
        for namespace in &self.wanted {
            if !self.watched.contains_key(namespace) {
                let (pods, wanted) = watch::holders(&self.client, namespace);
                changes.push(pods);
                self.watched.insert(namespace.clone(), wanted);
            }
        }
    }
}
