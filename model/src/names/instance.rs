//! Which installation something belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of an installation. It is no `&str`, so that it is never taken for a namespace, a destination or a name
/// beside it: the default names of an installation and its namespace are the same, which hides such a mistake.
///
/// ```compile_fail,E0308
/// # use model::names::{Instance, alias_volume};
/// let (instance, job) = (Instance::from("night"), "restore-data");
/// alias_volume(job, &instance);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instance(String);

impl Instance {
    /// The name, as it stands in labels.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Instance {
    fn from(name: String) -> Self {
        Self(name)
    }
}

impl From<&str> for Instance {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
