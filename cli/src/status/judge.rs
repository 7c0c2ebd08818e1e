//! Where each PVC's backups stand. Pure: what was observed in, [`Volume`]s out.
//!
//! Verdicts, records and restore points come from the same functions of `model` that the controller goes
//! by. What only the controller knows (since when, what a copy waits for, what the API server refused) is
//! read from the record that it keeps on the PVC.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use model::config::{Deadlines, Destination, Disk, Reach};
use model::duration::Span;
use model::facts::{Claim, ClaimPhase, CronJob, JobState, Snapshot};
use model::names::{self, Component, label_value};
use model::next_copy::shown_state;
use model::plan;
use model::reason::{Problem, Reason};
use model::record::{CopyState, Failure, Status};
use model::rotate::PointState;
use model::select::{Protection, Verdict};
use model::world::Belongings;

use super::findings::{overdue, tasks};
use super::timing::Timing;
use super::view::{CopyView, Finding, PointView, RunAt, State, Volume, Word};
use crate::observe::Observed;

/// How old a PVC is when its CronJob should be there.
const CRONJOB_DUE: Span = Span::minutes(5);

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) observed: &'a Observed,
    /// The PVCs; empty: all.
    pub(crate) names: &'a [String],
    /// Missed runs that make a PVC overdue.
    pub(crate) missed: u32,
    pub(crate) now: Timestamp,
}

/// The PVCs that are asked for, by namespace and name.
pub(crate) fn volumes(question: Question<'_>) -> Vec<Volume> {
    let world = &question.observed.world;
    let present = world.claims.iter().filter_map(|claim| question.present(claim));
    let vanished =
        world.subjects().filter(|uid| world.claim_of(uid).is_none()).filter_map(|uid| question.vanished(uid));
    let mut volumes: Vec<Volume> = present.chain(vanished).collect();
    // Of several that vanished under one name, the newest comes first.
    let key = |v: &Volume| (v.namespace.clone(), v.name.clone(), v.state == State::Vanished);
    volumes.sort_by(|a, b| {
        key(a).cmp(&key(b)).then_with(|| b.snapshot.as_ref().map(|s| s.time).cmp(&a.snapshot.as_ref().map(|s| s.time)))
    });
    volumes
}

/// A PVC judged, as well as that can be done.
enum Judged {
    /// It is backed up; how, if that is computed.
    Protected(Option<Box<Protection>>),
    /// It is not.
    Left(Problem),
    /// It cannot be told.
    Unknown,
}

impl Question<'_> {
    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|n| n == name)
    }

    fn present(&self, claim: &Claim) -> Option<Volume> {
        if !self.wants(&claim.id.name) {
            return None;
        }
        if let Some(selected) = &self.observed.selected
            && !selected.contains(&claim.id.uid)
        {
            return None;
        }
        let (judged, warnings) = self.judge(claim);
        let is_own = matches!(&judged, Judged::Left(p) if p.reason == Reason::OwnVolume);
        if is_own && self.names.is_empty() {
            return None;
        }
        Some(self.volume(claim, &judged, &warnings))
    }

    /// What the controller would say, or what it said.
    fn judge(&self, claim: &Claim) -> (Judged, Vec<Problem>) {
        let Observed { world, knows, .. } = self.observed;
        if knows.verdicts() {
            return match plan::verdict(world, claim) {
                Verdict::Protected(protection, warnings) => (Judged::Protected(Some(protection)), warnings),
                Verdict::Unprotected(problem, warnings) => (Judged::Left(problem), warnings),
            };
        }
        let own = matches!(
            claim.ours.as_ref().map(|o| o.component),
            Some(Component::Promoter | Component::Disk | Component::Central | Component::Grant | Component::Target)
        );
        if own || (plan::from_our_snapshot(world, claim) && claim.from_snapshot.as_ref() == Some(&claim.id.name)) {
            return (
                Judged::Left(Problem::new(Reason::OwnVolume, "this PVC belongs to the backups themselves")),
                Vec::new(),
            );
        }
        let Some(status) = world.status(&claim.id.uid) else { return (unrecorded(claim), Vec::new()) };
        let judged = match &status.unprotected {
            Some(problem) => Judged::Left(problem.clone()),
            None if status.protected_since.is_some() => Judged::Protected(None),
            None => unrecorded(claim),
        };
        (judged, status.warnings.clone())
    }

    fn volume(&self, claim: &Claim, judged: &Judged, warnings: &[Problem]) -> Volume {
        let Observed { world, knows, .. } = self.observed;
        let protection = match judged {
            Judged::Protected(protection) => protection.as_deref(),
            _ => None,
        };
        let status = self.record(claim);
        let nothing = Belongings::default();
        let belongings = world.belongings(&claim.id.uid).unwrap_or(&nothing);
        let mut volume = self.blank(&claim.namespace, &claim.id.name, &claim.id.uid);
        self.points(belongings, Some(claim), &mut volume);
        self.copies(&status, protection, belongings, &mut volume);
        volume
            .copies
            .values_mut()
            .for_each(|copy| copy.accepted = claim.accepted(self.now).filter(|_| copy.maintenance.is_some()));
        if !knows.snapshots {
            volume.snapshot = status.snapshot.as_ref().map(|run| RunAt::new(world, &claim.id.uid, run));
        }
        volume.outside = self.outside(&volume, &status);
        volume.computed = knows.verdicts();
        volume.retention = protection.map(|p| p.retention.to_string());
        volume.snapshot_class = protection.map(|p| p.snapshot_class.0.clone());

        let cronjob = self.cronjob(claim);
        let is_protected = matches!(judged, Judged::Protected(_));
        let timing = if is_protected { self.timing(cronjob, protection) } else { None };
        if let Some(timing) = &timing {
            volume.schedule = Some(timing.text.clone());
            volume.after = timing.span();
            volume.time_zone = Some(timing.zone.name().to_owned());
            volume.next_run = timing.next(world, claim, self.now);
            volume.suspended = timing.suspended;
        }
        if is_protected {
            // A13: it is the beginning of a minute, in which the PVC was made.
            volume.protected_since = status.protected_since.map(|since| since.max(claim.created));
        }
        let gone = knows.snapshots && status.good.is_some() && !has_anything(&volume);
        volume.good = status.good.as_ref().filter(|_| !gone).map(|run| RunAt::new(world, &claim.id.uid, run));
        volume.missed_runs = timing.as_ref().filter(|_| is_protected).and_then(|t| self.missed(t, &volume));

        self.state(judged, &status, cronjob.is_some(), gone, &mut volume);
        if is_protected {
            let failed = tasks(&volume);
            let unwell = unwell(&status, &volume);
            // U13: a finding is a state, until a copy has mended it. U1: so is a destination without a good copy in time.
            let is_well = unwell.is_empty() && !failed.iter().any(is_spoilt);
            if matches!(volume.state, State::Protected | State::Pending) && !is_well {
                volume.state = State::Degraded;
            }
            // What a copy waits for comes after what is wrong.
            let first = if volume.state == State::Degraded { 0 } else { volume.findings.len() };
            volume.findings.splice(first..first, unwell);
            volume.findings.extend(failed);
        }
        volume.findings.extend(warnings.iter().map(Finding::of));
        volume.findings.extend(world.status(&claim.id.uid).and_then(|s| s.not_shown.as_ref()).map(Finding::of));
        volume.alarm = alarms(&volume, claim, self.now);
        volume
    }

    fn blank(&self, namespace: &str, name: &str, uid: &str) -> Volume {
        Volume {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            state: State::Vanished,
            alarm: false,
            computed: true,
            protected_since: None,
            schedule: None,
            after: None,
            time_zone: None,
            retention: None,
            snapshot_class: None,
            next_run: None,
            suspended: false,
            missed_runs: None,
            good: None,
            snapshot: None,
            copies: BTreeMap::new(),
            outside: None,
            restore_points: self.observed.knows.snapshots.then(Vec::new),
            findings: Vec::new(),
        }
    }

    /// The record as the controller would write it now: snapshots are taken and rotated without it.
    fn record(&self, claim: &Claim) -> Status {
        let recorded = self.observed.world.status(&claim.id.uid).cloned().unwrap_or_default();
        let computed = plan::standing(&self.observed.world, claim, self.now);
        // Refused steps and the queue of copies are known to the controller alone.
        let refused = recorded.failure.clone().filter(|f| f.run.is_none());
        let judged = self.observed.knows.verdicts();
        Status {
            wanted: if judged { computed.wanted } else { recorded.wanted },
            protected_since: recorded.protected_since,
            waiting: recorded.waiting,
            failure: refused.or(computed.failure),
            ..computed
        }
    }

    /// The restore points in the namespace, and the newest that is ready.
    fn points(&self, belongings: &Belongings, claim: Option<&Claim>, volume: &mut Volume) {
        let Observed { world, knows, .. } = self.observed;
        if !knows.snapshots {
            return;
        }
        let of_this =
            |s: &&Snapshot| claim.is_none_or(|c| c.namespace == s.namespace && s.claim.as_ref() == Some(&c.id.name));
        let promoters: Vec<&Claim> =
            belongings.promoters.iter().filter_map(|(namespace, name)| world.claims.get(namespace, name)).collect();
        let promoter = |s: &Snapshot| {
            promoters
                .iter()
                .any(|p| p.namespace == s.namespace && p.from_snapshot.as_ref() == Some(&s.id.name) && !p.terminating)
        };
        let mut points: Vec<PointView> = belongings
            .snapshots
            .iter()
            .filter_map(|(namespace, name)| world.snapshots.get(namespace, name))
            .filter(of_this)
            .filter(|s| !s.terminating)
            .filter_map(|snapshot| {
                let run = snapshot.ours.as_ref()?.run.clone()?;
                let record = world.record(snapshot);
                Some(PointView {
                    name: snapshot.id.name.clone(),
                    time: snapshot.created,
                    run,
                    ready: snapshot.ready,
                    state: shown_state(snapshot, record, &world.config.deadlines, self.now),
                    held: snapshot.held(self.now),
                    mountable: promoter(snapshot),
                    copies: record.into_iter().flat_map(|r| &r.results).map(|(d, r)| (d.clone(), r.state)).collect(),
                })
            })
            .collect();
        points.sort_by(|a, b| a.run.cmp(&b.run).then_with(|| a.name.cmp(&b.name)));
        volume.snapshot = points.iter().rfind(|p| p.ready).map(PointView::run_at);
        volume.restore_points = Some(points);
    }

    fn copies(&self, status: &Status, protection: Option<&Protection>, belongings: &Belongings, volume: &mut Volume) {
        let world = &self.observed.world;
        for destination in protection.into_iter().flat_map(|p| &p.destinations) {
            volume.copies.entry(destination.clone()).or_default();
        }
        for (destination, copy) in &status.copies {
            let view = volume.copies.entry(destination.clone()).or_default();
            view.state = Some(copy.state);
            view.run = Some(copy.run.clone());
            view.finished = Some(copy.finished);
            view.files = Some(copy.files);
            view.bytes = Some(copy.bytes);
            view.journal = copy.journal;
            view.lost = copy.lost.clone();
        }
        for (destination, maintenance) in &status.maintenance {
            volume.copies.entry(destination.clone()).or_default().maintenance = Some(maintenance.clone());
        }
        let jobs = belongings.jobs.iter().filter_map(|(namespace, name)| world.jobs.get(namespace, name));
        for job in jobs.filter(|j| j.state == JobState::Active && !j.terminating) {
            let copying = job.ours.as_ref().filter(|o| o.component == Component::Copy);
            if let Some(destination) = copying.and_then(|o| o.destination.as_ref()) {
                volume.copies.entry(destination.clone()).or_default().under_way = true;
            }
        }
    }

    /// U1: whether each wanted destination that outlives the namespace has a good copy in time, and there is one.
    fn outside(&self, volume: &Volume, status: &Status) -> Option<bool> {
        let wanted = status.wanted.iter().map(|(d, wanted)| (self.outlives(&volume.namespace, d), wanted.is_well()));
        let wanted: Vec<(Option<bool>, bool)> = wanted.filter(|(outlives, _)| *outlives != Some(false)).collect();
        let unknown = wanted.is_empty() && !self.observed.knows.verdicts();
        if unknown || !has_anything(volume) {
            return None;
        }
        if wanted.contains(&(Some(true), false)) {
            return Some(false);
        }
        if wanted.iter().any(|(outlives, _)| outlives.is_none()) {
            return None;
        }
        Some(!wanted.is_empty())
    }

    /// Whether a copy of a PVC that is gone outlives the namespace.
    fn left_outside(&self, volume: &Volume) -> Option<bool> {
        let copied: BTreeSet<&String> = copies_with_data(volume).collect();
        let known: Vec<Option<bool>> = copied.into_iter().map(|d| self.outlives(&volume.namespace, d)).collect();
        if known.contains(&Some(true)) {
            Some(true)
        } else if known.contains(&None) || !has_anything(volume) {
            None
        } else {
            Some(false)
        }
    }

    /// Whether what lies at a destination outlives the namespace: out of the cluster, on a host's disk, or on a volume
    /// that is retained.
    fn outlives(&self, namespace: &str, destination: &str) -> Option<bool> {
        let Observed { world, knows, .. } = self.observed;
        let configured = world.config.destination(destination);
        match configured.map(Destination::reach) {
            Some(Reach::Network | Reach::Disk(Disk::HostPath(_))) => return Some(true),
            Some(Reach::Disk(Disk::Claim(_))) | None => {}
        }
        let label = label_value(destination);
        let disk = world.claims.within(namespace).find(|c| {
            c.ours.as_ref().is_some_and(|o| o.component == Component::Disk && o.destination.as_ref() == Some(&label))
        });
        match disk {
            None => knows.config.then_some(false),
            Some(disk) => {
                let volume = disk.volume.as_ref().and_then(|v| world.volumes.get("", v));
                volume.map(|v| v.retained).or_else(|| knows.volumes.then_some(false))
            }
        }
    }

    fn cronjob(&self, claim: &Claim) -> Option<&CronJob> {
        let world = &self.observed.world;
        let cronjob = world.cronjobs.get("", &names::cronjob(&claim.source()))?;
        let ours = cronjob.ours.as_ref().is_some_and(|o| o.instance == world.instance);
        (ours && !cronjob.terminating).then_some(cronjob)
    }

    /// What Kubernetes goes by is the CronJob; the settings say what it will be.
    fn timing(&self, cronjob: Option<&CronJob>, protection: Option<&Protection>) -> Option<Timing> {
        if let Some(CronJob { spec: (schedule, zone, suspended), after, .. }) = cronjob {
            let zone = zone.as_ref().and_then(|z| z.parse().ok()).unwrap_or_default();
            return Some(match after {
                Some(span) => Timing::after(*span, zone),
                None => Timing::new(schedule, zone, *suspended),
            });
        }
        if self.observed.knows.cronjobs {
            return None;
        }
        protection.map(Timing::of)
    }

    /// Runs that were due and had their time since the newest good one.
    fn missed(&self, timing: &Timing, volume: &Volume) -> Option<u32> {
        let since = volume.protected_since?;
        let after = volume.good.as_ref().map_or(since, |good| good.run.time().max(since));
        let Deadlines { snapshot_job: job, copy_start, copy, .. } = &self.observed.world.config.deadlines;
        let copying = if volume.copies.is_empty() { 0 } else { copy_start.as_secs() + copy.as_secs() };
        let patience = Span::from_secs(job.as_secs() + copying);
        timing.due(after, patience.before(self.now), patience)
    }

    /// The state, with what is to be said about it, the worst first.
    fn state(&self, judged: &Judged, status: &Status, has_cronjob: bool, gone: bool, volume: &mut Volume) {
        let failure =
            status.failure.as_ref().map(|f| Finding { run: f.run.clone(), at: Some(f.at), ..Finding::of(&f.problem) });
        let waiting = status.waiting.as_ref().map(Finding::of);
        match judged {
            Judged::Left(problem) => {
                volume.state = if problem.reason.is_choice() { State::Excluded } else { State::Unprotected };
                volume.findings.push(Finding::of(problem));
                if volume.state == State::Unprotected {
                    volume.findings.extend(failure);
                }
            }
            Judged::Unknown => {
                volume.state = State::Unknown;
                let message =
                    "the controller has not recorded a status on the PVC: it is excluded by choice, or not seen yet";
                volume.findings.push(Finding::new(Word::NotRecorded, message.to_owned()));
            }
            Judged::Protected(_) => {
                // What the ledger alone knows is not known then.
                let unreadable = failure.as_ref().is_some_and(|f| f.reason == Word::Reason(Reason::LedgerUnreadable));
                let missed = volume.missed_runs.filter(|missed| *missed >= self.missed && !unreadable);
                let gone = gone && !unreadable;
                volume.state = if unreadable {
                    State::Unknown
                } else if self.observed.knows.cronjobs && !has_cronjob {
                    State::Unscheduled
                } else if missed.is_some() {
                    State::Overdue
                } else if failure.is_some() || gone {
                    State::Failing
                } else if volume.good.is_none() {
                    State::Pending
                } else {
                    State::Protected
                };
                volume.findings.extend(failure);
                if gone {
                    let message = "all its restore points are gone, and no copy is known".to_owned();
                    volume.findings.push(Finding::new(Word::NothingLeft, message));
                }
                if volume.state == State::Unscheduled {
                    let world = &self.observed.world;
                    let message =
                        format!("namespace {} has no CronJob for it (instance {})", world.namespace, world.instance);
                    volume.findings.push(Finding::new(Word::NoCronJob, message));
                }
                volume.findings.extend(missed.map(|missed| overdue(missed, volume)));
                if volume.suspended {
                    volume.findings.push(Finding::new(Word::Suspended, "its CronJob is suspended".to_owned()));
                }
                volume.findings.extend(waiting);
            }
        }
    }

    /// A source that is gone and left restore points.
    fn vanished(&self, uid: &str) -> Option<Volume> {
        let world = &self.observed.world;
        if self.observed.selected.is_some() {
            return None;
        }
        let belongings = world.belongings(uid).filter(|b| !b.snapshots.is_empty() || b.ledger)?;
        let source = world.source_of(uid).filter(|s| self.wants(&s.name))?;
        let mut volume = self.blank(&source.namespace, &source.name, uid);
        self.points(belongings, None, &mut volume);
        for record in world.ledger(uid).into_iter().flat_map(|ledger| &ledger.runs) {
            let run = record.run.clone();
            for (destination, copy) in record.results.iter().filter(|(_, c)| c.state != CopyState::Superseded) {
                let view = volume.copies.entry(destination.clone()).or_default();
                if view.run.as_ref().is_none_or(|newest| *newest < run) {
                    *view = CopyView {
                        state: Some(copy.state),
                        run: Some(run.clone()),
                        finished: Some(copy.finished),
                        files: Some(copy.files),
                        bytes: Some(copy.bytes),
                        journal: copy.journal,
                        lost: copy.lost.clone(),
                        under_way: false,
                        maintenance: None,
                        accepted: None,
                    };
                }
            }
        }
        volume.good =
            volume.restore_points.iter().flatten().rfind(|p| p.state == PointState::Good).map(PointView::run_at);
        volume.outside = self.left_outside(&volume);
        let left = volume.restore_points.as_ref().map_or(0, Vec::len);
        let points = if left == 1 { "restore point is" } else { "restore points are" };
        let copied: BTreeSet<&str> = copies_with_data(&volume).map(String::as_str).collect();
        let copied: Vec<&str> = copied.into_iter().collect();
        let message = match (left, copied.join(", ")) {
            // The ledger of one that never had anything.
            (0, copied) if copied.is_empty() => return None,
            (0, copied) => format!("the PVC is gone; copies are left on {copied}"),
            (_, copied) if copied.is_empty() => format!("the PVC is gone; {left} {points} left"),
            (_, copied) => format!("the PVC is gone; {left} {points} left, and copies on {copied}"),
        };
        volume.findings.push(Finding::of(&Problem::new(Reason::SourceGone, message)));
        Some(volume)
    }
}

/// What can be told about a PVC on which the controller recorded nothing.
fn unrecorded(claim: &Claim) -> Judged {
    if claim.settings.get(names::ENABLED).is_some_and(|v| v.trim() == "false") {
        let message = format!("{} is \"false\" on the PVC", names::ENABLED);
        return Judged::Left(Problem::new(Reason::Disabled, message));
    }
    if claim.phase == ClaimPhase::Pending {
        return Judged::Left(Problem::new(Reason::NotBound, "the PVC is not bound to a volume"));
    }
    Judged::Unknown
}

/// U1: the destinations without a good copy in time, as far as that is not said already.
fn unwell(status: &Status, volume: &Volume) -> Vec<Finding> {
    let finding = |failure: &Failure| {
        let (run, at) = (failure.run.clone(), Some(failure.at));
        Finding { run, at, ..Finding::of(&failure.problem) }
    };
    let said = |f: &Finding| {
        let late = volume.state == State::Overdue && f.run.is_none();
        late || volume.findings.iter().any(|known| (&known.run, known.reason) == (&f.run, f.reason))
    };
    status.unwell().map(|(_, failure)| finding(failure)).filter(|finding| !said(finding)).collect()
}

/// The destinations that have something to restore from.
fn copies_with_data(volume: &Volume) -> impl Iterator<Item = &String> {
    let newest = volume.copies.iter().filter(move |(_, c)| c.state.is_some_and(CopyState::has_data)).map(|(d, _)| d);
    let older = volume.restore_points.iter().flatten().flat_map(|p| &p.copies);
    newest.chain(older.filter(move |(_, state)| state.has_data()).map(|(d, _)| d))
}

/// Whether there is anything to restore from.
fn has_anything(volume: &Volume) -> bool {
    volume.snapshot.is_some() || copies_with_data(volume).next().is_some()
}

/// Whether a copy is not what it must be, which is worse than one that is missing, and none has mended that. What another
/// version found may be that.
fn is_spoilt(finding: &Finding) -> bool {
    let spoilt = [Reason::RepositoryDamaged, Reason::RestoreMismatch, Reason::UnknownReason].map(Word::Reason);
    spoilt.contains(&finding.reason) && !finding.healed
}

/// Whether a person has to look.
fn alarms(volume: &Volume, claim: &Claim, now: Timestamp) -> bool {
    // Nothing is copied or deleted of what has no ledger that can be read.
    let unreadable = |f: &Finding| f.reason == Word::Reason(Reason::LedgerUnreadable);
    if volume.findings.iter().any(|f| unreadable(f) || is_spoilt(f)) {
        return true;
    }
    match volume.state {
        State::Failing | State::Degraded | State::Overdue => true,
        State::Unscheduled => CRONJOB_DUE.after(claim.created) < now,
        // Without a volume there is no data.
        State::Unprotected => volume.findings.first().is_none_or(|f| f.reason != Word::Reason(Reason::NotBound)),
        State::Protected | State::Pending | State::Excluded | State::Vanished | State::Unknown => false,
    }
}
