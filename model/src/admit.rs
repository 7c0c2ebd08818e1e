//! Which waiting copies and tasks may start now.
//!
//! Limits per cluster, namespace, node and destination; one writer per disk or repository; one try at a time where a
//! destination is down; copies before tasks; fair between namespaces, then oldest first. The state is what the objects
//! say, so that a restart changes nothing, and the decision is made in one place from one state, so that a limit of one
//! admits one (F86).

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use crate::breaker::{Breakers, Open};
use crate::config::Limits;
use crate::names::{Run, SourceId};
use crate::reason::{Problem, Reason};

/// What a copy occupies while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its namespace.
    pub namespace: String,
    /// Its destination.
    pub destination: String,
    /// The disk it writes to: at most one copy at a time.
    pub disk: String,
    /// The node it runs on, or the only one it can run on, if that is known.
    pub node: Option<String>,
    /// The breaker that it goes by ([`crate::config::Destination::breaker`]).
    pub breaker: Option<String>,
    /// When it began, if it runs. What began before an outage is no try of it: a long healthy copy holds up nobody.
    pub begun: Option<Timestamp>,
}

/// What comes before what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A copy.
    Copy,
    /// A copy that failed: it comes after those that were not tried yet, or it would take their tries at a destination
    /// that is down (U1).
    Retry,
    /// A task for copies that are there already.
    Task,
}

/// A copy or task that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which of them.
    pub rank: Rank,
    /// Its source.
    pub source: SourceId,
    /// Its run; of a task the minute for which it is due.
    pub run: Run,
    /// Since when its promoter has been there, or it is due; of a copy that failed: when.
    pub since: Timestamp,
    /// What it would occupy.
    pub slot: Slot,
}

/// What becomes of a waiting copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It starts.
    Start,
    /// It waits, for this.
    Wait(Problem),
}

#[derive(Default)]
struct Used {
    cluster: u32,
    namespaces: BTreeMap<String, u32>,
    nodes: BTreeMap<String, u32>,
    destinations: BTreeMap<String, u32>,
    disks: BTreeMap<String, u32>,
    /// Copies where a destination is down.
    tries: BTreeMap<String, u32>,
}

/// What copies may not go beyond.
struct Rules<'a> {
    limits: &'a Limits,
    down: &'a Breakers,
    now: Timestamp,
}

impl<'a> Rules<'a> {
    fn down(&self, slot: &'a Slot) -> Option<(&'a str, &'a Open)> {
        let key = slot.breaker.as_deref()?;
        self.down.get(key).map(|open| (key, open))
    }
}

impl Used {
    fn add(&mut self, slot: &Slot, down: &Breakers) {
        self.cluster += 1;
        *self.namespaces.entry(slot.namespace.clone()).or_default() += 1;
        *self.destinations.entry(slot.destination.clone()).or_default() += 1;
        *self.disks.entry(slot.disk.clone()).or_default() += 1;
        let since = |breaker: &String| down.get(breaker).map(|open| open.since);
        let tries =
            |breaker: &&String| slot.begun.is_none_or(|begun| since(breaker).is_none_or(|since| begun >= since));
        if let Some(breaker) = slot.breaker.as_ref().filter(tries) {
            *self.tries.entry(breaker.clone()).or_default() += 1;
        }
        if let Some(node) = &slot.node {
            *self.nodes.entry(node.clone()).or_default() += 1;
        }
    }

    /// What keeps a copy or task waiting; `None` if it may start. Where a destination is down it is a copy that tries.
    fn obstacle<'a>(&self, Waiting { slot, rank, .. }: &'a Waiting, rules: &Rules<'a>) -> Option<Obstacle<'a>> {
        let limits = rules.limits;
        let probes = match rank {
            Rank::Copy | Rank::Retry => true,
            Rank::Task => false,
        };
        let at = |map: &BTreeMap<String, u32>, key: &str| map.get(key).copied().unwrap_or(0);
        if let Some((key, open)) = rules.down(slot)
            && (!probes || rules.now < open.next || at(&self.tries, key) > 0)
        {
            return Some(Obstacle::Down(key, open));
        }
        if at(&self.disks, &slot.disk) > 0 {
            return Some(Obstacle::Disk);
        }
        let checks = [
            (self.cluster, limits.cluster, "limits.cluster"),
            (at(&self.namespaces, &slot.namespace), limits.namespace, "limits.namespace"),
            (at(&self.destinations, &slot.destination), limits.destination, "limits.destination"),
            (slot.node.as_ref().map_or(0, |n| at(&self.nodes, n)), limits.node, "limits.node"),
        ];
        checks.into_iter().find(|(used, limit, _)| used >= limit).map(|(_, limit, name)| Obstacle::Limit(name, limit))
    }
}

/// What keeps a copy waiting. Put into words only once it is known to wait: thousands may.
enum Obstacle<'a> {
    Disk,
    Down(&'a str, &'a Open),
    Limit(&'static str, u32),
}

impl Obstacle<'_> {
    fn problem(&self, slot: &Slot, before: usize) -> Problem {
        match self {
            Self::Disk => {
                let message = format!(
                    "the disk of destination {} takes one copy at a time; waiting before this copy: {before}",
                    slot.destination
                );
                Problem::new(Reason::DiskBusy, message)
            }
            Self::Down(key, open) => open.problem(key),
            Self::Limit(name, limit) => Problem::new(
                Reason::WaitingForSlot,
                format!("{name} is reached: {limit} copies and maintenance Jobs run at the same time"),
            ),
        }
    }
}

/// Decides for every waiting copy; the answers come in the order of `waiting`. `down` are the destinations that are
/// down at the time `now`.
#[must_use]
pub fn admit(
    waiting: &[Waiting],
    running: &[Slot],
    limits: &Limits,
    down: &Breakers,
    now: Timestamp,
) -> Vec<Admission> {
    let rules = Rules { limits, down, now };
    let mut used = Used::default();
    for slot in running {
        used.add(slot, down);
    }
    let mut open: Vec<usize> = (0..waiting.len()).collect();
    open.sort_by(|a, b| age(&waiting[*a]).cmp(&age(&waiting[*b])));
    // Each round starts the oldest copy of the namespace that has the fewest; tasks when no copy can.
    while used.cluster < limits.cluster {
        let next =
            open.iter().copied().filter(|i| used.obstacle(&waiting[*i], &rules).is_none()).min_by_key(|i| {
                (waiting[*i].rank, used.namespaces.get(&waiting[*i].slot.namespace).copied().unwrap_or(0))
            });
        let Some(index) = next else { break };
        used.add(&waiting[index].slot, down);
        open.retain(|i| *i != index);
    }
    let mut answers = vec![Admission::Start; waiting.len()];
    let mut ahead: BTreeMap<&str, usize> = BTreeMap::new();
    for index in open {
        let slot = &waiting[index].slot;
        let before = ahead.entry(&slot.disk).or_default();
        let obstacle =
            used.obstacle(&waiting[index], &rules).unwrap_or(Obstacle::Limit("limits.cluster", limits.cluster));
        answers[index] = Admission::Wait(obstacle.problem(slot, *before));
        *before += 1;
    }
    answers
}

fn age(waiting: &Waiting) -> (Rank, Timestamp, &Run, &SourceId) {
    (waiting.rank, waiting.since, &waiting.run, &waiting.source)
}
