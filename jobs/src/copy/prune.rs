//! Which trees of this source go, by the same plan as snapshots.

use std::sync::atomic::{AtomicBool, Ordering};

use model::config::PromoterRetention;
use model::facts::Identity;
use model::names::Run;
use model::record::CopyState;
use model::retention::Retention;
use model::rotate::{Decision, Point, PointState, Rules, plan};
use model::schedule::Zone;

use super::args::Args;
use super::commit::expire;
use super::layout::{Shelf, Tree, trash_of};
use crate::no_follow::until_stopped;

/// What pruning goes by.
#[derive(Debug)]
pub(crate) struct Policy {
    retention: Retention,
    zone: Zone,
    min_keep: usize,
    max_unconfirmed: usize,
    max_deletes: usize,
}

impl Policy {
    /// Reads the settings; `None` if nothing is pruned at all. The error says which cannot be read.
    pub(crate) fn read(args: &Args) -> Result<Option<Self>, String> {
        let Some(retention) = &args.retention else { return Ok(None) };
        Ok(Some(Self {
            retention: retention.parse().map_err(|error| format!("invalid retention '{retention}': {error}"))?,
            zone: args.time_zone.parse().map_err(|error| format!("invalid time zone: {error}"))?,
            min_keep: args.min_keep,
            max_unconfirmed: args.max_unconfirmed,
            max_deletes: args.max_deletes,
        }))
    }

    /// Decides about every tree. `current` has just been made and written down: it counts, but is not judged.
    ///
    /// Its minute is `now`: it comes from the API server's clock, and a node whose clock is wrong
    /// thus costs no tree.
    fn decide(&self, trees: &[Tree], current: &Run) -> Vec<Decision> {
        let points: Vec<Point> = trees.iter().map(point).collect();
        let rules = Rules {
            retention: &self.retention,
            zone: &self.zone,
            now: current.time(),
            current: Some(current),
            min_keep: self.min_keep,
            max_unconfirmed: self.max_unconfirmed,
            max_deletes: self.max_deletes,
            max_holds: 0,
            promoters: PromoterRetention::Keep,
        };
        plan(&points, &rules)
    }
}

fn point(tree: &Tree) -> Point {
    Point {
        run: tree.run.clone(),
        id: Identity { name: tree.run.to_string(), ..Identity::default() },
        state: match tree.manifest.result.state {
            CopyState::Complete => PointState::Good,
            CopyState::Incomplete => PointState::Incomplete,
            CopyState::Failed | CopyState::Superseded => PointState::Unconfirmed,
        },
        held: false,
        terminating: false,
        promoter: None,
    }
}

/// Makes trash of the trees that the plan lets go, and returns their runs. What fails is told and left.
pub(crate) fn prune(shelf: &Shelf, policy: &Policy, trees: &[Tree], current: &Run) -> Vec<Run> {
    let mut pruned = Vec::new();
    for decision in policy.decide(trees, current) {
        let run = decision.point.run;
        if !decision.snapshot.deletes() {
            tracing::debug!(%run, why = decision.snapshot.why(), "kept");
            continue;
        }
        match expire(shelf, &run) {
            Ok(()) => {
                tracing::info!(%run, why = decision.snapshot.why(), "pruned");
                pruned.push(run);
            }
            Err(error) => tracing::warn!(%run, %error, "cannot prune this copy"),
        }
    }
    pruned
}

/// Removes the files of pruned trees. What is not done when the job is stopped, the next copy does.
pub(crate) fn remove(shelf: &Shelf, pruned: &[Run], stop: &AtomicBool) {
    for run in pruned {
        let removed = shelf.remove(trash_of(run).as_ref(), &mut until_stopped(stop));
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = removed {
            tracing::warn!(%run, %error, "cannot remove the files of this pruned copy; the next copy tries again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::manifest::tests::manifest;

    fn trees(states: &[CopyState]) -> Vec<Tree> {
        let tree = |(day, state): (usize, &CopyState)| {
            let manifest = manifest(&format!("201812{:02}T0000Z", day + 1), *state);
            Tree { run: manifest.run.clone(), manifest }
        };
        states.iter().enumerate().map(tree).collect()
    }

    fn policy(retention: &str) -> Policy {
        Policy {
            retention: retention.parse().unwrap(),
            zone: Zone::utc(),
            min_keep: 1,
            max_unconfirmed: 2,
            max_deletes: 3,
        }
    }

    fn gone(policy: &Policy, trees: &[Tree]) -> Vec<String> {
        let current = &trees.last().unwrap().run;
        let decisions = policy.decide(trees, current);
        decisions.into_iter().filter(|d| d.snapshot.deletes()).map(|d| d.point.run.as_str()[6..8].to_owned()).collect()
    }

    use CopyState::{Complete, Incomplete};

    #[test]
    fn the_tree_just_made_counts_as_its_predecessors_replacement_once_it_is_good() {
        assert_eq!(gone(&policy("last=2"), &trees(&[Complete; 3])), ["01"]);
        assert_eq!(gone(&policy("last=1"), &trees(&[Complete; 2])), ["01"]);
    }

    /// Law 1, law 3.
    #[test]
    fn incomplete_trees_never_cost_a_good_one_and_do_not_fill_the_disk() {
        let all = trees(&[Complete, Incomplete, Incomplete, Incomplete]);
        assert_eq!(gone(&policy("last=1"), &all), ["02"], "maxUnconfirmed 2");
        assert_eq!(gone(&policy("1h"), &all), ["02"], "the last good one stays whatever its age");
    }

    /// A run that is tried again may end after its successors.
    #[test]
    fn only_trees_of_earlier_runs_are_judged() {
        let all = trees(&[Complete; 5]);
        let decisions = policy("last=1").decide(&all, &all[2].run);
        let gone: Vec<_> = decisions.iter().filter(|d| d.snapshot.deletes()).map(|d| d.point.run.as_str()).collect();
        assert_eq!(gone, ["20181201T0000Z", "20181202T0000Z"]);
    }

    /// The clock of the node does not matter, and neither does a slip of a setting: at most three at once.
    #[test]
    fn at_most_max_deletes_go_at_once() {
        assert_eq!(gone(&policy("1h"), &trees(&[Complete; 9])), ["01", "02", "03"]);
    }
}
