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
    /// The namespaces that are watched; what is dropped ends its watch.
    watched: HashMap<String, oneshot::Sender<()>>,
}

impl Holders {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, watched: HashMap::new() }
    }

    /// Begins and ends watches, so that the namespaces in question are watched and no others.
    pub(crate) fn follow(
        &mut self,
        wanted: &BTreeSet<String>,
        world: &mut World,
        changes: &mut SelectAll<BoxStream<'static, Change>>,
    ) {
        if wanted.is_empty() && self.watched.is_empty() {
            return;
        }
        self.watched.retain(|namespace, _| wanted.contains(namespace));
        world.holders.retain(|namespace, _| wanted.contains(namespace));
        for namespace in wanted {
            if !self.watched.contains_key(namespace) {
                let (pods, end) = watch::holders(&self.client, namespace);
                changes.push(pods);
                self.watched.insert(namespace.clone(), end);
            }
        }
    }
}
