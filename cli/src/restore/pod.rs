//! The restore pod: asked for, awaited by watches, taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{BoxStream, select_all};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::api::{DeleteParams, ListParams, PropagationPolicy};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, ResourceExt as _};
use model::names::{self, Token};
use model::restore::Request;
use serde_json::Value;
use tokio::time::Instant;

use super::objects::{objects, selector};
use super::session::Session;
use super::stage::{Stage, stage};
use super::stop::Stop;
use super::undo::Undo;
use crate::rights::Deed;
use crate::terminal::say;

/// How many names are tried.
const TRIES: usize = 3;
/// A controller that runs has answered by then.
const SILENCE: Duration = Duration::from_secs(15);

/// What the two objects of a restore pod are called by RBAC.
pub(crate) const SCRIPTS: &str = "configmaps";
pub(crate) const DEPLOYMENTS: &str = "deployments.apps";

/// What a restore pod takes; `enters`: a command runs in it.
pub(crate) fn rights(session: &Session, enters: bool) -> Vec<Deed<'_>> {
    let of = |resource: &'static str, verbs: &[&'static str]| {
        verbs.iter().map(|verb| session.deed(verb, resource)).collect::<Vec<_>>()
    };
    let mut deeds = of(SCRIPTS, &["create", "delete"]);
    deeds.extend(of(DEPLOYMENTS, &["create", "delete", "list", "watch"]));
    deeds.extend(of("pods", &["list", "watch"]));
    if enters {
        // WebSocket is a GET, and newer API servers want `create` too.
        deeds.extend(of("pods/exec", &["get", "create"]));
    }
    deeds
}

/// Asks for a restore pod; gives its name.
pub(crate) async fn ask(session: &Session, request: &Request) -> Result<String, Stop> {
    for _ in 0..TRIES {
        let name = names::restore_pod(&request.pvc, &token());
        let [script, deployment] = objects(&session.instance, &session.namespace, &name, request)?;
        if make::<ConfigMap>(session, SCRIPTS, &name, &script).await?
            && make::<Deployment>(session, DEPLOYMENTS, &name, &deployment).await?
        {
            return Ok(name);
        }
    }
    Err(Stop::Failed(anyhow::anyhow!("{TRIES} names for the restore pod are taken already: run the command again")))
}

/// Makes one of them; `false`: the name is taken.
async fn make<K>(session: &Session, resource: &'static str, name: &str, object: &Value) -> Result<bool, Stop>
where
    K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    let undo = Undo::Delete { resource, name: name.to_owned() };
    session.left.add(undo.clone());
    match api::create::<K>(&session.client, object).await {
        Ok(api::Created::New(_)) => Ok(true),
        Ok(api::Created::There(_)) => {
            session.left.done(&undo);
            Ok(false)
        }
        Err(error) => {
            // Without an answer it may be there.
            if error.retry() == api::Retry::UntilChanged {
                session.left.done(&undo);
            }
            Err(Stop::asked(session.deed("create", resource), &error))
        }
    }
}

/// Five characters that nobody foresees.
pub(super) fn token() -> Token {
    Token(names::hash(&format!("{:x}", RandomState::new().hash_one(0)), 5))
}

/// What was seen.
enum News {
    Deployment(Option<Box<Deployment>>),
    Pod(Box<watcher::Event<Pod>>),
    Warning(Box<Event>),
    Lost(&'static str, Box<watcher::Error>),
}

/// The application, beside which a restore pod is to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) nodes: BTreeSet<String>,
    /// Whether several nodes can mount the volume.
    pub(crate) shared: bool,
}

/// Whether a restore pod can start while the application runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It runs; its name.
    Ready(String),
    /// Not before the application stops, and why.
    Blocked(String),
}

/// Waits until the pod is ready; gives its name. `request` is the text on the Deployment.
pub(crate) async fn ready(session: &Session, name: &str, request: &str, deadline: Instant) -> Result<String, Stop> {
    match start(session, name, request, None, deadline).await? {
        Start::Ready(pod) => Ok(pod),
        Start::Blocked(why) => Err(Stop::Failed(anyhow::anyhow!("{why}"))),
    }
}

/// Waits until the pod is ready, or cannot be beside the application.
pub(crate) async fn start(
    session: &Session,
    name: &str,
    request: &str,
    beside: Option<&Beside>,
    deadline: Instant,
) -> Result<Start, Stop> {
    let mut sight =
        Sight { name, request, beside, deployment: None, pods: BTreeMap::new(), seen: String::new(), nowhere: None };
    let wait = session.interrupt.during(tokio::time::timeout_at(deadline, sight.watch(session)));
    let Ok(end) = wait.await? else {
        let text = anyhow::anyhow!("the restore pod was not ready in time (--timeout). Last state: {}", sight.seen);
        return Err(Stop::Failed(text));
    };
    end
}

/// What is known of one restore pod.
struct Sight<'a> {
    name: &'a str,
    request: &'a str,
    /// The application that runs meanwhile.
    beside: Option<&'a Beside>,
    deployment: Option<Box<Deployment>>,
    pods: BTreeMap<String, Pod>,
    seen: String,
    /// Since when no node takes it, and why.
    nowhere: Option<(Instant, String)>,
}

impl Sight<'_> {
    async fn watch(&mut self, session: &Session) -> Result<Start, Stop> {
        let mut news = select_all(streams(session, self.name));
        let silence = tokio::time::sleep(SILENCE);
        tokio::pin!(silence);
        loop {
            let patience = self.nowhere.clone().filter(|_| self.beside.is_some());
            let give_up = async {
                match patience {
                    Some((since, why)) => {
                        tokio::time::sleep_until(since + session.patience).await;
                        why
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                why = give_up => return Ok(Start::Blocked(why)),
                () = &mut silence, if !silence.is_elapsed() => self.hint(session),
                item = news.next() => match item {
                    Some(item) => {
                        if let Some(start) = self.hear(session, item)? {
                            return Ok(start);
                        }
                    }
                    None => return Err(Stop::Failed(anyhow::anyhow!("the watches ended: run the command again"))),
                },
            }
        }
    }

    fn hint(&self, session: &Session) {
        if self.seen == Stage::Unanswered.text() {
            say(&format!(
                "the controller has not answered. Check that it runs (kubectl get pods -n {}), and that its \
                 installation has the name {} (--instance)",
                session.backup_namespace, session.instance
            ));
        }
    }

    fn hear(&mut self, session: &Session, news: News) -> Result<Option<Start>, Stop> {
        match news {
            News::Deployment(None) => {
                return Err(Stop::Failed(anyhow::anyhow!(
                    "Deployment {} was deleted by somebody else: run the command again",
                    self.name
                )));
            }
            News::Deployment(deployment) => self.deployment = deployment,
            News::Pod(event) => match *event {
                watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                    self.pods.insert(pod.name_any(), pod);
                }
                watcher::Event::Delete(pod) => {
                    self.pods.remove(&pod.name_any());
                }
                watcher::Event::Init => self.pods.clear(),
                watcher::Event::InitDone => {}
            },
            News::Warning(event) => {
                if event.involved_object.name.as_ref().is_some_and(|n| n.starts_with(self.name)) {
                    self.tell(&format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default()));
                }
                return Ok(None);
            }
            News::Lost("events", _) => return Ok(None),
            News::Lost(resource, error) => {
                session.lost(&error, resource, &mut self.seen)?;
                return Ok(None);
            }
        }
        let Some(deployment) = &self.deployment else { return Ok(None) };
        let stage = stage(deployment, self.pods.values(), self.request);
        self.tell(&stage.text());
        match stage {
            Stage::Refused(problem) => Err(Stop::Refused(problem)),
            Stage::Ready { pod, .. } => Ok(Some(Start::Ready(pod))),
            Stage::Unanswered | Stage::Waiting(_) => Ok(self.elsewhere().map(Start::Blocked)),
        }
    }

    /// Why the pod cannot be beside the application. On another node its mount would wait forever.
    fn elsewhere(&mut self) -> Option<String> {
        let beside = self.beside?;
        let live = self.pods.values().find(|pod| pod.metadata.deletion_timestamp.is_none())?;
        let conditions = live.status.iter().flat_map(|s| s.conditions.iter().flatten());
        let unscheduled = conditions.clone().find(|c| c.type_ == "PodScheduled" && c.status == "False");
        self.nowhere = unscheduled.map(|c| {
            let why = c.message.clone().unwrap_or_else(|| "the scheduler gives no reason".to_owned());
            let since = self.nowhere.as_ref().map_or_else(Instant::now, |(since, _)| *since);
            (since, format!("no node can run the restore pod beside the application: {why}"))
        });
        let node = live.spec.as_ref()?.node_name.as_ref()?;
        let apart = !beside.shared && !beside.nodes.is_empty() && !beside.nodes.contains(node);
        apart.then(|| format!("the restore pod is on node {node}, where the volume cannot be mounted meanwhile"))
    }

    fn tell(&mut self, text: &str) {
        if self.seen != text {
            say(text);
            text.clone_into(&mut self.seen);
        }
    }
}

fn streams(session: &Session, name: &str) -> Vec<BoxStream<'static, News>> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let deployment = watcher(session.api::<Deployment>(), config).default_backoff().filter_map(async |item| {
        Some(match item {
            Ok(watcher::Event::Apply(deployment) | watcher::Event::InitApply(deployment)) => {
                News::Deployment(Some(Box::new(deployment)))
            }
            Ok(watcher::Event::Delete(_)) => News::Deployment(None),
            Ok(watcher::Event::Init | watcher::Event::InitDone) => return None,
            Err(error) => News::Lost(DEPLOYMENTS, Box::new(error)),
        })
    });
    let config = watcher::Config::default().labels(&selector(name));
    let pods = watcher(session.api::<Pod>(), config).default_backoff().map(|item| match item {
        Ok(event) => News::Pod(Box::new(event)),
        Err(error) => News::Lost("pods", Box::new(error)),
    });
    let config = watcher::Config::default().fields("type=Warning");
    let events = watcher(session.api::<Event>(), config).default_backoff().applied_objects().map(|item| match item {
        Ok(event) => News::Warning(Box::new(event)),
        Err(error) => News::Lost("events", Box::new(error)),
    });
    vec![deployment.boxed(), pods.boxed(), events.boxed()]
}

/// Deletes one of the two objects; the pod ends by itself.
pub(crate) async fn remove(session: &Session, resource: &'static str, name: &str) -> Result<(), Stop> {
    if resource == SCRIPTS {
        return delete::<ConfigMap>(session, resource, name).await;
    }
    delete::<Deployment>(session, resource, name).await
}

async fn delete<K>(session: &Session, resource: &'static str, name: &str) -> Result<(), Stop>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + serde::de::DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api: Api<K> = session.api();
    let params = DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    match api::bounded(|| format!("delete {resource} {name}"), api.delete(name, &params)).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(Stop::asked(session.deed("delete", resource), &error)),
    }
}

/// Waits until its pods are gone: whoever gets the volume back must be the only one.
pub(crate) async fn gone(session: &Session, name: &str) -> bool {
    let api: Api<Pod> = session.api();
    let config = watcher::Config::default().labels(&selector(name));
    let wait = async {
        let mut events = watcher(api.clone(), config).default_backoff().boxed();
        while events.next().await.is_some() {
            let list = api.list(&ListParams::default().labels(&selector(name))).await;
            match list {
                Ok(list) if !list.items.is_empty() => {}
                // Who may not see pods cannot wait for them.
                Err(kube::Error::Api(status)) if !status.is_forbidden() => {}
                Ok(_) | Err(kube::Error::Api(_)) => return,
                Err(_) => {}
            }
        }
    };
    tokio::time::timeout(session.patience, wait).await.is_ok()
}
