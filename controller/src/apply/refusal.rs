//! Why a step was not done.

use model::reason::{Problem, Reason};
use templates::RenderError;

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The API server refused it, or did not answer.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// A template does not render what it must.
    #[error(transparent)]
    Template(#[from] RenderError),
    /// Somebody else's object has the name that ours needs.
    #[error("ConfigMap {0}: another object has this name")]
    NameTaken(String),
    /// The configuration changed meanwhile; the next plan knows.
    #[error("destination {0} is no longer configured")]
    NoDestination(String),
}

impl Refusal {
    /// For people and metrics.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Api(error) => error.problem(),
            Self::Template(error) => Problem::new(Reason::InvalidObject, error.to_string()),
            Self::NameTaken(_) => Problem::new(Reason::NameTaken, self.to_string()),
            Self::NoDestination(_) => Problem::new(Reason::UnknownDestination, self.to_string()),
        }
    }

    /// Whether it may pass by itself.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Api(error) if error.retry() == api::Retry::Transient)
    }

    /// Whether the object that the step is about is gone or was changed: the next plan sees that.
    pub(crate) fn is_overtaken(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_not_found() || error.is_conflict() || error.is_namespace_terminating())
    }
}
