//! The pauses between tries of what is refused.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Pauses that double up to a longest one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The pause after so many tries before.
    pub(crate) fn whole(self, before: u32) -> Duration {
        let doubled = 2u32.checked_pow(before).and_then(|times| self.first.checked_mul(times));
        doubled.unwrap_or(self.longest).min(self.longest)
    }

    /// The same, up to a quarter shorter: what was refused together is not tried again together. How much shorter
    /// follows from what is tried, so that the same try has the same pause each time.
    pub(crate) fn spread(self, before: u32, what: &str) -> Duration {
        let mut hasher = DefaultHasher::new();
        (what, before).hash(&mut hasher);
        let whole = self.whole(before);
        // Of 256 parts of a quarter.
        let parts = u32::try_from(hasher.finish() % 256).unwrap_or_default();
        whole.saturating_sub(whole * parts / 1024)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SECONDS: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u64> = (0..12).map(|before| SECONDS.whole(before).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(SECONDS.whole(u32::MAX).as_secs(), 300);
    }

    /// A node that was gone brings back a hundred copies at once.
    #[test]
    fn what_was_refused_together_is_tried_again_apart() {
        let keys: Vec<String> = (0..100).map(|number| format!("copy/{number}")).collect();
        for before in [0, 3, 20] {
            let pauses: Vec<Duration> = keys.iter().map(|key| SECONDS.spread(before, key)).collect();
            let whole = SECONDS.whole(before);
            assert!(pauses.iter().all(|pause| *pause <= whole && *pause > whole * 3 / 4), "{pauses:?}");
            assert!(pauses.iter().collect::<BTreeSet<_>>().len() > 50, "{pauses:?}");
            assert!(keys.iter().zip(pauses).all(|(key, pause)| SECONDS.spread(before, key) == pause));
        }
    }
}
