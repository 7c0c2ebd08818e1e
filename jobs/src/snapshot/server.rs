//! The API server, as a job asks it: with lists and watches, and a few tries where another one can help.

use std::fmt::Debug;
use std::time::Duration;

use api::{Created, Error, Retry};
use futures::{Stream, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use kube::api::{GetParams, ListParams, Request, WatchEvent, WatchParams};
use kube::{Client, Resource};
use model::facts::Identity;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

/// How long the tries of one request go on. Then the Job's own next try is due.
const PATIENCE: Duration = Duration::from_secs(45);
/// The same for a right that is missing: an API server that has just started knows none for a moment.
const PATIENCE_WITH_RIGHTS: Duration = Duration::from_secs(8);
/// Before the second try; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Objects in one page of a list.
const PAGE: u32 = 500;
/// How long a watch may last before it is begun anew: so long at most a dead connection goes unnoticed.
const WATCH: Duration = Duration::from_mins(2);

/// What became of a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// It is gone or going.
    Yes,
    /// It is not what was looked at any more: somebody changed or replaced it.
    Changed,
}

/// An object of the kinds that are asked for here.
pub(crate) trait Object: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + 'static {}
impl<K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + 'static> Object for K {}

/// What a list has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Selector<'a> {
    /// Labels; empty means all.
    pub(crate) labels: &'a str,
    /// Fields; empty means all.
    pub(crate) fields: &'a str,
    /// The objects' metadata alone.
    pub(crate) metadata: bool,
}

/// One page of a list. Smaller than kube's, which holds every page twice while it is read.
#[derive(Deserialize)]
struct Page<P> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default = "Vec::new")]
    items: Vec<P>,
}

/// An object of which only the metadata was asked for.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct OnlyMetadata {
    /// It.
    #[serde(default)]
    pub(crate) metadata: ObjectMeta,
}

/// The API server.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
}

impl Server {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// An object, or nothing if there is none.
    pub(crate) async fn get<K: Object>(&self, namespace: Option<&str>, name: &str) -> Result<Option<K>, Error> {
        let ask = Ask::of::<K>("get", namespace, name);
        let request = ask.built(ask.path.get(name, &GetParams::default()))?;
        absent_is_none(ask.tried(|| self.client.request(request.clone())).await)
    }

    /// An object's metadata alone.
    pub(crate) async fn get_metadata<K: Object>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<ObjectMeta>, Error> {
        let ask = Ask::of::<K>("get", Some(namespace), name);
        let request = ask.built(ask.path.get_metadata(name, &GetParams::default()))?;
        let found = absent_is_none(ask.tried(|| self.client.request::<OnlyMetadata>(request.clone())).await)?;
        Ok(found.map(|object| object.metadata))
    }

    /// Creates an object; a name that is taken is answered with what has it, which may be what a try before
    /// this one made.
    pub(crate) async fn create<K: Object>(&self, object: &serde_json::Value) -> Result<Created<K>, Error> {
        tried(async || api::create(&self.client, object).await).await
    }

    /// Deletes exactly the object that was looked at, in the version that was looked at.
    pub(crate) async fn delete<K: Object>(&self, namespace: &str, id: &Identity) -> Result<Deleted, Error> {
        let delete = async || match api::delete::<K>(&self.client, namespace, id, true).await {
            Ok(_) => Ok(Deleted::Yes),
            Err(error) if error.is_conflict() => Ok(Deleted::Changed),
            Err(error) => Err(error),
        };
        tried(delete).await
    }

    /// Gives every object of kind `K` to `take`, page by page, in the fields that `P` reads.
    pub(crate) async fn list<K: Object, P: DeserializeOwned>(
        &self,
        namespace: Option<&str>,
        selector: &Selector<'_>,
        mut take: impl FnMut(P),
    ) -> Result<(), Error> {
        let ask = Ask::of::<K>("list", namespace, "");
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector = (!selector.labels.is_empty()).then(|| selector.labels.to_owned());
        params.field_selector = (!selector.fields.is_empty()).then(|| selector.fields.to_owned());
        loop {
            let request = if selector.metadata { ask.path.list_metadata(&params) } else { ask.path.list(&params) };
            let request = ask.built(request)?;
            let page: Page<P> = ask.tried(|| self.client.request(request.clone())).await?;
            page.items.into_iter().for_each(&mut take);
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return Ok(());
            }
        }
    }

    /// What happens to one object after `version`, beginning with its present state if `version` is empty.
    /// The stream ends after two minutes at the latest, and after an error.
    pub(crate) async fn watch<K: Object>(
        &self,
        namespace: Option<&str>,
        name: &str,
        version: &str,
    ) -> Result<impl Stream<Item = Result<WatchEvent<K>, kube::Error>> + Send + use<K>, Error> {
        let ask = Ask::of::<K>("watch", namespace, name);
        let seconds = u32::try_from(WATCH.as_secs()).unwrap_or(120);
        let params = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(seconds);
        let request = ask.built(ask.path.watch(&params, version))?;
        let events = ask.tried(|| self.client.request_events::<K>(request.clone())).await?;
        // The server ends the watch in time; a connection that died does not.
        Ok(events.take_until(sleep(WATCH + PATIENCE)))
    }
}

/// A request in words, and its path.
struct Ask {
    what: String,
    path: Request,
}

impl Ask {
    fn of<K: Object>(verb: &str, namespace: Option<&str>, name: &str) -> Self {
        let place = [namespace.unwrap_or_default(), name].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>();
        Self {
            what: format!("{verb} {} {}", K::plural(&()), place.join("/")),
            path: Request::new(K::url_path(&(), namespace)),
        }
    }

    fn built<R>(&self, request: Result<R, kube::core::request::Error>) -> Result<R, Error> {
        request.map_err(|error| Error::Request {
            what: self.what.clone(),
            source: Box::new(kube::Error::BuildRequest(error)),
        })
    }

    async fn tried<T, F: Future<Output = Result<T, kube::Error>>>(&self, attempt: impl Fn() -> F) -> Result<T, Error> {
        tried(async || api::bounded(|| self.what.clone(), attempt()).await).await
    }
}

/// Tries until there is an answer that counts, or patience ends.
async fn tried<T>(attempt: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    let begun = Instant::now();
    let mut pause = PAUSE;
    let mut without_rights = None;
    loop {
        let error = match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let now = Instant::now();
        let deadline = if error.retry() == Retry::Transient && !is_expired(&error) {
            begun + PATIENCE
        } else if is_unauthorized(&error) {
            *without_rights.get_or_insert(now) + PATIENCE_WITH_RIGHTS
        } else {
            return Err(error);
        };
        if now + pause >= deadline {
            return Err(error);
        }
        tracing::warn!("{}; retrying in {} ms", api::chain(&error), pause.as_millis());
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn status(error: &Error) -> Option<&kube::core::Status> {
    let Error::Request { source, .. } = error else { return None };
    if let kube::Error::Api(status) = &**source { Some(status) } else { None }
}

/// Whether a watch asks for what the API server has forgotten, or a list for a page of it.
pub(crate) fn is_expired(error: &Error) -> bool {
    status(error).is_some_and(|s| s.code == 410)
}

/// Whether the path is not known: a kind that the cluster does not have is answered in plain text, without
/// the reason that kube looks for.
pub(crate) fn is_unknown(error: &Error) -> bool {
    status(error).is_some_and(|s| s.code == 404)
}

/// Whether a right is missing; a quota or a policy refuses in other words.
pub(crate) fn is_unauthorized(error: &Error) -> bool {
    status(error).is_some_and(|s| s.code == 403 && s.message.contains(" cannot "))
}

fn absent_is_none<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
