//! Why a step ends before it is done, and the exit code of that.

use api::Retry;
use model::reason::{Problem, Reason};
use model::text::clip;

use super::server::is_unauthorized;
use crate::outcome::Exit;

/// Why a step ends before it is done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// There is nothing to do, for this reason.
    #[error("{0}")]
    Idle(#[source] Problem),
    /// It did not work, and no retry helps.
    #[error("{0}")]
    Final(#[source] Problem),
    /// It did not work, and another try may.
    #[error("{0}")]
    Again(#[source] Problem),
    /// The API server did not do what was asked.
    #[error(transparent)]
    Request(#[from] api::Error),
    /// The API server cannot even be asked.
    #[error(transparent)]
    Connect(#[from] api::ConnectError),
}

impl Stop {
    /// What the exit code says.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Idle(_) => Exit::Done,
            Self::Again(_) | Self::Connect(_) => Exit::Again,
            Self::Request(error) if error.retry() == Retry::Transient || is_unauthorized(error) => Exit::Again,
            Self::Final(_) | Self::Request(_) => Exit::Final,
        }
    }

    /// What the result says.
    pub(crate) fn problem(&self) -> Problem {
        let problem = match self {
            Self::Idle(problem) | Self::Final(problem) | Self::Again(problem) => problem.clone(),
            Self::Request(error) => error.problem(),
            Self::Connect(error) => Problem::new(Reason::ApiUnreachable, api::chain(error)),
        };
        // The API server may answer at length, and a termination message has 4 KiB for all.
        Problem::new(problem.reason, clip(&problem.message, 600))
    }
}
