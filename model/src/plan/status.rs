//! Where the backups of a source stand, and what is told when that changes.

use k8s_openapi::jiff::Timestamp;

use super::action::{About, Note, TaskEnd};
use super::subject::RunView;
use super::task_record;
use crate::facts::{Claim, JobState, VolumeMode};
use crate::maintain::Task;
use crate::names::{self, Component, Run};
use crate::next_copy::point_state;
use crate::reason::{Problem, Reason};
use crate::record::{CopyState, CopyStatus, Failure, SnapshotResult, Status, TaskStatus};
use crate::rotate::PointState;
use crate::select::Verdict;
use crate::world::World;

/// What a plan found out, for the record.
pub(super) struct News {
    /// What the newest copy waits for.
    pub(super) waiting: Option<Problem>,
    pub(super) tasks: Vec<TaskEnd>,
}

/// Where the backups of a source stand, by what its ledger says next: where they stood, and its runs. When more of it is
/// known, if something is awaited.
pub(super) fn next(
    world: &World,
    claim: &Claim,
    verdict: &Verdict,
    News { waiting, tasks }: &News,
    (before, runs): (&Status, &[RunView<'_>]),
    now: Timestamp,
) -> (Status, Option<Timestamp>) {
    let mut status = Status { instance: world.instance.clone(), ..before.clone() };
    match verdict {
        Verdict::Protected(_, warnings) => {
            status.protected_since = before.protected_since.or(Some(Run::at(now).time()));
            status.unprotected = None;
            status.warnings.clone_from(warnings);
        }
        Verdict::Unprotected(problem, warnings) => {
            status.protected_since = None;
            status.unprotected = Some(problem.clone());
            status.warnings.clone_from(warnings);
        }
    }
    progress(world, runs, now, &mut status);
    task_record::record(world, runs, &mut status, tasks);
    let (failed_runs, again) = failed_runs(world, claim, before, now);
    status.failure = failure(world, claim, (runs, failed_runs), now, (before, &status));
    // A wait is told once; what is ahead of it may change without a word.
    status.waiting = match (before.waiting.clone(), waiting.clone()) {
        (Some(told), Some(new)) if told.reason == new.reason => Some(told),
        (_, new) => new,
    };
    if let Some((value, at)) = started(world, claim) {
        status.run_now = Some(value);
        status.run_now_at = Some(at);
    }
    (status, again)
}

/// Whether there is something to write down about a source.
pub(super) fn worth_telling(claim: &Claim, verdict: &Verdict, before: &Status) -> bool {
    match verdict {
        _ if claim.terminating => false,
        // Nobody is there to read it, and its Event would be refused (F70).
        Verdict::Unprotected(problem, _) if problem.reason == Reason::NamespaceTerminating => false,
        Verdict::Unprotected(problem, _) if problem.reason == Reason::OwnVolume => false,
        Verdict::Protected(..) => true,
        // What somebody chose is not written down for every PVC of the cluster, unless it was protected before.
        Verdict::Unprotected(problem, warnings) => {
            // Every volume is unbound when it is new.
            let quiet = problem.reason.is_choice() || problem.reason == Reason::NotBound;
            !quiet || !warnings.is_empty() || before.protected_since.is_some()
        }
    }
}

/// What another installation shows on a source.
fn others<'a>(world: &World, claim: &'a Claim) -> Option<&'a Status> {
    claim.shown.as_ref().filter(|s| !s.instance.is_empty() && s.instance != world.instance)
}

/// Whether another installation shows on a source that it protects it.
pub(super) fn is_anothers(world: &World, claim: &Claim) -> bool {
    others(world, claim).is_some_and(|s| s.protected_since.is_some())
}

/// Whether people are shown on the source itself where its backups stand. Two installations see the volume: it shows
/// what the one says that protects it, and the first one if both do.
pub(super) fn worth_showing(world: &World, claim: &Claim, verdict: &Verdict, before: &Status) -> bool {
    match (others(world, claim), verdict) {
        (Some(_), _) if is_anothers(world, claim) => false,
        (Some(_), Verdict::Unprotected(..)) => false,
        _ if claim.terminating => false,
        (_, Verdict::Unprotected(problem, _)) => {
            problem.reason != Reason::NamespaceTerminating && problem.reason != Reason::OwnVolume
        }
        _ => worth_telling(claim, verdict, before) || !before.instance.is_empty(),
    }
}

/// How far the backups got.
fn progress(world: &World, runs: &[RunView<'_>], now: Timestamp, status: &mut Status) {
    let deadlines = &world.config.deadlines;
    for view in runs {
        let state = point_state(view.snapshot, &view.record, deadlines, now);
        let told =
            matches!(state, PointState::Good | PointState::Incomplete | PointState::Unconfirmed | PointState::Unsure);
        // A run whose copy is under way is told when the copy has ended: one record a run.
        if told && status.snapshot.as_ref().is_none_or(|s| s < view.run) {
            status.snapshot = Some(view.run.clone());
        }
        if state == PointState::Good && status.good.as_ref().is_none_or(|g| g < view.run) {
            status.good = Some(view.run.clone());
        }
        for (destination, result) in &view.record.results {
            // A copy that failed and was tried again has a newer result.
            let again = |c: &CopyStatus| c.run == *view.run && c.state == CopyState::Failed;
            let newer = status.copies.get(destination).is_none_or(|c| c.run < *view.run || again(c));
            if result.state != CopyState::Superseded && newer {
                let copy = CopyStatus {
                    run: view.run.clone(),
                    state: result.state,
                    finished: result.finished,
                    files: result.files,
                    bytes: result.bytes,
                    journal: result.journal,
                    lost: result.lost.clone(),
                };
                status.copies.insert(destination.clone(), copy);
            }
        }
    }
}

/// The newest failure that no later good run has made up for.
fn failure(
    world: &World,
    claim: &Claim,
    (runs, failed_runs): (&[RunView<'_>], Vec<Failure>),
    now: Timestamp,
    (before, status): (&Status, &Status),
) -> Option<Failure> {
    let mut newest = before.failure.clone().filter(|f| f.run.is_some());
    let mut consider = |candidate: Failure| {
        let newer = newest.as_ref().is_none_or(|n| n.run < candidate.run);
        if newer {
            newest = Some(candidate);
        }
    };
    runs.iter().filter_map(failed_copy).chain(failed_runs).for_each(&mut consider);
    let made_up = |f: &Failure| f.run.is_none() || f.run > status.good;
    newest = newest.filter(made_up);
    // A step that is refused now comes before what failed in the past.
    match world.memory.faults.get(&claim.id.uid) {
        None => newest,
        Some(problem) => {
            let same = before.failure.clone().filter(|f| f.run.is_none() && f.problem.reason == problem.reason);
            Some(same.unwrap_or(Failure { run: None, problem: problem.clone(), at: now }))
        }
    }
}

fn failed_copy(view: &RunView<'_>) -> Option<Failure> {
    let (destination, result) =
        view.record.results.iter().find(|(_, r)| matches!(r.state, CopyState::Failed | CopyState::Incomplete))?;
    let message = format!("copy to {destination}: {}", result.message);
    let problem = Problem::new(result.reason.unwrap_or(Reason::CopyFailed), message);
    Some(Failure { run: Some(view.run.clone()), problem, at: result.finished })
}

/// Snapshot Jobs that failed: what their pods said, or what Kubernetes says. What a pod says may come a little later.
fn failed_runs(world: &World, claim: &Claim, before: &Status, now: Timestamp) -> (Vec<Failure>, Option<Timestamp>) {
    let mut again: Option<Timestamp> = None;
    let keys = world.belongings(&claim.id.uid).into_iter().flat_map(|b| &b.jobs);
    let failures = keys
        .filter_map(|(namespace, name)| world.jobs.get(namespace, name))
        .filter(|j| j.namespace == world.namespace && j.state == JobState::Failed)
        .filter(|j| j.ours.as_ref().is_some_and(|o| o.component == Component::Snapshot))
        .filter_map(|job| {
            let told = world
                .pods_of(job)
                .filter_map(|p| p.ended.as_ref())
                .find_map(|(_, text)| serde_json::from_str::<SnapshotResult>(text).ok());
            // A1: the run went well, and its Job failed for another container of the pod that did not end.
            if told.as_ref().is_some_and(|told| told.problem.is_none()) {
                return None;
            }
            if told.is_none() && now < job.told_until() {
                again = [again, Some(job.told_until())].into_iter().flatten().min();
                return None;
            }
            let run = told.as_ref().and_then(|t| t.run.clone()).unwrap_or_else(|| Run::at(job.created));
            let problem = told.and_then(|t| t.problem).unwrap_or_else(|| {
                let (why, message) = job.failure.clone().unwrap_or_default();
                let reason = if why == "DeadlineExceeded" { Reason::DeadlineExceeded } else { Reason::JobFailed };
                Problem::new(reason, format!("Job {}: {message}", job.id.name))
            });
            // The same record must come out of the same objects at any time.
            let known = before.failure.as_ref().filter(|f| f.run.as_ref() == Some(&run));
            Some(Failure { run: Some(run), problem, at: known.map_or(now, |f| f.at) })
        })
        .collect();
    (failures, again)
}

/// The value of `run-now`, once its Job is there, and since when.
fn started(world: &World, claim: &Claim) -> Option<(String, Timestamp)> {
    let value = claim.settings.get(names::RUN_NOW)?;
    let job = world.jobs.get(&world.namespace, &names::run_now_job(&claim.source(), value))?;
    Some((names::run_now_mark(value), job.created))
}

/// The message, and the remedy after it.
fn remedied(message: &str, reason: Reason) -> String {
    format!("{}. What to do: {}", message.trim_end_matches(['.', ' ']), reason.help())
}

/// U1: why copies at a destination are not well, where that is not told as the failure of the source.
fn degraded<'a>(status: &'a Status, destination: &str) -> Option<&'a Failure> {
    let failure = status.wanted.get(destination).and_then(|wanted| wanted.failure.as_ref());
    failure.filter(|_| status.failure.is_none())
}

/// U1: that a destination has no good copy in time is told once when it begins, and once when it ends.
fn degradations(before: &Status, after: &Status) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |warning, reason, text: String| {
        notes.push(Note { warning, about: About::Source, reason, action: "Copy", text });
    };
    for (destination, wanted) in &after.wanted {
        match (degraded(before, destination), degraded(after, destination), &wanted.good) {
            (None, Some(failure), _) => {
                let Failure { run, problem, .. } = failure;
                let run = run.as_ref().map(|run| format!("run {run}: ")).unwrap_or_default();
                let text = remedied(&problem.message, problem.reason);
                note(true, DEGRADED, format!("{run}{}: {text}", problem.reason));
            }
            (Some(_), None, Some(good)) if wanted.failure.is_none() => {
                note(false, "CopiesWell", format!("{destination} has a good copy again, of run {good}"));
            }
            (Some(_) | None, Some(_) | None, _) => {}
        }
    }
    notes
}

/// The reason of the Event of a source that is backed up from now on.
pub(super) const PROTECTED: &str = "Protected";

/// The reason of an Event that alerts can go by.
const DEGRADED: &str = "Degraded";

/// What changed, in words.
pub(super) fn notes(
    before: &Status,
    after: &Status,
    runs: &[RunView<'_>],
    (tasks, mode): (&[TaskEnd], VolumeMode),
) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |warning, reason, action, text: String| {
        notes.push(Note { warning, about: About::Source, reason, action, text });
    };
    if before.protected_since.is_none() && after.protected_since.is_some() {
        note(false, PROTECTED, "Protect", "the volume is backed up from now on".to_owned());
    }
    let reason = |p: &Option<Problem>| p.as_ref().map(|p| p.reason);
    if let Some(problem) = &after.unprotected
        && reason(&before.unprotected) != Some(problem.reason)
    {
        let text = format!("not backed up: {}", remedied(&problem.message, problem.reason));
        note(!problem.reason.is_choice(), problem.reason.as_str(), "Protect", text);
    }
    for warning in after.warnings.iter().filter(|w| !before.warnings.contains(w)) {
        note(true, warning.reason.as_str(), "ReadSettings", warning.message.clone());
    }
    if let Some(problem) = &after.not_shown
        && reason(&before.not_shown) != Some(problem.reason)
    {
        note(true, problem.reason.as_str(), "ShowStatus", remedied(&problem.message, problem.reason));
    }
    if let Some(problem) = &after.waiting
        && reason(&before.waiting) != Some(problem.reason)
    {
        // What is lost is not waited for; it is told here because there is no snapshot left to record it on.
        let lost = problem.reason == Reason::SourceSnapshotLost;
        let what = if lost { "the copy failed" } else { "the copy waits" };
        // U1: that nothing is to be done about the wait says nothing about what it comes from.
        let remedy = problem.cause.map(|cause| remedied(&problem.message, cause));
        let message = remedy.unwrap_or_else(|| problem.message.clone());
        note(lost, problem.reason.as_str(), "Copy", format!("{what}: {message}"));
    }
    if let Some(failure) = &after.failure
        && before.failure.as_ref().map(|f| (&f.run, f.problem.reason)) != Some((&failure.run, failure.problem.reason))
    {
        let run = failure.run.as_ref().map(|r| format!("run {r}: ")).unwrap_or_default();
        let text = format!("{run}{}", remedied(&failure.problem.message, failure.problem.reason));
        note(true, failure.problem.reason.as_str(), "Backup", text);
    }
    // A copy that failed while another of the same run is good is no failure of the run; but it is told.
    for (destination, copy) in &after.copies {
        let known = before.copies.get(destination).is_some_and(|c| c.run == copy.run)
            || after.failure.as_ref().is_some_and(|f| f.run.as_ref() == Some(&copy.run));
        let result = runs.iter().find(|r| *r.run == copy.run).and_then(|r| r.record.results.get(destination));
        if let Some(result) = result.filter(|r| !known && matches!(r.state, CopyState::Failed | CopyState::Incomplete))
        {
            let reason = result.reason.unwrap_or(Reason::CopyFailed);
            let text = format!("run {}: copy to {destination}: {}", copy.run, remedied(&result.message, reason));
            note(true, reason.as_str(), "Copy", text);
        }
    }
    if let Some(good) = after.good.as_ref().filter(|g| before.good.as_ref() != Some(*g)) {
        let snapshot = runs.iter().find(|r| r.run == good).map(|r| r.snapshot);
        let (name, mode) = snapshot.map_or(("", VolumeMode::Filesystem), |s| (s.id.name.as_str(), s.mode));
        let copies: Vec<String> = after
            .copies
            .iter()
            .filter(|(_, c)| c.run == *good && c.state == CopyState::Complete)
            .map(|(d, c)| format!("{} on {d}{}", mode.amount(c.files, "entries", c.bytes), c.lost.aside()))
            .collect();
        let parts: Vec<String> =
            [format!("run {good} is good: restore point {name}")].into_iter().chain(copies).collect();
        note(false, "BackupComplete", "Backup", parts.join("; "));
    }
    notes.extend(degradations(before, after));
    notes.extend(tasks.iter().filter_map(|end| task_note(end, mode)));
    notes
}

/// The end of a task, in words. That a prune or a verify found nothing is as it should be, and no word is lost.
fn task_note(end: &TaskEnd, mode: VolumeMode) -> Option<Note> {
    let TaskEnd { destination, task, status, .. } = end;
    let (action, of) = match task {
        Task::Prune => ("Prune", String::new()),
        Task::Verify => ("Verify", status.part.map(|p| format!(", part {p}")).unwrap_or_default()),
        Task::Drill => ("Drill", status.run.as_ref().map(|r| format!(", run {r}")).unwrap_or_default()),
        // Of a source that is gone: told with its ledger.
        Task::Remove => return None,
    };
    if let Some(problem) = &status.problem {
        let text = format!("{} of {destination}{of}: {}", task.as_str(), remedied(&problem.message, problem.reason));
        return Some(Note { warning: true, about: About::Source, reason: problem.reason.as_str(), action, text });
    }
    let proof = (*task == Task::Drill).then(|| format!("{destination}{of}: {}", proven(status, mode)));
    proof.map(|text| Note { warning: false, about: About::Source, reason: "Proven", action, text })
}

/// What a drill proved: `restorable, proven on 2018-12-09: 100 files, 4.2 GiB`.
#[must_use]
pub fn proven(drill: &TaskStatus, mode: VolumeMode) -> String {
    let (day, amount) = (drill.finished.strftime("%Y-%m-%d"), mode.amount(drill.files, "files", drill.bytes));
    let whole = if drill.whole { ", all there is" } else { "" };
    format!("restorable, proven on {day}: {amount}{whole}")
}
