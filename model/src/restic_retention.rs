//! Which snapshots of a restic repository are forgotten, by the same plan as all restore points.
//!
//! Two things are different in a repository. A run may have several snapshots: a try that was killed after it had
//! made one is made again. And a run that changed nothing makes none: a snapshot stands for all that was so until
//! the next one.

use k8s_openapi::jiff::Timestamp;

use crate::config::PromoterRetention;
use crate::facts::Identity;
use crate::names::Run;
use crate::retention::Retention;
use crate::rotate::{self, Point, PointState, Verdict};
use crate::schedule::Zone;

/// One snapshot that we made for the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// Its run.
    pub run: Run,
    /// When it was made; of several of a run, the last is its verdict.
    pub time: Timestamp,
    /// Whether entries are missing in it.
    pub incomplete: bool,
    /// Whether somebody holds it.
    pub held: bool,
}

/// What forgetting goes by.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// Ages or keep rules.
    pub retention: &'a Retention,
    /// The zone whose days, weeks and months the keep rules count.
    pub zone: &'a Zone,
    /// The API server's time.
    pub now: Timestamp,
    /// Good runs that stay whatever their age.
    pub min_keep: usize,
    /// Incomplete runs newer than the newest good one that stay.
    pub max_unconfirmed: usize,
    /// Runs that may go at once.
    pub max_deletes: usize,
}

/// What becomes of a run's snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The run.
    pub run: Run,
    /// Whether it stays or goes, and why.
    pub verdict: Verdict,
    /// The snapshots that go: all of the run, or those that a later and complete one has taken the place of.
    pub forget: Vec<String>,
}

/// Decides about every run, oldest first.
#[must_use]
pub fn plan(snapshots: &[Snapshot], rules: &Rules<'_>) -> Vec<Decision> {
    let mut sorted: Vec<&Snapshot> = snapshots.iter().collect();
    sorted.sort_by(|a, b| (&a.run, a.time, &a.id).cmp(&(&b.run, b.time, &b.id)));
    let runs: Vec<&[&Snapshot]> = sorted.chunk_by(|a, b| a.run == b.run).collect();
    let points: Vec<Point> = runs.iter().filter_map(|run| point(run)).collect();
    let decisions = rotate::plan(
        &points,
        &rotate::Rules {
            retention: rules.retention,
            zone: rules.zone,
            now: rules.now,
            current: None,
            min_keep: rules.min_keep,
            max_unconfirmed: rules.max_unconfirmed,
            max_deletes: rules.max_deletes,
            max_holds: usize::MAX,
            promoters: PromoterRetention::Keep,
        },
    );
    let stands = stands_at_limit(&points, rules);
    runs.iter()
        .zip(decisions)
        .map(|(run, decision)| {
            let verdict = match decision.snapshot {
                verdict if verdict.stays() => verdict,
                _ if stands == Some(&decision.point.run) => {
                    Verdict::Keep("the state of the volume at the start of the retention period".to_owned())
                }
                verdict => verdict,
            };
            let goes = |s: &&&Snapshot| verdict.deletes() || (!s.held && replaced(s, run));
            let forget = run.iter().filter(goes).map(|s| s.id.clone()).collect();
            Decision { run: decision.point.run, verdict, forget }
        })
        .collect()
}

/// A run as one restore point; the last of its snapshots is the verdict on it.
fn point(run: &[&Snapshot]) -> Option<Point> {
    let last = run.last()?;
    Some(Point {
        run: last.run.clone(),
        id: Identity { name: last.run.to_string(), ..Identity::default() },
        state: if last.incomplete { PointState::Incomplete } else { PointState::Good },
        held: run.iter().any(|s| s.held),
        terminating: false,
        promoter: None,
    })
}

/// Whether a later try of the same run has made a complete snapshot.
fn replaced(snapshot: &Snapshot, run: &[&Snapshot]) -> bool {
    run.last().is_some_and(|last| last.id != snapshot.id && !last.incomplete)
}

/// Of a retention by age, the newest good run before it begins: since runs that changed nothing have no snapshot,
/// it says how the volume was then, and until the next snapshot.
fn stands_at_limit<'a>(points: &'a [Point], rules: &Rules<'_>) -> Option<&'a Run> {
    let begins = rules.retention.kept_age()?.before(rules.now);
    let good = points.iter().filter(|p| p.state == PointState::Good && p.run.time() <= begins);
    good.map(|p| &p.run).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: &str, day: u32) -> Snapshot {
        let run: Run = format!("201812{day:02}T0000Z").parse().unwrap();
        Snapshot { id: id.to_owned(), time: run.time(), run, incomplete: false, held: false }
    }

    /// The days of December that each id was made on.
    fn days(days: &[(&str, u32)]) -> Vec<Snapshot> {
        days.iter().map(|(id, day)| snapshot(id, *day)).collect()
    }

    fn forgotten(snapshots: &[Snapshot], retention: &str, max_deletes: usize) -> Vec<String> {
        let rules = Rules {
            retention: &retention.parse().unwrap(),
            zone: &Zone::utc(),
            now: "2018-12-31T12:00:00Z".parse().unwrap(),
            min_keep: 1,
            max_unconfirmed: 1,
            max_deletes,
        };
        plan(snapshots, &rules).into_iter().flat_map(|d| d.forget).collect()
    }

    /// Law 1: skipped runs leave no snapshot, and what was so all the time is in the one before.
    #[test]
    fn a_snapshot_stands_until_the_next_one() {
        let all = days(&[("a", 1), ("b", 2), ("c", 20), ("d", 31)]);
        // Ten days ago the volume was as on the 20th, made eleven days ago.
        assert_eq!(forgotten(&all, "10days", 9), ["a", "b"]);
        assert_eq!(forgotten(&all, "within=10d", 9), ["a", "b"]);
        assert_eq!(forgotten(&all, "30days", 9), Vec::<String>::new());
        // Keep rules count what is there: days without a snapshot are none.
        assert_eq!(forgotten(&all, "daily=2", 9), ["a", "b"]);
        // An incomplete one does not stand for anything.
        let mut all = all;
        all[2].incomplete = true;
        assert_eq!(forgotten(&all, "10days", 9), ["a", "c"]);
    }

    #[test]
    fn the_floor_the_holds_and_the_brake_hold() {
        let mut all = days(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
        assert_eq!(forgotten(&all, "last=1", 9), ["a", "b", "c"]);
        assert_eq!(forgotten(&all, "last=1", 2), ["a", "b"]);
        assert_eq!(forgotten(&all, "1h", 9), ["a", "b", "c"], "minKeep");
        all[1].held = true;
        assert_eq!(forgotten(&all, "last=1", 9), ["a", "c"]);
        // The newest good one stays, however many failed since; of those one stays.
        for bad in &mut all[1..] {
            (bad.incomplete, bad.held) = (true, false);
        }
        assert_eq!(forgotten(&all, "last=1", 9), ["b", "c"]);
    }

    #[test]
    fn the_last_try_of_a_run_is_its_verdict() {
        let mut all = days(&[("late", 1), ("early", 1), ("next", 2)]);
        all[0].time = "2018-12-01T00:10:00Z".parse().unwrap();
        assert_eq!(forgotten(&all, "last=9", 9), ["early"], "a complete one takes the place of earlier tries");
        assert_eq!(forgotten(&all, "last=1", 9), ["early", "late"], "a run goes with all of its snapshots");
        all[0].incomplete = true;
        assert_eq!(forgotten(&all, "last=9", 9), Vec::<String>::new(), "an incomplete one does not");
        (all[0].incomplete, all[1].held) = (false, true);
        assert_eq!(forgotten(&all, "last=9", 9), Vec::<String>::new());
    }
}
