//! What a run asks when the API server is slow, silent or forgetful. What it decides on a real one is in
//! the suite `snapshot_job`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser as _;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use hyper::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use model::Timestamp;
use model::names::{self, Run};
use model::record::SnapshotResult;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::server::Server;
use super::{Args, finish, take_and_rotate};
use crate::outcome::Exit;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args() -> Args {
    let line = "backup-job --instance=i --namespace=shop --pvc=data --uid=u --retention=2days --time-zone=Etc/UTC \
        --snapshot-class=snap --storage-class=clone --promoter-retention=auto --min-interval=1h --min-keep=1 \
        --max-unconfirmed=3 --max-deletes=3 --max-holds=9 --snapshot-deadline=5m";
    Line::parse_from(line.split_whitespace()).args
}

/// What the API server answers.
enum Answer {
    Json(u16, Value),
    /// Events of a watch, which then ends.
    Events(Vec<Value>),
    /// A watch that begins, and then says nothing more.
    Stall,
    Silence,
}
use Answer::{Events, Json, Silence, Stall};

fn refused(code: u16, reason: &str) -> Answer {
    Json(
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason}),
    )
}

const MINUTE: &str = "2026-11-20T03:00:00Z";

fn job() -> Value {
    json!({"metadata": {"name": "j", "creationTimestamp": MINUTE}})
}

fn source() -> Value {
    json!({
        "metadata": {"name": "data", "namespace": "shop", "uid": "u"},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Bound"},
    })
}

fn snapshot(ready: bool) -> Value {
    json!({
        "metadata": {"name": "data-20261120", "namespace": "shop", "uid": "s", "resourceVersion": "7", "labels": {
            "app.kubernetes.io/managed-by": "backup-controller", "backup-controller.io/instance": "i",
            "backup-controller.io/component": "snapshot", "backup-controller.io/source-uid": "u",
            "backup-controller.io/run": "20261120T0300Z",
        }},
        "spec": {"source": {"persistentVolumeClaimName": "data"}},
        "status": {"readyToUse": ready},
    })
}

fn nothing() -> Value {
    json!({"metadata": {}, "items": []})
}

/// What everything goes well with; `None` leaves the answer to this.
fn usual(asked: &str) -> Answer {
    match asked {
        "GET jobs/j" => Json(200, job()),
        "GET persistentvolumeclaims/data" => Json(200, source()),
        "POST volumesnapshots" => Json(201, snapshot(false)),
        "WATCH volumesnapshots" => Events(vec![json!({"type": "MODIFIED", "object": snapshot(true)})]),
        "POST persistentvolumeclaims" => Json(201, json!({"metadata": {"name": "data-20261120", "uid": "p"}})),
        _ => Json(200, nothing()),
    }
}

fn whole(text: &str) -> BoxStream<'static, Result<Frame<Bytes>, std::io::Error>> {
    futures::stream::iter([Ok(Frame::data(Bytes::from(text.to_owned())))]).boxed()
}

/// A run, on an API server that answers as `answer` says (it gets what is asked, and how often that was
/// asked before), and usually where that says nothing.
async fn run(
    answer: impl Fn(&str, usize) -> Option<Answer> + Send + Sync + 'static,
) -> (Exit, SnapshotResult, Vec<String>) {
    run_of("j", answer).await
}

/// The same in a Job of that name.
async fn run_of(
    job: &str,
    answer: impl Fn(&str, usize) -> Option<Answer> + Send + Sync + 'static,
) -> (Exit, SnapshotResult, Vec<String>) {
    let asked = Arc::new(Mutex::new(Vec::<String>::new()));
    let (answer, log) = (Arc::new(answer), Arc::clone(&asked));
    let service = tower::service_fn(move |request: Request<Body>| {
        let what = words(&request);
        let strict = request.uri().query().is_some_and(|q| q.contains("fieldValidation=Strict"));
        assert_eq!(strict, request.method() == Method::POST, "{}", request.uri());
        let before = {
            let mut log = log.lock().unwrap();
            log.push(what.clone());
            log.iter().filter(|w| **w == what).count() - 1
        };
        let answer = answer(&what, before).unwrap_or_else(|| usual(&what));
        async move {
            let (code, body) = match answer {
                Json(code, body) => (code, whole(&body.to_string())),
                Events(events) => (200, whole(&events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"))),
                Stall => (200, futures::stream::pending().boxed()),
                Silence => std::future::pending().await,
            };
            Ok::<_, std::io::Error>(Response::builder().status(code).body(StreamBody::new(body)).unwrap())
        }
    });
    let server = Server::new(Client::new(service, "default"));
    let mut result = SnapshotResult::default();
    let args = args();
    let step = take_and_rotate(&server, &args, ("ours", job), &mut result);
    let ended = tokio::time::timeout(Duration::from_hours(1), step).await.expect("a run ends by itself");
    let outcome = finish(ended, result);
    let asked = asked.lock().unwrap().clone();
    (outcome.exit, serde_json::from_str(&outcome.message).unwrap(), asked)
}

/// `GET pvc/data`, `WATCH volumesnapshots`: the verb and what comes after the namespace.
fn words(request: &Request<Body>) -> String {
    let path = request.uri().path();
    let rest =
        path.split_once("/namespaces/").and_then(|(_, rest)| rest.split_once('/')).map_or(path, |(_, rest)| rest);
    let watch = request.uri().query().is_some_and(|q| q.contains("watch=true"));
    format!("{} {rest}", if watch { "WATCH" } else { request.method().as_str() })
}

fn reason(result: &SnapshotResult) -> &str {
    result.problem.as_ref().map_or("none", |p| p.reason.as_str())
}

const WHOLE: [&str; 8] = [
    "GET jobs/j",
    "GET persistentvolumeclaims/data",
    "GET volumesnapshots",
    "GET persistentvolumeclaims",
    "POST volumesnapshots",
    "WATCH volumesnapshots",
    "POST persistentvolumeclaims",
    "GET configmaps/ledger-u",
];

#[tokio::test(start_paused = true)]
async fn a_run_that_was_started_by_hand_asks_eight_times_and_validates_strictly() {
    let (exit, result, asked) = run(|_, _| None).await;
    assert_eq!((exit, reason(&result)), (Exit::Done, "none"));
    assert_eq!(asked, WHOLE);
}

/// The Job of a CronJob has its minute in its name. A name of years ago, or of another CronJob, tells nothing.
#[tokio::test(start_paused = true)]
async fn a_run_that_its_cronjob_started_is_known_by_the_name_of_its_job() {
    let cronjob = names::cronjob(&args().source());
    let minute = Timestamp::now().as_second() / 60;
    let (exit, result, asked) = run_of(&format!("{cronjob}-{minute}"), |_, _| None).await;
    assert_eq!((exit, reason(&result)), (Exit::Done, "none"));
    assert_eq!(asked, WHOLE[1..]);
    assert_eq!(result.run, Some(Run::at(Timestamp::from_second(minute * 60).unwrap())));

    let by_hand = [format!("{cronjob}-1"), format!("{cronjob}-now"), format!("another-{minute}"), cronjob];
    for name in by_hand {
        let path = format!("GET jobs/{name}");
        let (_, _, asked) = run_of(&name, |what, _| what.starts_with("GET jobs/").then(|| Json(200, job()))).await;
        assert_eq!(asked[0], path);
        assert_eq!(asked[1..], WHOLE[1..]);
    }
}

/// F65: an API server that hangs is given up on, in less time than the Job has.
#[tokio::test(start_paused = true)]
async fn silence_ends_the_try_and_not_the_run() {
    for silent in ["GET jobs/j", "POST volumesnapshots", "GET volumesnapshots"] {
        let begun = Instant::now();
        let (exit, result, _) = run(move |what, _| (what == silent).then_some(Silence)).await;
        assert_eq!((exit, reason(&result)), (Exit::Again, "ApiUnreachable"), "{silent}");
        assert!(begun.elapsed() < Duration::from_mins(3), "{silent}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_may_pass_is_asked_again() {
    for (code, why) in [(429, "TooManyRequests"), (500, "InternalError"), (503, "ServiceUnavailable"), (504, "Timeout")]
    {
        let (exit, _, asked) =
            run(move |what, n| (what == "GET volumesnapshots" && n < 2).then(|| refused(code, why))).await;
        assert_eq!((exit, asked.len()), (Exit::Done, WHOLE.len() + 2), "{why}");
    }
    let (exit, result, asked) = run(|what, _| (what == "POST volumesnapshots").then(|| refused(422, "Invalid"))).await;
    assert_eq!((exit, reason(&result), asked.len()), (Exit::Final, "InvalidObject", 6));
}

/// An API server that has just started answers before it has read who may do what.
#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_for_a_moment_costs_nothing() {
    let forbidden = || {
        let message = "volumesnapshots is forbidden: User \"job\" cannot list resource \"volumesnapshots\"";
        Json(
            403,
            json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": message}),
        )
    };
    let (exit, _, asked) = run(move |what, n| (what == "GET volumesnapshots" && n < 3).then(forbidden)).await;
    assert_eq!((exit, asked.len()), (Exit::Done, WHOLE.len() + 3));

    let begun = Instant::now();
    let (exit, result, _) = run(move |what, _| (what == "GET volumesnapshots").then(forbidden)).await;
    assert_eq!((exit, reason(&result)), (Exit::Again, "Forbidden"));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// Law 8: the first create was done, and its answer was lost.
#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_was_lost_is_found_done() {
    let (exit, result, asked) = run(|what, n| match what {
        "POST volumesnapshots" if n == 0 => Some(refused(504, "Timeout")),
        "POST volumesnapshots" => Some(refused(409, "AlreadyExists")),
        "GET volumesnapshots/data-20261120" => Some(Json(200, snapshot(false))),
        _ => None,
    })
    .await;
    assert_eq!((exit, result.restore_point.as_deref()), (Exit::Done, Some("data-20261120")));
    assert_eq!(asked.iter().filter(|w| *w == "POST volumesnapshots").count(), 2);
}

/// A quota that two writes met at once answers "Conflict", which is no name that is taken.
#[tokio::test(start_paused = true)]
async fn a_conflict_that_is_no_taken_name_is_tried_again() {
    let (exit, _, asked) =
        run(|what, n| (what == "POST volumesnapshots" && n == 0).then(|| refused(409, "Conflict"))).await;
    assert_eq!((exit, asked.len()), (Exit::Done, WHOLE.len() + 1));
}

/// F63: a watch that ends early, and one from a version that is forgotten (410), as answer and as event.
#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_is_followed_by_a_look_and_another_watch() {
    let gone =
        json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}});
    for first in 0..3 {
        let gone = gone.clone();
        let (exit, _, asked) = run(move |what, n| match what {
            "WATCH volumesnapshots" if n == 0 => Some(match first {
                0 => Events(vec![]),
                1 => Events(vec![gone.clone()]),
                _ => refused(410, "Expired"),
            }),
            "GET volumesnapshots/data-20261120" => Some(Json(200, snapshot(false))),
            _ => None,
        })
        .await;
        assert_eq!(exit, Exit::Done, "{first}");
        let after = asked.iter().skip(5).take(3).map(String::as_str).collect::<Vec<_>>();
        assert_eq!(after, ["WATCH volumesnapshots", "GET volumesnapshots/data-20261120", "WATCH volumesnapshots"]);
    }
}

/// A connection that died is noticed, long before the deadline.
#[tokio::test(start_paused = true)]
async fn a_watch_that_says_nothing_is_not_believed_for_ever() {
    let begun = Instant::now();
    let (exit, _, _) = run(|what, _| match what {
        "WATCH volumesnapshots" => Some(Stall),
        "GET volumesnapshots/data-20261120" => Some(Json(200, snapshot(true))),
        _ => None,
    })
    .await;
    assert_eq!(exit, Exit::Done);
    assert!(begun.elapsed() < Duration::from_mins(3), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_never_ready_ends_at_its_deadline() {
    let begun = Instant::now();
    let (exit, result, asked) = run(|what, _| match what {
        "WATCH volumesnapshots" => Some(Events(vec![])),
        "GET volumesnapshots/data-20261120" => Some(Json(200, snapshot(false))),
        _ => None,
    })
    .await;
    assert_eq!((exit, reason(&result)), (Exit::Final, "SnapshotNotReady"));
    assert!(begun.elapsed() < Duration::from_secs(301), "{:?}", begun.elapsed());
    // A server that ends every watch at once is asked about twice a second.
    assert!(asked.len() < 620, "{}", asked.len());
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_fits_into_the_termination_message() {
    let (exit, result, _) = run(|what, _| {
        let mut long = json!({"kind": "Status", "status": "Failure", "code": 422, "reason": "Invalid"});
        long["message"] = "x".repeat(9000).into();
        (what == "POST volumesnapshots").then_some(Json(422, long))
    })
    .await;
    assert_eq!((exit, reason(&result)), (Exit::Final, "InvalidObject"));
}
