//! What restic says on standard error, and when it has tried for long enough. Pure: lines and times in.
//!
//! restic tries every request again for up to 15 minutes, whatever the endpoint answers: also a wrong key. What
//! will not pass by itself is ended after a few tries, before the repository was reached; what may pass gets
//! some patience then. Once work has begun, restic's own patience counts, unless nothing passes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::text::clip;
use serde::Deserialize;

use super::classify::{Cause, shown};
use crate::redact::Struck;

/// Tries that are refused for the same cause before we believe it.
const TRIES: u32 = 3;
/// Lines of restic's that go to the log; the rest is counted.
const LOGGED: u32 = 50;
/// The longest line that is kept.
const LINE: usize = 600;

/// An error about one entry or, of `check`, about the repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Error {
    /// The entry's path.
    pub(crate) item: Option<String>,
    pub(crate) message: String,
}

/// What was heard so far. It stays small, whatever restic says.
#[derive(Debug)]
pub(crate) struct Heard {
    patience: Duration,
    /// What is taken out of each word.
    struck: Arc<Struck>,
    /// Whether the repository was reached.
    contact: bool,
    /// What does not work now.
    trouble: Option<Trouble>,
    /// The line that made us give up.
    given_up: Option<String>,
    /// Why a program that restic runs did not work.
    helper: Option<String>,
    /// restic's own last words.
    exit: Option<String>,
    /// The first line of no known form.
    plain: Option<String>,
    lines: u32,
}

/// The same cause, again and again.
#[derive(Debug)]
struct Trouble {
    cause: Cause,
    since: Instant,
    tries: u32,
    /// The last of restic's words about it.
    why: String,
}

#[derive(Deserialize)]
struct Line {
    message_type: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    error: Option<Inner>,
    #[serde(default)]
    item: Option<String>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    message: String,
}

impl Heard {
    /// Nothing yet. `patience`: how long an endpoint may fail to answer.
    pub(crate) fn new(patience: Duration, struck: Arc<Struck>) -> Self {
        Self {
            patience,
            struck,
            contact: false,
            trouble: None,
            given_up: None,
            helper: None,
            exit: None,
            plain: None,
            lines: 0,
        }
    }

    /// The repository was reached.
    pub(crate) fn contact(&mut self) {
        self.contact = true;
        self.trouble = None;
    }

    /// Takes a line of standard error. Gives it back if it is about an entry.
    pub(crate) fn error(&mut self, line: &str, now: Instant) -> Option<Error> {
        let line = line.trim();
        if let Ok(said) = serde_json::from_str::<Line>(line) {
            if said.message_type == "exit_error" {
                self.exit = Some(clip(&self.struck.text(&said.message), LINE));
                return None;
            }
            let message = said.error.map_or(said.message, |error| error.message);
            let message = self.struck.text(&message).into_owned();
            // `check` says so of its requests too.
            if said.item.is_none() && self.request(&message, now) {
                return None;
            }
            let item = said.item.filter(|item| !item.is_empty()).map(|item| self.struck.text(&item).into_owned());
            let error = Error { item, message: shown(&message) };
            match &error.item {
                Some(item) => self.log(&format!("{item}: {}", error.message)),
                None => self.log(&error.message),
            }
            return Some(error);
        }
        let line = self.struck.text(line).into_owned();
        if !self.request(&line, now) && !line.is_empty() {
            self.plain.get_or_insert_with(|| clip(&line, LINE));
            self.log(&line);
        }
        None
    }

    /// Whether a text is about one request that is tried again.
    fn request(&mut self, text: &str, now: Instant) -> bool {
        if text.contains("operation successful after") {
            self.trouble = None;
        } else if let Some((_, why)) = text.split_once("returned error, retrying after ") {
            self.trouble(why, now);
            self.log(text);
        } else {
            return false;
        }
        true
    }

    fn trouble(&mut self, why: &str, now: Instant) {
        let why = why.split_once(": ").map_or(why, |(_, why)| why);
        let cause = Cause::of(why).unwrap_or(Cause::Unreachable);
        let (since, tries) = match &self.trouble {
            Some(trouble) if trouble.cause == cause => (trouble.since, trouble.tries + 1),
            _ => (now, 1),
        };
        self.trouble = Some(Trouble { cause, since, tries, why: clip(why, LINE) });
    }

    /// Whether going on is of no use. Asked also while restic waits for minutes between two tries.
    pub(crate) fn gives_up(&mut self, now: Instant) -> bool {
        if let (Some(Trouble { cause, since, tries, why }), None) = (&self.trouble, &self.given_up) {
            let hopeless = !cause.passes() && *tries >= TRIES && !self.contact;
            // Half-way there, one refused request among many may be a slip of the endpoint's.
            let for_long = now.duration_since(*since) >= self.patience && (!self.contact || !cause.passes());
            if hopeless || for_long {
                self.given_up = Some(why.clone());
            }
        }
        self.given_up.is_some()
    }

    /// A program that restic runs, such as ssh, said this itself.
    pub(crate) fn helper(&mut self, words: Option<String>) {
        let words = words.map(|words| self.struck.text(&words).into_owned());
        if let Some(words) = &words {
            self.log(words);
        }
        self.helper = words;
    }

    /// What ended restic, in its own words.
    pub(crate) fn last_words(&self) -> String {
        // Where we gave up, restic's own end is only that it was told to.
        let words = [&self.given_up, &self.helper, &self.exit, &self.plain];
        words.into_iter().flatten().next().cloned().unwrap_or_default()
    }

    fn log(&mut self, line: &str) {
        self.lines += 1;
        if self.lines <= LOGGED {
            tracing::warn!("{}", clip(&shown(line), LINE));
        } else if self.lines == LOGGED + 1 {
            tracing::warn!("further messages of restic are not logged");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = "Stat(<config/>) returned error, retrying after 1.2s: Stat: The request signature we \
                           calculated does not match the signature you provided. Check your key and signing method.";
    const DOWN: &str = "Stat(<config/>) returned error, retrying after 671.3ms: Stat: Get \"http://h:1/\": dial tcp \
                        127.0.0.1:1: connect: connection refused";

    fn heard() -> (Heard, Instant) {
        (Heard::new(Duration::from_secs(60), Arc::default()), Instant::now())
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn what_will_not_pass_is_not_tried_for_15_minutes() {
        let (mut heard, start) = heard();
        for second in 0..2 {
            assert_eq!(heard.error(REFUSED, after(start, second)), None);
            assert!(!heard.gives_up(after(start, second)), "one slip is none");
        }
        heard.error(REFUSED, after(start, 2));
        assert!(heard.gives_up(after(start, 2)));
        heard.error(r#"{"message_type":"exit_error","code":130,"message":"context canceled"}"#, after(start, 3));
        assert!(heard.last_words().starts_with("Stat: The request signature"), "{}", heard.last_words());
    }

    #[test]
    fn an_endpoint_that_may_come_back_gets_some_patience_and_no_more() {
        let (mut heard, start) = heard();
        for second in [0, 1, 5, 15, 59] {
            heard.error(DOWN, after(start, second));
            assert!(!heard.gives_up(after(start, second)), "{second}");
        }
        // Without another line: restic waits for minutes between tries.
        assert!(heard.gives_up(after(start, 60)));
    }

    #[test]
    fn once_work_has_begun_an_outage_is_left_to_restic_and_a_refusal_is_not() {
        let (mut heard, start) = heard();
        heard.contact();
        for second in [0, 100, 600] {
            heard.error(DOWN, after(start, second));
            assert!(!heard.gives_up(after(start, second)), "{second}");
        }
        for second in [700, 710, 720] {
            heard.error(REFUSED, after(start, second));
            assert!(!heard.gives_up(after(start, second)), "{second}");
        }
        heard.error("Save(<data/1>) operation successful after 3 retries", after(start, 730));
        heard.error(REFUSED, after(start, 765));
        assert!(!heard.gives_up(after(start, 765)));
        heard.error(REFUSED, after(start, 825));
        assert!(heard.gives_up(after(start, 825)));
    }

    #[test]
    fn errors_about_entries_are_told_apart() {
        let (mut heard, now) = heard();
        let line = r#"{"message_type":"error","error":{"message":"open /source/bad: permission denied"},"during":"archival","item":"/source/bad"}"#;
        let error = heard.error(line, now).unwrap();
        assert_eq!(error.item.as_deref(), Some("/source/bad"));
        assert_eq!(error.message, "open /source/bad: permission denied");
        let error = heard.error(r#"{"message_type":"error","message":"\nThe repository is damaged\n"}"#, now).unwrap();
        assert_eq!((error.item, error.message.as_str()), (None, "The repository is damaged"));
        let retry =
            r#"{"message_type":"error","message":"Stat(\u003cconfig/\u003e) returned error, retrying after 1s: x"}"#;
        assert_eq!(heard.error(retry, now), None, "as `check` says it");
        heard.error("unable to open cache", now);
        assert_eq!(heard.last_words(), "unable to open cache");
        heard.error(r#"{"message_type":"exit_error","code":1,"message":"Fatal: x"}"#, now);
        assert_eq!(heard.last_words(), "Fatal: x");
    }
}
