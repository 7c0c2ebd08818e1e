//! One call of a verb: where it talks to, and what it has to take back.

use std::io::{self, Write as _};
use std::time::Duration;

use kube::core::NamespaceResourceScope;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use model::names::Instance;
use model::reason::Reason;

use super::interrupt::Interrupt;
use super::stop::Stop;
use super::tty::Keys;
use super::undo::Left;
use crate::connect;
use crate::flags::Cluster;
use crate::review;
use crate::rights::{Deed, Missing};
use crate::terminal::say;

/// One call of a verb.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) backup_namespace: String,
    pub(crate) instance: Instance,
    pub(crate) interrupt: Interrupt,
    pub(crate) left: Left,
    pub(crate) keys: Keys,
    pub(crate) executor: Executor,
    /// The longest that pods are waited for at the end, and that a restore pod may find no node beside the application.
    pub(crate) patience: Duration,
}

/// Who runs a command in a pod.
#[derive(Clone)]
pub(crate) enum Executor {
    /// The API server.
    Server,
    /// A test: from the command to its exit code and its standard output.
    #[cfg(test)]
    Test(Script),
}

/// A command's exit code and standard output, in a test.
#[cfg(test)]
pub(crate) type Script = std::sync::Arc<dyn Fn(&[String]) -> Result<(i32, String), Stop> + Send + Sync>;

/// A pod that is told to end has ended by then, and most applications have started.
const PATIENCE: Duration = Duration::from_secs(60);

impl Session {
    pub(super) async fn open(cluster: &Cluster) -> anyhow::Result<Self> {
        let connection = connect::connect(cluster).await?;
        let left = Left::new(&connection.namespace);
        Ok(Self {
            client: connection.client,
            namespace: connection.namespace,
            backup_namespace: cluster.backup_namespace.clone(),
            instance: cluster.instance.clone(),
            interrupt: Interrupt::listen(left.clone())?,
            left,
            keys: Keys::default(),
            executor: Executor::Server,
            patience: PATIENCE,
        })
    }

    pub(crate) fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn deed<'a>(&'a self, verb: &'a str, resource: &'a str) -> Deed<'a> {
        Deed::new(verb, resource, Some(&self.namespace))
    }

    /// Refuses if one of the rights is missing: nothing is made yet.
    pub(crate) async fn need(&self, deeds: &[Deed<'_>]) -> Result<(), Stop> {
        let asked = self.interrupt.during(review::need(&self.client, deeds)).await?;
        asked.map_err(|Missing(text)| Stop::refused(Reason::Forbidden, text))
    }

    /// A watch that broke. It is tried again, unless the API server said no.
    pub(crate) fn lost(&self, error: &watcher::Error, resource: &str, seen: &mut String) -> Result<(), Stop> {
        let status = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status),
            _ => None,
        };
        if let Some(status) = status.filter(|s| s.is_forbidden()) {
            return Err(Stop::watched(self.deed("watch", resource), status));
        }
        let text = format!("the watch of {resource} failed and is retried: {}", api::chain(error));
        if *seen != text {
            say(&text);
            *seen = text;
        }
        Ok(())
    }

    /// Asks a question; only `y` and `yes` are a yes.
    pub(crate) async fn ask(&mut self, question: &str) -> Result<bool, Stop> {
        let _ = write!(io::stderr().lock(), "{question} [y/N] ");
        let answer = self.interrupt.during(self.keys.line()).await?;
        Ok(answer.is_some_and(|a| matches!(a.to_ascii_lowercase().as_str(), "y" | "yes")))
    }
}
