//! Entries that restic could not restore.

use std::path::Path;

use model::reason::Problem;
use model::text::clip;

use super::stderr::Error;
use crate::outcome::Failure;
use crate::restore::console::shown;
use crate::rsync::Task;

/// Entries that are named; the others are counted.
const NAMED: usize = 4;
/// The longest piece of restic's text that is repeated.
const PIECE: usize = 120;

/// What was heard of them. It stays small, whatever restic says.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// How many there are.
    count: u64,
    /// The first of them, and why.
    named: Vec<String>,
    /// For which one there was no room.
    full: Option<String>,
    /// What shows that the volume itself fails.
    broken: Option<String>,
}

impl Troubles {
    /// Takes an error about an entry.
    pub(crate) fn take(&mut self, error: &Error) {
        self.count += 1;
        let item = error.item.as_deref().unwrap_or("an entry");
        let text = format!("{} ({})", clip(&shown(Path::new(item)), PIECE), clip(&error.message, PIECE));
        let says = |words: &[&str]| words.iter().any(|word| error.message.to_lowercase().contains(word));
        if says(&["no space left on device", "disk quota exceeded"]) {
            self.full.get_or_insert_with(|| text.clone());
        } else if says(&["input/output error", "read-only file system", "stale file handle"]) {
            self.broken.get_or_insert_with(|| text.clone());
        }
        if self.named.len() < NAMED {
            self.named.push(text);
        }
    }

    /// What the volume that is written could not take.
    pub(crate) fn failure(&self, task: &Task) -> Option<Failure> {
        if let Some(entry) = &self.full {
            return Some(Failure::last(Problem::new(task.no_room, format!("{} while writing {entry}", task.full))));
        }
        let entry = self.broken.as_ref()?;
        Some(Failure::again(Problem::new(task.failed, format!("the volume is unavailable or failing: {entry}"))))
    }

    /// The entries that were left out, in words; `None`: there are none.
    pub(crate) fn left_out(&self, task: &Task) -> Option<String> {
        let named = self.named.join(", ");
        match self.count - self.named.len() as u64 {
            _ if self.count == 0 => None,
            0 if self.count == 1 => Some(format!("1 entry is {}: {named}", task.left_out)),
            0 => Some(format!("{} entries are {}: {named}", self.count, task.left_out)),
            more => Some(format!("{} entries are {}: {named}, and {more} more", self.count, task.left_out)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::TASK;

    fn troubles(messages: &[&str]) -> Troubles {
        let mut troubles = Troubles::default();
        for message in messages {
            troubles.take(&Error { item: Some("/a\nb".to_owned()), message: (*message).to_owned() });
        }
        troubles
    }

    #[test]
    fn entries_are_named_and_counted() {
        assert_eq!(troubles(&[]).left_out(&TASK), None);
        assert_eq!(troubles(&["x"]).left_out(&TASK).unwrap(), "1 entry is not restored: /a\\nb (x)");
        let many = troubles(&["x"; 9]).left_out(&TASK).unwrap();
        assert!(many.starts_with("9 entries are not restored: ") && many.ends_with("and 5 more"), "{many}");
        assert!(troubles(&["x"]).failure(&TASK).is_none());
    }

    #[test]
    fn a_full_volume_is_told_from_one_that_fails() {
        let full = troubles(&["x", "write /target/a: no space left on device"]).failure(&TASK).unwrap();
        assert_eq!((full.problem.reason, full.exit), (TASK.no_room, crate::outcome::Exit::Final));
        let broken = troubles(&["open: read-only file system"]).failure(&TASK).unwrap();
        assert_eq!((broken.problem.reason, broken.exit), (TASK.failed, crate::outcome::Exit::Again));
    }
}
