//! A source's ledger: what it says next, and what people are shown of it.
//!
//! All that a plan finds out about a source comes into its ledger in one write, with the version that the plan was made
//! from as its precondition. What follows from the entries is planned when they stand there.

use std::borrow::Cow;

use k8s_openapi::jiff::Timestamp;

use super::action::{About, Action, Board, LedgerWrite, Note, Todo};
use super::health;
use super::orphans;
use super::removal::{self, Removals};
use super::shortened;
use super::status::{self, News};
use super::subject::{Subject, doubtful, snapshots, unreadable, verdict, views};
use crate::duration::Span;
use crate::facts::Claim;
use crate::ledger::{Entry, Finding, Ledger};
use crate::next_copy::shows_ready;
use crate::reason::{Problem, Reason};
use crate::record::{Failure, Removal, RunRecord, Settings, Status};
use crate::select::Verdict;
use crate::world::World;

/// Where the backups of a source that is there stand, and what is to be done about its ledger.
pub(super) fn of_source(
    world: &World,
    claim: &Claim,
    verdict: &Verdict,
    (news, findings): (News, Vec<Finding>),
    now: Timestamp,
) -> (Status, Todo) {
    let uid = &claim.id.uid;
    if let Some(problem) = unreadable(world, claim) {
        return unknown(world, claim, problem, now);
    }
    let before = world.ledger(uid);
    let namespace = world.namespaces.get("", &claim.namespace).map_or("", |n| n.uid.as_str());
    // Plans are made often and seldom have news: what is not changed is not copied.
    let mut next = before.map_or_else(|| Cow::Owned(Ledger::new(claim, namespace)), Cow::Borrowed);
    let volume = crate::record::Volume::of(claim);
    let ends = !next.removals.is_empty() || !next.announced.is_empty();
    if next.volume != volume || next.gone.is_some() || ends {
        let next = next.to_mut();
        (next.volume, next.gone) = (volume, None);
        next.removals.clear();
        next.announced.clear();
    }
    let in_force = match verdict {
        Verdict::Protected(protection, _) => protection.in_force(),
        Verdict::Unprotected(..) => None,
    };
    if next.settings.is_none() {
        settle(&mut next, in_force.as_ref());
    }
    let mut notes = begin(world, uid, &mut next, before.is_none());
    if let (None, Verdict::Protected(protection, _)) = (&next.settings, verdict)
        && next.runs.iter().any(|r| r.destinations.is_empty())
    {
        next.to_mut().stand_in(&protection.destinations);
    }
    settle(&mut next, in_force.as_ref());
    let told = !findings.is_empty();
    let results = enter(world, &mut next, findings, now);
    let old = before.map(|ledger| ledger.status.clone()).unwrap_or_default();
    let runs = views(world, uid, &next);
    let (mut status, again) = status::next(world, claim, verdict, &news, (&old, &runs), now);
    status.not_shown = not_shown(world, claim, verdict, before);
    let protection = match verdict {
        Verdict::Protected(protection, _) => Some(&**protection),
        Verdict::Unprotected(..) => None,
    };
    let (wanted, late) = match protection {
        Some(protection) => health::next(world, (claim, protection), (&next, &status), now),
        None => Default::default(),
    };
    status.wanted = wanted;
    status.shortened = shortened::next(&world.config, before, protection, now);
    let again =
        Todo::again(again).and(Todo::again(late)).and(Todo::again(status.shortened.as_ref().map(shortened::until)));
    notes.extend(status::notes(&old, &status, &runs, (&news.tasks, claim.mode)));
    if is_first_look(world, claim, now) {
        notes.retain(|note| note.reason != status::PROTECTED);
    }
    let worth_telling = status::worth_telling(claim, verdict, &old);
    // Of two installations that see the volume, the one tells of it that protects it, and the first one if both do.
    if !worth_telling || status::is_anothers(world, claim) {
        notes.clear();
    }
    if next.status != status {
        next.to_mut().status = status.clone();
    }
    if !worth_telling && before.is_none() {
        return (status, again);
    }
    let mut changed = match next {
        Cow::Owned(next) => Some(next),
        Cow::Borrowed(_) => None,
    };
    if let Some(next) = &mut changed {
        trim(world, uid, next);
    }
    let is_known = |next: &Ledger| before.is_some_and(|before| before == next || !(told || is_news(before, next)));
    let step = match (changed.filter(|next| !is_known(next)), before) {
        (Some(ledger), _) => {
            let replaces = world.ledgers.get("", uid).map(|book| book.id.clone());
            let write = LedgerWrite { ledger, replaces, notes, results, tasks: news.tasks };
            Some(Action::WriteLedger(Box::new(write)))
        }
        (None, Some(before)) => {
            let shown = status::worth_showing(world, claim, verdict, &old);
            shown.then(|| show(claim, before.shown())).flatten()
        }
        (None, None) => None,
    };
    (status, again.and(Todo::step(step)))
}

/// Whether the controller has just begun to watch, and the source was there before. That ten thousand PVCs are backed up
/// from now on is no news of each of them.
fn is_first_look(world: &World, claim: &Claim, now: Timestamp) -> bool {
    let is_older = |since| FIRST_LOOK.after(claim.created) < since;
    world.memory.watching.is_some_and(|since| is_older(since) && now <= FIRST_LOOK.after(since))
}

/// How long the first look takes, which is also more than clocks differ.
const FIRST_LOOK: Span = Span::from_secs(10);

/// What the settings in force are from now on, as far as they can be read.
fn settle(ledger: &mut Cow<'_, Ledger>, settings: Option<&Settings>) {
    if settings.is_some() && ledger.settings.as_ref() != settings {
        ledger.to_mut().settle(settings.cloned());
    }
}

/// Whether a ledger says more than that snapshots came or went. That is seen, and written down with the next news: what a
/// run is copied to, the settings in the ledger say. That it is in doubt, only the ledger says (L20).
fn is_news(before: &Ledger, next: &Ledger) -> bool {
    let Ledger { schema, source, volume, gone, settings, rebuilding, removals, announced, runs, status } = next;
    let known = |r: &RunRecord| before.runs.iter().find(|b| b.run == r.run && b.taken == r.taken);
    let is_new = |r: &RunRecord| match known(r) {
        Some(known) => known.rebuilt != r.rebuilt || known.destinations != r.destinations,
        // U15: while no settings are in force, the run alone says where it is copied to.
        None => r.taken.is_some() && (r.rebuilt || !r.results.is_empty() || settings.is_none()),
    };
    if runs.iter().any(is_new) {
        return true;
    }
    (&before.schema, &before.source, &before.volume, &before.gone) != (schema, source, volume, gone)
        || (&before.settings, &before.rebuilding, &before.status) != (settings, rebuilding, status)
        || (&before.removals, &before.announced) != (removals, announced)
}

/// Where the backups of a source stand by its ledger and the snapshots that are there, whatever could be done about it.
#[must_use]
pub fn standing(world: &World, claim: &Claim, now: Timestamp) -> Status {
    let news = News { waiting: None, tasks: Vec::new() };
    of_source(world, claim, &verdict(world, claim), (news, Vec::new()), now).0
}

/// What is to be done about the ledger of a source that is gone: it keeps what the restore points need, and ends after
/// them.
pub(super) fn of_vanished(subject: &Subject<'_>, findings: Vec<Finding>) -> Todo {
    let &Subject { world, uid, now, .. } = subject;
    let (Some(before), Some(book)) = (world.ledger(uid), world.ledgers.get("", uid)) else { return Todo::none() };
    let mut next = Cow::Borrowed(before);
    let mut notes = begin(world, uid, &mut next, false);
    let results = enter(world, &mut next, findings, now);
    let mut next = next.into_owned();
    let gone = *next.gone.get_or_insert(crate::names::Run::at(now).time());
    trim(world, uid, &mut next);
    let Removals { notes: more, ends: tasks, todo } = removal::plan(subject, before, &book.words, &mut next);
    notes.extend(more);
    let (more, announced) = orphans::plan(subject, gone, &mut next);
    notes.extend(more);
    let belongings = world.belongings(uid);
    let there = belongings.is_some_and(|b| !b.snapshots.is_empty() || !b.promoters.is_empty() || !b.jobs.is_empty());
    // What was removed, or left by an administrator's word, stays written down as long as what is gone.
    let removed = next.removals.values().filter_map(Removal::over).max();
    let over = world.config.bounds.orphan_retention.after(removed.map_or(gone, |at| at.max(gone)));
    let mut again = todo.and(announced);
    if next.is_over(there) {
        if now >= over {
            return Todo::step(Action::DeleteLedger { id: book.id.clone(), uid: uid.to_owned() });
        }
        again = again.and(Todo::again(over));
    }
    // The write ends a word, whatever came of it.
    if *before != next || book.words.any() {
        let write = LedgerWrite { ledger: next, replaces: Some(book.id.clone()), notes, results, tasks };
        return again.and(Todo::step(Action::WriteLedger(Box::new(write))));
    }
    let newest = snapshots(world, uid).filter(|(_, s)| !s.terminating).max_by_key(|(run, _)| *run);
    let namespace = |n: &str| world.namespaces.get("", n).is_some_and(|n| !n.terminating);
    if let Some((_, snapshot)) = newest.filter(|(_, s)| namespace(&s.namespace)) {
        let shown = next.shown();
        if snapshot.shown.as_ref() != Some(&shown) {
            let on = Board::Snapshot(snapshot.id.clone());
            let show = Action::ShowStatus { source: next.id(), on, status: Box::new(shown) };
            return again.and(Todo::step(show));
        }
    }
    again
}

/// What people are shown of a source whose ledger cannot be read. Nothing of it is deleted or written over.
fn unknown(world: &World, claim: &Claim, problem: Problem, now: Timestamp) -> (Status, Todo) {
    let shown = claim.told().filter(|s| s.instance == world.instance);
    let before = shown.and_then(|s| s.failure.clone()).filter(|f| f.problem == problem);
    let failure = before.unwrap_or(Failure { run: None, problem, at: now });
    let status = Status {
        instance: world.instance.clone(),
        uid: claim.id.uid.clone(),
        failure: Some(failure),
        ..shown.cloned().unwrap_or_default()
    };
    let step = (!claim.terminating).then(|| show(claim, status.clone())).flatten();
    (status, Todo::step(step))
}

/// The step that shows it on the source, unless it is shown there.
fn show(claim: &Claim, status: Status) -> Option<Action> {
    let is_new = claim.shown.as_ref().is_none_or(|shown| differ(shown, &status));
    is_new.then(|| Action::ShowStatus { source: claim.source(), on: Board::Source, status: Box::new(status) })
}

/// A13: why people are not shown on the source where its backups stand: the words of the first refusal, until they are.
/// A restart forgets refusals, and the source itself shows whether it was mended.
fn not_shown(world: &World, claim: &Claim, verdict: &Verdict, before: Option<&Ledger>) -> Option<Problem> {
    let before = before?;
    let (told, refused) = (before.status.not_shown.as_ref(), world.memory.not_shown.get(&claim.id.uid));
    // Nearly always nothing was refused, and plans are made often.
    if (told, refused) == (None, None) || !status::worth_showing(world, claim, verdict, &before.status) {
        return None;
    }
    let since = told.filter(|_| refused.is_some() || show(claim, before.shown()).is_some());
    since.or(refused).cloned()
}

/// Whether it is worth a write that people are shown something else. A run of which there is nothing to tell but that it
/// was begun is not: its snapshot shows that.
fn differ(shown: &Status, next: &Status) -> bool {
    fn told(status: &Status) -> impl Iterator<Item = &RunRecord> {
        status.runs.iter().filter(|r| !r.results.is_empty() || !r.lost.is_empty() || r.rebuilt)
    }
    let rest = |status: &Status| Status { runs: Vec::new(), ..status.clone() };
    !told(shown).eq(told(next)) || rest(shown) != rest(next)
}

/// Writes down the runs whose snapshots are there. Those of a ledger that is new were there before it: what became of
/// their copies, each destination has to tell.
fn begin(world: &World, uid: &str, ledger: &mut Cow<'_, Ledger>, new: bool) -> Vec<Note> {
    let mut found = 0;
    let doubtful = if new { None } else { doubtful(world, uid, ledger) };
    for (run, snapshot) in snapshots(world, uid) {
        found += 1;
        let promoter = world.claims.get(&snapshot.namespace, &snapshot.id.name);
        let ready = snapshot.ready || promoter.is_some_and(|p| shows_ready(p, &snapshot.id.name));
        let known = ledger.run(run, &snapshot.id).map(|record| record.ready);
        if known.is_none() {
            ledger.to_mut().begin(run, &snapshot.id, new);
        }
        if ready && known != Some(true) {
            ledger.to_mut().was_ready(run, &snapshot.id);
        }
    }
    if let Some(until) = doubtful {
        ledger.to_mut().doubt(until);
    }
    if !new || found == 0 {
        return Vec::new();
    }
    let text = format!(
        "the ledger of the PVC was not there, and {found} restore points are. What to do: {}",
        Reason::LedgerMissing.help()
    );
    vec![Note { warning: true, about: About::Source, reason: Reason::LedgerMissing.as_str(), action: "Record", text }]
}

/// Writes down what the plan found out. Gives the results that are new.
fn enter(
    world: &World,
    ledger: &mut Cow<'_, Ledger>,
    findings: Vec<Finding>,
    now: Timestamp,
) -> Vec<(String, crate::record::CopyResult)> {
    let since = world.memory.watching.unwrap_or(now);
    for finding in &findings {
        ledger.to_mut().enter(finding, since);
    }
    let result = |Finding { destination, entry, .. }: Finding| match entry {
        Entry::Result(result) | Entry::Failed(result, ..) => Some((destination, *result)),
        Entry::Lost(_) => None,
    };
    findings.into_iter().filter_map(result).collect()
}

fn trim(world: &World, uid: &str, ledger: &mut Ledger) {
    let there: Vec<(&str, &str)> =
        snapshots(world, uid).map(|(_, s)| (s.id.name.as_str(), s.id.uid.as_str())).collect();
    ledger.trim(|record: &RunRecord| record.snapshot().is_some_and(|of| there.contains(&of)));
}
