//! What is found about a volume beside what the controller recorded.

use model::maintain::Task;
use model::reason::Problem;
use model::record::TaskStatus;

use super::timing::MOST_MISSED;
use super::view::{Finding, Volume, Word};

/// Tasks for its copies that failed.
pub(super) fn tasks(volume: &Volume) -> Vec<Finding> {
    let finding = |destination: &str, task: Task, end: &TaskStatus| {
        let problem = end.problem.as_ref()?;
        let part = end.part.map(|p| format!(", part {p}")).unwrap_or_default();
        let message = format!("{} of {destination}{part}: {}", task.as_str(), problem.message);
        let problem = Problem::new(problem.reason, message);
        Some(Finding { run: end.run.clone(), at: Some(end.finished), ..Finding::of(&problem) })
    };
    let failures =
        volume.copies.iter().flat_map(|(name, copy)| copy.failures().into_iter().map(move |(t, e)| (name, t, e)));
    failures.filter_map(|(name, task, end)| finding(name, task, end)).collect()
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
