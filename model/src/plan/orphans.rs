//! The copies of a source that is gone, at destinations whose configuration removes them.
//!
//! Each removal is announced in the ledger and by an Event, a day before it begins. Until then it ends without a trace:
//! when the setting is taken back, when the time is made longer, when the source lives again. Then it goes the way of an
//! administrator's word (`removal`).

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::action::{Note, Todo};
use super::removal::{self, AGAIN, note};
use super::subject::Subject;
use crate::config::{Bounds, Destination, Orphans};
use crate::duration::Span;
use crate::ledger::Ledger;
use crate::reason::{Problem, Reason};
use crate::record::{Announced, Removal};

/// How long before it begins a removal is announced: also where the setting is new, and the source gone for years.
const NOTICE: Span = Span::days(1);
/// How long copies stay at least: `bounds.orphanRetention` may be as short as snapshots need it.
const LEAST: Span = Span::days(7);

/// How long the copies of a source stay after it.
fn stay(bounds: &Bounds) -> Span {
    bounds.orphan_retention.max(LEAST)
}

/// What the ledger of a source says next of the removals that the configuration asks for: those that are announced, and
/// those that begin. Gives what is to be told, and when to look again. A removal that begins has its Job in the next plan.
pub(super) fn plan(subject: &Subject<'_>, gone: Timestamp, next: &mut Ledger) -> (Vec<Note>, Todo) {
    let &Subject { world, now, .. } = subject;
    let end = stay(&world.config.bounds).after(gone);
    let tell = NOTICE.before(end);
    let (mut notes, mut todo) = (Vec::new(), Todo::none());
    let mut copied: BTreeSet<String> = next.ever_copied().into_keys().collect();
    copied.retain(|name| !next.removals.contains_key(name));
    let wanted: Vec<String> = copied.iter().filter(|name| configured(subject, name).is_some()).cloned().collect();
    if now < tell && !wanted.is_empty() {
        todo = todo.and(Todo::again(tell));
    }
    let due: BTreeSet<String> = wanted.into_iter().filter(|_| now >= tell).collect();
    next.announced.retain(|name, _| {
        let stays = due.contains(name);
        if !stays && copied.contains(name) {
            let text = format!("the copies at {name} stay: the configuration does not remove them now");
            notes.push(note(false, "RemovalWithdrawn", text));
        }
        stays
    });
    for name in due {
        let announced = next.announced.get(&name);
        let since = announced.map_or(now, |announced| announced.since);
        let due = NOTICE.after(since).max(end);
        if announced.is_none() {
            notes.push(told(&name, due));
        }
        let mut waiting = announced.and_then(|announced| announced.waiting.clone());
        if now < due {
            todo = todo.and(Todo::again(due));
        } else if let Some(obstacle) = obstacle(subject, next, &name) {
            todo = todo.and(Todo::again(AGAIN.after(now)));
            removal::wait(&mut waiting, Some(obstacle));
        } else {
            next.announced.remove(&name);
            let by = Removal::CONFIGURATION.to_owned();
            next.removals.insert(name.clone(), Removal::new(by, since));
            notes.extend(removal::begin(subject, next, &name));
            continue;
        }
        next.announced.insert(name, Announced { since, due, waiting });
    }
    (notes, todo)
}

/// A destination that removes the copies of sources that are gone.
fn configured<'a>(subject: &Subject<'a>, name: &str) -> Option<&'a Destination> {
    subject.world.config.destination(name).filter(|destination| match destination.orphans {
        Orphans::Keep => false,
        Orphans::Remove => true,
    })
}

fn told(name: &str, due: Timestamp) -> Note {
    let text = format!(
        "the PVC is gone, and its copies at {name} will be removed at {due}. What to do: to keep them, hold a snapshot of \
         the PVC, or set destinations[].orphans to keep"
    );
    note(true, "RemovalAnnounced", text)
}

/// What speaks against beginning a removal that is due.
fn obstacle(subject: &Subject<'_>, next: &Ledger, name: &str) -> Option<Problem> {
    let destination = configured(subject, name)?;
    if next.in_doubt(&destination.name) {
        let message = "it is not known which copies there are: only an administrator's word removes them";
        return Some(Problem::new(Reason::LedgerMissing, message));
    }
    removal::obstacle(subject, next, name)
}
