//! What a run starts from: its Job, its source, and the restore points that are there.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use model::Timestamp;
use model::config::Deadlines;
use model::duration::Span;
use model::facts::{Claim, ClaimPhase, Ours, Snapshot};
use model::ledger::{Book, Ledger};
use model::names::{self, Component, Instance, Run, SourceId};
use model::next_copy::shown_state;
use model::reason::{Problem, Reason};
use model::rotate::PointState;
use model::snapshot::VolumeSnapshot;

use super::server::{Selector, Server, is_unknown};
use super::stop::Stop;

/// Which run this is, and what time it is at the API server.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// The run: the minute that its CronJob scheduled, or in which somebody started the Job.
    pub(crate) run: Run,
    /// The API server's time: when it made the Job, or when it answered.
    pub(crate) now: Timestamp,
}

/// How far from its minute a Job starts at most whose name is believed: such a name may be given by hand too.
const NEAR: Span = Span::days(1);

/// The run of a Job that the source's CronJob made, by its name: that saves a request. Nothing if only the Job itself
/// tells, as one does that somebody started by hand.
pub(super) fn scheduled(source: &SourceId, job: &str) -> Option<Run> {
    let run = names::scheduled_run(source, job)?;
    let (at, now) = (run.time(), api::now());
    (Span::between(at.min(now), at.max(now)) <= NEAR).then_some(run)
}

/// Reads the Job that this runs in.
pub(crate) async fn clock(server: &Server, namespace: &str, name: &str) -> Result<Clock, Stop> {
    let Some(meta) = server.get_metadata::<Job>(namespace, name).await? else {
        let message =
            format!("Job {name} does not exist in namespace {namespace}: it was deleted, or JOB_NAME is wrong");
        return Err(Stop::Final(Problem::new(Reason::JobFailed, message)));
    };
    let now = meta.creation_timestamp.map_or(Timestamp::UNIX_EPOCH, |t| t.0);
    let scheduled = meta.annotations.as_ref().and_then(|a| a.get(names::SCHEDULED_TIMESTAMP));
    let minute = scheduled.and_then(|text| match text.parse::<Timestamp>() {
        Ok(minute) => Some(minute),
        Err(error) => {
            tracing::warn!(
                "invalid annotation {}='{text}' of the Job: {error}; using the Job's creation time",
                names::SCHEDULED_TIMESTAMP
            );
            None
        }
    });
    Ok(Clock { run: Run::at(minute.unwrap_or(now)), now })
}

/// Reads the source, which must be the one that the run was made for, and able to be snapshotted.
pub(super) async fn source(server: &Server, id: &SourceId) -> Result<Claim, Stop> {
    let stop = |reason, message: String| Err(Stop::Final(Problem::new(reason, message)));
    let Some(pvc) = server.get::<PersistentVolumeClaim>(Some(&id.namespace), &id.name).await? else {
        return stop(Reason::SourceGone, format!("PVC {id} does not exist"));
    };
    let claim = Claim::from(&pvc);
    if claim.id.uid != id.uid {
        return stop(
            Reason::SourceReplaced,
            format!("PVC {id} has the UID {}, but the run is for the UID {}", claim.id.uid, id.uid),
        );
    }
    if claim.terminating {
        return stop(Reason::Terminating, format!("PVC {id} is being deleted"));
    }
    match claim.phase {
        ClaimPhase::Bound => Ok(claim),
        ClaimPhase::Pending => stop(Reason::NotBound, format!("PVC {id} is not bound to a volume")),
        ClaimPhase::Lost => stop(Reason::VolumeLost, format!("the volume of PVC {id} is gone")),
    }
}

/// The restore points of a source that are there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Existing {
    /// Snapshots that say that they are of this source.
    pub(crate) snapshots: Vec<Snapshot>,
    /// PVCs that say that they are promoters of this source.
    pub(crate) promoters: Vec<Claim>,
}

impl Existing {
    /// Puts a run's own objects in the place of what was seen of them before.
    pub(super) fn put(&mut self, snapshot: Snapshot, promoter: Claim) {
        self.snapshots.retain(|s| s.id.name != snapshot.id.name);
        self.promoters.retain(|p| p.id.name != promoter.id.name);
        self.snapshots.push(snapshot);
        self.promoters.push(promoter);
    }
}

/// The ledger of a source, in the controller's namespace; or why nothing of the source may be deleted. An error: the API
/// server did not answer.
pub(crate) async fn ledger(
    server: &Server,
    instance: &Instance,
    namespace: &str,
    uid: &str,
) -> Result<Result<Box<Ledger>, Problem>, Stop> {
    let name = names::ledger(uid);
    let missing = |what: &str| Problem::new(Reason::LedgerMissing, format!("ConfigMap {namespace}/{name} {what}"));
    let Some(map) = server.get::<ConfigMap>(Some(namespace), &name).await? else {
        return Ok(Err(missing("does not exist")));
    };
    let Some(book) = Book::read(&map, instance) else { return Ok(Err(missing("has another name"))) };
    Ok(book.ledger.and_then(|ledger| {
        let waits = ledger.rebuilding.iter().cloned().collect::<Vec<_>>().join(", ");
        if waits.is_empty() {
            Ok(ledger)
        } else {
            Err(missing(&format!("was lost, and has no answer yet from {waits}")))
        }
    }))
}

/// The labels of what belongs to an installation, or to one of its sources.
pub(crate) fn labels(instance: &Instance, uid: Option<&str>) -> String {
    let source = uid.map(|uid| format!(",{}={uid}", names::SOURCE_UID)).unwrap_or_default();
    format!("{}={},{}={instance}{source}", names::MANAGED_BY, names::MANAGER, names::INSTANCE)
}

/// Lists a source's restore points: one list each of snapshots and promoters.
pub(crate) async fn existing(server: &Server, instance: &Instance, id: &SourceId) -> Result<Existing, Stop> {
    let labels = labels(instance, Some(&id.uid));
    let selector = Selector { labels: &labels, ..Selector::default() };
    let mut found = Existing::default();
    server
        .list::<VolumeSnapshot, VolumeSnapshot>(Some(&id.namespace), &selector, |s| {
            found.snapshots.push(Snapshot::from(&s));
        })
        .await
        .map_err(no_snapshot_api)?;
    server
        .list::<PersistentVolumeClaim, PersistentVolumeClaim>(Some(&id.namespace), &selector, |p| {
            found.promoters.push(Claim::from(&p));
        })
        .await?;
    found.promoters.retain(|p| component(p.ours.as_ref()) == Some(Component::Promoter));
    Ok(found)
}

/// A list is "not found" only where the cluster does not know the kind (F04).
pub(crate) fn no_snapshot_api(error: api::Error) -> Stop {
    if is_unknown(&error) {
        let message = "the cluster does not serve the API snapshot.storage.k8s.io/v1";
        return Stop::Final(Problem::new(Reason::NoSnapshotApi, message));
    }
    error.into()
}

fn component(ours: Option<&Ours>) -> Option<Component> {
    ours.map(|o| o.component)
}

/// The run that an object says it belongs to.
pub(crate) fn run_of(ours: Option<&Ours>) -> Option<&Run> {
    ours?.run.as_ref()
}

/// Why a run does nothing now, if that is so: another run is too close, or not ready yet. A copy that
/// waits is no reason: it never blocks a snapshot.
pub(super) fn too_early(
    existing: &Existing,
    pvc: &str,
    clock: &Clock,
    min_interval: Span,
    deadlines: &Deadlines,
) -> Option<Problem> {
    let of_source = |s: &&Snapshot| s.claim.as_deref() == Some(pvc);
    let others = || existing.snapshots.iter().filter(of_source).filter_map(|s| Some((run_of(s.ours.as_ref())?, s)));
    // A later run is there only if this one starts late, or if the API server's clock was wrong once: one
    // that is far ahead is no reason to stop taking backups (F61).
    let distance = |run: &Run| {
        let (a, b) = (run.time(), clock.run.time());
        Span::between(a.min(b), a.max(b))
    };
    let nearest = others().map(|(run, _)| run).min_by_key(|run| distance(run));
    if let Some(run) = nearest.filter(|run| distance(run) < min_interval) {
        let message = format!("run {run} is only {} away, but bounds.minInterval is {min_interval}", distance(run));
        return Some(Problem::new(Reason::TooSoon, message));
    }
    let waiting = others()
        .filter(|(run, s)| **run < clock.run && !s.terminating)
        .filter(|(_, s)| shown_state(s, None, deadlines, clock.now) == PointState::Waiting)
        .max_by_key(|(run, _)| *run);
    let (run, snapshot) = waiting?;
    let message = format!("the VolumeSnapshot {} of run {run} is not ready yet", snapshot.id.name);
    Some(Problem::new(Reason::PreviousNotReady, message))
}
