//! Looking at an API server that answers from memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::fixture::{CONFIG, HOME, INSTANCE, Objects, cluster};
use crate::observe::{Knows, Observed, Scope, observe};

/// Answers by path, or by method and path (`POST /api/…`); a list is cut into pages of `page` objects.
#[derive(Clone)]
pub(crate) struct Server {
    lists: BTreeMap<String, Vec<Value>>,
    answers: BTreeMap<String, (u16, Value)>,
    page: usize,
    /// The continue token that has expired.
    expired: Option<String>,
    asked: Arc<Mutex<Vec<String>>>,
    /// The bodies of what was written.
    written: Arc<Mutex<Vec<Value>>>,
}

pub(crate) const PVCS: &str = "/api/v1/namespaces/shop/persistentvolumeclaims";
pub(crate) const SNAPSHOTS: &str = "/apis/snapshot.storage.k8s.io/v1/namespaces/shop/volumesnapshots";
const SNAPSHOT_CLASSES: &str = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses";
const CRONJOBS: &str = "/apis/batch/v1/namespaces/keepers/cronjobs";
pub(crate) const CONFIG_MAP: &str = "/api/v1/namespaces/keepers/configmaps/backup-controller";
const VOLUMES: &str = "/api/v1/persistentvolumes";

fn scope() -> Scope {
    Scope {
        namespace: Some("shop".to_owned()),
        names: vec![],
        selector: None,
        backup_namespace: HOME.to_owned(),
        instance: INSTANCE.into(),
    }
}

pub(crate) fn refusal(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code
    });
    (code, status)
}

pub(crate) fn forbidden(what: &str) -> (u16, Value) {
    refusal(403, "Forbidden", &format!("User \"me\" cannot {what}"))
}

/// Runs what asks the server.
pub(crate) fn serve<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(what)
}

impl Server {
    pub(crate) fn of(objects: Objects) -> Self {
        let lists = [
            (PVCS, objects.claims),
            (SNAPSHOTS, objects.snapshots),
            (SNAPSHOT_CLASSES, objects.snapshot_classes),
            (CRONJOBS, objects.cronjobs),
            (VOLUMES, objects.volumes),
            ("/apis/storage.k8s.io/v1/storageclasses", objects.storage_classes),
            ("/apis/batch/v1/namespaces/shop/jobs", objects.jobs),
        ];
        let config = json!({"metadata": {"name": "backup-controller"}, "data": {"config.yaml": CONFIG}});
        let namespace = json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "shop"}
        });
        Self {
            lists: lists.into_iter().map(|(path, items)| (path.to_owned(), items)).collect(),
            answers: [(CONFIG_MAP, config), ("/api/v1/namespaces/shop", namespace)]
                .map(|(path, object)| (path.to_owned(), (200, object)))
                .into(),
            page: 500,
            expired: None,
            asked: Arc::default(),
            written: Arc::default(),
        }
    }

    pub(crate) fn refusing(mut self, path: &str, answer: (u16, Value)) -> Self {
        self.answers.insert(path.to_owned(), answer);
        self
    }

    fn answer(&self, request: &Request<Body>) -> (u16, Value) {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        self.asked.lock().unwrap().push(format!("{path}?{query}"));
        let by_method = self.answers.get(&format!("{} {path}", request.method()));
        if let Some(answer) = by_method.or_else(|| self.answers.get(path)) {
            return answer.clone();
        }
        let Some(items) = self.lists.get(path) else { return refusal(404, "NotFound", "no such thing") };
        let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        let token = value("continue");
        if token.is_some() && token == self.expired.as_deref() {
            return refusal(410, "Expired", "the continue token is too old");
        }
        let only = value("fieldSelector").and_then(|fields| fields.strip_prefix("metadata.name%3D"));
        let items: Vec<&Value> =
            items.iter().filter(|item| only.is_none_or(|name| item["metadata"]["name"] == name)).collect();
        let start: usize = token.map_or(0, |t| t.parse().unwrap());
        let end = value("limit").map_or(items.len(), |_| items.len().min(start + self.page));
        let more = if end < items.len() { end.to_string() } else { String::new() };
        (
            200,
            json!({"kind": "List", "apiVersion": "v1", "metadata": {"continue": more, "resourceVersion": "1"}, "items": &items[start..end]}),
        )
    }

    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (code, body) = server.answer(&request);
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            let written = server.written.clone();
            async move {
                if matches!(*request.method(), http::Method::PATCH | http::Method::POST) {
                    let sent = request.into_body().collect_bytes().await.unwrap();
                    written.lock().unwrap().push(serde_json::from_slice(&sent).unwrap());
                }
                Ok::<_, std::convert::Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "shop")
    }

    fn look(&self, scope: &Scope) -> anyhow::Result<Observed> {
        serve(async { Box::pin(observe(&self.client(), scope)).await })
    }

    pub(crate) fn look_at_shop(&self) -> Observed {
        self.look(&scope()).unwrap()
    }

    pub(crate) fn written(&self) -> Vec<Value> {
        self.written.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self, path: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|a| a.split('?').next() == Some(path)).cloned().collect()
    }
}

fn shop() -> Objects {
    let mut objects = cluster();
    objects.claims.retain(|c| c["metadata"]["namespace"] == "shop");
    objects
}

#[test]
fn everything_is_asked_once() {
    let server = Server::of(shop());
    let Observed { world, knows, gaps, .. } = server.look(&scope()).unwrap();
    assert!(knows.verdicts() && knows.snapshots && knows.cronjobs && knows.copies && gaps.is_empty());
    assert_eq!(server.asked.lock().unwrap().len(), 9, "{:?}", server.asked.lock().unwrap());
    assert_eq!(world.claims.iter().count(), shop().claims.len());
    let ours = "managed-by%3Dbackup-controller%2Cbackup-controller.io%2Finstance%3Dnight";
    assert!(server.asked(SNAPSHOTS)[0].contains(ours), "{:?}", server.asked(SNAPSHOTS));
    assert!(server.asked(CRONJOBS)[0].contains("source-uid+in+%28uid-shop-data%2C"), "{:?}", server.asked(CRONJOBS));
    assert!(world.config.destination("vault").is_some());
}

#[test]
fn long_lists_come_page_by_page() {
    let server = Server { page: 4, ..Server::of(shop()) };
    let world = server.look(&scope()).unwrap().world;
    assert_eq!(world.claims.iter().count(), shop().claims.len());
    assert_eq!(server.asked(PVCS).len(), shop().claims.len().div_ceil(4));
    assert!(server.asked(PVCS).iter().all(|a| a.contains("limit=500")));
}

#[test]
fn pages_that_expire_are_asked_for_again_as_one() {
    let server = Server { page: 4, expired: Some("8".to_owned()), ..Server::of(shop()) };
    let world = server.look(&scope()).unwrap().world;
    assert_eq!(world.claims.iter().count(), shop().claims.len());
    let asked = server.asked(PVCS);
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(!asked[3].contains("limit") && !asked[3].contains("continue"), "{asked:?}");
}

#[test]
fn what_may_not_be_read_is_told_and_done_without() {
    let server = Server::of(shop())
        .refusing(CONFIG_MAP, forbidden("get configmaps"))
        .refusing(VOLUMES, forbidden("list persistentvolumes"))
        .refusing(CRONJOBS, forbidden("list cronjobs"));
    let Observed { knows, gaps, .. } = server.look(&scope()).unwrap();
    assert_eq!(
        knows,
        Knows {
            config: false,
            namespaces: true,
            volumes: false,
            classes: true,
            snapshots: true,
            copies: true,
            cronjobs: false
        }
    );
    let told: Vec<String> = gaps.iter().map(|g| format!("{} {}: {}", g.verb, g.resource, g.answer)).collect();
    assert_eq!(
        told,
        [
            "get configmaps/backup-controller in namespace keepers: User \"me\" cannot get configmaps",
            "list persistentvolumes: User \"me\" cannot list persistentvolumes",
            "list cronjobs.batch in namespace keepers: User \"me\" cannot list cronjobs",
        ]
    );
}

/// F04. What is told of a kind that does not exist is no Status.
#[test]
fn a_cluster_without_the_snapshot_api_is_seen_as_such() {
    let absent = || (404, json!("404 page not found"));
    let server = Server::of(shop()).refusing(SNAPSHOTS, absent()).refusing(SNAPSHOT_CLASSES, absent());
    let Observed { world, knows, gaps, .. } = server.look(&scope()).unwrap();
    assert!(!world.classes.snapshot_api && knows.verdicts() && knows.snapshots && gaps.is_empty());
}

#[test]
fn a_configuration_that_is_refused_is_not_gone_by() {
    for (data, part) in [
        (json!({"config.yaml": "defaults: {schedule: never}"}), "continues with the previous one"),
        (json!({"other": ""}), "no key config.yaml"),
    ] {
        let map = json!({"metadata": {"name": "backup-controller"}, "data": data});
        let server = Server::of(shop()).refusing(CONFIG_MAP, (200, map));
        let Observed { knows, gaps, .. } = server.look(&scope()).unwrap();
        assert!(!knows.config && gaps[0].answer.contains(part), "{gaps:?}");
    }
    let server = Server::of(shop()).refusing(CONFIG_MAP, refusal(404, "NotFound", "not found"));
    assert!(server.look(&scope()).unwrap().gaps[0].answer.contains("--backup-namespace"));
}

#[test]
fn without_pvcs_there_is_nothing_to_show() {
    let server = Server::of(shop()).refusing(PVCS, forbidden("list persistentvolumeclaims"));
    let error = server.look(&scope()).unwrap_err().to_string();
    let rights = "you (me) lack permission to list persistentvolumeclaims in namespace shop. An admin";
    assert!(error.starts_with(rights) && !error.contains("-n NAMESPACE"), "{error}");
    // U11: the role `backup-status` has no PVCs, and one namespace may be enough.
    let server =
        Server::of(shop()).refusing("/api/v1/persistentvolumeclaims", forbidden("list persistentvolumeclaims"));
    let error = server.look(&Scope { namespace: None, ..scope() }).unwrap_err().to_string();
    assert!(error.contains("Name one namespace (-n NAMESPACE), or an administrator of the cluster"), "{error}");
    assert!(error.ends_with("clusterrolebinding view-me --clusterrole=view --user=me"), "{error}");
}

/// A half-seen cluster must not look healthy.
#[test]
fn a_failing_server_is_an_error() {
    let server = Server::of(shop()).refusing(VOLUMES, refusal(500, "InternalError", "etcd is down"));
    let error = server.look(&scope()).unwrap_err().to_string();
    assert_eq!(error, "cannot list persistentvolumes: etcd is down");
    let server = Server::of(shop()).refusing("/api/v1/namespaces/shop", refusal(404, "NotFound", "not found"));
    assert!(server.look(&scope()).unwrap_err().to_string().starts_with("namespace shop does not exist"));
}

#[test]
fn labels_are_the_servers_to_judge() {
    let server = Server::of(shop());
    let wanted = Scope { selector: Some("app in (a,b)".to_owned()), ..scope() };
    let selected = server.look(&wanted).unwrap().selected.unwrap();
    assert!(selected.contains("uid-shop-data"));
    assert!(
        server.asked(PVCS).iter().any(|a| a.contains("labelSelector=app+in+%28a%2Cb%29")),
        "{:?}",
        server.asked(PVCS)
    );
}

/// One object of another shape hides no other.
#[test]
fn an_object_that_cannot_be_read_is_passed_over() {
    let mut objects = shop();
    objects.claims.push(json!({"metadata": {"name": "odd", "namespace": "shop", "uid": "odd"}, "spec": "none"}));
    let world = Server::of(objects).look(&scope()).unwrap().world;
    assert_eq!(world.claims.iter().count(), shop().claims.len());
}
