//! When runs of a PVC are due.

use model::Timestamp;
use model::schedule::{Schedule, Zone};

/// Missed runs that are counted; beyond that it makes no difference.
pub(super) const MOST_MISSED: u32 = 100;

/// When runs are due.
pub(super) struct Timing {
    pub(super) text: String,
    pub(super) zone: Zone,
    schedule: Option<Schedule>,
    pub(super) suspended: bool,
}

impl Timing {
    pub(super) fn new(text: &str, zone: Zone, suspended: bool) -> Self {
        Self { schedule: Schedule::parse(text, "").ok(), text: text.to_owned(), zone, suspended }
    }

    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.schedule.as_ref().filter(|_| !self.suspended)?.next_after(now, &self.zone)
    }

    /// Runs that were due in `(after, until]`.
    pub(super) fn due(&self, after: Timestamp, until: Timestamp) -> Option<u32> {
        let schedule = self.schedule.as_ref()?;
        let (mut due, mut at) = (0, after);
        while due < MOST_MISSED
            && let Some(next) = schedule.next_after(at, &self.zone)
            && next <= until
        {
            due += 1;
            at = next;
        }
        Some(due)
    }
}
