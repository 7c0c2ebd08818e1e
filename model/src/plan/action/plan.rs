//! What a planner gives: of one source, and of all restores.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use crate::admit::Waiting;
use crate::names::Run;
use crate::reason::Reason;

use super::steps::{Action, RestoreAction};

/// Where a source stands, for the totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is protected.
    Protected(Protected),
    /// It is not.
    Unprotected(Reason),
    /// The source is gone, its restore points are not.
    Vanished,
}

/// How a protected source stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protected {
    /// The newest good run.
    pub good: Option<Run>,
    /// The newest failure that no later good run has made up for.
    pub failure: Option<Reason>,
    /// U1: the destinations whose copies are not well, and why.
    pub degraded: Vec<(String, Reason)>,
    /// What its drills say.
    pub proofs: Vec<Proof>,
}

/// What the drills of a source at a destination say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The destination.
    pub destination: String,
    /// When a copy there was last proven to be restorable.
    pub proven: Option<Timestamp>,
    /// Whether the newest drill failed.
    pub failed: bool,
}

/// What to do about one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Steps that can be taken at once.
    pub actions: Vec<Action>,
    /// Copies and tasks that may start as soon as they are admitted, as the steps that start them.
    pub ready: Vec<(Waiting, Action)>,
    /// When to look again, if nothing happens before.
    pub wake: Option<Timestamp>,
    /// Where the source stands.
    pub standing: Standing,
}

impl Plan {
    pub(in crate::plan) fn new(standing: Standing, Todo { actions, ready, again }: Todo) -> Self {
        Self { actions, ready, wake: again, standing }
    }
}

/// What a planner found to be done.
#[derive(Debug, Default)]
#[must_use]
pub(in crate::plan) struct Todo {
    /// Steps that can be taken at once.
    pub(in crate::plan) actions: Vec<Action>,
    /// What may start as soon as it is admitted.
    pub(in crate::plan) ready: Vec<(Waiting, Action)>,
    /// When to look again, if nothing happens before.
    pub(in crate::plan) again: Option<Timestamp>,
}

impl Todo {
    /// Nothing.
    pub(in crate::plan) fn none() -> Self {
        Self::default()
    }

    /// A step, if there is one.
    pub(in crate::plan) fn step(action: impl Into<Option<Action>>) -> Self {
        Self { actions: action.into().into_iter().collect(), ..Self::none() }
    }

    /// To look again at a time, if there is one.
    pub(in crate::plan) fn again(at: impl Into<Option<Timestamp>>) -> Self {
        Self { again: at.into(), ..Self::none() }
    }

    /// What starts as soon as it is admitted.
    pub(in crate::plan) fn ready(waiting: Waiting, action: Action) -> Self {
        Self { ready: vec![(waiting, action)], ..Self::none() }
    }

    /// Both.
    pub(in crate::plan) fn and(mut self, other: Self) -> Self {
        self.actions.extend(other.actions);
        self.ready.extend(other.ready);
        self.again = [self.again, other.again].into_iter().flatten().min();
        self
    }
}

/// What to do about all restores.
#[derive(Debug, Default)]
pub struct Restores {
    /// Steps that can be taken at once.
    pub actions: Vec<Action>,
    /// When to look again, if nothing happens before.
    pub wake: Option<Timestamp>,
    /// The namespaces whose pods must be watched.
    pub namespaces: BTreeSet<String>,
    /// The Jobs of restores that this plan decides or starts, with the namespace of their target.
    pub(in crate::plan) started: BTreeSet<(String, String)>,
}

impl Restores {
    pub(in crate::plan) fn step(&mut self, step: RestoreAction) {
        self.actions.push(Action::Restore(step));
    }

    pub(in crate::plan) fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
    }

    pub(in crate::plan) fn add(&mut self, todo: Todo) {
        self.actions.extend(todo.actions);
        todo.again.into_iter().for_each(|at| self.wake_at(at));
    }
}
