//! When runs of a PVC are due.

use model::Timestamp;
use model::duration::Span;
use model::facts::Claim;
use model::plan::{NextRun, next_run};
use model::schedule::{self, Due, Zone};
use model::select::Protection;
use model::world::World;

/// Missed runs that are counted; beyond that it makes no difference.
pub(super) const MOST_MISSED: u32 = 100;

/// When runs are due.
pub(super) struct Timing {
    pub(super) text: String,
    pub(super) zone: Zone,
    due: Option<Due>,
    pub(super) suspended: bool,
}

impl Timing {
    pub(super) fn new(text: &str, zone: Zone, suspended: bool) -> Self {
        Self { due: Due::parse(text, "").ok(), text: text.to_owned(), zone, suspended }
    }

    /// As the settings say it.
    pub(super) fn of(protection: &Protection) -> Self {
        let Protection { due, zone, .. } = protection;
        Self { text: due.text(), due: Some(due.clone()), zone: zone.clone(), suspended: false }
    }

    /// Of runs that the controller starts, so long after the last one ended: their CronJob is always suspended.
    pub(super) fn after(span: Span, zone: Zone) -> Self {
        Self { due: Some(Due::After(span)), text: schedule::after(span), zone, suspended: false }
    }

    /// How long after the end of the last run the next one starts, if that is what it says.
    pub(super) fn span(&self) -> Option<Span> {
        self.due.as_ref().and_then(Due::after)
    }

    /// Nothing while the run is under way from whose end the next one counts.
    pub(super) fn next(&self, world: &World, claim: &Claim, now: Timestamp) -> Option<Timestamp> {
        match self.due.as_ref().filter(|_| !self.suspended)? {
            Due::Cron(schedule) => schedule.next_after(now, &self.zone),
            Due::After(span) => match next_run(world, claim, *span, now)? {
                NextRun::At(at) => Some(at.max(now)),
                NextRun::UnderWay(_) => None,
            },
        }
    }

    /// Runs that were due in `(after, until]`, each of which may take as long as `patience`.
    pub(super) fn due(&self, after: Timestamp, until: Timestamp, patience: Span) -> Option<u32> {
        let schedule = match self.due.as_ref()? {
            Due::Cron(schedule) => schedule,
            Due::After(span) => {
                let round = span.as_secs() + patience.as_secs();
                let rounds = Span::between(after, until).as_secs() / round.max(1);
                return Some(u32::try_from(rounds).unwrap_or(MOST_MISSED).min(MOST_MISSED));
            }
        };
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
