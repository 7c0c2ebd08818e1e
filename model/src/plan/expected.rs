//! What is expected of a source and of a destination, because it was there before (law 12).
//!
//! The copy pod sees an empty bucket, and an empty bucket that had copies yesterday looks the same. Only the ledger tells
//! them apart, so the pod is told what it says.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use crate::config::{Destination, Format};
use crate::names::Run;
use crate::reason::Reason;
use crate::record::{CopyResult, Status};

/// What a copy pod is told to expect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The newest earlier run that has a copy with entries, at any destination: the source was not empty then.
    pub filled: Option<Run>,
    /// What earlier copies left at the destination.
    pub left: Left,
}

/// What earlier copies of a source left at a destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Left {
    /// Nothing, as far as it is known; or somebody accepts that it is lost.
    #[default]
    Nothing,
    /// Dated trees, of these runs; retention may have removed some of them, but not all.
    Trees(Vec<Run>),
    /// A repository, with the beginning of its id if a copy reported it.
    Repository(Option<String>),
}

/// What the ledger says of a source.
pub(super) struct Records<'a> {
    /// The results of its copies: run, destination and result, in any order.
    pub(super) results: Vec<(&'a Run, &'a str, &'a CopyResult)>,
    /// Where its backups stand: that remembers longer than the runs.
    pub(super) status: Option<&'a Status>,
    /// The time up to which somebody accepts lost copies.
    pub(super) accepted: Option<Timestamp>,
}

/// What the copy of `run` to `destination` is told to expect.
pub(super) fn expected(run: &Run, destination: &Destination, records: &Records<'_>) -> Expected {
    Expected { filled: filled(run, records), left: left(destination, records) }
}

/// What one destination knows, all know: a new one has no copy to compare an empty source with (L6).
fn filled(run: &Run, records: &Records<'_>) -> Option<Run> {
    let results = records.results.iter().filter(|(_, _, r)| r.state.has_data() && r.files > 0).map(|(run, ..)| *run);
    let told = records.copies().filter(|(_, c)| c.state.has_data() && c.files > 0).map(|(_, c)| &c.run);
    results.chain(told).filter(|r| *r < run).max().cloned()
}

/// A tenant's pod reports it, and it becomes an argument.
fn is_id(text: &str) -> bool {
    (2..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn left(destination: &Destination, records: &Records<'_>) -> Left {
    let is_repository = match destination.format() {
        Format::Trees(_) => false,
        Format::Repository(_) => true,
    };
    let here = || records.results.iter().filter(|(_, d, _)| *d == destination.name).map(|(run, _, r)| (*run, *r));
    let accepted = here().filter(|(_, r)| records.accepts(r)).map(|(run, _)| run).max();
    let counts = |run: &Run| accepted.is_none_or(|accepted| run > accepted);
    // A destination of that name may have been of another type before.
    let fits = |r: &CopyResult| r.state.has_data() && r.snapshot.is_some() == is_repository;
    let results: BTreeMap<&Run, &CopyResult> = here().filter(|(run, r)| fits(r) && counts(run)).collect();
    // The results may be gone with their snapshots, and the copies are still there.
    let told = records.copies().find(|(name, c)| *name == &destination.name && c.state.has_data() && counts(&c.run));
    let told = told.map(|(_, copy)| &copy.run);
    if is_repository {
        let was_there =
            !results.is_empty() || told.is_some() || (accepted.is_none() && records.is_maintained(destination));
        let id = results.values().rev().find_map(|r| r.repository.clone().filter(|id| is_id(id)));
        return if was_there { Left::Repository(id) } else { Left::Nothing };
    }
    match (results.last_key_value(), told) {
        // A long result is told without its lists. The copy's own tree is there in any case.
        (Some((run, result)), _) if result.kept.is_empty() => Left::Trees(vec![(*run).clone()]),
        (Some((_, result)), _) => Left::Trees(result.kept.clone()),
        (None, Some(run)) => Left::Trees(vec![run.clone()]),
        (None, None) => Left::Nothing,
    }
}

impl<'a> Records<'a> {
    /// Whether a result says that copies are lost, and somebody accepts that.
    fn accepts(&self, result: &CopyResult) -> bool {
        let is_lost = matches!(result.reason, Some(Reason::RepositoryMissing | Reason::DiskMissing));
        is_lost && self.accepted.is_some_and(|at| result.finished.as_second() <= at.as_second())
    }

    /// The newest copies, as the source's record has them.
    fn copies(&self) -> impl Iterator<Item = (&'a String, &'a crate::record::CopyStatus)> {
        self.status.into_iter().flat_map(|status| &status.copies)
    }

    /// Whether the record has a first copy at a destination, whatever became of the newest one.
    fn is_maintained(&self, destination: &Destination) -> bool {
        let maintenance = self.status.and_then(|status| status.maintenance.get(&destination.name));
        maintenance.is_some_and(|m| m.since.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::reason::Problem;
    use crate::record::{CopyState, CopyStatus, Maintenance};

    const CONFIG: &str = "
destinations:
  - {name: disk, type: disk, claim: {size: 1Gi}}
  - {name: s3, type: restic, secret: backup-s3}
";

    fn day(day: u8) -> Timestamp {
        format!("2018-12-{day:02}T00:10:00Z").parse().unwrap()
    }

    fn run(day: u8) -> Run {
        format!("201812{day:02}T0000Z").parse().unwrap()
    }

    /// A failure of that day.
    fn failed(on: u8, reason: Reason) -> CopyResult {
        CopyResult::without_data(CopyState::Failed, &Problem::new(reason, "x"), day(on))
    }

    /// A tree of that day, with the days whose trees are there.
    fn tree(on: u8, kept: &[u8]) -> CopyResult {
        let kept = kept.iter().map(|day| run(*day)).collect();
        CopyResult { state: CopyState::Complete, reason: None, files: 5, kept, ..failed(on, Reason::CopyFailed) }
    }

    /// A snapshot of that day, in the repository of that id.
    fn snapshot(on: u8, id: Option<&str>) -> CopyResult {
        let (snapshot, repository) = (Some("5".to_owned()), id.map(str::to_owned));
        CopyResult { snapshot, repository, ..tree(on, &[on]) }
    }

    fn status(copies: &[(&str, u8, CopyState)]) -> Status {
        let copy = |&(name, on, state): &(&str, u8, CopyState)| {
            let files = if state.has_data() { 5 } else { 0 };
            let journal = crate::facts::Journal::Replayed;
            let lost = crate::losses::Losses::default();
            (name.to_owned(), CopyStatus { run: run(on), state, finished: day(on), files, bytes: 5, journal, lost })
        };
        Status { copies: copies.iter().map(copy).collect(), ..Status::default() }
    }

    /// What is expected of a copy on the ninth day to a destination.
    struct Case {
        results: Vec<(u8, &'static str, CopyResult)>,
        status: Option<Status>,
        accepted: Option<Timestamp>,
    }

    impl Case {
        fn of(results: Vec<(u8, &'static str, CopyResult)>) -> Self {
            Self { results, status: None, accepted: None }
        }

        fn at(&self, destination: &str) -> Expected {
            let config = Config::parse(CONFIG).unwrap();
            let runs: Vec<Run> = self.results.iter().map(|(day, ..)| run(*day)).collect();
            let results = runs.iter().zip(&self.results).map(|(run, (_, name, result))| (run, *name, result)).collect();
            let records = Records { results, status: self.status.as_ref(), accepted: self.accepted };
            expected(&run(9), config.destination(destination).unwrap(), &records)
        }
    }

    fn id(id: &str) -> Left {
        Left::Repository(Some(id.to_owned()))
    }

    fn trees(days: &[u8]) -> Left {
        Left::Trees(days.iter().map(|day| run(*day)).collect())
    }

    #[test]
    fn a_first_copy_expects_nothing() {
        let before = vec![(1, "s3", failed(1, Reason::CopyFailed)), (2, "disk", failed(2, Reason::DiskFull))];
        let superseded = CopyResult { state: CopyState::Superseded, ..failed(3, Reason::Superseded) };
        for results in [vec![], before, vec![(3, "s3", superseded.clone()), (3, "disk", superseded)]] {
            let case = Case::of(results);
            assert_eq!((case.at("s3"), case.at("disk")), (Expected::default(), Expected::default()));
        }
    }

    /// L5. The order of the results says nothing.
    #[test]
    fn what_copies_left_is_expected_at_their_own_destination() {
        let results = vec![
            (2, "s3", snapshot(2, Some("bb"))),
            (1, "s3", snapshot(1, Some("aa"))),
            (3, "s3", failed(3, Reason::DestinationUnreachable)),
            (3, "disk", tree(3, &[3, 1])),
            (2, "disk", tree(2, &[2, 1])),
        ];
        let case = Case::of(results);
        assert_eq!((case.at("s3").left, case.at("disk").left), (id("bb"), trees(&[3, 1])));
        let incomplete = CopyResult { state: CopyState::Incomplete, ..snapshot(4, None) };
        let mut case = Case::of(vec![(4, "s3", incomplete), (4, "disk", tree(4, &[]))]);
        assert_eq!((case.at("s3").left, case.at("disk").left), (Left::Repository(None), trees(&[4])));
        // Only an older copy knows the id.
        case.results.push((3, "s3", snapshot(3, Some("aa"))));
        assert_eq!(case.at("s3").left, id("aa"));
    }

    #[test]
    fn what_another_type_of_destination_left_under_the_name_is_not_expected() {
        let case = Case::of(vec![(1, "s3", tree(1, &[1])), (1, "disk", snapshot(1, Some("aa")))]);
        assert_eq!((case.at("s3").left, case.at("disk").left), (Left::Nothing, Left::Nothing));
    }

    /// The results go with their snapshots, and the record stays.
    #[test]
    fn the_record_is_asked_where_the_results_are_gone() {
        let told = status(&[("s3", 3, CopyState::Complete), ("disk", 4, CopyState::Incomplete)]);
        let mut case = Case { status: Some(told), ..Case::of(vec![]) };
        assert_eq!((case.at("s3").left, case.at("disk").left), (Left::Repository(None), trees(&[4])));
        case.results.push((4, "disk", tree(4, &[4, 2])));
        assert_eq!(case.at("disk").left, trees(&[4, 2]));
        // It has the newest copy only. That there was a first one it says in another place.
        let mut told = status(&[("s3", 5, CopyState::Failed)]);
        case = Case { status: Some(told.clone()), ..Case::of(vec![]) };
        assert_eq!(case.at("s3").left, Left::Nothing);
        told.maintenance.insert("s3".to_owned(), Maintenance { since: Some(day(2)), ..Maintenance::default() });
        case.status = Some(told);
        assert_eq!(case.at("s3").left, Left::Repository(None));
    }

    #[test]
    fn an_accepted_loss_is_not_expected_any_more_and_a_later_one_is() {
        let lost = |on, name, reason| (on, name, failed(on, reason));
        let mut case = Case::of(vec![
            (1, "s3", snapshot(1, Some("aa"))),
            lost(2, "s3", Reason::RepositoryMissing),
            (1, "disk", tree(1, &[1])),
            lost(2, "disk", Reason::DiskMissing),
        ]);
        let told = status(&[("s3", 2, CopyState::Failed), ("disk", 2, CopyState::Failed)]);
        case.status = Some(told);
        let since = Maintenance { since: Some(day(1)), ..Maintenance::default() };
        case.status.as_mut().unwrap().maintenance.insert("s3".to_owned(), since);
        let left = |case: &Case| (case.at("s3").left, case.at("disk").left);
        for not in [None, Some(day(1))] {
            case.accepted = not;
            assert_eq!(left(&case), (id("aa"), trees(&[1])), "{not:?}");
        }
        // To the second, as a person names it.
        case.accepted = Some(day(2));
        assert_eq!(left(&case), (Left::Nothing, Left::Nothing));
        // What is copied after it is expected again, and its loss is a finding of its own.
        case.results.extend([(3, "s3", snapshot(3, Some("bb"))), (3, "disk", tree(3, &[3]))]);
        assert_eq!(left(&case), (id("bb"), trees(&[3])));
        case.results.extend([lost(4, "s3", Reason::RepositoryMissing), lost(4, "disk", Reason::DiskMissing)]);
        assert_eq!(left(&case), (id("bb"), trees(&[3])));
        case.accepted = Some(day(4));
        assert_eq!(left(&case), (Left::Nothing, Left::Nothing));
    }

    #[test]
    fn no_other_failure_can_be_accepted_as_a_loss() {
        let results = vec![(1, "s3", snapshot(1, Some("aa"))), (2, "s3", failed(2, Reason::WrongPassword))];
        let case = Case { accepted: Some(day(3)), ..Case::of(results) };
        assert_eq!(case.at("s3").left, id("aa"));
    }

    /// L6.
    #[test]
    fn what_one_destination_knows_of_the_source_all_know() {
        let empty = |on| CopyResult { files: 0, ..tree(on, &[on]) };
        let results = vec![(1, "disk", tree(1, &[1])), (2, "disk", tree(2, &[2])), (3, "disk", empty(3))];
        let case = Case::of(results);
        assert_eq!((case.at("s3").filled, case.at("disk").filled), (Some(run(2)), Some(run(2))));
        let case = Case::of(vec![(3, "disk", empty(3)), (4, "disk", failed(4, Reason::SourceEmpty))]);
        assert_eq!(case.at("s3").filled, None);
        // A run may be copied late: what the source holds since says nothing of it.
        let case = Case::of(vec![(9, "disk", tree(9, &[9])), (10, "disk", tree(10, &[10]))]);
        assert_eq!(case.at("s3").filled, None);
        let told = Some(status(&[("gone", 5, CopyState::Incomplete), ("disk", 6, CopyState::Failed)]));
        assert_eq!(Case { status: told, ..Case::of(vec![]) }.at("s3").filled, Some(run(5)));
    }
}
