//! Holds: a restore point with one is not rotated.

use k8s_openapi::jiff::Timestamp;

use crate::text::clip;

/// What the annotation [`crate::names::HOLD`] says.
///
/// `until=2018-12-05T00:00:00Z` in front, with anything behind it, ends by itself. Any other text holds until it
/// is removed: what cannot be read deletes nothing (law 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// When it ends; `None`: when somebody removes it.
    pub until: Option<Timestamp>,
}

impl Hold {
    /// Reads the annotation's text.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let first = text.split_whitespace().next().and_then(|word| word.strip_prefix("until="));
        Self { until: first.and_then(|time| time.trim_end_matches(';').parse().ok()) }
    }

    /// Whether it holds at the time `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// The text of a hold that ends at `until`, with a reason for people.
    #[must_use]
    pub fn text(until: Timestamp, why: &str) -> String {
        let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
        clip(format!("until={until} {why}").trim(), 200)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_ends_only_if_it_says_when() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let end = "2018-12-05T00:00:00Z";
        for text in ["until=2018-12-05T00:00:00Z", "until=2018-12-05T00:00:00Z restoring", &Hold::text(at(end), "x")] {
            let hold = Hold::read(text);
            assert!(hold.holds(at("2018-12-04T23:59:59Z")) && !hold.holds(at(end)), "{text}");
        }
        for text in
            ["", "true", "until=tomorrow", "before 2018-12-05T00:00:00Z", "until=", "UNTIL=2018-12-05T00:00:00Z"]
        {
            assert!(Hold::read(text).holds(Timestamp::MAX), "{text}");
        }
    }
}
