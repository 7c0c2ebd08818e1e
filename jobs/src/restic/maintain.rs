//! How what is done for a repository beside copying ends.

use std::time::Instant;

use model::maintain::{MaintainResult, TaskState};
use model::reason::Problem;
use model::record::termination_message;
use model::text::clip;

use crate::outcome::{Exit, Failure, Outcome, now};

/// The longest sentence in a result; it is repeated in annotations and Events.
const SENTENCE: usize = 512;

/// Completes a result and logs it.
pub(crate) fn ended(mut result: MaintainResult, done: Result<(), Failure>, started: Instant) -> Outcome {
    let exit = match done {
        Ok(()) => Exit::Done,
        Err(Failure { problem, exit }) => {
            result.state = TaskState::Failed;
            result.problem = Some(Problem::new(problem.reason, clip(&problem.message, SENTENCE)));
            exit
        }
    };
    result.finished = now();
    result.seconds = started.elapsed().as_secs();
    let message = termination_message(&result);
    let task = result.task.as_str();
    match exit {
        Exit::Done => tracing::info!(result = message, "{task}: done"),
        Exit::Again | Exit::Usage | Exit::Final => tracing::error!(result = message, "{task}: failed"),
    }
    Outcome { exit, message }
}
