//! Which steps are under way, done a moment ago, or refused and waiting for their next try.
//!
//! A step that was done may show in a watch only a moment later: until then it is not repeated.

use std::collections::HashMap;
use std::time::Duration;

use model::Timestamp;
use model::duration::Span;

use crate::backoff::Backoff;

/// How long a step that was done is not repeated, though the objects do not show it yet.
const SETTLE: Span = Span::from_secs(30);
/// The longest pause between two tries of a refused step.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The pauses between them.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), LONGEST_PAUSE);
/// How often in a row a step may be wanted again as soon as it is done. Beyond that, something undoes it or
/// the API server keeps another thing than it was told, and each further try waits longer.
const FREE_REPEATS: u32 = 10;

#[derive(Debug, Clone, Copy)]
enum State {
    Running,
    Done(Timestamp),
    Refused { next: Timestamp },
}

/// The steps that are known about, by their key.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    known: HashMap<String, (State, u32)>,
    /// When a step was last done, and how often in a row.
    repeats: HashMap<String, (Timestamp, u32)>,
    /// What a step last wrote, as a hash: to write another thing is progress, and no repetition.
    written: HashMap<String, u64>,
    /// With how many repeats to look for old ones again.
    crowded: usize,
}

fn after(pause: Duration, at: Timestamp) -> Timestamp {
    at.checked_add(pause).unwrap_or(Timestamp::MAX)
}

/// Until when a step that was done so often in a row is not repeated.
fn again(key: &str, at: Timestamp, repeats: u32) -> Timestamp {
    after(repeats.checked_sub(FREE_REPEATS).map_or(Duration::ZERO, |over| BACKOFF.spread(over, key)), at)
}

/// Until when another time counts as in a row.
fn in_a_row(at: Timestamp, repeats: u32) -> Timestamp {
    let pause = repeats.checked_sub(FREE_REPEATS).map_or(Duration::ZERO, |over| BACKOFF.whole(over));
    after(Duration::from_mins(1) + 2 * pause, at)
}

impl Steps {
    /// Whether a step may be taken now; otherwise when to ask again, if not on its own end.
    pub(crate) fn may_start(&self, key: &str, now: Timestamp) -> Result<(), Option<Timestamp>> {
        match self.known.get(key).map(|(state, _)| *state) {
            Some(State::Running) => Err(None),
            Some(State::Done(at)) if now < SETTLE.after(at) => Err(Some(SETTLE.after(at))),
            Some(State::Refused { next }) if now < next => Err(Some(next)),
            _ => match self.repeats.get(key).map(|(at, repeats)| again(key, *at, *repeats)) {
                Some(next) if now < next => Err(Some(next)),
                _ => Ok(()),
            },
        }
    }

    /// A step begins.
    pub(crate) fn start(&mut self, key: String) {
        let tries = self.known.get(&key).map_or(0, |(_, tries)| *tries);
        self.known.insert(key, (State::Running, tries));
    }

    /// A step was done. Steps that write what they read need no time to settle: `settle` says which do.
    pub(crate) fn done(&mut self, key: &str, settle: bool, now: Timestamp) {
        if settle {
            self.known.insert(key.to_owned(), (State::Done(now), 0));
        } else {
            self.known.remove(key);
            self.repeated(key, now);
        }
        if self.known.len() > 1024 {
            self.known.retain(|_, (state, _)| match state {
                State::Running => true,
                State::Done(at) => now < SETTLE.after(*at),
                State::Refused { next } => now < after(LONGEST_PAUSE, *next),
            });
        }
    }

    /// A step wrote something, which its object now shows. What is written again as it was counts as repeated.
    pub(crate) fn wrote(&mut self, key: &str, what: u64, now: Timestamp) {
        self.known.remove(key);
        if self.written.insert(key.to_owned(), what) == Some(what) {
            self.repeated(key, now);
        } else {
            self.repeats.remove(key);
        }
    }

    fn repeated(&mut self, key: &str, now: Timestamp) {
        let (at, repeats) = self.repeats.entry(key.to_owned()).or_insert((now, 0));
        *repeats = if now < in_a_row(*at, *repeats) { *repeats + 1 } else { 1 };
        *at = now;
        if self.repeats.len() > self.crowded.max(1024) {
            self.repeats.retain(|_, (at, repeats)| now < in_a_row(*at, *repeats));
            self.crowded = 2 * self.repeats.len();
        }
    }

    /// A step was refused. The pause doubles from about a second to five minutes. Says how often it was.
    pub(crate) fn refused(&mut self, key: &str, now: Timestamp) -> u32 {
        let tries = self.known.get(key).map_or(0, |(_, tries)| *tries) + 1;
        let next = after(BACKOFF.spread(tries - 1, key), now);
        self.known.insert(key.to_owned(), (State::Refused { next }, tries));
        tries
    }

    /// Whether a step is under way.
    pub(crate) fn is_running(&self, key: &str) -> bool {
        matches!(self.known.get(key), Some((State::Running, _)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_step_is_never_under_way_twice() {
        let mut steps = Steps::default();
        assert_eq!(steps.may_start("a", at(0)), Ok(()));
        steps.start("a".into());
        assert_eq!(steps.may_start("a", at(1000)), Err(None));
        assert_eq!(steps.may_start("b", at(0)), Ok(()));
    }

    #[test]
    fn a_refused_step_waits_longer_each_time_and_five_minutes_at_most() {
        let mut steps = Steps::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            steps.start("a".into());
            steps.refused("a", at(0));
            let Err(Some(next)) = steps.may_start("a", at(0)) else { panic!("it may start at once") };
            pauses.push(next.as_millisecond());
        }
        for (pause, whole) in pauses.iter().zip([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]) {
            assert!((whole * 750..=whole * 1000).contains(pause), "{pauses:?}");
        }
    }

    #[test]
    fn a_step_that_was_done_is_repeated_only_if_its_object_does_not_show_up() {
        let mut steps = Steps::default();
        steps.start("a".into());
        steps.done("a", true, at(0));
        assert_eq!(steps.may_start("a", at(29)), Err(Some(at(30))));
        assert_eq!(steps.may_start("a", at(30)), Ok(()));
    }

    #[test]
    fn a_step_that_is_wanted_again_and_again_is_slowed_down_and_recovers() {
        let mut steps = Steps::default();
        let mut now = at(0);
        let mut starts = 0;
        // Something undoes it at once, for an hour.
        while now < at(3600) {
            match steps.may_start("a", now) {
                Ok(()) => {
                    starts += 1;
                    steps.start("a".into());
                    steps.done("a", false, now);
                }
                Err(next) => now = next.unwrap(),
            }
        }
        assert!((10..40).contains(&starts), "{starts} times in an hour");
        // After a quiet time it is as if it had never been.
        let later = after(Duration::from_secs(1000), now);
        assert_eq!(steps.may_start("a", later), Ok(()));
        steps.start("a".into());
        steps.done("a", false, later);
        assert_eq!(steps.may_start("a", later), Ok(()));
        assert_eq!(steps.may_start("b", now), Ok(()));
    }

    /// A source with a run each minute changes its ledger more often than that, for days.
    #[test]
    fn what_is_written_anew_is_slowed_down_only_if_it_is_the_same() {
        let mut steps = Steps::default();
        for (number, now) in (0..200).zip((0..).map(at)) {
            assert_eq!(steps.may_start("a", now), Ok(()), "{number}");
            steps.start("a".into());
            steps.wrote("a", number, now);
        }
        for _ in 0..12 {
            steps.start("a".into());
            steps.wrote("a", 7, at(200));
        }
        assert!(steps.may_start("a", at(200)).is_err(), "somebody undoes it");
    }

    /// A restore may take hours, and stops if it is not told for two minutes who holds its volume.
    #[test]
    fn what_is_said_anew_on_purpose_is_not_slowed_down() {
        let mut steps = Steps::default();
        for now in (0..6 * 3600).step_by(30).map(at) {
            let holders = model::record::Holders { at: now, pods: Vec::new() };
            let pod = model::facts::Identity { uid: "p".into(), ..Default::default() };
            let step = model::plan::RestoreAction::TellHolders { namespace: "shop".into(), pod, holders };
            let key = model::plan::Action::Restore(step).key();
            assert_eq!(steps.may_start(&key, now), Ok(()), "{now}");
            steps.start(key.clone());
            steps.done(&key, false, now);
        }
    }
}
