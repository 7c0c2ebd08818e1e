//! A retention that a tenant shortened: for a day nothing goes that the longer one keeps, and it is told (L4).
//!
//! Whose change it is follows from the ledger, which has the choice that was in force. What the administrator changes
//! holds at once: of the choice before, only what the configuration would make of it today counts.

use k8s_openapi::jiff::Timestamp;

use crate::config::Config;
use crate::duration::Span;
use crate::ledger::Ledger;
use crate::reason::{Problem, Reason};
use crate::record::{Choice, Shortened};
use crate::retention::Retention;
use crate::select::Protection;

/// From when it is first seen that a retention is shorter, until it deletes.
const DELAY: Span = Span::days(1);

/// Lets a protection keep what a tenant shortened less than a day ago. Gives what is to be told of that, once the ledger
/// has it.
pub(super) fn widen(config: &Config, ledger: &Ledger, protection: &mut Protection) -> Option<Problem> {
    let (kept, since) = kept(config, ledger, protection)?;
    protection.retention = protection.wanted.retention.or(&kept);
    protection.central_retention = protection.central_retention.or(&kept);
    let message = format!(
        "an annotation or a label on the PVC or its Namespace changes the retention to '{}'. Until {} nothing is deleted \
         that the one before keeps: '{kept}'",
        protection.wanted.retention,
        DELAY.after(since?)
    );
    Some(Problem::new(Reason::RetentionShortened, message))
}

/// What the ledger says of it next.
pub(super) fn next(
    config: &Config,
    ledger: Option<&Ledger>,
    protection: Option<&Protection>,
    now: Timestamp,
) -> Option<Shortened> {
    let ledger = ledger?;
    let next = match protection.filter(|p| !p.unreadable) {
        Some(protection) => {
            let (kept, since) = kept(config, ledger, protection)?;
            Shortened { kept, since: since.unwrap_or(now) }
        }
        // What cannot be read deletes nothing, and shortens nothing either.
        None => ledger.status.shortened.clone()?,
    };
    (now < until(&next)).then_some(next)
}

/// When a shorter retention begins to delete.
pub(super) fn until(shortened: &Shortened) -> Timestamp {
    DELAY.after(shortened.since)
}

/// What is kept beside the retention that is wanted, and since when; `None`: from now on.
fn kept(config: &Config, ledger: &Ledger, protection: &Protection) -> Option<(Retention, Option<Timestamp>)> {
    let wanted = &protection.wanted.retention;
    let recorded = ledger.status.shortened.as_ref().filter(|s| !wanted.covers(&s.kept));
    let kept = match before(config, ledger, protection).filter(|before| !wanted.covers(before)) {
        None => recorded.map(|s| (s.kept.clone(), Some(s.since))),
        // Shortened twice within a day: the day begins anew for all of it.
        Some(before) => Some((recorded.map_or_else(|| before.clone(), |s| before.or(&s.kept)), None)),
    };
    // Whatever was chosen once: the administrator's bound holds at once. It is not measured by the schedule, which is the
    // tenant's too.
    kept.filter(|(kept, _)| kept.longest(config.bounds.min_interval) <= config.bounds.max_retention)
}

/// What the choice in force until now would keep today, if it is another one than that which is wanted.
fn before(config: &Config, ledger: &Ledger, protection: &Protection) -> Option<Retention> {
    let wanted = &protection.wanted;
    match ledger.settings.as_ref()?.choice.as_ref().filter(|choice| **choice != wanted.choice)? {
        Choice::Nothing => Some(wanted.unchosen.clone()),
        Choice::Annotation(retention) => Some(retention.clone()),
        Choice::Group(name) => {
            let group = config.groups.iter().find(|group| group.name == *name)?;
            Some(group.retention.clone().unwrap_or_else(|| config.defaults.retention.clone()))
        }
    }
}
