//! What is found about a volume beside what the controller recorded.

use model::maintain::Task;
use model::reason::Problem;
use model::record::TaskStatus;

use super::timing::MOST_MISSED;
use super::view::{CopyView, Finding, Volume, Word};

/// Tasks for its copies that failed.
pub(super) fn tasks(volume: &Volume) -> Vec<Finding> {
    let finding = |destination: &str, copy: &CopyView, task: Task, end: &TaskStatus| {
        let problem = end.problem.as_ref()?;
        let part = end.part.map(|p| format!(", part {p}")).unwrap_or_default();
        let found = copy.maintenance.as_ref().filter(|m| m.findings().any(|(_, found)| found == end));
        let healed = found.and_then(|m| m.healed.as_ref());
        let mended = healed.map(|run| format!("; the copies from run {run} on were made by comparing all contents"));
        let message =
            format!("{} of {destination}{part}: {}{}", task.as_str(), problem.message, mended.unwrap_or_default());
        let problem = Problem::new(problem.reason, message);
        let (run, at, healed) = (end.run.clone(), Some(end.finished), healed.is_some());
        Some(Finding { run, at, healed, ..Finding::of(&problem) })
    };
    let failures =
        volume.copies.iter().flat_map(|(name, copy)| copy.failures().into_iter().map(move |(t, e)| (name, copy, t, e)));
    failures.filter_map(|(name, copy, task, end)| finding(name, copy, task, end)).collect()
}

/// Runs that did not become good in time.
pub(super) fn overdue(missed: u32, volume: &Volume) -> Finding {
    let number = if missed >= MOST_MISSED { format!("{MOST_MISSED} runs or more") } else { format!("{missed} runs") };
    let number = if missed == 1 { "1 run".to_owned() } else { number };
    let since = volume
        .good
        .as_ref()
        .map_or_else(|| "no run has been good yet".to_owned(), |good| format!("the newest good run is {}", good.run));
    Finding::new(Word::Overdue, format!("{number} did not become good in time; {since}"))
}
