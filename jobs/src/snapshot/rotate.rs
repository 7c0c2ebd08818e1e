//! Rotation: what the plan says, done with care.
//!
//! A promoter goes first, then its volume must be gone, then its snapshot goes (F15). Deleting a promoter
//! in use would only mark it, and could not be taken back: users are looked for before. What cannot be
//! done is a warning and stays as it is; the next run looks again. A point that is passed over leaves its
//! place under the brake to the next one, so that it cannot stop rotation for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use api::Retry;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::Timestamp;
use model::config::Deadlines;
use model::facts::{Claim, ClaimPhase, Identity, Snapshot, Volume};
use model::ledger::Ledger;
use model::names::{Component, Instance};
use model::next_copy::{point_state, shows_ready};
use model::reason::{Problem, Reason};
use model::record::Rotated;
use model::rotate::{Decision, Loss, Point, PointState, PromoterPoint, Verdict};
use model::snapshot::VolumeSnapshot;
use model::text::clip;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::observe::{Existing, run_of};
use super::server::{Deleted, Selector, Server};
use super::wait::{Follow, Seen};

/// How long a promoter's volume may take to go.
const VOLUME_GONE: Duration = Duration::from_mins(1);
/// How long the API server may take to show a volume.
const VOLUME_SEEN: Duration = Duration::from_secs(5);

/// What rotation did.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rotated: Vec<Rotated>,
    /// What it could not do, or passed over.
    pub(crate) warnings: Vec<Problem>,
    /// A request that the API server did not do; another try may help.
    pub(crate) failure: Option<Problem>,
}

impl Report {
    fn deleted(&mut self, kind: &str, name: &str, why: &str) {
        tracing::info!("deleted the {kind} {name}: {why}");
        self.rotated.push(Rotated { name: name.to_owned(), why: format!("{kind}: {why}") });
    }

    pub(crate) fn warn(&mut self, reason: Reason, message: impl Into<String>) {
        let problem = Problem::new(reason, clip(&message.into(), 300));
        tracing::warn!("{problem}");
        self.warnings.push(problem);
    }
}

/// Whose restore points are rotated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lineage<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) uid: &'a str,
    /// The source's name: what its snapshots were made from.
    pub(crate) claim: &'a str,
}

/// The restore points of a source. What only says by its labels that it is one is passed over, and told:
/// we never delete what we did not create (law 2).
pub(crate) fn points(
    existing: &Existing,
    lineage: Lineage<'_>,
    ledger: &Ledger,
    deadlines: &Deadlines,
    now: Timestamp,
    report: &mut Report,
) -> Vec<Point> {
    let mut promoters: BTreeMap<&str, &Claim> = BTreeMap::new();
    for promoter in &existing.promoters {
        match promoter_fault(promoter, lineage) {
            None => drop(promoters.insert(&promoter.id.name, promoter)),
            Some(why) => report.warn(Reason::NotManaged, format!("PVC {} is skipped: {why}", promoter.id.name)),
        }
    }
    let mut points = Vec::new();
    for snapshot in &existing.snapshots {
        let name = snapshot.id.name.as_str();
        match (snapshot_fault(snapshot, lineage), run_of(snapshot.ours.as_ref())) {
            (None, Some(run)) => {
                let mut record = ledger.record(run, &snapshot.id);
                record.ready |= promoters.get(name).is_some_and(|p| shows_ready(p, name));
                points.push(Point {
                    run: run.clone(),
                    id: snapshot.id.clone(),
                    state: point_state(snapshot, &record, deadlines, now),
                    held: snapshot.held(now),
                    terminating: snapshot.terminating,
                    promoter: promoters.remove(name).map(|p| promoter_point(p, record.awaited(), now)),
                });
            }
            (why, _) => {
                let why = why.unwrap_or_else(|| "its labels name no run".to_owned());
                report.warn(Reason::NotManaged, format!("VolumeSnapshot {name} is skipped: {why}"));
            }
        }
    }
    points.extend(promoters.into_values().filter_map(|promoter| left_behind(promoter, existing, now)));
    points
}

/// A promoter whose snapshot somebody deleted: still something to restore from, and nothing that a copy
/// is made of any more.
fn left_behind(promoter: &Claim, existing: &Existing, now: Timestamp) -> Option<Point> {
    if existing.snapshots.iter().any(|s| s.id.name == promoter.id.name) {
        return None;
    }
    let state = if promoter.phase == ClaimPhase::Bound { PointState::Lost } else { PointState::Dead };
    Some(Point {
        run: run_of(promoter.ours.as_ref())?.clone(),
        id: Identity { name: promoter.id.name.clone(), ..Identity::default() },
        state,
        held: promoter.held(now),
        terminating: promoter.terminating,
        promoter: Some(promoter_point(promoter, false, now)),
    })
}

fn promoter_point(promoter: &Claim, awaited: bool, now: Timestamp) -> PromoterPoint {
    PromoterPoint {
        id: promoter.id.clone(),
        read_only: promoter.read_only,
        awaited,
        held: promoter.held(now),
        terminating: promoter.terminating,
    }
}

fn snapshot_fault(snapshot: &Snapshot, lineage: Lineage<'_>) -> Option<String> {
    let Some(ours) = &snapshot.ours else { return Some("its labels are not those of a restore point".to_owned()) };
    if ours.instance != *lineage.instance || ours.component != Component::Snapshot || ours.source_uid != lineage.uid {
        return Some("its labels are those of another object".to_owned());
    }
    match &snapshot.claim {
        Some(claim) if claim == lineage.claim => None,
        Some(claim) => Some(format!("it was made from the PVC {claim}, not from {}", lineage.claim)),
        None => Some("it was not made from a PVC".to_owned()),
    }
}

fn promoter_fault(promoter: &Claim, lineage: Lineage<'_>) -> Option<String> {
    let Some(ours) = &promoter.ours else { return Some("its labels are not those of a restore point".to_owned()) };
    if ours.instance != *lineage.instance || ours.component != Component::Promoter || ours.source_uid != lineage.uid {
        return Some("its labels are those of another object".to_owned());
    }
    (promoter.from_snapshot.as_ref() != Some(&promoter.id.name))
        .then(|| "it was not made from the VolumeSnapshot of the same name".to_owned())
}

/// Does what a plan says, in one namespace.
pub(crate) struct Rotation<'a> {
    server: &'a Server,
    namespace: &'a str,
    promoters: BTreeMap<&'a str, &'a Claim>,
    /// Which pod uses which claim; looked up once, when it is first needed.
    users: Option<BTreeMap<String, String>>,
}

/// What became of a point.
enum Step {
    /// What was to go is gone.
    Done,
    /// Something stays, for this. Whether nothing of the point went.
    Stays { reason: Reason, why: String, whole: bool },
}

fn stays(reason: Reason, why: impl Into<String>) -> Step {
    Step::Stays { reason, why: why.into(), whole: true }
}

impl<'a> Rotation<'a> {
    pub(crate) fn new(server: &'a Server, namespace: &'a str, promoters: &'a [Claim]) -> Self {
        let promoters = promoters.iter().map(|p| (p.id.name.as_str(), p)).collect();
        Self { server, namespace, promoters, users: None }
    }

    /// Carries the decisions out, oldest first.
    pub(crate) async fn act(&mut self, decisions: &[Decision], report: &mut Report) {
        decisions.iter().for_each(log);
        // Places under the brake that points which stay have left, by what they would have lost.
        let mut free: BTreeMap<Loss, usize> = BTreeMap::new();
        for decision in decisions {
            let Some(loss) = decision.loss() else { continue };
            if decision.waits() {
                match free.get_mut(&loss).filter(|places| **places > 0) {
                    Some(places) => *places -= 1,
                    None => continue,
                }
            }
            let name = &decision.point.id.name;
            match self.point(decision, report).await {
                Ok(Step::Done) => {}
                Ok(Step::Stays { reason, why, whole }) => {
                    *free.entry(loss).or_default() += usize::from(whole);
                    report.warn(reason, format!("{name} is kept: {why}"));
                }
                Err(error) => {
                    let problem = error.problem();
                    report.warn(problem.reason, format!("{name} is kept: {}", problem.message));
                    report.failure = Some(problem);
                    if error.retry() == Retry::Transient {
                        // The next request would fare no better, and take as long.
                        return;
                    }
                }
            }
        }
    }

    async fn point(&mut self, decision: &Decision, report: &mut Report) -> Result<Step, api::Error> {
        let point = &decision.point;
        if let (Some(promoter), Some(verdict)) = (&point.promoter, &decision.promoter) {
            if promoter.terminating {
                return Ok(stays(Reason::InUse, "its promoter is still being deleted"));
            }
            if !verdict.stays() {
                match self.promoter(&promoter.id, verdict.why(), report).await? {
                    Step::Done => {}
                    stays @ Step::Stays { .. } => return Ok(stays),
                }
            }
        }
        // A promoter that was left behind has no snapshot.
        if decision.snapshot.stays() || point.id.uid.is_empty() {
            return Ok(Step::Done);
        }
        match self.server.delete::<VolumeSnapshot>(self.namespace, &point.id).await? {
            Deleted::Yes => {
                report.deleted("snapshot", &point.id.name, decision.snapshot.why());
                Ok(Step::Done)
            }
            Deleted::Changed => Ok(changed("VolumeSnapshot")),
        }
    }

    /// Deletes a promoter, and waits until its volume is gone.
    async fn promoter(&mut self, id: &Identity, why: &str, report: &mut Report) -> Result<Step, api::Error> {
        if let Some(pod) = self.user(&id.name).await? {
            return Ok(stays(Reason::InUse, format!("the pod {pod} uses its promoter")));
        }
        // The watch begins before the delete, so that nothing is missed, and first tells what the volume is.
        let volume = self.promoters.get(id.name.as_str()).and_then(|p| p.volume.as_deref());
        let mut follow = match volume {
            None => None,
            Some(volume) => match self.volume(volume).await? {
                Some((_, state)) if state.retained => {
                    let why =
                        format!("the PersistentVolume {volume} has the reclaim policy Retain and would be left behind");
                    return Ok(stays(Reason::VolumeRetained, why));
                }
                other => other.map(|(follow, _)| follow),
            },
        };
        if self.server.delete::<PersistentVolumeClaim>(self.namespace, id).await? == Deleted::Changed {
            return Ok(changed("promoter"));
        }
        report.deleted("promoter", &id.name, why);
        let deadline = Instant::now() + VOLUME_GONE;
        while let Some(watched) = &mut follow {
            match timeout(deadline.saturating_duration_since(Instant::now()), watched.next()).await {
                Ok(Ok(Seen::Gone)) => follow = None,
                Ok(Ok(Seen::Is(_))) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    let (volume, seconds) = (volume.unwrap_or_default(), VOLUME_GONE.as_secs());
                    let why = format!("the PersistentVolume {volume} of its promoter still exists after {seconds} s");
                    return Ok(Step::Stays { reason: Reason::InUse, why, whole: false });
                }
            }
        }
        Ok(Step::Done)
    }

    /// A promoter's volume, and a watch of it; nothing if it is gone.
    async fn volume(&self, name: &'a str) -> Result<Option<(Follow<'a, PersistentVolume>, Volume)>, api::Error> {
        let mut follow = Follow::begin(self.server, None, name);
        let seen = match timeout(VOLUME_SEEN, follow.next()).await {
            Ok(seen) => seen?,
            // A watch says nothing about what is not there.
            Err(_) => follow.look().await?,
        };
        Ok(match seen {
            Seen::Is(state) => Some((follow, Volume::from(&state))),
            Seen::Gone => None,
        })
    }

    /// The pod that uses a claim. One that has ended does not (F30).
    async fn user(&mut self, claim: &str) -> Result<Option<&str>, api::Error> {
        let users = match self.users.take() {
            Some(users) => users,
            None => users(self.server, self.namespace).await?,
        };
        Ok(self.users.insert(users).get(claim).map(String::as_str))
    }
}

/// A pod, in the fields that say what it uses.
#[derive(Deserialize)]
struct UsingPod {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: UsingSpec,
}

#[derive(Default, Deserialize)]
struct UsingSpec {
    #[serde(default)]
    volumes: Vec<UsingVolume>,
}

#[derive(Deserialize)]
struct UsingVolume {
    #[serde(rename = "persistentVolumeClaim")]
    claim: Option<PersistentVolumeClaimVolumeSource>,
}

/// Which pod uses which claim.
async fn users(server: &Server, namespace: &str) -> Result<BTreeMap<String, String>, api::Error> {
    let selector = Selector { fields: "status.phase!=Succeeded,status.phase!=Failed", ..Selector::default() };
    let mut users = BTreeMap::new();
    server
        .list::<Pod, UsingPod>(Some(namespace), &selector, |pod| {
            let name = pod.metadata.name.unwrap_or_default();
            let claims = pod.spec.volumes.into_iter().filter_map(|v| v.claim);
            users.extend(claims.map(|c| (c.claim_name, name.clone())));
        })
        .await?;
    Ok(users)
}

fn changed(kind: &str) -> Step {
    stays(Reason::Conflict, format!("its {kind} was changed after this run had read it"))
}

fn log(decision: &Decision) {
    let part = |kind: &str, verdict: &Verdict| {
        let word = match verdict {
            Verdict::Keep(_) => "keep",
            Verdict::Delete(_) => "delete",
            Verdict::Later(_) => "delete later",
        };
        tracing::info!("{word} the {kind} {} of run {}: {}", decision.point.id.name, decision.point.run, verdict.why());
    };
    part("snapshot", &decision.snapshot);
    if let Some(verdict) = &decision.promoter {
        part("promoter", verdict);
    }
}
