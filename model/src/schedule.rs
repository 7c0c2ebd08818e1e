//! When a run is due: Kubernetes' cron schedules in a time zone, with `H` as in Jenkins.
//!
//! Kubernetes' own controller decides when a CronJob fires; what is computed here is for people
//! (the next run), for bounds (the shortest interval) and for deadlines. So this module gives the
//! `cron` crate Kubernetes' meaning: that crate wants seconds, counts weekdays from 1, joins day
//! of month and weekday with AND, and puts the two passes of an hour that the clock shows twice
//! into one another. It therefore sees explicit numbers only, twice if day of month and weekday
//! are both restricted, and a clock without changes; the zone's changes are dealt with here.
//!
//! Clock changes are as in Kubernetes: a time that the clock skips has no run that day, and a
//! time that it shows twice has two. Kubernetes differs in two corners that are not worth
//! copying: where the clock changes by other than an hour (Lord Howe, Troll) or at midnight
//! (Beirut, Cairo, Havana, Santiago), it may miss or move a run on the day of the change.

mod cron;
mod due;
mod fields;
#[cfg(test)]
mod tests;
mod zone;

pub use cron::Schedule;
pub use due::{Due, after, first, start};
pub use fields::ScheduleError;
pub use zone::{Civil, Zone, ZoneError};
