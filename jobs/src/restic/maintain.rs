//! How what is done for a repository beside copying ends.

use std::time::Instant;

use model::maintain::{MaintainResult, TaskState};
use model::reason::Problem;
use model::record::termination_message;
use model::text::sentence;

use crate::outcome::{Exit, Failure, Outcome, now};

/// Completes a result and logs it.
pub(crate) fn ended(mut result: MaintainResult, done: Result<(), Failure>, started: Instant) -> Outcome {
    let exit = match done {
        Ok(()) => Exit::Done,
        Err(Failure { problem, exit }) => {
            result.state = TaskState::Failed;
            result.problem = Some(Problem::new(problem.reason, sentence(&problem.message)));
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
