//! The removal of the copies of a source that is gone, by an administrator's word on its ledger. What the configuration
//! removes goes the same way, once `orphans` has begun it.
//!
//! The word is entered into the ledger, which ends it as a word. The removal begins in a write of its own: from then on
//! the ledger lists no copy there, nothing is restored from one and none is made. Only a removal that stands there as
//! begun has a Job. One that failed is tried again; what it has begun is never a restore point again. One that cannot
//! end, an administrator's second word ends.

use k8s_openapi::jiff::Timestamp;

use super::access::{self, AsRoot, as_root, online};
use super::action::{About, Action, Maintain, Note, Remove, TaskEnd, Todo, Work};
use super::ended;
use super::placement::{only_node, slot};
use super::subject::{Subject, is_derived, snapshots};
use super::{disk, restore};
use crate::admit::{Rank, Waiting};
use crate::config::{Destination, Format};
use crate::copy_options::Options;
use crate::duration::Span;
use crate::facts::Job;
use crate::ledger::{Ledger, Words};
use crate::maintain::Task;
use crate::names::{self, Component, Run, SourceId};
use crate::reason::{Problem, Reason};
use crate::record::{Abandoned, EndWord, Left, Removal, Word};

/// How long after a failure the next try comes, and how often it is seen whether a wait is over.
pub(super) const AGAIN: Span = Span::hours(6);
/// How many runs are named whose copies are left.
const NAMED: usize = 20;

/// The removals of a source that is gone.
pub(super) struct Removals {
    /// What is to be told.
    pub(super) notes: Vec<Note>,
    /// The Jobs that ended.
    pub(super) ends: Vec<TaskEnd>,
    /// What is to be done beside writing the ledger.
    pub(super) todo: Todo,
}

/// The removals of a source that is gone: what its ledger says next of them, and what is to be done. `before` is the
/// ledger as it stands, `words` what an administrator wrote on it.
pub(super) fn plan(subject: &Subject<'_>, before: &Ledger, words: &Words, next: &mut Ledger) -> Removals {
    let (mut ends, mut todo) = (Vec::new(), Todo::none());
    for job in jobs(subject) {
        match end(subject, before, next, job) {
            Ok(end) => ends.push(end),
            Err(goes) => todo = todo.and(goes),
        }
    }
    let mut notes: Vec<Note> = ends.iter().map(|end| told(end, next)).collect();
    notes.extend(words.remove.as_deref().map(|word| enter(subject, next, word)));
    notes.extend(words.end.as_deref().map(|word| abandon(subject, next, word)));
    let open: Vec<String> = next.removals.iter().filter(|(_, r)| r.over().is_none()).map(|(d, _)| d.clone()).collect();
    for name in open {
        let begun = before.removals.get(&name).filter(|r| r.begun.is_some());
        let obstacle = match begun {
            None => {
                let obstacle = obstacle(subject, next, &name);
                if obstacle.is_none() {
                    notes.extend(begin(subject, next, &name));
                }
                obstacle
            }
            Some(removal) => match start(subject, &name, removal) {
                Ok(started) => {
                    todo = todo.and(started);
                    None
                }
                Err(problem) => Some(problem),
            },
        };
        if obstacle.is_some() {
            todo = todo.and(Todo::again(AGAIN.after(subject.now)));
        }
        if let Some(removal) = next.removals.get_mut(&name) {
            wait(&mut removal.waiting, obstacle);
        }
    }
    Removals { notes, ends, todo }
}

/// A source that lives again keeps what it has: the Jobs that remove its copies end.
pub(super) fn stop(subject: &Subject<'_>) -> Todo {
    Todo { actions: jobs(subject).filter_map(Action::delete).collect(), ..Todo::none() }
}

/// The Jobs that remove copies of a source.
fn jobs<'a>(subject: &Subject<'a>) -> impl Iterator<Item = &'a Job> {
    let world = subject.world;
    let removes = |job: &&Job| {
        job.ours.as_ref().is_some_and(|o| o.component == Component::Maintain && o.task == Some(Task::Remove))
    };
    subject.jobs().filter(removes).filter(move |job| is_derived(world, job))
}

/// What a removal waits for is told once: the words of a wait may change without a write.
pub(super) fn wait(waiting: &mut Option<Problem>, obstacle: Option<Problem>) {
    let reason = |p: &Option<Problem>| p.as_ref().map(|p| p.reason);
    if reason(waiting) != reason(&obstacle) {
        *waiting = obstacle;
    }
}

pub(super) fn note(warning: bool, reason: &'static str, text: String) -> Note {
    Note { warning, about: About::Ledger, reason, action: "RemoveCopies", text }
}

/// Enters a word into the ledger, if it is one about this source and its end.
fn enter(subject: &Subject<'_>, ledger: &mut Ledger, text: &str) -> Note {
    let refused =
        |why: String| note(true, "WordRefused", format!("no copy is removed: {}: {why}", names::REMOVE_COPIES));
    let word: Word = match text.parse() {
        Ok(word) => word,
        Err(why) => return refused(why),
    };
    if let Err(why) = concerns(ledger, &word) {
        return refused(why);
    }
    let new: Vec<String> =
        ledger.ever_copied().into_keys().filter(|name| !ledger.removals.contains_key(name)).collect();
    if new.is_empty() {
        return refused("no copy is left that is not being removed".to_owned());
    }
    let text = format!("the copies at {} are removed by the word of {}", new.join(", "), word.by);
    for destination in new {
        ledger.removals.insert(destination, Removal::new(word.by.clone(), subject.now));
    }
    note(false, "RemovalAccepted", text)
}

/// Whether a word is about this source and its end.
fn concerns(ledger: &Ledger, word: &Word) -> Result<(), String> {
    if word.uid != ledger.source.uid {
        return Err(format!("uid is another PVC's; this is the ledger of {}", ledger.source.uid));
    }
    if ledger.gone.map(Timestamp::as_second) != Some(word.gone.as_second()) {
        let gone = ledger.gone.map(|gone| gone.to_string()).unwrap_or_default();
        return Err(format!("gone is not the time in the ledger, {gone}"));
    }
    Ok(())
}

/// L23: ends a removal by a word: one that waits for what never comes, or whose Job fails each time.
fn abandon(subject: &Subject<'_>, ledger: &mut Ledger, text: &str) -> Note {
    let refused = |why: String| note(true, "WordRefused", format!("no removal ends: {}: {why}", names::END_REMOVAL));
    let end: EndWord = match text.parse() {
        Ok(end) => end,
        Err(why) => return refused(why),
    };
    if let Err(why) = concerns(ledger, &end.word) {
        return refused(why);
    }
    let (name, by) = (&end.destination, &end.word.by);
    let Some(removal) = ledger.removals.get(name).filter(|removal| removal.over().is_none()) else {
        return refused(format!("no removal goes on at {name}"));
    };
    match (end.copies, removal.begun) {
        (Left::Kept, Some(_)) => refused(format!(
            "the removal at {name} has begun, and no copy there is a restore point any more; only forget={name} ends it"
        )),
        (Left::Kept, None) => {
            ledger.removals.remove(name);
            note(false, "RemovalWithdrawn", format!("the copies at {name} stay, by the word of {by}"))
        }
        (Left::Forgotten, begun) => {
            if begun.is_none() {
                // What somebody holds or reads is not forgotten either.
                if let Some(problem) = in_use(subject, ledger, name) {
                    return refused(problem.message);
                }
                begin(subject, ledger, name);
            }
            let mut runs = String::new();
            if let Some(removal) = ledger.removals.get_mut(name) {
                removal.abandoned = Some(Abandoned { by: by.clone(), at: subject.now });
                removal.waiting = None;
                runs = named(&removal.runs);
            }
            let text = format!(
                "the removal at {name} has ended by the word of {by}, and nothing removes what is left: {}, of the runs \
                 {runs}. What to do: remove it by hand",
                left(subject, ledger, name)
            );
            note(true, "RemovalAbandoned", text)
        }
    }
}

/// Where the copies of a source are at a destination, for a person who removes them.
fn left(subject: &Subject<'_>, ledger: &Ledger, name: &str) -> String {
    let SourceId { namespace, name: pvc, uid } = ledger.id();
    let folder = format!("the folder {namespace}/{pvc}/{uid} on the disk");
    let snapshots = format!("the snapshots with the host {namespace} and the tag uid={uid} in the repository");
    match destination(subject, name).map(Destination::format) {
        Ok(Format::Trees(_)) => folder,
        Ok(Format::Repository(_)) => snapshots,
        Err(_) => format!("{folder}, or {snapshots}"),
    }
}

/// The newest of these runs.
fn named(runs: &[Run]) -> String {
    let newest: Vec<&str> = runs.iter().rev().take(NAMED).map(Run::as_str).collect();
    let more = runs.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", newest.join(", "))
}

/// What speaks against beginning a removal.
pub(super) fn obstacle(subject: &Subject<'_>, ledger: &Ledger, name: &str) -> Option<Problem> {
    let &Subject { world, uid, .. } = subject;
    // L24: a restore point is not given up where no Job could remove its files.
    let reached = destination(subject, name).and_then(|destination| {
        place(subject, ledger, destination)?;
        access::secret(world, None, uid, destination)
    });
    reached.err().or_else(|| in_use(subject, ledger, name))
}

/// Who needs a copy at a destination still.
fn in_use(subject: &Subject<'_>, ledger: &Ledger, name: &str) -> Option<Problem> {
    let &Subject { world, uid, now, .. } = subject;
    let source = ledger.id();
    let held = snapshots(world, uid).find(|(_, snapshot)| {
        let promoter = world.claims.get(&snapshot.namespace, &snapshot.id.name);
        snapshot.held(now) || promoter.is_some_and(|p| p.held(now))
    });
    if let Some((_, snapshot)) = held {
        let message = format!("VolumeSnapshot {} is held; release it first", snapshot.id.name);
        return Some(Problem::new(Reason::InUse, message));
    }
    let copies = |job: &Job| {
        let ours = job.ours.as_ref().filter(|o| o.component == Component::Copy || o.component == Component::Maintain);
        // One that has ended may still be to be recorded.
        ours.is_some_and(|o| o.destination.as_deref() == Some(&names::label_value(name)))
    };
    if let Some(job) = subject.jobs().find(|job| copies(job)) {
        return Some(Problem::new(Reason::InUse, format!("Job {}/{} works there", job.namespace, job.id.name)));
    }
    if let Some(by) = restore::reads(world, &source.namespace, name, Some(&source.name)) {
        return Some(Problem::new(Reason::InUse, format!("{by} reads from there")));
    }
    None
}

/// Begins a removal against which nothing speaks.
pub(super) fn begin(subject: &Subject<'_>, ledger: &mut Ledger, name: &str) -> Option<Note> {
    let runs = ledger.give_up(name);
    let text = format!("{} restore points at {name} are removed, and are restore points no more", runs.len());
    let removal = ledger.removals.get_mut(name)?;
    (removal.begun, removal.runs) = (Some(subject.now), runs);
    Some(note(false, "RemovalBegun", text))
}

/// A Job that ended: its end for the ledger; else what is to be done about it. Once its end stands there, it goes.
fn end(subject: &Subject<'_>, before: &Ledger, next: &mut Ledger, job: &Job) -> Result<TaskEnd, Todo> {
    let ours = job.ours.as_ref().and_then(|ours| Some((ours.run.as_ref()?, ours.destination.as_ref()?)));
    let Some((due, label)) = ours else { return Err(Todo::none()) };
    let known = before.removals.iter().find(|(name, r)| names::label_value(name) == *label && r.begun.is_some());
    let recorded = |r: &Removal| r.over().is_some() || r.ended.as_ref().is_some_and(|end| end.due == *due);
    let Some((destination, _)) = known.filter(|(_, removal)| !recorded(removal)) else {
        return Err(Todo::step(Action::delete(job)));
    };
    let destination = destination.clone();
    let mut result = ended::task_result(subject.world, job, Task::Remove, subject.now)?;
    // S2b: by a time from before it started, the pause before the next try would be over at once.
    result.finished = result.finished.max(job.created);
    let end = ended::task_end(&destination, Task::Remove, due, result, None);
    if let Some(removal) = next.removals.get_mut(&destination) {
        removal.ended = Some(end.status.clone());
    }
    Ok(end)
}

fn told(end: &TaskEnd, ledger: &Ledger) -> Note {
    let TaskEnd { destination, status, .. } = end;
    let by = ledger.removals.get(destination).map(|r| r.by.clone()).unwrap_or_default();
    match &status.problem {
        Some(problem) => {
            let text = format!(
                "removal of the copies at {destination}: {problem}. What to do: {}. If that is impossible, end the removal: \
                 annotate the ledger with {}",
                problem.reason.help(),
                names::END_REMOVAL
            );
            note(true, problem.reason.as_str(), text)
        }
        None => note(
            false,
            "CopiesRemoved",
            format!("{} copies at {destination} are removed, asked for by {by}", status.files),
        ),
    }
}

/// What the configuration says of a destination.
fn destination<'a>(subject: &Subject<'a>, name: &str) -> Result<&'a Destination, Problem> {
    subject.world.config.destination(name).ok_or_else(|| {
        let message = format!("the configuration has no destination {name} any more");
        Problem::new(Reason::UnknownDestination, message)
    })
}

/// Starts the Job of a removal that has begun; an error is what it waits for.
fn start(subject: &Subject<'_>, name: &str, removal: &Removal) -> Result<Todo, Problem> {
    let &Subject { world, now, .. } = subject;
    if jobs(subject)
        .any(|job| job.ours.as_ref().is_some_and(|o| o.destination.as_deref() == Some(&names::label_value(name))))
    {
        return Ok(Todo::none());
    }
    if let Some(end) = &removal.ended {
        let again = AGAIN.after(end.finished);
        if now < again {
            return Ok(Todo::again(again));
        }
    }
    let destination = destination(subject, name)?;
    let Some(ledger) = world.ledger(subject.uid) else { return Ok(Todo::none()) };
    let source = ledger.id();
    let node = place(subject, ledger, destination)?;
    if let Some(by) = restore::reads(world, &source.namespace, name, Some(&source.name)) {
        return Err(Problem::new(Reason::InUse, format!("{by} reads from there")));
    }
    // Law 12: another repository behind the same address has none of the copies, and that is no removal.
    let tried = removal
        .ended
        .as_ref()
        .is_some_and(|end| end.problem.as_ref().is_none_or(|problem| problem.reason != Reason::RepositoryMissing));
    let due = Run::at(now);
    let policy = names::network_policy(&world.instance);
    let task = Maintain {
        isolate: !destination.pods().needs_network() && world.policies.get(&source.namespace, &policy).is_none(),
        source: source.clone(),
        destination: destination.name.clone(),
        due: due.clone(),
        work: Work::Remove(Remove { runs: removal.runs.clone(), tried }),
        options: Options::default(),
        secret: access::secret(world, None, subject.uid, destination)?,
    };
    let slot = slot(destination, &source, node);
    let waiting = Waiting { rank: Rank::Task, source, run: due, since: removal.since, slot };
    Ok(Todo::ready(waiting, Action::StartTask(Box::new(task))))
}

/// Whether the copies can be reached, and the only node that can, if there is only one.
fn place(subject: &Subject<'_>, ledger: &Ledger, destination: &Destination) -> Result<Option<String>, Problem> {
    let (world, of) = (subject.world, &ledger.source);
    if destination.is_central() {
        online(world, &world.namespace)?;
        return Ok(None);
    }
    let namespace = world.namespaces.get("", &of.namespace).filter(|n| !n.terminating);
    let Some(namespace) = namespace else {
        let message =
            format!("namespace {} is gone, in which a pod would remove them: remove them by hand", of.namespace);
        return Err(Problem::new(Reason::NamespaceTerminating, message));
    };
    // Who has the name now would see the data of who had it before.
    if !of.namespace_uid.is_empty() && namespace.uid != of.namespace_uid {
        let message = format!("namespace {} is another one than that of the PVC: remove them by hand", of.namespace);
        return Err(Problem::new(Reason::NamespaceTerminating, message));
    }
    as_root(namespace, AsRoot::Task)?;
    if destination.pods().needs_network() {
        online(world, &of.namespace)?;
    }
    // No disk is made to remove something from it.
    let disk = disk::ready(world, destination, &of.namespace, subject.now).map_err(|not| not.problem)?;
    Ok(disk.and_then(|disk| only_node(world, disk)))
}
