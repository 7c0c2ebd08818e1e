//! U1: how a source stands at each wanted destination, by its ledger.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use crate::config::Destination;
use crate::facts::Claim;
use crate::health::{self, Health};
use crate::ledger::Ledger;
use crate::names::Run;
use crate::reason::{Problem, Reason};
use crate::record::{CopyResult, CopyState, Failure, Status, Wanted};
use crate::select::Protection;
use crate::world::World;

/// How a protected source stands at each destination that it is to be copied to, by what its ledger says next. When more
/// of it is known, if nothing happens before.
pub(super) fn next(
    world: &World,
    (claim, protection): (&Claim, &Protection),
    (ledger, status): (&Ledger, &Status),
    now: Timestamp,
) -> (BTreeMap<String, Wanted>, Option<Timestamp>) {
    let patience = health::patience(&world.config.deadlines);
    let mut again: Option<Timestamp> = None;
    let wanted = protection.destinations.iter().map(|destination| {
        let before = status.wanted.get(destination);
        let since = before.map_or_else(|| since(status, destination, now), |before| before.since);
        let results = ledger.runs.iter().filter_map(|r| Some((&r.run, r.results.get(destination)?)));
        let ended = results.filter(|(_, result)| result.state != CopyState::Superseded);
        let newest = ended.clone().max_by_key(|(run, _)| *run);
        let complete = ended.filter(|(_, result)| result.state == CopyState::Complete).map(|(run, _)| run);
        let good = complete.chain(before.and_then(|before| before.good.as_ref())).max();
        let after = good.map_or(since, |good| good.time().max(since));
        let late = health::late(&protection.due, &protection.zone, after, patience);
        again = [again, late.filter(|late| *late > now)].into_iter().flatten().min();
        let stood = before.and_then(|before| before.failure.as_ref());
        let failure = match health::health(newest.map(|(run, r)| (run, r.state)), good, late, now) {
            Health::Well | Health::Pending => None,
            Health::Failed => newest.map(|(run, result)| {
                let at = stood.map_or(result.finished, |stood| stood.at);
                Failure { run: Some(run.clone()), problem: failed(destination, result), at }
            }),
            // It says the same as long as it lasts.
            Health::Late => {
                let late = || {
                    let problem = overdue(world, claim, (destination, good), now);
                    Failure { run: None, problem, at: stood.map_or(now, |stood| stood.at) }
                };
                Some(stood.filter(|stood| stood.run.is_none()).cloned().unwrap_or_else(late))
            }
        };
        (destination.clone(), Wanted { since, good: good.cloned(), failure })
    });
    let wanted = wanted.collect();
    (wanted, again)
}

/// Since when copies to a destination have been wanted whose record does not tell it. A record of an earlier version tells
/// it of none; one that has copies was wanted then.
fn since(status: &Status, destination: &str, now: Timestamp) -> Timestamp {
    let earlier = status.wanted.is_empty() && status.copies.contains_key(destination);
    let known = status.protected_since.filter(|_| earlier);
    known.unwrap_or_else(|| Run::at(now).time())
}

fn failed(destination: &str, result: &CopyResult) -> Problem {
    Problem::new(result.reason.unwrap_or(Reason::CopyFailed), format!("copy to {destination}: {}", result.message))
}

fn overdue(world: &World, claim: &Claim, (destination, good): (&str, Option<&Run>), now: Timestamp) -> Problem {
    let newest = good.map_or_else(|| "there is none yet".to_owned(), |good| format!("the newest is of run {good}"));
    let late = format!("no complete copy was made at {destination} in time: {newest}");
    let breaker = world.config.destination(destination).and_then(|d: &Destination| d.breaker(&claim.namespace));
    match breaker.and_then(|key| world.down(now).remove(&key)) {
        Some(open) => {
            let message = format!("{late}. Copies there have been failing since {}", open.since);
            Problem::new(open.reason, message)
        }
        None => Problem::new(Reason::CopyOverdue, late),
    }
}
