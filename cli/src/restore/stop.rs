//! Why a restore ends before it is done, and the exit code of that.

use kube::core::Status;
use model::Timestamp;
use model::reason::{Problem, Reason};
use model::record::{RestoreResult, RestoreState};

use crate::rights::{Deed, Missing};

/// Why it ends.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The command line contradicts itself.
    Usage(String),
    /// It stays so until somebody changes something.
    Refused(Problem),
    /// Another try may help.
    Failed(anyhow::Error),
    /// It broke off, and the application stays stopped: somebody has to decide (L10).
    Half(anyhow::Error),
    /// A signal came; its number.
    Signal(u8),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Missing>() {
            Ok(Missing(text)) => Self::refused(Reason::Forbidden, text),
            Err(error) => Self::Failed(error),
        }
    }
}

impl Stop {
    pub(crate) fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self::Refused(Problem::new(reason, message))
    }

    /// A request that was not granted: a missing right is told with who can grant it.
    pub(crate) fn asked(deed: Deed<'_>, error: &api::Error) -> Self {
        if error.is_right_missing() {
            return Self::refused(Reason::Forbidden, deed.failed(error).to_string());
        }
        let problem = error.problem();
        match error.retry() {
            api::Retry::UntilChanged => Self::Refused(problem),
            api::Retry::Transient => Self::Failed(deed.failed(error)),
        }
    }

    /// The same of a watch, whose errors come without a request.
    pub(crate) fn watched(deed: Deed<'_>, status: &Status) -> Self {
        let error = kube::Error::Api(Box::new(status.clone()));
        Self::asked(deed, &api::Error::Request { what: format!("watch {}", deed.resource), source: Box::new(error) })
    }

    /// 1: another try may help, 2: the command line, 3: refused; a signal as shells count it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) | Self::Half(_) => 3,
            Self::Signal(number) => 128 + number,
        }
    }

    /// The lines for a person.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Usage(text) => text.clone(),
            // The sentence about a right says already whom to ask.
            Self::Refused(Problem { reason: Reason::Forbidden, message, .. }) => message.clone(),
            Self::Refused(problem) => format!("{problem}\nWhat to do: {}", problem.reason.help()),
            Self::Failed(error) | Self::Half(error) => format!("{error:#}"),
            Self::Signal(_) => "interrupted".to_owned(),
        }
    }

    /// The line for a program.
    pub(crate) fn result(&self, now: Timestamp) -> RestoreResult {
        let (state, problem) = match self {
            Self::Refused(problem) => (RestoreState::Refused, problem.clone()),
            Self::Usage(text) => (RestoreState::Refused, Problem::new(Reason::InvalidRequest, text)),
            Self::Failed(_) | Self::Half(_) | Self::Signal(_) => {
                (RestoreState::Failed, Problem::new(Reason::RestoreFailed, self.text()))
            }
        };
        RestoreResult {
            state,
            problem: Some(problem),
            finished: now,
            changed: 0,
            deleted: 0,
            bytes: 0,
            seconds: 0,
            wrote: None,
        }
    }
}
