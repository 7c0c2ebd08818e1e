//! What a planner gives: of one source, and of all restores.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use crate::admit::Waiting;
use crate::ledger::Finding;
use crate::names::Run;
use crate::reason::Reason;

use super::steps::{Action, RestoreAction};

/// Where a source stands, for the totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is protected; the newest good run and the newest failure, if there are; what its drills say.
    Protected(Option<Run>, Option<Reason>, Vec<Proof>),
    /// It is not.
    Unprotected(Reason),
    /// The source is gone, its restore points are not.
    Vanished,
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
    /// What was found out about its runs, for the ledger.
    pub(in crate::plan) findings: Vec<Finding>,
}

impl Plan {
    pub(in crate::plan) fn new() -> Self {
        let standing = Standing::Vanished;
        Self { actions: Vec::new(), ready: Vec::new(), wake: None, standing, findings: Vec::new() }
    }

    pub(in crate::plan) fn wake_at(&mut self, at: Option<Timestamp>) {
        self.wake = [self.wake, at].into_iter().flatten().min();
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
}
