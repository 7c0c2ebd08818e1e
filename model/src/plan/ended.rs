//! How a Job of ours ended: what its pods told, or what there is to say if they told nothing.
//!
//! The same for copies, restores and tasks; what follows from it is each one's own.

use k8s_openapi::jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::action::{Action, Question, TaskEnd, Todo};
use crate::duration::Span;
use crate::facts::{Claim, Job, JobState, MountFailure, Pod, PodRefusal, Stuck, Unschedulable};
use crate::maintain::{MaintainResult, Part, Task};
use crate::names::Run;
use crate::reason::{Problem, Reason};
use crate::record::{CopyResult, RestoreResult, TaskStatus};
use crate::text::sentence;
use crate::world::World;

/// The termination message of a pod.
pub(super) trait Told: DeserializeOwned {
    /// When the pod ended: of several tries the last one counts.
    fn finished(&self) -> Timestamp;
    /// Says that it ended at another time.
    fn set_finished(&mut self, at: Timestamp);
    /// Why it did not end well.
    fn problem(&self) -> Option<Problem>;
    /// Says another reason.
    fn set_problem(&mut self, problem: Problem);
}

impl Told for CopyResult {
    fn finished(&self) -> Timestamp {
        self.finished
    }

    fn set_finished(&mut self, at: Timestamp) {
        self.finished = at;
    }

    fn problem(&self) -> Option<Problem> {
        self.reason.map(|reason| Problem::new(reason, self.message.clone()))
    }

    fn set_problem(&mut self, problem: Problem) {
        (self.reason, self.message) = (Some(problem.reason), problem.message);
    }
}

impl Told for RestoreResult {
    fn finished(&self) -> Timestamp {
        self.finished
    }

    fn set_finished(&mut self, at: Timestamp) {
        self.finished = at;
    }

    fn problem(&self) -> Option<Problem> {
        self.problem.clone()
    }

    fn set_problem(&mut self, problem: Problem) {
        self.problem = Some(problem);
    }
}

impl Told for MaintainResult {
    fn finished(&self) -> Timestamp {
        self.finished
    }

    fn set_finished(&mut self, at: Timestamp) {
        self.finished = at;
    }

    fn problem(&self) -> Option<Problem> {
        self.problem.clone()
    }

    fn set_problem(&mut self, problem: Problem) {
        self.problem = Some(problem);
    }
}

/// How a Job stands.
#[derive(Debug)]
pub(super) enum Ended<T> {
    /// It runs, or its message is on its way: look again at that time, if nothing happens before.
    NotYet(Option<Timestamp>),
    /// It does not start, or ended without a word, and before that is said this has to be asked.
    Ask(Action),
    /// Its last pod with something to say said this.
    Told(T),
    /// It ended well, and what it said is lost.
    Silent,
    /// It failed without a word, or never ran: this is why.
    Failed(Problem),
}

/// How a Job stands at the time `now`.
pub(super) fn ended<T: Told>(world: &World, job: &Job, now: Timestamp) -> Ended<T> {
    let pods: Vec<&Pod> = world.pods_of(job).collect();
    let told_by = |pods: &[&Pod]| {
        let texts = pods.iter().filter_map(|p| p.ended.as_ref());
        let told = texts.filter_map(|(_, text)| serde_json::from_str::<T>(text).ok()).max_by_key(T::finished);
        told.map(|told| in_time(world, job, not_later(told, now)))
    };
    let over = runs_until(world, job);
    if let (JobState::Active, Some((pod, since))) = (job.state, outlived(world, job)) {
        // A1: Kubernetes waits for the other container, and makes no other pod before. A node whose clock is ahead gets no
        // time for that: it would get it again and again.
        let until = OUTLIVED.after(since).min(over);
        let waits = since <= now && now < until;
        return if waits { Ended::NotYet(Some(until)) } else { own_end(pod, told_by(&[pod])) };
    }
    let told = told_by(&pods);
    match (job.state, told) {
        (JobState::Active, Some(told)) if now >= over => Ended::Told(told),
        (JobState::Active, None) if now >= over => {
            let deadline = &world.config.deadlines.copy;
            let message = format!("the Job has not ended {deadline} after its creation (deadlines.copy)");
            Ended::Failed(Problem::new(Reason::DeadlineExceeded, message))
        }
        // A17: its pods are ended first, and then it has failed.
        (JobState::Active, _) if job.failure.is_some() => Ended::NotYet(Some(over)),
        (JobState::Active, _) => match starts_until(world, job, &pods) {
            Some(until) if now >= until => not_started(world, job, &pods),
            until => Ended::NotYet(Some(until.map_or(over, |until| until.min(over)))),
        },
        (_, Some(told)) => Ended::Told(told),
        // Jobs and pods come through two watches: the pod's end may be seen after its Job's.
        (_, None) if now < job.told_until() => Ended::NotYet(Some(job.told_until())),
        // L25: a watch of pods that stands still looks like pods without a word.
        (_, None) if pods.iter().all(|p| p.ended.is_none()) && !world.memory.listed.contains(&job.id.uid) => {
            let (namespace, name, uid) = (job.namespace.clone(), job.id.name.clone(), job.id.uid.clone());
            Ended::Ask(Action::Ask { question: Question::Told, namespace, name, uid })
        }
        (JobState::Complete, None) => Ended::Silent,
        (JobState::Failed, None) => {
            let (why, message) = job.failure.clone().unwrap_or_default();
            let reason = if why == DEADLINE { Reason::DeadlineExceeded } else { Reason::JobFailed };
            let message = if message.is_empty() { "the Job ended without a result".to_owned() } else { message };
            Ended::Failed(Problem::new(reason, message))
        }
    }
}

/// How long the other containers of a pod have to end after ours, as a proxy does that sees it end.
const OUTLIVED: Span = Span::from_secs(30);

/// The newest pod, if our container has ended in it and another one runs on, and since when.
pub(super) fn outlived<'a>(world: &'a World, job: &'a Job) -> Option<(&'a Pod, Timestamp)> {
    let newest = world.pods_of(job).max_by_key(|p| p.created)?;
    Some((newest, newest.outlived?))
}

/// How our container in a pod ended that goes on without it.
fn own_end<T: Told>(pod: &Pod, told: Option<T>) -> Ended<T> {
    let code = pod.ended.as_ref().map_or(0, |(code, _)| *code);
    match told {
        Some(told) => Ended::Told(told),
        None if code == 0 => Ended::Silent,
        None => {
            let message = format!("pod {}: its container ended with exit code {code} and left no result", pod.name);
            Ended::Failed(Problem::new(Reason::JobFailed, message))
        }
    }
}

/// A17: what a pod told that was stopped because its Job had no time left, with how far it was.
fn in_time<T: Told>(world: &World, job: &Job, mut told: T) -> T {
    // These are the reasons of a program that was stopped; others say more than that the time was over.
    let stopped = |problem: &Problem| matches!(problem.reason, Reason::CopyFailed | Reason::RestoreFailed);
    if job.failure.as_ref().is_some_and(|(why, _)| why == DEADLINE)
        && let Some(Problem { message, .. }) = told.problem().filter(stopped)
    {
        let deadline = &world.config.deadlines.copy;
        let message = format!("the Job did not end within {deadline} (deadlines.copy): {message}");
        told.set_problem(Problem::new(Reason::DeadlineExceeded, sentence(&message)));
    }
    told
}

/// The word of the Job controller.
const DEADLINE: &str = "DeadlineExceeded";

/// How the Job of a task ended; else what is to be done until it has. A Job that left no word of its own has failed: what
/// it did may not be all.
pub(super) fn task_result(world: &World, job: &Job, task: Task, now: Timestamp) -> Result<MaintainResult, Todo> {
    let failed = |problem| Ok(MaintainResult::new(task, now, Some(problem)));
    match ended::<MaintainResult>(world, job, now) {
        Ended::NotYet(again) => Err(Todo::again(again)),
        Ended::Ask(action) => Err(Todo::step(action)),
        Ended::Told(told) => Ok(told),
        Ended::Silent => failed(Problem::new(
            Reason::JobFailed,
            "the Job succeeded but left no result; check that the template keeps terminationMessagePath",
        )),
        Ended::Failed(problem) => failed(problem),
    }
}

/// The end of a task as it is recorded. Of what a result contains each task has its own fields; `part` is what a verify
/// was to read, if its result does not tell.
pub(super) fn task_end(
    destination: &str,
    task: Task,
    due: &Run,
    result: MaintainResult,
    part: Option<Part>,
) -> TaskEnd {
    let drill = task == Task::Drill;
    let status = TaskStatus {
        due: due.clone(),
        state: result.state,
        finished: result.finished,
        problem: result.problem.map(|p| Problem::new(p.reason, sentence(&p.message))),
        part: if task == Task::Verify { result.part.or(part) } else { None },
        run: result.run.filter(|_| drill),
        files: result.files,
        bytes: if drill { result.bytes } else { 0 },
        whole: drill && result.whole,
    };
    let kept = if task == Task::Prune { result.kept } else { Vec::new() };
    TaskEnd { destination: destination.to_owned(), task, status, kept }
}

/// S2b: what a pod tells is the word of its namespace, and of its node's clock. By a time that is still to come nothing was
/// done: its list of what is kept would be the newest one for years, and restores go by that.
fn not_later<T: Told>(mut told: T, now: Timestamp) -> T {
    let at = told.finished().min(now);
    told.set_finished(at);
    told
}

/// How long Kubernetes may take to end a Job by itself, in seconds.
const ENDING: u64 = 120;

/// Until when a Job may run. Kubernetes ends it before; but in his own namespace a tenant may lengthen the Job's own
/// deadline, or suspend the Job, which begins that anew. It would hold its slots for ever (S8).
pub(super) fn runs_until(world: &World, job: &Job) -> Timestamp {
    latest_end(world, job.created)
}

/// The same of a Job that was created then.
pub(super) fn latest_end(world: &World, created: Timestamp) -> Timestamp {
    Span::from_secs(world.config.deadlines.copy.as_secs() + ENDING).after(created)
}

/// Until when the newest pod has to run; `None` if it does, or did. Each try has its own time to start.
fn starts_until(world: &World, job: &Job, pods: &[&Pod]) -> Option<Timestamp> {
    let newest = pods.iter().max_by_key(|p| p.created);
    match newest {
        Some(pod) if pod.started => None,
        _ => Some(world.config.deadlines.copy_start.after(newest.map_or(job.created, |p| p.created))),
    }
}

/// Why no pod of a Job runs (F38, F39, F40).
fn not_started<T>(world: &World, job: &Job, pods: &[&Pod]) -> Ended<T> {
    for pod in pods.iter().filter(|p| !p.started) {
        if let Some(Stuck { reason, message, .. }) = &pod.stuck {
            let message = format!("pod {}: {reason}: {message}", pod.name);
            return Ended::Failed(Problem::new(Reason::PodNotStarted, message));
        }
        if let Some(Unschedulable { message, volumes_apart }) = &pod.unschedulable {
            let reason = if *volumes_apart { Reason::NodeConflict } else { Reason::PodNotStarted };
            return Ended::Failed(Problem::new(reason, format!("pod {}: {message}", pod.name)));
        }
        if let Some(node) = &pod.node {
            // A pod that hangs for its volumes says nothing itself: its kubelet does, in Events.
            return match world.memory.mount_failures.get(&pod.uid) {
                None => {
                    let (namespace, name, uid) = (pod.namespace.clone(), pod.name.clone(), pod.uid.clone());
                    Ended::Ask(Action::Ask { question: Question::Mounts, namespace, name, uid })
                }
                Some(failure) => Ended::Failed(not_mounted(world, job, &pod.name, node, failure.as_ref())),
            };
        }
    }
    // A3: a Job that gets no pod says nothing itself.
    let Some(refusal) = world.memory.pod_refusals.get(&job.id.uid) else {
        let (namespace, name, uid) = (job.namespace.clone(), job.id.name.clone(), job.id.uid.clone());
        return Ended::Ask(Action::Ask { question: Question::Pod, namespace, name, uid });
    };
    Ended::Failed(match refusal {
        None => {
            let message = "no pod of the Job started: check its events (kubectl describe job)";
            Problem::new(Reason::PodNotStarted, message)
        }
        Some(PodRefusal { words, pod_security }) => {
            let reason = if *pod_security { Reason::PodSecurity } else { Reason::PodRefused };
            Problem::new(reason, format!("the API server refuses the Job's pod: {words}"))
        }
    })
}

/// Why the volumes of a pod do not come.
fn not_mounted(world: &World, job: &Job, pod: &str, node: &str, failure: Option<&MountFailure>) -> Problem {
    let Some(MountFailure { words, unreplayed }) = failure else {
        let message =
            format!("pod {pod}: node {node} has not started its container; check whether it mounts the volumes");
        return Problem::new(Reason::PodNotStarted, message);
    };
    // Only of promoters our settings say how they are mounted; one whose journal is passed over lacks something else.
    let read_only = |claim: &Claim| claim.from_snapshot.is_some() && claim.read_only && !claim.journal().is_skipped();
    let mut mounted = job.mounts.iter().filter_map(|name| world.claims.get(&job.namespace, name));
    let reason = if *unreplayed && mounted.any(read_only) { Reason::JournalNotReplayable } else { Reason::MountFailed };
    Problem::new(reason, format!("pod {pod}: node {node} cannot mount its volumes: {words}"))
}
