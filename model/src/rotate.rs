//! Which restore points stay and which go, each with the reason.
//!
//! One plan for snapshots, promoters and dated trees. It is made whole before anything is deleted, and it
//! obeys the laws whatever the retention says:
//!
//! - the newest `min_keep` good points stay, whatever their age (F77);
//! - only earlier, recorded runs are judged: nothing goes while its replacement is unconfirmed;
//! - of points without data at any destination that are newer than the newest good one, the newest `max_unconfirmed`
//!   stay: a copy that keeps failing neither costs a good point nor fills the pool;
//! - a point whose copy has no result yet stays whatever its age and number (L20): the controller may be away, and the
//!   ledger may be an older one that has lost the result. Of more than `max_unconfirmed` the older ones lose their
//!   promoters, as points with a result do;
//! - the same number of points stays whose copies may have been made before the controller began to watch, the oldest
//!   of them: a ledger that went back with etcd is older than all that failed since;
//! - incomplete points, and those whose snapshot was ready once, are kept by the retention beside the good ones, and cost
//!   no good one its place (L7, L8). Of those newer than the newest good one, `max_unconfirmed` stay whatever their age;
//! - at most `max_deletes` points go at once, the oldest first, and of at most as many others the promoter
//!   alone: a slip of a setting or a clock cannot empty a source.

use k8s_openapi::jiff::Timestamp;

use crate::config::PromoterRetention;
use crate::facts::Identity;
use crate::names::Run;
use crate::retention::Retention;
use crate::schedule::Zone;

/// One restore point of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Its run.
    pub run: Run,
    /// The snapshot (or the dated tree).
    pub id: Identity,
    /// How far it got.
    pub state: PointState,
    /// Whether a user holds it.
    pub held: bool,
    /// Whether it is being deleted already.
    pub terminating: bool,
    /// The PVC made from it, if it is there.
    pub promoter: Option<PromoterPoint>,
}

/// How far a restore point got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointState {
    /// It is good: ready, and copied completely somewhere if there are destinations.
    Good,
    /// It is ready, every copy has a result, and the best of them lacks entries (L8).
    Incomplete,
    /// It was ready once and is not now, and no copy of it has data. Its promoter may be all that is left (L7).
    Lost,
    /// It is ready, every copy has a result, and none has data.
    Unconfirmed,
    /// The same, but one of them may have been made before the controller began to watch (L20).
    Unsure,
    /// It is ready, and a copy has no result yet.
    Unrecorded,
    /// It is not ready yet, and may become so.
    Waiting,
    /// It never became ready before its deadline: nothing can be restored from it.
    Dead,
}

/// The PVC made from a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct PromoterPoint {
    /// Name, UID, version.
    pub id: Identity,
    /// A cheap view of its snapshot, or a full clone.
    pub read_only: bool,
    /// Whether a copy of it has no result yet, though another one may have made its point good.
    pub awaited: bool,
    /// Whether a user holds it.
    pub held: bool,
    /// Whether it is being deleted already.
    pub terminating: bool,
}

/// What rotation goes by.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// Ages or keep rules.
    pub retention: &'a Retention,
    /// The zone whose days, weeks and months the keep rules count.
    pub zone: &'a Zone,
    /// The API server's time.
    pub now: Timestamp,
    /// The run that is under way; it and later ones are not judged. `None`: judge all.
    pub current: Option<&'a Run>,
    /// Good points that stay whatever their age.
    pub min_keep: usize,
    /// Points newer than the newest good one that stay.
    pub max_unconfirmed: usize,
    /// Points that may go at once, and promoters that may go without their points.
    pub max_deletes: usize,
    /// Holds that count.
    pub max_holds: usize,
    /// How long promoters stay.
    pub promoters: PromoterRetention,
}

impl Rules<'_> {
    /// Whether a point is an earlier one that is not being deleted.
    fn judges(&self, point: &Point) -> bool {
        self.current.is_none_or(|current| point.run < *current) && !point.terminating
    }
}

/// What happens to one object, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep(String),
    /// It goes.
    Delete(String),
    /// It would go, but enough go already: it takes the place of one that cannot go, or waits for the next run.
    Later(String),
}

impl Verdict {
    /// Whether the object goes.
    #[must_use]
    pub fn deletes(&self) -> bool {
        matches!(self, Self::Delete(_))
    }

    /// Whether the object stays for good reason, and not only until a later run.
    #[must_use]
    pub fn stays(&self) -> bool {
        matches!(self, Self::Keep(_))
    }

    /// Why.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Keep(why) | Self::Delete(why) | Self::Later(why) => why,
        }
    }

    fn keep(why: impl Into<String>) -> Self {
        Self::Keep(why.into())
    }

    fn delete(why: impl Into<String>) -> Self {
        Self::Delete(why.into())
    }
}

/// What happens to one restore point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The point.
    pub point: Point,
    /// The snapshot's (or tree's) fate.
    pub snapshot: Verdict,
    /// The promoter's, if there is one. It goes before its snapshot does.
    pub promoter: Option<Verdict>,
}

/// What a source loses by a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// A restore point.
    Point,
    /// A promoter, which its snapshot can make again.
    Promoter,
}

impl Decision {
    fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        std::iter::once(&self.snapshot).chain(&self.promoter)
    }

    /// What goes, now or later.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        if !self.snapshot.stays() {
            return Some(Loss::Point);
        }
        self.verdicts().any(|v| !v.stays()).then_some(Loss::Promoter)
    }

    /// Whether what goes has to wait.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.verdicts().any(|v| matches!(v, Verdict::Later(_)))
    }
}

/// Decides about every point. The decisions come oldest first, which is also the order to act in.
#[must_use]
pub fn plan(points: &[Point], rules: &Rules<'_>) -> Vec<Decision> {
    let mut points: Vec<&Point> = points.iter().collect();
    points.sort_by(|a, b| a.run.cmp(&b.run).then_with(|| a.id.name.cmp(&b.id.name)));

    let holds = honoured_holds(&points, rules.max_holds);
    let (mut verdicts, crowded) = judge(&points, rules);
    for (index, point) in points.iter().enumerate() {
        if let Some(honoured) = holds[index]
            && verdicts[index].deletes()
            && honoured
        {
            verdicts[index] = Verdict::keep("held by annotation");
        }
        if point.terminating {
            verdicts[index] = Verdict::keep("being deleted already");
        }
    }
    // One that goes itself, or has no promoter, does not cost an older one its own: something stays that can be
    // mounted.
    let newest_ready = points.iter().zip(&verdicts).rposition(|(p, verdict)| {
        let promoted = p.promoter.as_ref().is_some_and(|promoter| !promoter.terminating);
        restorable(p.state) && !p.terminating && promoted && verdict.stays()
    });
    let mut decisions: Vec<Decision> = points
        .iter()
        .zip(verdicts)
        .enumerate()
        .map(|(index, (point, snapshot))| Decision {
            promoter: point.promoter.as_ref().map(|promoter| {
                let rank = Rank { newest: newest_ready == Some(index), crowded: crowded.contains(&index) };
                promoter_verdict(point, promoter, &snapshot, rank, holds[index], rules)
            }),
            point: (*point).clone(),
            snapshot,
        })
        .collect();
    brake(&mut decisions, rules.max_deletes);
    decisions
}

fn restorable(state: PointState) -> bool {
    match state {
        PointState::Good
        | PointState::Incomplete
        | PointState::Unconfirmed
        | PointState::Unsure
        | PointState::Unrecorded => true,
        PointState::Lost | PointState::Waiting | PointState::Dead => false,
    }
}

/// Whether retention judges it as if it were good, though it counts for no floor.
fn is_poor(state: PointState) -> bool {
    matches!(state, PointState::Incomplete | PointState::Lost)
}

/// For each point: `None` if nobody holds it, else whether the hold counts. The oldest points' count, so that
/// holding each new point in turn never costs an older one its hold.
fn honoured_holds(points: &[&Point], max: usize) -> Vec<Option<bool>> {
    let mut seen = 0;
    points
        .iter()
        .map(|point| {
            (point.held || point.promoter.as_ref().is_some_and(|p| p.held)).then(|| {
                seen += 1;
                seen <= max
            })
        })
        .collect()
}

/// The verdicts, and those points that have no result yet while `max_unconfirmed` others like them are newer.
fn judge(points: &[&Point], rules: &Rules<'_>) -> (Vec<Verdict>, Vec<usize>) {
    let judged = |p: &Point| rules.judges(p);
    let of =
        |wanted: &dyn Fn(&Point) -> bool| -> Vec<usize> { (0..points.len()).filter(|i| wanted(points[*i])).collect() };
    // The current run may be good already (no destinations): it counts for the floor, but is not judged.
    let good = of(&|p| p.state == PointState::Good && !p.terminating);
    let newest_good = good.last().copied();
    let is_newer = |index: usize| newest_good.is_none_or(|newest| index > newest);

    let mut verdicts: Vec<Verdict> = points
        .iter()
        .map(|p| {
            Verdict::keep(match p.state {
                _ if !judged(p) => "the current run is always kept",
                PointState::Waiting => "not ready yet",
                _ => "not recorded yet",
            })
        })
        .collect();

    // Good points, and those beside them that are older: retention, above the floor.
    let floor = good.iter().rev().take(rules.min_keep).copied().collect::<Vec<_>>();
    let older = of(&|p| judged(p) && is_without_data(p.state));
    let older: Vec<usize> = older.into_iter().filter(|i| !is_newer(*i)).collect();
    let poor = of(&|p| is_poor(p.state) && !p.terminating);
    judge_poor(points, rules, (&good, &poor), &is_newer, &mut verdicts);
    for (group, floor) in [(good, floor.as_slice()), (older, &[])] {
        let times: Vec<Timestamp> = group.iter().map(|i| points[*i].run.time()).collect();
        let kept = rules.retention.judge(&times, rules.now, rules.zone);
        for (index, why) in group.into_iter().zip(kept) {
            if !rules.judges(points[index]) {
                continue;
            }
            verdicts[index] = match why {
                Some(why) => Verdict::keep(why),
                None if floor.contains(&index) => {
                    Verdict::keep(format!("one of the newest good restore points (bounds.minKeep: {})", rules.min_keep))
                }
                None => Verdict::delete(format!("expired by retention '{}'", rules.retention)),
            };
        }
    }

    // Points newer than the newest good one that have no data at a destination: a few, whatever retention says. L20:
    // without the ledger's word nobody knows of one that it has none.
    let newer = |is: &dyn Fn(PointState) -> bool| -> Vec<usize> {
        of(&|p| is(p.state) && !p.terminating).into_iter().filter(|i| is_newer(*i)).collect()
    };
    let without = newer(&is_without_data);
    let newest: Vec<usize> = without.iter().rev().take(rules.max_unconfirmed).copied().collect();
    let unsure: Vec<usize> =
        newer(&|state| state == PointState::Unsure).into_iter().take(rules.max_unconfirmed).collect();
    for index in without.into_iter().filter(|i| judged(points[*i])) {
        verdicts[index] = if newest.contains(&index) {
            Verdict::keep("newer than the newest good restore point")
        } else if unsure.contains(&index) {
            Verdict::keep("a copy may have been made before the controller began to watch")
        } else {
            let max = rules.max_unconfirmed;
            Verdict::delete(format!("unconfirmed, and {max} others like it are kept (bounds.maxUnconfirmed)"))
        };
    }
    let unrecorded = newer(&|state| state == PointState::Unrecorded).into_iter().rev();
    let crowded = unrecorded.skip(rules.max_unconfirmed).filter(|i| judged(points[*i])).collect();

    for index in of(&|p| judged(p) && p.state == PointState::Dead) {
        verdicts[index] = Verdict::delete("never became ready");
    }
    (verdicts, crowded)
}

/// Whether every copy has a result, and none has data.
fn is_without_data(state: PointState) -> bool {
    matches!(state, PointState::Unconfirmed | PointState::Unsure)
}

/// L8: one file that can never be read makes every copy incomplete. The history stays all the same: these points are
/// judged in one series with the good ones, which are judged without them.
fn judge_poor(
    points: &[&Point],
    rules: &Rules<'_>,
    (good, poor): (&[usize], &[usize]),
    is_newer: &dyn Fn(usize) -> bool,
    verdicts: &mut [Verdict],
) {
    let series: Vec<usize> = good.iter().chain(poor).copied().collect();
    let times: Vec<Timestamp> = series.iter().map(|i| points[*i].run.time()).collect();
    let kept = rules.retention.judge(&times, rules.now, rules.zone);
    let newest: Vec<usize> = poor.iter().rev().filter(|i| is_newer(**i)).take(rules.max_unconfirmed).copied().collect();
    for (index, why) in series.into_iter().zip(kept).skip(good.len()) {
        if !rules.judges(points[index]) {
            continue;
        }
        verdicts[index] = match why {
            Some(why) => Verdict::keep(why),
            None if newest.contains(&index) => Verdict::keep("newer than the newest good restore point"),
            None => Verdict::delete(format!("expired by retention '{}'", rules.retention)),
        };
    }
}

/// What a promoter is among those of its source.
#[derive(Debug, Clone, Copy)]
struct Rank {
    /// That of the newest restore point that has one.
    newest: bool,
    /// Enough newer ones wait for their copies.
    crowded: bool,
}

fn promoter_verdict(
    point: &Point,
    promoter: &PromoterPoint,
    snapshot: &Verdict,
    rank: Rank,
    hold: Option<bool>,
    rules: &Rules<'_>,
) -> Verdict {
    if promoter.terminating {
        return Verdict::keep("being deleted already");
    }
    if let Verdict::Delete(why) = snapshot {
        return Verdict::delete(why.clone());
    }
    if hold == Some(true) {
        return Verdict::keep("held by annotation");
    }
    // L7: it may be the last that has the data, and nothing can make it again.
    if point.state == PointState::Lost {
        return Verdict::keep("its snapshot is not ready any more");
    }
    let judged = rules.current.is_none_or(|current| point.run < *current);
    let awaited = promoter.awaited || matches!(point.state, PointState::Unrecorded | PointState::Waiting);
    if !judged || awaited && !rank.crowded {
        return Verdict::keep("its copy is not recorded yet");
    }
    match rules.promoters {
        PromoterRetention::Keep => Verdict::keep("kept as long as its snapshot"),
        PromoterRetention::Auto if promoter.read_only => Verdict::keep("read-only: kept as long as its snapshot"),
        PromoterRetention::Auto if rank.newest => Verdict::keep("the newest restore point"),
        PromoterRetention::Auto => Verdict::delete("a full clone, and a newer promoter exists"),
        PromoterRetention::Release if rank.crowded => Verdict::delete("newer restore points wait for their copies"),
        PromoterRetention::Release => Verdict::delete("its copy is recorded"),
    }
}

/// Lets only the oldest `max` points go, and as many promoters of others; the rest waits for the next run.
/// Promoters have places of their own: points that go would leave them none, and clones would fill the pool.
fn brake(decisions: &mut [Decision], max: usize) {
    let mut used = [0_usize; 2];
    for decision in decisions {
        let Some(loss) = decision.loss() else { continue };
        let used = &mut used[usize::from(loss == Loss::Promoter)];
        *used += 1;
        if *used <= max {
            continue;
        }
        for verdict in std::iter::once(&mut decision.snapshot).chain(&mut decision.promoter) {
            if let Verdict::Delete(why) = verdict {
                *verdict = Verdict::Later(format!(
                    "{why}; a run deletes at most {max}, the next run continues (bounds.maxDeletesPerRun)"
                ));
            }
        }
    }
}
