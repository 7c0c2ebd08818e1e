//! An API server that remembers: objects are made, changed and deleted, and watches see it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use http::{Method, Request, Response};
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Frame};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::tests::fixture::{CONFIG, Objects};

type Answer = UnsyncBoxBody<Bytes, Infallible>;
/// What somebody else does when an object is made or changed: objects to be written, with their collections.
type Reaction = Box<dyn Fn(&str, &Value) -> Vec<(String, Value)> + Send>;

/// One change, for watches.
#[derive(Clone)]
struct Change {
    collection: String,
    kind: &'static str,
    object: Value,
}

#[derive(Default)]
struct State {
    /// By collection and name.
    objects: BTreeMap<(String, String), Value>,
    log: Vec<Change>,
    asked: Vec<String>,
    refused: Vec<(Method, String, u16, Value)>,
    reaction: Option<Reaction>,
    /// Whether pods outlive their Deployment for a while.
    linger: bool,
    /// The rights that the person has not: verb, and resource with its subresource.
    denied: Vec<(&'static str, &'static str)>,
    /// What somebody else writes just before a change of one version.
    ahead: Option<(String, Value)>,
}

/// The server.
#[derive(Clone)]
pub(super) struct Cluster {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<usize>,
}

pub(super) fn core(plural: &str) -> String {
    format!("/api/v1/namespaces/shop/{plural}")
}

pub(super) fn apps(plural: &str) -> String {
    format!("/apis/apps/v1/namespaces/shop/{plural}")
}

fn collection_of(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or((path, ""))
}

impl State {
    fn put(&mut self, collection: &str, mut object: Value) -> Value {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let version = self.log.len() + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let uid = || json!(format!("uid-{name}"));
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = uid();
        }
        let before = self.objects.insert((collection.to_owned(), name), object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.log.push(Change { collection: collection.to_owned(), kind, object: object.clone() });
        let others = self.reaction.as_ref().map(|react| react(collection, &object)).unwrap_or_default();
        for (collection, object) in others {
            self.put(&collection, object);
        }
        object
    }

    /// The pod of a restore goes with its Deployment.
    fn take(&mut self, collection: &str, name: &str) -> Option<Value> {
        let object = self.objects.remove(&(collection.to_owned(), name.to_owned()))?;
        self.log.push(Change { collection: collection.to_owned(), kind: "DELETED", object: object.clone() });
        if collection == apps("deployments") && !self.linger {
            self.take(&core("pods"), &format!("{name}-x"));
        }
        Some(object)
    }
}

impl Cluster {
    /// With the lists of a fixture.
    pub(super) fn of(objects: Objects) -> Self {
        let cluster = Self { state: Arc::default(), changed: watch::channel(0).0 };
        let lists = [
            (core("persistentvolumeclaims"), objects.claims),
            ("/apis/snapshot.storage.k8s.io/v1/namespaces/shop/volumesnapshots".to_owned(), objects.snapshots),
            ("/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses".to_owned(), objects.snapshot_classes),
            ("/apis/batch/v1/namespaces/keepers/cronjobs".to_owned(), objects.cronjobs),
            ("/api/v1/persistentvolumes".to_owned(), objects.volumes),
            ("/apis/storage.k8s.io/v1/storageclasses".to_owned(), objects.storage_classes),
            ("/apis/batch/v1/namespaces/shop/jobs".to_owned(), objects.jobs),
        ];
        for (collection, items) in lists {
            for item in items {
                cluster.put(&collection, item);
            }
        }
        let config = json!({"metadata": {"name": "backup-controller"}, "data": {"config.yaml": CONFIG}});
        cluster.put("/api/v1/namespaces/keepers/configmaps", config);
        let namespace = json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "shop"}
        });
        cluster.put("/api/v1/namespaces", namespace);
        cluster
    }

    /// Somebody else writes an object.
    pub(super) fn put(&self, collection: &str, object: Value) {
        let mut state = self.state.lock().unwrap();
        state.put(collection, object);
        self.changed.send_replace(state.log.len());
    }

    /// Changes an object.
    pub(super) fn edit(&self, collection: &str, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.get(collection, name).unwrap();
        edit(&mut object);
        self.put(collection, object);
    }

    /// What somebody else does when something is written.
    pub(super) fn reacting(self, reaction: impl Fn(&str, &Value) -> Vec<(String, Value)> + Send + 'static) -> Self {
        self.state.lock().unwrap().reaction = Some(Box::new(reaction));
        self
    }

    /// The person lacks these rights: verb, and resource with its subresource.
    pub(super) fn denying(self, rights: &[(&'static str, &'static str)]) -> Self {
        self.state.lock().unwrap().denied.extend(rights);
        self
    }

    /// Pods outlive their Deployment until somebody removes them.
    pub(super) fn lingering(self) -> Self {
        self.state.lock().unwrap().linger = true;
        self
    }

    /// Somebody else writes an object just before the next change of one version.
    pub(super) fn put_ahead(&self, collection: &str, object: Value) {
        self.state.lock().unwrap().ahead = Some((collection.to_owned(), object));
    }

    /// Somebody else removes an object.
    pub(super) fn remove(&self, collection: &str, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.take(collection, name);
        self.changed.send_replace(state.log.len());
    }

    /// Refuses what begins with this path.
    pub(super) fn refusing(self, method: Method, path: &str, code: u16, reason: &str, message: &str) -> Self {
        let status = failure(code, reason, message);
        self.state.lock().unwrap().refused.push((method, path.to_owned(), code, status));
        self
    }

    pub(super) fn get(&self, collection: &str, name: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(&(collection.to_owned(), name.to_owned())).cloned()
    }

    /// The same, also of one that was there and is not any more.
    pub(super) fn seen(&self, collection: &str, name: &str) -> Option<Value> {
        let state = self.state.lock().unwrap();
        let its = |c: &&Change| c.collection == collection && c.object["metadata"]["name"] == name;
        state.log.iter().rfind(its).map(|c| c.object.clone())
    }

    /// The names in a collection.
    pub(super) fn names(&self, collection: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.objects.keys().filter(|(c, _)| c == collection).map(|(_, name)| name.clone()).collect()
    }

    /// What was asked that changes something, in order: `POST /api/…`.
    pub(super) fn writes(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|a| !a.starts_with("GET ")).cloned().collect()
    }

    pub(super) fn client(&self) -> Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move { Ok::<_, Infallible>(cluster.answer(request).await) }
        });
        Client::new(service, "shop")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Answer> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let (path, query) = (parts.uri.path().to_owned(), decode(parts.uri.query().unwrap_or_default()));
        let query: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let mut state = self.state.lock().unwrap();
        state.asked.push(format!("{} {path}", parts.method));
        let refused =
            state.refused.iter().find(|(method, prefix, ..)| *method == parts.method && path.starts_with(prefix));
        if let Some((_, _, code, status)) = refused {
            return reply(*code, status);
        }
        if query.get("watch") == Some(&"true") {
            let from: usize = query.get("resourceVersion").and_then(|v| v.parse().ok()).unwrap_or(0);
            return self.watch(path, from, selector(&query));
        }
        if let Some(answer) = access(&state, &path, &body) {
            state.asked.pop();
            return reply(201, &answer);
        }
        let answer = match parts.method {
            Method::GET => get(&state, &path, &selector(&query)),
            Method::POST if query.contains_key("dryRun") => (201, serde_json::from_slice(&body).unwrap()),
            Method::POST => post(&mut state, &path, serde_json::from_slice(&body).unwrap()),
            Method::PATCH => patch(&mut state, &path, &serde_json::from_slice(&body).unwrap()),
            Method::DELETE => match state.take(collection_of(&path).0, collection_of(&path).1) {
                Some(object) => (200, object),
                None => (404, failure(404, "NotFound", "no such thing")),
            },
            _ => (405, failure(405, "MethodNotAllowed", "")),
        };
        self.changed.send_replace(state.log.len());
        drop(state);
        reply(answer.0, &answer.1)
    }

    fn watch(&self, path: String, from: usize, selector: Vec<(String, String)>) -> Response<Answer> {
        let (state, receiver) = (Arc::clone(&self.state), self.changed.subscribe());
        let events = futures::stream::unfold((from, receiver), move |(mut at, mut receiver)| {
            let (state, path, selector) = (Arc::clone(&state), path.clone(), selector.clone());
            async move {
                loop {
                    let next = state.lock().unwrap().log.get(at).cloned();
                    match next {
                        Some(change) => {
                            at += 1;
                            if change.collection == path && selected(&change.object, &selector) {
                                let line = json!({"type": change.kind, "object": change.object}).to_string() + "\n";
                                return Some((Ok(Frame::data(Bytes::from(line))), (at, receiver)));
                            }
                        }
                        None => receiver.changed().await.ok()?,
                    }
                }
            }
        });
        Response::new(StreamBody::new(events.boxed()).boxed_unsync())
    }
}

/// What the API server says of a person's rights; nothing about it is stored.
fn access(state: &State, path: &str, body: &[u8]) -> Option<Value> {
    match path.rsplit('/').next()? {
        "selfsubjectreviews" => Some(json!({"metadata": {}, "status": {"userInfo": {"username": "jane"}}})),
        "selfsubjectaccessreviews" => {
            let mut review: Value = serde_json::from_slice(body).unwrap();
            let asked = &review["spec"]["resourceAttributes"];
            let text = |key: &str| asked[key].as_str().unwrap_or_default();
            let resource = format!("{}/{}", text("resource"), text("subresource"));
            let asked = (text("verb"), resource.trim_end_matches('/'));
            review["status"] = json!({"allowed": !state.denied.contains(&asked)});
            Some(review)
        }
        _ => None,
    }
}

fn reply(code: u16, body: &Value) -> Response<Answer> {
    let body = Full::new(Bytes::from(serde_json::to_vec(body).unwrap())).boxed_unsync();
    Response::builder().status(code).body(body).unwrap()
}

fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code
    })
}

fn get(state: &State, path: &str, selector: &[(String, String)]) -> (u16, Value) {
    let (collection, name) = collection_of(path);
    if let Some(object) = state.objects.get(&(collection.to_owned(), name.to_owned())) {
        return (200, object.clone());
    }
    // A name is never that of a kind.
    if !name.ends_with('s') {
        return (404, failure(404, "NotFound", "no such thing"));
    }
    let items: Vec<&Value> =
        state.objects.iter().filter(|((c, _), o)| c == path && selected(o, selector)).map(|(_, o)| o).collect();
    (200, json!({"metadata": {"resourceVersion": state.log.len().to_string()}, "items": items}))
}

fn post(state: &mut State, path: &str, object: Value) -> (u16, Value) {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    if state.objects.contains_key(&(path.to_owned(), name)) {
        return (409, failure(409, "AlreadyExists", "it is there"));
    }
    (201, state.put(path, object))
}

fn patch(state: &mut State, path: &str, change: &Value) -> (u16, Value) {
    let path = path.strip_suffix("/scale").unwrap_or(path);
    let (collection, name) = collection_of(path);
    let Some(mut object) = state.objects.get(&(collection.to_owned(), name.to_owned())).cloned() else {
        return (404, failure(404, "NotFound", "no such thing"));
    };
    if let Some((path, object)) = state.ahead.take_if(|_| !change["metadata"]["resourceVersion"].is_null()) {
        state.put(&path, object);
        return (409, failure(409, "Conflict", "the object has been modified"));
    }
    let version = &change["metadata"]["resourceVersion"];
    if !version.is_null() && *version != object["metadata"]["resourceVersion"] {
        return (409, failure(409, "Conflict", "the object has been modified"));
    }
    merge(&mut object, change);
    let object = state.put(collection, object);
    (200, json!({"metadata": object["metadata"], "spec": {"replicas": object["spec"]["replicas"]}}))
}

fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    for (key, value) in fields {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut object[key], value);
        }
    }
}

/// The pairs of both selectors, as pointers into an object.
fn selector(query: &BTreeMap<&str, &str>) -> Vec<(String, String)> {
    let pairs = |key: &str| query.get(key).copied().unwrap_or_default().split(',').filter_map(|p| p.split_once('='));
    let fields = pairs("fieldSelector").map(|(k, v)| (format!("/{}", k.replace('.', "/")), v.to_owned()));
    let labels =
        pairs("labelSelector").map(|(k, v)| (format!("/metadata/labels/{}", k.replace('/', "~1")), v.to_owned()));
    fields.chain(labels).collect()
}

fn selected(object: &Value, selector: &[(String, String)]) -> bool {
    selector.iter().all(|(pointer, value)| object.pointer(pointer).and_then(Value::as_str) == Some(value))
}

fn decode(query: &str) -> String {
    let mut text = query.replace('+', " ");
    for (code, plain) in [("%2F", "/"), ("%2C", ","), ("%3D", "=")] {
        text = text.replace(code, plain);
    }
    text
}
