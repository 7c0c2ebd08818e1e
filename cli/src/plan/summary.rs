//! The totals of a plan. Pure.

use std::collections::BTreeMap;

use model::Timestamp;
use model::config::Limits;
use model::world::World;
use serde::Serialize;

use super::config::{Images, Plan};
use super::room::{self, Room};
use super::rows::{Lack, Protected, Row};

/// The totals of a plan.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pub(super) protected: usize,
    /// By reason.
    pub(super) excluded: BTreeMap<&'static str, usize>,
    /// By reason.
    pub(super) unprotected: BTreeMap<&'static str, usize>,
    /// How many PVCs make the exit code 3.
    pub(super) alarms: usize,
    /// The next run of the first PVC, and that of the last.
    pub(super) next_runs: Option<(Timestamp, Timestamp)>,
    pub(super) limits: Limits,
    pub(super) room: Vec<Room>,
    /// What keeps copies from being made.
    pub(super) lacks: Vec<Lack>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) images: Option<Images>,
}

impl Summary {
    pub(super) fn new(world: &World, plan: &Plan, rows: &[Row], mut lacks: Vec<Lack>) -> Self {
        let runs = || rows.iter().filter_map(|row| row.how.as_ref()?.next_run);
        let count = |which| {
            let mut counts = BTreeMap::new();
            let reasons = rows.iter().filter(|row| row.protected == which).filter_map(|row| row.findings.first());
            reasons.for_each(|finding| *counts.entry(finding.reason.as_str()).or_default() += 1);
            counts
        };
        lacks.sort();
        lacks.dedup();
        Self {
            protected: rows.iter().filter(|row| row.protected == Protected::Yes).count(),
            excluded: count(Protected::Excluded),
            unprotected: count(Protected::No),
            alarms: rows.iter().filter(|row| row.alarms()).count(),
            next_runs: runs().min().zip(runs().max()),
            limits: world.config.limits.clone(),
            room: room::room(&world.config, rows),
            lacks,
            images: plan.images.clone(),
        }
    }

    /// Whether no PVC, destination or image needs attention.
    pub(super) fn is_well(&self) -> bool {
        let images = self.images.as_ref().is_none_or(|images| images.incomplete.is_empty());
        self.alarms == 0 && self.lacks.is_empty() && images
    }
}
