//! `backup-job restic prune`: forgets expired snapshots by our plan, and removes the data that nothing names any more.
//!
//! Both lock the repository for themselves: no copy runs beside them. What a try that was killed has not removed,
//! the next one does: data is removed in every run, also if nothing was forgotten.

use std::ffi::OsString;
use std::time::Instant;

use model::Timestamp;
use model::maintain::{MaintainResult, Task};
use model::names::Run;
use model::quantity;
use model::reason::{Problem, Reason};
use model::restic_retention::{self, Decision, Rules};
use model::retention::Retention;
use model::schedule::Zone;

use super::args::Common;
use super::exec::Restic;
use super::maintain::ended;
use super::point;
use super::snapshots::{self, INCOMPLETE, Snapshot};
use crate::outcome::{Failure, Outcome, now};
use crate::process::stop_flag;

/// What `backup-job restic prune` is called with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Current time of the API server
    #[arg(long, value_name = "TIME")]
    now: Timestamp,
    /// How long to keep snapshots
    #[arg(long)]
    retention: String,
    /// Time zone in which the retention counts days, weeks and months
    #[arg(long, default_value = "Etc/UTC")]
    time_zone: String,
    /// Good runs to keep, whatever their age
    #[arg(long, default_value_t = 1)]
    min_keep: usize,
    /// Incomplete runs to keep that are newer than the newest good run
    #[arg(long, default_value_t = 3)]
    max_unconfirmed: usize,
    /// Runs that one prune may forget
    #[arg(long, default_value_t = 3)]
    max_deletes: usize,
    /// Newest run at the last prune: --max-deletes counts once for each snapshot made since then
    #[arg(long, value_name = "RUN")]
    since: Option<Run>,
    /// Run to keep; may be repeated
    #[arg(long, value_name = "RUN")]
    hold: Vec<Run>,
    /// Snapshot to keep: it contains the data of a held run that found nothing changed; may be repeated
    #[arg(long, value_name = "ID", value_parser = point::id)]
    hold_snapshot: Vec<String>,
    /// Run whose record is incomplete, whatever the tags of its snapshot are; may be repeated
    #[arg(long, value_name = "RUN")]
    incomplete: Vec<Run>,
    /// Snapshot that a complete copy refers to: it counts as complete, whatever the record of its run; may be repeated
    #[arg(long, value_name = "ID", value_parser = point::id)]
    complete_snapshot: Vec<String>,
}

impl Args {
    /// Whether only a run's record says that a snapshot of it is not complete. A later copy that found it unchanged has
    /// read everything, and may be the newest good one (law 1).
    fn says_incomplete(&self, snapshot: &Snapshot, run: &Run) -> bool {
        self.incomplete.contains(run) && !self.complete_snapshot.iter().any(|id| snapshot.is_called(id))
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let started = Instant::now();
    let mut result = MaintainResult::new(Task::Prune, now(), None);
    let done = prune(args, &mut result);
    ended(result, done, started)
}

/// Writes down what was done as it is done: a prune that fails has forgotten what it has forgotten.
fn prune(args: &Args, result: &mut MaintainResult) -> Result<(), Failure> {
    // Law 4: what cannot be read deletes nothing.
    let invalid = |text: String| Failure::last(Problem::new(Reason::InvalidSetting, text));
    let retention: Retention =
        args.retention.parse().map_err(|e| invalid(format!("nothing is pruned: invalid retention: {e}")))?;
    let zone: Zone =
        args.time_zone.parse().map_err(|e| invalid(format!("nothing is pruned: invalid time zone: {e}")))?;

    let restic = Restic::open(&args.common, Reason::CopyFailed, stop_flag())?;
    let all = snapshots::list(&restic, &|| restic.stopped())?;
    let ours = ours(args, &all);
    result.kept = kept(&ours, &[]);
    let rules = Rules {
        retention: &retention,
        zone: &zone,
        now: args.now,
        min_keep: args.min_keep,
        max_unconfirmed: args.max_unconfirmed,
        max_deletes: max_deletes(args, &ours),
    };
    let plan = restic_retention::plan(&ours, &rules);
    forget(&restic, &plan)?;
    result.pruned = plan.iter().filter(|d| d.verdict.deletes()).map(|d| d.run.clone()).collect();
    result.kept = kept(&ours, &result.pruned);
    mark(&restic, &unmarked(args, &all, &plan))?;
    let removed = remove_data(&restic);
    // A copy may have ended while its lock was waited for. And a snapshot that somebody has tagged meanwhile has
    // another id: it stays.
    let there = snapshots::list(&restic, &|| restic.stopped()).map(|all| self::ours(args, &all));
    if let Ok(there) = &there {
        result.kept = kept(there, &[]);
        result.pruned.retain(|run| !there.iter().any(|s| s.run == *run));
    }
    result.bytes = removed?;
    there.map(drop)
}

/// The brake: so many for every snapshot that was made since the last time.
fn max_deletes(args: &Args, ours: &[restic_retention::Snapshot]) -> usize {
    let Some(since) = &args.since else { return args.max_deletes };
    let made = ours.iter().filter(|s| s.run > *since).count();
    args.max_deletes.saturating_mul(made.max(1))
}

/// The snapshots that we made for the source. The others are no business of ours.
fn ours(args: &Args, all: &[Snapshot]) -> Vec<restic_retention::Snapshot> {
    let of_ours = |s: &Snapshot| {
        let run = s.ours(&args.common)?;
        let held = s.is_held() || args.hold.contains(&run) || args.hold_snapshot.iter().any(|id| s.is_called(id));
        let incomplete = s.is_incomplete() || args.says_incomplete(s, &run);
        Some(restic_retention::Snapshot { id: s.id.clone(), run, time: s.time, incomplete, held })
    };
    let ours: Vec<_> = all.iter().filter_map(of_ours).collect();
    if ours.len() < all.len() {
        tracing::info!("keeping {} snapshots that are not backups of this source", all.len() - ours.len());
    }
    ours
}

/// What a try left that was killed before it could say that entries are missing: once nobody knows its record any more,
/// it would look good.
fn unmarked<'a>(args: &Args, all: &'a [Snapshot], plan: &[Decision]) -> Vec<&'a str> {
    let poor = |s: &&Snapshot| s.ours(&args.common).is_some_and(|run| args.says_incomplete(s, &run));
    let stays = |s: &&Snapshot| !plan.iter().any(|d| d.forget.contains(&s.id));
    let unmarked = all.iter().filter(poor).filter(stays).filter(|s| !s.is_incomplete());
    unmarked.map(|s| s.id.as_str()).collect()
}

fn mark(restic: &Restic, ids: &[&str]) -> Result<(), Failure> {
    if ids.is_empty() {
        return Ok(());
    }
    tracing::info!(snapshots = ids.join(" "), "tagged as incomplete: the record of their run is incomplete");
    let words: Vec<OsString> =
        ["tag", "--add", INCOMPLETE].into_iter().chain(ids.iter().copied()).map(Into::into).collect();
    let ended = restic.run_locking(&words, &mut |_: &str| {})?;
    if ended.code == Some(0) { Ok(()) } else { Err(restic.failure(&ended)) }
}

fn kept(ours: &[restic_retention::Snapshot], gone: &[Run]) -> Vec<Run> {
    snapshots::newest(ours.iter().map(|s| s.run.clone()).filter(|run| !gone.contains(run)))
}

fn forget(restic: &Restic, plan: &[Decision]) -> Result<(), Failure> {
    let mut ids = Vec::new();
    for Decision { run, verdict, forget } in plan {
        tracing::info!(%run, why = verdict.why(), "{}", if verdict.deletes() { "forgotten" } else { "kept" });
        ids.extend(forget.iter().map(OsString::from));
    }
    forget_ids(restic, ids)
}

/// Forgets these snapshots.
pub(super) fn forget_ids(restic: &Restic, ids: Vec<OsString>) -> Result<(), Failure> {
    // Without ids restic would forget by rules of its own.
    if ids.is_empty() {
        return Ok(());
    }
    let words: Vec<OsString> = std::iter::once("forget".into()).chain(ids).collect();
    let ended = restic.run_locking(&words, &mut |_: &str| {})?;
    if ended.code == Some(0) { Ok(()) } else { Err(restic.failure(&ended)) }
}

/// Removes the data that no snapshot names, and says how many bytes that were.
pub(super) fn remove_data(restic: &Restic) -> Result<u64, Failure> {
    let mut freed = 0;
    let mut listener = |line: &str| {
        if let Some(bytes) = line.strip_prefix("total prune:").and_then(bytes) {
            freed = bytes;
        }
    };
    let ended = restic.run_locking(&["prune".into()], &mut listener)?;
    if ended.code == Some(0) { Ok(freed) } else { Err(restic.failure(&ended)) }
}

/// The bytes of `12 blobs / 3.456 MiB`, as restic writes them for people.
fn bytes(text: &str) -> Option<u64> {
    let (_, size) = text.split_once('/')?;
    let (number, unit) = size.trim().split_once(' ')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let unit = match unit {
        "B" => 1,
        unit => quantity::parse(&format!("1{}", unit.strip_suffix('B')?)).ok()?,
    };
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let thousandths = whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part.parse().ok()?)?;
    u64::try_from(u128::from(thousandths) * u128::from(unit) / 1000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_freed_is_read_from_restics_words() {
        for (text, wanted) in [
            ("            0 blobs / 0 B", Some(0)),
            ("           12 blobs / 981.500 KiB", Some(1_005_056)),
            ("            3 blobs / 29.571 MiB", Some(31_007_440)),
            ("            1 blobs / 1.5 GiB", Some(1_610_612_736)),
            ("            1 blobs", None),
            (" x / y z", None),
        ] {
            assert_eq!(bytes(text), wanted, "{text}");
        }
    }
}
