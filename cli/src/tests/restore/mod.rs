//! Restores, against an API server that remembers. What runs in the pod is not here: an exec is refused.

mod asking;
mod block;
mod cluster;
mod new;
mod repository;
mod scaling;
mod words;

use std::time::Duration;

use clap::Parser as _;
use http::Method;
use model::names;
use model::reason::{Problem, Reason};
use model::record::{RestoreRecord, RestoreState};
use serde_json::{Value, json};
use tokio::sync::watch;

use self::cluster::{Cluster, apps, core};
use super::fixture::{HOME, INSTANCE, Objects, cluster as fixture};
use crate::args::{Cli, Verb};
use crate::restore::done::Done;
use crate::restore::interrupt::Interrupt;
use crate::restore::session::{Executor, Session};
use crate::restore::stop::Stop;
use crate::restore::tidy::tidy;
use crate::restore::tty::Keys;
use crate::restore::undo::Left;
use crate::restore::verb;

/// The newest restore point of the PVC `data`.
const DATE: &str = "--date=20181205";

fn shop() -> Objects {
    let mut objects = fixture();
    objects.claims.retain(|c| c["metadata"]["namespace"] == "shop");
    for class in &mut objects.storage_classes {
        class["volumeBindingMode"] = json!("Immediate");
    }
    objects
}

fn session(cluster: &Cluster) -> (watch::Sender<Option<u8>>, Session) {
    let (signal, interrupt) = Interrupt::by_hand();
    let session = Session {
        client: cluster.client(),
        namespace: "shop".to_owned(),
        backup_namespace: HOME.to_owned(),
        instance: INSTANCE.into(),
        interrupt,
        left: Left::new("shop"),
        keys: Keys::default(),
        executor: Executor::Server,
        patience: Duration::from_millis(300),
    };
    (signal, session)
}

/// Calls `restore data …`, all of it but the telling of the end.
fn restore(cluster: &Cluster, words: &[&str]) -> Result<Done, Stop> {
    run(async {
        let (_signal, mut session) = session(cluster);
        restore_in(&mut session, words).await
    })
}

async fn restore_in(session: &mut Session, words: &[&str]) -> Result<Done, Stop> {
    let words = ["kubectl-backup", "restore"].iter().chain(words);
    let Verb::Restore(args) = Cli::try_parse_from(words).unwrap().verb else { panic!("another verb") };
    let result = Box::pin(verb::restore(session, &args, !args.yes)).await;
    let result = Box::pin(tidy(session, result)).await;
    assert_eq!(session.left.lines(), Vec::<String>::new(), "nothing is left");
    result
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Box::pin(work))
}

fn refused(result: Result<Done, Stop>) -> Problem {
    match result {
        Err(Stop::Refused(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

/// The controller: what it answers to each Deployment that asks.
fn controller(state: RestoreState, problem: Option<Problem>) -> impl Fn(&str, &Value) -> Vec<(String, Value)> {
    move |collection, object| {
        let asks = &object["metadata"]["annotations"][names::RESTORE_FROM];
        if collection != apps("deployments") || !object["metadata"]["annotations"][names::RESTORE_STATUS].is_null() {
            return vec![];
        }
        let Some(asks) = asks.as_str() else { return vec![] };
        let record = RestoreRecord {
            point: Some("data-20181205".to_owned()),
            ..RestoreRecord::new(names::run_now_mark(asks), state, problem.clone())
        };
        let mut answered = object.clone();
        answered["metadata"]["annotations"][names::RESTORE_STATUS] = json!(serde_json::to_string(&record).unwrap());
        let mut writes = vec![(apps("deployments"), answered)];
        if state == RestoreState::Ready {
            let name = object["metadata"]["name"].as_str().unwrap();
            let pod = json!({
                "metadata": {
                    "name": format!("{name}-x"), "namespace": "shop",
                    "labels": object["spec"]["template"]["metadata"]["labels"]
                },
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            });
            writes.push((core("pods"), pod));
        }
        writes
    }
}

/// A cluster with a controller, whose exec is refused.
fn working() -> Cluster {
    Cluster::of(shop()).reacting(controller(RestoreState::Ready, None)).refusing(
        Method::GET,
        "/api/v1/namespaces/shop/pods/restore-",
        500,
        "InternalError",
        "no exec here",
    )
}

/// A pod that mounts a PVC, and what owns it.
fn pod(name: &str, claim: &str, owner: Option<(&str, &str)>) -> Value {
    let owners = owner
        .map(|(kind, name)| json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": true}]));
    json!({
        "metadata": {"name": name, "namespace": "shop", "ownerReferences": owners},
        "spec": {
            "containers": [{"name": "app"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
        },
        "status": {"phase": "Running"}
    })
}

/// What is there that a restore made.
fn made(cluster: &Cluster) -> Vec<String> {
    let all = cluster.names(&apps("deployments")).into_iter().chain(cluster.names(&core("configmaps")));
    all.filter(|name| name.starts_with("restore-")).collect()
}

#[test]
fn a_problem_of_each_kind_has_its_exit_code() {
    let stops = [
        (Stop::Failed(anyhow::anyhow!("x")), 1),
        (Stop::Usage("x".to_owned()), 2),
        (Stop::refused(Reason::TargetInUse, "x"), 3),
        (Stop::Signal(2), 130),
        (Stop::Signal(15), 143),
    ];
    for (stop, code) in stops {
        assert_eq!(stop.code(), code, "{stop:?}");
    }
}
