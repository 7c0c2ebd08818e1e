//! Waiting for one object, by one watch, with a deadline.

use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::api::WatchEvent;
use model::reason::{Problem, Reason};
use model::snapshot::VolumeSnapshot;
use model::text::clip;
use tokio::time::{Instant, sleep_until, timeout};

use super::server::{self, Object, Server};
use super::stop::Stop;

/// Between two watches of the same object, so that a server that ends each at once is not pressed.
const APART: Duration = Duration::from_secs(1);

/// What is seen of an object.
#[derive(Debug)]
pub(super) enum Seen<K> {
    /// How it is now.
    Is(K),
    /// It is gone, or another object has its name.
    Gone,
}

type Events<K> = Pin<Box<dyn Stream<Item = Result<WatchEvent<K>, kube::Error>> + Send>>;

/// One object, followed by a watch. The watch is begun anew when it ends, after a look at what was missed.
pub(super) struct Follow<'a, K> {
    server: &'a Server,
    namespace: Option<&'a str>,
    name: &'a str,
    uid: Option<String>,
    version: String,
    events: Option<Events<K>>,
    not_before: Instant,
}

impl<'a, K: Object> Follow<'a, K> {
    /// Follows an object whose state is known: tells what happens after it.
    pub(super) fn from(server: &'a Server, namespace: Option<&'a str>, name: &'a str, state: &K) -> Self {
        let mut follow = Self::begin(server, namespace, name);
        follow.at(state);
        follow
    }

    /// Follows an object of which only the name is known: tells its present state first, if it exists.
    pub(super) fn begin(server: &'a Server, namespace: Option<&'a str>, name: &'a str) -> Self {
        let not_before = Instant::now();
        Self { server, namespace, name, uid: None, version: String::new(), events: None, not_before }
    }

    fn at(&mut self, state: &K) {
        self.version = state.meta().resource_version.clone().unwrap_or_default();
        if self.uid.is_none() {
            self.uid.clone_from(&state.meta().uid);
        }
    }

    /// How the object is, when that is known anew. Never ends by itself: to be called under a deadline.
    pub(super) async fn next(&mut self) -> Result<Seen<K>, api::Error> {
        loop {
            let Some(events) = &mut self.events else {
                sleep_until(self.not_before).await;
                self.not_before = Instant::now() + APART;
                match self.server.watch(self.namespace, self.name, &self.version).await {
                    Ok(events) => self.events = Some(events.boxed()),
                    Err(error) if server::is_expired(&error) => return self.look().await,
                    Err(error) => return Err(error),
                }
                continue;
            };
            match events.next().await {
                Some(Ok(WatchEvent::Added(state) | WatchEvent::Modified(state))) => return Ok(self.seen(state)),
                Some(Ok(WatchEvent::Deleted(_))) => return Ok(Seen::Gone),
                Some(Ok(WatchEvent::Bookmark(mark))) => self.version = mark.metadata.resource_version,
                Some(Ok(WatchEvent::Error(status))) => {
                    tracing::debug!("the watch of {} ended: {}", self.name, status.message);
                    return self.look().await;
                }
                Some(Err(error)) => {
                    tracing::debug!("the watch of {} ended: {error}", self.name);
                    return self.look().await;
                }
                None => return self.look().await,
            }
        }
    }

    /// The object as it is, from which the next watch goes on.
    pub(super) async fn look(&mut self) -> Result<Seen<K>, api::Error> {
        self.events = None;
        match self.server.get::<K>(self.namespace, self.name).await? {
            Some(state) => Ok(self.seen(state)),
            None => Ok(Seen::Gone),
        }
    }

    fn seen(&mut self, state: K) -> Seen<K> {
        if self.uid.is_some() && state.meta().uid != self.uid {
            return Seen::Gone;
        }
        self.at(&state);
        Seen::Is(state)
    }
}

/// Waits until a snapshot is ready. An error in its status may pass (F02); it counts only at the deadline (F03).
pub(super) async fn until_ready(
    server: &Server,
    namespace: &str,
    snapshot: VolumeSnapshot,
    patience: Duration,
) -> Result<VolumeSnapshot, Stop> {
    let deadline = Instant::now() + patience;
    let name = snapshot.metadata.name.clone().unwrap_or_default();
    let mut follow = Follow::from(server, Some(namespace), &name, &snapshot);
    let mut told = None;
    let mut state = snapshot;
    loop {
        let status = state.status.as_ref();
        if state.metadata.deletion_timestamp.is_some() {
            return Err(lost(&name));
        }
        if status.and_then(|s| s.ready_to_use) == Some(true) {
            return Ok(state);
        }
        let error = status.and_then(|s| s.error.as_ref()).and_then(|e| e.message.clone());
        if error.is_some() && error != told {
            tracing::warn!("the VolumeSnapshot {name} is not ready yet: {}", error.as_deref().unwrap_or_default());
            told = error;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        state = match timeout(left, follow.next()).await {
            Ok(Ok(Seen::Is(state))) => state,
            Ok(Ok(Seen::Gone)) => return Err(lost(&name)),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(too_late(&name, patience, told.as_deref())),
        };
    }
}

/// Another try makes another one.
fn lost(name: &str) -> Stop {
    let message = format!("the VolumeSnapshot {name} was deleted before it was ready");
    Stop::Again(Problem::new(Reason::PromoterLost, message))
}

fn too_late(name: &str, patience: Duration, error: Option<&str>) -> Stop {
    let why = error.map_or_else(|| "the CSI driver reports no error".to_owned(), |e| clip(e, 300));
    let message = format!("the VolumeSnapshot {name} is not ready after {} s: {why}", patience.as_secs());
    Stop::Final(Problem::new(Reason::SnapshotNotReady, message))
}
