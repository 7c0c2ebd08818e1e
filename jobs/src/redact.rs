//! Text that leaves the pod, without the secrets that the pod was given.
//!
//! restic and ssh are given a Secret, and say what they like: an endpoint's answer, an address that they cannot parse. Each
//! line of theirs is struck where it is heard, before it is cut to a length; and once more whatever leaves the process is,
//! by the log, the termination message or a person's terminal. A secret is struck in each form that such words have.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use tracing_subscriber::fmt::MakeWriter;

/// What stands in the place of a secret.
const MARK: &str = "***";
/// Shorter values hide nothing, and would tear every word apart.
const SHORTEST: usize = 4;
/// A line or a piece of a value has to be longer to be struck by itself.
const SHORTEST_PIECE: usize = 8;

/// What this process has been told in confidence.
static KEPT: Mutex<Option<Arc<Struck>>> = Mutex::new(None);

/// Secrets, in all their forms.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Struck {
    forms: BTreeSet<String>,
}

impl Struck {
    /// Of these values.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms = BTreeSet::new();
        for value in values {
            add(&mut forms, value, SHORTEST);
            add(&mut forms, value.trim(), SHORTEST);
            // Programs say a value line by line, and without blanks at its ends.
            let lines = value.lines().filter(|line| !line.starts_with("-----"));
            lines.for_each(|line| add(&mut forms, line.trim(), SHORTEST_PIECE));
            let one_line = value.split_whitespace().collect::<Vec<_>>().join(" ");
            add(&mut forms, &one_line, SHORTEST);
            let decoded = percent_decode_str(value).decode_utf8_lossy();
            add(&mut forms, &decoded, SHORTEST);
        }
        Self { forms }
    }

    /// A text without them.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for form in &self.forms {
            found.extend(text.match_indices(form.as_str()).map(|(at, _)| at..at + form.len()));
        }
        // Of percent codes there are many ways: which characters, and in which case.
        for blank in [b'+', b' '] {
            if text.contains('%') || blank == b' ' && text.contains('+') {
                self.encoded(text, blank, &mut found);
            }
        }
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_by_key(|range| (range.start, Reverse(range.end)));
        let (mut struck, mut told) = (String::new(), 0);
        for range in found {
            // One that begins within another goes with it.
            if range.start >= told {
                struck.push_str(&text[told..range.start]);
                struck.push_str(MARK);
            }
            told = told.max(range.end);
        }
        Cow::Owned(struck + &text[told..])
    }

    /// The same of what stands in a text in percent codes. `blank` is what a plus stands for.
    fn encoded(&self, text: &str, blank: u8, found: &mut Vec<Range<usize>>) {
        let (bytes, starts) = decoded(text, blank);
        for form in &self.forms {
            let windows = bytes.windows(form.len()).enumerate().filter(|(_, window)| *window == form.as_bytes());
            found.extend(windows.map(|(at, _)| starts[at]..starts[at + form.len()]));
        }
    }

    /// From now on, nothing leaves this process with them in it.
    pub(crate) fn keep(self: &Arc<Self>) {
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(self));
    }
}

/// A text as it may leave this process.
pub(crate) fn struck(text: &str) -> Cow<'_, str> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).clone();
    kept.map_or(Cow::Borrowed(text), |kept| kept.text(text))
}

fn add(forms: &mut BTreeSet<String>, value: &str, shortest: usize) {
    if value.trim().chars().count() < shortest {
        return;
    }
    let mut whole = vec![value.to_owned(), quoted(value), STANDARD_NO_PAD.encode(value), URL_SAFE_NO_PAD.encode(value)];
    // JSON, and as Go writes it.
    let json = serde_json::to_string(value).unwrap_or_default().trim_matches('"').to_owned();
    let go = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")];
    whole.push(go.iter().fold(json.clone(), |text, (from, to)| text.replace(*from, to)));
    whole.push(json);
    // Of words that are quoted once more.
    let again: Vec<String> = whole.iter().map(|form| quoted(form)).collect();
    forms.extend(whole.into_iter().chain(again));
}

/// With the escapes of Go's `%q`, without its quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            c if c.is_ascii_control() => drop(write!(quoted, "\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted
}

/// A text with its percent codes taken for what they stand for, and where each byte begins in the text.
fn decoded(text: &str, blank: u8) -> (Vec<u8>, Vec<usize>) {
    let digit = |at: usize| text.as_bytes().get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut bytes, mut starts, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(byte) = text.as_bytes().get(at) {
        starts.push(at);
        let code = (*byte == b'%').then(|| digit(at + 1).zip(digit(at + 2))).flatten();
        bytes.push(match code.and_then(|(high, low)| u8::try_from(16 * high + low).ok()) {
            Some(code) => {
                at += 2;
                code
            }
            None if *byte == b'+' => blank,
            None => *byte,
        });
        at += 1;
    }
    starts.push(at);
    (bytes, starts)
}

/// Writes what may leave this process.
pub(crate) struct Out<W>(pub(crate) W);

impl<W: Write> Write for Out<W> {
    /// An event of the log comes as one piece.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(piece) {
            Ok(text) => self.0.write_all(struck(text).as_bytes())?,
            Err(_) => self.0.write_all(struck(&String::from_utf8_lossy(piece)).as_bytes())?,
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Makes such writers for the log.
pub(crate) struct Lines<M>(pub(crate) M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lines<M> {
    type Writer = Out<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Out(self.0.make_writer())
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    const FEW: &AsciiSet = &CONTROLS.add(b'"').add(b'%');

    /// S3: whatever a tool makes of a secret.
    #[test]
    fn a_secret_is_struck_in_every_form_that_words_have() {
        let secret = "a b/c+\"d\"\\e%&<ü>\n==zz;,:@?#";
        let struck = Struck::new([secret]);
        for text in [
            secret.to_owned(),
            format!("{secret:?}"),
            serde_json::to_string(secret).unwrap(),
            serde_json::to_string(&format!("{secret:?}")).unwrap(),
            STANDARD_NO_PAD.encode(secret),
            utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
            utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string().to_lowercase(),
            utf8_percent_encode(secret, FEW).to_string(),
            utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string().replace("%20", "+").replace("%2B", "%2b"),
            secret.replace('\n', " "),
        ] {
            let told = struck.text(&format!("it said {text} of it")).into_owned();
            assert!(told.starts_with("it said ") && told.ends_with(" of it"), "{told}");
            assert!(!told.contains("zz") && !told.contains("c+"), "{text}: {told}");
        }
    }

    #[test]
    fn a_key_is_struck_line_by_line_and_words_that_hide_nothing_stay() {
        let struck = Struck::new(["-----BEGIN KEY-----\nb3BlbnNzaC1rZXk\n-----END KEY-----\n", "eu", "", "a"]);
        assert_eq!(
            struck.text("line b3BlbnNzaC1rZXk of -----BEGIN KEY----- in eu"),
            "line *** of -----BEGIN KEY----- in eu"
        );
    }

    #[test]
    fn one_that_is_a_part_of_another_does_not_uncover_it() {
        let struck = Struck::new(["word", "word-and-more"]);
        assert_eq!(struck.text("word-and-more, word"), "***, ***");
    }
}
