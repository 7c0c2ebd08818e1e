//! A restore from a central destination: the controller does it, asked by an annotation on the PVC, and tells there
//! what becomes of it.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use model::duration::took;
use model::facts::Claim;
use model::names;
use model::quantity;
use model::reason::{Problem, Reason};
use model::record::{RestoreRecord, RestoreResult, RestoreState};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::args::Restore;
use super::done::Done;
use super::pod;
use super::session::Session;
use super::stop::Stop;
use super::target::{self, Target};
use super::undo::Undo;
use crate::terminal::say;

/// What is written on the PVC: an id of its own makes it a new request.
fn text(args: &Restore, id: &str) -> Result<String, Stop> {
    let mut paths = args.all_paths();
    let mut request = args.point.request(None);
    (request.delete, request.path) = (args.delete, paths.next().cloned());
    if paths.next().is_some() {
        let text =
            "a restore from a central destination takes one PATH, or none for all: run the command once for each PATH";
        return Err(Stop::Usage(text.to_owned()));
    }
    Ok(format!("id={id} {request}"))
}

/// What is said before the question.
pub(super) const WITHOUT_PREVIEW: &str =
    "at this central destination copies run in the controller's namespace: the controller restores, without a preview";

/// Whether the controller can be asked for it.
pub(super) fn check(args: &Restore) -> Result<(), Stop> {
    text(args, "").map(drop)
}

/// Asks, and waits until it is done. `deadline` is for its beginning.
pub(super) async fn restore(session: &mut Session, args: &Restore, ask: bool, deadline: Instant) -> Result<Done, Stop> {
    let name = args.target();
    check(args)?;
    say(WITHOUT_PREVIEW);
    if args.dry_run {
        return Ok(Done::Here(format!("the controller would restore PVC {name}; nothing was changed"), false));
    }
    if ask && !session.ask(&format!("Let the controller restore into PVC {name}?")).await? {
        return Ok(Done::Here("nothing was changed".to_owned(), false));
    }
    request(session, args, deadline).await
}

/// Asks the controller, and waits until it is done.
pub(super) async fn request(session: &Session, args: &Restore, deadline: Instant) -> Result<Done, Stop> {
    let name = args.target();
    let text = text(args, &pod::token().0)?;
    let asked = Undo::Ask { pvc: name.to_owned(), request: text.clone() };
    session.left.add(asked.clone());
    // L10: from now on the controller may begin at any moment, whatever is heard of it here.
    let before = session.left.is_mixture();
    let made = session.left.keep_claim();
    session.left.set_mixture(true);
    let mut begun = false;
    let ended = match annotate(session, name, None, json!(text)).await {
        Ok(()) => session.interrupt.during(settled(session, name, &text, deadline, &mut begun)).await.flatten(),
        Err(stop) => {
            // U11: what was refused is not to be taken back, and nothing begins.
            if matches!(stop, Stop::Refused(_)) {
                session.left.set_mixture(before);
                session.left.done(&asked);
            }
            return Err(stop);
        }
    };
    let record = match ended {
        Ok(record) => record,
        Err(stop) => {
            if !begun && recalled(session, name, &text).await {
                session.left.set_mixture(before);
                session.left.done(&asked);
                if let Some(made) = made {
                    session.left.add(made);
                }
            }
            return Err(stop);
        }
    };
    let problem = || Problem::new(Reason::RestoreFailed, "the controller gives no reason; read its log");
    let untouched = record.result.as_ref().map_or(record.state == RestoreState::Refused, |r| r.wrote == Some(false));
    if let Some(made) = made.filter(|_| untouched) {
        session.left.add(made);
    }
    match (record.state, record.result, record.problem) {
        (_, Some(result), _) => Ok(Done::There(record.point.unwrap_or_default(), Box::new(result))),
        (RestoreState::Refused, None, told) => {
            session.left.set_mixture(before);
            Err(Stop::Refused(told.unwrap_or_else(problem)))
        }
        // Nothing tells how far it came.
        (_, None, told) => Err(Stop::Failed(anyhow::anyhow!("{}", told.unwrap_or_else(problem)))),
    }
}

/// L10: takes back a request that has not begun, and says whether that is certain. The controller writes on the same PVC
/// that it begins before it makes anything: if the API server takes this change of a PVC without that word, it never
/// begins.
async fn recalled(session: &Session, name: &str, text: &str) -> bool {
    for _ in 0..3 {
        let Ok(found) = target::read(session, name).await else { return false };
        let Some(claim) = found.claim().map(Claim::from).filter(|claim| is_asked(claim, text)) else { return false };
        let mark = names::run_now_mark(text);
        let told = claim.restored.as_deref().filter(|record| record.request == mark);
        if told.is_some_and(|record| record.state != RestoreState::Waiting || record.is_begun()) {
            return false;
        }
        // Another change of the PVC came first: look again.
        if annotate(session, name, Some(&claim.id.resource_version), Value::Null).await.is_ok() {
            return true;
        }
    }
    false
}

/// Whether a PVC has this request, and no other one.
fn is_asked(claim: &Claim, text: &str) -> bool {
    claim.settings.get(names::RESTORE_FROM).is_some_and(|now| now == text)
}

/// The record of a request, once there is nothing more to wait for.
async fn settled(
    session: &Session,
    name: &str,
    text: &str,
    deadline: Instant,
    begun: &mut bool,
) -> Result<RestoreRecord, Stop> {
    let mark = names::run_now_mark(text);
    let mut claims = watch_object(session.api::<PersistentVolumeClaim>(), name).default_backoff().boxed();
    let mut seen = String::new();
    loop {
        let item = tokio::select! {
            () = sleep_until(deadline), if !*begun => {
                let seen = if seen.is_empty() { "the controller has not answered" } else { &seen };
                let text = anyhow::anyhow!("the restore did not begin in time (--timeout). Last state: {seen}");
                return Err(Stop::Failed(text));
            }
            item = claims.next() => item,
        };
        let claim = match item {
            None => return Err(Stop::Failed(anyhow::anyhow!("the watch of PVC {name} ended: run the command again"))),
            Some(Ok(None)) => return Err(Stop::Failed(anyhow::anyhow!("PVC {name} was deleted"))),
            Some(Err(error)) => {
                session.lost(&error, "persistentvolumeclaims", &mut seen)?;
                continue;
            }
            Some(Ok(Some(claim))) => Claim::from(&claim),
        };
        if !is_asked(&claim, text) {
            return Err(Stop::Failed(anyhow::anyhow!(
                "somebody else requested another restore of PVC {name}: wait for it, then run the command again"
            )));
        }
        let Some(record) = claim.restored.filter(|r| r.request == mark) else { continue };
        *begun |= record.is_begun();
        let told = match record.state {
            RestoreState::Ready => format!("restoring from {}", record.point.unwrap_or_default()),
            RestoreState::Waiting => {
                format!("the controller waits: {}", record.problem.map(|p| p.to_string()).unwrap_or_default())
            }
            _ => return Ok(*record),
        };
        if seen != told {
            say(&told);
            seen = told;
        }
    }
}

/// `version`: only if the PVC is still that one.
async fn annotate(session: &Session, name: &str, version: Option<&str>, value: Value) -> Result<(), Stop> {
    let api: Api<PersistentVolumeClaim> = session.api();
    let mut metadata = json!({"annotations": {names::RESTORE_FROM: value}});
    if let Some(version) = version {
        metadata["resourceVersion"] = json!(version);
    }
    let patch = Patch::Merge(json!({"metadata": metadata}));
    let params = PatchParams::default();
    let written = api.patch(name, &params, &patch);
    match api::bounded(|| format!("patch persistentvolumeclaims {name}"), written).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Stop::asked(session.deed("patch", "persistentvolumeclaims"), &error)),
    }
}

/// Takes the request back: one that runs ends, and what was told of one that ended stays. Somebody else's stays too.
pub(super) async fn withdraw(session: &Session, name: &str, text: &str) -> Result<(), Stop> {
    match target::read(session, name).await? {
        Target::There(claim) if is_asked(&Claim::from(&*claim), text) => {
            annotate(session, name, claim.metadata.resource_version.as_deref(), Value::Null).await
        }
        Target::There(_) | Target::Gone => Ok(()),
        Target::Unknown => annotate(session, name, None, Value::Null).await,
    }
}

/// The line for a person.
pub(super) fn words(point: &str, result: &RestoreResult) -> String {
    let done = match result.state {
        RestoreState::Complete => "restored",
        RestoreState::Incomplete => "partly restored",
        _ => "not restored",
    };
    let RestoreResult { changed, deleted, bytes, seconds, .. } = result;
    let why = result.problem.as_ref().map(|p| format!("\n{p}\nWhat to do: {}", p.reason.help())).unwrap_or_default();
    format!(
        "{done} from {point}: {changed} changed, {deleted} deleted, {}B, {}{why}",
        quantity::human(*bytes),
        took(*seconds)
    )
}

pub(super) fn code(result: &RestoreResult) -> u8 {
    match result.state {
        RestoreState::Complete => 0,
        RestoreState::Failed | RestoreState::Waiting | RestoreState::Ready => 1,
        RestoreState::Refused | RestoreState::Incomplete => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use model::restore::Request;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Restore,
    }

    fn written(line: &str) -> Result<String, Stop> {
        let words = std::iter::once("restore").chain(line.split(' '));
        text(&Line::parse_from(words).args, "ab1")
    }

    #[test]
    fn the_request_on_the_pvc_is_new_each_time_and_says_what_the_command_line_says() {
        let text = written("data --date 20181202 --from vault --delete --to other etc").unwrap();
        assert_eq!(text, "id=ab1 pvc=data date=20181202 from=vault delete=true path=etc");
        let request: Request = text.parse().unwrap();
        assert!(request.delete && request.path.as_deref() == Some("etc"));
        assert!(matches!(written("data --date 20181202 a b"), Err(Stop::Usage(_))));
    }

    #[test]
    fn what_the_controller_tells_becomes_words_and_a_code() {
        let mut result = RestoreResult {
            state: RestoreState::Complete,
            problem: None,
            finished: model::Timestamp::UNIX_EPOCH,
            changed: 3,
            deleted: 1,
            bytes: 5,
            seconds: 2,
            wrote: None,
        };
        assert_eq!(words("vault/r", &result), "restored from vault/r: 3 changed, 1 deleted, 5B, 2 s");
        assert_eq!(code(&result), 0);
        result.state = RestoreState::Refused;
        result.problem = Some(Problem::new(Reason::TargetInUse, "pod app has it"));
        let told = format!("TargetInUse: pod app has it\nWhat to do: {}", Reason::TargetInUse.help());
        assert!(words("vault/r", &result).contains(&told));
        assert_eq!(code(&result), 3);
    }
}
