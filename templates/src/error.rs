//! Why an object was not rendered, in words for the administrator who wrote the template.

use std::path::PathBuf;

use model::reason::{Problem, Reason};

/// Why an object was not rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{template}{}: {fault}", at(*.place))]
pub struct RenderError {
    /// The template's file name.
    pub template: &'static str,
    /// Line and column, where there is one: of the template for its own faults, of the rendered text
    /// for YAML's.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub fault: Fault,
}

fn at(place: Option<(usize, usize)>) -> String {
    place.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default()
}

/// What is wrong with a template or with what it renders.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no Handlebars template.
    #[error("not a Handlebars template: {0}")]
    Syntax(String),
    /// It names a variable that there is not, or calls a helper wrongly.
    #[error("{0}")]
    Variable(String),
    /// What it renders is not YAML.
    #[error("does not render YAML: {0}")]
    Yaml(String),
    /// It renders no object, or several (F75).
    #[error("must render exactly one object, but renders {0}")]
    NotOneObject(String),
    /// A field is not what the project needs it to be, whatever the template says.
    #[error("{path} must be {expected}, but is {found}")]
    NotOurs {
        /// The field.
        path: String,
        /// What is allowed.
        expected: String,
        /// What the template rendered.
        found: String,
    },
    /// A field that the kind does not have: the API server would refuse it, or drop it in silence.
    #[error("unknown field {path}")]
    UnknownField {
        /// The field.
        path: String,
    },
    /// A value of the wrong type, or a missing one.
    #[error("{0}")]
    Type(String),
    /// What was asked for cannot be: an input of the caller, not the template.
    #[error("{0}")]
    Input(String),
}

impl From<RenderError> for Problem {
    fn from(error: RenderError) -> Self {
        Problem::new(Reason::InvalidObject, error.to_string())
    }
}

/// Why a directory of templates was refused.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No object is made from a template of that name.
    #[error("{file} is not the name of a template; use one of {allowed}")]
    Unknown {
        /// The file.
        file: String,
        /// The names that there are.
        allowed: String,
    },
    /// A template does not render what it must.
    #[error(transparent)]
    Bad(#[from] RenderError),
}
