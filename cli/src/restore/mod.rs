//! `kubectl backup restore` and `kubectl backup browse`.
//!
//! [`look`] and [`target`] answer bad input at once; [`claim`] makes a new PVC; [`pod`] asks for the restore pod,
//! waits for it and takes it away; [`exec`] runs a command in it, with the person's terminal ([`tty`]); [`scale`]
//! stops what mounts the volume. Whatever happens, what [`undo`] lists is taken back at the end.

pub(crate) mod args;
mod central;
pub(crate) mod claim;
pub(crate) mod exec;
pub(crate) mod interrupt;
mod look;
pub(crate) mod objects;
pub(crate) mod pod;
pub(crate) mod scale;
pub(crate) mod stage;
pub(crate) mod stop;
mod target;
pub(crate) mod tty;
pub(crate) mod undo;
pub(crate) mod verb;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use kube::core::NamespaceResourceScope;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use model::Timestamp;
use model::record::RestoreResult;

use self::args::{Browse, Output, Restore};
use self::interrupt::Interrupt;
use self::stop::Stop;
use self::tty::Keys;
use self::undo::{Left, Undo};
use crate::args::Cluster;
use crate::rights::Deed;
use crate::{connect, terminal};

/// A line for a person. Who reads us may stop reading: that must not keep us from tidying up.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "kubectl-backup: {line}");
}

/// The verb `restore`.
pub(crate) async fn restore(cluster: &Cluster, args: &Restore) -> anyhow::Result<ExitCode> {
    let terminal = io::stdin().is_terminal();
    if let Some(text) = args.contradiction(terminal) {
        return Ok(end(Err(Stop::Usage(text)), args.output));
    }
    let mut session = Session::open(cluster).await?;
    let ask = terminal && !args.yes && args.output == Output::Text;
    let result = Box::pin(verb::restore(&mut session, args, ask)).await;
    let result = Box::pin(session.tidy(result)).await;
    Ok(end(result, args.output))
}

/// The verb `browse`.
pub(crate) async fn browse(cluster: &Cluster, args: &Browse) -> anyhow::Result<ExitCode> {
    if !io::stdin().is_terminal() {
        let text = "browse opens a shell and needs a terminal. In a script, use kubectl backup restore --dry-run; or \
                    create a restore pod by kubectl backup new-app --template=restore, and use kubectl exec";
        return Ok(end(Err(Stop::Usage(text.to_owned())), Output::Text));
    }
    let mut session = Session::open(cluster).await?;
    let result = Box::pin(verb::browse(&mut session, args)).await;
    let result = Box::pin(session.tidy(result)).await;
    Ok(end(result, Output::Text))
}

/// How a restore ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// The command in the pod ended so, and has told its result.
    Told(i32),
    /// All was done without a pod; the line for a person, and whether something is still awaited.
    Here(String, bool),
    /// The controller did it: the restore point, and what became of it.
    There(String, Box<RestoreResult>),
}

/// Tells how it ended.
fn end(result: Result<Done, Stop>, output: Output) -> ExitCode {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
    let json = |result: &RestoreResult| {
        if output == Output::Json {
            let line = serde_json::to_string(result).unwrap_or_default();
            let _ = terminal::write(&format!("{line}\n"));
        }
    };
    match result {
        Ok(Done::Told(code)) => ExitCode::from(u8::try_from(code).ok().filter(|code| *code <= 3).unwrap_or(1)),
        Ok(Done::There(point, result)) => {
            if output == Output::Text {
                let _ = terminal::write(&format!("{}\n", central::words(&point, &result)));
            }
            json(&result);
            ExitCode::from(central::code(&result))
        }
        Ok(Done::Here(text, waiting)) => {
            if output == Output::Text {
                let _ = terminal::write(&format!("{text}\n"));
            }
            json(&verb::without_pod(waiting, now));
            ExitCode::SUCCESS
        }
        Err(stop) => {
            for line in stop.text().lines() {
                say(line);
            }
            json(&stop.result(now));
            ExitCode::from(stop.code())
        }
    }
}

/// One call of a verb.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) backup_namespace: String,
    pub(crate) instance: String,
    pub(crate) interrupt: Interrupt,
    pub(crate) left: Left,
    pub(crate) keys: Keys,
}

impl Session {
    async fn open(cluster: &Cluster) -> anyhow::Result<Self> {
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
        })
    }

    pub(crate) fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn deed<'a>(&'a self, verb: &'a str, resource: &'a str) -> Deed<'a> {
        Deed { verb, resource, namespace: Some(&self.namespace) }
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

    /// Takes back what was made, the newest first. Its own failures do not hide how the restore ended.
    pub(crate) async fn tidy<T>(&self, result: Result<T, Stop>) -> Result<T, Stop> {
        let mut failed = None;
        for undo in self.left.all() {
            let done = match &undo {
                Undo::Delete { resource, name } => self.delete(resource, name).await,
                Undo::Ask { pvc } => central::withdraw(self, pvc).await,
                Undo::Scale { workload, replicas } => scale::back(self, workload, *replicas).await,
            };
            match done {
                Ok(()) => self.left.done(&undo),
                Err(stop) => failed = Some(stop),
            }
        }
        let Some(stop) = failed else { return result };
        say(&stop.text());
        for line in self.left.lines() {
            say(&line);
        }
        result.and(Err(Stop::Failed(anyhow::anyhow!(
            "the restore is done, but the cleanup failed: run the commands above"
        ))))
    }

    async fn delete(&self, resource: &'static str, name: &str) -> Result<(), Stop> {
        pod::remove(self, resource, name).await?;
        // What gets its replicas back must not meet the restore pod at its volume.
        let waits = self.left.all().iter().any(|u| matches!(u, Undo::Scale { .. }));
        if waits && resource == pod::DEPLOYMENTS && !pod::gone(self, name).await {
            say(&format!("the pod of Deployment {name} is still terminating"));
        }
        Ok(())
    }
}
