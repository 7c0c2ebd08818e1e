//! What is done for copies, by its name.

use serde::{Deserialize, Serialize};

use crate::listed::listed;

listed! {
    /// One kind of work. Its name is a label's value and the beginning of its Jobs' names.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Task {
        /// Forgets the expired snapshots of a repository and removes their data. A disk's copy prunes it itself.
        Prune,
        /// Reads a part of a repository and checks it; all parts in turn.
        Verify,
        /// Restores a copy, or a sample of it, and compares it with its snapshot.
        Drill,
        /// Removes all copies of a source that is gone, by an administrator's word.
        Remove,
    }
}

impl Task {
    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prune => "prune",
            Self::Verify => "verify",
            Self::Drill => "drill",
            Self::Remove => "remove",
        }
    }

    /// Reads a label's value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tasks_word_is_read_as_it_is_written() {
        for task in Task::ALL {
            assert_eq!(Task::parse(task.as_str()), Some(task));
        }
    }
}
