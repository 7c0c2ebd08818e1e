//! A source's tasks at its destinations: prune, verify, drill. Which is due, what it needs, how it ended.
//!
//! A task is due at the newest minute of its schedule that has passed since it was last done, and not before the first
//! copy: what was missed is done once. One that has to wait is done later. There is never more than one Job of a task:
//! it bears the minute in its name, and goes once its end is in the source's record.

use super::access::{AsRoot, as_root, online, secret};
use super::action::{Action, Maintain, TaskEnd, Todo, Work};
use super::central_parts::drills;
use super::ended;
use super::placement::{only_node, slot};
use super::prepared::prepared;
use super::subject::{Subject, is_derived};
use super::task_record::{drills_on, has_ended, next_part};
use super::task_source::TaskSource;
use super::{disk, drill, drill_now, restore};
use k8s_openapi::jiff::Timestamp;

use crate::admit::{Rank, Waiting};
use crate::config::Destination;
use crate::facts::{Claim, Job, JobState};
use crate::maintain::{MaintainResult, Part, Task};
use crate::names::{self, Component, Run};
use crate::reason::Problem;
use crate::record::Maintenance;
use crate::schedule::Schedule;
use crate::select::Protection;

/// The tasks of a source: those that ended, for the record, and what is to be done about the others.
pub(super) fn plan(subject: &Subject<'_>, claim: &Claim) -> (Vec<TaskEnd>, Todo) {
    let source = TaskSource { subject, claim };
    let (mut ends, mut todo) = (Vec::new(), Todo::none());
    let mut take = |progress| match progress {
        Progress::Goes(on) => todo = std::mem::take(&mut todo).and(on),
        Progress::Ended(end) => ends.push(end),
    };
    let jobs = jobs(subject);
    for (task, job) in &jobs {
        take(source.progress(*task, job));
    }
    let protected = subject.protection.into_iter();
    for (protection, name) in protected.flat_map(|p| p.destinations.iter().map(move |name| (p, name))) {
        let Some(destination) = subject.world.config.destination(name) else { continue };
        for (task, schedule) in destination.maintenance() {
            let is_this = |(t, j): &(Task, &Job)| *t == task && destination_of(j) == Some(&destination.name);
            if !jobs.iter().any(is_this) {
                take(source.next(task, destination, schedule, protection));
            }
        }
    }
    (ends, todo)
}

/// A source that is gone has no record: the Jobs of its tasks go when they have ended.
pub(super) fn clear(subject: &Subject<'_>) -> Todo {
    let ended = jobs(subject).into_iter().filter(|(_, job)| job.state != JobState::Active);
    Todo { actions: ended.filter_map(|(_, job)| Action::delete(job)).collect(), ..Todo::none() }
}

/// How a task gets on.
enum Progress {
    /// This is to be done about it.
    Goes(Todo),
    /// It has ended.
    Ended(TaskEnd),
}

/// The Jobs of a source's tasks that bear the name that only they can have, where only they can be.
fn jobs<'a>(subject: &Subject<'a>) -> Vec<(Task, &'a Job)> {
    subject
        .jobs()
        .filter_map(|job| {
            let ours = job.ours.as_ref().filter(|o| o.component == Component::Maintain)?;
            // Those that remove copies are of a source that is gone, and go by its ledger.
            let task = ours.task.filter(|task| *task != Task::Remove)?;
            is_derived(subject.world, job).then_some((task, job))
        })
        .collect()
}

fn destination_of(job: &Job) -> Option<&String> {
    job.ours.as_ref()?.destination.as_ref()
}

impl TaskSource<'_> {
    /// A task that has a Job: its end for the record; once that stands there, the Job goes.
    fn progress(&self, task: Task, job: &Job) -> Progress {
        let ours = job.ours.as_ref().and_then(|ours| Some((ours.run.as_ref()?, ours.destination.as_ref()?)));
        let Some((due, destination)) = ours else { return Progress::Goes(Todo::none()) };
        let newest = self.maintenance(destination).and_then(|m| m.newest(task));
        let recorded = newest.is_some_and(|n| has_ended(n, due, self.subject.now));
        // Of a source that is not protected any more there is no record; what runs comes to its end.
        let protected = self.subject.protection.is_some();
        if recorded || (!protected && job.state != JobState::Active) {
            return Progress::Goes(Todo::step(Action::delete(job)));
        }
        if !protected {
            return Progress::Goes(Todo::none());
        }
        match ended::task_result(self.subject.world, job, task, self.subject.now) {
            Ok(result) => Progress::Ended(self.end(destination, task, due, result)),
            Err(goes) => Progress::Goes(drill::hold(self.subject, &self.claim.source(), job).and(goes)),
        }
    }

    /// A task that has no Job.
    fn next(&self, task: Task, destination: &Destination, schedule: &str, protection: &Protection) -> Progress {
        // What has begun goes on, whatever is due since.
        let begun = self.begun(task, destination).map(Ok);
        let due = match begun.unwrap_or_else(|| self.due(task, destination, schedule, protection)) {
            Ok(due) => due,
            Err(again) => return Progress::Goes(Todo::again(again)),
        };
        match self.start(task, destination, &due, protection) {
            Ok(todo) => Progress::Goes(todo),
            Err(problem) => {
                let result = MaintainResult::new(task, self.subject.now, Some(problem));
                Progress::Ended(self.end(&destination.name, task, &due, result))
            }
        }
    }

    fn end(&self, destination: &str, task: Task, due: &Run, result: MaintainResult) -> TaskEnd {
        ended::task_end(destination, task, due, result, self.part(task, destination))
    }

    fn part(&self, task: Task, destination: &str) -> Option<Part> {
        let newest = self.maintenance(destination).and_then(|m| m.verify.as_ref());
        (task == Task::Verify).then(|| next_part(newest))
    }

    /// For when a drill was due for which something is made already, and that has neither its Job nor its end: it has
    /// its slot.
    fn begun(&self, task: Task, destination: &Destination) -> Option<Run> {
        let Subject { world, uid, .. } = *self.subject;
        if task != Task::Drill {
            return None;
        }
        if !destination.is_central() {
            return prepared(world, uid, destination).map(|(_, due)| due.clone());
        }
        let mut drills = drills(world, uid, destination);
        let goes_on = |due: &Run| drills_on(self.subject, &destination.name, due);
        drills.find_map(|(_, due)| goes_on(due).then(|| due.clone()))
    }

    /// The minute for which a task is due; if it is not, when it is.
    fn due(
        &self,
        task: Task,
        destination: &Destination,
        schedule: &str,
        protection: &Protection,
    ) -> Result<Run, Option<Timestamp>> {
        let maintenance = self.maintenance(&destination.name).ok_or(None)?;
        // Nothing is due before there is a copy.
        let since = maintenance.since.ok_or(None)?;
        // By a clock that was ahead nothing was done: it is made good now.
        let done = [Some(since), maintenance.newest(task).map(|newest| newest.due.time())];
        let done = done.into_iter().flatten().filter(|t| *t <= self.subject.now).max();
        // Each task and destination has its own time. The configuration was checked when it was read.
        let seed = format!("{}/{}/{}", self.claim.source().seed(), task.as_str(), destination.name);
        let schedule = Schedule::parse(schedule, &seed).map_err(|_| None)?;
        let next = done.and_then(|done| schedule.next_after(done, &protection.zone));
        let scheduled = match next {
            Some(next) if next > self.subject.now => Err(Some(next)),
            // Of all that was missed, the newest.
            _ => schedule.previous_at_or_before(self.subject.now, &protection.zone).map(Run::at).ok_or(None),
        };
        match self.asked(task, since, maintenance) {
            Some(at) if at <= self.subject.now => Ok(Run::at(at)),
            Some(at) => scheduled.map_err(|next| next.into_iter().chain([at]).min()),
            None => scheduled,
        }
    }

    /// When a drill starts that somebody asks for.
    fn asked(&self, task: Task, since: Timestamp, maintenance: &Maintenance) -> Option<Timestamp> {
        match task {
            Task::Drill => {
                let pause = self.subject.world.config.bounds.min_interval;
                drill_now::starts(self.claim.drill_now()?, since, maintenance.drill.as_ref(), pause, self.subject.now)
            }
            Task::Prune | Task::Verify | Task::Remove => None,
        }
    }

    /// What starts a task that is due, unless it has to wait. An error is its end.
    fn start(
        &self,
        task: Task,
        destination: &Destination,
        due: &Run,
        protection: &Protection,
    ) -> Result<Todo, Problem> {
        let (world, source) = (self.subject.world, self.claim.source());
        let namespace = world.namespaces.get("", &source.namespace);
        // Restores come first: what they read is left alone.
        let of = destination.disk().is_none().then_some(source.name.as_str());
        let read = restore::reads(world, &source.namespace, &destination.name, of).is_some();
        // The copies say so.
        let at = if destination.is_central() { &world.namespace } else { &source.namespace };
        let cut_off = destination.pods().needs_network() && online(world, at).is_err();
        // What has begun in our own namespace has its slot, and holds up a copy for as long as it takes.
        let begun = self.begun(task, destination).is_some();
        let goes_on = begun && destination.is_central();
        let Some(namespace) = namespace.filter(|n| !n.terminating) else { return self.wait(task, destination) };
        if (read || cut_off) && !goes_on {
            return self.wait(task, destination);
        }
        // A restic pod reads its Secret as root, a drill's keeps owners.
        if !destination.is_central() {
            as_root(namespace, AsRoot::Task)?;
        }
        let place = match self.place(destination) {
            Ok(place) => place,
            Err(todo) => return Ok(todo.and(self.wait(task, destination)?)),
        };
        let mut besides = Todo::none();
        let (work, node) = match task {
            Task::Prune => match self.prune(destination, due, protection)? {
                Some(work) => (work, place),
                None => return Ok(Todo::none()),
            },
            Task::Verify => match self.part(task, &destination.name) {
                Some(part) => (Work::Verify(part), place),
                None => return Ok(Todo::none()),
            },
            Task::Drill => {
                let ask = drill::Ask { subject: self.subject, claim: self.claim, destination, protection, due };
                let (step, todo) = ask.resolve()?;
                besides = todo;
                match step {
                    drill::Step::Wait => return Ok(besides.and(self.wait(task, destination)?)),
                    drill::Step::First(action) if !begun => {
                        return Ok(besides.and(Todo::ready(self.waiting(destination, due, None), action)));
                    }
                    drill::Step::First(action) | drill::Step::Then(action) => {
                        return Ok(besides.and(Todo::step(action)));
                    }
                    drill::Step::Start(drill, node) => (Work::Drill(drill), node),
                }
            }
            // No schedule starts it, nor anything of a source that is there.
            Task::Remove => return Ok(Todo::none()),
        };
        let start = Action::StartTask(Box::new(self.task(destination, due, work, protection)?));
        let start = if begun { Todo::step(start) } else { Todo::ready(self.waiting(destination, due, node), start) };
        Ok(besides.and(start))
    }

    /// A task has its slot when it starts, and may wait for it; only a drill may have one before.
    fn wait(&self, task: Task, destination: &Destination) -> Result<Todo, Problem> {
        if task == Task::Drill { drill::wait(self.subject, destination) } else { Ok(Todo::none()) }
    }

    fn task(
        &self,
        destination: &Destination,
        due: &Run,
        work: Work,
        protection: &Protection,
    ) -> Result<Maintain, Problem> {
        let (world, source) = (self.subject.world, self.claim.source());
        let secret = secret(world, Some(protection), &source.uid, destination)?;
        let policy = names::network_policy(&world.instance);
        Ok(Maintain {
            isolate: !destination.pods().needs_network() && world.policies.get(&source.namespace, &policy).is_none(),
            source,
            destination: destination.name.clone(),
            due: due.clone(),
            work,
            options: protection.options.clone(),
            secret,
        })
    }

    /// The only node that can have the destination's disk, if there is only one; or what is done to have the disk. A copy
    /// says what that waits for.
    fn place(&self, destination: &Destination) -> Result<Option<String>, Todo> {
        let disk = disk::ready(self.subject.world, destination, &self.claim.namespace, self.subject.now);
        let disk = disk.map_err(|not| not.todo)?;
        Ok(disk.and_then(|disk| only_node(self.subject.world, disk)))
    }

    fn waiting(&self, destination: &Destination, due: &Run, node: Option<String>) -> Waiting {
        let source = self.claim.source();
        let slot = slot(destination, &source, node);
        Waiting { rank: Rank::Task, source, run: due.clone(), since: due.time(), slot }
    }
}
